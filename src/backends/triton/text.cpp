#include "backends/triton/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace peri::triton {

std::string Text::as(Binding most) const { return binding <= most ? text : "(" + text + ")"; }

Text binary(std::string_view op, Binding binding, const Text& a, const Text& b) {
  // Comparisons chain in Python, and bit operators bind tighter than it seems.
  bool plain = binding <= Binding::Sum;
  Binding left = plain ? binding : Binding::Sum;
  Binding right = plain ? static_cast<Binding>(static_cast<int>(binding) - 1) : Binding::Sum;
  if (binding >= Binding::And && binding <= Binding::Or) {
    left = right = Binding::Unary;
    if (a.binding == binding) left = binding;
  }
  return {fmt::format("{} {} {}", a.as(left), op, b.as(right)), binding};
}

namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Calls `visit` for each identifier or number of a line.
template <class F>
void for_each_word(std::string_view text, const F& visit) {
  for (std::size_t i = 0; i < text.size();) {
    if (!is_letter(text[i])) {
      ++i;
      continue;
    }
    std::size_t begin = i;
    while (i < text.size() && is_letter(text[i])) ++i;
    if (begin == 0 || text[begin - 1] != '.') visit(text.substr(begin, i - begin));
  }
}

}  // namespace

Names::Names() {
  for (const char* word :
       {"False",  "None",      "True",  "and",    "as",   "assert", "async",  "await",    "break",
        "class",  "continue",  "def",   "del",    "elif", "else",   "except", "finally",  "for",
        "from",   "global",    "if",    "import", "in",   "is",     "lambda", "nonlocal", "not",
        "or",     "pass",      "raise", "return", "try",  "while",  "with",   "yield",    "tl",
        "triton", "libdevice", "torch", "range",  "min",  "max",    "sum",    "abs",      "float",
        "int",    "bool",      "round", "print",  "len",  "float32"}) {
    used_.insert(word);
  }
}

std::string Names::unique(std::string_view wanted) {
  std::string base;
  for (char c : wanted) base += is_letter(c) ? c : '_';
  while (base.ends_with('_') && base.size() > 1) base.pop_back();
  if (base.empty() || (base[0] >= '0' && base[0] <= '9')) base = "v" + base;
  std::string name = base;
  for (i64 i = 1; used_.contains(name); ++i) name = fmt::format("{}_{}", base, i);
  used_.insert(name);
  return name;
}

void Lines::prune() {
  for (bool changed = true; changed;) {
    std::set<std::string, std::less<>> used;
    for (const Line& line : lines_) {
      if (line.is_comment) continue;
      std::string_view text = line.text;
      bool skipped = line.defines.empty();
      for_each_word(text, [&](std::string_view word) {
        if (!skipped && word == line.defines) {
          skipped = true;
        } else {
          used.emplace(word);
        }
      });
    }
    auto unused = std::remove_if(lines_.begin(), lines_.end(), [&](const Line& line) {
      return !line.defines.empty() && !used.contains(line.defines);
    });
    changed = unused != lines_.end();
    lines_.erase(unused, lines_.end());
  }
  prune_comments();
}

void Lines::prune_comments() {
  std::vector<Line> kept;
  std::vector<std::string> last;  // comment in force, by indent
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    Line& line = lines_[i];
    last.resize(static_cast<std::size_t>(line.indent) + 1);
    if (line.is_comment) {
      bool empty =
          i + 1 == lines_.size() || lines_[i + 1].is_comment || lines_[i + 1].indent != line.indent;
      if (empty || last[line.indent] == line.text) continue;
      last[line.indent] = line.text;
    }
    kept.push_back(std::move(line));
  }
  lines_ = std::move(kept);
}

bool Lines::uses(std::string_view name) const {
  bool found = false;
  for (const Line& line : lines_) {
    if (line.is_comment) continue;
    for_each_word(line.text, [&](std::string_view word) { found = found || word == name; });
  }
  return found;
}

std::string Lines::print() const {
  std::string out;
  for (const Line& line : lines_) {
    out += std::string(static_cast<std::size_t>(4 * line.indent), ' ') + line.text + "\n";
  }
  return out;
}

Text python_float(double value) {
  if (std::isnan(value)) return {"float(\"nan\")"};
  if (std::isinf(value)) return {value < 0 ? "float(\"-inf\")" : "float(\"inf\")"};
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return {text, text[0] == '-' ? Binding::Unary : Binding::Atom};
}

Text python_integer(i64 value) {
  return {fmt::format("{}", value), value < 0 ? Binding::Unary : Binding::Atom};
}

}  // namespace peri::triton
