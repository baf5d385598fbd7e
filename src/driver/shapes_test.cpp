#include "driver/shapes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace peri::driver {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class ShapesTest : public testing::Test {
 protected:
  Expected<Arguments> parse(const std::vector<std::string>& texts,
                            const std::map<std::string, i64>& shape) {
    return parse_arguments(texts, shape, 0, diags_);
  }

  diag::Sources sources_;
  diag::Diags diags_{sources_};
};

std::string message_of(const std::string& shape) {
  auto parsed = parse_shape(shape);
  if (parsed) return "is read";
  EXPECT_EQ(parsed.error().code, "bad-shape");
  return parsed.error().message;
}

TEST(Shape, IsReadAndRefused) {
  EXPECT_THAT(*parse_shape("n=4096,m=0"), ElementsAre(Pair("m", 0), Pair("n", 4096)));
  EXPECT_THAT(message_of(""), HasSubstr("`` is not of the form NAME=SIZE"));
  EXPECT_THAT(message_of("m"), HasSubstr("`m` is not of the form NAME=SIZE"));
  EXPECT_THAT(message_of("m=1,"), HasSubstr("`` is not of the form"));
  EXPECT_THAT(message_of("m="), HasSubstr("`` is no size"));
  EXPECT_THAT(message_of("m=-1"), HasSubstr("`-1` is no size"));
  EXPECT_THAT(message_of("m=1.5"), HasSubstr("`1.5` is no size"));
  EXPECT_THAT(message_of("m=99999999999999999999"), HasSubstr("is no size"));
  EXPECT_THAT(message_of("2m=3"), HasSubstr("`2m` is no name"));
  EXPECT_THAT(message_of("m=1,m=1"), HasSubstr("`m` is given twice"));
}

TEST_F(ShapesTest, UnknownNamesAreRefused) {
  auto unknown = parse({"x=randn[rows,4]"}, {{"rows", 2}, {"row", 3}});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, "unknown-size");
  EXPECT_THAT(unknown.error().message, HasSubstr("--shape gives `row`"));
  EXPECT_EQ(unknown.error().hint, "did you mean `rows`?");
  auto none = parse({"x=randn[2,4]"}, {{"m", 2}});
  EXPECT_EQ(none.error().code, "unknown-size");
  EXPECT_THAT(none.error().message, HasSubstr("no --arg has sizes with names"));
  EXPECT_EQ(parse({"x=randn[m,4]"}, {}).error().code, "missing-size");
}

TEST_F(ShapesTest, NamedSizesStandWhereTheyAreMetFirst) {
  auto arguments = parse({"y=randn[k,n]", "x=randn[k,m].t()", "z=[randn[b], 3]"},
                         {{"m", 2}, {"k", 3}, {"n", 4}, {"b", 5}});
  ASSERT_TRUE(arguments);
  const tune::Sizes sizes = sizes_of(*arguments);
  EXPECT_THAT(sizes,
              ElementsAre(tune::NamedSize{"m", "x", 0, 2}, tune::NamedSize{"k", "x", 1, 3},
                          tune::NamedSize{"n", "y", 1, 4}, tune::NamedSize{"b", "z[0]", 0, 5}));
  EXPECT_THAT(*sizes_at(specs_of(*arguments), sizes), ElementsAre(2, 3, 4, 5));
}

TEST_F(ShapesTest, WithoutNamesAllSizesCount) {
  auto arguments = parse({"x=randn[2,3]", "s=4"}, {});
  EXPECT_EQ(tune::print_sizes(sizes_of(*arguments)), "x.0=2,x.1=3");
}

TEST_F(ShapesTest, PlacesThatACallLacksAreNone) {
  auto arguments = parse({"x=randn[2]", "s=4", "l=[randn[3]]"}, {});
  const auto specs = specs_of(*arguments);
  auto at = [&](const std::string& argument, i64 dimension) {
    return sizes_at(specs, {{"", argument, dimension, 0}}).has_value();
  };
  EXPECT_TRUE(at("x", 0) && at("l[0]", 0));
  EXPECT_FALSE(at("x", 1));
  EXPECT_FALSE(at("y", 0));
  EXPECT_FALSE(at("s", 0));
  EXPECT_FALSE(at("l[1]", 0));
  EXPECT_FALSE(at("l[", 0));
  EXPECT_FALSE(at("l[0]x", 0));
}

}  // namespace
}  // namespace peri::driver
