#include "tune/ranker.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

namespace peri::tune {

namespace {

constexpr i64 kMinRows = 6;  // for a model
constexpr std::size_t kFastest = 16;
constexpr i64 kRefitShare = 4;  // a model learns anew when its rows have grown by one in so many
constexpr double kWorst = 1.5;  // log ratio to the best beyond which differences do not matter

// Share of the features that agree.
double likeness(std::span<const float> a, std::span<const float> b) {
  std::size_t same = 0;
  for (std::size_t i = 0; i < a.size(); ++i) same += a[i] == b[i];
  return static_cast<double>(same) / static_cast<double>(std::max<std::size_t>(a.size(), 1));
}

}  // namespace

Ranker::Ranker(Proposer& proposer, std::unique_ptr<CostPredictor> model,
               const SearchOptions& options)
    : proposer_(proposer), model_(std::move(model)), options_(options) {}

void Ranker::report(std::span<const Measurement> generation) {
  for (const Measurement& point : generation) {
    history_.add(features_of(point.config, point.config.dump()));
    log_seconds_.push_back(std::log(point.seconds));
    if (point.seconds == kFailed) continue;
    auto at = std::ranges::upper_bound(fastest_, point.seconds, {}, &Measurement::seconds);
    fastest_.insert(at, point);
    if (fastest_.size() > kFastest) fastest_.pop_back();
  }
}

std::vector<Config> Ranker::fastest(i64 count) const {
  std::vector<Config> configs;
  for (const Measurement& point : fastest_) {
    if (static_cast<i64>(configs.size()) < count) configs.push_back(point.config);
  }
  return configs;
}

// What trees find hard to see in single knobs: the size of a tile, and the cost model's opinion.
std::vector<double> Ranker::features_of(const Config& config, const std::string& text) const {
  std::vector<double> features = proposer_.space().encode(config);
  double volume = 0;
  auto sizes = config.find("block_sizes");
  if (sizes != config.end()) {
    for (const auto& size : *sizes) volume += std::log2(size.get<double>());
  }
  features.push_back(volume);
  if (proposer_.problem().predict) {
    double seconds = proposer_.predict(config, text);
    features.push_back(seconds == kFailed ? 0 : std::log2(seconds));
  }
  return features;
}

// Logarithms relative to the best; failures count as slow ones do.
std::vector<double> Ranker::targets() const {
  std::vector<double> good;
  for (double value : log_seconds_) {
    if (std::isfinite(value)) good.push_back(value);
  }
  std::ranges::sort(good);
  double best = good.empty() ? 0 : good.front();
  double failed = kWorst;
  if (!good.empty()) {
    auto at =
        static_cast<std::size_t>(options_.failure_quantile * static_cast<double>(good.size() - 1));
    failed = good[at] - best;
  }
  std::vector<double> targets;
  for (double value : log_seconds_) {
    targets.push_back(std::isfinite(value) ? std::min(value - best, kWorst) : failed);
  }
  return targets;
}

bool Ranker::predict(const FeatureTable& table, u64 seed, std::vector<double>& scores) {
  if (!model_ || history_.rows() < kMinRows) return false;
  if (history_.rows() - fitted_ >= fitted_ / kRefitShare) {
    fitted_ = 0;
    if (!model_->fit(history_, targets(), seed)) return false;
    fitted_ = history_.rows();
  }
  auto predicted = model_->predict(table);
  if (predicted) scores = std::move(*predicted);
  return predicted.has_value();
}

void Ranker::pick(std::vector<Proposal> candidates, i64 count, u64 seed,
                  std::vector<Proposal>& proposals) {
  FeatureTable table;
  std::unordered_set<std::string> seen;
  std::vector<std::size_t> left;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const Config& config = candidates[i].config;
    auto [text, is_first] = seen.insert(config.dump());
    if (!is_first || !proposer_.is_new(*text)) continue;
    table.add(features_of(config, *text));
    left.push_back(i);
  }
  std::vector<double> scores(left.size());
  for (std::size_t i = 0; i < left.size(); ++i) scores[i] = static_cast<double>(i);
  bool modelled = predict(table, seed, scores);
  auto columns = static_cast<std::size_t>(table.columns);
  auto row = [&](std::size_t i) {
    return std::span<const float>(table.values).subspan(i * columns, columns);
  };
  std::vector<bool> taken(left.size());
  for (std::size_t looked = 0; count > 0 && looked < left.size(); ++looked) {
    std::size_t best = left.size();
    for (std::size_t i = 0; i < left.size(); ++i) {
      if (!taken[i] && (best == left.size() || scores[i] < scores[best])) best = i;
    }
    taken[best] = true;
    Proposal& chosen = candidates[left[best]];
    std::string origin = modelled ? "surrogate" : chosen.origin;
    if (!proposer_.add(std::move(chosen.config), origin, proposals)) continue;
    --count;
    for (std::size_t i = 0; i < left.size() && modelled; ++i) {
      double like = likeness(row(i), row(best));
      scores[i] += options_.similarity_penalty * like * like * like;
    }
  }
}

}  // namespace peri::tune
