// Trigonometric functions and their inverses on vectors of float.
//
// Method: angles lose multiples of pi (pi / 2 for the tangent) in three parts of pi (Cody and
// Waite); what is left goes into odd minimax polynomials (Remez). Angles above kMaxFastAngle take
// the exact reduction of reduce_large_angle().
#include <limits>

#include "backends/cpu/vector_math_emit.h"

namespace peri::cpu::math {
namespace {

constexpr double kPi = 0x1.921fb6p+1;  // as a float; what is missing follows
constexpr double kPiRest = -0x1.777a5cp-24;
constexpr double kPiRest2 = -0x1.ee59dap-49;
constexpr double kInvPi = 0.318309886183790672;
// For double: a product of the first, of 33 bits, and a count of periods is exact.
constexpr double kPiWide = 0x1.921fb544p+1;
constexpr double kPiWideRest = 0x1.0b4611a626331p-33;

// x - n pi, relative error about 2^-24 even where x is next to a multiple of pi: the fused products
// are not rounded, and without them double has the room.
F take_off_pi(F x, F n) {
  if (x.target().has_fma) return mad(n, -kPiRest2, mad(n, -kPiRest, mad(n, -kPi, x)));
  const F wide = to_f64(n);
  return to_f32(mad(wide, -kPiWideRest, mad(wide, -kPiWide, to_f64(x))));
}

F sin_polynomial(F r) {
  const F z = r * r;
  const F p = polynomial(
      z, {-2.550259381e-8, 2.76270498e-6, -0.0001984309347, 0.008333350532, -0.1666666716});
  return mad(r * z, p, r);
}

F flip_sign_if_odd(F x, I k) { return from_bits(bits(x) ^ (k << 31)); }

// atan z / z - 1 by z^2, z in [0, 1].
F atan_polynomial(F z) {
  const F z2 = z * z;
  const F p =
      polynomial(z2, {-0.001788924914, 0.01089268737, -0.03113509715, 0.05791251734, -0.08400677145,
                      0.1095118672, -0.1426404268, 0.1999852955, -0.3333329856});
  return mad(z * z2, p, z);
}

// asin |x| = p where |x| <= 1/2, else pi/2 - 2p.
struct HalfAngle {
  M is_large;
  F p;
};

HalfAngle half_angle(F x) {
  const F a = abs(x);
  const M is_large = a > 0.5;
  const F z = select(is_large, mad(a, -0.5, 0.5), a * a);
  const F s = select(is_large, sqrt(z), a);
  const F p = polynomial(
      z, {0.03769223765, 0.01431676932, 0.03183885291, 0.04451338202, 0.07500521839, 0.1666665971});
  return {is_large, mad(s * z, p, s)};
}

}  // namespace

F sin_f32(F x) {
  const F shifted = mad(x, kInvPi, kRounder32);
  const F r = take_off_pi(x, shifted - kRounder32);
  const Reduced reduced = reduce_large_angle(Angle::Sin, x, {r, bits(shifted)});
  const F sin = flip_sign_if_odd(sin_polynomial(reduced.r), reduced.k);
  return select(x == 0.0, x, sin);  // keeps -0
}

// cos x = sin(x + pi/2): periods are counted from -pi/2.
F cos_f32(F x) {
  const F shifted = mad(x, kInvPi, 0.5) + kRounder32;
  const F r = take_off_pi(x, shifted - kRounder32 - 0.5);
  const Reduced reduced = reduce_large_angle(Angle::Cos, x, {r, bits(shifted)});
  return flip_sign_if_odd(sin_polynomial(reduced.r), reduced.k);
}

// In double: a quotient and a steep function would add up to more than 2 ulp in float. Odd
// multiples of pi/2 give -1 / tan r.
F tan_f32(F x) {
  const F wide = to_f64(x);
  const F shifted = mad(wide, 2 * kInvPi, kRounder64);
  const F n = shifted - kRounder64;
  F r = mad(n, -kPiWideRest / 2, mad(n, -kPiWide / 2, wide));
  const Reduced reduced = reduce_large_angle(Angle::Tan, x, {to_f32(r), resize(bits(shifted), 32)});
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
  const F large = kPi / 2 - (p + p - kPiRest / 2);
  return copysign(select(is_large, large, p), x);
}

// |x| <= 1/2: pi/2 - asin x; above: 2p, below: pi - 2p.
F acos_f32(F x) {
  const auto [is_large, magnitude] = half_angle(x);
  const F p = copysign(magnitude, x);
  const F term = select(is_large, p + p, -p);
  const M is_low = x < 0.0;
  const F base = select(is_large, select(is_low, splat(x, kPi), 0.0), kPi / 2);
  const F rest = select(is_large, select(is_low, splat(x, kPiRest), 0.0), kPiRest / 2);
  return base + (term + rest);
}

// Above 1, pi/2 - atan(1 / |x|).
F atan_f32(F x) {
  const F a = abs(x);
  const M is_large = a > 1.0;
  const F p = atan_polynomial(select(is_large, 1.0, a) / select(is_large, a, 1.0));
  return copysign(select(is_large, kPi / 2 - (p - kPiRest / 2), p), x);
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
  const F base = select(is_steep, kPi / 2, select(left, splat(x, kPi), 0.0));
  const F rest = select(is_steep, kPiRest / 2, select(left, splat(x, kPiRest), 0.0));
  const I is_backward = is_left ^ select(is_steep, splat(is_left, -0x80000000LL), 0);
  const F angle = base + (from_bits(bits(p) ^ is_backward) + rest);
  return select(either_nan(x, y), x + y, copysign(angle, y));
}

}  // namespace peri::cpu::math
