// What `emit --stage plan` prints tells configs apart: two that generate different code never print
// the same plan. The search relies on it, for it does not time a plan twice.
#include <gtest/gtest.h>

#include <ostream>

#include "driver/compile.h"
#include "driver/shapes.h"

namespace peri::driver {
namespace {

struct Subject {
  const char* kernel;
  std::vector<std::string> arguments;
  const char* device = "cpu";
};

void PrintTo(const Subject& subject, std::ostream* out) { *out << subject.kernel; }

// Everything that is made of a config: code, and how it is launched.
std::string code_of(const Compilation& c, const space::Config& config) {
  auto file = c.backend->eject(*c.lowered, config, nullptr);
  if (file) return file->substr(file->find('\n'));  // its first line is the config
  EXPECT_EQ(file.error().code, "cannot-eject");
  backends::CompileOptions options;
  options.keep = "llvm";
  auto code = generate(c, config, options);
  return code ? code->text : code.error().message;
}

std::string plan_of(const Compilation& c, const space::Config& config) {
  return c.backend->print_plan(c.lowered->kernel, config);
}

class PlanText : public testing::TestWithParam<Subject> {};

TEST_P(PlanText, TellsCodeApart) {
  diag::Sources sources;
  diag::Diags diags(sources);
  Compilation c(diags);
  const std::string target = GetParam().kernel;
  c.request.file = std::string(PERI_SOURCE_DIR) + "/kernels/" + target.substr(0, target.find(':'));
  c.request.kernel = target.substr(target.find(':') + 1);
  c.request.device = GetParam().device;
  c.request.settings.cpu = "x86-64-v4";
  c.request.settings.no_cache = true;
  c.request.args = specs_of(*parse_arguments(GetParam().arguments, {}, 0, diags));
  ASSERT_TRUE(compile(c, "space"));
  space::Rng rng(7);
  for (int round = 0; round < 3; ++round) {
    const space::Config config = round == 0 ? c.default_config : c.space.sample(rng);
    const std::string plan = plan_of(c, config), code = code_of(c, config);
    for (i64 k = 0; k < static_cast<i64>(c.space.knobs().size()); ++k) {
      for (const space::Config& other : c.space.neighbours(config, k)) {
        if (plan_of(c, other) != plan) continue;
        EXPECT_EQ(code_of(c, other), code)
            << c.space.knobs()[k].name() << " changes the code and not the plan\n"
            << plan << space::print_config(config) << "\n"
            << space::print_config(other);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Kernels, PlanText,
    testing::Values(Subject{"basic/softmax.py:softmax", {"x=zeros[64,512]"}},
                    Subject{"basic/matmul.py:matmul", {"x=zeros[64,48]", "y=zeros[48,96]"}},
                    Subject{"basic/long_sum.py:long_sum_looped", {"x=zeros[3,13001]"}},
                    Subject{"library/attention.py:attention",
                            {"q_in=zeros[2,37,16]", "k_in=zeros[2,53,16]", "v_in=zeros[2,53,16]"}},
                    Subject{"basic/add.py:add", {"x=zeros[64,48]", "y=zeros[64,48]"}}));

INSTANTIATE_TEST_SUITE_P(
    KernelsOnGpus, PlanText,
    testing::Values(
        Subject{"basic/softmax.py:softmax", {"x=zeros[64,512]"}, "cuda:sm_90"},
        Subject{"basic/matmul.py:matmul", {"x=zeros[64,48]", "y=zeros[48,96]"}, "cuda:sm_90"},
        Subject{"basic/long_sum.py:long_sum_looped", {"x=zeros[3,13001]"}, "cuda:sm_90"},
        Subject{"library/attention.py:attention",
                {"q_in=zeros[2,37,16]", "k_in=zeros[2,53,16]", "v_in=zeros[2,53,16]"},
                "cuda:sm_90"},
        Subject{"basic/add.py:add", {"x=zeros[64,48]", "y=zeros[64,48]"}, "cuda:sm_90"}));

}  // namespace
}  // namespace peri::driver
