// A kernel of test/equiv/language, compiled for one call's arguments and run against the
// interpreter.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "driver/arguments.h"
#include "driver/compile.h"

namespace peri::equiv {

using ArgTexts = std::vector<std::pair<std::string, std::string>>;

class LanguageKernel {
 public:
  // `target` like "tiles.py:bounds". `dynamic`: compiled for all sizes, not the call's alone.
  LanguageKernel(const std::string& target, bool dynamic, const std::string& level = "host");

  driver::Arguments parse(const ArgTexts& texts);
  bool compile(const driver::Arguments& arguments);
  bool can_run_here() const { return c_.backend->can_run_here(); }
  // The default config, then sampled ones.
  std::vector<space::Config> configs(i64 samples);

  // "" if compiled code and interpreter give the same results, or the same error.
  std::string run(const space::Config& config, const driver::Arguments& arguments);
  // The error that both gave in the last run.
  const Error& error() const { return error_; }
  const diag::Diags& diags() const { return diags_; }

 private:
  diag::Sources sources_;
  diag::Diags diags_;
  driver::Compilation c_;
  Error error_;
};

}  // namespace peri::equiv
