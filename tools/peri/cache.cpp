#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <ctime>
#include <map>

#include "base/files.h"
#include "commands.h"
#include "driver/code_cache.h"
#include "driver/dispatch_text.h"
#include "driver/record_files.h"
#include "driver/subject.h"
#include "driver/tuned_choice.h"
#include "tune/explain.h"
#include "tune/measure.h"

namespace peri::cli {

using driver::TunedStore;
using nlohmann::ordered_json;
using Located = TunedStore::Located;

namespace {

constexpr std::size_t kShownKey = 18;  // "tuned-" and twelve digits
constexpr std::size_t kShownText = 48;

std::string age_of(i64 modified) {
  i64 seconds = std::max<i64>(0, std::time(nullptr) - modified);
  if (seconds < 120) return fmt::format("{} s", seconds);
  if (seconds < 7200) return fmt::format("{} min", seconds / 60);
  if (seconds < 172800) return fmt::format("{} h", seconds / 3600);
  return fmt::format("{} d", seconds / 86400);
}

std::string shortened(const std::string& text) {
  return text.size() > kShownText ? text.substr(0, kShownText - 3) + "..." : text;
}

ordered_json json_of(const Located& located) {
  const driver::TunedEntry& e = located.entry;
  return {{"key", e.key},
          {"kernel", e.kernel},
          {"specialization", e.specialization},
          {"target", e.target},
          {"machine", e.machine},
          {"compiler", e.compiler},
          {"threads", e.threads},
          {"passes_off", e.passes_off},
          {"cache_mode", e.cache_mode},
          {"seconds", e.seconds},
          {"started", e.started},
          {"modified", located.modified},
          {"bytes", located.bytes},
          {"layer", layer_name(located.layer)},
          {"config", e.config},
          {"record", e.record},
          {"rows", driver::rows_json(e.rows())}};
}

class CacheCommand {
 public:
  explicit CacheCommand(Session& session)
      : session_(session),
        options_(session.options()),
        store_(options_.settings, session.compilation().request.warn) {}

  Expected<void> run() {
    if (store_.is_off()) return fail("bad-setting", "--no-cache leaves no cache to look at");
    const std::string& action = options_.action;
    if (action == "ls") return list();
    if (action == "show") return show();
    if (action == "why") return why();
    if (action == "export") return export_records();
    if (action == "gc") return collect();
    return import_records();
  }

 private:
  bool matches(const Located& located, const std::string& filter) const {
    const driver::TunedEntry& e = located.entry;
    if (filter.empty() || e.key.starts_with(filter) || e.key.starts_with("tuned-" + filter)) {
      return true;
    }
    for (const std::string* text : {&e.kernel, &e.file, &e.target, &e.machine, &e.specialization}) {
      if (text->find(filter) != std::string::npos) return true;
    }
    return false;
  }

  Expected<void> list() {
    ordered_json entries = ordered_json::array();
    std::vector<std::array<std::string, 8>> rows{
        {"key", "kernel", "specialization", "target", "machine", "time", "age", "layer"}};
    for (const Located& located : store_.entries()) {
      if (!matches(located, options_.target)) continue;
      entries.push_back(json_of(located));
      const driver::TunedEntry& e = located.entry;
      std::string about = e.specialization;
      if (!e.others.empty()) about += fmt::format(" ({} shapes)", e.rows().size());
      rows.push_back({e.key.substr(0, kShownKey), e.kernel, shortened(about), e.target,
                      shortened(e.machine.substr(0, e.machine.find(','))),
                      tune::print_seconds(e.seconds), age_of(located.modified),
                      std::string(layer_name(located.layer))});
    }
    session_.json()["entries"] = entries;
    print_table(rows);
    const driver::CodeUse code = driver::code_use(store_.cache().list());
    session_.json()["code"] = {{"entries", code.entries}, {"bytes", code.bytes}};
    if (code.entries > 0) {
      session_.text(
          fmt::format("and machine code of {} functions, {} bytes", code.entries, code.bytes));
    }
    return {};
  }

