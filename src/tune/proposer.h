// What all strategies share: new configs, each proposed once, promising ones first.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tune/strategy.h"

namespace peri::tune {

class Proposer {
 public:
  explicit Proposer(SearchProblem problem);

  const ConfigSpace& space() const { return problem_.space; }
  const SearchProblem& problem() const { return problem_; }
  space::Rng& rng() { return rng_; }

  // False if the config of this text was proposed before; quick, unlike add(), which also refuses
  // those that make the same code as one before.
  bool is_new(const std::string& text) const { return !configs_.contains(text); }
  bool add(Config config, std::string_view origin, std::vector<Proposal>& proposals);

  // The start, the seeds, the cost model's favourites, and random points: `count` altogether, or
  // more if there are more seeds.
  std::vector<Proposal> first(i64 count);
  // New random points, those of better prediction first; fewer than `count` only when the space is
  // used up, or too large to list and nearly so.
  void add_random(i64 count, std::vector<Proposal>& proposals);
  // The best by the cost model of many random points and of what grows from the best of these by
  // mutation; none without a model.
  void add_predicted(i64 count, std::vector<Proposal>& proposals);
  // Adds those that are new.
  void add_all(std::vector<Proposal> proposals, std::vector<Proposal>& to);

  // Legal configs, new or not: every change of one knob by one step;
  std::vector<Proposal> neighbours(const Config& config) const;
  // every change of two block sizes by one step;
  std::vector<Proposal> pairs(const Config& config) const;
  // every change of one size by a factor of about 2 or 4, or to the largest.
  std::vector<Proposal> leaps(const Config& config) const;

  // Changes two knobs of one access, dot or loop at once: some mean something only together, as how
  // far ahead to fetch and into which cache. None where no knobs belong together.
  std::optional<Config> mutate_together(const Config& config);

  // Sorts proposals from `begin` on by prediction; those without come last, in their order.
  void sort_by_prediction(std::vector<Proposal>& proposals, std::size_t begin) const;
  // kFailed: unknown; computed once a config. `text`: the config's.
  double predict(const Config& config, const std::string& text) const;
  double predict(const Config& config) const { return predict(config, config.dump()); }

 private:
  void collect_pairs(const Config& config, i64 a, i64 b, std::vector<Proposal>& pairs) const;
  void add_listed(i64 count, std::vector<Proposal>& proposals);

  SearchProblem problem_;
  space::Rng rng_;
  std::vector<std::vector<i64>> together_;             // knobs of one access, dot or loop
  std::unordered_set<std::string> configs_, effects_;  // of all proposals
  mutable std::unordered_map<std::string, double> predictions_;
};

}  // namespace peri::tune
