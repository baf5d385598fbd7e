// What a search spends its seconds on, and what is left of them.
#pragma once

#include <algorithm>
#include <span>

#include "tune/builder.h"

namespace peri::tune {

class TimeBudget {
 public:
  // Begins now. The final round gets `final_share` of the seconds, and at most `final_most`.
  TimeBudget(Clock clock, double seconds, double final_share, double final_most)
      : clock_(std::move(clock)),
        start_(clock_()),
        seconds_(seconds),
        final_seconds_(std::min(final_share * seconds, final_most)) {}

  double now() const { return clock_() - start_; }  // since the begin
  double seconds() const { return seconds_; }
  double final_seconds() const { return final_seconds_; }
  double search_end() const { return seconds_ - final_seconds(); }
  // Whether the search may go on for so long.
  bool leaves(double seconds) const { return now() + seconds <= search_end(); }
  // By the clock: so many seconds after the begin.
  double time_at(double seconds) const { return start_ + seconds; }

 private:
  Clock clock_;
  double start_, seconds_, final_seconds_;
};

// How long configs take that are compiled side by side, as the latest did.
class CompilePace {
 public:
  // Of one alone, which may have taken longer than its compiling.
  void begin_with(double seconds) { alone_ = each_ = seconds; }
  // `wall`: seconds of all that were compiled side by side.
  void note(std::span<const Built> built, double wall);
  // How many of `most` can be compiled in so many seconds; before any was noted at least one.
  i64 fit(i64 most, double seconds) const;

 private:
  double alone_ = 0;  // of one config, beside others
  double each_ = 0;   // a config of a batch adds to it
  bool is_noted_ = false;
};

}  // namespace peri::tune
