#include "tune/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "space/config.h"
#include "tune/final_round.h"
#include "tune/race.h"
#include "tune/stopping.h"
#include "tune/time_budget.h"

namespace peri::tune {

namespace {

constexpr double kHopeless = 1.5;  // slower than the best by this: one pair says enough
constexpr double kShortestSample = 100e-6;
constexpr i64 kConfirmRounds = 6;
constexpr double kControlSeconds = 0.25;
constexpr i64 kControlPairs = 8;
constexpr double kDefaultSeconds = 60;  // for the default, where the budget is less
constexpr double kProbeShare = 0.01;    // of the budget: what the default takes is timed again
constexpr double kControlShare = 0.2;   // of the budget: control pairs take no more
constexpr double kUnknownNoise = 0.05;  // where there is no time for control pairs
// A group of pairs is repeated when most of a quarter of the incumbent's timings are this much
// slower than its fastest: single outliers do not move medians.
constexpr double kUnsteady = 1.3;
constexpr i64 kRepeats = 2;
constexpr double kLeastWin = 0.005;  // a race that can bring no more than this ends
constexpr double kHangFactor = 30;   // of the default's time
constexpr double kHungTimes = 1000;  // the default's time: what takes longer is taken to hang
constexpr double kPatience = 0.05;   // seconds for a compile, until time is looked at
constexpr std::size_t kBacklog = 4;  // configs to be measured beyond which no more are asked for

class Session {
 public:
  Session(Strategy& strategy, std::span<Bench* const> benches, Builder& builder,
          const SessionOptions& options, Record record)
      : strategy_(strategy),
        builder_(builder),
        options_(options),
        record_(std::move(record)),
        time_(options.clock, options.budget > 0 ? options.budget : options.most_seconds,
              options.final_share, options.final_seconds) {
    record_.confidence = Race::kConfidence;
    for (Bench* bench : benches) lanes_.emplace_back(*bench, mutex_);
  }

  Expected<Record> run(const Config& first) {
    Trial& standard = trials().emplace_back();
    standard.config = first;
    standard.origin = options_.first_origin;
    predict(standard);
    end_by(default_end());
    if (auto begun = begin(); !begun) {
      if (is_interrupted()) return fail("interrupted", "interrupted before anything was timed");
      return std::unexpected(begun.error());
    }
    end_by(time_.seconds());
    search_in_all_lanes();
    for (const auto& [generation, left] : left_) log_generation(generation);
    builder_.abandon();
    note_loss();
    finish();
    return std::move(record_);
  }

 private:
  // --- lanes ---

  // A bench, and the thread that uses it: the caller's for the first. Whoever looks at the session
  // has the lock; the bench is used without, so that others go on.
  struct Lane {
    Lane(Bench& b, std::mutex& mutex) : bench(b), lock(mutex, std::defer_lock) {}
    Bench& bench;
    std::unique_lock<std::mutex> lock;
    std::set<i64> loaded = {0};  // trials, for a builder beside timing
    std::vector<i64> dropped;    // ids that the bench need not keep
    bool is_lost = false;
  };

  template <class Call>
  static auto unlocked(Lane& lane, Call call) {
    lane.lock.unlock();
    auto result = call();
    lane.lock.lock();
    return result;
  }

  bool is_lost() const { return std::ranges::all_of(lanes_, &Lane::is_lost); }

  // Without builder or bench a search ends; what was timed stays.
  void note_loss() {
    if (!is_lost() && !builder_.failure()) return;
    if (record_.stopped.empty()) record_.stopped = kNoWorker;
    const Error& why = is_lost() ? *lanes_[0].bench.failure() : *builder_.failure();
    log(fmt::format("the search ends early: {}", why.message));
  }

  void search_in_all_lanes() {
    std::vector<std::thread> threads;
    for (std::size_t i = 1; i < lanes_.size(); ++i) {
      threads.emplace_back([this, i] {
        lanes_[i].lock.lock();
        join(static_cast<i64>(i));
        search(lanes_[i]);
        lanes_[i].lock.unlock();
      });
    }
    lanes_[0].lock.lock();
    search(lanes_[0]);
    lanes_[0].lock.unlock();
    for (std::thread& thread : threads) thread.join();
  }

