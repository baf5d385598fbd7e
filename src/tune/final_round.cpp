#include "tune/final_round.h"

#include <algorithm>

#include "tune/race.h"

namespace peri::tune {

namespace {

constexpr i64 kRounds = 400;
constexpr i64 kPruneRounds = 12;  // between looks for finalists that are slower

using Samples = std::vector<std::vector<double>>;

// Of those still racing; the default stays, for the gain to be told.
void drop_slower(const Samples& samples, double noise, std::vector<std::size_t>& racing) {
  std::size_t leader =
      *std::ranges::min_element(racing, {}, [&](std::size_t i) { return median_of(samples[i]); });
  std::erase_if(racing, [&](std::size_t i) {
    return i != 0 && Race::of(noise, samples[i], samples[leader]).result() == Race::Result::Slower;
  });
}

void choose(const FinalRound& round, const Samples& samples, const std::vector<std::size_t>& racing,
            Record& record) {
  std::size_t winner = 0;
  for (std::size_t i : racing) {
    Race race = Race::of(round.noise, samples[i], samples[winner]);
    if (race.result() == Race::Result::Faster) winner = i;
  }
  i64 second = -1;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    double middle = median_of(samples[i]);
    Race race = Race::of(round.noise, samples[i], samples[winner]);
    double error = race.high() / race.ratio();
    record.finalists.push_back(
        {round.finalists[i], middle, middle / error, middle * error, samples[i]});
    if (i == winner) continue;
    if (second < 0 || middle < record.finalists[second].seconds) second = static_cast<i64>(i);
  }
  record.winner = round.finalists[winner];
  if (second < 0) return;
  record.runner_up = round.finalists[second];
  record.tie =
      Race::of(round.noise, samples[second], samples[winner]).result() == Race::Result::Open;
}

}  // namespace

void run_final_round(const FinalRound& round, Record& record) {
  Samples samples(round.finalists.size());
  std::vector<std::size_t> racing;
  for (std::size_t i = 0; i < samples.size(); ++i) racing.push_back(i);
  double latest = 0;  // turns took so long
  for (i64 rounds = 0; rounds < kRounds; rounds += kFinalTurns) {
    if (rounds > 0 && !round.has_time(latest)) break;
    if (rounds > 0 && rounds % kPruneRounds == 0) drop_slower(samples, round.noise, racing);
    std::vector<i64> trials;
    for (std::size_t i : racing) trials.push_back(round.finalists[i]);
    const double begin = round.clock();
    TimeResult result = round.time(trials, kFinalTurns);
    latest = round.clock() - begin;
    if (!result.verdict.ok()) break;
    for (std::size_t i = 0; i < racing.size(); ++i) {
      std::vector<double>& to = samples[racing[i]];
      to.insert(to.end(), result.samples[i].begin(), result.samples[i].end());
    }
  }
  if (!samples[0].empty()) choose(round, samples, racing, record);
}

}  // namespace peri::tune
