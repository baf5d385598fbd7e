#include "runtime/device_info.h"

#include <fmt/ranges.h>
#include <sys/utsname.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <sstream>

#include "base/hash.h"
#include "base/thread_pool.h"

namespace peri::runtime {
namespace {

// Files here are small; an endless one must not be read to its end.
std::string read_text(const std::string& path) {
  constexpr std::size_t kMaxText = std::size_t{1} << 22;
  std::ifstream file(path, std::ios::binary);
  std::string text;
  char buffer[4096];
  while (text.size() < kMaxText && (file.read(buffer, sizeof(buffer)), file.gcount() > 0)) {
    text.append(buffer, static_cast<std::size_t>(file.gcount()));
  }
  return text;
}

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

// "48", "32K", "16384 kB", "8M"; none if it is nothing like that.
std::optional<i64> parse_size(std::string_view text) {
  text = trimmed(text);
  i64 value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value < 0 || value > i64{1} << 40) return std::nullopt;
  text = trimmed(text.substr(static_cast<std::size_t>(end - text.data())));
  if (text.starts_with('K') || text.starts_with('k')) return value << 10;
  return text.starts_with('M') ? value << 20 : value;
}

// CPUs of a list such as "0-3,8,10-11".
i64 count_cpus(std::string_view list) {
  i64 count = 0;
  std::istringstream ranges{std::string(list)};
  for (std::string range; std::getline(ranges, range, ',');) {
    const auto dash = range.find('-');
    const auto first = parse_size(range.substr(0, dash));
    const auto last = dash == std::string::npos ? first : parse_size(range.substr(dash + 1));
    if (first && last && *last >= *first) count += *last - *first + 1;
  }
  return count;
}

using Fields = std::map<std::string, std::string, std::less<>>;

// The "key : value" blocks of /proc/cpuinfo, one a CPU.
std::vector<Fields> parse_cpuinfo(const std::string& text) {
  std::vector<Fields> cpus(1);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto colon = line.find(':');
    if (colon == std::string::npos) {
      if (!cpus.back().empty()) cpus.emplace_back();
    } else {
      cpus.back().emplace(trimmed(line.substr(0, colon)), trimmed(line.substr(colon + 1)));
    }
  }
  if (cpus.back().empty()) cpus.pop_back();
  return cpus;
}

std::string field(const Fields& fields, std::string_view key) {
  const auto found = fields.find(key);
  return found == fields.end() ? "" : found->second;
}

std::set<std::string> words(const std::string& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<std::string>(stream), {}};
}

// What each x86-64 level adds, in the kernel's names.
constexpr std::string_view kLevel2[] = {"cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"};
constexpr std::string_view kLevel3[] = {"avx",  "avx2", "bmi1", "bmi2",
                                        "f16c", "fma",  "abm",  "movbe"};
