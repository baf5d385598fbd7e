// Runs Device IR slowly and plainly: the definition of every op.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "base/expected.h"
#include "ir/ir.h"

namespace peri::interp {

// What elements of a dtype are widened to.
inline Dtype widened(Dtype dtype) { return is_float(dtype) ? Dtype::F64 : Dtype::I64; }

// A host tensor as the interpreter sees it: a strided view of widened elements that several views
// may share, and that outlive them. Floats live in `reals`, integers and bools in `integers`.
struct View {
  Dtype dtype = Dtype::F32;
  std::span<double> reals;
  std::span<i64> integers;
  // Elements as `dtype` stores them, in place of the above: of a tensor that nothing writes to.
  const std::byte* stored = nullptr;
  i64 offset = 0;
  std::vector<i64> sizes, strides;  // elements
};

// Elements for views.
struct Buffer {
  std::vector<double> reals;
  std::vector<i64> integers;
};

struct Options {
  // Exact: floats are f64 throughout and casts between float types do nothing: the mathematical
  // reference. Otherwise every op's result is rounded to its dtype.
  bool exact = true;
};

// What the interpreter needs besides the kernel.
struct Environment {
  std::vector<View> tensors;  // by ir::TensorId
  SymTable::Lookup symbols;   // values of all symbols, block sizes and tunables included
  Options options;
  std::function<Expected<void>()> before_cell = {};  // an error of it ends the run
};

// Runs root `root` of `kernel`, cell after cell in row-major order. Fails where a kernel does what
// it must not, or its environment lacks something: `index-out-of-range`, `partial-reshape` (a
// reshape that would merge an axis whose last tile is not full), `bad-block-size`, `bad-step`,
// `missing-value` (a symbol without value).
Expected<void> run(const ir::Kernel& kernel, i64 root, const Environment& environment);

// The same for cells [begin, end) of the root's grid, of `cell_count` cells.
Expected<void> run_cells(const ir::Kernel& kernel, i64 root, const Environment& environment,
                         i64 begin, i64 end);
Expected<i64> cell_count(const ir::Kernel& kernel, i64 root, const Environment& environment);

}  // namespace peri::interp
