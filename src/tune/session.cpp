#include "tune/session.h"

#include <fmt/format.h>

#include <unistd.h>
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "space/config.h"
#include "tune/race.h"

namespace peri::tune {

namespace {

constexpr double kHopeless = 1.5;  // slower than the best by this: one pair says enough
constexpr double kShortestSample = 100e-6;
constexpr i64 kConfirmRounds = 6;
constexpr double kControlSeconds = 0.25;
constexpr i64 kControlPairs = 8;
constexpr double kFinalShare = 0.1;  // of the budget, for the final round
constexpr double kFinalSeconds = 2;  // at most
constexpr i64 kFinalRounds = 400;
constexpr i64 kFinalTurns = 4;    // at once; as many there as back, so that a drift cancels
constexpr i64 kPruneRounds = 12;  // between looks for finalists that are slower
// A group of pairs is repeated when most of a quarter of the incumbent's timings are this much
// slower than its fastest: single outliers do not move medians.
constexpr double kUnsteady = 1.3;
constexpr i64 kRepeats = 2;
constexpr double kLeastWin = 0.005;  // a race that can bring no more than this ends
constexpr double kHangFactor = 30;   // of the default's time
constexpr double kHungTimes = 1000;  // the default's time: what takes longer is taken to hang
constexpr i64 kLeastHistory = 40;    // trials before a search may end for want of gain

class Session {
 public:
  Session(Strategy& strategy, Bench& bench, const SessionOptions& options, Record record)
      : strategy_(strategy),
        bench_(bench),
        options_(options),
        record_(std::move(record)),
        start_(options.clock()) {
    record_.confidence = Race::kConfidence;
  }

  Expected<Record> run(const Config& first) {
    if (auto begun = begin(first); !begun) {
      if (!is_interrupted()) return std::unexpected(begun.error());
      return interrupted_early(first);
    }
    for (i64 generation = 0; !is_over(); ++generation) {
      std::vector<Proposal> proposals = strategy_.propose();
      if (proposals.empty()) record_.stopped = "nothing left to try";
      if (proposals.empty()) break;
      log_start(generation, proposals.size());
      strategy_.report(measure_all(proposals, generation));
      log_generation(generation);
    }
    if (bench_.failure()) return std::unexpected(*bench_.failure());
    finish();
    return std::move(record_);
  }

 private:
  // Before anything was timed: all there is is the default.
  Record interrupted_early(const Config& first) {
    trials().resize(1);
    trials()[0].config = first;
    trials()[0].origin = "default";
    record_.stopped = "interrupted";
    record_.interrupted = true;
    record_.elapsed = now();
    return std::move(record_);
  }

  // --- time ---

  double now() const { return options_.clock() - start_; }
  double budget() const { return options_.budget > 0 ? options_.budget : options_.most_seconds; }
  double final_seconds() const { return std::min(kFinalShare * budget(), kFinalSeconds); }
  bool is_interrupted() const { return options_.is_interrupted && options_.is_interrupted(); }

  bool is_over() {
    if (!record_.stopped.empty()) return true;
    if (bench_.failure()) {
      record_.stopped = "no worker";
    } else if (is_interrupted()) {
      record_.stopped = "interrupted";
    } else if (now() > budget() - final_seconds()) {
      record_.stopped = options_.budget > 0 ? "budget" : "time limit";
    } else if (options_.budget <= 0 && options_.expected_gain &&
               static_cast<i64>(history_.size()) >= kLeastHistory &&
               options_.expected_gain(history_) < options_.least_gain) {
      record_.stopped =
          fmt::format("the expected gain is below {:.3g} %", 100 * options_.least_gain);
    }
    return !record_.stopped.empty();
  }

  // Seconds after which one call, or several, are taken to hang.
  double limit_of(double expected) const {
    return options_.hang_seconds + kHangFactor * std::max(expected, trials()[0].seconds);
  }

  // A call that was ended at its limit, `times` the default's time, may have been on its way.
  Verdict judge(Verdict verdict, double times) const {
    if (verdict.status != Status::Hung || times >= kHungTimes) return verdict;
    verdict.status = Status::TooSlow;
    verdict.reason = fmt::format("more than {:.0f} x the default's {}", std::floor(times),
                                 print_seconds(trials()[0].seconds));
    return verdict;
  }

