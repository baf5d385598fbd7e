#include "runtime/guard.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "runtime/allocator.h"

namespace peri::runtime {
namespace {

constexpr i64 kGuardBytes = 4096;  // on each side: what a vector or a row too many may hit
constexpr std::byte kGuard{0xA5};

struct Guards {
  std::mutex mutex;
  std::map<std::byte*, i64> live;  // data, bytes
  std::optional<Error> violation;  // the first since the last verify()
};

Guards& guards() {
  static auto& instance = *new Guards;  // storages may outlive any order of destruction
  return instance;
}

void fill_guards(std::byte* data, i64 bytes) {
  std::memset(data - kGuardBytes, static_cast<int>(kGuard), kGuardBytes);
  std::memset(data + bytes, static_cast<int>(kGuard), kGuardBytes);
}

// The changed byte nearest to the storage.
std::optional<Error> violation_around(const std::byte* data, i64 bytes) {
  auto is_changed = [](std::byte b) { return b != kGuard; };
  const std::byte* after = data + bytes;
  const std::byte* hit = std::find_if(after, after + kGuardBytes, is_changed);
  if (hit != after + kGuardBytes) {
    return Error{
        "out-of-bounds-write",
        fmt::format("wrote {} bytes past the end of a tensor of {} bytes", hit - after + 1, bytes),
        ""};
  }
  for (i64 i = 1; i <= kGuardBytes; ++i) {
    if (!is_changed(data[-i])) continue;
    return Error{"out-of-bounds-write",
                 fmt::format("wrote {} bytes before a tensor of {} bytes", i, bytes), ""};
  }
  return std::nullopt;
}

// A violation is told once: the guards are as new afterwards.
void check(std::byte* data, i64 bytes, Guards& all) {
  std::optional<Error> found = violation_around(data, bytes);
  if (!found) return;
  fill_guards(data, bytes);
  if (!all.violation) all.violation = std::move(found);
}

void release(std::byte* data, i64 bytes) {
  Guards& all = guards();
  {
    const std::lock_guard lock(all.mutex);
    check(data, bytes, all);
    all.live.erase(data);
  }
  host_allocator().deallocate(data - kGuardBytes, bytes + 2 * kGuardBytes);
}

}  // namespace

std::atomic<int> GuardedAllocations::depth_ = 0;

GuardedAllocations::GuardedAllocations() { ++depth_; }
GuardedAllocations::~GuardedAllocations() { --depth_; }

Storage GuardedAllocations::allocate(i64 bytes) {
  std::byte* block = host_allocator().allocate(bytes + 2 * kGuardBytes);
  if (block == nullptr) return {};
  std::byte* data = block + kGuardBytes;
  fill_guards(data, bytes);
  std::memset(data, static_cast<int>(kPoison), static_cast<std::size_t>(bytes));
  const std::lock_guard lock(guards().mutex);
  guards().live[data] = bytes;
  auto free = [bytes](std::byte* at) { release(at, bytes); };
  return {data, bytes, std::shared_ptr<std::byte>(data, free)};
}

Expected<void> GuardedAllocations::verify() {
  Guards& all = guards();
  const std::lock_guard lock(all.mutex);
  for (const auto& [data, bytes] : all.live) check(data, bytes, all);
  if (!all.violation) return {};
  return std::unexpected(*std::exchange(all.violation, std::nullopt));
}

}  // namespace peri::runtime
