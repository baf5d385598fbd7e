// The kinds of tokens, and how keywords and operators are recognised.
#pragma once

#include <string_view>

#include "base/ids.h"

namespace peri::syntax {

enum class Tok : u8 {
#define TOKEN(name, text) name,
#define KEYWORD(name, text) name,
#define OPERATOR(name, text) name,
#include "syntax/tokens.def"
};

// Bytes [begin, end) of the text.
struct Token {
  Tok kind;
  u32 begin;
  u32 end;
};

// The spelling of a keyword or operator, or what messages call the token.
std::string_view text_of(Tok kind);
// True for keywords and operators, which have one spelling each.
bool is_spelled(Tok kind);
// True for keywords that start a statement and occur in no expression.
bool starts_statement(Tok kind);

Tok keyword_or_name(std::string_view word);

// The longest operator at the front of a text that is not empty; Invalid if there is none.
Tok match_operator(std::string_view rest);

// Letters beyond ASCII, roughly: everything but the blocks of punctuation, symbols, spaces and
// private use. What is let through is only ever a name.
bool is_name_code_point(u32 c);

}  // namespace peri::syntax
