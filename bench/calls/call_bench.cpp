// The host's time of a call of a small kernel on a device, from C++.
//
// Without --gpu the driver is one that does nothing, and a shell script takes the compiler's place:
// what is left is our own time. With it, the time inside of the driver's launch is measured beside.
// Nanoseconds a call: the median over bursts of calls, each of which begins with an idle device.
#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "../kernels/interleave.h"
#include "peri/kernel.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/fake_driver.h"

namespace peri::bench {
namespace {

namespace fs = std::filesystem;

constexpr i64 kBurst = 64;  // as many calls as a device's queue surely holds

constexpr const char* kCompiler = R"(#!/bin/sh
echo '{"hello": true, "version": "3.6.0"}'
while read -r line; do
  echo '{"ok": true, "name": "kernel", "format": "cubin", "binary": "Q09ERQ=="}'
done
)";

struct Subject {
  std::string name, decorator, body, config;
  i64 tensors = 1;
};

std::vector<Subject> subjects() {
  const std::string in_place =
      "def kernel(x: torch.Tensor):\n"
      "    for tile in hl.tile(x.size()):\n        x[tile] = x[tile] * 2\n";
  const std::string twice =
      "def kernel(x: torch.Tensor) -> torch.Tensor:\n    out = torch.empty_like(x)\n"
      "    for tile in hl.tile(x.size()):\n        out[tile] = x[tile] * 2\n    return out\n";
  const std::string add =
      "def kernel(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:\n"
      "    out = torch.empty_like(x)\n"
      "    for tile in hl.tile(x.size()):\n        out[tile] = x[tile] + y[tile]\n    return out\n";
  const std::string pointers = R"({"block_sizes": [16, 16]})";
  const std::string descriptors =
      R"({"block_sizes": [16, 16], "flatten_loops": [false], )"
      R"("indexing": ["tensor_descriptor", "tensor_descriptor", "tensor_descriptor"]})";
  return {{"in place", "", in_place, pointers, 1},
          {"one result", "", twice, pointers, 1},
          {"three descriptors", "", add, descriptors, 2},
          {"dynamic shapes", "static_shapes=False", add, pointers, 2}};
}

// The driver whose launches are timed, while `times` is set.
cuda::Driver timed;
bool times = false;
double seconds_inside = 0;

cuda::Status timed_launch(const cuda::LaunchConfig* config, cuda::Function function, void** params,
                          void** extra) {
  if (!times) return timed.launch(config, function, params, extra);
  double begin = now();
  cuda::Status status = timed.launch(config, function, params, extra);
  seconds_inside += now() - begin;
  return status;
}

cuda::Driver idle_driver() {
  cuda::Driver driver = (new cuda::FakeDriver)->table();
  driver.context_get = [](cuda::Context* context) {
    *context = cuda::fake::handle<cuda::Context>(cuda::FakeDriver::current());
    return cuda::kSuccess;
  };
  driver.launch = [](const cuda::LaunchConfig*, cuda::Function, void**, void**) {
    return cuda::kSuccess;
  };
  driver.encode_tiled = [](cuda::TensorMap*, cuda::MapType, unsigned, void*, const u64*, const u64*,
                           const unsigned*, const unsigned*, int, int, int,
                           int) { return cuda::kSuccess; };
  return driver;
}

[[noreturn]] void stop(const Error& error) {
  fmt::print(stderr, "{}: {}\n", error.code, error.message);
  std::exit(1);
}

// Median seconds a call, and of these inside of the driver's launch.
std::pair<double, double> time_calls(const Subject& subject, i64 bursts) {
  std::string text = fmt::format(
      "import torch\nimport helion\nimport helion.language as hl\n\n@helion.kernel({})\n{}",
      subject.decorator, subject.body);
  auto kernel = Kernel::from_text(text, "", {.device = "cuda", .config = subject.config});
  if (!kernel) stop(kernel.error());
  std::vector<Tensor> tensors;
  std::vector<Arg> args;
  for (i64 t = 0; t < subject.tensors; ++t) {
    auto there = to_device(zeros(Dtype::F32, {64, 64}), "cuda");
    if (!there) stop(there.error());
    tensors.push_back(*there);
  }
  for (const Tensor& tensor : tensors) args.emplace_back(tensor);
  auto burst = [&] {
    double begin = now();
    for (i64 i = 0; i < kBurst; ++i) {
      auto result = kernel->call(args);
      if (!result) stop(result.error());
    }
    double seconds = (now() - begin) / static_cast<double>(kBurst);
    if (auto done = tensors[0].storage.device->synchronize(); !done) stop(done.error());
    return seconds;
  };
  Timing whole{"whole", {}}, inside{"inside", {}};
  for (i64 i = 0; i < bursts; ++i) {
    times = i % 2 == 1;
    seconds_inside = 0;
    double seconds = burst();
    if (i < bursts / 10) continue;  // to warm up
    if (times) {
      inside.samples.push_back(seconds_inside / static_cast<double>(kBurst));
    } else {
      whole.samples.push_back(seconds);
    }
  }
  return {whole.median(), inside.median()};
}

int main_of(bool on_gpu, i64 bursts) {
  fs::path folder = fs::temp_directory_path() / fmt::format("peri-calls-{}", getpid());
  if (on_gpu) {
    auto loaded = cuda::load_driver();
    if (!loaded) stop(loaded.error());
    timed = *loaded;
  } else {
    timed = idle_driver();
    fs::create_directories(folder);
    const fs::path compiler = folder / "compiler";
    std::ofstream(compiler) << kCompiler;
    fs::permissions(compiler, fs::perms::owner_all);
    setenv("PERI_PYTHON", compiler.c_str(), 1);
    setenv("PERI_CACHE_DIR", folder.c_str(), 1);
  }
  cuda::Driver wrapped = timed;
  wrapped.launch = timed_launch;
  cuda::use_as_local(wrapped);
  fmt::print("{:<20} {:>10} {:>12}\n", "", "ns a call", "in launching");
  for (const Subject& subject : subjects()) {
    auto [whole, inside] = time_calls(subject, bursts);
    fmt::print("{:<20} {:>10.0f} {:>12.0f}\n", subject.name, whole * 1e9, inside * 1e9);
  }
  fs::remove_all(folder);
  return 0;
}

}  // namespace
}  // namespace peri::bench

int main(int argc, char** argv) {
  bool on_gpu = false;
  peri::i64 bursts = 2000;
  CLI::App app("The host's time of a call of a small kernel on a device, from C++");
  app.add_flag("--gpu", on_gpu, "launch on a GPU instead of with a driver that does nothing");
  app.add_option("--bursts", bursts, "bursts of calls to time")
      ->check(CLI::Range(20, 1'000'000))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  return peri::bench::main_of(on_gpu, bursts);
}
