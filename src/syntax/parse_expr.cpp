// Expressions, from the loosest binding to the tightest.
#include <fmt/format.h>

#include <array>

#include "syntax/parse.h"
#include "syntax/parser.h"

namespace peri::syntax {

using diag::Kind;

namespace {

constexpr int kTightestBinary = 5;

// How tightly a binary operator binds, or -1.
int binary_level(Tok kind) {
  switch (kind) {
    case Tok::Pipe:
      return 0;
    case Tok::Caret:
      return 1;
    case Tok::Ampersand:
      return 2;
    case Tok::ShiftLeft:
    case Tok::ShiftRight:
      return 3;
    case Tok::Plus:
    case Tok::Minus:
      return 4;
    case Tok::Star:
    case Tok::Slash:
    case Tok::SlashSlash:
    case Tok::Percent:
    case Tok::At:
      return kTightestBinary;
    default:
      return -1;
  }
}

}  // namespace

bool Parser::starts_expression() const {
  switch (peek()) {
    case Tok::Name:
    case Tok::Int:
    case Tok::Float:
    case Tok::Imaginary:
    case Tok::String:
    case Tok::FStringStart:
    case Tok::True:
    case Tok::False:
    case Tok::None:
    case Tok::Ellipsis:
    case Tok::LeftParen:
    case Tok::LeftBracket:
    case Tok::LeftBrace:
    case Tok::Star:
    case Tok::Minus:
    case Tok::Plus:
    case Tok::Tilde:
    case Tok::Not:
    case Tok::Lambda:
    case Tok::Await:
      return true;
    default:
      return false;
  }
}

ExprId Parser::expressions() { return tuple_of(&Parser::star_expression); }

ExprId Parser::yield_or_expressions() {
  return peek() == Tok::Yield ? yield_expression() : expressions();
}

ExprId Parser::targets() {
  ExprId target = tuple_of(&Parser::target_element);
  check_target(target, "assign to");
  return target;
}

ExprId Parser::tuple_of(Production element) {
  u32 begin = here();
  ExprId first = (this->*element)();
  if (peek() != Tok::Comma) {
    if (expr(first).kind == ExprKind::Starred) {
      error(Kind::SyntaxError, expr(first).span, "starred value outside of a list, tuple or call");
    }
    return first;
  }
  std::vector<ExprId> items = {first};
  while (accept(Tok::Comma) && starts_expression()) items.push_back((this->*element)());
  return add(ExprKind::Tuple, from(begin), std::move(items));
}

ExprId Parser::starred(Production operand) {
  u32 begin = here();
  advance();
  ExprId value = (this->*operand)();
  return add(ExprKind::Starred, from(begin), {value});
}

ExprId Parser::star_expression() {
  return peek() == Tok::Star ? starred(&Parser::bitwise_or) : expression();
}

ExprId Parser::star_named_expression() {
  return peek() == Tok::Star ? starred(&Parser::bitwise_or) : named_expression();
}

ExprId Parser::target_element() {
  return peek() == Tok::Star ? starred(&Parser::bitwise_or) : bitwise_or();
}

ExprId Parser::named_expression() {
  u32 begin = here();
  if (peek() == Tok::Name && peek(1) == Tok::ColonEqual) {
    ExprId name = token_atom(ExprKind::Name, std::string(token_text()));
    advance();
    ExprId value = expression();
    return add(ExprKind::Walrus, from(begin), {name, value});
  }
  ExprId value = expression();
  if (peek() == Tok::ColonEqual) {
    fail(Kind::SyntaxError, expr(value).span, "`:=` assigns to a plain name only");
  }
  return value;
}

ExprId Parser::expression() {
  if (peek() == Tok::Lambda) return lambda();
  u32 begin = here();
  ExprId value = disjunction();
  if (!accept(Tok::If)) return value;
  Nest nest(*this);
  ExprId test = disjunction();
  expect(Tok::Else, "in the conditional expression");
  ExprId other = expression();
  return add(ExprKind::Conditional, from(begin), {test, value, other});
}

ExprId Parser::lambda() {
  Nest nest(*this);
  u32 begin = here();
  advance();
  Expr lambda{ExprKind::Lambda, {}};
  lambda.params = parameters(Tok::Colon, false);
  expect(Tok::Colon, "after the lambda's parameters");
  lambda.items = {expression()};
  lambda.span = from(begin);
  return add(std::move(lambda));
}

ExprId Parser::disjunction() { return bool_chain(Tok::Or, &Parser::conjunction); }
ExprId Parser::conjunction() { return bool_chain(Tok::And, &Parser::inversion); }

ExprId Parser::bool_chain(Tok op, Production operand) {
  u32 begin = here();
  ExprId first = (this->*operand)();
  if (peek() != op) return first;
  std::vector<ExprId> items = {first};
  while (accept(op)) items.push_back((this->*operand)());
  return add(ExprKind::BoolOp, from(begin), std::move(items), std::string(text_of(op)));
}

ExprId Parser::inversion() {
  if (peek() != Tok::Not) return comparison();
  Nest nest(*this);
  Expr unary{ExprKind::Unary, {}, token_span(), "not"};
  u32 begin = here();
  advance();
  unary.items = {inversion()};
  unary.span = from(begin);
  return add(std::move(unary));
}

// Takes a comparison operator and returns its text, or "".
std::string Parser::comparison_operator() {
  Tok kind = peek();
  constexpr std::array kPlain = {Tok::Less,         Tok::Greater,   Tok::EqualEqual, Tok::LessEqual,
                                 Tok::GreaterEqual, Tok::BangEqual, Tok::In,         Tok::Is};
  std::string text;
  if (kind == Tok::Not && peek(1) == Tok::In) {
    advance();
    text = "not in";
  } else if (kind == Tok::Is && peek(1) == Tok::Not) {
    advance();
    text = "is not";
  } else if (std::ranges::find(kPlain, kind) != kPlain.end()) {
    text = text_of(kind);
  } else {
    return {};
  }
  advance();
  return text;
}

ExprId Parser::comparison() {
  u32 begin = here();
  ExprId left = bitwise_or();
  u32 op_begin = here();
  std::string op = comparison_operator();
  if (op.empty()) return left;
  Expr compare{ExprKind::Compare, {}, from(op_begin)};
  compare.items = {left};
  for (; !op.empty(); op = comparison_operator()) {
    compare.ops.push_back(std::move(op));
    compare.items.push_back(bitwise_or());
  }
  compare.span = from(begin);
  return add(std::move(compare));
}

ExprId Parser::bitwise_or() { return binary(0); }

ExprId Parser::binary(int level) {
  u32 begin = here();
  ExprId left = unary();
  for (int found; (found = binary_level(peek())) >= level;) {
    Expr binary_expr{ExprKind::Binary, {}, token_span(), std::string(token_text())};
    advance();
    binary_expr.items = {left, found == kTightestBinary ? unary() : binary(found + 1)};
    binary_expr.span = from(begin);
    left = add(std::move(binary_expr));
  }
  return left;
}

ExprId Parser::unary() {
  if (peek() != Tok::Minus && peek() != Tok::Plus && peek() != Tok::Tilde) return power();
  Nest nest(*this);
  Expr unary_expr{ExprKind::Unary, {}, token_span(), std::string(token_text())};
  u32 begin = here();
  advance();
  unary_expr.items = {unary()};
  unary_expr.span = from(begin);
  return add(std::move(unary_expr));
}

ExprId Parser::power() {
  u32 begin = here();
  ExprId base = primary();
  if (peek() != Tok::StarStar) return base;
  Nest nest(*this);
  Expr power_expr{ExprKind::Binary, {}, token_span(), "**"};
  advance();
  power_expr.items = {base, unary()};
  power_expr.span = from(begin);
  return add(std::move(power_expr));
}

ExprId Parser::primary() {
  u32 begin = here();
  if (!accept(Tok::Await)) return postfix(begin);
  ExprId value = postfix(here());
  return add(ExprKind::Await, from(begin), {value});
}

// Every bracket is passed on the way down, so counting here bounds their nesting.
ExprId Parser::postfix(u32 begin) {
  Nest nest(*this);
  ExprId value = atom();
  for (;;) {
    if (peek() == Tok::LeftParen) {
      value = call(value, begin);
    } else if (peek() == Tok::LeftBracket) {
      value = subscript(value, begin);
    } else if (accept(Tok::Dot)) {
      Expr attribute{ExprKind::Attribute, {}, token_span()};
      attribute.text = expect_name("a name after `.`");
      attribute.items = {value};
      attribute.span = from(begin);
      value = add(std::move(attribute));
    } else {
      return value;
    }
  }
}

}  // namespace peri::syntax
