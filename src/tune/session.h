// A tuning session: proposals are compiled side by side, checked, and timed.
//
// Where compiling disturbs timing (see Builder), a batch of them is compiled, and then timed alone:
// the same seed and the same timings give the same record. Else a candidate is measured as soon as
// its code is there, and strategies that can are asked for more while others are on their way; what
// is proposed then depends on which compile ends first. What is still being compiled at the end is
// abandoned, and stands in no record.
//
// Several benches, one a device, take candidates from the same queue, each of them in a thread. All
// race against the same best, each on its own device: ratios can be compared, and give seconds of
// the first device, which the default and the final round are timed on. A bench that fails costs
// the candidate that it had; the others go on.
//
// A candidate is timed in turns with the best config so far, so that changes of the machine's speed
// hit both, and only for as long as it takes to tell them apart. A win inside the noise is a tie,
// and a tie keeps the earlier config.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "base/expected.h"
#include "tune/bench.h"
#include "tune/builder.h"
#include "tune/progress.h"
#include "tune/record.h"
#include "tune/strategy.h"

namespace peri::tune {

struct SessionOptions {
  double budget = 0;           // seconds for everything; 0: until no gain is expected
  double most_seconds = 600;   // without a budget
  double least_gain = 0.01;    // without a budget: an expected gain below this ends the search
  i64 finalists = 10;          // besides the default
  double final_share = 0.1;    // of the budget, for the final round
  double final_seconds = 2;    // of that, at most
  i64 batch = 8;               // configs compiled side by side: before they are timed, or beside
  double race_seconds = 0.05;  // of one race, before it counts as a tie
  double hang_seconds = 0.03;  // beside a multiple of the default's time, until a call is ended
  bool cold = false;           // caches are flushed before each timed call
  std::string first_origin = "default";  // of the config that the search starts from
  Clock clock = steady_clock();
  std::map<std::string, std::string> quarantine;  // config text -> why it is not to be tried
  // Seconds by the cost model; 0: it says nothing.
  std::function<double(const Config&)> predict;
  // The relative improvement that going on for as long again may bring.
  std::function<double(std::span<const Measurement>)> expected_gain;
  std::function<bool()> is_interrupted;
  std::function<void(const std::string&)> log;  // a line that stays
  std::function<void(const Progress&)> progress;
  std::function<void(const Trial&, i64 number)> on_trial;
};

inline constexpr std::string_view kNoWorker = "no worker";

// Searches with `strategy`, starting from `first`, which must work: an error of it is the result.
// Fails with `interrupted` if it is ended before anything was timed. If no bench or builder is left
// later, the record has what was found so far, and was stopped by kNoWorker.
// `record` comes with what the caller knows of kernel and machine, and is completed.
// Several benches need a builder beside timing. Functions of the options are called by one thread
// at a time, but for is_interrupted.
Expected<Record> tune(Strategy& strategy, const Config& first, std::span<Bench* const> benches,
                      Builder& builder, const SessionOptions& options, Record record);
// With one bench, that compiles.
Expected<Record> tune(Strategy& strategy, const Config& first, Bench& bench,
                      const SessionOptions& options, Record record);

}  // namespace peri::tune
