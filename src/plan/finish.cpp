// The last steps of planning: which loops run in lanes, prefetches, epilogues of dots.
#include <algorithm>

#include "plan/planner.h"

namespace peri::plan {

using ir::Kernel;
using ir::Op;
using ir::OpCode;
using ir::OpId;
using ir::ValueId;

namespace {

class Finisher {
 public:
  Finisher(Plan& plan, const InlineAnalysis& inlined, const std::vector<ValueUses>& uses)
      : plan_(plan), kernel_(*plan.kernel), inline_(inlined), uses_(uses) {}

  void run() {
    for (i64 n = 0; n < static_cast<i64>(plan_.nodes.size()); ++n) finish_loop(NodeId(n));
    if (plan_.prefetch_rows > 0) {
      for (Node& node : plan_.nodes) place_prefetches(node);
    }
    for (RootPlan& root : plan_.roots) fuse_epilogues(root.body);
  }

 private:
  void finish_loop(NodeId id) {
    Node& node = plan_[id];
    if (node.kind != Node::Kind::Loop) return;
    bool innermost = true;
    bool heavy = false;
    for (NodeId child : node.body) {
      const Node& c = plan_[child];
      if (c.kind == Node::Kind::Loop) innermost = false;
      heavy = heavy || is_heavy(c);
    }
    Sym extent = plan_.extent(node.axis);
    node.vector = innermost && !extent.is_int(1);
    if (!node.vector) return;
    // Four accumulators hide a reduction's latency; long code pays where no tail doubles it.
    std::optional<i64> count = extent.as_int();
    bool even = count && *count % 64 == 0;
    bool wide = heavy ? even : !node.reductions.empty();
    i64 automatic = wide ? 4 : 2;
    node.unroll = plan_.vector_unroll > 0 ? plan_.vector_unroll : automatic;
  }

  // A row loop makes several passes over its row. The first one waits for memory; the heaviest
  // other one, the last of equals (it writes what the caches need not keep), fetches what it will
  // read of the next row.
  void place_prefetches(Node& row) {
    if (row.kind != Node::Kind::Loop || row.vector) return;
    std::vector<NodeId> passes;
    for (NodeId child : row.body) {
      if (plan_[child].kind == Node::Kind::Loop && plan_[child].vector) passes.push_back(child);
    }
    if (passes.size() < 2) return;
    NodeId heaviest = *std::max_element(
        passes.rbegin(), passes.rend() - 1,
        [&](NodeId a, NodeId b) { return heavy_ops(plan_[a]) < heavy_ops(plan_[b]); });
    Node& to = plan_[heaviest];
    if (plan_[passes[0]].axis != to.axis) return;
    to.ahead = row.axis;
    for (NodeId child : plan_[passes[0]].body) {
      const Node& node = plan_[child];
      if (node.kind != Node::Kind::Compute || kernel_[node.op].code == OpCode::Store) continue;
      for (ValueId operand : kernel_[node.op].operands) {
        inline_.for_each_load(operand, plan_.axes.of(operand), [&](OpId load, const auto& axes) {
          bool whole = std::count(axes.begin(), axes.end(), row.axis) == 1 &&
                       std::count(axes.begin(), axes.end(), to.axis) == 1 && !gathers(load);
          if (whole && std::ranges::find(to.prefetches, load) == to.prefetches.end()) {
            to.prefetches.push_back(load);
          }
        });
      }
    }
  }

  // Its index tile would be read one row further, where it may end.
  bool gathers(OpId load) const {
    return std::ranges::any_of(kernel_[load].attrs.indices, [](const ir::Index& index) {
      return index.kind == ir::Index::Kind::Gather;
    });
  }

  i64 heavy_ops(const Node& pass) const {
    return std::ranges::count_if(pass.body, [&](NodeId n) { return is_heavy(plan_[n]); });
  }

  bool is_heavy(const Node& node) const {
    if (node.kind != Node::Kind::Compute) return false;
    const OpCode code = kernel_[node.op].code;
    return ir::info(code).has(ir::Transcendental) && code != OpCode::Div;
  }

  // A dot followed by loops that only map its result element by element runs them on its registers.
  void fuse_epilogues(std::vector<NodeId>& nodes) {
    for (size_t i = 0; i < nodes.size(); ++i) {
      Node& node = plan_[nodes[i]];
      fuse_epilogues(node.body);
      fuse_epilogues(node.orelse);
      if (node.kind != Node::Kind::Dot || i + 1 >= nodes.size()) continue;
      std::vector<NodeId> leaves = epilogue_of(node, nodes[i + 1]);
      if (leaves.empty()) continue;
      node.epilogue = std::move(leaves);
      nodes.erase(nodes.begin() + static_cast<i64>(i) + 1);
    }
  }

  std::vector<NodeId> epilogue_of(const Node& dot, NodeId next) const {
    const Op& op = kernel_[dot.op];
    ValueId result = dot.k_loop ? kernel_[dot.k_loop].results[0] : op.results[0];
    if (plan_[dot.buffer].value != result) return {};  // a carried buffer: the loop goes on with it
    for (const ValueUses::Use& use : uses_[result.index].uses) {
      if (!use.aligned || use.path.empty() || use.path[0] != next) return {};
    }
    const Node* node = &plan_[next];
    for (i64 d = 0; d < kernel_[result].type.rank(); ++d) {
      AxisId axis = plan_.axes.of(result, d);
      if (!axis) continue;
      if (node->kind != Node::Kind::Loop || node->axis != axis) return {};
      if (!node->reductions.empty() || !node->memory_reductions.empty()) return {};
      bool last = d + 1 == kernel_[result].type.rank();
      if (last) return leaves_of(*node, dot.buffer) ? node->body : std::vector<NodeId>{};
      if (node->body.size() != 1) return {};
      node = &plan_[node->body[0]];
    }
    return {};
  }

  bool leaves_of(const Node& loop, BufferId buffer) const {
    for (NodeId child : loop.body) {
      const Node& leaf = plan_[child];
      if (leaf.kind == Node::Kind::Carry) {
        if (leaf.buffer == buffer || leaf.source) return false;
      } else if (leaf.kind != Node::Kind::Compute) {
        return false;
      }
    }
    return true;
  }

  Plan& plan_;
  const Kernel& kernel_;
  const InlineAnalysis& inline_;
  const std::vector<ValueUses>& uses_;
};

}  // namespace

void finish_plan(Plan& plan, const InlineAnalysis& inlined, const std::vector<ValueUses>& uses) {
  Finisher(plan, inlined, uses).run();
}

}  // namespace peri::plan
