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

bool is_access(const Op& op) { return op.code == OpCode::Load || op.code == OpCode::Store; }

ValueId accessed_value(const Op& op) {
  return op.code == OpCode::Load ? op.results[0] : op.operands[0];
}

OpId behind_views(const Kernel& kernel, ValueId value) {
  OpId def = kernel[value].def;
  while (def && info(kernel[def].code).rule == Rule::View) {
    def = kernel[kernel[def].operands[0]].def;
  }
  return def;
}

}  // namespace peri::ir