  void print_table(const std::vector<std::array<std::string, 8>>& rows) const {
    if (rows.size() == 1) return session_.text("the cache holds no tuned configs");
    std::array<std::size_t, 8> widths{};
    for (const auto& row : rows) {
      for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    for (const auto& row : rows) {
      std::string line;
      for (std::size_t i = 0; i < row.size(); ++i) {
        line += fmt::format("{:<{}}{}", row[i], i + 1 < row.size() ? widths[i] : 0,
                            i + 1 < row.size() ? "  " : "");
      }
      session_.text(line);
    }
  }

  Expected<void> show() {
    auto located = store_.entry_named(options_.target);
    if (!located) return std::unexpected(located.error());
    const driver::TunedEntry& e = located->entry;
    std::vector<tune::Record> records;
    for (const driver::TunedRow* row : e.rows()) {
      if (auto record = store_.record_of(*row)) records.push_back(*std::move(record));
    }
    session_.json()["entry"] = json_of(*located);
    if (records.size() == 1) session_.json()["record"] = tune::json_of(records[0]);
    for (const tune::Record& record : records) {
      session_.json()["records"].push_back(tune::json_of(record));
    }
    session_.text(
        fmt::format("{} of {} in the {} cache", e.key, e.kernel, layer_name(located->layer)));
    session_.text(fmt::format("arguments  {}", e.specialization));
    session_.text(fmt::format("target     {}\nmachine    {}\ncompiler   {}", e.target, e.machine,
                              e.compiler));
    if (e.threads > 0) session_.text(fmt::format("threads    {}", e.threads));
    if (!e.passes_off.empty()) session_.text("without    " + e.passes_off);
    if (!e.cache_mode.empty()) session_.text("caches     " + e.cache_mode);
    if (e.sizes.empty()) {
      session_.text(fmt::format(
          "time       {}\nconfig     {}", tune::print_seconds(e.seconds),
          records.empty() ? space::print_config(e.config) : tune::print_winner(records[0])));
    } else {
      session_.text("\n" + driver::print_rows(e.rows()));
    }
    for (const tune::Record& record : records) session_.text("\n" + tune::explain(record));
    if (records.empty()) session_.text("it has no record");
    return {};
  }

  Expected<void> why() {
    if (auto prepared = session_.prepare(); !prepared) return prepared;
    driver::Compilation& c = session_.compilation();
    if (auto done = driver::compile(c, "config"); !done) return done;
    const tune::Subject here = driver::subject_of(c);
    session_.json()["key"] = here.key;
    session_.json()["config_origin"] = c.config_origin;
    session_.json()["config"] = c.config;
    session_.text(fmt::format("{} for {}", here.key, here.specialization));
    session_.text(fmt::format("{} config: {}", c.config_origin, space::print_config(c.config)));
    if (c.dispatch && !c.dispatch->places.empty()) {
      const std::string sizes = tune::print_sizes(c.dispatch->places);
      session_.json()["tuned_for"] = sizes;
      session_.text(
          fmt::format("tuned for {}, the nearest of {} shapes", sizes, c.dispatch->configs.size()));
    }
    ordered_json others = ordered_json::array();
    bool is_first = true;
    for (const Located& located : store_.entries()) {
      if (located.entry.kernel != here.kernel) continue;
      std::vector<std::string> differ = driver::differences(here, located.entry);
      std::string says = !differ.empty() ? driver::describe_difference(here, located.entry)
                         : driver::is_fixed(*c.decl) ? "is not used: the decorator gives a config"
                         : is_first                  ? "is used"
                                                     : "is shadowed by a layer before it";
      if (differ.empty()) is_first = false;
      others.push_back({{"key", located.entry.key},
                        {"layer", layer_name(located.layer)},
                        {"differs_in", differ},
                        {"text", says}});
      session_.text(fmt::format("  {} in the {} cache {}", located.entry.key.substr(0, kShownKey),
                                layer_name(located.layer), says));
    }
    if (others.empty()) session_.text("  no entry is of a kernel called " + here.kernel);
    session_.json()["entries"] = others;
    return {};
  }

  Expected<void> export_records() {
    std::vector<tune::Record> records;
    std::vector<driver::RecordedCode> code;
    for (const Located& located : store_.entries()) {
      if (!matches(located, options_.target)) continue;
      for (const driver::TunedRow* row : located.entry.rows()) {
        if (auto record = store_.record_of(*row)) records.push_back(*std::move(record));
        std::ranges::move(driver::code_of(store_.cache(), row->record), std::back_inserter(code));
      }
    }
    const std::string text = driver::print_records(records, code);
    const std::string_view parts[] = {text};
    if (auto written = replace_file(options_.out, parts); !written) return written;
    session_.json()["records"] = records.size();
    session_.json()["code"] = code.size();
    const std::string functions =
        code.empty() ? "" : fmt::format(" and machine code of {} functions", code.size());
    session_.text(fmt::format("{} records{} in {}", records.size(), functions, options_.out));
    return {};
  }

  // Everything is read and checked before anything is kept.
  Expected<void> import_records() {
    std::map<std::string, std::vector<tune::Record>> by_key;
    std::vector<driver::RecordedCode> code;
    for (const std::string& file : options_.files) {
      auto records = driver::read_records(file, &code);
      if (!records) return std::unexpected(records.error());
      for (tune::Record& record : *records) by_key[record.key].push_back(std::move(record));
    }
    if (auto put = driver::keep_code(store_.cache(), code); !put) return put;
    i64 stored = 0, kept = 0, conflicts = 0;
    for (const auto& [key, records] : by_key) {
      if (has_conflict(records)) {
        ++conflicts;
        session_.text(fmt::format("{} of {}: {} results, the best is taken",
                                  key.substr(0, kShownKey), records[0].kernel, records.size()));
      }
      for (const tune::Record& record : records) {
        auto other = store_.put(record);
        if (!other) return std::unexpected(other.error());
        ++(*other ? kept : stored);
      }
    }
    session_.json()["stored"] = stored;
    session_.json()["kept"] = kept;
    session_.json()["conflicts"] = conflicts;
    session_.text(
        fmt::format("{} stored, {} not better than what was there, {} keys with several results",
                    stored, kept, conflicts));
    return {};
  }

  static bool has_conflict(const std::vector<tune::Record>& records) {
    return std::ranges::any_of(records, [&](const tune::Record& record) {
      return record.sizes == records[0].sizes &&
             record.trials[record.winner].config != records[0].trials[records[0].winner].config;
    });
  }

  Expected<void> collect() {
    auto garbage = driver::collect_garbage(
        store_, {options_.older_days, options_.max_bytes, options_.dry_run}, std::time(nullptr));
    if (!garbage) return std::unexpected(garbage.error());
    i64 bytes = 0;
    ordered_json list = ordered_json::array();
    for (const driver::Garbage& one : *garbage) {
      bytes += one.bytes;
      list.push_back({{"path", one.path}, {"reason", one.reason}, {"bytes", one.bytes}});
      session_.text(fmt::format("{}: {}", one.key.empty() ? one.path : one.key, one.reason));
    }
    session_.json()["removed"] = list;
    session_.json()["dry_run"] = options_.dry_run;
    session_.text(fmt::format("{} {} files, {} bytes",
                              options_.dry_run ? "would remove" : "removed", garbage->size(),
                              bytes));
    return {};
  }

  Session& session_;
  const Options& options_;
  TunedStore store_;
};

}  // namespace

int cache(Session& session) { return session.finish(CacheCommand(session).run()); }

}  // namespace peri::cli
