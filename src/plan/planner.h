// Internals of make_plan: walks a root's graphs and turns their ops into nodes.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <unordered_map>

#include "plan/plan.h"
#include "plan/schedule.h"
#include "plan/subscripts.h"

namespace peri::plan {

// Which ops are evaluated where they are used, and what they read through such ops.
class InlineAnalysis {
 public:
  // `limit`: most arithmetic operations that may be done again rather than kept.
  InlineAnalysis(const ir::Kernel& kernel, const analysis::Axes& axes, i64 limit);

  bool is_inline(ir::ValueId value) const;
  // Scheduled values and loop parameters that evaluating `value` at `coordinates` reads.
  void collect_reads(ir::ValueId value, const std::vector<AxisId>& coordinates,
                     std::vector<Read>& reads) const;
  // Calls `visit(tensor, dim, axis)` for every subscript of inline loads below `value` that runs
  // over `axis`.
  using AccessVisitor = std::function<void(ir::TensorId, i64, AxisId)>;
  void for_each_access(ir::ValueId value, const std::vector<AxisId>& coordinates,
                       const AccessVisitor& visit) const;
  // Calls `visit(load, axes of its value)` for every inline load below `value`.
  using LoadVisitor = std::function<void(ir::OpId, const std::vector<AxisId>&)>;
  void for_each_load(ir::ValueId value, const std::vector<AxisId>& coordinates,
                     const LoadVisitor& visit) const;
  // The loads that evaluating `value` reaches are direct: a tensor, perhaps seen through views.
  bool is_direct_load(ir::ValueId value) const;
  bool is_written(ir::TensorId tensor) const;
  // The constant an inline value is everywhere, if it is one.
  bool is_zero(ir::ValueId value) const;

 private:
  using Visit = std::function<void(ir::ValueId, const std::vector<AxisId>&)>;
  void walk(ir::ValueId value, const std::vector<AxisId>& coordinates, const Visit& visit) const;
  void walk_load(const ir::Op& op, const std::vector<AxisId>& coordinates,
                 const Visit& visit) const;
  i64 classify(const ir::Op& op);

  const ir::Kernel& kernel_;
  const analysis::Axes& axes_;
  i64 limit_;
  std::set<i64> written_storages_;
  std::vector<i64> cost_;  // by op: -1 scheduled, else operations of inline evaluation
};

// A scheduled value's place in the tree: the loops around its definition and around each use.
struct ValueUses {
  i64 run = -1;  // the run (schedule_loops call) that defines it
  std::vector<NodeId> definition;
  struct Use {
    i64 run;
    std::vector<NodeId> path;
    bool aligned = false;  // reads the element at the loop indices of the value's own axes
  };
  std::vector<Use> uses;
  bool in_memory = false;    // must be a buffer: read by a dot, or accumulated in memory
  bool dot_operand = false;  // its buffer keeps the value's own dtype
};

// Sets block sizes, tunables and the kernel-wide knobs of `plan`.
void read_config(Plan& plan, const space::Config& config);
// Threads and order of cells of a root of so many axes, the `grid`-th of those with two or more.
void read_launch(RootPlan& root, const space::Config& config, i64 axes, i64& grid);
// The schedule of the kernel's dot number `index`.
DotSchedule dot_schedule(const space::Config& config, i64 index);

// Decides, once all values have their places, which loops run in lanes, what they prefetch, and
// which dots run the loops behind them as epilogues.
void finish_plan(Plan& plan, const InlineAnalysis& inlined, const std::vector<ValueUses>& uses);

}  // namespace peri::plan
