// Sessions whose configs are compiled while others are timed.
#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <set>

#include "tune/fake_machine_test.h"

namespace peri::tune {
namespace {

using testing::HasSubstr;

// Compiles in the machine's time, on so many threads.
class FakeBuilder : public Builder {
 public:
  FakeBuilder(FakeMachine& machine, std::size_t threads)
      : machine_(machine), clock_(machine.clock()), free_at_(threads, clock_()) {}

  bool is_beside_timing() const override { return true; }

  void start(Build build) override {
    EXPECT_FALSE(is_abandoned);
    double& free_at = *std::ranges::min_element(free_at_);
    free_at = std::max(free_at, clock_()) + cost(build.config);
    Built built{build.id, {}, "code"};
    if (broken && broken(build.config)) {
      built.verdict = {Status::CompileError, "no-code: cannot compile"};
      built.error = {"no-code", "cannot compile", "try another"};
    }
    ends_.emplace(free_at, std::move(built));
  }

  std::vector<Built> ready(double seconds) override {
    const double end = ends_.empty() ? HUGE_VAL : ends_.begin()->first;
    machine_.pass(std::clamp(end - clock_(), 0.0, seconds));
    std::vector<Built> built;
    while (!ends_.empty() && ends_.begin()->first <= clock_()) {
      built.push_back(std::move(ends_.begin()->second));
      ends_.erase(ends_.begin());
    }
    return built;
  }

  void abandon() override {
    is_abandoned = true;
    ends_.clear();
  }
  const std::optional<Error>& failure() const override { return failure_; }

  std::function<double(const Config&)> cost = [](const Config&) { return 0.5; };
  std::function<bool(const Config&)> broken;
  std::optional<Error> failure_;
  bool is_abandoned = false;

 private:
  FakeMachine& machine_;
  Clock clock_;
  std::vector<double> free_at_;  // by thread
  std::multimap<double, Built> ends_;
};

class OverlapTest : public TuneTest {
 protected:
  static constexpr i64 kThreads = 4;
  OverlapTest() {
    options_.batch = kThreads;
    machine_.cost = bowl;
  }

  Expected<Record> try_overlapped(std::unique_ptr<Strategy> strategy) {
    auto bench = local_bench(machine_, 1, machine_.clock());
    Bench* const benches[] = {bench.get()};
    return tune::tune(*strategy, space_.defaults(), benches, builder_, options_, blank());
  }
  Record overlapped(std::unique_ptr<Strategy> strategy) {
    auto record = try_overlapped(std::move(strategy));
    EXPECT_TRUE(record) << (record ? "" : record.error().message);
    return record ? *record : Record();
  }

  Config other(i64 block, i64 unroll) const {
    Config config = space_.defaults();
    config["block_sizes"][0] = block;
    config["unroll"] = unroll;
    return config;
  }

