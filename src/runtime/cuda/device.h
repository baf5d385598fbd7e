// An NVIDIA GPU through its driver. Shares the device's primary context with whatever else uses it
// in this process, such as PyTorch.
#pragma once

#include <memory>

#include "runtime/cuda/driver.h"
#include "runtime/device.h"

namespace peri::cuda {

// What the driver says of the `index`-th device; makes no context. Fails with `no-device`.
Expected<runtime::DeviceProperties> properties_of(const Driver& driver, i64 index);

// `driver` must outlive the device and all its tensors. Fails with `no-device` and
// `out-of-memory`.
Expected<std::shared_ptr<runtime::Device>> open(const Driver& driver, i64 index);

// The same with this machine's driver, which is loaded when first asked for; errors of load_driver
// too.
Expected<runtime::DeviceProperties> local_properties(i64 index);
Expected<std::shared_ptr<runtime::Device>> open_local(i64 index);
// Takes `driver` for this machine's from now on; for tests.
void use_as_local(const Driver& driver);

}  // namespace peri::cuda
