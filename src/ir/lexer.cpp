#include "ir/lexer.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <system_error>

namespace peri::ir {
namespace {

using Kind = Token::Kind;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

void invalidate(Token& token, std::string text) {
  token.kind = Kind::Invalid;
  token.text = std::move(text);
}

std::optional<int> hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

}  // namespace

Token Lexer::next() {
  skip_blanks();
  Token token;
  token.begin = static_cast<u32>(at_);
  if (at_ < source_.size()) scan(token);
  token.end = static_cast<u32>(at_);
  return token;
}

void Lexer::skip_blanks() {
  while (at_ < source_.size()) {
    char c = peek();
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      ++at_;
    } else if (c == '/' && peek(1) == '/') {
      while (at_ < source_.size() && peek() != '\n') ++at_;
    } else {
      return;
    }
  }
}

void Lexer::scan(Token& token) {
  char c = peek();
  if (is_digit(c) || c == '-') return scan_number(token);
  if (is_word(c)) {
    token.kind = Kind::Word;
    token.text = take_word();
    return;
  }
  ++at_;
  if (c == '%') return scan_index(token, Kind::Value);
  if (c == '#') return scan_index(token, Kind::Row);
  if (c == '@') return scan_symbol(token);
  if (c == '"') return scan_string(token);
  token.kind = Kind::Mark;
  token.text = c;
  if (c == '.' && peek() == '.') {
    ++at_;
    token.text = "..";
  } else if (std::string_view("()[]{},:=+").find(c) == std::string_view::npos) {
    invalidate(token, "no token starts like this");
  }
}

std::string_view Lexer::take_word() {
  std::size_t begin = at_;
  while (is_word(peek())) ++at_;
  return source_.substr(begin, at_ - begin);
}

// A `.` belongs to a number only before a digit, so that `0..8` is a range.
void Lexer::scan_number(Token& token) {
  std::size_t begin = at_;
  bool real = false;
  if (peek() == '-') ++at_;
  take_word();
  if (peek() == '.' && is_digit(peek(1))) {
    real = true;
    ++at_;
    take_word();
  }
  bool signed_exponent = (peek() == '-' || peek() == '+') && is_digit(peek(1));
  if (signed_exponent && source_[at_ - 1] == 'e') {
    ++at_;
    take_word();
  }
  std::string_view text = source_.substr(begin, at_ - begin);
  const char* end = text.data() + text.size();
  real = real || text.find_first_of("ein") != std::string_view::npos;
  token.kind = real ? Kind::Float : Kind::Int;
  auto done = real ? std::from_chars(text.data(), end, token.real)
                   : std::from_chars(text.data(), end, token.number);
  if (done.ec == std::errc::result_out_of_range) return invalidate(token, "a number out of range");
  if (done.ec != std::errc() || done.ptr != end) return invalidate(token, "no number");
}

void Lexer::scan_index(Token& token, Kind kind) {
  std::string_view digits = take_word();
  const char* end = digits.data() + digits.size();
  token.kind = kind;
  auto done = std::from_chars(digits.data(), end, token.number);
  bool good = done.ec == std::errc() && done.ptr == end;
  if (!good || token.number > std::numeric_limits<i32>::max()) invalidate(token, "no row number");
}

void Lexer::scan_symbol(Token& token) {
  token.kind = Kind::Symbol;
  if (peek() == '#') {
    token.text = "#";
    ++at_;
  }
  token.text += take_word();
  if (token.text.empty() || token.text == "#") invalidate(token, "a symbol without name");
}

void Lexer::scan_string(Token& token) {
  token.kind = Kind::String;
  while (at_ < source_.size() && peek() != '\n') {
    char c = source_[at_++];
    if (c == '"') return;
    if (c == '\\' && peek() == 'x') {
      auto high = hex_digit(peek(1)), low = hex_digit(peek(2));
      if (!high || !low) return invalidate(token, "`\\x` without two hexadecimal digits");
      token.text += static_cast<char>(*high * 16 + *low);
      at_ += 3;
    } else if (c == '\\' && at_ < source_.size()) {
      token.text += source_[at_++];
    } else {
      token.text += c;
    }
  }
  invalidate(token, "a string that does not end");
}

}  // namespace peri::ir
