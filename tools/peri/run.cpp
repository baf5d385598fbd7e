#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>

#include "base/files.h"
#include "commands.h"
#include "driver/check_result.h"
#include "driver/device_time.h"
#include "driver/placed_arguments.h"
#include "driver/tuned_store.h"
#include "runtime/npy.h"
#include "tune/measure.h"

namespace peri::cli {

using nlohmann::ordered_json;
using runtime::Leaf;
using runtime::Result;
using runtime::Tensor;

namespace {

constexpr double kTimingSeconds = 0.5;
constexpr i64 kPrintedElements = 16;

Tensor tensor_of(SymValue value) {
  Dtype dtype = value.type == SymType::Bool    ? Dtype::Bool
                : value.type == SymType::Float ? Dtype::F64
                                               : Dtype::I64;
  Tensor tensor = runtime::empty(dtype, {});
  if (dtype == Dtype::F64) {
    set_real(tensor, 0, value.real);
  } else {
    set_integer(tensor, 0, value.integer);
  }
  return tensor;
}

// The returned values in order, scalars as tensors without dimensions.
std::vector<Tensor> outputs_of(const Result& result) {
  std::vector<Tensor> outputs;
  for (const Result* leaf : flatten(result)) {
    bool is_tensor = leaf->kind == Result::Kind::Tensor;
    outputs.push_back(is_tensor ? leaf->tensor : tensor_of(leaf->scalar));
  }
  return outputs;
}

std::string element_text(const Tensor& tensor, i64 i) {
  if (tensor.dtype == Dtype::Bool) return get_integer(tensor, i) != 0 ? "true" : "false";
  return is_float(tensor.dtype) ? fmt::format("{:.6g}", get_real(tensor, i))
                                : fmt::format("{}", get_integer(tensor, i));
}

std::string preview(const Tensor& tensor) {
  std::string text;
  i64 count = tensor.numel();
  for (i64 i = 0; i < std::min(count, kPrintedElements); ++i) {
    text += (i == 0 ? "" : " ") + element_text(tensor, i);
  }
  return count > kPrintedElements ? text + " ..." : text;
}

class Run {
 public:
  explicit Run(Session& session) : session_(session), c_(session.compilation()) {}

  Expected<void> run() {
    if (auto done = session_.prepare(); !done) return done;
    c_.request.opens_device = true;
    if (auto done = driver::compile(c_); !done) return done;
    report_config();
    leaves_ = leaves_of(session_.arguments(), c_.lowered->host.leaf_names);
    known_ = space::config_values(c_.lowered->kernel, c_.config);
    if (session_.options().check) {
      if (auto done = run_reference(); !done) return done;
    }
    if (auto done = call(); !done) return done;
    report_outputs();
    if (session_.options().check) check();
    if (session_.options().time) {
      if (auto done = time(); !done) return done;
    }
    return session_.options().out.empty() ? Expected<void>() : write_outputs();
  }

  Status status() const { return status_; }

 private:
  void report_config() {
    std::string kernel = c_.decl->name;
    const std::string& target = c_.backend->capabilities().target;
    session_.json()["kernel"] = kernel;
    session_.json()["target"] = target;
    session_.json()["config_origin"] = c_.config_origin;
    session_.json()["config"] = c_.config;
    if (c_.dispatch && !c_.dispatch->places.empty()) {
      session_.json()["tuned_for"] = tune::print_sizes(c_.dispatch->places);
    }
    driver::TunedCounts counts = driver::tuned_counts();
    session_.json()["tuned_lookups"] = {{"hits", counts.hits}, {"misses", counts.misses}};
    session_.text(fmt::format("{} on {}, {} config: {}", kernel, target, c_.config_origin,
                              space::print_config(c_.config)));
  }

  Expected<void> run_reference() {
    auto reference =
        driver::run_reference(*c_.lowered, known_, leaves_,
                              {.exact = true, .budget = session_.options().settings.check_budget});
    if (!reference) return std::unexpected(reference.error());
    reference_ = std::move(*reference);
    return {};
  }

