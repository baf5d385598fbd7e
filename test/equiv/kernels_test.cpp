// Every kernel file's kernels, at odd sizes, strides and dtypes, under the default and sampled
// configs, against the interpreter in float64.
#include <gtest/gtest.h>

#include "driver/arguments.h"
#include "driver/check_result.h"
#include "driver/compile.h"

namespace peri::equiv {
namespace {

struct Case {
  std::string kernel;  // "basic/add.py:add"
  std::vector<std::pair<std::string, std::string>> args;
  std::string config = "{}";  // run besides the default and sampled ones
};

std::string name_of(const Case& c) {
  std::string name = c.kernel;
  for (const auto& [arg, spec] : c.args) name += " " + arg + "=" + spec;
  return name;
}

// Runs one config and compares; "" if it agrees.
std::string run_config(driver::Compilation& c, const space::Config& config,
                       const driver::Arguments& arguments) {
  auto code = driver::generate(c, config);
  if (!code) return code.error().code + ": " + code.error().message;
  auto executable = driver::load(c, config, code->artifact);
  if (!executable) return executable.error().code + ": " + executable.error().message;
  driver::Arguments mine = driver::clone(arguments);
  auto leaves = driver::leaves_of(mine, c.lowered->host.leaf_names);
  auto fresh = driver::leaves_of(arguments, c.lowered->host.leaf_names);
  std::vector<runtime::ScalarValue> known = space::config_values(c.lowered->kernel, config);
  auto reference = driver::run_reference(*c.lowered, known, fresh);
  if (!reference) return reference.error().code + ": " + reference.error().message;
  auto result = (*executable)->call(leaves);
  if (!result) return result.error().code + ": " + result.error().message;
  driver::Tolerance tolerance = driver::tolerance_of(*c.lowered, known);
  auto report = driver::check_result(*c.lowered, *result, leaves, *reference, tolerance);
  return report.ok ? "" : report.text();
}

// The case's kernel up to its config space.
void compile_case(const Case& test, const std::string& level, driver::Compilation& c,
                  driver::Arguments& arguments) {
  diag::Diags& diags = c.diags;
  size_t colon = test.kernel.rfind(':');
  c.request.file = std::string(PERI_SOURCE_DIR) + "/kernels/" + test.kernel.substr(0, colon);
  c.request.kernel = test.kernel.substr(colon + 1);
  c.request.settings.cpu = level;
  for (const auto& [name, spec] : test.args) {
    auto argument = driver::parse_argument(name, spec, 7, diags);
    ASSERT_TRUE(argument) << argument.error().message;
    arguments[name] = std::move(*argument);
  }
  c.request.args = driver::specs_of(arguments);
  auto compiled = driver::compile(c, "space");
  ASSERT_TRUE(compiled) << compiled.error().message << "\n" << diag::render_text(diags);
}

void check_case(const Case& test, const std::string& level, i64 samples) {
  SCOPED_TRACE(name_of(test) + " on " + level);
  diag::Sources sources;
  diag::Diags diags(sources);
  driver::Compilation c(diags);
  driver::Arguments arguments;
  compile_case(test, level, c, arguments);
  if (testing::Test::HasFatalFailure()) return;
  if (!c.backend->can_run_here()) GTEST_SKIP() << "this CPU cannot run " << level;
  space::Config standard = c.space.complete(c.backend->default_config(c.lowered->kernel));
  EXPECT_EQ(run_config(c, standard, arguments), "") << standard.dump();
  auto given = c.space.validate(space::Config::parse(test.config), standard, diags);
  ASSERT_TRUE(given) << diag::render_text(diags);
  if (*given != standard) {
    EXPECT_EQ(run_config(c, *given, arguments), "") << given->dump();
  }
  space::Rng rng(11);
  for (i64 i = 0; i < samples; ++i) {
    space::Config config = c.space.sample(rng);
    EXPECT_EQ(run_config(c, config, arguments), "") << config.dump();
  }
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
#include "cases.inc"
  };
  return all;
}

class Kernels : public testing::TestWithParam<std::string> {};

TEST_P(Kernels, AgreeWithTheInterpreter) {
  i64 samples = GetParam() == "host" ? 4 : 1;
  for (const Case& test : cases()) check_case(test, GetParam(), samples);
}

// Each value of each knob alone, the others at their defaults.
void check_each_value(const Case& test) {
  SCOPED_TRACE(name_of(test));
  diag::Sources sources;
  diag::Diags diags(sources);
  driver::Compilation c(diags);
  driver::Arguments arguments;
  compile_case(test, "host", c, arguments);
  if (testing::Test::HasFatalFailure()) return;
  for (i64 k = 0; k < static_cast<i64>(c.space.knobs().size()); ++k) {
    if (c.space.knobs()[k].key == "block_sizes") continue;
    for (space::Json& value : c.space.knobs()[k].candidates()) {
      space::Config config = c.default_config;
      c.space.set(config, k, value);
      if (config.at("block_sizes").size() >= 2) config["block_sizes"][0] = 8;  // several cells
      if (config.at("block_sizes").size() >= 2) config["block_sizes"][1] = 16;
      EXPECT_EQ(run_config(c, config, arguments), "") << config.dump();
    }
  }
}

TEST(Knobs, EveryValueAgreesWithTheInterpreter) {
  check_each_value({"basic/add.py:add", {{"x", "randn[70,150]"}, {"y", "randn[70,150]"}}});
  check_each_value({"basic/softmax.py:softmax", {{"x", "randn[37,301]"}}});
  check_each_value({"basic/matmul.py:matmul", {{"x", "randn[70,150]"}, {"y", "randn[150,90]"}}});
}

INSTANTIATE_TEST_SUITE_P(Levels, Kernels,
                         testing::Values("host", "x86-64-v2", "x86-64-v3", "x86-64-v4"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace peri::equiv
