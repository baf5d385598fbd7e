// The recursive-descent parser; private to this folder. Its methods stand in parser.cpp,
// parse_expr.cpp, parse_atom.cpp, parse_args.cpp, parse_strings.cpp, parse_stmt.cpp and
// parse_compound.cpp.
//
// After `fail` the parser is in panic: every look-ahead is `Invalid`, so each production returns at
// once with whatever it has, and the statement loop drops the statement and goes on after it.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "syntax/ast.h"
#include "syntax/errors.h"
#include "syntax/tokens.h"

namespace peri::syntax {

class Parser {
 public:
  Parser(diag::SourceId source, std::string_view text, std::vector<Token> tokens,
         ErrorList& errors);

  Ast module();
  Ast single_expression();

 private:
  using Block = std::vector<StmtId>;
  using Production = ExprId (Parser::*)();

  // One level of recursion; beyond the limit the parser panics, which ends the recursion.
  class Nest {
   public:
    explicit Nest(Parser& parser) : parser_(parser) { parser.enter(); }
    ~Nest() { --parser_.nesting_; }
    Nest(const Nest&) = delete;
    Nest& operator=(const Nest&) = delete;

   private:
    Parser& parser_;
  };
  void enter();

  // --- tokens, errors and nodes ---

  Tok peek(std::size_t ahead = 0) const;
  bool at_name(std::string_view word, std::size_t ahead = 0) const;
  std::string_view token_text(std::size_t ahead = 0) const;
  Span token_span() const;
  // Where to put the caret for a missing token: at the token found, or after the line's last one.
  Span found_span() const;
  std::string found_text() const;
  u32 here() const { return tokens_[pos_].begin; }
  // From a byte to the end of the last token taken.
  Span from(u32 begin) const { return {source_, begin, std::max(begin, last_end_)}; }
  void advance();
  bool accept(Tok kind);
  // Takes the token, or fails with "expected `x` <after>, found ...".
  bool expect(Tok kind, std::string_view after = {});
  std::string expect_name(std::string_view what);
  // Takes the end of a list in brackets.
  void expect_close(Tok kind);

  // `error` reports and goes on, `fail` reports and panics. In panic, and at a token that the lexer
  // has complained about, nothing is reported.
  diag::Diagnostic& error(diag::Kind kind, Span span, std::string message);
  diag::Diagnostic& fail(diag::Kind kind, Span span, std::string message);
  diag::Diagnostic& fail_expected(std::string_view what);
  // True if the lexer has complained about the rest of the line: a bracket left open, say.
  bool line_is_reported() const;

  const Expr& expr(ExprId id) const { return ast_[id]; }
  ExprId add(Expr expr);
  ExprId add(ExprKind kind, Span span, std::vector<ExprId> items = {}, std::string text = {});
  StmtId add(Stmt stmt, u32 begin);
  i64 height_of(const Expr& expr) const;

  // --- expressions, from loose to tight ---

  bool starts_expression() const;
  ExprId expressions();  // a Tuple if there is a comma
  ExprId yield_or_expressions();
  ExprId targets();  // of `for` and comprehensions
  ExprId tuple_of(Production element);
  ExprId starred(Production operand);
  ExprId star_expression();
  ExprId star_named_expression();
  ExprId target_element();
  ExprId named_expression();
  ExprId expression();
  ExprId lambda();
  ExprId disjunction();
  ExprId conjunction();
  ExprId bool_chain(Tok op, Production operand);
  ExprId inversion();
  ExprId comparison();
  std::string comparison_operator();
  ExprId bitwise_or();
  ExprId binary(int level);
  ExprId unary();
  ExprId power();
  ExprId primary();
  ExprId postfix(u32 begin);

  // --- atoms ---

  ExprId subscript(ExprId object, u32 begin);
  ExprId subscript_index();
  ExprId subscript_element();
  ExprId atom();
  ExprId token_atom(ExprKind kind, std::string text);
  ExprId yield_expression();
  ExprId parenthesised();
  ExprId list();
  ExprId braces();
  ExprId dict(u32 begin, std::vector<ExprId> items);
  void dict_entry(std::vector<ExprId>& items);
  // Elements after the first up to the closing bracket, which is taken.
  void more_elements(std::vector<ExprId>& items, Tok close);
  ExprId comprehension(ExprKind kind, u32 begin, std::vector<ExprId> items);
  Comprehension comprehension_clause();
  bool at_comprehension() const;

  // --- arguments and parameters ---

  ExprId call(ExprId callee, u32 begin);
  void arguments(Expr& call);  // the closing parenthesis included
  struct ArgumentOrder;
  void argument(Expr& call, ArgumentOrder& order);
  void positional_argument(Expr& call, const ArgumentOrder& order);
  std::vector<Param> parameters(Tok end, bool annotated);
  bool special_parameter(std::vector<Param>& params, Tok end, bool annotated);
  void parameter(std::vector<Param>& params, ParamKind kind, bool annotated);
  void type_parameters();

  // --- strings ---

  struct StringParts;
  ExprId strings();
  void plain_string(StringParts& parts);
  void fstring(StringParts& parts);
  void fstring_field(StringParts& parts, bool raw);
  void fstring_pieces(StringParts& parts, bool raw);

  // --- simple statements ---

  void statements(Block& out, Tok end);
  void statement(Block& out);
  void recover();
  void skip_block();
  void simple_line(Block& out);
  StmtId simple_statement();
  StmtId keyword_statement(StmtKind kind);
  StmtId expression_statement();
  StmtId assignment(u32 begin, ExprId first);
  StmtId annotated_assignment(u32 begin, ExprId target);
  StmtId augmented_assignment(u32 begin, ExprId target);
  StmtId return_statement();
  StmtId assert_statement();
  StmtId raise_statement();
  StmtId delete_statement();
  StmtId scope_statement(StmtKind kind);
  StmtId import_statement();
  StmtId import_from_statement();
  void imported_names(Stmt& stmt);
  std::string dotted_name();
  void import_name(Stmt& stmt, bool dotted);
  StmtId type_alias();
  void check_target(ExprId target, std::string_view verb);
  void check_single_target(ExprId target, std::string_view what);

  // --- compound statements ---

  bool compound_statement(Block& out);
  StmtId orphan_clause();
  // `:` and the statements under it. `what` names the header in messages, `head` is its place.
  Block block(std::string_view what, Span head);
  Block indented_block(std::string_view what, Span head);
  void discard_block();
  StmtId if_statement();
  Block else_block();
  StmtId while_statement();
  StmtId for_statement(u32 begin, bool is_async);
  StmtId with_statement(u32 begin, bool is_async);
  void with_item(Stmt& with);
  bool at_parenthesised_items() const;
  StmtId try_statement();
  Block except_clause();
  StmtId async_statement(u32 begin, std::vector<ExprId> decorators);
  StmtId decorated();
  StmtId function(u32 begin, bool is_async, std::vector<ExprId> decorators);
  StmtId class_statement(u32 begin, std::vector<ExprId> decorators);
  bool at_match() const;
  StmtId match_statement();
  Block case_clause();

  diag::SourceId source_;
  std::string_view text_;
  std::vector<Token> tokens_;
  ErrorList& errors_;
  diag::Diagnostic unreported_;
  Ast ast_;
  std::vector<u16> heights_;  // of each expression's tree
  std::size_t pos_ = 0;
  u32 last_end_ = 0;  // of the last token taken that has text
  i64 nesting_ = 0;
  i64 depth_ = 0;  // of the statement at hand: blocks and links of `elif` chains around it
  bool panic_ = false;
};

}  // namespace peri::syntax
