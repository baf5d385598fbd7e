#include "syntax/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "diag/utf8.h"
#include "syntax/numbers.h"

namespace peri::syntax {
namespace {

using diag::CodePoint;
using diag::Kind;
using std::size_t;

constexpr i64 kTabStop = 8;

struct Bracket {
  char open;
  size_t begin;
  bool is_field = false;  // the `{` of an f-string
  bool in_spec = false;   // after that field's `:`
};

struct FString {
  size_t begin;
  size_t body;  // after the prefix and the quote
  char quote;
  bool triple;
  bool raw;
  size_t depth;  // brackets open around it

  size_t quote_size() const { return triple ? 3 : 1; }
};

// Columns of a line's first token: with tabs to multiples of 8, and with tabs as one column. Lines
// must compare alike in both, or their indentation depends on the editor.
struct Indent {
  i64 column = 0;
  i64 alt_column = 0;
};

bool is_quote(char c) { return c == '"' || c == '\''; }
bool is_closing(char c) { return c == ')' || c == ']' || c == '}'; }
char closing(char open) { return open == '(' ? ')' : open == '[' ? ']' : '}'; }

bool is_string_prefix(std::string_view word) {
  std::string lower;
  for (char c : word.substr(0, 3)) lower += static_cast<char>(c | 0x20);
  constexpr std::string_view kPrefixes[] = {"r", "b", "u", "f", "br", "rb", "fr", "rf"};
  return std::ranges::find(kPrefixes, lower) != std::end(kPrefixes);
}

bool contains_either_case(std::string_view word, char lower) {
  return std::ranges::any_of(word, [&](char c) { return (c | 0x20) == lower; });
}

// What to write in place of a character that word processors put into code.
std::string_view plain_spelling(u32 c) {
  if (c == 0x201c || c == 0x201d) return "write `\"`";
  if (c == 0x2018 || c == 0x2019) return "write `'`";
  if (c == 0x2013 || c == 0x2014 || c == 0x2212) return "write `-`";
  if (c == 0xd7) return "write `*`";
  if (c == 0xa0 || c == 0x3000 || (c >= 0x2000 && c <= 0x200b)) return "write a plain space";
  return "";
}

class Lexer {
 public:
  Lexer(diag::SourceId source, std::string_view text, LexMode mode, ErrorList& errors)
      : source_(source), text_(text), joined_(mode == LexMode::Expression), errors_(errors) {}

  std::vector<Token> run() {
    if (text_.starts_with("\xef\xbb\xbf")) pos_ = 3;
    at_line_start_ = !joined_;
    while (pos_ < text_.size()) {
      if (at_line_start_) {
        start_line();
      } else if (in_fstring_text()) {
        lex_fstring_text();
      } else {
        lex_token();
      }
    }
    finish();
    return std::move(tokens_);
  }

 private:
  char at(size_t i) const { return i < text_.size() ? text_[i] : '\0'; }

  size_t newline_size(size_t i) const {
    if (at(i) == '\r') return at(i + 1) == '\n' ? 2 : 1;
    return at(i) == '\n' ? 1 : 0;
  }

  // What a backslash at `i` takes with it: a line end or a character.
  size_t escape_size(size_t i) const { return 1 + std::max<size_t>(newline_size(i + 1), 1); }

  void emit(Tok kind, size_t begin, size_t end) {
    tokens_.push_back({kind, static_cast<u32>(begin), static_cast<u32>(end)});
    line_has_tokens_ = true;
  }

  diag::Span span(size_t begin, size_t end) const {
    return {source_, static_cast<u32>(begin), static_cast<u32>(std::min(end, text_.size()))};
  }

  // One error a logical line: what follows is likely its consequence.
  diag::Diagnostic* error(Kind kind, size_t begin, size_t end, std::string message) {
    if (std::exchange(line_failed_, true)) return nullptr;
    return &errors_.add(kind, span(begin, end), std::move(message));
  }

  diag::Diagnostic* unclosed(const Bracket& bracket) {
    return error(Kind::UnbalancedBracket, bracket.begin, bracket.begin + 1,
                 fmt::format("`{}`{} is never closed", bracket.open,
                             bracket.is_field ? " of the f-string" : ""));
  }

  // --- lines ---

