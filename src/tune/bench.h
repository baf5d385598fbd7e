// Compiles, checks and times candidates: in this process, or in a worker that they may bring down.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/expected.h"
#include "tune/measure.h"
#include "tune/record.h"

namespace peri::tune {

// What a bench asks of the kernel being tuned.
class Workload {
 public:
  using Candidate = std::shared_ptr<const void>;
  virtual ~Workload() = default;
  // Code for a config. Thread-safe.
  virtual Expected<Candidate> compile(const Config& config) = 0;
  // Whether make() may run, in this process or others, while candidates are timed: it takes nothing
  // from what they run on.
  virtual bool builds_beside_timing() const { return false; }
  // The slow part of compile() and the rest of it, where the above holds: the code as bytes that
  // other processes can load. make() is thread-safe, and touches nothing that a fork cannot.
  virtual Expected<std::string> make(const Config& config);
  virtual Expected<Candidate> load(const Config& config, const std::string& code);
  // Makes `candidate`'s results those that others are compared with. Unless `is_known_good`, they
  // are compared with the reference interpreter's first.
  virtual Expected<Accuracy> trust(const Candidate& candidate, bool is_known_good) = 0;
  // Runs a candidate once on poisoned memory and compares its results; `wrong-result` and
  // `out-of-bounds-write` are faults of the candidate.
  virtual Expected<void> check(const Candidate& candidate) = 0;
  virtual void run(const Candidate& candidate) = 0;
  // Whether candidates can be run by a fork of the process that made them.
  virtual bool survives_fork() const { return true; }
  // Drives the operands out of the caches.
  virtual void flush_caches() = 0;
  // Before each round of timings: places anew what chance has placed and times depend on, so that
  // no candidate is judged by where its memory happens to lie in this process.
  virtual void place_anew() {}
  // Mean seconds of `batch` runs in a row, of flushed caches if `cold`; by `clock`, unless the
  // workload has a better one.
  virtual double time(const Candidate& candidate, i64 batch, bool cold, const Clock& clock);

 private:
  double last_seconds_ = 0;  // a call, of whatever candidate
};

// A workload throws this where it can go on no more, as when the device has stopped working: a
// worker ends by it, and is replaced; a bench in this process fails with its error.
class WorkloadLost : public std::runtime_error {
 public:
  explicit WorkloadLost(Error error)
      : std::runtime_error(error.message), error_(std::move(error)) {}
  const Error& error() const { return error_; }

 private:
  Error error_;
};

// Code of an error of Workload::check, which the reason of the verdict then begins with.
inline constexpr std::string_view kOutOfBounds = "out-of-bounds-write";

// What became of a request; the status of the candidate at fault.
struct Verdict {
  Status status = Status::Ok;
  std::string reason;
  double seconds = 0;       // that compiling took
  bool is_certain = false;  // it hung, and not because it got too little of the machine
  bool ok() const { return status == Status::Ok; }
};

struct TimeRequest {
  std::vector<i64> ids;  // the last one is blamed for a crash
  i64 rounds = 1;
  i64 batch = 1;      // calls in a row, of which the mean is taken
  bool cold = false;  // caches are flushed before each
  double limit = 1;   // seconds after which a worker is taken to hang
};

struct TimeResult {
  Verdict verdict;
  std::vector<std::vector<double>> samples;  // by id: seconds a call, one for each round
};

struct Build {
  i64 id = 0;
  Config config;
  std::string code = {};  // by Workload::make; "": is yet to be compiled
};

// Candidates are known by numbers that the caller gives them. Id 0 is the trusted one.
class Bench {
 public:
  virtual ~Bench() = default;
  // Compiles and trusts the config that others are compared with (see Workload::trust), with id 0.
  // To be called first.
  virtual Expected<Accuracy> trust(const Build& build, bool is_known_good) = 0;
  // Makes code side by side, or loads it; a verdict each.
  virtual std::vector<Verdict> compile(std::span<const Build> builds) = 0;
  // `limit`: seconds that the call may take; comparing results is given what trust() or earlier
  // checks took, at least.
  virtual Verdict check(i64 id, double limit) = 0;
  // Times each id once a round, in turns; every other round goes backwards.
  virtual TimeResult time(const TimeRequest& request) = 0;
  virtual void drop(std::span<const i64> ids) = 0;
  // By the bench's clock: requests end by then, and what is not done is `skipped`. In this process
  // a call is waited for.
  virtual void end_by(double time) = 0;
  // Why nothing can be measured any more, if so.
  virtual const std::optional<Error>& failure() const = 0;
};

// In this process; a candidate that crashes takes it along.
std::unique_ptr<Bench> local_bench(Workload& workload, i64 compile_threads, Clock clock);

struct IsolationOptions {
  i64 memory_bytes = 0;  // that a worker may use beyond what it begins with; 0: no limit
  double compile_limit =
      30;  // seconds that compiling one batch, or beside timing a config, may take
  std::function<bool()> is_interrupted;
};

// In a forked worker, which is replaced when it dies; where the workload survives that, a fork of
// the worker runs the checks. Earlier candidates may have done damage: a wrong result counts only
// if the trusted candidate still gives right ones, a crash or a write out of bounds only if it
// happens again in a fresh process. Other errors, such as a launch that the device refuses, count
// at once.
std::unique_ptr<Bench> isolated_bench(Workload& workload, i64 compile_threads, Clock clock,
                                      IsolationOptions options);

}  // namespace peri::tune
