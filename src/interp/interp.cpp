#include "interp/interp.h"

#include <limits>

#include "base/bug.h"
#include "interp/machine.h"

namespace peri::interp {

Expected<void> run(const ir::Kernel& kernel, i64 root, const Environment& environment) {
  return run_cells(kernel, root, environment, 0, std::numeric_limits<i64>::max());
}

Expected<void> run_cells(const ir::Kernel& kernel, i64 root, const Environment& environment,
                         i64 begin, i64 end) {
  BUG_IF(environment.tensors.size() != kernel.tensors.size(), "{} tensors for {} parameters",
         environment.tensors.size(), kernel.tensors.size());
  return Machine(kernel, environment).run_cells(kernel.roots[root], begin, end);
}

Expected<i64> cell_count(const ir::Kernel& kernel, i64 root, const Environment& environment) {
  auto ranges = Machine(kernel, environment).grid(kernel.roots[root]);
  if (!ranges) return std::unexpected(ranges.error());
  i64 cells = 1;
  for (const AxisRange& range : *ranges) cells *= range.count;
  return cells;
}

}  // namespace peri::interp
