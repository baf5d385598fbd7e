#include "interp/tile.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/bug.h"

namespace peri::interp {

namespace {

constexpr std::size_t kLarge = 1 << 13;  // elements
constexpr std::size_t kMostKept = 16;

template <class T>
thread_local std::vector<std::vector<T>> kept;

template <class T>
std::vector<T> zeros(std::size_t count) {
  for (std::vector<T>& old : kept<T>) {
    if (old.capacity() < count || old.capacity() / 4 > count) continue;
    std::vector<T> taken = std::exchange(old, std::move(kept<T>.back()));
    kept<T>.pop_back();
    taken.assign(count, T());
    return taken;
  }
  return std::vector<T>(count);
}

template <class T>
void keep(std::vector<T>& elements) {
  if (elements.capacity() >= kLarge && kept<T>.size() < kMostKept) {
    kept<T>.push_back(std::move(elements));
  }
}

}  // namespace

i64 product(const std::vector<i64>& extents) {
  i64 count = 1;
  for (i64 extent : extents) count *= extent;
  return count;
}

i64 Tile::count() const { return product(shape); }

Tile make_tile(Dtype dtype, std::vector<i64> shape) {
  Tile tile{dtype, std::move(shape), {}, {}};
  const auto count = static_cast<std::size_t>(tile.count());
  if (tile.is_real()) {
    tile.reals = zeros<double>(count);
  } else {
    tile.integers = zeros<i64>(count);
  }
  return tile;
}

void recycle(Tile&& tile) {
  keep(tile.reals);
  keep(tile.integers);
}

void drop_recycled() {
  kept<double>.clear();
  kept<i64>.clear();
}

Tile integer_scalar(Dtype dtype, i64 value) { return Tile{dtype, {}, {}, {value}}; }

double round_to(Dtype dtype, double value) {
  switch (dtype) {
    case Dtype::F32:
      return static_cast<float>(value);
    case Dtype::F16:
      return half_to_float(float_to_half(static_cast<float>(value)));
    case Dtype::BF16:
      return bfloat_to_float(float_to_bfloat(static_cast<float>(value)));
    default:
      return value;
  }
}

i64 wrap_to(Dtype dtype, i64 value) {
  switch (dtype) {
    case Dtype::Bool:
      return value & 1;
    case Dtype::U8:
      return static_cast<u8>(value);
    case Dtype::I8:
      return static_cast<i8>(value);
    case Dtype::I16:
      return static_cast<i16>(value);
    case Dtype::I32:
      return static_cast<i32>(value);
    default:
      return value;
  }
}

Tile convert(const Tile& tile, Dtype dtype, bool exact) {
  if (tile.dtype == dtype) return tile;
  Tile result = make_tile(dtype, tile.shape);
  for (i64 i = 0; i < tile.count(); ++i) {
    if (result.is_real()) {
      double value = tile.is_real() ? tile.reals[i] : static_cast<double>(tile.integers[i]);
      result.reals[i] = exact ? value : round_to(dtype, value);
    } else if (dtype == Dtype::Bool) {
      result.integers[i] = tile.is_real() ? tile.reals[i] != 0 : tile.integers[i] != 0;
    } else {
      result.integers[i] =
          wrap_to(dtype, tile.is_real() ? real_to_integer(tile.reals[i], size_of(dtype))
                                        : tile.integers[i]);
    }
  }
  return result;
}

std::vector<i64> smaller_shape(const std::vector<i64>& a, const std::vector<i64>& b) {
  BUG_IF(a.size() != b.size(), "ranks {} and {}", a.size(), b.size());
  std::vector<i64> shape(a.size());
  for (size_t d = 0; d < a.size(); ++d) shape[d] = std::min(a[d], b[d]);
  return shape;
}

std::vector<i64> row_major_strides(const std::vector<i64>& extents) {
  std::vector<i64> strides(extents.size(), 1);
  for (size_t d = extents.size(); d-- > 1;) strides[d - 1] = strides[d] * extents[d];
  return strides;
}

std::vector<i64> strided_positions(const std::vector<i64>& extents,
                                   const std::vector<i64>& strides) {
  std::vector<i64> positions{0};
  if (product(extents) == 0) return {};
  for (size_t d = 0; d < extents.size(); ++d) {
    std::vector<i64> finer;
    finer.reserve(positions.size() * extents[d]);
    for (i64 position : positions) {
      for (i64 i = 0; i < extents[d]; ++i) finer.push_back(position + i * strides[d]);
    }
    positions = std::move(finer);
  }
  return positions;
}

Tile pick(const Tile& tile, const std::vector<i64>& positions, std::vector<i64> shape) {
  Tile result{tile.dtype, std::move(shape), {}, {}};
  if (tile.is_real()) {
    result.reals.reserve(positions.size());
    for (i64 position : positions) result.reals.push_back(tile.reals[position]);
  } else {
    result.integers.reserve(positions.size());
    for (i64 position : positions) result.integers.push_back(tile.integers[position]);
  }
  return result;
}

Tile crop(const Tile& tile, const std::vector<i64>& shape) {
  if (tile.shape == shape) return tile;
  return pick(tile, strided_positions(shape, row_major_strides(tile.shape)), shape);
}

namespace {

void paste(Tile& into, const Tile& from) {
  std::vector<i64> positions = strided_positions(from.shape, row_major_strides(into.shape));
  for (size_t i = 0; i < positions.size(); ++i) {
    if (into.is_real()) {
      into.reals[positions[i]] = from.reals[i];
    } else {
      into.integers[positions[i]] = from.integers[i];
    }
  }
}

}  // namespace

Tile overlay(Tile old, const Tile& next) {
  if (old.shape == next.shape) return next;
  std::vector<i64> shape(old.shape.size());
  for (size_t d = 0; d < shape.size(); ++d) shape[d] = std::max(old.shape[d], next.shape[d]);
  if (shape != old.shape) {
    Tile wider = make_tile(old.dtype, shape);
    paste(wider, old);
    old = std::move(wider);
  }
  paste(old, next);
  return old;
}

}  // namespace peri::interp
