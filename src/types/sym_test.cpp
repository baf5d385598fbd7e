#include "types/sym.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "types/sym_ops.h"

namespace peri {
namespace {

using enum SymKind;

constexpr i64 kMax = std::numeric_limits<i64>::max();
constexpr i64 kMin = std::numeric_limits<i64>::min();

class SymTest : public testing::Test {
 protected:
  Sym size(std::string name, i64 hint = 0) {
    return t.symbol_sym(t.add_symbol({.name = std::move(name), .hint = SymValue::of(hint)}));
  }
  Sym typed(std::string name, SymType type) {
    return t.symbol_sym(t.add_symbol({.name = std::move(name), .type = type}));
  }
  Sym i(i64 value) { return t.integer(value); }
  Sym f(double value) { return t.real(value); }
  Sym op(SymKind kind, Sym a, Sym b = {}, Sym c = {}) { return t.make(kind, a, b, c); }
  std::string text(Sym sym) { return t.print(sym); }

  SymTable t;
  Sym a = size("a", 7);
  Sym b = size("b", 3);
  Sym c = size("c", -2);
  Sym block = t.symbol_sym(
      t.add_symbol({.name = "B", .origin = SymbolOrigin::Block, .hint = SymValue::of(i64{16})}));
  Sym x = typed("x", SymType::Float);
  Sym p = typed("p", SymType::Bool);
  Sym q = typed("q", SymType::Bool);
};

TEST_F(SymTest, EqualExpressionsAreOneNode) {
  EXPECT_EQ(t.mul(a, b), t.mul(b, a));
  EXPECT_EQ(t.add(a, t.add(b, c)), t.add(t.add(c, a), b));
  EXPECT_EQ(t.mul(t.mul(a, b), c), t.mul(a, t.mul(c, b)));
  EXPECT_EQ(t.sub(t.add(a, b), b), a);
  EXPECT_EQ(t.sub(a, a), i(0));
  EXPECT_EQ(op(Neg, t.sub(a, b)), t.sub(b, a));
  EXPECT_EQ(t.add(a, a), t.mul(a, i(2)));
  EXPECT_EQ(t.mul(t.add(a, i(1)), i(4)), t.add(t.mul(i(4), a), i(4)));
  EXPECT_EQ(t.mul(t.add(a, b), c), t.mul(c, t.add(b, a)));
  EXPECT_EQ(op(Eq, a, b), op(Eq, b, a));
  EXPECT_EQ(op(Min, a, op(Min, b, c)), op(Min, op(Min, c, a), b));
  EXPECT_EQ(op(Add, x, f(2)), op(Add, f(2), x));
  EXPECT_EQ(t.product(std::vector{a, i(2), b}), t.mul(t.mul(b, i(2)), a));
  EXPECT_EQ(t.product({}), i(1));
  EXPECT_NE(t.sub(a, b), t.sub(b, a));
  EXPECT_NE(f(0.0), f(-0.0));
  EXPECT_EQ(f(NAN), f(NAN));
  EXPECT_NE(i(1), f(1));
}

TEST_F(SymTest, Identities) {
  EXPECT_EQ(t.mul(a, i(1)), a);
  EXPECT_EQ(t.add(i(0), a), a);
  EXPECT_EQ(t.mul(i(0), a), i(0));
  EXPECT_EQ(t.ceil_div(a, i(1)), a);
  EXPECT_EQ(op(FloorDiv, a, i(1)), a);
  EXPECT_EQ(op(Mod, a, i(1)), i(0));
  EXPECT_EQ(op(Max, a, a), a);
  EXPECT_EQ(op(Max, a, t.add(a, i(1))), t.add(a, i(1)));
  EXPECT_EQ(op(Min, op(Min, a, i(5)), i(3)), op(Min, a, i(3)));
  EXPECT_EQ(op(Pow, a, i(2)), t.mul(a, a));
  EXPECT_EQ(op(Shl, a, i(3)), t.mul(a, i(8)));
  EXPECT_EQ(op(Shr, a, i(3)), op(FloorDiv, a, i(8)));
  EXPECT_EQ(op(Not, op(Not, p)), p);
  EXPECT_EQ(op(Not, op(Lt, a, b)), op(Ge, a, b));
  EXPECT_EQ(op(Lt, a, t.add(a, i(1))), t.boolean(true));
  EXPECT_EQ(op(And, p, t.boolean(true)), p);
  EXPECT_EQ(op(Or, t.boolean(true), p), t.boolean(true));
  EXPECT_EQ(op(And, a, p), op(And, p, op(Ne, a, i(0))));
  EXPECT_EQ(op(Select, p, a, a), a);
  EXPECT_EQ(op(Select, t.boolean(false), a, b), b);
  EXPECT_EQ(op(ToInt, op(ToFloat, a)), a);
  EXPECT_EQ(op(BitXor, a, a), i(0));
}

TEST_F(SymTest, DivisionTakesOutWhatDivides) {
  EXPECT_EQ(op(FloorDiv, t.mul(a, i(12)), i(4)), t.mul(a, i(3)));
  EXPECT_EQ(op(FloorDiv, t.add(t.mul(a, i(4)), b), i(4)), t.add(a, op(FloorDiv, b, i(4))));
  EXPECT_EQ(op(FloorDiv, t.add(t.mul(a, i(4)), i(7)), i(4)), t.add(a, i(1)));
  EXPECT_EQ(t.ceil_div(t.add(t.mul(a, i(4)), i(7)), i(4)), t.add(a, i(2)));
  EXPECT_EQ(op(FloorDiv, op(FloorDiv, a, i(3)), i(4)), op(FloorDiv, a, i(12)));
  EXPECT_EQ(op(Mod, t.add(t.mul(a, i(8)), b), i(4)), op(Mod, b, i(4)));
  EXPECT_EQ(op(Mod, t.add(b, i(9)), i(4)), op(Mod, t.add(b, i(1)), i(4)));
  EXPECT_EQ(t.ceil_div(t.mul(block, a), block), a);
  EXPECT_EQ(t.ceil_div(block, block), i(1));
  EXPECT_EQ(op(Mod, t.mul(a, block), block), i(0));
  EXPECT_NE(t.ceil_div(a, a), i(1));  // a may be 0
}

TEST_F(SymTest, FoldsAsPython) {
  EXPECT_EQ(op(FloorDiv, i(-7), i(2)), i(-4));
  EXPECT_EQ(op(Mod, i(-7), i(3)), i(2));
  EXPECT_EQ(op(Mod, i(7), i(-3)), i(-2));
  EXPECT_EQ(t.ceil_div(i(-7), i(2)), i(-3));
  EXPECT_EQ(op(TrueDiv, i(7), i(2)), f(3.5));
  EXPECT_EQ(op(Add, i(1), f(0.5)), f(1.5));
  EXPECT_EQ(op(Add, t.boolean(true), t.boolean(true)), i(2));
  EXPECT_EQ(op(Pow, i(2), i(-1)), f(0.5));
  EXPECT_EQ(op(Pow, i(-3), i(3)), i(-27));
  EXPECT_EQ(op(Shr, i(-5), i(1)), i(-3));
  EXPECT_EQ(op(Shr, i(-5), i(200)), i(-1));
  EXPECT_EQ(op(ToInt, f(-2.7)), i(-2));
  EXPECT_EQ(op(Floor, f(-2.7)), i(-3));
  EXPECT_EQ(op(Ceil, f(2.1)), i(3));
  EXPECT_EQ(op(FloorDiv, f(-7.5), f(2)), f(-4.0));
  EXPECT_EQ(op(Mod, f(-7.5), f(2)), f(0.5));
  EXPECT_EQ(op(Mod, f(5), f(-5)), f(-0.0));
  EXPECT_EQ(op(Lt, i(2), f(2.5)), t.boolean(true));
  EXPECT_EQ(op(BitAnd, t.boolean(true), t.boolean(false)), t.boolean(false));
  EXPECT_EQ(op(BitAnd, i(6), i(3)), i(2));
  EXPECT_EQ(op(BitNot, i(5)), i(-6));
  EXPECT_EQ(op(NextPow2, i(0)), i(1));
  EXPECT_EQ(op(NextPow2, i(65)), i(128));
  EXPECT_EQ(op(Sqrt, i(9)), f(3.0));
  EXPECT_EQ(op(Log2, i(8)), f(3.0));
  EXPECT_EQ(op(Pow, i(-1), i(kMax)), i(-1));
  EXPECT_EQ(op(Shl, i(-1), i(63)), i(kMin));
}

TEST_F(SymTest, OverflowAndErrorsStayUnfolded) {
  const Sym kinds[] = {
      t.add(i(kMax), i(1)),
      t.mul(i(kMax), i(2)),
      op(Neg, i(kMin)),
      op(FloorDiv, i(kMin), i(-1)),
      op(FloorDiv, i(1), i(0)),
      op(Mod, i(1), i(0)),
      op(TrueDiv, i(1), i(0)),
      op(Shl, i(1), i(63)),
      op(Shl, i(1), i(-1)),
      op(Pow, i(10), i(30)),
      op(Sqrt, i(-1)),
      op(Log, i(0)),
      op(ToInt, f(1e300)),
      op(ToInt, f(NAN)),
      op(NextPow2, i(kMax)),
      op(Abs, i(kMin)),
      op(Exp, f(1000)),
      op(Pow, f(0), f(-1)),
      op(Pow, f(-2), f(0.5)),
      op(Sub, i(0), i(kMin)),
      t.ceil_div(i(kMin), i(-1)),
  };
  for (Sym sym : kinds) {
    EXPECT_FALSE(sym.is_const()) << text(sym);
    EXPECT_FALSE(t.hint(sym)) << text(sym);
  }
  EXPECT_EQ(t.hint(t.add(a, t.sub(i(kMax), a))), SymValue::of(kMax));
  EXPECT_FALSE(t.hint(t.mul(t.add(a, i(kMax)), i(2))));
  EXPECT_EQ(t.hint(t.add(t.mul(a, i(kMin)), t.mul(a, i(kMin)))), std::nullopt);
}

TEST_F(SymTest, EvaluatesWhatIsNeeded) {
  EXPECT_EQ(t.hint(t.sub(t.mul(a, b), c)), SymValue::of(i64{23}));
  EXPECT_EQ(t.hint(op(TrueDiv, a, i(2))), SymValue::of(3.5));
  const Sym bad = op(Gt, op(FloorDiv, a, i(0)), b);
  EXPECT_EQ(t.hint(bad), std::nullopt);
  EXPECT_EQ(t.hint(op(And, op(Gt, c, i(0)), bad)), SymValue::of_bool(false));
  EXPECT_EQ(t.hint(op(Or, bad, op(Lt, c, i(0)))), SymValue::of_bool(true));
  EXPECT_EQ(t.hint(op(Select, op(Lt, c, i(0)), a, op(Mod, a, i(0)))), SymValue::of(i64{7}));
  const auto none = [](SymbolId) { return std::optional<SymValue>(); };
  EXPECT_EQ(t.evaluate(a, none), std::nullopt);
  EXPECT_EQ(t.evaluate(i(3), none), SymValue::of(i64{3}));
  const auto three = [](SymbolId) { return std::optional(SymValue::of(i64{3})); };
  EXPECT_EQ(t.evaluate(x, three), SymValue::of(3.0));
  EXPECT_EQ(t.evaluate(p, three), SymValue::of_bool(true));
}

TEST_F(SymTest, SharedAndDeepExpressionsTakeLinearTime) {
  Sym sym = a;
  for (int n = 0; n < 20000; ++n) sym = op(BitXor, op(Min, sym, op(NextPow2, sym)), b);
  EXPECT_TRUE(t.hint(sym).has_value());
  EXPECT_TRUE(t.substitute(sym, [&](SymbolId) { return i(1); }).is_const());
  EXPECT_LT(text(sym).size(), 100000U);
  i64 count = 0;
  for_each_symbol(sym, [&](SymbolId) { ++count; });
  EXPECT_EQ(count, 2);
  Sym sum = i(0);
  for (int n = 0; n < 3000; ++n) sum = t.add(sum, size("s", 1));
  EXPECT_EQ(t.hint(sum), SymValue::of(i64{3000}));
}

TEST_F(SymTest, SubstitutesAcrossTables) {
  SymTable other;
  const Sym m = other.symbol_sym(other.add_symbol({.name = "m"}));
  const Sym sym = t.ceil_div(t.add(a, b), i(4));
  const Sym moved =
      other.substitute(sym, [&](SymbolId id) { return id == a->symbol ? m : other.integer(6); });
  EXPECT_EQ(moved, other.ceil_div(other.add(m, other.integer(6)), other.integer(4)));
  EXPECT_EQ(t.substitute(sym, [&](SymbolId) { return i(5); }), i(3));
}

TEST_F(SymTest, Prints) {
  EXPECT_EQ(text(i(4096)), "4096");
  EXPECT_EQ(text(t.ceil_div(a, block)), "ceildiv(a, B)");
  EXPECT_EQ(text(t.add(t.sub(t.mul(a, i(2)), b), i(-3))), "a*2 - b - 3");
  EXPECT_EQ(text(t.sub(i(5), a)), "5 - a");
  EXPECT_EQ(text(op(Neg, a)), "-a");
  EXPECT_EQ(text(t.mul(t.add(a, b), c)), "c*(a + b)");
  EXPECT_EQ(text(op(FloorDiv, a, op(FloorDiv, b, c))), "a // (b // c)");
  EXPECT_EQ(text(op(Mul, x, f(2))), "x*2.0");
  EXPECT_EQ(text(op(Select, op(Lt, a, b), a, op(Max, b, i(1)))), "a if a < b else max(b, 1)");
  EXPECT_EQ(text(op(And, op(Not, p), op(Or, p, op(Eq, a, b)))), "not p and (p or a == b)");
  EXPECT_EQ(text(op(Pow, op(Neg, x), op(Pow, x, x))), "(-x)**x**x");
  EXPECT_EQ(text(t.boolean(true)), "True");
  EXPECT_EQ(text(op(TrueDiv, a, b)), "float(a) / float(b)");
  EXPECT_EQ(text(Sym()), "none");
}

// Every integer operation on a grid of small values agrees with folding after substitution.
TEST_F(SymTest, FoldingKeepsValues) {
  constexpr SymKind kKinds[] = {Add, Sub,    Mul,   FloorDiv, Mod, Min, Max, CeilDiv, Shl, Shr,
                                Pow, BitAnd, BitOr, BitXor,   Eq,  Ne,  Lt,  Le,      Gt,  Ge};
  u64 state = 1;
  const auto random = [&](u64 n) {
    state = state * 6364136223846793005 + 1442695040888963407;
    return (state >> 33) % n;
  };
  for (int round = 0; round < 3000; ++round) {
    std::vector<Sym> pool{a, b, c, block, i(static_cast<i64>(random(9)) - 4), i(4)};
    std::vector<std::optional<i64>> values{7, 3, -2, 16, pool[4].as_int(), 4};
    for (int step = 0; step < 6; ++step) {
      const u64 l = random(pool.size()), r = random(pool.size());
      const SymKind kind = kKinds[random(std::size(kKinds))];
      if (!values[l] || !values[r] || (kind == Pow && *values[r] < 0)) continue;
      const auto expected = apply(kind, SymValue::of(*values[l]), SymValue::of(*values[r]));
      if (!expected) continue;
      const Sym made = op(kind, pool[l], pool[r]);
      const auto got = t.hint(made);
      if (got) EXPECT_EQ(*got, *expected) << text(made);
      if (made.type() == SymType::Int && got) {
        pool.push_back(made);
        values.push_back(got->integer);
      }
    }
  }
}

}  // namespace
}  // namespace peri
