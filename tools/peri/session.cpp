#include "session.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/files.h"
#include "base/thread_pool.h"

namespace peri::cli {

using diag::Kind;
using nlohmann::ordered_json;

namespace {

constexpr i64 kMaxConfigBytes = 1 << 20;

// Errors that the command line can mend.
constexpr std::string_view kUsageCodes[] = {
    "bad-argument",      "bad-setting",      "unknown-stage", "unknown-pass", "unknown-device",
    "unknown-cpu-level", "unknown-strategy", "tensor-size",   "csv-header",   "unknown-key"};
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
  if (options.settings.threads > 0) ThreadPool::global().set_threads(options.settings.threads);
}

Expected<void> Session::prepare() {
  if (auto read = read_arguments(); !read) return read;
  return read_config();
}

Expected<void> Session::read_arguments() {
  for (const std::string& text : options_.arguments) {
    std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      return fail("bad-argument", fmt::format("--arg `{}` is not of the form NAME=SPEC", text));
    }
    std::string name = text.substr(0, equals);
    auto argument =
        driver::parse_argument(name, text.substr(equals + 1), options_.settings.seed, diags_);
    if (!argument) return std::unexpected(argument.error());
    if (!arguments_.emplace(name, std::move(*argument)).second) {
      return fail("bad-argument", fmt::format("--arg {} is given twice", name));
    }
  }
  compilation_.request.args = specs_of(arguments_);
  return {};
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