  // Of a lane but the first.
  void join(i64 index) {
    Lane& lane = lanes_[static_cast<std::size_t>(index)];
    const Build build{0, trials()[0].config, *default_code_};
    auto accuracy = unlocked(lane, [&] { return lane.bench.trust(build, false); });
    if (accuracy) return;
    lane.is_lost = true;
    log(fmt::format("device {} of {} is left out: {}", index + 1, lanes_.size(),
                    accuracy.error().message));
  }

  void search(Lane& lane) {
    while (!lane.is_lost && !is_over()) {
      if (!is_collecting_ && !refill() && record_.stopped.empty()) {
        record_.stopped = "nothing left to try";
      }
      if (!record_.stopped.empty()) break;
      collect(lane);
      if (!arrived_.empty() && !is_over()) measure_next(lane);
      lane.is_lost = lane.bench.failure().has_value();
      if (lane.is_lost && lanes_.size() > 1) {
        log(fmt::format("a device is lost: {}", lane.bench.failure()->message));
      }
    }
    came_.notify_all();
  }

  // What the lane's bench lacks of trials.
  Verdict load(Lane& lane, const std::vector<i64>& numbers) {
    if (!builder_.is_beside_timing()) return {};
    std::vector<Build> missing;
    for (i64 number : numbers) {
      if (!lane.loaded.insert(number).second) continue;
      missing.push_back({ids_[number], trials()[number].config, codes_.at(number)});
    }
    if (missing.empty()) return {};
    for (Verdict& verdict : unlocked(lane, [&] { return lane.bench.compile(missing); })) {
      if (!verdict.ok()) return std::move(verdict);
    }
    return {};
  }

  // Lanes that may be using it drop it later.
  void drop(i64 number) {
    codes_.erase(number);
    for (Lane& lane : lanes_) {
      if (lane.loaded.erase(number) > 0 || !builder_.is_beside_timing()) {
        lane.dropped.push_back(ids_[number]);
      }
    }
  }

  static void drop_in(Lane& lane) {
    if (!lane.dropped.empty()) lane.bench.drop(std::exchange(lane.dropped, {}));
  }

  // --- time ---

  double now() const { return time_.now(); }
  // There is no result without the default.
  double default_end() const { return std::max(time_.seconds(), kDefaultSeconds); }
  // No call takes longer than that, whatever its own limit.
  void end_by(double seconds) {
    for (Lane& lane : lanes_) lane.bench.end_by(time_.time_at(seconds));
  }
  bool is_interrupted() const { return options_.is_interrupted && options_.is_interrupted(); }

  const char* why_out_of_time() const { return options_.budget > 0 ? "budget" : "time limit"; }

  bool is_over() {
    if (!record_.stopped.empty()) return true;
    if (is_lost() || builder_.failure()) {
      record_.stopped = kNoWorker;
    } else if (is_interrupted()) {
      record_.stopped = "interrupted";
    } else if (!time_.leaves(0)) {
      record_.stopped = why_out_of_time();
    } else if (options_.budget <= 0 && !may_gain()) {
      const double percent = 100 * options_.least_gain;
      record_.stopped = fmt::format("the expected gain is below {:.3g} %", percent);
    }
    return !record_.stopped.empty();
  }

  bool may_gain() {
    if (!options_.expected_gain || history_.size() < kLeastHistory) return true;
    progress_.gain = options_.expected_gain(history_);
    return progress_.gain >= options_.least_gain;
  }

  // Seconds after which one call, or several, are taken to hang.
  double limit_of(double expected) const {
    return options_.hang_seconds + kHangFactor * std::max(expected, trials()[0].seconds);
  }

  // A call that was ended at its limit, `times` the default's time, may have been on its way.
  void judge(Verdict& verdict, double times) const {
    if (verdict.status != Status::Hung || times >= kHungTimes) return;
    verdict.status = Status::TooSlow;
    verdict.reason = fmt::format("more than {:.0f} x the default's {}", std::floor(times),
                                 print_seconds(trials()[0].seconds));
  }

  static Verdict& verdict_in(Verdict& verdict) { return verdict; }
  static Verdict& verdict_in(TimeResult& result) { return result.verdict; }

