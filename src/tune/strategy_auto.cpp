#include <algorithm>
#include <utility>

#include "tune/proposer.h"
#include "tune/ranker.h"
#include "tune/strategies.h"

namespace peri::tune {

namespace {

constexpr i64 kMaxTries = 8;  // for a point that is new
// Of the measured configs that one more generation has at least: a few more tell the model little,
// and where configs are timed in a moment choosing them would take as long.
constexpr i64 kGenerationShare = 32;

class AutoSearch : public Strategy {
 public:
  AutoSearch(SearchProblem problem, const SearchOptions& options,
             std::unique_ptr<CostPredictor> model)
      : proposer_(std::move(problem)),
        options_(options),
        has_model_(model != nullptr),
        ranker_(proposer_, std::move(model), options) {}

  std::string_view name() const override { return "AutoSearch"; }
  std::string describe() const override {
    return describe_options("auto", options_) + (has_model_ ? "" : ", no model");
  }

  std::vector<Proposal> propose() override {
    std::vector<Proposal> proposals;
    u64 seed = proposer_.problem().seed + generation_;
    const i64 count = std::max(options_.batch, ranker_.measured() / kGenerationShare);
    if (generation_++ == 0) {
      add_first(proposals);
    } else if (stagnant_ > options_.patience) {
      stagnant_ = 0;
      add_overlooked(count / 2, proposals);
      proposer_.add_random(count, proposals);
    } else if (ranker_.measured() < options_.screening) {
      add_variants(count, proposals);
    } else {
      ranker_.pick(candidates(), count, seed, proposals);
    }
    if (proposals.empty()) proposer_.add_random(count, proposals);
    return proposals;
  }

  void report(std::span<const Measurement> generation) override {
    double before = ranker_.best_seconds();
    ranker_.report(generation);
    bool better = ranker_.best_seconds() < before * (1 - options_.min_improvement);
    stagnant_ = better ? 0 : stagnant_ + 1;
  }

 private:
  // The start, what is known to be good, and what the cost model finds good.
  void add_first(std::vector<Proposal>& proposals) {
    proposer_.add(proposer_.problem().start, "default", proposals);
    for (const Config& seed : proposer_.problem().seeds) proposer_.add(seed, "seed", proposals);
    proposer_.add_predicted(options_.batch / 2, proposals);
    add_variants(options_.batch - static_cast<i64>(proposals.size()), proposals);
  }

  // Points around the fastest: every other one differs in one knob, the rest in several at once, so
  // that each of them tells about all of those.
  void add_variants(i64 count, std::vector<Proposal>& proposals) {
    std::vector<Config> fastest = ranker_.fastest(1);
    const Config& from = fastest.empty() ? proposer_.problem().start : fastest[0];
    i64 tries = kMaxTries * count;
    for (i64 t = 0; t < tries && count > 0; ++t) {
      i64 knobs = t % 2 == 0 ? 1 : 1 + space::pick(proposer_.rng(), options_.screened);
      Config near = proposer_.space().mutate(from, knobs, proposer_.rng());
      std::string_view origin = knobs == 1 ? "neighbour" : "mutation";
      if (proposer_.add(std::move(near), origin, proposals)) --count;
    }
  }

  // Points one step from the fastest that the model has not picked: it may be wrong about a knob.
  void add_overlooked(i64 count, std::vector<Proposal>& proposals) {
    for (const Config& from : ranker_.fastest(1)) {
      std::vector<Proposal> near = proposer_.neighbours(from);
      std::ranges::shuffle(near, proposer_.rng());
      for (Proposal& proposal : near) {
        if (count <= 0) return;
        if (proposer_.add(std::move(proposal.config), proposal.origin, proposals)) --count;
      }
    }
  }

  // Everything one step from the best, random walks from the fastest, changes of knobs that belong
  // together, children of the fastest, and random points.
  std::vector<Proposal> candidates() {
    std::vector<Config> fastest = ranker_.fastest(options_.copies);
    if (fastest.empty()) fastest.push_back(proposer_.problem().start);
    std::vector<Proposal> found = proposer_.neighbours(fastest[0]);
    std::ranges::move(proposer_.leaps(fastest[0]), std::back_inserter(found));
    space::Rng& rng = proposer_.rng();
    const ConfigSpace& space = proposer_.space();
    for (i64 i = 0; i < options_.neighbours; ++i) {
      const Config& from = fastest[static_cast<std::size_t>(i) % fastest.size()];
      if (i % 16 == 15) {
        found.push_back({space.sample(rng), "random"});
      } else if (i % 4 == 3) {
        const Config& other = fastest[space::pick(rng, static_cast<i64>(fastest.size()))];
        found.push_back({space.mutate(space.crossover(from, other, rng), 1, rng), "crossover"});
      } else {
        found.push_back(
            {space.mutate(from, 1 + space::pick(rng, options_.radius), rng), "mutation"});
      }
      if (i % 4 != 0) continue;
      if (auto near = proposer_.mutate_together(from)) {
        found.push_back({std::move(*near), "mutation"});
      }
    }
    return found;
  }

  Proposer proposer_;
  SearchOptions options_;
  bool has_model_;
  Ranker ranker_;
  u64 generation_ = 0;
  i64 stagnant_ = 0;  // generations without a gain
};

}  // namespace

std::unique_ptr<Strategy> auto_search(SearchProblem problem, const SearchOptions& options,
                                      std::unique_ptr<CostPredictor> model) {
  return std::make_unique<AutoSearch>(std::move(problem), options, std::move(model));
}

}  // namespace peri::tune
