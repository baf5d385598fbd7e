#include "tune/measure.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

namespace peri::tune {

namespace {

constexpr double kShortestSample = 5e-6;  // what the clock resolves well
constexpr i64 kMinSamples = 5, kMaxSamples = 10000;

double quantile(const std::vector<double>& sorted, double q) {
  double at = q * static_cast<double>(sorted.size() - 1);
  auto below = static_cast<std::size_t>(at);
  auto above = std::min(below + 1, sorted.size() - 1);
  double part = at - static_cast<double>(below);
  return sorted[below] * (1 - part) + sorted[above] * part;
}

}  // namespace

Clock steady_clock() {
  return [] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  };
}

Timing summarise(std::vector<double> samples) {
  if (samples.empty()) return {};
  std::ranges::sort(samples);
  return {quantile(samples, 0.5), quantile(samples, 0.25), quantile(samples, 0.75),
          static_cast<i64>(samples.size())};
}

double median_of(std::vector<double> samples) { return summarise(std::move(samples)).median; }

std::string print_seconds(double seconds) {
  if (!std::isfinite(seconds)) return "-";
  double value = seconds * 1e9;
  const char* unit = "ns";
  for (const char* next : {"us", "ms", "s"}) {
    if (value < 1000) break;
    value /= 1000;
    unit = next;
  }
  return fmt::format("{:.4g} {}", value, unit);
}

std::string Timing::text() const {
  return fmt::format("{} ({} .. {}, {} calls)", print_seconds(median), print_seconds(low),
                     print_seconds(high), calls);
}

Timing time_calls(const Clock& clock, const std::function<void()>& call, double seconds) {
  double start = clock();
  call();
  double first = clock() - start;
  i64 batch = first < kShortestSample
                  ? static_cast<i64>(std::ceil(kShortestSample / std::max(first, 1e-9)))
                  : 1;
  std::vector<double> samples;
  i64 calls = 0;
  while (static_cast<i64>(samples.size()) < kMaxSamples) {
    double begin = clock();
    for (i64 i = 0; i < batch; ++i) call();
    double end = clock();
    samples.push_back((end - begin) / static_cast<double>(batch));
    calls += batch;
    if (static_cast<i64>(samples.size()) >= kMinSamples && end - start >= seconds) break;
  }
  Timing timing = summarise(std::move(samples));
  timing.calls = calls;
  return timing;
}

}  // namespace peri::tune
