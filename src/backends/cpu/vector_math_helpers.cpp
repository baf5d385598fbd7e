// Out-of-line parts of the vector functions: what only rare operands need.
//
// A helper is a private function of the module, made when first used. It tests all lanes and
// returns its operand unchanged unless one needs it, so a caller's loop has a call but no branch.
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>
#include <string>

#include <llvm/IR/Module.h>

#include "backends/cpu/vector_math_emit.h"

namespace peri::cpu::math {
namespace {

// 2 / pi in binary: 256 bits behind the point, highest word first.
constexpr std::array<u64, 4> kTwoOverPi = {0xa2f9836e4e441529, 0xfc2757d1f534ddc0,
                                           0xdb6295993c439041, 0xfe5163abdebbc561};
constexpr int kTableFirstExponent = 128;  // of a float's exponent field
constexpr int kTableSize = 128;
constexpr double kHalfPi = 1.57079632679489661923;
constexpr double kInlineQuotient = 0x1p28;

// Bits [first, first + count) of 2 / pi, where bit j has the weight 2^(shift - j).
double two_over_pi_bits(int first, int count, int shift) {
  double sum = 0;
  for (int j = first; j < first + count; ++j) {
    const u64 bit = kTwoOverPi[static_cast<size_t>((j - 1) / 64)] >> (63 - (j - 1) % 64) & 1;
    sum += static_cast<double>(bit) * std::ldexp(1.0, shift - j);
  }
  return sum;
}

// For every exponent e of float: 2^(e - 150) * 2 / pi modulo 4 in two doubles. The first has 29
// bits, so that its product with a 24-bit integer is exact.
llvm::GlobalVariable* quarter_turn_table(llvm::Module& module) {
  constexpr const char* kName = "peri.quarter_turns";
  if (auto* known = module.getNamedGlobal(kName)) return known;
  std::array<double, 2 * kTableSize> table;
  for (int i = 0; i < kTableSize; ++i) {
    const int shift = kTableFirstExponent + i - 150;
    const int first = std::max(shift - 1, 1);
    table[2 * i] = two_over_pi_bits(first, 29, shift);
    table[2 * i + 1] = two_over_pi_bits(first + 29, 53, shift);
  }
  table[2 * kTableSize - 2] = std::numeric_limits<double>::quiet_NaN();  // infinity and NaN
  auto* data = llvm::ConstantDataArray::get(module.getContext(), table);
  return new llvm::GlobalVariable(module, data->getType(), true, llvm::GlobalValue::PrivateLinkage,
                                  data, kName);
}

unsigned lanes_of(F x) { return llvm::cast<llvm::FixedVectorType>(x.type())->getNumElements(); }

// The helper of that name, and whether its body must still be written.
std::pair<llvm::Function*, bool> helper(Context& context, const std::string& name,
                                        llvm::Type* result, llvm::ArrayRef<llvm::Type*> operands) {
  llvm::Function* caller = context.b.GetInsertBlock()->getParent();
  llvm::Module& module = *caller->getParent();
  // The call makes live vectors spill; those that cross a cache line wait for the store.
  if (!caller->hasFnAttribute(llvm::Attribute::StackAlignment)) {
    const llvm::Align align(static_cast<u64>(context.target.vector_bytes));
    caller->addFnAttr(llvm::Attribute::getWithStackAlignment(module.getContext(), align));
  }
  if (auto* known = module.getFunction(name)) return {known, false};
  auto* function = llvm::Function::Create(llvm::FunctionType::get(result, operands, false),
                                          llvm::GlobalValue::InternalLinkage, name, module);
  for (const char* attribute : {"target-cpu", "target-features", "prefer-vector-width"}) {
    if (caller->hasFnAttribute(attribute)) function->addFnAttr(caller->getFnAttribute(attribute));
  }
  function->addFnAttr(llvm::Attribute::NoUnwind);
  function->addFnAttr(llvm::Attribute::NoInline);
  return {function, true};
}

llvm::Value* any(M m) { return m.b().CreateOrReduce(m.v); }

llvm::BasicBlock* add_block(llvm::Function* function, const char* name) {
  return llvm::BasicBlock::Create(function->getContext(), name, function);
}

F gather(F like, llvm::Value* table, I index) {
  auto* element = like.b().getDoubleTy();
  llvm::Value* at = like.b().CreateGEP(element, table, resize(index, 64).v);
  return {like.c, like.b().CreateMaskedGather(like.type(), at, llvm::Align(8))};
}

// x = mantissa 2^(e - 150), so x in quarter turns is the product of the mantissa and the table's
// entry for e, modulo 4 (Payne and Hanek, 1983).
Reduced large_angle(F x) {
  auto* table = quarter_turn_table(*x.b().GetInsertBlock()->getModule());
  const I exponent = bits(x) >> 23 & 255;
  const I row = exponent - kTableFirstExponent;
  const I index = select(row < 0, 0, row) << 1;
  const F magnitude = from_bits((bits(x) & 0x7fffff) | (i64{150} << 23));
  const F mantissa = to_f64(copysign(magnitude, x));
  const F turns = mantissa * gather(mantissa, table, index);
  const F rest = mantissa * gather(mantissa, table, index + 1);
  const F shifted = turns + rest + kRounder64;
  const F r = (turns - (shifted - kRounder64)) + rest;
  return {to_f32(r * kHalfPi), resize(bits(shifted), 32)};
}

void write_large_angle(llvm::Function* function, const Target& target) {
  llvm::IRBuilder<> b(add_block(function, "entry"));
  Context context{b, target};
  const F x{&context, function->getArg(0)}, r{&context, function->getArg(1)};
  const I k{&context, function->getArg(2)};
  const M is_fast = abs(x) <= kMaxFastAngle;
  llvm::BasicBlock* slow = add_block(function, "slow");
  llvm::BasicBlock* done = add_block(function, "done");
  auto finish = [&](F result_r, I result_k) {
    llvm::Value* result = llvm::PoisonValue::get(function->getReturnType());
    result = b.CreateInsertValue(result, result_r.v, 0);
    b.CreateRet(b.CreateInsertValue(result, result_k.v, 1));
  };
  b.CreateCondBr(any(!is_fast), slow, done);
  b.SetInsertPoint(done);
  finish(r, k);
  b.SetInsertPoint(slow);
  const Reduced large = large_angle(x);
  finish(select(is_fast, r, large.r), select(is_fast, k, large.k));
}

// x less a multiple of y * 2^k with k such that the multiplier has at most 28 bits: exact in
// double.
F quotient_step(F x, F y, F quotient, M is_large) {
  const F unit = y * from_bits((bits(quotient) >> 52) - 27 << 52);
  const F rest = x - trunc(x / unit) * unit;
  return select(is_large, select(rest < 0.0, rest + unit, rest), x);
}

M needs_step(F quotient) {
  return (quotient >= kInlineQuotient) & (quotient < std::numeric_limits<double>::infinity());
}

void write_large_quotient(llvm::Function* function, const Target& target) {
  llvm::BasicBlock* entry = add_block(function, "entry");
  llvm::BasicBlock* loop = add_block(function, "loop");
  llvm::BasicBlock* step = add_block(function, "step");
  llvm::BasicBlock* done = add_block(function, "done");
  llvm::IRBuilder<> b(entry);
  Context context{b, target};
  const F y{&context, function->getArg(1)};
  b.CreateBr(loop);
  b.SetInsertPoint(loop);
  llvm::PHINode* x = b.CreatePHI(function->getReturnType(), 2);
  const F dividend{&context, x}, quotient = dividend / y;
  const M is_large = needs_step(quotient);
  b.CreateCondBr(any(is_large), step, done);
  b.SetInsertPoint(step);
  x->addIncoming(function->getArg(0), entry);
  x->addIncoming(quotient_step(dividend, y, quotient, is_large).v, step);
  b.CreateBr(loop);
  b.SetInsertPoint(done);
  b.CreateRet(x);
}

}  // namespace

Reduced reduce_large_angle(F x, Reduced fast) {
  llvm::Type* types[] = {x.type(), fast.r.type(), fast.k.type()};
  auto* result = llvm::StructType::get(fast.r.type(), fast.k.type());
  auto [function, is_new] = helper(*x.c, fmt::format("peri.angle.v{}", lanes_of(x)), result, types);
  if (is_new) write_large_angle(function, x.target());
  llvm::Value* both = x.b().CreateCall(function, {x.v, fast.r.v, fast.k.v});
  return {{x.c, x.b().CreateExtractValue(both, 0)}, {x.c, x.b().CreateExtractValue(both, 1)}};
}

F reduce_large_quotient(F x, F y) {
  auto [function, is_new] =
      helper(*x.c, fmt::format("peri.quotient.v{}", lanes_of(x)), x.type(), {x.type(), y.type()});
  if (is_new) write_large_quotient(function, x.target());
  return {x.c, x.b().CreateCall(function, {x.v, y.v})};
}

}  // namespace peri::cpu::math
