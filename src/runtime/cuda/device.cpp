#include "runtime/cuda/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <mutex>

#include "runtime/cuda/code.h"
#include "runtime/cuda/memory.h"
#include "runtime/cuda/scope.h"
#include "runtime/cuda/stopwatch.h"

namespace peri::cuda {

using runtime::DeviceCode;
using runtime::DeviceProperties;
using runtime::Storage;

namespace {

constexpr int kOldestDriver = 12000;  // tensor maps and launch attributes
constexpr i64 kFlushTimes = 2;        // the L2 cache, to be written to empty it

Address address_of(const std::byte* at) { return reinterpret_cast<Address>(at); }

MapType map_type(Dtype dtype) {
  switch (dtype) {
    case Dtype::F16:
      return MapType::F16;
    case Dtype::BF16:
      return MapType::BF16;
    case Dtype::F32:
      return MapType::F32;
    case Dtype::I32:
      return MapType::I32;
    default:
      return size_of(dtype) == 1 ? MapType::U8 : size_of(dtype) == 2 ? MapType::U16 : MapType::U32;
  }
}

class CudaDevice final : public runtime::Device {
 public:
  CudaDevice(const Driver& driver, DeviceProperties properties, Context context, Stream stream)
      : driver_(driver),
        properties_(std::move(properties)),
        context_(context),
        stream_(stream),
        memory_(std::make_shared<Memory>(driver, context)) {}

  const DeviceProperties& properties() const override { return properties_; }

  Expected<Storage> allocate(i64 bytes) override {
    auto block = memory_->allocate(bytes);
    if (!block) return std::unexpected(block.error());
    Address at = *block;
    auto* data = reinterpret_cast<std::byte*>(at);
    auto release = [memory = memory_, at, bytes](void*) { memory->release(at, bytes); };
    return Storage{data, bytes, std::shared_ptr<void>(data, std::move(release)), this};
  }

  Expected<Storage> allocate_host(i64 bytes) override {
    Scope scope(driver_, context_);
    void* block = nullptr;
    Status status = driver_.host_alloc(&block, static_cast<std::size_t>(std::max<i64>(bytes, 1)));
    if (auto done = check(status, "locking host memory"); !done) {
      return std::unexpected(done.error());
    }
    auto release = [&driver = driver_, context = context_](void* at) {
      Scope scope(driver, context);
      (void)driver.host_free(at);
    };
    return Storage{static_cast<std::byte*>(block), bytes,
                   std::shared_ptr<void>(block, std::move(release))};
  }

  Expected<void> copy_in(std::byte* to, const std::byte* from, i64 bytes) override {
    if (bytes == 0) return {};
    Scope scope(driver_, context_);
    auto size = static_cast<std::size_t>(bytes);
    return check(driver_.copy_in(address_of(to), from, size, stream()), "copying to the device");
  }

  Expected<void> copy_out(std::byte* to, const std::byte* from, i64 bytes) override {
    if (bytes == 0) return {};
    Scope scope(driver_, context_);
    auto size = static_cast<std::size_t>(bytes);
    Status status = driver_.copy_out(to, address_of(from), size, stream());
    if (status == kSuccess) status = driver_.stream_synchronize(stream());
    return check(status, "copying from the device");
  }

  Expected<void> copy(std::byte* to, const std::byte* from, i64 bytes) override {
    if (bytes == 0) return {};
    Scope scope(driver_, context_);
    auto size = static_cast<std::size_t>(bytes);
    return check(driver_.copy(address_of(to), address_of(from), size, stream()),
                 "copying on the device");
  }

  Expected<void> fill(std::byte* to, i64 count, std::span<const std::byte> element) override {
    if (count == 0) return {};
    Scope scope(driver_, context_);
    return check(set(address_of(to), static_cast<std::size_t>(count), element), "filling a tensor");
  }

  Expected<std::shared_ptr<DeviceCode>> load(const backends::Artifact& artifact) override {
    Scope scope(driver_, context_);
    auto code = std::make_shared<Code>(driver_, context_, stream_);
    if (auto loaded = code->load(artifact); !loaded) return std::unexpected(loaded.error());
    return code;
  }

