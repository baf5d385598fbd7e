#include "driver/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "driver/carried_code.h"
#include "driver/device_time.h"
#include "runtime/device_info.h"
#include "runtime/executor.h"
#include "runtime/guard.h"

namespace peri::driver {

using runtime::Leaf;
using runtime::Result;
using runtime::Tensor;

namespace {

// Samples of one timing on a device, of which the median counts: a long one says enough alone.
constexpr i64 kDeviceSamples = 3;
constexpr double kLongSample = 1e-3;
// Of the interpreter's seconds for a sample: what cannot be sampled may take so many times as long.
constexpr double kUnsampled = 10;

// What a process cannot get over ends it.
Error checked(Error error) {
  bool lost = error.code == "device-fault" || error.code == "device-lost";
  if (lost) throw tune::WorkloadLost(std::move(error));
  return error;
}

const runtime::Executable& executable(const tune::Workload::Candidate& candidate) {
  return *static_cast<const runtime::Executable*>(candidate.get());
}

}  // namespace

KernelWorkload::KernelWorkload(const Compilation& c, const Arguments& arguments,
                               const space::Config& standard, double reference_seconds)
    : c_(c), pristine_leaves_(leaves_of(arguments, c.lowered->host.leaf_names)) {
  auto values = space::config_values(c.lowered->kernel, standard);
  tolerance_ = tolerance_of(*c.reference, values);
  ReferenceOptions options{.budget = reference_seconds, .limit = kUnsampled * reference_seconds};
  reference_ = run_reference(*c.reference, std::move(values), pristine_leaves_, options);
  std::set<i64> written = written_leaves(*c.reference);
  written_.assign(written.begin(), written.end());
}

KernelWorkload::KernelWorkload(const KernelWorkload& other, const Compilation& c)
    : c_(c),
      pristine_leaves_(other.pristine_leaves_),
      written_(other.written_),
      tolerance_(other.tolerance_),
      reference_(other.reference_) {}

Expected<void> KernelWorkload::make_leaves(const std::shared_ptr<runtime::Device>& device) {
  if (!leaves_.empty()) return {};
  if (!device) {
    make_guarded_copies();
    return {};
  }
  runtime::GuardedAllocations guard;
  auto kept = PlacedArguments::place(pristine_leaves_, device);
  if (!kept) return std::unexpected(kept.error());
  kept_ = std::move(*kept);
  std::vector<Leaf> written(pristine_leaves_.size());
  for (i64 leaf : written_) written[leaf] = pristine_leaves_[leaf];
  auto placed = PlacedArguments::place(written, device);
  if (!placed) return std::unexpected(placed.error());
  placed_ = std::move(*placed);
  leaves_.assign(kept_.leaves().begin(), kept_.leaves().end());
  for (i64 leaf : written_) {
    leaves_[leaf] = placed_.leaves()[leaf];
    copies_.push_back(*leaves_[leaf].tensor);
  }
  return {};
}

// Leaves of which those that calls write to are guarded copies.
void KernelWorkload::make_guarded_copies() {
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

bool KernelWorkload::survives_fork() const { return !c_.device; }

bool KernelWorkload::builds_beside_timing() const { return c_.device.has_value(); }

Expected<tune::Workload::Candidate> KernelWorkload::compile(const space::Config& config) {
  return compile(config, nullptr);
}

Expected<std::string> KernelWorkload::make(const space::Config& config) {
  CodeCollector store(c_.code_store.get());
  auto code = generate_from(config, &store);
  if (!code) return std::unexpected(code.error());
  return store.text();
}

Expected<tune::Workload::Candidate> KernelWorkload::load(const space::Config& config,
                                                         const std::string& code) {
  CarriedCode store(code);
  return compile(config, &store);
}

Expected<backends::Compiled> KernelWorkload::generate_from(const space::Config& config,
                                                           backends::CodeStore* store) const {
  backends::CompileOptions options;
  options.impatient = true;
  options.store = store;
  return generate(c_, config, options);
}

Expected<tune::Workload::Candidate> KernelWorkload::compile(const space::Config& config,
                                                            backends::CodeStore* store) {
  auto code = generate_from(config, store);
  if (!code) return std::unexpected(code.error());
  return driver::load(c_, config, std::move(code->artifact));
}

Expected<tune::Accuracy> KernelWorkload::trust(const Candidate& candidate, bool is_known_good) {
  if (auto made = make_leaves(executable(candidate).device()); !made) {
    return std::unexpected(made.error());
  }
  auto result = run_guarded(candidate);
  if (!result) return std::unexpected(result.error());
  tune::Accuracy accuracy;
  if (!is_known_good) {
    auto compared = compare_with_reference(*result);
    if (!compared) return compared;
    accuracy = *compared;
  }
  auto copy = runtime::map_tensors(*result, [](const Tensor& tensor) -> Expected<Tensor> {
    return runtime::convert(tensor, tensor.dtype);
  });
  if (!copy) return std::unexpected(copy.error());
  trusted_ = driver::trust(std::move(*copy));
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
  std::vector<Leaf> after = leaves_;  // where they are on the host
  for (std::size_t i = 0; i < written_.size(); ++i) {
    after[written_[i]].tensor = &result.items[i + 1].tensor;
  }
  CheckReport report = check_result(*c_.reference, result.items[0], after, *reference_, tolerance_);
  if (!report.ok) return fail("wrong-result", report.text());
  return tune::Accuracy{report.error, report.allowed,   report.compared,
                        report.cells, report.cells_run, report.text()};
}

// What the call returned, then the arguments that it wrote to.
Expected<Result> KernelWorkload::run_guarded(const Candidate& candidate) {
  if (auto restored = restore(); !restored) return std::unexpected(checked(restored.error()));
  runtime::GuardedAllocations guard;
  auto returned = executable(candidate).call(leaves_, c_.request.settings.threads);
  host_copies_.restart();
  if (returned && executable(candidate).device()) returned = host_copies_.copy(*returned);
  if (!returned) return std::unexpected(checked(returned.error()));
  if (auto intact = runtime::GuardedAllocations::verify(); !intact) {
    return std::unexpected(checked(intact.error()));
  }
  Result result;
  result.kind = Result::Kind::Sequence;
  result.items.push_back(std::move(*returned));
  for (const Tensor& copy : copies_) {
    Result& item = result.items.emplace_back();
    item.kind = Result::Kind::Tensor;
    auto here = host_copies_.copy(copy);
    if (!here) return std::unexpected(checked(here.error()));
    item.tensor = std::move(*here);
  }
  return result;
}

// What earlier candidates may have written to becomes what it was.
Expected<void> KernelWorkload::restore() const {
  for (std::size_t i = 0; i < written_.size(); ++i) {
    const runtime::Storage& to = copies_[i].storage;
    if (to.device != nullptr) {
      const runtime::Storage& from = kept_.leaves()[written_[i]].tensor->storage;
      if (auto done = to.device->copy(to.data, from.data, from.bytes); !done) return done;
    } else {
      const runtime::Storage& from = pristine_leaves_[written_[i]].tensor->storage;
      std::copy_n(from.data, from.bytes, to.data);
    }
  }
  return {};
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

void KernelWorkload::run(const Candidate& candidate) {
  (void)executable(candidate).call(leaves_, c_.request.settings.threads);
}

// Writes twice as much as the last-level cache holds.
void KernelWorkload::flush_caches() {
  if (flush_buffer_.empty()) {
    flush_buffer_.resize(static_cast<std::size_t>(2 * runtime::device_info().l3_bytes));
  }
  for (std::size_t i = 0; i < flush_buffer_.size(); i += 64) {
    flush_buffer_[i] = static_cast<std::byte>(static_cast<int>(flush_buffer_[i]) + 1);
  }
}

void KernelWorkload::place_anew() { runtime::move_scratch(); }

double KernelWorkload::time(const Candidate& candidate, i64 batch, bool cold,
                            const tune::Clock& clock) {
  const runtime::Executable& code = executable(candidate);
  if (!code.device()) return Workload::time(candidate, batch, cold, clock);
  if (cold) batch = std::max(batch, device_batch(last_seconds_));
  bool is_long = last_seconds_ * static_cast<double>(batch) > kLongSample;
  i64 samples = is_long ? 1 : kDeviceSamples;
  auto seconds = time_samples(code, leaves_, {.samples = samples, .batch = batch, .cold = cold});
  if (!seconds) throw tune::WorkloadLost(checked(seconds.error()));
  last_seconds_ = tune::median_of(std::move(*seconds));
  return last_seconds_;
}

}  // namespace peri::driver
