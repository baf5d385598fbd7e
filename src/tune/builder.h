// Makes code for candidates: in turns with timing, or beside it where that does not disturb timing
// (see Workload::builds_beside_timing).
//
// What is made beside timing comes as it gets ready, in any order: nothing waits for the slowest.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tune/bench.h"

namespace peri::tune {

struct Built {
  i64 id = 0;
  Verdict verdict;
  std::string code;                 // for Bench::compile; "": the bench has it already
  std::optional<Error> error = {};  // behind a compile error
};

class Builder {
 public:
  virtual ~Builder() = default;
  virtual bool is_beside_timing() const = 0;
  virtual void start(Build build) = 0;
  // What has become ready of what was started; waits up to `seconds` if that is nothing yet.
  // Builders in turns with timing make everything in this call.
  virtual std::vector<Built> ready(double seconds) = 0;
  // Of what is not ready nothing will come any more.
  virtual void abandon() = 0;
  // Why nothing can be made any more, if so.
  virtual const std::optional<Error>& failure() const = 0;
};

// In turns with timing: the bench compiles, all that was started side by side.
std::unique_ptr<Builder> bench_builder(Bench& bench);

// Beside timing, in threads of this process. A config that is being compiled when the builder goes
// is waited for.
std::unique_ptr<Builder> threaded_builder(Workload& workload, i64 threads, Clock clock);

// Beside timing, in threads of a process of lower priority, which is replaced when it dies or when
// one config takes longer than `options.compile_limit`. After a crash, which any of the configs at
// hand may have caused, these are made one by one.
std::unique_ptr<Builder> isolated_builder(Workload& workload, i64 threads, Clock clock,
                                          IsolationOptions options);

}  // namespace peri::tune
