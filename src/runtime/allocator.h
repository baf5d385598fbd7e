// Caching allocator of host memory: first touches of fresh pages cost more than most kernels, so
// freed blocks are kept, pages and all, for the next tensor of their size class.
#pragma once

#include <array>
#include <cstddef>
#include <mutex>

#include "base/ids.h"

namespace peri::runtime {

struct AllocatorStats {
  i64 allocations = 0;   // calls that got a block
  i64 reused = 0;        // of these, served from kept blocks
  i64 live_bytes = 0;    // handed out, rounded up to size classes
  i64 peak_bytes = 0;    // largest live_bytes so far
  i64 cached_bytes = 0;  // kept for reuse
};

// Thread-safe. Blocks are aligned to 64 bytes, from 4 KiB on to 4 KiB; from 1 MiB on they are whole
// huge pages, aligned to 2 MiB. Contents of a block are whatever was there.
//
// Processors take a load for dependent on an earlier store whose address has the same low 12 bits.
// Where tensors begin is therefore not left to chance, which makes the same code 10 % slower in one
// process than in the next.
class Allocator {
 public:
  static constexpr i64 kAlignment = 64;
  static constexpr i64 kPage = 4096;
  static constexpr i64 kHugeBytes = i64{1} << 20;  // from here on blocks are mapped
  static constexpr i64 kHugePage = i64{1} << 21;

  explicit Allocator(i64 cache_limit) : cache_limit_(cache_limit) {}
  ~Allocator() { trim(0); }
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  // A block of at least `bytes` (>= 0) bytes; nullptr if the system has none.
  std::byte* allocate(i64 bytes);
  // Returns a block that `allocate(bytes)` handed out.
  void deallocate(std::byte* block, i64 bytes);

  // Gives kept blocks back to the system, longest unused first, until at most `limit` bytes are
  // kept.
  void trim(i64 limit);
  // Bytes that may be kept from now on.
  void set_cache_limit(i64 bytes);
  AllocatorStats stats() const;

  // The bytes that a request takes; none beyond what can exist give -1.
  static i64 rounded_size(i64 bytes);

 private:
  // Lies in each kept block: links of its size class and, by age, of all classes.
  struct Free {
    Free* next;
    Free* previous;
    Free* newer;
    Free* older;
    i64 size;
  };
  static_assert(sizeof(Free) <= kAlignment);
  static constexpr int kClasses = 512;

  std::byte* pop(int index, i64 size);
  void push(std::byte* block, int index, i64 size);
  void unlink(Free* block, int index);
  // Takes the oldest kept blocks until `limit` holds: a list through `next`, to release unlocked.
  Free* take_beyond(i64 limit);
  static void release(Free* list);

  mutable std::mutex mutex_;
  std::array<Free*, kClasses> classes_{};
  Free* newest_ = nullptr;
  Free* oldest_ = nullptr;
  i64 cache_limit_;
  AllocatorStats stats_;

  friend Allocator& host_allocator();
};

// The allocator of host tensors; it lives until the process ends. Keeps up to a quarter of memory.
Allocator& host_allocator();

}  // namespace peri::runtime
