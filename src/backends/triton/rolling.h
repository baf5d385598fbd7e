// Reduced `:` dimensions that are walked in chunks: which can be, and in what passes.
//
// Ops along the axis run in passes over it, as many as there are reductions one after the other
// that other ops along the axis wait for. A pass computes again (and loads again) what it needs.
#pragma once

#include <string>
#include <vector>

#include "analysis/axes.h"
#include "ir/ir.h"

namespace peri::triton {

using analysis::AxisId;

// The axes of reduced `:` dimensions in the order of their knobs, and why one cannot be walked in
// chunks ("" if it can).
struct ReducedAxis {
  AxisId axis;
  std::string reason;
};
std::vector<ReducedAxis> reduced_axes(const ir::Kernel& kernel, const analysis::Axes& axes);

bool is_along(const ir::Kernel& kernel, const analysis::Axes& axes, const ir::Op& op, AxisId axis);

// A loop over an axis, and what stands in front of it.
struct Pass {
  std::vector<ir::OpId> before;   // not along the axis
  std::vector<ir::OpId> along;    // in each turn: what reductions and stores need, and the stores
  std::vector<ir::OpId> reduces;  // over all turns
};

// Of a graph, in order. `fuse`: reductions that wait for the same ones share a pass and its loads;
// else each has its own.
std::vector<Pass> passes_of(const ir::Kernel& kernel, const analysis::Axes& axes, ir::GraphId graph,
                            AxisId axis, bool fuse);

// Whether `fuse` makes a difference for some axis.
bool can_fuse_reductions(const ir::Kernel& kernel, const analysis::Axes& axes);

}  // namespace peri::triton
