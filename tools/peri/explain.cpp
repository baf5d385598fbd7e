#include "tune/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/files.h"
#include "commands.h"
#include "driver/dispatch_text.h"
#include "driver/shapes.h"
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

// Rows whose sizes are those that --shape names; without it all.
Expected<std::vector<const driver::TunedRow*>> chosen_rows(Session& session,
                                                           const driver::TunedEntry& entry) {
  std::vector<const driver::TunedRow*> rows = entry.rows();
  if (session.options().shapes.empty()) return rows;
  const std::string& text = session.options().shapes[0];
  auto shape = driver::parse_shape(text);
  if (!shape) return std::unexpected(shape.error());
  std::erase_if(rows, [&](const driver::TunedRow* row) {
    return !std::ranges::all_of(*shape, [&](const auto& wanted) {
      return std::ranges::any_of(row->sizes, [&](const tune::NamedSize& size) {
        return size.name == wanted.first && size.size == wanted.second;
      });
    });
  });
  if (!rows.empty()) return rows;
  return fail("bad-shape", fmt::format("`{}` was not tuned for {}", entry.key, text),
              fmt::format("`peri explain {}` shows the shapes that it was tuned for", entry.key));
}

std::unexpected<Error> no_record(const std::string& key) {
  return fail("no-record", fmt::format("the cache has no record of `{}`", key),
              "`peri cache show` prints what there is; tuning again makes one");
}

// Several records; the first is also that of the JSON's own keys.
Expected<void> explain_rows(Session& session, const driver::TunedStore& store,
                            const std::vector<const driver::TunedRow*>& rows,
                            const std::string& key) {
  if (!session.options().report.empty()) {
    return fail("bad-argument", fmt::format("--report writes one record, `{}` has several", key),
                "name one of its shapes with --shape");
  }
  session.text("--shape NAME=SIZE,... shows one of them\n");
  auto all = tune::Config::array();
  for (const driver::TunedRow* row : rows) {
    auto record = store.record_of(*row);
    if (!record) continue;
    tune::Config json = tune::explain_json(*record);
    session.text(fmt::format("shape {}", tune::print_sizes(row->sizes)));
    print(session, tune::explain(*record), all.empty() ? json : tune::Config::object());
    session.text("");
    json["shape"] = tune::print_sizes(row->sizes);
    all.push_back(std::move(json));
  }
  if (all.empty()) return no_record(key);
  session.json()["records"] = std::move(all);
  return {};
}

// Of an entry of the cache: its table, and the records of its rows, or of the one that --shape
// names.
Expected<void> explain_key(Session& session, const std::string& key) {
  driver::TunedStore store(session.compilation().request);
  auto located = store.entry_named(key);
  if (!located) return std::unexpected(located.error());
  auto rows = chosen_rows(session, located->entry);
  if (!rows) return std::unexpected(rows.error());
  print_shapes(session, located->entry);
  if (rows->size() == 1) {
    if (auto record = store.record_of(*rows->front())) return explain_record(session, *record);
    return no_record(key);
  }
  return explain_rows(session, store, *rows, key);
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
