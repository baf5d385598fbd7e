// The correctness gate on a device: a fake driver, whose kernels do what the test wants.
#include "driver/workload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/fake_device_test.h"
#include "driver/twice_kernel_test.h"

namespace peri::driver {
namespace {

using testing::HasSubstr;

class DeviceGate : public testing::Test {
 protected:
  DeviceGate() {
    arguments_["x"] = *parse_argument("x", fmt::format("randn[{}]", kFakeElements), 7, diags_);
    c_.request.file = "<text>";
    c_.request.text = kTwice;
    c_.request.device = "cuda";
    c_.request.opens_device = true;
    c_.request.settings.python = machine_.compiler();
    c_.request.settings.cache_dir = machine_.cache();
    c_.request.args = specs_of(arguments_);
    auto compiled = compile(c_, "space");
    EXPECT_TRUE(compiled) << compiled.error().message << diag::render_text(diags_);
    workload_.emplace(c_, arguments_, c_.default_config, 5);
    auto candidate = workload_->compile(c_.default_config);
    EXPECT_TRUE(candidate) << candidate.error().message;
    candidate_ = *candidate;
    auto trusted = workload_->trust(candidate_, false);
    EXPECT_TRUE(trusted) << trusted.error().message;
  }
  ~DeviceGate() override { fake_driver().kernels["twice"] = run_twice; }

  // What the gate says of a kernel that goes on to do `more` with its operand and its result.
  std::string verdict(const std::function<void(float* x, float* out)>& more) {
    fake_driver().kernels["twice"] = [&](const cuda::LaunchConfig& config, void** params) {
      run_twice(config, params);
      more(*static_cast<float**>(params[0]), *static_cast<float**>(params[1]));
    };
    auto checked = workload_->check(candidate_);
    return checked ? "" : checked.error().code + ": " + checked.error().message;
  }

  FakeMachine machine_;
  diag::Sources sources_;
  diag::Diags diags_{sources_};
  Arguments arguments_;
  Compilation c_{diags_};
  std::optional<KernelWorkload> workload_;
  tune::Workload::Candidate candidate_;
};

TEST_F(DeviceGate, PassesWhatIsRight) {
  EXPECT_EQ(verdict([](float*, float*) {}), "");
}

TEST_F(DeviceGate, CatchesAnElementTooManyAfterTheResult) {
  EXPECT_THAT(verdict([](float*, float* out) { out[kFakeElements] = 0; }),
              HasSubstr("bytes past the end of a tensor of 256"));
}

TEST_F(DeviceGate, CatchesAnElementBeforeTheResult) {
  EXPECT_THAT(verdict([](float*, float* out) { out[-1] = 0; }),
              HasSubstr("bytes before a tensor of 256"));
}

TEST_F(DeviceGate, CatchesAnElementTooManyAfterAnOperand) {
  EXPECT_THAT(verdict([](float* x, float*) { x[kFakeElements] = 0; }),
              HasSubstr("out-of-bounds-write"));
}

TEST_F(DeviceGate, CatchesAnElementThatIsNotWritten) {
  EXPECT_THAT(verdict([](float*, float* out) { std::memset(out, 0xff, sizeof *out); }),
              HasSubstr("wrong-result"));
}

TEST_F(DeviceGate, GoesOnAfterAViolation) {
  EXPECT_NE(verdict([](float*, float* out) { out[kFakeElements] = 0; }), "");
  EXPECT_EQ(verdict([](float*, float*) {}), "");
}

}  // namespace
}  // namespace peri::driver