  // --- the default ---

  std::vector<Trial>& trials() { return record_.trials; }
  const std::vector<Trial>& trials() const { return record_.trials; }

  Expected<void> begin(const Config& first) {
    double started = now();
    auto accuracy = bench_.trust(first, false);
    if (!accuracy) return std::unexpected(accuracy.error());
    record_.accuracy = *accuracy;
    Trial& standard = trials().emplace_back();
    standard.config = first;
    standard.origin = "default";
    standard.compile_seconds = now() - started;
    record_.compile_time += standard.compile_seconds;
    predict(standard);
    TimeRequest probe{.ids = {0}, .rounds = 3, .cold = options_.cold, .limit = 600};
    started = now();
    TimeResult probed = bench_.time(probe);
    record_.timing_time += now() - started;
    if (!probed.verdict.ok()) return failed_default(probed.verdict);
    standard.seconds = median_of(probed.samples[0]);
    return run_control();
  }

  static Expected<void> failed_default(const Verdict& verdict) {
    return fail("default-crashed", fmt::format("the default config failed: {}", verdict.reason),
                "this is a bug of the compiler: please report it with the kernel");
  }

  // The default against itself: how much timings of one thing differ.
  Expected<void> run_control() {
    Trial& standard = trials()[0];
    double one = standard.seconds * static_cast<double>(batch_of(standard.seconds));
    double seconds = std::min(kControlSeconds, 0.03 * budget());
    i64 rounds = std::clamp(static_cast<i64>(seconds / (2 * one)), i64{3}, kControlPairs);
    TimeResult control = time({0, 0}, rounds);
    if (!control.verdict.ok()) return failed_default(control.verdict);
    record_.noise = Race::noise_of(control.samples[0], control.samples[1]);
    standard.samples = control.samples[0];
    standard.samples.insert(standard.samples.end(), control.samples[1].begin(),
                            control.samples[1].end());
    standard.seconds = median_of(standard.samples);
    scale_error_ = 2 * record_.noise / std::sqrt(static_cast<double>(standard.samples.size()));
    standard.low = standard.seconds * std::exp(-scale_error_);
    standard.high = standard.seconds * std::exp(scale_error_);
    standard.at = now();
    history_.push_back({standard.config, standard.seconds});
    finalists_ = {0};
    if (options_.on_trial) options_.on_trial(standard, 0);
    return {};
  }

  // --- timing ---

  static i64 batch_of(double seconds) {
    if (seconds >= kShortestSample) return 1;
    return static_cast<i64>(std::ceil(kShortestSample / std::max(seconds, 1e-9)));
  }

  TimeResult time(std::vector<i64> ids, i64 rounds) {
    double begin = now();
    i64 batch = options_.cold ? 1 : batch_of(trials()[best_].seconds);
    double calls = static_cast<double>(rounds * batch * static_cast<i64>(ids.size()));
    TimeRequest request{.ids = std::move(ids),
                        .rounds = rounds,
                        .batch = batch,
                        .cold = options_.cold,
                        .limit = limit_of(calls * trials()[best_].seconds)};
    if (options_.cold) request.limit += 0.1 * calls;
    TimeResult result = bench_.time(request);
    result.verdict =
        judge(std::move(result.verdict), request.limit / (calls * trials()[0].seconds));
    record_.timing_time += now() - begin;
    return result;
  }

  // Pairs of the best and `number`, added to `race`; again where the machine was unsteady, until
  // `end`.
  Verdict add_pairs(Race& race, i64 number, i64 rounds, double end) {
    for (i64 repeat = 0;; ++repeat) {
      TimeResult result = time({best_, number}, rounds);
      if (!result.verdict.ok()) return result.verdict;
      const std::vector<double>&its = result.samples[0], &mine = result.samples[1];
      double low = std::ranges::min(its), high = summarise(its).high;
      bool is_unsteady = high > kUnsteady * low && high > 5 * kShortestSample;
      if (is_unsteady) ++record_.drifts;
      if (is_unsteady && repeat < kRepeats && now() < end) continue;
      for (i64 i = 0; i < rounds; ++i) race.add(mine[i], its[i]);
      Trial& trial = trials()[number];
      trial.samples.insert(trial.samples.end(), mine.begin(), mine.end());
      return {};
    }
  }

