// What a call must at least move and compute, from Device IR; and what this machine can do.
#pragma once

#include "backends/backend.h"
#include "ir/ir.h"
#include "tune/record.h"

namespace peri::tune {

// Sizes are the kernel's constants and, for the others, those of the call that it was compiled for
// (the symbols' hints).
// Bytes: every tensor that is read once, and every tensor that is written once; of a tensor that is
// indexed by values only as many elements as there are values.
// Flops: two for each multiply-add of a dot; one for each element of a floating-point operation or
// reduction. Independent of any config: work that a config repeats does not count.
struct Work {
  double bytes = 0, flops = 0;
};
Work work_of(const ir::Kernel& kernel);

// With the machine's speed on `threads` threads (0: all), measured where it is not known yet.
// `cold`: operands come from memory, however small they are.
Roofline roofline_of(const ir::Kernel& kernel, const backends::Backend& backend, i64 threads,
                     bool cold);

}  // namespace peri::tune
