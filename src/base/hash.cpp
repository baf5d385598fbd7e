#include "base/hash.h"

#include <fmt/format.h>
#include <xxhash.h>

namespace peri {

std::string hash_hex(std::string_view text) {
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

u64 hash_bytes(std::span<const std::byte> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }
u64 hash_text(std::string_view text) { return XXH3_64bits(text.data(), text.size()); }

}  // namespace peri
