#include "runtime/cuda/memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace peri::cuda {

namespace {

constexpr i64 kSmallest = 512;
constexpr i64 kLargest = i64{1} << 48;

}  // namespace

i64 Memory::rounded_size(i64 bytes) {
  bytes = std::max(bytes, kSmallest);
  i64 step = std::max(kSmallest, static_cast<i64>(std::bit_floor(static_cast<u64>(bytes)) / 8));
  return (bytes + step - 1) / step * step;
}

Expected<Address> Memory::allocate(i64 bytes) {
  if (bytes > kLargest) {
    return fail("out-of-memory", fmt::format("no device has {} bytes", bytes));
  }
  i64 size = rounded_size(bytes);
  {
    std::lock_guard lock(mutex_);
    std::vector<Address>& blocks = kept_[size];
    if (!blocks.empty()) {
      Address block = blocks.back();
      blocks.pop_back();
      live_bytes_ += size;
      return block;
    }
  }
  Address block = 0;
  Status status = driver_.memory_alloc(&block, static_cast<std::size_t>(size));
  if (status == kOutOfMemory) {
    trim();
    status = driver_.memory_alloc(&block, static_cast<std::size_t>(size));
  }
  if (status != kSuccess) {
    return std::unexpected(
        error_of(driver_, status, fmt::format("cannot allocate {} bytes on the device", size)));
  }
  std::lock_guard lock(mutex_);
  live_bytes_ += size;
  ++driver_calls_;
  return block;
}

void Memory::release(Address block, i64 bytes) {
  i64 size = rounded_size(bytes);
  std::lock_guard lock(mutex_);
  kept_[size].push_back(block);
  live_bytes_ -= size;
}

void Memory::trim() {
  std::lock_guard lock(mutex_);
  for (const auto& [size, blocks] : kept_) {
    for (Address block : blocks) (void)driver_.memory_free(block);
  }
  kept_.clear();
}

i64 Memory::live_bytes() const {
  std::lock_guard lock(mutex_);
  return live_bytes_;
}

i64 Memory::driver_calls() const {
  std::lock_guard lock(mutex_);
  return driver_calls_;
}

}  // namespace peri::cuda
