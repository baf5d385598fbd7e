#include "driver/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/sanitizers.h"
#include "driver/shapes.h"
#include "driver/subject.h"
#include "driver/twice_kernel_test.h"

namespace peri::driver {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using tune::Record;

constexpr const char* kSlow = R"(import torch
import helion
import helion.language as hl

@helion.kernel()
def slow(x: torch.Tensor, n: int) -> torch.Tensor:
    out = torch.empty_like(x)
    for tile in hl.tile(x.size(0)):
        v = x[tile]
        for i in range(n):
            v = v * 0.5 + 1.0
        out[tile] = v
    return out
)";

class VerifyTest : public testing::Test {
 protected:
  void set_up(Compilation& c) {
    c.request.text = text_;
    c.request.settings.no_cache = true;
  }
  // A record that says `winner` and `runner_up` are the best: block sizes.
  Record record_of(i64 winner, i64 runner_up) {
    Compilation c(diags_);
    set_up(c);
    c.request.file = "k.py";
    c.request.args = specs_of(*parse_arguments(arguments_, {}, 0, diags_));
    EXPECT_TRUE(compile(c, "space"));
    Record r;
    static_cast<tune::Subject&>(r) = subject_of(c);
    r.arguments = arguments_;
    r.cache_mode = "warm";
    for (i64 block : {i64{0}, winner, runner_up}) {
      tune::Trial& trial = r.trials.emplace_back();
      trial.config = c.default_config;
      trial.seconds = trial.low = trial.high = 1e-3;
      if (block > 0) trial.config["block_sizes"][0] = block;
      if (block > 0) trial.config["num_threads"] = 1;
    }
    r.winner = 1;
    r.runner_up = 2;
    return r;
  }
  Verdict verdict_of(const Record& record, double seconds = 0.5) {
    Compilation c(diags_);
    set_up(c);
    auto verdict = verify(c, record, seconds);
    EXPECT_TRUE(verdict) << verdict.error().message;
    return verdict ? *verdict : Verdict();
  }

  std::string text_ = kTwice;
  std::vector<std::string> arguments_ = {"x=randn[200000]"};
  diag::Sources sources_;
  diag::Diags diags_{sources_};
};

// A cell for each element costs many times as much as a few large ones.
TEST_F(VerifyTest, ARecordThatPraisesASlowConfigIsRotten) {
  if (kSanitizedMemory) GTEST_SKIP() << "their allocators take longer than the cells";
  const Verdict verdict = verdict_of(record_of(1, 20000));
  EXPECT_EQ(verdict.state, Verdict::State::Rotten);
  ASSERT_FALSE(verdict.rivals.empty());
  EXPECT_EQ(verdict.rivals[0].name, "runner-up");
  EXPECT_LT(verdict.rivals[0].ratio, 0.9);
  EXPECT_DOUBLE_EQ(verdict.rivals[0].recorded_ratio, 1);
  EXPECT_THAT(verdict.text(), HasSubstr("rotten: runner-up takes"));
}

TEST_F(VerifyTest, ARecordThatHoldsIsOk) {
  Record record = record_of(20000, 1);
  record.trials[0].config = record.trials[1].config;  // its default is no rival
  record.trials[0].status = tune::Status::Crashed;
  const Verdict verdict = verdict_of(record);
  EXPECT_EQ(verdict.state, Verdict::State::Ok) << verdict.text();
  EXPECT_THAT(verdict.changed, IsEmpty());
}

TEST_F(VerifyTest, WhatHasChangedIsNamed) {
  Record record = record_of(20000, 1);
  record.compiler = "an older one";
  record.trials[0].status = tune::Status::Crashed;
  const Verdict verdict = verdict_of(record);
  EXPECT_EQ(verdict.state, Verdict::State::Stale) << verdict.text();
  EXPECT_THAT(verdict.changed, ElementsAre("compiler"));
}

TEST_F(VerifyTest, AConfigThatIsNotLegalAnyMoreIsAnError) {
  Record record = record_of(20000, 1);
  record.trials[1].config["block_sizes"] = {1, 2};
  Compilation c(diags_);
  set_up(c);
  EXPECT_EQ(verify(c, record, 0.1).error().code, "bad-config");
}

