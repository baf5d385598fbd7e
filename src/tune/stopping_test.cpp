#include "tune/stopping.h"

#include <gtest/gtest.h>

#include <cmath>

namespace peri::tune {
namespace {

std::vector<Measurement> history_of(i64 count, const std::function<double(i64)>& seconds) {
  std::vector<Measurement> history;
  for (i64 i = 1; i <= count; ++i) history.push_back({{}, seconds(i)});
  return history;
}

TEST(ExpectedGain, NothingIsKnownOfFewConfigs) {
  EXPECT_EQ(expected_gain({}), 1);
  EXPECT_EQ(expected_gain(history_of(7, [](i64) { return 1e-3; })), 1);
  EXPECT_EQ(expected_gain(history_of(100, [](i64 i) { return i < 8 ? 1e-3 : kFailed; })), 1);
  EXPECT_GT(expected_gain(history_of(10, [](i64) { return 1e-3; })), 0.1);
  EXPECT_GT(expected_gain(history_of(60, [](i64) { return 1e-3; })), 0.01);
}

TEST(ExpectedGain, FallsBelowAPercentOnAPlateau) {
  auto plateau = [](i64 i) { return i < 20 ? 2e-3 / (1 + static_cast<double>(i) / 20) : 1e-3; };
  EXPECT_GT(expected_gain(history_of(40, plateau)), 0.05);
  EXPECT_LT(expected_gain(history_of(160, plateau)), 0.01);
  EXPECT_LT(expected_gain(history_of(80, [](i64) { return 1e-3; })), 0.01);
}

TEST(ExpectedGain, IsLargeWhileTheSearchImproves) {
  auto steady = [](i64 i) { return std::exp(-0.002 * static_cast<double>(i)); };
  EXPECT_GT(expected_gain(history_of(100, steady)), 0.08);  // 0.18 to come
  EXPECT_GT(expected_gain(history_of(400, steady)), 0.2);
}

TEST(ExpectedGain, IsTheLastDoublingsWhereAllBringTheSame) {
  auto logarithmic = [](i64 i) { return std::pow(static_cast<double>(i), -0.1); };
  double to_come = 1 - std::pow(2, -0.1);
  EXPECT_NEAR(expected_gain(history_of(1000, logarithmic)), to_come, 0.15 * to_come);
}

TEST(ExpectedGain, ALateGainCountsMoreThanAnEarlyOne) {
  auto step = [](i64 at) {
    return history_of(100, [at](i64 i) { return i < at ? 1.05e-3 : 1e-3; });
  };
  EXPECT_LT(expected_gain(step(10)), 0.01);
  EXPECT_GT(expected_gain(step(90)), 0.05);
}

TEST(ExpectedGain, SlowAndFailedConfigsOnlyTakeTime) {
  auto best = [](i64 i) { return i < 30 ? 1.1e-3 : 1e-3; };
  auto mixed = [&](i64 i) { return i % 3 == 1 ? kFailed : i % 3 == 2 ? 7e-3 : best(i); };
  EXPECT_NEAR(expected_gain(history_of(90, mixed)), expected_gain(history_of(90, best)), 0.03);
  EXPECT_LT(expected_gain(history_of(180, mixed)), expected_gain(history_of(90, mixed)) / 2);
}

}  // namespace
}  // namespace peri::tune
