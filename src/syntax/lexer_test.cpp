#include "syntax/lexer.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "syntax/literals.h"
#include "syntax/numbers.h"

namespace peri::syntax {
namespace {

constexpr diag::SourceId kSource(0);

// Tokens in short: layout as `NL`, `>`, `<`, `$`; others as they stand in the text.
std::string lexed(std::string_view text, LexMode mode = LexMode::Module) {
  ErrorList errors;
  std::string out;
  for (const Token& token : lex(kSource, text, mode, errors)) {
    std::string_view piece = text.substr(token.begin, token.end - token.begin);
    switch (token.kind) {
      case Tok::Newline:
        out += "NL ";
        break;
      case Tok::Indent:
        out += "> ";
        break;
      case Tok::Dedent:
        out += "< ";
        break;
      case Tok::End:
        out += "$";
        break;
      case Tok::Invalid:
        out += "? ";
        break;
      case Tok::FStringMiddle:
        out += fmt::format("|{}| ", piece);
        break;
      default:
        out += fmt::format("{} ", piece);
    }
  }
  return out;
}

struct LexCase {
  std::string text;
  std::string_view expected;
};

TEST(Lexer, Lines) {
  for (const LexCase& c : std::vector<LexCase>{
           {"", "$"},
           {"\n  \n# note\n\t# note", "$"},
           {"a", "a NL $"},
           {"a\nb\r\nc\rd\n", "a NL b NL c NL d NL $"},
           {"\xef\xbb\xbf"
            "a\n",
            "a NL $"},
           {"if a:\n  b\n\n # note\n  c\nd\n", "if a : NL > b NL c NL < d NL $"},
           {"if a:\n\tb\n\tif c:\n\t  d\n", "if a : NL > b NL if c : NL > d NL < < $"},
           {"a:\n b:\n  c", "a : NL > b : NL > c NL < < $"},
           {"\f  a\n\f  b\n", "> a NL b NL < $"},
           {"  \fa\n", "a NL $"},
           {"a + \\\n  b\n", "a + b NL $"},
           {"if a:\n  \\\n     b\n  c\n", "if a : NL > b NL c NL < $"},
           {"f(a,\n# note\n\n b)\nc", "f ( a , b ) NL c NL $"},
           {"[\n{\n(\n)}]", "[ { ( ) } ] NL $"},
           {"a # %% cell\n# %%\nb", "a NL b NL $"},
           {"a\\\n", "a ? NL $"},
           {"a \\ b\n", "a ? b NL $"}}) {
    EXPECT_EQ(lexed(c.text), c.expected) << c.text;
  }
  EXPECT_EQ(lexed("  lambda x:\n x\n\n", LexMode::Expression), "lambda x : x $");
}

TEST(Lexer, NamesAndOperators) {
  for (const LexCase& c : std::vector<LexCase>{
           {"a**=b//c>>=d->e:=f!=g...h", "a **= b // c >>= d -> e := f != g ... h NL $"},
           {"a<=b<<c@d@=e^~f", "a <= b << c @ d @= e ^ ~ f NL $"},
           {"x.y.1", "x . y .1 NL $"},
           {"\xc3\xa9t\xc3\xa9 = \xce\xbc_1", "\xc3\xa9t\xc3\xa9 = \xce\xbc_1 NL $"},
           {"1if x else.5", "1 if x else .5 NL $"},
           {"a $ b", "a ? b NL $"},
           {"a ! b", "a ? b NL $"},
           {"a \xff b", "a ? b NL $"},
           {std::string("a\0b", 3), "a ? b NL $"},
           {"a \xe2\x80\x9c", "a ? NL $"},
           {")a", "? a NL $"},
           {"(a]\nb", "( a ? NL b NL $"}}) {
    EXPECT_EQ(lexed(c.text), c.expected) << c.text;
  }
}

TEST(Lexer, Strings) {
  for (const LexCase& c : std::vector<LexCase>{
           {"'a' \"b\"", "'a' \"b\" NL $"},
           {R"('a\'b' r'\' 'x)", R"('a\'b' r'\' ' x NL $)"},
           {"'''a\n'b''c\n'''d", "'''a\n'b''c\n''' d NL $"},
           {"rB'a' bR\"b\" u'c' Rb'' ub'x'", "rB'a' bR\"b\" u'c' Rb'' ub 'x' NL $"},
           {"'' \"\" '''''' \"\"\"\"\"\"", "'' \"\" '''''' \"\"\"\"\"\" NL $"},
           {"'a\\\nb'", "'a\\\nb' NL $"},
           {"'a\nb", "? NL b NL $"},
           {"'a\\", "? NL $"},
           {"'''a\nb", "? NL $"},
           {"f('a\n  b)\nc", "f ( ? b ) NL c NL $"},
           {"f('a\nb = 1\n", "f ( ? ? NL b = 1 NL $"}}) {
    EXPECT_EQ(lexed(c.text), c.expected) << c.text;
  }
}

TEST(Lexer, FStrings) {
  for (const LexCase& c :
       std::vector<LexCase>{{"f'a'", "f' |a| ' NL $"},
                            {"f''", "f' ' NL $"},
                            {"f'a{x}b'", "f' |a| { x } |b| ' NL $"},
                            {"f'{x!r:>{w}.2}'", "f' { x ! r : |>| { w } |.2| } ' NL $"},
                            {"f'{x:=5}{y=}'", "f' { x : |=5| } { y = } ' NL $"},
                            {"f'{a[b:c]}{d != e}'", "f' { a [ b : c ] } { d != e } ' NL $"},
                            {"f'{{}}{ {1: 2}[1] }'", "f' |{{}}| { { 1 : 2 } [ 1 ] } ' NL $"},
                            {"f'{d['k']}'", "f' { d [ 'k' ] } ' NL $"},
                            {"f'{f'{x}'}'", "f' { f' { x } ' } ' NL $"},
                            {"rf'\\{x}\\d'", "rf' |\\| { x } |\\d| ' NL $"},
                            {"f'\\N{DASH}{x}'", "f' |\\N{DASH}| { x } ' NL $"},
                            {"f'''a\n'{\nx\n}\n'''", "f''' |a\n'| { x } |\n| ''' NL $"},
                            {"f'{\nx}'\ny", "f' { x } ' NL y NL $"},
                            {"f'a\nb", "f' |a| ? NL b NL $"},
                            {"f'{x'\nb", "f' { x ? NL b NL $"},
                            {"f'{x:a'\nb", "f' { x : |a| ? ' NL b NL $"},
                            {"f'}'", "f' ? ' NL $"},
                            {"f'''a", "f''' |a| ? NL $"}}) {
    EXPECT_EQ(lexed(c.text), c.expected) << c.text;
  }
}

TEST(Lexer, GivesUpBracketsWhereAStatementBegins) {
  EXPECT_EQ(lexed("f(a,\ndef g():\n  pass\n"), "f ( a , ? NL def g ( ) : NL > pass NL < $");
  EXPECT_EQ(lexed("f(a,\n  for x in y)\n"), "f ( a , for x in y ) NL $");
}

TEST(Numbers, Forms) {
  struct Case {
    std::string_view text;
    Tok kind;
    u32 size;
  };
  for (const Case& c : std::vector<Case>{{"0", Tok::Int, 1},
                                         {"1_000", Tok::Int, 5},
                                         {"00_0", Tok::Int, 4},
                                         {"0xFf_1", Tok::Int, 6},
                                         {"0o17", Tok::Int, 4},
                                         {"0B_1", Tok::Int, 4},
                                         {"1.", Tok::Float, 2},
                                         {"1..x", Tok::Float, 2},
                                         {".5e-3", Tok::Float, 5},
                                         {"1e+1_0", Tok::Float, 6},
                                         {"09.5", Tok::Float, 4},
                                         {"1e5j", Tok::Imaginary, 4},
                                         {"0J", Tok::Imaginary, 2},
                                         {"1or 2", Tok::Int, 1},
                                         {"0x1for x", Tok::Int, 4},
                                         {"1if", Tok::Int, 1},
                                         {"1else", Tok::Int, 1},
                                         {"1.real", Tok::Float, 6}}) {
    Number n = scan_number(c.text);
    EXPECT_EQ(n.size, c.size) << c.text;
    EXPECT_EQ(n.kind, c.kind) << c.text;
    EXPECT_EQ(n.problem.empty(), c.text != "1.real") << c.text;
  }
}

TEST(Numbers, Problems) {
  struct Case {
    std::string_view text, problem;
    u32 size;
  };
  for (const Case& c : std::vector<Case>{{"1__0", "`_` in a number stands between two digits", 4},
                                         {"1_ ", "`_` in a number stands between two digits", 2},
                                         {"1._5", "`_` in a number stands between two digits", 4},
                                         {"0x", "hexadecimal number without digits", 2},
                                         {"0o8", "octal number without digits", 3},
                                         {"0b102", "digit `2` in binary number", 5},
                                         {"012+", "decimal number with a leading zero", 3},
                                         {"3abc+", "a letter or digit follows the number", 4},
                                         {"1e", "a letter or digit follows the number", 2},
                                         {"0x1g", "a letter or digit follows the number", 4}}) {
    Number n = scan_number(c.text);
    EXPECT_EQ(n.problem, c.problem) << c.text;
    EXPECT_EQ(n.size, c.size) << c.text;
  }
}

std::string decoded(std::string_view body, std::string_view prefix) {
  ErrorList list;
  std::string value = decode_literal(body, literal_form(prefix), {kSource, 10, 99}, list);
  diag::Sources sources;
  sources.add("s", std::string(200, ' '));
  diag::Diags diags(sources);
  ErrorList::report(list, {}, diags);
  for (const diag::Diagnostic& d : diags.all()) {
    value += fmt::format("<{}-{}: {}>", d.span.begin, d.span.end, d.message);
  }
  return value;
}

TEST(Literals, Decode) {
  struct Case {
    std::string_view body, prefix;
    std::string expected;
  };
  for (const Case& c : std::vector<Case>{
           {R"(a\n\t\\\'\"\a)", "", "a\n\t\\'\"\a"},
           {R"(\x41\101\0\u00e9\U0001f600)", "u", std::string("AA\0\xc3\xa9\xf0\x9f\x98\x80", 9)},
           {R"(\d\q)", "", R"(\d\q)"},
           {"a\\\nb\\\r\nc\r\nd\re", "", "abc\nd\ne"},
           {R"(\n\x)", "r", R"(\n\x)"},
           {R"(\xff\377\u0041)", "b", "\xff\xff\\u0041"},
           {"\xc3\xa9\xff", "", "\xc3\xa9\xef\xbf\xbd"},
           {R"(\ud800)", "", "\xef\xbf\xbd"},
           {"{{a}}\\n", "f", "{a}\n"},
           {"{{", "", "{{"},
           {R"(\N{EM DASH}!)", "", R"(\N{EM DASH}!)"},
           {R"(a\x4z)", "", "az<11-14: `\\x` takes 2 hexadecimal digits>"},
           {R"(\u12)", "", "<10-14: `\\u` takes 4 hexadecimal digits>"},
           {R"(\U00110000)", "", "<10-20: no character has this code point>"},
           {R"(\N)", "", "<10-12: `\\N` takes a character's name in braces>"},
           {"a\xc3\xa9", "b", "a\xc3\xa9<11-13: bytes hold ASCII characters and escapes only>"}}) {
    EXPECT_EQ(decoded(c.body, c.prefix), c.expected) << c.body;
  }
}

}  // namespace
}  // namespace peri::syntax