  void start_line() {
    at_line_start_ = false;
    size_t begin = pos_;
    Indent here;
    std::optional<Indent> before_backslash;
    for (;; ++pos_) {
      char c = at(pos_);
      if (c == ' ' || c == '\t') {
        here.column = c == ' ' ? here.column + 1 : (here.column / kTabStop + 1) * kTabStop;
        ++here.alt_column;
      } else if (c == '\f') {
        here = {};
      } else if (c == '\\' && newline_size(pos_ + 1) > 0) {
        if (!before_backslash) before_backslash = here;
        pos_ += newline_size(pos_ + 1);
      } else {
        break;
      }
    }
    bool blank = pos_ >= text_.size() || at(pos_) == '#' || newline_size(pos_) > 0;
    if (!blank) set_indent(begin, before_backslash.value_or(here));
  }

  void set_indent(size_t begin, Indent here) {
    bool deeper = here.column > indents_.back().column;
    bool consistent = !deeper || here.alt_column > indents_.back().alt_column;
    if (deeper) {
      indents_.push_back(here);
      emit(Tok::Indent, begin, pos_);
    }
    while (here.column < indents_.back().column) {
      indents_.pop_back();
      emit(Tok::Dedent, pos_, pos_);
    }
    if (here.column != indents_.back().column) {
      error(Kind::Indentation, begin, pos_, "unindent matches no outer level");
      emit(Tok::Invalid, pos_, pos_);
    } else if (!consistent || here.alt_column != indents_.back().alt_column) {
      diag::Diagnostic* e = error(Kind::Indentation, begin, pos_,
                                  "tabs and spaces mix so that the indentation is ambiguous");
      if (e) e->hint = "indent with spaces only";
    }
  }

  void end_line() {
    size_t size = newline_size(pos_);
    if (joined_ || !brackets_.empty()) {
      pos_ += size;
      if (!joined_) continue_line();
      return;
    }
    if (line_has_tokens_) emit(Tok::Newline, pos_, pos_ + size);
    pos_ += size;
    begin_logical_line();
  }

  void begin_logical_line() {
    line_has_tokens_ = false;
    line_failed_ = false;
    at_line_start_ = true;
  }

  // At the start of a line within brackets: gives them up where a statement evidently begins.
  void continue_line() {
    size_t begin = pos_;
    i64 column = 0;
    for (; at(begin) == ' ' || at(begin) == '\t'; ++begin) {
      column = at(begin) == ' ' ? column + 1 : (column / kTabStop + 1) * kTabStop;
    }
    if (begin >= text_.size() || newline_size(begin) > 0 || at(begin) == '#') return;
    size_t end = begin;
    while (is_name_byte(at(end))) ++end;
    bool statement = starts_statement(keyword_or_name(text_.substr(begin, end - begin)));
    bool outdented = column <= indents_.back().column && !is_closing(at(begin));
    if (statement || (line_failed_ && outdented)) abandon_brackets(begin, end);
  }

  void abandon_brackets(size_t begin, size_t end) {
    if (diag::Diagnostic* e = unclosed(brackets_.back())) {
      e->labels.push_back({span(begin, end), "a new statement starts here"});
    }
    brackets_.clear();
    fstrings_.clear();
    emit(Tok::Invalid, pos_, pos_);
    emit(Tok::Newline, pos_, pos_);
    begin_logical_line();
  }

  void finish() {
    if (in_fstring_text()) {
      const FString& f = fstrings_.back();
      error(Kind::UnterminatedString, f.begin, f.body, "f-string is never closed");
    } else if (!brackets_.empty()) {
      unclosed(brackets_.back());
    }
    size_t end = text_.size();
    if (!fstrings_.empty() || !brackets_.empty()) emit(Tok::Invalid, end, end);
    if (line_has_tokens_ && !joined_) emit(Tok::Newline, end, end);
    for (; indents_.size() > 1; indents_.pop_back()) emit(Tok::Dedent, end, end);
    emit(Tok::End, end, end);
  }

  // --- tokens ---

  void lex_token() {
    char c = text_[pos_];
    if (c == ' ' || c == '\t' || c == '\f') {
      ++pos_;
    } else if (newline_size(pos_) > 0) {
      end_line();
    } else if (c == '#') {
      pos_ = std::min(text_.find_first_of("\r\n", pos_), text_.size());
    } else if (c == '\\') {
      lex_backslash();
    } else if (is_quote(c)) {
      lex_string(pos_);
    } else if (is_digit(c) || (c == '.' && is_digit(at(pos_ + 1)))) {
      lex_number();
    } else if (is_name_byte(c)) {
      lex_name();
    } else {
      lex_operator();
    }
  }

