#include "driver/verify.h"

#include <fmt/format.h>

#include "commands.h"
#include "driver/subject.h"
#include "driver/tuned_store.h"

namespace peri::cli {

using driver::TunedStore;
using driver::Verdict;
using nlohmann::ordered_json;

namespace {

class Verify {
 public:
  explicit Verify(Session& session)
      : session_(session), store_(session.options().settings, session.compilation().request.warn) {}

  Expected<void> run() {
    auto entries = chosen();
    if (!entries) return std::unexpected(entries.error());
    session_.json()["verdicts"] = ordered_json::array();
    for (const driver::TunedEntry& entry : *entries) {
      for (const driver::TunedRow* row : entry.rows()) check(entry, *row);
    }
    if (entries->empty()) session_.text("the cache holds no tuned configs");
    return {};
  }

  Status status() const {
    if (is_rotten_) return kCheckFailed;
    return has_error_ ? kEnvironment : kDone;
  }

 private:
  Expected<std::vector<driver::TunedEntry>> chosen() {
    const std::string& target = session_.options().target;
    std::vector<driver::TunedEntry> entries;
    std::string key = target;
    std::optional<tune::Subject> subject;
    if (target.find(".py") != std::string::npos) {
      if (auto prepared = session_.prepare(); !prepared) return std::unexpected(prepared.error());
      driver::Compilation& c = session_.compilation();
      if (auto done = driver::compile(c, "space"); !done) return std::unexpected(done.error());
      key = c.tuned_key;
      subject = driver::subject_of(c);
    }
    std::vector<driver::TunedEntry> outdated;  // of other text, machine, compiler or settings
    for (TunedStore::Located& located : store_.entries()) {
      const driver::TunedEntry& entry = located.entry;
      if (session_.options().all || entry.key.starts_with(key) ||
          entry.key.starts_with("tuned-" + key)) {
        entries.push_back(entry);
      } else if (subject && entry.kernel == subject->kernel &&
                 entry.specialization == subject->specialization) {
        outdated.push_back(entry);
      }
    }
    if (entries.empty()) entries = std::move(outdated);
    if (!entries.empty() || session_.options().all) return entries;
    return fail("unknown-key", fmt::format("no tuned config for `{}`", target),
                "`peri cache ls` lists them, `peri cache why` tells what differs");
  }

  void check(const driver::TunedEntry& entry, const driver::TunedRow& row) {
    ordered_json json = {{"key", entry.key}, {"kernel", entry.kernel}};
    std::string text, name = entry.kernel;
    if (!row.sizes.empty()) {
      json["sizes"] = tune::print_sizes(row.sizes);
      name += " at " + tune::print_sizes(row.sizes);
    }
    if (auto record = store_.record_of(row)) {
      diag::Sources sources;
      diag::Diags diags(sources);
      driver::Compilation c(diags);
      c.request.settings = session_.options().settings;
      c.request.device = c.request.settings.device;
      auto verdict = driver::verify(c, *record, session_.options().verify_budget);
      if (!verdict) {
        text = failure(c, verdict.error(), json);
      } else {
        text = verdict->text();
        add(*verdict, json);
      }
    } else {
      text = "unknown: it has no record";
      json["state"] = "unknown";
    }
    json["text"] = text;
    session_.json()["verdicts"].push_back(json);
    session_.text(fmt::format("{} {} {}", entry.key.substr(0, 18), name, text));
  }

  // A kernel that is gone or does not compile any more is a finding, not the end; neither are
  // troubles of the machine, of which others may be free.
  std::string failure(const driver::Compilation& c, const Error& error, ordered_json& json) {
    const bool is_outdated = driver::is_outdated(error, c);
    has_error_ = has_error_ || !is_outdated;
    json["state"] = is_outdated ? "stale" : "error";
    if (!is_outdated) json["error"] = error.code;
    const std::string& message = c.diags.has_errors() ? c.diags.all()[0].message : error.message;
    return fmt::format("{}: {}", json["state"].get<std::string>(), message);
  }

  void add(const Verdict& verdict, ordered_json& json) {
    json["state"] = state_name(verdict.state);
    json["changed"] = verdict.changed;
    if (!verdict.reason.empty()) json["reason"] = verdict.reason;
    json["rivals"] = ordered_json::array();
    for (const Verdict::Rival& rival : verdict.rivals) {
      json["rivals"].push_back({{"name", rival.name},
                                {"ratio", rival.ratio},
                                {"low", rival.low},
                                {"high", rival.high},
                                {"recorded_ratio", rival.recorded_ratio}});
    }
    is_rotten_ = is_rotten_ || verdict.state == Verdict::State::Rotten;
  }

  Session& session_;
  TunedStore store_;
  bool is_rotten_ = false, has_error_ = false;
};

}  // namespace

int verify(Session& session) {
  Verify verify(session);
  auto done = verify.run();
  return session.finish(done, verify.status());
}

}  // namespace peri::cli
