// Loads and stores: subscripts of a host tensor resolved to positions in its buffer.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/expected.h"
#include "interp/interp.h"
#include "interp/tile.h"

namespace peri::interp {

// One subscript with its values: the positions it takes along `dim` of the tensor, as a tile of
// indices. All gathers of one access share one Axis of several dims.
struct Subscript {
  i64 dim = -1;              // of the tensor; -1: a new extent
  std::vector<i64> extents;  // what it adds to the result's shape; none for a scalar
  std::vector<i64> indices;  // one per element of `extents`
  bool gather = false;
};

struct Access {
  const View* view = nullptr;
  std::string_view name;  // of the tensor, for errors
  std::vector<Subscript> subscripts;
};

// `mask` may be null. Where it is false nothing is accessed, and a load gives 0.
Expected<Tile> load(const Access& access, const Tile* mask);
Expected<void> store(const Tile& value, const Access& access, const Tile* mask, bool exact);

}  // namespace peri::interp
