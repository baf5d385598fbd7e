#include "tune/cpu_load.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

namespace peri::tune {

namespace {

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

double seconds_of(int who) {
  rusage usage{};
  if (getrusage(who, &usage) != 0) return 0;
  return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

}  // namespace

std::optional<CpuSeconds> parse_cpu_seconds(std::string_view stat) {
  std::istringstream line{std::string(stat.substr(0, stat.find('\n')))};
  std::string name;
  double user, nice, system, idle, wait, interrupts, soft_interrupts, stolen;
  line >> name >> user >> nice >> system >> idle >> wait >> interrupts >> soft_interrupts >> stolen;
  if (!line || !stat.starts_with("cpu ")) return std::nullopt;
  const double tick = 1.0 / static_cast<double>(sysconf(_SC_CLK_TCK));
  CpuSeconds seconds;
  seconds.busy = tick * (user + nice + system + interrupts + soft_interrupts + stolen);
  seconds.all = seconds.busy + tick * (idle + wait);
  return seconds;
}

std::optional<CpuSeconds> cpu_seconds() {
  std::ifstream file("/proc/stat");
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  auto seconds = parse_cpu_seconds(line);
  if (seconds) seconds->own = seconds_of(RUSAGE_SELF) + seconds_of(RUSAGE_CHILDREN);
  return seconds;
}

double share_of_others(const CpuSeconds& begin, const CpuSeconds& end) {
  const double all = end.all - begin.all;
  const double others = (end.busy - begin.busy) - (end.own - begin.own);
  return all <= 0 ? 0 : std::clamp(others / all, 0.0, 1.0);
}

}  // namespace peri::tune
