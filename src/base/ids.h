// Typed 32-bit ids: an index into a table that cannot be mistaken for an index into another.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace peri {

using i8 = std::int8_t;
using i16 = std::int16_t;
using i32 = std::int32_t;
using i64 = std::int64_t;
using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

// An id is either none (index -1, false) or an index; `Tag` names the table.
template <class Tag>
struct Id {
  i32 index = -1;

  constexpr Id() = default;
  constexpr explicit Id(i64 i) : index(static_cast<i32>(i)) {}
  constexpr explicit operator bool() const { return index >= 0; }
  constexpr auto operator<=>(const Id&) const = default;
};

}  // namespace peri

template <class Tag>
struct std::hash<peri::Id<Tag>> {
  std::size_t operator()(peri::Id<Tag> id) const noexcept {
    return std::hash<std::int32_t>()(id.index);
  }
};
