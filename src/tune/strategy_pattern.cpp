#include <algorithm>

#include "tune/proposer.h"
#include "tune/strategies.h"

namespace peri::tune {

namespace {

class PatternSearch : public Strategy {
 public:
  PatternSearch(SearchProblem problem, const SearchOptions& options)
      : proposer_(std::move(problem)), options_(options) {}

  std::string_view name() const override { return "PatternSearch"; }
  std::string describe() const override { return describe_options("pattern", options_); }
  bool proposes_ahead() const override { return false; }  // a generation is of the one before

  std::vector<Proposal> propose() override {
    if (std::exchange(is_first_, false)) return proposer_.first(options_.population);
    std::vector<Proposal> proposals;
    for (const Measurement& point : points_) {
      proposer_.add_all(proposer_.neighbours(point.config), proposals);
      proposer_.add_all(proposer_.pairs(point.config), proposals);
    }
    if (proposals.empty()) {  // nothing left to improve: look elsewhere
      points_.clear();
      proposer_.add_random(options_.population, proposals);
    }
    return proposals;
  }

  // The best points of all live on; those that nothing near has beaten have no neighbours left. A
  // gain too small to count leaves the earlier point in front.
  void report(std::span<const Measurement> generation) override {
    for (const Measurement& point : generation) {
      if (point.seconds == kFailed) continue;
      double least = point.seconds / (1 - options_.min_improvement);
      auto at = std::ranges::find_if(
          points_, [&](const Measurement& other) { return least < other.seconds; });
      points_.insert(at, point);
      if (static_cast<i64>(points_.size()) > options_.copies) points_.pop_back();
    }
  }

 private:
  Proposer proposer_;
  SearchOptions options_;
  std::vector<Measurement> points_;  // fastest first
  bool is_first_ = true;
};

}  // namespace

std::unique_ptr<Strategy> pattern_search(SearchProblem problem, const SearchOptions& options) {
  return std::make_unique<PatternSearch>(std::move(problem), options);
}

}  // namespace peri::tune
