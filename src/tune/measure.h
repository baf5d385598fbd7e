// Times and what is said about them: medians, spreads, wins and ties.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/ids.h"

namespace peri::tune {

// Seconds since some start. Tests give their own.
using Clock = std::function<double()>;
Clock steady_clock();

// Of repeated timings of one thing, in seconds.
struct Timing {
  double median = 0;
  double low = 0, high = 0;  // first and third quartile
  i64 calls = 0;

  // "1.234 ms (1.230 .. 1.250, 31 calls)"
  std::string text() const;
};
Timing summarise(std::vector<double> samples);
double median_of(std::vector<double> samples);

// "1.234 ms", with four digits and a fitting unit.
std::string print_seconds(double seconds);

// Repeats `call` for about `seconds`, after a warm-up; calls too short for the clock are timed in
// batches.
Timing time_calls(const Clock& clock, const std::function<void()>& call, double seconds);

}  // namespace peri::tune