  // Times trial `number` against the best for as long as it takes.
  void race_against_best(i64 number) {
    Race race(record_.noise);
    double end = now() + options_.race_seconds;
    Verdict verdict = add_pairs(race, number, 1, end);
    bool hopeless = verdict.ok() && race.ratio() > kHopeless;
    for (i64 look = 0; verdict.ok() && !hopeless && look < Race::kLooks; ++look) {
      if (look > 0 && (now() > end || is_interrupted())) break;
      verdict = add_pairs(race, number, race.next_look() - race.pairs(), end);
      if (race.result() != Race::Result::Open) break;
      if (!race.may_gain(kLeastWin) || race.is_futile()) break;
    }
    Trial& trial = trials()[number];
    if (!verdict.ok()) return mark_failed(trial, verdict);
    trial.seconds = race.ratio() * trials()[best_].seconds;
    double error = std::hypot(scale_error_, std::log(race.high() / race.ratio()));
    trial.low = trial.seconds * std::exp(-error);
    trial.high = trial.seconds * std::exp(error);
    if (race.result() == Race::Result::Faster) crown(number);
    if (trial.status == Status::Ok) keep(number);
  }

  // A candidate that won becomes the best if it wins again. Both are timed with the default, which
  // gives the scale: chance that helped in the race does not add up from one best to the next.
  void crown(i64 number) {
    std::vector<i64> ids{0, best_, number};
    if (best_ == 0) ids.erase(ids.begin());
    TimeResult again = time(ids, kConfirmRounds);
    Trial& trial = trials()[number];
    if (!again.verdict.ok()) return mark_failed(trial, again.verdict);
    const std::vector<double>&standard = again.samples.front(), &mine = again.samples.back();
    Race to_default = race_of(mine, standard);
    trial.seconds = to_default.ratio() * trials()[0].seconds;
    double error = std::log(to_default.high() / to_default.ratio());
    trial.low = trial.seconds * std::exp(-error);
    trial.high = trial.seconds * std::exp(error);
    if (race_of(mine, again.samples[ids.size() - 2]).ratio() >= 1) return;
    best_ = number;
    scale_error_ = error;
  }

  // --- trials ---

  static void mark_failed(Trial& trial, const Verdict& verdict) {
    trial.status = verdict.status;
    trial.reason = verdict.reason;
    trial.seconds = trial.low = trial.high = kFailed;
  }

  void predict(Trial& trial) const {
    if (options_.predict) trial.predicted = options_.predict(trial.config);
  }

  std::vector<Measurement> measure_all(const std::vector<Proposal>& proposals, i64 generation) {
    std::vector<Measurement> measured;
    const auto batch = static_cast<std::size_t>(std::max<i64>(options_.batch, 1));
    for (std::size_t at = 0; at < proposals.size() && !is_over(); at += batch) {
      std::size_t end = std::min(proposals.size(), at + batch);
      std::vector<i64> numbers;
      for (std::size_t i = at; i < end; ++i) {
        if (proposals[i].config == trials()[0].config) {  // measured before the search
          measured.push_back({trials()[0].config, trials()[0].seconds});
        } else {
          numbers.push_back(add_trial(proposals[i], generation));
        }
      }
      compile(numbers);
      for (i64 number : numbers) {
        if (is_over()) break;
        measure(number);
        measured.push_back({trials()[number].config, trials()[number].seconds});
      }
    }
    trials().resize(history_.size());  // what was compiled and not measured any more
    return measured;
  }

  i64 add_trial(const Proposal& proposal, i64 generation) {
    i64 number = static_cast<i64>(trials().size());
    Trial& trial = trials().emplace_back();
    trial.config = proposal.config;
    trial.origin = proposal.origin;
    trial.generation = generation;
    trial.status = Status::Skipped;
    predict(trial);
    if (auto bad = options_.quarantine.find(trial.config.dump());
        bad != options_.quarantine.end()) {
      trial.reason = bad->second;
    }
    return number;
  }

