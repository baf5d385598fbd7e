// Python-syntax text -> AST.
#pragma once

#include <string>

#include "syntax/ast.h"

namespace peri::syntax {

// Brackets, prefix operators and blocks within each other.
inline constexpr i64 kMaxNesting = 200;
// The longest path down the tree of one expression, and of nested statements; so whoever walks an
// AST may recurse. A chain `a + b + ...` or `if ... elif ...` adds one a link.
inline constexpr i64 kMaxDepth = 500;

// Parses a module. Reports syntax errors into `diags`, several per run (the parser resynchronises
// at the next statement); the AST is usable for what parsed. Accepts any bytes. Linear in the size
// of the text; recursion and the depth of the tree are bounded (`nesting-too-deep`).
Ast parse_module(diag::SourceId source, diag::Diags& diags);

// Parses one expression (a `--arg` lambda, say). The AST's module holds one Expr statement, or
// nothing if there were errors.
Ast parse_expression(diag::SourceId source, diag::Diags& diags);

// An indented, one-node-a-line dump, for `--stage ast` and tests.
std::string print(const Ast& ast);

}  // namespace peri::syntax
