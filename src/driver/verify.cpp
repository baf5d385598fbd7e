#include "driver/verify.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "driver/shapes.h"
#include "driver/subject.h"
#include "driver/tune.h"
#include "tune/race.h"

namespace peri::driver {

namespace {

constexpr double kLeastSeconds = 2;  // for a record
constexpr double kCallsOfEach = 30;  // of its configs

// Whether `rival` beats `winner` beyond the noise in the timings of a final round.
bool is_faster(const tune::Finalist& rival, const tune::Finalist& winner, double noise) {
  const auto race = tune::Race::of(noise, rival.samples, winner.samples);
  return race.result() == tune::Race::Result::Faster;
}

const tune::Finalist* finalist_of(const tune::Record& round, i64 trial) {
  auto found = std::ranges::find(round.finalists, trial, &tune::Finalist::trial);
  return found == round.finalists.end() ? nullptr : &*found;
}

void skip(Verdict& verdict, std::string reason) {
  verdict.state = Verdict::State::Skipped;
  verdict.reason = std::move(reason);
}

// Whether the error is that what the round starts from fails, so that nothing can be compared.
bool is_of_default(const Error& error) {
  return error.code == "default-crashed" || error.code == "wrong-result";
}

// Trials of a record that are timed again: the winner, its runner-up and the default.
std::vector<i64> timed_trials(const tune::Record& record) {
  std::vector<i64> trials;
  for (const i64 trial : {record.winner, record.runner_up, i64{0}}) {
    const bool is_new = trial >= 0 && record.trials[trial].status == tune::Status::Ok &&
                        std::ranges::count(trials, trial) == 0;
    if (is_new) trials.push_back(trial);
  }
  return trials;
}

// Configs of a record, to be timed in turns.
class Retrial {
 public:
  Retrial(Compilation& c, const tune::Record& record) : c_(c), record_(record) {}

  Expected<void> run(const Arguments& arguments, double seconds, Verdict& verdict) {
    auto first = first_config(c_);
    if (!first) return std::unexpected(first.error());
    first_ = *std::move(first);
    for (const i64 trial : timed_trials(record_)) {
      if (auto added = add(trial); !added) return std::unexpected(added.error());
    }
    // Compilers of devices take seconds that nobody can foresee; the configs are few.
    if (seconds <= 0 && !c_.device) seconds = verify_seconds(record_);
    TuneOptions options;
    options.is_final = true;
    auto round = compare_configs(c_, arguments, configs_, options, seconds);
    if (!round && is_of_default(round.error())) {
      verdict.state = Verdict::State::Rotten;
      verdict.reason = round.error().message;
      return {};
    }
    if (!round) return std::unexpected(round.error());
    judge(*round, verdict);
    return {};
  }

 private:
  // A config that is timed; trial 0 of the round is what a search would start from today.
  struct Timed {
    std::string name;
    i64 recorded = 0, trial = 0;
  };

  std::string name_of(i64 recorded) const {
    if (recorded == record_.winner) return "winner";
    return recorded == record_.runner_up ? "runner-up" : std::string(tune::start_name(record_));
  }

  Expected<void> add(i64 recorded) {
    diag::Diags quiet(c_.diags.sources());
    auto config = c_.space.validate(record_.trials[recorded].config, c_.default_config, quiet);
    if (!config) return fail("bad-config", "a config of the record is not legal any more");
    i64 trial = 0;
    if (*config != first_) {
      auto there = std::ranges::find(configs_, *config);
      trial = there - configs_.begin() + 1;
      if (there == configs_.end()) configs_.push_back(*std::move(config));
    }
    timed_.push_back({name_of(recorded), recorded, trial});
    return {};
  }

