#include "tune/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace peri::tune {
namespace {

using testing::HasSubstr;
using testing::Not;

Progress middle() {
  Progress p;
  p.elapsed = 12;
  p.budget = 30;
  p.compiled = 120, p.timed = 98, p.failed = 3;
  p.best = 1.23e-3, p.standard = 1.31e-3;
  return p;
}

TEST(ProgressLine, SaysEverythingOnAWideTerminal) {
  EXPECT_EQ(progress_line(middle(), {140, true}),
            "[12s] ██████████░░░░░░░░░░░░░░  40 % · compiled 120 timed 98 failed 3 · best 1.23 ms "
            "(default 1.31) · 18 s left");
}

TEST(ProgressLine, IsAsciiWithoutUtf8) {
  std::string line = progress_line(middle(), {140, false});
  EXPECT_THAT(line, HasSubstr("##########.............."));
  for (char c : line) EXPECT_GE(c, 0) << line;
}

TEST(ProgressLine, FitsEveryWidth) {
  for (bool utf8 : {true, false}) {
    for (i64 columns = 1; columns < 150; ++columns) {
      std::string line = progress_line(middle(), {columns, utf8});
      EXPECT_LE(columns_of(line), columns - 1) << line;
    }
  }
}

TEST(ProgressLine, KeepsTheBestLongest) {
  std::string line = progress_line(middle(), {44, true});
  EXPECT_THAT(line, HasSubstr("best 1.23 ms"));
  EXPECT_THAT(line, Not(HasSubstr("left")));
}

TEST(ProgressLine, ShowsWithoutABudgetHowNearTheEndSeems) {
  Progress p = middle();
  p.budget = 0;
  p.share = 0.75;
  p.gain = 0.021;
  EXPECT_EQ(progress_line(p, {140, true}),
            "[12s] ██████████████████░░░░░░  75 % · compiled 120 timed 98 failed 3 · best 1.23 ms "
            "(default 1.31) · expected gain 2.1 %");
  p.gain = -1;
  EXPECT_THAT(progress_line(p, {140, true}), Not(HasSubstr("gain")));
}

TEST(ProgressLine, NamesTheUnitOfAnotherScale) {
  Progress p = middle();
  p.best = 9.87e-4;
  EXPECT_THAT(progress_line(p, {140, true}), HasSubstr("best 987 us (default 1.31 ms)"));
}

TEST(ProgressLine, SaysNothingOfABestThatIsNotYet) {
  Progress p = middle();
  p.best = kFailed;
  EXPECT_THAT(progress_line(p, {140, true}), Not(HasSubstr("best")));
}

TEST(Terminal, TakesColumnsAndLocaleFromTheEnvironment) {
  EXPECT_EQ(terminal_of(-1, "132", "de_DE.UTF-8").columns, 132);
  EXPECT_TRUE(terminal_of(-1, "", "C.utf8").utf8);
  EXPECT_FALSE(terminal_of(-1, "", "C").utf8);
  EXPECT_EQ(terminal_of(-1, "-5", "C").columns, 80);
  EXPECT_EQ(terminal_of(-1, "wide", "").columns, 80);
}

TEST(LogLines, AreHelions) {
  EXPECT_EQ(start_line("pattern", "population=40", 9, 1.2e8, 60),
            "[0s] Starting pattern with population=40 on 9 knobs, 1.2e+08 configs, budget 60s");
  std::vector<double> seconds{2e-3, 1e-3, kFailed, 4e-3};
  Config best = {{"block_sizes", {64}}};
  EXPECT_EQ(generation_line(3.2, 2, seconds, best),
            "[3s] Generation 2 complete: failed=1 ok=3 min=1 ms mid=2 ms max=4 ms "
            "best=helion.Config(block_sizes=[64])");
  std::vector<double> none{kFailed};
  EXPECT_THAT(generation_line(0, 0, none, best),
              HasSubstr("Initial population: failed=1 ok=0 best="));
}

}  // namespace
}  // namespace peri::tune
