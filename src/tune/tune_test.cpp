#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "tune/fake_machine_test.h"
#include "tune/proposer.h"
#include "tune/ranker.h"

namespace peri::tune {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(TuneTest, PatternSearchFindsTheBottom) {
  machine_.cost = bowl;
  Record record = tune(pattern_search(problem(), search_));
  EXPECT_EQ(best(record)["block_sizes"].dump(), "[32,128]");
  EXPECT_EQ(best(record)["unroll"], 4);
  EXPECT_NEAR(gain(record), 3.4, 0.2);
  EXPECT_EQ(count_failures(record), 0);
}

TEST_F(TuneTest, RandomSearchImproves) {
  machine_.cost = bowl;
  Record record = tune(random_search(problem(), search_));
  EXPECT_GT(gain(record), 2);
}

TEST_F(TuneTest, SameSeedSameSearch) {
  machine_.cost = bowl;
  auto dump = [](const std::vector<Proposal>& proposals) {
    std::string text;
    for (const Proposal& proposal : proposals) text += proposal.config.dump() + "\n";
    return text;
  };
  std::string first = dump(random_search(problem(), search_)->propose());
  EXPECT_EQ(first, dump(random_search(problem(), search_)->propose()));
  EXPECT_NE(first, dump(random_search(problem(4), search_)->propose()));
}

TEST_F(TuneTest, NothingIsProposedTwice) {
  auto strategy = pattern_search(problem(), search_);
  std::set<std::string> seen;
  for (int generation = 0; generation < 8; ++generation) {
    std::vector<Measurement> measured;
    for (const auto& [config, origin] : strategy->propose()) {
      EXPECT_TRUE(seen.insert(config.dump()).second) << config.dump();
      EXPECT_FALSE(space_.why_not(config));
      measured.push_back({config, bowl(config)});
    }
    strategy->report(measured);
  }
}

TEST_F(TuneTest, KnobsOfOneAccessChangeTogether) {
  space::Capabilities c;
  c.exact_bounds = true;
  c.shared_keys = {"block_sizes"};
  using space::KnobKind;
  using space::Scope;
  c.knobs = {{"unroll", Scope::Kernel, KnobKind::PowerOfTwo, 1, 16, {}, 1, ""},
             {"ahead", Scope::ElementLoad, KnobKind::PowerOfTwo, 1, 16, {}, 1, ""},
             {"cache", Scope::ElementLoad, KnobKind::PowerOfTwo, 1, 16, {}, 1, ""}};
  space_ = space::derive(kernel_, {}, c);
  Proposer proposer(problem());
  const Config from = space_.defaults();
  std::set<std::pair<bool, bool>> changes;
  for (int i = 0; i < 100; ++i) {
    const Config near = proposer.mutate_together(from).value();
    EXPECT_EQ(near["block_sizes"], from["block_sizes"]);
    EXPECT_EQ(near["unroll"], from["unroll"]);
    changes.emplace(near["ahead"] != from["ahead"], near["cache"] != from["cache"]);
  }
  EXPECT_EQ(changes, (std::set{std::pair{true, true}}));
  c.knobs.pop_back();
  space_ = space::derive(kernel_, {}, c);
  EXPECT_FALSE(Proposer(problem()).mutate_together(space_.defaults()));
}

TEST_F(TuneTest, ATieKeepsTheDefault) {
  Record record = tune(random_search(problem(), search_));
  EXPECT_EQ(record.winner, 0);
}

TEST_F(TuneTest, KeepsTheBudget) {
  machine_.cost = bowl;
  for (double budget : {1.0, 5.0, 30.0}) {
    options_.budget = budget;
    Record record = tune(random_search(problem(), search_));
    EXPECT_LE(record.elapsed, budget * 1.1);
    EXPECT_GE(record.elapsed, budget * 0.8);
  }
}

// Calls and compilations that are not short beside the budget.
TEST_F(TuneTest, KeepsTheBudgetWithSlowConfigs) {
  struct Row {
    double call, compile, budget;
  };
  for (const Row& row : {Row{0.1, 2e-3, 5}, Row{0.3, 2e-3, 10}, Row{0.5, 0.1, 30},
                         Row{1e-3, 0.2, 3.2}, Row{1e-3, 0.2, 2.5}}) {
    FakeMachine machine;
    options_.clock = machine.clock();
    options_.budget = row.budget;
    machine.compile_seconds = row.compile;
    machine.cost = [&](const Config& config) {
      return row.call * std::min(1e3 * bowl(config), 1.5);  // for a call is not cut off here
    };
    auto bench = local_bench(machine, 1, machine.clock());
    auto strategy = random_search(problem(), search_);
    auto record = tune::tune(*strategy, space_.defaults(), *bench, options_, blank());
    ASSERT_TRUE(record) << record.error().message;
    EXPECT_EQ(record->stopped, "budget");
    EXPECT_LE(record->elapsed, row.budget * 1.1) << row.call << " " << row.compile;
    EXPECT_GE(record->elapsed, row.budget * 0.8) << row.call << " " << row.compile;
  }
}

TEST_F(TuneTest, ADefaultMayTakeMoreThanTheBudgetButNotForEver) {
  options_.budget = 1;
  machine_.cost = [](const Config&) { return 2.0; };
  Record record = tune(random_search(problem(), search_));
  EXPECT_EQ(record.trials.size(), 1);
  EXPECT_EQ(record.stopped, "budget");
  EXPECT_LT(record.elapsed, 5);  // a call to be checked, and one that is timed
  EXPECT_TRUE(parse_record(print_record(record)));
  machine_.cost = [](const Config&) { return 100.0; };
  auto slow = try_tune(random_search(problem(), search_));
  ASSERT_FALSE(slow);
  EXPECT_EQ(slow.error().code, "default-too-slow");
}

TEST_F(TuneTest, OneCandidateNeedsNoFinalRound) {
  machine_.wrong = [this](const Config& config) { return config != space_.defaults(); };
  Config other = space_.defaults();
  other["unroll"] = 4;
  Record record = tune(finite_search({other}));
  EXPECT_EQ(record.winner, 0);
  EXPECT_TRUE(record.finalists.empty());
  EXPECT_THAT(log_, testing::Not(HasSubstr("Final selection")));
  EXPECT_LT(record.elapsed, 0.5);
}

TEST_F(TuneTest, FailuresAreSkippedWithTheirReason) {
  machine_.cost = bowl;
  machine_.broken = [](const Config& config) { return config["unroll"] == 4; };
  machine_.wrong = [](const Config& config) { return config["unroll"] == 8; };
  Record record = tune(pattern_search(problem(), search_));
  EXPECT_GT(count_failures(record), 0);
  EXPECT_THAT(best(record)["unroll"].get<int>(), testing::AnyOf(1, 2, 16));
  EXPECT_THAT(log_, HasSubstr("skipped (compile-error: no-code: cannot compile): helion.Config("));
  EXPECT_THAT(log_, HasSubstr("skipped (wrong-result: differs)"));
}

TEST_F(TuneTest, ADefaultThatFailsIsAnError) {
  machine_.wrong = [](const Config&) { return true; };
  auto record = try_tune(random_search(problem(), search_));
  ASSERT_FALSE(record);
  EXPECT_EQ(record.error().code, "wrong-result");
}

TEST_F(TuneTest, ADisturbedStartDoesNotSetTheNoise) {
  std::mt19937_64 rng(3);
  std::normal_distribution<double> normal(0, 0.3);
  const double end = machine_.clock()() + 0.3;
  machine_.cost = [&](const Config& config) {
    return bowl(config) * (machine_.clock()() < end ? std::exp(normal(rng)) : 1);
  };
  auto record = try_tune(random_search(problem(), search_));
  ASSERT_TRUE(record);
  EXPECT_LT(record->noise, 0.02);
}

TEST_F(TuneTest, InterruptKeepsTheBest) {
  machine_.cost = bowl;
  options_.is_interrupted = [this] { return machine_.compiled > 100; };
  Record record = tune(pattern_search(problem(), search_));
  EXPECT_TRUE(record.interrupted);
  EXPECT_EQ(record.stopped, "interrupted");
  EXPECT_LT(record.elapsed, 15);
  EXPECT_LT(record.trials[record.winner].seconds, record.trials[0].seconds);
  EXPECT_THAT(completion_text(record), HasSubstr("Autotuning interrupted in "));
}

TEST_F(TuneTest, FiniteSearchMeasuresItsList) {
  machine_.cost = bowl;
  Config better = space_.defaults();
  better["unroll"] = 4;
  Config worse = space_.defaults();
  worse["unroll"] = 2;
  Record record = tune(finite_search({worse, better}));
  EXPECT_EQ(record.trials.size(), 3);
  EXPECT_EQ(best(record), better);
  EXPECT_EQ(record.stopped, "nothing left to try");
  EXPECT_FALSE(record.tie);
}

TEST_F(TuneTest, PrintsItsLines) {
  machine_.cost = bowl;
  options_.budget = 2;
  Record record = tune(pattern_search(problem(), search_));
  EXPECT_THAT(log_, HasSubstr("[0s] Initial random population of 40 configs\n"));
  EXPECT_THAT(log_, HasSubstr("Initial population: failed=0 ok=39 min="));
  EXPECT_THAT(log_, HasSubstr("Generation 1 starting: "));
  record.static_shapes = false;
  EXPECT_THAT(
      completion_text(record),
      testing::MatchesRegex("Autotuning complete in [0-9.]+s after searching [0-9]+ configs.\n"
                            "One can hardcode the best config and skip autotuning with:\n"
                            "    @helion.kernel\\(config=helion.Config\\(block_sizes=.*\\), "
                            "static_shapes=False\\)"));
}

TEST_F(TuneTest, SameTimingsSameRecord) {
  machine_.cost = bowl;
  options_.budget = 3;
  std::string first = print_record(tune(pattern_search(problem(), search_)));
  FakeMachine again;
  again.cost = bowl;
  options_.clock = again.clock();
  auto strategy = pattern_search(problem(), search_);
  auto bench = local_bench(again, 1, again.clock());
  auto record = tune::tune(*strategy, space_.defaults(), *bench, options_, blank());
  ASSERT_TRUE(record);
  EXPECT_EQ(print_record(*record), first);
}

TEST_F(TuneTest, EndsWhenNoGainIsExpected) {
  machine_.cost = bowl;
  options_.budget = 0;
  options_.expected_gain = [](std::span<const Measurement> history) {
    return history.size() < 200 ? 0.5 : 0.005;
  };
  Record record = tune(random_search(problem(), search_));
  EXPECT_EQ(record.stopped, "the expected gain is below 1 %");
  EXPECT_LT(record.elapsed, options_.most_seconds / 2);
  EXPECT_GE(record.trials.size(), 200);
}

TEST_F(TuneTest, QuarantinedConfigsAreNotRun) {
  machine_.cost = bowl;
  Config bad = space_.defaults(), good = bad;
  bad["unroll"] = 4;
  good["unroll"] = 2;
  options_.quarantine[bad.dump()] = "SIGSEGV";
  Record record = tune(finite_search({bad, good}));
  EXPECT_EQ(record.trials[1].status, Status::Skipped);
  EXPECT_EQ(record.trials[1].reason, "SIGSEGV");
  EXPECT_EQ(best(record), good);
  EXPECT_EQ(machine_.compiled, 2);
}

// A bench in which checks of every candidate but the default are ended at their limit: all of
// them, or so many.
class EndingBench : public Bench {
 public:
  explicit EndingBench(std::unique_ptr<Bench> bench) : bench_(std::move(bench)) {}
  Expected<Accuracy> trust(const Build& build, bool is_known_good) override {
    return bench_->trust(build, is_known_good);
  }
  std::vector<Verdict> compile(std::span<const Build> builds) override {
    return bench_->compile(builds);
  }
  Verdict check(i64 id, double limit) override {
    limits.push_back(limit);
    if (static_cast<i64>(limits.size()) > most) return bench_->check(id, limit);
    return {Status::Hung, "no answer"};
  }
  TimeResult time(const TimeRequest& request) override { return bench_->time(request); }
  void drop(std::span<const i64> ids) override { bench_->drop(ids); }
  void end_by(double time) override { bench_->end_by(time); }
  const std::optional<Error>& failure() const override { return bench_->failure(); }
  std::vector<double> limits;
  i64 most = INT64_MAX;

