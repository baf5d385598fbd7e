#include "backends/cpu/jit_symbols.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/ids.h"

namespace peri::cpu {
namespace {

// 16-bit floats travel in vector registers, as _Float16 does in the C ABI; bf16 has the same place.
using Half = _Float16;

u16 bits_of(Half value) { return std::bit_cast<u16>(value); }
Half half_of(u16 bits) { return std::bit_cast<Half>(bits); }

// Written with integers only: a conversion instruction or builtin might call this very function.
float extend_half(Half value) {
  const u32 bits = bits_of(value);
  const u32 sign = (bits & 0x8000u) << 16;
  const u32 exponent = (bits >> 10) & 0x1f;
  const u32 mantissa = bits & 0x3ff;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0) {
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  }
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
  return std::bit_cast<float>(sign | std::bit_cast<u32>(magnitude));
}

// Rounds the magnitude bits of a double to a 16-bit format of `mantissa_bits`, nearest even.
u16 round_to_16(double value, int mantissa_bits, int max_exponent) {
  const u64 bits = std::bit_cast<u64>(value);
  const u16 sign = static_cast<u16>((bits >> 48) & 0x8000);
  const int width = mantissa_bits;
  const u16 infinity = static_cast<u16>(((2 * max_exponent + 1) << width));
  if (std::isnan(value)) return static_cast<u16>(sign | infinity | (1 << (width - 1)));
  const double magnitude = std::fabs(value);
  int exponent = 0;
  std::frexp(magnitude, &exponent);
  if (magnitude == 0) return sign;
  if (std::isinf(value) || exponent - 1 > max_exponent) return sign | infinity;
  // The unit in the last place; below the normal range it stays that of the smallest normal.
  const int ulp = std::max(exponent - 1, 1 - max_exponent) - width;
  const auto units = static_cast<u64>(std::nearbyint(std::ldexp(magnitude, -ulp)));
  const u64 biased = static_cast<u64>(ulp + width + max_exponent);
  const u64 encoded = units + ((biased - 1) << width);
  return static_cast<u16>(sign | (encoded < infinity ? encoded : infinity));
}

Half truncate_float_to_half(float value) { return half_of(round_to_16(value, 10, 15)); }
Half truncate_double_to_half(double value) { return half_of(round_to_16(value, 10, 15)); }
Half truncate_float_to_bfloat(float value) { return half_of(round_to_16(value, 7, 127)); }
Half truncate_double_to_bfloat(double value) { return half_of(round_to_16(value, 7, 127)); }

using F1 = float (*)(float);
using F2 = float (*)(float, float);
using D1 = double (*)(double);
using D2 = double (*)(double, double);

template <class F>
void* address(F function) {
  return reinterpret_cast<void*>(function);
}

const RuntimeSymbol kSymbols[] = {
#define UNARY(name) \
  {#name, address(static_cast<D1>(::name))}, {#name "f", address(static_cast<F1>(::name##f))},
#define BINARY(name) \
  {#name, address(static_cast<D2>(::name))}, {#name "f", address(static_cast<F2>(::name##f))},
#include "backends/cpu/jit_symbols.def"
    {"fma", address(static_cast<double (*)(double, double, double)>(::fma))},
    {"fmaf", address(static_cast<float (*)(float, float, float)>(::fmaf))},
    {"memcpy", address(::memcpy)},
    {"memmove", address(::memmove)},
    {"memset", address(::memset)},
    {"__extendhfsf2", address(extend_half)},
    {"__truncsfhf2", address(truncate_float_to_half)},
    {"__truncdfhf2", address(truncate_double_to_half)},
    {"__truncsfbf2", address(truncate_float_to_bfloat)},
    {"__truncdfbf2", address(truncate_double_to_bfloat)},
};

}  // namespace

std::span<const RuntimeSymbol> runtime_symbols() { return kSymbols; }

}  // namespace peri::cpu
