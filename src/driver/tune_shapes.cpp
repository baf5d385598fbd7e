#include "driver/tune_shapes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "driver/record_files.h"
#include "driver/shapes.h"
#include "tune/measure.h"
#include "tune/shape_choice.h"

namespace peri::driver {

using tune::Record;

namespace {

constexpr double kCompareShare = 0.2;  // of the budget, for the rounds between the winners
constexpr double kCompareSeconds = 3;  // of one of them, without a budget
constexpr double kMostRegret = 0.02;   // that a shared config may cost, however large the noise is

constexpr const char* kOrigin = "winner at another shape";

// The trial of the same config, added if there is none.
i64 trial_of(Record& record, const tune::Trial& measured, const std::string& origin) {
  for (std::size_t t = 0; t < record.trials.size(); ++t) {
    tune::Trial& trial = record.trials[t];
    if (trial.config != measured.config) continue;
    if (trial.status != tune::Status::Ok && measured.status == tune::Status::Ok) trial = measured;
    return static_cast<i64>(t);
  }
  record.trials.push_back(measured);
  record.trials.back().origin = origin;
  return static_cast<i64>(record.trials.size()) - 1;
}

bool is_interrupted(const TuneOptions& options) {
  return options.is_interrupted && options.is_interrupted();
}

Error interrupted_before(std::size_t job, std::size_t jobs) {
  return {"interrupted",
          fmt::format("interrupted before {} of {} shapes were tuned", jobs - job, jobs), ""};
}

class ShapeTuner {
 public:
  ShapeTuner(std::span<const ShapeJob> jobs, const TuneOptions& options)
      : jobs_(jobs), options_(options) {}

  ShapeResults run() {
    for (std::size_t i = 0; i < jobs_.size(); ++i) {
      if (auto done = search(i); !done) return {std::move(records_), done.error()};
      keep(i);
    }
    std::vector<Record> searched = records_;
    if (auto done = compare(); !done) return {std::move(searched), done.error()};
    for (std::size_t i = 0; i < records_.size(); ++i) keep(i);
    return {std::move(records_), {}};
  }

 private:
  void keep(std::size_t i) {
    Compilation& c = *jobs_[i].compilation;
    c.config = records_[i].trials[records_[i].winner].config;
    c.config_origin = "tuned";
    keep_result(c, records_[i]);
  }

  double share(double part) const {
    return part * jobs_[0].compilation->request.settings.budget / static_cast<double>(jobs_.size());
  }

  // Later shapes start from what won at earlier ones.
  Expected<void> search(std::size_t i) {
    if (is_interrupted(options_)) return std::unexpected(interrupted_before(i, jobs_.size()));
    if (options_.on_shape) options_.on_shape(i);
    Compilation& c = *jobs_[i].compilation;
    if (auto done = compile(c, "space"); !done) return done;
    TuneOptions options = options_;
    std::vector<space::Config> given = options_.seeds;
    if (given.empty()) given = seeds_from_cache(c);
    options.seeds.clear();
    auto add = [&](const space::Config& config) {
      auto seed = fitted(config, c);
      if (seed && std::ranges::count(options.seeds, *seed) == 0) options.seeds.push_back(*seed);
    };
    for (const Record& record : records_) add(record.trials[record.winner].config);
    for (const space::Config& config : given) add(config);
    if (options_.log) {
      options_.log(fmt::format("[0s] Shape {} of {}: {}", i + 1, jobs_.size(),
                               tune::print_sizes(sizes_of(*jobs_[i].arguments))));
    }
    auto record = search_configs(c, *jobs_[i].arguments, options, share(1 - kCompareShare));
    if (!record) return std::unexpected(record.error());
    records_.push_back(*std::move(record));
    return {};
  }

