#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <optional>

#include "base/files.h"
#include "commands.h"
#include "driver/record_files.h"
#include "driver/tune.h"
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

void report(Session& session, const tune::Record& record) {
  const driver::Compilation& c = session.compilation();
  double best = tune::seconds_of(record, record.winner), standard = tune::seconds_of(record, 0);
  session.json()["kernel"] = c.decl->name;
  session.json()["target"] = record.target;
  session.json()["config"] = record.trials[record.winner].config;
  session.json()["seconds"] = best;
  session.json()["default_seconds"] = standard;
  session.json()["searched"] = record.trials.size() - 1;
  session.json()["failed"] = tune::count_failures(record);
  session.json()["elapsed"] = record.elapsed;
  session.json()["interrupted"] = record.interrupted;
  if (isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\r\033[K");
  session.text(fmt::format("[{:.0f}s] {}", record.elapsed, tune::completion_text(record)));
  session.text(fmt::format("best {}, default {} ({:.2f}x)", tune::print_seconds(best),
                           tune::print_seconds(standard), standard / best));
}

// --report: the run as a page.
Expected<void> write_report(Session& session, const tune::Record& record) {
  const std::string& path = session.options().report;
  if (path.empty()) return {};
  std::string page = tune::html_report(record);
  std::string_view parts[] = {page};
  if (auto written = replace_file(path, parts); !written) return written;
  session.json()["report"] = path;
  session.text(fmt::format("report written to {}", path));
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

}  // namespace

int tune(Session& session) {
  std::signal(SIGINT, on_interrupt);
  if (auto prepared = session.prepare(); !prepared) return session.finish(prepared);
  if (session.options().settings.effort == "none") return use_default(session);
  driver::TuneOptions tuning = tune_options();
  if (auto found = find_seeds(session, tuning); !found) return session.finish(found);
  std::optional<tune::CsvLog> table;
  if (!session.options().log.empty()) {
    auto opened = tune::CsvLog::open(session.options().log);
    if (!opened) return session.finish(std::unexpected(opened.error()));
    table = std::move(*opened);
    tuning.on_trial = [&table](const tune::Trial& trial, i64 number) { table->add(trial, number); };
  }
  auto record = driver::tune_kernel(session.compilation(), session.arguments(), tuning);
  if (!record) return session.finish(std::unexpected(record.error()));
  report(session, *record);
  auto written = write_report(session, *record);
  return session.finish(written, record->interrupted ? kInterrupted : kDone);
}

}  // namespace peri::cli
