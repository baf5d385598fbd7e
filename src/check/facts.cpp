// What is known about host scalars: equalities from asserts and guards, and the arguments at hand.
#include <algorithm>

#include "check/checker.h"

namespace peri::check {
namespace {

bool mentions(Sym sym, SymbolId id) {
  bool found = false;
  for_each_symbol(sym, [&](SymbolId other) { found = found || other == id; });
  return found;
}

// Factors of a product of integers, constants multiplied together.
struct Factors {
  i64 constant = 1;
  std::vector<Sym> others;

  void add(Sym sym) {
    i64 product = 0;
    const std::optional<i64> value = sym.as_int();
    if (value && !__builtin_mul_overflow(constant, *value, &product)) {
      constant = product;
    } else if (sym.kind() == SymKind::Mul) {
      add(sym.operand(0));
      add(sym.operand(1));
    } else {
      others.push_back(sym);
    }
  }
};

}  // namespace

bool Checker::depends_on_config(Sym sym) {
  bool found = false;
  for_each_symbol(sym, [&](SymbolId id) {
    const SymbolOrigin origin = syms.symbol(id).origin;
    found = found || origin == SymbolOrigin::Block || origin == SymbolOrigin::Tunable;
  });
  return found;
}

// With every symbol that equals something replaced by it.
Sym Checker::replace_symbols(Sym sym) {
  if (sym.is_const() || equal_.empty()) return sym;
  constexpr i64 kRounds = 8;  // chains of equalities are short, and cannot be cycles
  for (i64 round = 0; round < kRounds; ++round) {
    const Sym next = syms.substitute(sym, [&](SymbolId id) {
      const auto it = equal_.find(id.index);
      return it == equal_.end() ? syms.symbol_sym(id) : it->second;
    });
    if (next == sym) break;
    sym = next;
  }
  return sym;
}

Sym Checker::canon(Sym sym) {
  if (!sym) return sym;
  sym = replace_symbols(sym);
  for (const auto& [from, to] : equal_pairs_) {
    if (sym == replace_symbols(from)) sym = replace_symbols(to);
  }
  return sym;
}

std::optional<i64> Checker::constant(Sym sym) { return sym ? canon(sym).as_int() : std::nullopt; }

std::optional<i64> Checker::hint(Sym sym) {
  const std::optional<SymValue> value = syms.hint(sym);
  if (!value || value->type != SymType::Int) return std::nullopt;
  return value->integer;
}

bool Checker::equal(Sym a, Sym b) { return canon(a) == canon(b); }

void Checker::unify(Sym a, Sym b) {
  a = canon(a);
  b = canon(b);
  if (a == b || (a.is_const() && b.is_const())) return;
  const auto replaceable = [&](Sym sym, Sym by) {
    if (sym.kind() != SymKind::Symbol || mentions(by, sym->symbol)) return false;
    return !depends_on_config(sym);
  };
  const bool later = a.kind() == SymKind::Symbol && b.kind() == SymKind::Symbol &&
                     a->symbol.index < b->symbol.index;
  if (later) std::swap(a, b);
  if (replaceable(a, b)) {
    equal_[a->symbol.index] = b;
  } else if (replaceable(b, a)) {
    equal_[b->symbol.index] = a;
  } else if (!solve(a, b) && !solve(b, a)) {
    if (a.is_const()) std::swap(a, b);
    equal_pairs_.emplace_back(a, b);  // `a` is written as `b` from now on
  }
}

// From `s - 32 == 32` to `s == 64`: sums of one symbol with a constant.
bool Checker::solve(Sym sum, Sym value) {
  if (!value.is_const() || (sum.kind() != SymKind::Add && sum.kind() != SymKind::Sub)) return false;
  const Sym a = sum.operand(0), b = sum.operand(1);
  const bool add = sum.kind() == SymKind::Add;
  if (b.is_const()) {
    unify(a, syms.make(add ? SymKind::Sub : SymKind::Add, value, b));
  } else if (a.is_const()) {
    unify(b, add ? syms.sub(value, a) : syms.sub(a, value));
  } else {
    return false;
  }
  return true;
}

void Checker::unify_condition(Sym condition) {
  if (condition.kind() == SymKind::And) {
    unify_condition(condition.operand(0));
    unify_condition(condition.operand(1));
  } else if (condition.kind() == SymKind::Eq) {
    unify(condition.operand(0), condition.operand(1));
  } else if (condition.kind() == SymKind::Symbol) {
    unify(condition, syms.boolean(true));
  }
}

bool Checker::assume_equal(Sym a, Sym b) {
  if (equal(a, b)) return true;
  if (depends_on_config(a) || depends_on_config(b)) return false;
  const std::optional<i64> left = hint(a), right = hint(b);
  if (!left || !right || *left != *right || (canon(a).is_const() && canon(b).is_const())) {
    return false;
  }
  kernel.guards.push_back({a, b});
  unify(a, b);
  return true;
}

bool Checker::assume_true(Sym condition) {
  const Sym sym = canon(condition);
  const std::optional<SymValue> value = syms.hint(sym);
  const bool holds = value && value->integer != 0;
  if (sym.is_const()) return holds;
  kernel.guards.push_back({condition, syms.boolean(holds)});
  if (holds) unify_condition(sym);
  if (sym.kind() == SymKind::Symbol) unify(sym, syms.boolean(holds));
  return holds;
}

Sym Checker::product(std::span<const Sym> factors) { return canon(syms.product(factors)); }

Sym Checker::divide(std::span<const Sym> factors, std::span<const Sym> divisors) {
  Factors top, bottom;
  for (Sym f : factors) top.add(canon(f));
  for (Sym d : divisors) bottom.add(canon(d));
  std::vector<Sym> left;
  for (Sym d : bottom.others) {
    const auto it = std::ranges::find(top.others, d);
    if (it == top.others.end()) {
      left.push_back(d);
    } else {
      top.others.erase(it);
    }
  }
  if (bottom.constant != 0 && top.constant % bottom.constant == 0) {
    top.constant /= bottom.constant;
    bottom.constant = 1;
  }
  const Sym numerator = syms.mul(integer(top.constant), syms.product(top.others));
  const Sym denominator = syms.mul(integer(bottom.constant), syms.product(left));
  if (denominator.is_int(1)) return numerator;
  return syms.make(SymKind::FloorDiv, numerator, denominator);
}

}  // namespace peri::check
