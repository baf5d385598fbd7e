// Differential evolution of Storn and Price (1997), by knobs as Helion has it: sizes step towards
// or away, choices come from one of the parents.
#include <algorithm>
#include <map>
#include <utility>

#include "tune/proposer.h"
#include "tune/strategies.h"

namespace peri::tune {

namespace {

constexpr i64 kOversampled = 2;  // of the first generation; the better half lives
constexpr i64 kMaxTries = 20;    // for a child that is new

double uniform(space::Rng& rng) { return static_cast<double>(rng() >> 11) * 0x1p-53; }

class DifferentialEvolution : public Strategy {
 public:
  DifferentialEvolution(SearchProblem problem, const SearchOptions& options)
      : proposer_(std::move(problem)), options_(options) {}

  std::string_view name() const override { return "DifferentialEvolution"; }
  std::string describe() const override { return describe_options("de", options_); }
  bool proposes_ahead() const override { return false; }  // a generation is of the one before

  std::vector<Proposal> propose() override {
    if (std::exchange(is_first_, false)) return proposer_.first(kOversampled * options_.population);
    std::vector<Proposal> proposals;
    parents_.clear();
    for (std::size_t i = 0; i < members_.size() && members_.size() > 3; ++i) {
      for (i64 t = 0; t < kMaxTries; ++t) {
        if (!proposer_.add(child_of(i), "mutation", proposals)) continue;
        parents_[proposals.back().config.dump()] = i;
        break;
      }
    }
    if (proposals.empty()) proposer_.add_random(options_.population, proposals);
    return proposals;
  }

  // A child replaces its parent if it is faster; others join while there is room, and the slowest
  // leave.
  void report(std::span<const Measurement> generation) override {
    for (const Measurement& point : generation) {
      if (point.seconds == kFailed) continue;
      auto parent = parents_.find(point.config.dump());
      if (parent == parents_.end()) {
        members_.push_back(point);
      } else if (point.seconds < members_[parent->second].seconds) {
        members_[parent->second] = point;
      }
    }
    parents_.clear();
    std::ranges::stable_sort(members_, {}, &Measurement::seconds);
    if (static_cast<i64>(members_.size()) > options_.population) {
      members_.resize(static_cast<std::size_t>(options_.population));
    }
  }

 private:
  const Config& another() {
    return members_[space::pick(proposer_.rng(), static_cast<i64>(members_.size()))].config;
  }

  // Takes knobs of a mutant of three others, at least one of them.
  Config child_of(std::size_t parent) {
    const ConfigSpace& space = proposer_.space();
    i64 count = static_cast<i64>(space.knobs().size());
    const Config &a = another(), &b = another(), &c = another();
    Config child = members_[parent].config;
    i64 forced = space::pick(proposer_.rng(), std::max<i64>(count, 1));
    for (i64 k = 0; k < count; ++k) {
      if (k != forced && uniform(proposer_.rng()) >= options_.crossover_rate) continue;
      space.set(child, k, mutant(k, space.get(a, k), space.get(b, k), space.get(c, k)));
    }
    return space.why_not(child) ? space.crossover(members_[parent].config, a, proposer_.rng())
                                : child;
  }

  // a + (b - c): sizes take one step if b and c differ, choices one of their values.
  space::Json mutant(i64 knob, const space::Json& a, const space::Json& b, const space::Json& c) {
    if (b == c) return a;
    const space::Knob& k = proposer_.space().knobs()[knob];
    bool listed = k.kind == space::KnobKind::Choice || k.kind == space::KnobKind::Permutation;
    if (listed || k.may_be_null) return space::pick(proposer_.rng(), 2) == 0 ? b : c;
    std::vector<space::Json> near = k.neighbours(a);
    if (near.empty()) return a;
    return b > c ? near.back() : near.front();
  }

  Proposer proposer_;
  SearchOptions options_;
  std::vector<Measurement> members_;
  std::map<std::string, std::size_t> parents_;  // of the children proposed last
  bool is_first_ = true;
};

}  // namespace

std::unique_ptr<Strategy> differential_evolution(SearchProblem problem,
                                                 const SearchOptions& options) {
  return std::make_unique<DifferentialEvolution>(std::move(problem), options);
}

}  // namespace peri::tune