 private:
  std::unique_ptr<Bench> bench_;
};

TEST_F(TuneTest, CallsEndedAtTheirLimitAreSlowOrHang) {
  Config other = space_.defaults();
  other["unroll"] = 4;
  struct Row {
    double seconds;
    Status status;
    const char* reason;
  };
  for (const Row& row : {Row{1e-3, Status::TooSlow, "more than [56][0-9] x the default's .* ms"},
                         Row{1e-5, Status::Hung, "no answer"}}) {
    machine_.cost = [&row](const Config&) { return row.seconds; };
    EndingBench bench(local_bench(machine_, 2, machine_.clock()));
    auto record = tune::tune(*finite_search({other}), space_.defaults(), bench, options_, blank());
    ASSERT_TRUE(record);
    EXPECT_EQ(record->trials[1].status, row.status);
    EXPECT_THAT(record->trials[1].reason, testing::MatchesRegex(row.reason));
    EXPECT_LT(bench.limits.at(0), 0.1);
    EXPECT_EQ(bench.limits.size(), row.status == Status::Hung ? 2 : 1);
  }
  EXPECT_THAT(log_, HasSubstr("skipped (too-slow: more than "));
}

TEST_F(TuneTest, WhatHungOnceWasDisturbed) {
  Config other = space_.defaults();
  other["unroll"] = 4;
  machine_.cost = [&](const Config& config) { return config == other ? 0.5e-5 : 1e-5; };
  EndingBench bench(local_bench(machine_, 2, machine_.clock()));
  bench.most = 1;
  auto record = tune::tune(*finite_search({other}), space_.defaults(), bench, options_, blank());
  ASSERT_TRUE(record);
  EXPECT_EQ(count_failures(*record), 0);
  EXPECT_EQ(best(*record), other);
}

TEST_F(TuneTest, ClearLosersAreTimedOnce) {
  machine_.cost = [this](const Config& config) {
    return config == space_.defaults() ? 1e-3 : 2e-3;
  };
  Record record = tune(random_search(problem(), search_));
  for (std::size_t i = 1; i < record.trials.size(); ++i) {
    EXPECT_EQ(record.trials[i].samples.size(), 1);
  }
}

TEST_F(TuneTest, IntervalsHoldTheTruth) {
  machine_.cost = bowl;
  Record record = tune(random_search(problem(), search_));
  i64 inside = 0, all = 0;
  double scale = record.trials[0].seconds / bowl(record.trials[0].config);
  for (const Trial& trial : record.trials) {
    if (trial.samples.size() < 3) continue;
    double truth = scale * bowl(trial.config);
    inside += trial.low <= truth && truth <= trial.high ? 1 : 0;
    ++all;
  }
  EXPECT_GE(static_cast<double>(inside), 0.9 * static_cast<double>(all));
}

TEST_F(TuneTest, ColdTimingsFlushTheCaches) {
  machine_.cost = bowl;
  options_.budget = 1;
  tune(random_search(problem(), search_));
  EXPECT_EQ(machine_.flushes, 0);
  options_.cold = true;
  Record record = tune(random_search(problem(), search_));
  i64 samples = 0;
  for (const Trial& trial : record.trials) samples += static_cast<i64>(trial.samples.size());
  EXPECT_GE(machine_.flushes, samples);
}

TEST_F(TuneTest, RecordsSayWhatHappened) {
  machine_.cost = bowl;
  std::vector<i64> seen;
  options_.on_trial = [&](const Trial&, i64 number) { seen.push_back(number); };
  i64 timed = 0;
  options_.progress = [&](const Progress& progress) { timed = progress.timed; };
  Record record = tune(pattern_search(problem(), search_));
  EXPECT_EQ(seen.size(), record.trials.size());
  EXPECT_EQ(timed + 1, record.trials.size());
  EXPECT_EQ(record.trials[0].origin, "default");
  EXPECT_EQ(record.stopped, "budget");
  EXPECT_GE(record.runner_up, 0);
  EXPECT_NE(record.runner_up, record.winner);
  EXPECT_GT(record.noise, 0);
  EXPECT_LT(record.compile_time + record.timing_time, record.elapsed * 1.01);
  auto again = parse_record(print_record(record));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(print_record(*again), print_record(record));
}

// Says nothing, and keeps how many rows it learnt from each time.
class CountingModel : public CostPredictor {
 public:
  explicit CountingModel(std::vector<i64>& fits) : fits_(fits) {}
  Expected<void> fit(const FeatureTable& features, std::span<const double>, u64) override {
    fits_.push_back(features.rows());
    return {};
  }
  Expected<std::vector<double>> predict(const FeatureTable& features) const override {
    return std::vector<double>(static_cast<std::size_t>(features.rows()));
  }

