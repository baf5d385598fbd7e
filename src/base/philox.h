// Philox-4x32-10: uniform numbers that depend on seed and offset alone, whatever the order or the
// tiling they are drawn in.
//
// Counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC11).
// Key: the seed's two halves. Counter: the offset's two halves, then two zeros. The first of the
// four outputs is used, as in Helion's hl.rand, whose values these are bit for bit.
#pragma once

#include "base/ids.h"

namespace peri {

inline constexpr u32 kPhiloxMul0 = 0xD2511F53;
inline constexpr u32 kPhiloxMul1 = 0xCD9E8D57;
inline constexpr u32 kPhiloxKey0 = 0x9E3779B9;
inline constexpr u32 kPhiloxKey1 = 0xBB67AE85;
inline constexpr int kPhiloxRounds = 10;
// Just below 2^-31: the largest of 2^31 integers still maps below 1.
inline constexpr float kPhiloxScale = 4.6566127342e-10F;

// The first 32-bit output for this seed and offset.
constexpr u32 philox(u64 seed, u64 offset) {
  u32 c0 = static_cast<u32>(offset), c1 = static_cast<u32>(offset >> 32), c2 = 0, c3 = 0;
  u32 k0 = static_cast<u32>(seed), k1 = static_cast<u32>(seed >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const u64 a = u64{kPhiloxMul0} * c0, b = u64{kPhiloxMul1} * c2;
    c0 = static_cast<u32>(b >> 32) ^ c1 ^ k0;
    c1 = static_cast<u32>(b);
    c2 = static_cast<u32>(a >> 32) ^ c3 ^ k1;
    c3 = static_cast<u32>(a);
    k0 += kPhiloxKey0;
    k1 += kPhiloxKey1;
  }
  return c0;
}

// Uniform in [0, 1): the output as a signed integer, negative ones folded onto the others by ~x.
constexpr float philox_uniform(u64 seed, u64 offset) {
  const u32 bits = philox(seed, offset);
  const u32 folded = (bits >> 31) != 0 ? ~bits : bits;
  return static_cast<float>(static_cast<i32>(folded)) * kPhiloxScale;
}

}  // namespace peri
