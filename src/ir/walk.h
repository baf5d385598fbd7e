// Visits to the ops of a graph, or of a whole kernel, and ways from an op to its values and back.
#pragma once

#include "base/function_ref.h"
#include "ir/ir.h"

namespace peri::ir {

// Calls `visit` for every op of a graph and of the regions in it, or of a kernel's grids, in
// program order: an op comes before what its regions hold.
void for_each_op(const Kernel& kernel, GraphId graph, FunctionRef<void(const Op&)> visit);
void for_each_op(const Kernel& kernel, FunctionRef<void(const Op&)> visit);

// A load or a store, and the value that it reads or writes.
bool is_access(const Op& op);
ValueId accessed_value(const Op& op);

// What defines the value that `value` is a view of; none: a parameter of a graph.
OpId behind_views(const Kernel& kernel, ValueId value);

}  // namespace peri::ir
