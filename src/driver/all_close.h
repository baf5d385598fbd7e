// Whether many floats lie within a tolerance of others, in vector lanes.
#pragma once

#include "runtime/tensor.h"

namespace peri::driver {

// An element may differ from r, what is wanted, by output_unit * |r| + unit * max(|r|, scale).
struct Allowed {
  float output_unit, unit, scale;
};

inline constexpr i64 kMostCompared = 1024;  // elements of one call

// Whether elements [begin, begin + size) of `values` are numbers close to those of `wanted`, or
// equal to them bit by bit. Both are contiguous and of one float dtype; false for f64 that are not
// equal: what is left to a slower comparison.
bool all_close(const runtime::Tensor& values, const runtime::Tensor& wanted, i64 begin, i64 size,
               Allowed allowed);

}  // namespace peri::driver