constexpr std::string_view kLevel4[] = {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"};

// Features beyond the levels that kernels are made for.
constexpr std::string_view kExtras[] = {"amx_bf16",    "amx_int8", "amx_tile",    "asimddp",
                                        "asimdfhm",    "asimdhp",  "avx512_bf16", "avx512_fp16",
                                        "avx512_vnni", "avx_vnni", "bf16",        "fphp",
                                        "i8mm",        "sme",      "sve",         "sve2"};

std::string x86_level(const std::set<std::string>& flags) {
  const auto all = [&](std::span<const std::string_view> wanted) {
    return std::ranges::all_of(wanted,
                               [&](std::string_view f) { return flags.contains(std::string(f)); });
  };
  if (!all(kLevel2)) return "x86-64";
  if (!all(kLevel3)) return "x86-64-v2";
  return all(kLevel4) ? "x86-64-v4" : "x86-64-v3";
}

void read_features(DeviceInfo& info, const Fields& cpu) {
  const std::string flags_text = field(cpu, "flags");
  const std::set<std::string> flags = words(flags_text + " " + field(cpu, "Features"));
  info.isa_level = info.architecture == "x86_64" ? x86_level(flags) : info.architecture;
  for (std::string_view feature : kExtras) {
    if (flags.contains(std::string(feature))) info.features.emplace_back(feature);
  }
}

void read_cpus(DeviceInfo& info, const std::string& root) {
  const std::vector<Fields> cpus = parse_cpuinfo(read_text(root + "/proc/cpuinfo"));
  std::set<std::string> cores, sockets;
  i64 count = 0;
  for (const Fields& cpu : cpus) {
    if (!cpu.contains("processor")) continue;
    ++count;
    const std::string socket = field(cpu, "physical id");
    sockets.insert(socket);
    cores.insert(
        socket + ":" +
        (cpu.contains("core id") ? field(cpu, "core id") : "cpu " + field(cpu, "processor")));
  }
  info.cpus = std::max<i64>(1, count);
  info.cores = std::max<i64>(1, std::ssize(cores));
  info.sockets = std::max<i64>(1, std::ssize(sockets));
  if (cpus.empty()) return read_features(info, {});
  for (const char* key : {"model name", "CPU part"}) {
    const std::string name = field(cpus.front(), key);
    if (!name.empty() && info.cpu_model == "unknown") info.cpu_model = name;
  }
  read_features(info, cpus.front());
}

void read_caches(DeviceInfo& info, const std::string& root) {
  for (int index = 0; index < 8; ++index) {
    const auto read = [&](const char* name) {
      return read_text(
          fmt::format("{}/sys/devices/system/cpu/cpu0/cache/index{}/{}", root, index, name));
    };
    const auto level = parse_size(read("level")), size = parse_size(read("size"));
    const bool is_data = !read("type").starts_with("Instruction");
    if (!level || !size || *size == 0 || !is_data) continue;
    if (*level == 1) info.l1d_bytes = *size;
    if (*level == 2) info.l2_bytes = *size;
    if (*level == 3) {
      info.l3_bytes = *size;
      info.l3_sharers = std::max<i64>(1, count_cpus(read("shared_cpu_list")));
    }
    const auto line = parse_size(read("coherency_line_size"));
    if (line && *line > 0) info.cache_line = *line;
  }
}

void read_memory(DeviceInfo& info, const std::string& root) {
  std::istringstream lines(read_text(root + "/proc/meminfo"));
  for (std::string line; std::getline(lines, line);) {
    constexpr std::string_view kKey = "MemTotal:";
    if (!line.starts_with(kKey)) continue;
    info.memory_bytes = parse_size(std::string_view(line).substr(kKey.size())).value_or(0);
  }
}

std::string short_size(i64 bytes) {
  const bool in_mib = bytes >= 2 << 20 && bytes % (1 << 20) == 0;
  return in_mib ? fmt::format("{}M", bytes >> 20) : fmt::format("{}K", bytes >> 10);
}

}  // namespace

bool DeviceInfo::has(std::string_view feature) const {
  return std::ranges::find(features, feature) != features.end();
}

std::string DeviceInfo::fingerprint() const {
  return hash_hex(fmt::format("{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}", architecture, cpu_model,
                              isa_level, fmt::join(features, ","), cores, sockets, available_cpus,
                              l1d_bytes, l2_bytes, l3_bytes, l3_sharers));
}

std::string DeviceInfo::describe() const {
  std::string text = fmt::format("{}, {}, {} core{}, L1d {}, L2 {}, L3 {}", cpu_model, isa_level,
                                 cores, cores == 1 ? "" : "s", short_size(l1d_bytes),
                                 short_size(l2_bytes), short_size(l3_bytes));
  if (memory_bytes > 0)
    text += fmt::format(", {:.1f} GiB", static_cast<double>(memory_bytes) / 0x1p30);
  return text + ", " + kernel;
}

std::string DeviceInfo::json() const {
  // Bytes of the system may be no UTF-8; they must not throw.
  return nlohmann::ordered_json{{"architecture", architecture},
                                {"cpu_model", cpu_model},
                                {"isa_level", isa_level},
                                {"features", features},
                                {"cpus", cpus},
                                {"cores", cores},
                                {"sockets", sockets},
                                {"available_cpus", available_cpus},
                                {"l1d_bytes", l1d_bytes},
                                {"l2_bytes", l2_bytes},
                                {"l3_bytes", l3_bytes},
                                {"l3_sharers", l3_sharers},
                                {"cache_line", cache_line},
                                {"memory_bytes", memory_bytes},
                                {"kernel", kernel},
                                {"fingerprint", fingerprint()}}
      .dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

DeviceInfo read_device_info(const std::string& root) {
  DeviceInfo info;
  utsname names = {};
  if (uname(&names) == 0) {
    info.architecture = names.machine;
    info.kernel = fmt::format("{} {}", names.sysname, names.release);
  }
  read_cpus(info, root);
  read_caches(info, root);
  read_memory(info, root);
  info.available_cpus = ThreadPool::available_cpus();
  return info;
}

const DeviceInfo& device_info() {
  static const DeviceInfo info = read_device_info("");
  return info;
}

}  // namespace peri::runtime
