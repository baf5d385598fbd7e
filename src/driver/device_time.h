// Times calls of an executable on its device, by the device's own clock.
#pragma once

#include <span>
#include <vector>

#include "runtime/executor.h"
#include "tune/measure.h"

namespace peri::driver {

// As Device::time.
Expected<std::vector<double>> time_samples(const runtime::Executable& executable,
                                           std::span<const runtime::Leaf> leaves,
                                           const runtime::DeviceTimeRequest& request);

// For about `seconds`. `cold`: the device's caches are flushed before each call.
Expected<tune::Timing> time_on_device(const runtime::Executable& executable,
                                      std::span<const runtime::Leaf> leaves, bool cold,
                                      double seconds);

// How many calls in a row make a sample that the device's clock resolves well.
i64 device_batch(double seconds);

// Seconds that the host takes to queue a call: the median of some bursts of calls, each of which
// begins with an idle device.
Expected<double> time_queueing(const runtime::Executable& executable,
                               std::span<const runtime::Leaf> leaves);

}  // namespace peri::driver
