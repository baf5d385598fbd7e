// Search strategies: they see knobs and measurements, and nothing else.
#pragma once

#include <limits>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "space/space.h"

namespace peri::tune {

using space::Config;
using space::ConfigSpace;

constexpr double kFailed = std::numeric_limits<double>::infinity();

struct Measurement {
  Config config;
  double seconds = kFailed;  // of a call; kFailed: did not compile, or was wrong
};

class Strategy {
 public:
  virtual ~Strategy() = default;
  virtual std::string_view name() const = 0;
  // The configs to measure next, most promising first; none when the search is over. Configs that
  // were proposed before are not proposed again.
  virtual std::vector<Config> propose() = 0;
  // What became of the last proposal, in any order; configs may be missing.
  virtual void report(std::span<const Measurement> generation) = 0;
};

struct StrategyOptions {
  u64 seed = 0;
  i64 population = 40;  // configs of the first generation
  i64 copies = 3;       // pattern: points that are improved side by side
};

// Random points, `population` at a time, for ever.
std::unique_ptr<Strategy> random_search(const ConfigSpace& space, const StrategyOptions& options);

// From the best of a random population: every change of one knob by one step, and of two block
// sizes at once, until nothing improves; then again from new random points.
std::unique_ptr<Strategy> pattern_search(const ConfigSpace& space, const Config& start,
                                         const StrategyOptions& options);

// The configs of a list.
std::unique_ptr<Strategy> finite_search(std::vector<Config> configs);

// "random" or "pattern"; nothing for other names.
std::unique_ptr<Strategy> make_strategy(std::string_view name, const ConfigSpace& space,
                                        const Config& start, const StrategyOptions& options);

}  // namespace peri::tune
