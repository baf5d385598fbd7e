// How many terms along k a matrix instruction needs.
#pragma once

#include "ir/ir.h"

namespace peri::triton {

// The least extent of k for which `tl.dot` is a matrix instruction and right: 16, or 32 for
// operands of 8 bits. So is it for operands that are loaded with 8 bits and converted: Triton up to
// 3.9 lays them out for instructions of 8 bits, and multiplies the wrong elements where k is
// shorter (mended by triton-lang/triton pull request 11691).
i64 least_depth(const ir::Kernel& kernel, const ir::Op& dot);

}  // namespace peri::triton
