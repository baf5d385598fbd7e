// The ops of Device IR on tiles, one function a family. Inputs are well typed (ir::verify).
#pragma once

#include <vector>

#include "interp/tile.h"
#include "ir/ir.h"

namespace peri::interp {

// The scalar that a constant or host scalar of `dtype` is.
Tile constant(const SymValue& value, Dtype dtype, bool exact);
SymValue value_of(const Tile& scalar);

// Rules Unary, Predicate, Binary and Select, and rand; operands are scalars or tiles of one rank,
// and the result has the smaller extents. `dtype`: the result's.
Tile elementwise(ir::OpCode code, const std::vector<const Tile*>& operands, Dtype dtype,
                 bool exact);

// Drops dimension `dim`.
Tile reduce(ir::OpCode code, const Tile& tile, i64 dim, Dtype dtype, bool exact);

// `acc` may be null.
Tile dot(const Tile& a, const Tile& b, const Tile* acc, Dtype dtype, bool exact);

// `shape`: the result's extents.
Tile permute(const Tile& tile, const std::vector<i64>& dims);
Tile expand(const Tile& tile, const std::vector<i64>& shape);
Tile with_shape(Tile tile, std::vector<i64> shape);

}  // namespace peri::interp
