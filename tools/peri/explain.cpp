#include "tune/explain.h"

#include <fmt/format.h>

#include <optional>

#include "base/files.h"
#include "commands.h"
#include "driver/dispatch_text.h"
#include "driver/tuned_store.h"
#include "tune/report.h"

namespace peri::cli {

namespace {

constexpr i64 kMaxRecordBytes = i64{256} << 20;

void print(Session& session, const std::string& text, tune::Config json) {
  std::string shown = text;
  while (!shown.empty() && shown.back() == '\n') shown.pop_back();
  session.text(shown);
  session.json().update(json);
}

Expected<void> explain_record(Session& session, const tune::Record& record) {
  print(session, tune::explain(record), tune::explain_json(record));
  if (session.options().report.empty()) return {};
  const std::string page = tune::html_report(record);
  std::string_view parts[] = {page};
  return replace_file(session.options().report, parts);
}

Expected<void> explain_file(Session& session, const std::string& path) {
  auto text = read_file(path, kMaxRecordBytes);
  if (!text) return std::unexpected(text.error());
  auto record = tune::parse_record(*text);
  if (!record) return std::unexpected(record.error());
  return explain_record(session, *record);
}

// A table of the shapes that an entry is for, if it has several.
void print_shapes(Session& session, const driver::TunedEntry& entry) {
  if (entry.others.empty()) return;
  session.text(driver::print_rows(entry.rows()));
  session.json()["rows"] = driver::rows_json(entry.rows());
}

// Of an entry of the cache: its table, and the record of its first row.
Expected<void> explain_key(Session& session, const std::string& key) {
  driver::TunedStore store(session.compilation().request);
  auto located = store.entry_named(key);
  if (!located) return std::unexpected(located.error());
  print_shapes(session, located->entry);
  if (auto record = store.record_of(located->entry)) return explain_record(session, *record);
  return fail("no-record", fmt::format("the cache has no record of `{}`", located->entry.key),
              "`peri cache show` prints what there is; tuning again makes one");
}

// Of the row of the cache that a call uses; none if it uses none, or its record is lost.
std::optional<tune::Record> record_of_call(Session& session) {
  const driver::Compilation& c = session.compilation();
  if (!c.dispatch) return std::nullopt;
  driver::TunedStore store(c.request);
  auto entry = store.find(c.tuned_key);
  if (!entry) return std::nullopt;
  const driver::TunedRow* row = entry->find(tune::values_of(c.dispatch->places));
  auto record = row != nullptr ? store.record_of(*row) : std::nullopt;
  if (record) print_shapes(session, *entry);
  return record;
}

// Of the config that a call would use: tuned, given or default.
Expected<void> explain_config(Session& session) {
  if (auto prepared = session.prepare(); !prepared) return prepared;
  driver::Compilation& c = session.compilation();
  if (auto done = driver::compile(c, "config"); !done) return done;
  if (auto record = record_of_call(session)) return explain_record(session, *record);
  if (!session.options().report.empty()) {
    return fail("bad-argument", "--report needs a tuning record",
                "tune the kernel, or name a record's file or a key of `peri cache ls`");
  }
  const backends::Prediction prediction = c.backend->predict(c.lowered->kernel, c.config);
  session.json()["kernel"] = c.decl->name;
  session.json()["target"] = c.backend->capabilities().target;
  print(session, tune::explain(prediction, c.config, c.config_origin),
        tune::explain_json(prediction, c.config, c.config_origin));
  return {};
}

}  // namespace

int explain(Session& session) {
  const std::string& target = session.options().target;
  if (target.ends_with(".json")) return session.finish(explain_file(session, target));
  const bool is_kernel = target.find(".py") != std::string::npos;
  return session.finish(is_kernel ? explain_config(session) : explain_key(session, target));
}

}  // namespace peri::cli
