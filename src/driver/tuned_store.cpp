#include "driver/tuned_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <set>
#include <tuple>

#include "base/hash.h"
#include "driver/subject.h"
#include "tune/subject_fields.h"

namespace peri::driver {

using runtime::Layer;
using tune::Record;

namespace {

constexpr double kLeastNoise = 0.03;  // between runs, relative
constexpr i64 kMostEntryBytes = 1 << 24, kMostRows = 1024;
constexpr Layer kLayers[] = {Layer::User, Layer::Site, Layer::Image};

std::atomic<i64> hits = 0, misses = 0;

bool is_clearly_faster(const TunedRow& a, const TunedRow& b) {
  return a.high < b.low && a.seconds < b.seconds * (1 - kLeastNoise);
}

// What is written as null could not be read again, and would take the other rows along.
bool is_timed(const TunedRow& row) {
  return std::isfinite(row.seconds) && std::isfinite(row.low) && std::isfinite(row.high) &&
         std::isfinite(row.best_seconds) && std::isfinite(row.default_seconds);
}

bool has_tried(const Record& record, const space::Config& config) {
  return std::ranges::any_of(record.trials, [&](const tune::Trial& trial) {
    return trial.status == tune::Status::Ok && trial.config == config;
  });
}

}  // namespace

// Not in the unnamed namespace: reader and writer find these by their arguments' types.
template <class Io, class R>
void fields_of_row(Io& io, R& r) {
  tune::fields_of_sizes(io, r);
  io("config", r.config, {}, "complete config");
  io("seconds", r.seconds, {.low = 0}, "of a call");
  io("low", r.low, {.low = 0}, "lower end of the confidence interval of `seconds`");
  io("high", r.high, {.low = 0}, "upper end of the confidence interval of `seconds`");
  io("default_seconds", r.default_seconds, {.low = 0}, "of a call of the default; 0: unknown");
  io("elapsed", r.elapsed, {.low = 0}, "seconds of the search");
  io("started", r.started, {.pattern = tune::kTimePattern}, "in UTC");
  io("cache_mode", r.cache_mode, {.pattern = "(warm|cold)?"}, "of its timings; empty: unknown");
  io("record", r.record, {.pattern = "([0-9a-f]{32})?"}, "hash of the record's text, or empty");
}

template <class Io, tune::Is<TunedRow> R>
void fields(Io& io, R& r) {
  fields_of_row(io, r);
}

template <class Io, tune::Is<TunedEntry> E>
void fields(Io& io, E& e) {
  io("schema", e.schema, {.low = tune::kRecordSchema, .high = tune::kRecordSchema},
     "version of this format");
  tune::fields_of_subject(io, e);
  fields_of_row(io, e);
  io("others", e.others, {.most = kMostRows}, "rows for other sizes");
}

namespace {

// What types and ranges do not say.
std::string contradiction(const TunedEntry& entry) {
  std::set<std::vector<i64>> seen = {tune::values_of(entry.sizes)};
  for (std::size_t i = 0; i < entry.others.size(); ++i) {
    const TunedRow& row = entry.others[i];
    if (!tune::have_same_places(row.sizes, entry.sizes)) {
      return fmt::format("$.others[{}].sizes: expected those of $.sizes", i);
    }
    if (!seen.insert(tune::values_of(row.sizes)).second) {
      return fmt::format("$.others[{}].sizes: {} stands there twice", i,
                         tune::print_sizes(row.sizes));
    }
  }
  return "";
}

// `entry` with what is `there` for other sizes. Where the places of the sizes differ, a call could
// not tell the rows apart, and the later ones stay alone.
TunedEntry merged(TunedEntry entry, const TunedEntry& there) {
  if (!tune::have_same_places(entry.sizes, there.sizes)) return entry;
  std::vector<TunedRow> rows;
  for (const TunedRow* row : there.rows()) {
    if (entry.find(tune::values_of(row->sizes)) == nullptr) rows.push_back(*row);
  }
  auto room = static_cast<std::size_t>(kMostRows) - entry.others.size();
  if (rows.size() > room) rows.resize(room);
  entry.others.insert(entry.others.end(), rows.begin(), rows.end());
  return entry;
}

// Entries before version 5 did not say.
void add_cache_mode(tune::Json& row) {
  if (row.is_object()) row["cache_mode"] = "";
}

}  // namespace

// What becomes of an entry.
struct TunedStore::Update {
  std::optional<TunedEntry> next;          // none if what is there is better
  std::optional<TunedRow> kept, replaced;  // the row of the result's sizes
};

TunedStore::Update TunedStore::updated(const TunedEntry& entry, const Record& record) const {
  const auto there = find(entry.key);
  if (!there) return {.next = entry};
  const TunedRow* row = tune::have_same_places(entry.sizes, there->sizes)
                            ? there->find(tune::values_of(entry.sizes))
                            : nullptr;
  if (row == nullptr) return {.next = merged(entry, *there)};
  if (!replaces(entry, *row, &record)) return {.kept = *row};
  return {.next = merged(entry, *there), .replaced = *row};
}

std::vector<const TunedRow*> TunedEntry::rows() const {
  std::vector<const TunedRow*> rows = {this};
  for (const TunedRow& row : others) rows.push_back(&row);
  return rows;
}

const TunedRow* find_row(std::span<const TunedRow* const> rows, const std::vector<i64>& sizes) {
  for (const TunedRow* row : rows) {
    if (tune::values_of(row->sizes) == sizes) return row;
  }
  return nullptr;
}

const TunedRow* TunedEntry::find(const std::vector<i64>& sizes) const {
  return find_row(rows(), sizes);
}

std::string print_entry(const TunedEntry& entry) {
  return tune::write_fields(entry).dump(1, ' ', false, tune::Json::error_handler_t::replace) + "\n";
}

Expected<TunedEntry> parse_entry(std::string_view text) {
  auto json = tune::parse_json(text, "bad-entry", kMostEntryBytes);
  if (!json) return std::unexpected(json.error());
  const bool is_old = tune::update_schema(*json);
  if (is_old && !json->contains("others")) {  // version 1 had one row
    (*json)["others"] = tune::Json::array();
  }
  if (is_old) {
    add_cache_mode(*json);
    if ((*json)["others"].is_array()) std::ranges::for_each((*json)["others"], add_cache_mode);
  }
  auto entry = tune::read_fields<TunedEntry>(*json, "bad-entry");
  if (!entry) return entry;
  std::string fault = contradiction(*entry);
  if (!fault.empty()) return fail("bad-entry", fault);
  return entry;
}

TunedEntry entry_of(const Record& record) {
  TunedEntry entry;
  static_cast<tune::Subject&>(entry) = record;
  const tune::Trial& winner = record.trials.at(record.winner);
  entry.sizes = record.sizes;
  entry.best_seconds = record.best_seconds;
  entry.neighbour = record.neighbour;
  entry.neighbour_seconds = record.neighbour_seconds;
  entry.config = winner.config;
  entry.seconds = winner.seconds;
  entry.low = winner.low;
  entry.high = winner.high;
  for (const tune::Finalist& finalist : record.finalists) {
    if (finalist.trial == 0) entry.default_seconds = finalist.seconds;
    if (finalist.trial != record.winner) continue;
    entry.seconds = finalist.seconds;
    entry.low = finalist.low;
    entry.high = finalist.high;
  }
  if (record.winner == 0) entry.default_seconds = entry.seconds;
  bool has_interval =
      entry.low <= entry.seconds && entry.seconds <= entry.high && entry.high != tune::kFailed;
  if (!has_interval) entry.low = entry.high = entry.seconds;
  entry.elapsed = record.elapsed;
  entry.started = record.started;
  entry.cache_mode = record.cache_mode;
  entry.record = hash_hex(print_record(record));
  return entry;
}

bool differ_in_cache_mode(const TunedRow& a, const TunedRow& b) {
  return !a.cache_mode.empty() && !b.cache_mode.empty() && a.cache_mode != b.cache_mode;
}

bool replaces(const TunedRow& later, const TunedRow& there, const Record* record) {
  if (differ_in_cache_mode(later, there)) return later.started >= there.started;
  if (record != nullptr && has_tried(*record, there.config)) return true;
  if (is_clearly_faster(later, there)) return true;
  return !is_clearly_faster(there, later) && later.elapsed >= there.elapsed;
}

TunedCounts tuned_counts() { return {hits.load(), misses.load()}; }

void count_tuned(bool hit) { ++(hit ? hits : misses); }

runtime::Cache::Layers cache_layers(const Settings& settings) {
  if (settings.no_cache) return {};
  return {user_cache_folder(settings), settings.site_cache_dir, settings.image_cache_dir};
}

std::string tuned_key(const Compilation& c) { return subject_of(c).key; }

TunedStore::TunedStore(const Settings& settings, std::function<void(const Error&)> warn)
    : off_(settings.no_cache), warn_(std::move(warn)), cache_(cache_layers(settings), warn_) {}

TunedStore::TunedStore(const Request& request) : TunedStore(request.settings, request.warn) {
  memory_ = request.memory;
}

std::optional<TunedEntry> TunedStore::read(const std::string& key, Layer layer) const {
  auto text = cache_.get(key, layer);
  if (!text) return std::nullopt;
  auto entry = parse_entry(*text);
  if (entry && (entry->key != key || key_of(*entry) != key)) {
    entry = fail("bad-entry", "$.key: is not the key of this content");
  }
  if (entry) return *std::move(entry);
  warn({"bad-entry",
        fmt::format("the {} cache's entry `{}`: {}", layer_name(layer), key, entry.error().message),
        "it is not used; tuning again replaces it"});
  return std::nullopt;
}

// The memory has an entry only where the disk could not take it.
std::optional<TunedEntry> TunedStore::find(const std::string& key) const {
  if (memory_) {
    auto found = memory_->entries.find(key);
    if (found != memory_->entries.end()) return found->second;
  }
  for (Layer layer : kLayers) {
    if (auto entry = read(key, layer)) return entry;
  }
  return std::nullopt;
}

// The entry is written under the key's lock, so that of two results at the same time the better one
// stays.
Expected<TunedStore::Update> TunedStore::write(const TunedEntry& entry, const Record& record) {
  const runtime::CacheLock held =
      cache_.hold();  // the record is no garbage until there is an entry
  auto written = cache_.put("record-" + entry.record, print_record(record));
  if (!written) return std::unexpected(written.error());
  Update update;
  auto done = cache_.update(
      entry.key, [&](const std::optional<std::string>&) -> std::optional<std::string> {
        update = updated(entry, record);
        return update.next ? std::optional(print_entry(*update.next)) : std::nullopt;
      });
  if (!done) return std::unexpected(done.error());
  return update;
}

Expected<std::optional<TunedRow>> TunedStore::put(const Record& record) {
  if (off_ && !memory_) return std::nullopt;
  const TunedEntry entry = entry_of(record);
  if (!is_timed(entry)) {
    return fail("not-timed", fmt::format("the config of `{}` was not timed", record.kernel),
                "the cache stays as it was; tune again");
  }
  Expected<Update> update = off_ ? fail("cache-off", "there is no cache") : write(entry, record);
  if (!update) {
    if (!memory_) return std::unexpected(update.error());
    update = updated(entry, record);
    if (update->next) memory_->entries[entry.key] = *std::move(update->next);
  }
  if (update->replaced && differ_in_cache_mode(entry, *update->replaced)) {
    warn({"cache-mode",
          fmt::format("the result of `{}` on {} caches replaces one on {} caches", entry.kernel,
                      entry.cache_mode, update->replaced->cache_mode),
          "calls use it whatever their caches hold; --cold chooses what is timed"});
  }
  return update->kept;
}

std::optional<Record> TunedStore::record_of(const TunedRow& row) const {
  if (off_ || row.record.empty()) return std::nullopt;
  auto text = cache_.get("record-" + row.record);
  if (!text || hash_hex(*text) != row.record) return std::nullopt;
  auto record = tune::parse_record(*text);
  if (record) return *std::move(record);
  warn(record.error());
  return std::nullopt;
}

std::vector<TunedStore::Located> TunedStore::entries() const {
  const runtime::CacheListing listing = cache_.list();
  std::map<std::string, i64> record_bytes;
  for (const auto& item : listing.entries) {
    if (item.key.starts_with("record-")) record_bytes[item.key.substr(7)] = item.bytes;
  }
  std::vector<Located> found;
  for (const auto& item : listing.entries) {
    if (!item.key.starts_with("tuned-")) continue;
    auto entry = read(item.key, item.layer);
    if (!entry) continue;
    i64 bytes = item.bytes;
    for (const TunedRow* row : entry->rows()) bytes += record_bytes[row->record];
    found.push_back({*std::move(entry), item.layer, bytes, item.modified});
  }
  for (const auto& item : listing.damaged) {
    warn({"cache-corrupt", fmt::format("cache entry `{}` is damaged", item.path),
          "it is not used; `peri cache gc` removes it"});
  }
  for (const std::string& path : listing.foreign) {
    warn({"cache-foreign", fmt::format("`{}` is no entry of the cache", path), ""});
  }
  std::ranges::stable_sort(found, {}, [](const Located& l) {
    return std::tuple(l.entry.kernel, l.entry.specialization, l.layer);
  });
  return found;
}

Expected<TunedStore::Located> TunedStore::entry_named(const std::string& key) const {
  std::vector<Located> found;
  for (Located& located : entries()) {
    const std::string& full = located.entry.key;
    if (!full.starts_with(key) && !full.starts_with("tuned-" + key)) continue;
    bool is_shadowed =
        std::ranges::any_of(found, [&](const Located& other) { return other.entry.key == full; });
    if (!is_shadowed) found.push_back(std::move(located));
  }
  if (found.size() == 1) return found[0];
  if (found.empty()) {
    return fail("unknown-key", fmt::format("the cache has no key `{}`", key),
                "`peri cache ls` names the keys");
  }
  return fail("unknown-key", fmt::format("{} keys begin with `{}`", found.size(), key));
}

}  // namespace peri::driver