  void judge(const tune::Record& round, Verdict& verdict) const {
    auto is_timed = [&](const Timed& timed) {
      return timed.trial < static_cast<i64>(round.trials.size()) &&
             round.trials[timed.trial].status == tune::Status::Ok;
    };
    const Timed& winner = timed_[0];
    if (winner.trial >= static_cast<i64>(round.trials.size())) {
      return skip(verdict, "its turn did not come in time: a larger --budget may do");
    }
    if (!is_timed(winner)) {
      verdict.failure = round.trials[winner.trial].reason;
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
  space::Config first_;
  std::vector<space::Config> configs_;
  std::vector<Timed> timed_;  // the winner first
};

}  // namespace

std::string_view state_name(Verdict::State state) {
  static constexpr std::string_view kNames[] = {"ok", "stale", "rotten", "skipped"};
  return kNames[static_cast<std::size_t>(state)];
}

std::string Verdict::text() const {
  std::vector<std::string> parts;
  for (const Rival& rival : rivals) {
    parts.push_back(fmt::format("{} takes {:.3f} ({:.3f} .. {:.3f}) of its time, {:.3f} when tuned",
                                rival.name, rival.ratio, rival.low, rival.high,
                                rival.recorded_ratio));
  }
  if (!reason.empty()) parts.push_back(reason);
  if (!failure.empty()) parts.push_back("it fails: " + failure);
  if (!changed.empty()) parts.push_back(fmt::format("changed since: {}", fmt::join(changed, ", ")));
  if (parts.empty()) parts.emplace_back("there is nothing to compare the default with");
  return fmt::format("{}: {}", state_name(state), fmt::join(parts, "; "));
}

namespace {

// The device that the record is of: the one that the request names if it is of that kind.
std::string device_of(const tune::Record& record, const std::string& requested) {
  const std::string device(backends::device_of(record.target));
  return backends::parse_device(requested).device == device ? requested : device;
}

// Whether the error says that this machine lacks the device or its compiler.
bool is_lack(const Error& error) {
  static constexpr std::string_view kCodes[] = {"no-driver", "no-device", "driver-too-old"};
  return std::ranges::count(kCodes, error.code) > 0 || backends::lacks_toolchain(error);
}

// Whether another compiler than the one that made the record's code would make it now. One that
// cannot be asked makes none: what is kept is run.
bool has_other_toolchain(const Compilation& c, const tune::Record& record) {
  if (record.toolchain.empty()) return false;
  auto now = c.backend->toolchain();
  return now && *now != record.toolchain;
}

std::vector<std::string> changes(const Compilation& c, const tune::Record& record) {
  std::vector<std::string> changed = differences(subject_of(c), record);
  const bool is_named = std::ranges::count(changed, "compiler") > 0;
  if (!is_named && has_other_toolchain(c, record)) changed.emplace_back("compiler");
  return changed;
}

// Why the record's configs cannot be timed here; "": they can.
std::string obstacle(const Compilation& c, const Verdict& verdict, const tune::Record& record) {
  if (!can_run_here(c)) return cannot_run_here(c).error().message;
  const bool is_other = std::ranges::count(verdict.changed, "target") +
                        std::ranges::count(verdict.changed, "machine");
  if (!c.device || !is_other) return "";
  return fmt::format("it was tuned on {}, and here is {}", record.machine, c.device->describe());
}

// What is found out before an error stays in the verdict.
Expected<void> examine(Compilation& c, const tune::Record& record, const Arguments& arguments,
                       double seconds, Verdict& verdict) {
  if (auto done = compile(c, "space"); !done) return done;
  verdict.changed = changes(c, record);
  if (!verdict.changed.empty()) verdict.state = Verdict::State::Stale;
  std::string why = obstacle(c, verdict, record);
  if (why.empty()) return Retrial(c, record).run(arguments, seconds, verdict);
  skip(verdict, std::move(why));
  return {};
}

}  // namespace

double verify_seconds(const tune::Record& record) {
  double seconds = 0;
  for (const i64 trial : timed_trials(record)) seconds += tune::seconds_of(record, trial);
  return std::max(kLeastSeconds, kCallsOfEach * seconds);
}

bool is_outdated(const Error& error, const Compilation& c) {
  if (error.code == "bad-config") return true;
  if (error.code != "diagnostics") return false;
  // A file that is there and cannot be read is another matter than one that is gone.
  std::error_code ignored;
  const bool is_file_error =
      !c.diags.all().empty() && c.diags.all()[0].kind == diag::Kind::FileNotFound;
  return !is_file_error || !std::filesystem::exists(c.request.file, ignored);
}

Expected<Verdict> verify(Compilation& c, const tune::Record& record, double seconds) {
  auto arguments = parse_arguments(record.arguments, {}, record.seed, c.diags);
  if (!arguments) return std::unexpected(arguments.error());
  c.request.file = record.file;
  c.request.kernel = record.kernel;
  c.request.args = specs_of(*arguments);
  c.request.device = device_of(record, c.request.device);
  c.request.settings.cold = record.cache_mode == "cold";
  c.request.settings.threads = record.threads;
  c.request.settings.passes_off = record.passes_off;
  Verdict verdict;
  auto done = examine(c, record, *arguments, seconds, verdict);
  if (!done && !is_lack(done.error())) return std::unexpected(done.error());
  if (!done) skip(verdict, done.error().message);
  return verdict;
}

}  // namespace peri::driver
