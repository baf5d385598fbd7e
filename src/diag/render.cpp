// The terminal and JSON forms of diagnostics.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

#include "diag/diag.h"
#include "diag/utf8.h"

namespace peri::diag {
namespace {

constexpr i64 kTabWidth = 4;
constexpr std::size_t kLongLine = 160;   // bytes; longer lines are clipped to a window
constexpr std::size_t kWindow = 120;     // bytes shown of a clipped line
constexpr std::size_t kBeforeMark = 60;  // of them before the first mark
constexpr std::string_view kClipped = "...";

std::string_view severity_name(Severity severity) {
  constexpr std::string_view kNames[] = {"note", "warning", "error"};
  return kNames[static_cast<u8>(severity)];
}

// A span within one line, in bytes from the line's start; `text` only for labels.
struct Mark {
  std::size_t begin;
  std::size_t end;
  bool primary;
  std::string text;
};

struct MarkedLine {
  SourceId source;
  i64 line;
  std::vector<Mark> marks;
};

// The part of a line that is shown, as the terminal will show it.
class ShownLine {
 public:
  ShownLine(std::string_view line, std::size_t focus) {
    focus = std::min(focus, line.size());
    std::size_t end = line.size();
    if (line.size() > kLongLine) {
      begin_ = at_boundary(line, focus > kBeforeMark ? focus - kBeforeMark : 0);
      end = at_boundary(line, std::min(line.size(), begin_ + kWindow));
    }
    if (begin_ > 0) put(kClipped, kClipped.size());
    for (std::size_t i = begin_; i < end;) i += put_code_point(line.substr(i));
    columns_.push_back(width_);
    if (end < line.size()) put(kClipped, kClipped.size());
  }

  const std::string& text() const { return text_; }

  // The terminal column of a byte of the line; what is clipped away maps to the window's edge.
  i64 column(std::size_t offset) const {
    if (offset < begin_) return 0;
    return columns_[std::min(offset - begin_, columns_.size() - 1)];
  }

 private:
  static std::size_t at_boundary(std::string_view line, std::size_t i) {
    for (int steps = 0; steps < 3 && i > 0 && i < line.size(); ++steps, --i) {
      if ((static_cast<u8>(line[i]) & 0xc0) != 0x80) break;
    }
    return i;
  }

  void put(std::string_view text, i64 width) {
    text_ += text;
    width_ += width;
  }

  std::size_t put_code_point(std::string_view rest) {
    CodePoint c = decode_utf8(rest);
    columns_.insert(columns_.end(), c.size, width_);
    if (c.value == '\t') {
      i64 width = kTabWidth - width_ % kTabWidth;
      put(std::string(width, ' '), width);
    } else {
      std::string shown = c.value == '\n' ? printable("\r") : printable(rest.substr(0, c.size));
      put(shown, c.valid ? display_width(c.value) : 1);
    }
    return c.size;
  }

  std::string text_;
  i64 width_ = 0;
  std::size_t begin_ = 0;
  std::vector<i64> columns_;  // per byte shown, and one past
};

struct ShownMark {
  i64 begin;
  i64 end;
  bool primary;
  std::string_view text;
};

void write_at(std::string& row, i64 column, std::string_view text) {
  std::size_t at = static_cast<std::size_t>(column);
  if (row.size() < at + text.size()) row.resize(at + text.size(), ' ');
  row.replace(at, text.size(), text);
}

// The rows beneath a source line: marks, with the rightmost label beside them if nothing follows
// it, and the other labels below, right to left.
std::vector<std::string> mark_rows(std::vector<ShownMark> marks) {
  std::string row;
  for (const ShownMark& m : marks) {
    if (!m.primary) write_at(row, m.begin, std::string(m.end - m.begin, '-'));
  }
  for (const ShownMark& m : marks) {
    if (m.primary) write_at(row, m.begin, std::string(m.end - m.begin, '^'));
  }
  std::erase_if(marks, [](const ShownMark& m) { return m.text.empty(); });
  std::ranges::sort(marks, {},
                    [](const ShownMark& m) { return std::tuple(-m.begin, m.end, m.text); });
  auto last = std::ranges::find_if(
      marks, [&](const ShownMark& m) { return m.end == static_cast<i64>(row.size()); });
  if (last != marks.end()) {
    row += fmt::format(" {}", last->text);
    marks.erase(last);
  }
  std::vector<std::string> rows = {row};
  for (std::size_t i = 0; i < marks.size(); ++i) {
    std::string below;
    for (std::size_t j = marks.size() - 1; j > i; --j) write_at(below, marks[j].begin, "|");
    // Labels contain code points wider than a byte, so the text must come last.
    below.resize(marks[i].begin, ' ');
    below += marks[i].text;
    rows.push_back(below);
  }
  return rows;
}

void put_line(std::string& out, std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  out += line;
  out += '\n';
}

class Block {
 public:
  Block(const Sources& sources, const Diagnostic& d) : sources_(sources) {
    if (d.span) add(d.span, true, "");
    for (const Label& label : d.labels) {
      if (label.span) add(label.span, false, printable(label.text));
    }
    for (const MarkedLine& line : lines_) {
      gutter_ = std::max(gutter_, std::to_string(line.line).size());
    }
  }

