// What a tuning record tells: why the winner won, what it owes to each knob, what limits it.
#pragma once

#include <string>
#include <vector>

#include "tune/record.h"

namespace peri::tune {

// A config's knobs one by one: items of lists that have several stand alone ("block_sizes[1]").
struct Setting {
  std::string knob;
  Config value;
};
std::vector<Setting> settings_of(const Config& config);

struct Difference {
  std::string knob;
  Config from, to;  // null where a config does not have the knob
};
std::vector<Difference> differences(const Config& from, const Config& to);

// What the winner owes to its value of one knob, by all configs that were timed.
struct Effect {
  std::string knob;
  Config value;        // of the winner
  Config other;        // the value of the fastest config that has another one
  double with = 0;     // seconds of the fastest config with the winner's value
  double without = 0;  // and of the fastest with another one; 0: none was timed
  i64 trials = 0;      // timed with another value
  // Time lost without the value, relative: 0.1 is 10 %.
  double loss() const { return with > 0 && without > 0 ? without / with - 1 : 0; }
};
// Largest loss first; knobs that had one value only are left out.
std::vector<Effect> effects(const Record& record);

// Seconds of a config: in the final round if it was there, else in the search.
struct Time {
  double seconds = kFailed, low = kFailed, high = kFailed;
};
Time time_of(const Record& record, i64 trial);

struct FailureGroup {
  Status status = Status::CompileError;
  std::string reason;
  i64 count = 0;
  i64 first = 0;  // number of a config that failed so
};
// Most frequent first; numbers in reasons do not tell groups apart.
std::vector<FailureGroup> failure_groups(const Record& record);

// Where a time stands against the roofline.
struct Position {
  double fraction = 0;       // of the machine's speed: 1 is the roofline; 0: unknown
  std::string_view limiter;  // "bytes", "flops" or "latency"
  std::string text;          // a sentence
};
// Calls that are far from either limit and short are limited by what each of them costs anyway.
Position position(const Roofline& roofline, double seconds);

// Rank correlation of predicted and measured times; 0 without at least three of both.
double prediction_correlation(const Record& record);

// "1.23 GB", "4.5 MFLOP": with a decimal prefix.
std::string print_amount(double amount, std::string_view unit);
// "4.2 %", "0.31 %", "12 %".
std::string print_percent(double fraction);

}  // namespace peri::tune
