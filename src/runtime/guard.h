// Guarded allocations: a debugging aid that finds writes out of bounds and results that were never
// written.
#pragma once

#include <atomic>

#include "base/expected.h"
#include "runtime/tensor.h"

namespace peri::runtime {

// While one lives, what runtime::allocate() and allocate_on() hand out is filled with kPoison (a
// NaN in every float dtype) and stands between guard bytes. Storages may outlive the scope; they
// stay guarded, but what is freed of a device is looked at by a verify() within it, or never.
class GuardedAllocations {
 public:
  static constexpr std::byte kPoison{0xFF};

  GuardedAllocations();
  ~GuardedAllocations();
  GuardedAllocations(const GuardedAllocations&) = delete;
  GuardedAllocations& operator=(const GuardedAllocations&) = delete;

  static bool active() { return depth_.load(std::memory_order_relaxed) > 0; }
  // A guarded storage, or one without data if there is no memory.
  static Storage allocate(i64 bytes);
  // The same in a device's memory; errors of Device::allocate.
  static Expected<Storage> allocate(Device& device, i64 bytes);
  // Fails with `out-of-bounds-write` if bytes around a guarded storage, live or freed since the
  // last call, have changed. Waits for devices that have any; their errors come too.
  static Expected<void> verify();

 private:
  static std::atomic<int> depth_;
};

}  // namespace peri::runtime
