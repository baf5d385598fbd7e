#include "tune/fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <regex>
#include <set>

namespace peri::tune {

namespace {

constexpr i64 kMostDepth = 12;
constexpr i64 kMostConfigKeys = 256, kMostConfigItems = 256, kMostConfigDepth = 4;
constexpr std::size_t kMostConfigText = 1024;

std::string range_text(const Rule& rule) {
  Rule any;
  if (rule.low == any.low && rule.high == any.high) return "";
  if (rule.high == any.high) return fmt::format(" not below {}", rule.low);
  return fmt::format(" from {} to {}", rule.low, rule.high);
}

// Values of a config: scalars, and lists of them.
bool is_config_value(const Json& value, i64 depth) {
  if (value.is_string()) return value.get_ref<const std::string&>().size() <= kMostConfigText;
  if (value.is_array()) {
    return depth < kMostConfigDepth && static_cast<i64>(value.size()) <= kMostConfigItems &&
           std::ranges::all_of(
               value, [&](const Json& item) { return is_config_value(item, depth + 1); });
  }
  return value.is_null() || value.is_boolean() || value.is_number();
}

}  // namespace

std::string brief(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() > 40 ? text.substr(0, 40) + "..." : text;
}

Expected<Json> parse_json(std::string_view text, std::string_view code, i64 most) {
  if (static_cast<i64>(text.size()) > most) {
    return fail(std::string(code),
                fmt::format("$: expected at most {} bytes, found {}", most, text.size()));
  }
  std::vector<std::set<std::string>> keys;
  std::string fault;
  auto look = [&](int depth, Json::parse_event_t event, Json& value) {
    using Event = Json::parse_event_t;
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end && !keys.empty()) keys.pop_back();
    if (depth > kMostDepth) {
      fault = fmt::format("$: expected at most {} levels of nesting", kMostDepth);
      return false;
    }
    if (event == Event::key && !keys.empty() && !keys.back().insert(value).second) {
      fault = fmt::format("$: the key {} is given twice in one object", brief(value));
    }
    return true;
  };
  try {
    Json json = Json::parse(text, look);
    if (fault.empty()) return json;
  } catch (const Json::exception& error) {
    std::string what = error.what();
    fault = "$: expected JSON: " + what.substr(what.find("] ") + 2);
  }
  return fail(std::string(code), fault);
}

std::string check_number(double value, const Rule& rule) {
  if (value >= rule.low && value <= rule.high) return "";
  return "a number" + range_text(rule);
}

std::string check_text(const std::string& value, const Rule& rule) {
  if (static_cast<i64>(value.size()) > rule.most) {
    return fmt::format("a text of at most {} bytes", rule.most);
  }
  if (rule.pattern == nullptr || std::regex_match(value, std::regex(rule.pattern))) return "";
  return fmt::format("a text like {}", rule.pattern);
}

std::string check_config(const Json& value) {
  if (value.is_object() && static_cast<i64>(value.size()) <= kMostConfigKeys &&
      std::ranges::all_of(value, [](const Json& item) { return is_config_value(item, 0); })) {
    return "";
  }
  return "a config: an object of numbers, texts, flags, null and lists of these";
}

void FieldReader::expected(const std::string& what, const Json& found, const std::string& path) {
  if (!fault_) fault_ = fmt::format("{}: expected {}, found {}", path, what, brief(found));
}

void FieldReader::finish() {
  if (fault_ || json_.size() == keys_.size()) return;
  for (const auto& [key, value] : json_.items()) {
    if (std::ranges::count(keys_, key) > 0) continue;
    fault_ = fmt::format("{}: expected no key {}", path_, brief(Json(key)));
    return;
  }
}

void FieldReader::read_leaf(const Json& json, i64& value, const Rule& rule,
                            const std::string& path) {
  bool fits = json.is_number_integer() &&
              (!json.is_number_unsigned() || json.get<u64>() <= static_cast<u64>(INT64_MAX));
  if (!fits) return expected("a whole number" + range_text(rule), json, path);
  value = json.get<i64>();
  std::string fault = check_number(static_cast<double>(value), rule);
  if (!fault.empty()) expected("a whole number" + range_text(rule), json, path);
}

void FieldReader::read_leaf(const Json& json, double& value, const Rule& rule,
                            const std::string& path) {
  if (json.is_null() && rule.may_be_infinite) {
    value = std::numeric_limits<double>::infinity();
    return;
  }
  std::string null = rule.may_be_infinite ? " or null" : "";
  if (!json.is_number()) return expected("a number" + range_text(rule) + null, json, path);
  value = json.get<double>();
  std::string fault = check_number(value, rule);
  if (!fault.empty()) expected(fault + null, json, path);
}

void FieldReader::read_leaf(const Json& json, bool& value, const Rule&, const std::string& path) {
  if (!json.is_boolean()) return expected("true or false", json, path);
  value = json.get<bool>();
}

void FieldReader::read_leaf(const Json& json, std::string& value, const Rule& rule,
                            const std::string& path) {
  if (!json.is_string()) return expected("a text", json, path);
  value = json.get<std::string>();
  std::string fault = check_text(value, rule);
  if (!fault.empty()) expected(fault, json, path);
}

void FieldReader::read_leaf(const Json& json, Json& value, const Rule&, const std::string& path) {
  std::string fault = check_config(json);
  if (!fault.empty()) return expected(fault, json, path);
  value = json;
}

Json FieldSchema::take() {
  return {{"type", "object"},
          {"additionalProperties", false},
          {"required", required_},
          {"properties", std::move(properties_)}};
}

Json FieldSchema::describe_leaf(const i64&, const Rule& rule) {
  Json json = {{"type", "integer"}};
  if (rule.low != Rule().low) json["minimum"] = static_cast<i64>(rule.low);
  if (rule.high != Rule().high) json["maximum"] = static_cast<i64>(rule.high);
  return json;
}

Json FieldSchema::describe_leaf(const double&, const Rule& rule) {
  Json json = Json::object();
  json["type"] = rule.may_be_infinite ? Json{"number", "null"} : Json("number");
  if (rule.low != Rule().low) json["minimum"] = rule.low;
  if (rule.high != Rule().high) json["maximum"] = rule.high;
  return json;
}

Json FieldSchema::describe_leaf(const bool&, const Rule&) { return {{"type", "boolean"}}; }

Json FieldSchema::describe_leaf(const std::string&, const Rule& rule) {
  Json json = {{"type", "string"}, {"maxLength", rule.most}};
  if (rule.pattern != nullptr) json["pattern"] = fmt::format("^{}$", rule.pattern);
  return json;
}

Json FieldSchema::describe_leaf(const Json&, const Rule&) {
  return {{"type", "object"}, {"maxProperties", kMostConfigKeys}};
}

}  // namespace peri::tune
