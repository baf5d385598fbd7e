#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <deque>
#include <optional>

#include "base/files.h"
#include "commands.h"
#include "driver/dispatch_text.h"
#include "driver/record_files.h"
#include "driver/tune_shapes.h"
#include "space/config.h"
#include "tune/csv_log.h"
#include "tune/report.h"

namespace peri::cli {

namespace {

std::atomic<bool> interrupted = false;

// The first Ctrl-C ends the search, a second one the program.
void on_interrupt(int) {
  interrupted.store(true, std::memory_order_relaxed);
  std::signal(SIGINT, SIG_DFL);
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

void show_progress(const tune::Progress& progress) {
  std::string locale = environment("LC_ALL");
  for (const char* name : {"LC_CTYPE", "LANG"}) {
    if (locale.empty()) locale = environment(name);
  }
  tune::Terminal terminal = tune::terminal_of(STDERR_FILENO, environment("COLUMNS"), locale);
  fmt::print(stderr, "\r\033[K{}", tune::progress_line(progress, terminal));
}

driver::TuneOptions tune_options() {
  driver::TuneOptions tuning;
  tuning.is_interrupted = [] { return interrupted.load(std::memory_order_relaxed); };
  bool live = isatty(STDERR_FILENO) != 0;
  tuning.log = [live](const std::string& line) {
    fmt::print(stderr, "{}{}\n", live ? "\r\033[K" : "", line);
  };
  if (live) tuning.progress = show_progress;
  return tuning;
}

// One record as JSON, and as text.
nlohmann::ordered_json report(Session& session, const tune::Record& record) {
  double best = tune::seconds_of(record, record.winner), standard = tune::seconds_of(record, 0);
  if (isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\r\033[K");
  session.text(fmt::format("[{:.0f}s] The search ended: {}", record.elapsed, record.stopped));
  session.text(fmt::format("[{:.0f}s] {}", record.elapsed, tune::completion_text(record)));
  session.text(fmt::format("best {}, {} {} ({:.2f}x)", tune::print_seconds(best),
                           tune::start_name(record), tune::print_seconds(standard),
                           standard / best));
  return {{"kernel", record.kernel},
          {"target", record.target},
          {"config", record.trials[record.winner].config},
          {"seconds", best},
          {"default_seconds", standard},
          {"searched", tune::count_searched(record)},
          {"failed", tune::count_failures(record)},
          {"elapsed", record.elapsed},
          {"stopped", record.stopped},
          {"interrupted", record.interrupted}};
}

// The results of several shapes, and what calls get then.
void report_shapes(Session& session, const std::vector<tune::Record>& records) {
  session.json()["results"] = nlohmann::ordered_json::array();
  std::vector<driver::TunedEntry> entries;
  for (std::size_t i = 0; i < records.size(); ++i) {
    session.text(fmt::format("shape {}", session.options().shapes[i]));
    auto json = report(session, records[i]);
    json["shape"] = session.options().shapes[i];
    session.json()["results"].push_back(std::move(json));
    entries.push_back(driver::entry_of(records[i]));
  }
  for (std::size_t i = records.size(); i < session.options().shapes.size(); ++i) {
    session.text(fmt::format("not tuned: shape {}", session.options().shapes[i]));
    session.json()["not_tuned"].push_back(session.options().shapes[i]);
  }
  std::vector<const driver::TunedRow*> rows;
  for (const driver::TunedEntry& entry : entries) rows.push_back(&entry);
  session.json()["rows"] = driver::rows_json(rows);
  std::string table = driver::print_rows(rows);
  if (!table.empty()) session.text("\n" + table.substr(0, table.size() - 1));
}

// run.html, and run-2.html for the second shape.
std::string numbered(const std::string& path, std::size_t number) {
  if (number == 0) return path;
  const std::size_t dot = std::min(path.rfind('.'), path.size());
  return fmt::format("{}-{}{}", path.substr(0, dot), number + 1, path.substr(dot));
}

// --report: each run as a page.
Expected<void> write_reports(Session& session, const std::vector<tune::Record>& records) {
  if (session.options().report.empty()) return {};
  for (std::size_t i = 0; i < records.size(); ++i) {
    const std::string path = numbered(session.options().report, i);
    std::string page = tune::html_report(records[i]);
    std::string_view parts[] = {page};
    if (auto written = replace_file(path, parts); !written) return written;
    if (i == 0) session.json()["report"] = path;
    session.text(fmt::format("report written to {}", path));
  }
  return {};
}

// --effort none: the default config, at once.
int use_default(Session& session) {
  driver::Compilation& c = session.compilation();
  if (auto done = driver::compile(c, "space"); !done) return session.finish(done);
  driver::Outlook outlook = driver::outlook_of_default(c);
  session.json()["kernel"] = c.decl->name;
  session.json()["config"] = c.default_config;
  session.json()["predicted_seconds"] = outlook.seconds;
  session.json()["predicted_best_seconds"] = outlook.best_seconds;
  session.text(fmt::format("Using implicit config: {}", space::print_config(c.default_config)));
  session.text(outlook.text());
  return session.finish({});
}

// Configs of the records that --from names; without it the cache gives some.
Expected<void> find_seeds(Session& session, driver::TuneOptions& options) {
  const std::string& from = session.options().from;
  if (from.empty()) return {};
  auto records = driver::read_records(from);
  if (!records) return std::unexpected(records.error());
  driver::Compilation& c = session.compilation();
  if (auto done = driver::compile(c, "space"); !done) return done;
  options.seeds = driver::seeds_from(*records, c);
  if (options.seeds.empty()) {
    c.request.warn({"no-seeds", fmt::format("no record of `{}` is of this kernel", from), ""});
  }
  return {};
}

// Of a search whose result calls do not use.
void warn_if_fixed(Session& session) {
  const driver::Compilation& c = session.compilation();
  if (!driver::is_fixed(*c.decl)) return;
  c.request.warn(
      {"decorator-config",
       fmt::format("the decorator of `{}` gives a config, which calls go on using", c.decl->name),
       "to use the one that was found, write it there, or remove `config=`"});
}

// Of each --shape, or of one call.
driver::ShapeResults tune_all(Session& session, const driver::TuneOptions& tuning) {
  std::deque<driver::Compilation> further;
  std::deque<driver::Arguments> arguments;
  std::vector<driver::ShapeJob> jobs = {{&session.compilation(), &session.arguments()}};
  for (std::size_t shape = 1; shape < session.options().shapes.size(); ++shape) {
    auto read = session.arguments_for(static_cast<i64>(shape));
    if (!read) return {{}, read.error()};
    arguments.push_back(*std::move(read));
    driver::Compilation& c = further.emplace_back(session.diags());
    c.request = session.compilation().request;
    c.request.args = specs_of(arguments.back());
    jobs.push_back({&c, &arguments.back()});
  }
  return driver::tune_shapes(jobs, tuning);
}

}  // namespace

int tune(Session& session) {
  std::signal(SIGINT, on_interrupt);
  session.compilation().request.takes_several_devices = true;
  if (auto prepared = session.prepare(); !prepared) return session.finish(prepared);
  if (session.options().settings.effort == "none") return use_default(session);
  driver::TuneOptions tuning = tune_options();
  if (auto found = find_seeds(session, tuning); !found) return session.finish(found);
  std::optional<tune::CsvLog> table;
  std::string shape;  // that is being tuned for
  if (!session.options().log.empty()) {
    auto opened = tune::CsvLog::open(session.options().log);
    if (!opened) return session.finish(std::unexpected(opened.error()));
    table = std::move(*opened);
    tuning.on_shape = [&](std::size_t job) {
      const std::vector<std::string>& shapes = session.options().shapes;
      shape = job < shapes.size() ? shapes[job] : "";
    };
    tuning.on_trial = [&](const tune::Trial& trial, i64 number) {
      table->add(trial, number, shape);
    };
  }
  const auto [records, failure] = tune_all(session, tuning);
  if (table && table->lost() > 0) {
    session.compilation().request.warn({"log-incomplete",
                                        fmt::format("`{}` lacks {} rows: {}", session.options().log,
                                                    table->lost(), table->trouble()),
                                        "the search went on without"});
  }
  if (!records.empty() && session.options().shapes.size() > 1) {
    report_shapes(session, records);
  } else if (!records.empty()) {
    session.json().update(report(session, records[0]));
  }
  if (!records.empty()) warn_if_fixed(session);
  auto written = write_reports(session, records);
  if (failure) return session.finish(std::unexpected(*failure));
  const bool is_interrupted = std::ranges::any_of(records, &tune::Record::interrupted);
  return session.finish(written, is_interrupted ? kInterrupted : kDone);
}

}  // namespace peri::cli
