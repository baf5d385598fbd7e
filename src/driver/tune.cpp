#include "driver/tune.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <ctime>
#include <deque>

#include "base/thread_pool.h"
#include "driver/code_cache.h"
#include "driver/quarantine.h"
#include "driver/record_files.h"
#include "driver/shapes.h"
#include "driver/subject.h"
#include "driver/workload.h"
#include "tune/builder.h"
#include "tune/cpu_load.h"
#include "tune/roofline.h"
#include "tune/stopping.h"

namespace peri::driver {

namespace {

constexpr double kReferenceShare = 0.02;  // of the budget, for the interpreter
constexpr double kReferenceSeconds = 2;   // at most
constexpr double kLoadSeconds = 2;  // of a search: below that the load of the machine is not clear
constexpr double kBusyShare = 0.1;  // of the CPUs, used by others: it shows in what wins
constexpr i64 kWorkerBytes = i64{4} << 30;
constexpr i64 kOutlookConfigs = 300;
constexpr double kFinalShare = 0.4;  // where the final round is what counts
constexpr i64 kBatch = 8;
constexpr double kDeviceCompileSeconds = 150;  // more than its compiler takes before it gives up
constexpr double kDeviceRaceSeconds = 0.03;    // its own clock is steadier than the host's
constexpr double kDeviceHangSeconds = 2;  // drivers pause now and then, and kernels seldom hang

// Seconds of a config by the backend's cost model.
std::function<double(const space::Config&)> predictor(const Compilation& c) {
  return [&c](const space::Config& config) {
    return c.backend->predict(c.lowered->kernel, config).seconds;
  };
}

// Configs compiled side by side; beside timing, which takes a CPU for each device.
i64 batch_of(const Compilation& c) {
  if (!c.device) return kBatch;
  const i64 devices = std::max<i64>(1, static_cast<i64>(c.device_indices.size()));
  return std::max<i64>(1, ThreadPool::available_cpus() - devices);
}

bool has_list(const Compilation& c) { return c.decl->configs.size() > 1; }

// A config of the decorator, complete and legal.
Expected<space::Config> listed_config(const Compilation& c, const space::Config& given) {
  auto config = c.space.validate(given, c.default_config, c.diags, c.decl->span);
  if (config) return *std::move(config);
  return fail("diagnostics", "a config of the decorator has errors");
}

// The search that the kernel's decorator or the settings ask for.
Expected<std::unique_ptr<tune::Strategy>> strategy_of(Compilation& c, const TuneOptions& options) {
  const Settings& settings = c.request.settings;
  if (has_list(c)) {
    std::vector<space::Config> configs;
    for (const space::Config& given : c.decl->configs) {
      auto config = listed_config(c, given);
      if (!config) return std::unexpected(config.error());
      configs.push_back(*std::move(config));
    }
    return tune::finite_search(std::move(configs));
  }
  auto effort = tune::parse_effort(settings.effort);
  if (!effort) return std::unexpected(effort.error());
  auto chosen = tune::search_options(settings.strategy, *effort, settings.search_options, kBatch);
  if (!chosen) return std::unexpected(chosen.error());
  tune::SearchProblem problem{.space = c.space,
                              .start = c.default_config,
                              .seeds = options.seeds.empty() ? seeds_from_cache(c) : options.seeds,
                              .predict = predictor(c),
                              .effect =
                                  [&c](const space::Config& config) {
                                    return c.backend->print_plan(c.lowered->kernel, config);
                                  },
                              .seed = static_cast<u64>(settings.seed)};
  return tune::make_strategy(settings.strategy, std::move(problem), *chosen);
}

tune::Record describe(const Compilation& c, const Arguments& arguments, double budget) {
  const Settings& settings = c.request.settings;
  tune::Record record;
  static_cast<tune::Subject&>(record) = subject_of(c);
  record.arguments = argument_texts(arguments);
  record.strategy = settings.strategy;
  record.effort = settings.effort;
  record.search_options = settings.search_options;
  if (settings.device != Settings().device) record.device = settings.device;
  record.cache_mode = settings.cold ? "cold" : "warm";
  record.seed = settings.seed;
  record.budget = budget;
  if (!c.decl->static_shapes) record.sizes = sizes_of(arguments);
  record.static_shapes = c.decl->static_shapes;
  record.started = fmt::format("{:%FT%TZ}", fmt::gmtime(std::time(nullptr)));
  return record;
}

// Memory that a candidate may need besides what is there: copies, results and a working set.
// 0, no limit, where a device's driver maps all that there is.
i64 worker_bytes(const Compilation& c, const Arguments& arguments) {
  if (c.device) return 0;
  i64 bytes = kWorkerBytes;
  for (const auto& [name, argument] : arguments) bytes += 8 * argument.tensor.storage.bytes;
  return bytes;
}

// Tells of a trial. What must not be tried again is kept at once, however the run will end.
std::function<void(const tune::Trial&, i64)> observer(const Compilation& c,
                                                      const TuneOptions& options) {
  auto store = std::make_shared<TunedStore>(c.request);
  return [store, key = c.tuned_key, told = options.on_trial](const tune::Trial& trial, i64 number) {
    if (is_harmful(trial.status)) {
      (void)Quarantine(*store, key).add(trial.config, trial.status, trial.reason);
    }
    if (told) told(trial, number);
  };
}

tune::SessionOptions session_options(const Compilation& c, const TuneOptions& options,
                                     double budget) {
  tune::SessionOptions session;
  session.budget = budget;
  session.batch = batch_of(c);
  if (c.device) {
    session.race_seconds = kDeviceRaceSeconds;
    session.hang_seconds = kDeviceHangSeconds;
  }
  session.cold = c.request.settings.cold;
  if (has_list(c)) session.first_origin = tune::kListOrigin;
  session.clock = options.clock;
  session.is_interrupted = options.is_interrupted;
  session.log = options.log;
  session.progress = options.progress;
  session.on_trial = observer(c, options);
  session.predict = predictor(c);
  session.expected_gain = tune::expected_gain;
  TunedStore store(c.request);
  session.quarantine = Quarantine(store, c.tuned_key).load();
  return session;
}

}  // namespace

Expected<space::Config> first_config(const Compilation& c) {
  if (!has_list(c)) return c.default_config;
  return listed_config(c, c.decl->configs[0]);
}

Outlook outlook_of_default(const Compilation& c) {
  auto predict = predictor(c);
  Outlook outlook;
  outlook.seconds = outlook.best_seconds = predict(c.default_config);
  space::Rng rng(static_cast<u64>(c.request.settings.seed));
  for (; outlook.configs < kOutlookConfigs; ++outlook.configs) {
    double seconds = predict(c.space.sample(rng));
    if (seconds > 0) outlook.best_seconds = std::min(outlook.best_seconds, seconds);
  }
  return outlook;
}

std::string Outlook::text() const {
  if (seconds <= 0) return "the cost model has no opinion of this kernel";
  return fmt::format(
      "the cost model predicts {}, {:.0f} % above the best of {} random configs that it looked at",
      tune::print_seconds(seconds), 100 * (seconds / best_seconds - 1), configs);
}

void keep_result(const Compilation& c, tune::Record& record) {
  TunedStore store(c.request);
  const space::Config& winner = record.trials[record.winner].config;
  record.idle = idle_keys(c, winner);
  auto code = kept_code(c, winner);
  if (code) record.toolchain = code->toolchain;
  auto kept = store.put(record);  // troubles with the disk are warnings
  auto noted = code ? note_code(store.cache(), *code, entry_of(record).record)
                    : Expected<void>(std::unexpected(code.error()));
  if (!noted && c.request.warn) c.request.warn(noted.error());
  if (!kept || !*kept || !c.request.warn) return;
  c.request.warn({"better-entry",
                  fmt::format("the cache keeps an earlier config of `{}`: {} a call, this one {}",
                              record.kernel, tune::print_seconds((*kept)->seconds),
                              tune::print_seconds(tune::seconds_of(record, record.winner))),
                  fmt::format("calls go on using {}", space::print_config((*kept)->config))});
}

namespace {

Expected<void> prepare(Compilation& c) {
  if (auto done = compile(c, "space"); !done) return done;
  auto first = first_config(c);
  if (!first) return std::unexpected(first.error());
  c.config = *std::move(first);
  if (!can_run_here(c)) return cannot_run_here(c);
  return {};
}

bool is_in_process(const Compilation& c) { return c.device && c.request.opens_device; }

// What a session measures with.
class Measuring {
 public:
  // Candidates run in worker processes; but where this one has opened the device, which a fork
  // cannot use then, they run here. Of several devices, each has a worker.
  Measuring(const Compilation& c, KernelWorkload& workload, const tune::SessionOptions& session,
            i64 memory_bytes) {
    const i64 threads = ThreadPool::available_cpus();
    if (is_in_process(c)) {
      benches_.push_back(tune::local_bench(workload, threads, session.clock));
      builder_ = tune::threaded_builder(workload, session.batch, session.clock);
      return;
    }
    tune::IsolationOptions isolation{.memory_bytes = memory_bytes,
                                     .is_interrupted = session.is_interrupted};
    benches_.push_back(tune::isolated_bench(workload, threads, session.clock, isolation));
    for (std::size_t i = 1; i < c.device_indices.size(); ++i) {
      Compilation& on_other = compilations_.emplace_back(c);
      on_other.request.device = fmt::format(
          "{}:{}", backends::parse_device(c.request.device).device, c.device_indices[i]);
      workloads_.emplace_back(workload, on_other);
      benches_.push_back(
          tune::isolated_bench(workloads_.back(), threads, session.clock, isolation));
    }
    if (workload.builds_beside_timing()) {
      isolation.compile_limit = kDeviceCompileSeconds;
      builder_ = tune::isolated_builder(workload, session.batch, session.clock, isolation);
    } else {
      builder_ = tune::bench_builder(*benches_[0]);
    }
  }

