// A sequential test between a candidate and the incumbent that it is timed in turns with.
//
// What is tested is the median of log(candidate / incumbent) over paired timings, so that the
// machine's speed cancels. Up to kLooks looks are taken at doubling numbers of pairs; each uses the
// critical value of Pocock (Biometrika 64, 1977) for five looks, which keeps the probability of
// calling a difference where there is none at 1 - confidence over all of them. The spread of a pair
// is known from control pairs of the incumbent with itself, and widened by the candidate's own.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "base/ids.h"

namespace peri::tune {

class Race {
 public:
  enum class Result : u8 { Open, Faster, Slower };
  static constexpr i64 kFirstLook = 3, kLooks = 5;
  static constexpr i64 kMostPairs = kFirstLook << (kLooks - 1);
  static constexpr double kConfidence = 0.95;
  static constexpr i64 kOwnSpread = 6;  // pairs from which their own spread says something

  // `noise`: standard deviation of the log ratio of one pair.
  explicit Race(double noise) : noise_(noise) {}

  // Of timings in turns.
  static Race of(double noise, const std::vector<double>& candidate,
                 const std::vector<double>& incumbent);

  void add(double candidate, double incumbent);
  i64 pairs() const { return static_cast<i64>(logs_.size()); }
  // Pairs at which the next look is due.
  i64 next_look() const;
  Result result() const;
  // Whether the candidate may still turn out faster by a share of `least` (0.01: 1 %).
  bool may_gain(double least) const { return low() < 1 - least; }
  // Open, and the looks to come would not show the candidate to be faster even if it were by one
  // standard error faster than it was seen to be: going on is not worth the time.
  bool is_futile() const;
  double ratio() const;  // candidate / incumbent
  // Confidence interval of the ratio.
  double low() const;
  double high() const;

  // Standard deviation of the log ratio of one pair, as these pairs have it.
  double spread() const;
  // Of control pairs: robust (median absolute deviation), and at least 0.1 %.
  static double noise_of(const std::vector<double>& a, const std::vector<double>& b);

 private:
  double standard_error(i64 pairs) const;  // of the median of so many, in logs
  double error() const;                    // half of the interval, in logs

  double noise_;
  std::vector<double> logs_;
};

// What disturbed the control pairs of a search may be over, or have only begun: its noise is that
// of the latest races.
class RecentNoise {
 public:
  // The noise with this race; none before there were enough.
  std::optional<double> note(const Race& race);

 private:
  std::deque<double> spreads_;
};

}  // namespace peri::tune
