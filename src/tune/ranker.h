// Picks among candidates those that a model of this run's measurements finds fast.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "tune/boosted_trees.h"
#include "tune/proposer.h"

namespace peri::tune {

class Ranker {
 public:
  // Without `model`, candidates keep their order. `proposer` outlives the ranker.
  Ranker(Proposer& proposer, std::unique_ptr<CostPredictor> model, const SearchOptions& options);

  void report(std::span<const Measurement> generation);
  // The `count` fastest so far, fastest first.
  std::vector<Config> fastest(i64 count) const;
  double best_seconds() const { return fastest_.empty() ? kFailed : fastest_[0].seconds; }
  i64 measured() const { return history_.rows(); }

  // Proposes the `count` new candidates of lowest predicted time, each with a penalty for being
  // like those picked before it; fewer if there are not as many.
  void pick(std::vector<Proposal> candidates, i64 count, u64 seed,
            std::vector<Proposal>& proposals);

 private:
  std::vector<double> features_of(const Config& config, const std::string& text) const;
  std::vector<double> targets() const;
  bool predict(const FeatureTable& table, u64 seed, std::vector<double>& scores);

  Proposer& proposer_;
  std::unique_ptr<CostPredictor> model_;
  SearchOptions options_;
  FeatureTable history_;
  i64 fitted_ = 0;                   // rows that the model has learnt from
  std::vector<double> log_seconds_;  // kFailed: it failed
  std::vector<Measurement> fastest_;
};

}  // namespace peri::tune
