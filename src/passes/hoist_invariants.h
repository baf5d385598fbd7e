// Moves what every iteration of a loop would compute alike to before the loop.
//
// Before: any verified kernel.
// After: a pure op of a loop's body is outside if its operands are, and neither its type nor its
// attributes name an axis of the loop. A load moves only if nothing in the loop stores to its
// storage, and if it cannot fail where the loop has no iteration: its subscripts are whole
// dimensions and tiles that end within them, or the loop is known to run. Why here: after equal
// values are merged, so that one op moves and not its copies; what a plan computes again at each
// use it decides itself.
#pragma once

#include "ir/ir.h"

namespace peri::passes {

bool hoist_invariants(ir::Kernel& kernel);

}  // namespace peri::passes
