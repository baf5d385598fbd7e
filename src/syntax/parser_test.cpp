#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "syntax/parse.h"

namespace peri::syntax {
namespace {

struct Parsed {
  explicit Parsed(std::string text, bool expression = false)
      : source(sources.add("k.py", std::move(text))),
        diags(sources),
        ast(expression ? parse_expression(source, diags) : parse_module(source, diags)) {}

  // One line an error: code, place, width of the caret, message, hint.
  std::string errors() const {
    std::string out;
    for (const diag::Diagnostic& d : diags.all()) {
      diag::Sources::Place at = sources.place(source, d.span.begin);
      out += fmt::format("{} {}:{}+{} {}", diag::code_of(d.kind), at.line, at.column,
                         d.span.end - d.span.begin, d.message);
      if (!d.hint.empty()) out += fmt::format(" ({})", d.hint);
      out += '\n';
    }
    return out;
  }

  diag::Sources sources;
  diag::SourceId source;
  diag::Diags diags;
  Ast ast;
};

// The dump of a module on one line: a node's children in parentheses after it.
std::string flat(const Ast& ast) {
  std::string out;
  std::string text = print(ast);
  std::size_t depth = 0;
  for (std::size_t at = text.find('\n') + 1; at < text.size();) {
    std::size_t end = text.find('\n', at);
    std::size_t begin = text.find_first_not_of(' ', at);
    std::size_t level = (begin - at) / 2;
    if (level > depth) {
      out += '(';
    } else if (!out.empty()) {
      out.append(depth - level, ')');
      out += ' ';
    }
    if (level > depth && depth == 0) out.pop_back();
    out += text.substr(begin, end - begin);
    depth = level;
    at = end + 1;
  }
  if (depth > 1) out.append(depth - 1, ')');
  return out;
}

struct TreeCase {
  std::string_view text;
  std::string_view expected;
};

void expect_trees(const std::vector<TreeCase>& cases, std::string_view lead) {
  for (const TreeCase& c : cases) {
    Parsed p{std::string(c.text)};
    EXPECT_EQ(p.errors(), "") << c.text;
    std::string tree = flat(p.ast);
    EXPECT_EQ(tree, fmt::format("{}{}{}", lead, c.expected, lead.empty() ? "" : ")")) << c.text;
  }
}

TEST(Expressions, Precedence) {
  expect_trees({{"-x**2", "Unary -(Binary **(Name x Int 2))"},
                {"2**-x**y", "Binary **(Int 2 Unary -(Binary **(Name x Name y)))"},
                {"a - b - c", "Binary -(Binary -(Name a Name b) Name c)"},
                {"a + b * c", "Binary +(Name a Binary *(Name b Name c))"},
                {"a | b ^ c & d << e + f @ ~g",
                 "Binary |(Name a Binary ^(Name b Binary &(Name c Binary <<(Name d Binary +(Name e "
                 "Binary @(Name f Unary ~(Name g)))))))"},
                {"a // b % c / d", "Binary /(Binary %(Binary //(Name a Name b) Name c) Name d)"},
                {"not a == b", "Unary not(Compare ==(Name a Name b))"},
                {"a < b <= c != d", "Compare < <= !=(Name a Name b Name c Name d)"},
                {"a not in b is not c", "Compare not in is not(Name a Name b Name c)"},
                {"a or b and c or d", "BoolOp or(Name a BoolOp and(Name b Name c) Name d)"},
                {"a if b else c if d else e",
                 "Conditional(Name b Name a Conditional(Name d Name c Name e))"},
                {"lambda: a if b else c", "Lambda(Conditional(Name b Name a Name c))"},
                {"(a < b) < c", "Compare <(Compare <(Name a Name b) Name c)"},
                {"-a.b[c](d)", "Unary -(Call(Subscript(Attribute b(Name a) Name c) Name d))"},
                {"await a.b ** c", "Binary **(Await(Attribute b(Name a)) Name c)"}},
               "Expr(");
}

TEST(Expressions, Atoms) {
  expect_trees(
      {{"1_000, 0x1F, 1e-5, 2j", "Tuple(Int 1_000 Int 0x1F Float 1e-5 Imaginary 2j)"},
       {"True, False, None, ...", "Tuple(True False None Ellipsis)"},
       {"()", "Tuple"},
       {"(a)", "Name a"},
       {"(a,)", "Tuple(Name a)"},
       {"a,", "Tuple(Name a)"},
       {"[a, *b]", "List(Name a Starred(Name b))"},
       {"{a, b}", "Set(Name a Name b)"},
       {"{}", "Dict"},
       {"{a: b, **c, 'd': lambda: e}", "Dict(Name a Name b - Name c String 'd' Lambda(Name e))"},
       {"'a' \"b\" '''c\n'''", "String 'abc\\n'"},
       {"b'a' rb'\\n'", "Bytes 'a\\\\n'"},
       {"match, case, type, _", "Tuple(Name match Name case Name type Name _)"},
       {"(a := b)", "Walrus(Name a Name b)"},
       {"(yield)", "Yield(-)"},
       {"(yield a, b)", "Yield(Tuple(Name a Name b))"},
       {"(yield from a)", "Yield from(Name a)"}},
      "Expr(");
}

TEST(Expressions, FStrings) {
  expect_trees({{"f'a{x}b' 'c'", "FString(String 'a' Name x String 'bc')"},
                {"f'{x!r:>{w}}{y}'", "FString(Name x Name y)"},
                {"f'{x = }'", "FString(String 'x = ' Name x)"},
                {"f'{{{x}}}'", "FString(String '{' Name x String '}')"},
                {"f'{d['k']} {f\"{x}\"}'",
                 "FString(Subscript(Name d String 'k') String ' ' FString(Name x))"},
                {"f'a'", "FString(String 'a')"},
                {"f''", "FString"},
                {"f'{lambda_}{x:=^5}{(lambda: 1)}'", "FString(Name lambda_ Name x Lambda(Int 1))"},
                {"f'{x, y}{*a,}'", "FString(Tuple(Name x Name y) Tuple(Starred(Name a)))"}},
               "Expr(");
}

TEST(Expressions, CallsAndSubscripts) {
  expect_trees(
      {{"f(a, *b, k=c, **d)", "Call(Name f Name a Starred(Name b) k: Name c **: Name d)"},
       {"f(x for x in y)", "Call(Name f Generator(Name x for(target: Name x iterable: Name y)))"},
       {"f(a := 1, *b, k=1, *c,)",
        "Call(Name f Walrus(Name a Int 1) Starred(Name b) k: Int 1 Starred(Name c))"},
       {"x[i]", "Subscript(Name x Name i)"},
       {"x[i,]", "Subscript(Name x Tuple(Name i))"},
       {"x[:, None, 1:2, ::3, a:]",
        "Subscript(Name x Tuple(Slice(- - -) None Slice(Int 1 Int 2 -) Slice(- - Int 3) "
        "Slice(Name a - -)))"},
       {"x[*idx, :]", "Subscript(Name x Tuple(Starred(Name idx) Slice(- - -)))"},
       {"x[*idx]", "Subscript(Name x Tuple(Starred(Name idx)))"},
       {"x[a:=1]", "Subscript(Name x Walrus(Name a Int 1))"}},
      "Expr(");
}

TEST(Expressions, ComprehensionsAndLambdas) {
  expect_trees(
      {{"[a for a, *b in c if d if e for f in g]",
        "ListComp(Name a for(target: Tuple(Name a Starred(Name b)) iterable: Name c if: Name d "
        "if: Name e) for(target: Name f iterable: Name g))"},
       {"{a for a in b}", "SetComp(Name a for(target: Name a iterable: Name b))"},
       {"{a: b async for a in c}",
        "DictComp(Name a Name b async for(target: Name a iterable: Name c))"},
       {"{(a := b): c for d in e}",
        "DictComp(Walrus(Name a Name b) Name c for(target: Name d iterable: Name e))"},
       {"(a for a in b if c or d)",
        "Generator(Name a for(target: Name a iterable: Name b if: BoolOp or(Name c Name d)))"},
       {"lambda a, /, b=1, *c, d, e=2, **f: a",
        "Lambda(param a positional-only param b(default: Int 1) param c * "
        "param d keyword-only param e keyword-only(default: Int 2) param f ** Name a)"},
       {"lambda *, a: a", "Lambda(param a keyword-only Name a)"}},
      "Expr(");
}

TEST(Statements, Simple) {
  expect_trees(
      {{"a = b = c, d", "Assign(Name a Name b Tuple(Name c Name d))"},
       {"a, (b, [*c]) = d", "Assign(Tuple(Name a Tuple(Name b List(Starred(Name c)))) Name d)"},
       {"a @= b", "AugAssign @(target: Name a value: Name b)"},
       {"a.b **= yield", "AugAssign **(target: Attribute b(Name a) value: Yield(-))"},
       {"a: int", "AnnAssign(target: Name a annotation: Name int)"},
       {"a[0]: int = 1, 2",
        "AnnAssign(target: Subscript(Name a Int 0) annotation: Name int value: Tuple(Int 1 Int "
        "2))"},
       {"return", "Return"},
       {"return a, *b", "Return(Tuple(Name a Starred(Name b)))"},
       {"assert a, 'm'", "Assert(test: Name a message: String 'm')"},
       {"raise", "Raise"},
       {"raise a from b", "Raise(value: Name a cause: Name b)"},
       {"del a, b[0],", "Delete(Name a Subscript(Name b Int 0))"},
       {"global a, b", "Global a b"},
       {"import a.b as c, d", "Import a.b as c d"},
       {"from ....a.b import (c as d, e,)", "ImportFrom ....a.b c as d e"},
       {"from . import a", "ImportFrom . a"},
       {"from a import *", "ImportFrom a *"},
       {"pass; break; continue;", "Pass Break Continue"},
       {"type X = int", "TypeAlias X(Name int)"},
       {"type X[T: int, *Ts, **P] = T", "TypeAlias X(Name T)"},
       {"type = type(x)", "Assign(Name type Call(Name type Name x))"},
       {"match = case", "Assign(Name match Name case)"},
       {"match(x)", "Expr(Call(Name match Name x))"},
       {"print(a, end='')", "Expr(Call(Name print Name a end: String ''))"}},
      "");
}

TEST(Statements, Compound) {
  expect_trees(
      {{"if a: b; c", "If(test: Name a body:(Expr(Name b) Expr(Name c)))"},
       {"if a:\n  pass\nelif b:\n  pass\nelse:\n  pass\n",
        "If(test: Name a body:(Pass) else:(If(test: Name b body:(Pass) else:(Pass))))"},
       {"while (a := b): pass\nelse: break",
        "While(test: Walrus(Name a Name b) body:(Pass) else:(Break))"},
       {"for a, b in c, d:\n  pass",
        "For(target: Tuple(Name a Name b) iterable: Tuple(Name c Name d) body:(Pass))"},
       {"with a as b, c: pass", "With(context: Name a as: Name b context: Name c body:(Pass))"},
       {"with (a as b, c,): pass", "With(context: Name a as: Name b context: Name c body:(Pass))"},
       {"with (a, b): pass", "With(context: Name a context: Name b body:(Pass))"},
       {"with (a).b as c: pass", "With(context: Attribute b(Name a) as: Name c body:(Pass))"},
       {"with (yield): pass", "With(context: Yield(-) body:(Pass))"},
       {"try: a\nexcept: b\nelse: c\nfinally: d",
        "Try(body:(Expr(Name a)) handler:(Expr(Name b)) else:(Expr(Name c)) "
        "finally:(Expr(Name d)))"},
       {"try: a\nexcept* (b, c) as d: e", "Try(body:(Expr(Name a)) handler:(Expr(Name e)))"},
       {"async def f():\n  async for a in b: await c\n  async with d: pass",
        "AsyncFunction f(body:(AsyncFor(target: Name a iterable: Name b body:(Expr(Await(Name "
        "c)))) AsyncWith(context: Name d body:(Pass))))"},
       {"match a, b:\n  case [1, {'x': y}] | C(z=0) if c: d\n  case _:\n    e",
        "Match(subject: Tuple(Name a Name b) handler:(Expr(Name d)) handler:(Expr(Name e)))"},
       {"class A[T](B, metaclass=M, *c):\n  x: int = 1",
        "Class A(base: Name B base: Starred(Name c) body:(AnnAssign(target: Name x annotation: "
        "Name int value: Int 1)))"},
       {"class A: pass", "Class A(body:(Pass))"}},
      "");
}

TEST(Statements, Functions) {
  expect_trees({{"def f[T: int, *Ts](a: T, /, b=1, *args: *Ts, c: int = 2, **kw) -> T: pass",
                 "Function f(param a positional-only(annotation: Name T) param b(default: Int 1) "
                 "param args *(annotation: Starred(Name Ts)) "
                 "param c keyword-only(annotation: Name int default: Int 2) param kw ** "
                 "returns: Name T body:(Pass))"},
                {"@helion.kernel(static_shapes=True)\n@d\ndef f(\n    a,\n):\n  '''doc'''\n",
                 "Function f(decorator: Call(Attribute kernel(Name helion) static_shapes: True) "
                 "decorator: Name d param a body:(Expr(String 'doc')))"},
                {"def f(*, a): ...", "Function f(param a keyword-only body:(Expr(Ellipsis)))"}},
               "");
}

TEST(Statements, Spans) {
  Parsed p("@d\nasync def f(a: int):  # note\n    x = (a +\n         1)\n\ny = f(2) * z\n");
  auto text = [&](Span s) { return std::string(p.sources.snippet(s)); };
  const Stmt& f = p.ast[p.ast.module[0]];
  EXPECT_EQ(text(f.span), "@d\nasync def f(a: int):  # note\n    x = (a +\n         1)");
  EXPECT_EQ(text(f.head_span), "f");
  EXPECT_EQ(text(f.params[0].span), "a: int");
  const Expr& sum = p.ast[p.ast[f.body[0]].exprs[1]];
  EXPECT_EQ(text(sum.span), "a +\n         1");
  EXPECT_EQ(text(sum.op_span), "+");
  const Expr& product = p.ast[p.ast[p.ast.module[1]].exprs[1]];
  EXPECT_EQ(text(product.span), "f(2) * z");
  EXPECT_EQ(text(p.ast[product.items[0]].op_span), "f");
}

TEST(ParseExpression, TakesOneExpression) {
  Parsed p("\n lambda acc,\n  tile: acc +\n bias[tile[0]]\n", true);
  EXPECT_EQ(p.errors(), "");
  EXPECT_EQ(flat(p.ast),
            "Expr(Lambda(param acc param tile Binary +(Name acc Subscript(Name bias "
            "Subscript(Name tile Int 0)))))");
  Parsed two("a b", true);
  EXPECT_EQ(two.errors(), "syntax-error 1:3+1 expected the end of the expression, found `b`\n");
  EXPECT_TRUE(two.ast.module.empty());
  EXPECT_EQ(Parsed("", true).errors(),
            "syntax-error 1:1+0 expected an expression, found the end of the file\n");
}

struct ErrorCase {
  std::string text;
  std::string_view expected;  // without the last line's end
};

void expect_errors(const std::vector<ErrorCase>& cases) {
  for (const ErrorCase& c : cases) {
    EXPECT_EQ(Parsed(c.text).errors(), std::string(c.expected) + "\n") << c.text;
  }
}

TEST(Errors, Expressions) {
  expect_errors({
      {"x = ", "syntax-error 1:4+0 expected an expression, found the end of the line"},
      {"x = 1 +  # note\n", "syntax-error 1:8+0 expected an expression, found the end of the line"},
      {"x = 2 3", "syntax-error 1:7+1 expected the end of the statement, found `3`"},
      {"x = *a", "syntax-error 1:5+2 starred value outside of a list, tuple or call"},
      {"print x",
       "syntax-error 1:7+1 expected the end of the statement, found `x` "
       "(write `print(...)`)"},
      {"f(a b)", "syntax-error 1:5+1 expected `,` or `)`, found `b`"},
      {"f(a=1, b)", "syntax-error 1:8+1 positional argument after a keyword argument"},
      {"f(**a, *b)", "syntax-error 1:8+2 positional argument after a keyword argument"},
      {"f(a.b=1)",
       "syntax-error 1:3+3 keyword of an argument that is not a plain name "
       "(compare with `==`)"},
      {"f(x for x in y, 1)",
       "syntax-error 1:3+12 generator beside other arguments (put it in parentheses)"},
      {"x[]", "syntax-error 1:3+1 expected an index, found `]`"},
      {"a if b",
       "syntax-error 1:7+0 expected `else` in the conditional expression, found the end "
       "of the line"},
      {"{a: 1, b}", "syntax-error 1:9+1 expected `:` after the dict key, found `}`"},
      {"[*a for a in b]", "syntax-error 1:2+2 starred value in a comprehension"},
      {"a.1", "syntax-error 1:2+2 expected the end of the statement, found `.1`"},
      {"a. = 1", "syntax-error 1:4+1 expected a name after `.`, found `=`"},
      {"(a.b := 1)", "syntax-error 1:2+3 `:=` assigns to a plain name only"},
      {"lambda a=1, b: a",
       "syntax-error 1:13+1 parameter without a default after one with a default"},
      {"b'a' 'b'", "syntax-error 1:1+8 bytes and text in adjacent literals"},
      {"f'{}'", "syntax-error 1:4+1 expected an expression in the f-string's braces, found `}`"},
      {"f'{x!z}'", "syntax-error 1:6+1 expected `s`, `r` or `a` after `!`, found `z`"},
      {"f'{x y}'", "syntax-error 1:6+1 expected `}` after the f-string's expression, found `y`"},
  });
}

TEST(Errors, Statements) {
  expect_errors({
      {"f() = 1", "syntax-error 1:1+3 cannot assign to a call"},
      {"a, 1 = b", "syntax-error 1:4+1 cannot assign to a number"},
      {"for f() in x: pass", "syntax-error 1:5+3 cannot assign to a call"},
      {"del a + b", "syntax-error 1:5+5 cannot delete an expression"},
      {"a, b += 1", "syntax-error 1:1+4 only a name, attribute or item can be updated in place"},
      {"(a, b): int", "syntax-error 1:1+6 only a name, attribute or item can be annotated"},
      {"def f(x)\n  pass\n",
       "syntax-error 1:9+0 expected `:` after the function's parameters, found the end of the "
       "line"},
      {"def f(x, x y): pass", "syntax-error 1:12+1 expected `,` or `)`, found `y`"},
      {"def f(*): pass", "syntax-error 1:7+1 no named parameter follows the bare `*`"},
      {"def f(/, a): pass", "syntax-error 1:7+1 `/` without positional parameters before it"},
      {"def f(*a, *b): pass", "syntax-error 1:11+1 second `*` parameter"},
      {"def 1(): pass", "syntax-error 1:5+1 expected the function's name, found `1`"},
      {"if x = 3: pass",
       "syntax-error 1:6+1 expected `:` after the `if` condition, found `=` "
       "(compare with `==`)"},
      {"if a: pass\nelse if b: pass",
       "syntax-error 2:6+2 expected `:` after `else`, found `if` (write `elif`)"},
      {"a\nelse: b",
       "syntax-error 2:1+4 `else` follows no `if`, `for`, `while` or `try` of its "
       "indentation"},
      {"for x of y: pass",
       "syntax-error 1:7+2 expected `in` after the loop's variables, found "
       "`of`"},
      {"try: pass\nx = 1", "syntax-error 1:1+3 `try` without `except` or `finally`"},
      {"@d\nx = 1",
       "syntax-error 2:1+1 expected a function or class after the decorator, found "
       "`x`"},
      {"async x", "syntax-error 1:7+1 expected `def`, `for` or `with` after `async`, found `x`"},
      {"import a.", "syntax-error 1:10+0 expected a name after `.`, found the end of the line"},
      {"x = [a\ny = 1\n", "unbalanced-bracket 1:5+1 `[` is never closed"},
      {"from a import (b", "unbalanced-bracket 1:15+1 `(` is never closed"},
      {"from a import b,",
       "syntax-error 1:17+0 expected a name to import, found the end of the "
       "line"},
      {"match x:\n  case 1 2\n    pass\n  case: pass\n",
       "syntax-error 2:11+0 expected `:` after the pattern, found the end of the line\n"
       "syntax-error 4:7+1 expected a pattern, found `:`"},
  });
}

TEST(Errors, Layout) {
  expect_errors({
      {"  x = 1\n", "indentation 1:1+2 unexpected indent"},
      {"x = 1\n    y = 2\nz = 3\n", "indentation 2:1+4 unexpected indent"},
      {"if a:\nb\n", "indentation 2:1+1 expected an indented block after the `if` condition"},
      {"def f():\n  # note\n",
       "indentation 1:9+0 expected an indented block after the function's parameters"},
      {"if a:\n    b\n  else:\n    c\n", "indentation 3:1+2 unindent matches no outer level"},
      {"if a:\n\tb\n        c\n",
       "indentation 3:1+8 tabs and spaces mix so that the indentation is ambiguous (indent with "
       "spaces only)"},
      {"x = \\ 1\n", "syntax-error 1:5+1 text after the line continuation `\\`"},
      {"x = 1 \\", "syntax-error 1:7+1 nothing follows the line continuation"},
  });
}

TEST(Errors, Characters) {
  expect_errors({
      {"x = $", "syntax-error 1:5+1 unexpected character `$`"},
      {"x = \xe2\x80\x9c"
       "a\xe2\x80\x9d",
       "syntax-error 1:5+3 unexpected character `\xe2\x80\x9c` (U+201C) (write `\"`)"},
      {"x =\xc2\xa0"
       "1",
       "syntax-error 1:4+2 unexpected character `\xc2\xa0` (U+00A0) (write a plain space)"},
      {"x = \xff", "syntax-error 1:5+1 byte 0xff is not UTF-8 text"},
      {"x = \x01", "syntax-error 1:5+1 unexpected control character U+0001"},
      {std::string("x = 'a\0b'", 9), "syntax-error 1:7+1 NUL byte in the text"},
      {"x = 0x", "bad-number 1:5+2 hexadecimal number without digits"},
      {"x = f(12ab)", "bad-number 1:7+4 a letter or digit follows the number"},
      {"x = 'a\ny = 'b\n",
       "unterminated-string 1:5+2 string is not closed on its line\n"
       "unterminated-string 2:5+2 string is not closed on its line"},
      {"x = '''a\ny\n", "unterminated-string 1:5+3 triple-quoted string is never closed"},
      {"x = f'a\n", "unterminated-string 1:5+3 f-string is not closed on its line"},
      {"x = rf'''a{b}\n", "unterminated-string 1:5+5 f-string is never closed"},
      {"x = f'{a'\ny = 1", "unbalanced-bracket 1:7+1 `{` of the f-string is never closed"},
      {"x = f'}'",
       "unbalanced-bracket 1:7+1 `}` in an f-string was never opened (write `}}` for "
       "the character)"},
      {"x = '\\x1'", "syntax-error 1:6+3 `\\x` takes 2 hexadecimal digits"},
      {"x = a)", "unbalanced-bracket 1:6+1 `)` was never opened"},
      {"x = (a, b]\ny = (",
       "unbalanced-bracket 1:10+1 `]` does not close `(`\n"
       "unbalanced-bracket 2:5+1 `(` is never closed"},
  });
}

TEST(Errors, SeveralPerRunInSourceOrder) {
  Parsed p(R"(import torch
x = = 1
def f(a b):
    y = 'open
    return )
z = torch.empty([1, 2
def g():
    return 3
)");
  EXPECT_EQ(p.errors(),
            "syntax-error 2:5+1 expected an expression, found `=`\n"
            "syntax-error 3:9+1 expected `,` or `)`, found `b`\n"
            "unterminated-string 4:9+5 string is not closed on its line\n"
            "unbalanced-bracket 5:12+1 `)` was never opened\n"
            "unbalanced-bracket 6:17+1 `[` is never closed\n");
  EXPECT_EQ(flat(p.ast), "Import torch Function g(body:(Return(Int 3)))");
}

TEST(Errors, LabelsShowWhereItBegan) {
  Parsed p("x = f(a,\n      b\ndef g(): pass\nif y:\nz\n");
  EXPECT_EQ(render_text(p.diags), R"(error[unbalanced-bracket]: `(` is never closed
  k.py:1:6
   1 | x = f(a,
     |      ^
    ...
   3 | def g(): pass
     | --- a new statement starts here

error[indentation]: expected an indented block after the `if` condition
  k.py:5:1
   4 | if y:
     | ---- the block's header
   5 | z
     | ^
)");
}

// --- any size, any bytes ---

std::string repeat(std::string_view text, i64 times) {
  std::string out;
  for (i64 i = 0; i < times; ++i) out += text;
  return out;
}

TEST(Limits, DeepInputIsAnErrorAndNoCrash) {
  constexpr i64 kMany = 100'000;
  std::string blocks;
  for (i64 i = 0; i < 400; ++i) blocks += std::string(i, ' ') + "if a:\n";
  for (const std::string& text : {
           repeat("(", kMany),
           repeat("[({", kMany),
           repeat("f(", kMany),
           repeat("a[", kMany),
           "x = " + repeat("-", kMany) + "1",
           "x = " + repeat("not ", kMany) + "1",
           "x = 2" + repeat("**2", kMany),
           "x = 1" + repeat("+1", kMany),
           "x = a" + repeat(".b", kMany),
           "x = f" + repeat("()", kMany),
           "x = " + repeat("lambda: ", kMany) + "1",
           "x = " + repeat("a if b else ", kMany) + "c",
           "x = " + repeat("(x for x in ", kMany) + "c",
           "x = " + repeat("f\"{", kMany),
           "x = f\"" + repeat("{a:", kMany),
           "if a: pass\n" + repeat("elif b: pass\n", kMany),
           blocks + std::string(400, ' ') + "pass\n",
       }) {
    Parsed p(text);
    EXPECT_NE(p.errors().find("nesting-too-deep "), std::string::npos)
        << text.substr(0, 20) << ": " << p.errors();
    print(p.ast);
  }
}

TEST(Limits, FlatInputOfAnyLengthIsFine) {
  constexpr i64 kMany = 20'000;
  for (const std::string& text : {
           "x = a" + repeat(" or a", kMany),
           "x = a" + repeat(" < a", kMany),
           "x = " + repeat("a, ", kMany),
           "f(" + repeat("a=1, ", kMany) + ")",
           repeat("a = ", kMany) + "1",
           "x = " + repeat("f'{a}' ", kMany),
           repeat("@a\n", kMany) + "def f(): pass",
           repeat("x;", kMany),
           repeat("x = f(\n1)\n", kMany),
           "import a" + repeat(".b", kMany),
           "try: pass\n" + repeat("except a: pass\n", kMany),
           "x = " + repeat("(", 150) + "1" + repeat(")", 150),
           "x = 1" + repeat("+1", 450),
           "if a: pass\n" + repeat("elif b: pass\n", 450),
       }) {
    EXPECT_EQ(Parsed(text).errors(), "") << text.substr(0, 20);
  }
}

const std::filesystem::path kRoot = PERI_SOURCE_DIR;

std::string read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(Files, EveryKernelParses) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kRoot / "kernels")) {
    if (entry.path().extension() != ".py") continue;
    Parsed p(read(entry.path()));
    EXPECT_EQ(render_text(p.diags), "") << entry.path();
    EXPECT_FALSE(p.ast.module.empty()) << entry.path();
  }
}

// What fuzzing has found interesting: no crash, and no error without a text.
TEST(Files, EveryFuzzInputIsSurvived) {
  i64 files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kRoot / "test/fuzz/syntax")) {
    ++files;
    for (bool expression : {false, true}) {
      Parsed p(read(entry.path()), expression);
      EXPECT_FALSE(print(p.ast).empty()) << entry.path();
      EXPECT_EQ(render_text(p.diags).empty(), !p.diags.has_errors()) << entry.path();
    }
  }
  EXPECT_GT(files, 0);
}

}  // namespace
}  // namespace peri::syntax
