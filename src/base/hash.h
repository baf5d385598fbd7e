// Hashes that do not depend on the machine or the run: names of content and keys of tables.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/ids.h"

namespace peri {

// XXH3-128 of `text` as 32 hexadecimal digits: names cache entries, kernels, specialisations.
std::string hash_hex(std::string_view text);

// XXH3-64 of bytes: checksums and tables.
u64 hash_bytes(std::span<const std::byte> bytes);
u64 hash_text(std::string_view text);

// Mixes `value` into `seed`; the order of calls matters.
constexpr u64 hash_combine(u64 seed, u64 value) {
  u64 x = (seed ^ (value + 0x9E3779B97F4A7C15)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 31)) * 0x94D049BB133111EB;
  return x ^ (x >> 29);
}

}  // namespace peri
