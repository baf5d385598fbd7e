// Conversions between number formats, and random numbers.
#include <cmath>

#include "backends/cpu/vector_math.h"
#include "backends/cpu/vector_math_emit.h"
#include "base/bug.h"
#include "base/philox.h"

namespace peri::cpu {
namespace {

using math::F;
using math::I;
using math::M;

llvm::Type* like(llvm::Value* x, llvm::Type* element) {
  return math::with_lanes_of(x->getType(), element);
}

I narrow(llvm::IRBuilder<>& b, I x) { return {x.c, b.CreateTrunc(x.v, like(x.v, b.getInt16Ty()))}; }
I widen(llvm::IRBuilder<>& b, I x) { return {x.c, b.CreateZExt(x.v, like(x.v, b.getInt32Ty()))}; }

// The conversions below need no feature of the target.
math::Context any_target(llvm::IRBuilder<>& b) {
  static const Target target;
  return {b, target};
}

// Round to nearest even, from the bits. Above f16's normal range: infinity or NaN; below: adding
// 1/2 leaves the multiple of 2^-24, f16's smallest unit, in the low bits.
I f16_bits(F x) {
  const I sign = (bits(x) >> 16) & 0x8000;
  const F a = abs(x);
  const I i = bits(a);
  const I rounded = i + 0xfff + ((i >> 13) & 1) - (i64{112} << 23);
  const I normal = rounded >> 13;
  const I small = bits(a + 0.5) - bits(math::splat(a, 0.5));
  const I large = select(is_nan(x), math::splat(i, 0x7e00), 0x7c00);
  const I magnitude = select(a < 0x1p-14, small, select(a < 0x1p16, normal, large));
  return sign | select(is_nan(x), large, magnitude);
}

// The product moves the exponent from f16's bias to float's and makes denormals normal.
I f32_bits_of_f16(I h) {
  const I magnitude = (h & 0x7fff) << 13;
  const F value = from_bits(magnitude) * 0x1p112;
  const I exponent = select(value >= 0x1p16, math::splat(h, 0x7f800000), 0);
  return bits(value) | exponent | ((h & 0x8000) << 16);
}

}  // namespace

llvm::Value* emit_f32_to_bf16(llvm::IRBuilder<>& b, llvm::Value* f32) {
  math::Context context = any_target(b);
  const F x{&context, f32};
  const I i = bits(x);
  const I rounded = i + 0x7fff + ((i >> 16) & 1);
  const I quiet = i | 0x400000;
  return narrow(b, select(is_nan(x), quiet, rounded) >> 16).v;
}

llvm::Value* emit_bf16_to_f32(llvm::IRBuilder<>& b, llvm::Value* half) {
  math::Context context = any_target(b);
  return from_bits(widen(b, I{&context, half}) << 16).v;
}

llvm::Value* emit_f32_to_f16(llvm::IRBuilder<>& b, const Target& target, llvm::Value* f32) {
  if (target.has_f16c) {
    llvm::Value* half = b.CreateFPTrunc(f32, like(f32, b.getHalfTy()));
    return b.CreateBitCast(half, like(f32, b.getInt16Ty()));
  }
  math::Context context{b, target};
  return narrow(b, f16_bits({&context, f32})).v;
}

llvm::Value* emit_f16_to_f32(llvm::IRBuilder<>& b, const Target& target, llvm::Value* half) {
  if (target.has_f16c) {
    llvm::Value* value = b.CreateBitCast(half, like(half, b.getHalfTy()));
    return b.CreateFPExt(value, like(half, b.getFloatTy()));
  }
  math::Context context{b, target};
  const I h = widen(b, I{&context, half});
  return from_bits(f32_bits_of_f16(h)).v;
}

llvm::Value* emit_float_to_int(llvm::IRBuilder<>& b, llvm::Value* x, llvm::Type* integer) {
  llvm::IRBuilderBase::FastMathFlagGuard guard(b);
  b.clearFastMathFlags();
  math::Context context = any_target(b);
  const unsigned width = integer->getIntegerBitWidth();
  BUG_IF(width > 64, "conversion to an integer of {} bits", width);
  const unsigned converted = width == 64 ? 64 : 32;
  const double limit = std::ldexp(1.0, static_cast<int>(converted) - 1);
  // NaN fails the comparison; so every lane is in range.
  const F value{&context, x};
  const F bounded = select(math::splat(value, -limit) < value, value, -limit);
  const F in_range = select(bounded < limit, bounded, -limit);
  llvm::Value* result = b.CreateFPToSI(in_range.v, like(x, b.getIntNTy(converted)));
  return b.CreateTrunc(result, like(x, integer));
}

namespace {

struct Product {
  I low, high;
};

Product multiply(llvm::IRBuilder<>& b, I x, u32 factor) {
  const I wide{x.c, b.CreateZExt(x.v, like(x.v, b.getInt64Ty()))};
  const I product = wide * factor;
  return {resize(product, 32), resize(product >> 32, 32)};
}

// The low or high half of a seed or offset, in every lane of `type`.
I half_of(math::Context& context, llvm::Value* x, int half, llvm::Type* type) {
  llvm::IRBuilder<>& b = context.b;
  if (x->getType()->getScalarSizeInBits() == 32) {
    if (half == 1) return {&context, llvm::Constant::getNullValue(type)};
  } else {
    x = b.CreateTrunc(half ? b.CreateLShr(x, 32) : x, like(x, b.getInt32Ty()));
  }
  auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(type);
  const bool repeat = vector && !x->getType()->isVectorTy();
  return {&context, repeat ? b.CreateVectorSplat(vector->getNumElements(), x) : x};
}

}  // namespace

llvm::Value* emit_philox(llvm::IRBuilder<>& b, llvm::Value* seed, llvm::Value* offset) {
  math::Context context = any_target(b);
  llvm::Type* type = like(offset, b.getInt32Ty());
  I c0 = half_of(context, offset, 0, type), c1 = half_of(context, offset, 1, type);
  I k0 = half_of(context, seed, 0, type), k1 = half_of(context, seed, 1, type);
  I c2 = splat(c0, 0), c3 = c2;
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const Product p0 = multiply(b, c0, kPhiloxMul0), p1 = multiply(b, c2, kPhiloxMul1);
    c0 = p1.high ^ c1 ^ k0;
    c1 = p1.low;
    c2 = p0.high ^ c3 ^ k1;
    c3 = p0.low;
    k0 = k0 + static_cast<i32>(kPhiloxKey0);
    k1 = k1 + static_cast<i32>(kPhiloxKey1);
  }
  const I folded = select(c0 < 0, c0 ^ -1, c0);
  const F whole{&context, b.CreateSIToFP(folded.v, like(offset, b.getFloatTy()))};
  return (whole * kPhiloxScale).v;
}

}  // namespace peri::cpu
