// Visits to the ops of a graph, or of a whole kernel.
#pragma once

#include "base/function_ref.h"
#include "ir/ir.h"

namespace peri::ir {

// Calls `visit` for every op of a graph and of the regions in it, or of a kernel's grids, in
// program order: an op comes before what its regions hold.
void for_each_op(const Kernel& kernel, GraphId graph, FunctionRef<void(const Op&)> visit);
void for_each_op(const Kernel& kernel, FunctionRef<void(const Op&)> visit);

}  // namespace peri::ir
