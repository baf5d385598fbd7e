// Search strategies: they see knobs and measurements, and nothing else.
//
// A strategy proposes configs, most promising first, and is told what became of them. For one seed,
// one set of options and the same measurements it proposes the same configs in the same order.
#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/expected.h"
#include "space/space.h"
#include "tune/search_options.h"

namespace peri::tune {

using space::Config;
using space::ConfigSpace;

constexpr double kFailed = std::numeric_limits<double>::infinity();

struct Measurement {
  Config config;
  double seconds = kFailed;  // of a call; kFailed: did not compile, or was wrong
};

struct Proposal {
  Config config;  // complete and legal
  // Where it comes from: "default", "cost model", "seed", "random", "neighbour", "pair",
  // "mutation", "crossover", "surrogate" or "list".
  std::string origin;
};

inline constexpr std::string_view kListOrigin = "list";

class Strategy {
 public:
  virtual ~Strategy() = default;
  virtual std::string_view name() const = 0;  // "PatternSearch"
  // Its options as a log line has them: "population=100, copies=5".
  virtual std::string describe() const = 0;
  // The configs to measure next; none when the search is over. Nothing is proposed twice. The very
  // first one is the problem's start (but of a list).
  virtual std::vector<Proposal> propose() = 0;
  // What became of proposals, in any order; some may be missing, or come in a later report.
  virtual void report(std::span<const Measurement> measured) = 0;
  // Whether more may be asked for before all of the last proposal is reported.
  virtual bool proposes_ahead() const { return true; }
};

struct SearchProblem {
  const ConfigSpace& space;   // outlives the strategy
  Config start;               // complete and legal: the default config
  std::vector<Config> seeds;  // further good guesses, complete and legal: of earlier runs
  // Seconds of a call by the backend's cost model; 0: it cannot say. May be empty.
  std::function<double(const Config&)> predict;
  // A text that is equal for configs that make the same code; only one of them is proposed. May be
  // empty: then only equal configs are the same.
  std::function<std::string(const Config&)> effect;
  u64 seed = 0;
};

// Fails with `unknown-strategy` for names that strategy_names() does not list, and with what the
// strategy itself needs and does not have.
Expected<std::unique_ptr<Strategy>> make_strategy(std::string_view name, SearchProblem problem,
                                                  const SearchOptions& options);

// The configs of a list, each once; their origin is kListOrigin.
std::unique_ptr<Strategy> finite_search(std::vector<Config> configs);

}  // namespace peri::tune
