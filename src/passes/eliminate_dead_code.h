// Removes what no store depends on.
//
// Before: any verified kernel.
// After: every op stores, contains a store, or has a result that such an op uses; loops carry and
// branches yield only values that are used. Loads without users are gone, and with them the errors
// they would have given out of range.
// Why here: last, and after any pass that may leave ops without users.
#pragma once

#include "ir/ir.h"

namespace peri::passes {

bool eliminate_dead_code(ir::Kernel& kernel);

}  // namespace peri::passes
