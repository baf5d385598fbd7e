#include "runtime/cuda/memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "runtime/cuda/scope.h"

namespace peri::cuda {

namespace {

constexpr i64 kSmallest = 512;
constexpr i64 kLargest = i64{1} << 48;

thread_local const Memory* apart_here = nullptr;

i64 class_step(i64 bytes) {
  return std::max(kSmallest, static_cast<i64>(std::bit_floor(static_cast<u64>(bytes)) / 8));
}

}  // namespace

i64 Memory::rounded_size(i64 bytes) {
  bytes = std::max(bytes, kSmallest);
  i64 step = class_step(bytes);
  return (bytes + step - 1) / step * step;
}

std::size_t Memory::class_of(i64 rounded) {
  auto octave = static_cast<i64>(std::bit_width(static_cast<u64>(rounded)));
  return static_cast<std::size_t>(octave * 8 + rounded / class_step(rounded) % 8);
}

bool Memory::is_apart() const { return apart_here == this; }

void Memory::move(Kept& from, Kept& to) {
  for (std::size_t c = 0; c < kClasses; ++c) {
    to[c].insert(to[c].end(), from[c].begin(), from[c].end());
    from[c].clear();
  }
}

Memory::Apart::Apart(Memory& memory) : memory_(memory) {
  std::lock_guard lock(memory.mutex_);
  move(memory.kept_, memory.kept_apart_);
  apart_here = &memory;
}

Memory::Apart::~Apart() {
  std::lock_guard lock(memory_.mutex_);
  move(memory_.kept_apart_, memory_.kept_);
  apart_here = nullptr;
}

Expected<Address> Memory::allocate(i64 bytes) {
  if (bytes > kLargest) {
    return fail("out-of-memory", fmt::format("no device has {} bytes", bytes));
  }
  i64 size = rounded_size(bytes);
  {
    std::lock_guard lock(mutex_);
    std::vector<Address>& blocks = kept()[class_of(size)];
    if (!blocks.empty()) {
      Address block = blocks.back();
      blocks.pop_back();
      live_bytes_ += size;
      return block;
    }
  }
  Scope scope(driver_, context_);
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
  kept()[class_of(size)].push_back(block);
  live_bytes_ -= size;
}

void Memory::trim() {
  Scope scope(driver_, context_);
  std::lock_guard lock(mutex_);
  if (is_apart()) move(kept_, kept_apart_);
  for (std::vector<Address>& blocks : kept()) {
    for (Address block : blocks) (void)driver_.memory_free(block);
    blocks.clear();
  }
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