  // Of a request to the lane's bench whose calls may take `times` the default's time. What seems to
  // hang is asked for once more, if a disturbed machine may have made it slow.
  template <class Request>
  auto confirmed(Lane& lane, double times, Request request) const {
    for (bool is_again : {false, true}) {
      auto result = unlocked(lane, request);
      Verdict& verdict = verdict_in(result);
      judge(verdict, times);
      if (is_again || verdict.is_certain || verdict.status != Status::Hung) return result;
    }
    std::unreachable();
  }

  // --- the default ---

  std::vector<Trial>& trials() { return record_.trials; }
  const std::vector<Trial>& trials() const { return record_.trials; }

  Expected<void> begin() {
    double started = now();
    Build build{0, trials()[0].config};
    if (builder_.is_beside_timing()) {
      builder_.start(build);
      refill();  // its first proposals wait for nothing
      auto code = code_of_default();
      if (!code) return std::unexpected(code.error());
      build.code = *std::move(code);
    }
    Bench& bench = lanes_[0].bench;
    auto accuracy = bench.trust(build, false);
    if (!accuracy) return std::unexpected(accuracy.error());
    record_.accuracy = *accuracy;
    Trial& standard = trials()[0];
    standard.compile_seconds = now() - started;
    record_.compile_time += standard.compile_seconds;
    pace_.begin_with(standard.compile_seconds);
    started = now();
    auto probed = probe();
    record_.timing_time += now() - started;
    if (!probed) return probed;
    return run_control();
  }

  // What a call of the default takes, roughly.
  Expected<void> probe() {
    for (i64 rounds : {1, 3}) {
      TimeResult probed = lanes_[0].bench.time(
          {.ids = {0}, .rounds = rounds, .cold = options_.cold, .limit = default_end()});
      if (!probed.verdict.ok()) return std::unexpected(error_of_default(probed.verdict));
      trials()[0].seconds = median_of(probed.samples[0]);
      if (trials()[0].seconds > kProbeShare * time_.seconds()) break;
    }
    return {};
  }

  Expected<std::string> code_of_default() {
    for (;;) {
      for (Built& built : builder_.ready(kPatience)) {
        if (built.id != 0) {
          arrive(std::move(built));
        } else if (built.error) {
          return std::unexpected(*built.error);
        } else if (!built.verdict.ok()) {
          return std::unexpected(error_of_default(built.verdict));
        } else {
          default_code_ = std::move(built.code);
        }
      }
      if (default_code_) return *default_code_;
      if (builder_.failure()) return std::unexpected(*builder_.failure());
      if (is_interrupted()) return fail("interrupted", "the default config is being compiled");
      if (now() > default_end()) {
        return std::unexpected(error_of_default({Status::Skipped, "it is still being compiled"}));
      }
    }
  }

  Error error_of_default(const Verdict& verdict) const {
    if (lanes_[0].bench.failure()) return *lanes_[0].bench.failure();
    const std::string_view name =
        is_listed(trials()[0]) ? "the first config of the list" : "the default config";
    if (verdict.status == Status::Skipped) {
      return {"default-too-slow", fmt::format("{} gave no result: {}", name, verdict.reason),
              "give more seconds with --budget"};
    }
    return {"default-crashed", fmt::format("{} failed: {}", name, verdict.reason),
            "this is a bug of the compiler: please report it with the kernel"};
  }

  // The default against itself: how much timings of one thing differ.
  Expected<void> run_control() {
    Trial& standard = trials()[0];
    const double pair = 2 * standard.seconds * static_cast<double>(batch_of(standard.seconds));
    const double seconds = std::min(kControlSeconds, 0.03 * time_.seconds());
    i64 rounds = std::clamp(static_cast<i64>(seconds / pair), i64{3}, kControlPairs);
    if (pair * static_cast<double>(rounds) > kControlShare * time_.seconds()) rounds = 1;
    record_.noise = kUnknownNoise;
    standard.samples = {standard.seconds};
    if (time_.leaves(pair * static_cast<double>(rounds))) {
      if (auto timed = time_pairs(rounds); !timed) return timed;
    }
    scale_error_ = 2 * record_.noise / std::sqrt(static_cast<double>(standard.samples.size()));
    set_interval(standard, scale_error_);
    standard.at = now();
    history_.push_back({standard.config, standard.seconds});
    finalists_ = {0};
    if (options_.on_trial) options_.on_trial(standard, 0);
    return {};
  }

