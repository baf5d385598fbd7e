// Computes each pure value once.
//
// Before: any verified kernel; best after canonicalize, which gives equal values equal spelling.
// After: of two pure ops of one code, with equal operands (up to order where that does not matter),
// attributes and types, the second is gone if the first stands before it in its graph or in one
// around it. Loads count as equal only if no store to their storage may run between them.
// Why here: before anything that weighs ops by what they cost.
#pragma once

#include "ir/ir.h"

namespace peri::passes {

bool eliminate_common_subexpressions(ir::Kernel& kernel);

}  // namespace peri::passes
