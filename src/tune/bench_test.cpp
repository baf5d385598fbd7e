#include "tune/bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "base/sanitizers.h"
#include "base/thread_pool.h"
#include "tune/session.h"
#include "tune/strategies.h"
#include "tune/worker.h"

namespace peri::tune {
namespace {

using testing::HasSubstr;

[[gnu::noinline]] void crash() {
  volatile int* nowhere = nullptr;
  *nowhere = 1;
}

void hang() {
  for (volatile i64 i = 0;; i = i + 1) {
  }
}

void leak() {
  for (;;) {
    auto* block = static_cast<volatile char*>(std::malloc(1 << 20));
    if (block == nullptr) std::abort();
    block[0] = 1;
  }
}

// Candidates do what their config says.
class Misbehaving : public Workload {
 public:
  Expected<Candidate> compile(const Config& config) override {
    std::string what = config["compile"];
    if (what == "crash") crash();
    if (what == "hang") hang();
    if (what == "fail") return fail("no-code", "cannot compile");
    return std::make_shared<Config>(config);
  }

  Expected<Accuracy> trust(const Candidate&, bool) override {
    if (is_gone_) return fail("device-lost", "it is gone");
    return Accuracy{.text = "ok"};
  }

  Expected<void> check(const Candidate& candidate) override {
    std::string what = config_of(candidate)["check"];
    if (what == "refused") return fail("launch-failed", damaged_ ? "old" : "new");
    if (what == "wrong") return fail("wrong-result", "differs");
    if (damaged_) return fail("wrong-result", "of whatever runs in this worker");
    if (what == "sound") return {};
    if (what == "damage") damaged_ = true;
    return run(what), Expected<void>();
  }

  void run(const Candidate& candidate) override { run(config_of(candidate)["run"]); }
  bool survives_fork() const override { return survives_fork_; }
  void flush_caches() override {}

  bool survives_fork_ = true, is_gone_ = false;

 private:
  static void run(const std::string& what) {
    if (what == "crash") crash();
    if (what == "abort") std::abort();
    if (what == "exit") _exit(3);
    if (what == "kill") kill(getpid(), SIGKILL);
    if (what == "illegal") __builtin_trap();
    if (what == "throw") throw std::runtime_error("out of luck");
    if (what == "sleep") std::this_thread::sleep_for(std::chrono::hours(1));
    if (what == "hang") hang();
    if (what == "leak") leak();
    if (what == "say") fputs("free(): invalid pointer\n", stderr), std::abort();
    if (what == "threads") {
      std::atomic<i64> cells = 0;
      ThreadPool::global().run(1000, 0, [&](i64 begin, i64 end, i64) { cells += end - begin; });
      if (cells != 1000) std::abort();
    }
  }

  static const Config& config_of(const Candidate& candidate) {
    return *static_cast<const Config*>(candidate.get());
  }

  bool damaged_ = false;
};

Config config(const char* compile, const char* check, const char* run) {
  return {{"compile", compile}, {"check", check}, {"run", run}};
}

class IsolatedBenchTest : public testing::Test {
 protected:
  void SetUp() override {
    ThreadPool::global().run(1000, 0, [](i64, i64, i64) {});  // the parent's pool has threads
    ASSERT_TRUE(bench_->trust({0, good_}, false));
  }

  Verdict build(i64 id, const Config& config) {
    return bench_->compile(std::vector<Build>{{id, config}})[0];
  }

  Verdict check(const char* what) {
    EXPECT_TRUE(build(1, config("", what, "")).ok());
    return bench_->check(1, 0.3);
  }

  // Of the second, where both were built before either ran.
  Verdict check_after(const char* first, const char* second) {
    for (const Verdict& built : bench_->compile(
             std::vector<Build>{{1, config("", first, "")}, {3, config("", second, "")}})) {
      EXPECT_TRUE(built.ok());
    }
    EXPECT_TRUE(bench_->check(1, 5).ok());
    return bench_->check(3, 5);
  }

  TimeResult time(const char* what) {
    EXPECT_TRUE(build(1, config("", "", what)).ok());
    return bench_->time({.ids = {0, 1}, .rounds = 2, .limit = 0.3});
  }

  void expect_alive() {
    EXPECT_TRUE(build(2, good_).ok());
    EXPECT_TRUE(bench_->check(2, 5).ok());
    TimeResult result = bench_->time({.ids = {0, 2}, .rounds = 3, .limit = 5});
    EXPECT_TRUE(result.verdict.ok()) << result.verdict.reason;
    ASSERT_EQ(result.samples.size(), 2);
    EXPECT_EQ(result.samples[1].size(), 3);
    EXPECT_FALSE(bench_->failure());
  }