  void lex_backslash() {
    size_t size = newline_size(pos_ + 1);
    bool joins = size > 0 && pos_ + 1 + size < text_.size();
    if (!joins) {
      error(Kind::SyntaxError, pos_, pos_ + 1,
            size > 0 || pos_ + 1 == text_.size() ? "nothing follows the line continuation"
                                                 : "text after the line continuation `\\`");
      emit(Tok::Invalid, pos_, pos_ + 1);
    }
    pos_ += 1 + size;
  }

  void lex_name() {
    size_t end = pos_;
    while (is_name_byte(at(end))) {
      CodePoint c = diag::decode_utf8(text_.substr(end));
      if (c.value >= 0x80 && (!c.valid || !is_name_code_point(c.value))) break;
      end += c.size;
    }
    std::string_view word = text_.substr(pos_, end - pos_);
    if (word.empty()) return bad_character();
    if (is_quote(at(end)) && is_string_prefix(word)) return lex_string(end);
    emit(keyword_or_name(word), pos_, end);
    pos_ = end;
  }

  void lex_number() {
    Number number = scan_number(text_.substr(pos_));
    size_t end = pos_ + number.size;
    if (number.problem.empty()) {
      emit(number.kind, pos_, end);
    } else {
      error(Kind::BadNumber, pos_, end, number.problem);
      emit(Tok::Invalid, pos_, end);
    }
    pos_ = end;
  }

  void lex_operator() {
    char c = text_[pos_];
    bool field = !brackets_.empty() && brackets_.back().is_field;
    Tok op = match_operator(text_.substr(pos_));
    if (field && c == ':') {
      op = Tok::Colon;  // never `:=`
      brackets_.back().in_spec = true;
    }
    if (op == Tok::Invalid || (op == Tok::Bang && !field)) return bad_character();
    if (is_closing(c)) return lex_close(op);
    if (c == '(' || c == '[' || c == '{') brackets_.push_back({c, pos_});
    emit(op, pos_, pos_ + text_of(op).size());
    pos_ += text_of(op).size();
  }

  void lex_close(Tok op) {
    char c = text_[pos_];
    bool matches = !brackets_.empty() && closing(brackets_.back().open) == c;
    if (brackets_.empty()) {
      error(Kind::UnbalancedBracket, pos_, pos_ + 1, fmt::format("`{}` was never opened", c));
    } else if (!matches) {
      const Bracket& open = brackets_.back();
      diag::Diagnostic* e = error(Kind::UnbalancedBracket, pos_, pos_ + 1,
                                  fmt::format("`{}` does not close `{}`", c, open.open));
      if (e) e->labels.push_back({span(open.begin, open.begin + 1), "opened here"});
    }
    if (matches || (!brackets_.empty() && !brackets_.back().is_field)) brackets_.pop_back();
    emit(matches ? op : Tok::Invalid, pos_, pos_ + 1);
    ++pos_;
  }

  void bad_character() {
    CodePoint c = diag::decode_utf8(text_.substr(pos_));
    size_t end = pos_ + c.size;
    std::string what = fmt::format("unexpected character `{}`", text_.substr(pos_, c.size));
    if (!c.valid) {
      what = fmt::format("byte 0x{:02x} is not UTF-8 text", static_cast<u8>(text_[pos_]));
    } else if (c.value < 0x20 || c.value == 0x7f) {
      what = fmt::format("unexpected control character U+{:04X}", c.value);
    } else if (c.value >= 0x80) {
      what += fmt::format(" (U+{:04X})", c.value);
    }
    diag::Diagnostic* e = error(Kind::SyntaxError, pos_, end, what);
    if (e) e->hint = plain_spelling(c.value);
    emit(Tok::Invalid, pos_, end);
    pos_ = end;
  }

  // --- strings ---

  bool closes_string(size_t i, char quote, bool triple) const {
    return at(i) == quote && (!triple || (at(i + 1) == quote && at(i + 2) == quote));
  }

  // `pos_` is at the prefix, if there is one.
  void lex_string(size_t quote) {
    std::string_view prefix = text_.substr(pos_, quote - pos_);
    char c = text_[quote];
    bool triple = closes_string(quote, c, true);
    size_t body = quote + (triple ? 3 : 1);
    if (contains_either_case(prefix, 'f')) {
      emit(Tok::FStringStart, pos_, body);
      bool raw = contains_either_case(prefix, 'r');
      fstrings_.push_back({pos_, body, c, triple, raw, brackets_.size()});
      pos_ = body;
      return;
    }
    size_t end = body;
    while (end < text_.size() && !closes_string(end, c, triple)) {
      if (!triple && newline_size(end) > 0) break;
      end += text_[end] == '\\' ? escape_size(end) : 1;
    }
    if (closes_string(end, c, triple)) {
      end += triple ? 3 : 1;
      emit(Tok::String, pos_, end);
    } else {
      end = std::min(end, text_.size());
      unterminated_string(body, end, c, triple);
      emit(Tok::Invalid, pos_, end);
    }
    pos_ = end;
  }

