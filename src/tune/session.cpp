#include "tune/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <optional>
#include <thread>

#include "space/config.h"

namespace peri::tune {

namespace {

constexpr i64 kBatch = 8;               // configs compiled before they are timed
constexpr double kRoundSeconds = 0.01;  // of a candidate, while searching
constexpr i64 kMinRounds = 3, kMaxRounds = 50;
constexpr double kHopeless = 1.5;  // slower than the best by this: one call says enough
constexpr double kBehind = 1.1;    // slower by this after a few rounds: so do they
constexpr i64 kFinalRounds = 200;
constexpr double kShortestSample = 20e-6;
constexpr double kFinalShare = 0.1;  // of the budget, for the final round
constexpr double kFinalSeconds = 2;  // at most
constexpr double kMinNoise = 0.003;

// Something that is timed.
struct Entry {
  Config config;
  Workload::Candidate candidate;
  double seconds = kFailed;
  i64 number = 0;  // order in which it was found
};

class Session {
 public:
  Session(Strategy& strategy, Workload& workload, const SessionOptions& options)
      : strategy_(strategy), workload_(workload), options_(options), start_(options.clock()) {}

  Expected<Outcome> run(const Config& first) {
    if (auto begun = begin(first); !begun) return std::unexpected(begun.error());
    for (i64 generation = 0; !is_over(); ++generation) {
      std::vector<Config> configs;
      for (Proposal& proposal : strategy_.propose()) configs.push_back(std::move(proposal.config));
      if (configs.empty()) break;
      if (generation == 0) {
        log(fmt::format("Initial random population of {} configs", configs.size()));
      } else {
        log(fmt::format("Generation {} starting: {} neighbors", generation, configs.size()));
      }
      std::vector<Measurement> measured = measure_all(configs, generation);
      strategy_.report(measured);
      log_generation(generation, measured);
    }
    finish();
    return std::move(outcome_);
  }

 private:
  double now() const { return options_.clock() - start_; }

  bool is_interrupted() const { return options_.is_interrupted && options_.is_interrupted(); }

  bool is_over() const {
    double reserve = std::min(kFinalShare * options_.budget, kFinalSeconds);
    return is_interrupted() || now() > options_.budget - reserve;
  }

  void log(const std::string& text) const {
    if (options_.log) options_.log(fmt::format("[{:.0f}s] {}", now(), text));
  }

  // --- one candidate ---

  double time_once(const Entry& entry, i64 batch = 1) const {
    double begin = options_.clock();
    for (i64 i = 0; i < batch; ++i) workload_.run(entry.candidate);
    return (options_.clock() - begin) / static_cast<double>(batch);
  }

  Expected<void> begin(const Config& first) {
    auto candidate = workload_.compile(first);
    if (!candidate) return std::unexpected(candidate.error());
    default_ = {first, *candidate, kFailed, 0};
    if (auto checked = workload_.check(default_.candidate); !checked) return checked;
    std::vector<double> samples;
    for (i64 i = 0; i < kMinRounds; ++i) samples.push_back(time_once(default_));
    default_.seconds = median_of(samples);
    best_ = default_;
    finalists_ = {default_};
    return {};
  }

  // Times `entry` in turns with the best so far; sets its seconds on the best's scale.
  void time_against_best(Entry& entry) {
    double first = time_once(entry);
    entry.seconds = first;
    if (first > kHopeless * best_.seconds && first > kShortestSample) return;
    double both = first + best_.seconds;
    i64 rounds = std::clamp(static_cast<i64>(kRoundSeconds / both), kMinRounds, kMaxRounds);
    std::vector<double> mine, its;
    double ratio = 1;
    for (double limit : {kBehind, 1.0, 0.0}) {  // more rounds only for what may win
      time_in_turns(entry, limit == kBehind ? kMinRounds : rounds, mine, its);
      ratio = median_of(mine) / median_of(its);
      if (ratio > limit) break;
    }
    entry.seconds = ratio * best_.seconds;
    if (ratio < 1 - noise_of(mine, its)) best_ = entry;
  }

  void time_in_turns(const Entry& entry, i64 rounds, std::vector<double>& mine,
                     std::vector<double>& its) const {
    i64 batch = batch_of(best_.seconds);
    for (i64 r = 0; r < rounds; ++r) {
      its.push_back(time_once(best_, batch));
      mine.push_back(time_once(entry, batch));
    }
  }

  static i64 batch_of(double seconds) {
    if (seconds >= kShortestSample) return 1;
    return static_cast<i64>(std::ceil(kShortestSample / std::max(seconds, 1e-9)));
  }

  // By how much medians of such samples may differ by chance, as a fraction.
  static double noise_of(const std::vector<double>& a, const std::vector<double>& b) {
    double noise = kMinNoise;
    for (const auto& samples : {a, b}) {
      Timing timing = summarise(samples);
      double spread = (timing.high - timing.low) / std::max(timing.median, 1e-12);
      noise = std::max(noise, spread / std::sqrt(static_cast<double>(samples.size())));
    }
    return noise;
  }

  // --- a generation ---

  std::vector<Measurement> measure_all(const std::vector<Config>& configs, i64 generation) {
    std::vector<Measurement> measured;
    for (std::size_t at = 0; at < configs.size() && !is_over(); at += kBatch) {
      std::size_t end = std::min(configs.size(), at + kBatch);
      std::vector<Expected<Workload::Candidate>> compiled = compile(configs, at, end);
      for (std::size_t i = at; i < end && !is_over(); ++i) {
        measured.push_back(measure(configs[i], compiled[i - at]));
        show_progress(generation, i + 1, configs.size());
      }
    }
    return measured;
  }

