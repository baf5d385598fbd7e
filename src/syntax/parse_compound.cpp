// Statements that own blocks.
#include <fmt/format.h>

#include <utility>

#include "syntax/parse.h"
#include "syntax/parser.h"

namespace peri::syntax {

using diag::Kind;

// Adds the compound statement at hand to `out`; false if there is none.
bool Parser::compound_statement(Block& out) {
  u32 begin = here();
  StmtId stmt;
  switch (peek()) {
    case Tok::If:
      stmt = if_statement();
      break;
    case Tok::While:
      stmt = while_statement();
      break;
    case Tok::For:
      stmt = for_statement(begin, false);
      break;
    case Tok::With:
      stmt = with_statement(begin, false);
      break;
    case Tok::Try:
      stmt = try_statement();
      break;
    case Tok::Def:
      stmt = function(begin, false, {});
      break;
    case Tok::Class:
      stmt = class_statement(begin, {});
      break;
    case Tok::Async:
      stmt = async_statement(begin, {});
      break;
    case Tok::At:
      stmt = decorated();
      break;
    case Tok::Else:
    case Tok::Elif:
    case Tok::Except:
    case Tok::Finally:
      stmt = orphan_clause();
      break;
    default:
      if (!at_match()) return false;
      stmt = match_statement();
  }
  if (stmt) out.push_back(stmt);
  return true;
}

StmtId Parser::orphan_clause() {
  Tok kind = peek();
  std::string_view of = kind == Tok::Elif   ? "`if`"
                        : kind == Tok::Else ? "`if`, `for`, `while` or `try`"
                                            : "`try`";
  fail(Kind::SyntaxError, token_span(),
       fmt::format("`{}` follows no {} of its indentation", text_of(kind), of));
  return {};
}

Parser::Block Parser::block(std::string_view what, Span head) {
  if (!accept(Tok::Colon)) {
    bool assigns = peek() == Tok::Equal;
    bool else_if = peek() == Tok::If && what == "`else`";
    diag::Diagnostic& d = fail_expected(fmt::format("`:` after {}", what));
    if (assigns) d.hint = "compare with `==`";
    if (else_if) d.hint = "write `elif`";
    return {};
  }
  if (accept(Tok::Newline)) return indented_block(what, head);
  Block body;
  simple_line(body);
  return body;
}

Parser::Block Parser::indented_block(std::string_view what, Span head) {
  if (peek() != Tok::Indent) {
    error(Kind::Indentation, peek() == Tok::End ? found_span() : token_span(),
          fmt::format("expected an indented block after {}", what))
        .labels.push_back({head, "the block's header"});
    return {};
  }
  Nest nest(*this);
  if (depth_ >= kMaxDepth) {
    fail(Kind::NestingTooDeep, head, fmt::format("more than {} levels of nesting", kMaxDepth));
  }
  if (panic_) {
    panic_ = false;
    skip_block();
    return {};
  }
  ++depth_;
  Block body;
  advance();
  statements(body, Tok::Dedent);
  accept(Tok::Dedent);
  --depth_;
  return body;
}

// An `elif` is an `if` alone in the `else` of the one before. The chain is parsed as a list and
// linked from its end.
StmtId Parser::if_statement() {
  struct Link {
    Stmt stmt;
    u32 begin;
  };
  std::vector<Link> chain;
  i64 depth = depth_;
  bool too_long = false;
  do {
    Link link{Stmt{StmtKind::If}, here()};
    std::string_view what = peek() == Tok::If ? "the `if` condition" : "the `elif` condition";
    advance();
    link.stmt.exprs = {named_expression()};
    link.stmt.head_span = from(link.begin);
    link.stmt.body = block(what, link.stmt.head_span);
    if (chain.empty() || depth_ < kMaxDepth) {
      chain.push_back(std::move(link));
      ++depth_;
    } else if (!std::exchange(too_long, true)) {
      error(Kind::NestingTooDeep, link.stmt.head_span,
            fmt::format("chain of more than {} `elif`", kMaxDepth));
    }
  } while (peek() == Tok::Elif);
  Block rest = else_block();
  depth_ = depth;
  for (std::size_t i = chain.size(); i-- > 0;) {
    chain[i].stmt.orelse = std::move(rest);
    rest = {add(std::move(chain[i].stmt), chain[i].begin)};
  }
  return rest[0];
}

Parser::Block Parser::else_block() {
  Span head = token_span();
  return accept(Tok::Else) ? block("`else`", head) : Block();
}

StmtId Parser::while_statement() {
  u32 begin = here();
  Stmt stmt{StmtKind::While};
  advance();
  stmt.exprs = {named_expression()};
  stmt.head_span = from(begin);
  stmt.body = block("the `while` condition", stmt.head_span);
  stmt.orelse = else_block();
  return add(std::move(stmt), begin);
}

StmtId Parser::for_statement(u32 begin, bool is_async) {
  Stmt stmt{StmtKind::For};
  stmt.is_async = is_async;
  advance();
  ExprId target = targets();
  expect(Tok::In, "after the loop's variables");
  stmt.exprs = {target, expressions()};
  stmt.head_span = from(begin);
  stmt.body = block("the `for` header", stmt.head_span);
  stmt.orelse = else_block();
  return add(std::move(stmt), begin);
}

StmtId Parser::with_statement(u32 begin, bool is_async) {
  Stmt stmt{StmtKind::With};
  stmt.is_async = is_async;
  advance();
  bool parenthesised = at_parenthesised_items();
  if (parenthesised) advance();
  do {
    with_item(stmt);
  } while (accept(Tok::Comma) && !(parenthesised && peek() == Tok::RightParen));
  if (parenthesised) expect_close(Tok::RightParen);
  const Expr& first = expr(stmt.exprs[0]);
  bool tuple = stmt.exprs.size() == 2 && !stmt.exprs[1] && first.kind == ExprKind::Tuple;
  if (tuple && !first.items.empty()) {
    // `with (a, b):` enters both.
    stmt.exprs.clear();
    for (ExprId item : first.items) stmt.exprs.insert(stmt.exprs.end(), {item, ExprId()});
  }
  stmt.head_span = from(begin);
  stmt.body = block("the `with` header", stmt.head_span);
  return add(std::move(stmt), begin);
}

void Parser::with_item(Stmt& with) {
  ExprId context = expression();
  ExprId target;
  if (accept(Tok::As)) {
    target = target_element();
    check_target(target, "assign to");
  }
  with.exprs.insert(with.exprs.end(), {context, target});
}

// True at `(a as b, ...):`, which is no expression.
bool Parser::at_parenthesised_items() const {
  if (peek() != Tok::LeftParen) return false;
  i64 open = 0;
  bool has_as = false;
  for (std::size_t i = pos_; i < tokens_.size() && tokens_[i].kind != Tok::Newline; ++i) {
    Tok kind = tokens_[i].kind;
    if (kind == Tok::LeftParen || kind == Tok::LeftBracket || kind == Tok::LeftBrace) ++open;
    if (kind == Tok::RightParen || kind == Tok::RightBracket || kind == Tok::RightBrace) --open;
    has_as |= kind == Tok::As && open == 1;
    if (open == 0) return has_as;
  }
  return false;
}

StmtId Parser::try_statement() {
  u32 begin = here();
  Stmt stmt{StmtKind::Try};
  stmt.head_span = token_span();
  advance();
  stmt.body = block("`try`", stmt.head_span);
  while (peek() == Tok::Except) stmt.handlers.push_back(except_clause());
  if (!stmt.handlers.empty()) stmt.orelse = else_block();
  Span head = token_span();
  bool has_finally = accept(Tok::Finally);
  if (has_finally) stmt.finally = block("`finally`", head);
  if (stmt.handlers.empty() && !has_finally) {
    error(Kind::SyntaxError, stmt.head_span, "`try` without `except` or `finally`");
  }
  return add(std::move(stmt), begin);
}

Parser::Block Parser::except_clause() {
  u32 begin = here();
  advance();
  bool is_group = accept(Tok::Star);
  if (is_group || peek() != Tok::Colon) {
    expression();
    if (accept(Tok::As)) expect_name("a name after `as`");
  }
  return block("`except`", from(begin));
}

StmtId Parser::async_statement(u32 begin, std::vector<ExprId> decorators) {
  advance();
  if (peek() == Tok::Def) return function(begin, true, std::move(decorators));
  if (decorators.empty() && peek() == Tok::For) return for_statement(begin, true);
  if (decorators.empty() && peek() == Tok::With) return with_statement(begin, true);
  fail_expected("`def`, `for` or `with` after `async`");
  return {};
}

StmtId Parser::decorated() {
  u32 begin = here();
  std::vector<ExprId> decorators;
  while (accept(Tok::At)) {
    decorators.push_back(named_expression());
    expect(Tok::Newline, "after the decorator");
  }
  if (peek() == Tok::Def) return function(begin, false, std::move(decorators));
  if (peek() == Tok::Class) return class_statement(begin, std::move(decorators));
  if (peek() == Tok::Async) return async_statement(begin, std::move(decorators));
  fail_expected("a function or class after the decorator");
  return {};
}

StmtId Parser::function(u32 begin, bool is_async, std::vector<ExprId> decorators) {
  Stmt stmt{StmtKind::Function};
  stmt.is_async = is_async;
  stmt.decorators = std::move(decorators);
  advance();
  stmt.head_span = token_span();
  stmt.text = expect_name("the function's name");
  type_parameters();
  expect(Tok::LeftParen, "after the function's name");
  stmt.params = parameters(Tok::RightParen, true);
  expect_close(Tok::RightParen);
  stmt.exprs = {ExprId()};
  bool has_returns = accept(Tok::Arrow);
  if (has_returns) stmt.exprs = {expression()};
  stmt.body = block(has_returns ? "the function's return type" : "the function's parameters",
                    stmt.head_span);
  return add(std::move(stmt), begin);
}

StmtId Parser::class_statement(u32 begin, std::vector<ExprId> decorators) {
  Stmt stmt{StmtKind::Class};
  stmt.decorators = std::move(decorators);
  advance();
  stmt.head_span = token_span();
  stmt.text = expect_name("the class's name");
  type_parameters();
  if (accept(Tok::LeftParen)) {
    Expr bases{ExprKind::Call, {}};
    bases.items = {ExprId()};
    arguments(bases);
    for (std::size_t i = 0; i < bases.names.size(); ++i) {
      if (bases.names[i].empty()) stmt.exprs.push_back(bases.items[i + 1]);
    }
  }
  stmt.body = block("the class's header", stmt.head_span);
  return add(std::move(stmt), begin);
}

// `match` is a name unless its line ends with `:` and an indented `case` follows.
bool Parser::at_match() const {
  if (!at_name("match")) return false;
  std::size_t i = pos_ + 1;
  while (tokens_[i].kind != Tok::Newline && tokens_[i].kind != Tok::End) ++i;
  std::size_t line = i - pos_;
  return peek(line - 1) == Tok::Colon && peek(line + 1) == Tok::Indent && at_name("case", line + 2);
}

StmtId Parser::match_statement() {
  u32 begin = here();
  Stmt stmt{StmtKind::Match};
  advance();
  stmt.exprs = {tuple_of(&Parser::star_named_expression)};
  stmt.head_span = from(begin);
  expect(Tok::Colon, "after the `match` subject");
  expect(Tok::Newline);
  Nest nest(*this);
  accept(Tok::Indent);
  ++depth_;
  while (at_name("case")) {
    stmt.handlers.push_back(case_clause());
    if (panic_) recover();
  }
  --depth_;
  if (!accept(Tok::Dedent)) fail_expected("`case`");
  return add(std::move(stmt), begin);
}

// The pattern is not kept: no kernel takes values apart by it.
Parser::Block Parser::case_clause() {
  u32 begin = here();
  advance();
  i64 open = 0;
  if (peek() == Tok::Colon) fail_expected("a pattern");
  for (; open > 0 || (peek() != Tok::Colon && peek() != Tok::If); advance()) {
    Tok kind = peek();
    if (kind == Tok::Newline || kind == Tok::End || kind == Tok::Invalid) break;
    if (kind == Tok::LeftParen || kind == Tok::LeftBracket || kind == Tok::LeftBrace) ++open;
    if (kind == Tok::RightParen || kind == Tok::RightBracket || kind == Tok::RightBrace) --open;
  }
  if (accept(Tok::If)) named_expression();
  return block("the pattern", from(begin));
}

}  // namespace peri::syntax
