// Turns one straight run of scheduled operations into fused loops.
#pragma once

#include <vector>

#include "plan/plan.h"

namespace peri::plan {

// A read of a scheduled value (or carried buffer) by a piece of work: for each dimension of the
// value, the axis whose index selects the element; none if it is no plain loop index.
struct Read {
  ir::ValueId value;
  std::vector<AxisId> coordinates;
};

// One scheduled operation of a run.
struct Work {
  NodeId node;               // Compute or Carry
  ir::ValueId result;        // none for stores and carries
  std::vector<AxisId> axes;  // axes it iterates over, the value's dimension order
  AxisId reduced;            // reductions: the axis that is accumulated over
  std::vector<Read> reads;   // of scheduled values, through inline ones
  std::vector<i64> before;   // works of the run that must be complete before it ...
  std::vector<std::vector<AxisId>> before_axes;  // ... but for loops over these axes they may share
};

// Loops for `works` (in program order). `rank_of` orders axes: smaller is further out. Appends to
// `plan.nodes` and returns the run's top-level nodes. `paths` receives, for each work, the loops
// around its node.
std::vector<NodeId> schedule_loops(Plan& plan, const std::vector<Work>& works,
                                   const std::vector<i64>& rank_of,
                                   std::vector<std::vector<NodeId>>& paths);

}  // namespace peri::plan
