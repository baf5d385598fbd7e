// The values of string literals.
#pragma once

#include <string>
#include <string_view>

#include "syntax/errors.h"

namespace peri::syntax {

enum class LiteralKind : u8 { Text, Bytes, FStringText };

struct LiteralForm {
  LiteralKind kind = LiteralKind::Text;
  bool raw = false;
};

// The form that a literal's prefix asks for (`rb`, `f`, "").
LiteralForm literal_form(std::string_view prefix);

// Decodes what stands between the quotes; `at` is its place, for errors. Line ends become "\n",
// bytes that are no UTF-8 become U+FFFD, and `\N{...}` stays as it is written.
std::string decode_literal(std::string_view body, LiteralForm form, diag::Span at,
                           ErrorList& errors);

}  // namespace peri::syntax
