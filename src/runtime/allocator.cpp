#include "runtime/allocator.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <new>

#include "base/sanitizers.h"

namespace peri::runtime {
namespace {

constexpr i64 kLargest = i64{1} << 56;

i64 round_up(i64 value, i64 multiple) { return (value + multiple - 1) / multiple * multiple; }

// Eight classes an octave: at most an eighth of a block is slack.
i64 class_step(i64 bytes) {
  return std::max(Allocator::kAlignment,
                  static_cast<i64>(std::bit_floor(static_cast<u64>(bytes)) / 8));
}

// Distinct for distinct rounded sizes.
int class_of(i64 rounded) {
  const i64 octave = std::bit_width(static_cast<u64>(rounded));
  return static_cast<int>(octave * 8 + rounded / class_step(rounded) % 8);
}

std::byte* map_huge(i64 size) {
  const i64 padded = size + Allocator::kHugePage;
  void* base = mmap(nullptr, static_cast<std::size_t>(padded), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return nullptr;
  auto* begin = static_cast<std::byte*>(base);
  const auto address = reinterpret_cast<std::uintptr_t>(base);
  const i64 lead =
      round_up(static_cast<i64>(address), Allocator::kHugePage) - static_cast<i64>(address);
  const i64 tail = padded - lead - size;
  if (lead > 0) munmap(begin, static_cast<std::size_t>(lead));
  if (tail > 0) munmap(begin + lead + size, static_cast<std::size_t>(tail));
  madvise(begin + lead, static_cast<std::size_t>(size), MADV_HUGEPAGE);  // a hint: may be refused
  return begin + lead;
}

std::byte* system_allocate(i64 size) {
  if (size >= Allocator::kHugeBytes) return map_huge(size);
  const i64 alignment = size >= Allocator::kPage ? Allocator::kPage : Allocator::kAlignment;
  return static_cast<std::byte*>(
      std::aligned_alloc(static_cast<std::size_t>(alignment), static_cast<std::size_t>(size)));
}

void system_free(void* block, i64 size) {
  if (size >= Allocator::kHugeBytes) {
    munmap(block, static_cast<std::size_t>(size));
  } else {
    std::free(block);
  }
}

i64 default_limit() {
  if (kAddressSanitizer) return 0;  // every use after free is seen
  const i64 pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 ? pages / 4 * page : i64{1} << 30;
}

}  // namespace

i64 Allocator::rounded_size(i64 bytes) {
  if (bytes > kLargest) return -1;
  const i64 size = round_up(std::max<i64>(bytes, 1), class_step(std::max<i64>(bytes, 1)));
  return size >= kHugeBytes ? round_up(size, kHugePage) : size;
}

std::byte* Allocator::allocate(i64 bytes) {
  const i64 size = rounded_size(bytes);
  if (size < 0) return nullptr;
  std::byte* block = pop(class_of(size), size);
  if (block != nullptr) return block;
  block = system_allocate(size);
  if (block == nullptr) {
    trim(0);
    block = system_allocate(size);
    if (block == nullptr) return nullptr;
  }
  const std::lock_guard lock(mutex_);
  ++stats_.allocations;
  stats_.live_bytes += size;
  stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.live_bytes);
  return block;
}

void Allocator::deallocate(std::byte* block, i64 bytes) {
  if (block == nullptr) return;
  const i64 size = rounded_size(bytes);
  Free* surplus = nullptr;
  bool keep;
  {
    const std::lock_guard lock(mutex_);
    stats_.live_bytes -= size;
    keep = size <= cache_limit_;
    if (keep) {
      push(block, class_of(size), size);
      if (stats_.cached_bytes > cache_limit_) surplus = take_beyond(cache_limit_);
    }
  }
  if (!keep) system_free(block, size);
  release(surplus);
}

void Allocator::trim(i64 limit) {
  Free* surplus;
  {
    const std::lock_guard lock(mutex_);
    surplus = take_beyond(limit);
  }
  release(surplus);
}

void Allocator::set_cache_limit(i64 bytes) {
  {
    const std::lock_guard lock(mutex_);
    cache_limit_ = bytes;
  }
  trim(bytes);
}

AllocatorStats Allocator::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

std::byte* Allocator::pop(int index, i64 size) {
  const std::lock_guard lock(mutex_);
  Free* block = classes_[static_cast<std::size_t>(index)];
  if (block == nullptr) return nullptr;
  unlink(block, index);
  ++stats_.allocations;
  ++stats_.reused;
  stats_.live_bytes += size;
  stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.live_bytes);
  return reinterpret_cast<std::byte*>(block);
}

void Allocator::push(std::byte* bytes, int index, i64 size) {
  Free*& head = classes_[static_cast<std::size_t>(index)];
  auto* block = new (bytes) Free{head, nullptr, nullptr, newest_, size};
  if (head != nullptr) head->previous = block;
  head = block;
  (newest_ != nullptr ? newest_->newer : oldest_) = block;
  newest_ = block;
  stats_.cached_bytes += size;
}

void Allocator::unlink(Free* block, int index) {
  Free*& head = classes_[static_cast<std::size_t>(index)];
  (block->previous != nullptr ? block->previous->next : head) = block->next;
  if (block->next != nullptr) block->next->previous = block->previous;
  (block->newer != nullptr ? block->newer->older : newest_) = block->older;
  (block->older != nullptr ? block->older->newer : oldest_) = block->newer;
  stats_.cached_bytes -= block->size;
}

Allocator::Free* Allocator::take_beyond(i64 limit) {
  Free* list = nullptr;
  while (oldest_ != nullptr && stats_.cached_bytes > limit) {
    Free* block = oldest_;
    unlink(block, class_of(block->size));
    block->next = list;
    list = block;
  }
  return list;
}

void Allocator::release(Free* list) {
  while (list != nullptr) {
    Free* next = list->next;
    system_free(list, list->size);
    list = next;
  }
}

Allocator& host_allocator() {
  // Never destroyed: tensors of static storage duration may outlive any order of destruction.
  static auto& allocator = *new Allocator(default_limit());
  [[maybe_unused]] static const int registered =
      pthread_atfork([] { allocator.mutex_.lock(); }, [] { allocator.mutex_.unlock(); },
                     [] { allocator.mutex_.unlock(); });
  return allocator;
}

}  // namespace peri::runtime
