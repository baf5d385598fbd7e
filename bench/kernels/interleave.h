// Times contenders against each other: in turns within one process, so that what the machine does
// meanwhile hits all of them alike.
#pragma once

#include <time.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "base/ids.h"

namespace peri::bench {

struct Contender {
  std::string name;
  std::function<void()> run;
};

// Seconds per run; the samples of all contenders belong together by index.
struct Timing {
  std::string name;
  std::vector<double> samples;

  double min() const { return *std::ranges::min_element(samples); }
  double median() const {
    std::vector<double> sorted = samples;
    std::ranges::sort(sorted);
    return sorted[sorted.size() / 2];
  }
};

// Count the thread's CPU time instead of wall time: for one-thread work on a busy machine.
inline bool use_cpu_time = false;

inline double now() {
  timespec time;
  clock_gettime(use_cpu_time ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// Several runs begin with untimed ones, until threads that another contender left asleep are awake.
inline double seconds_of(const std::function<void()>& run, i64 repeats) {
  constexpr double kWakeSeconds = 60e-6;
  double begin = now();
  while (repeats > 1 && now() - begin < kWakeSeconds) run();
  begin = now();
  for (i64 i = 0; i < repeats; ++i) run();
  return (now() - begin) / static_cast<double>(repeats);
}

// The median over the rounds of base's time over ours: above 1 where we are faster.
inline double speedup(const Timing& ours, const Timing& base) {
  Timing ratios;
  for (size_t i = 0; i < ours.samples.size(); ++i) {
    ratios.samples.push_back(base.samples[i] / ours.samples[i]);
  }
  return ratios.median();
}

// Runs rounds for about `seconds`, at least five. A sample repeats short runs until they take
// `sample_seconds`. The order turns by one each round, which `before_round` may prepare.
inline std::vector<Timing> interleave(const std::vector<Contender>& contenders, double seconds,
                                      double sample_seconds = 1e-3,
                                      const std::function<void()>& before_round = {}) {
  std::vector<Timing> timings;
  std::vector<i64> repeats;
  double round_seconds = 0;
  for (const Contender& contender : contenders) {
    contender.run();
    const double once = std::max(1e-9, seconds_of(contender.run, 2));
    repeats.push_back(std::max<i64>(1, static_cast<i64>(sample_seconds / once)));
    round_seconds += once * static_cast<double>(repeats.back());
    timings.push_back({contender.name, {}});
  }
  const i64 rounds = std::max<i64>(5, static_cast<i64>(seconds / round_seconds));
  for (i64 round = 0; round < rounds; ++round) {
    if (before_round) before_round();
    for (size_t i = 0; i < contenders.size(); ++i) {
      const size_t turn = (i + static_cast<size_t>(round)) % contenders.size();
      timings[turn].samples.push_back(seconds_of(contenders[turn].run, repeats[turn]));
    }
  }
  return timings;
}

}  // namespace peri::bench