  Expected<void> launch(const DeviceCode& code, i64 index, const std::array<i64, 3>& grid,
                        void** params) override {
    const auto& loaded = static_cast<const Code&>(code);
    if (auto fits = loaded.check_grid(index, grid); !fits) return fits;
    Status status = loaded.launch(index, grid, params, stream());
    // The driver refuses to launch in another context: it is asked which one is current only then.
    if (status != kSuccess && !is_current(driver_, context_)) {
      Scope scope(driver_, context_);
      status = loaded.launch(index, grid, params, stream());
    }
    return check(status, "launching a kernel");
  }

  Expected<void> encode(const runtime::TensorMapRequest& request, std::byte* to) override {
    Scope scope(driver_, context_);
    std::array<u64, runtime::kMostMapRank> sizes{}, strides{};
    std::array<unsigned, runtime::kMostMapRank> box{}, steps{1, 1, 1, 1, 1};
    auto rank = static_cast<unsigned>(request.box.size());
    auto element = static_cast<u64>(size_of(request.dtype));
    for (unsigned d = 0; d < rank; ++d) {  // the driver has the fastest first
      unsigned from = rank - 1 - d;
      sizes[d] = static_cast<u64>(request.sizes[from]);
      box[d] = static_cast<unsigned>(request.box[from]);
      if (d > 0) strides[d - 1] = element * static_cast<u64>(request.strides[from]);
    }
    Status status = driver_.encode_tiled(reinterpret_cast<TensorMap*>(to), map_type(request.dtype),
                                         rank, request.address, sizes.data(), strides.data(),
                                         box.data(), steps.data(), 0,
                                         static_cast<int>(request.swizzle), kPromotionL2_128B, 0);
    return check(status, "describing a tensor to the copy engine");
  }

  Expected<void> synchronize() override {
    Scope scope(driver_, context_);
    return check(driver_.stream_synchronize(stream()), "waiting for the device");
  }

  Expected<std::vector<double>> time(FunctionRef<Expected<void>()> call,
                                     const runtime::DeviceTimeRequest& request) override {
    std::lock_guard lock(timing_);  // two at once would be in each other's times
    Scope scope(driver_, context_);
    if (timing_stream_ == nullptr) {
      auto made = check(driver_.stream_create(&timing_stream_, kStreamNonBlocking),
                        "making a stream to time on");
      if (!made) return std::unexpected(made.error());
    }
    if (request.cold && flush_.data == nullptr) {
      auto buffer = allocate(kFlushTimes * properties_.l2_bytes);
      if (!buffer) return std::unexpected(buffer.error());
      flush_ = std::move(*buffer);
    }
    Memory::Apart apart(*memory_);
    // What the calls read may still be in the making.
    auto ready = check(driver_.stream_synchronize(stream_), "waiting for the device");
    if (!ready) return std::unexpected(ready.error());
    Stopwatch stopwatch(driver_, timing_stream_);
    if (!request.cold) return stopwatch.time(call, request.samples, request.batch);
    auto flush = [&] {
      return check(driver_.set_8(address_of(flush_.data), 0, static_cast<std::size_t>(flush_.bytes),
                                 stream()),
                   "flushing the device's cache");
    };
    return stopwatch.time_flushed(call, flush, request.samples, request.batch);
  }

 private:
  // Work of other threads goes on while one times, and stays out of what it records.
  Stream stream() const { return memory_->is_apart() ? timing_stream_ : stream_; }

  Expected<void> check(Status status, std::string_view what) const {
    if (status == kSuccess) return {};
    return std::unexpected(error_of(driver_, status, what));
  }

  Status set(Address to, std::size_t count, std::span<const std::byte> element) const {
    u64 bits = 0;
    std::memcpy(&bits, element.data(), element.size());
    auto low = static_cast<unsigned>(bits), high = static_cast<unsigned>(bits >> 32);
    switch (element.size()) {
      case 1:
        return driver_.set_8(to, static_cast<unsigned char>(bits), count, stream());
      case 2:
        return driver_.set_16(to, static_cast<unsigned short>(bits), count, stream());
      case 4:
        return driver_.set_32(to, low, count, stream());
      default:
        break;
    }
    if (low == high) return driver_.set_32(to, low, 2 * count, stream());
    Status status = driver_.set_2d_32(to, 8, low, 1, count, stream());
    return status == kSuccess ? driver_.set_2d_32(to + 4, 8, high, 1, count, stream()) : status;
  }

