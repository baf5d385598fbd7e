#include "tune/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "space/config.h"
#include "tune/measure.h"

namespace peri::tune {

namespace {

constexpr i64 kWidestBar = 24, kNarrowestBar = 6;

struct Glyphs {
  std::string_view full, empty, dot;
};

Glyphs glyphs(const Terminal& terminal) {
  if (terminal.utf8) return {"█", "░", " · "};
  return {"#", ".", ", "};
}

std::string bar(double share, i64 width, const Glyphs& glyphs) {
  i64 full = std::clamp<i64>(std::llround(share * static_cast<double>(width)), 0, width);
  std::string text;
  for (i64 i = 0; i < width; ++i) text += i < full ? glyphs.full : glyphs.empty;
  return text;
}

// "1.31" beside "1.23 ms", "1.31 us" beside another unit.
std::string beside(double seconds, const std::string& other) {
  std::string text = print_seconds(seconds);
  std::string_view unit = std::string_view(text).substr(std::min(text.find(' '), text.size()));
  bool same = !unit.empty() && other.ends_with(unit);
  return same ? text.substr(0, text.size() - unit.size()) : text;
}

// The parts behind the bar, the least important last.
std::vector<std::string> parts_of(const Progress& p) {
  std::vector<std::string> parts;
  if (p.best > 0 && std::isfinite(p.best)) parts.push_back("best " + print_seconds(p.best));
  parts.push_back(fmt::format("compiled {} timed {} failed {}", p.compiled, p.timed, p.failed));
  if (p.budget > 0) {
    parts.push_back(fmt::format("{:.0f} s left", std::max(0.0, p.budget - p.elapsed)));
  } else if (p.gain >= 0) {
    parts.push_back(fmt::format("expected gain {:.1f} %", 100 * p.gain));
  }
  return parts;
}

std::string cut(const std::string& text, i64 columns) {
  size_t end = 0;
  for (i64 used = 0; end < text.size(); ++end) {
    bool starts = (static_cast<u8>(text[end]) & 0xC0) != 0x80;
    if (starts && ++used > columns) break;
  }
  return text.substr(0, end);
}

}  // namespace

i64 columns_of(std::string_view text) {
  return std::ranges::count_if(text, [](char c) { return (static_cast<u8>(c) & 0xC0) != 0x80; });
}

Terminal terminal_of(int fd, std::string_view columns, std::string_view locale) {
  Terminal terminal;
  i64 given = 0;
  std::from_chars(columns.data(), columns.data() + columns.size(), given);
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    terminal.columns = size.ws_col;
  } else if (given > 0) {
    terminal.columns = std::min<i64>(given, 1000);
  }
  std::string lower;
  for (char c : locale) lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  terminal.utf8 =
      lower.find("utf-8") != std::string::npos || lower.find("utf8") != std::string::npos;
  return terminal;
}

std::string progress_line(const Progress& p, const Terminal& terminal) {
  const Glyphs g = glyphs(terminal);
  const i64 room = std::max<i64>(terminal.columns - 1, 0);
  const std::string clock = fmt::format("[{:.0f}s]", p.elapsed);
  std::vector<std::string> parts = parts_of(p);
  const double share = std::clamp(p.budget > 0 ? p.elapsed / p.budget : p.share, 0.0, 1.0);
  const std::string percent = fmt::format("{:3.0f} %", 100 * share);
  std::string against;
  if (p.standard > 0 && std::isfinite(p.standard) && parts.size() > 1 && p.best > 0) {
    against = fmt::format(" ({} {})", p.standard_name, beside(p.standard, parts[0]));
  }
  // In order of reading: counts, best, time left.
  auto text = [&](i64 width, size_t kept, bool compare) {
    std::string line = clock;
    if (width > 0) line += " " + bar(share, width, g);
    line += " " + percent;
    bool has_best = parts[0].starts_with("best");
    std::vector<std::string> shown(parts.begin(), parts.begin() + static_cast<i64>(kept));
    if (has_best && compare && kept > 0) shown[0] += against;
    if (has_best && kept > 1) std::swap(shown[0], shown[1]);
    for (const std::string& part : shown) line += std::string(g.dot) + part;
    return line;
  };
  for (bool compare : {true, false}) {
    for (size_t kept = parts.size(); kept > 0; --kept) {
      if (!compare && kept == parts.size()) continue;
      std::string bare = text(0, kept, compare);
      i64 width = std::min(kWidestBar, room - columns_of(bare) - 1);
      if (width >= kNarrowestBar) return text(width, kept, compare);
    }
  }
  return cut(text(0, 1, false), room);
}

std::string start_line(std::string_view strategy, std::string_view options, i64 knobs,
                       double configs, double budget) {
  std::string text = fmt::format("[0s] Starting {}", strategy);
  if (!options.empty()) text += fmt::format(" with {}", options);
  text += fmt::format(" on {} knobs, {:.2g} configs", knobs, configs);
  return budget > 0 ? text + fmt::format(", budget {:.0f}s", budget) : text;
}

std::string begin_line(i64 generation, std::size_t count) {
  if (generation == 0) return fmt::format("Initial random population of {} configs", count);
  return fmt::format("Generation {} starting: {} neighbors", generation, count);
}

std::string generation_line(double elapsed, i64 generation, std::span<const double> seconds,
                            const Config& best) {
  std::vector<double> times;
  for (double s : seconds) {
    if (std::isfinite(s)) times.push_back(s);
  }
  std::ranges::sort(times);
  std::string text =
      generation == 0 ? "Initial population" : fmt::format("Generation {} complete", generation);
  text += fmt::format(": failed={} ok={}", seconds.size() - times.size(), times.size());
  if (!times.empty()) {
    text += fmt::format(" min={} mid={} max={}", print_seconds(times.front()),
                        print_seconds(times[times.size() / 2]), print_seconds(times.back()));
  }
  return fmt::format("[{:.0f}s] {} best={}", elapsed, text, space::print_config(best));
}

std::string completion_text(const Record& record) {
  return fmt::format(
      "Autotuning {} in {:.1f}s after searching {} configs.\n"
      "One can hardcode the best config and skip autotuning with:\n"
      "    @helion.kernel(config={}, static_shapes={})",
      record.interrupted ? "interrupted" : "complete", record.elapsed, count_searched(record),
      print_winner(record), record.static_shapes ? "True" : "False");
}

}  // namespace peri::tune