  Config good_ = config("", "", "threads");
  Misbehaving workload_;
  std::unique_ptr<Bench> bench_ =
      isolated_bench(workload_, 2, steady_clock(),
                     {.memory_bytes = 1 << 30, .compile_limit = 0.5, .is_interrupted = {}});
};

// Runs take 10 us, and 20 until 50 us after the machine was left alone: then a thread wakes up.
class Sleepy : public Workload {
 public:
  Expected<Candidate> compile(const Config& config) override {
    return std::make_shared<Config>(config);
  }
  Expected<Accuracy> trust(const Candidate&, bool) override { return Accuracy{.text = "ok"}; }
  Expected<void> check(const Candidate&) override { return {}; }
  void run(const Candidate&) override { now += now - woken < 50e-6 ? 20e-6 : 10e-6; }
  void flush_caches() override {}
  void place_anew() override { ++placed; }

  double now = 1, woken = 1;
  i64 placed = 0;
};

TEST(Bench, ShortRunsAreTimedWithAllThreadsAwake) {
  Sleepy workload;
  auto clock = [&] { return workload.now; };
  auto candidate = workload.compile({});
  EXPECT_NEAR(workload.time(*candidate, 10, false, clock), 10e-6, 1e-9);
  workload.woken = workload.now;
  EXPECT_NEAR(workload.time(*candidate, 1, true, clock), 20e-6, 1e-9);
}

TEST(Bench, LongRunsNeedNoOtherBefore) {
  class Long : public Sleepy {
   public:
    void run(const Candidate&) override { now += 2e-3; }
  } workload;
  auto clock = [&] { return workload.now; };
  auto candidate = workload.compile({});
  EXPECT_NEAR(workload.time(*candidate, 1, false, clock), 2e-3, 1e-9);
  EXPECT_NEAR(workload.now, 1 + 2e-3, 1e-9);
  EXPECT_NEAR(workload.time(*candidate, 4, false, clock), 2e-3, 1e-9);
  EXPECT_NEAR(workload.now, 1 + 5 * 2e-3, 1e-9);
}

TEST(Bench, PlacesMemoryAnewForEachRound) {
  Sleepy workload;
  auto bench = local_bench(workload, 1, [&] { return workload.now; });
  ASSERT_TRUE(bench->trust({}, false));
  EXPECT_TRUE(bench->time({.ids = {0, 0}, .rounds = 5}).verdict.ok());
  EXPECT_EQ(workload.placed, 5);
}

TEST_F(IsolatedBenchTest, Works) { expect_alive(); }

TEST_F(IsolatedBenchTest, CrashesAreNamed) {
  struct Row {
    const char *what, *reason;
  };
  for (auto [what, reason] : {Row{"crash", "SIG"}, Row{"abort", "SIGABRT"}, Row{"kill", "SIGKILL"},
                              Row{"exit", "exit status 3"}, Row{"illegal", "SIG"},
                              Row{"throw", "out of luck"}, Row{"say", "free(): invalid pointer"}}) {
    Verdict checked = check(what);
    EXPECT_EQ(checked.status, Status::Crashed) << what;
    EXPECT_THAT(checked.reason, HasSubstr(reason));
    expect_alive();
    TimeResult timed = time(what);
    EXPECT_EQ(timed.verdict.status, Status::Crashed) << what;
    EXPECT_THAT(timed.verdict.reason, HasSubstr(reason));
    expect_alive();
  }
}

TEST_F(IsolatedBenchTest, HangsEnd) {
  for (const char* what : {"hang", "sleep"}) {
    for (const Verdict& verdict : {check(what), time(what).verdict}) {
      EXPECT_EQ(verdict.status, Status::Hung);
      EXPECT_EQ(verdict.is_certain, std::string_view(what) == "hang");
    }
    expect_alive();
  }
}

TEST_F(IsolatedBenchTest, LeaksEnd) {
  if (kSanitizedMemory) GTEST_SKIP() << "sanitizers need all address space";
  EXPECT_TRUE(build(1, config("", "leak", "")).ok());
  EXPECT_EQ(bench_->check(1, 60).status, Status::Crashed);
  expect_alive();
}

TEST_F(IsolatedBenchTest, CompilersMayCrashAndHang) {
  std::vector<Build> builds = {{1, good_},
                               {2, config("crash", "", "")},
                               {3, config("fail", "", "")},
                               {4, config("hang", "", "")},
                               {5, good_}};
  std::vector<Verdict> verdicts = bench_->compile(builds);
  EXPECT_TRUE(verdicts[0].ok());
  EXPECT_EQ(verdicts[1].status, Status::Crashed);
  EXPECT_EQ(verdicts[2].status, Status::CompileError);
  EXPECT_EQ(verdicts[2].reason, "no-code: cannot compile");
  EXPECT_EQ(verdicts[3].status, Status::Hung);
  EXPECT_TRUE(verdicts[4].ok());
  EXPECT_TRUE(bench_->check(1, 5).ok());
  EXPECT_TRUE(bench_->check(5, 5).ok());
}

TEST_F(IsolatedBenchTest, WrongResultsOfADamagedProcessDoNotCount) {
  for (bool forks : {true, false}) {
    workload_.survives_fork_ = forks;
    bench_ = isolated_bench(workload_, 2, steady_clock(), {});
    ASSERT_TRUE(bench_->trust({0, good_}, false));
    EXPECT_EQ(check("wrong").status, Status::WrongResult);
    EXPECT_TRUE(
        check_after("damage", "sound").ok());  // wrong in this process, right in a fresh one
    EXPECT_EQ(check_after("damage", "wrong").status, Status::WrongResult);
  }
}

TEST_F(IsolatedBenchTest, RefusedLaunchesCountAtOnce) {
  Verdict refused = check_after("damage", "refused");
  EXPECT_EQ(refused.status, Status::CompileError);
  EXPECT_EQ(refused.reason, "launch-failed: old");  // the process is not replaced
}

TEST_F(IsolatedBenchTest, ChecksLeaveNoDamageToTheWorker) {
  EXPECT_TRUE(check("damage").ok());
  EXPECT_EQ(check("refused").reason, "launch-failed: new");
}

TEST_F(IsolatedBenchTest, InterruptsEndWaiting) {
  bool interrupted = false;
  bench_ =
      isolated_bench(workload_, 1, steady_clock(), {.is_interrupted = [&] { return interrupted; }});
  ASSERT_TRUE(bench_->trust({0, good_}, false));
  ASSERT_TRUE(build(1, config("", "sleep", "")).ok());
  interrupted = true;
  EXPECT_EQ(bench_->check(1, 600).status, Status::Skipped);
}

TEST_F(IsolatedBenchTest, RequestsEndByTheTimeTheyAreGiven) {
  const Clock clock = steady_clock();
  auto soon = [&] {
    bench_->end_by(clock() + 0.3);
    return clock() + 0.6;
  };
  ASSERT_TRUE(build(1, config("", "hang", "")).ok());
  double late = soon();
  EXPECT_EQ(bench_->check(1, 60).status, Status::Skipped);
  EXPECT_LT(clock(), late);
  bench_->end_by(HUGE_VAL);
  ASSERT_TRUE(build(1, config("", "", "hang")).ok());
  late = soon();
  EXPECT_EQ(bench_->time({.ids = {0, 1}, .limit = 60}).verdict.status, Status::Skipped);
  EXPECT_LT(clock(), late);
  late = soon();
  EXPECT_EQ(build(3, config("hang", "", "")).status, Status::Skipped);
  EXPECT_LT(clock(), late);
  EXPECT_EQ(build(3, good_).status, Status::Skipped);  // too late for a new worker
  bench_->end_by(HUGE_VAL);
  expect_alive();
}

TEST_F(IsolatedBenchTest, ABenchThatIsLostBlamesNoCandidate) {
  workload_.is_gone_ = true;  // for the next process
  EXPECT_EQ(time("crash").verdict.status, Status::Skipped);
  ASSERT_TRUE(bench_->failure());
  EXPECT_EQ(bench_->failure()->code, "device-lost");
  const std::vector<Build> builds = {{1, good_}, {2, good_}};
  for (const Verdict& verdict : bench_->compile(builds)) {
    EXPECT_EQ(verdict.status, Status::Skipped);
  }
}

// Configs that hang, where waiting for them would take minutes.
TEST_F(IsolatedBenchTest, SessionsKeepTheirBudget) {
  for (const Config& hanging : {config("", "hang", ""), config("", "", "hang")}) {
    auto bench = isolated_bench(workload_, 2, steady_clock(), {});
    auto strategy = finite_search({hanging, good_});
    SessionOptions options;
    options.budget = 1;
    options.hang_seconds = 60;
    auto record = tune(*strategy, config("", "", "threads "), *bench, options, {});
    ASSERT_TRUE(record) << record.error().message;
    ASSERT_EQ(record->trials.size(), 2);
    EXPECT_EQ(record->trials[1].status, Status::Skipped);
    EXPECT_EQ(record->trials[1].reason, "the time for tuning is up");
    EXPECT_EQ(record->stopped, "budget");
    EXPECT_LT(record->elapsed, 1.1);
  }
}

TEST(Worker, DiesWithItsOwner) {
  auto worker = Worker::start([](const std::string& text) { return text + text; }, 0);
  ASSERT_TRUE(worker) << worker.error().message;
  EXPECT_EQ((*worker)->ask("ab", 5), "abab");
  auto pid = Worker::start([](const std::string&) { return std::to_string(getpid()); }, 0);
  ASSERT_TRUE(pid);
  pid_t child = std::stoi(*(*pid)->ask("", 5));
  EXPECT_EQ(kill(child, 0), 0);
  pid->reset();
  EXPECT_EQ(kill(child, 0), -1);
}

}  // namespace
}  // namespace peri::tune
