// Settings: what a user may choose besides kernel, arguments and config. The rows stand in
// settings.def.
#pragma once

#include <set>
#include <span>
#include <string>
#include <string_view>

#include "base/expected.h"
#include "base/ids.h"

namespace peri::driver {

namespace setting {
using Text = std::string;
using Integer = i64;
using Real = double;
using Flag = bool;
}  // namespace setting

struct Settings {
#define SETTING(type, field, default_value, flag, environment, doc) \
  setting::type field = default_value;
#include "driver/settings.def"
};

struct SettingRow {
  std::string_view field, type, flag, environment, doc;
};
std::span<const SettingRow> setting_rows();

// The defaults, overridden by the environment. A value that cannot be read is an error
// (`bad-setting`) that names the variable.
Expected<Settings> settings_from_environment();

// Sets the field called `field` from text; `where` names the source in errors.
Expected<void> set_setting(Settings& settings, std::string_view field, const std::string& text,
                           std::string_view where);

// The names in `passes_off`.
std::set<std::string> passes_off(const Settings& settings);

// The folder of tuned configs: `cache_dir`, or the user's cache folder; "" if there is none.
std::string user_cache_folder(const Settings& settings);

}  // namespace peri::driver
