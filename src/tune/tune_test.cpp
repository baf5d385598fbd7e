#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <mutex>

#include "ir/parse.h"
#include "tune/session.h"
#include "tune/strategies.h"

namespace peri::tune {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kKernel = R"(kernel copy
  symbol @b0: int = block of b0 hint 8
  symbol @b1: int = block of b1 hint 8
  tensor x: f32[256, 256] strides [256, 1] slot 0
  tensor out: f32[256, 256] strides [256, 1] slot 1
  block b0 "tile_m": tile size=@b0 in 0..256 loop 0
  block b1 "tile_n": tile size=@b1 in 0..256 loop 0
  root (b0, b1) {
    %0: f32[b0:@b0, b1:@b1] = load x[b0, b1]
    store %0, out[b0, b1]
  }
)";

// A machine whose time passes only in calls and compilations: a call takes what `cost` says.
class FakeMachine : public Workload {
 public:
  Expected<Candidate> compile(const Config& config) override {
    std::lock_guard lock(mutex_);
    now_ += compile_seconds;
    ++compiled;
    if (broken && broken(config)) return fail("no-code", "cannot compile");
    return std::make_shared<Config>(config);
  }

  Expected<void> check(const Candidate& candidate) override {
    run(candidate);
    bool bad = wrong && wrong(config_of(candidate));
    return bad ? Expected<void>(fail("wrong-result", "differs")) : Expected<void>();
  }

  void run(const Candidate& candidate) override {
    double drift = 1 + 0.3 * std::sin(static_cast<double>(++calls_) / 500);  // of the whole machine
    now_ += cost(config_of(candidate)) * drift;
  }

  Clock clock() {
    return [this] { return now_; };
  }

  std::function<double(const Config&)> cost = [](const Config&) { return 1e-3; };
  std::function<bool(const Config&)> broken, wrong;
  double compile_seconds = 2e-3;
  i64 compiled = 0;

 private:
  static const Config& config_of(const Candidate& candidate) {
    return *static_cast<const Config*>(candidate.get());
  }

  std::mutex mutex_;
  double now_ = 100;
  i64 calls_ = 0;
};

// Cheapest at block sizes 32 and 128 with unroll 4.
double bowl(const Config& config) {
  auto off = [](const Config& value, double best) {
    double distance = std::log2(value.get<double>()) - std::log2(best);
    return distance * distance;
  };
  return 1e-3 * (1 + 0.1 * off(config["block_sizes"][0], 32) +
                 0.1 * off(config["block_sizes"][1], 128) + 0.1 * off(config["unroll"], 4));
}

class TuneTest : public testing::Test {
 protected:
  TuneTest() {
    kernel_ = *ir::parse(sources_.add("k.ir", kKernel), diags_);
    space::Capabilities c;
    c.target = "fake";
    c.exact_bounds = true;
    c.shared_keys = {"block_sizes", "loop_orders"};
    c.knobs = {{"unroll", space::Scope::Kernel, space::KnobKind::PowerOfTwo, 1, 16, {}, 1, ""}};
    space_ = space::derive(kernel_, {}, c);
    options_.clock = machine_.clock();
    options_.budget = 20;
    options_.compile_threads = 2;
    options_.log = [this](const std::string& line) { log_ += line + "\n"; };
  }

  Outcome tune(std::unique_ptr<Strategy> strategy) {
    auto outcome = tune::tune(*strategy, space_.defaults(), machine_, options_);
    EXPECT_TRUE(outcome) << (outcome ? "" : outcome.error().message);
    return outcome ? *outcome : Outcome();
  }

  SearchProblem problem(u64 seed = 3) const {
    return {.space = space_,
            .start = space_.defaults(),
            .seeds = {},
            .predict = {},
            .effect = {},
            .seed = seed};
  }

  diag::Sources sources_;
  diag::Diags diags_{sources_};
  ir::Kernel kernel_;
  ConfigSpace space_;
  SearchOptions search_ = *search_options("pattern", Effort::Quick, "population=40, copies=3");
  FakeMachine machine_;
  SessionOptions options_;
  std::string log_;
};

