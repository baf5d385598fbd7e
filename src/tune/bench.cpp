#include "tune/bench.h"

#include <fmt/format.h>

#include <atomic>
#include <cmath>
#include <map>
#include <thread>

#include "tune/messages.h"

namespace peri::tune {

namespace {

constexpr double kWakeSeconds = 60e-6;  // in which sleeping threads have come to work
constexpr double kLongCall = 1e-3;      // beside which waking them is little

class LocalBench : public Bench {
 public:
  LocalBench(Workload& workload, i64 compile_threads, Clock clock)
      : workload_(workload), compile_threads_(compile_threads), clock_(std::move(clock)) {}

  Expected<Accuracy> trust(const Build& build, bool is_known_good) override {
    auto candidate = candidate_of(build);
    if (!candidate) return std::unexpected(candidate.error());
    candidates_[0] = *candidate;
    try {
      return workload_.trust(*candidate, is_known_good);
    } catch (const WorkloadLost& lost) {
      lose(lost);
      return std::unexpected(*failure_);
    }
  }

  std::vector<Verdict> compile(std::span<const Build> builds) override {
    std::vector<Verdict> verdicts(builds.size());
    std::vector<Workload::Candidate> made(builds.size());
    std::atomic<std::size_t> next = 0;
    auto work = [&] {
      for (std::size_t i = next++; i < builds.size(); i = next++) {
        double begin = clock_();
        auto candidate = candidate_of(builds[i]);
        if (candidate) {
          made[i] = *candidate;
        } else {
          verdicts[i] = verdict_of_error(candidate.error());
        }
        verdicts[i].seconds = clock_() - begin;
      }
    };
    i64 count = std::min(compile_threads_, static_cast<i64>(builds.size()));
    std::vector<std::thread> helpers;
    for (i64 t = 1; t < count; ++t) helpers.emplace_back(work);
    work();
    for (std::thread& helper : helpers) helper.join();
    for (std::size_t i = 0; i < builds.size(); ++i) {
      if (verdicts[i].ok()) candidates_[builds[i].id] = made[i];
    }
    return verdicts;
  }

  Verdict check(i64 id, double) override {
    try {
      auto checked = workload_.check(candidates_.at(id));
      return checked ? Verdict() : verdict_of_error(checked.error());
    } catch (const WorkloadLost& lost) {
      return lose(lost);
    }
  }

  TimeResult time(const TimeRequest& request) override {
    try {
      return samples_of(request);
    } catch (const WorkloadLost& lost) {
      return {lose(lost), {}};
    }
  }

  void drop(std::span<const i64> ids) override {
    for (i64 id : ids) candidates_.erase(id);
  }

  void end_by(double time) override { end_ = time; }

  const std::optional<Error>& failure() const override { return failure_; }

 private:
  TimeResult samples_of(const TimeRequest& request) {
    TimeResult result;
    result.samples.resize(request.ids.size());
    auto count = static_cast<i64>(request.ids.size());
    for (i64 round = 0; round < request.rounds; ++round) {
      if (clock_() >= end_) return {{Status::Skipped, kOutOfTime}, {}};
      workload_.place_anew();
      for (i64 i = 0; i < count; ++i) {
        i64 at = round % 2 == 0 ? i : count - 1 - i;
        const Workload::Candidate& candidate = candidates_.at(request.ids[at]);
        result.samples[at].push_back(
            workload_.time(candidate, request.batch, request.cold, clock_));
      }
    }
    return result;
  }

  Verdict lose(const WorkloadLost& lost) {
    failure_ = lost.error();
    if (failure_->code != "device-fault") return {Status::Skipped, lost.what()};
    failure_->message = fmt::format("a candidate broke the device: {}", lost.what());
    failure_->hint =
        "what was found before is kept; `peri tune` tries candidates in processes of their own";
    return {Status::Crashed, lost.what()};
  }

  Expected<Workload::Candidate> candidate_of(const Build& build) {
    return build.code.empty() ? workload_.compile(build.config)
                              : workload_.load(build.config, build.code);
  }

  Workload& workload_;
  i64 compile_threads_;
  Clock clock_;
  double end_ = HUGE_VAL;
  std::map<i64, Workload::Candidate> candidates_;
  std::optional<Error> failure_;
};

}  // namespace

Expected<std::string> Workload::make(const Config& config) {
  auto candidate = compile(config);
  if (!candidate) return std::unexpected(candidate.error());
  return std::string();
}

Expected<Workload::Candidate> Workload::load(const Config& config, const std::string&) {
  return compile(config);
}

double Workload::time(const Candidate& candidate, i64 batch, bool cold, const Clock& clock) {
  if (cold) flush_caches();
  double begin = clock();
  // Short calls wait for threads that another candidate left asleep.
  if (!cold && last_seconds_ < kLongCall) {
    do {
      run(candidate);
    } while (clock() - begin < kWakeSeconds);
    const double first = clock() - begin;
    if (batch == 1 && first >= kLongCall) return last_seconds_ = first;  // of one call
  }
  begin = clock();
  for (i64 i = 0; i < batch; ++i) run(candidate);
  last_seconds_ = (clock() - begin) / static_cast<double>(batch);
  return last_seconds_;
}

std::unique_ptr<Bench> local_bench(Workload& workload, i64 compile_threads, Clock clock) {
  return std::make_unique<LocalBench>(workload, compile_threads, std::move(clock));
}

}  // namespace peri::tune
