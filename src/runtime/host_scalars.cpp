#include "runtime/host_scalars.h"

#include <algorithm>

#include "base/bug.h"
#include "base/unique_id.h"
#include "types/sym_ops.h"

namespace peri::runtime {

namespace {

SymValue converted(const SymValue& value, SymType type) {
  return value.type == type ? value : convert_value(value, type);
}

}  // namespace

ScalarProgram::ScalarProgram(const SymTable& syms, std::vector<ScalarValue> known)
    : syms_(syms), id_(unique_id()), known_(std::move(known)) {}

// What a call says about a symbol.
ScalarValue ScalarProgram::argument_value(const Step& step, std::span<const Leaf> leaves) {
  if (step.leaf < 0 || step.leaf >= static_cast<i64>(leaves.size())) return std::nullopt;
  const Leaf& leaf = leaves[step.leaf];
  if (step.origin == SymbolOrigin::ArgValue) return converted(leaf.scalar, step.operand_type);
  if (leaf.tensor == nullptr || step.dim >= leaf.tensor->rank()) return std::nullopt;
  const auto& extents =
      step.origin == SymbolOrigin::ArgSize ? leaf.tensor->sizes : leaf.tensor->strides;
  return SymValue::of(extents[step.dim]);
}

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
  const Symbol& symbol = syms_.symbol(sym->symbol);
  step.operand_type = symbol.type;
  step.origin = symbol.origin;
  step.leaf = symbol.leaf;
  step.dim = symbol.dim;
  steps_.push_back(step);
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
    if (varies) steps_.push_back(step);
  }
  numbers_.emplace(sym.node(), id);
  return id;
}

ScalarValue ScalarProgram::constant(ScalarId id) const {
  BUG_IF(!is_constant(id), "host scalar {} varies", id.index);
  return initial_[id.index];
}

ScalarValue ScalarProgram::run(const Step& step, std::span<const Leaf> leaves,
                               std::span<const ScalarValue> values) {
  if (step.kind == SymKind::Symbol) return argument_value(step, leaves);
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
    operands[i] = converted(*value, step.operand_type);
  }
  return apply(step.kind, operands[0], operands[1], operands[2]);
}

std::span<const ScalarValue> ScalarProgram::evaluate(std::span<const Leaf> leaves,
                                                     ScalarStorage& storage, i64 steps) const {
  if (steps_.empty()) return initial_;
  if (storage.program_ != id_ || storage.values_.size() != initial_.size()) {
    storage.values_ = initial_;
    storage.program_ = id_;
  }
  std::vector<ScalarValue>& values = storage.values_;
  steps = std::min(steps, step_count());
  for (const Step& step : std::span(steps_).first(static_cast<std::size_t>(steps))) {
    values[step.result.index] = run(step, leaves, values);
  }
  return values;
}

}  // namespace peri::runtime
