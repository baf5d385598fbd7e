// The syntax errors of one pass, kept apart until the lexer's and the parser's can be reported
// together in source order.
#pragma once

#include <string>
#include <vector>

#include "diag/diag.h"

namespace peri::syntax {

class ErrorList {
 public:
  // As Diags::error: the reference holds until the next error. Keeps as many as Diags would show.
  diag::Diagnostic& add(diag::Kind kind, diag::Span span, std::string message);

  // Moves the errors of both lists into `diags`, ordered by place.
  static void report(ErrorList first, ErrorList second, diag::Diags& diags);

 private:
  std::vector<diag::Diagnostic> errors_;
  diag::Diagnostic dropped_;
  i64 count_ = 0;
};

}  // namespace peri::syntax
