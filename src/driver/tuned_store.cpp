#include "driver/tuned_store.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <ctime>
#include <tuple>

#include "base/hash.h"
#include "driver/subject.h"
#include "tune/subject_fields.h"

namespace peri::driver {

using runtime::Layer;
using tune::Record;

namespace {

constexpr double kLeastNoise = 0.03;  // between runs, relative
constexpr i64 kMostEntryBytes = 1 << 24;
constexpr Layer kLayers[] = {Layer::User, Layer::Site, Layer::Image};

std::atomic<i64> hits = 0, misses = 0;

bool is_clearly_faster(const TunedEntry& a, const TunedEntry& b) {
  return a.high < b.low && a.seconds < b.seconds * (1 - kLeastNoise);
}

bool has_tried(const Record& record, const space::Config& config) {
  return std::ranges::any_of(record.trials, [&](const tune::Trial& trial) {
    return trial.status == tune::Status::Ok && trial.config == config;
  });
}

std::string utc_now() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
}

}  // namespace

// Not in the unnamed namespace: reader and writer find it by its argument's type.
template <class Io, tune::Is<TunedEntry> E>
void fields(Io& io, E& e) {
  io("schema", e.schema, {.low = 1, .high = 1}, "version of this format");
  tune::fields_of_subject(io, e);
  io("config", e.config, {}, "complete config");
  io("seconds", e.seconds, {.low = 0}, "of a call");
  io("low", e.low, {.low = 0}, "lower end of the confidence interval of `seconds`");
  io("high", e.high, {.low = 0}, "upper end of the confidence interval of `seconds`");
  io("default_seconds", e.default_seconds, {.low = 0}, "of a call of the default; 0: unknown");
  io("elapsed", e.elapsed, {.low = 0}, "seconds of the search");
  io("started", e.started, {.pattern = tune::kTimePattern}, "in UTC");
  io("record", e.record, {.pattern = "([0-9a-f]{32})?"}, "hash of the record's text, or empty");
}

std::string print_entry(const TunedEntry& entry) {
  return tune::write_fields(entry).dump(1, ' ', false, tune::Json::error_handler_t::replace) + "\n";
}

Expected<TunedEntry> parse_entry(std::string_view text) {
  auto json = tune::parse_json(text, "bad-entry", kMostEntryBytes);
  if (!json) return std::unexpected(json.error());
  return tune::read_fields<TunedEntry>(*json, "bad-entry");
}

TunedEntry entry_of(const Record& record) {
  TunedEntry entry;
  static_cast<tune::Subject&>(entry) = record;
  const tune::Trial& winner = record.trials.at(record.winner);
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
  bool has_interval =
      entry.low <= entry.seconds && entry.seconds <= entry.high && entry.high != tune::kFailed;
  if (!has_interval) entry.low = entry.high = entry.seconds;
  entry.elapsed = record.elapsed;
  entry.started = record.started;
  entry.record = hash_hex(print_record(record));
  return entry;
}

bool replaces(const TunedEntry& later, const TunedEntry& there, const Record* record) {
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

TunedStore::TunedStore(const Request& request) : TunedStore(request.settings, request.warn) {}

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

std::optional<TunedEntry> TunedStore::find(const std::string& key) const {
  for (Layer layer : kLayers) {
    if (auto entry = read(key, layer)) return entry;
  }
  return std::nullopt;
}

// Under the key's lock, so that of two results at the same time the better one stays.
Expected<std::optional<TunedEntry>> TunedStore::put_entry(const TunedEntry& entry,
                                                          const Record* record) {
  std::optional<TunedEntry> kept;
  const std::string text = print_entry(entry);
  auto done = cache_.update(entry.key,
                            [&](const std::optional<std::string>&) -> std::optional<std::string> {
                              kept.reset();
                              auto there = find(entry.key);
                              if (there && !replaces(entry, *there, record)) {
                                kept = std::move(there);
                                return std::nullopt;
                              }
                              return text;
                            });
  if (!done) return std::unexpected(done.error());
  return kept;
}

Expected<std::optional<TunedEntry>> TunedStore::put(const Record& record) {
  if (off_) return std::nullopt;
  const TunedEntry entry = entry_of(record);
  auto written = cache_.put("record-" + entry.record, print_record(record));
  if (!written) return std::unexpected(written.error());
  return put_entry(entry, &record);
}

Expected<void> TunedStore::put(const Compilation& c, const space::Config& config, double seconds) {
  if (off_) return {};
  TunedEntry entry;
  static_cast<tune::Subject&>(entry) = subject_of(c);
  entry.config = config;
  entry.seconds = entry.low = entry.high = seconds;
  entry.started = utc_now();
  auto done = put_entry(entry, nullptr);
  if (!done) return std::unexpected(done.error());
  return {};
}

std::optional<Record> TunedStore::record_of(const TunedEntry& entry) const {
  if (off_ || entry.record.empty()) return std::nullopt;
  auto text = cache_.get("record-" + entry.record);
  if (!text || hash_hex(*text) != entry.record) return std::nullopt;
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
    const i64 bytes = item.bytes + record_bytes[entry->record];
    found.push_back({*std::move(entry), item.layer, bytes, item.modified});
  }
  for (const std::string& path : listing.foreign) {
    warn({"cache-foreign", fmt::format("`{}` is no entry of the cache", path), ""});
  }
  std::ranges::stable_sort(found, {}, [](const Located& l) {
    return std::tuple(l.entry.kernel, l.entry.specialization, l.layer);
  });
  return found;
}

}  // namespace peri::driver
