// What a kernel's decorator asks of its code on any device.
#pragma once

#include <optional>
#include <string_view>

#include "types/dtype.h"

namespace peri {

// How products of f32 are computed, by the names that decorators and configs use: one product of
// operands rounded to tf32, three such products, or f32.
enum class DotPrecision : u8 { Tf32, Tf32x3, Ieee };

constexpr std::string_view kDotPrecisions[] = {"tf32", "tf32x3", "ieee"};
constexpr std::string_view name_of(DotPrecision precision) {
  return kDotPrecisions[static_cast<int>(precision)];
}

struct Requests {
  DotPrecision dot_precision = DotPrecision::Tf32x3;  // at least
  bool may_specialize_warps = true;
  i64 reserved_multiprocessors = 0;  // that persistent grids leave to others
  // I64: sizes that only a call knows may exceed 32 bits; I32: no tensor does. None: code for such
  // sizes is made when a call has them.
  std::optional<Dtype> index_dtype;
};

}  // namespace peri
