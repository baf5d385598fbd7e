// The form of number literals.
#pragma once

#include <string>
#include <string_view>

#include "syntax/tokens.h"

namespace peri::syntax {

bool is_digit(char c);
// Letters, digits, `_`, and any byte of a character beyond ASCII.
bool is_name_byte(char c);

struct Number {
  Tok kind = Tok::Int;
  u32 size = 0;
  std::string problem;  // what is wrong with it, or ""
};

// Scans the number at the front of `text`, which starts with a digit or with "." and a digit. A bad
// one extends to the end of its letters and digits.
Number scan_number(std::string_view text);

}  // namespace peri::syntax
