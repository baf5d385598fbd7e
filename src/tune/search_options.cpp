#include "tune/search_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "diag/diag.h"

namespace peri::tune {

namespace {

std::vector<std::string> words_of(std::string_view text, std::string_view separators) {
  std::vector<std::string> words;
  std::string word;
  for (char c : text) {
    if (separators.find(c) == std::string_view::npos) {
      word += c;
    } else if (!word.empty()) {
      words.push_back(std::exchange(word, {}));
    }
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

bool is_read_by(const SearchOptionRow& row, std::string_view strategy) {
  for (const std::string& name : words_of(row.strategies, " ")) {
    if (name == strategy) return true;
  }
  return false;
}

std::vector<std::string> options_of(std::string_view strategy) {
  std::vector<std::string> names;
  for (const SearchOptionRow& row : search_option_rows()) {
    if (is_read_by(row, strategy)) names.emplace_back(row.field);
  }
  return names;
}

void assign(SearchOptions& options, std::string_view field, double value) {
#define SEARCH_OPTION(type, name, quick, full, low, high, strategies, doc) \
  if (field == #name) options.name = static_cast<option::type>(value);
#include "tune/search_options.def"
}

double value_of(const SearchOptions& options, std::string_view field) {
#define SEARCH_OPTION(type, name, quick, full, low, high, strategies, doc) \
  if (field == #name) return static_cast<double>(options.name);
#include "tune/search_options.def"
  return 0;
}

Expected<void> read_option(std::string_view strategy, const std::string& item,
                           SearchOptions& options) {
  std::size_t equals = item.find('=');
  std::string name = item.substr(0, equals);
  std::string text = equals == std::string::npos ? "" : item.substr(equals + 1);
  std::vector<std::string> known = options_of(strategy);
  for (const SearchOptionRow& row : search_option_rows()) {
    if (row.field != name || !is_read_by(row, strategy)) continue;
    double value = 0;
    const char* end = text.data() + text.size();
    auto [at, error] = std::from_chars(text.data(), end, value);
    bool whole = row.type != "Integer" || value == static_cast<double>(static_cast<i64>(value));
    bool good = error == std::errc() && at == end && value >= row.low && value <= row.high && whole;
    if (!good) {
      return fail(
          "bad-setting", fmt::format("search option `{}` cannot be `{}`", name, text),
          fmt::format("{}: {} from {} to {}", row.doc,
                      row.type == "Integer" ? "an integer" : "a number", row.low, row.high));
    }
    assign(options, row.field, value);
    return {};
  }
  std::string near = diag::nearest(name, known);
  std::string hint = near.empty() ? "" : fmt::format("did you mean `{}`? ", near);
  hint += known.empty() ? "it has none" : fmt::format("it has {}", fmt::join(known, ", "));
  return fail("bad-setting", fmt::format("search strategy `{}` has no option `{}`", strategy, name),
              hint);
}

}  // namespace

std::string_view effort_name(Effort effort) {
  switch (effort) {
    case Effort::None:
      return "none";
    case Effort::Quick:
      return "quick";
    case Effort::Full:
      break;
  }
  return "full";
}

Expected<Effort> parse_effort(std::string_view text) {
  for (Effort effort : {Effort::None, Effort::Quick, Effort::Full}) {
    if (text == effort_name(effort)) return effort;
  }
  return fail("bad-setting", fmt::format("there is no tuning effort `{}`", text),
              "the efforts are none, quick, full");
}

std::span<const SearchOptionRow> search_option_rows() {
  static constexpr SearchOptionRow kRows[] = {
#define SEARCH_OPTION(type, field, quick, full, low, high, strategies, doc) \
  {#field, #type, quick, full, low, high, strategies, doc},
#include "tune/search_options.def"
  };
  return kRows;
}

Expected<SearchOptions> search_options(std::string_view strategy, Effort effort,
                                       std::string_view text, i64 batch) {
  if (auto known = check_strategy_name(strategy); !known) return std::unexpected(known.error());
  SearchOptions options;
  for (const SearchOptionRow& row : search_option_rows()) {
    assign(options, row.field, effort == Effort::Full ? row.full : row.quick);
  }
  options.batch = std::max(options.batch, batch);
  for (const std::string& item : words_of(text, ", ")) {
    auto done = read_option(strategy, item, options);
    if (!done) return std::unexpected(done.error());
  }
  return options;
}

std::string list_search_options() {
  std::string text;
  for (const SearchOptionRow& row : search_option_rows()) {
    const std::string value = row.quick == row.full
                                  ? fmt::format("{}", row.quick)
                                  : fmt::format("{}, full {}", row.quick, row.full);
    text += fmt::format("  {:<18} {:<13} {} to {}; {}: {}\n", row.field, value, row.low, row.high,
                        fmt::join(words_of(row.strategies, " "), ", "), row.doc);
  }
  return text;
}

std::string describe_options(std::string_view strategy, const SearchOptions& options) {
  std::vector<std::string> texts;
  for (const std::string& name : options_of(strategy)) {
    texts.push_back(fmt::format("{}={}", name, value_of(options, name)));
  }
  return fmt::to_string(fmt::join(texts, ", "));
}

}  // namespace peri::tune
