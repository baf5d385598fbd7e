// Trigonometric functions and their inverses on vectors of float.
//
// Method: angles lose multiples of pi (pi / 2 for the tangent) in three parts of pi (Cody and
// Waite); what is left goes into odd minimax polynomials (Remez). Angles above kMaxFastAngle take
// the exact reduction of reduce_large_angle().
#include <limits>

#include "backends/cpu/vector_math_emit.h"

namespace peri::cpu::math {
namespace {

constexpr double kHalfPi = 0x1.921fb6p+0;  // as a float; what is missing follows
constexpr double kHalfPiRest = -0x1.777a5cp-25;
constexpr double kHalfPiRest2 = -0x1.ee59dap-50;
constexpr double kTwoOverPi = 0.636619772367581343;
// For double: a product of the first, of 33 bits, and a count of periods is exact.
constexpr double kHalfPiWide = 0x1.921fb544p+0;
constexpr double kHalfPiWideRest = 0x1.0b4611a626331p-34;

// x - n pi / 2 for double x and n.
F take_off_wide(F x, F n) { return mad(n, -kHalfPiWideRest, mad(n, -kHalfPiWide, x)); }

// x - n pi / 2, relative error about 2^-24 even where x is next to a multiple of pi / 2: fused
// products are not rounded, and where there are none double has the room.
F take_off(F x, F n) {
  if (!x.target().has_fma) return to_f32(take_off_wide(to_f64(x), to_f64(n)));
  return fused(n, -kHalfPiRest2, fused(n, -kHalfPiRest, fused(n, -kHalfPi, x)));
}

// x = k pi / 2 + r with |r| <= pi / 4.
Reduced reduce_angle(F x) {
  const F shifted = mad(x, kTwoOverPi, kRounder32);
  const F r = take_off(x, shifted - kRounder32);
  return reduce_large_angle(x, {r, bits(shifted)});
}

// The sine of r + k pi / 2.
F sin_of_reduced(F r, I k) {
  const F z = r * r;
  const F sin_rest = polynomial(z, {-0.0001950788428, 0.008332106285, -0.1666665375});
  const F sin = mad(r * z, sin_rest, r);
  const F cos = polynomial(z, {2.443165067e-5, -0.001388730598, 0.04166664556, -0.5, 1.0});
  const F magnitude = select((k & 1) != 0, cos, sin);
  return from_bits(bits(magnitude) ^ ((k & 2) << 30));
}

// atan z / z - 1 by z^2, z in [0, 1].
F atan_polynomial(F z) {
  const F z2 = z * z;
  const F p =
      polynomial(z2, {-0.001788924914, 0.01089268737, -0.03113509715, 0.05791251734, -0.08400677145,
                      0.1095118672, -0.1426404268, 0.1999852955, -0.3333329856});
  return mad(z * z2, p, z);
}

// Just above 1/2, pi/2 - 2p would lose a bit of p.
constexpr double kAsinSplit = 0.57;

// asin |x| = p where |x| <= 0.57, else pi/2 - 2p.
struct HalfAngle {
  M is_large;
  F p;
};

HalfAngle half_angle(F x) {
  const F a = abs(x);
  const M is_large = a > kAsinSplit;
  const F z = select(is_large, mad(a, -0.5, 0.5), a * a);
  const F s = select(is_large, sqrt(z), a);
  const F p = polynomial(z, {0.04899128899, 0.005432467442, 0.03443097323, 0.04417161644,
                             0.07502473891, 0.1666662395});
  return {is_large, mad(s * z, p, s)};
}

}  // namespace

F sin_f32(F x) {
  const auto [r, k] = reduce_angle(x);
  return select(x == 0.0, x, sin_of_reduced(r, k));  // keeps -0
}

F cos_f32(F x) {
  const auto [r, k] = reduce_angle(x);
  return sin_of_reduced(r, k + 1);
}

// In double: a quotient and a steep function would add up to more than 2 ulp in float. Odd
// multiples of pi/2 give -1 / tan r.
F tan_f32(F x) {
  const F wide = to_f64(x);
  const F shifted = mad(wide, kTwoOverPi, kRounder64);
  const F n = shifted - kRounder64;
  F r = take_off_wide(wide, n);
  const Reduced reduced = reduce_large_angle(x, {to_f32(r), resize(bits(shifted), 32)});
  r = select(abs(x) <= kMaxFastAngle, r, to_f64(reduced.r));
  const F z = r * r;
  const F p = polynomial(
      z, {0.0020616291617962493, -0.0006428435904202833, 0.005036254284008527, 0.008310612333095227,
          0.02199009047574307, 0.05395388034653826, 0.13333415460378362, 0.33333331739867517});
  const F t = mad(r * z, p, r);
  const M is_odd = (reduced.k & 1) != 0;
  return to_f32(select(is_odd, splat(t, -1.0), t) / select(is_odd, t, 1.0));
}

F asin_f32(F x) {
  const auto [is_large, p] = half_angle(x);
  const F large = kHalfPi - (p + p - kHalfPiRest);
  return copysign(select(is_large, large, p), x);
}

// |x| <= 0.57: pi/2 - asin x; above: 2p, below: pi - 2p.
F acos_f32(F x) {
  const auto [is_large, magnitude] = half_angle(x);
  const F p = copysign(magnitude, x);
  const F term = select(is_large, p + p, -p);
  const M is_low = x < 0.0;
  const F base = select(is_large, select(is_low, splat(x, 2 * kHalfPi), 0.0), kHalfPi);
  const F rest = select(is_large, select(is_low, splat(x, 2 * kHalfPiRest), 0.0), kHalfPiRest);
  return base + (term + rest);
}

// Above 1, pi/2 - atan(1 / |x|).
F atan_f32(F x) {
  const F a = abs(x);
  const M is_large = a > 1.0;
  const F p = atan_polynomial(select(is_large, 1.0, a) / select(is_large, a, 1.0));
  return copysign(select(is_large, kHalfPi - (p - kHalfPiRest), p), x);
}

// The angle in the first octant, moved to its octant as base +- angle.
F atan2_f32(F y, F x) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const F ay = abs(y), ax = abs(x);
  const M is_steep = ay > ax;
  const F low = select(is_steep, ax, ay), high = select(is_steep, ay, ax);
  F quotient = low / high;
  quotient = select(high == 0.0, 0.0, quotient);
  quotient = select(low == kInfinity, 1.0, quotient);
  const F p = atan_polynomial(quotient);

  const I is_left = bits(x) & -0x80000000LL;
  const M left = is_left != 0;
  const F base = select(is_steep, kHalfPi, select(left, splat(x, 2 * kHalfPi), 0.0));
  const F rest = select(is_steep, kHalfPiRest, select(left, splat(x, 2 * kHalfPiRest), 0.0));
  const I is_backward = is_left ^ select(is_steep, splat(is_left, -0x80000000LL), 0);
  const F angle = base + (from_bits(bits(p) ^ is_backward) + rest);
  return select(either_nan(x, y), x + y, copysign(angle, y));
}

}  // namespace peri::cpu::math
