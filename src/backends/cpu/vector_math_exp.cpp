// Exponential functions, hyperbolic functions and the error function on vectors of float.
//
// Method: e^x = 2^n e^r with n = round(x / ln 2) and |r| <= ln 2 / 2; the two parts of ln 2 are
// subtracted one after the other (Cody and Waite, 1980). The polynomials are minimax ones in the
// relative error of the function named, found with Remez's algorithm and rounded to float.
#include "backends/cpu/vector_math_emit.h"

namespace peri::cpu::math {
namespace {

constexpr double kLog2E = 0x1.715476p+0;
// ln 2 in two parts; n times the first is exact for |n| < 2^9.
constexpr double kLn2High = 0x1.62e4p-1;
constexpr double kLn2Low = 0x1.7f7d1cf79abcap-20;
constexpr double kHalfLn2 = 0x1.62e43p-2;
// Added to n in the low bits of `shifted`, so that the two halves of n + 254 are exponent fields.
constexpr double kScaleBias = 254;
constexpr double kScaleRounder = kRounder32 + kScaleBias;

// x * 2^n with gradual underflow and overflow to infinity, for -254 <= n <= 129; shifted is
// n + kScaleRounder.
F scale(F x, F shifted) {
  if (has_avx512_for(x)) return scalef(x, shifted - kScaleRounder);
  // One factor of 2^n would leave the exponent range; two halves do not.
  const I first = bits(shifted) >> 1 << 23;
  const I second = (bits(shifted) << 23) - first;
  return x * from_bits(first) * from_bits(second);
}

// x * 2^n where both x and the product are normal numbers; shifted is n + kRounder32.
F scale_normal(F x, F shifted) { return from_bits(bits(x) + (bits(shifted) << 23)); }

F remainder_of_ln2(F x, F n) { return mad(n, -kLn2Low, mad(n, -kLn2High, x)); }

// e^r - 1 for |r| <= 0.347, relative error 2^-26.
F expm1_polynomial(F r) {
  const F q =
      polynomial(r, {0.00138378574, 0.008367087692, 0.04166774824, 0.1666653901, 0.4999999702});
  return mad(r * r, q, r);
}

// e^r, likewise.
F exp_polynomial(F r) {
  return polynomial(
      r, {0.00138378574, 0.008367087692, 0.04166774824, 0.1666653901, 0.4999999702, 1.0, 1.0});
}

// e^x * factor for x in [-104, 90] or NaN; factor is 1 or 1/2.
F exp_in_range(F x, double factor = 1) {
  const F shifted = mad(x, kLog2E, kScaleRounder);
  const F p = exp_polynomial(remainder_of_ln2(x, shifted - kScaleRounder));
  return scale(factor == 1 ? p : p * factor, shifted);
}

// e^x with a relative error of 2^-22 for x in [-87, 0].
F exp_of_negative_short(F x) {
  const F shifted = mad(x, kLog2E, kRounder32);
  const F r = remainder_of_ln2(x, shifted - kRounder32);
  const F p = polynomial(r, {0.00831247773, 0.04189032689, 0.1666711569, 0.499992311, 1.0, 1.0});
  return scale_normal(p, shifted);
}

// n / (1 + e) for 0 <= e <= 1, rounded nearly as one operation: the quotient is corrected by the
// remainder that the rounded sum and the rounded reciprocal leave.
F quotient_of_sum(F n, F e) {
  if (!n.target().has_fma) return to_f32(to_f64(n) / (1.0 + to_f64(e)));
  const F sum = 1.0 + e, lost = e - (sum - 1.0);
  const F inverse = 1.0 / sum, q = n * inverse;
  return fused(fused(-q, lost, fused(-q, sum, n)), inverse, q);
}

}  // namespace

// Beyond the bounds the result is the same: 0 and infinity.
F exp_f32(F x) { return exp_in_range(at_least(-104, at_most(89, x))); }

F exp2_f32(F x) {
  x = at_least(-151, at_most(129, x));
  const F shifted = x + kScaleRounder;
  const F f = x - (shifted - kScaleRounder);
  const F p = polynomial(f, {0.0001540152298, 0.001337928115, 0.009618007578, 0.05550377816,
                             0.2402265072, 0.6931471825, 1.0});
  return scale(p, shifted);
}

// e^x - 1 = 2^n (e^r - 1) + (2^n - 1), the first factor halved so that 2^128 does not overflow.
F expm1_f32(F x) {
  const F bounded = at_least(-18, at_most(89, x));
  const F shifted = mad(bounded, kLog2E, kRounder32);
  const F r = remainder_of_ln2(bounded, shifted - kRounder32);
  const F half_power = scale_normal(splat(x, 0.5), shifted);
  const F sum = mad(expm1_polynomial(r), half_power, half_power - 0.5);
  // Keeps -0 and denormals, which the sum would round to a multiple of its unit.
  return select(abs(x) < 0x1p-26, x, sum + sum);
}

// With e = e^-|x| <= 1: 1 / (1 + e) above zero, e / (1 + e) below, so that neither end loses bits.
F sigmoid_f32(F x) {
  const F e = exp_in_range(at_least(-104, -abs(x)));
  return quotient_of_sum(select(x < 0.0, e, 1.0), e);
}

// |x| < 0.55, where tanh is 1/2: an odd polynomial. Above: 1 - 2 / (e^2|x| + 1), the exponential as
// in exp_f32 with the 2 in the constants; from 9.02 on the result is 1.
F tanh_f32(F x) {
  const F a = at_most(9.02, abs(x)), z = a * a;
  const F p = polynomial(z, {0.01643787697, -0.05267200992, 0.1332072914, -0.333329469});
  const F shifted = mad(a, 2 * kLog2E, kRounder32);
  const F r = mad(shifted - kRounder32, -kHalfLn2, a);
  const F power = scale_normal(polynomial(r, {0.08856228736, 0.2677468061, 0.6666839718,
                                              1.333323121, 1.999999881, 2.0, 1.0}),
                               shifted);
  const F large = 1.0 - 2.0 / (power + 1.0);
  return copysign(select(a >= 0.55, large, mad(a * z, p, a)), x);
}

// Half of e^|x|, h, gives h - 1 / 4h; near zero, where that cancels, the odd polynomial.
F sinh_f32(F x) {
  const F a = abs(x), h = exp_in_range(at_most(90, a), 0.5);
  const F z = x * x;
  const F p = polynomial(z, {2.782213187e-6, 0.0001984289556, 0.008333310485, 0.1666666716});
  return select(a < 1.0, mad(x * z, p, x), copysign(h - 0.25 / h, x));
}

F cosh_f32(F x) {
  const F h = exp_in_range(at_most(90, abs(x)), 0.5);
  return h + 0.25 / h;
}

// |x| < 1: an odd polynomial. Above: 1 - e^(-x q(x)), q a polynomial fitted to -log(erfc x) / x.
F erf_f32(F x) {
  const F z = x * x;
  const F small = mad(polynomial(z, {7.806903886e-5, -0.0007997853099, 0.005187162198,
                                     -0.0268533472, 0.1128357872, -0.3761262596, 0.1283791661}),
                      x, x);
  const F a = at_most(3.95, abs(x));
  const F q = polynomial(
      a, {-0.0002106470347, 0.00318697677, -0.0227985587, 0.1051162928, 0.635831356, 1.128480077});
  const F large = 1.0 - exp_of_negative_short(-a * q);
  return select(a >= 1.0, copysign(large, x), small);
}

F exp2_f64_short(F x) {
  const F shifted = x + kRounder64;
  const F f = x - (shifted - kRounder64);
  const F p = polynomial(f, {1.5199701207224002e-05, 0.00015469581132375318, 0.001333393756341178,
                             0.009618027181896327, 0.055504103523441116, 0.24022651198735895,
                             0.6931471807287464, 0.9999999999616207});
  // A product, not a sum of exponents, so that NaN stays NaN.
  return p * from_bits((bits(shifted) << 52) + (i64{1023} << 52));
}

// e^(-x^2) times a polynomial in t = 3 / (|x| + 3) fitted to e^(x^2) erfc |x|, in double: the
// exponent needs more digits than a float has. Above 10.06 the result rounds to zero.
F erfc_f32(F x) {
  const F wide = to_f64(x), a = at_most(10.1, abs(wide));
  const F t = 3.0 / (a + 3.0);
  const F p = polynomial(
      t, {-0.027371757823648337, 0.1837152402184633, -0.4932893906004234, 0.6709449682105872,
          -0.5649714504711267, 0.41838018885089895, -0.06400837120676585, 0.17502263028647042,
          0.1465098450976391, 0.1790601077298266, 0.1879397626002173, 0.18806826168643778,
          -3.461027764859005e-08});
  const F tail = p * exp2_f64_short(a * a * -1.4426950408889634);
  return to_f32(select(wide < 0.0, 2.0 - tail, tail));
}

}  // namespace peri::cpu::math
