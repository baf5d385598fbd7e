#include "types/dtype.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace peri {
namespace {

using enum Dtype;

Dtype at(i64 i) { return static_cast<Dtype>(i); }

TEST(Dtype, NamesRoundTrip) {
  for (i64 i = 0; i < kDtypeCount; ++i) {
    EXPECT_EQ(parse_dtype(name_of(at(i))), at(i));
    EXPECT_EQ(parse_dtype(torch_name_of(at(i))), at(i));
  }
  EXPECT_EQ(parse_dtype("float"), F32);
  EXPECT_EQ(parse_dtype("half"), F16);
  EXPECT_EQ(parse_dtype("double"), F64);
  EXPECT_EQ(parse_dtype("int"), I32);
  EXPECT_EQ(parse_dtype("long"), I64);
  EXPECT_EQ(parse_dtype("short"), I16);
  EXPECT_FALSE(parse_dtype(""));
  EXPECT_FALSE(parse_dtype("float33"));
}

TEST(Dtype, SizesAndCategories) {
  EXPECT_EQ(size_of(Bool), 1);
  EXPECT_EQ(size_of(BF16), 2);
  EXPECT_EQ(size_of(I64), 8);
  EXPECT_TRUE(is_integer(U8));
  EXPECT_FALSE(is_integer(Bool));
  EXPECT_TRUE(is_float(BF16));
  EXPECT_TRUE(is_half(F16));
  EXPECT_EQ(compute_dtype(BF16), F32);
  EXPECT_EQ(compute_dtype(I8), I8);
}

TEST(Dtype, EpsilonIsHalfAnUlpOfOne) {
  EXPECT_EQ(epsilon_of(F32), std::numeric_limits<float>::epsilon() / 2);
  EXPECT_EQ(epsilon_of(F64), std::numeric_limits<double>::epsilon() / 2);
  EXPECT_EQ(epsilon_of(F16), half_to_float(0x3c01) / 2 - 0.5);
  EXPECT_EQ(epsilon_of(BF16), bfloat_to_float(0x3f81) / 2 - 0.5);
  EXPECT_EQ(epsilon_of(I32), 0);
}

// torch.promote_types, row and column in the order of the enum.
TEST(Dtype, PromotesAsTorch) {
  constexpr Dtype kTable[kDtypeCount][kDtypeCount] = {
      {Bool, U8, I8, I16, I32, I64, F16, BF16, F32, F64},
      {U8, U8, I16, I16, I32, I64, F16, BF16, F32, F64},
      {I8, I16, I8, I16, I32, I64, F16, BF16, F32, F64},
      {I16, I16, I16, I16, I32, I64, F16, BF16, F32, F64},
      {I32, I32, I32, I32, I32, I64, F16, BF16, F32, F64},
      {I64, I64, I64, I64, I64, I64, F16, BF16, F32, F64},
      {F16, F16, F16, F16, F16, F16, F16, F32, F32, F64},
      {BF16, BF16, BF16, BF16, BF16, BF16, F32, BF16, F32, F64},
      {F32, F32, F32, F32, F32, F32, F32, F32, F32, F64},
      {F64, F64, F64, F64, F64, F64, F64, F64, F64, F64},
  };
  for (i64 a = 0; a < kDtypeCount; ++a) {
    for (i64 b = 0; b < kDtypeCount; ++b) {
      EXPECT_EQ(promote(at(a), at(b)), kTable[a][b]) << name_of(at(a)) << " " << name_of(at(b));
    }
  }
}

TEST(Dtype, WeakScalarsOnlyRaiseTheCategory) {
  EXPECT_EQ(promote_weak(F16, F64), F16);
  EXPECT_EQ(promote_weak(I8, I64), I8);
  EXPECT_EQ(promote_weak(U8, Bool), U8);
  EXPECT_EQ(promote_weak(I64, F64), F32);
  EXPECT_EQ(promote_weak(Bool, I64), I64);
  EXPECT_EQ(promote_weak(Bool, F64), F32);
  EXPECT_EQ(promote_weak(Bool, Bool), Bool);
}

TEST(Dtype, HalvesSurviveTheRoundTrip) {
  for (u32 bits = 0; bits < 0x10000; ++bits) {
    const u16 half = static_cast<u16>(bits);
    if (std::isnan(half_to_float(half))) {
      EXPECT_EQ(float_to_half(half_to_float(half)), half | 0x200);
    } else {
      EXPECT_EQ(float_to_half(half_to_float(half)), half);
    }
    if (std::isnan(bfloat_to_float(half))) {
      EXPECT_EQ(float_to_bfloat(bfloat_to_float(half)), half | 0x40);
    } else {
      EXPECT_EQ(float_to_bfloat(bfloat_to_float(half)), half);
    }
  }
}

TEST(Dtype, HalfValues) {
  EXPECT_EQ(half_to_float(0x3c00), 1.0F);
  EXPECT_EQ(half_to_float(0xc000), -2.0F);
  EXPECT_EQ(half_to_float(0x0001), 0x1p-24F);
  EXPECT_EQ(half_to_float(0x7bff), 65504.0F);
  EXPECT_EQ(half_to_float(0xfc00), -std::numeric_limits<float>::infinity());
  EXPECT_EQ(float_to_half(65519.99F), 0x7bff);
  EXPECT_EQ(float_to_half(65520.0F), 0x7c00);
  EXPECT_EQ(float_to_half(1e30F), 0x7c00);
  EXPECT_EQ(float_to_half(0x1p-25F), 0);  // a tie goes to even
  EXPECT_EQ(float_to_half(0x1.8p-24F), 2);
  EXPECT_EQ(float_to_half(std::bit_cast<float>(0x33000001U)), 1);
  EXPECT_EQ(float_to_half(-0.0F), 0x8000);
}

// Halfway between neighbours goes to the even one, a little more or less to the nearer one.
TEST(Dtype, RoundsToNearestEven) {
  for (u32 bits = 0; bits < 0x7c00; ++bits) {
    const float low = half_to_float(static_cast<u16>(bits));
    const float high = bits == 0x7bff ? 65536.0F : half_to_float(static_cast<u16>(bits + 1));
    const float middle = (low + high) / 2;
    EXPECT_EQ(float_to_half(middle), (bits + 1) & ~1U);
    EXPECT_EQ(float_to_half(std::nextafter(middle, low)), bits);
    EXPECT_EQ(float_to_half(std::nextafter(middle, high)), bits + 1);
  }
  EXPECT_EQ(float_to_bfloat(std::bit_cast<float>(0x3f808000U)), 0x3f80);
  EXPECT_EQ(float_to_bfloat(std::bit_cast<float>(0x3f818000U)), 0x3f82);
  EXPECT_EQ(float_to_bfloat(std::bit_cast<float>(0x3f808001U)), 0x3f81);
  EXPECT_EQ(float_to_bfloat(std::numeric_limits<float>::max()), 0x7f80);
}

}  // namespace
}  // namespace peri
