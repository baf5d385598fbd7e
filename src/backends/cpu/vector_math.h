// Elementary functions, conversions and random numbers as inline vector code.
//
// Values are float or double scalars or fixed vectors whose width is the target's native width or a
// small power of two times it (128 bits on an SSE or NEON target, 256 on AVX2, 512 on AVX-512).
// Every function emits straight-line code into the builder's current block and leaves the builder
// in that block, so it may stand in any loop. Fast-math flags of the builder are ignored.
//
// float: inline code. Sin, Cos, Tan and Fmod also call a small helper function that they add to the
// module; it returns at once unless a lane is out of the fast range. double: inline where the
// hardware has the operation, else a call of libm per lane, which the JIT must be able to resolve.
// NaN, infinities, -0 and denormals behave as in torch (IEEE 754, no flushing).
#pragma once

#include <llvm/IR/IRBuilder.h>

#include "backends/cpu/target.h"
#include "base/ids.h"

namespace peri::cpu {

// Exp, Exp2, Expm1, Log, Log2, Log10, Log1p, Sin, Cos, Tan, Sinh, Cosh, Tanh, Asin, Acos, Atan,
// Sigmoid, Erf, Erfc, Sqrt, Rsqrt, Reciprocal, Floor, Ceil, Round (halves to even), Trunc; of two
// operands Pow, Atan2 (y first), Fmod (sign of the first), Remainder (sign of the second) and
// FloorDiv.
enum class MathFn : u8 {
#define MATH1(name, f32, f64, libm, cost) name,
#define MATH2(name, f32, f64, libm, cost) name,
#include "backends/cpu/vector_math.def"
};

// Largest error in float, in units of the last place: every one of the 2^32 operands compared with
// double (Sin, Cos, Tan beyond 2^24: one in 16; functions of two operands: 4 million pairs);
// x86-64-v4 and where it differs much v2, which has no fused multiply-add:
//   Exp 0.92 (1.20)  Exp2 0.92 (1.12)  Expm1 1.54 (1.66)  Log 0.95 (1.07)  Log2 1.15 (1.56)
//   Log10 1.25 (1.48)  Log1p 1.55 (1.73)  Sin, Cos 1.55  Tan 1.59  Sinh 1.62 (1.69)
//   Cosh 1.36 (1.61)  Tanh 1.59  Asin 1.36  Acos 1.09  Atan 1.37 (1.53)  Sigmoid 1.48 (1.66)
//   Erf 1.18 (1.32)  Erfc 0.51  Rsqrt 1.05 (1.50)  Pow 0.51  Atan2 1.49
//   the others are correctly rounded
// In double libm's error holds, below 2.
//
// x (and y for the functions of two operands): equal types. Returns that type.
llvm::Value* emit_math(llvm::IRBuilder<>& b, const Target& target, MathFn fn, llvm::Value* x,
                       llvm::Value* y = nullptr);

// Time of one native vector of float in vector additions.
i64 math_cost(MathFn fn);

// The larger or smaller operand; NaN if either is NaN.
llvm::Value* emit_max(llvm::IRBuilder<>& b, const Target& target, llvm::Value* x, llvm::Value* y);
llvm::Value* emit_min(llvm::IRBuilder<>& b, const Target& target, llvm::Value* x, llvm::Value* y);

// 16-bit floats are carried as their bits, i16. To f16 and bf16 rounds to nearest even, keeps
// denormals and gives a quiet NaN for NaN.
llvm::Value* emit_f32_to_bf16(llvm::IRBuilder<>& b, llvm::Value* f32);
llvm::Value* emit_bf16_to_f32(llvm::IRBuilder<>& b, llvm::Value* bits);
llvm::Value* emit_f32_to_f16(llvm::IRBuilder<>& b, const Target& target, llvm::Value* f32);
llvm::Value* emit_f16_to_f32(llvm::IRBuilder<>& b, const Target& target, llvm::Value* bits);

// Float or double to an integer type of 8 to 64 bits, towards zero, never poison: what does not fit
// i32 (i64 for a 64-bit `integer`), and NaN, becomes the smallest value of that type, as torch has
// it on x86. Narrower types take the low bits of the i32. `integer` is the scalar type.
llvm::Value* emit_float_to_int(llvm::IRBuilder<>& b, llvm::Value* x, llvm::Type* integer);

// philox_uniform (base/philox.h) of seed (i64 scalar, or vector of offset's width) and offset (i64
// or i32, zero-extended; scalar or vector): float of offset's width.
llvm::Value* emit_philox(llvm::IRBuilder<>& b, llvm::Value* seed, llvm::Value* offset);

}  // namespace peri::cpu
