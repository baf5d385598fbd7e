// JSON objects whose keys are declared once: for printing, for strict reading and for the schema.
//
//   template <class Io, Is<Point> P>
//   void fields(Io& io, P& point) {
//     io("x", point.x, {.low = 0}, "metres from the left");
//   }
//
// A key is an i64, double, bool, string, JSON object (a config), an enum with name_of() and
// read_name(), a struct with fields(), or a vector of these. Every key must be there, and no other.
#pragma once

#include <cmath>
#include <concepts>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/expected.h"
#include "base/ids.h"

namespace peri::tune {

using Json = nlohmann::ordered_json;

template <class T, class U>
concept Is = std::same_as<std::remove_const_t<T>, U>;

// What a value may be, besides its type.
struct Rule {
  double low = -1e300, high = 1e300;         // of numbers
  i64 most = 1 << 16;                        // bytes of a string, items of a list
  bool may_be_infinite = false;              // of a real: null in JSON
  const char* pattern = nullptr;             // of a string: an ECMAScript regular expression
  std::vector<std::string_view> names = {};  // of an enum
};

template <class T>
concept Enum = std::is_enum_v<T>;

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
concept Vector = IsVector<T>::value;

// Text to JSON, without surprises: no key twice, no deep nesting, at most `most` bytes. Fails with
// `code`.
Expected<Json> parse_json(std::string_view text, std::string_view code, i64 most);

// A JSON value, in few words, for messages.
std::string brief(const Json& value);

// Faults of leaves; each is empty or says what was expected.
std::string check_number(double value, const Rule& rule);
std::string check_text(const std::string& value, const Rule& rule);
std::string check_config(const Json& value);

class FieldWriter {
 public:
  template <class T>
  void operator()(const char* key, const T& value, const Rule&, const char*) {
    json_[key] = write(value);
  }
  Json take() { return std::move(json_); }

  template <class T>
  static Json write(const T& value) {
    if constexpr (Is<T, double>) {
      return std::isfinite(value) ? Json(value) : Json();
    } else if constexpr (Enum<T>) {
      return std::string(name_of(value));
    } else if constexpr (Vector<T>) {
      Json list = Json::array();
      for (const auto& item : value) list.push_back(write(item));
      return list;
    } else if constexpr (std::constructible_from<Json, const T&>) {
      return value;
    } else {
      FieldWriter writer;
      fields(writer, value);
      return writer.take();
    }
  }

 private:
  Json json_ = Json::object();
};

// Reads one object; the first fault stops it.
class FieldReader {
 public:
  FieldReader(const Json& json, std::string path, std::optional<std::string>& fault)
      : json_(json), path_(std::move(path)), fault_(fault) {
    if (!json.is_object()) expected("an object", json, path_);
  }

  template <class T>
  void operator()(const char* key, T& value, const Rule& rule, const char*) {
    keys_.push_back(key);
    if (fault_) return;
    auto it = json_.find(key);
    std::string path = path_ + "." + key;
    if (it == json_.end()) {
      fault_ = path + ": is missing";
    } else {
      read(*it, value, rule, path);
    }
  }

  // After all fields: other keys are faults.
  void finish();

  template <class T>
  void read(const Json& json, T& value, const Rule& rule, const std::string& path) {
    if constexpr (Vector<T>) {
      read_list(json, value, rule, path);
    } else if constexpr (Enum<T>) {
      auto parsed = json.is_string() ? read_name(json.get<std::string>(), T()) : std::nullopt;
      if (!parsed) return expected("one of the names in the schema", json, path);
      value = *parsed;
    } else if constexpr (requires { read_leaf(json, value, rule, path); }) {
      read_leaf(json, value, rule, path);
    } else {
      FieldReader reader(json, path, fault_);
      fields(reader, value);
      reader.finish();
    }
  }

 private:
  template <class T>
  void read_list(const Json& json, std::vector<T>& value, const Rule& rule,
                 const std::string& path) {
    if (!json.is_array() || static_cast<i64>(json.size()) > rule.most) {
      return expected("a list of at most " + std::to_string(rule.most) + " items", json, path);
    }
    value.resize(json.size());
    Rule of_item = rule;
    of_item.most = Rule().most;
    for (std::size_t i = 0; i < json.size() && !fault_; ++i) {
      read(json[i], value[i], of_item, path + "[" + std::to_string(i) + "]");
    }
  }

  void read_leaf(const Json& json, i64& value, const Rule& rule, const std::string& path);
  void read_leaf(const Json& json, double& value, const Rule& rule, const std::string& path);
  void read_leaf(const Json& json, bool& value, const Rule& rule, const std::string& path);
  void read_leaf(const Json& json, std::string& value, const Rule& rule, const std::string& path);
  void read_leaf(const Json& json, Json& value, const Rule& rule, const std::string& path);
  void expected(const std::string& what, const Json& found, const std::string& path);

  const Json& json_;
  std::string path_;
  std::optional<std::string>& fault_;
  std::vector<std::string_view> keys_;
};

// The JSON Schema of what the other two write and read.
class FieldSchema {
 public:
  template <class T>
  void operator()(const char* key, const T& value, const Rule& rule, const char* doc) {
    Json described = describe(value, rule);
    described["description"] = doc;
    properties_[key] = std::move(described);
    required_.push_back(key);
  }
  Json take();

  template <class T>
  static Json describe(const T& value, const Rule& rule) {
    if constexpr (Vector<T>) {
      Rule of_item = rule;
      of_item.most = Rule().most;
      return {{"type", "array"},
              {"maxItems", rule.most},
              {"items", describe(typename T::value_type(), of_item)}};
    } else if constexpr (Enum<T>) {
      return {{"enum", rule.names}};
    } else if constexpr (requires { describe_leaf(value, rule); }) {
      return describe_leaf(value, rule);
    } else {
      FieldSchema schema;
      fields(schema, value);
      return schema.take();
    }
  }

 private:
  static Json describe_leaf(const i64&, const Rule& rule);
  static Json describe_leaf(const double&, const Rule& rule);
  static Json describe_leaf(const bool&, const Rule& rule);
  static Json describe_leaf(const std::string&, const Rule& rule);
  static Json describe_leaf(const Json&, const Rule& rule);

  Json properties_ = Json::object();
  std::vector<std::string> required_;
};

template <class T>
Json write_fields(const T& value) {
  return FieldWriter::write(value);
}

template <class T>
Expected<T> read_fields(const Json& json, std::string_view code) {
  T value;
  std::optional<std::string> fault;
  FieldReader reader(json, "$", fault);
  fields(reader, value);
  reader.finish();
  if (fault) return fail(std::string(code), *fault);
  return value;
}

template <class T>
Json schema_of() {
  return FieldSchema::describe(T(), {});
}

}  // namespace peri::tune
