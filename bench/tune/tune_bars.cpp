// The tuner's bars: what searches find in how many seconds, against the best that is known.
//
// Searches each case with every strategy for `short` seconds (10), `seeds` times (1), and by `auto`
// for `long` (30) and `best` (120; 0: not) seconds. All configs found are then timed in turns
// within one process for `retime` seconds (2): the fastest of them is the best known. A number is
// the best's time by the config's, of several seeds the geometric mean: 1 is perfect. Two configs
// count as equal within 2 %, the spread of such timings. Nothing else should run meanwhile.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>

#include "../kernels/interleave.h"
#include "cases.h"
#include "driver/tune.h"
#include "runtime/device_info.h"
#include "runtime/executor.h"

namespace peri::bench {
namespace {

struct Options {
  std::string filter, out, shapes = "1,2";
  i64 seeds = 1;
  double short_seconds = 10, long_seconds = 30, best_seconds = 120, retime_seconds = 2;
};

struct Search {
  std::string name;  // of the column
  std::string strategy;
  double seconds = 0;
  i64 seeds = 1;
};

std::vector<Search> searches(const Options& options) {
  std::vector<Search> all;
  for (const char* name : {"auto", "random", "de", "pattern"}) {
    all.push_back({fmt::format("{} {:g} s", name, options.short_seconds), name,
                   options.short_seconds, options.seeds});
  }
  all.push_back({fmt::format("auto {:g} s", options.long_seconds), "auto", options.long_seconds});
  if (options.best_seconds > 0) {
    all.push_back({fmt::format("auto {:g} s", options.best_seconds), "auto", options.best_seconds});
  }
  return all;
}

struct Found {
  space::Config config;
  i64 configs = 0;      // compiled and timed
  double elapsed = 0;   // seconds
  double own_time = 0;  // of these, neither compiling nor timing
};

double geomean(const std::vector<double>& values) {
  double sum = 0;
  for (double value : values) sum += std::log(value);
  return std::exp(sum / static_cast<double>(values.size()));
}

// Quality of each search on one case, the default's first: best known time / its time.
struct Row {
  std::vector<std::vector<double>> qualities;  // by column, of each seed
  std::vector<Found> found;                    // by the first search

