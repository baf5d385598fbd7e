#include "session.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/files.h"
#include "base/thread_pool.h"
#include "driver/shapes.h"

namespace peri::cli {

using diag::Kind;
using nlohmann::ordered_json;

namespace {

constexpr i64 kMaxConfigBytes = 1 << 20;

// Errors that the command line can mend.
constexpr std::string_view kUsageCodes[] = {
    "bad-argument",      "bad-setting",      "unknown-stage", "unknown-pass", "unknown-device",
    "unknown-cpu-level", "unknown-strategy", "tensor-size",   "csv-header",   "unknown-key",
    "bad-shape",         "unknown-size",     "missing-size"};
constexpr std::string_view kKernelCodes[] = {"assertion-failed", "bad-host-scalar",
                                             "index-out-of-range", "empty-reduction"};

bool is_usage(Kind kind) {
  switch (kind) {
    case Kind::FileNotFound:
    case Kind::UnknownKernel:
    case Kind::KernelArgument:
    case Kind::ConfigSyntax:
    case Kind::ConfigKey:
    case Kind::ConfigLength:
    case Kind::ConfigValue:
      return true;
    default:
      return false;
  }
}

void print_error(const char* severity, const Error& error) {
  fmt::print(stderr, "{}[{}]: {}\n", severity, error.code, error.message);
  if (!error.hint.empty()) fmt::print(stderr, "hint: {}\n", error.hint);
}

ordered_json json_of(const Error& error) {
  return {{"code", error.code}, {"message", error.message}, {"hint", error.hint}};
}

}  // namespace

Session::Session(const Options& options) : options_(options) {
  driver::Request& request = compilation_.request;
  request.file = options.command == "list" ? options.target : options.file();
  request.kernel = options.kernel();
  request.settings = options.settings;
  request.device = options.settings.device;
  request.warn = [this](const Error& error) {
    if (options_.json) {
      json_["warnings"].push_back(json_of(error));
    } else {
      print_error("warning", error);
    }
  };
  // Each record that is verified says how many it was tuned for.
  const bool is_limit = options.settings.threads > 0 && options.command != "verify";
  if (is_limit) ThreadPool::global().set_threads(options.settings.threads);
}

Expected<void> Session::prepare() {
  if (auto checked = check_shapes(); !checked) return checked;
  auto arguments = arguments_for(0);
  if (!arguments) return std::unexpected(arguments.error());
  arguments_ = *std::move(arguments);
  compilation_.request.args = specs_of(arguments_);
  return read_config();
}

// That there are several only where they make sense, and none twice.
Expected<void> Session::check_shapes() const {
  const std::vector<std::string>& shapes = options_.shapes;
  if (shapes.size() > 1 && options_.command != "tune") {
    return fail("bad-shape", fmt::format("--shape is given {} times, `peri {}` takes one",
                                         shapes.size(), options_.command));
  }
  std::map<std::map<std::string, i64>, std::string> seen;
  for (const std::string& text : shapes) {
    auto shape = driver::parse_shape(text);
    if (!shape) return std::unexpected(shape.error());
    auto [there, is_new] = seen.emplace(*std::move(shape), text);
    if (is_new) continue;
    return fail("bad-shape",
                fmt::format("--shape `{}` and `{}` are the same", there->second, text));
  }
  return {};
}

Expected<driver::Arguments> Session::arguments_for(i64 shape) {
  std::map<std::string, i64> sizes;
  if (shape < static_cast<i64>(options_.shapes.size())) {
    sizes = *driver::parse_shape(options_.shapes[shape]);
  }
  return driver::parse_arguments(options_.arguments, sizes, options_.settings.seed, diags_);
}

Expected<void> Session::read_config() {
  std::string text = options_.config, name = "--config";
  if (text.empty()) return {};
  if (text[0] == '@') {
    name = text.substr(1);
    auto file = read_file(name, kMaxConfigBytes);
    if (!file) return std::unexpected(file.error());
    text = std::move(*file);
  }
  u32 size = static_cast<u32>(text.size());
  diag::SourceId source = sources_.add(name, std::move(text));
  auto config = space::parse_config(source, diags_);
  if (!config) return fail("diagnostics", "the config has errors");
  compilation_.request.config = std::move(*config);
  compilation_.request.config_place = {source, 0, size};
  return {};
}

void Session::text(const std::string& line) const {
  if (!options_.json) fmt::print("{}\n", line);
}

Status Session::status_of(const Error& error) const {
  if (error.code == "diagnostics") {
    for (const diag::Diagnostic& diagnostic : diags_.all()) {
      if (diagnostic.severity == diag::Severity::Error) {
        return is_usage(diagnostic.kind) ? kUsage : kKernelErrors;
      }
    }
    return kKernelErrors;
  }
  if (error.code == "interrupted") return kInterrupted;
  if (std::ranges::count(kUsageCodes, error.code) > 0) return kUsage;
  if (std::ranges::count(kKernelCodes, error.code) > 0) return kKernelErrors;
  return kEnvironment;
}

int Session::finish(const Expected<void>& done, Status status) {
  if (!done) status = status_of(done.error());
  bool has_error = !done && done.error().code != "diagnostics";
  if (!options_.json) {
    std::fflush(stdout);  // results first
    if (!diags_.all().empty()) fmt::print(stderr, "{}", diag::render_text(diags_));
    if (has_error) print_error("error", done.error());
    return status;
  }
  json_["status"] = static_cast<int>(status);
  if (has_error) json_["error"] = json_of(done.error());
  if (!diags_.all().empty()) json_["diagnostics"] = ordered_json::parse(diag::render_json(diags_));
  fmt::print("{}\n", json_.dump(2, ' ', false, ordered_json::error_handler_t::replace));
  return status;
}

}  // namespace peri::cli
