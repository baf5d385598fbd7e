// `peri tune` on fake devices: candidates run in worker processes, whose driver is a copy of this
// one's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/fake_device_test.h"
#include "driver/tune.h"
#include "driver/twice_kernel_test.h"

namespace peri::driver {
namespace {

using testing::HasSubstr;

class TuneOnDevice : public testing::Test {
 protected:
  TuneOnDevice() {
    arguments_["x"] = *parse_argument("x", fmt::format("randn[{}]", kFakeElements), 7, diags_);
    c_.request.file = "<text>";
    c_.request.text = kTwice;
    c_.request.device = "cuda";
    c_.request.settings.python = machine_.compiler();
    c_.request.settings.cache_dir = machine_.cache();
    c_.request.settings.budget = 1;
    c_.request.args = specs_of(arguments_);
    options_.log = [this](const std::string& line) { log_ += line + "\n"; };
  }
  ~TuneOnDevice() override { fake_driver().kernels["twice"] = run_twice; }

  Expected<tune::Record> tune() { return tune_kernel(c_, arguments_, options_); }

  FakeMachine machine_;
  diag::Sources sources_;
  diag::Diags diags_{sources_};
  Arguments arguments_;
  Compilation c_{diags_};
  TuneOptions options_;
  std::string log_;
};

TEST_F(TuneOnDevice, CompilesBesideTiming) {
  auto record = tune();
  ASSERT_TRUE(record) << record.error().message << diag::render_text(diags_);
  EXPECT_GT(record->trials.size(), 2);
  EXPECT_EQ(tune::count_failures(*record), 0) << log_;
}

TEST_F(TuneOnDevice, TheCompilersErrorIsTheResult) {
  std::filesystem::remove(machine_.compiler());
  auto record = tune();
  ASSERT_FALSE(record);
  EXPECT_EQ(record.error().code, "no-python");
  EXPECT_THAT(record.error().hint, HasSubstr("PERI_PYTHON"));
}

TEST_F(TuneOnDevice, ACandidateThatBreaksTheDeviceCostsItself) {
  constexpr i64 kCalls = 6000;  // more than the default's timings take
  const std::string mark = machine_.cache() + "-broken";
  std::filesystem::remove(mark);
  fake_driver().kernels["twice"] = [&, calls = i64{0}](const cuda::LaunchConfig& config,
                                                       void** params) mutable {
    run_twice(config, params);
    if (++calls != kCalls) return;
    fake_driver().sticky = cuda::kIllegalAddress;  // of the worker
    std::ofstream(mark) << "broken";
  };
  auto record = tune();
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_TRUE(std::filesystem::exists(mark));
  EXPECT_GT(record->trials.size(), 2);
}

}  // namespace
}  // namespace peri::driver
