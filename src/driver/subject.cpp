#include "driver/subject.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>

#include "base/hash.h"
#include "driver/version.h"
#include "runtime/device_info.h"
#include "space/idle.h"

namespace peri::driver {

using check::ArgSpec;
using runtime::Tensor;

namespace {

constexpr double kFar = std::numeric_limits<double>::infinity();

// A range that holds all elements, so that indices stay in bounds.
std::string integer_range(const Tensor& tensor) {
  i64 low = 0, high = 0;
  for (i64 i = 0; i < tensor.numel(); ++i) {
    i64 value = runtime::get_integer(tensor, i);
    low = i == 0 ? value : std::min(low, value);
    high = i == 0 ? value : std::max(high, value);
  }
  return fmt::format("{}:{}", low, high == INT64_MAX ? high : high + 1);
}

// `contents`: the tensor, if it is at hand.
std::string text_of_tensor(const ArgSpec& spec, const Tensor* contents) {
  std::string sizes = fmt::format("[{}]", fmt::join(spec.sizes, ","));
  bool has_range = !is_float(spec.dtype) && contents != nullptr;
  std::string text = is_float(spec.dtype) ? "randn" + sizes
                     : has_range          ? "randint" + sizes + "=" + integer_range(*contents)
                                          : "zeros" + sizes;
  text += fmt::format(":{}", name_of(spec.dtype));
  if (spec.strides == runtime::contiguous_strides(spec.sizes)) return text;
  return text + fmt::format(".strided({})", fmt::join(spec.strides, ","));
}

std::string text_of_scalar(const SymValue& value) {
  if (value.type == SymType::Bool) return value.integer != 0 ? "true" : "false";
  if (value.type == SymType::Int) return fmt::format("{}", value.integer);
  std::string text = fmt::format("{}", value.real);
  bool looks_integral = text.find_first_not_of("-0123456789") == std::string::npos;
  return looks_integral ? text + ".0" : text;
}

std::string text_of(const ArgSpec& spec, const Tensor* contents) {
  using K = ArgSpec::Kind;
  switch (spec.kind) {
    case K::None:
      return "none";
    case K::Tensor:
      return text_of_tensor(spec, contents);
    case K::Int:
    case K::Float:
    case K::Bool:
      return text_of_scalar(spec.value);
    case K::String:
      return fmt::format("\"{}\"", spec.text);
    case K::Dtype:
      return fmt::format("torch.{}", torch_name_of(spec.dtype));
    case K::Lambda:
      return spec.text;
    case K::List:
    case K::Tuple:
      break;
  }
  std::vector<std::string> items;
  for (const ArgSpec& item : spec.items) items.push_back(text_of(item, nullptr));
  bool is_list = spec.kind == K::List;
  return fmt::format("{}{}{}", is_list ? '[' : '(', fmt::join(items, ", "), is_list ? ']' : ')');
}

std::string text_of(const Argument& argument) {
  bool is_file = argument.text.starts_with('@');  // may be another one later
  if (!argument.text.empty() && !is_file) return argument.text;
  bool is_tensor = argument.spec.kind == ArgSpec::Kind::Tensor;
  if (argument.items.empty()) return text_of(argument.spec, is_tensor ? &argument.tensor : nullptr);
  std::vector<std::string> items;
  for (const Argument& item : argument.items) items.push_back(text_of(item));
  bool is_list = argument.spec.kind == ArgSpec::Kind::List;
  return fmt::format("{}{}{}", is_list ? '[' : '(', fmt::join(items, ", "), is_list ? ']' : ')');
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The number that `text` starts with, taken off.
double take_number(std::string_view& text) {
  double value = 0;
  while (!text.empty() && is_digit(text[0])) {
    value = value * 10 + (text[0] - '0');
    text.remove_prefix(1);
  }
  return value;
}

// What a machine is called without its driver, which a device's text ends with.
std::string_view without_driver(std::string_view machine) {
  return machine.substr(0, machine.rfind(", driver "));
}

// Whether they are one device with two drivers.
bool differ_in_driver(const tune::Subject& a, const tune::Subject& b) {
  return a.machine != b.machine && without_driver(a.machine) == without_driver(b.machine);
}

}  // namespace

std::string compiler_version(const Compilation& c) {
  const std::string& generator = c.backend->capabilities().generator;
  std::string text = fmt::format("Perihelion {}", kVersion);
  return generator.empty() ? text : text + ", " + generator;
}

std::string structure_hash(const Compilation& c) {
  std::string text = c.decl->name;
  for (const space::Knob& knob : c.space.knobs()) {
    text += fmt::format("\n{} {} {} {}", knob.key, knob.index, knob.subject,
                        static_cast<int>(knob.kind));
  }
  return hash_hex(text);
}

tune::Subject subject_of(const Compilation& c) {
  tune::Subject subject;
  subject.kernel = c.decl->name;
  subject.kernel_hash = hash_hex(c.diags.sources().text(c.module->source));
  subject.structure_hash = structure_hash(c);
  subject.specialization = check::specialization_key(c.module->ast, *c.decl, c.request.args);
  subject.file = c.request.file;
  subject.target = c.backend->capabilities().target;
  subject.machine = c.device ? c.device->describe() : runtime::device_info().describe();
  subject.fingerprint = c.device ? c.device->fingerprint() : runtime::device_info().fingerprint();
  subject.compiler = compiler_version(c);
  const bool is_host = !runtime::is_device(backends::parse_device(c.request.device).device);
  subject.threads = is_host ? c.request.settings.threads : 0;
  subject.passes_off = fmt::to_string(fmt::join(passes_off(c.request.settings), ","));
  subject.key = tune::key_of(subject);
  return subject;
}

std::vector<std::string> argument_texts(const Arguments& arguments) {
  std::vector<std::string> texts;
  for (const auto& [name, argument] : arguments) {
    texts.push_back(fmt::format("{}={}", name, text_of(argument)));
  }
  return texts;
}

std::vector<std::string> idle_keys(const Compilation& c, const space::Config& config) {
  auto plan = [&](const space::Config& other) {
    return c.backend->print_plan(c.lowered->kernel, other);
  };
  std::vector<std::string> idle = space::idle_keys(c.space, config, c.default_config, plan);
  std::erase(idle, "block_sizes");
  for (const check::Tunable& tunable : c.lowered->host.tunables) std::erase(idle, tunable.name);
  return idle;
}

std::string tune_command(const Request& request, const std::string& kernel) {
  std::string text = fmt::format("peri tune {}:{}", request.file, kernel);
  for (const auto& [name, spec] : request.args) {
    text += fmt::format(" --arg '{}={}'", name, text_of(spec, nullptr));
  }
  if (request.settings.threads > 0) text += fmt::format(" --threads {}", request.settings.threads);
  const std::set<std::string> passes = passes_off(request.settings);
  if (!passes.empty()) text += fmt::format(" --passes-off {}", fmt::join(passes, ","));
  return text;
}

double distance(std::string_view a, std::string_view b) {
  double sum = 0;
  while (!a.empty() && !b.empty()) {
    if (is_digit(a[0]) && is_digit(b[0])) {
      sum += std::abs(std::log2((take_number(a) + 1) / (take_number(b) + 1)));
    } else if (a[0] == b[0]) {
      a.remove_prefix(1);
      b.remove_prefix(1);
    } else {
      return kFar;
    }
  }
  return a.empty() && b.empty() ? sum : kFar;
}

std::vector<std::string> differences(const tune::Subject& a, const tune::Subject& b) {
  std::vector<std::string> found;
  if (a.kernel_hash != b.kernel_hash) found.emplace_back("kernel text");
  if (a.specialization != b.specialization) found.emplace_back("arguments");
  if (a.target != b.target) found.emplace_back("target");
  if (a.fingerprint != b.fingerprint) {
    found.emplace_back(differ_in_driver(a, b) ? "driver" : "machine");
  }
  if (a.compiler != b.compiler) found.emplace_back("compiler");
  if (a.threads != b.threads) found.emplace_back("threads");
  if (a.passes_off != b.passes_off) found.emplace_back("passes left out");
  return found;
}

}  // namespace peri::driver
