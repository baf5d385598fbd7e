#include <algorithm>

#include "base/bug.h"
#include "interp/ops.h"

namespace peri::interp {

namespace {

// Extents of a product. Where operands disagree, as in the last tile of an axis, the smaller
// counts.
struct Extents {
  i64 batch, m, n, k;
};

Extents extents_of(const Tile& a, const Tile& b, const Tile* acc) {
  size_t r = a.shape.size();
  BUG_IF(r < 2 || b.shape.size() != r, "dot of ranks {} and {}", r, b.shape.size());
  Extents e{1, a.shape[r - 2], b.shape[r - 1], std::min(a.shape[r - 1], b.shape[r - 2])};
  if (r == 3) e.batch = std::min(a.shape[0], b.shape[0]);
  if (acc) {
    if (r == 3) e.batch = std::min(e.batch, acc->shape[0]);
    e.m = std::min(e.m, acc->shape[r - 2]);
    e.n = std::min(e.n, acc->shape[r - 1]);
  }
  return e;
}

std::vector<i64> shape_of(const Tile& like, i64 batch, i64 rows, i64 columns) {
  if (like.shape.size() == 3) return {batch, rows, columns};
  return {rows, columns};
}

// out[b, m, n] += x[b, m, k] y[b, k, n], rows of y in the inner loop.
template <class T>
void accumulate(const T* x, const T* y, T* out, const Extents& e) {
  for (i64 row = 0; row < e.batch * e.m; ++row) {
    const T* matrix = y + row / e.m * e.k * e.n;
    for (i64 k = 0; k < e.k; ++k) {
      T factor = x[row * e.k + k];
      for (i64 j = 0; j < e.n; ++j) out[row * e.n + j] += factor * matrix[k * e.n + j];
    }
  }
}

// Integers are computed modulo 2^64, which narrows to the wrapped sum of any smaller type.
const u64* bits(const Tile& tile) { return reinterpret_cast<const u64*>(tile.integers.data()); }

Dtype accumulation_dtype(Dtype a, Dtype b) {
  if (is_float(a)) return a == Dtype::F64 || b == Dtype::F64 ? Dtype::F64 : Dtype::F32;
  return a == Dtype::I64 || b == Dtype::I64 ? Dtype::I64 : Dtype::I32;
}

}  // namespace

Tile dot(const Tile& a, const Tile& b, const Tile* acc, Dtype dtype, bool exact) {
  Extents e = extents_of(a, b, acc);
  Tile x = crop(a, shape_of(a, e.batch, e.m, e.k));
  Tile y = crop(b, shape_of(a, e.batch, e.k, e.n));
  std::vector<i64> shape = shape_of(a, e.batch, e.m, e.n);
  Dtype sum_dtype = accumulation_dtype(a.dtype, b.dtype);
  Tile sum = acc ? convert(crop(*acc, shape), sum_dtype, exact) : make_tile(sum_dtype, shape);
  if (sum.is_real()) {
    accumulate(x.reals.data(), y.reals.data(), sum.reals.data(), e);
  } else {
    accumulate(bits(x), bits(y), reinterpret_cast<u64*>(sum.integers.data()), e);
    for (i64& value : sum.integers) value = wrap_to(sum_dtype, value);
  }
  if (!exact) {
    for (double& value : sum.reals) value = round_to(sum_dtype, value);
  }
  return convert(sum, dtype, exact);
}

}  // namespace peri::interp
