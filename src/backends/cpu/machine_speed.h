// How fast this machine moves data and multiplies: the roofline that kernels are judged by.
#pragma once

#include "backends/backend.h"
#include "backends/cpu/target.h"

namespace peri::cpu {

// Measured in some 50 ms with code made for the target, on the pool's first `threads` threads.
// Bytes: the faster of reading and copying (around the caches where it pays) `working_set` bytes
// again and again, so data that fits a cache counts at its speed. Flops: multiply-adds of f32 in
// registers.
Expected<backends::MachineSpeed> measure_speed(const Target& target, i64 threads,
                                               double working_set);

}  // namespace peri::cpu
