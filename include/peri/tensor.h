// Tensors as kernels take and return them.
//
//   peri::Tensor x = peri::empty(peri::Dtype::F32, {1024, 512});
//   float* data = reinterpret_cast<float*>(x.data());
#pragma once

#include <string>
#include <vector>

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
// A view of memory of such a device that another library owns, a torch tensor's `data_ptr()`, say:
// nothing is copied, and the memory must outlive all use of the view. Work of this library is
// queued on a stream of its own, which waits for no other: let the owner's work end first, and
// runtime::Device::synchronize() or to_host() before the owner reads what a call wrote. The
// device's primary context is used, as torch does. `strides` in elements; none: contiguous. Errors:
// of to_device, `tensor-size`, and `bad-argument` (sizes and strides of unequal number).
Expected<Tensor> from_device_pointer(void* data, Dtype dtype, std::vector<i64> sizes,
                                     std::vector<i64> strides, const std::string& device);
// Waits for all calls that are queued on a device.
Expected<void> synchronize(const std::string& device);
// A copy on the host, after all that is queued on the tensor's device; itself if it is there.
using runtime::to_host;

}  // namespace peri
