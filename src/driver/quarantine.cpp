#include "driver/quarantine.h"

#include <fmt/format.h>

#include <algorithm>

#include "tune/subject_fields.h"

namespace peri::driver {

using runtime::Layer;

struct BannedConfig {
  space::Config config;
  tune::Status status = tune::Status::Crashed;
  std::string reason;
};

struct QuarantineEntry {
  i64 schema = 1;
  std::string key;
  std::vector<BannedConfig> configs;
};

// Not in the unnamed namespace: reader and writer find these by their arguments' types.
template <class Io, tune::Is<BannedConfig> B>
void fields(Io& io, B& b) {
  io("config", b.config, {}, "complete config");
  io("status", b.status, {}, "crashed, hung or another failure");
  io("reason", b.reason, {}, "as Trial::reason");
}

template <class Io, tune::Is<QuarantineEntry> Q>
void fields(Io& io, Q& q) {
  io("schema", q.schema, {.low = 1, .high = 1}, "version of this format");
  io("key", q.key, {.pattern = tune::kKeyPattern}, "of the tuned entry");
  io("configs", q.configs, {.most = 1 << 16}, "that must not be tried again");
}

namespace {

constexpr i64 kMostBytes = i64{1} << 28;
constexpr std::size_t kMostReason = 1000;

Expected<QuarantineEntry> parse(std::string_view text, const std::string& key) {
  auto json = tune::parse_json(text, "bad-entry", kMostBytes);
  if (!json) return std::unexpected(json.error());
  auto entry = tune::read_fields<QuarantineEntry>(*json, "bad-entry");
  if (entry && entry->key != key) return fail("bad-entry", "$.key: is another one");
  return entry;
}

}  // namespace

std::string quarantine_key(const std::string& key) {
  return std::string(kQuarantineKey) + key.substr(6);
}

std::string config_text(const space::Config& config) {
  return config.dump(-1, ' ', false, space::Config::error_handler_t::replace);
}

bool is_harmful(tune::Status status) {
  using enum tune::Status;
  return status == Crashed || status == Hung || status == TooSlow || status == WrongResult;
}

std::map<std::string, std::string> Quarantine::load() const {
  std::map<std::string, std::string> banned;
  for (Layer layer : {Layer::User, Layer::Site, Layer::Image}) {
    auto text = store_.cache().get(quarantine_key(key_), layer);
    if (!text) continue;
    auto entry = parse(*text, key_);
    if (!entry) {
      store_.warn({"bad-entry", fmt::format("quarantine of `{}`: {}", key_, entry.error().message),
                   "it is not used"});
      continue;
    }
    for (const BannedConfig& one : entry->configs) {
      banned.emplace(config_text(one.config),
                     fmt::format("{}: {}", status_name(one.status), one.reason));
    }
  }
  return banned;
}

Expected<void> Quarantine::add(const space::Config& config, tune::Status status,
                               const std::string& reason) {
  if (store_.is_off()) return {};
  auto with_this = [&](const std::optional<std::string>& there) -> std::optional<std::string> {
    QuarantineEntry entry{.key = key_, .configs = {}};
    if (there) entry = parse(*there, key_).value_or(entry);
    for (const BannedConfig& one : entry.configs) {
      if (config_text(one.config) == config_text(config)) return std::nullopt;
    }
    entry.configs.push_back({config, status, reason.substr(0, kMostReason)});
    return tune::write_fields(entry).dump(-1, ' ', false, tune::Json::error_handler_t::replace);
  };
  return store_.cache().update(quarantine_key(key_), with_this);
}

}  // namespace peri::driver
