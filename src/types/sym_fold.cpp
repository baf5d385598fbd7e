// SymTable::make: coercion, folding and normal forms of host scalars.

#include <algorithm>
#include <array>
#include <utility>

#include "base/bug.h"
#include "types/sym.h"
#include "types/sym_linear.h"
#include "types/sym_ops.h"

namespace peri {

using enum SymKind;

// Builds one node of a table. `integer_*` work on operands of type Int and may return none, which
// means that nothing folds.
class SymFolder {
 public:
  explicit SymFolder(SymTable& table) : table_(table) {}
  Sym make(SymKind kind, Sym a, Sym b, Sym c);

 private:
  Sym raw(SymKind kind, SymType type, Sym a, Sym b = {}, Sym c = {});
  Sym raw_int(SymKind kind, Sym a, Sym b) { return raw(kind, SymType::Int, a, b); }
  // An Int node whose operands stand in the order of the normal form.
  Sym ordered(SymKind kind, Sym a, Sym b) {
    return table_.intern(
        {.kind = kind, .type = SymType::Int, .operands = {a.node(), b.node(), nullptr}});
  }
  Sym coerce(Sym sym, SymType type);
  Sym fold_constants(SymKind kind, Sym a, Sym b, Sym c);
  Sym select(Sym condition, Sym a, Sym b);
  Sym logic(SymKind kind, Sym a, Sym b);
  Sym negate(Sym a);
  Sym compare(SymKind kind, Sym a, Sym b);
  Sym bits(SymKind kind, Sym a, Sym b);
  Sym real(SymKind kind, Sym a, Sym b);
  Sym unary(SymKind kind, Sym a);

  Sym integer(SymKind kind, Sym a, Sym b);
  Sym integer_sum(Sym a, Sym b, i64 factor);
  Sym integer_product(Sym a, Sym b);
  Sym integer_multiply(const LinearTerm& a, const LinearTerm& b);
  Sym integer_divide(SymKind kind, Sym a, i64 divisor);
  Sym integer_divide_exactly(Sym a, Sym divisor);
  Sym integer_mod(Sym a, i64 divisor);
  Sym integer_power(Sym a, i64 exponent);
  Sym integer_extreme(SymKind kind, Sym a, Sym b);
  Sym integer_shift(SymKind kind, Sym a, i64 count);

  Sym build(const Linear& linear);
  Sym build(const std::optional<Linear>& linear) { return linear ? build(*linear) : Sym(); }
  Sym build_product(const Factors& factors);