 private:
  std::vector<i64>& fits_;
};

TEST_F(TuneTest, AModelLearnsAnewAsItsRowsGrow) {
  Proposer proposer(problem());
  std::vector<i64> fits;
  Ranker ranker(proposer, std::make_unique<CountingModel>(fits), search_);
  constexpr i64 kBatch = 8, kGenerations = 60;
  for (i64 generation = 0; generation < kGenerations; ++generation) {
    std::vector<Measurement> measured;
    for (i64 i = 0; i < kBatch; ++i) {
      Config config = space_.sample(proposer.rng());
      measured.push_back({config, bowl(config)});
    }
    ranker.report(measured);
    std::vector<Proposal> candidates, chosen;
    for (i64 i = 0; i < 4; ++i) candidates.push_back({space_.sample(proposer.rng()), "random"});
    ranker.pick(candidates, 1, 1, chosen);
    EXPECT_GE(fits.back(), ranker.measured() * 3 / 4) << generation;
  }
  EXPECT_LT(fits.size(), 30);
}

TEST(Measure, SummarisesAndPrints) {
  Timing timing = summarise({4, 1, 3, 2, 5});
  EXPECT_EQ(timing.median, 3);
  EXPECT_EQ(timing.low, 2);
  EXPECT_EQ(timing.high, 4);
  EXPECT_EQ(print_seconds(1.5e-9), "1.5 ns");
  EXPECT_EQ(print_seconds(0.0012345), "1.234 ms");
  EXPECT_EQ(print_seconds(12), "12 s");
  EXPECT_EQ(print_seconds(kFailed), "-");
}

TEST(Measure, BatchesShortCalls) {
  double now = 0;
  i64 calls = 0;
  Timing timing = time_calls([&] { return now; }, [&] { now += 1e-8, ++calls; }, 1e-3);
  EXPECT_NEAR(timing.median, 1e-8, 1e-12);
  EXPECT_GT(calls, 10000);
}

}  // namespace
}  // namespace peri::tune
