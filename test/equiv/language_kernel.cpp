#include "language_kernel.h"

#include <gtest/gtest.h>

#include <regex>

#include "base/files.h"
#include "driver/check_result.h"

namespace peri::equiv {

LanguageKernel::LanguageKernel(const std::string& target, bool dynamic, const std::string& level)
    : diags_(sources_), c_(diags_) {
  std::size_t colon = target.rfind(':');
  c_.request.file =
      std::string(PERI_SOURCE_DIR) + "/test/equiv/language/" + target.substr(0, colon);
  c_.request.kernel = target.substr(colon + 1);
  c_.request.settings.cpu = level;
  if (!dynamic) return;
  auto text = read_file(c_.request.file, i64{1} << 20);
  static const std::regex kDecorator(R"(@helion\.kernel(\(\))?\n)");
  c_.request.text = std::regex_replace(*text, kDecorator, "@helion.kernel(static_shapes=False)\n");
}

driver::Arguments LanguageKernel::parse(const ArgTexts& texts) {
  driver::Arguments arguments;
  for (const auto& [name, spec] : texts) {
    auto argument = driver::parse_argument(name, spec, 7, diags_);
    EXPECT_TRUE(argument) << argument.error().message;
    if (argument) arguments[name] = std::move(*argument);
  }
  return arguments;
}

bool LanguageKernel::compile(const driver::Arguments& arguments) {
  c_.request.args = driver::specs_of(arguments);
  auto compiled = driver::compile(c_, "space");
  EXPECT_TRUE(compiled) << compiled.error().message << "\n" << diag::render_text(diags_);
  return static_cast<bool>(compiled);
}

std::vector<space::Config> LanguageKernel::configs(i64 samples) {
  std::vector<space::Config> all = {
      c_.space.complete(c_.backend->default_config(c_.lowered->kernel))};
  space::Rng rng(11);
  for (i64 i = 0; i < samples; ++i) all.push_back(c_.space.sample(rng));
  return all;
}

std::string LanguageKernel::run(const space::Config& config, const driver::Arguments& arguments) {
  error_ = {};
  auto code = driver::generate(c_, config);
  if (!code) return code.error().message;
  auto executable = driver::load(c_, config, code->artifact);
  if (!executable) return executable.error().message;
  driver::Arguments mine = driver::clone(arguments);
  auto leaves = driver::leaves_of(mine, c_.lowered->host.leaf_names);
  auto fresh = driver::leaves_of(arguments, c_.lowered->host.leaf_names);
  auto known = space::config_values(c_.lowered->kernel, config);
  std::vector<runtime::ScalarValue> values(known.begin(), known.end());
  auto reference = driver::run_reference(*c_.lowered, values, fresh);
  auto result = (*executable)->call(leaves);
  if (!reference && !result) {
    error_ = result.error();
    bool same =
        reference.error().code == error_.code && reference.error().message == error_.message;
    return same ? "" : reference.error().message + ", but: " + error_.message;
  }
  if (!reference || !result) return (reference ? result.error() : reference.error()).message;
  auto tolerance = driver::tolerance_of(*c_.lowered, values);
  auto report = driver::check_result(*c_.lowered, *result, leaves, *reference, tolerance);
  return report.ok ? "" : report.text();
}

}  // namespace peri::equiv
