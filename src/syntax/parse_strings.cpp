// String literals, adjacent ones joined, and f-strings.
#include <fmt/format.h>

#include "syntax/literals.h"
#include "syntax/parser.h"

namespace peri::syntax {

using diag::Kind;

namespace {

struct LiteralParts {
  std::string_view prefix;
  std::string_view body;
  u32 body_begin;  // from the token's begin
};

LiteralParts split_literal(std::string_view token) {
  std::size_t quote = token.find_first_of("'\"");
  std::string_view quoted = token.substr(quote);
  bool triple = quoted.size() >= 6 && quoted[1] == quoted[0] && quoted[2] == quoted[0];
  std::size_t width = triple ? 3 : 1;
  return {token.substr(0, quote), quoted.substr(width, quoted.size() - 2 * width),
          static_cast<u32>(quote + width)};
}

}  // namespace

// The pieces of one or more adjacent literals.
struct Parser::StringParts {
  std::vector<ExprId> items;
  std::string text;  // what has come since the last item
  u32 text_begin;
  bool has_text = false;  // literals that are not bytes
  bool has_bytes = false;
  bool has_fstring = false;
};

ExprId Parser::strings() {
  u32 begin = here();
  StringParts parts;
  parts.text_begin = begin;
  while (peek() == Tok::String || peek() == Tok::FStringStart) {
    if (peek() == Tok::String) {
      plain_string(parts);
    } else {
      fstring(parts);
    }
  }
  if (parts.has_bytes && parts.has_text) {
    error(Kind::SyntaxError, from(begin), "bytes and text in adjacent literals");
  }
  if (!parts.has_fstring) {
    ExprKind kind = parts.has_bytes ? ExprKind::Bytes : ExprKind::String;
    return add(kind, from(begin), {}, std::move(parts.text));
  }
  if (!parts.text.empty()) {
    parts.items.push_back(add(ExprKind::String, from(parts.text_begin), {}, parts.text));
  }
  return add(ExprKind::FString, from(begin), std::move(parts.items));
}

void Parser::plain_string(StringParts& parts) {
  LiteralParts literal = split_literal(token_text());
  LiteralForm form = literal_form(literal.prefix);
  (form.kind == LiteralKind::Bytes ? parts.has_bytes : parts.has_text) = true;
  Span place{source_, here() + literal.body_begin, tokens_[pos_].end};
  parts.text += decode_literal(literal.body, form, place, errors_);
  advance();
}

void Parser::fstring(StringParts& parts) {
  parts.has_text = parts.has_fstring = true;
  bool raw = literal_form(token_text().substr(0, 2)).raw;
  advance();
  fstring_pieces(parts, raw);
  expect(Tok::FStringEnd);
}

// Text and fields, as far as they go.
void Parser::fstring_pieces(StringParts& parts, bool raw) {
  for (;;) {
    if (peek() == Tok::FStringMiddle) {
      parts.text +=
          decode_literal(token_text(), {LiteralKind::FStringText, raw}, token_span(), errors_);
      advance();
    } else if (peek() == Tok::LeftBrace) {
      fstring_field(parts, raw);
    } else {
      break;
    }
  }
}

void Parser::fstring_field(StringParts& parts, bool raw) {
  Nest nest(*this);
  u32 brace = here();
  advance();
  if (!starts_expression() && peek() != Tok::Yield) {
    fail_expected("an expression in the f-string's braces");
  }
  ExprId value = yield_or_expressions();
  if (accept(Tok::Equal)) parts.text += text_.substr(brace + 1, here() - brace - 1);
  if (!parts.text.empty()) {
    Span span{source_, parts.text_begin, brace};
    parts.items.push_back(add(ExprKind::String, span, {}, std::move(parts.text)));
    parts.text.clear();
  }
  parts.items.push_back(value);
  if (accept(Tok::Bang)) {
    bool known = at_name("s") || at_name("r") || at_name("a");
    if (!known) fail_expected("`s`, `r` or `a` after `!`");
    accept(Tok::Name);
  }
  if (accept(Tok::Colon)) {
    StringParts spec;  // how a value is laid out as text has no meaning in a kernel
    fstring_pieces(spec, raw);
  }
  expect(Tok::RightBrace, "after the f-string's expression");
  parts.text_begin = last_end_;
}

}  // namespace peri::syntax
