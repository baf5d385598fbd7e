// A tuning session: proposals are compiled side by side, checked, and timed alone.
//
// A candidate is timed in turns with the best config so far, so that drifts of the machine hit
// both. A win inside the noise is a tie, and a tie keeps the earlier config.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/expected.h"
#include "tune/measure.h"
#include "tune/strategy.h"

namespace peri::tune {

// What a session asks of the kernel being tuned.
class Workload {
 public:
  using Candidate = std::shared_ptr<const void>;
  virtual ~Workload() = default;
  // Code for a config. Thread-safe.
  virtual Expected<Candidate> compile(const Config& config) = 0;
  // Runs a candidate once and compares its results; the first one checked is the one that others
  // are compared with.
  virtual Expected<void> check(const Candidate& candidate) = 0;
  virtual void run(const Candidate& candidate) = 0;
};

struct SessionOptions {
  double budget = 60;  // seconds for everything
  i64 compile_threads = 1;
  i64 finalists = 5;  // besides the default
  Clock clock = steady_clock();
  std::function<bool()> is_interrupted;
  std::function<void(const std::string&)> log;       // a line that stays
  std::function<void(const std::string&)> progress;  // a line that the next one replaces
};

struct Outcome {
  Config best;
  double seconds = 0;          // of a call of the best config
  double default_seconds = 0;  // timed in turns with it
  i64 searched = 0, failed = 0;
  double elapsed = 0;
  bool interrupted = false;
  std::vector<Measurement> history;
};

// Searches with `strategy`, starting from `first`, which must work: an error of it is the result.
Expected<Outcome> tune(Strategy& strategy, const Config& first, Workload& workload,
                       const SessionOptions& options);

// The closing lines that Helion prints.
std::string completion_text(const Outcome& outcome, bool static_shapes);

}  // namespace peri::tune
