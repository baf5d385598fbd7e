#include <cmath>
#include <limits>

#include "base/bug.h"
#include "interp/ops.h"

namespace peri::interp {

namespace {

using ir::OpCode;

i64 smallest(Dtype dtype) {
  if (dtype == Dtype::Bool || dtype == Dtype::U8) return 0;
  return std::numeric_limits<i64>::min() >> (64 - 8 * size_of(dtype));
}

i64 largest(Dtype dtype) {
  if (dtype == Dtype::Bool) return 1;
  return dtype == Dtype::U8 ? 255 : ~smallest(dtype);
}

// The elements of one reduced line.
struct Line {
  const Tile& tile;
  i64 first, stride, count;

  double real(i64 i) const { return tile.reals[first + i * stride]; }
  i64 integer(i64 i) const { return tile.integers[first + i * stride]; }
};

double reduce_reals(OpCode code, const Line& line) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  double result = code == OpCode::Prod        ? 1
                  : code == OpCode::ReduceMax ? -kInfinity
                  : code == OpCode::ReduceMin ? kInfinity
                                              : 0;
  for (i64 i = 0; i < line.count; ++i) {
    double a = line.real(i);
    if (code == OpCode::Sum) {
      result += a;
    } else if (code == OpCode::Prod) {
      result *= a;
    } else if (!std::isnan(result)) {
      bool better = code == OpCode::ReduceMax ? a > result : a < result;
      if (better || std::isnan(a)) result = a;
    }
  }
  return result;
}

i64 reduce_integers(OpCode code, const Line& line) {
  Dtype dtype = line.tile.dtype;
  u64 sum = 0, prod = 1;
  i64 low = largest(dtype), high = smallest(dtype);
  for (i64 i = 0; i < line.count; ++i) {
    i64 a = line.integer(i);
    sum += static_cast<u64>(a);
    prod *= static_cast<u64>(a);
    low = std::min(low, a);
    high = std::max(high, a);
  }
  switch (code) {
    case OpCode::Sum:
      return static_cast<i64>(sum);
    case OpCode::Prod:
      return static_cast<i64>(prod);
    case OpCode::ReduceMax:
    case OpCode::Any:
      return high;
    case OpCode::ReduceMin:
    case OpCode::All:
      return low;
    default:
      BUG_IF(true, "`{}` is no reduction", ir::info(code).text);
  }
}

// True if element `i` comes before the best so far; the first NaN stays.
bool better(OpCode code, const Line& line, i64 i, i64 best) {
  bool max = code == OpCode::ArgMax;
  if (!line.tile.is_real()) {
    return max ? line.integer(i) > line.integer(best) : line.integer(i) < line.integer(best);
  }
  double a = line.real(i), b = line.real(best);
  if (std::isnan(b)) return false;
  return std::isnan(a) || (max ? a > b : a < b);
}

i64 position_of_best(OpCode code, const Line& line) {
  i64 best = 0;
  for (i64 i = 1; i < line.count; ++i) {
    if (better(code, line, i, best)) best = i;
  }
  return best;
}

}  // namespace

Tile reduce(OpCode code, const Tile& tile, i64 dim, Dtype dtype, bool exact) {
  std::vector<i64> shape = tile.shape;
  shape.erase(shape.begin() + dim);
  Tile out = make_tile(dtype, shape);
  i64 extent = tile.shape[dim];
  i64 stride = row_major_strides(tile.shape)[dim];
  for (i64 i = 0; i < out.count(); ++i) {
    Line line{tile, i / stride * stride * extent + i % stride, stride, extent};
    if (code == OpCode::ArgMax || code == OpCode::ArgMin) {
      out.integers[i] = position_of_best(code, line);
    } else if (tile.is_real()) {
      double value = reduce_reals(code, line);
      out.reals[i] = exact ? value : round_to(dtype, value);
    } else {
      out.integers[i] = wrap_to(dtype, reduce_integers(code, line));
    }
  }
  return out;
}

}  // namespace peri::interp
