// Records of a GPU, verified on a fake driver.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/fake_device_test.h"
#include "driver/shapes.h"
#include "driver/tune.h"
#include "driver/tuned_store.h"
#include "driver/twice_kernel_test.h"
#include "driver/verify.h"

namespace peri::driver {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using tune::Record;

class VerifyOnDevice : public testing::Test {
 protected:
  void set_up(Compilation& c) const {
    c.request.text = kTwice;
    c.request.settings.cache_dir = machine_.cache();
    c.request.settings.python = machine_.compiler();
  }

  // A record of this machine.
  Record tuned() {
    Compilation c(diags_);
    set_up(c);
    c.request.file = "k.py";
    c.request.device = "cuda";
    c.request.settings.budget = 1.5;
    auto arguments = parse_arguments({fmt::format("x=randn[{}]", kFakeElements)}, {}, 0, diags_);
    c.request.args = specs_of(*arguments);
    auto record = tune_kernel(c, *arguments, {});
    EXPECT_TRUE(record) << record.error().message;
    return *record;
  }

  Verdict verdict_of(const Record& record, const std::string& device = "cpu") {
    Compilation c(diags_);
    set_up(c);
    c.request.device = device;
    auto verdict = verify(c, record, 3);
    EXPECT_TRUE(verdict) << verdict.error().message;
    return verdict ? *verdict : Verdict();
  }

  FakeMachine machine_;
  diag::Sources sources_;
  diag::Diags diags_{sources_};
};

TEST_F(VerifyOnDevice, ARecordNamesItsDeviceByItsTarget) {
  EXPECT_EQ(backends::device_of("sm_90"), "cuda");
  EXPECT_EQ(backends::device_of("znver4"), "cpu");
}

TEST_F(VerifyOnDevice, TimesTheConfigsAgain) {
  const Record record = tuned();
  EXPECT_EQ(record.toolchain, "triton 3.6.0");
  const Verdict verdict = verdict_of(record);
  EXPECT_EQ(verdict.state, Verdict::State::Ok) << verdict.text();  // all take the same time
  EXPECT_THAT(verdict.changed, IsEmpty());
  ASSERT_FALSE(verdict.rivals.empty());
  EXPECT_GT(verdict.rivals[0].ratio, 0);
}

TEST_F(VerifyOnDevice, AnotherCompilerIsAChange) {
  const Record record = tuned();
  machine_.install_compiler("3.7.0");
  const Verdict verdict = verdict_of(record);
  EXPECT_THAT(verdict.changed, ElementsAre("compiler"));
  EXPECT_EQ(verdict.state, Verdict::State::Stale) << verdict.text();
  EXPECT_FALSE(verdict.rivals.empty());
}

TEST_F(VerifyOnDevice, KeptCodeIsTimedWhereThereIsNoCompiler) {
  const Record record = tuned();
  machine_.install_compiler("");
  const Verdict verdict = verdict_of(record);
  EXPECT_EQ(verdict.state, Verdict::State::Ok) << verdict.text();
  EXPECT_FALSE(verdict.rivals.empty());
}

TEST_F(VerifyOnDevice, ARecordWithoutCodeIsSkippedWhereThereIsNoCompiler) {
  const Record record = tuned();
  machine_.install_compiler("");
  std::filesystem::remove_all(machine_.cache());
  const Verdict verdict = verdict_of(record);
  EXPECT_EQ(verdict.state, Verdict::State::Skipped) << verdict.text();
  EXPECT_THAT(verdict.text(), HasSubstr("skipped: cannot start"));
}

TEST_F(VerifyOnDevice, AnotherDriverIsAChange) {
  Record record = tuned();
  record.machine.replace(record.machine.find("driver"), std::string::npos, "driver 12.8");
  record.fingerprint = "another";
  const Verdict verdict = verdict_of(record);
  EXPECT_THAT(verdict.changed, ElementsAre("driver"));
  EXPECT_EQ(verdict.state, Verdict::State::Stale) << verdict.text();
  EXPECT_FALSE(verdict.rivals.empty());
}

TEST_F(VerifyOnDevice, RecordsOfAnotherGpuAreSkipped) {
  Record record = tuned();
  record.machine = "NVIDIA Other, sm_80, driver 13.0";
  record.target = "sm_80";
  record.fingerprint = "another";
  const Verdict verdict = verdict_of(record);
  EXPECT_EQ(verdict.state, Verdict::State::Skipped);
  EXPECT_THAT(verdict.changed, ElementsAre("target", "machine"));
  EXPECT_THAT(verdict.text(),
              HasSubstr("skipped: it was tuned on NVIDIA Other, sm_80, driver 13.0, and here is "
                        "NVIDIA Fake, sm_90"));
  EXPECT_THAT(verdict.rivals, IsEmpty());
}

TEST_F(VerifyOnDevice, TheRequestSaysWhichOfSeveralDevices) {
  const Verdict verdict = verdict_of(tuned(), "cuda:7");
  EXPECT_EQ(verdict.state, Verdict::State::Skipped);
  EXPECT_THAT(verdict.reason, HasSubstr("7"));
}

TEST_F(VerifyOnDevice, RecordsOfTheHostAreVerifiedThereWhateverTheRequest) {
  Record record = tuned();
  record.target = "znver4";
  Compilation c(diags_);
  set_up(c);
  c.request.device = "cuda";
  (void)verify(c, record, 3);
  EXPECT_FALSE(c.device);
}

}  // namespace
}  // namespace peri::driver