  // All winners at all shapes; then the choice. What each shape's search started from is timed
  // there in any case, so it can be chosen there too.
  Expected<void> compare() {
    for (std::size_t i = 0; i < records_.size(); ++i) {
      const space::Config winner = as_given(i, records_[i].trials[records_[i].winner].config);
      if (std::ranges::count(winners_, winner) == 0) winners_.push_back(winner);
    }
    trials_.assign(records_.size(), std::vector<i64>(winners_.size() + records_.size(), -1));
    std::vector<tune::ShapeTimes> times;
    for (std::size_t i = 0; i < records_.size(); ++i) {
      auto measured = measure(i);
      if (is_interrupted(options_)) {
        return fail("interrupted", "interrupted before the winners were compared at all shapes",
                    "each shape keeps the config that its own search found");
      }
      if (!measured) return std::unexpected(measured.error());
      times.push_back(*std::move(measured));
    }
    const std::vector<i64> chosen = tune::choose_configs(times);
    for (std::size_t i = 0; i < records_.size(); ++i) state(i, times, chosen);
    return {};
  }

  // A winner of a list as the list has it: what it lacks is completed at each shape by itself, so
  // that only the list's configs win.
  space::Config as_given(std::size_t i, const space::Config& winner) const {
    const Compilation& c = *jobs_[i].compilation;
    if (c.decl->configs.size() < 2) return winner;
    for (const space::Config& given : c.decl->configs) {
      diag::Diags quiet(c.diags.sources());
      if (c.space.validate(given, c.default_config, quiet) == winner) return given;
    }
    return winner;
  }

  // Times the winners at one shape; what is not legal there is left out.
  Expected<tune::ShapeTimes> measure(std::size_t i) {
    Compilation& c = *jobs_[i].compilation;
    auto first = first_config(c);
    if (!first) return std::unexpected(first.error());
    std::vector<space::Config> configs;
    std::vector<i64> of_winner(winners_.size(), -1);  // trial of the round; -1: none
    for (std::size_t w = 0; w < winners_.size(); ++w) {
      diag::Diags quiet(c.diags.sources());
      auto legal = c.space.validate(winners_[w], c.default_config, quiet);
      if (!legal) continue;
      auto there = std::ranges::find(configs, *legal);
      of_winner[w] = *legal == *first ? 0 : there - configs.begin() + 1;
      if (of_winner[w] > 0 && there == configs.end()) configs.push_back(*std::move(legal));
    }
    const double seconds = share(kCompareShare) > 0 ? share(kCompareShare) : kCompareSeconds;
    auto round = compare_configs(c, *jobs_[i].arguments, configs, options_, seconds);
    if (!round) return std::unexpected(round.error());
    return add_round(i, *round, of_winner);
  }

  // Makes the round the final one of the shape's record.
  tune::ShapeTimes add_round(std::size_t i, const Record& round, std::vector<i64> of_candidate) {
    Record& record = records_[i];
    tune::ShapeTimes times;
    times.seconds.assign(trials_[i].size(), tune::kFailed);
    times.ties.assign(trials_[i].size(), false);
    of_candidate.resize(trials_[i].size(), -1);
    of_candidate[winners_.size() + i] = 0;
    const double best = least_of(round);
    record.finalists.clear();
    const std::vector<tune::Finalist> finalists = finalists_of(round);
    for (tune::Finalist finalist : finalists) {
      finalist.trial = trial_of(record, round.trials[finalist.trial], kOrigin);
      record.finalists.push_back(std::move(finalist));
    }
    for (std::size_t w = 0; w < of_candidate.size(); ++w) {
      const i64 t = of_candidate[w];
      const bool is_measured = t >= 0 && t < static_cast<i64>(round.trials.size()) &&
                               round.trials[t].status == tune::Status::Ok;
      if (!is_measured) continue;
      trials_[i][w] = trial_of(record, round.trials[t], kOrigin);
      times.seconds[w] = tune::seconds_of(round, t);
      for (const tune::Finalist& finalist : finalists) {
        if (finalist.trial != t) continue;
        times.ties[w] = finalist.low <= best && finalist.seconds <= best * (1 + kMostRegret);
      }
    }
    record.elapsed += round.elapsed;
    record.timing_time += round.timing_time;
    record.compile_time += round.compile_time;
    record.drifts += round.drifts;
    return times;
  }

