#include "tune/explain.h"

#include "base/files.h"
#include "commands.h"
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

// Of a record that lies in a file.
Expected<void> explain_record(Session& session, const std::string& path) {
  auto text = read_file(path, kMaxRecordBytes);
  if (!text) return std::unexpected(text.error());
  auto record = tune::parse_record(*text);
  if (!record) return std::unexpected(record.error());
  print(session, tune::explain(*record), tune::explain_json(*record));
  if (session.options().report.empty()) return {};
  const std::string page = tune::html_report(*record);
  std::string_view parts[] = {page};
  return replace_file(session.options().report, parts);
}

// Of the config that a call would use: tuned, given or default.
Expected<void> explain_config(Session& session) {
  if (!session.options().report.empty()) {
    return fail("bad-argument", "--report needs a tuning record",
                "name a record's file, or use `peri tune --report`");
  }
  if (auto prepared = session.prepare(); !prepared) return prepared;
  driver::Compilation& c = session.compilation();
  if (auto done = driver::compile(c, "config"); !done) return done;
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
  const bool is_record = target.ends_with(".json");
  return session.finish(is_record ? explain_record(session, target) : explain_config(session));
}

}  // namespace peri::cli