  void unterminated_string(size_t body, size_t end, char quote, bool triple) {
    bool in_field = !triple && body == pos_ + 1 && !fstrings_.empty();
    if (in_field && fstrings_.back().quote == quote && !fstrings_.back().triple) {
      // The quote was to end the f-string around it.
      unclosed(brackets_[fstrings_.back().depth]);
      drop_fstring();
    } else if (triple) {
      error(Kind::UnterminatedString, pos_, body, "triple-quoted string is never closed");
    } else {
      error(Kind::UnterminatedString, pos_, end, "string is not closed on its line");
    }
  }

  void drop_fstring() {
    brackets_.resize(fstrings_.back().depth, {});
    fstrings_.pop_back();
  }

  bool in_fstring_text() const {
    if (fstrings_.empty()) return false;
    return brackets_.size() == fstrings_.back().depth || brackets_.back().in_spec;
  }

  bool in_fstring_spec() const { return brackets_.size() > fstrings_.back().depth; }

  void lex_fstring_text() {
    size_t end = fstring_text_end();
    if (end > pos_) emit(Tok::FStringMiddle, pos_, end);
    pos_ = end;
    if (end >= text_.size()) return;
    const FString& f = fstrings_.back();
    char c = text_[end];
    if (c == '{') {
      brackets_.push_back({'{', end, true});
      emit(Tok::LeftBrace, end, end + 1);
      ++pos_;
    } else if (c == '}') {
      bool ends_field = in_fstring_spec();
      if (ends_field) brackets_.pop_back();
      if (!ends_field) {
        diag::Diagnostic* e =
            error(Kind::UnbalancedBracket, end, end + 1, "`}` in an f-string was never opened");
        if (e) e->hint = "write `}}` for the character";
      }
      emit(ends_field ? Tok::RightBrace : Tok::Invalid, end, end + 1);
      ++pos_;
    } else if (c == f.quote) {
      pos_ += f.quote_size();
      if (in_fstring_spec()) {
        unclosed(brackets_.back());
        emit(Tok::Invalid, end, pos_);
      }
      emit(Tok::FStringEnd, end, pos_);
      drop_fstring();
    } else {
      error(Kind::UnterminatedString, f.begin, end, "f-string is not closed on its line");
      emit(Tok::Invalid, end, end);
      drop_fstring();
    }
  }

  // The end of literal text: a field's brace, the closing quote, an illegal line end, or the end.
  size_t fstring_text_end() const {
    const FString& f = fstrings_.back();
    bool spec = in_fstring_spec();
    size_t i = pos_;
    while (i < text_.size()) {
      char c = text_[i];
      if (closes_string(i, f.quote, f.triple)) break;
      if (!f.triple && newline_size(i) > 0) break;
      if (c == '{' || c == '}') {
        if (spec || at(i + 1) != c) break;
        i += 2;
      } else if (c == '\\') {
        i = after_fstring_escape(i);
      } else {
        ++i;
      }
    }
    return std::min(i, text_.size());
  }

  size_t after_fstring_escape(size_t i) const {
    char next = at(i + 1);
    if (next == '{' || next == '}') return i + 1;
    if (next != 'N' || at(i + 2) != '{' || fstrings_.back().raw) return i + escape_size(i);
    size_t end = i + 3;
    while (is_name_byte(at(end)) || at(end) == ' ' || at(end) == '-') ++end;
    return at(end) == '}' ? end + 1 : i + 2;
  }

  diag::SourceId source_;
  std::string_view text_;
  bool joined_;
  ErrorList& errors_;
  std::vector<Token> tokens_;
  size_t pos_ = 0;
  bool at_line_start_ = true;
  bool line_has_tokens_ = false;
  bool line_failed_ = false;
  std::vector<Indent> indents_ = {{}};
  std::vector<Bracket> brackets_;
  std::vector<FString> fstrings_;
};

}  // namespace

std::vector<Token> lex(diag::SourceId source, std::string_view text, LexMode mode,
                       ErrorList& errors) {
  return Lexer(source, text, mode, errors).run();
}

}  // namespace peri::syntax
