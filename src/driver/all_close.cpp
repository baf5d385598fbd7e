#include "driver/all_close.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

// Loops without branches, compiled for the vector lanes that the machine has: results of hundreds
// of megabytes are compared for each candidate of a search.
#if defined(__x86_64__)
#define VECTOR_CLONES [[gnu::target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")]]
#else
#define VECTOR_CLONES
#endif

namespace peri::driver {

namespace {

constexpr float kLargest = std::numeric_limits<float>::max();

VECTOR_CLONES bool floats_close(const float* values, const float* wanted, i64 size,
                                Allowed allowed) {
  i32 far = 0;
  for (i64 i = 0; i < size; ++i) {
    float magnitude = std::abs(wanted[i]);
    float most =
        allowed.output_unit * magnitude + allowed.unit * std::max(magnitude, allowed.scale);
    float error = std::abs(values[i] - wanted[i]);
    far |= error <= most && error <= kLargest ? 0 : 1;  // NaNs and infinities are close to none
  }
  return far == 0;
}

VECTOR_CLONES void widen_bfloats(const u16* from, float* to, i64 size) {
  for (i64 i = 0; i < size; ++i) to[i] = std::bit_cast<float>(u32{from[i]} << 16);
}

// The exponent is moved to that of f32 by a product, which subnormals survive.
VECTOR_CLONES void widen_halves(const u16* from, float* to, i64 size) {
  for (i64 i = 0; i < size; ++i) {
    u32 bits = from[i];
    float moved = std::bit_cast<float>((bits & 0x7fffU) << 13) * 0x1p112F;
    u32 special = moved >= 0x1p16F ? 0x7f800000U : 0U;  // infinities and NaNs
    to[i] = std::bit_cast<float>(std::bit_cast<u32>(moved) | special | (bits & 0x8000U) << 16);
  }
}

using Floats = std::array<float, kMostCompared>;

// Elements of a tensor as floats: in place, or in `buffer`.
const float* widen(const runtime::Tensor& tensor, i64 begin, i64 size, Floats& buffer) {
  if (tensor.dtype == Dtype::F32) return reinterpret_cast<const float*>(tensor.data()) + begin;
  const u16* from = reinterpret_cast<const u16*>(tensor.data()) + begin;
  if (tensor.dtype == Dtype::BF16) {
    widen_bfloats(from, buffer.data(), size);
  } else {
    widen_halves(from, buffer.data(), size);
  }
  return buffer.data();
}

}  // namespace

bool all_close(const runtime::Tensor& values, const runtime::Tensor& wanted, i64 begin, i64 size,
               Allowed allowed) {
  const i64 element = size_of(values.dtype);
  const auto bytes = static_cast<std::size_t>(size * element);
  if (std::memcmp(values.data() + begin * element, wanted.data() + begin * element, bytes) == 0) {
    return true;
  }
  if (values.dtype == Dtype::F64) return false;
  Floats mine, its;
  return floats_close(widen(values, begin, size, mine), widen(wanted, begin, size, its), size,
                      allowed);
}

}  // namespace peri::driver
