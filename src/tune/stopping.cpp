#include "tune/stopping.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace peri::tune {

namespace {

constexpr i64 kLeastWorking = 8;                  // configs, for an estimate
constexpr double kScale = 2 * std::numbers::ln2;  // exact where each doubling brings the same
// What a search is believed to find before it has shown anything: this gain, at this config.
constexpr double kPriorGain = 0.1;
constexpr double kPriorAt = 20;

}  // namespace

double expected_gain(std::span<const Measurement> history) {
  double count = static_cast<double>(history.size());
  double sum = kPriorGain * kPriorAt * kPriorAt;
  double best = kFailed, at = 0;
  i64 working = 0;
  for (const Measurement& point : history) {
    ++at;
    if (point.seconds == kFailed) continue;
    if (working++ > 0 && point.seconds < best) sum += std::log(best / point.seconds) * at * at;
    best = std::min(best, point.seconds);
  }
  if (working < kLeastWorking) return 1;
  return -std::expm1(-kScale * sum / (count * count));
}

double searched_share(std::size_t tried, double gain, double least_gain) {
  const double begun = static_cast<double>(tried) / static_cast<double>(kLeastHistory);
  const double near = gain >= 0 ? least_gain / std::max(gain, least_gain) : 0;
  return 0.5 * std::min(1.0, begun) + 0.5 * near;
}

}  // namespace peri::tune
