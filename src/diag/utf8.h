// UTF-8 decoding that survives any bytes.
#pragma once

#include <string>
#include <string_view>

#include "base/ids.h"

namespace peri::diag {

inline constexpr u32 kReplacement = 0xfffd;

// The code point at the front of a text and the bytes it takes. Bytes that are no UTF-8 (overlong,
// surrogate, truncated, stray) decode one at a time to `kReplacement` with `valid` false.
struct CodePoint {
  u32 value = kReplacement;
  u32 size = 1;
  bool valid = false;
};
CodePoint decode_utf8(std::string_view text);  // `text` must not be empty

void append_utf8(std::string& out, u32 code_point);

// Terminal columns that a code point takes: 0 (combining), 1 or 2 (East Asian wide, emoji).
i64 display_width(u32 code_point);

// `text` with control characters (newlines aside), direction overrides and invalid bytes replaced.
std::string printable(std::string_view text);

}  // namespace peri::diag
