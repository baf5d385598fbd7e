#include "tune/shape_table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace peri::tune {
namespace {

using Rows = std::vector<std::vector<i64>>;

i64 nearest(const Rows& rows, const std::vector<i64>& sizes) {
  return ShapeTable(rows).nearest(sizes);
}

TEST(ShapeTable, TakesTheNearestInLogarithms) {
  const Rows rows = {{1024, 4096}, {16, 4096}};
  EXPECT_EQ(nearest(rows, {1024, 4096}), 0);
  EXPECT_EQ(nearest(rows, {16, 4096}), 1);
  EXPECT_EQ(nearest(rows, {129, 4096}), 0);  // the middle of 16 and 1024 is 128
  EXPECT_EQ(nearest(rows, {127, 4096}), 1);
  EXPECT_EQ(nearest(rows, {127, 1}), 1);
}

TEST(ShapeTable, SumsOverTheSizes) {
  EXPECT_EQ(nearest({{64, 64}, {256, 16}}, {256, 64}), 0);  // 4 against 4: the smaller sizes
  EXPECT_EQ(nearest({{64, 64}, {256, 16}}, {256, 63}), 1);
  EXPECT_EQ(nearest({{64, 64}, {1024, 1024}}, {256, 300}), 1);
}

TEST(ShapeTable, TiesGoToTheSmallerSizesInAnyOrder) {
  EXPECT_EQ(nearest({{16}, {256}}, {64}), 0);
  EXPECT_EQ(nearest({{256}, {16}}, {64}), 1);
  EXPECT_EQ(nearest({{12}, {3}}, {6}), 1);
  EXPECT_EQ(nearest({{35}, {5}, {7}}, {6}), 2);
}

TEST(ShapeTable, IsTotal) {
  const Rows rows = {{7, 1}, {INT64_MAX, INT64_MAX}, {4096, 3}};
  const ShapeTable table(rows);
  const std::vector<i64> extremes = {INT64_MIN, -1, 0, 1, 2, 1000, INT64_MAX};
  for (i64 a : extremes) {
    for (i64 b : extremes) {
      const std::vector<i64> sizes = {a, b};
      const i64 row = table.nearest(sizes);
      ASSERT_TRUE(row >= 0 && row < 3) << a << " " << b;
    }
  }
  EXPECT_EQ(table.nearest(std::vector<i64>{INT64_MAX, INT64_MAX}), 1);
  EXPECT_EQ(table.nearest(std::vector<i64>{0, 0}), 0);
  EXPECT_EQ(ShapeTable().nearest({}), 0);
  EXPECT_EQ(nearest({{}}, {}), 0);
}

TEST(ShapeTable, AgreesWithTheDefinition) {
  std::mt19937_64 random(1);
  auto size = [&] { return static_cast<i64>(1 + random() % (u64{1} << (random() % 20))); };
  for (int round = 0; round < 500; ++round) {
    Rows rows(1 + random() % 6);
    for (auto& row : rows) row = {size(), size(), size()};
    const std::vector<i64> call = {size(), size(), size()};
    auto distance = [&](const std::vector<i64>& row) {
      double sum = 0;
      for (int i = 0; i < 3; ++i) {
        sum += std::abs(std::log(static_cast<double>(call[i]) / static_cast<double>(row[i])));
      }
      return sum;
    };
    double least = HUGE_VAL;
    for (const auto& row : rows) least = std::min(least, distance(row));
    EXPECT_NEAR(distance(rows[nearest(rows, call)]), least, 1e-9);
  }
}

TEST(ShapeTable, PrintsSizes) {
  const Sizes sizes = {{"m", "x", 0, 16}, {"n", "x", 1, 4096}};
  EXPECT_EQ(print_sizes(sizes), "m=16,n=4096");
  EXPECT_EQ(values_of(sizes), (std::vector<i64>{16, 4096}));
  EXPECT_TRUE(have_same_places(sizes, {{"a", "x", 0, 1}, {"b", "x", 1, 1}}));
  EXPECT_FALSE(have_same_places(sizes, {{"a", "x", 0, 1}}));
}

}  // namespace
}  // namespace peri::tune