  std::vector<tune::Bench*> benches() const {
    std::vector<tune::Bench*> all;
    for (const auto& bench : benches_) all.push_back(bench.get());
    return all;
  }
  tune::Builder& builder() const { return *builder_; }

 private:
  std::deque<Compilation> compilations_;  // for further devices
  std::deque<KernelWorkload> workloads_;
  std::vector<std::unique_ptr<tune::Bench>> benches_;
  std::unique_ptr<tune::Builder> builder_;
};

// Runs a strategy on candidates, starting from the compilation's config.
Expected<tune::Record> run_session(tune::Strategy& strategy, Compilation& c,
                                   const Arguments& arguments, const TuneOptions& options,
                                   tune::SessionOptions session) {
  double started = session.clock();
  double reference = kReferenceSeconds;
  if (session.budget > 0) reference = std::min(reference, kReferenceShare * session.budget);
  tune::Record described = describe(c, arguments, session.budget);
  described.roofline = tune::roofline_of(c.lowered->kernel, *c.backend, c.request.settings.threads,
                                         c.request.settings.cold);
  described.timing_time = session.clock() - started;  // of the machine
  const space::Config first = c.config;
  KernelWorkload workload(c, arguments, first, reference);
  if (session.budget > 0) {
    session.budget = std::max(0.1 * session.budget, session.budget - (session.clock() - started));
  }
  Measuring with(c, workload, session, worker_bytes(c, arguments));
  auto record =
      tune::tune(strategy, first, with.benches(), with.builder(), session, std::move(described));
  if (!record) return record;
  record->elapsed = session.clock() - started;
  const std::optional<Error>& lost = with.benches()[0]->failure();
  if (!lost || !is_in_process(c)) return record;
  keep_result(c, *record);
  return std::unexpected(*lost);
}

// Of CPUs: others beside a device's kernel hardly slow it, and its compilers are not told apart.
void warn_of_load(const Compilation& c, const tune::Record& record, double others) {
  if (c.device || record.elapsed < kLoadSeconds || others < kBusyShare || !c.request.warn) return;
  c.request.warn({"busy-machine",
                  fmt::format("others used {:.0f} % of the CPUs while `{}` was tuned", 100 * others,
                              record.kernel),
                  "configs that use fewer threads win then; tune again when the machine is idle"});
}

}  // namespace

Expected<tune::Record> search_configs(Compilation& c, const Arguments& arguments,
                                      const TuneOptions& options, double budget) {
  if (auto done = prepare(c); !done) return std::unexpected(done.error());
  auto strategy = strategy_of(c, options);
  if (!strategy) return std::unexpected(strategy.error());
  tune::SessionOptions session = session_options(c, options, budget);
  if (options.log) {
    options.log(fmt::format("[0s] Autotune random seed: {}", c.request.settings.seed));
    if (c.device_indices.size() > 1) {
      options.log(fmt::format("[0s] Timing on devices {}", fmt::join(c.device_indices, ", ")));
    }
    options.log(tune::start_line((*strategy)->name(), (*strategy)->describe(),
                                 static_cast<i64>(c.space.knobs().size()), c.space.size(),
                                 session.budget));
  }
  const auto begin = tune::cpu_seconds();
  auto record = run_session(**strategy, c, arguments, options, std::move(session));
  const auto end = tune::cpu_seconds();
  if (record && begin && end) warn_of_load(c, *record, tune::share_of_others(*begin, *end));
  if (record && !record->accuracy.is_verified() && c.request.warn) {
    c.request.warn({"not-verified",
                    fmt::format("the results of `{}` are not verified: {}", record->kernel,
                                record->accuracy.text),
                    "configs were only compared with the default one; `peri run --check` compares "
                    "that with the interpreter, and smaller arguments or a larger budget let "
                    "tuning do so"});
  }
  return record;
}

Expected<tune::Record> compare_configs(Compilation& c, const Arguments& arguments,
                                       const std::vector<space::Config>& configs,
                                       const TuneOptions& options, double seconds) {
  if (auto done = prepare(c); !done) return std::unexpected(done.error());
  auto strategy = tune::finite_search(configs);
  tune::SessionOptions session = session_options(c, options, seconds);
  session.finalists = static_cast<i64>(configs.size());
  session.on_trial = {};
  session.log = {};
  if (options.is_final && seconds > 0) {
    session.final_share = kFinalShare;
    session.final_seconds = seconds;
  }
  return run_session(*strategy, c, arguments, options, std::move(session));
}

Expected<tune::Record> tune_kernel(Compilation& c, const Arguments& arguments,
                                   const TuneOptions& options) {
  auto record = search_configs(c, arguments, options, c.request.settings.budget);
  if (!record) return record;
  c.config = record->trials[record->winner].config;
  c.config_origin = "tuned";
  keep_result(c, *record);
  return record;
}

}  // namespace peri::driver
