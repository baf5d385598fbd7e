// Names, literals, brackets, subscripts and comprehensions.
#include <fmt/format.h>

#include "syntax/parser.h"

namespace peri::syntax {

using diag::Kind;

ExprId Parser::subscript(ExprId object, u32 begin) {
  advance();
  ExprId index = subscript_index();
  expect_close(Tok::RightBracket);
  return add(ExprKind::Subscript, from(begin), {object, index});
}

ExprId Parser::subscript_index() {
  if (peek() == Tok::RightBracket) fail_expected("an index");
  u32 begin = here();
  ExprId first = subscript_element();
  bool single = peek() != Tok::Comma && expr(first).kind != ExprKind::Starred;
  if (single) return first;
  std::vector<ExprId> items = {first};
  while (accept(Tok::Comma) && peek() != Tok::RightBracket) items.push_back(subscript_element());
  return add(ExprKind::Tuple, from(begin), std::move(items));
}

ExprId Parser::subscript_element() {
  u32 begin = here();
  ExprId lower, upper, step;
  if (peek() != Tok::Colon) {
    lower = star_named_expression();
    if (peek() != Tok::Colon) return lower;
  }
  auto at_end = [&] { return peek() == Tok::Comma || peek() == Tok::RightBracket; };
  expect(Tok::Colon);
  if (peek() != Tok::Colon && !at_end()) upper = expression();
  if (accept(Tok::Colon) && !at_end()) step = expression();
  return add(ExprKind::Slice, from(begin), {lower, upper, step});
}

ExprId Parser::atom() {
  switch (peek()) {
    case Tok::Name:
      return token_atom(ExprKind::Name, std::string(token_text()));
    case Tok::Int:
      return token_atom(ExprKind::Int, std::string(token_text()));
    case Tok::Float:
      return token_atom(ExprKind::Float, std::string(token_text()));
    case Tok::Imaginary:
      return token_atom(ExprKind::Imaginary, std::string(token_text()));
    case Tok::True:
      return token_atom(ExprKind::True, {});
    case Tok::False:
      return token_atom(ExprKind::False, {});
    case Tok::None:
      return token_atom(ExprKind::None, {});
    case Tok::Ellipsis:
      return token_atom(ExprKind::Ellipsis, {});
    case Tok::String:
    case Tok::FStringStart:
      return strings();
    case Tok::LeftParen:
      return parenthesised();
    case Tok::LeftBracket:
      return list();
    case Tok::LeftBrace:
      return braces();
    default:
      fail_expected("an expression");
      return add(ExprKind::None, token_span());
  }
}

ExprId Parser::token_atom(ExprKind kind, std::string text) {
  Span span = token_span();
  advance();
  return add(kind, span, {}, std::move(text));
}

ExprId Parser::yield_expression() {
  u32 begin = here();
  advance();
  if (accept(Tok::From)) {
    ExprId value = expression();
    return add(ExprKind::Yield, from(begin), {value}, "from");
  }
  ExprId value;
  if (starts_expression()) value = expressions();
  return add(ExprKind::Yield, from(begin), {value});
}

ExprId Parser::parenthesised() {
  u32 begin = here();
  advance();
  if (accept(Tok::RightParen)) return add(ExprKind::Tuple, from(begin));
  if (peek() == Tok::Yield) {
    ExprId value = yield_expression();
    expect(Tok::RightParen, "after the `yield`");
    return value;
  }
  ExprId first = star_named_expression();
  if (at_comprehension()) {
    ExprId generator = comprehension(ExprKind::Generator, begin, {first});
    expect(Tok::RightParen, "after the generator");
    ast_.exprs[generator.index].span = from(begin);
    return generator;
  }
  if (peek() != Tok::Comma) {
    expect_close(Tok::RightParen);
    if (expr(first).kind == ExprKind::Starred) {
      error(Kind::SyntaxError, expr(first).span, "starred value outside of a list, tuple or call");
    }
    return first;
  }
  std::vector<ExprId> items = {first};
  more_elements(items, Tok::RightParen);
  return add(ExprKind::Tuple, from(begin), std::move(items));
}

void Parser::more_elements(std::vector<ExprId>& items, Tok close) {
  while (accept(Tok::Comma) && peek() != close) items.push_back(star_named_expression());
  expect_close(close);
}

ExprId Parser::list() {
  u32 begin = here();
  advance();
  if (accept(Tok::RightBracket)) return add(ExprKind::List, from(begin));
  std::vector<ExprId> items = {star_named_expression()};
  if (at_comprehension()) {
    ExprId result = comprehension(ExprKind::ListComp, begin, std::move(items));
    expect(Tok::RightBracket, "after the comprehension");
    ast_.exprs[result.index].span = from(begin);
    return result;
  }
  more_elements(items, Tok::RightBracket);
  return add(ExprKind::List, from(begin), std::move(items));
}

ExprId Parser::braces() {
  u32 begin = here();
  advance();
  if (accept(Tok::RightBrace)) return add(ExprKind::Dict, from(begin));
  std::vector<ExprId> items;
  if (peek() == Tok::StarStar) return dict(begin, std::move(items));
  bool named = peek(1) == Tok::ColonEqual;
  items.push_back(star_named_expression());
  if (peek() == Tok::Colon && !named) return dict(begin, std::move(items));
  if (at_comprehension()) {
    ExprId result = comprehension(ExprKind::SetComp, begin, std::move(items));
    expect(Tok::RightBrace, "after the comprehension");
    ast_.exprs[result.index].span = from(begin);
    return result;
  }
  more_elements(items, Tok::RightBrace);
  return add(ExprKind::Set, from(begin), std::move(items));
}

// `items` holds the first key if it has been parsed.
ExprId Parser::dict(u32 begin, std::vector<ExprId> items) {
  dict_entry(items);
  if (at_comprehension()) {
    if (!items[0]) {
      error(Kind::SyntaxError, expr(items[1]).span, "`**` entry in a dict comprehension");
    }
    ExprId result = comprehension(ExprKind::DictComp, begin, std::move(items));
    expect(Tok::RightBrace, "after the comprehension");
    ast_.exprs[result.index].span = from(begin);
    return result;
  }
  while (accept(Tok::Comma) && peek() != Tok::RightBrace) dict_entry(items);
  expect_close(Tok::RightBrace);
  return add(ExprKind::Dict, from(begin), std::move(items));
}

void Parser::dict_entry(std::vector<ExprId>& items) {
  if (items.size() % 2 == 0) {
    if (accept(Tok::StarStar)) {
      items.insert(items.end(), {ExprId(), bitwise_or()});
      return;
    }
    items.push_back(expression());
  }
  const Expr& key = expr(items.back());
  if (key.kind == ExprKind::Starred) {
    error(Kind::SyntaxError, key.span, "starred value as the key of a dict");
  }
  expect(Tok::Colon, "after the dict key");
  items.push_back(expression());
}

bool Parser::at_comprehension() const {
  return peek() == Tok::For || (peek() == Tok::Async && peek(1) == Tok::For);
}

ExprId Parser::comprehension(ExprKind kind, u32 begin, std::vector<ExprId> items) {
  ExprId last = items.back();
  if (expr(last).kind == ExprKind::Starred) {
    error(Kind::SyntaxError, expr(last).span, "starred value in a comprehension");
  }
  Expr result{kind, {}};
  result.items = std::move(items);
  while (at_comprehension()) result.generators.push_back(comprehension_clause());
  result.span = from(begin);
  return add(std::move(result));
}

Comprehension Parser::comprehension_clause() {
  Comprehension clause;
  clause.is_async = accept(Tok::Async);
  expect(Tok::For);
  clause.target = targets();
  expect(Tok::In, "after the comprehension's target");
  clause.iterable = disjunction();
  while (accept(Tok::If)) clause.conditions.push_back(disjunction());
  return clause;
}

}  // namespace peri::syntax
