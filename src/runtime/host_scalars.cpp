#include "runtime/host_scalars.h"

#include "base/bug.h"
#include "types/sym_ops.h"

namespace peri::runtime {

namespace {

// What a call says about a symbol.
ScalarValue argument_value(const Symbol& symbol, std::span<const Leaf> leaves) {
  if (symbol.leaf < 0 || symbol.leaf >= static_cast<i64>(leaves.size())) return std::nullopt;
  const Leaf& leaf = leaves[symbol.leaf];
  if (symbol.origin == SymbolOrigin::ArgValue) return convert_value(leaf.scalar, symbol.type);
  if (leaf.tensor == nullptr || symbol.dim >= leaf.tensor->rank()) return std::nullopt;
  const auto& extents =
      symbol.origin == SymbolOrigin::ArgSize ? leaf.tensor->sizes : leaf.tensor->strides;
  return SymValue::of(extents[symbol.dim]);
}

}  // namespace

ScalarProgram::ScalarProgram(const SymTable& syms, std::vector<ScalarValue> known)
    : syms_(syms), known_(std::move(known)) {}

ScalarId ScalarProgram::append(ScalarValue value, bool varies) {
  initial_.push_back(value);
  varies_.push_back(varies);
  return ScalarId(static_cast<i64>(initial_.size()) - 1);
}

ScalarId ScalarProgram::add_symbol(Sym sym) {
  i64 index = sym->symbol.index;
  if (index < static_cast<i64>(known_.size()) && known_[index]) return append(known_[index], false);
  ScalarId id = append({}, true);
  Step step{.kind = SymKind::Symbol, .result = id, .operands = {}};
  step.symbol = syms_.symbol(sym->symbol);
  steps_.push_back(std::move(step));
  return id;
}

ScalarId ScalarProgram::add(Sym sym) {
  BUG_IF(!sym, "a missing host scalar");
  if (auto it = numbers_.find(sym.node()); it != numbers_.end()) return it->second;
  ScalarId id;
  if (sym.is_const()) {
    id = append(sym->value, false);
  } else if (sym.kind() == SymKind::Symbol) {
    id = add_symbol(sym);
  } else {
    Step step{.kind = sym.kind(), .result = {}, .operands = {}};
    step.operand_count = arity_of(sym.kind());
    SymType types[3] = {};
    bool varies = false;
    for (i64 i = 0; i < step.operand_count; ++i) {
      step.operands[i] = add(sym.operand(i));
      types[i] = sym.operand(i).type();
      varies = varies || !is_constant(step.operands[i]);
    }
    step.operand_type = signature_of(step.kind, types[0], types[1], types[2]).operand;
    id = append(varies ? ScalarValue() : run(step, {}, initial_), varies);
    step.result = id;
    if (varies) steps_.push_back(std::move(step));
  }
  numbers_.emplace(sym.node(), id);
  return id;
}

ScalarValue ScalarProgram::constant(ScalarId id) const {
  BUG_IF(!is_constant(id), "host scalar {} varies", id.index);
  return initial_[id.index];
}

ScalarValue ScalarProgram::run(const Step& step, std::span<const Leaf> leaves,
                               std::span<const ScalarValue> values) const {
  if (step.kind == SymKind::Symbol) return argument_value(step.symbol, leaves);
  if (step.kind == SymKind::Select) {  // the branch not taken may be undefined
    const ScalarValue& condition = values[step.operands[0].index];
    if (!condition) return std::nullopt;
    const ScalarValue& chosen = values[step.operands[condition->integer != 0 ? 1 : 2].index];
    return chosen ? ScalarValue(convert_value(*chosen, step.operand_type)) : std::nullopt;
  }
  SymValue operands[3];
  for (i64 i = 0; i < step.operand_count; ++i) {
    const ScalarValue& value = values[step.operands[i].index];
    if (!value) return std::nullopt;
    operands[i] = convert_value(*value, step.operand_type);
  }
  return apply(step.kind, operands[0], operands[1], operands[2]);
}

std::span<const ScalarValue> ScalarProgram::evaluate(std::span<const Leaf> leaves,
                                                     std::vector<ScalarValue>& storage) const {
  if (steps_.empty()) return initial_;
  storage = initial_;
  for (const Step& step : steps_) storage[step.result.index] = run(step, leaves, storage);
  return storage;
}

}  // namespace peri::runtime
