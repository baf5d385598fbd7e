// Which extents of a kernel's values are the same iteration axis.
//
// Loops over tiles are shared by operations whose extents correspond element by element: an
// elementwise op's operands and result, a view and its operand, the m of a dot and of its result.
// `Axes` names each (value, dimension) by its axis. All extents of one tile axis (Dim::block) are
// one axis; other extents are joined by the operations that relate them. Where joining would give
// one value the same axis twice (`x + x.T`), the two stay apart, and whoever reads one through the
// other must read memory.
#pragma once

#include <vector>

#include "ir/ir.h"

namespace peri::analysis {

struct AxisTag;
using AxisId = Id<AxisTag>;

struct Axis {
  BlockId block;  // the tile axis, if it is one
  Sym size;       // nominal extent
};

class Axes {
 public:
  explicit Axes(const ir::Kernel& kernel);

  // None for a dimension of extent 1.
  AxisId of(ir::ValueId value, i64 dim) const { return ids_[starts_[value.index] + dim]; }
  std::vector<AxisId> of(ir::ValueId value) const;
  // The axes of the loops that compute a value: its own, or of a reduction the operand's that are
  // left.
  std::vector<AxisId> defined(const ir::Kernel& kernel, ir::ValueId value) const;
  const Axis& operator[](AxisId id) const { return axes_[id.index]; }
  i64 count() const { return static_cast<i64>(axes_.size()); }

 private:
  std::vector<i64> starts_;  // by value: first entry in ids_
  std::vector<AxisId> ids_;
  std::vector<Axis> axes_;
};

// For each dimension of the operand of a permute, unsqueeze, squeeze or expand: the dimension of
// the result that runs over the same elements, or -1 (a dropped or repeated extent of 1).
std::vector<i64> view_dims(const ir::Kernel& kernel, const ir::Op& op);

}  // namespace peri::analysis
