// Brings a kernel to its simplest form: one spelling for things that mean the same.
//
// Before: any verified kernel.
// After: constants are folded where every rounding mode agrees; constants stand on the right;
// neutral operands, exact cast pairs and view pairs are gone; views of a repeated scalar are the
// scalar repeated, and elementwise ops use the scalar itself; a gather by `tile_index + shift` is a
// tile subscript, one by `iota + start` a range; branches on constants and loops without iterations
// are gone; values that a loop carries unchanged are not looked up through it. No result changes by
// a bit.
// Why here: first, so that later passes and plans meet each idea in one form; again after others,
// which uncover more.
#pragma once

#include "ir/ir.h"

namespace peri::passes {

// True if the kernel changed. Ops that lost their users stay (eliminate_dead_code).
bool canonicalize(ir::Kernel& kernel);

}  // namespace peri::passes
