#include "ir/walk.h"

namespace peri::ir {

void for_each_op(const Kernel& kernel, GraphId graph, FunctionRef<void(const Op&)> visit) {
  for (OpId id : kernel[graph].ops) {
    visit(kernel[id]);
    for (GraphId region : kernel[id].regions) for_each_op(kernel, region, visit);
  }
}

void for_each_op(const Kernel& kernel, FunctionRef<void(const Op&)> visit) {
  for (const Root& root : kernel.roots) for_each_op(kernel, root.body, visit);
}

}  // namespace peri::ir
