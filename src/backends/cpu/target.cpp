#include "backends/cpu/target.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <fstream>

#include <algorithm>
#include <span>

#include <llvm/ADT/StringMap.h>
#include <llvm/TargetParser/Host.h>
#include <llvm/TargetParser/Triple.h>

namespace peri::cpu {
namespace {

constexpr const char* kX86Triple = "x86_64-unknown-linux-gnu";
constexpr const char* kArmTriple = "aarch64-unknown-linux-gnu";

// What each x86-64 level adds to the one before it.
constexpr const char* kLevel2[] = {"cx16", "popcnt", "sse4.2", "ssse3"};
constexpr const char* kLevel3[] = {"avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"};
constexpr const char* kLevel4[] = {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"};

const llvm::StringMap<bool>& host_features() {
  static const llvm::StringMap<bool> features = llvm::sys::getHostCPUFeatures();
  return features;
}

bool host_has(const char* feature) {
  auto it = host_features().find(feature);
  return it != host_features().end() && it->second;
}

bool host_has_all(std::span<const char* const> features) {
  return std::ranges::all_of(features, host_has);
}

bool host_is(llvm::Triple::ArchType arch) {
  return llvm::Triple(llvm::sys::getProcessTriple()).getArch() == arch;
}

void read_cache_sizes(Target& target) {
  auto read = [](int name, i64& size) {
    if (long value = sysconf(name); value > 0) size = value;
  };
  read(_SC_LEVEL1_DCACHE_SIZE, target.l1d);
  read(_SC_LEVEL2_CACHE_SIZE, target.l2);
  read(_SC_LEVEL3_CACHE_SIZE, target.l3);
  // Above is the whole socket's on some machines; this is one cache, "32768K".
  std::ifstream file("/sys/devices/system/cpu/cpu0/cache/index3/size");
  i64 kibibytes = 0;
  if (file >> kibibytes && kibibytes > 0) target.l3 = kibibytes << 10;
}

void set_x86_level(Target& target, int level) {
  target.triple = kX86Triple;
  target.is_x86 = true;
  target.vector_bytes = level >= 4 ? 64 : level == 3 ? 32 : 16;
  target.vector_registers = level >= 4 ? 32 : 16;
  target.has_fma = target.has_f16c = target.has_masks = level >= 3;
  target.has_avx512 = level >= 4;
  if (level >= 4) {
    target.has_avx512_bf16 = host_has("avx512bf16");
    target.has_vnni = host_has("avx512vnni");
    target.has_avx512_fp16 = host_has("avx512fp16");
  }
}

void set_arm(Target& target) {
  target.triple = kArmTriple;
  target.cpu = "generic";
  target.features = "+neon";
  target.is_x86 = false;
  target.vector_registers = 32;
  target.has_fma = target.has_f16c = true;
  target.is_host_runnable = host_is(llvm::Triple::aarch64);
}

int host_x86_level() {
  if (!host_has_all(kLevel2)) return 1;
  if (!host_has_all(kLevel3)) return 2;
  return host_has_all(kLevel4) ? 4 : 3;
}

// Every feature of the host, on or off, so that the code fits this CPU and no other rule. LLVM
// would prefer 256-bit vectors on some AVX-512 CPUs; our loops choose their width themselves.
std::string host_feature_string() {
  std::vector<std::string> all;
  for (const auto& feature : host_features()) {
    all.push_back((feature.second ? "+" : "-") + feature.first().str());
  }
  std::ranges::sort(all);
  if (host_is(llvm::Triple::x86_64)) all.push_back("-prefer-256-bit");
  return fmt::format("{}", fmt::join(all, ","));
}

Target host_target() {
  Target target;
  if (host_is(llvm::Triple::aarch64)) {
    set_arm(target);
  } else {
    set_x86_level(target, host_x86_level());
  }
  target.cpu = llvm::sys::getHostCPUName().str();
  target.features = host_feature_string();
  target.is_host_runnable = true;
  return target;
}

Target x86_target(int level) {
  Target target;
  set_x86_level(target, level);
  target.cpu = fmt::format("x86-64-v{}", level);
  target.features = "-prefer-256-bit";
  if (target.has_avx512_bf16) target.features += ",+avx512bf16";
  if (target.has_vnni) target.features += ",+avx512vnni";
  if (target.has_avx512_fp16) target.features += ",+avx512fp16";
  target.is_host_runnable = host_is(llvm::Triple::x86_64) && host_x86_level() >= level;
  return target;
}

}  // namespace

const std::vector<std::string>& target_levels() {
  static const std::vector<std::string> levels = {"host", "x86-64-v2", "x86-64-v3", "x86-64-v4",
                                                  "aarch64"};
  return levels;
}

Expected<Target> target_for(std::string_view level) {
  Target target;
  if (level == "host") {
    target = host_target();
  } else if (level == "x86-64-v2" || level == "x86-64-v3" || level == "x86-64-v4") {
    target = x86_target(level.back() - '0');
  } else if (level == "aarch64") {
    set_arm(target);
  } else {
    return fail("unknown-cpu-level", fmt::format("there is no CPU level `{}`", level),
                fmt::format("use one of {}", fmt::join(target_levels(), ", ")));
  }
  target.level = level;
  if (target.is_host_runnable) read_cache_sizes(target);
  return target;
}

}  // namespace peri::cpu