  const Driver& driver_;
  DeviceProperties properties_;
  Context context_;
  Stream stream_;
  std::mutex timing_;
  Stream timing_stream_ = nullptr;
  std::shared_ptr<Memory> memory_;
  Storage flush_;
};

}  // namespace

Expected<DeviceProperties> properties_of(const Driver& driver, i64 index) {
  int version = 0, count = 0;
  DeviceNumber device = 0;
  Status status = driver.driver_version(&version);
  if (status == kSuccess) status = driver.device_count(&count);
  if (status == kSuccess && count <= index) {
    return fail("no-device",
                fmt::format("there is no device {}: this machine has {}", index, count),
                "`nvidia-smi` lists the devices; see CUDA_VISIBLE_DEVICES too");
  }
  if (status == kSuccess && version < kOldestDriver) {
    return fail("driver-too-old",
                fmt::format("the driver is for CUDA {}.{}", version / 1000, version % 1000 / 10),
                "install one for CUDA 12 or newer (525 or newer)");
  }
  if (status == kSuccess) status = driver.device_get(&device, static_cast<int>(index));
  char name[256] = {};
  std::size_t memory = 0;
  if (status == kSuccess) status = driver.device_name(name, sizeof name - 1, device);
  if (status == kSuccess) status = driver.device_memory(&memory, device);
  auto attribute = [&](Attribute which) -> i64 {
    int value = 0;
    if (status == kSuccess) status = driver.device_attribute(&value, which, device);
    return value;
  };
  DeviceProperties properties;
  i64 capability = 10 * attribute(kCapabilityMajor) + attribute(kCapabilityMinor);
  properties.target = fmt::format("sm_{}", capability);
  properties.name = name;
  properties.driver = fmt::format("{}.{}", version / 1000, version % 1000 / 10);
  properties.multiprocessors = attribute(kMultiprocessorCount);
  properties.memory_bytes = static_cast<i64>(memory);
  properties.l2_bytes = attribute(kL2CacheSize);
  properties.shared_bytes = attribute(kSharedMemoryPerBlockOptin);
  if (status == kSuccess) return properties;
  return std::unexpected(error_of(driver, status, "asking for the device's properties"));
}

Expected<std::shared_ptr<runtime::Device>> open(const Driver& driver, i64 index) {
  auto properties = properties_of(driver, index);
  if (!properties) return std::unexpected(properties.error());
  DeviceNumber device = 0;
  Context context = nullptr;
  Stream stream = nullptr;
  Status status = driver.device_get(&device, static_cast<int>(index));
  if (status == kSuccess) status = driver.context_retain(&context, device);
  if (status == kSuccess) status = driver.context_set(context);
  if (status == kSuccess) status = driver.stream_create(&stream, kStreamNonBlocking);
  if (status != kSuccess) {
    return std::unexpected(error_of(driver, status, fmt::format("opening device {}", index)));
  }
  return std::make_shared<CudaDevice>(driver, std::move(*properties), context, stream);
}

namespace {

// Stays loaded: devices and tensors refer to it.
struct LocalDriver {
  std::mutex mutex;
  const Driver* loaded = nullptr;
};

LocalDriver& local() {
  static LocalDriver instance;
  return instance;
}

Expected<const Driver*> local_driver() {
  std::lock_guard lock(local().mutex);
  if (local().loaded != nullptr) return local().loaded;
  auto driver = load_driver();
  if (!driver) return std::unexpected(driver.error());
  local().loaded = new Driver(*driver);
  return local().loaded;
}

}  // namespace

void use_as_local(const Driver& driver) {
  std::lock_guard lock(local().mutex);
  local().loaded = new Driver(driver);
}

Expected<DeviceProperties> local_properties(i64 index) {
  auto driver = local_driver();
  if (!driver) return std::unexpected(driver.error());
  return properties_of(**driver, index);
}

Expected<std::shared_ptr<runtime::Device>> open_local(i64 index) {
  auto driver = local_driver();
  if (!driver) return std::unexpected(driver.error());
  return open(**driver, index);
}

}  // namespace peri::cuda
