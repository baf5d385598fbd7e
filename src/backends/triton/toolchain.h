// Triton source to machine code, through a pool of Python processes that have Triton loaded.
//
// A process starts when all others are busy, up to one for each CPU, and serves many requests. It
// needs no GPU and no torch. A compiler that crashes or hangs costs its request only.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backends/triton/target.h"
#include "base/expected.h"

namespace peri::triton {

struct Source {
  std::string text;                                            // a module
  std::string function;                                        // of it
  std::vector<std::pair<std::string, std::string>> signature;  // parameter, type
  std::vector<i64> aligned;                                    // parameters divisible by 16
  i64 num_warps = 4;
  i64 num_stages = 1;
  i64 maxnreg = 0;                // 0: no limit
  std::vector<std::string> keep;  // stages to keep as text: "ttir", "ttgir", "llir", "ptx"
};

// How the compiled code copies through a descriptor parameter.
struct DescriptorLayout {
  i64 swizzle = 0;       // as backends::TensorMap has it
  std::vector<i64> box;  // of one copy: a tile may take several
};

struct Binary {
  std::string function;
  std::string format;  // "cubin", "hsaco"
  std::string bytes;
  i64 num_warps = 4;
  i64 shared_bytes = 0;
  i64 cluster = 1;
  i64 scratch_bytes = 0, scratch_alignment = 1;
  std::vector<DescriptorLayout> descriptors;  // of each descriptor parameter
  std::vector<std::string> texts;             // of Source::keep
  std::string compiler;                       // "triton 3.6.0"
};

struct ToolchainOptions {
  std::string python = "python3";
  std::vector<std::string> arguments;  // instead of running the worker script; for tests
  double timeout = 120;                // seconds of one request
  i64 processes = 0;                   // 0: one for each CPU
};

class Toolchain {
 public:
  explicit Toolchain(ToolchainOptions options);
  ~Toolchain();

  // The pool for a Python interpreter, shared by all who ask for it.
  static std::shared_ptr<Toolchain> of(const std::string& python);

  // Thread-safe. Fails with
  //   no-python            the interpreter cannot be started
  //   no-triton            it has no Triton
  //   unsupported-triton   it has one outside of 3.6 to 3.9
  //   compile-failed       Triton refuses the source
  //   compiler-crashed, compiler-timeout
  Expected<Binary> compile(const Source& source, const Target& target);

 private:
  class Worker;

  Expected<std::unique_ptr<Worker>> take();
  void give_back(std::unique_ptr<Worker> worker);

  ToolchainOptions options_;
  std::mutex mutex_;
  std::condition_variable freed_;
  std::vector<std::unique_ptr<Worker>> idle_;
  i64 busy_ = 0;
  i64 next_id_ = 0;
};

}  // namespace peri::triton
