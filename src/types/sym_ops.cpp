#include "types/sym_ops.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/bug.h"

namespace peri {

using enum SymKind;

namespace {

using Result = std::optional<SymValue>;
constexpr i64 kMin = std::numeric_limits<i64>::min();

template <class T>
Result lift(std::optional<T> value) {
  return value ? Result(SymValue::of(*value)) : std::nullopt;
}

std::optional<i64> checked_sub(i64 a, i64 b) {
  i64 result;
  return __builtin_sub_overflow(a, b, &result) ? std::nullopt : std::optional(result);
}

std::optional<i64> power(i64 base, i64 exponent) {
  if (exponent < 0) return std::nullopt;
  if (exponent > 63 && (base > 1 || base < -1)) return std::nullopt;
  std::optional<i64> result = 1;
  // For a base of magnitude at most 1 only the parity counts.
  const i64 count = exponent > 63 ? 2 - exponent % 2 : exponent;
  for (i64 i = 0; i < count && result; ++i) result = checked_mul(*result, base);
  return result;
}

std::optional<i64> shift_left(i64 a, i64 count) {
  if (count < 0) return std::nullopt;
  if (a == 0) return 0;
  if (count > 62) return a == -1 && count == 63 ? std::optional(kMin) : std::nullopt;
  return checked_mul(a, i64{1} << count);
}

std::optional<i64> shift_right(i64 a, i64 count) {
  if (count < 0) return std::nullopt;
  return a >> std::min<i64>(count, 63);
}

std::optional<i64> next_pow2(i64 a) {
  if (a <= 1) return 1;
  if (a > i64{1} << 62) return std::nullopt;
  return static_cast<i64>(std::bit_ceil(static_cast<u64>(a)));
}

std::optional<i64> integer_op(SymKind kind, i64 a, i64 b) {
  switch (kind) {
    case Add:
      return checked_add(a, b);
    case Sub:
      return checked_sub(a, b);
    case Mul:
      return checked_mul(a, b);
    case FloorDiv:
      return floor_div(a, b);
    case CeilDiv:
      return ceil_div(a, b);
    case Mod:
      return floor_mod(a, b);
    case Pow:
      return power(a, b);
    case Neg:
      return checked_sub(0, a);
    case Abs:
      return a < 0 ? checked_sub(0, a) : a;
    case Min:
      return std::min(a, b);
    case Max:
      return std::max(a, b);
    case Shl:
      return shift_left(a, b);
    case Shr:
      return shift_right(a, b);
    case BitAnd:
      return a & b;
    case BitOr:
      return a | b;
    case BitXor:
      return a ^ b;
    case BitNot:
      return ~a;
    case NextPow2:
      return next_pow2(a);
    case ToInt:
    case Ceil:
    case Floor:
      return a;
    default:
      return std::nullopt;
  }
}

// The value if it is a number that Python would have returned instead of raising.
std::optional<double> finite_from(double result, double a, double b = 0) {
  if (std::isfinite(result) || !std::isfinite(a) || !std::isfinite(b)) return result;
  return std::nullopt;
}

std::optional<double> real_power(double a, double b) {
  if (a == 0 && b < 0) return std::nullopt;
  if (a < 0 && std::isfinite(a) && std::isfinite(b) && b != std::floor(b)) return std::nullopt;
  return finite_from(std::pow(a, b), a, b);
}

std::optional<double> real_mod(double a, double b) {
  if (b == 0) return std::nullopt;
  const double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

std::optional<double> real_floor_div(double a, double b) {
  if (b == 0) return std::nullopt;
  double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (rest < 0) != (b < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(0.0, a / b);
  return std::round(quotient);  // an integer but for rounding
}

std::optional<double> real_op(SymKind kind, double a, double b) {
  switch (kind) {
    case Add:
      return a + b;
    case Sub:
      return a - b;
    case Mul:
      return a * b;
    case TrueDiv:
      return b == 0 ? std::nullopt : std::optional(a / b);
    case FloorDiv:
      return real_floor_div(a, b);
    case CeilDiv: {
      const auto negated = real_floor_div(-a, b);
      return negated ? std::optional(-*negated) : std::nullopt;
    }
    case Mod:
      return real_mod(a, b);
    case Pow:
      return real_power(a, b);
    case Neg:
      return -a;
    case Abs:
      return std::abs(a);
    case Min:
      return b < a ? b : a;
    case Max:
      return b > a ? b : a;
    case Sqrt:
      return a < 0 ? std::nullopt : std::optional(std::sqrt(a));
    case Exp:
      return finite_from(std::exp(a), a);
    case Log:
      return a <= 0 ? std::nullopt : std::optional(std::log(a));
    case Log2:
      return a <= 0 ? std::nullopt : std::optional(std::log2(a));
    case Sin:
      return std::isinf(a) ? std::nullopt : std::optional(std::sin(a));
    case Cos:
      return std::isinf(a) ? std::nullopt : std::optional(std::cos(a));
    default:
      return std::nullopt;
  }
}

std::optional<i64> rounded(SymKind kind, double a) {
  const double whole = kind == Ceil ? std::ceil(a) : kind == Floor ? std::floor(a) : std::trunc(a);
  if (!(whole >= -0x1p63 && whole < 0x1p63)) return std::nullopt;
  return static_cast<i64>(whole);
}

template <class T>
std::optional<bool> compare(SymKind kind, T a, T b) {
  switch (kind) {
    case Eq:
      return a == b;
    case Ne:
      return a != b;
    case Lt:
      return a < b;
    case Le:
      return a <= b;
    case Gt:
      return a > b;
    case Ge:
      return a >= b;
    default:
      return std::nullopt;
  }
}

std::optional<bool> logic(SymKind kind, bool a, bool b) {
  switch (kind) {
    case And:
      return a && b;
    case Or:
      return a || b;
    case Not:
      return !a;
    case BitAnd:
      return a && b;
    case BitOr:
      return a || b;
    case BitXor:
      return a != b;
    default:
      return std::nullopt;
  }
}

SymType arithmetic(SymType a, SymType b) {
  return a == SymType::Float || b == SymType::Float ? SymType::Float : SymType::Int;
}

}  // namespace

std::optional<i64> checked_add(i64 a, i64 b) {
  i64 result;
  return __builtin_add_overflow(a, b, &result) ? std::nullopt : std::optional(result);
}

std::optional<i64> checked_mul(i64 a, i64 b) {
  i64 result;
  return __builtin_mul_overflow(a, b, &result) ? std::nullopt : std::optional(result);
}

std::optional<i64> floor_div(i64 a, i64 b) {
  if (b == 0 || (a == kMin && b == -1)) return std::nullopt;
  return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

std::optional<i64> ceil_div(i64 a, i64 b) {
  if (b == 0 || (a == kMin && b == -1)) return std::nullopt;
  return a / b + (a % b != 0 && (a < 0) == (b < 0) ? 1 : 0);
}

std::optional<i64> floor_mod(i64 a, i64 b) {
  if (b == 0) return std::nullopt;
  if (b == -1) return 0;
  const i64 rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

i64 arity_of(SymKind kind) {
  switch (kind) {
    case Const:
    case Symbol:
      return 0;
    case Neg:
    case BitNot:
    case Not:
    case ToInt:
    case ToFloat:
    case Sqrt:
    case Exp:
    case Log:
    case Log2:
    case Sin:
    case Cos:
    case Ceil:
    case Floor:
    case Abs:
    case NextPow2:
      return 1;
    case Select:
      return 3;
    default:
      return 2;
  }
}

SymSignature signature_of(SymKind kind, SymType a, SymType b, SymType c) {
  using enum SymType;
  switch (kind) {
    case TrueDiv:
    case ToFloat:
    case Sqrt:
    case Exp:
    case Log:
    case Log2:
    case Sin:
    case Cos:
      return {Float, Float};
    case Eq:
    case Ne:
    case Lt:
    case Le:
    case Gt:
    case Ge:
      return {arithmetic(a, b), Bool};
    case And:
    case Or:
    case Not:
      return {Bool, Bool};
    case ToInt:
    case Ceil:
    case Floor:
      return {arithmetic(a, Int), Int};
    case Neg:
    case Abs:
      return {arithmetic(a, Int), arithmetic(a, Int)};
    case NextPow2:
      return {Int, Int};
    case BitAnd:
    case BitOr:
    case BitXor:
      if (a == Bool && b == Bool) return {Bool, Bool};
      [[fallthrough]];
    case Shl:
    case Shr:
    case BitNot:
      return {Int, Int};
    case Select: {
      const SymType type = b == c ? b : arithmetic(b, c);
      return {type, type};
    }
    default:
      return {arithmetic(a, b), arithmetic(a, b)};
  }
}

SymValue convert_value(SymValue value, SymType type) {
  if (value.type == type) return value;
  if (type == SymType::Float) return SymValue::of(static_cast<double>(value.integer));
  if (type == SymType::Int) {
    BUG_IF(value.type == SymType::Float, "a float is no integer");
    return SymValue::of(value.integer);
  }
  return SymValue::of_bool(value.type == SymType::Float ? value.real != 0 : value.integer != 0);
}

std::optional<SymValue> apply(SymKind kind, SymValue a, SymValue b, SymValue c) {
  if (kind == Select) return a.integer != 0 ? b : c;
  if (kind == ToFloat) return SymValue::of(a.as_real());
  const bool real = a.type == SymType::Float;
  if (kind == ToInt || kind == Ceil || kind == Floor) {
    return lift(real ? rounded(kind, a.real) : std::optional(a.integer));
  }
  const auto compared = real ? compare(kind, a.real, b.real) : compare(kind, a.integer, b.integer);
  if (compared) return SymValue::of_bool(*compared);
  if (a.type == SymType::Bool) {
    const auto result = logic(kind, a.integer != 0, b.integer != 0);
    return result ? Result(SymValue::of_bool(*result)) : std::nullopt;
  }
  return real ? lift(real_op(kind, a.real, b.real)) : lift(integer_op(kind, a.integer, b.integer));
}

}  // namespace peri
