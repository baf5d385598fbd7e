// Tables of values per op, special ones first of all.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <numbers>

#include "interp/ops.h"

namespace peri::interp {
namespace {

using ir::OpCode;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kPi = std::numbers::pi;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr i64 kMin64 = std::numeric_limits<i64>::min();

Tile reals(std::vector<double> values, Dtype dtype = Dtype::F64) {
  return {dtype, {static_cast<i64>(values.size())}, values, {}};
}
Tile integers(std::vector<i64> values, Dtype dtype = Dtype::I64) {
  return {dtype, {static_cast<i64>(values.size())}, {}, values};
}

// Equal bits; any NaN equals any other.
void expect_reals(const Tile& tile, const std::vector<double>& wanted, std::string_view what) {
  ASSERT_EQ(tile.reals.size(), wanted.size()) << what;
  for (size_t i = 0; i < wanted.size(); ++i) {
    bool same = std::isnan(wanted[i])
                    ? std::isnan(tile.reals[i])
                    : std::bit_cast<u64>(wanted[i]) == std::bit_cast<u64>(tile.reals[i]);
    EXPECT_TRUE(same) << what << " [" << i << "]: " << tile.reals[i] << ", not " << wanted[i];
  }
}

struct UnaryRow {
  OpCode code;
  std::vector<double> in, out;
};

TEST(Elementwise, UnaryOnFloats) {
  const UnaryRow rows[] = {
      {OpCode::Neg, {0, -0.0, 1, kInf, kNan}, {-0.0, 0, -1, -kInf, kNan}},
      {OpCode::Abs, {-0.0, -2, -kInf, kNan}, {0, 2, kInf, kNan}},
      {OpCode::Sign, {-3, -0.0, 0, 5, kNan, -kInf}, {-1, 0, 0, 1, 0, -1}},
      {OpCode::Exp, {0, -kInf, kInf, 710, -750, kNan}, {1, 0, kInf, kInf, 0, kNan}},
      {OpCode::Exp2, {3, -1, 1024, -kInf}, {8, 0.5, kInf, 0}},
      {OpCode::Expm1, {0, -0.0, -kInf, 1e-20}, {0, -0.0, -1, 1e-20}},
      {OpCode::Log, {1, 0, -0.0, -1, kInf}, {0, -kInf, -kInf, kNan, kInf}},
      {OpCode::Log2, {8, 0}, {3, -kInf}},
      {OpCode::Log10, {1000, 0}, {3, -kInf}},
      {OpCode::Log1p, {0, -0.0, -1, -2, 1e-20}, {0, -0.0, -kInf, kNan, 1e-20}},
      {OpCode::Sqrt, {4, -0.0, -1, kInf}, {2, -0.0, kNan, kInf}},
      {OpCode::Rsqrt, {4, 0, -0.0, -1, kInf}, {0.5, kInf, -kInf, kNan, 0}},
      {OpCode::Reciprocal, {4, 0, -0.0, kInf}, {0.25, kInf, -kInf, 0}},
      {OpCode::Sin, {0, -0.0, kInf}, {0, -0.0, kNan}},
      {OpCode::Cos, {0, kInf}, {1, kNan}},
      {OpCode::Tan, {-0.0, kInf}, {-0.0, kNan}},
      {OpCode::Sinh, {0, kInf, -kInf}, {0, kInf, -kInf}},
      {OpCode::Cosh, {0, -kInf}, {1, kInf}},
      {OpCode::Tanh, {-0.0, kInf, -kInf, kNan}, {-0.0, 1, -1, kNan}},
      {OpCode::Asin, {0, 2}, {0, kNan}},
      {OpCode::Acos, {1, -2}, {0, kNan}},
      {OpCode::Atan, {-0.0, kInf}, {-0.0, std::atan(kInf)}},
      {OpCode::Erf, {0, kInf, -kInf}, {0, 1, -1}},
      {OpCode::Erfc, {0, kInf, -kInf}, {1, 0, 2}},
      {OpCode::Sigmoid, {0, kInf, -kInf, 800, -800, kNan}, {0.5, 1, 0, 1, 0, kNan}},
      {OpCode::Floor, {1.5, -1.5, -0.0, kInf}, {1, -2, -0.0, kInf}},
      {OpCode::Ceil, {1.5, -1.5, -0.5}, {2, -1, -0.0}},
      {OpCode::Round, {0.5, 1.5, 2.5, -0.5, -1.5}, {0, 2, 2, -0.0, -2}},
      {OpCode::Trunc, {1.5, -1.5, -0.5}, {1, -1, -0.0}},
  };
  for (const UnaryRow& row : rows) {
    Tile in = reals(row.in);
    expect_reals(elementwise(row.code, {&in}, Dtype::F64, true), row.out, ir::info(row.code).text);
  }
}

struct BinaryRow {
  OpCode code;
  std::vector<double> a, b, out;
};

TEST(Elementwise, BinaryOnFloats) {
  const BinaryRow rows[] = {
      {OpCode::Add, {-0.0, kInf, 1}, {-0.0, -kInf, 2}, {-0.0, kNan, 3}},
      {OpCode::Sub, {0, kInf}, {0, kInf}, {0, kNan}},
      {OpCode::Mul, {-0.0, kInf, 3}, {3, 0, 4}, {-0.0, kNan, 12}},
      {OpCode::Div, {1, -1, 0, 6}, {0, 0, 0, 3}, {kInf, -kInf, kNan, 2}},
      {OpCode::FloorDiv,
       {7, -7, 7, 1, -1, 0, kInf, -kInf, 5, -5, -0.0, 0, 1, kNan, 3, 0.3},
       {2, 2, -2, 0, 0, 0, 2, -1, kInf, kInf, 3, -3, -kInf, 1, kNan, 0.1},
       {3, -4, -4, kInf, -kInf, kNan, kNan, kNan, 0, -1, -0.0, -0.0, -1, kNan, kNan, 2}},
      {OpCode::Remainder,
       {7, -7, 7, -1, 5, 1, kInf, -kInf, -6, 6, 0, -0.0, kNan},
       {3, 3, -3, kInf, 0, kInf, 2, kInf, 3, -3, kInf, 2, 1},
       {1, 2, -2, kInf, kNan, 1, kNan, kNan, -0.0, 0, 0, -0.0, kNan}},
      {OpCode::Fmod,
       {7, -7, 7, 5, kInf, -5, -6, -0.0},
       {3, 3, -3, 0, 2, kInf, 3, 2},
       {1, -1, 1, kNan, kNan, -5, -0.0, -0.0}},
      {OpCode::Pow,
       {2, 0, -8, kNan, 2, -kInf},
       {10, 0, 1.0 / 3, 0, kNan, 0.5},
       {1024, 1, kNan, 1, kNan, kInf}},
      {OpCode::Pow,
       {-3, -0.0, -0.0, 4, 1, -1, 2, 0, -0.0, -kInf, -kInf, 0.5},
       {2, 0.5, -1, -0.5, kNan, kInf, -kInf, -1, -3, 3, -0.5, -kInf},
       {9, 0, -kInf, 0.5, 1, 1, 0, kInf, -kInf, -kInf, 0, kInf}},
      {OpCode::Atan2,
       {0, -0.0, 0, 0, -0.0, kInf, 1, kNan},
       {1, 1, -1, -0.0, -0.0, kInf, kInf, 1},
       {0, -0.0, kPi, kPi, -kPi, kPi / 4, 0, kNan}},
      {OpCode::Max, {1, kNan, 1, -kInf}, {2, 1, kNan, 5}, {2, kNan, kNan, 5}},
      {OpCode::Min, {1, kNan, 1, -kInf}, {2, 1, kNan, 5}, {1, kNan, kNan, -kInf}},
  };
  for (const BinaryRow& row : rows) {
    Tile a = reals(row.a), b = reals(row.b);
    Tile out = elementwise(row.code, {&a, &b}, Dtype::F64, true);
    expect_reals(out, row.out, ir::info(row.code).text);
  }
}

struct IntegerRow {
  OpCode code;
  Dtype dtype;
  std::vector<i64> a, b, out;
};

TEST(Elementwise, BinaryOnIntegers) {
  const IntegerRow rows[] = {
      {OpCode::Add, Dtype::I8, {127, -128}, {1, -1}, {-128, 127}},
      {OpCode::Add, Dtype::U8, {255}, {1}, {0}},
      {OpCode::Add, Dtype::I64, {kMin64}, {-1}, {std::numeric_limits<i64>::max()}},
      {OpCode::Sub, Dtype::U8, {0}, {1}, {255}},
      {OpCode::Mul, Dtype::I32, {1 << 20}, {1 << 20}, {0}},
      {OpCode::Mul, Dtype::I16, {300}, {300}, {24464}},
      {OpCode::FloorDiv, Dtype::I32, {7, -7, 7, -7, 5}, {2, 2, -2, -2, 0}, {3, -4, -4, 3, 0}},
      {OpCode::FloorDiv, Dtype::I64, {kMin64}, {-1}, {kMin64}},
      {OpCode::Remainder, Dtype::I32, {7, -7, 7, -7, 5}, {3, 3, -3, -3, 0}, {1, 2, -2, -1, 0}},
      {OpCode::Fmod, Dtype::I32, {7, -7, 7, -7}, {3, 3, -3, -3}, {1, -1, 1, -1}},
      {OpCode::Fmod, Dtype::I64, {kMin64}, {-1}, {0}},
      {OpCode::Pow,
       Dtype::I64,
       {2, 3, 0, 1, -1, -1, 2},
       {10, 0, 0, -5, -5, -4, -1},
       {1024, 1, 1, 1, -1, 1, 0}},
      {OpCode::Max, Dtype::U8, {200}, {100}, {200}},
      {OpCode::Min, Dtype::I8, {-100}, {100}, {-100}},
      {OpCode::And, Dtype::I32, {12, -1}, {10, 7}, {8, 7}},
      {OpCode::Or, Dtype::Bool, {0, 1}, {0, 0}, {0, 1}},
      {OpCode::Xor, Dtype::Bool, {1, 1}, {0, 1}, {1, 0}},
      {OpCode::Shl, Dtype::I32, {1, 1, 1, 1}, {31, 32, -1, 4}, {-2147483648LL, 0, 0, 16}},
      {OpCode::Shr, Dtype::I32, {-8, -8, 8, 8}, {1, 40, 40, -1}, {-4, -1, 0, 0}},
      {OpCode::Shr, Dtype::U8, {200, 200}, {1, 8}, {100, 0}},
  };
  for (const IntegerRow& row : rows) {
    Tile a = integers(row.a, row.dtype), b = integers(row.b, row.dtype);
    EXPECT_EQ(elementwise(row.code, {&a, &b}, row.dtype, true).integers, row.out)
        << ir::info(row.code).text;
  }
}

TEST(Elementwise, UnaryOnIntegers) {
  Tile a = integers({-128, 5}, Dtype::I8), flags = integers({0, 1}, Dtype::Bool);
  EXPECT_EQ(elementwise(OpCode::Neg, {&a}, Dtype::I8, true).integers, (std::vector<i64>{-128, -5}));
  EXPECT_EQ(elementwise(OpCode::Abs, {&a}, Dtype::I8, true).integers, (std::vector<i64>{-128, 5}));
  EXPECT_EQ(elementwise(OpCode::Sign, {&a}, Dtype::I8, true).integers, (std::vector<i64>{-1, 1}));
  EXPECT_EQ(elementwise(OpCode::Not, {&a}, Dtype::I8, true).integers, (std::vector<i64>{127, -6}));
  EXPECT_EQ(elementwise(OpCode::Not, {&flags}, Dtype::Bool, true).integers,
            (std::vector<i64>{1, 0}));
}

TEST(Elementwise, Comparisons) {
  Tile a = reals({1, 2, kNan, -0.0}), b = reals({2, 2, kNan, 0});
  auto compare = [&](OpCode code) {
    return elementwise(code, {&a, &b}, Dtype::Bool, true).integers;
  };
  EXPECT_EQ(compare(OpCode::Eq), (std::vector<i64>{0, 1, 0, 1}));
  EXPECT_EQ(compare(OpCode::Ne), (std::vector<i64>{1, 0, 1, 0}));
  EXPECT_EQ(compare(OpCode::Lt), (std::vector<i64>{1, 0, 0, 0}));
  EXPECT_EQ(compare(OpCode::Le), (std::vector<i64>{1, 1, 0, 1}));
  EXPECT_EQ(compare(OpCode::Gt), (std::vector<i64>{0, 0, 0, 0}));
  EXPECT_EQ(compare(OpCode::Ge), (std::vector<i64>{0, 1, 0, 1}));
  Tile c = integers({kMin64}), d = integers({1});
  EXPECT_EQ(elementwise(OpCode::Lt, {&c, &d}, Dtype::Bool, true).integers, std::vector<i64>{1});
}

TEST(Elementwise, ClassifiesNumbers) {
  Tile a = reals({1, kNan, kInf, -kInf});
  EXPECT_EQ(elementwise(OpCode::IsNan, {&a}, Dtype::Bool, true).integers,
            (std::vector<i64>{0, 1, 0, 0}));
  EXPECT_EQ(elementwise(OpCode::IsInf, {&a}, Dtype::Bool, true).integers,
            (std::vector<i64>{0, 0, 1, 1}));
}

TEST(Elementwise, SelectTakesScalarsAndTiles) {
  Tile cond = integers({1, 0}, Dtype::Bool), a = reals({1, 2});
  Tile b{Dtype::F64, {}, {-1}, {}};
  expect_reals(elementwise(OpCode::Select, {&cond, &a, &b}, Dtype::F64, true), {1, -1}, "select");
}

// The result has elements where all tiles have them.
TEST(Elementwise, SmallerExtentsWin) {
  Tile a = reals({1, 2, 3, 4, 5, 6}), b = reals({10, 20, 30, 40});
  a.shape = {2, 3};
  b.shape = {2, 2};
  Tile sum = elementwise(OpCode::Add, {&a, &b}, Dtype::F64, true);
  EXPECT_EQ(sum.shape, (std::vector<i64>{2, 2}));
  expect_reals(sum, {11, 22, 34, 45}, "add");
}

TEST(Elementwise, EmptyTiles) {
  Tile a = reals({}), b{Dtype::F64, {}, {1}, {}};
  EXPECT_EQ(elementwise(OpCode::Add, {&a, &b}, Dtype::F64, true).count(), 0);
}

TEST(Elementwise, RoundsUnlessExact) {
  Tile a = reals({1}, Dtype::BF16), b = reals({1.0 / 512}, Dtype::BF16);
  expect_reals(elementwise(OpCode::Add, {&a, &b}, Dtype::BF16, false), {1}, "rounded");
  expect_reals(elementwise(OpCode::Add, {&a, &b}, Dtype::BF16, true), {1 + 1.0 / 512}, "exact");
  Tile c = reals({65504}, Dtype::F16);
  expect_reals(elementwise(OpCode::Add, {&c, &c}, Dtype::F16, false), {kInf}, "overflow");
}

TEST(Elementwise, RandIsUniformAndFixed) {
  Tile seed = integer_scalar(Dtype::I64, 7), offset = make_tile(Dtype::I64, {1000});
  for (i64 i = 0; i < 1000; ++i) offset.integers[i] = i;
  Tile a = elementwise(OpCode::Rand, {&seed, &offset}, Dtype::F32, true);
  double sum = 0;
  for (double value : a.reals) {
    EXPECT_GE(value, 0);
    EXPECT_LT(value, 1);
    sum += value;
  }
  EXPECT_NEAR(sum / 1000, 0.5, 0.05);
  EXPECT_EQ(a.reals, elementwise(OpCode::Rand, {&seed, &offset}, Dtype::F32, false).reals);
}

struct CastRow {
  Dtype from, to;
  std::vector<double> in, exact, rounded;
};

TEST(Cast, BetweenFloats) {
  const CastRow rows[] = {
      {Dtype::F64, Dtype::F32, {0.1}, {0.1}, {static_cast<float>(0.1)}},
      {Dtype::F32, Dtype::F16, {2049, 1e5, kNan}, {2049, 1e5, kNan}, {2048, kInf, kNan}},
      {Dtype::F32, Dtype::BF16, {257, 259}, {257, 259}, {256, 260}},
  };
  for (const CastRow& row : rows) {
    Tile in = reals(row.in, row.from);
    expect_reals(convert(in, row.to, true), row.exact, name_of(row.to));
    expect_reals(convert(in, row.to, false), row.rounded, name_of(row.to));
  }
}

TEST(Cast, FloatsToIntegersGoTowardsZeroAndWrap) {
  Tile in = reals({1.9, -1.9, 300, -0.5});
  EXPECT_EQ(convert(in, Dtype::I32, true).integers, (std::vector<i64>{1, -1, 300, 0}));
  EXPECT_EQ(convert(in, Dtype::U8, true).integers, (std::vector<i64>{1, 255, 44, 0}));
  EXPECT_EQ(convert(reals({1e30, kNan}), Dtype::I64, true).integers,
            (std::vector<i64>{kMin64, kMin64}));
}

TEST(Cast, ToBoolIsNotZero) {
  EXPECT_EQ(convert(reals({0, -0.0, 0.5, kNan}), Dtype::Bool, true).integers,
            (std::vector<i64>{0, 0, 1, 1}));
  EXPECT_EQ(convert(integers({0, 2, 256}), Dtype::Bool, true).integers,
            (std::vector<i64>{0, 1, 1}));
}

TEST(Cast, IntegersToFloats) {
  expect_reals(convert(integers({16777217}), Dtype::F32, false), {16777216}, "rounded");
  expect_reals(convert(integers({16777217}), Dtype::F32, true), {16777217}, "exact");
}

}  // namespace
}  // namespace peri::interp
