// Python text: expressions that know how tightly they bind, unique names, and lines that can be
// dropped again when nothing uses what they define.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"

namespace peri::triton {

// How an expression binds; a larger value binds less.
enum class Binding : u8 { Atom, Unary, Product, Sum, Shift, And, Xor, Or, Compare };

struct Text {
  std::string text;
  Binding binding = Binding::Atom;

  // In parentheses if it binds less than `most`.
  std::string as(Binding most) const;
  std::string atom() const { return as(Binding::Atom); }
};

// a OP b with the parentheses it needs.
Text binary(std::string_view op, Binding binding, const Text& a, const Text& b);

class Names {
 public:
  Names();
  // `wanted` as an identifier that nothing else has: `x`, `x_1`, ...
  std::string unique(std::string_view wanted);

 private:
  std::set<std::string, std::less<>> used_;
};

// A function's lines under construction.
class Lines {
 public:
  void add(std::string text) { lines_.push_back({indent_, std::move(text), "", false}); }
  // `name = value`; goes again unless `name` is used.
  void define(const std::string& name, const std::string& value) {
    lines_.push_back({indent_, name + " = " + value, name, false});
  }
  // A comment on the lines up to the next one; goes if there are none, or if it repeats the last.
  void comment(const std::string& text) { lines_.push_back({indent_, "# " + text, "", true}); }
  void indent() { ++indent_; }
  void dedent() { --indent_; }
  void append(const Lines& more) {
    lines_.insert(lines_.end(), more.lines_.begin(), more.lines_.end());
  }

  // Drops definitions without use, then comments without lines.
  void prune();
  bool uses(std::string_view name) const;
  std::string print() const;

 private:
  struct Line {
    i64 indent;
    std::string text;
    std::string defines;
    bool is_comment;
  };

  void prune_comments();

  std::vector<Line> lines_;
  i64 indent_ = 1;
};

// "1.0", "2.5e-07", "float(\"inf\")": a float as Python reads it.
Text python_float(double value);
Text python_integer(i64 value);

}  // namespace peri::triton
