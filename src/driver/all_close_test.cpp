#include "driver/all_close.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "driver/check_result.h"

namespace peri::driver {
namespace {

using runtime::Tensor;

constexpr Dtype kFloats[] = {Dtype::F16, Dtype::BF16, Dtype::F32};
constexpr double kInf = std::numeric_limits<double>::infinity();

Tensor filled(Dtype dtype, i64 size, double value) {
  Tensor tensor = runtime::empty(dtype, {size});
  for (i64 i = 0; i < size; ++i) set_real(tensor, i, value);
  return tensor;
}

bool close(const Tensor& a, const Tensor& b, Allowed allowed) {
  return all_close(a, b, 0, a.numel(), allowed);
}

TEST(AllClose, TakesTheToleranceOfEveryDtype) {
  for (Dtype dtype : kFloats) {
    Tensor a = filled(dtype, 100, 3), b = filled(dtype, 100, 3);
    set_real(a, 99, 3.125);
    EXPECT_TRUE(close(a, b, {0.05F, 0, 0})) << name_of(dtype);
    EXPECT_TRUE(close(a, b, {0, 0.05F, 3})) << name_of(dtype);
    EXPECT_FALSE(close(a, b, {0.01F, 0, 0})) << name_of(dtype);
    EXPECT_FALSE(close(a, b, {0, 0.01F, 3})) << name_of(dtype);
  }
}

TEST(AllClose, SpecialValuesAreCloseOnlyIfEqual) {
  for (Dtype dtype : kFloats) {
    for (double special : {kInf, -kInf, std::nan("")}) {
      Tensor a = filled(dtype, 9, 1), b = filled(dtype, 9, 1);
      set_real(a, 4, special);
      EXPECT_FALSE(close(a, b, {1, 1, 1})) << name_of(dtype) << special;
      EXPECT_FALSE(close(b, a, {1, 1, 1})) << name_of(dtype) << special;
      set_real(b, 4, special);
      EXPECT_TRUE(close(a, b, {0, 0, 0})) << name_of(dtype) << special;
    }
  }
}

// Subnormals too.
TEST(AllClose, WidensEveryHalf) {
  for (u32 bits = 0; bits < 0x7bff; bits += kMostCompared) {
    Tensor a = runtime::empty(Dtype::F16, {kMostCompared + 1});
    Tensor b = runtime::empty(Dtype::F16, {kMostCompared + 1});
    for (i64 i = 0; i <= kMostCompared; ++i) {
      double value = half_to_float(static_cast<u16>(std::min<i64>(bits + i, 0x7bff)));
      set_real(a, i, value);
      set_real(b, i, -value);
    }
    // |value - -value| = 2 |value|: the bounds are exact in f32.
    EXPECT_TRUE(all_close(a, b, 1, kMostCompared, {2, 0, 0})) << bits;
    EXPECT_FALSE(all_close(a, b, 1, kMostCompared, {1.9995F, 0, 0})) << bits;
  }
}

TEST(AllClose, LooksOnlyWhereItIsAsked) {
  Tensor a = filled(Dtype::BF16, 100, 1), b = filled(Dtype::BF16, 100, 1);
  set_real(a, 50, 7);
  EXPECT_TRUE(all_close(a, b, 0, 50, {0, 0, 0}));
  EXPECT_FALSE(all_close(a, b, 50, 1, {0, 0, 0}));
  EXPECT_TRUE(all_close(a, b, 51, 49, {0, 0, 0}));
}

// Many chunks, on all threads: the report is that of one pass in order.
TEST(AllClose, LargeResultsAreComparedAsSmallOnes) {
  constexpr i64 kSize = 300'000;
  runtime::Result got, wanted;
  got.kind = wanted.kind = runtime::Result::Kind::Tensor;
  got.tensor = filled(Dtype::BF16, kSize, 1);
  wanted.tensor = filled(Dtype::BF16, kSize, 1);
  EXPECT_TRUE(compare_results(got, trust(wanted), {.unit = 1e-3}).ok);
  set_real(got.tensor, 1000, 1.5);
  set_real(got.tensor, 200'000, 4);
  set_real(got.tensor, 299'999, 2);
  CheckReport report = compare_results(got, trust(wanted), {.unit = 1e-3});
  EXPECT_FALSE(report.ok);
  EXPECT_EQ(report.mismatches, 3);
  EXPECT_EQ(report.compared, kSize);
  EXPECT_EQ(report.where, "out0[200000]");
  EXPECT_EQ(report.detail, "got 4, expected 1");
}

}  // namespace
}  // namespace peri::driver
