// Tunes a compiled kernel on its arguments and keeps the best config in the cache.
#pragma once

#include "driver/arguments.h"
#include "driver/compile.h"
#include "tune/session.h"

namespace peri::driver {

struct TuneOptions {
  std::function<bool()> is_interrupted;
  std::function<void(const std::string&)> log;
  std::function<void(const tune::Progress&)> progress;
  std::function<void(const tune::Trial&, i64 number)> on_trial;
  std::function<void(std::size_t job)> on_shape;  // of tune_shapes: this one's search begins
  std::vector<space::Config> seeds;  // to be tried first; none: those of the cache that fit
  // Of compare_configs: most of the time is for all of them in turns, not for races that leave the
  // slower ones out.
  bool is_final = false;
  tune::Clock clock = tune::steady_clock();
};

// With effort `none`: how the default config stands, by the cost model alone.
struct Outlook {
  double seconds = 0;       // of the default; 0: the model says nothing
  double best_seconds = 0;  // of the best of `configs` random ones, or the default's
  i64 configs = 0;
  std::string text() const;
};
Outlook outlook_of_default(const Compilation& c);

// What a search starts from: the first of the decorator's configs if it gives several, among which
// it stays; else the default. The phases up to `space` must have run.
Expected<space::Config> first_config(const Compilation& c);

// Runs the phases up to `space` if they have not run; then searches with the settings' strategy,
// effort, budget and seed, or among the decorator's configs if it gives several, of which one wins.
// Candidates are compiled and run in a worker process, on copies of the arguments that they write
// to; in this one if the request lets it open the device (`opens_device`). The arguments are on the
// host. The best config becomes the compilation's, with origin "tuned", and goes to the cache with
// its record; so does the best so far where this process loses the device, which is an error.
Expected<tune::Record> tune_kernel(Compilation& c, const Arguments& arguments,
                                   const TuneOptions& options);

// A part of that: the search alone, with `budget` seconds (0: until no gain is expected). Warns
// with `not-verified` if the interpreter was too slow for the default's results to be compared, and
// with `busy-machine` if others used the CPUs meanwhile.
Expected<tune::Record> search_configs(Compilation& c, const Arguments& arguments,
                                      const TuneOptions& options, double budget);
// A further round: first_config() and `configs` are timed in turns, for about `seconds`. Trial i +
// 1 is of configs[i].
Expected<tune::Record> compare_configs(Compilation& c, const Arguments& arguments,
                                       const std::vector<space::Config>& configs,
                                       const TuneOptions& options, double seconds);
// And the end: the record's toolchain and idle keys are filled in, and what was learnt goes to the
// cache. Warns with `better-entry` if it keeps another config.
void keep_result(const Compilation& c, tune::Record& record);

}  // namespace peri::driver
