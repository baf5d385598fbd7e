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

class VerifyTest : public testing::Test {
 protected:
  void set_up(Compilation& c) {
    c.request.text = kTwice;
    c.request.settings.no_cache = true;
  }
  // A record that says `winner` and `runner_up` are the best: block sizes.
  Record record_of(i64 winner, i64 runner_up) {
    Compilation c(diags_);
    set_up(c);
    c.request.file = "k.py";
    c.request.args = specs_of(*parse_arguments({"x=randn[200000]"}, {}, 0, diags_));
    EXPECT_TRUE(compile(c, "space"));
    Record r;
    static_cast<tune::Subject&>(r) = subject_of(c);
    r.arguments = {"x=randn[200000]"};
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
  Verdict verdict_of(const Record& record) {
    Compilation c(diags_);
    set_up(c);
    auto verdict = verify(c, record, 0.5);
    EXPECT_TRUE(verdict) << verdict.error().message;
    return verdict ? *verdict : Verdict();
  }

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

TEST(Verdict, AWinnerThatFailsSaysWhy) {
  Verdict verdict;
  verdict.state = Verdict::State::Rotten;
  verdict.failure = "SIGSEGV";
  EXPECT_EQ(verdict.text(), "rotten: it fails: SIGSEGV");
}

}  // namespace
}  // namespace peri::driver
