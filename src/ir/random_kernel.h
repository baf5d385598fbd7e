// Random well-formed kernels by seed, for property tests of passes, plans and backends.
//
// Grids of one or two tile axes over small odd sizes; loads with all kinds of subscripts,
// arithmetic, reductions, views, dots, loops with carried values, branches, masks, sometimes a
// second root that reads what the first one wrote. Tensors named `in...` are read, those named
// `out...` are written, each element at most once a root, so that the order of grid cells does not
// matter; some elements of an output may stay as they were. Arithmetic is kept away from overflow
// and poles for inputs in about [-2, 2] (integers: small ones), and nothing discontinuous is
// applied to a float that was rounded, so that results of two implementations are close. Each
// symbol's hint is a value to run with. Block sizes are constants or Block symbols; results may
// depend on them.
#pragma once

#include "ir/ir.h"

namespace peri::ir {

struct RandomOptions {
  i64 steps = 14;       // about how many things a root does
  bool symbols = true;  // block sizes and a scalar argument may be symbols
  bool halves = true;   // f16 and bf16
};

Kernel random_kernel(u64 seed, const RandomOptions& options = {});

}  // namespace peri::ir
