// Tensors as kernels take and return them.
//
//   peri::Tensor x = peri::empty(peri::Dtype::F32, {1024, 512});
//   float* data = reinterpret_cast<float*>(x.data());
#pragma once

#include <string>

#include "runtime/device.h"
#include "runtime/npy.h"
#include "runtime/random.h"
#include "runtime/tensor.h"

namespace peri {

using runtime::Tensor;

using runtime::arange;
using runtime::convert;
using runtime::empty;
using runtime::full;
using runtime::rand;
using runtime::randint;
using runtime::randn;
using runtime::read_npy;
using runtime::write_npy;
using runtime::zeros;

// A copy in the memory of a device that is no CPU ("cuda", "cuda:1"), which is opened if need be.
// Fails with `unknown-device`, `no-driver`, `no-device`, `driver-too-old` and `out-of-memory`.
Expected<Tensor> to_device(const Tensor& tensor, const std::string& device);
// A copy on the host, after all that is queued on the tensor's device; itself if it is there.
using runtime::to_host;

}  // namespace peri
