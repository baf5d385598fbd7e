#include "driver/dispatch_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "tune/measure.h"

namespace peri::driver {

using Rows = std::vector<const TunedRow*>;
using space::Config;

namespace {

constexpr std::size_t kColumns = 5;
using Line = std::array<std::string, kColumns>;

std::string percent(double part) { return fmt::format("{:.1f} %", 100 * part); }

Rows sorted(Rows rows) {
  std::ranges::stable_sort(rows, {},
                           [](const TunedRow* row) { return tune::values_of(row->sizes); });
  return rows;
}

std::string sizes_text(const TunedRow& row, const std::vector<i64>& values) {
  tune::Sizes sizes = row.sizes;
  for (std::size_t i = 0; i < std::min(sizes.size(), values.size()); ++i) sizes[i].size = values[i];
  return tune::print_sizes(sizes);
}

// What a call takes longer with the neighbour's config.
double regret_with_neighbour(const TunedRow& row) {
  const double best = row.best_seconds > 0 ? row.best_seconds : row.seconds;
  return row.neighbour_seconds / best - 1;
}

std::string neighbour_text(const Rows& rows, const TunedRow& row) {
  if (row.neighbour.empty()) return "-";
  const TunedRow* other = find_row(rows, row.neighbour);
  std::string text = other != nullptr && other->config == row.config ? "the same"
                     : !std::isfinite(row.neighbour_seconds)         ? "not usable"
                                                                     : "";
  if (text.empty()) text = percent(std::max(0.0, regret_with_neighbour(row)));
  return fmt::format("{} ({})", text, sizes_text(row, row.neighbour));
}

// Configs without repetition, as the table names them: A, B, ...
std::vector<Config> configs_of(const Rows& rows) {
  std::vector<Config> configs;
  for (const TunedRow* row : rows) {
    if (std::ranges::count(configs, row->config) == 0) configs.push_back(row->config);
  }
  return configs;
}

std::string letter(std::size_t index) {
  std::string text(1, static_cast<char>('A' + index % 26));
  return index < 26 ? text : text + std::to_string(index / 26);
}

std::string table(const std::vector<Line>& lines) {
  std::array<std::size_t, kColumns> widths{};
  for (const Line& line : lines) {
    for (std::size_t i = 0; i < kColumns; ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string text;
  for (const Line& line : lines) {
    for (std::size_t i = 0; i + 1 < kColumns; ++i) {
      text += fmt::format("{:<{}}  ", line[i], widths[i]);
    }
    text += line.back() + "\n";
  }
  return text;
}

}  // namespace

std::string print_rows(const Rows& given) {
  if (given.empty() || given[0]->sizes.empty()) return "";
  const Rows rows = sorted(given);
  const std::vector<Config> configs = configs_of(rows);
  std::vector<Line> lines = {{"sizes", "config", "time", "regret", "with the neighbour's config"}};
  for (const TunedRow* row : rows) {
    const auto config = std::ranges::find(configs, row->config) - configs.begin();
    lines.push_back({tune::print_sizes(row->sizes), letter(config),
                     tune::print_seconds(row->seconds), percent(row->regret()),
                     neighbour_text(rows, *row)});
  }
  std::string text = table(lines);
  for (std::size_t i = 0; i < configs.size(); ++i) {
    text += fmt::format("{}: {}\n", letter(i), space::print_config(configs[i]));
  }
  return text +
         "a call of other sizes gets the config of the nearest: that with the least sum of "
         "|log(size / tuned size)|\n";
}

Config rows_json(const Rows& rows) {
  Config list = Config::array();
  for (const TunedRow* row : sorted(rows)) {
    if (row->sizes.empty()) continue;
    Config sizes = Config::object();
    for (const tune::NamedSize& size : row->sizes) sizes[size.name] = size.size;
    Config json = {{"sizes", sizes},          {"config", row->config},
                   {"seconds", row->seconds}, {"best_seconds", row->best_seconds},
                   {"regret", row->regret()}, {"neighbour", nullptr}};
    if (!row->neighbour.empty()) {
      const bool is_usable = std::isfinite(row->neighbour_seconds);
      json["neighbour"] = {
          {"sizes", sizes_text(*row, row->neighbour)},
          {"seconds", is_usable ? Config(row->neighbour_seconds) : Config()},
          {"regret", is_usable ? Config(std::max(0.0, regret_with_neighbour(*row))) : Config()}};
    }
    list.push_back(std::move(json));
  }
  return list;
}

}  // namespace peri::driver
