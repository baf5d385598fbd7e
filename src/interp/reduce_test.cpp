#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "interp/ops.h"

namespace peri::interp {
namespace {

using ir::OpCode;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Tile reals(std::vector<i64> shape, std::vector<double> values, Dtype dtype = Dtype::F32) {
  return {dtype, std::move(shape), std::move(values), {}};
}
Tile integers(std::vector<i64> shape, std::vector<i64> values, Dtype dtype) {
  return {dtype, std::move(shape), {}, std::move(values)};
}

TEST(Reduce, AlongEachDimension) {
  Tile t = reals({2, 3}, {1, 2, 3, 4, 5, 6});
  Tile rows = reduce(OpCode::Sum, t, 1, Dtype::F32, true);
  EXPECT_EQ(rows.shape, std::vector<i64>{2});
  EXPECT_EQ(rows.reals, (std::vector<double>{6, 15}));
  EXPECT_EQ(reduce(OpCode::Prod, t, 0, Dtype::F32, true).reals, (std::vector<double>{4, 10, 18}));
  Tile cube = reals({2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  EXPECT_EQ(reduce(OpCode::ReduceMax, cube, 1, Dtype::F32, true).reals,
            (std::vector<double>{3, 4, 7, 8}));
  EXPECT_EQ(reduce(OpCode::ReduceMin, cube, 0, Dtype::F32, true).reals,
            (std::vector<double>{1, 2, 3, 4}));
}

TEST(Reduce, NanWins) {
  Tile t = reals({2, 3}, {1, kNan, 3, kNan, kNan, 2});
  for (OpCode code : {OpCode::ReduceMax, OpCode::ReduceMin, OpCode::Sum}) {
    Tile out = reduce(code, t, 1, Dtype::F32, true);
    EXPECT_TRUE(std::isnan(out.reals[0]) && std::isnan(out.reals[1]));
  }
  EXPECT_EQ(reduce(OpCode::ArgMax, t, 1, Dtype::I64, true).integers, (std::vector<i64>{1, 0}));
  EXPECT_EQ(reduce(OpCode::ArgMin, t, 1, Dtype::I64, true).integers, (std::vector<i64>{1, 0}));
}

TEST(Reduce, ArgTakesTheFirstOfEquals) {
  Tile t = reals({4}, {2, 7, 7, 2});
  EXPECT_EQ(reduce(OpCode::ArgMax, t, 0, Dtype::I64, true).integers[0], 1);
  EXPECT_EQ(reduce(OpCode::ArgMin, t, 0, Dtype::I64, true).integers[0], 0);
  Tile u = integers({3}, {5, -1, 5}, Dtype::I32);
  EXPECT_EQ(reduce(OpCode::ArgMax, u, 0, Dtype::I64, true).integers[0], 0);
  EXPECT_EQ(reduce(OpCode::ArgMin, u, 0, Dtype::I64, true).integers[0], 1);
}

TEST(Reduce, EmptyGivesTheIdentity) {
  Tile t = reals({2, 0}, {});
  EXPECT_EQ(reduce(OpCode::Sum, t, 1, Dtype::F32, true).reals, (std::vector<double>{0, 0}));
  EXPECT_EQ(reduce(OpCode::Prod, t, 1, Dtype::F32, true).reals, (std::vector<double>{1, 1}));
  EXPECT_EQ(reduce(OpCode::ReduceMax, t, 1, Dtype::F32, true).reals[0], -kInf);
  EXPECT_EQ(reduce(OpCode::ReduceMin, t, 1, Dtype::F32, true).reals[0], kInf);
  EXPECT_EQ(reduce(OpCode::Sum, t, 0, Dtype::F32, true).count(), 0);
  auto empty = [](OpCode code, Dtype dtype) {
    return reduce(code, integers({0}, {}, dtype), 0, dtype, true).integers[0];
  };
  EXPECT_EQ(empty(OpCode::ReduceMax, Dtype::I8), -128);
  EXPECT_EQ(empty(OpCode::ReduceMin, Dtype::I8), 127);
  EXPECT_EQ(empty(OpCode::ReduceMin, Dtype::U8), 255);
  EXPECT_EQ(empty(OpCode::ReduceMax, Dtype::I64), std::numeric_limits<i64>::min());
  EXPECT_EQ(empty(OpCode::Any, Dtype::Bool), 0);
  EXPECT_EQ(empty(OpCode::All, Dtype::Bool), 1);
}

TEST(Reduce, IntegersAndBoolsSumInI64) {
  Tile t = integers({3}, {127, 127, 127}, Dtype::I8);
  EXPECT_EQ(reduce(OpCode::Sum, t, 0, Dtype::I64, true).integers[0], 381);
  Tile flags = integers({3}, {1, 0, 1}, Dtype::Bool);
  EXPECT_EQ(reduce(OpCode::Sum, flags, 0, Dtype::I64, true).integers[0], 2);
  EXPECT_EQ(reduce(OpCode::Any, flags, 0, Dtype::Bool, true).integers[0], 1);
  EXPECT_EQ(reduce(OpCode::All, flags, 0, Dtype::Bool, true).integers[0], 0);
}

TEST(Reduce, RoundsOnceUnlessExact) {
  Tile t = reals({300}, std::vector<double>(300, 1.0), Dtype::BF16);
  EXPECT_EQ(reduce(OpCode::Sum, t, 0, Dtype::BF16, false).reals[0], 300);
  t = reals({257}, std::vector<double>(257, 1.0), Dtype::BF16);
  EXPECT_EQ(reduce(OpCode::Sum, t, 0, Dtype::BF16, false).reals[0], 256);
  EXPECT_EQ(reduce(OpCode::Sum, t, 0, Dtype::BF16, true).reals[0], 257);
}

TEST(Dot, MatrixTimesMatrix) {
  Tile a = reals({2, 3}, {1, 2, 3, 4, 5, 6}), b = reals({3, 2}, {1, 0, 0, 1, 1, 1});
  EXPECT_EQ(dot(a, b, nullptr, Dtype::F32, true).reals, (std::vector<double>{4, 5, 10, 11}));
  Tile acc = reals({2, 2}, {100, 200, 300, 400});
  EXPECT_EQ(dot(a, b, &acc, Dtype::F32, true).reals, (std::vector<double>{104, 205, 310, 411}));
}

TEST(Dot, Batches) {
  Tile a = reals({2, 1, 2}, {1, 2, 3, 4}), b = reals({2, 2, 1}, {1, 1, 10, 100});
  Tile out = dot(a, b, nullptr, Dtype::F32, true);
  EXPECT_EQ(out.shape, (std::vector<i64>{2, 1, 1}));
  EXPECT_EQ(out.reals, (std::vector<double>{3, 430}));
}

// Of operands and accumulator that differ in the last tile, what all have counts.
TEST(Dot, SmallerExtentsWin) {
  Tile a = reals({2, 3}, {1, 2, 1000, 4, 5, 1000}), b = reals({2, 2}, {1, 0, 0, 1});
  EXPECT_EQ(dot(a, b, nullptr, Dtype::F32, true).reals, (std::vector<double>{1, 2, 4, 5}));
  Tile acc = reals({1, 1}, {10});
  Tile out = dot(a, b, &acc, Dtype::F32, true);
  EXPECT_EQ(out.shape, (std::vector<i64>{1, 1}));
  EXPECT_EQ(out.reals, std::vector<double>{11});
}

TEST(Dot, EmptyContractionGivesTheAccumulator) {
  Tile a = reals({1, 0}, {}), b = reals({0, 1}, {}), acc = reals({1, 1}, {3});
  EXPECT_EQ(dot(a, b, &acc, Dtype::F32, true).reals[0], 3);
  EXPECT_EQ(dot(a, b, nullptr, Dtype::F32, true).reals[0], 0);
}

TEST(Dot, IntegersAccumulateInI32) {
  Tile a = integers({1, 2}, {100, 100}, Dtype::I8), b = integers({2, 1}, {100, 100}, Dtype::I8);
  EXPECT_EQ(dot(a, b, nullptr, Dtype::I32, true).integers[0], 20000);
  EXPECT_EQ(dot(a, b, nullptr, Dtype::I8, true).integers[0], 32);
}

TEST(Dot, HalvesRoundAtTheEnd) {
  Tile a = reals({1, 2}, {256, 1}, Dtype::BF16), b = reals({2, 1}, {1, 1}, Dtype::BF16);
  EXPECT_EQ(dot(a, b, nullptr, Dtype::F32, false).reals[0], 257);
  EXPECT_EQ(dot(a, b, nullptr, Dtype::BF16, false).reals[0], 256);
}

TEST(Views, PermuteAndExpand) {
  Tile t = reals({2, 3}, {1, 2, 3, 4, 5, 6});
  Tile p = permute(t, {1, 0});
  EXPECT_EQ(p.shape, (std::vector<i64>{3, 2}));
  EXPECT_EQ(p.reals, (std::vector<double>{1, 4, 2, 5, 3, 6}));
  EXPECT_EQ(expand(reals({1, 2}, {1, 2}), {2, 2}).reals, (std::vector<double>{1, 2, 1, 2}));
  EXPECT_EQ(expand(reals({2, 1}, {1, 2}), {2, 2}).reals, (std::vector<double>{1, 1, 2, 2}));
  EXPECT_EQ(expand(reals({}, {7}), {2, 1}).reals, (std::vector<double>{7, 7}));
  EXPECT_EQ(expand(reals({1}, {7}), {0}).count(), 0);
}

}  // namespace
}  // namespace peri::interp
