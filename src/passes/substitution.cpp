#include "passes/substitution.h"

#include "base/bug.h"

namespace peri::passes {

void Substitution::replace(ir::Kernel& kernel, ir::ValueId from, ir::ValueId to) {
  to = resolve(to);
  BUG_IF(resolve(from) == to, "value {} replaced by itself", from.index);
  if (replacement_.size() < kernel.values.size()) replacement_.resize(kernel.values.size());
  replacement_[from.index] = to;
  if (kernel[to].name.empty()) kernel[to].name = kernel[from].name;
}

ir::ValueId Substitution::resolve(ir::ValueId value) const {
  while (value.index < static_cast<i64>(replacement_.size()) && replacement_[value.index]) {
    value = replacement_[value.index];
  }
  return value;
}

void Substitution::apply(std::vector<ir::ValueId>& values) const {
  for (ir::ValueId& value : values) value = resolve(value);
}

void Substitution::apply(ir::Kernel& kernel, ir::GraphId graph) const {
  for (ir::OpId op : kernel[graph].ops) {
    apply(kernel[op].operands);
    for (ir::GraphId region : kernel[op].regions) apply(kernel, region);
  }
  apply(kernel[graph].yields);
}

void Substitution::apply(ir::Kernel& kernel) const {
  if (empty()) return;
  for (const ir::Root& root : kernel.roots) apply(kernel, root.body);
}

}  // namespace peri::passes
