#include "backends/triton/rolling.h"

#include <algorithm>
#include <map>
#include <set>

#include "analysis/memory_effects.h"
#include "ir/walk.h"

namespace peri::triton {

using ir::Kernel;
using ir::Op;
using ir::OpCode;
using ir::OpId;
using ir::ValueId;

namespace {

bool has_axis(const Kernel& kernel, const analysis::Axes& axes, ValueId value, AxisId axis) {
  for (i64 d = 0; d < kernel[value].type.rank(); ++d) {
    if (axes.of(value, d) == axis) return true;
  }
  return false;
}

}  // namespace

bool is_along(const Kernel& kernel, const analysis::Axes& axes, const Op& op, AxisId axis) {
  auto has = [&](ValueId value) { return has_axis(kernel, axes, value, axis); };
  return std::ranges::any_of(op.operands, has) || std::ranges::any_of(op.results, has);
}

// --- which axes ---

namespace {

// Where an axis stands: rolling it needs all of its values in one graph, made of ops that work
// element by element along it, or reduce it.
class RollCheck {
 public:
  RollCheck(const Kernel& kernel, const analysis::Axes& axes, AxisId axis)
      : kernel_(kernel), axes_(axes), axis_(axis) {}

  std::string reason() {
    for (const ir::Root& root : kernel_.roots) {
      if (std::string why = check(root.body); !why.empty()) return why;
    }
    if (graphs_ > 1) return "it is used in several loops";
    return "";
  }

 private:
  bool has_axis(ValueId value) const { return triton::has_axis(kernel_, axes_, value, axis_); }

  std::string check(ir::GraphId id) {
    const ir::Graph& graph = kernel_[id];
    for (ir::ValueId value : graph.params) {
      if (has_axis(value)) return "a loop carries values along it";
    }
    bool here = false;
    for (OpId op_id : graph.ops) {
      const Op& op = kernel_[op_id];
      for (ir::GraphId region : op.regions) {
        if (std::string why = check(region); !why.empty()) return why;
      }
      if (!is_along(kernel_, axes_, op, axis_)) continue;
      here = true;
      if (std::string why = check_op(op, id); !why.empty()) return why;
    }
    if (here && loads_what_it_stores(id)) return "it reads a tensor that it writes";
    if (here) ++graphs_;
    return "";
  }

  // Passes would change the order of those accesses.
  bool loads_what_it_stores(ir::GraphId id) const {
    std::vector<i64> stored = analysis::stored_below(kernel_, id);
    bool found = false;
    ir::for_each_op(kernel_, id, [&](const Op& op) {
      bool reads = op.code == OpCode::Load;
      found = found || (reads && std::ranges::count(
                                     stored, analysis::storage_of(kernel_, op.attrs.tensor)) > 0);
    });
    return found;
  }

  std::string check_op(const Op& op, ir::GraphId graph) const {
    for (ir::ValueId value : op.operands) {
      if (has_axis(value) && kernel_[value].owner != graph) return "it is used in several loops";
    }
    const ir::OpInfo& row = ir::info(op.code);
    if (row.rule == ir::Rule::Dot) return "a dot needs all of it";
    if (row.has(ir::Region)) return "a loop carries values along it";
    if (op.code == OpCode::Reshape) return "a reshape needs all of it";
    if (op.code == OpCode::ArgMax || op.code == OpCode::ArgMin) {
      if (axes_.of(op.operands[0], op.attrs.dims[0]) == axis_) return "an argmax needs all of it";
    }
    for (const ir::Index& index : op.attrs.indices) {
      if (index.kind == ir::Index::Kind::Gather && has_axis(op.operands[index.operand])) {
        return "it gathers along it";
      }
    }
    return "";
  }

  const Kernel& kernel_;
  const analysis::Axes& axes_;
  AxisId axis_;
  i64 graphs_ = 0;
};

}  // namespace

std::vector<ReducedAxis> reduced_axes(const Kernel& kernel, const analysis::Axes& axes) {
  std::vector<ReducedAxis> reduced;
  bool taken = false;
  for (const ir::Root& root : kernel.roots) {
    taken = false;
    ir::for_each_op(kernel, root.body, [&](const Op& op) {
      if (ir::info(op.code).rule != ir::Rule::Reduce) return;
      AxisId axis = axes.of(op.operands[0], op.attrs.dims[0]);
      if (!axis || axes[axis].block) return;
      for (const ReducedAxis& known : reduced) {
        if (known.axis == axis) return;
      }
      std::string reason = RollCheck(kernel, axes, axis).reason();
      if (reason.empty() && taken) reason = "another dimension is walked in chunks";
      taken = taken || reason.empty();
      reduced.push_back({axis, std::move(reason)});
    });
  }
  return reduced;
}

// --- passes ---

namespace {

// Splits a graph's ops into passes.
class Splitter {
 public:
  Splitter(const Kernel& kernel, const analysis::Axes& axes, ir::GraphId graph, AxisId axis)
      : kernel_(kernel), axes_(axes), ops_(kernel[graph].ops), axis_(axis) {
    find_stages();
  }

