// What this machine is: for cost models, cache keys and the head of result files.
#pragma once

#include <string>
#include <vector>

#include "base/ids.h"

namespace peri::runtime {

struct DeviceInfo {
  std::string architecture;           // "x86_64", "aarch64"
  std::string cpu_model = "unknown";  // as the CPU names itself
  std::string isa_level;              // "x86-64-v4", "aarch64"
  std::vector<std::string> features;  // beyond the level, sorted: "avx512_bf16"
  i64 cpus = 1;                       // logical
  i64 cores = 1;                      // physical
  i64 sockets = 1;
  i64 available_cpus = 1;  // that this process may use
  // Bytes of one cache, and how many CPUs share an L3; typical values where the system says
  // nothing.
  i64 l1d_bytes = 32 << 10;
  i64 l2_bytes = 1 << 20;
  i64 l3_bytes = 32 << 20;
  i64 l3_sharers = 1;
  i64 cache_line = 64;
  i64 memory_bytes = 0;  // 0: unknown
  std::string kernel;    // "Linux 6.1.0"

  bool has(std::string_view feature) const;
  // Changes whenever tuning results may: CPU model, instruction set, cores and caches.
  std::string fingerprint() const;
  // "AMD EPYC, x86-64-v4, 2 cores, L1d 32K, L2 1024K, L3 32M, 23.5 GiB, Linux 6.1.0"
  std::string describe() const;
  std::string json() const;
};

// Reads <root>/proc and <root>/sys; never fails: what is missing keeps its default.
DeviceInfo read_device_info(const std::string& root);

// This machine, read once.
const DeviceInfo& device_info();

}  // namespace peri::runtime