// What it computes depends on a knob of its own.
constexpr const char* kTunable = R"(import torch
import helion
import helion.language as hl
from helion.autotuner import PowerOfTwoFragment

@helion.kernel()
def scale(x: torch.Tensor) -> torch.Tensor:
    factor = hl.register_tunable('factor', PowerOfTwoFragment(1, 64, 4))
    out = torch.empty_like(x)
    for tile in hl.tile(x.size(0)):
        out[tile] = x[tile] * factor
    return out
)";

TEST_F(VerifyTest, AWinnerThatComputesSomethingElseIsRotten) {
  text_ = kTunable;
  Record record = record_of(20000, 1);
  record.trials[1].config["factor"] = 8;
  const Verdict verdict = verdict_of(record);
  EXPECT_EQ(verdict.state, Verdict::State::Rotten);
  EXPECT_THAT(verdict.text(), HasSubstr("rotten: it fails: "));
  EXPECT_THAT(verdict.failure, HasSubstr("expected"));
}

// Ten calls of the default alone take longer than the short time.
TEST_F(VerifyTest, SlowKernelsGetTheTimeThatTheyTookWhenTuned) {
  text_ = kSlow;
  arguments_ = {"x=randn[4]", "n=3000000"};
  Record record = record_of(2, 1);
  for (tune::Trial& trial : record.trials) trial.seconds = trial.low = trial.high = 0.1;
  EXPECT_DOUBLE_EQ(verify_seconds(record), 30 * (0.1 + 0.1 + 0.1));
  const Verdict hasty = verdict_of(record, 0.2);
  EXPECT_EQ(hasty.state, Verdict::State::Skipped) << hasty.text();
  EXPECT_THAT(hasty.text(), HasSubstr("--budget"));
  const Verdict verdict = verdict_of(record, 0);
  EXPECT_NE(verdict.state, Verdict::State::Skipped) << verdict.text();
  ASSERT_EQ(verdict.rivals.size(), 2U) << verdict.text();
  EXPECT_EQ(verdict.rivals[1].name, "default");
  EXPECT_LT(verdict.rivals[1].ratio, 1) << verdict.text();
}

TEST_F(VerifyTest, TheRecordsThreadsAndPassesAreUsed) {
  Record record = record_of(20000, 1);
  record.threads = 1;
  record.passes_off = "hoist_invariants";
  record.cache_mode = "cold";
  Compilation c(diags_);
  set_up(c);
  auto verdict = verify(c, record, 0.1);
  ASSERT_TRUE(verdict) << verdict.error().message;
  EXPECT_THAT(verdict->changed, IsEmpty());
  EXPECT_EQ(c.request.settings.threads, 1);
  EXPECT_EQ(c.request.settings.passes_off, "hoist_invariants");
  EXPECT_TRUE(c.request.settings.cold);
}

TEST_F(VerifyTest, OnlyWhatIsAboutTheKernelOutdatesARecord) {
  Record record = record_of(20000, 1);
  {
    Compilation c(diags_);
    set_up(c);
    c.request.settings.cpu = "no such level";
    auto verdict = verify(c, record, 0.1);
    ASSERT_FALSE(verdict);
    EXPECT_FALSE(is_outdated(verdict.error(), c)) << verdict.error().code;
  }
  record.trials[1].config["block_sizes"] = {1, 2};
  Compilation c(diags_);
  set_up(c);
  EXPECT_TRUE(is_outdated(verify(c, record, 0.1).error(), c));
  const std::string folder = testing::TempDir();
  for (const auto& [file, outdated] : {std::pair{folder, false}, {folder + "/none.py", true}}) {
    diag::Diags diags(sources_);
    Compilation from_file(diags);
    record.file = file;
    auto verdict = verify(from_file, record, 0.1);
    ASSERT_FALSE(verdict);
    EXPECT_EQ(is_outdated(verdict.error(), from_file), outdated) << file;
  }
}

TEST(Verdict, AWinnerThatFailsSaysWhy) {
  Verdict verdict;
  verdict.state = Verdict::State::Rotten;
  verdict.failure = "SIGSEGV";
  EXPECT_EQ(verdict.text(), "rotten: it fails: SIGSEGV");
}

}  // namespace
}  // namespace peri::driver