  std::vector<Pass> run(bool fuse) const {
    std::vector<Pass> passes;
    const i64 last = ops_.empty() ? -1 : *std::ranges::max_element(stages_);
    for (i64 stage = 0; stage <= last; ++stage) {
      std::vector<OpId> before, reduces, stores;
      for (std::size_t i = 0; i < ops_.size(); ++i) {
        if (stages_[i] != stage) continue;
        const Op& op = kernel_[ops_[i]];
        if (!is_along(kernel_, axes_, op, axis_))
          before.push_back(ops_[i]);
        else if (reduces_here(op))
          reduces.push_back(ops_[i]);
        else if (op.code == OpCode::Store)
          stores.push_back(ops_[i]);
      }
      // The stage's last pass stores.
      while (!fuse && reduces.size() > 1) {
        passes.push_back({std::move(before), feeding({reduces[0]}), {reduces[0]}});
        before.clear();
        reduces.erase(reduces.begin());
      }
      std::vector<OpId> wanted = reduces;
      wanted.insert(wanted.end(), stores.begin(), stores.end());
      std::vector<OpId> along = feeding(wanted);
      passes.push_back({std::move(before), std::move(along), std::move(reduces)});
    }
    return passes;
  }

 private:
  bool reduces_here(const Op& op) const {
    return ir::info(op.code).rule == ir::Rule::Reduce &&
           axes_.of(op.operands[0], op.attrs.dims[0]) == axis_;
  }

  // By op: the reductions one after the other that it waits for.
  void find_stages() {
    std::map<ValueId, i64> ready;
    i64 last_store = 0;
    for (OpId id : ops_) {
      const Op& op = kernel_[id];
      i64 stage = 0;
      for (ValueId operand : op.operands) {
        if (auto it = ready.find(operand); it != ready.end()) stage = std::max(stage, it->second);
      }
      if (op.code == OpCode::Store || !op.regions.empty()) {
        stage = last_store = std::max(stage, last_store);
      }
      stages_.push_back(stage);
      i64 after = reduces_here(op) ? stage + 1 : stage;
      for (ValueId result : op.results) ready[result] = after;
    }
  }

  // The ops along the axis that `wanted` needs, and the stores of it, in order.
  std::vector<OpId> feeding(const std::vector<OpId>& wanted) const {
    std::vector<OpId> along;
    std::set<ValueId> needed;
    for (OpId id : wanted) needed.insert(kernel_[id].operands.begin(), kernel_[id].operands.end());
    for (std::size_t i = ops_.size(); i-- > 0;) {
      const Op& op = kernel_[ops_[i]];
      if (!is_along(kernel_, axes_, op, axis_) || reduces_here(op)) continue;
      const bool stores = op.code == OpCode::Store && std::ranges::count(wanted, ops_[i]) > 0;
      const bool feeds = !op.results.empty() && needed.contains(op.results[0]);
      if (!stores && !feeds) continue;
      needed.insert(op.operands.begin(), op.operands.end());
      along.push_back(ops_[i]);
    }
    std::ranges::reverse(along);
    return along;
  }

  const Kernel& kernel_;
  const analysis::Axes& axes_;
  const std::vector<OpId>& ops_;
  AxisId axis_;
  std::vector<i64> stages_;
};

}  // namespace

std::vector<Pass> passes_of(const Kernel& kernel, const analysis::Axes& axes, ir::GraphId graph,
                            AxisId axis, bool fuse) {
  return Splitter(kernel, axes, graph, axis).run(fuse);
}

bool can_fuse_reductions(const Kernel& kernel, const analysis::Axes& axes) {
  for (const ReducedAxis& reduced : reduced_axes(kernel, axes)) {
    if (!reduced.reason.empty()) continue;
    for (i64 g = 0; g < static_cast<i64>(kernel.graphs.size()); ++g) {
      for (const Pass& pass : passes_of(kernel, axes, ir::GraphId(g), reduced.axis, true)) {
        if (pass.reduces.size() > 1) return true;
      }
    }
  }
  return false;
}

}  // namespace peri::triton