  // The result, and what the call wrote to, is on the host afterwards.
  Expected<void> call() {
    auto placed = driver::PlacedArguments::place(leaves_, c_.executable->device());
    if (!placed) return std::unexpected(placed.error());
    placed_ = std::move(*placed);
    auto result = c_.executable->call(placed_.leaves());
    if (!result) return std::unexpected(result.error());
    auto here = driver::to_host(*result);
    if (!here) return std::unexpected(here.error());
    result_ = std::move(*here);
    return placed_.copy_back(driver::written_leaves(*c_.lowered));
  }

  void report_outputs() {
    outputs_ = outputs_of(result_);
    ordered_json list = ordered_json::array();
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const Tensor& output = outputs_[i];
      list.push_back({{"dtype", torch_name_of(output.dtype)}, {"shape", output.sizes}});
      session_.text(fmt::format("out{}: {} = {}", i, output.describe(), preview(output)));
    }
    session_.json()["outputs"] = list;
  }

  void check() {
    driver::CheckReport report = driver::check_result(*c_.lowered, result_, leaves_, reference_,
                                                      driver::tolerance_of(*c_.lowered, known_));
    session_.json()["check"] = {
        {"ok", report.ok},       {"error", report.error},        {"allowed", report.allowed},
        {"where", report.where}, {"compared", report.compared},  {"mismatches", report.mismatches},
        {"cells", report.cells}, {"cells_run", report.cells_run}};
    session_.text("check " + report.text());
    if (!report.ok) status_ = kCheckFailed;
  }

  Expected<void> time() {
    if (c_.executable->device()) return time_device();
    if (session_.options().settings.cold) {
      return fail("bad-setting", "--cold times calls on devices with memory of their own",
                  "`peri tune --cold` times calls of the host on cold caches");
    }
    report_time(tune::time_calls(
        tune::steady_clock(), [&] { (void)c_.executable->call(leaves_); }, kTimingSeconds));
    return {};
  }

  Expected<void> time_device() {
    bool cold = session_.options().settings.cold;
    auto timing = driver::time_on_device(*c_.executable, placed_.leaves(), cold, kTimingSeconds);
    if (!timing) return std::unexpected(timing.error());
    report_time(*timing);
    auto queueing = driver::time_queueing(*c_.executable, placed_.leaves());
    if (!queueing) return std::unexpected(queueing.error());
    session_.json()["time"]["cache"] = cold ? "cold" : "warm";
    session_.json()["time"]["host_us"] = *queueing * 1e6;
    session_.text(fmt::format("a call takes the host {}", tune::print_seconds(*queueing)));
    return {};
  }

  void report_time(const tune::Timing& timing) {
    session_.json()["time"] = {{"median_ms", timing.median * 1e3},
                               {"low_ms", timing.low * 1e3},
                               {"high_ms", timing.high * 1e3},
                               {"calls", timing.calls}};
    session_.text("time " + timing.text());
  }

  Expected<void> write_outputs() {
    std::filesystem::path folder = session_.options().out;
    std::error_code failed;
    std::filesystem::create_directories(folder, failed);
    if (failed) {
      return fail("file-write", fmt::format("cannot make the folder `{}`: {}", folder.string(),
                                            failed.message()));
    }
    ordered_json& list = session_.json()["outputs"];
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      std::string file = fmt::format("out{}.npy", i);
      auto written = runtime::write_npy((folder / file).string(), outputs_[i]);
      if (!written) return written;
      list[i]["file"] = file;
    }
    ordered_json result = {{"kernel", c_.decl->name}, {"outputs", list}};
    std::string text = result.dump(2) + "\n";
    std::string_view parts[] = {text};
    return replace_file((folder / "result.json").string(), parts);
  }

  Session& session_;
  driver::Compilation& c_;
  std::vector<Leaf> leaves_;
  driver::PlacedArguments placed_;
  std::vector<runtime::ScalarValue> known_;
  driver::Reference reference_;
  Result result_;
  std::vector<Tensor> outputs_;
  Status status_ = kDone;
};

}  // namespace

int run(Session& session) {
  Run run(session);
  auto done = run.run();
  return session.finish(done, run.status());
}

}  // namespace peri::cli
