// docs/reference/record.md and record.schema.json say what tune/record.cpp prints and reads. The
// tables of the page stand between `<!-- fields PATH -->` and `<!-- end -->`. PERI_UPDATE_DOCS=1 in
// the environment writes the current text.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tune/record.h"

namespace peri {
namespace {

using Json = space::Config;

const std::string kFolder = std::string(PERI_SOURCE_DIR) + "/docs/reference/";

std::string read(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

void expect_current(const std::string& file, const std::string& now) {
  std::string there = read(kFolder + file);
  if (std::getenv("PERI_UPDATE_DOCS") != nullptr) {
    std::ofstream(kFolder + file) << now;
  } else {
    EXPECT_EQ(there, now) << file << " is out of date: set PERI_UPDATE_DOCS=1 and run this test";
  }
}

std::string type_of(const Json& field) {
  if (field.contains("enum")) {
    std::string names;
    for (const Json& name : field["enum"]) {
      names += fmt::format("{}`{}`", names.empty() ? "" : ", ", name.get<std::string>());
    }
    return names;
  }
  if (field["type"].is_array()) return "number or null";
  auto type = field["type"].get<std::string>();
  if (type != "array") return type;
  return "array of " + type_of(field["items"]);
}

// The object that a field is, or a list of which it is.
const Json* object_of(const Json& field) {
  if (field.contains("properties")) return &field;
  if (field.contains("items")) return object_of(field["items"]);
  return nullptr;
}

std::string table_of(const Json& object) {
  std::string text = "| key | type | what |\n|---|---|---|\n";
  for (const auto& [key, field] : object["properties"].items()) {
    text += fmt::format("| `{}` | {} | {} |\n", key, type_of(field),
                        field["description"].get<std::string>());
  }
  return text;
}

std::string page_with_tables(const std::string& page, const Json& schema) {
  std::string result;
  std::size_t at = 0;
  const std::string open = "<!-- fields ";
  for (std::size_t begin; (begin = page.find(open, at)) != std::string::npos;) {
    std::size_t name = begin + open.size(), head = page.find(" -->", name);
    std::string path = page.substr(name, head - name);
    const Json* object = path == "record" ? &schema : object_of(schema["properties"][path]);
    result += page.substr(at, head + 4 - at) + "\n" + table_of(*object);
    at = page.find("<!-- end -->", head);
  }
  return result + page.substr(at);
}

TEST(RecordReference, SchemaIsCurrent) {
  expect_current("record.schema.json", tune::record_schema().dump(2) + "\n");
}

TEST(RecordReference, TablesAreCurrent) {
  std::string page = read(kFolder + "record.md");
  Json schema = tune::record_schema();
  for (const auto& [key, field] : schema["properties"].items()) {
    if (object_of(field) == nullptr) continue;
    EXPECT_NE(page.find("<!-- fields " + key + " -->"), std::string::npos)
        << "the page has no table of `" << key << "`";
  }
  expect_current("record.md", page_with_tables(page, schema));
}

// Keys of a printed object against the schema's, both ways.
void expect_same_keys(const Json& printed, const Json& object, const std::string& path) {
  for (const auto& [key, value] : printed.items()) {
    EXPECT_TRUE(object["properties"].contains(key)) << path << "." << key;
  }
  for (const auto& [key, field] : object["properties"].items()) {
    ASSERT_TRUE(printed.contains(key)) << path << "." << key;
    const Json* inner = object_of(field);
    if (inner == nullptr) continue;
    const Json& value = printed[key].is_array() ? printed[key].at(0) : printed[key];
    expect_same_keys(value, *inner, path + "." + key);
  }
}

TEST(RecordReference, SchemaHasThePrintedKeysAndNoOther) {
  tune::Record record;
  record.sizes.resize(1);
  record.trials.resize(1);
  record.finalists.resize(1);
  expect_same_keys(Json::parse(tune::print_record(record)), tune::record_schema(), "$");
}

}  // namespace
}  // namespace peri
