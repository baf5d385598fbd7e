// The speed limit of arithmetic: independent fused multiply-adds in registers.
#pragma once

#include "backends/cpu/target.h"
#include "base/expected.h"

namespace peri::bench {

// FLOP/s of one core on f32 vectors of the target.
Expected<double> measure_fma_peak(const cpu::Target& target);

}  // namespace peri::bench