  FakeBuilder builder_{machine_, kThreads};
};

TEST_F(OverlapTest, ASlowCompileHoldsUpNoOther) {
  std::vector<Config> configs = {other(32, 16)};
  for (i64 block : {16, 32, 64, 128}) {
    for (i64 unroll : {2, 4, 8}) configs.push_back(other(block, unroll));
  }
  const Config slow = configs[0];
  builder_.cost = [&](const Config& config) { return config == slow ? 12.0 : 0.5; };
  Record record = overlapped(finite_search(configs));
  ASSERT_EQ(record.trials.size(), configs.size() + 1);
  for (std::size_t i = 1; i < configs.size(); ++i) EXPECT_LT(record.trials[i].at, 4) << i;
  EXPECT_EQ(record.trials.back().config, slow);
  EXPECT_EQ(record.trials.back().status, Status::Ok);
  EXPECT_EQ(record.stopped, "nothing left to try");
}

TEST_F(OverlapTest, MeasuresMoreInTheSameTime) {
  machine_.compile_seconds = 0.5 / kThreads;  // in turns with timing, as many side by side
  options_.race_seconds = 0.5;
  machine_.cost = [](const Config& config) { return 10 * bowl(config); };
  const Record in_turns = tune(random_search(problem(), search_));
  const Record beside = overlapped(random_search(problem(), search_));
  EXPECT_GT(beside.trials.size(), 1.3 * static_cast<double>(in_turns.trials.size()));
  EXPECT_LT(beside.compile_time, 0.5 * in_turns.compile_time);
}

TEST_F(OverlapTest, StragglersAreAbandonedAtTheEnd) {
  builder_.cost = [](const Config& config) { return config["unroll"] == 4 ? 1e6 : 0.1; };
  options_.budget = 10;
  options_.batch = 64;
  Record record = overlapped(random_search(problem(), search_));
  EXPECT_TRUE(builder_.is_abandoned);
  EXPECT_EQ(record.stopped, "budget");
  EXPECT_LE(record.elapsed, 11);
  EXPECT_GE(record.elapsed, 8);
  for (const Trial& trial : record.trials) {
    EXPECT_NE(trial.config["unroll"], 4);
    EXPECT_EQ(trial.status, Status::Ok);
  }
}

TEST_F(OverlapTest, KeepsTheBudget) {
  for (double budget : {3.0, 10.0, 30.0}) {
    options_.budget = budget;
    FakeBuilder builder(machine_, kThreads);
    auto bench = local_bench(machine_, 1, machine_.clock());
    auto strategy = auto_search(problem(), search_, nullptr);
    Bench* const benches[] = {bench.get()};
    auto record = tune::tune(*strategy, space_.defaults(), benches, builder, options_, blank());
    ASSERT_TRUE(record);
    EXPECT_LE(record->elapsed, budget * 1.1);
    EXPECT_GE(record->elapsed, budget * 0.8);
  }
}

TEST_F(OverlapTest, FailuresAreSkippedWithTheirReason) {
  builder_.broken = [](const Config& config) { return config["unroll"] == 4; };
  machine_.wrong = [](const Config& config) { return config["unroll"] == 8; };
  Record record = overlapped(random_search(problem(), search_));
  EXPECT_GT(count_failures(record), 0);
  EXPECT_THAT(best(record)["unroll"].get<int>(), testing::AnyOf(1, 2, 16));
  EXPECT_THAT(log_, HasSubstr("skipped (compile-error: no-code: cannot compile): helion.Config("));
  EXPECT_THAT(log_, HasSubstr("skipped (wrong-result: differs)"));
}

TEST_F(OverlapTest, TheDefaultsErrorIsTheResult) {
  builder_.broken = [this](const Config& config) { return config == space_.defaults(); };
  auto record = try_overlapped(random_search(problem(), search_));
  ASSERT_FALSE(record);
  EXPECT_EQ(record.error().code, "no-code");
  EXPECT_EQ(record.error().hint, "try another");
}

TEST_F(OverlapTest, ABuilderThatFailsIsAnError) {
  builder_.cost = [](const Config&) { return 1e6; };
  builder_.failure_ = Error{"worker-failed", "no processes left", ""};
  auto record = try_overlapped(random_search(problem(), search_));
  ASSERT_FALSE(record);
  EXPECT_EQ(record.error().code, "worker-failed");
}

TEST_F(OverlapTest, ABuilderThatFailsLaterEndsTheSearch) {
  options_.on_trial = [&](const Trial&, i64 number) {
    if (number == 5) builder_.failure_ = Error{"worker-failed", "no processes left", ""};
  };
  Record record = overlapped(random_search(problem(), search_));
  EXPECT_EQ(record.stopped, "no worker");
  EXPECT_EQ(record.trials.size(), 6);
  EXPECT_FALSE(record.finalists.empty());
  EXPECT_THAT(log_, HasSubstr("the search ends early: no processes left"));
}

TEST_F(OverlapTest, InterruptsEndWaiting) {
  Clock clock = machine_.clock();
  const double start = clock();
  options_.is_interrupted = [=] { return clock() > start + 2; };
  for (bool has_default : {true, false}) {
    builder_.cost = [&](const Config& config) {
      return has_default && config == space_.defaults() ? 0.1 : 1e6;
    };
    auto record = try_overlapped(random_search(problem(), search_));
    EXPECT_LT(clock(), start + 3);
    builder_.is_abandoned = false;
    if (!has_default) {
      ASSERT_FALSE(record);
      EXPECT_EQ(record.error().code, "interrupted");
      EXPECT_EQ(record.error().message, "interrupted before anything was timed");
      continue;
    }
    ASSERT_TRUE(record);
    EXPECT_TRUE(record->interrupted);
    EXPECT_EQ(record->trials.size(), 1);
  }
}

TEST_F(OverlapTest, TheFirstProposalsAreCompiledBesideTheDefault) {
  builder_.cost = [this](const Config& config) { return config == space_.defaults() ? 3.0 : 0.1; };
  Record record = overlapped(random_search(problem(), search_));
  ASSERT_GT(record.trials.size(), 3);
  EXPECT_LT(record.trials[2].at, 3.6);
}

TEST_F(OverlapTest, QuarantinedConfigsAreNotCompiled) {
  const Config bad = other(32, 4), good = other(32, 2);
  options_.quarantine[bad.dump()] = "SIGSEGV";
  builder_.cost = [&](const Config& config) {
    EXPECT_NE(config, bad);
    return 0.1;
  };
  Record record = overlapped(finite_search({bad, good}));
  ASSERT_EQ(record.trials.size(), 3);
  EXPECT_EQ(count_failures(record), 1);
  EXPECT_EQ(best(record), good);
}

// How often a trial of an earlier generation comes after one of a later.
i64 count_late(const Record& record) {
  i64 late = 0, generation = 0;
  for (const Trial& trial : record.trials) {
    late += trial.generation < generation ? 1 : 0;
    generation = std::max(generation, trial.generation);
  }
  return late;
}

TEST_F(OverlapTest, OnlySomeStrategiesAreAskedAhead) {
  builder_.cost = [](const Config& config) { return config["unroll"] == 1 ? 1.5 : 0.1; };
  EXPECT_GT(count_late(overlapped(random_search(problem(), search_))), 0);
  builder_.is_abandoned = false;
  EXPECT_EQ(count_late(overlapped(pattern_search(problem(), search_))), 0);
}

TEST_F(OverlapTest, NothingIsMeasuredTwiceAndEverythingIsReported) {
  // Counts what a strategy is told.
  class Told : public Strategy {
   public:
    Told(std::unique_ptr<Strategy> strategy, std::map<std::string, i64>& told)
        : strategy_(std::move(strategy)), told_(told) {}
    std::string_view name() const override { return strategy_->name(); }
    std::string describe() const override { return strategy_->describe(); }
    std::vector<Proposal> propose() override { return strategy_->propose(); }
    void report(std::span<const Measurement> measured) override {
      for (const Measurement& point : measured) ++told_[point.config.dump()];
      strategy_->report(measured);
    }

   private:
    std::unique_ptr<Strategy> strategy_;
    std::map<std::string, i64>& told_;
  };
  std::map<std::string, i64> told;
  Record record =
      overlapped(std::make_unique<Told>(auto_search(problem(), search_, nullptr), told));
  std::set<std::string> seen;
  for (const Trial& trial : record.trials) {
    EXPECT_TRUE(seen.insert(trial.config.dump()).second);
  }
  for (const auto& [config, times] : told) {
    EXPECT_EQ(times, 1);
    EXPECT_TRUE(seen.contains(config));
  }
  EXPECT_GE(told.size() + 2 * search_.batch, record.trials.size());  // but those at the end
}

}  // namespace
}  // namespace peri::tune