  void print(std::string& out) const {
    const MarkedLine* before = nullptr;
    for (const MarkedLine& line : lines_) {
      if (!before || before->source != line.source) {
        put_line(out, location(line));
      } else if (line.line > before->line + 1) {
        put_line(out, std::string(gutter_, ' ') + "   ...");
      }
      print_line(out, line);
      before = &line;
    }
  }

 private:
  void add(Span span, bool primary, std::string text) {
    Sources::Place place = sources_.place(span.source, span.begin);
    std::string_view line = sources_.line_text(span.source, place.line);
    std::size_t start = line.data() - sources_.text(span.source).data();
    std::size_t begin = std::min<std::size_t>(span.begin - start, line.size());
    std::size_t end = std::clamp<std::size_t>(span.end - start, begin, line.size());
    if (span.end <= span.begin) end = begin;
    if (!first_) first_ = span;
    line_marks(span.source, place.line).push_back({begin, end, primary, std::move(text)});
  }

  // Lines of one source stand together in order, sources in the order of their first mark.
  std::vector<Mark>& line_marks(SourceId source, i64 line) {
    auto same = [&](const MarkedLine& l) { return l.source == source; };
    auto at = std::ranges::find_if(lines_, same);
    if (at == lines_.end()) at = lines_.insert(at, {source, line, {}});
    while (at != lines_.end() && same(*at) && at->line < line) ++at;
    if (at == lines_.end() || !same(*at) || at->line != line) {
      at = lines_.insert(at, {source, line, {}});
    }
    return at->marks;
  }

  // The place of the first mark in this line's source: the caret, where there is one.
  std::string location(const MarkedLine& line) const {
    if (first_.source == line.source) {
      Sources::Place place = sources_.place(first_.source, first_.begin);
      return fmt::format("  {}:{}:{}", sources_.name(line.source), place.line, place.column);
    }
    std::string_view text = sources_.line_text(line.source, line.line);
    std::size_t start = text.data() - sources_.text(line.source).data();
    auto offset = static_cast<u32>(start + line.marks.front().begin);
    Sources::Place place = sources_.place(line.source, offset);
    return fmt::format("  {}:{}:{}", sources_.name(line.source), place.line, place.column);
  }

  void print_line(std::string& out, const MarkedLine& line) const {
    auto focus = std::ranges::find_if(line.marks, &Mark::primary);
    if (focus == line.marks.end()) focus = line.marks.begin();
    ShownLine shown(sources_.line_text(line.source, line.line), focus->begin);
    std::vector<ShownMark> marks;
    for (const Mark& m : line.marks) {
      i64 begin = shown.column(m.begin);
      i64 end = std::max(shown.column(m.end), begin + 1);
      marks.push_back({begin, end, m.primary, m.text});
    }
    put_line(out, fmt::format("   {:>{}} | {}", line.line, gutter_, shown.text()));
    for (const std::string& row : mark_rows(std::move(marks))) {
      put_line(out, fmt::format("   {:>{}} | {}", "", gutter_, row));
    }
  }

  const Sources& sources_;
  std::vector<MarkedLine> lines_;
  Span first_;
  std::size_t gutter_ = 1;
};

void print_diagnostic(std::string& out, const Sources& sources, const Diagnostic& d) {
  out +=
      fmt::format("{}[{}]: {}\n", severity_name(d.severity), code_of(d.kind), printable(d.message));
  Block(sources, d).print(out);
  for (const Label& label : d.labels) {
    if (!label.span) out += fmt::format("note: {}\n", printable(label.text));
  }
  for (const std::string& note : d.notes) out += fmt::format("note: {}\n", printable(note));
  if (!d.hint.empty()) out += fmt::format("hint: {}\n", printable(d.hint));
}

void add_place(nlohmann::json& object, const Sources& sources, Span span) {
  if (!span) return;
  Sources::Place begin = sources.place(span.source, span.begin);
  Sources::Place end = sources.place(span.source, std::max(span.begin, span.end));
  object["file"] = sources.name(span.source);
  object["line"] = begin.line;
  object["column"] = begin.column;
  object["end_line"] = end.line;
  object["end_column"] = end.column;
}

nlohmann::json to_json(const Sources& sources, const Diagnostic& d) {
  nlohmann::json object = {{"code", code_of(d.kind)}, {"severity", severity_name(d.severity)},
                           {"message", d.message},    {"labels", nlohmann::json::array()},
                           {"notes", d.notes},        {"hint", d.hint}};
  add_place(object, sources, d.span);
  for (const Label& label : d.labels) {
    nlohmann::json entry = {{"message", label.text}};
    add_place(entry, sources, label.span);
    object["labels"].push_back(std::move(entry));
  }
  return object;
}

}  // namespace

std::string render_text(const Diags& diags) {
  std::string out;
  for (const Diagnostic& d : diags.all()) {
    if (!out.empty()) out += '\n';
    print_diagnostic(out, diags.sources(), d);
  }
  i64 hidden = diags.error_count() - Diags::kMaxErrors;
  if (hidden > 0) out += fmt::format("\n{} more error{}\n", hidden, hidden == 1 ? "" : "s");
  return out;
}

std::string render_json(const Diags& diags) {
  nlohmann::json all = nlohmann::json::array();
  for (const Diagnostic& d : diags.all()) all.push_back(to_json(diags.sources(), d));
  // Names and messages may quote bytes that are no UTF-8.
  return all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace peri::diag
