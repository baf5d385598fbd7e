#include "runtime/cuda/code.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace peri::cuda {

namespace {

constexpr std::array<i64, 3> kMostPrograms = {INT32_MAX, 65535, 65535};
constexpr i64 kSharedByDefault = 48 << 10;  // more must be asked for

// The CUDA version of the assembler that made an image, as the driver counts it (12080); 0: it does
// not say.
int version_of(std::string_view image) {
  static constexpr std::string_view kTools = "Cuda compilation tools, release ";
  int major = 0, minor = 0;
  if (std::size_t at = image.find(kTools); at != std::string_view::npos) {
    std::string release(image.substr(at + kTools.size(), 16));
    if (std::sscanf(release.c_str(), "%d.%d", &major, &minor) == 2)
      return 1000 * major + 10 * minor;
  }
  // Before CUDA 12.9 it was the version of the ELF file: 128.
  static constexpr u16 kCudaMachine = 190;
  Elf64_Ehdr header;
  if (image.size() < sizeof header || !image.starts_with(ELFMAG)) return 0;
  std::memcpy(&header, image.data(), sizeof header);
  if (header.e_machine != kCudaMachine || header.e_version < 100) return 0;
  auto version = static_cast<int>(header.e_version);
  return version / 10 * 1000 + version % 10 * 10;
}

std::string name_of(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

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
      int version = 0, made_by = version_of(image.bytes);
      (void)driver_.driver_version(&version);
      if (error.code == "bad-image" && version > 0 && version < made_by) {
        error.code = "driver-too-old";
        error.message +=
            fmt::format("; the code is made by the tools of CUDA {}, and the driver is for {}",
                        name_of(made_by), name_of(version));
        error.hint = fmt::format("install a driver for CUDA {} or newer", name_of(made_by));
      }
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
  entry.cluster = std::max<i64>(launch.cluster, 1);
  if (launch.cluster > 1) {
    LaunchAttribute cluster{};
    cluster.id = kAttributeClusterDimension;
    cluster.value.cluster = {static_cast<unsigned>(launch.cluster), 1, 1};
    add(cluster);
    add(number_attribute(kAttributeClusterScheduling, kClusterSchedulingSpread));
  }
  return entry;
}

Expected<void> Code::check_grid(i64 index, const std::array<i64, 3>& grid) const {
  std::array<i64, 3> most = kMostPrograms;
  most[0] /= entries_[index].cluster;
  for (std::size_t d = 0; d < 3; ++d) {
    if (grid[d] <= most[d]) continue;
    return fail(
        "grid-too-large",
        fmt::format("a grid of {} programs along {} is larger than {}", grid[d], "xyz"[d], most[d]),
        "take larger blocks, or a persistent `pid_type`, which has any number of cells");
  }
  return {};
}

Status Code::launch(i64 index, const std::array<i64, 3>& grid, void** params, Stream stream) const {
  const Entry& entry = entries_[index];
  LaunchConfig config = entry.config;
  config.stream = stream;
  config.attributes = const_cast<LaunchAttribute*>(entry.attributes.data());
  config.grid[0] = static_cast<unsigned>(grid[0] * entry.cluster);
  config.grid[1] = static_cast<unsigned>(grid[1]);
  config.grid[2] = static_cast<unsigned>(grid[2]);
  return driver_.launch(&config, entry.function, params, nullptr);
}

}  // namespace peri::cuda