  // Of the default with itself.
  Expected<void> time_pairs(i64 rounds) {
    Lane& lane = lanes_[0];
    lane.lock.lock();
    TimeResult control = time(lane, {0, 0}, rounds);
    lane.lock.unlock();
    if (!control.verdict.ok()) return std::unexpected(error_of_default(control.verdict));
    if (rounds > 1) record_.noise = Race::noise_of(control.samples[0], control.samples[1]);
    Trial& standard = trials()[0];
    standard.samples = control.samples[0];
    standard.samples.insert(standard.samples.end(), control.samples[1].begin(),
                            control.samples[1].end());
    standard.seconds = median_of(standard.samples);
    return {};
  }

  // --- timing ---

  static i64 batch_of(double seconds) {
    if (seconds >= kShortestSample) return 1;
    return static_cast<i64>(std::ceil(kShortestSample / std::max(seconds, 1e-9)));
  }

  // Of several lanes the mean.
  void add_timing(double begin) {
    record_.timing_time += (now() - begin) / static_cast<double>(lanes_.size());
  }

  // Of trials, each timed so many times, at least.
  double seconds_for(const std::vector<i64>& numbers, i64 rounds) const {
    double seconds = 0;
    for (i64 number : numbers) seconds += trials()[number].seconds;
    const i64 batch = options_.cold ? 1 : batch_of(trials()[best_].seconds);
    return seconds * static_cast<double>(rounds * batch);
  }

  // `numbers`: of trials.
  TimeResult time(Lane& lane, const std::vector<i64>& numbers, i64 rounds) {
    double begin = now();
    i64 batch = options_.cold ? 1 : batch_of(trials()[best_].seconds);
    double calls = static_cast<double>(rounds * batch * static_cast<i64>(numbers.size()));
    std::vector<i64> ids;
    for (i64 number : numbers) ids.push_back(ids_[number]);
    TimeRequest request{.ids = std::move(ids),
                        .rounds = rounds,
                        .batch = batch,
                        .cold = options_.cold,
                        .limit = limit_of(calls * trials()[best_].seconds)};
    if (options_.cold) request.limit += 0.1 * calls;
    TimeResult result = confirmed(lane, request.limit / (calls * trials()[0].seconds),
                                  [&] { return lane.bench.time(request); });
    add_timing(begin);
    return result;
  }