TEST_F(TuneTest, PatternSearchFindsTheBottom) {
  machine_.cost = bowl;
  Outcome outcome = tune(pattern_search(problem(), search_));
  EXPECT_EQ(outcome.best["block_sizes"].dump(), "[32,128]");
  EXPECT_EQ(outcome.best["unroll"], 4);
  EXPECT_NEAR(outcome.default_seconds / outcome.seconds, 3.4, 0.2);
  EXPECT_EQ(outcome.failed, 0);
}

TEST_F(TuneTest, RandomSearchImproves) {
  machine_.cost = bowl;
  Outcome outcome = tune(random_search(problem(), search_));
  EXPECT_LT(outcome.seconds, 0.5 * outcome.default_seconds);
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

TEST_F(TuneTest, ATieKeepsTheDefault) {
  Outcome outcome = tune(random_search(problem(), search_));
  EXPECT_EQ(outcome.best, space_.defaults());
}

TEST_F(TuneTest, KeepsTheBudget) {
  machine_.cost = bowl;
  for (double budget : {1.0, 5.0, 30.0}) {
    options_.budget = budget;
    Outcome outcome = tune(random_search(problem(), search_));
    EXPECT_LE(outcome.elapsed, budget * 1.1);
    EXPECT_GE(outcome.elapsed, budget * 0.8);
  }
}

TEST_F(TuneTest, FailuresAreSkippedWithTheirReason) {
  machine_.cost = bowl;
  machine_.broken = [](const Config& config) { return config["unroll"] == 4; };
  machine_.wrong = [](const Config& config) { return config["unroll"] == 8; };
  Outcome outcome = tune(pattern_search(problem(), search_));
  EXPECT_GT(outcome.failed, 0);
  EXPECT_THAT(outcome.best["unroll"].get<int>(), testing::AnyOf(1, 2, 16));
  EXPECT_THAT(log_, HasSubstr("skipped (no-code: cannot compile): helion.Config("));
  EXPECT_THAT(log_, HasSubstr("skipped (wrong-result: differs)"));
}

TEST_F(TuneTest, ADefaultThatFailsIsAnError) {
  machine_.wrong = [](const Config&) { return true; };
  auto strategy = random_search(problem(), search_);
  auto outcome = tune::tune(*strategy, space_.defaults(), machine_, options_);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, "wrong-result");
}

TEST_F(TuneTest, InterruptKeepsTheBest) {
  machine_.cost = bowl;
  options_.is_interrupted = [this] { return machine_.compiled > 100; };
  Outcome outcome = tune(pattern_search(problem(), search_));
  EXPECT_TRUE(outcome.interrupted);
  EXPECT_LT(outcome.elapsed, 15);
  EXPECT_LT(outcome.seconds, outcome.default_seconds);
  EXPECT_THAT(completion_text(outcome, true), HasSubstr("Autotuning interrupted in "));
}

TEST_F(TuneTest, FiniteSearchMeasuresItsList) {
  machine_.cost = bowl;
  Config best = space_.defaults();
  best["unroll"] = 4;
  Config worse = space_.defaults();
  worse["unroll"] = 2;
  Outcome outcome = tune(finite_search({worse, best}));
  EXPECT_EQ(outcome.searched, 2);
  EXPECT_EQ(outcome.best, best);
}

TEST_F(TuneTest, PrintsItsLines) {
  machine_.cost = bowl;
  options_.budget = 2;
  Outcome outcome = tune(pattern_search(problem(), search_));
  EXPECT_THAT(log_, HasSubstr("[0s] Initial random population of 40 configs\n"));
  EXPECT_THAT(log_, HasSubstr("Generation 0 complete: error=0 ok=40 min="));
  EXPECT_THAT(log_, HasSubstr("Generation 1 starting: "));
  EXPECT_THAT(
      completion_text(outcome, false),
      testing::MatchesRegex("Autotuning complete in [0-9.]+s after searching [0-9]+ configs.\n"
                            "One can hardcode the best config and skip autotuning with:\n"
                            "    @helion.kernel\\(config=helion.Config\\(block_sizes=.*\\), "
                            "static_shapes=False\\)"));
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
