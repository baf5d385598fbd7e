// Text -> tokens, by Python's rules: indentation, implicit and explicit line joining, f-strings.
//
// Errors go to the list; where the text made no sense an `Invalid` token stands, so that the parser
// gives up on that statement without a second message. Indents and dedents always balance, every
// logical line ends with a Newline, and the last token is End. An f-string is
//   FStringStart (FStringMiddle | Field)* FStringEnd, with Field =
//   "{" expression tokens ["="] ["!" Name] [":" (FStringMiddle | Field)*] "}"
#pragma once

#include <string_view>
#include <vector>

#include "syntax/errors.h"
#include "syntax/tokens.h"

namespace peri::syntax {

enum class LexMode : u8 {
  Module,      // lines and indentation count
  Expression,  // all white space is alike, as within brackets; no Newline before End
};

std::vector<Token> lex(diag::SourceId source, std::string_view text, LexMode mode,
                       ErrorList& errors);

}  // namespace peri::syntax
