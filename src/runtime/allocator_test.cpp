#include "runtime/allocator.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <thread>
#include <vector>

namespace peri::runtime {
namespace {

constexpr i64 kMiB = i64{1} << 20;

bool aligned(const std::byte* block, i64 to) {
  return reinterpret_cast<std::uintptr_t>(block) % static_cast<std::uintptr_t>(to) == 0;
}

TEST(Allocator, SizeClassesWasteAtMostAnEighth) {
  EXPECT_EQ(Allocator::rounded_size(0), 64);
  EXPECT_EQ(Allocator::rounded_size(65), 128);
  EXPECT_EQ(Allocator::rounded_size(kMiB), 2 * kMiB);
  EXPECT_EQ(Allocator::rounded_size(33 * kMiB), 36 * kMiB);
  EXPECT_EQ(Allocator::rounded_size(i64{1} << 60), -1);
  for (i64 bytes = 1; bytes < 64 * kMiB; bytes += bytes / 7 + 1) {
    const i64 rounded = Allocator::rounded_size(bytes);
    EXPECT_GE(rounded, bytes);
    EXPECT_EQ(Allocator::rounded_size(rounded), rounded);
    if (bytes >= 512 && bytes < kMiB / 2) EXPECT_LE(rounded, bytes + bytes / 8);
  }
}

TEST(Allocator, ReusesBlocksOfAClass) {
  Allocator allocator(64 * kMiB);
  const std::pair<i64, i64> sizes[] = {{1, Allocator::kAlignment},
                                       {1000, Allocator::kAlignment},
                                       {4000, Allocator::kPage},
                                       {10000, Allocator::kPage},
                                       {3 * kMiB, Allocator::kHugePage}};
  for (const auto& [bytes, alignment] : sizes) {
    std::byte* block = allocator.allocate(bytes);
    ASSERT_NE(block, nullptr);
    EXPECT_TRUE(aligned(block, alignment)) << bytes;
    std::memset(block, 1, static_cast<std::size_t>(bytes));
    allocator.deallocate(block, bytes);
    EXPECT_EQ(allocator.allocate(bytes), block);
    allocator.deallocate(block, bytes);
  }
  EXPECT_EQ(allocator.stats().allocations, 10);
  EXPECT_EQ(allocator.stats().reused, 5);
  EXPECT_EQ(allocator.stats().live_bytes, 0);
  EXPECT_EQ(allocator.stats().cached_bytes, 64 + 1024 + 4096 + 10240 + 4 * kMiB);
  EXPECT_EQ(allocator.stats().peak_bytes, 4 * kMiB);
  allocator.trim(0);
  EXPECT_EQ(allocator.stats().cached_bytes, 0);
}

TEST(Allocator, DistinctSizesNeverShareABlock) {
  Allocator allocator(i64{1} << 40);
  std::set<i64> sizes;
  for (i64 bytes = 1; bytes < 300 * kMiB; bytes += bytes / 9 + 1) {
    sizes.insert(Allocator::rounded_size(bytes));
  }
  for (i64 size : sizes) allocator.deallocate(allocator.allocate(size), size);
  EXPECT_EQ(allocator.stats().reused, 0);
}

TEST(Allocator, DropsTheOldestBeyondTheLimit) {
  Allocator allocator(10 * kMiB);
  std::byte* first = allocator.allocate(4 * kMiB);
  std::byte* second = allocator.allocate(6 * kMiB);
  std::byte* third = allocator.allocate(2 * kMiB);
  allocator.deallocate(first, 4 * kMiB);
  allocator.deallocate(second, 6 * kMiB);
  EXPECT_EQ(allocator.stats().cached_bytes, 10 * kMiB);
  allocator.deallocate(third, 2 * kMiB);  // `first` goes
  EXPECT_EQ(allocator.stats().cached_bytes, 8 * kMiB);
  allocator.deallocate(allocator.allocate(12 * kMiB), 12 * kMiB);  // never kept
  EXPECT_EQ(allocator.stats().cached_bytes, 8 * kMiB);
  allocator.set_cache_limit(3 * kMiB);
  EXPECT_EQ(allocator.stats().cached_bytes, 2 * kMiB);
  EXPECT_EQ(allocator.allocate(2 * kMiB), third);
  allocator.deallocate(third, 2 * kMiB);
}

TEST(Allocator, RefusesWhatCannotExist) {
  Allocator allocator(0);
  EXPECT_EQ(allocator.allocate(i64{1} << 50), nullptr);
  EXPECT_EQ(allocator.allocate(i64{1} << 62), nullptr);
  EXPECT_EQ(allocator.stats().allocations, 0);
}

TEST(Allocator, ThreadsGetDisjointBlocks) {
  Allocator allocator(2 * kMiB);
  const auto work = [&](int seed) {
    std::vector<std::pair<std::byte*, i64>> held;
    for (int i = 0; i < 3000; ++i) {
      const i64 bytes = (i * 37 + seed * 101) % 5000 + 8;
      std::byte* block = allocator.allocate(bytes);
      std::memset(block, seed, static_cast<std::size_t>(bytes));
      held.emplace_back(block, bytes);
      if (held.size() > 8) {
        const auto [old, size] = held.front();
        for (i64 k = 0; k < size; ++k) ASSERT_EQ(old[k], static_cast<std::byte>(seed));
        allocator.deallocate(old, size);
        held.erase(held.begin());
      }
    }
    for (const auto& [block, size] : held) allocator.deallocate(block, size);
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) threads.emplace_back(work, t + 1);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(allocator.stats().live_bytes, 0);
}

}  // namespace
}  // namespace peri::runtime
