#include "driver/verify.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "driver/shapes.h"
#include "driver/subject.h"
#include "tune/measure.h"
#include "tune/race.h"

namespace peri::driver {

namespace {

constexpr double kShortestSample = 20e-6;  // seconds that the clock resolves well
constexpr i64 kControlPairs = 8, kMostPairs = 2000;

// Code of a config, to be timed.
struct Runner {
  std::shared_ptr<const runtime::Executable> executable;
  std::span<const runtime::Leaf> leaves;
  i64 batch = 1;

  double seconds() const {
    static const tune::Clock clock = tune::steady_clock();
    const double begin = clock();
    for (i64 i = 0; i < batch; ++i) (void)executable->call(leaves);
    return (clock() - begin) / static_cast<double>(batch);
  }
};

Expected<Runner> runner_of(const Compilation& c, const space::Config& given,
                           std::span<const runtime::Leaf> leaves) {
  diag::Diags quiet(c.diags.sources());
  auto config = c.space.validate(given, c.default_config, quiet);
  if (!config) return fail("bad-config", "a config of the record is not legal any more");
  auto code = generate(c, *config);
  if (!code) return std::unexpected(code.error());
  auto loaded = load(c, *config, std::move(code->artifact));
  if (!loaded) return std::unexpected(loaded.error());
  Runner runner{std::move(*loaded), leaves};
  auto result = runner.executable->call(leaves);
  if (!result) return std::unexpected(result.error());
  while (runner.batch < (1 << 16) &&
         runner.seconds() * static_cast<double>(runner.batch) < kShortestSample) {
    runner.batch *= 2;
  }
  return runner;
}

// Times both in turns until they can be told apart, or the time is over.
tune::Race race(const Runner& rival, const Runner& winner, double seconds) {
  std::vector<double> first, second;
  for (i64 i = 0; i < kControlPairs; ++i) {
    first.push_back(winner.seconds());
    second.push_back(winner.seconds());
  }
  tune::Race race(tune::Race::noise_of(first, second));
  const tune::Clock clock = tune::steady_clock();
  const double end = clock() + seconds;
  while (race.pairs() < kMostPairs) {
    const double mine = rival.seconds();
    race.add(mine, winner.seconds());
    if (race.pairs() < race.next_look()) continue;
    if (race.result() != tune::Race::Result::Open || clock() > end) break;
  }
  return race;
}

Expected<void> add_rival(Verdict& verdict, const std::string& name, i64 trial,
                         const tune::Record& record, const Compilation& c, const Runner& winner,
                         double seconds) {
  auto rival = runner_of(c, record.trials[trial].config, winner.leaves);
  if (!rival) return std::unexpected(rival.error());
  const tune::Race raced = race(*rival, winner, seconds);
  const double then = seconds_of(record, record.winner);
  const double recorded = then > 0 ? seconds_of(record, trial) / then : 0;
  verdict.rivals.push_back({name, raced.ratio(), raced.low(), raced.high(), recorded});
  if (raced.result() == tune::Race::Result::Faster) verdict.state = Verdict::State::Rotten;
  return {};
}

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
  if (auto done = compile(c, "space"); !done) return std::unexpected(done.error());
  Verdict verdict;
  verdict.changed = differences(subject_of(c), record);
  if (!verdict.changed.empty()) verdict.state = Verdict::State::Stale;
  if (!c.backend->can_run_here()) return verdict;  // a device's clock would be needed

  const std::vector<runtime::Leaf> leaves = leaves_of(*arguments, c.lowered->host.leaf_names);
  auto winner = runner_of(c, record.trials[record.winner].config, leaves);
  if (!winner) return std::unexpected(winner.error());
  auto add = [&](const std::string& name, i64 trial) -> Expected<void> {
    const bool is_new =
        trial >= 0 && trial != record.winner && record.trials[trial].status == tune::Status::Ok;
    if (!is_new) return {};
    return add_rival(verdict, name, trial, record, c, *winner, seconds / 2);
  };
  if (auto added = add("runner-up", record.runner_up); !added) {
    return std::unexpected(added.error());
  }
  if (record.runner_up != 0) {
    if (auto added = add("default", 0); !added) return std::unexpected(added.error());
  }
  return verdict;
}

}  // namespace peri::driver
