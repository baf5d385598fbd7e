#include "space/config.h"

#include <fmt/format.h>

namespace peri::space {

namespace {

void print_value(const Config& value, std::string& out) {
  if (value.is_null()) {
    out += "None";
  } else if (value.is_boolean()) {
    out += value.get<bool>() ? "True" : "False";
  } else if (value.is_string()) {
    out += fmt::format("'{}'", value.get<std::string>());
  } else if (value.is_array()) {
    out += '[';
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (i > 0) out += ", ";
      print_value(value[i], out);
    }
    out += ']';
  } else {
    out += value.dump();
  }
}

}  // namespace

std::string print_config(const Config& config) {
  std::string out = "helion.Config(";
  bool first = true;
  for (const auto& [key, value] : config.items()) {
    out += fmt::format("{}{}=", first ? "" : ", ", key);
    print_value(value, out);
    first = false;
  }
  return out + ')';
}

}  // namespace peri::space
