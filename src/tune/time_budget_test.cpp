#include "tune/time_budget.h"

#include <gtest/gtest.h>

#include <vector>

namespace peri::tune {
namespace {

TEST(TimeBudget, KeepsAShareForTheFinalRound) {
  double time = 100;
  TimeBudget budget([&] { return time; }, 10, 0.1, 2);
  EXPECT_DOUBLE_EQ(budget.final_seconds(), 1);
  EXPECT_DOUBLE_EQ(budget.time_at(10), 110);
  time = 107;
  EXPECT_DOUBLE_EQ(budget.now(), 7);
  EXPECT_TRUE(budget.leaves(1.9));
  EXPECT_FALSE(budget.leaves(2.1));
  EXPECT_DOUBLE_EQ(TimeBudget([] { return 0.0; }, 600, 0.1, 2).search_end(), 598);
}

TEST(CompilePace, SaysHowManyFit) {
  CompilePace pace;
  EXPECT_EQ(pace.fit(8, 0.1), 8);
  pace.begin_with(1);
  EXPECT_EQ(pace.fit(8, 3.5), 3);
  EXPECT_EQ(pace.fit(8, 0.5), 1);  // it may be faster than the first
  std::vector<Built> built(8);
  for (Built& one : built) one.verdict.seconds = 0.4;
  pace.note(built, 1.6);  // 0.2 each
  EXPECT_EQ(pace.fit(8, 2), 8);
  EXPECT_EQ(pace.fit(8, 0.9), 4);
  EXPECT_EQ(pace.fit(8, 0.45), 2);
  EXPECT_EQ(pace.fit(8, 0.3), 0);
  pace.note({}, 5);
  EXPECT_EQ(pace.fit(8, 0.9), 4);
}

}  // namespace
}  // namespace peri::tune
