// Small kernels that use every part of the language, one theme a file: each under the default and
// sampled configs, and compiled once for sizes that come later, against the interpreter.
#include <gtest/gtest.h>

#include "language_kernel.h"

namespace peri::equiv {
namespace {

struct Case {
  std::string kernel;  // "tiles.py:bounds"
  ArgTexts args;
  std::vector<ArgTexts> later;  // for the same compiled kernel
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
    LanguageKernel kernel(test.kernel, false);
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
    LanguageKernel kernel(test.kernel, true);
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
