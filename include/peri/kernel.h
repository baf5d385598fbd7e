// Kernels in Python syntax, called from C++.
//
//   auto softmax = peri::Kernel::load("softmax.py", "softmax");
//   if (!softmax) return report(softmax.error());
//   auto y = (*softmax)(x);                    // compiles for x's dtype and shape, once
//   if (y) use(y->tensor);
//
// A kernel is compiled for each combination of dtypes, sizes and strides that it is called with
// (with `static_shapes=False`: of dtypes and ranks), with the tuned config if the cache has one. If
// the cache has a kernel with dynamic shapes tuned for several sizes, each call uses the config of
// the nearest (tune/shape_table.h), which is chosen in some nanoseconds.
// On a GPU, tensors live in the device's memory, and a call queues its work:
//
//   auto softmax = peri::Kernel::load("softmax.py", "softmax", {.device = "cuda"});
//   auto there = peri::to_device(x, "cuda");
//   auto y = (*softmax)(*there);
//   auto here = peri::to_host(y->tensor);      // waits for the call
//
// Calls are thread-safe; one that needs no compilation takes well under a microsecond besides the
// kernel itself.
#pragma once

#include <array>
#include <concepts>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/expected.h"
#include "peri/tensor.h"
#include "runtime/result.h"

namespace peri {

using runtime::Result;

// What is left as it is here is as the environment says (PERI_CACHE_DIR, PERI_THREADS, ...:
// driver/settings.def), and else the default.
struct KernelOptions {
  std::string device{};  // that calls run on: "cpu", "cuda", "cuda:1" (the second one)
  std::string cpu{};     // level to make code for: "x86-64-v3", ...
  i64 threads = 0;       // most threads of a launch; 0: all
  // JSON or `helion.Config(...)`; "": the decorator's `config=`, the tuned one, the first of its
  // `configs=`, or the default.
  std::string config{};
  std::string cache_dir{};  // of tuned configs
  bool use_cache = true;
  // A call for which no config was tuned, given above or hard-coded with `config=` fails with
  // `not-tuned`.
  bool require_tuned = false;
  // Told of troubles with the cache, and once a kernel when it runs untuned.
  std::function<void(const Error&)> warn{};
};

// Look-ups of tuned configs by this process: a miss is a kernel that was compiled with a config
// that nobody chose.
struct TunedLookups {
  i64 hits = 0, misses = 0;
};
TunedLookups tuned_lookups();

// An argument of a call. It refers to tensors and strings, so it must not outlive them.
class Arg {
 public:
  enum class Kind : u8 { None, Tensor, Int, Float, Bool, String };

  Arg(std::nullptr_t) {}
  Arg(const Tensor& value) : kind(Kind::Tensor), tensor(&value) {}
  template <std::integral Integer>
  Arg(Integer value) : kind(Kind::Int), integer(static_cast<i64>(value)) {}
  Arg(bool value) : kind(Kind::Bool), integer(value ? 1 : 0) {}
  Arg(double value) : kind(Kind::Float), real(value) {}
  Arg(std::string_view value) : kind(Kind::String), text(value) {}
  Arg(const char* value) : Arg(std::string_view(value)) {}

  Kind kind = Kind::None;
  const Tensor* tensor = nullptr;
  i64 integer = 0;
  double real = 0;
  std::string_view text;
};

struct Tuned {
  std::string config;  // as one pastes it into a decorator
  double seconds = 0;  // of a call
  double default_seconds = 0;
};

class Kernel {
 public:
  // Reads and parses a kernel file; `name` may be left out if the file has one kernel. Errors in it
  // have the code `diagnostics` and the rendered text as message.
  static Expected<Kernel> load(const std::string& file, const std::string& name = "",
                               KernelOptions options = {});
  static Expected<Kernel> from_text(const std::string& text, const std::string& name = "",
                                    KernelOptions options = {});

  // Calls the kernel with arguments in the order of its parameters; those left out take their
  // defaults. Tensors must be on the kernel's device (`wrong-device`), and so are results; errors
  // of a device are those of runtime/device.h, some of which come from a later call.
  template <class... Args>
  Expected<Result> operator()(const Args&... args) const {
    std::array<Arg, sizeof...(Args)> list{Arg(args)...};
    return call(list);
  }
  Expected<Result> call(std::span<const Arg> args) const;

  // Searches for the fastest config for these arguments (of the decorator's `configs=` if it has
  // several), uses it from now on, and keeps it in the cache, which a kernel with `config=` in its
  // decorator does not look at; without a cache, as long as the kernel lives. With dynamic shapes,
  // sizes that were tuned for before keep theirs. On the CPU candidates run in processes of their
  // own. On another device, which this process has opened, they run in it: one that faults ends the
  // search and the device's use (`device-fault`), and one that never ends hangs the program; `peri
  // tune --device` shields from both.
  Expected<Tuned> tune(std::span<const Arg> args, double seconds) const;

  // The config that a call with these arguments uses.
  Expected<std::string> config(std::span<const Arg> args) const;

 private:
  struct Impl;
  explicit Kernel(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

  std::shared_ptr<Impl> impl_;
};

}  // namespace peri
