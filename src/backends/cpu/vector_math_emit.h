// Formula notation for the emitters of vector_math*.cpp: values that know their builder, so that a
// formula reads as one.
//
//   F square_plus_one(F x) { return mad(x, x, 1.0); }
//
// F is a vector of float or double, I of integers, M of i1. A number beside an F, I or M stands for
// a vector of that number, rounded to its type.
#pragma once

#include <initializer_list>

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Intrinsics.h>

#include "backends/cpu/target.h"

namespace peri::cpu::math {

struct Context {
  llvm::IRBuilder<>& b;
  const Target& target;
};

template <int kKind>
struct Value {
  Context* c;
  llvm::Value* v;

  llvm::Type* type() const { return v->getType(); }
  llvm::IRBuilder<>& b() const { return c->b; }
  const Target& target() const { return c->target; }
};
using F = Value<0>;
using I = Value<1>;
using M = Value<2>;

// The same number of lanes of another element type.
inline llvm::Type* with_lanes_of(llvm::Type* type, llvm::Type* element) {
  auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(type);
  return vector ? llvm::FixedVectorType::get(element, vector->getNumElements()) : element;
}

inline F splat(F like, double x) { return {like.c, llvm::ConstantFP::get(like.type(), x)}; }
inline I splat(I like, i64 x) {
  return {like.c, llvm::ConstantInt::get(like.type(), static_cast<u64>(x), true)};
}

// Defines an operator on two values, and on a value and a number on either side.
#define PERI_OPERATOR(op, T, N, method)                                    \
  inline T operator op(T x, T y) { return {x.c, x.b().method(x.v, y.v)}; } \
  inline T operator op(T x, N y) { return x op splat(x, y); }              \
  inline T operator op(N x, T y) { return splat(y, x) op y; }
PERI_OPERATOR(+, F, double, CreateFAdd)
PERI_OPERATOR(-, F, double, CreateFSub)
PERI_OPERATOR(*, F, double, CreateFMul)
PERI_OPERATOR(/, F, double, CreateFDiv)
PERI_OPERATOR(+, I, i64, CreateAdd)
PERI_OPERATOR(-, I, i64, CreateSub)
PERI_OPERATOR(*, I, i64, CreateMul)
PERI_OPERATOR(&, I, i64, CreateAnd)
PERI_OPERATOR(|, I, i64, CreateOr)
PERI_OPERATOR(^, I, i64, CreateXor)
PERI_OPERATOR(<<, I, i64, CreateShl)
PERI_OPERATOR(>>, I, i64, CreateLShr)
#undef PERI_OPERATOR

// Comparisons are false where an operand is NaN, != is true.
#define PERI_COMPARE(op, method)                                           \
  inline M operator op(F x, F y) { return {x.c, x.b().method(x.v, y.v)}; } \
  inline M operator op(F x, double y) { return x op splat(x, y); }
PERI_COMPARE(<, CreateFCmpOLT)
PERI_COMPARE(<=, CreateFCmpOLE)
PERI_COMPARE(>, CreateFCmpOGT)
PERI_COMPARE(>=, CreateFCmpOGE)
PERI_COMPARE(==, CreateFCmpOEQ)
PERI_COMPARE(!=, CreateFCmpUNE)
#undef PERI_COMPARE

inline M operator&(M x, M y) { return {x.c, x.b().CreateAnd(x.v, y.v)}; }
inline M operator|(M x, M y) { return {x.c, x.b().CreateOr(x.v, y.v)}; }
inline M operator!(M x) { return {x.c, x.b().CreateNot(x.v)}; }
inline M operator==(I x, i64 y) { return {x.c, x.b().CreateICmpEQ(x.v, splat(x, y).v)}; }
inline M operator!=(I x, i64 y) { return {x.c, x.b().CreateICmpNE(x.v, splat(x, y).v)}; }
inline M operator<(I x, i64 y) { return {x.c, x.b().CreateICmpSLT(x.v, splat(x, y).v)}; }
inline M operator>(I x, i64 y) { return {x.c, x.b().CreateICmpSGT(x.v, splat(x, y).v)}; }
inline M is_nan(F x) { return {x.c, x.b().CreateFCmpUNO(x.v, x.v)}; }
inline M either_nan(F x, F y) { return {x.c, x.b().CreateFCmpUNO(x.v, y.v)}; }

template <int kKind>
Value<kKind> select(M m, Value<kKind> x, Value<kKind> y) {
  return {x.c, x.b().CreateSelect(m.v, x.v, y.v)};
}
inline F select(M m, F x, double y) { return select(m, x, splat(x, y)); }
inline F select(M m, double x, F y) { return select(m, splat(y, x), y); }
inline I select(M m, I x, i64 y) { return select(m, x, splat(x, y)); }
inline I select(M m, i64 x, I y) { return select(m, splat(y, x), y); }

inline F unary(llvm::Intrinsic::ID id, F x) { return {x.c, x.b().CreateUnaryIntrinsic(id, x.v)}; }
inline F floor(F x) { return unary(llvm::Intrinsic::floor, x); }
inline F ceil(F x) { return unary(llvm::Intrinsic::ceil, x); }
inline F round_to_even(F x) { return unary(llvm::Intrinsic::roundeven, x); }
inline F trunc(F x) { return unary(llvm::Intrinsic::trunc, x); }
inline F sqrt(F x) { return unary(llvm::Intrinsic::sqrt, x); }
inline F abs(F x) { return unary(llvm::Intrinsic::fabs, x); }
inline F operator-(F x) { return {x.c, x.b().CreateFNeg(x.v)}; }
inline F copysign(F magnitude, F sign) {
  return {sign.c, sign.b().CreateBinaryIntrinsic(llvm::Intrinsic::copysign, magnitude.v, sign.v)};
}

// x * y + z, fused where that is one instruction.
inline F mad(F x, F y, F z) {
  return {x.c, x.b().CreateIntrinsic(llvm::Intrinsic::fmuladd, {x.type()}, {x.v, y.v, z.v})};
}
inline F mad(F x, F y, double z) { return mad(x, y, splat(x, z)); }
inline F mad(F x, double y, F z) { return mad(x, splat(x, y), z); }
inline F mad(F x, double y, double z) { return mad(x, splat(x, y), splat(x, z)); }

// x * y + z rounded once; the target must have it as an instruction.
inline F fused(F x, F y, F z) {
  return {x.c, x.b().CreateIntrinsic(llvm::Intrinsic::fma, {x.type()}, {x.v, y.v, z.v})};
}
inline F fused(F x, double y, F z) { return fused(x, splat(x, y), z); }

// One instruction each on x86; where x is NaN the result is x.
inline F at_least(double low, F x) { return select(splat(x, low) > x, low, x); }
inline F at_most(double high, F x) { return select(splat(x, high) < x, high, x); }

// Horner's scheme, highest coefficient first.
inline F polynomial(F x, std::initializer_list<double> coefficients) {
  const double* next = coefficients.begin();
  F sum = splat(x, *next++);
  while (next != coefficients.end()) sum = mad(sum, x, *next++);
  return sum;
}

// Casts between types of the same number of lanes.
inline I bits(F x) {
  auto* element = x.b().getIntNTy(x.type()->getScalarSizeInBits());
  return {x.c, x.b().CreateBitCast(x.v, with_lanes_of(x.type(), element))};
}
inline F from_bits(I x) {
  auto* element = x.type()->getScalarSizeInBits() == 64 ? x.b().getDoubleTy() : x.b().getFloatTy();
  return {x.c, x.b().CreateBitCast(x.v, with_lanes_of(x.type(), element))};
}
inline F to_f64(F x) {
  return {x.c, x.b().CreateFPExt(x.v, with_lanes_of(x.type(), x.b().getDoubleTy()))};
}
inline F to_f32(F x) {
  return {x.c, x.b().CreateFPTrunc(x.v, with_lanes_of(x.type(), x.b().getFloatTy()))};
}
inline F to_float(I x, F like) { return {x.c, x.b().CreateSIToFP(x.v, like.type())}; }
inline I resize(I x, unsigned bits) {
  return {x.c, x.b().CreateSExtOrTrunc(x.v, with_lanes_of(x.type(), x.b().getIntNTy(bits)))};
}

// Adding this to |x| < 2^22 (2^51) leaves round(x), to nearest even, in the low bits of the sum.
inline constexpr double kRounder32 = 0x1.8p23;
inline constexpr double kRounder64 = 0x1.8p52;

// The functions; float in and out. Domains and special cases are complete.
F exp_f32(F x);
F exp2_f32(F x);
F expm1_f32(F x);
F sigmoid_f32(F x);
F tanh_f32(F x);
F sinh_f32(F x);
F cosh_f32(F x);
F erf_f32(F x);
F erfc_f32(F x);
F log_f32(F x);
F log2_f32(F x);
F log10_f32(F x);
F log1p_f32(F x);
F pow_f32(F x, F y);
F sin_f32(F x);
F cos_f32(F x);
F tan_f32(F x);
F asin_f32(F x);
F acos_f32(F x);
F atan_f32(F x);
F atan2_f32(F y, F x);
F rsqrt_f32(F x);
F fmod_f32(F x, F y);

// 2^x for double x in [-1022, 1023] or NaN, relative error below 2^-33; returns double.
F exp2_f64_short(F x);

// AVX-512 instructions; has_avx512_for() tells whether they exist for x's type.
bool has_avx512_for(F x);
F scalef(F x, F n);     // x * 2^floor(n), rounded once
F rsqrt_estimate(F x);  // 1 / sqrt(x), relative error 2^-14

// An angle r + k pi / 2; only the low two bits of k count.
struct Reduced {
  F r;
  I k;
};
// Angles above this go through reduce_large_angle().
inline constexpr double kMaxFastAngle = 131072;
// Replaces r and k in lanes where |x| > kMaxFastAngle or x is not finite (there r becomes NaN). A
// call, which returns at once if there is no such lane.
Reduced reduce_large_angle(F x, Reduced fast);
// Subtracts multiples of y (double) until x / y < 2^28 in every lane; both positive, or not finite.
// A call, which returns at once if that holds.
F reduce_large_quotient(F x, F y);

}  // namespace peri::cpu::math
