// What else the machine did while this process worked.
#pragma once

#include <optional>
#include <string_view>

namespace peri::tune {

// Seconds of all CPUs together since the machine began.
struct CpuSeconds {
  double busy = 0;  // with whatever process; and stolen by a hypervisor
  double all = 0;   // busy and idle
  double own = 0;   // busy with this process, and with its children that have ended
};

// Of the text of /proc/stat; `own` stays 0.
std::optional<CpuSeconds> parse_cpu_seconds(std::string_view stat);
// Nothing where the system does not say.
std::optional<CpuSeconds> cpu_seconds();

// Share of all CPUs, 0 to 1, that others were using from `begin` to `end`.
double share_of_others(const CpuSeconds& begin, const CpuSeconds& end);

}  // namespace peri::tune
