#include "diag/utf8.h"

#include <algorithm>
#include <array>

namespace peri::diag {
namespace {

struct Range {
  u32 first;
  u32 last;
};

template <std::size_t n>
bool in_ranges(const std::array<Range, n>& ranges, u32 value) {
  return std::ranges::any_of(ranges, [&](Range r) { return value >= r.first && value <= r.last; });
}

// Characters that would garble a terminal or reorder what the reader sees.
constexpr std::array kHidden = std::to_array<Range>(
    {{0x00, 0x1f}, {0x7f, 0x9f}, {0x200e, 0x200f}, {0x202a, 0x202e}, {0x2066, 0x2069}});
constexpr std::array kCombining =
    std::to_array<Range>({{0x300, 0x36f}, {0x200b, 0x200d}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}});
constexpr std::array kWide = std::to_array<Range>({{0x1100, 0x115f},
                                                   {0x2e80, 0xa4cf},
                                                   {0xac00, 0xd7a3},
                                                   {0xf900, 0xfaff},
                                                   {0xfe30, 0xfe6f},
                                                   {0xff00, 0xff60},
                                                   {0xffe0, 0xffe6},
                                                   {0x1f300, 0x1f64f},
                                                   {0x1f900, 0x1f9ff},
                                                   {0x20000, 0x3fffd}});

u32 sequence_length(u8 lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead < 0xe0) return 2;
  if (lead >= 0xe0 && lead < 0xf0) return 3;
  if (lead >= 0xf0 && lead < 0xf5) return 4;
  return 0;
}

}  // namespace

CodePoint decode_utf8(std::string_view text) {
  u8 lead = static_cast<u8>(text[0]);
  if (lead < 0x80) return {lead, 1, true};
  u32 size = sequence_length(lead);
  if (size == 0 || text.size() < size) return {};
  u32 value = lead & (0x7f >> size);
  for (u32 i = 1; i < size; ++i) {
    u8 byte = static_cast<u8>(text[i]);
    if ((byte & 0xc0) != 0x80) return {};
    value = value << 6 | (byte & 0x3f);
  }
  bool overlong = (size == 3 && value < 0x800) || (size == 4 && value < 0x10000);
  bool surrogate = value >= 0xd800 && value <= 0xdfff;
  if (overlong || surrogate || value > 0x10ffff) return {};
  return {value, size, true};
}

void append_utf8(std::string& out, u32 code_point) {
  auto put = [&](u32 byte) { out += static_cast<char>(byte); };
  auto tail = [&](u32 shift) { put(0x80 | (code_point >> shift & 0x3f)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xc0 | code_point >> 6);
    tail(0);
  } else if (code_point < 0x10000) {
    put(0xe0 | code_point >> 12);
    tail(6);
    tail(0);
  } else {
    put(0xf0 | code_point >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

i64 display_width(u32 code_point) {
  if (code_point < 0x300) return 1;
  if (in_ranges(kCombining, code_point)) return 0;
  return in_ranges(kWide, code_point) ? 2 : 1;
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    CodePoint c = decode_utf8(text);
    bool hidden = c.value != '\n' && in_ranges(kHidden, c.value);
    append_utf8(out, hidden ? kReplacement : c.value);
    text.remove_prefix(c.size);
  }
  return out;
}

}  // namespace peri::diag
