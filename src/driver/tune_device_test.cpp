// `peri tune` on fake devices: candidates run in worker processes, whose driver is a copy of this
// one's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/fake_device_test.h"
#include "driver/tune.h"
#include "driver/twice_kernel_test.h"
#include "tune/worker.h"

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
  ~TuneOnDevice() override {
    fake_driver().kernels["twice"] = run_twice;
    fake_driver().devices = 1;
    fake_driver().names.clear();
  }

  // `peri tune` on two of three devices.
  void use(const char* devices) {
    fake_driver().devices = 3;
    c_.request.device = devices;
    c_.request.takes_several_devices = true;
  }
  static i64 current_device() {
    return static_cast<char*>(static_cast<void*>(cuda::FakeDriver::current_context())) -
           fake_driver().contexts;
  }
  std::string mark(i64 device) const { return fmt::format("{}-{}", machine_.cache(), device); }

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
  const std::string mark = this->mark(0);
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

TEST_F(TuneOnDevice, SeveralDevicesTimeSideBySide) {
  use("cuda:2,0");
  fake_driver().kernels["twice"] = [&, is_marked = false](const cuda::LaunchConfig& config,
                                                          void** params) mutable {
    run_twice(config, params);
    if (!std::exchange(is_marked, true)) std::ofstream(mark(current_device())) << "used";
  };
  auto record = tune();
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(tune::count_failures(*record), 0) << log_;
  EXPECT_THAT(log_, HasSubstr("Timing on devices 2, 0\n"));
  EXPECT_TRUE(std::filesystem::exists(mark(0)));
  EXPECT_FALSE(std::filesystem::exists(mark(1)));
  EXPECT_TRUE(std::filesystem::exists(mark(2)));
}

TEST_F(TuneOnDevice, ADeviceThatStopsWorkingIsGivenUp) {
  use("cuda:all");
  fake_driver().kernels["twice"] = [&, calls = 0](const cuda::LaunchConfig& config,
                                                  void** params) mutable {
    run_twice(config, params);
    if (current_device() != 1) return;
    const bool breaks = ++calls == 500;  // more than its check of the default takes
    if (breaks) std::ofstream(mark(1)) << "broken";
    const bool is_broken = breaks || (calls == 1 && std::filesystem::exists(mark(1)));
    if (is_broken) fake_driver().sticky = cuda::kIllegalAddress;  // of every worker from now on
  };
  auto record = tune();
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_TRUE(std::filesystem::exists(mark(1)));
  EXPECT_THAT(log_, HasSubstr("Timing on devices 0, 1, 2\n"));
  EXPECT_THAT(log_, HasSubstr("a device is lost: "));
  const auto out_of_time =
      std::ranges::count(record->trials, tune::kOutOfTime, &tune::Trial::reason);
  EXPECT_LE(tune::count_failures(*record) - out_of_time, 1) << log_;
  EXPECT_GT(record->trials.size(), 2);
}

TEST_F(TuneOnDevice, DevicesOfDifferentModelsAreRefused) {
  use("cuda:0,2");
  fake_driver().names[2] = "NVIDIA Other";
  auto record = tune();
  ASSERT_FALSE(record);
  EXPECT_EQ(record.error().code, "bad-setting");
  EXPECT_THAT(record.error().message,
              testing::AllOf(HasSubstr("devices 0 and 2 are not of one model"),
                             HasSubstr("NVIDIA Fake"), HasSubstr("NVIDIA Other")));
}

TEST_F(TuneOnDevice, EachOfThemMustBeThere) {
  use("cuda:0,7");
  auto record = tune();
  ASSERT_FALSE(record);
  EXPECT_EQ(record.error().code, "no-device");
}

TEST_F(TuneOnDevice, OnlyTuningTakesSeveral) {
  for (const char* device : {"cuda:0,1", "cuda:all", "cpu:0,1"}) {
    use(device);
    c_.request.takes_several_devices = device[1] == 'p';  // cpu
    auto compiled = compile(c_, "target");
    ASSERT_FALSE(compiled) << device;
    EXPECT_EQ(compiled.error().code, "bad-setting");
    EXPECT_THAT(compiled.error().message, HasSubstr("names several devices"));
  }
}

TEST(ParseDevice, NamesOneOrSeveral) {
  struct Row {
    const char* text;
    i64 index;
    std::vector<i64> others;
    bool is_all;
    const char* target;
  };
  for (const Row& row :
       {Row{"cuda", 0, {}, false, ""}, Row{"cuda:1", 1, {}, false, ""},
        Row{"cuda:2,0,2,1", 2, {0, 1}, false, ""}, Row{"cuda:all", 0, {}, true, ""},
        Row{"cuda:sm_90", 0, {}, false, "sm_90"}, Row{"cuda:1,", 0, {}, false, "1,"},
        Row{"cuda:1,x", 0, {}, false, "1,x"}, Row{"cuda:1,1", 1, {}, false, ""}}) {
    const backends::DeviceName name = backends::parse_device(row.text);
    EXPECT_EQ(name.device, "cuda");
    EXPECT_EQ(name.index, row.index) << row.text;
    EXPECT_EQ(name.others, row.others) << row.text;
    EXPECT_EQ(name.is_all, row.is_all) << row.text;
    EXPECT_EQ(name.target, row.target) << row.text;
    EXPECT_EQ(name.is_several(), row.is_all || !row.others.empty()) << row.text;
  }
}

}  // namespace
}  // namespace peri::driver
