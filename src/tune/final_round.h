// The final round: the fastest configs of a search are timed in turns, without those that turn out
// to be slower; the first of them, and then the earlier found, wins ties.
#pragma once

#include <functional>
#include <vector>

#include "tune/bench.h"
#include "tune/record.h"

namespace peri::tune {

constexpr i64 kFinalTurns = 4;  // at once; as many there as back, so that a drift cancels

struct FinalRound {
  std::vector<i64> finalists;  // trials, in order; the default first
  double noise = 0;            // as Race has it
  // Times trials in so many turns.
  std::function<TimeResult(const std::vector<i64>& trials, i64 rounds)> time;
  std::function<bool(double seconds)> has_time;  // asked before all turns but the first
  Clock clock;
};

// Sets the record's finalists, winner, runner-up and tie; nothing if not even one turn worked.
void run_final_round(const FinalRound& round, Record& record);

}  // namespace peri::tune
