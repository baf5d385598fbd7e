#include "analysis/memory_effects.h"

#include <algorithm>

namespace peri::analysis {

i64 storage_of(const ir::Kernel& kernel, ir::TensorId tensor) {
  const ir::TensorParam& param = kernel[tensor];
  if (param.base >= 0) return param.base;
  return param.slot >= 0 ? param.slot : -2 - i64{tensor.index};
}

namespace {

void collect(const ir::Kernel& kernel, ir::GraphId graph, std::vector<i64>& stored) {
  for (ir::OpId id : kernel[graph].ops) {
    const ir::Op& op = kernel[id];
    if (op.code == ir::OpCode::Store) stored.push_back(storage_of(kernel, op.attrs.tensor));
    for (ir::GraphId region : op.regions) collect(kernel, region, stored);
  }
}

}  // namespace

std::vector<i64> stored_below(const ir::Kernel& kernel, ir::GraphId graph) {
  std::vector<i64> stored;
  collect(kernel, graph, stored);
  std::ranges::sort(stored);
  stored.erase(std::unique(stored.begin(), stored.end()), stored.end());
  return stored;
}

}  // namespace peri::analysis
