#include "diag/diag.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "diag/utf8.h"

namespace peri::diag {
namespace {

// One source and its diagnostics; `at("x")` is the span of the first "x".
struct Fixture {
  explicit Fixture(std::string text, std::string name = "k.py")
      : source(sources.add(std::move(name), std::move(text))), diags(sources) {}

  Span at(std::string_view part) const {
    auto begin = static_cast<u32>(sources.text(source).find(part));
    return {source, begin, begin + static_cast<u32>(part.size())};
  }

  Sources sources;
  SourceId source;
  Diags diags;
};

TEST(Sources, PlacesCountLinesAndCodePoints) {
  Fixture f("ab\r\nc\rd\xc3\xa9x\n\xff!");
  struct Case {
    u32 offset;
    i64 line, column;
  };
  for (Case c : std::initializer_list<Case>{{0, 1, 1},
                                            {2, 1, 3},
                                            {4, 2, 1},
                                            {6, 3, 1},
                                            {9, 3, 3},
                                            {11, 4, 1},
                                            {12, 4, 2},
                                            {99, 4, 3}}) {
    Sources::Place p = f.sources.place(f.source, c.offset);
    EXPECT_EQ(p.line, c.line) << c.offset;
    EXPECT_EQ(p.column, c.column) << c.offset;
  }
  EXPECT_EQ(f.sources.line_text(f.source, 1), "ab");
  EXPECT_EQ(f.sources.line_text(f.source, 2), "c");
  EXPECT_EQ(f.sources.line_text(f.source, 4), "\xff!");
  EXPECT_EQ(f.sources.line_text(f.source, 5), "");
  EXPECT_EQ(f.sources.snippet({f.source, 11, 999}), "\xff!");
  EXPECT_EQ(f.sources.snippet({}), "");
}

TEST(Diags, KeepsTheFirstErrorsAndCountsTheRest) {
  Fixture f("x");
  for (int i = 0; i < 25; ++i) f.diags.error(Kind::UnknownName, f.at("x"), "no `x`").hint = "h";
  f.diags.warning(Kind::NotYet, {}, "later");
  EXPECT_EQ(f.diags.error_count(), 25);
  EXPECT_EQ(f.diags.all().size(), 21);
  EXPECT_THAT(render_text(f.diags),
              testing::EndsWith("warning[not-yet]: later\n\n5 more errors\n"));
}

TEST(Diags, EveryKindHasACodeAndADoc) {
  EXPECT_EQ(code_of(Kind::SyntaxError), "syntax-error");
  EXPECT_EQ(doc_of(Kind::UnknownKernel), "the file has no kernel of that name");
}

TEST(Render, CaretLabelsAndHint) {
  Fixture f("def f():\n    acc = acc + row[tile_n]\n");
  Diagnostic& d = f.diags.error(Kind::SyntaxError, f.at("+"), "`+` on tiles of different extent");
  u32 acc = f.at("acc +").begin;
  d.labels.push_back({{f.source, acc, acc + 3}, "tile [tile_m]"});
  d.labels.push_back({f.at("row[tile_n]"), "tile [tile_n]"});
  d.notes.push_back("both are device tensors");
  d.hint = "reduce `row` over `tile_n` first";
  EXPECT_EQ(render_text(f.diags), R"(error[syntax-error]: `+` on tiles of different extent
  k.py:2:15
   2 |     acc = acc + row[tile_n]
     |           --- ^ ----------- tile [tile_n]
     |           tile [tile_m]
note: both are device tensors
hint: reduce `row` over `tile_n` first
)");
}

TEST(Render, SeveralLabelsBelowEachOther) {
  Fixture f("a + b + c\n");
  Diagnostic& d = f.diags.error(Kind::SyntaxError, f.at("c"), "m");
  d.labels.push_back({f.at("a"), "first"});
  d.labels.push_back({f.at("b"), "second"});
  d.labels.push_back({f.at("a + b"), "sum"});
  EXPECT_EQ(render_text(f.diags), R"(error[syntax-error]: m
  k.py:1:9
   1 | a + b + c
     | -----   ^
     | |   second
     | first
     | sum
)");
}

TEST(Render, LabelsOnOtherLinesAndInOtherFiles) {
  Fixture f("one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\n");
  SourceId other = f.sources.add("lib.py", "def g(): pass\n");
  Diagnostic& d = f.diags.warning(Kind::NotYet, f.at("three"), "m");
  d.labels.push_back({f.at("ten"), "last"});
  d.labels.push_back({{other, 4, 5}, "`g` is here"});
  d.labels.push_back({f.at("two"), "before"});
  d.labels.push_back({{}, "nowhere"});
  EXPECT_EQ(render_text(f.diags), R"(warning[not-yet]: m
  k.py:3:1
    2 | two
      | --- before
    3 | three
      | ^^^^^
     ...
   10 | ten
      | --- last
  lib.py:1:5
    1 | def g(): pass
      |     - `g` is here
note: nowhere
)");
}

struct LineCase {
  const char* name;
  std::string text;
  u32 begin, end;
  const char* expected;  // what follows the header line
};

class RenderLine : public testing::TestWithParam<LineCase> {};

TEST_P(RenderLine, IsSane) {
  const LineCase& c = GetParam();
  Fixture f(c.text);
  f.diags.error(Kind::SyntaxError, {f.source, c.begin, c.end}, "m");
  EXPECT_EQ(render_text(f.diags), std::string("error[syntax-error]: m\n") + c.expected);
}

INSTANTIATE_TEST_SUITE_P(
    Lines, RenderLine,
    testing::Values(
        LineCase{"tabs", "\tx\ty z", 3, 4, "  k.py:1:4\n   1 |     x   y z\n     |         ^\n"},
        LineCase{"wide", "\xe6\xbc\xa2 = \xc3\xa9 + 1", 6, 8,
                 "  k.py:1:5\n   1 | \xe6\xbc\xa2 = \xc3\xa9 + 1\n     |      ^\n"},
        LineCase{"multi_line", "f(a,\n  b)\n", 0, 9, "  k.py:1:1\n   1 | f(a,\n     | ^^^^\n"},
        LineCase{"at_newline", "ab\ncd", 2, 3, "  k.py:1:3\n   1 | ab\n     |   ^\n"},
        LineCase{"at_end", "ab", 2, 2, "  k.py:1:3\n   1 | ab\n     |   ^\n"},
        LineCase{"after_last_newline", "ab\n", 3, 3, "  k.py:2:1\n   2 |\n     | ^\n"},
        LineCase{"empty_text", "", 0, 0, "  k.py:1:1\n   1 |\n     | ^\n"},
        LineCase{"past_the_end", "ab", 70, 90, "  k.py:1:3\n   1 | ab\n     |   ^\n"},
        LineCase{"reversed", "abcd", 2, 1, "  k.py:1:3\n   1 | abcd\n     |   ^\n"},
        LineCase{"control_and_bad_bytes", std::string("a\0\x1b\xff z", 6), 5, 6,
                 "  k.py:1:6\n   1 | a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd z\n     |      ^\n"}),
    [](const auto& info) { return info.param.name; });

TEST(Render, ClipsLongLines) {
  std::string text = std::string(500, 'a') + "X" + std::string(500, 'b');
  Fixture f(text);
  f.diags.error(Kind::SyntaxError, f.at("X"), "m").labels.push_back({f.at("aa"), "far"});
  EXPECT_EQ(render_text(f.diags), "error[syntax-error]: m\n  k.py:1:501\n   1 | ..." +
                                      std::string(60, 'a') + "X" + std::string(59, 'b') +
                                      "...\n     | -" + std::string(62, ' ') + "^\n     | far\n");
}

TEST(Render, WithoutAPlace) {
  Fixture f("");
  f.diags.error(Kind::FileNotFound, {}, "no file `a\x1b[31m`").hint = "check the path";
  EXPECT_EQ(render_text(f.diags),
            "error[file-not-found]: no file `a\xef\xbf\xbd[31m`\nhint: check the path\n");
}

TEST(Render, Json) {
  Fixture f("a +\n b\n", "bad\xffname.py");
  Diagnostic& d = f.diags.error(Kind::SyntaxError, f.at("+\n b"), "m");
  d.labels.push_back({f.at("a"), "left"});
  d.notes.push_back("n");
  d.hint = "h";
  f.diags.warning(Kind::NotYet, {}, "w");
  nlohmann::json all = nlohmann::json::parse(render_json(f.diags));
  ASSERT_EQ(all.size(), 2);
  EXPECT_EQ(all[0], nlohmann::json::parse(R"({
    "code": "syntax-error", "severity": "error", "message": "m", "file": "bad\ufffdname.py",
    "line": 1, "column": 3, "end_line": 2, "end_column": 3, "notes": ["n"], "hint": "h",
    "labels": [{"message": "left", "file": "bad\ufffdname.py", "line": 1, "column": 1,
                "end_line": 1, "end_column": 2}]})"));
  EXPECT_FALSE(all[1].contains("line"));
}

TEST(Nearest, ByEditDistance) {
  std::vector<std::string> names = {"block_sizes", "num_warps", "num_stages", "x"};
  struct Case {
    std::string word, expected;
  };
  for (const Case& c : std::initializer_list<Case>{{"block_size", "block_sizes"},
                                                   {"num_wraps", "num_warps"},
                                                   {"num_stage", "num_stages"},
                                                   {"block_sizes", "block_sizes"},
                                                   {"colour", ""},
                                                   {"y", ""},
                                                   {"", ""},
                                                   {std::string(5000, 'n'), ""}}) {
    EXPECT_EQ(nearest(c.word, names), c.expected) << c.word;
  }
}

TEST(Utf8, DecodesAnyBytes) {
  struct Case {
    std::string_view bytes;
    u32 value, size;
    bool valid;
  };
  for (const Case& c : std::initializer_list<Case>{{"a", 'a', 1, true},
                                                   {"\xc3\xa9", 0xe9, 2, true},
                                                   {"\xe6\xbc\xa2", 0x6f22, 3, true},
                                                   {"\xf0\x9f\x98\x80", 0x1f600, 4, true},
                                                   {"\xc0\x80", kReplacement, 1, false},
                                                   {"\xe0\x80\x80", kReplacement, 1, false},
                                                   {"\xed\xa0\x80", kReplacement, 1, false},
                                                   {"\xf4\x90\x80\x80", kReplacement, 1, false},
                                                   {"\xc3", kReplacement, 1, false},
                                                   {"\xff", kReplacement, 1, false}}) {
    CodePoint p = decode_utf8(c.bytes);
    EXPECT_EQ(p.value, c.value);
    EXPECT_EQ(p.size, c.size);
    EXPECT_EQ(p.valid, c.valid);
    std::string back;
    if (c.valid) append_utf8(back, p.value);
    EXPECT_EQ(back, c.valid ? c.bytes : "");
  }
}

}  // namespace
}  // namespace peri::diag
