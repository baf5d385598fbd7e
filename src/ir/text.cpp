#include "ir/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace peri::ir {
namespace {

constexpr std::string_view kSymFunctions[] = {
    "",       "",      "add",   "sub",     "mul",     "floordiv", "mod",    "truediv", "pow",
    "neg",    "min",   "max",   "ceildiv", "shl",     "shr",      "bitand", "bitor",   "bitxor",
    "bitnot", "eq",    "ne",    "lt",      "le",      "gt",       "ge",     "and",     "or",
    "not",    "int",   "float", "sqrt",    "exp",     "log",      "log2",   "sin",     "cos",
    "ceil",   "floor", "abs",   "select",  "nextpow2"};
static_assert(std::size(kSymFunctions) == static_cast<std::size_t>(SymKind::NextPow2) + 1);

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

std::string_view sym_function(SymKind kind) { return kSymFunctions[static_cast<u8>(kind)]; }

std::optional<SymKind> sym_kind(std::string_view function) {
  auto found = std::ranges::find(kSymFunctions, function);
  if (function.empty() || found == std::end(kSymFunctions)) return std::nullopt;
  return static_cast<SymKind>(found - kSymFunctions);
}

std::string_view name_of(SymType type) {
  static constexpr std::string_view kNames[] = {"int", "float", "bool"};
  return kNames[static_cast<u8>(type)];
}

std::string_view name_of(SymbolOrigin origin) {
  static constexpr std::string_view kNames[] = {"arg_size", "arg_stride", "arg_value", "block",
                                                "tunable"};
  return kNames[static_cast<u8>(origin)];
}

std::string_view name_of(Block::Kind kind) {
  static constexpr std::string_view kNames[] = {"tile", "grid", "registered"};
  return kNames[static_cast<u8>(kind)];
}

bool is_identifier(std::string_view text) {
  if (text.empty() || !is_letter(text[0])) return false;
  return std::ranges::all_of(text, [](char c) { return is_letter(c) || is_digit(c); });
}

std::string name_text(std::string_view name) {
  return is_identifier(name) ? std::string(name) : quoted(name);
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<u8>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\x{:02x}", static_cast<u8>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string value_text(const SymValue& value) {
  if (value.type == SymType::Bool) return value.integer != 0 ? "true" : "false";
  if (value.type == SymType::Int) return fmt::format("{}", value.integer);
  std::string text = fmt::format("{}", value.real);
  bool shows_type = text.find_first_of(".ein") != std::string::npos;
  return shows_type ? text : text + ".0";
}

std::vector<std::string> references(const std::vector<std::string_view>& names) {
  std::unordered_map<std::string_view, i64> counts;
  for (std::string_view name : names) ++counts[name];
  std::vector<std::string> out;
  for (std::string_view name : names) {
    bool plain = is_identifier(name) && counts[name] == 1;
    out.push_back(plain ? std::string(name) : fmt::format("#{}", out.size()));
  }
  return out;
}

}  // namespace peri::ir
