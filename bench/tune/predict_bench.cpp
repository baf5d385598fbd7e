// How well the cost model orders configs, and how good the default config is.
//
// For each kernel times the default config, N random ones and the model's best of 1000 random ones,
// and prints: the rank correlation of predicted and measured times (Spearman), the time of the best
// measured config relative to the default's (1: the default is the best), the same for the model's
// choice, the geometric mean of predicted over measured time, and the time of one prediction. One
// thread unless told otherwise: a second core that others use would hide what configs do.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "base/thread_pool.h"
#include "cases.h"
#include "tune/measure.h"

namespace peri::bench {
namespace {

constexpr i64 kSamples = 1000;
constexpr double kSecondsEach = 0.015;

// The shortest of some calls: the machine may be shared.
double shortest_call(const runtime::Executable& executable, const Subject& subject) {
  auto clock = tune::steady_clock();
  double shortest = 1e9;
  const double start = clock();
  for (i64 calls = 0; calls < 4 || (clock() - start < kSecondsEach && calls < 2000); ++calls) {
    const double begin = clock();
    (void)executable.call(subject.leaves);
    shortest = std::min(shortest, clock() - begin);
    if (calls > 0 && clock() - start > 0.5) break;
  }
  return shortest;
}

std::vector<double> ranks(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, {}, [&](size_t i) { return values[i]; });
  std::vector<double> rank(values.size());
  for (size_t i = 0; i < order.size();) {
    size_t end = i;
    while (end < order.size() && values[order[end]] == values[order[i]]) ++end;
    for (size_t j = i; j < end; ++j) rank[order[j]] = static_cast<double>(i + end - 1) / 2;
    i = end;
  }
  return rank;
}

double spearman(const std::vector<double>& x, const std::vector<double>& y) {
  const std::vector<double> a = ranks(x), b = ranks(y);
  const double mean = static_cast<double>(a.size() - 1) / 2;
  double both = 0, one = 0, other = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    both += (a[i] - mean) * (b[i] - mean);
    one += (a[i] - mean) * (a[i] - mean);
    other += (b[i] - mean) * (b[i] - mean);
  }
  return one > 0 && other > 0 ? both / std::sqrt(one * other) : 1;
}

struct Options {
  std::string filter;
  i64 configs = 25;
  u64 seed = 1;
  i64 threads = 1;
  bool verbose = false;
};

struct Summary {
  double correlation = 0, best = 0, chosen = 0;
};

std::optional<double> time_config(const Subject& subject, const space::Config& config) {
  auto code = driver::generate(subject.compilation, config);
  if (!code) return std::nullopt;
  auto executable = driver::load(subject.compilation, config, std::move(code->artifact));
  if (!executable) return std::nullopt;
  return shortest_call(**executable, subject);
}

std::optional<Summary> measure(const Case& c, const Options& options) {
  std::unique_ptr<Subject> prepared = prepare(c);
  Subject& subject = *prepared;
  if (!subject.fault.empty()) {
    fmt::print("{}: {}\n", c.kernel, subject.fault);
    return std::nullopt;
  }
  driver::Compilation& compilation = subject.compilation;
  const ir::Kernel& kernel = compilation.lowered->kernel;
  auto seconds_of = [&](const space::Config& config) {
    return compilation.backend->predict(kernel, config).seconds;
  };
  space::Rng rng(options.seed);
  space::Config chosen = compilation.default_config;
  double least = seconds_of(chosen);
  auto clock = tune::steady_clock();
  std::vector<space::Config> sampled;
  for (i64 i = 0; i < kSamples; ++i) sampled.push_back(compilation.space.sample(rng));
  const double ready = clock();
  for (const space::Config& config : sampled) {
    double seconds = seconds_of(config);
    if (seconds < least) least = seconds, chosen = config;
  }
  const double each = (clock() - ready) / kSamples;
  std::vector<space::Config> configs{compilation.default_config, chosen};
  for (i64 i = 0; i < options.configs; ++i) configs.push_back(compilation.space.sample(rng));
  std::vector<double> predicted, measured;
  double scale = 0;
  for (const space::Config& config : configs) {
    auto seconds = time_config(subject, config);
    if (!seconds) continue;
    predicted.push_back(seconds_of(config));
    measured.push_back(*seconds);
    scale += std::log(predicted.back() / measured.back());
    if (options.verbose) {
      fmt::print("  {:>12} predicted {:>12} {:5.2f}  {}\n", tune::print_seconds(measured.back()),
                 tune::print_seconds(predicted.back()), predicted.back() / measured.back(),
                 config.dump());
    }
  }
  // Of both once more, in turns.
  double standard = measured[0], other = measured[1];
  if (auto again = time_config(subject, configs[0])) standard = std::min(standard, *again);
  if (auto again = time_config(subject, configs[1])) other = std::min(other, *again);
  measured[0] = standard, measured[1] = other;
  Summary summary;
  summary.correlation = spearman(predicted, measured);
  summary.best = *std::ranges::min_element(measured) / standard;
  summary.chosen = other / standard;
  fmt::print("{:<34} {:5.2f}  {:5.2f}  {:5.2f}  {:6.2f}  {:6.1f}  {:>9} {}\n", c.kernel,
             summary.correlation, summary.best, summary.chosen,
             std::exp(scale / static_cast<double>(measured.size())), each * 1e6,
             tune::print_seconds(standard), c.shapes());
  std::fflush(stdout);
  return summary;
}

int run(const Options& options) {
  ThreadPool::global().set_threads(options.threads);
  fmt::print("{:<34} {:>5}  {:>5}  {:>5}  {:>6}  {:>6}  {:>9}\n", "kernel", "rank", "best", "model",
             "scale", "us", "default");
  double correlation = 0, best = 0, chosen = 0, count = 0, worst = 1;
  for (const Case& c : cases()) {
    if (c.kernel.find(options.filter) == std::string::npos) continue;
    auto summary = measure(c, options);
    if (!summary) continue;
    count += 1;
    correlation += summary->correlation;
    best += std::log(summary->best);
    chosen += std::log(summary->chosen);
    worst = std::min(worst, summary->best);
  }
  if (count == 0) return 1;
  fmt::print("{:<34} {:5.2f}  {:5.2f}  {:5.2f}   worst default {:.2f}\n", "mean",
             correlation / count, std::exp(best / count), std::exp(chosen / count), worst);
  return 0;
}

}  // namespace
}  // namespace peri::bench

int main(int argc, char** argv) {
  peri::bench::Options options;
  CLI::App app("How well the cost model orders configs, and how good the default config is");
  app.add_option("--filter", options.filter, "only kernels whose path or name contains this");
  app.add_option("--configs", options.configs, "random configs of each kernel")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--seed", options.seed, "seed of the random configs")->capture_default_str();
  app.add_option("--threads", options.threads, "most threads of a call; 0: all CPUs")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_flag("--verbose", options.verbose, "also print every config with both its times");
  CLI11_PARSE(app, argc, argv);
  return peri::bench::run(options);
}
