#include "driver/verify.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "driver/shapes.h"
#include "driver/subject.h"
#include "driver/tune.h"
#include "tune/race.h"

namespace peri::driver {

namespace {

// Whether `rival` beats `winner` beyond the noise in the timings of a final round.
bool is_faster(const tune::Finalist& rival, const tune::Finalist& winner, double noise) {
  tune::Race race(noise);
  for (std::size_t i = 0; i < std::min(rival.samples.size(), winner.samples.size()); ++i) {
    race.add(rival.samples[i], winner.samples[i]);
  }
  return race.result() == tune::Race::Result::Faster;
}

const tune::Finalist* finalist_of(const tune::Record& round, i64 trial) {
  auto found = std::ranges::find(round.finalists, trial, &tune::Finalist::trial);
  return found == round.finalists.end() ? nullptr : &*found;
}

// Configs of a record, to be timed in turns.
class Retrial {
 public:
  Retrial(Compilation& c, const tune::Record& record) : c_(c), record_(record) {}

  Expected<Verdict> run(const Arguments& arguments, double seconds, Verdict verdict) {
    const std::pair<std::string, i64> named[] = {
        {"winner", record_.winner}, {"runner-up", record_.runner_up}, {"default", 0}};
    for (const auto& [name, trial] : named) {
      if (auto added = add(name, trial); !added) return std::unexpected(added.error());
    }
    auto round = compare_configs(c_, arguments, configs_, {}, seconds);
    if (!round) return std::unexpected(round.error());
    judge(*round, verdict);
    return verdict;
  }

 private:
  // A config that is timed; trial 0 of the round is today's default.
  struct Timed {
    std::string name;
    i64 recorded = 0, trial = 0;
  };

  Expected<void> add(const std::string& name, i64 recorded) {
    const bool is_new = recorded >= 0 && record_.trials[recorded].status == tune::Status::Ok &&
                        std::ranges::find(timed_, recorded, &Timed::recorded) == timed_.end();
    if (!is_new) return {};
    diag::Diags quiet(c_.diags.sources());
    auto config = c_.space.validate(record_.trials[recorded].config, c_.default_config, quiet);
    if (!config) return fail("bad-config", "a config of the record is not legal any more");
    i64 trial = 0;
    if (*config != c_.default_config) {
      auto there = std::ranges::find(configs_, *config);
      trial = there - configs_.begin() + 1;
      if (there == configs_.end()) configs_.push_back(*std::move(config));
    }
    timed_.push_back({name, recorded, trial});
    return {};
  }

  void judge(const tune::Record& round, Verdict& verdict) const {
    auto is_timed = [&](const Timed& timed) {
      return timed.trial < static_cast<i64>(round.trials.size()) &&
             round.trials[timed.trial].status == tune::Status::Ok;
    };
    const Timed& winner = timed_[0];
    if (!is_timed(winner)) {
      const bool is_known = winner.trial < static_cast<i64>(round.trials.size());
      verdict.failure = is_known ? round.trials[winner.trial].reason : "not timed";
      verdict.state = Verdict::State::Rotten;
      return;
    }
    for (std::size_t i = 1; i < timed_.size(); ++i) {
      if (is_timed(timed_[i])) add_rival(timed_[i], round, verdict);
    }
  }

  void add_rival(const Timed& timed, const tune::Record& round, Verdict& verdict) const {
    const i64 winner = timed_[0].trial;
    const double now = tune::seconds_of(round, winner);
    const double then = tune::seconds_of(record_, record_.winner);
    const tune::Finalist* mine = finalist_of(round, timed.trial);
    const tune::Finalist* its = finalist_of(round, winner);
    const tune::Trial& trial = round.trials[timed.trial];
    const double low = mine != nullptr ? mine->low : trial.low;
    const double high = mine != nullptr ? mine->high : trial.high;
    verdict.rivals.push_back({timed.name, tune::seconds_of(round, timed.trial) / now, low / now,
                              high / now,
                              then > 0 ? tune::seconds_of(record_, timed.recorded) / then : 0});
    const bool is_rotten = mine != nullptr && its != nullptr && is_faster(*mine, *its, round.noise);
    if (is_rotten) verdict.state = Verdict::State::Rotten;
  }

  Compilation& c_;
  const tune::Record& record_;
  std::vector<space::Config> configs_;
  std::vector<Timed> timed_;  // the winner first
};

}  // namespace

std::string_view state_name(Verdict::State state) {
  static constexpr std::string_view kNames[] = {"ok", "stale", "rotten"};
  return kNames[static_cast<std::size_t>(state)];
}

std::string Verdict::text() const {
  std::vector<std::string> parts;
  for (const Rival& rival : rivals) {
    parts.push_back(fmt::format("{} takes {:.3f} ({:.3f} .. {:.3f}) of its time, {:.3f} when tuned",
                                rival.name, rival.ratio, rival.low, rival.high,
                                rival.recorded_ratio));
  }
  if (!failure.empty()) parts.push_back("it fails: " + failure);
  if (!changed.empty()) parts.push_back(fmt::format("changed since: {}", fmt::join(changed, ", ")));
  if (parts.empty()) parts.emplace_back("there is nothing to compare the default with");
  return fmt::format("{}: {}", state_name(state), fmt::join(parts, "; "));
}

Expected<Verdict> verify(Compilation& c, const tune::Record& record, double seconds) {
  auto arguments = parse_arguments(record.arguments, {}, record.seed, c.diags);
  if (!arguments) return std::unexpected(arguments.error());
  c.request.file = record.file;
  c.request.kernel = record.kernel;
  c.request.args = specs_of(*arguments);
  c.request.settings.cold = record.cache_mode == "cold";
  if (auto done = compile(c, "space"); !done) return std::unexpected(done.error());
  Verdict verdict;
  verdict.changed = differences(subject_of(c), record);
  if (!verdict.changed.empty()) verdict.state = Verdict::State::Stale;
  if (!can_run_here(c)) return verdict;

  return Retrial(c, record).run(*arguments, seconds, std::move(verdict));
}

}  // namespace peri::driver
