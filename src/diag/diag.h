// Diagnostics: what is wrong with the user's kernel, file, config or arguments.
//
// Wording: lower case, no full stop, code in backticks, describe the situation and not the law; the
// hint is the next step. Each code stands in kinds.def with a sentence for the reference page, and
// is exercised by a test.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"

namespace peri::diag {

struct SourceTag;
using SourceId = Id<SourceTag>;

// A byte range [begin, end) of one source text. A span without source has no place.
struct Span {
  SourceId source;
  u32 begin = 0;
  u32 end = 0;

  explicit operator bool() const { return static_cast<bool>(source); }
  bool operator==(const Span&) const = default;
};

enum class Severity : u8 { Note, Warning, Error };

enum class Kind : u16 {
#define KIND(name, code, doc) name,
#include "diag/kinds.def"
};

// The stable code (`tile-mismatch`) and the one-sentence description of a kind.
std::string_view code_of(Kind kind);
std::string_view doc_of(Kind kind);

struct Label {
  Span span;
  std::string text;
};

struct Diagnostic {
  Kind kind;
  Severity severity = Severity::Error;
  std::string message;
  Span span;                  // where the caret goes; may be none
  std::vector<Label> labels;  // further places, with the inferred shapes and dtypes
  std::vector<std::string> notes;
  std::string hint;
};

// The texts that spans point into.
class Sources {
 public:
  SourceId add(std::string name, std::string text);
  std::string_view name(SourceId id) const;
  std::string_view text(SourceId id) const;
  // 1-based line and column (in code points) of a byte offset.
  struct Place {
    i64 line;
    i64 column;
  };
  Place place(SourceId id, u32 offset) const;
  std::string_view line_text(SourceId id, i64 line) const;
  std::string_view snippet(Span span) const;

 private:
  struct Source {
    std::string name;
    std::string text;
    std::vector<u32> line_starts;
  };
  std::vector<Source> sources_;
};

// Collects diagnostics of one run. After `kMaxErrors` errors further ones are counted only.
class Diags {
 public:
  static constexpr i64 kMaxErrors = 20;

  explicit Diags(Sources& sources) : sources_(sources) {}

  // Adds an error and returns it, so that labels, notes and a hint can be attached. The reference
  // holds until the next diagnostic.
  Diagnostic& error(Kind kind, Span span, std::string message);
  Diagnostic& warning(Kind kind, Span span, std::string message);
  Diagnostic& note(Kind kind, Span span, std::string message);

  bool has_errors() const { return errors_ > 0; }
  i64 error_count() const { return errors_; }
  const std::vector<Diagnostic>& all() const { return all_; }
  Sources& sources() const { return sources_; }

 private:
  Diagnostic& add(Severity severity, Kind kind, Span span, std::string message);

  Sources& sources_;
  std::vector<Diagnostic> all_;
  Diagnostic dropped_;
  i64 errors_ = 0;
};

// The terminal form, one block a diagnostic:
//
//   error[tile-mismatch]: `+` on tiles of different extent
//     softmax.py:12:15
//      12 |     acc = acc + row[tile_n]
//         |           --- ^ ----------- tile [tile_n]
//   hint: reduce `row` first
std::string render_text(const Diags& diags);
// The machine form: an array of objects, with code, severity, message, file, line, column, labels.
std::string render_json(const Diags& diags);

// The nearest of `candidates` to `word` by edit distance, or "" if none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace peri::diag
