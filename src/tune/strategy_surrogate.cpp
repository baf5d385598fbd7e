#include <algorithm>
#include <utility>

#include "tune/proposer.h"
#include "tune/ranker.h"
#include "tune/strategies.h"

namespace peri::tune {

namespace {

class SurrogateSearch : public Strategy {
 public:
  SurrogateSearch(SearchProblem problem, const SearchOptions& options,
                  std::unique_ptr<CostPredictor> model)
      : proposer_(std::move(problem)),
        options_(options),
        ranker_(proposer_, std::move(model), options) {}

  std::string_view name() const override { return "SurrogateSearch"; }
  std::string describe() const override { return describe_options("surrogate", options_); }

  std::vector<Proposal> propose() override {
    if (generation_++ == 0) return proposer_.first(options_.population);
    std::vector<Proposal> proposals;
    u64 seed = proposer_.problem().seed + generation_;
    ranker_.pick(candidates(), options_.batch, seed, proposals);
    if (proposals.empty()) proposer_.add_random(options_.batch, proposals);
    return proposals;
  }

  void report(std::span<const Measurement> generation) override { ranker_.report(generation); }

 private:
  // Random walks from the fastest, and random points.
  std::vector<Proposal> candidates() {
    std::vector<Proposal> found;
    std::vector<Config> fastest = ranker_.fastest(options_.copies);
    space::Rng& rng = proposer_.rng();
    for (i64 i = 0; i < options_.neighbours; ++i) {
      bool random = fastest.empty() || i % 8 == 7;
      if (random) {
        found.push_back({proposer_.space().sample(rng), "random"});
        continue;
      }
      const Config& from = fastest[static_cast<std::size_t>(i) % fastest.size()];
      i64 knobs = 1 + space::pick(rng, options_.radius);
      found.push_back({proposer_.space().mutate(from, knobs, rng), "mutation"});
    }
    return found;
  }

  Proposer proposer_;
  SearchOptions options_;
  Ranker ranker_;
  u64 generation_ = 0;
};

}  // namespace

std::unique_ptr<Strategy> surrogate_search(SearchProblem problem, const SearchOptions& options,
                                           std::unique_ptr<CostPredictor> model) {
  return std::make_unique<SurrogateSearch>(std::move(problem), options, std::move(model));
}

}  // namespace peri::tune
