#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/bug.h"
#include "base/philox.h"
#include "interp/ops.h"

namespace peri::interp {

namespace {

using ir::OpCode;
using Real1 = double (*)(double);
using Integer1 = i64 (*)(i64);
using Integer2 = i64 (*)(i64, i64);
using Compare = bool (*)(double, double);
using CompareIntegers = bool (*)(i64, i64);

// --- one float ---

double sign(double a) { return (a > 0) - (a < 0); }

// The form that does not overflow on either side.
double sigmoid(double a) {
  return a >= 0 ? 1 / (1 + std::exp(-a)) : std::exp(a) / (1 + std::exp(a));
}

Real1 plain_real1(OpCode code) {
  switch (code) {
    case OpCode::Neg:
      return [](double a) { return -a; };
    case OpCode::Abs:
      return [](double a) { return std::fabs(a); };
    case OpCode::Sign:
      return sign;
    case OpCode::Floor:
      return [](double a) { return std::floor(a); };
    case OpCode::Ceil:
      return [](double a) { return std::ceil(a); };
    case OpCode::Round:
      return [](double a) { return std::nearbyint(a); };
    case OpCode::Trunc:
      return [](double a) { return std::trunc(a); };
    case OpCode::Sqrt:
      return [](double a) { return std::sqrt(a); };
    case OpCode::Rsqrt:
      return [](double a) { return 1 / std::sqrt(a); };
    case OpCode::Reciprocal:
      return [](double a) { return 1 / a; };
    case OpCode::Erf:
      return [](double a) { return std::erf(a); };
    case OpCode::Erfc:
      return [](double a) { return std::erfc(a); };
    case OpCode::Sigmoid:
      return sigmoid;
    default:
      return nullptr;
  }
}

Real1 exponential(OpCode code) {
  switch (code) {
    case OpCode::Exp:
      return [](double a) { return std::exp(a); };
    case OpCode::Exp2:
      return [](double a) { return std::exp2(a); };
    case OpCode::Expm1:
      return [](double a) { return std::expm1(a); };
    case OpCode::Log:
      return [](double a) { return std::log(a); };
    case OpCode::Log2:
      return [](double a) { return std::log2(a); };
    case OpCode::Log10:
      return [](double a) { return std::log10(a); };
    case OpCode::Log1p:
      return [](double a) { return std::log1p(a); };
    case OpCode::Sinh:
      return [](double a) { return std::sinh(a); };
    case OpCode::Cosh:
      return [](double a) { return std::cosh(a); };
    case OpCode::Tanh:
      return [](double a) { return std::tanh(a); };
    default:
      return nullptr;
  }
}

Real1 trigonometric(OpCode code) {
  switch (code) {
    case OpCode::Sin:
      return [](double a) { return std::sin(a); };
    case OpCode::Cos:
      return [](double a) { return std::cos(a); };
    case OpCode::Tan:
      return [](double a) { return std::tan(a); };
    case OpCode::Asin:
      return [](double a) { return std::asin(a); };
    case OpCode::Acos:
      return [](double a) { return std::acos(a); };
    case OpCode::Atan:
      return [](double a) { return std::atan(a); };
    default:
      return nullptr;
  }
}

Real1 real1(OpCode code) {
  for (Real1 f : {plain_real1(code), exponential(code), trigonometric(code)}) {
    if (f) return f;
  }
  BUG_IF(true, "`{}` on a float", ir::info(code).text);
}

// --- two floats ---

// Sign of b; fmod is exact, where a - b * floor(a / b) is not.
double remainder(double a, double b) {
  double r = std::fmod(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

// torch's: the remainder taken off first, so that a rounded quotient cannot reach the next integer.
template <class T>
double floor_quotient(T a, T b) {
  if (b == 0) return a / b;
  T rest = std::fmod(a, b);
  T quotient = (a - rest) / b;
  if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(T{0}, a / b);
  T whole = std::floor(quotient);
  return quotient - whole > T{0.5} ? whole + 1 : whole;
}

// A rounding better than pow for the exponents that passes take apart.
double power(double a, double b) { return b == 2 ? a * a : b == -1 ? 1 / a : std::pow(a, b); }

double larger(double a, double b) { return std::isnan(a) || a > b ? a : b; }
double smaller(double a, double b) { return std::isnan(a) || a < b ? a : b; }

// Calls `use` with the function of `code`: of a type of its own, so that loops over it have no
// calls.
template <class Use>
void with_real2(OpCode code, const Use& use) {
  switch (code) {
    case OpCode::Add:
      return use([](double a, double b) { return a + b; });
    case OpCode::Sub:
      return use([](double a, double b) { return a - b; });
    case OpCode::Mul:
      return use([](double a, double b) { return a * b; });
    case OpCode::Div:
      return use([](double a, double b) { return a / b; });
    case OpCode::Remainder:
      return use(remainder);
    case OpCode::Fmod:
      return use([](double a, double b) { return std::fmod(a, b); });
    case OpCode::Pow:
      return use(power);
    case OpCode::Atan2:
      return use([](double a, double b) { return std::atan2(a, b); });
    case OpCode::Max:
      return use(larger);
    case OpCode::Min:
      return use(smaller);
    default:
      BUG_IF(true, "`{}` on floats", ir::info(code).text);
  }
}

// --- integers: i64 arithmetic that wraps, then narrowed to the dtype ---

i64 wrapping_add(i64 a, i64 b) {
  return static_cast<i64>(static_cast<u64>(a) + static_cast<u64>(b));
}
i64 wrapping_sub(i64 a, i64 b) {
  return static_cast<i64>(static_cast<u64>(a) - static_cast<u64>(b));
}
i64 wrapping_mul(i64 a, i64 b) {
  return static_cast<i64>(static_cast<u64>(a) * static_cast<u64>(b));
}
i64 negate(i64 a) { return wrapping_sub(0, a); }

// Division by 0 gives 0; the smallest integer by -1 wraps.
i64 floor_div(i64 a, i64 b) {
  if (b == 0) return 0;
  if (b == -1) return negate(a);
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

i64 truncated_remainder(i64 a, i64 b) { return b == 0 || b == -1 ? 0 : a % b; }

i64 floored_remainder(i64 a, i64 b) {
  i64 r = truncated_remainder(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

i64 integer_power(i64 a, i64 b) {
  if (b < 0) return a == 1 ? 1 : a == -1 ? (b % 2 ? -1 : 1) : 0;
  i64 result = 1;
  for (; b > 0; b >>= 1, a = wrapping_mul(a, a)) {
    if (b & 1) result = wrapping_mul(result, a);
  }
  return result;
}

Integer1 integer1(OpCode code) {
  switch (code) {
    case OpCode::Neg:
      return negate;
    case OpCode::Abs:
      return [](i64 a) { return a < 0 ? negate(a) : a; };
    case OpCode::Sign:
      return [](i64 a) { return static_cast<i64>((a > 0) - (a < 0)); };
    case OpCode::Not:
      return [](i64 a) { return ~a; };
    case OpCode::Floor:
    case OpCode::Ceil:
    case OpCode::Round:
    case OpCode::Trunc:
      return [](i64 a) { return a; };
    default:
      BUG_IF(true, "`{}` on an integer", ir::info(code).text);
  }
}

Integer2 integer2(OpCode code) {
  switch (code) {
    case OpCode::Add:
      return wrapping_add;
    case OpCode::Sub:
      return wrapping_sub;
    case OpCode::Mul:
      return wrapping_mul;
    case OpCode::FloorDiv:
      return floor_div;
    case OpCode::Remainder:
      return floored_remainder;
    case OpCode::Fmod:
      return truncated_remainder;
    case OpCode::Pow:
      return integer_power;
    case OpCode::Max:
      return [](i64 a, i64 b) { return std::max(a, b); };
    case OpCode::Min:
      return [](i64 a, i64 b) { return std::min(a, b); };
    case OpCode::And:
      return [](i64 a, i64 b) { return a & b; };
    case OpCode::Or:
      return [](i64 a, i64 b) { return a | b; };
    case OpCode::Xor:
      return [](i64 a, i64 b) { return a ^ b; };
    default:
      BUG_IF(true, "`{}` on integers", ir::info(code).text);
  }
}

i64 shift(OpCode code, i64 a, i64 b, i64 bits) {
  bool in_range = b >= 0 && b < bits;
  if (code == OpCode::Shl) return in_range ? static_cast<i64>(static_cast<u64>(a) << b) : 0;
  return in_range ? a >> b : (a < 0 ? -1 : 0);
}

// --- comparisons ---

template <class T>
bool (*comparison(OpCode code))(T, T) {
  switch (code) {
    case OpCode::Eq:
      return [](T a, T b) { return a == b; };
    case OpCode::Ne:
      return [](T a, T b) { return a != b; };
    case OpCode::Lt:
      return [](T a, T b) { return a < b; };
    case OpCode::Le:
      return [](T a, T b) { return a <= b; };
    case OpCode::Gt:
      return [](T a, T b) { return a > b; };
    case OpCode::Ge:
      return [](T a, T b) { return a >= b; };
    default:
      return nullptr;
  }
}

// --- tiles ---

// An operand with the result's extents: scalars stand still, larger tiles are cropped.
struct Lanes {
  Tile cropped;
  const Tile* tile;
  i64 step;

  Lanes(const Tile& operand, const std::vector<i64>& shape) : tile(&operand) {
    step = operand.is_scalar() ? 0 : 1;
    if (step && operand.shape != shape) {
      cropped = crop(operand, shape);
      tile = &cropped;
    }
  }
  Lanes(const Lanes&) = delete;
  bool is_real() const { return tile->is_real(); }
  double real(i64 i) const { return tile->reals[i * step]; }
  i64 integer(i64 i) const { return tile->integers[i * step]; }
};

std::vector<i64> common_shape(const std::vector<const Tile*>& operands) {
  const Tile* first = nullptr;
  std::vector<i64> shape;
  for (const Tile* operand : operands) {
    if (operand->is_scalar()) continue;
    shape = first ? smaller_shape(shape, operand->shape) : operand->shape;
    first = operand;
  }
  return shape;
}

// Fills `out` with `f(i)`, rounded or wrapped to its dtype.
template <class F>
void fill(Tile& out, bool exact, const F& f) {
  i64 count = out.count();
  if (out.is_real()) {
    if (exact || out.dtype == Dtype::F64) {
      for (i64 i = 0; i < count; ++i) out.reals[i] = f(i);
    } else {
      for (i64 i = 0; i < count; ++i) out.reals[i] = round_to(out.dtype, f(i));
    }
  } else {
    for (i64 i = 0; i < count; ++i) out.integers[i] = wrap_to(out.dtype, f(i));
  }
}

void unary(OpCode code, const Lanes& a, Tile& out, bool exact) {
  if (code == OpCode::IsNan || code == OpCode::IsInf) {
    bool nan = code == OpCode::IsNan;
    fill(out, exact, [&](i64 i) -> i64 {
      return a.is_real() && (nan ? std::isnan(a.real(i)) : std::isinf(a.real(i)));
    });
  } else if (a.is_real()) {
    Real1 f = real1(code);
    fill(out, exact, [&](i64 i) { return f(a.real(i)); });
  } else {
    Integer1 f = integer1(code);
    fill(out, exact, [&](i64 i) { return f(a.integer(i)); });
  }
}

void compare(OpCode code, const Lanes& a, const Lanes& b, Tile& out) {
  if (a.is_real()) {
    auto* f = comparison<double>(code);
    fill(out, true, [&](i64 i) -> i64 { return f(a.real(i), b.real(i)); });
  } else {
    auto* f = comparison<i64>(code);
    fill(out, true, [&](i64 i) -> i64 { return f(a.integer(i), b.integer(i)); });
  }
}

void binary(OpCode code, const Lanes& a, const Lanes& b, Tile& out, bool exact) {
  if (code == OpCode::Shl || code == OpCode::Shr) {
    i64 bits = size_of(out.dtype) * 8;
    fill(out, exact, [&](i64 i) { return shift(code, a.integer(i), b.integer(i), bits); });
  } else if (!a.is_real()) {
    Integer2 f = integer2(code);
    fill(out, exact, [&](i64 i) { return f(a.integer(i), b.integer(i)); });
  } else if (code == OpCode::FloorDiv) {
    bool single = !exact && compute_dtype(out.dtype) == Dtype::F32;
    fill(out, exact, [&](i64 i) {
      double x = a.real(i), y = b.real(i);
      return single ? floor_quotient(static_cast<float>(x), static_cast<float>(y))
                    : floor_quotient(x, y);
    });
  } else {
    with_real2(code, [&](const auto& f) {
      fill(out, exact, [&](i64 i) { return f(a.real(i), b.real(i)); });
    });
  }
}

void select(const Lanes& cond, const Lanes& a, const Lanes& b, Tile& out) {
  if (out.is_real()) {
    fill(out, true, [&](i64 i) { return cond.integer(i) ? a.real(i) : b.real(i); });
  } else {
    fill(out, true, [&](i64 i) { return cond.integer(i) ? a.integer(i) : b.integer(i); });
  }
}

void rand(const Lanes& seed, const Lanes& offset, Tile& out) {
  fill(out, true, [&](i64 i) -> double {
    return philox_uniform(static_cast<u64>(seed.integer(i)), static_cast<u64>(offset.integer(i)));
  });
}

}  // namespace

Tile elementwise(OpCode code, const std::vector<const Tile*>& operands, Dtype dtype, bool exact) {
  Tile out = make_tile(dtype, common_shape(operands));
  Lanes a(*operands[0], out.shape);
  if (operands.size() == 1) {
    unary(code, a, out, exact);
    return out;
  }
  Lanes b(*operands[1], out.shape);
  if (code == OpCode::Select) {
    select(a, b, Lanes(*operands[2], out.shape), out);
  } else if (code == OpCode::Rand) {
    rand(a, b, out);
  } else if (comparison<double>(code)) {
    compare(code, a, b, out);
  } else {
    binary(code, a, b, out, exact);
  }
  return out;
}

}  // namespace peri::interp
