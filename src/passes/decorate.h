// Work for passes: puts things into a kernel that they take out again, for tests.
#pragma once

#include "ir/ir.h"

namespace peri::passes {

// After some ops of `kernel`, adds neutral and foldable arithmetic, cast and view pairs, repeated
// scalars, copies of the op, and stores to what was just loaded, and lets later ops use the result;
// makes some tensors share storage. The kernel stays well formed; its results become others.
void decorate(ir::Kernel& kernel, u64 seed);

}  // namespace peri::passes
