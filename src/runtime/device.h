// Devices with memory of their own, as the runtime uses them: allocate, copy, load, launch, time.
//
// Work is queued: a device does it in the order of the calls, later. An error of queued work, such
// as an access outside of memory, comes from whatever call waits next. After an error with the code
// `device-fault` the process can use the device no more.
//
// Errors of all calls: `device-fault`, `device-lost`, `launch-failed`, `device-error` (anything
// else the driver says), and what stands beside a call.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backends/artifact.h"
#include "base/expected.h"
#include "base/function_ref.h"
#include "runtime/tensor.h"

namespace peri::runtime {

struct DeviceProperties {
  std::string target;  // what code is made for, as backends name it: "sm_90"
  std::string name;    // as the device names itself
  std::string driver;  // version of its interface
  i64 multiprocessors = 0;
  i64 memory_bytes = 0;
  i64 l2_bytes = 0;
  i64 shared_bytes = 0;  // of one program, at most

  // Changes whenever tuning results may.
  std::string fingerprint() const;
  // "NVIDIA H200, 132 multiprocessors, L2 60M, 139.8 GiB, driver 13.0"
  std::string describe() const;
};

// Functions of an artifact, loaded.
class DeviceCode {
 public:
  virtual ~DeviceCode() = default;
};

// A tensor map for the addresses, sizes and strides of one call, in elements.
struct TensorMapRequest {
  std::byte* address = nullptr;
  Dtype dtype = Dtype::F32;
  std::span<const i64> sizes, strides;  // slowest first, as `box`
  std::span<const i64> box;
  i64 swizzle = 0;
};
inline constexpr i64 kTensorMapBytes = 128, kTensorMapAlignment = 64;
inline constexpr std::size_t kMostMapRank = 5;

struct DeviceTimeRequest {
  i64 samples = 1;
  i64 batch = 1;      // calls in a row, of which the mean is taken
  bool cold = false;  // the device's caches are flushed before each
};

class Device {
 public:
  virtual ~Device() = default;
  virtual const DeviceProperties& properties() const = 0;

  // A block of the device's caching allocator, aligned to 256 bytes. A freed block may be handed
  // out again at once: work on it is queued behind what was queued before. Fails with
  // `out-of-memory`.
  virtual Expected<Storage> allocate(i64 bytes) = 0;
  // Host memory that the device copies to and from at full speed. To be kept: making it is slow.
  // Fails with `out-of-memory`.
  virtual Expected<Storage> allocate_host(i64 bytes) = 0;
  // To the device, from host memory that may change as soon as this returns.
  virtual Expected<void> copy_in(std::byte* to, const std::byte* from, i64 bytes) = 0;
  // To the host; waits.
  virtual Expected<void> copy_out(std::byte* to, const std::byte* from, i64 bytes) = 0;
  virtual Expected<void> copy(std::byte* to, const std::byte* from, i64 bytes) = 0;
  // `count` elements of 1, 2, 4 or 8 bytes.
  virtual Expected<void> fill(std::byte* to, i64 count, std::span<const std::byte> element) = 0;

  // Loads the images of an artifact. Fails with `bad-image` (damaged, or of another target), and
  // with `driver-too-old`.
  virtual Expected<std::shared_ptr<DeviceCode>> load(const backends::Artifact& artifact) = 0;
  // Launches function `index` of `code`; `params` point to its parameters, which are copied. Fails
  // with `grid-too-large` where a grid has more programs than the device counts.
  virtual Expected<void> launch(const DeviceCode& code, i64 index, const std::array<i64, 3>& grid,
                                void** params) = 0;
  // Writes kTensorMapBytes to `to`, which is aligned to kTensorMapAlignment.
  virtual Expected<void> encode(const TensorMapRequest& request, std::byte* to) = 0;
  // Waits for all that is queued.
  virtual Expected<void> synchronize() = 0;

  // Seconds of `call`, which queues work, on the device; one number a sample. Short calls are
  // replayed from a recording, so that the host's time does not count; what flushing takes is
  // measured alone and subtracted.
  virtual Expected<std::vector<double>> time(FunctionRef<Expected<void>()> call,
                                             const DeviceTimeRequest& request) = 0;
};

// Whether devices of this name have memory of their own, and are to be opened.
bool is_device(std::string_view name);
// Their names, of which there is at least one.
std::vector<std::string_view> device_names();

// The `index`-th device of that name, opened once a process. Fails with `no-driver`, `no-device`
// and `driver-too-old`.
Expected<std::shared_ptr<Device>> open_device(std::string_view name, i64 index);

// What open_device would find, without opening it in this process: a child does, so that processes
// forked later can open it. Of a device that is open already, at once.
Expected<DeviceProperties> probe_device(std::string_view name, i64 index);
// The same of several, by one child; of all that there are if none is named.
Expected<std::vector<DeviceProperties>> probe_devices(std::string_view name,
                                                      std::span<const i64> indices);

// A block of the device's; between guard bytes while GuardedAllocations are active.
Expected<Storage> allocate_on(Device& device, i64 bytes);

// A copy with the same sizes, strides and offset in a copy of the whole storage.
Expected<Tensor> to_device(const Tensor& tensor, Device& device);
Expected<Tensor> to_host(const Tensor& tensor);  // itself if it is there

}  // namespace peri::runtime
