// Tuned configs on disk: one small entry for each kernel text, specialisation, target, machine and
// compiler version, which calls read; and beside it the record that it comes from.
//
// Cache keys: "tuned-HASH" of an entry (tune::key_of), "record-HASH" of a record (its text's hash,
// so that an entry can never be paired with another's record), "quarantine-HASH" of the configs
// that must not be tried again (driver/quarantine.h), "code-HASH" of machine code
// (driver/code_cache.h).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "driver/compile.h"
#include "runtime/cache.h"
#include "tune/record.h"

namespace peri::driver {

// A config, and what says how good it is.
struct TunedRow {
  tune::Sizes sizes;  // that it was tuned for; empty: static shapes
  space::Config config;
  double seconds = 0;          // of a call
  double low = 0, high = 0;    // confidence interval of it
  double default_seconds = 0;  // of the default config, timed in turns; 0: unknown
  double best_seconds = 0;     // as in Record, like the next two
  std::vector<i64> neighbour;
  double neighbour_seconds = tune::kFailed;
  double elapsed = 0;      // seconds of the search: how much evidence there is
  std::string started;     // as Record::started
  std::string cache_mode;  // as Record's: "warm" or "cold"; "": unknown
  std::string record;      // hash of the record's text; "": there is none

  double regret() const { return tune::regret_of(seconds, best_seconds); }
};

// What a call needs to know. A kernel with dynamic shapes may have been tuned for several sizes;
// then the first are the entry's own, and tune::ShapeTable says which row a call gets.
struct TunedEntry : tune::Subject, TunedRow {
  i64 schema = tune::kRecordSchema;
  std::vector<TunedRow> others;  // with the same places of sizes, and other values

  std::vector<const TunedRow*> rows() const;
  // The row of these sizes, or null.
  const TunedRow* find(const std::vector<i64>& sizes) const;
};
const TunedRow* find_row(std::span<const TunedRow* const> rows, const std::vector<i64>& sizes);
std::string print_entry(const TunedEntry& entry);
// Fails with `bad-entry`.
Expected<TunedEntry> parse_entry(std::string_view text);
TunedEntry entry_of(const tune::Record& record);

// Whether both were timed, and one with warm caches, the other with cold ones.
bool differ_in_cache_mode(const TunedRow& a, const TunedRow& b);

// Whether the later result for a shape replaces the one there. Times of different cache modes do
// not compare: then the search that began later counts. Else it does if its own search tried that
// one's config (then it has measured both alike), if it is faster beyond the noise, or if they are
// within the noise and its search was at least as long. So a good result is never lost to a worse
// one, whoever writes last.
bool replaces(const TunedRow& later, const TunedRow& there, const tune::Record* record);

// Look-ups of this process: a miss is a call that runs with a config that nobody chose.
struct TunedCounts {
  i64 hits = 0, misses = 0;
};
TunedCounts tuned_counts();
void count_tuned(bool hit);

// Entries by key that only this process has. For one thread at a time.
struct TunedMemory {
  std::map<std::string, TunedEntry> entries;
};

class TunedStore {
 public:
  // Problems of the disk go to `warn`, and count as misses.
  TunedStore(const Settings& settings, std::function<void(const Error&)> warn);
  explicit TunedStore(const Request& request);  // with its memory

  // An entry that is damaged, of another key, or of an unknown schema is none, with the warning
  // `bad-entry`; so the next layer's is used.
  std::optional<TunedEntry> find(const std::string& key) const;

  // Writes the record, then the entry, unless replaces() says that what is there for its sizes is
  // better: then gives that. Rows of other sizes stay. The memory takes the entry where the disk
  // does not. Fails with `not-timed`, and writes nothing, if its times are not finite; warns with
  // `cache-mode` if the row that it replaces was timed in the other mode.
  Expected<std::optional<TunedRow>> put(const tune::Record& record);

  // The record of a row; none if there is none (any more), or it is damaged.
  std::optional<tune::Record> record_of(const TunedRow& row) const;

  struct Located {
    TunedEntry entry;
    runtime::Layer layer = runtime::Layer::User;
    i64 bytes = 0;     // of entry and record
    i64 modified = 0;  // seconds since 1970
  };
  // Every valid entry of every layer, sorted by kernel, specialisation and layer. Foreign and
  // damaged files are left out with a warning each.
  std::vector<Located> entries() const;
  // The one entry whose key, or its hash, begins so; of several layers' the one that is used. Fails
  // with `unknown-key`.
  Expected<Located> entry_named(const std::string& key) const;

  bool is_off() const { return off_; }
  void warn(const Error& error) const {
    if (warn_) warn_(error);
  }
  std::string path_of(const std::string& key) const { return cache_.path_of(key); }
  runtime::Cache& cache() { return cache_; }
  const runtime::Cache& cache() const { return cache_; }

 private:
  std::optional<TunedEntry> read(const std::string& key, runtime::Layer layer) const;
  struct Update;
  Update updated(const TunedEntry& entry, const tune::Record& record) const;
  Expected<Update> write(const TunedEntry& entry, const tune::Record& record);

  bool off_;
  std::function<void(const Error&)> warn_;
  std::shared_ptr<TunedMemory> memory_;  // or null
  mutable runtime::Cache cache_;
};

// The key of a compilation whose kernel, arguments, target and space are known.
std::string tuned_key(const Compilation& c);

// The cache folders that settings name; none with `no_cache`.
runtime::Cache::Layers cache_layers(const Settings& settings);

}  // namespace peri::driver