  std::vector<Expected<Workload::Candidate>> compile(const std::vector<Config>& configs,
                                                     std::size_t begin, std::size_t end) {
    std::vector<Expected<Workload::Candidate>> compiled(end - begin);
    std::atomic<std::size_t> next = begin;
    auto work = [&] {
      for (std::size_t i = next++; i < end; i = next++) {
        compiled[i - begin] = workload_.compile(configs[i]);
      }
    };
    std::vector<std::thread> helpers;
    for (i64 t = 1; t < options_.compile_threads; ++t) helpers.emplace_back(work);
    work();
    for (std::thread& helper : helpers) helper.join();
    return compiled;
  }

  Measurement measure(const Config& config, const Expected<Workload::Candidate>& candidate) {
    ++outcome_.searched;
    Entry entry{config, candidate ? *candidate : nullptr, kFailed, outcome_.searched};
    Expected<void> good = candidate ? workload_.check(entry.candidate)
                                    : Expected<void>(std::unexpected(candidate.error()));
    if (good) {
      time_against_best(entry);
      keep(entry);
    } else {
      ++outcome_.failed;
      log(fmt::format("skipped ({}: {}): {}", good.error().code, good.error().message,
                      space::print_config(config)));
    }
    outcome_.history.push_back({config, entry.seconds});
    return outcome_.history.back();
  }

  // Keeps the fastest few; the others' code is dropped.
  void keep(const Entry& entry) {
    if (entry.config == default_.config) return;
    finalists_.push_back(entry);
    auto by_time = [](const Entry& a, const Entry& b) { return a.seconds < b.seconds; };
    std::stable_sort(finalists_.begin() + 1, finalists_.end(), by_time);
    if (static_cast<i64>(finalists_.size()) > options_.finalists + 1) finalists_.pop_back();
  }

  void show_progress(i64 generation, std::size_t done, std::size_t all) const {
    if (!options_.progress) return;
    options_.progress(fmt::format("[{:.0f}s] generation {}: {}/{}, best {} (default {}), {} failed",
                                  now(), generation, done, all, print_seconds(best_.seconds),
                                  print_seconds(default_.seconds), outcome_.failed));
  }

  void log_generation(i64 generation, const std::vector<Measurement>& measured) const {
    std::vector<double> times;
    for (const Measurement& measurement : measured) {
      if (measurement.seconds != kFailed) times.push_back(measurement.seconds);
    }
    std::ranges::sort(times);
    std::string text = fmt::format("Generation {} complete: error={} ok={}", generation,
                                   measured.size() - times.size(), times.size());
    if (!times.empty()) {
      text += fmt::format(" min={} mid={} max={}", print_seconds(times.front()),
                          print_seconds(times[times.size() / 2]), print_seconds(times.back()));
    }
    log(fmt::format("{} best={}", text, space::print_config(best_.config)));
  }

  // --- the end ---

  // The finalists in turns; the first (the default) and then the earlier found win ties.
  void finish() {
    outcome_.interrupted = is_interrupted();
    outcome_.best = best_.config;
    outcome_.seconds = best_.seconds;
    outcome_.default_seconds = default_.seconds;
    if (!outcome_.interrupted && finalists_.size() > 1) run_final_round();
    outcome_.elapsed = now();
  }

  void run_final_round() {
    std::ranges::stable_sort(finalists_, {}, &Entry::number);
    log(fmt::format("Final selection: {} finalists", finalists_.size()));
    double end = std::min(options_.budget, now() + kFinalSeconds);
    i64 batch = batch_of(best_.seconds);
    std::vector<std::vector<double>> samples(finalists_.size());
    for (i64 r = 0; r < kFinalRounds && !is_interrupted(); ++r) {
      if (r >= kMinRounds && now() > end) break;
      for (std::size_t i = 0; i < finalists_.size(); ++i) {
        samples[i].push_back(time_once(finalists_[i], batch));
      }
    }
    if (samples[0].empty()) return;
    std::size_t winner = 0;
    for (std::size_t i = 1; i < finalists_.size(); ++i) {
      double ratio = median_of(samples[i]) / median_of(samples[winner]);
      if (ratio < 1 - noise_of(samples[i], samples[winner])) winner = i;
    }
    outcome_.best = finalists_[winner].config;
    outcome_.seconds = median_of(samples[winner]);
    outcome_.default_seconds = median_of(samples[0]);
  }

  Strategy& strategy_;
  Workload& workload_;
  const SessionOptions& options_;
  double start_;
  Entry default_, best_;
  std::vector<Entry> finalists_;  // the default first, then the fastest
  Outcome outcome_;
};

}  // namespace

Expected<Outcome> tune(Strategy& strategy, const Config& first, Workload& workload,
                       const SessionOptions& options) {
  return Session(strategy, workload, options).run(first);
}

std::string completion_text(const Outcome& outcome, bool static_shapes) {
  return fmt::format(
      "Autotuning {} in {:.1f}s after searching {} configs.\n"
      "One can hardcode the best config and skip autotuning with:\n"
      "    @helion.kernel(config={}, static_shapes={})",
      outcome.interrupted ? "interrupted" : "complete", outcome.elapsed, outcome.searched,
      space::print_config(outcome.best), static_shapes ? "True" : "False");
}

}  // namespace peri::tune
