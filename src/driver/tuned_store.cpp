#include "driver/tuned_store.h"

#include "base/hash.h"
#include "driver/version.h"
#include "runtime/device_info.h"

namespace peri::driver {

namespace {

runtime::Cache::Layers layers_of(const Settings& settings) {
  if (settings.no_cache) return {};
  return {user_cache_folder(settings), settings.site_cache_dir, settings.image_cache_dir};
}

}  // namespace

std::string tuned_key(const Compilation& c) {
  std::string text;
  for (std::string_view part :
       {c.diags.sources().text(c.module->source), std::string_view(c.decl->name),
        std::string_view(c.backend->capabilities().target), kVersion}) {
    text += part;
    text += '\0';
  }
  text += check::specialization_key(c.module->ast, *c.decl, c.request.args);
  text += runtime::device_info().fingerprint();
  return "tuned-" + hash_hex(text);
}

TunedStore::TunedStore(const Request& request)
    : off_(request.settings.no_cache), cache_(layers_of(request.settings), request.warn) {}

std::optional<space::Config> TunedStore::find(const std::string& key) const {
  if (off_) return std::nullopt;
  auto text = cache_.get(key);
  if (!text) return std::nullopt;
  auto record = space::Config::parse(*text, nullptr, false);
  if (!record.is_object() || !record.contains("config")) return std::nullopt;
  return record["config"];
}

Expected<void> TunedStore::put(const std::string& key, const space::Config& config,
                               double seconds) {
  if (off_) return {};
  space::Config record = {{"config", config}, {"seconds", seconds}, {"version", kVersion}};
  return cache_.put(key, record.dump());
}

}  // namespace peri::driver
