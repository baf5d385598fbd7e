#include "search/landscape.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/bug.h"
#include "base/hash.h"
#include "driver/arguments.h"

namespace peri::search {

namespace {

constexpr i64 kDescents = 60;
constexpr double kSecond = 1e-3;  // cost of the best config, about

double uniform(space::Rng& rng) { return static_cast<double>(rng() >> 11) * 0x1p-53; }

double hash_uniform(const std::string& text, u64 seed) {
  space::Rng rng(hash_combine(hash_text(text), seed));
  return uniform(rng);
}

bool is_ordered(const space::Knob& knob) {
  return knob.kind == space::KnobKind::Extent || knob.kind == space::KnobKind::PowerOfTwo ||
         knob.kind == space::KnobKind::Scale;
}

}  // namespace

std::string_view shape_name(Shape shape) {
  constexpr std::string_view kNames[] = {"smooth", "plateaus", "failures", "deceptive", "rugged"};
  return kNames[static_cast<int>(shape)];
}

Landscape::Landscape(const ConfigSpace& space, Config start, Shape shape, u64 seed)
    : space_(space), start_(std::move(start)), shape_(shape), seed_(seed) {
  space::Rng rng(seed * 7919 + static_cast<u64>(shape));
  i64 count = static_cast<i64>(space.knobs().size());
  for (i64 k = 0; k < count; ++k) {
    const space::Knob& knob = space.knobs()[k];
    Term term;
    term.ordered = is_ordered(knob);
    double at = position(start_, k);
    term.best = at + (uniform(rng) - 0.5) * 5;
    if (term.ordered) {
      term.best =
          std::clamp(term.best, std::log2(std::max<double>(1, static_cast<double>(knob.low))),
                     std::log2(static_cast<double>(knob.high)));
    }
    term.narrow = term.best > 5 ? term.best - 3.5 : term.best + 3.5;
    term.weight = 0.01 + 0.06 * uniform(rng);
    bool matters = uniform(rng) < 0.6;
    std::vector<space::Json> candidates = knob.candidates();
    std::size_t best = uniform(rng) < 0.5 ? static_cast<std::size_t>(rng() % candidates.size())
                                          : static_cast<std::size_t>(-1);
    for (std::size_t i = 0; i < candidates.size() && !term.ordered; ++i) {
      bool good = best < candidates.size() ? i == best : candidates[i] == space.get(start_, k);
      term.choices.push_back(good || !matters ? 0 : -0.08 * std::log(1 - 0.999 * uniform(rng)));
    }
    terms_.push_back(std::move(term));
  }
  double strength = shape == Shape::Rugged ? 3 : 1;
  for (i64 i = 0; i < count; ++i) {
    Pair pair{static_cast<i64>(rng() % static_cast<u64>(count)),
              static_cast<i64>(rng() % static_cast<u64>(count)), 0, strength * 0.03 * uniform(rng)};
    pair.offset = position(start_, pair.a) - position(start_, pair.b) + (uniform(rng) - 0.5) * 3;
    if (pair.a != pair.b) pairs_.push_back(pair);
  }
}

// Of a knob's value: its logarithm, or its place among the candidates.
double Landscape::position(const Config& config, i64 knob) const {
  const space::Knob& k = space_.knobs()[knob];
  space::Json value = space_.get(config, knob);
  if (is_ordered(k)) {
    return value.is_null() ? std::log2(static_cast<double>(k.high)) + 1
                           : std::log2(std::max(1.0, value.get<double>()));
  }
  std::vector<space::Json> candidates = k.candidates();
  return static_cast<double>(std::ranges::find(candidates, value) - candidates.begin());
}

bool Landscape::works(const Config& config) const {
  if (shape_ != Shape::Failures || config == start_) return true;
  double size = 0;
  std::string choices;
  i64 count = static_cast<i64>(terms_.size());
  for (i64 k = 0; k < count; ++k) {
    if (terms_[k].ordered) {
      size += position(config, k) - terms_[k].best;
    } else if (k % 3 == 0) {
      choices += std::to_string(static_cast<i64>(position(config, k))) + ",";
    }
  }
  return size < 4 && hash_uniform(choices, seed_) > 0.15;
}

double Landscape::cost(const Config& config) const {
  if (!works(config)) return tune::kFailed;
  std::vector<double> at;
  for (i64 k = 0; k < static_cast<i64>(terms_.size()); ++k) at.push_back(position(config, k));
  double wide = 0, narrow = 0.0, volume = 0;
  for (std::size_t k = 0; k < terms_.size(); ++k) {
    const Term& term = terms_[k];
    if (term.ordered) {
      double off = at[k] - term.best, other = at[k] - term.narrow;
      wide += term.weight * off * off;
      narrow += 0.3 * other * other;
      volume += std::max(0.0, off);
    } else {
      auto i = static_cast<std::size_t>(at[k]);
      double penalty = i < term.choices.size() ? term.choices[i] : 0.1 * at[k];
      wide += penalty;
      narrow += penalty;
    }
  }
  for (const Pair& pair : pairs_) {
    double off = std::abs(at[pair.a] - at[pair.b] - pair.offset);
    wide += pair.weight * std::min(off, 4.0);
  }
  if (volume > 4) wide += 0.2 * (volume - 4);
  double log_cost = wide;
  if (shape_ == Shape::Deceptive) log_cost = std::min(wide + 0.25, narrow);
  if (shape_ == Shape::Plateaus) log_cost = std::floor(log_cost / 0.05) * 0.05;
  if (shape_ == Shape::Rugged) log_cost += 0.03 * hash_uniform(config.dump(), seed_);
  return kSecond * std::exp(std::min(log_cost, 4.0));
}

double Landscape::measure(const Config& config, double noise, u64 trial) const {
  double sum = 0;
  for (u64 i = 0; i < 4; ++i)
    sum += hash_uniform(config.dump(), seed_ + 1000 * trial + i + 17) - 0.5;
  return cost(config) * (1 + noise * sum * std::sqrt(3.0));
}

double Landscape::predict(const Config& config) const {
  Landscape other(space_, start_, Shape::Smooth, seed_ + 100);
  Landscape same(space_, start_, Shape::Smooth, seed_);
  same.terms_ = terms_;
  same.pairs_ = pairs_;
  return std::sqrt(same.cost(config) * other.cost(config));
}

double Landscape::descend(Config config) const {
  double best = cost(config);
  for (bool better = true; better;) {
    better = false;
    for (i64 k = 0; k < static_cast<i64>(terms_.size()); ++k) {
      for (const space::Json& value : space_.knobs()[k].candidates()) {
        Config near = config;
        space_.set(near, k, value);
        if (space_.why_not(near)) continue;
        double seconds = cost(near);
        if (seconds >= best) continue;
        best = seconds;
        config = std::move(near);
        better = true;
      }
    }
  }
  return best;
}

double Landscape::lowest() const {
  double best = descend(start_);
  space::Rng rng(seed_ + 1);
  for (i64 i = 0; i < kDescents; ++i) best = std::min(best, descend(space_.sample(rng)));
  if (shape_ == Shape::Deceptive) {
    Config config = start_;
    for (i64 k = 0; k < static_cast<i64>(terms_.size()); ++k) {
      if (!terms_[k].ordered) continue;
      space::Json nearest;
      double distance = 1e9;
      for (const space::Json& value : space_.knobs()[k].candidates()) {
        space_.set(config, k, value);
        double off = std::abs(position(config, k) - terms_[k].narrow);
        if (off < distance) nearest = value;
        distance = std::min(distance, off);
      }
      space_.set(config, k, nearest);
    }
    if (!space_.why_not(config)) best = std::min(best, descend(config));
  }
  return best;
}

KernelSpace::KernelSpace(const std::string& kernel,
                         const std::vector<std::pair<std::string, std::string>>& args,
                         bool all_knobs)
    : name_(kernel.substr(kernel.rfind(':') + 1)) {
  driver::Compilation& c = compilation_;
  c.request.file = PERI_SOURCE_DIR "/kernels/" + kernel.substr(0, kernel.rfind(':'));
  c.request.kernel = name_;
  c.request.settings.no_cache = true;
  c.request.settings.cpu = "x86-64-v4";
  driver::Arguments arguments;
  for (const auto& [name, text] : args) {
    arguments[name] = *driver::parse_argument(name, text, 1, diags_);
  }
  c.request.args = driver::specs_of(arguments);
  auto done = driver::compile(c, "space");
  BUG_IF(!done, "{}: {}", kernel, done.error().message);
  space_ = c.space;
  start_ = c.default_config;
  if (all_knobs) return;
  const std::set<std::string> kept = {"num_threads",   "pid_type",        "vector_unroll",
                                      "prefetch_rows", "recompute_limit", "dot_register_rows",
                                      "dot_k_unrolls", "dot_packings",    "dot_register_vectors"};
  space::Capabilities capabilities = c.backend->capabilities();
  capabilities.shared_keys = {"block_sizes", "loop_orders"};
  std::erase_if(capabilities.knobs,
                [&](const space::KnobRow& row) { return !kept.contains(row.key); });
  for (space::KnobRow& row : capabilities.knobs) {
    if (row.key == "prefetch_rows") row.choices = {0, 4};
  }
  space_ = space::derive(c.lowered->kernel, c.lowered->host.tunables, capabilities);
  std::set<std::string> keys;
  for (const space::Knob& knob : space_.knobs()) keys.insert(knob.key);
  for (const auto& [key, value] : c.default_config.items()) {
    if (!keys.contains(key)) start_.erase(key);
  }
}

std::vector<double> replay(tune::Strategy& strategy, const Landscape& landscape, i64 evaluations,
                           double noise, u64 seed) {
  std::vector<double> best;
  double looks = tune::kFailed, is = tune::kFailed;
  while (static_cast<i64>(best.size()) < evaluations) {
    std::vector<tune::Measurement> measured;
    for (const tune::Proposal& proposal : strategy.propose()) {
      if (static_cast<i64>(best.size()) == evaluations) break;
      double seconds = landscape.measure(proposal.config, noise, seed);
      if (seconds < looks) {
        looks = seconds;
        is = landscape.cost(proposal.config);
      }
      best.push_back(is);
      measured.push_back({proposal.config, seconds});
    }
    if (measured.empty()) break;
    strategy.report(measured);
  }
  return best;
}

}  // namespace peri::search
