#include "tune/race.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace peri::tune {
namespace {

// A race of two that differ by `ratio`, with log-normal noise, looked at as a session does.
Race run(double ratio, double noise, std::mt19937_64& rng, bool gives_up = false) {
  std::normal_distribution<double> normal(0, noise / std::sqrt(2));
  Race race(noise);
  for (i64 look = 0; look < Race::kLooks; ++look) {
    for (i64 more = race.next_look() - race.pairs(); more > 0; --more) {
      race.add(ratio * std::exp(normal(rng)), std::exp(normal(rng)));
    }
    if (race.result() != Race::Result::Open || (gives_up && race.is_futile())) break;
  }
  return race;
}

double share(Race::Result result, double ratio, double noise) {
  std::mt19937_64 rng(7);
  constexpr i64 kRaces = 4000;
  i64 count = 0;
  for (i64 i = 0; i < kRaces; ++i) count += run(ratio, noise, rng).result() == result ? 1 : 0;
  return static_cast<double>(count) / kRaces;
}

TEST(Race, CallsNoDifferenceWhereThereIsNone) {
  for (double noise : {0.005, 0.05, 0.3}) {
    EXPECT_LT(share(Race::Result::Faster, 1, noise) + share(Race::Result::Slower, 1, noise), 0.05);
  }
}

TEST(Race, FindsDifferencesBeyondTheNoise) {
  EXPECT_GT(share(Race::Result::Faster, 0.95, 0.02), 0.99);
  EXPECT_GT(share(Race::Result::Slower, 1.05, 0.02), 0.99);
  EXPECT_LT(share(Race::Result::Faster, 1.02, 0.05), 0.01);
}

// Ties are found out early, and next to no real gain is given up for that.
TEST(Race, FutileRacesEndEarly) {
  std::mt19937_64 rng(7);
  constexpr i64 kRaces = 2000;
  i64 pairs = 0, faster = 0;
  for (i64 i = 0; i < kRaces; ++i) {
    pairs += run(1, 0.02, rng, true).pairs();
    faster += run(0.97, 0.02, rng, true).result() == Race::Result::Faster ? 1 : 0;
  }
  EXPECT_LT(pairs, kRaces * Race::kMostPairs / 3);
  EXPECT_GT(faster, kRaces * 95 / 100);
}

TEST(Race, EstimatesTheRatio) {
  Race race(0.01);
  for (double speed : {1.0, 3.0, 0.5, 2.0}) race.add(1.2 * speed, speed);  // the machine drifts
  EXPECT_NEAR(race.ratio(), 1.2, 1e-9);
  EXPECT_LT(race.low(), 1.2);
  EXPECT_GT(race.high(), 1.2);
  EXPECT_EQ(race.next_look(), 6);
}

TEST(Race, EndsWhenNoGainIsInReach) {
  Race tie(0.01), faster(0.01);
  for (int i = 0; i < 6; ++i) tie.add(1, 1), faster.add(0.98, 1);
  EXPECT_EQ(tie.result(), Race::Result::Open);
  EXPECT_TRUE(tie.may_gain(0.005));  // half a percent is within its interval
  EXPECT_FALSE(tie.may_gain(0.02));
  EXPECT_TRUE(faster.may_gain(0.02));
}

TEST(Race, NoiseComesFromControlPairs) {
  EXPECT_EQ(Race::noise_of({1, 1, 1}, {1, 1, 1}), 1e-3);
  EXPECT_NEAR(Race::noise_of({1, 1.1, 0.9, 1.05}, {1, 1, 1, 1}), 0.11, 0.05);
}

}  // namespace
}  // namespace peri::tune
