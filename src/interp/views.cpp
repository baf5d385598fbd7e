#include <utility>

#include "base/bug.h"
#include "interp/ops.h"

namespace peri::interp {

Tile permute(const Tile& tile, const std::vector<i64>& dims) {
  std::vector<i64> strides = row_major_strides(tile.shape);
  std::vector<i64> shape, permuted;
  for (i64 dim : dims) {
    shape.push_back(tile.shape[dim]);
    permuted.push_back(strides[dim]);
  }
  return pick(tile, strided_positions(shape, permuted), shape);
}

Tile expand(const Tile& tile, const std::vector<i64>& shape) {
  std::vector<i64> strides(shape.size(), 0);
  if (!tile.is_scalar()) strides = row_major_strides(tile.shape);
  for (size_t d = 0; d < tile.shape.size(); ++d) {
    if (tile.shape[d] != shape[d]) strides[d] = 0;
  }
  return pick(tile, strided_positions(shape, strides), shape);
}

Tile with_shape(Tile tile, std::vector<i64> shape) {
  BUG_IF(product(shape) != tile.count(), "{} elements as {}", tile.count(), product(shape));
  tile.shape = std::move(shape);
  return tile;
}

}  // namespace peri::interp
