#include "driver/record_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/files.h"
#include "driver/quarantine.h"
#include "driver/subject.h"
#include "driver/version.h"
#include "tune/fields.h"

namespace peri::driver {

namespace fs = std::filesystem;
using runtime::CacheListing;
using runtime::Layer;
using tune::Record;

namespace {

constexpr i64 kMostFileBytes = i64{1} << 30;
constexpr i64 kMostRecords = 1 << 16;
constexpr i64 kGrace = 3600;  // seconds in which a writer may still refer to what it wrote

std::unexpected<Error> bad(const std::string& path, const std::string& message) {
  return fail("bad-record", fmt::format("`{}`: {}", path, message), "nothing was taken from it");
}

Expected<void> add_record(const tune::Json& json, const std::string& place, const std::string& path,
                          std::vector<Record>& records) {
  auto record = tune::read_record(json);
  if (!record) return bad(path, place + record.error().message.substr(1));
  if (key_of(*record) != record->key) {
    return bad(path, place + ".key: is not the key of this content");
  }
  records.push_back(*std::move(record));
  return {};
}

// --- machine code, as hexadecimal digits ---

constexpr std::string_view kDigits = "0123456789abcdef";

std::string hex_of(std::string_view bytes) {
  std::string text;
  text.reserve(2 * bytes.size());
  for (char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::optional<std::string> bytes_of(std::string_view hex) {
  if (hex.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  bytes.reserve(hex.size() / 2);
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const std::size_t high = kDigits.find(hex[i]), low = kDigits.find(hex[i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    bytes += static_cast<char>(high << 4 | low);
  }
  return bytes;
}

Expected<void> add_code(const tune::Json& list, const std::string& path,
                        std::vector<RecordedCode>& code) {
  if (!list.is_array()) return bad(path, "$.code: is no list");
  for (std::size_t i = 0; i < list.size(); ++i) {
    const tune::Json& json = list[i];
    auto text = [&](const char* field) {
      const bool has = json.is_object() && json.contains(field) && json[field].is_string();
      return has ? json[field].get<std::string>() : std::string();
    };
    RecordedCode one{text("record"), text("key"), ""};
    auto bytes = bytes_of(text("hex"));
    const bool is_word = one.key.find_first_of("/\n") == std::string::npos &&
                         one.record.find_first_of("/\n") == std::string::npos;
    if (!bytes || bytes->empty() || one.record.empty() || !is_word ||
        !one.key.starts_with(backends::kCodeKey)) {
      return bad(path, fmt::format("$.code[{}]: expected record, key and hexadecimal digits", i));
    }
    one.payload = *std::move(bytes);
    code.push_back(std::move(one));
  }
  return {};
}

Expected<void> add_file(const std::string& path, std::vector<Record>& records,
                        std::vector<RecordedCode>& code) {
  auto text = read_file(path, kMostFileBytes);
  if (!text) return std::unexpected(text.error());
  auto json = tune::parse_json(*text, "bad-record", kMostFileBytes);
  if (!json) return bad(path, json.error().message);
  if (!json->is_object() || !json->contains("records"))
    return add_record(*json, "$", path, records);
  const tune::Json& list = (*json)["records"];
  const bool has_code = json->contains("code");
  const bool fits = json->size() == (has_code ? 3 : 2) && json->contains("schema") &&
                    (*json)["schema"] == 1 && list.is_array() &&
                    static_cast<i64>(list.size()) <= kMostRecords;
  if (!fits) return bad(path, R"($: expected {"schema": 1, "records": [...]})");
  for (std::size_t i = 0; i < list.size(); ++i) {
    auto added = add_record(list[i], fmt::format("$.records[{}]", i), path, records);
    if (!added) return added;
  }
  return has_code ? add_code((*json)["code"], path, code) : Expected<void>();
}

}  // namespace

std::optional<space::Config> fitted(const space::Config& given, const Compilation& c) {
  space::Config config = c.default_config;
  for (i64 k = 0; k < static_cast<i64>(c.space.knobs().size()); ++k) {
    const space::Knob& knob = c.space.knobs()[k];
    auto it = given.find(knob.key);
    if (it == given.end()) continue;
    const bool is_list = knob.index >= 0;
    if (is_list && (!it->is_array() || knob.index >= static_cast<i64>(it->size()))) continue;
    space::Json value = is_list ? (*it)[knob.index] : *it;
    std::string reason;
    if (auto legal = knob.normalise(value, reason)) {
      c.space.set(config, k, *legal);
    } else if (value.is_number_integer()) {
      for (space::Json& candidate : knob.candidates()) {  // the largest that is not above it
        if (candidate.is_number_integer() && candidate <= value) c.space.set(config, k, candidate);
      }
    }
  }
  if (c.space.why_not(config)) return std::nullopt;
  return config;
}

namespace {

// Gathers seeds in order.
class Seeds {
 public:
  Seeds(const Compilation& c, i64 most) : c_(c), most_(most) {}

  void add(const space::Config& config) {
    if (static_cast<i64>(seeds_.size()) >= most_) return;
    auto fit = fitted(config, c_);
    if (fit && *fit != c_.default_config && std::ranges::count(seeds_, *fit) == 0) {
      seeds_.push_back(*std::move(fit));
    }
  }
  std::vector<space::Config> take() { return std::move(seeds_); }

 private:
  const Compilation& c_;
  i64 most_;
  std::vector<space::Config> seeds_;
};

// Less: better as a starting point.
std::tuple<bool, bool, double> unlikeness(const tune::Subject& other, const tune::Subject& here) {
  return {other.target != here.target, other.fingerprint != here.fingerprint,
          distance(other.specialization, here.specialization)};
}

class Collector {
 public:
  Collector(TunedStore& store, const GarbagePolicy& policy, i64 now)
      : store_(store), policy_(policy), now_(now) {}

  Expected<std::vector<Garbage>> run() {
    find_damaged();
    auto held = store_.cache().hold_alone();
    if (!held) return std::unexpected(held.error());
    entries_ = store_.entries();
    std::erase_if(entries_, [](const auto& located) { return located.layer != Layer::User; });
    std::ranges::stable_sort(entries_, std::greater(), &TunedStore::Located::modified);
    add_damaged();
    find_entries();
    find_files();
    if (policy_.dry_run) return std::move(garbage_);
    for (const Garbage& one : garbage_) {
      std::error_code error;
      fs::remove(one.path, error);
      if (error) {
        return fail("file-write", fmt::format("cannot remove `{}`: {}", one.path, error.message()));
      }
    }
    return std::move(garbage_);
  }

 private:
  // What a file was when it was found to be damaged.
  struct Damaged {
    CacheListing::Item item;
    fs::file_time_type written;
  };

  // Reads every file, which takes too long for others to wait.
  void find_damaged() {
    const CacheListing listing = store_.cache().list();
    for (const auto* items : {&listing.entries, &listing.damaged}) {
      for (const CacheListing::Item& item : *items) {
        if (item.layer != Layer::User) continue;
        std::error_code error;
        const auto written = fs::last_write_time(item.path, error);
        const bool is_intact = !item.key.empty() && store_.cache().is_intact(item);
        if (!error && !is_intact) damaged_.push_back({item, written});
      }
    }
  }

  // One that was replaced since then is good.
  void add_damaged() {
    for (const Damaged& one : damaged_) {
      std::error_code error;
      const auto written = fs::last_write_time(one.item.path, error);
      if (error || written != one.written) continue;
      garbage_.push_back({one.item.key, one.item.path, "damaged", one.item.bytes});
      gone_files_.insert(one.item.path);
    }
  }

  void find_entries() {
    const std::string version = fmt::format("Perihelion {}", kVersion);
    for (const TunedStore::Located& located : entries_) {
      const TunedEntry& entry = located.entry;
      std::string reason = entry.compiler.starts_with(version)
                               ? against_policy(located.modified, located.bytes)
                               : fmt::format("made by {}", entry.compiler);
      if (reason.empty()) {
        kept_bytes_ += located.bytes;
        for (const TunedRow* row : entry.rows()) kept_.insert("record-" + row->record);
      } else {
        garbage_.push_back({entry.key, store_.path_of(entry.key), reason, 0});
        for (const TunedRow* row : entry.rows()) gone_.insert("record-" + row->record);
        if (!entry.compiler.starts_with(version)) gone_.insert(quarantine_key(entry.key));
      }
    }
  }

  // Why the policy removes something, or "".
  std::string against_policy(i64 modified, i64 bytes) const {
    const i64 days = (now_ - modified) / 86400;
    if (policy_.older_than_days >= 0 && days >= policy_.older_than_days) {
      return fmt::format("{} days old", days);
    }
    if (policy_.most_bytes >= 0 && kept_bytes_ + bytes > policy_.most_bytes) {
      return fmt::format("beyond {} bytes", policy_.most_bytes);
    }
    return "";
  }

  // Of one kind. Machine code comes last: it can be made again, and goes before tuned configs do.
  void find_by_policy(const CacheListing& listing, std::string_view kind) {
    std::vector<const CacheListing::Item*> items;
    for (const CacheListing::Item& item : listing.entries) {
      const bool is_free = !gone_.contains(item.key) && !gone_files_.contains(item.path);
      if (item.layer == Layer::User && item.key.starts_with(kind) && is_free) {
        items.push_back(&item);
      }
    }
    std::ranges::stable_sort(items, std::greater(), &CacheListing::Item::modified);
    for (const CacheListing::Item* item : items) {
      std::string reason = against_policy(item->modified, item->bytes);
      if (reason.empty()) {
        kept_bytes_ += item->bytes;
      } else {
        garbage_.push_back({item->key, item->path, std::move(reason), item->bytes});
      }
    }
  }

  void find_files() {
    const CacheListing listing = store_.cache().list();
    find_by_policy(listing, kQuarantineKey);
    find_by_policy(listing, backends::kCodeKey);
    for (Garbage& one : garbage_) {
      for (const CacheListing::Item& item : listing.entries) {
        if (item.path == one.path) one.bytes = item.bytes;
      }
    }
    for (const CacheListing::Item& item : listing.entries) {
      if (item.layer != Layer::User || gone_files_.contains(item.path)) continue;
      std::string record = item.key;
      if (record.starts_with(kUsesKey)) record.replace(0, kUsesKey.size(), "record-");
      const bool follows = gone_.contains(record) && !kept_.contains(record);
      const bool is_record = record.starts_with("record-") && !kept_.contains(record);
      if (!is_record && !follows) continue;
      if (follows || now_ - item.modified > kGrace) {
        garbage_.push_back({item.key, item.path,
                            follows ? "of a removed entry" : "no entry refers to it", item.bytes});
      }
    }
    for (const CacheListing::Item& item : listing.temporaries) {
      if (item.layer != Layer::User || now_ - item.modified <= kGrace) continue;
      garbage_.push_back({"", item.path, "left by a writer that died", item.bytes});
    }
  }

  TunedStore& store_;
  const GarbagePolicy& policy_;
  i64 now_;
  std::vector<TunedStore::Located> entries_;
  std::vector<Damaged> damaged_;
  std::set<std::string> gone_files_;   // damaged
  std::set<std::string> kept_, gone_;  // keys of records, and of quarantines
  i64 kept_bytes_ = 0;
  std::vector<Garbage> garbage_;
};

}  // namespace

std::string print_records(std::span<const Record> records, std::span<const RecordedCode> code) {
  std::string text = "{\"schema\": 1, \"records\": [";
  for (std::size_t i = 0; i < records.size(); ++i) {
    text += (i == 0 ? "\n" : ",\n") + tune::print_record(records[i]);
  }
  text += "]";
  for (std::size_t i = 0; i < code.size(); ++i) {
    const tune::Json json = {
        {"record", code[i].record}, {"key", code[i].key}, {"hex", hex_of(code[i].payload)}};
    text += (i == 0 ? ",\n\"code\": [\n" : ",\n") + json.dump();
  }
  return text + (code.empty() ? "}\n" : "]}\n");
}

Expected<std::vector<Record>> read_records(const std::string& path,
                                           std::vector<RecordedCode>* code) {
  std::vector<std::string> files;
  std::error_code error;
  if (fs::is_directory(path, error)) {
    for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
      if (it->path().extension() == ".json") files.push_back(it->path().string());
    }
    std::ranges::sort(files);
  } else {
    files.push_back(path);
  }
  std::vector<Record> records;
  std::vector<RecordedCode> found;
  for (const std::string& file : files) {
    if (auto added = add_file(file, records, found); !added) return std::unexpected(added.error());
  }
  if (code != nullptr) code->insert(code->end(), found.begin(), found.end());
  return records;
}

std::vector<space::Config> seeds_from(std::span<const Record> records, const Compilation& c,
                                      i64 most) {
  const tune::Subject here = subject_of(c);
  std::vector<const Record*> fitting;
  for (const Record& record : records) {
    if (record.structure_hash == here.structure_hash) fitting.push_back(&record);
  }
  std::ranges::stable_sort(fitting, {},
                           [&](const Record* record) { return unlikeness(*record, here); });
  Seeds seeds(c, most);
  for (const Record* record : fitting) seeds.add(record->trials[record->winner].config);
  for (const Record* record : fitting) {
    for (const tune::Finalist& f : record->finalists) seeds.add(record->trials[f.trial].config);
  }
  return seeds.take();
}

std::vector<space::Config> seeds_from_cache(const Compilation& c, i64 most) {
  const tune::Subject here = subject_of(c);
  TunedStore store(c.request.settings, {});
  if (store.is_off()) return {};
  std::vector<TunedStore::Located> entries = store.entries();
  std::erase_if(entries, [&](const auto& located) {
    return located.entry.structure_hash != here.structure_hash;
  });
  std::ranges::stable_sort(entries, {},
                           [&](const auto& located) { return unlikeness(located.entry, here); });
  Seeds seeds(c, most);
  for (const auto& located : entries) {
    for (const TunedRow* row : located.entry.rows()) seeds.add(row->config);
  }
  return seeds.take();
}

Expected<std::vector<Garbage>> collect_garbage(TunedStore& store, const GarbagePolicy& policy,
                                               i64 now) {
  return Collector(store, policy, now).run();
}

}  // namespace peri::driver
