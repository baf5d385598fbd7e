// Statement lists, recovery after errors, and simple statements.
#include <fmt/format.h>

#include "syntax/parse.h"
#include "syntax/parser.h"

namespace peri::syntax {

using diag::Kind;

namespace {

std::string_view describe(ExprKind kind) {
  switch (kind) {
    case ExprKind::Int:
    case ExprKind::Float:
    case ExprKind::Imaginary:
      return "a number";
    case ExprKind::String:
    case ExprKind::Bytes:
    case ExprKind::FString:
      return "a string";
    case ExprKind::True:
      return "`True`";
    case ExprKind::False:
      return "`False`";
    case ExprKind::None:
      return "`None`";
    case ExprKind::Ellipsis:
      return "`...`";
    case ExprKind::Compare:
      return "a comparison";
    case ExprKind::Call:
      return "a call";
    case ExprKind::Lambda:
      return "a lambda";
    case ExprKind::Dict:
    case ExprKind::Set:
      return "a dict or set";
    case ExprKind::ListComp:
    case ExprKind::SetComp:
    case ExprKind::DictComp:
    case ExprKind::Generator:
      return "a comprehension";
    default:
      return "an expression";
  }
}

bool is_augmented(Tok kind) {
  switch (kind) {
    case Tok::PlusEqual:
    case Tok::MinusEqual:
    case Tok::StarEqual:
    case Tok::StarStarEqual:
    case Tok::SlashEqual:
    case Tok::SlashSlashEqual:
    case Tok::PercentEqual:
    case Tok::AtEqual:
    case Tok::AmpersandEqual:
    case Tok::PipeEqual:
    case Tok::CaretEqual:
    case Tok::ShiftLeftEqual:
    case Tok::ShiftRightEqual:
      return true;
    default:
      return false;
  }
}

}  // namespace

void Parser::statements(Block& out, Tok end) {
  while (peek() != end && peek() != Tok::End) statement(out);
}

void Parser::statement(Block& out) {
  std::size_t kept = out.size();
  if (peek() == Tok::Indent) {
    error(Kind::Indentation, token_span(), "unexpected indent");
    discard_block();
  } else if (!compound_statement(out)) {
    simple_line(out);
  }
  if (!panic_) return;
  out.resize(kept);
  recover();
}

// Goes on after the line of the error; a block under it is parsed for its errors only.
void Parser::recover() {
  panic_ = false;
  while (peek() != Tok::Newline && peek() != Tok::Dedent && peek() != Tok::End) {
    if (peek() == Tok::Indent) return discard_block();
    advance();
  }
  accept(Tok::Newline);
  if (peek() == Tok::Indent) discard_block();
}

void Parser::discard_block() {
  if (nesting_ >= kMaxNesting) return skip_block();
  Nest nest(*this);
  Block discarded;
  accept(Tok::Indent);
  statements(discarded, Tok::Dedent);
  accept(Tok::Dedent);
}

void Parser::skip_block() {
  i64 open = 0;
  do {
    if (peek() == Tok::Indent) ++open;
    if (peek() == Tok::Dedent) --open;
    advance();
  } while (open > 0 && peek() != Tok::End);
}

void Parser::simple_line(Block& out) {
  if (accept(Tok::Dedent)) return;  // left over from a block that recovery has cut short
  do {
    out.push_back(simple_statement());
  } while (accept(Tok::Semicolon) && peek() != Tok::Newline && peek() != Tok::End);
  if (accept(Tok::Newline) || peek() == Tok::End) return;
  diag::Diagnostic& d = fail_expected("the end of the statement");
  const Stmt& last = ast_[out.back()];
  bool is_print = last.kind == StmtKind::Expr && expr(last.exprs[0]).text == "print";
  if (is_print) d.hint = "write `print(...)`";
}

StmtId Parser::simple_statement() {
  switch (peek()) {
    case Tok::Pass:
      return keyword_statement(StmtKind::Pass);
    case Tok::Break:
      return keyword_statement(StmtKind::Break);
    case Tok::Continue:
      return keyword_statement(StmtKind::Continue);
    case Tok::Return:
      return return_statement();
    case Tok::Assert:
      return assert_statement();
    case Tok::Raise:
      return raise_statement();
    case Tok::Del:
      return delete_statement();
    case Tok::Global:
      return scope_statement(StmtKind::Global);
    case Tok::Nonlocal:
      return scope_statement(StmtKind::Nonlocal);
    case Tok::Import:
      return import_statement();
    case Tok::From:
      return import_from_statement();
    default:
      break;
  }
  // `type X = ...` and `type X[T] = ...`; else `type` is a name.
  bool alias = at_name("type") && peek(1) == Tok::Name &&
               (peek(2) == Tok::Equal || peek(2) == Tok::LeftBracket);
  return alias ? type_alias() : expression_statement();
}

StmtId Parser::keyword_statement(StmtKind kind) {
  u32 begin = here();
  Stmt stmt{kind};
  stmt.head_span = token_span();
  advance();
  return add(std::move(stmt), begin);
}

StmtId Parser::expression_statement() {
  u32 begin = here();
  ExprId first = yield_or_expressions();
  if (peek() == Tok::Equal) return assignment(begin, first);
  if (peek() == Tok::Colon) return annotated_assignment(begin, first);
  if (is_augmented(peek())) return augmented_assignment(begin, first);
  Stmt stmt{StmtKind::Expr};
  stmt.exprs = {first};
  return add(std::move(stmt), begin);
}

StmtId Parser::assignment(u32 begin, ExprId first) {
  Stmt stmt{StmtKind::Assign};
  stmt.exprs = {first};
  while (accept(Tok::Equal)) {
    check_target(stmt.exprs.back(), "assign to");
    stmt.exprs.push_back(yield_or_expressions());
  }
  return add(std::move(stmt), begin);
}

StmtId Parser::annotated_assignment(u32 begin, ExprId target) {
  check_single_target(target, "annotated");
  Stmt stmt{StmtKind::AnnAssign};
  advance();
  ExprId annotation = expression();
  ExprId value;
  if (accept(Tok::Equal)) value = yield_or_expressions();
  stmt.exprs = {target, annotation, value};
  return add(std::move(stmt), begin);
}

StmtId Parser::augmented_assignment(u32 begin, ExprId target) {
  check_single_target(target, "updated in place");
  Stmt stmt{StmtKind::AugAssign};
  stmt.text = token_text().substr(0, token_text().size() - 1);
  advance();
  stmt.exprs = {target, yield_or_expressions()};
  return add(std::move(stmt), begin);
}

StmtId Parser::return_statement() {
  u32 begin = here();
  Stmt stmt{StmtKind::Return};
  stmt.head_span = token_span();
  advance();
  stmt.exprs = {ExprId()};
  if (starts_expression()) stmt.exprs = {expressions()};
  return add(std::move(stmt), begin);
}

StmtId Parser::assert_statement() {
  u32 begin = here();
  Stmt stmt{StmtKind::Assert};
  advance();
  ExprId test = expression();
  stmt.head_span = from(begin);
  ExprId message;
  if (accept(Tok::Comma)) message = expression();
  stmt.exprs = {test, message};
  return add(std::move(stmt), begin);
}

StmtId Parser::raise_statement() {
  u32 begin = here();
  Stmt stmt{StmtKind::Raise};
  stmt.head_span = token_span();
  advance();
  ExprId value, cause;
  if (starts_expression()) {
    value = expression();
    if (accept(Tok::From)) cause = expression();
  }
  stmt.exprs = {value, cause};
  return add(std::move(stmt), begin);
}

StmtId Parser::delete_statement() {
  u32 begin = here();
  Stmt stmt{StmtKind::Delete};
  stmt.head_span = token_span();
  advance();
  do {
    ExprId target = bitwise_or();
    check_target(target, "delete");
    stmt.exprs.push_back(target);
  } while (accept(Tok::Comma) && starts_expression());
  return add(std::move(stmt), begin);
}

StmtId Parser::scope_statement(StmtKind kind) {
  u32 begin = here();
  Stmt stmt{kind};
  stmt.head_span = token_span();
  advance();
  do {
    stmt.names.push_back(expect_name("a name"));
  } while (accept(Tok::Comma));
  return add(std::move(stmt), begin);
}

StmtId Parser::import_statement() {
  u32 begin = here();
  Stmt stmt{StmtKind::Import};
  stmt.head_span = token_span();
  advance();
  do {
    import_name(stmt, true);
  } while (accept(Tok::Comma));
  return add(std::move(stmt), begin);
}

StmtId Parser::import_from_statement() {
  u32 begin = here();
  Stmt stmt{StmtKind::ImportFrom};
  advance();
  while (peek() == Tok::Dot || peek() == Tok::Ellipsis) {
    stmt.text += token_text();
    advance();
  }
  if (stmt.text.empty() || peek() != Tok::Import) stmt.text += dotted_name();
  stmt.head_span = from(begin);
  expect(Tok::Import, "after the module");
  imported_names(stmt);
  return add(std::move(stmt), begin);
}

void Parser::imported_names(Stmt& stmt) {
  if (peek() == Tok::Star) {
    stmt.imports.push_back({"*", "", token_span()});
    advance();
    return;
  }
  bool parenthesised = accept(Tok::LeftParen);
  do {
    import_name(stmt, false);
  } while (accept(Tok::Comma) && !(parenthesised && peek() == Tok::RightParen));
  if (parenthesised) expect_close(Tok::RightParen);
}

std::string Parser::dotted_name() {
  std::string name = expect_name("a module's name");
  while (accept(Tok::Dot)) name += "." + expect_name("a name after `.`");
  return name;
}

void Parser::import_name(Stmt& stmt, bool dotted) {
  u32 begin = here();
  ImportName import;
  import.name = dotted ? dotted_name() : expect_name("a name to import");
  if (accept(Tok::As)) import.alias = expect_name("a name after `as`");
  import.span = from(begin);
  stmt.imports.push_back(std::move(import));
}

StmtId Parser::type_alias() {
  u32 begin = here();
  Stmt stmt{StmtKind::TypeAlias};
  advance();
  stmt.head_span = token_span();
  stmt.text = expect_name("the alias's name");
  type_parameters();
  expect(Tok::Equal, "after the alias's name");
  stmt.exprs = {expression()};
  return add(std::move(stmt), begin);
}

void Parser::check_target(ExprId target, std::string_view verb) {
  const Expr& e = expr(target);
  switch (e.kind) {
    case ExprKind::Name:
    case ExprKind::Attribute:
    case ExprKind::Subscript:
      return;
    case ExprKind::Tuple:
    case ExprKind::List:
    case ExprKind::Starred:
      for (ExprId item : e.items) check_target(item, verb);
      return;
    default:
      error(Kind::SyntaxError, e.span, fmt::format("cannot {} {}", verb, describe(e.kind)));
  }
}

void Parser::check_single_target(ExprId target, std::string_view what) {
  const Expr& e = expr(target);
  bool single =
      e.kind == ExprKind::Name || e.kind == ExprKind::Attribute || e.kind == ExprKind::Subscript;
  if (single) return;
  error(Kind::SyntaxError, e.span, fmt::format("only a name, attribute or item can be {}", what));
}

}  // namespace peri::syntax
