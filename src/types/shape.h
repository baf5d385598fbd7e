// Shapes of device values: extents that know which tile axis, if any, bounds them.
#pragma once

#include <string>
#include <vector>

#include "types/dtype.h"
#include "types/sym.h"

namespace peri {

// One extent of a device value. `size` is nominal: a block size, the size of a `:` slice, or a
// constant. If `block` is set, the extent belongs to that tile axis, and in the last tile of the
// axis only the first `end - begin` elements exist: elements out of range have no value and never
// influence a result.
struct Dim {
  Sym size;
  BlockId block;

  bool operator==(const Dim&) const = default;
  bool is_one() const { return size.is_int(1) && !block; }
};

// Type of a device value: a scalar (rank 0) or a tile.
struct TileType {
  Dtype dtype = Dtype::F32;
  std::vector<Dim> shape;

  i64 rank() const { return static_cast<i64>(shape.size()); }
  bool is_scalar() const { return shape.empty(); }
  bool operator==(const TileType&) const = default;
};

// One axis that tiles run over: a dimension of a grid or of a loop in device code.
struct Block {
  enum class Kind : u8 {
    Tile,        // hl.tile: extent is the block size
    Grid,        // hl.grid, range: one index at a time; size is the constant 1
    Registered,  // hl.register_block_size: no axis of its own, only a size that axes and shapes use
  };
  std::string name;  // the user's loop variable
  Kind kind = Kind::Tile;
  Sym size;   // a Block symbol (searched), the symbol of a registered block, or a constant
  Sym begin;  // range of the loop, if known on the host, else none
  Sym end;
  Sym step;          // Grid: distance of indices; none means 1
  BlockId parent;    // the loop runs from parent.begin to parent.end, if set
  i64 min_size = 1;  // Registered: the user's bounds
  i64 max_size = 0;  // 0: bounded by the range only
  i64 loop = -1;     // index of the tile statement, shared by the axes of one hl.tile([...])
};

}  // namespace peri
