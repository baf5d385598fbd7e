#include "tune/proposer.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace peri::tune {

namespace {

constexpr i64 kMaxTries = 20;  // for a random point that is new
constexpr i64 kPredictedSamples = 200, kPredictedMutations = 200, kPredictedParents = 8;
constexpr double kPredictedShare = 0.3;    // of the first generation
constexpr double kListedPoints = 1 << 16;  // smaller spaces are searched to their end

}  // namespace

Proposer::Proposer(SearchProblem problem) : problem_(std::move(problem)), rng_(problem_.seed) {
  std::map<std::pair<std::string, i64>, std::vector<i64>> by_subject;
  for (i64 k = 0; k < static_cast<i64>(space().knobs().size()); ++k) {
    const space::Knob& knob = space().knobs()[k];
    if (knob.index >= 0 && knob.key != "block_sizes") {
      by_subject[{knob.subject, knob.index}].push_back(k);
    }
  }
  for (auto& [subject, knobs] : by_subject) {
    if (knobs.size() > 1) together_.push_back(std::move(knobs));
  }
}

bool Proposer::add(Config config, std::string_view origin, std::vector<Proposal>& proposals) {
  if (!configs_.insert(config.dump()).second) return false;
  if (problem_.effect && !effects_.insert(problem_.effect(config)).second) return false;
  proposals.push_back({std::move(config), std::string(origin)});
  return true;
}

double Proposer::predict(const Config& config, const std::string& text) const {
  if (!problem_.predict) return kFailed;
  auto [at, is_unknown] = predictions_.try_emplace(text, kFailed);
  if (is_unknown) {
    double seconds = problem_.predict(config);
    if (seconds > 0) at->second = seconds;
  }
  return at->second;
}

void Proposer::sort_by_prediction(std::vector<Proposal>& proposals, std::size_t begin) const {
  if (!problem_.predict) return;
  std::vector<std::pair<double, std::size_t>> order;
  for (std::size_t i = begin; i < proposals.size(); ++i) {
    order.emplace_back(predict(proposals[i].config), i);
  }
  std::ranges::sort(order);
  std::vector<Proposal> sorted;
  for (auto& [seconds, i] : order) sorted.push_back(std::move(proposals[i]));
  std::ranges::move(sorted, proposals.begin() + static_cast<std::ptrdiff_t>(begin));
}

std::vector<Proposal> Proposer::first(i64 count) {
  std::vector<Proposal> proposals;
  add(problem_.start, "default", proposals);
  for (const Config& seed : problem_.seeds) add(seed, "seed", proposals);
  i64 left = count - static_cast<i64>(proposals.size());
  add_predicted(static_cast<i64>(kPredictedShare * static_cast<double>(left)), proposals);
  add_random(count - static_cast<i64>(proposals.size()), proposals);
  return proposals;
}

void Proposer::add_random(i64 count, std::vector<Proposal>& proposals) {
  std::size_t begin = proposals.size();
  for (i64 i = 0; i < count; ++i) {
    bool found = false;
    for (i64 t = 0; t < kMaxTries && !found; ++t) {
      found = add(space().sample(rng_), "random", proposals);
    }
    if (found) continue;
    add_listed(count - i, proposals);
    break;
  }
  sort_by_prediction(proposals, begin);
}

// Unseen points in the order of their knobs' candidates.
void Proposer::add_listed(i64 count, std::vector<Proposal>& proposals) {
  if (space().size() > kListedPoints) return;
  std::vector<std::vector<space::Json>> candidates;
  for (const space::Knob& knob : space().knobs()) candidates.push_back(knob.candidates());
  std::vector<std::size_t> at(candidates.size());
  Config config = problem_.start;
  i64 knobs = static_cast<i64>(at.size());
  for (i64 k = 0; k < knobs; ++k) space().set(config, k, candidates[k][0]);
  while (count > 0) {
    if (!space().why_not(config) && add(config, "random", proposals)) --count;
    i64 k = 0;
    while (k < knobs && ++at[k] == candidates[k].size()) at[k++] = 0;
    for (i64 changed = 0; changed < std::min(k + 1, knobs); ++changed) {
      space().set(config, changed, candidates[changed][at[changed]]);
    }
    if (k == knobs) return;
  }
}

