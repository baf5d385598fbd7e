#include "runtime/guard.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "runtime/allocator.h"
#include "runtime/device.h"

namespace peri::runtime {
namespace {

constexpr i64 kGuardBytes = 4096;  // on each side: what a vector or a row too many may hit
constexpr std::byte kGuard{0xA5};

struct Guarded {
  i64 bytes = 0;
  Device* device = nullptr;  // null: the host's
};

// Of a device: work that may write there is still queued, so that it is kept until verify().
struct Freed {
  std::byte* data;
  Guarded guarded;
  Storage block;
};

struct Guards {
  std::mutex mutex;
  std::map<std::byte*, Guarded> live;  // by data
  std::vector<Freed> freed;
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

Expected<void> fill_guards(Device& device, std::byte* data, i64 bytes) {
  auto done = device.fill(data - kGuardBytes, kGuardBytes, {&kGuard, 1});
  return done ? device.fill(data + bytes, kGuardBytes, {&kGuard, 1}) : done;
}

// The changed byte nearest to a storage of `bytes`, of the guards before and after it.
std::optional<Error> violation_around(const std::byte* before, const std::byte* after, i64 bytes) {
  auto is_changed = [](std::byte b) { return b != kGuard; };
  const std::byte* hit = std::find_if(after, after + kGuardBytes, is_changed);
  if (hit != after + kGuardBytes) {
    return Error{
        "out-of-bounds-write",
        fmt::format("wrote {} bytes past the end of a tensor of {} bytes", hit - after + 1, bytes),
        ""};
  }
  for (i64 i = 1; i <= kGuardBytes; ++i) {
    if (!is_changed(before[kGuardBytes - i])) continue;
    return Error{"out-of-bounds-write",
                 fmt::format("wrote {} bytes before a tensor of {} bytes", i, bytes), ""};
  }
  return std::nullopt;
}

// A violation is told once: the guards are as new afterwards.
void check(std::byte* data, i64 bytes, Guards& all) {
  std::optional<Error> found = violation_around(data - kGuardBytes, data + bytes, bytes);
  if (!found) return;
  fill_guards(data, bytes);
  if (!all.violation) all.violation = std::move(found);
}

Expected<void> check(Device& device, std::byte* data, i64 bytes, Guards& all) {
  std::array<std::byte, kGuardBytes> before, after;
  auto done = device.copy_out(before.data(), data - kGuardBytes, kGuardBytes);
  if (done) done = device.copy_out(after.data(), data + bytes, kGuardBytes);
  if (!done) return done;
  std::optional<Error> found = violation_around(before.data(), after.data(), bytes);
  if (!found) return {};
  if (!all.violation) all.violation = std::move(found);
  return fill_guards(device, data, bytes);
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

void release_on_device(std::byte* data, Storage block) {
  Guards& all = guards();
  const std::lock_guard lock(all.mutex);
  auto found = all.live.find(data);
  if (GuardedAllocations::active()) all.freed.push_back({data, found->second, std::move(block)});
  all.live.erase(found);
}

}  // namespace

std::atomic<int> GuardedAllocations::depth_ = 0;

GuardedAllocations::GuardedAllocations() { ++depth_; }
GuardedAllocations::~GuardedAllocations() {
  if (--depth_ > 0) return;
  std::vector<Freed> freed;  // declared first: given back unlocked
  const std::lock_guard lock(guards().mutex);
  freed.swap(guards().freed);
}

Storage GuardedAllocations::allocate(i64 bytes) {
  std::byte* block = host_allocator().allocate(bytes + 2 * kGuardBytes);
  if (block == nullptr) return {};
  std::byte* data = block + kGuardBytes;
  fill_guards(data, bytes);
  std::memset(data, static_cast<int>(kPoison), static_cast<std::size_t>(bytes));
  const std::lock_guard lock(guards().mutex);
  guards().live[data] = {bytes, nullptr};
  auto free = [bytes](std::byte* at) { release(at, bytes); };
  return {data, bytes, std::shared_ptr<std::byte>(data, free)};
}

Expected<Storage> GuardedAllocations::allocate(Device& device, i64 bytes) {
  auto block = device.allocate(bytes + 2 * kGuardBytes);
  if (!block) return block;
  std::byte* data = block->data + kGuardBytes;
  auto filled = fill_guards(device, data, bytes);
  if (filled) filled = device.fill(data, bytes, {&kPoison, 1});
  if (!filled) return std::unexpected(filled.error());
  const std::lock_guard lock(guards().mutex);
  guards().live[data] = {bytes, &device};
  auto free = [block = *block](std::byte* at) { release_on_device(at, block); };
  return Storage{data, bytes, std::shared_ptr<std::byte>(data, std::move(free)), &device};
}

Expected<void> GuardedAllocations::verify() {
  Guards& all = guards();
  const std::lock_guard lock(all.mutex);
  std::vector<Freed> freed = std::exchange(all.freed, {});
  Expected<void> done;
  for (const auto& [data, guarded] : all.live) {
    if (guarded.device == nullptr) {
      check(data, guarded.bytes, all);
    } else if (done) {
      done = check(*guarded.device, data, guarded.bytes, all);
    }
  }
  for (const Freed& one : freed) {
    if (done) done = check(*one.guarded.device, one.data, one.guarded.bytes, all);
  }
  if (!done) return done;
  if (!all.violation) return {};
  return std::unexpected(*std::exchange(all.violation, std::nullopt));
}

}  // namespace peri::runtime
