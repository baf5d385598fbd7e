#include "tune/race.h"

#include <algorithm>
#include <cmath>

#include "tune/measure.h"

namespace peri::tune {

namespace {

constexpr double kPocock = 2.413;        // two-sided 5 %, five looks
constexpr double kMedianError = 1.2533;  // standard error of a median over that of a mean
constexpr double kDeviation = 1.4826;    // of a normal, over its median absolute deviation
constexpr double kLeastNoise = 1e-3;     // of a pair: clocks and code placement

constexpr std::size_t kLeastSpreads = 5, kMostSpreads = 25;  // of races, that tell the noise

double deviation(const std::vector<double>& values) {
  const double middle = median_of(values);
  std::vector<double> distances;
  for (double value : values) distances.push_back(std::abs(value - middle));
  return kDeviation * median_of(distances);
}

}  // namespace

Race Race::of(double noise, const std::vector<double>& candidate,
              const std::vector<double>& incumbent) {
  Race race(noise);
  for (std::size_t i = 0; i < std::min(candidate.size(), incumbent.size()); ++i) {
    race.add(candidate[i], incumbent[i]);
  }
  return race;
}

void Race::add(double candidate, double incumbent) {
  logs_.push_back(std::log(std::max(candidate, 1e-12) / std::max(incumbent, 1e-12)));
}

i64 Race::next_look() const {
  i64 look = kFirstLook;
  while (look <= pairs()) look *= 2;
  return look;
}

double Race::standard_error(i64 pairs) const {
  double noise = std::max(noise_, kLeastNoise);
  if (this->pairs() >= kOwnSpread) noise = std::max(noise, spread());
  return kMedianError * noise / std::sqrt(static_cast<double>(pairs));
}

double Race::error() const { return logs_.empty() ? HUGE_VAL : kPocock * standard_error(pairs()); }

bool Race::is_futile() const {
  if (result() != Result::Open || pairs() < kFirstLook) return false;
  const double hopeful = median_of(logs_) - standard_error(pairs());
  return hopeful + kPocock * standard_error(kMostPairs) >= 0;
}

Race::Result Race::result() const {
  if (pairs() < kFirstLook) return Result::Open;
  const double middle = median_of(logs_);
  if (middle + error() < 0) return Result::Faster;
  return middle - error() > 0 ? Result::Slower : Result::Open;
}

double Race::ratio() const { return logs_.empty() ? 1 : std::exp(median_of(logs_)); }
double Race::low() const { return logs_.empty() ? 0 : std::exp(median_of(logs_) - error()); }
double Race::high() const { return std::exp(logs_.empty() ? 0 : median_of(logs_) + error()); }

double Race::spread() const {
  return logs_.empty() ? kLeastNoise : std::max(kLeastNoise, deviation(logs_));
}

double Race::noise_of(const std::vector<double>& a, const std::vector<double>& b) {
  return of(0, a, b).spread();
}

std::optional<double> RecentNoise::note(const Race& race) {
  if (race.pairs() < Race::kOwnSpread) return std::nullopt;
  spreads_.push_back(race.spread());
  if (spreads_.size() < kLeastSpreads) return std::nullopt;
  if (spreads_.size() > kMostSpreads) spreads_.pop_front();
  return median_of({spreads_.begin(), spreads_.end()});
}

}  // namespace peri::tune
