// Neutral operands, order of operands and chains of elementwise ops. Float rules hold for NaN,
// infinities and the sign of zero.
#include <bit>
#include <cmath>
#include <utility>

#include "interp/tile.h"
#include "passes/canonical_rules.h"

namespace peri::passes {

namespace {

using ir::OpCode;
using ir::ValueId;

bool is_real(const SymValue& value, double expected) {
  return value.type == SymType::Float &&
         std::bit_cast<u64>(value.real) == std::bit_cast<u64>(expected);
}
bool is_integer(const SymValue& value, i64 expected) {
  return value.type != SymType::Float && value.integer == expected;
}

// `x op c` is x.
bool is_right_neutral(OpCode code, const SymValue& c, Dtype dtype) {
  switch (code) {
    case OpCode::Add:
      return is_integer(c, 0) || is_real(c, -0.0);
    case OpCode::Sub:
      return is_integer(c, 0) || is_real(c, 0.0);
    case OpCode::Mul:
    case OpCode::Pow:
      return is_integer(c, 1) || is_real(c, 1);
    case OpCode::Div:
      return is_real(c, 1);
    case OpCode::FloorDiv:
      return is_integer(c, 1);
    case OpCode::Or:
    case OpCode::Xor:
    case OpCode::Shl:
    case OpCode::Shr:
      return is_integer(c, 0);
    case OpCode::And:
      return is_integer(c, interp::wrap_to(dtype, -1));
    default:
      return false;
  }
}

// `a op b` as `b op' a`, or none.
std::optional<OpCode> mirrored(OpCode code) {
  if (ir::info(code).has(ir::Commutative)) return code;
  switch (code) {
    case OpCode::Lt:
      return OpCode::Gt;
    case OpCode::Le:
      return OpCode::Ge;
    case OpCode::Gt:
      return OpCode::Lt;
    case OpCode::Ge:
      return OpCode::Le;
    default:
      return std::nullopt;
  }
}

bool constant_to_the_right(Rewriter& rewriter, ir::OpId id) {
  const ir::Op& op = rewriter.op(id);
  ValueId a = op.operands[0], b = op.operands[1];
  auto code = mirrored(op.code);
  if (!code || !rewriter.constant(a) || rewriter.constant(b)) return false;
  return rewriter.become(id, *code, {b, a});
}

// (x op c1) op c2 is x op (c1 op c2) where arithmetic is modular.
bool join_constants(Rewriter& rewriter, ir::OpId id, const SymValue& c2) {
  const ir::Op& op = rewriter.op(id);
  OpCode code = op.code;
  if (c2.type != SymType::Int || (code != OpCode::Add && code != OpCode::Mul)) return false;
  const ir::Op* inner = rewriter.definition(op.operands[0], code);
  auto c1 = inner ? rewriter.constant(inner->operands[1]) : std::nullopt;
  if (!c1) return false;
  ValueId x = inner->operands[0];
  Dtype dtype = rewriter.result_type(id).dtype;
  u64 a = static_cast<u64>(c1->integer), b = static_cast<u64>(c2.integer);
  i64 joined = static_cast<i64>(code == OpCode::Add ? a + b : a * b);
  ValueId c = rewriter.insert_constant(dtype, SymValue::of(interp::wrap_to(dtype, joined)));
  return rewriter.become(id, code, {x, c});
}

// Not to 0.5, where -inf and -0 tell pow and sqrt apart.
bool simplify_power(Rewriter& rewriter, ir::OpId id, const SymValue& exponent) {
  ValueId x = rewriter.op(id).operands[0];
  if (is_real(exponent, 2) || is_integer(exponent, 2))
    return rewriter.become(id, OpCode::Mul, {x, x});
  if (is_real(exponent, -1)) return rewriter.become(id, OpCode::Reciprocal, {x});
  return false;
}

// x / 2^k is x * 2^-k exactly, if 2^-k has full precision in the dtype.
bool division_to_product(Rewriter& rewriter, ir::OpId id, const SymValue& divisor) {
  int exponent = 0;
  double fraction = std::frexp(divisor.real, &exponent);
  Dtype dtype = rewriter.result_type(id).dtype;
  int limit = dtype == Dtype::F16 ? 14 : 120;
  if (std::fabs(fraction) != 0.5 || std::abs(exponent) > limit) return false;
  ValueId x = rewriter.op(id).operands[0];
  ValueId factor = rewriter.insert_constant(dtype, SymValue::of(1 / divisor.real));
  return rewriter.become(id, OpCode::Mul, {x, factor});
}

bool simplify_with_constant(Rewriter& rewriter, ir::OpId id, const SymValue& c) {
  const ir::Op& op = rewriter.op(id);
  Dtype dtype = rewriter.result_type(id).dtype;
  if (is_right_neutral(op.code, c, dtype)) return rewriter.replace(id, op.operands[0]);
  if (op.code == OpCode::Pow) return simplify_power(rewriter, id, c);
  if (op.code == OpCode::Div) return division_to_product(rewriter, id, c);
  return join_constants(rewriter, id, c);
}

bool is_idempotent(OpCode code) {
  return code == OpCode::Max || code == OpCode::Min || code == OpCode::And || code == OpCode::Or;
}

bool simplify_binary(Rewriter& rewriter, ir::OpId id) {
  if (constant_to_the_right(rewriter, id)) return true;
  const ir::Op& op = rewriter.op(id);
  ValueId a = op.operands[0], b = op.operands[1];
  if (a == b && is_idempotent(op.code)) return rewriter.replace(id, a);
  auto c = rewriter.constant(b);
  return c && simplify_with_constant(rewriter, id, *c);
}

// The comparison that holds where `code` does not; orderings only where there is no NaN.
std::optional<OpCode> complement(OpCode code, Dtype operands) {
  if (code == OpCode::Eq) return OpCode::Ne;
  if (code == OpCode::Ne) return OpCode::Eq;
  if (is_float(operands)) return std::nullopt;
  switch (code) {
    case OpCode::Lt:
      return OpCode::Ge;
    case OpCode::Le:
      return OpCode::Gt;
    case OpCode::Gt:
      return OpCode::Le;
    case OpCode::Ge:
      return OpCode::Lt;
    default:
      return std::nullopt;
  }
}

bool simplify_not(Rewriter& rewriter, ir::OpId id) {
  ir::OpId def = rewriter.kernel[rewriter.op(id).operands[0]].def;
  if (!def || rewriter.result_type(id).dtype != Dtype::Bool) return false;
  const ir::Op& inner = rewriter.op(def);
  if (inner.operands.empty()) return false;
  auto code = complement(inner.code, rewriter.type(inner.operands[0]).dtype);
  return code && rewriter.become(id, *code, std::vector<ValueId>(inner.operands));
}

bool simplify_unary(Rewriter& rewriter, ir::OpId id) {
  const ir::Op& op = rewriter.op(id);
  bool involution = op.code == OpCode::Neg || op.code == OpCode::Not;
  const ir::Op* inner = rewriter.definition(op.operands[0], op.code);
  if (involution && inner) return rewriter.replace(id, inner->operands[0]);
  return op.code == OpCode::Not && simplify_not(rewriter, id);
}

// Of a select whose choice is known.
bool choose(Rewriter& rewriter, ir::OpId id, ValueId chosen) {
  TileType result = rewriter.result_type(id), type = rewriter.type(chosen);
  for (ValueId operand : rewriter.op(id).operands) {
    if (!Rewriter::covers(result, rewriter.type(operand))) return false;
  }
  if (type == result) return rewriter.replace(id, chosen);
  return type.is_scalar() && rewriter.become(id, OpCode::Expand, {chosen});
}

bool simplify_select(Rewriter& rewriter, ir::OpId id) {
  const ir::Op& op = rewriter.op(id);
  ValueId cond = op.operands[0], a = op.operands[1], b = op.operands[2];
  auto known = rewriter.constant(cond);
  if (known || a == b) return choose(rewriter, id, !known || known->integer ? a : b);
  const ir::Op* negation = rewriter.definition(cond, OpCode::Not);
  return negation && rewriter.become(id, OpCode::Select, {negation->operands[0], b, a});
}

}  // namespace

bool simplify_arithmetic(Rewriter& rewriter, ir::OpId id) {
  const ir::Op& op = rewriter.op(id);
  if (!ir::info(op.code).has(ir::Elementwise)) return false;
  if (op.code == OpCode::Select) return simplify_select(rewriter, id);
  if (op.code == OpCode::Cast || op.code == OpCode::Rand) return false;
  return op.operands.size() == 1 ? simplify_unary(rewriter, id) : simplify_binary(rewriter, id);
}

}  // namespace peri::passes
