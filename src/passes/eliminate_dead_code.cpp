#include "passes/eliminate_dead_code.h"

#include <algorithm>

namespace peri::passes {

namespace {

using ir::OpCode;
using ir::ValueId;

// Marks what is live from the stores backwards, then sweeps.
class DeadCode {
 public:
  explicit DeadCode(ir::Kernel& kernel)
      : kernel_(kernel),
        live_values_(kernel.values.size()),
        live_ops_(kernel.ops.size()),
        graph_of_(kernel.ops.size()),
        owner_(kernel.graphs.size()) {}

  bool run() {
    for (const ir::Root& root : kernel_.roots) enter(root.body);
    for (const ir::Root& root : kernel_.roots) mark_stores(root.body);
    while (!pending_.empty()) {
      ValueId value = pending_.back();
      pending_.pop_back();
      spread(value);
    }
    for (const ir::Root& root : kernel_.roots) sweep(root.body);
    return changed_;
  }

 private:
  void enter(ir::GraphId graph) {
    for (ir::OpId id : kernel_[graph].ops) {
      graph_of_[id.index] = graph;
      for (ir::GraphId region : kernel_[id].regions) {
        owner_[region.index] = id;
        enter(region);
      }
    }
  }

  void mark_stores(ir::GraphId graph) {
    for (ir::OpId id : kernel_[graph].ops) {
      if (ir::info(kernel_[id].code).has(ir::Effect)) mark_op(id);
      for (ir::GraphId region : kernel_[id].regions) mark_stores(region);
    }
  }

  void mark(ValueId value) {
    if (live_values_[value.index]) return;
    live_values_[value.index] = true;
    pending_.push_back(value);
  }

  // An op that runs needs its operands (a loop: its bounds) and the ops around it.
  void mark_op(ir::OpId id) {
    if (live_ops_[id.index]) return;
    live_ops_[id.index] = true;
    const ir::Op& op = kernel_[id];
    for (size_t i = 0; i < fixed_operands(op); ++i) mark(op.operands[i]);
    ir::OpId around = owner_[graph_of_[id.index].index];
    if (around) mark_op(around);
  }

  static size_t fixed_operands(const ir::Op& op) {
    return op.code == OpCode::For ? 2 * op.attrs.blocks.size() : op.operands.size();
  }

  // What a live value needs: its op, and of region ops what flows into this value.
  void spread(ValueId value) {
    ir::OpId def = kernel_[value].def;
    if (!def) return spread_carried(owner_[kernel_[value].owner.index], value);
    mark_op(def);
    const ir::Op& op = kernel_[def];
    if (op.code == OpCode::For) return spread_carried(def, value);
    size_t i = std::ranges::find(op.results, value) - op.results.begin();
    for (ir::GraphId region : op.regions) mark(kernel_[region].yields[i]);
  }

  // `value` is a result or parameter of a loop.
  void spread_carried(ir::OpId loop, ValueId value) {
    const ir::Op& op = kernel_[loop];
    const ir::Graph& body = kernel_[op.regions[0]];
    for (size_t i = 0; i < op.results.size(); ++i) {
      if (op.results[i] != value && body.params[i] != value) continue;
      mark(op.operands[fixed_operands(op) + i]);
      mark(body.params[i]);
      mark(body.yields[i]);
    }
  }

  void sweep(ir::GraphId graph) {
    for (ir::OpId id : kernel_[graph].ops) {
      if (live_ops_[id.index]) sweep_regions(kernel_[id]);
    }
    changed_ |=
        std::erase_if(kernel_[graph].ops, [&](ir::OpId id) { return !live_ops_[id.index]; }) > 0;
  }

  void sweep_regions(ir::Op& op) {
    bool loop = op.code == OpCode::For;
    for (size_t i = op.regions.empty() ? 0 : op.results.size(); i-- > 0;) {
      bool live = live_values_[(loop ? kernel_[op.regions[0]].params : op.results)[i].index];
      if (live) continue;
      changed_ = true;
      erase_at(op.results, i);
      if (loop) erase_at(op.operands, fixed_operands(op) + i);
      if (loop) erase_at(kernel_[op.regions[0]].params, i);
      for (ir::GraphId region : op.regions) erase_at(kernel_[region].yields, i);
    }
    for (ir::GraphId region : op.regions) sweep(region);
  }

  static void erase_at(auto& items, size_t i) {
    items.erase(items.begin() + static_cast<std::ptrdiff_t>(i));
  }

  ir::Kernel& kernel_;
  std::vector<bool> live_values_, live_ops_;
  std::vector<ir::GraphId> graph_of_;  // by op
  std::vector<ir::OpId> owner_;        // by graph: the op it is a region of
  std::vector<ValueId> pending_;
  bool changed_ = false;
};

}  // namespace

bool eliminate_dead_code(ir::Kernel& kernel) { return DeadCode(kernel).run(); }

}  // namespace peri::passes
