#include "driver/device_time.h"

#include <algorithm>
#include <cmath>

namespace peri::driver {

namespace {

constexpr double kShortestSample = 200e-6;
constexpr i64 kMostBatch = 50;
constexpr i64 kLeastSamples = 5, kMostSamples = 400;
// Calls whose queueing is timed: as many in a row as a device's queue surely holds.
constexpr i64 kBurst = 64;
constexpr i64 kBursts = 16;

}  // namespace

i64 device_batch(double seconds) {
  double calls = std::ceil(kShortestSample / std::max(seconds, 1e-7));
  return std::clamp(static_cast<i64>(calls), i64{1}, kMostBatch);
}

Expected<std::vector<double>> time_samples(const runtime::Executable& executable,
                                           std::span<const runtime::Leaf> leaves,
                                           const runtime::DeviceTimeRequest& request) {
  auto call = [&]() -> Expected<void> {
    auto result = executable.call(leaves);
    if (!result) return std::unexpected(result.error());
    return {};
  };
  return executable.device()->time(call, request);
}

Expected<tune::Timing> time_on_device(const runtime::Executable& executable,
                                      std::span<const runtime::Leaf> leaves, bool cold,
                                      double seconds) {
  auto probe =
      time_samples(executable, leaves, {.samples = kLeastSamples, .batch = 1, .cold = cold});
  if (!probe) return std::unexpected(probe.error());
  double one = tune::median_of(*probe);
  i64 batch = device_batch(one);
  double wanted = seconds / (2 * one * static_cast<double>(batch));  // flushing takes its time too
  i64 samples = std::clamp(static_cast<i64>(wanted), kLeastSamples, kMostSamples);
  auto measured =
      time_samples(executable, leaves, {.samples = samples, .batch = batch, .cold = cold});
  if (!measured) return std::unexpected(measured.error());
  tune::Timing timing = tune::summarise(std::move(*measured));
  timing.calls = samples * batch;
  return timing;
}

Expected<double> time_queueing(const runtime::Executable& executable,
                               std::span<const runtime::Leaf> leaves) {
  const tune::Clock clock = tune::steady_clock();
  std::vector<double> seconds;
  for (i64 burst = 0; burst < kBursts; ++burst) {
    double begin = clock();
    for (i64 i = 0; i < kBurst; ++i) {
      auto result = executable.call(leaves);
      if (!result) return std::unexpected(result.error());
    }
    seconds.push_back((clock() - begin) / static_cast<double>(kBurst));
    auto done = executable.device()->synchronize();
    if (!done) return std::unexpected(done.error());
  }
  return tune::median_of(std::move(seconds));
}

}  // namespace peri::driver
