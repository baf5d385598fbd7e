#include "driver/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "runtime/device_info.h"
#include "runtime/guard.h"

namespace peri::driver {

using runtime::Leaf;
using runtime::Result;
using runtime::Tensor;

namespace {

Result deep_copy(const Result& result) {
  Result copy = result;
  if (copy.kind == Result::Kind::Tensor) {
    copy.tensor = runtime::convert(result.tensor, result.tensor.dtype);
  }
  for (Result& item : copy.items) item = deep_copy(item);
  return copy;
}

const runtime::Executable& executable(const tune::Workload::Candidate& candidate) {
  return *static_cast<const runtime::Executable*>(candidate.get());
}

}  // namespace

KernelWorkload::KernelWorkload(const Compilation& c, const Arguments& arguments,
                               const space::Config& standard, double reference_seconds)
    : c_(c), pristine_leaves_(leaves_of(arguments, c.lowered->host.leaf_names)) {
  auto values = space::config_values(c.lowered->kernel, standard);
  tolerance_ = tolerance_of(*c.lowered, values);
  ReferenceOptions options{.budget = reference_seconds, .limit = 2 * reference_seconds};
  reference_ = run_reference(*c.lowered, std::move(values), pristine_leaves_, options);
  std::set<i64> written = written_leaves(*c.lowered);
  written_.assign(written.begin(), written.end());
}

// Leaves of which those that calls write to are guarded copies.
void KernelWorkload::make_leaves() {
  runtime::GuardedAllocations guard;
  std::map<const std::byte*, runtime::Storage> storages;
  leaves_ = pristine_leaves_;
  copies_.reserve(written_.size());
  for (i64 leaf : written_) {
    Tensor copy = *pristine_leaves_[leaf].tensor;
    auto [it, is_new] = storages.try_emplace(copy.storage.data);
    if (is_new) it->second = runtime::empty(Dtype::U8, {copy.storage.bytes}).storage;
    copy.storage = it->second;
    copies_.push_back(std::move(copy));
  }
  for (std::size_t i = 0; i < written_.size(); ++i) leaves_[written_[i]].tensor = &copies_[i];
}

Expected<tune::Workload::Candidate> KernelWorkload::compile(const space::Config& config) {
  auto code = generate(c_, config);
  if (!code) return std::unexpected(code.error());
  return load(c_, config, std::move(code->artifact));
}

Expected<tune::Accuracy> KernelWorkload::trust(const Candidate& candidate, bool is_known_good) {
  if (leaves_.empty()) make_leaves();
  auto result = run_guarded(candidate);
  if (!result) return std::unexpected(result.error());
  tune::Accuracy accuracy;
  if (!is_known_good) {
    auto compared = compare_with_reference(*result);
    if (!compared) return compared;
    accuracy = *compared;
  }
  trusted_ = driver::trust(deep_copy(*result));
  return accuracy;
}

Expected<tune::Accuracy> KernelWorkload::compare_with_reference(const Result& result) {
  tune::Accuracy accuracy;
  if (!reference_) {
    if (reference_.error().code != "reference-too-slow") {
      return std::unexpected(reference_.error());
    }
    accuracy.text =
        fmt::format("not compared with the interpreter: {}", reference_.error().message);
    return accuracy;
  }
  CheckReport report = check_result(*c_.lowered, result.items[0], leaves_, *reference_, tolerance_);
  if (!report.ok) return fail("wrong-result", report.text());
  return tune::Accuracy{report.error, report.allowed,   report.compared,
                        report.cells, report.cells_run, report.text()};
}

// What the call returned, then the arguments that it wrote to.
Expected<Result> KernelWorkload::run_guarded(const Candidate& candidate) {
  restore();
  runtime::GuardedAllocations guard;
  auto returned = executable(candidate).call(leaves_);
  if (!returned) return returned;
  if (auto intact = runtime::GuardedAllocations::verify(); !intact) {
    return std::unexpected(intact.error());
  }
  Result result;
  result.kind = Result::Kind::Sequence;
  result.items.push_back(std::move(*returned));
  for (const Tensor& copy : copies_) {
    Result& item = result.items.emplace_back();
    item.kind = Result::Kind::Tensor;
    item.tensor = copy;
  }
  return result;
}

// What earlier candidates may have written to becomes what it was.
void KernelWorkload::restore() const {
  for (std::size_t i = 0; i < written_.size(); ++i) {
    const runtime::Storage& from = pristine_leaves_[written_[i]].tensor->storage;
    std::copy_n(from.data, from.bytes, copies_[i].storage.data);
  }
}

Expected<void> KernelWorkload::check(const Candidate& candidate) {
  auto result = run_guarded(candidate);
  if (!result) return std::unexpected(result.error());
  Tolerance tolerance = tolerance_;
  tolerance.unit *= 2;  // both results are rounded
  CheckReport report = compare_results(*result, trusted_, tolerance);
  if (report.ok) return {};
  return fail("wrong-result", report.text());
}

void KernelWorkload::run(const Candidate& candidate) { (void)executable(candidate).call(leaves_); }

// Writes twice as much as the last-level cache holds.
void KernelWorkload::flush_caches() {
  if (flush_buffer_.empty()) {
    flush_buffer_.resize(static_cast<std::size_t>(2 * runtime::device_info().l3_bytes));
  }
  for (std::size_t i = 0; i < flush_buffer_.size(); i += 64) {
    flush_buffer_[i] = static_cast<std::byte>(static_cast<int>(flush_buffer_[i]) + 1);
  }
}

}  // namespace peri::driver
