#include "runtime/cuda/code.h"

#include <fmt/format.h>

namespace peri::cuda {

namespace {

constexpr i64 kSharedByDefault = 48 << 10;  // more must be asked for

LaunchAttribute number_attribute(LaunchAttributeId id, int value) {
  LaunchAttribute attribute{};
  attribute.id = id;
  attribute.value.number = value;
  return attribute;
}

}  // namespace

Code::~Code() {
  Context before = nullptr;
  (void)driver_.context_get(&before);
  if (before != context_) (void)driver_.context_set(context_);
  (void)driver_.stream_synchronize(stream_);
  for (Module module : modules_) (void)driver_.module_unload(module);
  if (before != context_ && before != nullptr) (void)driver_.context_set(before);
}

Expected<void> Code::load(const backends::Artifact& artifact) {
  for (const backends::Image& image : artifact.images) {
    Module module = nullptr;
    Status status = driver_.module_load(&module, image.bytes.data());
    if (status != kSuccess) {
      Error error = error_of(driver_, status, fmt::format("loading code for {}", image.target));
      if (error.code == "launch-failed") error.code = "bad-image";
      return std::unexpected(std::move(error));
    }
    modules_.push_back(module);
  }
  for (const backends::Launch& launch : artifact.launches) {
    auto entry = entry_of(launch);
    if (!entry) return std::unexpected(entry.error());
    entries_.push_back(*entry);
  }
  return {};
}

Expected<Code::Entry> Code::entry_of(const backends::Launch& launch) const {
  Entry entry;
  Status status =
      driver_.module_function(&entry.function, modules_[launch.image], launch.function.c_str());
  if (status != kSuccess) {
    return std::unexpected(
        error_of(driver_, status, fmt::format("looking for the function `{}`", launch.function)));
  }
  if (launch.shared_bytes > kSharedByDefault) {
    status = driver_.function_set(entry.function, kMaxDynamicSharedBytes,
                                  static_cast<int>(launch.shared_bytes));
    if (status != kSuccess) {
      return std::unexpected(error_of(driver_, status,
                                      fmt::format("asking for {} bytes of shared memory for `{}`",
                                                  launch.shared_bytes, launch.function)));
    }
  }
  entry.config.block[0] = static_cast<unsigned>(launch.threads);
  entry.config.block[1] = entry.config.block[2] = 1;
  entry.config.shared_bytes = static_cast<unsigned>(launch.shared_bytes);
  auto add = [&](const LaunchAttribute& attribute) {
    entry.attributes[entry.config.attribute_count++] = attribute;
  };
  if (launch.cooperative) add(number_attribute(kAttributeCooperative, 1));
  if (launch.cluster > 1) {
    LaunchAttribute cluster{};
    cluster.id = kAttributeClusterDimension;
    cluster.value.cluster = {static_cast<unsigned>(launch.cluster), 1, 1};
    add(cluster);
    add(number_attribute(kAttributeClusterScheduling, kClusterSchedulingSpread));
  }
  return entry;
}

Status Code::launch(i64 index, const std::array<i64, 3>& grid, void** params, Stream stream) const {
  const Entry& entry = entries_[index];
  LaunchConfig config = entry.config;
  config.stream = stream;
  i64 cluster = 1;
  for (unsigned a = 0; a < config.attribute_count; ++a) {
    if (entry.attributes[a].id == kAttributeClusterDimension) {
      cluster = entry.attributes[a].value.cluster.x;
    }
  }
  config.attributes = const_cast<LaunchAttribute*>(entry.attributes.data());
  config.grid[0] = static_cast<unsigned>(grid[0] * cluster);
  config.grid[1] = static_cast<unsigned>(grid[1]);
  config.grid[2] = static_cast<unsigned>(grid[2]);
  return driver_.launch(&config, entry.function, params, nullptr);
}

}  // namespace peri::cuda
