// What bad configs cost a search: the same list of configs is searched twice, once with every fifth
// made to crash, to hang or to give a wrong result (never the one that wins without them).
//
// Prints, for a few kernels, both runs' times and winners. The winners must be the same, or equally
// fast when they are timed in turns; the second run may take half as long again.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <csignal>
#include <map>
#include <mutex>

#include "../kernels/interleave.h"
#include "base/thread_pool.h"
#include "cases.h"
#include "driver/workload.h"
#include "runtime/executor.h"
#include "tune/session.h"
#include "tune/strategies.h"

namespace peri::bench {
namespace {

enum class Fault : u8 { None, Crash, Hang, Wrong };

// A kernel's candidates, some of them spoilt.
class SpoiltWorkload : public driver::KernelWorkload {
 public:
  SpoiltWorkload(const Subject& subject, std::map<std::string, Fault> faults)
      : KernelWorkload(subject.compilation, subject.arguments, subject.compilation.default_config,
                       1),
        faults_(std::move(faults)) {}

  Expected<Candidate> compile(const space::Config& config) override {
    auto candidate = KernelWorkload::compile(config);
    if (!candidate) return candidate;
    auto fault = faults_.find(config.dump());
    std::lock_guard lock(mutex_);
    spoilt_.erase(candidate->get());  // of a candidate that is no more
    if (fault != faults_.end()) spoilt_[candidate->get()] = fault->second;
    return candidate;
  }
  Expected<void> check(const Candidate& candidate) override {
    auto fault = spoilt_.find(candidate.get());
    if (fault == spoilt_.end()) return KernelWorkload::check(candidate);
    break_down(fault->second);
    auto checked = KernelWorkload::check(candidate);
    return fault->second == Fault::Wrong ? fail("wrong-result", "made so") : checked;
  }

 private:
  static void break_down(Fault fault) {
    if (fault == Fault::Crash) raise(SIGSEGV);
    for (volatile bool on = fault == Fault::Hang; on;) {
    }
  }

  std::map<std::string, Fault> faults_;
  std::mutex mutex_;
  std::map<const void*, Fault> spoilt_;  // candidates
};

struct Run {
  space::Config winner;
  double seconds = 0;
  i64 failures = 0;
};

std::optional<Run> search(const Subject& subject, const std::vector<space::Config>& configs,
                          std::map<std::string, Fault> faults) {
  auto clock = tune::steady_clock();
  double begin = clock();
  SpoiltWorkload workload(subject, std::move(faults));
  auto bench = tune::isolated_bench(workload, ThreadPool::available_cpus(), clock, {});
  auto strategy = tune::finite_search(configs);
  tune::SessionOptions options;
  options.clock = clock;
  auto record = tune::tune(*strategy, subject.compilation.default_config, *bench, options, {});
  if (!record) {
    fmt::print("{}\n", record.error().message);
    return std::nullopt;
  }
  return Run{.winner = record->trials[record->winner].config,
             .seconds = clock() - begin,
             .failures = tune::count_failures(*record)};
}

// "the same", or what a call with `other` takes by one with `winner`.
std::string compare(const Subject& subject, const space::Config& winner,
                    const space::Config& other) {
  if (winner == other) return "the same";
  std::vector<std::shared_ptr<const runtime::Executable>> executables;
  std::vector<Contender> contenders;
  for (const space::Config* config : {&winner, &other}) {
    auto code = driver::generate(subject.compilation, *config);
    if (!code) return code.error().message;
    auto loaded = driver::load(subject.compilation, *config, std::move(code->artifact));
    if (!loaded) return loaded.error().message;
    executables.push_back(*loaded);
    contenders.push_back(
        {config->dump(), [&subject, e = loaded->get()] { (void)e->call(subject.leaves); }});
  }
  std::vector<Timing> timings = interleave(contenders, 1, 1e-3, runtime::move_scratch);
  return fmt::format("another, {:.3f} of the time", timings[1].median() / timings[0].median());
}

bool measure(const Case& c, i64 count, u64 seed) {
  auto subject = prepare(c);
  if (!subject->fault.empty()) return false;
  space::Rng rng(seed);
  std::vector<space::Config> configs;
  for (i64 i = 0; i < count; ++i) configs.push_back(subject->compilation.space.sample(rng));
  auto sound = search(*subject, configs, {});
  if (!sound) return false;
  std::map<std::string, Fault> faults;
  constexpr Fault kFaults[] = {Fault::Crash, Fault::Hang, Fault::Wrong};
  for (i64 i = 0; i < count; i += 5) {
    if (configs[i] != sound->winner) faults[configs[i].dump()] = kFaults[i / 5 % 3];
  }
  auto spoilt = search(*subject, configs, std::move(faults));
  if (!spoilt) return false;
  fmt::print("| {} | {:.1f} | {:.1f} | {:.2f} | {} | {} |\n", c.kernel, sound->seconds,
             spoilt->seconds, spoilt->seconds / sound->seconds, spoilt->failures,
             compare(*subject, sound->winner, spoilt->winner));
  std::fflush(stdout);
  return true;
}

}  // namespace
}  // namespace peri::bench

int main(int argc, char** argv) {
  peri::i64 configs = 300;
  peri::u64 seed = 1;
  std::string filter;
  CLI::App app(
      "What bad configs cost a search: one list of configs, sound and with every fifth bad");
  app.add_option("--configs", configs, "length of the list")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--seed", seed, "seed of the list and of the faults")->capture_default_str();
  app.add_option("--filter", filter, "only kernels whose path or name contains this");
  CLI11_PARSE(app, argc, argv);
  fmt::print("| kernel | sound, s | every fifth bad, s | ratio | failures | winner |\n");
  fmt::print("|---|---|---|---|---|---|\n");
  bool ok = true;
  for (const peri::bench::Case& c : peri::bench::cases()) {
    bool chosen = c.kernel.ends_with(":matmul") || c.kernel.ends_with(":softmax") ||
                  c.kernel.ends_with(":attention") || c.kernel.ends_with(":layer_norm");
    if (chosen && c.kernel.find(filter) != std::string::npos)
      ok &= peri::bench::measure(c, configs, seed);
  }
  return ok ? 0 : 1;
}
