#include "syntax/literals.h"

#include <fmt/format.h>

#include <optional>

#include "diag/utf8.h"

namespace peri::syntax {
namespace {

using std::size_t;

std::optional<u32> digit_value(char c, u32 base) {
  char lower = static_cast<char>(c | 0x20);
  u32 value = c >= '0' && c <= '9'           ? c - '0'
              : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10
                                             : base;
  return value < base ? std::optional(value) : std::nullopt;
}

std::optional<char> simple_escape(char c) {
  constexpr std::string_view kNames = "\\'\"abfnrtv";
  constexpr std::string_view kValues = "\\'\"\a\b\f\n\r\t\v";
  size_t i = kNames.find(c);
  return i == std::string_view::npos ? std::nullopt : std::optional(kValues[i]);
}

class Decoder {
 public:
  Decoder(std::string_view body, LiteralForm form, diag::Span at, ErrorList& errors)
      : body_(body), form_(form), place_(at), errors_(errors) {}

  std::string decode() {
    out_.reserve(body_.size());
    while (pos_ < body_.size()) {
      char c = body_[pos_];
      if (c == '\\' && !form_.raw) {
        decode_escape();
      } else if (c == '\r') {
        put_newline();
      } else if ((c == '{' || c == '}') && form_.kind == LiteralKind::FStringText) {
        put(c, at(1) == c ? 2 : 1);
      } else if (static_cast<u8>(c) >= 0x80) {
        decode_beyond_ascii();
      } else {
        put(c, 1);
      }
    }
    return std::move(out_);
  }

 private:
  char at(size_t ahead) const { return pos_ + ahead < body_.size() ? body_[pos_ + ahead] : '\0'; }

  void put(char c, size_t taken) {
    out_ += c;
    pos_ += taken;
  }

  void put_newline() { put('\n', at(1) == '\n' ? 2 : 1); }

  void error(size_t size, std::string message) {
    u32 begin = place_.begin + static_cast<u32>(pos_);
    errors_.add(diag::Kind::SyntaxError, {place_.source, begin, begin + static_cast<u32>(size)},
                std::move(message));
  }

  void decode_beyond_ascii() {
    diag::CodePoint c = diag::decode_utf8(body_.substr(pos_));
    if (form_.kind == LiteralKind::Bytes) {
      error(c.size, "bytes hold ASCII characters and escapes only");
    }
    diag::append_utf8(out_, c.value);
    pos_ += c.size;
  }

  void decode_escape() {
    char c = at(1);
    if (std::optional<char> value = simple_escape(c)) {
      put(*value, 2);
    } else if (c == '\n' || c == '\r') {
      pos_ += c == '\r' && at(2) == '\n' ? 3 : 2;
    } else if (digit_value(c, 8)) {
      decode_octal();
    } else if (c == 'x') {
      decode_hex(2);
    } else if (form_.kind != LiteralKind::Bytes && (c == 'u' || c == 'U')) {
      decode_hex(c == 'u' ? 4 : 8);
    } else if (form_.kind != LiteralKind::Bytes && c == 'N') {
      copy_named();
    } else {
      put('\\', 1);  // not an escape: the backslash stays
    }
  }

  void put_value(u32 value) {
    if (form_.kind == LiteralKind::Bytes) {
      out_ += static_cast<char>(value);
    } else {
      bool surrogate = value >= 0xd800 && value <= 0xdfff;
      diag::append_utf8(out_, surrogate ? diag::kReplacement : value);
    }
  }

  void decode_octal() {
    u32 value = 0;
    size_t size = 1;
    for (; size < 4 && digit_value(at(size), 8); ++size) {
      value = value * 8 + *digit_value(at(size), 8);
    }
    put_value(value);
    pos_ += size;
  }

  void decode_hex(size_t digits) {
    u32 value = 0;
    size_t size = 2;
    for (; size < digits + 2 && digit_value(at(size), 16); ++size) {
      value = value * 16 + *digit_value(at(size), 16);
    }
    if (size < digits + 2) {
      error(size, fmt::format("`\\{}` takes {} hexadecimal digits", at(1), digits));
    } else if (value > 0x10ffff) {
      error(size, "no character has this code point");
    } else {
      put_value(value);
    }
    pos_ += size;
  }

  // Character names are not known here; kernels have no use for them.
  void copy_named() {
    constexpr size_t kLongest = 120;
    std::string_view rest = body_.substr(pos_, kLongest);
    size_t close = at(2) == '{' ? rest.find('}') : std::string_view::npos;
    if (close == std::string_view::npos) {
      error(2, "`\\N` takes a character's name in braces");
      close = 1;
    } else {
      out_ += rest.substr(0, close + 1);
    }
    pos_ += close + 1;
  }

  std::string_view body_;
  LiteralForm form_;
  diag::Span place_;
  ErrorList& errors_;
  size_t pos_ = 0;
  std::string out_;
};

}  // namespace

LiteralForm literal_form(std::string_view prefix) {
  LiteralForm form;
  for (char c : prefix) {
    char lower = static_cast<char>(c | 0x20);
    if (lower == 'r') form.raw = true;
    if (lower == 'b') form.kind = LiteralKind::Bytes;
    if (lower == 'f') form.kind = LiteralKind::FStringText;
  }
  return form;
}

std::string decode_literal(std::string_view body, LiteralForm form, diag::Span at,
                           ErrorList& errors) {
  return Decoder(body, form, at, errors).decode();
}

}  // namespace peri::syntax