  void compile(const std::vector<i64>& numbers) {
    std::vector<Build> builds;
    for (i64 number : numbers) {
      const Trial& trial = trials()[number];
      if (trial.reason.empty()) builds.push_back({number, trial.config});
    }
    if (builds.empty()) return;
    double begin = now();
    std::vector<Verdict> verdicts = bench_.compile(builds);
    record_.compile_time += now() - begin;
    for (std::size_t i = 0; i < builds.size(); ++i) {
      Trial& trial = trials()[builds[i].id];
      trial.compile_seconds = verdicts[i].seconds;
      trial.status = Status::Ok;
      if (!verdicts[i].ok()) mark_failed(trial, verdicts[i]);
    }
    progress_.compiled += static_cast<i64>(builds.size());
  }

  void measure(i64 number) {
    Trial& trial = trials()[number];
    if (trial.status == Status::Ok) {
      double begin = now();
      const double limit = limit_of(0);
      Verdict verdict = judge(bench_.check(number, limit), limit / trials()[0].seconds);
      record_.timing_time += now() - begin;
      if (verdict.ok()) {
        race_against_best(number);
      } else {
        mark_failed(trial, verdict);
      }
      ++progress_.timed;
    }
    finish_trial(number);
  }

  void finish_trial(i64 number) {
    Trial& trial = trials()[number];
    trial.at = now();
    if (trial.status != Status::Ok) {
      ++progress_.failed;
      log(fmt::format("skipped ({}: {}): {}", status_name(trial.status), trial.reason,
                      space::print_config(trial.config)));
    }
    history_.push_back({trial.config, trial.seconds});
    if (options_.on_trial) options_.on_trial(trial, number);
    show_progress(trial.generation);
  }

  // The fastest few stay built, and the default.
  void keep(i64 number) {
    finalists_.push_back(number);
    std::stable_sort(finalists_.begin() + 1, finalists_.end(),
                     [this](i64 a, i64 b) { return trials()[a].seconds < trials()[b].seconds; });
    auto most = static_cast<std::size_t>(options_.finalists) + 1;
    std::vector<i64> dropped;
    while (finalists_.size() > most) {
      auto last = finalists_.end() - 1;
      if (*last == best_) --last;  // its interval may lie above a tie's
      dropped.push_back(*last);
      finalists_.erase(last);
    }
    if (!dropped.empty()) bench_.drop(dropped);
  }

  // --- what is said ---

  void log(const std::string& text) const {
    if (options_.log) options_.log(fmt::format("[{:.0f}s] {}", now(), text));
  }

  void log_start(i64 generation, std::size_t count) const {
    if (generation == 0) {
      log(fmt::format("Initial random population of {} configs", count));
    } else {
      log(fmt::format("Generation {} starting: {} neighbors", generation, count));
    }
  }

  void show_progress(i64 generation) {
    if (!options_.progress) return;
    progress_.elapsed = now();
    progress_.budget = options_.budget;
    progress_.generation = generation;
    progress_.best = trials()[best_].seconds;
    progress_.standard = trials()[0].seconds;
    options_.progress(progress_);
  }

  void log_generation(i64 generation) const {
    if (!options_.log) return;
    std::vector<double> times;
    for (std::size_t i = trials().size() - 1; i > 0 && trials()[i].generation == generation; --i) {
      times.push_back(trials()[i].seconds);
    }
    options_.log(generation_line(now(), generation, times, trials()[best_].config));
  }

  // --- the end ---

  void finish() {
    record_.interrupted = is_interrupted();
    record_.winner = best_;
    if (!record_.interrupted) run_final_round();
    if (bench_.failure()) record_.winner = best_;
    record_.elapsed = now();
  }

