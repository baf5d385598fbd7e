// Ops on constants, and sources whose value is known.
#include <bit>
#include <vector>

#include "interp/ops.h"
#include "passes/canonical_rules.h"

namespace peri::passes {

namespace {

using ir::OpCode;

bool same_bits(const SymValue& a, const SymValue& b) {
  return a.type == b.type && a.integer == b.integer &&
         std::bit_cast<u64>(a.real) == std::bit_cast<u64>(b.real);
}

bool divides_by_zero(const ir::Op& op, const std::vector<interp::Tile>& operands) {
  bool division =
      op.code == OpCode::FloorDiv || op.code == OpCode::Remainder || op.code == OpCode::Fmod;
  return division && !operands[1].is_real() && operands[1].integers[0] == 0;
}

SymValue evaluate(const ir::Op& op, const std::vector<interp::Tile>& operands, Dtype dtype,
                  bool exact) {
  if (op.code == OpCode::Cast) return interp::value_of(interp::convert(operands[0], dtype, exact));
  std::vector<const interp::Tile*> pointers;
  for (const interp::Tile& operand : operands) pointers.push_back(&operand);
  return interp::value_of(interp::elementwise(op.code, pointers, dtype, exact));
}

// The operands as constants, or nothing if one is none.
std::vector<interp::Tile> constants(const Rewriter& rewriter, const ir::Op& op, bool exact) {
  std::vector<interp::Tile> tiles;
  for (ir::ValueId operand : op.operands) {
    const ir::Op* def = rewriter.definition(operand, OpCode::Const);
    if (!def) return {};
    tiles.push_back(interp::constant(def->attrs.constant, rewriter.type(operand).dtype, exact));
  }
  return tiles;
}

// Only where computing in f64 and computing in the dtype give the same bits.
bool fold_elementwise(Rewriter& rewriter, ir::OpId id) {
  const ir::Op& op = rewriter.op(id);
  std::vector<interp::Tile> exact = constants(rewriter, op, true);
  if (exact.empty() || divides_by_zero(op, exact)) return false;
  Dtype dtype = rewriter.result_type(id).dtype;
  SymValue value = evaluate(op, exact, dtype, true);
  if (!same_bits(value, evaluate(op, constants(rewriter, op, false), dtype, false))) return false;
  return rewriter.replace(id, rewriter.insert_constant(dtype, value));
}

bool fold_source(Rewriter& rewriter, ir::OpId id) {
  const ir::Op& op = rewriter.op(id);
  Sym sym = op.code == OpCode::HostScalar  ? op.attrs.sym
            : op.code == OpCode::BlockSize ? rewriter.kernel[op.attrs.block].size
                                           : Sym();
  if (!sym || !sym.is_const()) return false;
  Dtype dtype = rewriter.result_type(id).dtype;
  SymValue value = interp::value_of(interp::constant(sym->value, dtype, true));
  return rewriter.replace(id, rewriter.insert_constant(dtype, value));
}

}  // namespace

bool fold_constants(Rewriter& rewriter, ir::OpId id) {
  const ir::OpInfo& info = ir::info(rewriter.op(id).code);
  if (info.has(ir::Elementwise)) return fold_elementwise(rewriter, id);
  return info.rule == ir::Rule::Given && fold_source(rewriter, id);
}

}  // namespace peri::passes
