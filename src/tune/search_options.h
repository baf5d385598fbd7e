// Options of the search strategies; the rows stand in search_options.def.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/expected.h"
#include "base/ids.h"

namespace peri::tune {

// How much a search may try: nothing, enough for most of the gain, or all it knows.
enum class Effort : u8 { None, Quick, Full };

std::string_view effort_name(Effort effort);
// Fails with `bad-setting` for other texts than none, quick and full.
Expected<Effort> parse_effort(std::string_view text);

namespace option {
using Integer = i64;
using Real = double;
}  // namespace option

// Of effort `full`; search_options() gives those of others.
struct SearchOptions {
#define SEARCH_OPTION(type, field, quick, full, low, high, strategies, doc) \
  option::type field = full;
#include "tune/search_options.def"
};

struct SearchOptionRow {
  std::string_view field, type;
  double quick, full, low, high;
  std::string_view strategies, doc;
};
std::span<const SearchOptionRow> search_option_rows();

// All strategies that make_strategy() knows, the default first.
std::span<const std::string_view> strategy_names();
Expected<void> check_strategy_name(std::string_view name);  // `unknown-strategy`

// The options of a strategy at an effort (None counts as Quick), with generations of at least
// `batch` configs, changed by `text`: "population=40, copies=3". Fails with `bad-setting` for names
// that the strategy does not have (the nearest one is named) and for values out of range.
Expected<SearchOptions> search_options(std::string_view strategy, Effort effort,
                                       std::string_view text, i64 batch = 1);

// A line for each option: its name, values by effort and range, strategies and meaning.
std::string list_search_options();

// "population=40, copies=3": the options that a strategy reads.
std::string describe_options(std::string_view strategy, const SearchOptions& options);

}  // namespace peri::tune
