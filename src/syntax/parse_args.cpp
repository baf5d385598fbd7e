// Calls, parameters of functions and lambdas, type parameters.
#include <fmt/format.h>

#include "syntax/parser.h"

namespace peri::syntax {

using diag::Kind;

// What has come before an argument.
struct Parser::ArgumentOrder {
  bool keyword = false;
  bool double_star = false;
};

ExprId Parser::call(ExprId callee, u32 begin) {
  Expr call{ExprKind::Call, {}, expr(callee).span};
  call.items = {callee};
  advance();
  arguments(call);
  call.span = from(begin);
  return add(std::move(call));
}

void Parser::arguments(Expr& call) {
  ArgumentOrder order;
  while (peek() != Tok::RightParen) {
    argument(call, order);
    if (!accept(Tok::Comma)) break;
  }
  expect_close(Tok::RightParen);
  if (call.items.size() <= 2) return;
  for (std::size_t i = 1; i < call.items.size(); ++i) {
    const Expr& item = expr(call.items[i]);
    // A generator in parentheses of its own starts at them.
    bool bare = item.kind == ExprKind::Generator && text_[item.span.begin] != '(';
    if (bare)
      error(Kind::SyntaxError, item.span, "generator beside other arguments").hint =
          "put it in parentheses";
  }
}

void Parser::argument(Expr& call, ArgumentOrder& order) {
  if (accept(Tok::StarStar)) {
    order.double_star = true;
    call.names.push_back("**");
    call.items.push_back(expression());
  } else if (peek() == Tok::Name && peek(1) == Tok::Equal) {
    order.keyword = true;
    call.names.emplace_back(token_text());
    advance();
    advance();
    call.items.push_back(expression());
  } else {
    positional_argument(call, order);
  }
}

void Parser::positional_argument(Expr& call, const ArgumentOrder& order) {
  u32 begin = here();
  bool star = peek() == Tok::Star;
  ExprId value = star ? starred(&Parser::expression) : named_expression();
  if (at_comprehension()) value = comprehension(ExprKind::Generator, begin, {value});
  if (peek() == Tok::Equal) {
    fail(Kind::SyntaxError, expr(value).span, "keyword of an argument that is not a plain name")
        .hint = "compare with `==`";
  }
  if (order.double_star || (order.keyword && !star)) {
    error(Kind::SyntaxError, expr(value).span, "positional argument after a keyword argument");
  }
  call.names.emplace_back();
  call.items.push_back(value);
}

std::vector<Param> Parser::parameters(Tok end, bool annotated) {
  std::vector<Param> params;
  bool keyword_only = false;
  while (peek() != end) {
    bool star = peek() == Tok::Star;
    if (star && keyword_only) fail(Kind::SyntaxError, token_span(), "second `*` parameter");
    keyword_only |= star;
    if (!special_parameter(params, end, annotated)) {
      parameter(params, keyword_only ? ParamKind::KeywordOnly : ParamKind::Normal, annotated);
    }
    if (!params.empty() && params.back().kind == ParamKind::Kwargs) {
      accept(Tok::Comma);
      break;
    }
    if (!accept(Tok::Comma)) break;
  }
  return params;
}

// `*`, `*args`, `**kwargs` and `/`.
bool Parser::special_parameter(std::vector<Param>& params, Tok end, bool annotated) {
  if (accept(Tok::StarStar)) {
    parameter(params, ParamKind::Kwargs, annotated);
    return true;
  }
  if (peek() == Tok::Slash) {
    bool fits = !params.empty() && params.back().kind == ParamKind::Normal &&
                params.front().kind == ParamKind::Normal;
    if (!fits) fail(Kind::SyntaxError, token_span(), "`/` without positional parameters before it");
    for (Param& p : params) p.kind = ParamKind::PositionalOnly;
    accept(Tok::Slash);
    return true;
  }
  Span star = token_span();
  if (!accept(Tok::Star)) return false;
  if (peek() == Tok::Name) {
    parameter(params, ParamKind::Args, annotated);
  } else if (peek() != Tok::Comma || peek(1) != Tok::Name) {
    if (peek() == end || peek() == Tok::Comma) {
      fail(Kind::SyntaxError, star, "no named parameter follows the bare `*`");
    } else {
      fail_expected("a parameter's name");
    }
  }
  return true;
}

void Parser::parameter(std::vector<Param>& params, ParamKind kind, bool annotated) {
  u32 begin = here();
  Param param;
  param.kind = kind;
  param.name = expect_name("a parameter's name");
  bool variadic = kind == ParamKind::Args || kind == ParamKind::Kwargs;
  if (annotated && accept(Tok::Colon)) {
    param.annotation = kind == ParamKind::Args ? star_expression() : expression();
  }
  if (!variadic && accept(Tok::Equal)) param.default_value = expression();
  param.span = from(begin);
  bool after_default = !params.empty() && params.back().default_value;
  if (kind == ParamKind::Normal && !param.default_value && after_default) {
    error(Kind::SyntaxError, param.span, "parameter without a default after one with a default");
  }
  params.push_back(std::move(param));
}

// Parsed for their form only: types are not generic here.
void Parser::type_parameters() {
  if (!accept(Tok::LeftBracket)) return;
  do {
    if (!accept(Tok::Star)) accept(Tok::StarStar);
    expect_name("a type parameter's name");
    if (accept(Tok::Colon)) expression();
    if (accept(Tok::Equal)) star_expression();
  } while (accept(Tok::Comma) && peek() != Tok::RightBracket);
  expect_close(Tok::RightBracket);
}

}  // namespace peri::syntax
