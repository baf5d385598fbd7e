#include "driver/tune.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/thread_pool.h"
#include "driver/check_result.h"
#include "driver/tuned_store.h"

namespace peri::driver {

namespace {

// Candidates are executables; each is checked on fresh copies of the arguments.
class KernelWorkload : public tune::Workload {
 public:
  KernelWorkload(const Compilation& c, const Arguments& arguments)
      : c_(c),
        pristine_leaves_(leaves_of(arguments, c.lowered->host.leaf_names)),
        arguments_(clone(arguments)),
        leaves_(leaves_of(arguments_, c.lowered->host.leaf_names)),
        tolerance_(tolerance_of(*c.lowered, space::config_values(c.lowered->kernel, c.config))) {
    tolerance_.unit *= 2;  // both results are rounded
  }

  Expected<Candidate> compile(const space::Config& config) override {
    auto code = generate(c_, config);
    if (!code) return std::unexpected(code.error());
    return load(c_, config, std::move(code->artifact));
  }

  Expected<void> check(const Candidate& candidate) override {
    restore();
    auto result = executable(candidate).call(leaves_);
    if (!result) return std::unexpected(result.error());
    add_written(*result);
    if (!trusted_) {
      trusted_ = deep_copy(*result);
      return {};
    }
    CheckReport report = compare_results(*result, *trusted_, tolerance_);
    if (report.ok) return {};
    return fail("wrong-result", report.text());
  }

  void run(const Candidate& candidate) override { (void)executable(candidate).call(leaves_); }

 private:
  static const runtime::Executable& executable(const Candidate& candidate) {
    return *static_cast<const runtime::Executable*>(candidate.get());
  }

  // What earlier candidates may have written to becomes what it was.
  void restore() const {
    for (i64 leaf : written_leaves(*c_.lowered)) {
      const runtime::Storage& from = pristine_leaves_[leaf].tensor->storage;
      std::copy_n(from.data, from.bytes, leaves_[leaf].tensor->storage.data);
    }
  }

  // Tensors among the arguments that the kernel wrote to are results too.
  void add_written(runtime::Result& result) const {
    std::vector<runtime::Result> items{std::move(result)};
    for (i64 leaf : written_leaves(*c_.lowered)) {
      runtime::Result item;
      item.kind = runtime::Result::Kind::Tensor;
      item.tensor = *leaves_[leaf].tensor;
      items.push_back(std::move(item));
    }
    result = {};
    result.kind = runtime::Result::Kind::Sequence;
    result.items = std::move(items);
  }

  static runtime::Result deep_copy(const runtime::Result& result) {
    runtime::Result copy = result;
    if (copy.kind == runtime::Result::Kind::Tensor) {
      copy.tensor = runtime::convert(result.tensor, result.tensor.dtype);
    }
    for (runtime::Result& item : copy.items) item = deep_copy(item);
    return copy;
  }

  const Compilation& c_;
  std::vector<runtime::Leaf> pristine_leaves_;
  Arguments arguments_;
  std::vector<runtime::Leaf> leaves_;
  Tolerance tolerance_;
  std::optional<runtime::Result> trusted_;
};

// The search that the kernel's decorator or the settings ask for.
Expected<std::unique_ptr<tune::Strategy>> strategy_of(Compilation& c) {
  const Settings& settings = c.request.settings;
  if (c.decl->configs.size() > 1) {
    std::vector<space::Config> configs;
    for (const auto& given : c.decl->configs) {
      auto config = c.space.validate(given, c.default_config, c.diags, c.decl->span);
      if (!config) return fail("diagnostics", "a config of the decorator has errors");
      configs.push_back(std::move(*config));
    }
    return tune::finite_search(std::move(configs));
  }
  auto effort = tune::parse_effort(settings.effort);
  if (!effort) return std::unexpected(effort.error());
  auto options = tune::search_options(settings.strategy, *effort, settings.search_options);
  if (!options) return std::unexpected(options.error());
  tune::SearchProblem problem{.space = c.space,
                              .start = c.default_config,
                              .seeds = {},
                              .predict = {},
                              .effect = {},
                              .seed = static_cast<u64>(settings.seed)};
  return tune::make_strategy(settings.strategy, std::move(problem), *options);
}

}  // namespace

Expected<tune::Outcome> tune_kernel(Compilation& c, const Arguments& arguments,
                                    tune::SessionOptions options) {
  if (auto done = compile(c, "space"); !done) return std::unexpected(done.error());
  c.config = c.default_config;
  if (!c.backend->can_run_here()) {
    return fail("cannot-run-here", fmt::format("this machine cannot run code for {}",
                                               c.backend->capabilities().target));
  }
  auto strategy = strategy_of(c);
  if (!strategy) return std::unexpected(strategy.error());
  if (options.log) {
    options.log(fmt::format("[0s] Autotune random seed: {}", c.request.settings.seed));
    options.log(fmt::format("[0s] Starting {} with {} on {} knobs, {:.2g} configs, budget {:.0f}s",
                            (*strategy)->name(), (*strategy)->describe(), c.space.knobs().size(),
                            c.space.size(), options.budget));
  }
  KernelWorkload workload(c, arguments);
  options.compile_threads = ThreadPool::available_cpus();
  auto outcome = tune::tune(**strategy, c.default_config, workload, options);
  if (!outcome) return outcome;
  c.config = outcome->best;
  c.config_origin = "tuned";
  (void)TunedStore(c.request).put(c.tuned_key, outcome->best, outcome->seconds);  // warns itself
  return outcome;
}

}  // namespace peri::driver
