#include "tune/cpu_load.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <vector>

namespace peri::tune {
namespace {

TEST(CpuLoad, ReadsTheFirstLineOfTheSystemsTable) {
  const double tick = 1.0 / static_cast<double>(sysconf(_SC_CLK_TCK));
  auto seconds = parse_cpu_seconds("cpu  10 20 30 400 50 1 2 3 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n");
  ASSERT_TRUE(seconds);
  EXPECT_DOUBLE_EQ(seconds->busy, 66 * tick);
  EXPECT_DOUBLE_EQ(seconds->all, 516 * tick);
  EXPECT_EQ(seconds->own, 0);
  for (const char* bad :
       {"", "cpu", "cpu 1 2 3\n", "cpu0 1 2 3 4 5 6 7 8\n", "cpu a b c d e f g h"}) {
    EXPECT_FALSE(parse_cpu_seconds(bad)) << bad;
  }
}

TEST(CpuLoad, CountsWhatIsNotItsOwn) {
  const CpuSeconds begin{.busy = 100, .all = 1000, .own = 5};
  EXPECT_DOUBLE_EQ(share_of_others(begin, {.busy = 110, .all = 1020, .own = 11}), 0.2);
  EXPECT_EQ(share_of_others(begin, {.busy = 110, .all = 1020, .own = 16}), 0);
  EXPECT_EQ(share_of_others(begin, begin), 0);
}

TEST(CpuLoad, SeesAnotherProcess) {
  auto begin = cpu_seconds();
  if (!begin) GTEST_SKIP() << "no /proc/stat here";
  const pid_t other = fork();
  if (other == 0) {
    for (volatile int i = 0;; i = i + 1) {
    }
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
  while (std::chrono::steady_clock::now() < end) usleep(10'000);
  auto before = cpu_seconds();
  kill(other, SIGKILL);
  waitpid(other, nullptr, 0);
  auto after = cpu_seconds();
  // It is another's while it runs, and this process's own once it has ended.
  EXPECT_GT(before->busy - begin->busy, before->own - begin->own + 0.02);
  EXPECT_GT(after->own - before->own, 0.02);
}

}  // namespace
}  // namespace peri::tune