  SymTable& table_;
};

namespace {

bool commutes(SymKind kind) {
  switch (kind) {
    case Add:
    case Mul:
    case BitAnd:
    case BitOr:
    case BitXor:
    case Eq:
    case Ne:
    case And:
    case Or:
    case Min:
    case Max:
      return true;
    default:
      return false;
  }
}

// Constants last, else by creation.
bool precedes(Sym a, Sym b) {
  return std::pair(a.is_const(), a->id) < std::pair(b.is_const(), b->id);
}

std::optional<i64> constant_difference(Sym a, Sym b) {
  const auto la = linear_of(a.node()), lb = linear_of(b.node());
  const auto difference = la && lb ? add_scaled(*la, *lb, -1) : std::nullopt;
  return difference && difference->is_const() ? std::optional(difference->constant) : std::nullopt;
}

SymKind opposite(SymKind comparison) {
  switch (comparison) {
    case Eq:
      return Ne;
    case Ne:
      return Eq;
    case Lt:
      return Ge;
    case Ge:
      return Lt;
    case Gt:
      return Le;
    default:
      return Gt;
  }
}

bool is_comparison(SymKind kind) { return kind >= Eq && kind <= Ge; }

// The operands of nested nodes of one kind: Min(Min(a, b), c) gives a, b, c.
std::vector<Sym> flatten(SymKind kind, Sym a, Sym b) {
  std::vector<Sym> result, work{b, a};
  while (!work.empty()) {
    const Sym sym = work.back();
    work.pop_back();
    const bool open = sym.kind() == kind && std::ssize(result) + std::ssize(work) < kMaxTerms;
    if (open) {
      work.insert(work.end(), {sym.operand(1), sym.operand(0)});
    } else {
      result.push_back(sym);
    }
  }
  return result;
}

}  // namespace

Sym SymFolder::raw(SymKind kind, SymType type, Sym a, Sym b, Sym c) {
  const bool ordered = type != SymType::Float || (kind != Min && kind != Max);
  if (commutes(kind) && ordered && precedes(b, a)) std::swap(a, b);
  return table_.intern({.kind = kind, .type = type, .operands = {a.node(), b.node(), c.node()}});
}

Sym SymFolder::coerce(Sym sym, SymType type) {
  if (sym.type() == type) return sym;
  if (sym.is_const()) return table_.constant(convert_value(sym->value, type));
  if (type == SymType::Float) return raw(ToFloat, SymType::Float, sym);
  if (type == SymType::Bool) {
    return make(Ne, sym, table_.constant(convert_value(SymValue::of(i64{0}), sym.type())), {});
  }
  BUG_IF(sym.type() == SymType::Float, "a float operand where an integer is needed");
  return raw(ToInt, SymType::Int, sym);
}

Sym SymFolder::fold_constants(SymKind kind, Sym a, Sym b, Sym c) {
  for (Sym operand : {a, b, c}) {
    if (operand && !operand.is_const()) return {};
  }
  const auto value = [](Sym sym) { return sym ? sym->value : SymValue{}; };
  const auto result = apply(kind, value(a), value(b), value(c));
  return result ? table_.constant(*result) : Sym();
}

Sym SymFolder::make(SymKind kind, Sym a, Sym b, Sym c) {
  const i64 arity = arity_of(kind);
  BUG_IF(arity != (a ? 1 : 0) + (b ? 1 : 0) + (c ? 1 : 0), "operand count of sym kind {}",
         static_cast<int>(kind));
  const auto type = [](Sym sym) { return sym ? sym.type() : SymType::Int; };
  SymSignature signature = signature_of(kind, type(a), type(b), type(c));
  if (kind == Pow && b.is_const() && b->value.type == SymType::Int && b->value.integer < 0) {
    signature = {SymType::Float, SymType::Float};
  }
  if (kind == Select) {
    return select(coerce(a, SymType::Bool), coerce(b, signature.operand),
                  coerce(c, signature.operand));
  }
  a = coerce(a, signature.operand);
  if (b) b = coerce(b, signature.operand);
  if (const Sym folded = fold_constants(kind, a, b, c)) return folded;
  Sym result;
  if (arity == 1) {
    result = unary(kind, a);
  } else if (is_comparison(kind)) {
    result = compare(kind, a, b);
  } else if (signature.operand == SymType::Bool) {
    result = logic(kind, a, b);
  } else {
    result = signature.operand == SymType::Float ? real(kind, a, b) : integer(kind, a, b);
  }
  return result ? result : raw(kind, signature.result, a, b);
}

Sym SymFolder::select(Sym condition, Sym a, Sym b) {
  if (condition.is_const()) return condition->value.integer != 0 ? a : b;
  return a == b ? a : raw(Select, a.type(), condition, a, b);
}

Sym SymFolder::logic(SymKind kind, Sym a, Sym b) {
  if (kind == BitXor) return {};
  const bool conjunction = kind == And || kind == BitAnd;
  if (precedes(b, a)) std::swap(a, b);
  if (b.is_const()) return (b->value.integer != 0) == conjunction ? a : b;
  return a == b ? a : raw(conjunction ? And : Or, SymType::Bool, a, b);
}

Sym SymFolder::negate(Sym a) {
  if (a.kind() == Not) return a.operand(0);
  const bool total = is_comparison(a.kind()) && a.operand(0).type() != SymType::Float;
  const bool equality = a.kind() == Eq || a.kind() == Ne;
  return total || equality ? make(opposite(a.kind()), a.operand(0), a.operand(1), {}) : Sym();
}

Sym SymFolder::compare(SymKind kind, Sym a, Sym b) {
  if (a.type() == SymType::Float) return {};
  const auto difference = constant_difference(a, b);
  if (!difference) return {};
  return table_.constant(*apply(kind, SymValue::of(*difference), SymValue::of(i64{0})));
}

Sym SymFolder::real(SymKind kind, Sym a, Sym b) {
  const bool multiplies = kind == Mul || kind == TrueDiv || kind == Pow;
  const auto is_one = [](Sym sym) { return sym.is_const() && sym->value.real == 1; };
  if (multiplies && is_one(b)) return a;
  return kind == Mul && is_one(a) ? b : Sym();
}

Sym SymFolder::unary(SymKind kind, Sym a) {
  switch (kind) {
    case Not:
      return negate(a);
    case Neg:
      if (a.type() == SymType::Int) return integer_sum(table_.integer(0), a, -1);
      return a.kind() == Neg ? a.operand(0) : Sym();
    case ToInt:
    case Ceil:
    case Floor:
      if (a.type() == SymType::Int) return a;
      return a.kind() == ToFloat ? coerce(a.operand(0), SymType::Int) : Sym();
    case ToFloat:
      return a;
    case BitNot:
      return a.kind() == BitNot ? a.operand(0) : Sym();
    case Abs:
    case NextPow2:
      return a.kind() == kind ? a : Sym();
    default:
      return {};
  }
}

Sym SymFolder::bits(SymKind kind, Sym a, Sym b) {
  if (a == b) return kind == BitXor ? table_.integer(0) : a;
  if (precedes(b, a)) std::swap(a, b);
  if (b.is_int(0)) return kind == BitAnd ? b : a;
  if (b.is_int(-1) && kind != BitXor) return kind == BitAnd ? a : b;
  return {};
}

Sym SymFolder::integer(SymKind kind, Sym a, Sym b) {
  const auto constant = b.as_int();
  switch (kind) {
    case Add:
      return integer_sum(a, b, 1);
    case Sub:
      return integer_sum(a, b, -1);
    case Mul:
      return integer_product(a, b);
    case FloorDiv:
    case CeilDiv:
      return constant ? integer_divide(kind, a, *constant) : integer_divide_exactly(a, b);
    case Mod:
      if (constant) return integer_mod(a, *constant);
      return integer_divide_exactly(a, b) ? table_.integer(0) : Sym();
    case Pow:
      return constant ? integer_power(a, *constant) : Sym();
    case Min:
    case Max:
      return integer_extreme(kind, a, b);
    case Shl:
    case Shr:
      return constant ? integer_shift(kind, a, *constant) : Sym();
    default:
      return bits(kind, a, b);
  }
}

Sym SymFolder::integer_sum(Sym a, Sym b, i64 factor) {
  const auto la = linear_of(a.node()), lb = linear_of(b.node());
  return la && lb ? build(add_scaled(*la, *lb, factor)) : Sym();
}

Sym SymFolder::integer_product(Sym a, Sym b) {
  const auto la = linear_of(a.node()), lb = linear_of(b.node());
  if (!la || !lb) return {};
  if (lb->is_const()) return build(scale(*la, lb->constant));
  if (la->is_const()) return build(scale(*lb, la->constant));
  const auto term = [](const Linear& linear, Sym sym) {
    return linear.is_single() ? linear.terms[0] : LinearTerm{sym.node(), 1};
  };
  return integer_multiply(term(*la, a), term(*lb, b));
}

Sym SymFolder::integer_multiply(const LinearTerm& a, const LinearTerm& b) {
  const auto coefficient = checked_mul(a.coefficient, b.coefficient);
  auto factors = factors_of(a.product);
  const auto others = factors_of(b.product);
  if (!coefficient || !factors || !others) return {};
  factors->insert(factors->end(), others->begin(), others->end());
  if (std::ssize(*factors) > kMaxTerms) return {};
  std::ranges::sort(*factors, {}, &SymNode::id);
  return build(Linear{{{build_product(*factors).node(), *coefficient}}, 0});
}

// (c*x + r) / c = x + r / c, and (x / p) / c = x / (p*c) for positive p and c.
Sym SymFolder::integer_divide(SymKind kind, Sym a, i64 divisor) {
  if (divisor == 0) return {};
  if (a.kind() == kind && divisor > 0) {
    const auto inner = a.operand(1).as_int();
    const auto both = inner && *inner > 0 ? checked_mul(*inner, divisor) : std::nullopt;
    if (both) return make(kind, a.operand(0), table_.integer(*both), {});
  }
  const auto linear = linear_of(a.node());
  if (!linear) return {};
  Split split = split_by(*linear, divisor);
  if (split.rest.is_const()) {
    const auto rest = kind == FloorDiv ? floor_div(split.rest.constant, divisor)
                                       : ceil_div(split.rest.constant, divisor);
    if (!rest) return {};
    split.quotient.constant = *rest;
    return build(split.quotient);
  }
  if (split.quotient.terms.empty()) return {};
  const Sym rest = raw_int(kind, build(split.rest), table_.integer(divisor));
  return integer_sum(build(split.quotient), rest, 1);
}

// (b*x + b*y) / b for a block size b, which is never 0.
Sym SymFolder::integer_divide_exactly(Sym a, Sym divisor) {
  const bool positive =
      divisor.kind() == NextPow2 ||
      (divisor.kind() == Symbol && table_.symbol(divisor->symbol).origin == SymbolOrigin::Block);
  auto linear = positive ? linear_of(a.node()) : std::nullopt;
  if (!linear || linear->constant != 0) return {};
  Sym sum = table_.integer(0);
  for (const LinearTerm& term : linear->terms) {
    auto factors = factors_of(term.product);
    if (!factors) return {};
    const auto found = std::ranges::find(*factors, divisor.node());
    if (found == factors->end()) return {};
    factors->erase(found);
    const Sym rest = factors->empty() ? table_.integer(1) : build_product(*factors);
    sum = make(Add, sum, make(Mul, rest, table_.integer(term.coefficient), {}), {});
  }
  return sum;
}

Sym SymFolder::integer_mod(Sym a, i64 divisor) {
  const auto linear = divisor != 0 ? linear_of(a.node()) : std::nullopt;
  if (!linear) return {};
  Linear rest = split_by(*linear, divisor).rest;
  rest.constant = *floor_mod(rest.constant, divisor);
  const Sym reduced = build(rest);
  if (rest.is_const() || reduced == a) return rest.is_const() ? reduced : Sym();
  return raw_int(Mod, reduced, table_.integer(divisor));
}

Sym SymFolder::integer_power(Sym a, i64 exponent) {
  if (exponent < 0 || exponent > 8) return {};
  Sym result = table_.integer(1);
  for (i64 i = 0; i < exponent; ++i) result = make(Mul, result, a, {});
  return result;
}

Sym SymFolder::integer_shift(SymKind kind, Sym a, i64 count) {
  if (count < 0 || count > 62) return {};
  return make(kind == Shl ? Mul : FloorDiv, a, table_.integer(i64{1} << count), {});
}

// Drops operands that another one makes needless because they differ by a constant.
Sym SymFolder::integer_extreme(SymKind kind, Sym a, Sym b) {
  std::vector<Sym> kept;
  for (Sym sym : flatten(kind, a, b)) {
    bool needed = true;
    for (Sym& other : kept) {
      const auto difference = constant_difference(sym, other);
      if (!difference) continue;
      if ((*difference < 0) == (kind == Min)) other = sym;
      needed = false;
      break;
    }
    if (needed) kept.push_back(sym);
  }
  std::ranges::sort(kept, precedes);
  Sym result = kept[0];
  for (std::size_t i = 1; i < kept.size(); ++i) {
    result = ordered(kind, result, kept[i]);
  }
  return result;
}

// Positive terms, minus the magnitudes of the others, then the constant: `a*2 - b + 1`.
Sym SymFolder::build(const Linear& linear) {
  Sym sum;
  // -2^63 has no magnitude and is added.
  const auto subtracts = [](i64 value) { return value < 0 && checked_mul(value, -1); };
  const auto append = [&](i64 factor, Sym sym) {
    if (!sum) {
      sum = factor > 0 ? sym : raw(Neg, SymType::Int, sym);
    } else {
      const SymKind kind = factor > 0 ? Add : Sub;
      sum = ordered(kind, sum, sym);
    }
  };
  const auto scaled = [&](const SymNode* product, i64 factor) {
    return factor == 1 ? Sym(product) : raw_int(Mul, Sym(product), table_.integer(factor));
  };
  const auto append_constant = [&](i64 value) {
    const bool negative = subtracts(value) && sum;
    append(negative ? -1 : 1, table_.integer(negative ? -value : value));
  };
  for (const LinearTerm& term : linear.terms) {
    if (!subtracts(term.coefficient)) append(1, scaled(term.product, term.coefficient));
  }
  const bool leads = !sum && linear.constant != 0;
  if (leads) append_constant(linear.constant);
  for (const LinearTerm& term : linear.terms) {
    if (subtracts(term.coefficient)) append(-1, scaled(term.product, -term.coefficient));
  }
  if (!leads && (linear.constant != 0 || !sum)) append_constant(linear.constant);
  return sum;
}

Sym SymFolder::build_product(const Factors& factors) {
  Sym result(factors[0]);
  for (std::size_t i = 1; i < factors.size(); ++i) {
    result = ordered(Mul, result, Sym(factors[i]));
  }
  return result;
}

Sym SymTable::make(SymKind kind, Sym a, Sym b, Sym c) {
  return SymFolder(*this).make(kind, a, b, c);
}

}  // namespace peri
