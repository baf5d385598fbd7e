// Python-syntax text -> AST.
#pragma once

#include <string>

#include "syntax/ast.h"

namespace peri::syntax {

// Parses a module. Reports syntax errors into `diags`, several per run (the parser resynchronises at
// the next statement); the AST is usable for what parsed. Accepts any bytes. Linear in the size of
// the text; recursion is bounded (`nesting-too-deep`).
Ast parse_module(diag::SourceId source, diag::Diags& diags);

// Parses one expression (a `--arg` lambda, say). The AST's module holds one Expr statement, or
// nothing if there were errors.
Ast parse_expression(diag::SourceId source, diag::Diags& diags);

// An indented, one-node-a-line dump, for `--stage ast` and tests.
std::string print(const Ast& ast);

}  // namespace peri::syntax
