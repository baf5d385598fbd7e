// Kernels called from C++ on a device: a fake driver, and a shell for the compiler.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "peri/kernel.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/fake_driver.h"

namespace peri {
namespace {

namespace fs = std::filesystem;

constexpr i64 kSize = 64;
constexpr const char* kText = R"(import torch
import helion
import helion.language as hl

@helion.kernel()
def twice(x: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(x)
    for tile in hl.tile(x.size()):
        out[tile] = x[tile] * 2
    return out
)";
// Says that it is Triton, and compiles everything to the function `twice`.
constexpr const char* kCompiler = R"(#!/bin/sh
echo '{"hello": true, "version": "3.6.0"}'
while read -r line; do
  echo '{"ok": true, "name": "twice", "format": "cubin", "binary": "Q09ERQ=="}'
done
)";

class KernelOnDevice : public testing::Test {
 protected:
  KernelOnDevice() : folder_(fs::temp_directory_path() / fmt::format("peri-device-{}", getpid())) {
    fs::create_directories(folder_);
    const fs::path compiler = folder_ / "compiler";
    std::ofstream(compiler) << kCompiler;
    fs::permissions(compiler, fs::perms::owner_all);
    setenv("PERI_PYTHON", compiler.c_str(), 1);
  }
  ~KernelOnDevice() override {
    unsetenv("PERI_PYTHON");
    fs::remove_all(folder_);
  }
  // Devices stay open for as long as the process runs, and so does their driver.
  static cuda::FakeDriver& fake() {
    static cuda::FakeDriver& made = *new cuda::FakeDriver;
    static const bool is_used = [] {
      made.kernels["twice"] = [](const cuda::LaunchConfig&, void** params) {
        const float* x = *static_cast<float**>(params[0]);
        float* out = *static_cast<float**>(params[1]);
        for (i64 i = 0; i < kSize; ++i) out[i] = 2 * x[i];
      };
      cuda::use_as_local(made.table());
      return true;
    }();
    EXPECT_TRUE(is_used);
    return made;
  }
  Kernel load() {
    auto kernel = Kernel::from_text(kText, "twice",
                                    {.device = "cuda", .cache_dir = (folder_ / "cache").string()});
    EXPECT_TRUE(kernel) << kernel.error().message;
    return *kernel;
  }

  fs::path folder_;
};

TEST_F(KernelOnDevice, TakesAndReturnsTensorsThere) {
  cuda::FakeDriver& driver = fake();
  const std::size_t before = driver.launches.size();
  auto there = to_device(arange(Dtype::F32, kSize), "cuda");
  ASSERT_TRUE(there) << there.error().message;
  auto result = load()(*there);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->tensor.storage.device, there->storage.device);
  EXPECT_EQ(driver.launches.size(), before + 1);
  auto here = to_host(result->tensor);
  ASSERT_TRUE(here);
  EXPECT_EQ(get_real(*here, 5), 10);
  EXPECT_EQ(get_real(*here, kSize - 1), 2 * (kSize - 1));
}

TEST_F(KernelOnDevice, CallsItAgainWithoutACompiler) {
  fake();
  auto there = to_device(arange(Dtype::F32, kSize), "cuda");
  ASSERT_TRUE(load()(*there));
  setenv("PERI_PYTHON", "/nowhere/python3", 1);
  auto again = load()(*there);
  EXPECT_TRUE(again) << again.error().message;
}

TEST_F(KernelOnDevice, RefusesTensorsThatAreElsewhere) {
  fake();
  auto result = load()(arange(Dtype::F32, kSize));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "wrong-device");
}

TEST_F(KernelOnDevice, RefusesDevicesThatAreNotThere) {
  fake();
  Tensor x = arange(Dtype::F32, kSize);
  EXPECT_EQ(to_device(x, "cpu").error().code, "unknown-device");
  EXPECT_EQ(to_device(x, "cuda:sm_90").error().code, "unknown-device");
  EXPECT_EQ(to_device(x, "cuda:7").error().code, "no-device");
}

TEST_F(KernelOnDevice, SaysWhereToTune) {
  fake();
  auto there = to_device(arange(Dtype::F32, kSize), "cuda");
  ASSERT_TRUE(there);
  auto tuned = load().tune(std::vector<Arg>{*there}, 1);
  ASSERT_FALSE(tuned);
  EXPECT_EQ(tuned.error().code, "cannot-tune-here");
}

}  // namespace
}  // namespace peri
