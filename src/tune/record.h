// A tuning record: everything a tuning run saw, so that its result can be judged, repeated and
// moved to other machines.
//
// Data only: what is loaded is checked against the schema (docs/reference/record.md) and never
// executed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/expected.h"
#include "space/config.h"
#include "tune/shape_table.h"
#include "tune/strategy.h"

namespace peri::tune {

// 1 had no sizes, 2 no toolchain, 3 no idle keys, 4 no threads, 5 no search options
constexpr i64 kRecordSchema = 6;

// What became of a config.
enum class Status : u8 {
  Ok,
  CompileError,  // the compiler refused it, or failed
  WrongResult,   // results differ from the reference
  Crashed,       // the worker died: a signal, an abort, an exit
  TooSlow,       // stopped at the time limit, tens of times the default's time: slow, or it hangs
  Hung,          // no answer within a thousand times the default's time, or while compiling
  Skipped,       // failed in an earlier run, or was cut off by the user or the end of the budget
};
std::string_view status_name(Status status);  // "ok", "compile-error", ...
std::optional<Status> parse_status(std::string_view name);

// One config that a run tried, in order; number 0 is what the search started from: the default
// config, or the first of a list.
struct Trial {
  Config config;
  Status status = Status::Ok;
  std::string reason;  // of a failure: "SIGSEGV", "largest error 0.3 of 1e-05 allowed"
  std::string origin;  // "default", "random", "cost model", "seed", "neighbour", ...
  i64 generation = 0;
  double at = 0;  // seconds since the run began
  double compile_seconds = 0;
  double seconds = kFailed;              // of a call, on the scale of the default's
  double low = kFailed, high = kFailed;  // confidence interval of `seconds`
  double predicted = 0;                  // seconds by the cost model; 0: it says nothing
  std::vector<double> samples;           // seconds of its calls, as the clock gave them
};

// A config of the final round: all are timed in turns.
struct Finalist {
  i64 trial = 0;
  double seconds = 0;        // median
  double low = 0, high = 0;  // confidence interval of the median
  std::vector<double> samples;
};

// How the default's results compare with the reference interpreter's. Those of all other configs
// were compared with the default's.
struct Accuracy {
  double error = 0, allowed = 0;  // where error / allowed is largest
  i64 compared = 0;               // elements; 0: the interpreter took too long, or wrote none
  i64 cells = 0, cells_run = 0;   // grid cells that the reference ran
  std::string text;

  bool is_verified() const { return compared > 0; }
};

// What a call must move and compute at least, and what this machine can do: the roofline.
struct Roofline {
  double bytes = 0, flops = 0;  // of a call: every operand once
  double bytes_per_second = 0;  // of the machine, measured before the run; 0: unknown
  double flops_per_second = 0;
  double seconds() const;            // lower bound by these; 0: unknown
  std::string_view limiter() const;  // "bytes", "flops" or "latency"
};

// What was tuned: the kernel, its arguments, the machine and the compiler.
struct Subject {
  std::string key;             // of the tuned config in the cache: see key_of()
  std::string kernel;          // its name
  std::string kernel_hash;     // of its text
  std::string structure_hash;  // of its config space: records with the same one fit as seeds
  std::string specialization;  // as check::specialization_key: "static x=f32[1024:512,512:1]"
  std::string file;            // of the kernel, as it was given
  std::vector<std::string> arguments;  // of the tuned call, "NAME=SPEC": enough to repeat it
  std::string target;                  // "znver4"
  std::string machine;                 // as DeviceInfo::describe()
  std::string fingerprint;             // of the machine
  std::string compiler;                // version of Perihelion and of its code generator
  i64 threads = 0;                     // most that a launch may use, as the user says; 0: all CPUs
  std::string passes_off;              // passes left out, sorted: "NAME,NAME"
};

// "tuned-" and a hash of what a config depends on: kernel text and name, target, specialisation,
// machine and compiler, threads and passes.
std::string key_of(const Subject& subject);

struct Record : Subject {
  i64 schema = kRecordSchema;
  // Compiler outside of this program that made the winner's machine code, and its version; "": none
  // did, or it is unknown. No part of the key: calls run code that is kept without asking.
  std::string toolchain;

  // Of a kernel with dynamic shapes, tuned for these sizes (perhaps among others: a call gets the
  // config of the nearest ones, see ShapeTable). The winner may then be another shape's that ties
  // here.
  Sizes sizes;                 // empty: static shapes
  double best_seconds = 0;     // of the fastest config known at these sizes; 0: the winner's
  std::vector<i64> neighbour;  // sizes of the nearest other shape of the run; empty: none
  double neighbour_seconds =
      kFailed;  // of a call here with its config; infinite: it cannot be used

  std::string strategy;        // "auto"
  std::string effort;          // "quick"
  std::string search_options;  // of the strategy, as the user gave them: "screening=24,copies=3"
  std::string device;          // as the user says; "": the default
  i64 seed = 0;
  double budget = 0;         // seconds; 0: none was given
  std::string cache_mode;    // "warm" or "cold"
  double confidence = 0.95;  // of all intervals here
  bool static_shapes = true;
  std::string started;                                    // "2026-11-25T06:01:25Z"
  double elapsed = 0, compile_time = 0, timing_time = 0;  // seconds
  bool interrupted = false;
  std::string stopped;  // why the search ended: "budget", "no gain expected", ...
  i64 drifts = 0;       // timings repeated because the machine's speed changed
  double noise = 0;     // relative, of the incumbent's own timings

  std::vector<Trial> trials;
  std::vector<Finalist> finalists;
  i64 winner = 0;                 // index of trials
  std::vector<std::string> idle;  // keys of its config without effect: space::idle_keys
  i64 runner_up = -1;             // -1: there is none
  bool tie = false;               // winner and runner-up are within the noise
  Accuracy accuracy;
  Roofline roofline;
};

// The winner's config as one pastes it into a decorator: without keys that have no effect.
std::string print_winner(const Record& record);

// JSON, one object; the same record gives the same text. An infinite time is written as null.
std::string print_record(const Record& record);

// Of a trial: as the final round has it, or else the search.
double seconds_of(const Record& record, i64 trial);
i64 count_failures(const Record& record);
// A search among the configs of a list starts from the first of them, any other from the default.
inline bool is_listed(const Trial& trial) { return trial.origin == kListOrigin; }
std::string_view start_name(const Record& record);  // "default", or "first" of a list
i64 count_searched(const Record& record);           // configs besides a default that is in no list
// How much longer than with the best config known a call takes: 0.03 for 3 %.
double regret_of(double seconds, double best_seconds);

// Whether `json` is a record, or an entry of the cache, of an earlier schema that is known; adds
// the keys that both lack then.
bool update_schema(Config& json);

// Fails with `bad-record` (where, as a JSON path, and what was expected) on anything that is no
// complete record of a schema that this version knows. print(parse(text)) parses to the same
// record.
Expected<Record> parse_record(std::string_view text);
Expected<Record> read_record(const Config& json);  // text that has been parsed already
Config json_of(const Record& record);

// The JSON Schema of records: docs/reference/record.schema.json is its text.
Config record_schema();

}  // namespace peri::tune
