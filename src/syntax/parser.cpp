#include "syntax/parser.h"

#include <fmt/format.h>

#include "syntax/lexer.h"
#include "syntax/parse.h"

namespace peri::syntax {

using diag::Kind;

namespace {

bool is_layout(Tok kind) {
  return kind == Tok::Newline || kind == Tok::Indent || kind == Tok::Dedent || kind == Tok::End;
}

Ast parse(diag::SourceId source, diag::Diags& diags, LexMode mode) {
  std::string_view text = diags.sources().text(source);
  ErrorList lexer_errors, parser_errors;
  std::size_t nul = text.find('\0');
  if (nul != std::string_view::npos) {
    u32 begin = static_cast<u32>(nul);
    lexer_errors.add(Kind::SyntaxError, {source, begin, begin + 1}, "NUL byte in the text");
  }
  Parser parser(source, text, lex(source, text, mode, lexer_errors), parser_errors);
  Ast ast = mode == LexMode::Module ? parser.module() : parser.single_expression();
  ErrorList::report(std::move(lexer_errors), std::move(parser_errors), diags);
  return ast;
}

}  // namespace

Ast parse_module(diag::SourceId source, diag::Diags& diags) {
  return parse(source, diags, LexMode::Module);
}

Ast parse_expression(diag::SourceId source, diag::Diags& diags) {
  i64 errors_before = diags.error_count();
  Ast ast = parse(source, diags, LexMode::Expression);
  if (diags.error_count() > errors_before) ast.module.clear();
  return ast;
}

Parser::Parser(diag::SourceId source, std::string_view text, std::vector<Token> tokens,
               ErrorList& errors)
    : source_(source), text_(text), tokens_(std::move(tokens)), errors_(errors), unreported_{} {
  ast_.source = source;
  // About what a kernel file makes of its tokens; growing a large table is what parsing spends most
  // of its time on otherwise.
  ast_.exprs.reserve(tokens_.size() * 3 / 5);
  heights_.reserve(tokens_.size() * 3 / 5);
}

Ast Parser::module() {
  statements(ast_.module, Tok::End);
  return std::move(ast_);
}

Ast Parser::single_expression() {
  u32 begin = here();
  Stmt stmt{StmtKind::Expr};
  stmt.exprs = {expressions()};
  if (peek() != Tok::End) fail_expected("the end of the expression");
  ast_.module = {add(std::move(stmt), begin)};
  return std::move(ast_);
}

void Parser::enter() {
  if (++nesting_ <= kMaxNesting) return;
  fail(Kind::NestingTooDeep, token_span(),
       fmt::format("more than {} levels of nesting", kMaxNesting));
}

Tok Parser::peek(std::size_t ahead) const {
  if (panic_ || pos_ + ahead >= tokens_.size()) return Tok::Invalid;
  return tokens_[pos_ + ahead].kind;
}

std::string_view Parser::token_text(std::size_t ahead) const {
  if (pos_ + ahead >= tokens_.size()) return {};
  const Token& token = tokens_[pos_ + ahead];
  return text_.substr(token.begin, token.end - token.begin);
}

bool Parser::at_name(std::string_view word, std::size_t ahead) const {
  return peek(ahead) == Tok::Name && token_text(ahead) == word;
}

Span Parser::token_span() const { return {source_, tokens_[pos_].begin, tokens_[pos_].end}; }

Span Parser::found_span() const {
  return is_layout(tokens_[pos_].kind) ? Span{source_, last_end_, last_end_} : token_span();
}

std::string Parser::found_text() const {
  constexpr std::size_t kLongestQuoted = 40;
  Tok kind = tokens_[pos_].kind;
  bool number = kind == Tok::Int || kind == Tok::Float || kind == Tok::Imaginary;
  bool quoted = is_spelled(kind) || kind == Tok::Name || number;
  if (!quoted || token_text().size() > kLongestQuoted) return std::string(text_of(kind));
  return fmt::format("`{}`", token_text());
}

void Parser::advance() {
  const Token& token = tokens_[pos_];
  if (!is_layout(token.kind)) last_end_ = token.end;
  if (token.kind != Tok::End) ++pos_;
}

bool Parser::accept(Tok kind) {
  if (peek() != kind) return false;
  advance();
  return true;
}

bool Parser::expect(Tok kind, std::string_view after) {
  if (accept(kind)) return true;
  std::string_view text = text_of(kind);
  std::string what = is_spelled(kind) ? fmt::format("`{}`", text) : std::string(text);
  fail_expected(after.empty() ? what : fmt::format("{} {}", what, after));
  return false;
}

void Parser::expect_close(Tok kind) {
  if (!accept(kind)) fail_expected(fmt::format("`,` or `{}`", text_of(kind)));
}

std::string Parser::expect_name(std::string_view what) {
  std::string name(token_text());
  if (accept(Tok::Name)) return name;
  fail_expected(what);
  return {};
}

diag::Diagnostic& Parser::error(Kind kind, Span span, std::string message) {
  unreported_ = {};
  if (panic_ || tokens_[pos_].kind == Tok::Invalid) return unreported_;
  return errors_.add(kind, span, std::move(message));
}

diag::Diagnostic& Parser::fail(Kind kind, Span span, std::string message) {
  diag::Diagnostic& reported = error(kind, span, std::move(message));
  panic_ = true;
  return reported;
}

bool Parser::line_is_reported() const {
  for (std::size_t i = pos_; !is_layout(tokens_[i].kind); ++i) {
    if (tokens_[i].kind == Tok::Invalid) return true;
  }
  return false;
}

diag::Diagnostic& Parser::fail_expected(std::string_view what) {
  if (panic_ || line_is_reported()) {
    panic_ = true;
    return unreported_ = {};
  }
  return fail(Kind::SyntaxError, found_span(),
              fmt::format("expected {}, found {}", what, found_text()));
}

i64 Parser::height_of(const Expr& expr) const {
  i64 below = 0;
  auto see = [&](ExprId id) {
    if (id) below = std::max<i64>(below, heights_[id.index]);
  };
  for (ExprId item : expr.items) see(item);
  for (const Param& p : expr.params) {
    see(p.annotation);
    see(p.default_value);
  }
  for (const Comprehension& c : expr.generators) {
    see(c.target);
    see(c.iterable);
    for (ExprId condition : c.conditions) see(condition);
  }
  return below + 1;
}

ExprId Parser::add(Expr expr) {
  i64 height = height_of(expr);
  if (height > kMaxDepth) {
    fail(Kind::NestingTooDeep, {source_, expr.span.end, expr.span.end},
         fmt::format("expression of more than {} links or levels", kMaxDepth))
        .hint = "split it over several statements";
    expr.items.clear();
    height = 1;
  }
  ast_.exprs.push_back(std::move(expr));
  heights_.push_back(static_cast<u16>(height));
  return ExprId(static_cast<i64>(ast_.exprs.size()) - 1);
}

ExprId Parser::add(ExprKind kind, Span span, std::vector<ExprId> items, std::string text) {
  Expr expr{kind, span};
  expr.items = std::move(items);
  expr.text = std::move(text);
  return add(std::move(expr));
}

StmtId Parser::add(Stmt stmt, u32 begin) {
  stmt.span = from(begin);
  ast_.stmts.push_back(std::move(stmt));
  return StmtId(static_cast<i64>(ast_.stmts.size()) - 1);
}

}  // namespace peri::syntax
