// Tokens of the text form of Device IR.
#pragma once

#include <string>
#include <string_view>

#include "base/ids.h"

namespace peri::ir {

struct Token {
  enum class Kind : u8 {
    End,
    Word,     // letters, digits, `_`
    Value,    // `%3`; number: 3
    Symbol,   // `@s0`, `@#3`: text is what follows the `@`
    Row,      // `#3`; number: 3
    Int,      // number
    Float,    // real
    String,   // text, decoded
    Mark,     // one of ( ) [ ] { } , : = + or `..`
    Invalid,  // text: what is wrong
  };
  Kind kind = Kind::End;
  u32 begin = 0, end = 0;  // bytes of the source
  std::string text;
  i64 number = 0;
  double real = 0;
};

// Any bytes give tokens; white space and `//` comments separate them.
class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}
  Token next();

 private:
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }
  void skip_blanks();
  void scan(Token& token);
  void scan_number(Token& token);
  void scan_index(Token& token, Token::Kind kind);
  void scan_symbol(Token& token);
  void scan_string(Token& token);
  std::string_view take_word();

  std::string_view source_;
  std::size_t at_ = 0;
};

}  // namespace peri::ir
