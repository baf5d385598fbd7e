// The AST that both doors (Python-syntax text, C++ DSL) produce.
//
// Nodes live in one `Ast` and are named by ids. Expressions and statements are plain structs whose
// child lists have a fixed meaning per kind, given below; whoever walks them switches on the kind.
// Every node has a span. Strings are decoded; numbers keep their text (`1_000`, `0x1f`, `1e-5`).
#pragma once

#include <string>
#include <vector>

#include "base/ids.h"
#include "diag/diag.h"

namespace peri::syntax {

using diag::Span;

struct ExprTag;
struct StmtTag;
using ExprId = Id<ExprTag>;
using StmtId = Id<StmtTag>;

enum class ExprKind : u8 {
  Name,       // text
  Int,        // text
  Float,      // text
  Imaginary,  // text
  String,     // text: decoded value (adjacent literals joined)
  Bytes,      // text: decoded value
  FString,    // items: String parts and the expressions between them, in order
  True,
  False,
  None,
  Ellipsis,
  Unary,    // text: "-" "+" "~" "not"; items: operand
  Binary,   // text: "+" "-" "*" "/" "//" "%" "**" "@" "<<" ">>" "&" "|" "^"; items: left, right
  Compare,  // ops: "<" ">" "==" ">=" "<=" "!=" "in" "not in" "is" "is not"; items: ops.size() + 1
  BoolOp,   // text: "and" "or"; items: two or more
  Conditional,  // items: test, then, else
  Call,         // items: callee, then arguments in order; names[i] belongs to items[i + 1]:
                //   "" positional, "name" keyword, "**" double-starred; *args is a Starred item
  Attribute,    // text: attribute; items: object
  Subscript,    // items: object, index (a Tuple if there are commas)
  Slice,        // items: lower, upper, step; each may be none
  Tuple,        // items
  List,         // items
  Set,          // items
  Dict,         // items: key, value, key, value...; a `**d` entry has a none key
  ListComp,     // items: element; generators
  SetComp,      // items: element; generators
  DictComp,     // items: key, value; generators
  Generator,    // items: element; generators
  Lambda,       // params; items: body
  Starred,      // items: value
  Walrus,       // items: Name, value
  Await,        // items: value
  Yield,        // items: value (may be none); text: "from" or ""
};

enum class ParamKind : u8 { Normal, PositionalOnly, KeywordOnly, Args, Kwargs };

struct Param {
  std::string name;
  ParamKind kind = ParamKind::Normal;
  ExprId annotation;     // may be none
  ExprId default_value;  // may be none
  Span span;
};

struct Comprehension {
  ExprId target;
  ExprId iterable;
  std::vector<ExprId> conditions;
  bool is_async = false;
};

struct Expr {
  ExprKind kind;
  Span span = {};
  Span op_span = {};  // Binary, Compare (first operator), Call (the callee), Attribute (the name)
  std::string text = {};
  std::vector<ExprId> items = {};
  std::vector<std::string> names = {};  // Call: see there
  std::vector<std::string> ops = {};    // Compare
  std::vector<Param> params = {};       // Lambda
  std::vector<Comprehension> generators = {};
};

enum class StmtKind : u8 {
  Expr,       // exprs: value
  Assign,     // exprs: targets..., value (`a = b = v` has two targets)
  AugAssign,  // text: "+" ... as Binary; exprs: target, value
  AnnAssign,  // exprs: target, annotation, value (may be none)
  Return,     // exprs: value (may be none)
  If,         // exprs: test; body; orelse (an elif is an If alone in orelse)
  For,        // exprs: target, iterable; body; orelse
  While,      // exprs: test; body; orelse
  Break,
  Continue,
  Pass,
  Assert,      // exprs: test, message (may be none)
  Raise,       // exprs: value, cause (may be none)
  Delete,      // exprs
  Global,      // names
  Nonlocal,    // names
  Import,      // imports; text: "" for `import a.b as c`
  ImportFrom,  // text: module ("." prefixes kept); imports; a star import has name "*"
  With,        // exprs: alternating context, target (may be none); body
  Try,         // body; handlers (a stmt list per handler); orelse; finally
  Function,    // text: name; params; decorators; exprs: returns (may be none); body
  Class,       // text: name; decorators; exprs: bases; body
  Match,       // exprs: subject; parsed loosely, handlers: one stmt list per case
  TypeAlias,   // text: name; exprs: value
};

struct ImportName {
  std::string name;   // dotted
  std::string alias;  // "" if none
  Span span;
};

struct Stmt {
  StmtKind kind;
  Span span = {};       // the whole statement
  Span head_span = {};  // the keyword up to the colon, or the name of a function or class
  std::string text = {};
  bool is_async = false;
  std::vector<ExprId> exprs = {};
  std::vector<StmtId> body = {};
  std::vector<StmtId> orelse = {};
  std::vector<StmtId> finally = {};
  std::vector<std::vector<StmtId>> handlers = {};
  std::vector<ImportName> imports = {};
  std::vector<std::string> names = {};
  std::vector<Param> params = {};
  std::vector<ExprId> decorators = {};
};

struct Ast {
  diag::SourceId source;
  std::vector<Expr> exprs;
  std::vector<Stmt> stmts;
  std::vector<StmtId> module;  // top-level statements in order

  const Expr& operator[](ExprId id) const { return exprs[id.index]; }
  const Stmt& operator[](StmtId id) const { return stmts[id.index]; }
};

}  // namespace peri::syntax
