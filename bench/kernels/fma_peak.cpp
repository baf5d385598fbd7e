#include "fma_peak.h"

#include "backends/cpu/machine_speed.h"

namespace peri::bench {

Expected<double> measure_fma_peak(const cpu::Target& target) {
  auto speed = cpu::measure_speed(target, 1, 0);
  if (!speed) return std::unexpected(speed.error());
  return speed->flops_per_second;
}

}  // namespace peri::bench
