#include "driver/code_cache.h"

#include <mutex>

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

}  // namespace

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
