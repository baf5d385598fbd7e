// Computes an operand of a matrix product in a launch of its own, into a tensor that the product
// then loads.
//
// Where a prologue (unpacking, dequantising, an activation) makes the operand, every grid cell
// along the other axis of the product repeats it, and on a GPU its values take the way through
// registers. For a matrix product with enough of those cells the operand is cheaper to write once:
//
//   root (m, n) { for k { w = cast(shr(load packed[k, n], 4)); acc = dot(load x[m, k], w, acc) } }
//   =>
//   root (k, n) { store cast(shr(load packed[k, n], 4)), w[k, n] }
//   root (m, n) { for k { acc = dot(load x[m, k], load w[k, n], acc) } }
//
// Before: what the pipeline leaves. After: the same, with a slot, an allocation and a launch more
// in the host program for each operand. The new root's axes have the block sizes of those they come
// from. Why here: after the pipeline, whose results say what a prologue really is; not in it, for
// it changes the host program too. Only for targets that ask for it, and where all sizes are
// constants.
#pragma once

#include "lower/lower.h"

namespace peri::passes {

// True if an operand was split off.
bool split_prologues(lower::Lowered& lowered);

}  // namespace peri::passes