  // Pairs of `rival` and `number`, added to `race`; again where the machine was unsteady, until
  // `end`.
  Verdict add_pairs(Lane& lane, Race& race, std::pair<i64, i64> pair, i64 rounds, double end) {
    const auto [rival, number] = pair;
    for (i64 repeat = 0;; ++repeat) {
      TimeResult result = time(lane, {rival, number}, rounds);
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

  // Times trial `number` against the best until it is clear that it is not faster, or it has become
  // the best: another lane may find a better one meanwhile.
  void race_against_best(Lane& lane, i64 number) {
    bool is_settled = false;
    while (!is_settled) {
      const i64 rival = best_;
      is_settled = !beats(lane, number, rival) || crown(lane, number, rival);
    }
    if (trials()[number].status == Status::Ok) keep(number);
  }

  // For as long as it takes.
  bool beats(Lane& lane, i64 number, i64 rival) {
    const double rival_error = scale_error_;
    Race race(record_.noise);
    double end = now() + options_.race_seconds;
    Verdict verdict = load(lane, {rival});
    if (verdict.ok()) verdict = add_pairs(lane, race, {rival, number}, 1, end);
    bool hopeless = verdict.ok() && race.ratio() > kHopeless;
    for (i64 look = 0; verdict.ok() && !hopeless && look < Race::kLooks; ++look) {
      if (look > 0 && (now() > end || is_interrupted())) break;
      const i64 rounds = race.next_look() - race.pairs();
      if (!time_.leaves((1 + race.ratio()) * seconds_for({rival}, rounds))) break;
      verdict = add_pairs(lane, race, {rival, number}, rounds, end);
      if (race.result() != Race::Result::Open) break;
      if (!race.may_gain(kLeastWin) || race.is_futile()) break;
    }
    Trial& trial = trials()[number];
    if (!verdict.ok()) {
      mark_failed(trial, verdict);
      return false;
    }
    set_seconds(trial, race, rival, rival_error);
    if (auto noise = recent_noise_.note(race)) record_.noise = *noise;
    return race.result() == Race::Result::Faster;
  }

  // A candidate that won becomes the best if it wins again. Both are timed with the default, which
  // gives the scale: chance that helped in the race does not add up from one best to the next.
  // False if the best is no longer the rival that it won against.
  bool crown(Lane& lane, i64 number, i64 rival) {
    std::vector<i64> numbers{0, rival, number};
    if (rival == 0) numbers.erase(numbers.begin());
    if (!time_.leaves(seconds_for(numbers, kConfirmRounds))) return true;
    TimeResult again = time(lane, numbers, kConfirmRounds);
    Trial& trial = trials()[number];
    if (again.verdict.status == Status::Skipped) return true;  // its race is what is known
    if (!again.verdict.ok()) {
      mark_failed(trial, again.verdict);
      return true;
    }
    const std::vector<double>&standard = again.samples.front(), &mine = again.samples.back();
    const double error = set_seconds(trial, race_of(mine, standard), 0, 0);
    if (race_of(mine, again.samples[numbers.size() - 2]).ratio() >= 1) return true;
    if (best_ != rival) return false;
    best_ = number;
    scale_error_ = error;
    return true;
  }

  // By its race against a trial, whose own seconds have an error. Gives that of these, in logs.
  double set_seconds(Trial& trial, const Race& race, i64 rival, double rival_error) {
    trial.seconds = race.ratio() * trials()[rival].seconds;
    const double error = std::hypot(rival_error, std::log(race.high() / race.ratio()));
    set_interval(trial, error);
    return error;
  }

  static void set_interval(Trial& trial, double error) {
    trial.low = trial.seconds * std::exp(-error);
    trial.high = trial.seconds * std::exp(error);
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

  // --- from proposals to measurements ---

  // A proposal that is being compiled, or has been.
  struct Candidate {
    i64 id = 0;  // of the builder and the bench
    Trial trial;
    std::string code;
  };

  std::size_t under_way() const { return started_.size() + arrived_.size() + measuring_; }

  // In turns with timing, a batch is compiled when all of the one before is measured. Beside it, as
  // many are compiled as can be, unless timing does not keep up.
  bool has_room() const {
    if (!builder_.is_beside_timing()) return under_way() == 0;
    return static_cast<i64>(started_.size()) < options_.batch &&
           arrived_.size() < kBacklog * lanes_.size();
  }

  // Starts what is to be compiled next. False when nothing is left to try.
  bool refill() {
    while (has_room() && record_.stopped.empty()) {
      if (pending_.empty() && !ask()) break;
      start_pending();
    }
    return under_way() > 0;
  }

  // More proposals. A strategy that has none while others are on their way is asked again when all
  // of them are measured.
  bool ask() {
    const bool is_ahead = under_way() > 0;
    if (is_ahead && (is_dry_ || !strategy_.proposes_ahead())) return false;
    report();
    std::vector<Proposal> proposals = strategy_.propose();
    is_dry_ = proposals.empty();
    if (is_dry_) return false;
    log(begin_line(generation_, proposals.size()));
    for (Proposal& proposal : proposals) {
      if (proposal.config == trials()[0].config) {  // measured before the search
        default_is_asked_for_ = true;
      } else {
        ++left_[generation_];
        pending_.push_back(candidate_of(std::move(proposal)));
      }
    }
    ++generation_;
    return true;
  }

  void report() {
    std::vector<Measurement> measured = std::exchange(measured_, {});
    if (std::exchange(default_is_asked_for_, false)) {
      measured.insert(measured.begin(), {trials()[0].config, trials()[0].seconds});
    }
    if (!measured.empty()) strategy_.report(measured);
  }

  Candidate candidate_of(Proposal proposal) {
    Candidate candidate{next_id_++, {}, {}};
    Trial& trial = candidate.trial;
    trial.config = std::move(proposal.config);
    trial.origin = std::move(proposal.origin);
    trial.generation = generation_;
    trial.status = Status::Skipped;
    predict(trial);
    if (auto bad = options_.quarantine.find(trial.config.dump());
        bad != options_.quarantine.end()) {
      trial.reason = bad->second;
    }
    return candidate;
  }

  void start_pending() {
    i64 most = 1;
    if (!builder_.is_beside_timing()) {
      most = pace_.fit(std::max<i64>(options_.batch, 1), time_.search_end() - now());
      if (most == 0) record_.stopped = why_out_of_time();
    }
    for (i64 i = 0; i < most && !pending_.empty(); ++i) {
      Candidate candidate = std::move(pending_.front());
      pending_.pop_front();
      if (!candidate.trial.reason.empty()) {
        arrived_.push_back(std::move(candidate));
        continue;
      }
      builder_.start({candidate.id, candidate.trial.config});
      started_[candidate.id] = std::move(candidate);
    }
  }

  // Takes what the builder has, and waits for it when nothing can be measured. One lane does so
  // for all.
  void collect(Lane& lane) {
    if (!builder_.is_beside_timing() && !arrived_.empty()) return;
    const double begin = now();
    const bool waits = arrived_.empty();
    if (is_collecting_) {
      if (waits) came_.wait_for(lane.lock, std::chrono::duration<double>(kPatience));
    } else {
      is_collecting_ = true;
      auto ready = unlocked(lane, [&] { return builder_.ready(waits ? kPatience : 0); });
      is_collecting_ = false;
      if (!builder_.is_beside_timing()) pace_.note(ready, now() - begin);
      for (Built& built : ready) arrive(std::move(built));
      came_.notify_all();
    }
    if (waits) record_.compile_time += (now() - begin) / static_cast<double>(lanes_.size());
  }

  void arrive(Built built) {
    auto started = started_.extract(built.id);
    Candidate& candidate = started.mapped();
    candidate.code = std::move(built.code);
    candidate.trial.compile_seconds = built.verdict.seconds;
    candidate.trial.status = Status::Ok;
    if (!built.verdict.ok()) mark_failed(candidate.trial, built.verdict);
    ++progress_.compiled;
    arrived_.push_back(std::move(candidate));
  }

  void measure_next(Lane& lane) {
    Candidate candidate = std::move(arrived_.front());
    arrived_.pop_front();
    const i64 number = static_cast<i64>(trials().size());
    trials().push_back(std::move(candidate.trial));
    ids_.push_back(candidate.id);
    ++measuring_;
    if (trials()[number].status == Status::Ok) {
      codes_[number] = std::move(candidate.code);
      measure(lane, number);
    }
    --measuring_;
    finish_trial(number);
  }

  void measure(Lane& lane, i64 number) {
    drop_in(lane);
    const double begin = now();
    const double limit = limit_of(0);
    const i64 id = ids_[number];
    Verdict verdict = load(lane, {number});
    if (verdict.ok()) {
      verdict =
          confirmed(lane, limit / trials()[0].seconds, [&] { return lane.bench.check(id, limit); });
    }
    add_timing(begin);
    if (verdict.ok()) {
      race_against_best(lane, number);
    } else {
      mark_failed(trials()[number], verdict);
    }
    if (trials()[number].status != Status::Ok) drop(number);
    drop_in(lane);
    ++progress_.timed;
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
    measured_.push_back(history_.back());
    if (options_.on_trial) options_.on_trial(trial, number);
    show_progress(trial.generation);
    if (--left_[trial.generation] > 0) return;
    left_.erase(trial.generation);
    log_generation(trial.generation);
  }

  // The fastest few stay built, and the default.
  void keep(i64 number) {
    finalists_.push_back(number);
    std::stable_sort(finalists_.begin() + 1, finalists_.end(),
                     [this](i64 a, i64 b) { return trials()[a].seconds < trials()[b].seconds; });
    auto most = static_cast<std::size_t>(options_.finalists) + 1;
    while (finalists_.size() > most) {
      auto last = finalists_.end() - 1;
      if (*last == best_) --last;  // its interval may lie above a tie's
      drop(*last);
      finalists_.erase(last);
    }
  }

  // --- what is said ---

  void log(const std::string& text) const {
    if (options_.log) options_.log(fmt::format("[{:.0f}s] {}", now(), text));
  }

  void show_progress(i64 generation) {
    if (!options_.progress) return;
    progress_.elapsed = now();
    progress_.budget = options_.budget;
    if (options_.budget <= 0) {
      const double gain = searched_share(history_.size(), progress_.gain, options_.least_gain);
      progress_.share = std::clamp(std::max(now() / time_.seconds(), gain), progress_.share, 1.0);
    }
    progress_.generation = generation;
    progress_.best = trials()[best_].seconds;
    progress_.standard = trials()[0].seconds;
    progress_.standard_name = start_name(record_);
    options_.progress(progress_);
  }

  void log_generation(i64 generation) const {
    std::vector<double> times;
    for (std::size_t i = 1; i < trials().size(); ++i) {
      if (trials()[i].generation == generation) times.push_back(trials()[i].seconds);
    }
    if (times.empty() || !options_.log) return;
    options_.log(generation_line(now(), generation, times, trials()[best_].config));
  }

  // --- the end ---

  void finish() {
    record_.interrupted = is_interrupted();
    record_.winner = best_;
    auto lane = std::ranges::find(lanes_, false, &Lane::is_lost);
    if (lane != lanes_.end() && !record_.interrupted) {
      lane->lock.lock();
      run_final_round(*lane);
      lane->lock.unlock();
      if (lane->bench.failure()) record_.winner = best_;
    }
    record_.elapsed = now();
  }

  void run_final_round(Lane& lane) {
    auto turns = [&] { return seconds_for(finalists_, kFinalTurns); };
    while (finalists_.size() > 2 && turns() > time_.final_seconds()) finalists_.pop_back();
    if (finalists_.size() < 2 || !load(lane, finalists_).ok()) return;
    std::ranges::sort(finalists_);
    if (now() + turns() > time_.seconds()) return;
    log(fmt::format("Final selection: {} finalists", finalists_.size()));
    const double end = std::min(time_.seconds(), now() + time_.final_seconds());
    tune::run_final_round(
        {.finalists = finalists_,
         .noise = record_.noise,
         .time = [&](const std::vector<i64>& numbers,
                     i64 rounds) { return time(lane, numbers, rounds); },
         .has_time = [&](double seconds) { return now() + seconds <= end && !is_interrupted(); },
         .clock = options_.clock},
        record_);
  }

  Race race_of(const std::vector<double>& mine, const std::vector<double>& its) const {
    return Race::of(record_.noise, mine, its);
  }

  Strategy& strategy_;
  Builder& builder_;
  const SessionOptions& options_;
  Record record_;
  TimeBudget time_;
  CompilePace pace_;
  std::mutex mutex_;  // of all below, while several lanes search
  std::deque<Lane> lanes_;
  std::condition_variable came_;      // something may be there to be measured
  bool is_collecting_ = false;        // a lane is using the builder
  std::deque<Candidate> pending_;     // proposed, and not started
  std::map<i64, Candidate> started_;  // by id: are being compiled
  std::deque<Candidate> arrived_;     // compiled, or known not to work
  std::size_t measuring_ = 0;
  std::map<i64, std::string> codes_;  // of trials that are measured, or finalists
  std::vector<i64> ids_{0};           // by trial
  i64 next_id_ = 1;
  std::optional<std::string> default_code_;
  i64 generation_ = 0;                 // the next
  std::map<i64, i64> left_;            // by generation: configs yet to be measured
  std::vector<Measurement> measured_;  // yet to be reported
  bool default_is_asked_for_ = false;  // is yet to be reported
  bool is_dry_ = false;                // the strategy had no proposal
  i64 best_ = 0;
  RecentNoise recent_noise_;
  double scale_error_ = 0;      // of the best's seconds, in logs: others are measured by it
  std::vector<i64> finalists_;  // the default first, then the fastest
  std::vector<Measurement> history_;
  Progress progress_;
};

}  // namespace

Expected<Record> tune(Strategy& strategy, const Config& first, std::span<Bench* const> benches,
                      Builder& builder, const SessionOptions& options, Record record) {
  return Session(strategy, benches, builder, options, std::move(record)).run(first);
}

Expected<Record> tune(Strategy& strategy, const Config& first, Bench& bench,
                      const SessionOptions& options, Record record) {
  auto builder = bench_builder(bench);
  Bench* const benches[] = {&bench};
  return tune(strategy, first, benches, *builder, options, std::move(record));
}

}  // namespace peri::tune
