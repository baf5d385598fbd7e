#include "analysis/memory_effects.h"

#include <algorithm>

#include "ir/walk.h"

namespace peri::analysis {

i64 storage_of(const ir::Kernel& kernel, ir::TensorId tensor) {
  const ir::TensorParam& param = kernel[tensor];
  if (param.base >= 0) return param.base;
  return param.slot >= 0 ? param.slot : -2 - i64{tensor.index};
}

std::vector<i64> stored_below(const ir::Kernel& kernel, ir::GraphId graph) {
  std::vector<i64> stored;
  ir::for_each_op(kernel, graph, [&](const ir::Op& op) {
    if (op.code == ir::OpCode::Store) stored.push_back(storage_of(kernel, op.attrs.tensor));
  });
  std::ranges::sort(stored);
  stored.erase(std::unique(stored.begin(), stored.end()), stored.end());
  return stored;
}

}  // namespace peri::analysis
