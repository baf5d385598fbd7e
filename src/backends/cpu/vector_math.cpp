#include "backends/cpu/vector_math.h"

#include <llvm/IR/Module.h>

#include "backends/cpu/vector_math_emit.h"
#include "base/bug.h"

namespace peri::cpu {
namespace math {
namespace {

// Scalars of float are computed as lane 0 of a vector this wide; registers hold no less.
constexpr unsigned kScalarLanes = 4;

// libm's double function in every lane.
llvm::Value* call_libm(llvm::IRBuilder<>& b, const char* name, llvm::ArrayRef<llvm::Value*> x) {
  llvm::Type* type = x[0]->getType();
  const llvm::SmallVector<llvm::Type*> operands(x.size(), b.getDoubleTy());
  llvm::Module& module = *b.GetInsertBlock()->getModule();
  auto callee =
      module.getOrInsertFunction(name, llvm::FunctionType::get(b.getDoubleTy(), operands, false));
  auto* function = llvm::cast<llvm::Function>(callee.getCallee());
  function->setDoesNotThrow();
  function->setDoesNotAccessMemory();
  auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(type);
  if (!vector) return b.CreateCall(callee, x);
  llvm::Value* result = llvm::PoisonValue::get(type);
  for (unsigned lane = 0; lane < vector->getNumElements(); ++lane) {
    llvm::SmallVector<llvm::Value*> arguments;
    for (llvm::Value* v : x) arguments.push_back(b.CreateExtractElement(v, lane));
    result = b.CreateInsertElement(result, b.CreateCall(callee, arguments), lane);
  }
  return result;
}

F reciprocal(F x) { return 1.0 / x; }
F rsqrt(F x) { return 1.0 / sqrt(x); }

F sigmoid_f64(F x) {
  const F e{x.c, call_libm(x.b(), "exp", (-x).v)};
  return 1.0 / (1.0 + e);
}

F fmod_f64(F x, F y) { return {x.c, call_libm(x.b(), "fmod", {x.v, y.v})}; }

// The remainder of the quotient rounded towards minus infinity, from that rounded towards zero.
F remainder(F x, F y) {
  const F rest = x.type()->getScalarType()->isDoubleTy() ? fmod_f64(x, y) : fmod_f32(x, y);
  const M is_other_sign = (bits(rest) ^ bits(y)) < 0;
  return select((rest != 0.0) & is_other_sign, rest + y, rest);
}

// torch's: exact for quotients that T holds, NaN where the remainder is. A quotient of 0 has the
// sign of x / y.
F floor_divide(F x, F y) {
  const F rest = x.type()->getScalarType()->isDoubleTy() ? fmod_f64(x, y) : fmod_f32(x, y);
  const M is_other_sign = (rest != 0.0) & ((bits(rest) ^ bits(y)) < 0);
  const F near = (x - rest) / y;
  const F below = select(is_other_sign, near - 1.0, near);
  const F whole = floor(below);
  const F nearest = select(below - whole > 0.5, whole + 1.0, whole);
  const F quotient = x / y;
  const F result = select(below != 0.0, nearest, copysign(nearest, quotient));
  return select(y != 0.0, result, quotient);
}

using Unary = F (*)(F);
using Binary = F (*)(F, F);

struct Row {
  Unary unary32, unary64;
  Binary binary32, binary64;
  const char* libm;
  i64 cost;
};

constexpr Row kRows[] = {
#define MATH1(name, f32, f64, libm, cost) {f32, f64, nullptr, nullptr, libm, cost},
#define MATH2(name, f32, f64, libm, cost) {nullptr, nullptr, f32, f64, libm, cost},
#include "backends/cpu/vector_math.def"
};

const Row& row(MathFn fn) { return kRows[static_cast<size_t>(fn)]; }

llvm::Value* widen_scalar(llvm::IRBuilder<>& b, llvm::Value* x) {
  auto* type = llvm::FixedVectorType::get(x->getType(), kScalarLanes);
  return b.CreateInsertElement(llvm::ConstantAggregateZero::get(type), x, u64{0});
}

llvm::Value* emit_vector(Context& context, const Row& row, llvm::Value* x, llvm::Value* y) {
  const bool is_double = x->getType()->getScalarType()->isDoubleTy();
  const Unary unary = is_double ? row.unary64 : row.unary32;
  const Binary binary = is_double ? row.binary64 : row.binary32;
  if (y && binary) return binary({&context, x}, {&context, y}).v;
  if (!y && unary) return unary({&context, x}).v;
  return y ? call_libm(context.b, row.libm, {x, y}) : call_libm(context.b, row.libm, x);
}

}  // namespace

F rsqrt_f32(F x) {
  if (!has_avx512_for(x)) return rsqrt(x);
  // One Newton step: y + y / 2 (1 - x y^2). At 0 and infinity the estimate is the result, and the
  // error term NaN.
  const F y = rsqrt_estimate(x);
  const F error = mad(-(x * y), y, 1.0);
  return select(is_nan(error), y, mad(y * 0.5, error, y));
}

// In double the quotient's integer part and its product with y are exact while below 2^28.
F fmod_f32(F x, F y) {
  const F b = abs(to_f64(y)), a = reduce_large_quotient(abs(to_f64(x)), b);
  const F rest = a - trunc(a / b) * b;
  const F result = select(rest < 0.0, rest + b, rest);  // the quotient was rounded up
  return copysign(to_f32(select(a < b, a, result)), x);
}

}  // namespace math

llvm::Value* emit_math(llvm::IRBuilder<>& b, const Target& target, MathFn fn, llvm::Value* x,
                       llvm::Value* y) {
  const math::Row& row = math::row(fn);
  llvm::Type* type = x->getType();
  const bool is_double = type->getScalarType()->isDoubleTy();
  BUG_IF(!is_double && !type->getScalarType()->isFloatTy(), "math on neither float nor double");
  BUG_IF((y != nullptr) != (row.binary32 != nullptr), "math function with {} operands", y ? 2 : 1);
  llvm::IRBuilderBase::FastMathFlagGuard guard(b);
  b.clearFastMathFlags();
  math::Context context{b, target};
  const bool is_direct = row.unary32 != nullptr && row.unary32 == row.unary64;  // one instruction
  if (is_double || is_direct || type->isVectorTy()) return math::emit_vector(context, row, x, y);
  llvm::Value* wide = math::emit_vector(context, row, math::widen_scalar(b, x),
                                        y ? math::widen_scalar(b, y) : nullptr);
  return b.CreateExtractElement(wide, u64{0});
}

i64 math_cost(MathFn fn) { return math::row(fn).cost; }

namespace {

// `beats` of x and y, or x where x is NaN; the comparison picks y where y is NaN.
llvm::Value* extreme(llvm::IRBuilder<>& b, llvm::CmpInst::Predicate beats, llvm::Value* x,
                     llvm::Value* y) {
  llvm::Value* best = b.CreateSelect(b.CreateFCmp(beats, x, y), x, y);
  return b.CreateSelect(b.CreateFCmpUNO(x, x), x, best);
}

}  // namespace

llvm::Value* emit_max(llvm::IRBuilder<>& b, const Target& target, llvm::Value* x, llvm::Value* y) {
  llvm::IRBuilderBase::FastMathFlagGuard guard(b);
  b.clearFastMathFlags();
  if (!target.is_x86) return b.CreateMaximum(x, y);
  return extreme(b, llvm::CmpInst::FCMP_OGT, x, y);
}

llvm::Value* emit_min(llvm::IRBuilder<>& b, const Target& target, llvm::Value* x, llvm::Value* y) {
  llvm::IRBuilderBase::FastMathFlagGuard guard(b);
  b.clearFastMathFlags();
  if (!target.is_x86) return b.CreateMinimum(x, y);
  return extreme(b, llvm::CmpInst::FCMP_OLT, x, y);
}

}  // namespace peri::cpu
