#include "syntax/numbers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace peri::syntax {
namespace {

class NumberScanner {
 public:
  explicit NumberScanner(std::string_view text) : text_(text) {}

  Number scan() {
    char base = at(1) | 0x20;
    if (at(0) == '0' && (base == 'x' || base == 'o' || base == 'b')) {
      scan_based(base);
    } else {
      scan_decimal();
    }
    check_end();
    number_.size = pos_;
    return number_;
  }

 private:
  char at(u32 i) const { return i < text_.size() ? text_[i] : '\0'; }

  void problem(std::string text) {
    if (number_.problem.empty()) number_.problem = std::move(text);
  }

  // Digits with single underscores between them.
  template <class IsDigit>
  void scan_digits(IsDigit is_digit) {
    while (is_digit(at(pos_)) || at(pos_) == '_') {
      if (at(pos_) == '_' && !is_digit(at(pos_ + 1))) {
        problem("`_` in a number stands between two digits");
      }
      ++pos_;
    }
  }

  void scan_based(char base) {
    std::string_view name = base == 'x' ? "hexadecimal" : base == 'o' ? "octal" : "binary";
    auto fits = [&](char c) {
      if (base == 'x') return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
      return c >= '0' && c < (base == 'o' ? '8' : '2');
    };
    pos_ = 2;
    scan_digits(fits);
    if (pos_ == 2) problem(fmt::format("{} number without digits", name));
    if (is_digit(at(pos_))) problem(fmt::format("digit `{}` in {} number", at(pos_), name));
  }

  void scan_decimal() {
    scan_digits(is_digit);
    if (at(pos_) == '.') {
      number_.kind = Tok::Float;
      ++pos_;
      if (at(pos_) == '_') problem("`_` in a number stands between two digits");
      scan_digits(is_digit);
    }
    scan_exponent();
    if ((at(pos_) | 0x20) == 'j') {
      number_.kind = Tok::Imaginary;
      ++pos_;
    }
    std::string_view digits = text_.substr(0, pos_);
    bool zeros = digits.find_first_not_of("0_") == std::string_view::npos;
    if (number_.kind == Tok::Int && digits[0] == '0' && !zeros) {
      problem("decimal number with a leading zero");
    }
  }

  void scan_exponent() {
    if ((at(pos_) | 0x20) != 'e') return;
    u32 sign = at(pos_ + 1) == '+' || at(pos_ + 1) == '-' ? 1 : 0;
    if (!is_digit(at(pos_ + 1 + sign))) return;
    number_.kind = Tok::Float;
    pos_ += 1 + sign;
    scan_digits(is_digit);
  }

  // Python takes `1if x else y`: a keyword may follow without a space.
  bool keyword_follows() const {
    constexpr std::array<std::string_view, 8> kKeywords = {"and", "else", "for", "if",
                                                           "in",  "is",   "not", "or"};
    return std::ranges::any_of(kKeywords, [&](std::string_view word) {
      return text_.substr(pos_).starts_with(word) && !is_name_byte(at(pos_ + word.size()));
    });
  }

  void check_end() {
    if (is_name_byte(at(pos_)) && !keyword_follows()) {
      problem("a letter or digit follows the number");
    }
    if (number_.problem.empty()) return;
    while (is_name_byte(at(pos_))) ++pos_;
  }

  std::string_view text_;
  u32 pos_ = 0;
  Number number_;
};

}  // namespace

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_name_byte(char c) {
  char lower = static_cast<char>(c | 0x20);
  return (lower >= 'a' && lower <= 'z') || is_digit(c) || c == '_' || static_cast<u8>(c) >= 0x80;
}

Number scan_number(std::string_view text) { return NumberScanner(text).scan(); }

}  // namespace peri::syntax
