#include "analysis/index_range.h"

#include <gtest/gtest.h>

#include <string>

#include "ir/parse.h"

namespace peri::analysis {
namespace {

// For each subscript of the kernel's one store, "1" if it is proved to be in range.
std::string proved(const std::string& text) {
  diag::Sources sources;
  diag::Diags diags(sources);
  auto kernel = ir::parse(sources.add("test.ir", text), diags);
  EXPECT_TRUE(kernel) << diag::render_text(diags);
  if (!kernel) return "";
  std::string result;
  for (const ir::Op& op : kernel->ops) {
    if (op.code != ir::OpCode::Store) continue;
    i64 dim = 0;
    for (const ir::Index& index : op.attrs.indices) {
      result += is_in_range(*kernel, op, dim++, index) ? "1" : "0";
    }
  }
  return result;
}

std::string store_at(const std::string& begin, const std::string& end, const std::string& body) {
  return "kernel k\n  symbol @n: int = arg_size leaf 0 dim 0 hint 8\n"
         "  tensor x: f32[8] strides [1] slot 0\n  tensor y: f32[@n] strides [1] slot 1\n"
         "  block b0 \"t\": tile size=4 in " +
         begin + ".." + end +
         "\n  root (b0) {\n    %0: f32 = const 1.0\n    %1: f32[b0:4] = expand %0\n" + body +
         "  }\n";
}

TEST(IndexRange, TilesByTheirBounds) {
  EXPECT_EQ(proved(store_at("0", "8", "    store %1, x[b0]\n")), "1");
  EXPECT_EQ(proved(store_at("0", "9", "    store %1, x[b0]\n")), "0");
  EXPECT_EQ(proved(store_at("0", "@n", "    store %1, y[b0]\n")), "1");
  EXPECT_EQ(proved(store_at("0", "@n", "    store %1, x[b0]\n")), "0");
  EXPECT_EQ(proved(store_at("0", "add(@n, -1)", "    store %1, y[b0]\n")), "1");
}

TEST(IndexRange, ShiftsByConstants) {
  const std::string shift = "    %2: i64 = const 2\n    store %1, x[b0+%2]\n";
  EXPECT_EQ(proved(store_at("0", "6", shift)), "1");
  EXPECT_EQ(proved(store_at("0", "7", shift)), "0");
  const std::string back = "    %2: i64 = const -2\n    store %1, x[b0+%2]\n";
  EXPECT_EQ(proved(store_at("2", "10", back)), "1");
  EXPECT_EQ(proved(store_at("1", "10", back)), "0");
}

TEST(IndexRange, GathersOfArithmeticOnTheTile) {
  const auto gather = [](const std::string& op, i64 constant) {
    return "    %2: i64[b0:4] = tile_index b0\n    %3: i64 = const " + std::to_string(constant) +
           "\n    %4: i64[b0:4] = " + op + " %2, %3\n    store %1, x[gather %4]\n";
  };
  EXPECT_EQ(proved(store_at("0", "16", gather("floordiv", 2))), "1");
  EXPECT_EQ(proved(store_at("0", "17", gather("floordiv", 2))), "0");
  EXPECT_EQ(proved(store_at("0", "4", gather("mul", 2))), "1");
  EXPECT_EQ(proved(store_at("0", "5", gather("mul", 2))), "0");
  EXPECT_EQ(proved(store_at("0", "99", gather("remainder", 8))), "1");
  EXPECT_EQ(proved(store_at("0", "99", gather("remainder", 9))), "0");
  EXPECT_EQ(proved(store_at("0", "99", gather("and", 7))), "1");
  EXPECT_EQ(proved(store_at("0", "99", gather("min", 7))), "1");
  EXPECT_EQ(proved(store_at("0", "99", gather("max", 7))), "0");
  EXPECT_EQ(proved(store_at("0", "8", gather("max", 7))), "1");
  EXPECT_EQ(proved(store_at("0", "9", gather("sub", 1))), "0");
  EXPECT_EQ(proved(store_at("1", "9", gather("sub", 1))), "1");
}

TEST(IndexRange, NarrowSumsMayWrap) {
  const std::string text =
      "    %2: i8[b0:4] = tile_index b0\n    %3: i8 = const 1\n    %4: i8[b0:4] = add %2, %3\n"
      "    %5: i64[b0:4] = cast %4\n    store %1, x[gather %5]\n";
  EXPECT_EQ(proved(store_at("0", "7", text)), "0");
}

TEST(IndexRange, ContentsOfTensorsAreUnknown) {
  const std::string text =
      "    %2: f32[b0:4] = load x[b0]\n    %3: i64[b0:4] = cast %2\n    store %1, x[gather %3]\n";
  EXPECT_EQ(proved(store_at("0", "8", text)), "0");
}

}  // namespace
}  // namespace peri::analysis