void Proposer::add_predicted(i64 count, std::vector<Proposal>& proposals) {
  if (!problem_.predict || count <= 0) return;
  std::vector<std::pair<double, Config>> samples;  // sorted by their prediction
  auto add_sample = [&](Config config) {
    double seconds = predict(config);
    if (seconds == kFailed) return;
    auto at = std::ranges::upper_bound(samples, seconds, {}, &std::pair<double, Config>::first);
    samples.emplace(at, seconds, std::move(config));
  };
  add_sample(problem_.start);
  for (i64 i = 0; i < kPredictedSamples; ++i) add_sample(space().sample(rng_));
  for (i64 i = 0; i < kPredictedMutations && !samples.empty(); ++i) {
    i64 most = std::min(kPredictedParents, static_cast<i64>(samples.size()));
    const Config& parent = samples[static_cast<std::size_t>(space::pick(rng_, most))].second;
    add_sample(space().mutate(parent, 1 + space::pick(rng_, 2), rng_));
  }
  for (auto& [seconds, config] : samples) {
    if (count <= 0) break;
    if (add(std::move(config), "cost model", proposals)) --count;
  }
}

void Proposer::add_all(std::vector<Proposal> proposals, std::vector<Proposal>& to) {
  for (Proposal& proposal : proposals) add(std::move(proposal.config), proposal.origin, to);
}

std::vector<Proposal> Proposer::neighbours(const Config& config) const {
  std::vector<Proposal> near;
  for (i64 k = 0; k < static_cast<i64>(space().knobs().size()); ++k) {
    for (Config& other : space().neighbours(config, k)) {
      near.push_back({std::move(other), "neighbour"});
    }
  }
  return near;
}

std::optional<Config> Proposer::mutate_together(const Config& config) {
  for (i64 t = 0; t < kMaxTries && !together_.empty(); ++t) {
    const auto at = space::pick(rng_, static_cast<i64>(together_.size()));
    std::vector<i64> knobs = together_[static_cast<std::size_t>(at)];
    Config other = config;
    for (i64 changes = 0; changes < 2; ++changes) {
      const auto chosen = knobs.begin() + space::pick(rng_, static_cast<i64>(knobs.size()));
      space().set(other, *chosen,
                  space().knobs()[*chosen].mutate(space().get(other, *chosen), rng_));
      knobs.erase(chosen);
    }
    if (other != config && !space().why_not(other)) return other;
  }
  return std::nullopt;
}

std::vector<Proposal> Proposer::leaps(const Config& config) const {
  std::vector<Proposal> far;
  for (i64 k = 0; k < static_cast<i64>(space().knobs().size()); ++k) {
    const space::Knob& knob = space().knobs()[k];
    space::Json value = space().get(config, k);
    if (knob.kind != space::KnobKind::Extent || value.is_null()) continue;
    std::vector<space::Json> all = knob.candidates();
    for (double factor : {0.5, 2.0, 0.25, 4.0, 1e9}) {
      space::Json wanted = std::min(factor * value.get<double>(), 1e15);
      auto at = std::ranges::lower_bound(all, wanted);
      if (at == all.end()) --at;
      Config other = config;
      space().set(other, k, *at);
      if (*at != value && !space().why_not(other)) far.push_back({std::move(other), "neighbour"});
    }
  }
  return far;
}

std::vector<Proposal> Proposer::pairs(const Config& config) const {
  std::vector<Proposal> found;
  i64 count = static_cast<i64>(space().knobs().size());
  for (i64 a = 0; a < count; ++a) {
    if (space().knobs()[a].key != "block_sizes") continue;
    for (i64 b = a + 1; b < count; ++b) {
      if (space().knobs()[b].key == "block_sizes") collect_pairs(config, a, b, found);
    }
  }
  return found;
}

void Proposer::collect_pairs(const Config& config, i64 a, i64 b,
                             std::vector<Proposal>& found) const {
  const std::vector<space::Knob>& knobs = space().knobs();
  for (space::Json& value_a : knobs[a].neighbours(space().get(config, a))) {
    for (space::Json& value_b : knobs[b].neighbours(space().get(config, b))) {
      Config near = config;
      space().set(near, a, value_a);
      space().set(near, b, value_b);
      if (!space().why_not(near)) found.push_back({std::move(near), "pair"});
    }
  }
}

}  // namespace peri::tune
