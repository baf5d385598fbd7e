#include "driver/code_cache.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <shared_mutex>

#include "base/fork_lock.h"
#include "driver/carried_code.h"
#include "driver/tuned_store.h"

namespace peri::driver {

namespace {

class DiskCodeStore final : public backends::CodeStore {
 public:
  explicit DiskCodeStore(const Request& request)
      : warn_(request.warn),
        cache_(cache_layers(request.settings), [this](const Error& error) { report(error); }) {}

  std::optional<std::string> get(std::string_view key) const override { return cache_.get(key); }
  // A failure has been reported by the cache; the code at hand is good without.
  void put(std::string_view key, std::string_view payload) override {
    (void)cache_.put(key, payload);
  }

 private:
  // Configs are compiled in several threads.
  void report(const Error& error) {
    std::lock_guard lock(mutex_);
    if (warn_) warn_(error);
  }

  std::mutex mutex_;
  std::function<void(const Error&)> warn_;
  runtime::Cache cache_;
};

std::string uses_key(const std::string& record) { return std::string(kUsesKey) + record; }

std::string print_keys(std::span<const std::string> keys) {
  std::string text;
  for (const std::string& key : keys) text += key + "\n";
  return text;
}

}  // namespace

Expected<KeptCode> kept_code(const Compilation& c, const space::Config& config) {
  if (!c.device || !c.code_store) return KeptCode{};
  CodeCollector store(c.code_store.get());
  backends::CompileOptions options;
  options.store = &store;
  std::shared_lock lock(fork_lock());
  auto code = c.backend->compile(c.lowered->kernel, config, options);
  if (!code) return std::unexpected(code.error());
  return KeptCode{store.keys(), std::move(code->toolchain)};
}

Expected<void> note_code(runtime::Cache& cache, const KeptCode& code, const std::string& record) {
  if (code.keys.empty()) return {};
  return cache.put(uses_key(record), print_keys(code.keys));
}

std::vector<RecordedCode> code_of(const runtime::Cache& cache, const std::string& record) {
  std::vector<RecordedCode> code;
  auto text = cache.get(uses_key(record));
  std::string_view rest = text ? std::string_view(*text) : std::string_view();
  while (!rest.empty()) {
    std::string key(rest.substr(0, rest.find('\n')));
    rest.remove_prefix(std::min(rest.size(), key.size() + 1));
    if (!key.starts_with(backends::kCodeKey)) continue;
    if (auto payload = cache.get(key)) code.push_back({record, key, *std::move(payload)});
  }
  return code;
}

Expected<void> keep_code(runtime::Cache& cache, std::span<const RecordedCode> code) {
  std::map<std::string, std::vector<std::string>> keys;
  for (const RecordedCode& one : code) {
    if (auto put = cache.put(one.key, one.payload); !put) return put;
    keys[one.record].push_back(one.key);
  }
  for (const auto& [record, its] : keys) {
    if (auto put = cache.put(uses_key(record), print_keys(its)); !put) return put;
  }
  return {};
}

std::shared_ptr<backends::CodeStore> open_code_store(const Request& request) {
  if (request.settings.no_cache) return nullptr;
  return std::make_shared<DiskCodeStore>(request);
}

CodeUse code_use(const runtime::CacheListing& listing) {
  CodeUse use;
  for (const runtime::CacheListing::Item& item : listing.entries) {
    if (!item.key.starts_with(backends::kCodeKey)) continue;
    ++use.entries;
    use.bytes += item.bytes;
  }
  return use;
}

}  // namespace peri::driver
