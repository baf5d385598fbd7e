#include "tune/record.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "space/idle.h"
#include "tune/subject_fields.h"

namespace peri::tune {

namespace {

constexpr i64 kMostBytes = i64{1} << 28;
constexpr i64 kMostTrials = 1 << 20, kMostSamples = 1 << 16;
constexpr i64 kMostText = 1 << 14;

constexpr std::pair<Status, std::string_view> kStatusNames[] = {
    {Status::Ok, "ok"},
    {Status::CompileError, "compile-error"},
    {Status::WrongResult, "wrong-result"},
    {Status::Crashed, "crashed"},
    {Status::TooSlow, "too-slow"},
    {Status::Hung, "hung"},
    {Status::Skipped, "skipped"},
};

Rule status_rule() {
  Rule rule;
  for (const auto& [status, name] : kStatusNames) rule.names.push_back(name);
  return rule;
}

const Rule kCount{.low = 0};
const Rule kSeconds{.low = 0};
const Rule kTime{.low = 0, .may_be_infinite = true};  // of a call that may have failed
const Rule kSamples{.low = 0, .most = kMostSamples};
const Rule kLongText{.most = kMostText};

}  // namespace

std::string_view name_of(Status status) { return status_name(status); }
std::optional<Status> read_name(const std::string& name, Status) { return parse_status(name); }

// Not in the unnamed namespace: reader and writer find these by their arguments' types.
template <class Io, Is<Trial> T>
void fields(Io& io, T& t) {
  io("config", t.config, {}, "complete config, one value for each knob");
  io("status", t.status, status_rule(), "what became of it");
  io("reason", t.reason, kLongText, "why it failed; empty if it did not");
  io("origin", t.origin, {}, "where it came from: default, random, seed, neighbour, ...");
  io("generation", t.generation, kCount, "in which it was proposed");
  io("at", t.at, kSeconds, "seconds from the begin of the run to its measurement");
  io("compile_seconds", t.compile_seconds, kSeconds, "that compiling it took");
  io("seconds", t.seconds, kTime, "of a call, on the scale of the default's; null: not timed");
  io("low", t.low, kTime, "lower end of the confidence interval of `seconds`");
  io("high", t.high, kTime, "upper end of the confidence interval of `seconds`");
  io("predicted", t.predicted, kSeconds, "seconds by the cost model; 0: it says nothing");
  io("samples", t.samples, kSamples, "seconds of single calls, as the clock gave them");
}

template <class Io, Is<Finalist> F>
void fields(Io& io, F& f) {
  io("trial", f.trial, kCount, "index in `trials`");
  io("seconds", f.seconds, kSeconds, "median of a call");
  io("low", f.low, kSeconds, "lower end of the confidence interval of the median");
  io("high", f.high, kSeconds, "upper end of the confidence interval of the median");
  io("samples", f.samples, kSamples, "seconds of single calls, in turns with the other finalists");
}

template <class Io, Is<Accuracy> A>
void fields(Io& io, A& a) {
  io("error", a.error, {.low = 0}, "largest error relative to what is allowed there");
  io("allowed", a.allowed, {.low = 0}, "error that is allowed at that element");
  io("compared", a.compared, kCount,
     "elements of the default config's results that were compared with the reference "
     "interpreter's; 0: none were, and the winner is only known to do what the default does");
  io("cells", a.cells, kCount, "grid cells of the kernel");
  io("cells_run", a.cells_run, kCount, "grid cells that the reference interpreter ran");
  io("text", a.text, kLongText, "the same as a sentence");
}

template <class Io, Is<Roofline> R>
void fields(Io& io, R& r) {
  io("bytes", r.bytes, kCount, "that a call moves at least: every operand once");
  io("flops", r.flops, kCount, "that a call computes");
  io("bytes_per_second", r.bytes_per_second, kCount, "of this machine, measured; 0: unknown");
  io("flops_per_second", r.flops_per_second, kCount, "of this machine, measured; 0: unknown");
}

template <class Io, class R>
void fields_of_search(Io& io, R& r) {
  io("strategy", r.strategy, {.most = 256}, "of the search");
  io("effort", r.effort, {.most = 256}, "of the search");
  io("search_options", r.search_options, {}, "of the strategy, as NAME=VALUE,NAME=VALUE");
  io("device", r.device, {.most = 256}, "that was asked for; empty: the default");
  io("seed", r.seed, {}, "of the search and of random arguments");
  io("budget", r.budget, kSeconds, "seconds that were given; 0: none were");
  io("cache_mode", r.cache_mode, {.most = 256}, "`warm` or `cold`: the state of the CPU's caches");
  io("confidence", r.confidence, {.low = 0, .high = 1}, "of all intervals");
  io("static_shapes", r.static_shapes, {}, "whether the code is for these shapes only");
  io("started", r.started, {.pattern = kTimePattern}, "in UTC");
  io("elapsed", r.elapsed, kSeconds, "seconds of the whole run");
  io("compile_time", r.compile_time, kSeconds, "seconds of these spent waiting for the compiler");
  io("timing_time", r.timing_time, kSeconds, "seconds of these spent timing");
  io("interrupted", r.interrupted, {}, "whether the user ended the search");
  io("stopped", r.stopped, {}, "why the search ended");
  io("drifts", r.drifts, kCount, "timings repeated because the machine's speed changed");
  io("noise", r.noise, {.low = 0}, "relative, of repeated timings of the same code");
}

template <class Io, Is<Record> R>
void fields(Io& io, R& r) {
  io("schema", r.schema, {.low = kRecordSchema, .high = kRecordSchema}, "version of this format");
  fields_of_subject(io, r);
  io("toolchain", r.toolchain, {.most = 256},
     "compiler outside of Perihelion that made the winner's code, and its version; empty: none "
     "did, "
     "or it is unknown");
  fields_of_sizes(io, r);
  fields_of_search(io, r);
  io("trials", r.trials, {.most = kMostTrials}, "every config tried, in order; first the default");
  io("finalists", r.finalists, {.most = 1024}, "configs of the final round");
  io("winner", r.winner, kCount, "index in `trials`");
  io("idle", r.idle, {.most = 256},
     "keys of the winner's config that have no effect beside its other values");
  io("runner_up", r.runner_up, {.low = -1}, "index in `trials`; -1: there is none");
  io("tie", r.tie, {}, "whether winner and runner-up are within the noise");
  io("accuracy", r.accuracy, {},
     "how the default config's results compare with the reference interpreter's; those of the "
     "others were compared with the default's");
  io("roofline", r.roofline, {}, "what a call needs at least, and what the machine can do");
}

namespace {

std::string missing_trial(std::string_view path, i64 index, const Record& record) {
  return fmt::format("$.{}: expected an index of the {} trials, found {}", path,
                     record.trials.size(), index);
}

std::string inverted(std::string_view path, double low, double high) {
  if (low <= high) return "";
  return fmt::format("$.{}: expected `low` not above `high`, found {} and {}", path, low, high);
}

// What types and ranges do not say.
std::string contradiction(const Record& record) {
  i64 count = static_cast<i64>(record.trials.size());
  if (record.winner >= count) return missing_trial("winner", record.winner, record);
  if (record.runner_up >= count) return missing_trial("runner_up", record.runner_up, record);
  if (record.runner_up == record.winner) return "$.runner_up: expected another trial than $.winner";
  if (!record.neighbour.empty() && record.neighbour.size() != record.sizes.size()) {
    return fmt::format("$.neighbour: expected {} sizes, found {}", record.sizes.size(),
                       record.neighbour.size());
  }
  const Trial& winner = record.trials[record.winner];
  if (winner.status != Status::Ok || winner.seconds == kFailed) {
    return fmt::format("$.trials[{}]: expected a timed config, for it is the winner",
                       record.winner);
  }
  for (i64 i = 0; i < count; ++i) {
    const Trial& trial = record.trials[i];
    std::string fault = inverted(fmt::format("trials[{}]", i), trial.low, trial.high);
    if (!fault.empty()) return fault;
  }
  for (std::size_t i = 0; i < record.finalists.size(); ++i) {
    const Finalist& finalist = record.finalists[i];
    std::string path = fmt::format("finalists[{}]", i);
    if (finalist.trial >= count) return missing_trial(path + ".trial", finalist.trial, record);
    std::string fault = inverted(path, finalist.low, finalist.high);
    if (!fault.empty()) return fault;
  }
  return "";
}

}  // namespace

std::string_view status_name(Status status) {
  return kStatusNames[static_cast<std::size_t>(status)].second;
}

std::optional<Status> parse_status(std::string_view name) {
  for (const auto& [status, known] : kStatusNames) {
    if (known == name) return status;
  }
  return std::nullopt;
}

std::string key_of(const Subject& subject) {
  std::string text;
  for (const std::string& part : {subject.kernel_hash, subject.kernel, subject.target,
                                  subject.compiler, subject.specialization, subject.fingerprint}) {
    text += part;
    text += '\0';
  }
  if (subject.threads > 0) text += fmt::format("threads {}", subject.threads) + '\0';
  if (!subject.passes_off.empty()) text += fmt::format("without {}", subject.passes_off) + '\0';
  return "tuned-" + hash_hex(text);
}

std::string print_winner(const Record& record) {
  return space::print_config(space::without(record.trials[record.winner].config, record.idle));
}

double seconds_of(const Record& record, i64 trial) {
  for (const Finalist& finalist : record.finalists) {
    if (finalist.trial == trial) return finalist.seconds;
  }
  return record.trials[trial].seconds;
}

i64 count_failures(const Record& record) {
  return std::ranges::count_if(record.trials,
                               [](const Trial& trial) { return trial.status != Status::Ok; });
}

std::string_view start_name(const Record& record) {
  return is_listed(record.trials[0]) ? "first" : "default";
}

i64 count_searched(const Record& record) {
  return static_cast<i64>(record.trials.size()) - (is_listed(record.trials[0]) ? 0 : 1);
}

double regret_of(double seconds, double best_seconds) {
  if (best_seconds <= 0 || seconds <= best_seconds) return 0;
  return seconds / best_seconds - 1;
}

bool update_schema(Json& json) {
  if (!json.is_object()) return false;
  const Json schema = json.value("schema", Json());
  if (!schema.is_number_integer() || schema < 1 || schema >= kRecordSchema) return false;
  json["schema"] = kRecordSchema;
  if (schema < 5) json["threads"] = 0;
  if (schema < 5) json["passes_off"] = "";
  if (schema != Json(1)) return true;
  json["sizes"] = Json::array();  // version 1 had a list of texts, which was always empty
  json["best_seconds"] = 0;
  json["neighbour"] = Json::array();
  json["neighbour_seconds"] = nullptr;
  return true;
}

double Roofline::seconds() const {
  if (bytes_per_second <= 0 || flops_per_second <= 0) return 0;
  return std::max(bytes / bytes_per_second, flops / flops_per_second);
}

std::string_view Roofline::limiter() const {
  if (seconds() <= 0) return "latency";
  return bytes / bytes_per_second >= flops / flops_per_second ? "bytes" : "flops";
}

Config json_of(const Record& record) { return write_fields(record); }

// Top-level keys and items of their lists have lines of their own, so that records can be compared
// line by line.
std::string print_record(const Record& record) {
  auto dump = [](const Json& value) {
    return value.dump(-1, ' ', false, Json::error_handler_t::replace);
  };
  std::string text = "{";
  std::string_view separator = "\n";
  for (const auto& [key, value] : json_of(record).items()) {
    text += fmt::format("{}  \"{}\": ", separator, key);
    separator = ",\n";
    if (!value.is_array() || value.empty()) {
      text += dump(value);
      continue;
    }
    for (std::size_t i = 0; i < value.size(); ++i) {
      text += fmt::format("{}\n    {}", i == 0 ? '[' : ',', dump(value[i]));
    }
    text += "\n  ]";
  }
  return text + "\n}\n";
}

Expected<Record> read_record(const Config& json) {
  if (json.is_object() && json.contains("schema") && json["schema"].is_number_integer() &&
      json["schema"] > kRecordSchema) {
    return fail("bad-record",
                fmt::format("$.schema: expected at most {}, found {}", kRecordSchema,
                            brief(json["schema"])),
                "a newer version of Perihelion wrote this record");
  }
  if (Json complete = json; update_schema(complete)) {
    for (const char* key : {"toolchain", "search_options", "device"}) {
      if (!complete.contains(key)) complete[key] = "";
    }
    if (!complete.contains("idle")) complete["idle"] = Json::array();
    return read_record(complete);
  }
  auto record = read_fields<Record>(json, "bad-record");
  if (!record) return record;
  std::string fault = contradiction(*record);
  if (!fault.empty()) return fail("bad-record", fault);
  return record;
}

Expected<Record> parse_record(std::string_view text) {
  auto json = parse_json(text, "bad-record", kMostBytes);
  if (!json) return std::unexpected(json.error());
  return read_record(*json);
}

Config record_schema() {
  Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                 {"title", "Perihelion tuning record"}};
  schema.update(schema_of<Record>());
  return schema;
}

}  // namespace peri::tune
