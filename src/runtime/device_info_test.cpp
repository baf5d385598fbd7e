#include "runtime/device_info.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace peri::runtime {
namespace {

namespace fs = std::filesystem;

class DeviceInfoTest : public testing::Test {
 protected:
  DeviceInfoTest() : root(testing::TempDir() + "peri-device-" + std::to_string(getpid())) {}
  ~DeviceInfoTest() override { fs::remove_all(root); }

  void write(const std::string& name, std::string_view text) const {
    const fs::path path = root + "/" + name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  void write_cache(int index, std::string_view level, std::string_view type, std::string_view size,
                   std::string_view sharers) const {
    const std::string folder = "sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index);
    write(folder + "/level", level);
    write(folder + "/type", type);
    write(folder + "/size", size);
    write(folder + "/shared_cpu_list", sharers);
  }

  std::string root;
};

constexpr const char* kFlags =
    "flags\t: cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3 avx avx2 bmi1 bmi2 f16c fma abm movbe "
    "avx512_bf16 avx_vnni";

TEST_F(DeviceInfoTest, ReadsProcAndSys) {
  std::string cpuinfo;
  for (int cpu = 0; cpu < 4; ++cpu) {
    cpuinfo += "processor\t: " + std::to_string(cpu) +
               "\nmodel name\t: Some CPU\nphysical id\t: 0\n" +
               "core id\t: " + std::to_string(cpu / 2) + "\n" + kFlags + "\n\n";
  }
  write("proc/cpuinfo", cpuinfo);
  write("proc/meminfo", "MemFree: 1 kB\nMemTotal:       1048576 kB\n");
  write_cache(0, "1\n", "Data\n", "48K\n", "0-1\n");
  write_cache(1, "1\n", "Instruction\n", "64K\n", "0-1\n");
  write_cache(2, "2\n", "Unified\n", "2048K\n", "0-1\n");
  write_cache(3, "3\n", "Unified\n", "36M\n", "0-1,4,8-11\n");
  DeviceInfo info = read_device_info(root);
  info.kernel = "Linux 6.1.0";
  EXPECT_EQ(info.cpu_model, "Some CPU");
  EXPECT_EQ(info.cpus, 4);
  EXPECT_EQ(info.cores, 2);
  EXPECT_EQ(info.sockets, 1);
  EXPECT_EQ(info.l1d_bytes, 48 << 10);
  EXPECT_EQ(info.l2_bytes, 2 << 20);
  EXPECT_EQ(info.l3_bytes, 36 << 20);
  EXPECT_EQ(info.l3_sharers, 7);
  EXPECT_EQ(info.memory_bytes, i64{1} << 30);
  if (info.architecture == "x86_64") EXPECT_EQ(info.isa_level, "x86-64-v3");
  EXPECT_EQ(info.features, (std::vector<std::string>{"avx512_bf16", "avx_vnni"}));
  EXPECT_TRUE(info.has("avx_vnni"));
  EXPECT_FALSE(info.has("avx512_fp16"));
  EXPECT_EQ(info.describe(), "Some CPU, " + info.isa_level +
                                 ", 2 cores, L1d 48K, L2 2M, L3 36M, 1.0 GiB, Linux 6.1.0");
}

TEST_F(DeviceInfoTest, MissingFilesLeaveDefaults) {
  const DeviceInfo info = read_device_info(root);
  EXPECT_EQ(info.cpu_model, "unknown");
  EXPECT_EQ(info.cpus, 1);
  EXPECT_EQ(info.l1d_bytes, 32 << 10);
  EXPECT_EQ(info.memory_bytes, 0);
  EXPECT_FALSE(info.isa_level.empty());
}

TEST_F(DeviceInfoTest, OddFilesDoNoHarm) {
  write("proc/cpuinfo", ":::\n\n\n: x\nprocessor\nprocessor:\nmodel name: \xff\xfe\n");
  write("proc/meminfo", "MemTotal: lots\n");
  write_cache(0, "one", "", "999999999999999999999999K", "9-1,-,x");
  write_cache(3, "3", "Unified", "-5K", "");
  fs::create_directories(root + "/sys/devices/system/cpu/cpu0/cache/index4/level");
  const DeviceInfo info = read_device_info(root);
  EXPECT_EQ(info.l3_bytes, 32 << 20);
  EXPECT_FALSE(info.json().empty());
}

TEST_F(DeviceInfoTest, FingerprintFollowsWhatMatters) {
  const DeviceInfo a = read_device_info(root);
  DeviceInfo b = a;
  b.kernel = "other";
  b.memory_bytes = 1;
  EXPECT_EQ(a.fingerprint(), b.fingerprint());
  b.l2_bytes *= 2;
  EXPECT_NE(a.fingerprint(), b.fingerprint());
}

TEST_F(DeviceInfoTest, ThisMachine) {
  const DeviceInfo& info = device_info();
  EXPECT_GE(info.cpus, 1);
  EXPECT_GE(info.available_cpus, 1);
  const auto json = nlohmann::json::parse(info.json());
  EXPECT_EQ(json["fingerprint"], info.fingerprint());
  EXPECT_EQ(json["cores"], info.cores);
}

}  // namespace
}  // namespace peri::runtime
