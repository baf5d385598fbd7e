// Triton source to machine code, through a pool of Python processes that have Triton loaded.
//
// A process starts when all others are busy, up to one for each CPU, and serves many requests. It
// needs no GPU and no torch. A compiler that crashes or hangs costs its request only: from the
// first crash on, a spare process loads Triton ahead of the next. Processes end when this one does,
// however it ends, and leave nothing behind.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/code_store.h"
#include "backends/triton/binary.h"
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
  bool impatient = false;         // give up on what takes several times as long as any before
};

struct ToolchainOptions {
  std::string python = "python3";
  std::vector<std::string> arguments;  // instead of running the worker script; for tests
  double timeout = 120;                // seconds of one request
  double patience = 8;                 // of an impatient one, at least, once another is done
  i64 processes = 0;                   // 0: one for each CPU
};

class Toolchain {
 public:
  explicit Toolchain(ToolchainOptions options);
  ~Toolchain();

  // The pool for a Python interpreter, shared by all of this process who ask for it.
  static std::shared_ptr<Toolchain> of(const std::string& python);

  // Thread-safe. Fails with
  //   no-python            the interpreter cannot be started
  //   no-triton            it has no Triton
  //   unsupported-triton   it has one outside of 3.6 to 3.9
  //   compile-failed       Triton refuses the source
  //   compiler-crashed, compiler-timeout
  // What `store` (or null) has is not compiled again: no Python starts for it. Its key says the
  // source, target and options, but not the version of Triton, which only Python knows. Once one
  // has said it, what another version made counts no more, and is replaced.
  Expected<Binary> compile(const Source& source, const Target& target,
                           backends::CodeStore* store = nullptr);
  // As Binary::compiler has it. A process that is started to be asked ends again, so that processes
  // forked later do not share it. Fails with `no-python`, `no-triton` and `unsupported-triton`.
  Expected<std::string> compiler();

 private:
  class Worker;

  Expected<Binary> run(const Source& source, const Target& target);
  std::optional<Binary> find(const backends::CodeStore& store, std::string_view key);
  Expected<std::unique_ptr<Worker>> take();
  void give_back(std::unique_ptr<Worker> worker);
  void start_spare();

  ToolchainOptions options_;
  std::mutex mutex_;
  std::condition_variable freed_;
  std::once_flag swept_;  // of what killed processes left
  std::vector<std::unique_ptr<Worker>> idle_;
  std::unique_ptr<Worker> spare_;  // has yet to say hello
  i64 busy_ = 0;
  i64 next_id_ = 0;
  double slowest_ = 0;    // seconds of a request that was answered
  std::string compiler_;  // as Binary has it; "": no worker has started yet
};

}  // namespace peri::triton
