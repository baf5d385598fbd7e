// A machine with fake GPUs and a shell script that takes the compiler's place, for tests.
#pragma once

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "runtime/cuda/device.h"
#include "runtime/cuda/fake_driver.h"

namespace peri::driver {

// Compiles everything to the function `twice`, which doubles kFakeElements floats. {} is a version.
inline constexpr const char* kFakeCompiler = R"(#!/bin/sh
echo '{{"hello": true, "version": "{}"}}'
while read -r line; do
  echo '{{"ok": true, "name": "twice", "format": "cubin", "binary": "Q09ERQ=="}}'
done
)";
inline constexpr i64 kFakeElements = 64;

inline void run_twice(const cuda::LaunchConfig&, void** params) {
  const float* x = *static_cast<float**>(params[0]);
  float* out = *static_cast<float**>(params[1]);
  for (i64 i = 0; i < kFakeElements; ++i) out[i] = 2 * x[i];
}

// The driver of the process: devices stay open for as long as it runs.
inline cuda::FakeDriver& fake_driver() {
  static cuda::FakeDriver& made = *new cuda::FakeDriver;
  static const bool is_used = [] {
    made.kernels["twice"] = run_twice;
    cuda::use_as_local(made.table());
    return true;
  }();
  (void)is_used;
  return made;
}

// A folder of its own with the compiler, which PERI_PYTHON names while this lives.
class FakeMachine {
 public:
  FakeMachine()
      : folder_(std::filesystem::temp_directory_path() / fmt::format("peri-device-{}", getpid())) {
    install_compiler("3.6.0");
    fake_driver();
  }
  ~FakeMachine() {
    unsetenv("PERI_PYTHON");
    std::filesystem::remove_all(folder_);
  }
  FakeMachine(const FakeMachine&) = delete;
  FakeMachine& operator=(const FakeMachine&) = delete;

  // A compiler of that version; "": there is none. Processes ask each path only once, so it has
  // another one each time.
  void install_compiler(const std::string& version) {
    static int installed = 0;
    name_ = fmt::format("compiler-{}", ++installed);
    std::filesystem::create_directories(folder_);
    if (!version.empty()) {
      std::ofstream(compiler()) << fmt::format(kFakeCompiler, version);
      std::filesystem::permissions(compiler(), std::filesystem::perms::owner_all);
    }
    setenv("PERI_PYTHON", compiler().c_str(), 1);
  }

  std::string compiler() const { return (folder_ / name_).string(); }
  std::string cache() const { return (folder_ / "cache").string(); }

 private:
  std::filesystem::path folder_;
  std::string name_;
};

}  // namespace peri::driver
