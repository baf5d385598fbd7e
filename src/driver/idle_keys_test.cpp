// What is left out of a printed config does not matter: the rest is legal and gives the same plan.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>

#include "driver/compile.h"
#include "driver/shapes.h"
#include "driver/subject.h"
#include "space/idle.h"

namespace peri::driver {
namespace {

using testing::Contains;
using testing::Not;

struct Subject {
  const char* kernel;
  std::vector<std::string> arguments;
};

void PrintTo(const Subject& subject, std::ostream* out) { *out << subject.kernel; }

class IdleKeys : public testing::TestWithParam<Subject> {
 protected:
  void compile_for(const char* device) {
    const std::string target = GetParam().kernel;
    c_.request.file =
        std::string(PERI_SOURCE_DIR) + "/kernels/" + target.substr(0, target.find(':'));
    c_.request.kernel = target.substr(target.find(':') + 1);
    c_.request.device = device;
    c_.request.settings.cpu = "x86-64-v4";
    c_.request.settings.no_cache = true;
    c_.request.args = specs_of(*parse_arguments(GetParam().arguments, {}, 0, diags_));
    auto done = compile(c_, "space");
    ASSERT_TRUE(done) << diag::render_text(diags_) << done.error().message;
  }

  std::string plan_of(const space::Config& config) const {
    return c_.backend->print_plan(c_.lowered->kernel, config);
  }

  // Pastes what is printed of some configs.
  void check_printed() {
    space::Rng rng(3);
    for (int round = 0; round < 3; ++round) {
      const space::Config chosen = round == 0 ? c_.default_config : c_.space.sample(rng);
      const space::Config config = *c_.space.validate(chosen, c_.default_config, diags_);
      const std::vector<std::string> idle = idle_keys(c_, config);
      EXPECT_THAT(idle, Not(Contains("block_sizes")));
      const std::string text = space::print_config(space::without(config, idle));
      auto pasted = space::parse_config(sources_.add("pasted", text), diags_);
      ASSERT_TRUE(pasted) << text;
      auto complete = c_.space.validate(*pasted, c_.default_config, diags_);
      ASSERT_TRUE(complete) << text << diag::render_text(diags_);
      EXPECT_EQ(plan_of(*complete), plan_of(config)) << text;
    }
  }

  diag::Sources sources_;
  diag::Diags diags_{sources_};
  Compilation c_{diags_};
};

TEST_P(IdleKeys, MakeNoDifferenceOnCpus) {
  compile_for("cpu");
  check_printed();
}

TEST_P(IdleKeys, MakeNoDifferenceOnGpus) {
  compile_for("cuda:sm_90");
  check_printed();
}

INSTANTIATE_TEST_SUITE_P(
    Kernels, IdleKeys,
    testing::Values(
        Subject{"basic/add.py:add", {"x=zeros[64,48]", "y=zeros[64,48]"}},
        Subject{"basic/matmul.py:matmul", {"x=zeros[64,48]", "y=zeros[48,96]"}},
        Subject{"basic/long_sum.py:long_sum_looped", {"x=zeros[3,13001]"}},
        Subject{"library/attention.py:attention",
                {"q_in=zeros[2,37,16]", "k_in=zeros[2,53,16]", "v_in=zeros[2,53,16]"}},
        Subject{"library/norm.py:layer_norm",
                {"x=randn[23,301]", "weight=randn[301]", "bias=randn[301]"}},
        Subject{"library/norm.py:rms_norm", {"x=randn[23,301]", "weight=randn[301]"}},
        Subject{"library/norm.py:rms_norm_backward",
                {"grad_out=randn[23,101]", "x=randn[23,101]", "weight=randn[101]",
                 "inverse_rms=rand[23]"}},
        Subject{"library/norm.py:welford",
                {"weight=randn[301]", "bias=randn[301]", "x=randn[23,301]"}},
        Subject{"library/loss.py:cross_entropy",
                {"logits=randn[23,301]", "labels=randint[23]=0:301"}},
        Subject{"library/loss.py:kl_div", {"y_pred=randn[23,301]", "y_true=rand[23,301]"}},
        Subject{"library/loss.py:jsd", {"log_q=randn[23,301]", "log_p=randn[23,301]"}},
        Subject{"library/gated.py:geglu", {"a=randn[23,301]", "b=randn[23,301]"}},
        Subject{"library/gated.py:swiglu", {"a=randn[23,301]:bf16", "b=randn[23,301]:bf16"}},
        Subject{"library/gated.py:swiglu_backward",
                {"grad_out=randn[23,301]", "a=randn[23,301]", "b=randn[23,301]"}},
        Subject{"library/embedding.py:embedding", {"x=randint[5,7]=0:31", "weight=randn[31,19]"}},
        Subject{"library/dropout.py:dropout", {"p=0.25", "x=randn[1003]", "seed=42"}},
        Subject{"library/attention.py:causal_attention",
                {"q_in=randn[2,37,24]", "k_in=randn[2,37,24]", "v_in=randn[2,37,24]"}},
        Subject{"library/nearest.py:nearest_label",
                {"queries=randn[29,16]", "points=randn[101,16]", "labels=randint[101]=0:10"}},
        Subject{"library/rope.py:rope",
                {"q=randn[2,3,7,16]", "k=randn[2,1,7,16]", "cos=randn[7,8]", "sin=randn[7,8]"}},
        Subject{"library/int4_gemm.py:int4_gemm",
                {"x=randn[17,32]:bf16", "packed=randint[16,23]=-128:128:i8"}},
        Subject{"library/mamba2.py:mamba2_chunk_scan",
                {"cb=randn[2,3,2,19,19]:f16", "x=randn[2,57,4,13]:f16", "dt=rand[2,4,3,19]:f16",
                 "decay=rand[2,4,3,19]:f16", "c=randn[2,57,2,9]:f16",
                 "states=randn[2,3,4,13,9]:f16", "d=randn[4]:f16"}}));

// A grid of one axis that is not persistent.
class FlatGrid : public IdleKeys {};

TEST_P(FlatGrid, NeedsNoOptionsOfPersistentOnes) {
  compile_for("cuda:sm_90");
  space::Config config = c_.default_config;
  config["pid_type"] = "flat";
  EXPECT_THAT(idle_keys(c_, config), Contains("num_sm_multiplier"));
  EXPECT_THAT(idle_keys(c_, config), Contains("range_flattens"));
  EXPECT_THAT(idle_keys(c_, config), Not(Contains("num_warps")));
  config["pid_type"] = "persistent_blocked";
  EXPECT_THAT(idle_keys(c_, config), Not(Contains("num_sm_multiplier")));
  EXPECT_THAT(idle_keys(c_, config), Not(Contains("pid_type")));
}

INSTANTIATE_TEST_SUITE_P(Kernels, FlatGrid,
                         testing::Values(Subject{"basic/exp.py:exp", {"x=zeros[4096]"}}));

}  // namespace
}  // namespace peri::driver
