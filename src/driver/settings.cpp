#include "driver/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "base/bug.h"

namespace peri::driver {

namespace {

template <class Number>
bool read_number(const std::string& text, Number& value) {
  const char* end = text.data() + text.size();
  auto [at, failed] = std::from_chars(text.data(), end, value);
  return failed == std::errc() && at == end && !text.empty();
}

bool read(const std::string& text, std::string& value) {
  value = text;
  return true;
}
bool read(const std::string& text, i64& value) { return read_number(text, value) && value >= 0; }
bool read(const std::string& text, double& value) { return read_number(text, value) && value >= 0; }
bool read(const std::string& text, bool& value) {
  value = text == "1" || text == "true";
  return value || text == "0" || text == "false" || text.empty();
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::span<const SettingRow> setting_rows() {
  static constexpr SettingRow kRows[] = {
#define SETTING(type, field, default_value, flag, environment, doc) \
  {#field, #type, flag, environment, doc},
#include "driver/settings.def"
  };
  return kRows;
}

Expected<void> set_setting(Settings& settings, std::string_view field, const std::string& text,
                           std::string_view where) {
  bool known = false, good = false;
#define SETTING(type, name, default_value, flag, environment, doc) \
  if (field == #name) {                                            \
    known = true;                                                  \
    good = read(text, settings.name);                              \
  }
#include "driver/settings.def"
  BUG_IF(!known, "no setting `{}`", field);
  if (good) return {};
  return fail("bad-setting", fmt::format("{} cannot be `{}`", where, text),
              "numbers are not negative; flags are 0 or 1");
}

Expected<Settings> settings_from_environment() {
  Settings settings;
  for (const SettingRow& row : setting_rows()) {
    std::string text = variable(std::string(row.environment).c_str());
    if (text.empty()) continue;
    auto set = set_setting(settings, row.field, text, row.environment);
    if (!set) return std::unexpected(set.error());
  }
  return settings;
}

std::set<std::string> passes_off(const Settings& settings) {
  std::set<std::string> names;
  std::string_view rest = settings.passes_off;
  while (!rest.empty()) {
    const std::string_view name = rest.substr(0, rest.find(','));
    if (!name.empty()) names.emplace(name);
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
  }
  return names;
}

std::string user_cache_folder(const Settings& settings) {
  if (settings.no_cache) return "";
  if (!settings.cache_dir.empty()) return settings.cache_dir;
  if (std::string xdg = variable("XDG_CACHE_HOME"); !xdg.empty()) return xdg + "/perihelion";
  if (std::string home = variable("HOME"); !home.empty()) return home + "/.cache/perihelion";
  return "";
}

}  // namespace peri::driver
