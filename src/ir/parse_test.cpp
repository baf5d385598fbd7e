#include "ir/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include "ir/text.h"

namespace peri::ir {
namespace {

struct Parsed {
  std::optional<Kernel> kernel;
  std::string errors;
};

Parsed parse_text(std::string text) {
  diag::Sources sources;
  diag::Diags diags(sources);
  auto kernel = parse(sources.add("k.ir", std::move(text)), diags);
  return {std::move(kernel), diag::render_text(diags)};
}

void expect_same(const std::string& text) {
  Parsed parsed = parse_text(text);
  ASSERT_TRUE(parsed.kernel) << parsed.errors << text;
  EXPECT_EQ(print(*parsed.kernel), text);
}

TEST(Parse, ReadsTables) {
  expect_same(R"(kernel "odd name\x0a\""
  symbol @b0: int = block of b0 hint 16
  symbol @n: int = arg_size leaf 0 dim 1 hint 4096
  symbol @#2 "s p": float = arg_value leaf 2 hint -0.5
  symbol @flag: bool = arg_value leaf 3 hint true
  symbol @#4 "t": int = tunable leaf 0 hint 4
  symbol @#5 "t": int = tunable leaf 1 hint -4
  tensor #0 "x": f32[@n, 40] strides [40, 1] slot 0
  tensor #1 "x": bf16[add(mul(@n, 2), 1), max(@n, 1)] strides [-1, 0] slot 3 base 0
  tensor out: i64[] strides [] slot 1 base 2 aligned
  block b0 "tile_n": tile size=@b0 in 0..@n loop 0
  block b1 "": grid size=1 in ..ceildiv(@n, 3) step -2 parent b0
  block b2 "r": registered size=@b0 min 8 max 64
  block b3 "k": tile size=4 in 0.. min 2
  root (b0, b1) {
    %3: f64 = host_scalar select(@flag, float(@n), mul(@#2, 2.5))
    %7: i64 = block_size b2
    %4 row: f32[b0:@b0, 40] = load #0[b0, :40]
    store %7, out[]
  }
  root (b1) {
  }
)");
}

TEST(Parse, ReadsOps) {
  expect_same(R"(kernel k
  tensor x: f32[64, 40] strides [40, 1]
  block b0 "t": tile size=16 in 0..64
  block b1 "u": tile size=8
  root (b0) {
    %0 x: f32[b0:16, 40] = load x[b0, :40]
    %1: i64[b0:16] = tile_index b0
    %2: i64 = tile_begin b0
    %3: f32[b0:16, 40, 1] = load x[gather %1, %2:40, newaxis]
    %4: f32[40, b0:16] = permute %0, [1, 0]
    %5: f32[b0:16, 16] = load x[b0, %2:16]
    %6: f32[b0:16, b0:16] = dot %0, %4
    %7: f32[b0:16, b0:16] = dot %0, %4, %6
    %8: bool[b0:16, 40] = gt %0, %0
    %9: f32[b0:16, 40] = load x[b0+%2, :40] where %8
    %10: i64[40] = iota
    %11 "nom d'été": f32[b0:16] = sum %9, [1]
    %12: f32[b0:16, 1] = unsqueeze %11, [1]
    %13: f32[b0:16, 40] = expand %12
    %14: f32 = load x[%2, %2]
    %15: bool = eq %2, %2
    %18 a: f32, %19: f32[b0:16] = for (b1 in %2..%2) carry (%16: f32 = %14, %17: f32[b0:16] = %11) {
      %20: i64 = tile_id b1
      %22: f32 = if %15 {
        %21: f32 = neg %16
        yield %21
      } else {
        yield %16
      }
      yield %22, %17
    }
    if %15 {
      store %0, x[b0, :40]
    }
    for (b1 in %2..%2) {
    }
    store %13, x[b0, :40] where %8
  }
)");
}

TEST(Parse, KeepsConstantsExactly) {
  auto round_trip = [](SymValue value) {
    std::string type = value.type == SymType::Float ? "f64"
                       : value.type == SymType::Int ? "i64"
                                                    : "bool";
    Parsed parsed =
        parse_text("kernel k root () { %0: " + type + " = const " + value_text(value) + " }");
    EXPECT_TRUE(parsed.kernel) << parsed.errors;
    return parsed.kernel ? parsed.kernel->ops[0].attrs.constant : SymValue();
  };
  using Limits = std::numeric_limits<double>;
  for (double value : {0.0, -0.0, 1.0, 0.1, -1e300, 1e30, Limits::denorm_min(), Limits::min(),
                       Limits::max(), 4.0 / 3, Limits::infinity(), -Limits::infinity()}) {
    SymValue back = round_trip(SymValue::of(value));
    EXPECT_EQ(std::bit_cast<u64>(back.real), std::bit_cast<u64>(value)) << value;
    EXPECT_EQ(back.type, SymType::Float);
  }
  EXPECT_TRUE(std::isnan(round_trip(SymValue::of(Limits::quiet_NaN())).real));
  EXPECT_TRUE(std::signbit(round_trip(SymValue::of(-Limits::quiet_NaN())).real));
  for (i64 value : {i64{0}, i64{-7}, INT64_MAX, INT64_MIN}) {
    EXPECT_EQ(round_trip(SymValue::of(value)), SymValue::of(value));
  }
  EXPECT_EQ(round_trip(SymValue::of_bool(true)), SymValue::of_bool(true));
}

// Operands of sums stand in the order in which the table saw them first.
TEST(Parse, KeepsTheOrderOfExpressions) {
  Kernel kernel;
  kernel.name = "k";
  kernel.syms = std::make_shared<SymTable>();
  SymTable& syms = *kernel.syms;
  Sym a = syms.symbol_sym(syms.add_symbol({.name = "a"}));
  SymbolId late = syms.add_symbol({.name = "b"});
  Sym c = syms.symbol_sym(syms.add_symbol({.name = "c"}));
  Sym b = syms.symbol_sym(late);
  Sym quotient = syms.make(SymKind::FloorDiv, b, c);
  Sym sum = syms.add(syms.mul(a, b), syms.add(c, quotient));
  kernel.tensors.push_back({.name = "t", .sizes = {b, sum, a}, .strides = {a, b, c}});
  std::string text = print(kernel);
  EXPECT_THAT(text, testing::HasSubstr("  order [@a, @c, @b, "));
  expect_same(text);
}

TEST(Parse, SkipsCommentsAndBlanks) {
  Parsed parsed = parse_text("// a test\nkernel\tk // here\r\nroot(){}");
  ASSERT_TRUE(parsed.kernel) << parsed.errors;
  EXPECT_EQ(print(*parsed.kernel), "kernel k\n  root () {\n  }\n");
}

TEST(Parse, GivesOpsTheirPlace) {
  Parsed parsed = parse_text("kernel k root () { %0: i64 = const 4 }");
  ASSERT_TRUE(parsed.kernel);
  EXPECT_EQ(parsed.kernel->ops[0].span.begin, 19);
  EXPECT_EQ(parsed.kernel->ops[0].span.end, 36);
}

// --- errors

TEST(ParseErrors, NameThePlaceAndWhatWasExpected) {
  EXPECT_EQ(parse_text("kernel k\nroot (b0) {\n  %0: f33 = const 1\n}").errors,
            "error[ir-syntax]: expected an element type, not `f33`\n"
            "  k.ir:3:7\n"
            "   3 |   %0: f33 = const 1\n"
            "     |       ^^^\n");
  EXPECT_EQ(parse_text("kernel k\nroot () {\n  %0: f32 = const 1\n}").errors,
            "error[ir-invalid]: %0 = `const`: 1 as f32\n"
            "  k.ir:3:3\n"
            "   3 |   %0: f32 = const 1\n"
            "     |   ^^^^^^^^^^^^^^^^^\n");
}

TEST(ParseErrors, AreExact) {
  struct Case {
    const char* text;
    const char* error;
  };
  for (const Case& c : {
           Case{"", "expected `kernel` before the end"},
           Case{"kernel", "expected a name before the end"},
           Case{"kernel k foo", "expected `symbol`, `tensor`, `block` or `root`, not `foo`"},
           Case{"kernel \"k", "a string that does not end"},
           Case{"kernel \"\\xg0\"", "`\\x` without two hexadecimal digits"},
           Case{"kernel k symbol @: int", "a symbol without name"},
           Case{"kernel k symbol @a: complex", "expected a type of host scalars, not `complex`"},
           Case{"kernel k symbol @a: int = foo", "expected an origin, not `foo`"},
           Case{"kernel k symbol @#3 \"a\"", "this is row 0"},
           Case{"kernel k symbol @a: int = tunable hint 0 symbol @a: int",
                "`@a` is declared twice"},
           Case{"kernel k tensor x: f32[1] strides [1] tensor x: f32", "`x` is declared twice"},
           Case{"kernel k tensor x: f32[@n]", "`@n` is not declared"},
           Case{"kernel k tensor x: f32[add(1)]", "`add` takes 2 operands"},
           Case{"kernel k tensor x: f32[shl(0.5, 1)]", "`shl` takes integers"},
           Case{"kernel k tensor x: f32[sum]", "expected a host scalar, not `sum`"},
           Case{"kernel k tensor x: f32[1.5] strides [1]",
                "tensor `x`: a size or stride is no integer"},
           Case{"kernel k block b1 \"x\"", "this is row 0"},
           Case{"kernel k block b0 \"x\": odd", "expected a kind of block, not `odd`"},
           Case{"kernel k root (x)", "expected a block, not `x`"},
           Case{"kernel k root () { foo }", "expected an operation, not `foo`"},
           Case{"kernel k root () { %0: i64 = const 12a4 }", "no number"},
           Case{"kernel k root () { %0: i64 = const 9223372036854775808 }",
                "a number out of range"},
           Case{"kernel k root () { %0: f64 = const 1e999 }", "a number out of range"},
           Case{"kernel k root () { %x: i64 = const 1 }", "no row number"},
           Case{"kernel k root () { %99999999999: i64 = const 1 }", "no row number"},
           Case{"kernel k root () { %70000: i64 = const 1 }",
                "a value number far beyond the number of values"},
           Case{"kernel k root () { %0: i64 = const 1 %0: i64 = const 1 }",
                "`%0` is defined twice"},
           Case{"kernel k root () { %0: i64 = add %1, %2 }", "%1 is not defined here"},
           Case{"kernel k root () { store %1, x[] }", "expected a tensor, not `x`"},
           Case{"kernel k root () { $ }", "no token starts like this"},
           Case{"kernel k root () { \xff }", "no token starts like this"},
           Case{"kernel k root () { yield %0 %1", "expected `}`, not `%1`"},
       }) {
    Parsed parsed = parse_text(c.text);
    EXPECT_FALSE(parsed.kernel) << c.text;
    EXPECT_THAT(parsed.errors, testing::HasSubstr(std::string(": ") + c.error + "\n")) << c.text;
  }
}

TEST(ParseErrors, BoundRecursion) {
  std::string calls, loops = "kernel k root () {";
  for (int i = 0; i < 100'000; ++i) {
    calls += "neg(";
    loops += "if %0 {";
  }
  EXPECT_THAT(parse_text("kernel k tensor x: f32[" + calls).errors,
              testing::HasSubstr("an expression nested too deeply"));
  EXPECT_THAT(parse_text(loops).errors, testing::HasSubstr("regions nested too deeply"));
}

// What the fuzzer has found or kept.
TEST(ParseErrors, SurviveTheFuzzCorpus) {
  namespace fs = std::filesystem;
  for (const auto& entry : fs::directory_iterator(PERI_SOURCE_DIR "/test/fuzz/ir")) {
    std::ifstream file(entry.path(), std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    Parsed parsed = parse_text(text.str());
    if (parsed.kernel) expect_same(print(*parsed.kernel));
  }
}

}  // namespace
}  // namespace peri::ir
