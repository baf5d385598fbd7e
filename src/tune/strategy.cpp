#include "tune/strategy.h"

#include <algorithm>
#include <utility>

namespace peri::tune {

namespace {

constexpr i64 kMaxTries = 20;  // for a random point that is new

// Configs proposed so far.
class Seen {
 public:
  bool add(const Config& config) { return texts_.insert(config.dump()).second; }

  // New random points; fewer than `count` if the space is nearly used up.
  void add_random(const ConfigSpace& space, space::Rng& rng, i64 count,
                  std::vector<Config>& configs) {
    for (i64 i = 0; i < count; ++i) {
      for (i64 t = 0; t < kMaxTries; ++t) {
        Config config = space.sample(rng);
        if (!add(config)) continue;
        configs.push_back(std::move(config));
        break;
      }
    }
  }

 private:
  std::set<std::string> texts_;
};

class RandomSearch : public Strategy {
 public:
  RandomSearch(const ConfigSpace& space, const StrategyOptions& options)
      : space_(space), options_(options), rng_(options.seed) {}

  std::string_view name() const override { return "RandomSearch"; }

  std::vector<Config> propose() override {
    std::vector<Config> configs;
    seen_.add_random(space_, rng_, options_.population, configs);
    return configs;
  }

  void report(std::span<const Measurement>) override {}

 private:
  const ConfigSpace& space_;
  StrategyOptions options_;
  space::Rng rng_;
  Seen seen_;
};

class PatternSearch : public Strategy {
 public:
  PatternSearch(const ConfigSpace& space, const Config& start, const StrategyOptions& options)
      : space_(space), options_(options), rng_(options.seed), start_(start) {}

  std::string_view name() const override { return "PatternSearch"; }

  std::vector<Config> propose() override {
    std::vector<Config> configs;
    if (is_first_) {
      seen_.add(start_);
      configs.push_back(start_);
      seen_.add_random(space_, rng_, options_.population - 1, configs);
    } else {
      for (const Measurement& point : points_) add_neighbours(point.config, configs);
      if (configs.empty()) {  // nothing left to improve: look elsewhere
        points_.clear();
        seen_.add_random(space_, rng_, options_.population, configs);
      }
    }
    is_first_ = false;
    return configs;
  }

  // The best points of all live on; those that nothing near has beaten have no neighbours left.
  void report(std::span<const Measurement> generation) override {
    points_.insert(points_.end(), generation.begin(), generation.end());
    std::ranges::stable_sort(points_, {}, &Measurement::seconds);
    std::size_t keep = std::min(points_.size(), static_cast<std::size_t>(options_.copies));
    points_.resize(keep);
    std::erase_if(points_, [](const Measurement& point) { return point.seconds == kFailed; });
  }

 private:
  void add(Config config, std::vector<Config>& configs) {
    if (seen_.add(config)) configs.push_back(std::move(config));
  }

  void add_neighbours(const Config& config, std::vector<Config>& configs) {
    i64 count = static_cast<i64>(space_.knobs().size());
    for (i64 k = 0; k < count; ++k) {
      for (Config& near : space_.neighbours(config, k)) add(std::move(near), configs);
    }
    for (i64 a = 0; a < count; ++a) {
      if (space_.knobs()[a].key != "block_sizes") continue;
      for (i64 b = a + 1; b < count; ++b) {
        if (space_.knobs()[b].key == "block_sizes") add_pairs(config, a, b, configs);
      }
    }
  }

  void add_pairs(const Config& config, i64 a, i64 b, std::vector<Config>& configs) {
    for (space::Json& value_a : space_.knobs()[a].neighbours(space_.get(config, a))) {
      for (space::Json& value_b : space_.knobs()[b].neighbours(space_.get(config, b))) {
        Config near = config;
        space_.set(near, a, value_a);
        space_.set(near, b, value_b);
        if (!space_.why_not(near)) add(std::move(near), configs);
      }
    }
  }

  const ConfigSpace& space_;
  StrategyOptions options_;
  space::Rng rng_;
  Config start_;
  Seen seen_;
  std::vector<Measurement> points_;
  bool is_first_ = true;
};

class FiniteSearch : public Strategy {
 public:
  explicit FiniteSearch(std::vector<Config> configs) : configs_(std::move(configs)) {}

  std::string_view name() const override { return "FiniteSearch"; }
  std::vector<Config> propose() override { return std::exchange(configs_, {}); }
  void report(std::span<const Measurement>) override {}

 private:
  std::vector<Config> configs_;
};

}  // namespace

std::unique_ptr<Strategy> random_search(const ConfigSpace& space, const StrategyOptions& options) {
  return std::make_unique<RandomSearch>(space, options);
}

std::unique_ptr<Strategy> pattern_search(const ConfigSpace& space, const Config& start,
                                         const StrategyOptions& options) {
  return std::make_unique<PatternSearch>(space, start, options);
}

std::unique_ptr<Strategy> finite_search(std::vector<Config> configs) {
  return std::make_unique<FiniteSearch>(std::move(configs));
}

std::unique_ptr<Strategy> make_strategy(std::string_view name, const ConfigSpace& space,
                                        const Config& start, const StrategyOptions& options) {
  if (name == "random") return random_search(space, options);
  if (name == "pattern") return pattern_search(space, start, options);
  return nullptr;
}

}  // namespace peri::tune
