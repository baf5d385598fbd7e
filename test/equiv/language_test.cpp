// Small kernels that use every part of the language, one theme a file: each under the default and
// sampled configs, and compiled once for sizes that come later, against the interpreter.
#include <gtest/gtest.h>

#include <regex>

#include "base/files.h"
#include "driver/arguments.h"
#include "driver/check_result.h"
#include "driver/compile.h"

namespace peri::equiv {
namespace {

using ArgTexts = std::vector<std::pair<std::string, std::string>>;

struct Case {
  std::string kernel;  // "tiles.py:bounds"
  ArgTexts args;
  std::vector<ArgTexts> later;  // for the same compiled kernel
};

// A kernel compiled for one call's arguments.
class Kernel {
 public:
  Kernel(const std::string& target, bool dynamic) : diags_(sources_), c_(diags_) {
    std::size_t colon = target.rfind(':');
    c_.request.file =
        std::string(PERI_SOURCE_DIR) + "/test/equiv/language/" + target.substr(0, colon);
    c_.request.kernel = target.substr(colon + 1);
    if (dynamic) {
      auto text = read_file(c_.request.file, i64{1} << 20);
      static const std::regex kDecorator(R"(@helion\.kernel(\(\))?\n)");
      c_.request.text =
          std::regex_replace(*text, kDecorator, "@helion.kernel(static_shapes=False)\n");
    }
  }

  driver::Arguments parse(const ArgTexts& texts) {
    driver::Arguments arguments;
    for (const auto& [name, spec] : texts) {
      auto argument = driver::parse_argument(name, spec, 7, diags_);
      EXPECT_TRUE(argument) << argument.error().message;
      if (argument) arguments[name] = std::move(*argument);
    }
    return arguments;
  }

  bool compile(const driver::Arguments& arguments) {
    c_.request.args = driver::specs_of(arguments);
    auto compiled = driver::compile(c_, "space");
    EXPECT_TRUE(compiled) << compiled.error().message << "\n" << diag::render_text(diags_);
    return static_cast<bool>(compiled);
  }

  std::vector<space::Config> configs(i64 samples) {
    std::vector<space::Config> all = {
        c_.space.complete(c_.backend->default_config(c_.lowered->kernel))};
    space::Rng rng(11);
    for (i64 i = 0; i < samples; ++i) all.push_back(c_.space.sample(rng));
    return all;
  }

  // "" if both agree.
  std::string run(const space::Config& config, const driver::Arguments& arguments) {
    auto code = driver::generate(c_, config);
    if (!code) return code.error().message;
    auto executable = driver::load(c_, config, code->artifact);
    driver::Arguments mine = driver::clone(arguments);
    auto leaves = driver::leaves_of(mine, c_.lowered->host.leaf_names);
    auto fresh = driver::leaves_of(arguments, c_.lowered->host.leaf_names);
    auto known = space::config_values(c_.lowered->kernel, config);
    std::vector<runtime::ScalarValue> values(known.begin(), known.end());
    auto reference = driver::run_reference(*c_.lowered, values, fresh);
    auto result = executable->call(leaves);
    if (!reference || !result) {
      bool both = !reference && !result && reference.error().code == result.error().code;
      return both ? "" : (reference ? result.error() : reference.error()).message;
    }
    auto tolerance = driver::tolerance_of(*c_.lowered, values);
    auto report = driver::check_result(*c_.lowered, *result, leaves, *reference, tolerance);
    return report.ok ? "" : report.text();
  }

 private:
  diag::Sources sources_;
  diag::Diags diags_;
  driver::Compilation c_;
};

std::string text(const Case& test) {
  std::string name = test.kernel;
  for (const auto& [arg, spec] : test.args) name += " " + arg + "=" + spec;
  return name;
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
#include "language.inc"
  };
  return all;
}

TEST(Language, AgreesWithTheInterpreter) {
  for (const Case& test : cases()) {
    SCOPED_TRACE(text(test));
    Kernel kernel(test.kernel, false);
    driver::Arguments arguments = kernel.parse(test.args);
    if (!kernel.compile(arguments)) continue;
    for (const space::Config& config : kernel.configs(3)) {
      EXPECT_EQ(kernel.run(config, arguments), "") << config.dump();
    }
  }
}

TEST(Language, ServesLaterSizesWithTheSameCode) {
  for (const Case& test : cases()) {
    if (test.later.empty()) continue;
    SCOPED_TRACE(text(test));
    Kernel kernel(test.kernel, true);
    if (!kernel.compile(kernel.parse(test.args))) continue;
    for (const space::Config& config : kernel.configs(2)) {
      for (const ArgTexts& args : test.later) {
        SCOPED_TRACE(args.front().second);
        EXPECT_EQ(kernel.run(config, kernel.parse(args)), "") << config.dump();
      }
    }
  }
}

}  // namespace
}  // namespace peri::equiv