  double quality(size_t column) const { return geomean(qualities[column]); }
};

std::optional<Found> search(const Case& c, const Search& how, i64 seed, std::string& fault) {
  driver::Settings settings;
  settings.strategy = how.strategy;
  settings.budget = how.seconds;
  settings.seed = seed;
  settings.no_cache = true;
  auto subject = prepare(c, settings);
  fault = subject->fault;
  if (!fault.empty()) return std::nullopt;
  auto record = driver::tune_kernel(subject->compilation, subject->arguments, {});
  if (!record) fault = record.error().message;
  if (!record) return std::nullopt;
  return Found{.config = subject->compilation.config,
               .configs = static_cast<i64>(record->trials.size()),
               .elapsed = record->elapsed,
               .own_time = record->elapsed - record->compile_time - record->timing_time};
}

// Seconds of each config, timed in turns.
std::vector<double> time_in_turns(const Subject& subject, const std::vector<space::Config>& configs,
                                  double seconds) {
  std::map<std::string, size_t> places;  // of a config among the contenders
  std::vector<std::shared_ptr<const runtime::Executable>> executables;
  std::vector<Contender> contenders;
  for (const space::Config& config : configs) {
    if (!places.emplace(config.dump(), contenders.size()).second) continue;
    auto code = driver::generate(subject.compilation, config);
    if (!code) return {};
    auto loaded = driver::load(subject.compilation, config, std::move(code->artifact));
    if (!loaded) return {};
    executables.push_back(*loaded);
    contenders.push_back({config.dump(), [&subject, e = executables.back().get()] {
                            (void)e->call(subject.leaves);
                          }});
  }
  std::vector<Timing> timings = interleave(contenders, seconds, 1e-3, runtime::move_scratch);
  std::vector<double> times;
  for (const space::Config& config : configs) {
    times.push_back(timings[places.at(config.dump())].median());
  }
  return times;
}

std::optional<Row> measure(const Case& c, const Options& options, std::string& fault) {
  Row row;
  auto subject = prepare(c);
  fault = subject->fault;
  if (!fault.empty()) return std::nullopt;
  std::vector<space::Config> configs{subject->compilation.default_config};
  const std::vector<Search> all = searches(options);
  i64 seed = 1;
  for (const Search& how : all) {
    for (i64 i = 0; i < how.seeds; ++i) {
      auto found = search(c, how, seed++, fault);
      if (!found) return std::nullopt;
      configs.push_back(found->config);
      if (&how == &all[0]) row.found.push_back(std::move(*found));
    }
  }
  std::vector<double> times = time_in_turns(*subject, configs, options.retime_seconds);
  fault = "a config that was found does not compile";
  if (times.empty()) return std::nullopt;
  const double best = *std::ranges::min_element(times);
  row.qualities = {{best / times[0]}};
  size_t next = 1;
  for (const Search& how : all) {
    std::vector<double>& qualities = row.qualities.emplace_back();
    for (i64 i = 0; i < how.seeds; ++i) qualities.push_back(best / times[next++]);
  }
  return row;
}

double geomean(const std::vector<Row>& rows, size_t column) {
  std::vector<double> qualities;
  for (const Row& row : rows) qualities.push_back(row.quality(column));
  return geomean(qualities);
}

double worst(const std::vector<Row>& rows, size_t column) {
  double least = 1;
  for (const Row& row : rows) least = std::min(least, row.quality(column));
  return least;
}

std::string table_head(const Options& options) {
  std::string head = "| kernel | default |", rule = "|---|---|";
  for (const Search& how : searches(options)) head += " " + how.name + " |", rule += "---|";
  return head + " configs/min | own time |\n" + rule + "---|---|\n";
}

// Of the short `auto` search, as all of a row's.
std::string rates(const std::vector<Row>& rows) {
  double configs = 0, elapsed = 0, own = 0;
  for (const Row& row : rows) {
    for (const Found& found : row.found) {
      configs += static_cast<double>(found.configs);
      elapsed += found.elapsed;
      own += found.own_time;
    }
  }
  return fmt::format(" {:.0f} | {:.1f} % |", 60 * configs / elapsed, 100 * own / elapsed);
}

// How far the runs of the first search that differ in their seeds are apart.
std::string repeated(const std::vector<Row>& rows) {
  i64 close = 0;
  double widest = 1;
  for (const Row& row : rows) {
    const auto [least, most] = std::ranges::minmax(row.qualities[1]);
    close += most <= 1.02 * least;
    widest = std::max(widest, most / least);
  }
  return fmt::format(
      "auto's seeds are within 2 % of each other on {} of {}, at most {:.3f} x apart\n", close,
      rows.size(), widest);
}

std::string summary(const std::vector<Row>& rows, const Options& options) {
  std::string text = "| geometric mean |", least = "| worst |";
  for (size_t i = 0; i < rows[0].qualities.size(); ++i) {
    text += fmt::format(" {:.3f} |", geomean(rows, i));
    least += fmt::format(" {:.3f} |", worst(rows, i));
  }
  text += rates(rows) + "\n" + least + " | |\n\n";
  std::vector<Search> all = searches(options);
  for (size_t other = 1; other < 4; ++other) {
    i64 behind = 0;
    for (const Row& row : rows) behind += row.quality(1) < 0.98 * row.quality(1 + other);
    text += fmt::format(
        "auto against {}: {:.3f} of its speed in geometric mean, slower on {} of {}\n",
        all[other].strategy, geomean(rows, 1) / geomean(rows, 1 + other), behind, rows.size());
  }
  if (options.seeds > 1) text += repeated(rows);
  return text;
}

int run(const Options& options) {
  std::string text = runtime::device_info().describe() + "\n\n" + table_head(options);
  fmt::print("{}", text);
  std::vector<Row> rows;
  std::map<std::string, i64> seen;
  for (const Case& c : cases()) {
    if (c.kernel.find(options.filter) == std::string::npos) continue;
    if (!options.shapes.contains(std::to_string(++seen[c.kernel]))) continue;
    std::string fault;
    auto row = measure(c, options, fault);
    std::string line = fmt::format("| {} {} |", c.kernel, c.shapes());
    if (row) {
      for (size_t i = 0; i < row->qualities.size(); ++i) {
        line += fmt::format(" {:.3f} |", row->quality(i));
      }
      line += rates({*row});
      rows.push_back(std::move(*row));
    } else {
      line += " " + fault + " |";
    }
    fmt::print("{}\n", line);
    std::fflush(stdout);
    text += line + "\n";
  }
  if (rows.empty()) return 1;
  std::string end = summary(rows, options);
  fmt::print("{}", end);
  if (!options.out.empty()) std::ofstream(options.out) << text << end;
  return 0;
}

}  // namespace
}  // namespace peri::bench

int main(int argc, char** argv) {
  peri::bench::Options options;
  CLI::App app(
      "Searches of every strategy against the best known config, a row a kernel and shape");
  app.add_option("--filter", options.filter, "only kernels whose path or name contains this");
  app.add_option("--shapes", options.shapes, "the first shape of each kernel, the second, or both")
      ->check(CLI::IsMember({"1", "2", "1,2"}))
      ->capture_default_str();
  app.add_option("--seeds", options.seeds, "searches of each strategy")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--short", options.short_seconds, "seconds of a search of each strategy")
      ->capture_default_str();
  app.add_option("--long", options.long_seconds, "seconds of `auto`'s longer search")
      ->capture_default_str();
  app.add_option("--best", options.best_seconds, "seconds of one more search; 0: none")
      ->capture_default_str();
  app.add_option("--retime", options.retime_seconds, "seconds in which winners are timed in turns")
      ->capture_default_str();
  app.add_option("--out", options.out, "file to write the table to as well");
  CLI11_PARSE(app, argc, argv);
  return peri::bench::run(options);
}
