#include "check/names.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "check/fns.h"

namespace peri::check {
namespace {

constexpr std::array<std::pair<Scope, std::string_view>, 10> kScopes{{{T, "torch"},
                                                                      {M, ""},
                                                                      {F, "F"},
                                                                      {H, "hl"},
                                                                      {O, "helion"},
                                                                      {A, "math"},
                                                                      {P, "python"},
                                                                      {L, "list"},
                                                                      {D, "dict"},
                                                                      {S, "str"}}};

using enum Use;

const Entry kEntries[] = {
#define FN(scopes, name, handler, builtin, use, signature) \
  {static_cast<u16>(scopes), name, &fn::handler, Builtin::builtin, use, signature},
#define LATER(scopes, name) \
  {static_cast<u16>(scopes), name, nullptr, Builtin::Neg, Use::Later, "**"},
#include "check/names.def"
};

std::string_view scope_text(Scope scope) {
  for (const auto& [s, text] : kScopes) {
    if (s == scope) return text;
  }
  return {};
}

const std::unordered_map<std::string, const Entry*>& table() {
  static const auto* entries = [] {
    auto* map = new std::unordered_map<std::string, const Entry*>();
    for (const Entry& entry : kEntries) {
      for (const auto& [scope, text] : kScopes) {
        if ((entry.scopes & scope) == 0) continue;
        map->emplace(std::string(text) + "." + std::string(entry.name), &entry);
      }
    }
    return map;
  }();
  return *entries;
}

// Levenshtein distance with transpositions of neighbours counted as one edit.
i64 edits(std::string_view a, std::string_view b) {
  std::vector<std::vector<i64>> d(a.size() + 1, std::vector<i64>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = static_cast<i64>(i);
  for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = static_cast<i64>(j);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const i64 change = a[i - 1] == b[j - 1] ? 0 : 1;
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + change});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::string_view name_of(Builtin builtin) {
  static constexpr std::string_view kNames[] = {
#define ELEMENTWISE(name, arity, rule) #name,
#define COMPOSITE(name) #name,
#include "check/builtins.def"
  };
  return kNames[static_cast<std::size_t>(builtin)];
}

const Entry* find_name(Scope scope, std::string_view name) {
  return find_path(std::string(scope_text(scope)) + "." + std::string(name));
}

const Entry* find_path(std::string_view path) {
  const auto it = table().find(std::string(path));
  return it == table().end() ? nullptr : it->second;
}

std::vector<std::string> names_in(Scope scope) {
  std::vector<std::string> names;
  for (const Entry& entry : kEntries) {
    if ((entry.scopes & scope) != 0) names.emplace_back(entry.name);
  }
  return names;
}

std::string spelling_of(const Entry& entry) {
  for (const auto& [scope, text] : kScopes) {
    if ((entry.scopes & scope) == 0) continue;
    if (scope == P) return std::string(entry.name);
    return std::string(text) + "." + std::string(entry.name);
  }
  return std::string(entry.name);
}

std::string Args::name() const { return spelling_of(entry); }

std::optional<std::string> nearest(std::string_view name,
                                   const std::vector<std::string>& candidates) {
  constexpr std::size_t kLongest = 64;
  if (name.size() > kLongest) return std::nullopt;
  std::optional<std::string> best;
  i64 best_distance = std::max<i64>(1, static_cast<i64>(name.size()) / 3) + 1;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kLongest || candidate == name) continue;
    const i64 distance = edits(name, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace peri::check
