// Values of the interpreter: tiles of widened elements, with the extents that exist.
#pragma once

#include <vector>

#include "types/dtype.h"

namespace peri::interp {

// A scalar (no extents) or tile, row-major. Floats live in `reals`, integers and bools in
// `integers` (u8 as 0..255, bool as 0 or 1); the other vector is empty.
struct Tile {
  Dtype dtype = Dtype::F32;
  std::vector<i64> shape;
  std::vector<double> reals;
  std::vector<i64> integers;

  bool is_real() const { return is_float(dtype); }
  bool is_scalar() const { return shape.empty(); }
  i64 count() const;
};

i64 product(const std::vector<i64>& extents);

// A tile of zeros.
Tile make_tile(Dtype dtype, std::vector<i64> shape);
// Keeps the memory of a large tile for those that this thread makes next: the system gives and
// takes back such memory at several times what filling it costs.
void recycle(Tile&& tile);
// Frees what this thread keeps.
void drop_recycled();
Tile integer_scalar(Dtype dtype, i64 value);

// The value that `dtype` stores: floats rounded to nearest even, integers wrapped.
double round_to(Dtype dtype, double value);
i64 wrap_to(Dtype dtype, i64 value);

// Converts as ops.def's cast does; in exact mode floats keep their value.
Tile convert(const Tile& tile, Dtype dtype, bool exact);

// Smaller of two extents in each dimension; equal rank.
std::vector<i64> smaller_shape(const std::vector<i64>& a, const std::vector<i64>& b);
// The elements of `tile` that lie in the box `shape` at its origin.
Tile crop(const Tile& tile, const std::vector<i64>& shape);
// `next` where it has elements, else `old`.
Tile overlay(Tile old, const Tile& next);

// Source positions in a row-major tile of the elements of a box, for any strides, in order.
std::vector<i64> strided_positions(const std::vector<i64>& extents,
                                   const std::vector<i64>& strides);
std::vector<i64> row_major_strides(const std::vector<i64>& extents);
// The elements of `tile` at `positions`, as a tile of `shape`.
Tile pick(const Tile& tile, const std::vector<i64>& positions, std::vector<i64> shape);

}  // namespace peri::interp
