#include "runtime/device.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/bug.h"
#include "base/fork_lock.h"
#include "base/hash.h"
#include "runtime/cuda/device.h"
#include "runtime/guard.h"

namespace peri::runtime {

using nlohmann::json;

namespace {

constexpr int kProbeMilliseconds = 60'000;

struct Row {
  std::string_view name;
  Expected<DeviceProperties> (*properties)(i64 index);
  Expected<std::shared_ptr<Device>> (*open)(i64 index);
};

// The registry: one line a device interface.
constexpr Row kRows[] = {
    {"cuda", cuda::local_properties, cuda::open_local},
};

const Row* find_row(std::string_view name) {
  const Row* row = std::ranges::find(kRows, name, &Row::name);
  return row == std::end(kRows) ? nullptr : row;
}

struct Opened {
  std::mutex mutex;
  std::map<std::pair<std::string_view, i64>, std::shared_ptr<Device>> devices;
};

Opened& opened() {
  static auto& instance = *new Opened;  // tensors may outlive any order of destruction
  return instance;
}

std::string human_bytes(i64 bytes) {
  if (bytes >= i64{1} << 30)
    return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (1 << 30));
  return fmt::format("{}M", bytes >> 20);
}

// --- a child that asks ---

json json_of(const Expected<DeviceProperties>& found) {
  if (!found) {
    return {{"error", {found.error().code, found.error().message, found.error().hint}}};
  }
  return {{"target", found->target},       {"name", found->name},
          {"driver", found->driver},       {"multiprocessors", found->multiprocessors},
          {"memory", found->memory_bytes}, {"l2", found->l2_bytes},
          {"shared", found->shared_bytes}};
}

Expected<DeviceProperties> properties_of(const json& answer) {
  if (answer.contains("error")) {
    const json& error = answer["error"];
    return fail(error[0], error[1], error[2]);
  }
  DeviceProperties properties;
  properties.target = answer["target"];
  properties.name = answer["name"];
  properties.driver = answer["driver"];
  properties.multiprocessors = answer["multiprocessors"];
  properties.memory_bytes = answer["memory"];
  properties.l2_bytes = answer["l2"];
  properties.shared_bytes = answer["shared"];
  return properties;
}

// Of all devices if none is named.
json describe(const Row& row, std::span<const i64> indices) {
  json all = json::array();
  for (i64 index : indices) all.push_back(json_of(row.properties(index)));
  for (i64 index = 0; indices.empty(); ++index) {
    auto found = row.properties(index);
    if (!found && index > 0 && found.error().code == "no-device") break;
    all.push_back(json_of(found));
    if (!found) break;
  }
  return all;
}

[[noreturn]] void answer_and_exit(int pipe, const Row& row, std::span<const i64> indices) {
  std::string text = describe(row, indices).dump();
  const char* at = text.data();
  for (std::size_t left = text.size(); left > 0;) {
    ssize_t written = ::write(pipe, at, left);
    if (written <= 0) break;
    at += written;
    left -= static_cast<std::size_t>(written);
  }
  ::_exit(0);
}

// What the other end says until it closes, or nothing in time.
std::string read_all(int pipe) {
  std::string text;
  pollfd entry{pipe, POLLIN, 0};
  while (::poll(&entry, 1, kProbeMilliseconds) > 0) {
    char bytes[4096];
    ssize_t got = ::read(pipe, bytes, sizeof bytes);
    if (got <= 0) break;
    text.append(bytes, static_cast<std::size_t>(got));
  }
  return text;
}

Expected<std::vector<DeviceProperties>> ask_child(const Row& row, std::span<const i64> indices) {
  int ends[2];
  if (::pipe(ends) != 0) return fail("worker-failed", "cannot make a pipe");
  fork_lock().lock();
  pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    answer_and_exit(ends[1], row, indices);
  }
  fork_lock().unlock();
  ::close(ends[1]);
  std::string text = child < 0 ? "" : read_all(ends[0]);
  ::close(ends[0]);
  json answer = json::parse(text, nullptr, false);
  if (child > 0 && !answer.is_array()) ::kill(child, SIGKILL);
  if (child > 0) ::waitpid(child, nullptr, 0);
  std::vector<DeviceProperties> all;
  for (const json& one : answer.is_array() ? answer : json::array()) {
    auto properties = properties_of(one);
    if (!properties) return std::unexpected(properties.error());
    all.push_back(*std::move(properties));
  }
  if (!all.empty()) return all;
  return fail("no-driver", fmt::format("the driver of `{}` devices does not answer", row.name),
              "look at the system's log");
}

}  // namespace

std::string DeviceProperties::fingerprint() const {
  return hash_hex(fmt::format("{} {} {} {} {}", name, target, multiprocessors, l2_bytes, driver));
}

std::string DeviceProperties::describe() const {
  return fmt::format("{}, {}, {} multiprocessors, L2 {}, {}, driver {}", name, target,
                     multiprocessors, human_bytes(l2_bytes), human_bytes(memory_bytes), driver);
}

std::vector<std::string_view> device_names() {
  std::vector<std::string_view> names;
  for (const Row& row : kRows) names.push_back(row.name);
  return names;
}

bool is_device(std::string_view name) { return find_row(name) != nullptr; }

Expected<std::shared_ptr<Device>> open_device(std::string_view name, i64 index) {
  const Row* row = find_row(name);
  BUG_IF(row == nullptr, "`{}` is no device to be opened", name);
  Opened& all = opened();
  std::lock_guard lock(all.mutex);
  std::shared_ptr<Device>& device = all.devices[{row->name, index}];
  if (device) return device;
  auto made = row->open(index);
  if (!made) return std::unexpected(made.error());
  device = *made;
  return device;
}

Expected<DeviceProperties> probe_device(std::string_view name, i64 index) {
  const Row* row = find_row(name);
  BUG_IF(row == nullptr, "`{}` is no device to be opened", name);
  {
    Opened& all = opened();
    std::lock_guard lock(all.mutex);
    auto found = all.devices.find({row->name, index});
    if (found != all.devices.end() && found->second) return found->second->properties();
  }
  auto all = ask_child(*row, {&index, 1});
  if (!all) return std::unexpected(all.error());
  return all->front();
}

Expected<std::vector<DeviceProperties>> probe_devices(std::string_view name,
                                                      std::span<const i64> indices) {
  const Row* row = find_row(name);
  BUG_IF(row == nullptr, "`{}` is no device to be opened", name);
  return ask_child(*row, indices);
}

Expected<Storage> allocate_on(Device& device, i64 bytes) {
  if (GuardedAllocations::active()) return GuardedAllocations::allocate(device, bytes);
  return device.allocate(bytes);
}

Expected<Tensor> to_device(const Tensor& tensor, Device& device) {
  auto storage = allocate_on(device, tensor.storage.bytes);
  if (!storage) return std::unexpected(storage.error());
  auto copied = device.copy_in(storage->data, tensor.storage.data, tensor.storage.bytes);
  if (!copied) return std::unexpected(copied.error());
  Tensor there = tensor;
  there.storage = std::move(*storage);
  return there;
}

Expected<Tensor> to_host(const Tensor& tensor) {
  Device* device = tensor.storage.device;
  if (device == nullptr) return tensor;
  auto storage = allocate(tensor.storage.bytes);
  if (!storage) return std::unexpected(storage.error());
  auto copied = device->copy_out(storage->data, tensor.storage.data, tensor.storage.bytes);
  if (!copied) return std::unexpected(copied.error());
  Tensor here = tensor;
  here.storage = std::move(*storage);
  return here;
}

}  // namespace peri::runtime