  // The finalists in turns, without those that turn out to be slower; the default, and then the
  // earlier found, wins ties.
  void run_final_round() {
    double all = 0;
    for (i64 finalist : finalists_) all += trials()[finalist].seconds;
    while (finalists_.size() > 2 && all * kFinalTurns > final_seconds()) {
      all -= trials()[finalists_.back()].seconds;
      finalists_.pop_back();
    }
    std::ranges::sort(finalists_);
    log(fmt::format("Final selection: {} finalists", finalists_.size()));
    double end =
        std::min(options_.budget > 0 ? options_.budget : HUGE_VAL, now() + final_seconds());
    std::vector<std::vector<double>> samples(finalists_.size());
    std::vector<std::size_t> racing;
    for (std::size_t i = 0; i < samples.size(); ++i) racing.push_back(i);
    i64 rounds = 0;
    while (rounds < kFinalRounds && !is_interrupted()) {
      if (rounds > 0 && now() > end) break;
      std::vector<i64> ids;
      for (std::size_t i : racing) ids.push_back(finalists_[i]);
      TimeResult result = time(ids, kFinalTurns);
      if (!result.verdict.ok()) break;
      for (std::size_t i = 0; i < racing.size(); ++i) {
        std::vector<double>& to = samples[racing[i]];
        to.insert(to.end(), result.samples[i].begin(), result.samples[i].end());
      }
      rounds += kFinalTurns;
      if (rounds % kPruneRounds == 0) drop_slower(samples, racing);
    }
    if (!samples[0].empty()) choose(samples, racing);
  }

  // Of those still racing; the default stays, for the gain to be told.
  void drop_slower(const std::vector<std::vector<double>>& samples,
                   std::vector<std::size_t>& racing) const {
    std::size_t leader =
        *std::ranges::min_element(racing, {}, [&](std::size_t i) { return median_of(samples[i]); });
    std::erase_if(racing, [&](std::size_t i) {
      return i != 0 && race_of(samples[i], samples[leader]).result() == Race::Result::Slower;
    });
  }

  Race race_of(const std::vector<double>& mine, const std::vector<double>& its) const {
    Race race(record_.noise);
    for (std::size_t i = 0; i < std::min(mine.size(), its.size()); ++i) race.add(mine[i], its[i]);
    return race;
  }

  void choose(const std::vector<std::vector<double>>& samples,
              const std::vector<std::size_t>& racing) {
    std::size_t winner = 0;
    for (std::size_t i : racing) {
      if (race_of(samples[i], samples[winner]).result() == Race::Result::Faster) winner = i;
    }
    i64 second = -1;
    for (std::size_t i = 0; i < samples.size(); ++i) {
      double middle = median_of(samples[i]);
      Race race = race_of(samples[i], samples[winner]);
      double error = race.high() / race.ratio();
      record_.finalists.push_back(
          {finalists_[i], middle, middle / error, middle * error, samples[i]});
      if (i == winner) continue;
      if (second < 0 || middle < record_.finalists[second].seconds) second = static_cast<i64>(i);
    }
    record_.winner = finalists_[winner];
    if (second < 0) return;
    record_.runner_up = finalists_[second];
    record_.tie = race_of(samples[second], samples[winner]).result() == Race::Result::Open;
  }

  Strategy& strategy_;
  Bench& bench_;
  const SessionOptions& options_;
  Record record_;
  double start_;
  i64 best_ = 0;
  double scale_error_ = 0;      // of the best's seconds, in logs: others are measured by it
  std::vector<i64> finalists_;  // the default first, then the fastest
  std::vector<Measurement> history_;
  Progress progress_;
};

}  // namespace

Expected<Record> tune(Strategy& strategy, const Config& first, Bench& bench,
                      const SessionOptions& options, Record record) {
  return Session(strategy, bench, options, std::move(record)).run(first);
}

double seconds_of(const Record& record, i64 trial) {
  for (const Finalist& finalist : record.finalists) {
    if (finalist.trial == trial) return finalist.seconds;
  }
  return record.trials[trial].seconds;
}

i64 count_failures(const Record& record) {
  return std::ranges::count_if(record.trials,
                               [](const Trial& trial) { return trial.status != Status::Ok; });
}

std::string completion_text(const Record& record) {
  return fmt::format(
      "Autotuning {} in {:.1f}s after searching {} configs.\n"
      "One can hardcode the best config and skip autotuning with:\n"
      "    @helion.kernel(config={}, static_shapes={})",
      record.interrupted ? "interrupted" : "complete", record.elapsed, record.trials.size() - 1,
      space::print_config(record.trials[record.winner].config),
      record.static_shapes ? "True" : "False");
}

}  // namespace peri::tune
