// Logarithms and powers on vectors of float.
//
// Method: x = 2^e (1 + f) with 1 + f in [2/3, 4/3), then a minimax polynomial in f (Remez), in the
// relative error of the logarithm.
#include <limits>

#include "backends/cpu/vector_math_emit.h"

namespace peri::cpu::math {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
// log10(2) as a float, and what is missing.
constexpr double kLog10Of2 = 0x1.344136p-2;
constexpr double kLog10Of2Rest = -0x1.ec10cp-27;
constexpr i64 kTwoThirds = 0x3f2aaaab;
constexpr i64 kExponentMask = -0x800000;

// x = 2^exponent (1 + fraction); positive, finite x.
struct Split {
  F exponent, fraction;
};

Split split(F x) {
  const M is_small = x < 0x1p-126;
  const I i = bits(select(is_small, x * 0x1p23, x));
  const I e = (i - kTwoThirds) & kExponentMask;
  const F exponent = mad(to_float(e, x), 0x1p-23, select(is_small, splat(x, -23), 0.0));
  return {exponent, from_bits(i - e) - 1.0};
}

// log(1 + f), relative error 2^-27.
F log_polynomial(F f) {
  const F q = polynomial(f, {-0.1289168149, 0.1398443729, -0.1218426228, 0.1400586814, -0.166804865,
                             0.2001040578, -0.2499979734, 0.3333321512, -0.5});
  return mad(f * f, q, f);
}

// The logarithm of what is not a positive finite number.
F with_specials(F x, F positive) {
  const F log = select(x > 0.0, positive, select(x == 0.0, splat(x, -kInfinity), kNan));
  return select(x == kInfinity, x, log);
}

}  // namespace

F log_f32(F x) {
  const auto [e, f] = split(x);
  return with_specials(x, mad(e, 0x1.62e43p-1, log_polynomial(f)));
}

// f log2(e) as f + 0.44 f + ...: the exact leading term keeps the result near 1 accurate, and its
// sum with e is exact where the rest nearly cancels it.
F log2_f32(F x) {
  const auto [e, f] = split(x);
  const F q =
      polynomial(f, {-0.1878328323, 0.2032390237, -0.1752625257, 0.2016986161, -0.240699783,
                     0.288718313, -0.3606687784, 0.4808958173, -0.7213475704, 0.4426950514});
  return with_specials(x, mad(f, q, e + f));
}

// As log2, with f / 2 for the exact term.
F log10_f32(F x) {
  const auto [e, f] = split(x);
  const F q =
      polynomial(f, {-0.05654331669, 0.06118104234, -0.05275927857, 0.06071733311, -0.07245785743,
                     0.08691287041, -0.1085721254, 0.1447640657, -0.217147246, -0.06570551544});
  return with_specials(x, mad(e, kLog10Of2, mad(e, kLog10Of2Rest, mad(f, q, f * 0.5))));
}

// 1 + x = 2^e (1 + f), where f = 2^-e x + (2^-e - 1) does not lose the low bits of x. The power is
// taken four times, as 2^-128 is not a normal number.
F log1p_f32(F x) {
  const I e = (bits(1.0 + x) - kTwoThirds) & kExponentMask;
  const F power = from_bits(bits(splat(x, 4.0)) - e);
  const F f = mad(x * 0.25, power, mad(power, 0.25, -1.0));
  const F log = mad(to_float(e, x) * 0x1p-23, 0x1.62e43p-1, log_polynomial(f));
  const F in_domain = select(x > -1.0, log, select(x == -1.0, splat(x, -kInfinity), kNan));
  return select(x == kInfinity, x, select(abs(x) < 0x1p-26, x, in_domain));
}

// |x|^y = 2^(y log2 |x|) in double, which leaves the exponent 25 bits behind the point at the ends
// of float's range. log2(m) = 2 atanh(s) / ln 2 with s = (m - 1) / (m + 1), m in [sqrt(1/2),
// sqrt(2)).
F pow_f32(F x, F y) {
  const F base = to_f64(abs(x)), exponent = to_f64(y);
  constexpr i64 kSqrtHalf = 0x3fe6a09e667f3bcd;
  const I i = bits(base);
  const I e = (i - kSqrtHalf) & (i64{-1} << 52);
  const F m = from_bits(i - e), s = (m - 1.0) / (m + 1.0);
  const F p = polynomial(s * s, {0.2829021957593233, 0.3199055622129008, 0.412209255471453,
                                 0.5770779423360641, 0.9617966941134357, 2.88539008177785});
  // e >> 52 as a double, by way of the mantissa bits of 2^52: AVX2 converts no 64-bit integers.
  const I biased = (e + (i64{1023} << 52)) >> 52;
  const F whole = from_bits(biased | bits(splat(base, 0x1p52))) - (0x1p52 + 1023);
  F log2 = mad(s, p, whole);
  log2 = select(base < kInfinity, log2, base);  // infinity and NaN
  log2 = select(base == 0.0, -kInfinity, log2);
  // 1^y and x^0 are 1, whatever the other operand.
  const M is_one = (log2 == 0.0) | (exponent == 0.0);
  const F product = select(is_one, 0.0, exponent * log2);
  const F power = to_f32(exp2_f64_short(at_least(-300, at_most(300, product))));

  const M negative = x < 0.0, is_integer = trunc(y) == y;
  const F half = y * 0.5;
  const M is_odd = is_integer & (trunc(half) != half);
  const F with_sign = select(is_odd, copysign(power, x), power);
  const M undefined = negative & (x > -kInfinity) & !is_integer;
  return select(undefined | (is_nan(y) & (x != 1.0)), kNan, with_sign);
}

}  // namespace peri::cpu::math
