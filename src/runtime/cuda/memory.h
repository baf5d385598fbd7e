// Caching allocator of a device's memory: asking the driver takes longer than most kernels run, so
// freed blocks are kept for the next tensor of their size class.
#pragma once

#include <array>
#include <mutex>
#include <vector>

#include "runtime/cuda/driver.h"

namespace peri::cuda {

// Thread-safe. A block may be handed out again while work on it is still queued: all work of a
// device is queued in one order, but for that of a thread that works `Apart`. The driver is asked
// in the device's context, whichever is current.
class Memory {
 public:
  // While it lives, what this thread frees is for its own requests alone: a recording writes to
  // blocks that are free when it is made. One thread at a time, which has waited for the device
  // before it uses a block, and again before the end.
  class Apart {
   public:
    explicit Apart(Memory& memory);
    ~Apart();
    Apart(const Apart&) = delete;
    Apart& operator=(const Apart&) = delete;

   private:
    Memory& memory_;
  };

  Memory(const Driver& driver, Context context) : driver_(driver), context_(context) {}

  // Aligned to 256 bytes. Fails with `out-of-memory` after what is kept has been given back.
  Expected<Address> allocate(i64 bytes);
  // Takes back what allocate(bytes) gave.
  void release(Address block, i64 bytes);
  // Gives everything that is kept for this thread back to the driver.
  void trim();
  // Whether this thread works apart.
  bool is_apart() const;

  i64 live_bytes() const;
  i64 driver_calls() const;  // allocations that the driver made

  // What a request takes: eight classes an octave, so at most an eighth is slack.
  static i64 rounded_size(i64 bytes);

 private:
  static constexpr std::size_t kClasses = 400;
  using Kept = std::array<std::vector<Address>, kClasses>;
  static std::size_t class_of(i64 rounded);  // distinct for distinct rounded sizes
  Kept& kept() { return is_apart() ? kept_apart_ : kept_; }
  static void move(Kept& from, Kept& to);

  const Driver& driver_;
  Context context_;
  mutable std::mutex mutex_;
  Kept kept_, kept_apart_;
  i64 live_bytes_ = 0;
  i64 driver_calls_ = 0;
};

}  // namespace peri::cuda