  // Where there was no final round, as the races before it have them.
  static std::vector<tune::Finalist> finalists_of(const Record& round) {
    std::vector<tune::Finalist> finalists = round.finalists;
    for (i64 t = 0; round.finalists.empty() && t < static_cast<i64>(round.trials.size()); ++t) {
      const tune::Trial& trial = round.trials[t];
      if (trial.status != tune::Status::Ok) continue;
      finalists.push_back({t, trial.seconds, trial.low, trial.high, trial.samples});
    }
    return finalists;
  }

  static double least_of(const Record& round) {
    double least = tune::seconds_of(round, round.winner);
    for (const tune::Finalist& finalist : round.finalists) {
      least = std::min(least, finalist.seconds);
    }
    return least;
  }

  // What shape i gets, and what that is worth.
  void state(std::size_t i, const std::vector<tune::ShapeTimes>& times,
             const std::vector<i64>& chosen) {
    Record& record = records_[i];
    record.winner = trials_[i][chosen[i]];
    record.best_seconds = times[i].seconds[times[i].best()];
    for (const tune::Finalist& finalist : record.finalists) {
      record.best_seconds = std::min(record.best_seconds, finalist.seconds);
    }
    choose_runner_up(record);
    std::vector<std::vector<i64>> others;
    std::vector<std::size_t> shapes;
    for (std::size_t j = 0; j < records_.size(); ++j) {
      if (j == i) continue;
      others.push_back(tune::values_of(records_[j].sizes));
      shapes.push_back(j);
    }
    const i64 nearest = tune::ShapeTable(others).nearest(tune::values_of(record.sizes));
    record.neighbour = others[nearest];
    record.neighbour_seconds = times[i].seconds[chosen[shapes[nearest]]];
  }

  static void choose_runner_up(Record& record) {
    const tune::Finalist *winner = nullptr, *second = nullptr;
    for (const tune::Finalist& finalist : record.finalists) {
      if (finalist.trial == record.winner) {
        winner = &finalist;
      } else if (second == nullptr || finalist.seconds < second->seconds) {
        second = &finalist;
      }
    }
    record.runner_up = second == nullptr ? -1 : second->trial;
    record.tie = winner != nullptr && second != nullptr && second->low <= winner->high;
  }

  std::span<const ShapeJob> jobs_;
  const TuneOptions& options_;
  std::vector<Record> records_;
  std::vector<space::Config> winners_;  // of the searches, none twice
  // By shape, and by winner and then shape whose default it is: trial of the record; -1: none.
  std::vector<std::vector<i64>> trials_;
};

ShapeResults tune_each(std::span<const ShapeJob> jobs, const TuneOptions& options) {
  ShapeResults results;
  for (const ShapeJob& job : jobs) {
    const std::size_t number = results.records.size();
    if (number > 0 && is_interrupted(options)) {
      results.failure = interrupted_before(number, jobs.size());
      break;
    }
    if (options.on_shape) options.on_shape(number);
    job.compilation->request.settings.budget /= static_cast<double>(jobs.size());
    auto record = tune_kernel(*job.compilation, *job.arguments, options);
    if (!record) {
      results.failure = record.error();
      break;
    }
    results.records.push_back(*std::move(record));
  }
  return results;
}

}  // namespace

ShapeResults tune_shapes(std::span<const ShapeJob> jobs, const TuneOptions& options) {
  for (const ShapeJob& job : jobs) {
    if (auto done = compile(*job.compilation, "select"); !done) return {{}, done.error()};
  }
  const bool is_static = jobs[0].compilation->decl->static_shapes;
  if (jobs.size() == 1 || is_static) return tune_each(jobs, options);
  return ShapeTuner(jobs, options).run();
}

}  // namespace peri::driver
