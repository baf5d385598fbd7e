#include "plan/plan.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "analysis/memory_effects.h"
#include "base/bug.h"
#include "ir/walk.h"
#include "plan/flatten_loops.h"
#include "plan/planner.h"

namespace peri::plan {

using ir::Kernel;
using ir::Op;
using ir::OpCode;
using ir::OpId;
using ir::ValueId;
using space::Config;

Sym Plan::resolve(Sym sym) const {
  return kernel->syms->substitute(sym, [&](SymbolId id) { return symbol_values[id.index]; });
}

namespace {

// A memory access of a run, for ordering stores and loads of one storage.
struct Access {
  i64 work;
  OpId op;
  bool store;
};

class Planner {
 public:
  Planner(const Kernel& kernel, const Config& config, const space::Capabilities& capabilities)
      : plan_(kernel),
        kernel_(kernel),
        config_(config),
        inline_(kernel, plan_.axes, config.value("recompute_limit", i64{4})) {
    (void)capabilities;
    read_config(plan_, config);
  }

  Plan run() {
    plan_.placements.resize(kernel_.values.size());
    uses_.resize(kernel_.values.size());
    for (i64 r = 0; r < static_cast<i64>(kernel_.roots.size()); ++r) plan_root(r);
    place_values();
    finish_plan(plan_, inline_, uses_);
    return std::move(plan_);
  }

 private:
  std::vector<BlockId> loop_order(const std::vector<BlockId>& blocks) {
    if (blocks.size() < 2) return blocks;
    i64 index = next_order_++;
    auto orders = config_.find("loop_orders");
    if (orders == config_.end() || index >= static_cast<i64>(orders->size())) return blocks;
    std::vector<BlockId> ordered;
    for (const auto& position : (*orders)[index]) ordered.push_back(blocks[position.get<i64>()]);
    return ordered;
  }

  // --- roots and graphs ---

  void plan_root(i64 index) {
    const ir::Root& root = kernel_.roots[index];
    RootPlan result;
    result.order = loop_order(root.blocks);
    read_launch(result, config_, static_cast<i64>(root.blocks.size()), next_grid_);
    result.body = plan_graph(root.body, {});
    plan_.roots.push_back(std::move(result));
  }

  NodeId add_node(Node node) {
    plan_.nodes.push_back(std::move(node));
    return NodeId(static_cast<i64>(plan_.nodes.size()) - 1);
  }

  BufferId add_buffer(ValueId value, const std::vector<i64>& dims) {
    const TileType& type = kernel_[value].type;
    Buffer buffer{compute_dtype(type.dtype), {}, value};
    for (i64 d : dims) buffer.extents.push_back(plan_.resolve(type.shape[d].size));
    plan_.buffers.push_back(std::move(buffer));
    return BufferId(static_cast<i64>(plan_.buffers.size()) - 1);
  }

  BufferId add_full_buffer(ValueId value) {
    std::vector<i64> dims;
    for (i64 d = 0; d < kernel_[value].type.rank(); ++d) dims.push_back(d);
    BufferId buffer = add_buffer(value, dims);
    place_in(value, buffer);
    return buffer;
  }

  void place_in(ValueId value, BufferId buffer) {
    Placement& placement = plan_.placements[value.index];
    placement = {Placement::Kind::Buffer, buffer, {}};
    for (i64 d = 0; d < kernel_[value].type.rank(); ++d) placement.dims.push_back(d);
  }

  bool is_placed(ValueId value) const {
    return plan_.placements[value.index].kind == Placement::Kind::Buffer;
  }

  // Nodes of a graph. `carries`: where its yields go.
  std::vector<NodeId> plan_graph(ir::GraphId graph, const std::vector<BufferId>& carries) {
    std::vector<NodeId> nodes;
    std::vector<Work> pending;
    std::vector<Access> accesses;
    std::swap(accesses, accesses_);
    auto flush = [&] {
      if (!pending.empty()) schedule_run(pending, nodes);
      pending.clear();
      accesses_.clear();
    };
    for (OpId id : kernel_[graph].ops) {
      const Op& op = kernel_[id];
      if (op.code == OpCode::For || op.code == OpCode::If || op.code == OpCode::Dot) {
        plan_structured(graph, id, carries, pending, nodes, flush);
      } else if (op.code == OpCode::ArgMax || op.code == OpCode::ArgMin) {
        flush();  // a run of its own, so that its axis can be innermost
        add_work(id, pending);
        flush();
      } else if (op.results.empty() || !inline_.is_inline(op.results[0])) {
        add_work(id, pending);
      }
    }
    add_carries(graph, carries, pending, flush);
    flush();
    std::swap(accesses, accesses_);
    return nodes;
  }

  template <class Flush>
  void plan_structured(ir::GraphId graph, OpId id, const std::vector<BufferId>& carries,
                       std::vector<Work>& pending, std::vector<NodeId>& nodes, const Flush& flush) {
    switch (kernel_[id].code) {
      case OpCode::Dot:
        nodes_of_dot(graph, id, id, carries, pending, nodes, flush);
        break;
      case OpCode::For:
        if (OpId dot = swallowable_dot(id)) {
          nodes_of_dot(graph, dot, id, carries, pending, nodes, flush);
        } else {
          nodes_of_for(id, pending, nodes, flush);
        }
        break;
      default:
        nodes_of_if(id, nodes, flush);
    }
  }

  // Scalars and tiles an op of the next level reads must be in memory or in dominating registers.
  void use_everywhere(ValueId value) {
    std::vector<Read> reads;
    inline_.collect_reads(value, plan_.axes.of(value), reads);
    for (const Read& read : reads) uses_[read.value.index].uses.push_back({-1, {}});
  }

  template <class Flush>
  void nodes_of_for(OpId id, std::vector<Work>& pending, std::vector<NodeId>& nodes,
                    const Flush& flush) {
    const Op& op = kernel_[id];
    const ir::Graph& body = kernel_[op.regions[0]];
    size_t bounds = 2 * op.attrs.blocks.size();
    for (size_t i = 0; i < bounds; ++i) use_everywhere(op.operands[i]);
    std::vector<BufferId> carried;
    for (size_t i = 0; i < body.params.size(); ++i) {
      BufferId buffer = add_full_buffer(body.params[i]);
      place_in(op.results[i], buffer);
      carried.push_back(buffer);
      add_carry(op.operands[bounds + i], buffer, pending);
    }
    flush();
    Node node;
    node.kind = Node::Kind::For;
    node.op = id;
    node.order = loop_order(op.attrs.blocks);
    NodeId result = add_node(node);
    std::vector<NodeId> inner = plan_graph(op.regions[0], carried);
    plan_[result].body = std::move(inner);
    nodes.push_back(result);
  }

  template <class Flush>
  void nodes_of_if(OpId id, std::vector<NodeId>& nodes, const Flush& flush) {
    const Op& op = kernel_[id];
    flush();
    use_everywhere(op.operands[0]);
    std::vector<BufferId> merged;
    for (ValueId value : op.results) merged.push_back(add_full_buffer(value));
    Node node;
    node.kind = Node::Kind::If;
    node.op = id;
    NodeId result = add_node(node);
    std::vector<NodeId> then_nodes = plan_graph(op.regions[0], merged);
    std::vector<NodeId> else_nodes = plan_graph(op.regions[1], merged);
    plan_[result].body = std::move(then_nodes);
    plan_[result].orelse = std::move(else_nodes);
    nodes.push_back(result);
  }

  // --- dots ---

  // The dot of a loop over k that does nothing but accumulate it from direct loads; none otherwise.
  OpId swallowable_dot(OpId id) const {
    const Op& loop = kernel_[id];
    const ir::Graph& body = kernel_[loop.regions[0]];
    if (loop.attrs.blocks.size() != 1 || body.params.size() != 1) return {};
    if (kernel_[loop.attrs.blocks[0]].kind != Block::Kind::Tile) return {};
    OpId dot;
    for (OpId op : body.ops) {
      const Op& candidate = kernel_[op];
      if (candidate.code == OpCode::Dot && !dot) {
        dot = op;
      } else if (candidate.results.empty() || !inline_.is_inline(candidate.results[0])) {
        return {};
      }
    }
    if (!dot) return {};
    const Op& op = kernel_[dot];
    bool accumulates = op.operands.size() == 3 && op.operands[2] == body.params[0] &&
                       body.yields[0] == op.results[0];
    if (!accumulates) return {};
    i64 rank = kernel_[op.results[0]].type.rank();
    BlockId k = loop.attrs.blocks[0];
    bool along_k =
        k_from_tile(op.operands[0], rank - 1, k) && k_from_tile(op.operands[1], rank - 2, k);
    return along_k ? dot : OpId();
  }

  // Whether `value` is a direct load whose dimension `dim` is all of tile axis `k`, and nothing
  // else of its address moves with `k`.
  bool k_from_tile(ValueId value, i64 dim, BlockId k) const {
    if (!inline_.is_direct_load(value)) return false;
    const TileType& type = kernel_[value].type;
    for (i64 d = 0; d < type.rank(); ++d) {
      if ((type.shape[d].block == k) != (d == dim)) return false;
    }
    const Op* op = &kernel_[kernel_[value].def];
    while (op->code != OpCode::Load) op = &kernel_[kernel_[op->operands[0]].def];
    return op->operands.empty();
  }

  template <class Flush>
  void nodes_of_dot(ir::GraphId graph, OpId dot_id, OpId outer_id,
                    const std::vector<BufferId>& carries, std::vector<Work>& pending,
                    std::vector<NodeId>& nodes, const Flush& flush) {
    const Op& dot = kernel_[dot_id];
    const Op& outer = kernel_[outer_id];
    bool swallowed = dot_id != outer_id;
    ValueId result = outer.results[0];
    Node node;
    node.kind = Node::Kind::Dot;
    node.op = dot_id;
    node.dot = static_cast<i64>(plan_.dots.size());
    plan_.dots.push_back(dot_schedule(config_, node.dot));
    if (swallowed) {
      node.k_loop = outer_id;
      Sym block = plan_.block_sizes[outer.attrs.blocks[0].index];
      plan_.dots.back().k_block = block.as_int().value_or(0);
      use_everywhere(outer.operands[0]);
      use_everywhere(outer.operands[1]);
    }
    for (size_t i = 0; i < 2; ++i) node.operands[i] = read_operand(dot.operands[i], pending);
    node.buffer = destination(graph, outer_id, result, carries);
    place_in(result, node.buffer);
    if (swallowed) place_in(dot.results[0], node.buffer);
    ValueId acc =
        swallowed ? outer.operands[2] : (dot.operands.size() == 3 ? dot.operands[2] : ValueId());
    if (acc && !inline_.is_zero(acc)) {
      node.accumulate = true;
      bool in_place = is_placed(acc) && plan_.at(acc).buffer == node.buffer;
      if (!in_place) add_carry(acc, node.buffer, pending);
    }
    flush();
    nodes.push_back(add_node(node));
  }

  // A dot's operand is read from where it lies, or computed into a buffer first (which is
  // returned).
  BufferId read_operand(ValueId value, std::vector<Work>& pending) {
    if (inline_.is_direct_load(value)) {
      use_everywhere(value);
      return {};
    }
    if (!inline_.is_inline(value)) {
      uses_[value.index].uses.push_back({-1, {}});
      uses_[value.index].in_memory = true;
      uses_[value.index].dot_operand = true;
      return {};
    }
    std::vector<i64> dims;
    for (i64 d = 0; d < kernel_[value].type.rank(); ++d) dims.push_back(d);
    BufferId buffer = add_buffer(value, dims);
    plan_.buffers[buffer.index].dtype = kernel_[value].type.dtype;
    add_carry(value, buffer, pending);
    return buffer;
  }

  // The buffer a dot accumulates in: the carried one, if its result is what the loop carries on and
  // nobody reads the old value later.
  BufferId destination(ir::GraphId graph, OpId at, ValueId result,
                       const std::vector<BufferId>& carries) {
    const ir::Graph& g = kernel_[graph];
    for (size_t j = 0; j < carries.size() && j < g.params.size(); ++j) {
      if (g.yields[j] != result) continue;
      if (!read_after(g, at, g.params[j])) return carries[j];
    }
    return add_full_buffer(result);
  }

  bool read_after(const ir::Graph& graph, OpId at, ValueId param) const {
    bool after = false;
    auto reads_param = [&](ValueId value) {
      std::vector<Read> reads;
      inline_.collect_reads(value, plan_.axes.of(value), reads);
      return std::any_of(reads.begin(), reads.end(),
                         [&](const Read& r) { return r.value == param; });
    };
    for (OpId id : graph.ops) {
      if (after && op_reads(id, reads_param)) return true;
      after = after || id == at;
    }
    return std::any_of(graph.yields.begin(), graph.yields.end(), reads_param);
  }

  bool op_reads(OpId id, const std::function<bool(ValueId)>& reads_param) const {
    const Op& op = kernel_[id];
    if (std::any_of(op.operands.begin(), op.operands.end(), reads_param)) return true;
    for (ir::GraphId region : op.regions) {
      for (OpId inner : kernel_[region].ops) {
        if (op_reads(inner, reads_param)) return true;
      }
      const auto& yields = kernel_[region].yields;
      if (std::any_of(yields.begin(), yields.end(), reads_param)) return true;
    }
    return false;
  }

  // --- works ---

  // The value whose dimensions an op iterates over.
  ValueId iteration_value(const Op& op) const {
    bool operand = op.code == OpCode::Store || ir::info(op.code).rule == ir::Rule::Reduce;
    return operand ? op.operands[0] : op.results[0];
  }

  void add_work(OpId id, std::vector<Work>& pending) {
    const Op& op = kernel_[id];
    Node node;
    node.kind = Node::Kind::Compute;
    node.op = id;
    Work work;
    work.node = add_node(node);
    if (!op.results.empty()) work.result = op.results[0];
    ValueId space = iteration_value(op);
    work.axes = plan_.axes.of(space);
    if (ir::info(op.code).rule == ir::Rule::Reduce) work.reduced = work.axes[op.attrs.dims[0]];
    collect_op_reads(op, work);
    if (ir::is_access(op)) order_access(id, work, pending);
    pending.push_back(std::move(work));
  }

  void collect_op_reads(const Op& op, Work& work) const {
    if (ir::is_access(op)) {
      if (op.code == OpCode::Store) inline_.collect_reads(op.operands[0], work.axes, work.reads);
      if (op.attrs.has_mask) inline_.collect_reads(op.operands.back(), work.axes, work.reads);
      for_each_subscript(kernel_, op, [&](i64, i64 at, i64 rank, const ir::Index& index) {
        if (index.operand < 0) return;
        std::vector<AxisId> coordinates(work.axes.begin() + at, work.axes.begin() + at + rank);
        if (index.kind != ir::Index::Kind::Gather) coordinates.clear();
        inline_.collect_reads(op.operands[index.operand], coordinates, work.reads);
      });
      return;
    }
    for (ValueId operand : op.operands) {
      bool scalar = kernel_[operand].type.is_scalar();
      inline_.collect_reads(operand, scalar ? std::vector<AxisId>{} : work.axes, work.reads);
    }
  }

  // Keeps the order of accesses to one storage unless both are loads; those to the same elements
  // may share loops.
  void order_access(OpId id, Work& work, const std::vector<Work>& pending) {
    const Op& op = kernel_[id];
    bool store = op.code == OpCode::Store;
    for (const Access& other : accesses_) {
      const Op& earlier = kernel_[other.op];
      if (!store && !other.store) continue;
      if (analysis::storage_of(kernel_, earlier.attrs.tensor) !=
          analysis::storage_of(kernel_, op.attrs.tensor)) {
        continue;
      }
      work.before.push_back(other.work);
      work.before_axes.push_back(same_elements(earlier, op) ? work.axes : std::vector<AxisId>{});
    }
    accesses_.push_back({static_cast<i64>(pending.size()), id, store});
  }

  bool same_elements(const Op& a, const Op& b) const {
    if (a.attrs.tensor != b.attrs.tensor || a.attrs.indices.size() != b.attrs.indices.size()) {
      return false;
    }
    for (size_t i = 0; i < a.attrs.indices.size(); ++i) {
      const ir::Index& x = a.attrs.indices[i];
      const ir::Index& y = b.attrs.indices[i];
      if (x.kind != y.kind || x.block != y.block || x.extent != y.extent) return false;
      if (x.kind == ir::Index::Kind::Gather || (x.operand < 0) != (y.operand < 0)) return false;
      if (x.operand >= 0 && a.operands[x.operand] != b.operands[y.operand]) return false;
    }
    ValueId va = iteration_value(a), vb = iteration_value(b);
    return plan_.axes.of(va) == plan_.axes.of(vb);
  }

  void add_carry(ValueId value, BufferId buffer, std::vector<Work>& pending) {
    Node node;
    node.kind = Node::Kind::Carry;
    node.value = value;
    node.buffer = buffer;
    Work work;
    work.node = add_node(node);
    work.axes = plan_.axes.of(value);
    inline_.collect_reads(value, work.axes, work.reads);
    // Whoever reads what the buffer held must have done so.
    for (size_t w = 0; w < pending.size(); ++w) {
      for (const Read& read : pending[w].reads) {
        if (!is_placed(read.value) || plan_.at(read.value).buffer != buffer) continue;
        work.before.push_back(static_cast<i64>(w));
        std::vector<AxisId> shareable;
        for (size_t d = 0; d < work.axes.size() && d < read.coordinates.size(); ++d) {
          if (work.axes[d] && read.coordinates[d] == work.axes[d])
            shareable.push_back(work.axes[d]);
        }
        work.before_axes.push_back(shareable);
      }
    }
    pending.push_back(std::move(work));
  }

  bool reads_buffer(ValueId value, BufferId buffer) const {
    std::vector<Read> reads;
    inline_.collect_reads(value, plan_.axes.of(value), reads);
    return std::any_of(reads.begin(), reads.end(), [&](const Read& read) {
      return is_placed(read.value) && plan_.at(read.value).buffer == buffer;
    });
  }

  // Moves yields into the carried buffers, each before the others overwrite what it reads.
  template <class Flush>
  void add_carries(ir::GraphId graph, const std::vector<BufferId>& carries,
                   std::vector<Work>& pending, const Flush& flush) {
    const std::vector<ValueId>& yields = kernel_[graph].yields;
    std::vector<size_t> left;
    for (size_t j = 0; j < carries.size(); ++j) {
      bool there = is_placed(yields[j]) && plan_.at(yields[j]).buffer == carries[j];
      if (!there) left.push_back(j);
    }
    std::vector<std::pair<BufferId, size_t>> temporaries;
    while (!left.empty()) {
      auto free = std::find_if(left.begin(), left.end(), [&](size_t j) {
        return std::none_of(left.begin(), left.end(), [&](size_t k) {
          return k != j && reads_buffer(yields[k], carries[j]);
        });
      });
      if (free != left.end()) {
        add_carry(yields[*free], carries[*free], pending);
        left.erase(free);
        continue;
      }
      // A cycle (a swap): one value goes through a buffer of its own.
      std::vector<i64> dims;
      for (i64 d = 0; d < kernel_[yields[left[0]]].type.rank(); ++d) dims.push_back(d);
      BufferId temporary = add_buffer(yields[left[0]], dims);
      add_carry(yields[left[0]], temporary, pending);
      temporaries.push_back({temporary, left[0]});
      left.erase(left.begin());
    }
    if (temporaries.empty()) return;
    flush();
    for (auto [temporary, j] : temporaries) {
      add_carry(yields[j], carries[j], pending);
      Work& work = pending.back();
      work.reads.clear();
      plan_[work.node].source = temporary;
    }
  }

  // --- loops ---

  void schedule_run(const std::vector<Work>& works, std::vector<NodeId>& nodes) {
    std::vector<std::vector<NodeId>> paths;
    std::vector<NodeId> run = schedule_loops(plan_, works, rank_axes(works), paths);
    nodes.insert(nodes.end(), run.begin(), run.end());
    i64 index = runs_++;
    for (size_t w = 0; w < works.size(); ++w) {
      for (const Read& read : works[w].reads) {
        bool aligned = read.coordinates == plan_.axes.defined(kernel_, read.value);
        uses_[read.value.index].uses.push_back({index, paths[w], aligned});
      }
      if (works[w].result) define(works[w], index, paths[w]);
    }
  }

  void define(const Work& work, i64 run, const std::vector<NodeId>& path) {
    ValueUses& uses = uses_[work.result.index];
    uses.run = run;
    uses.definition = path;
    if (!work.reduced) return;
    OpId op = plan_[work.node].op;
    for (size_t i = 0; i < path.size(); ++i) {
      if (plan_[path[i]].axis != work.reduced) continue;
      bool innermost = i + 1 == path.size();
      (innermost ? plan_[path[i]].reductions : plan_[path[i]].memory_reductions).push_back(op);
      uses.in_memory = !innermost;
      uses.definition.resize(i);
    }
  }

  // Further out is smaller. The axis that most accesses run along contiguously goes innermost; the
  // others keep the order of dimensions.
  std::vector<i64> rank_axes(const std::vector<Work>& works) const {
    std::vector<double> score(plan_.axes.count(), 0);
    for (const Work& work : works) score_accesses(work, score);
    std::vector<const Work*> by_rank;
    for (const Work& work : works) by_rank.push_back(&work);
    std::ranges::stable_sort(by_rank, std::greater<>(),
                             [](const Work* w) { return w->axes.size(); });
    std::vector<i64> rank(plan_.axes.count(), -1);
    i64 next = 0;
    AxisId inner;
    for (const Work* work : by_rank) {
      for (AxisId axis : work->axes) {
        if (!axis) continue;
        if (rank[axis.index] < 0) rank[axis.index] = next++;
        if (!inner || score[axis.index] >= score[inner.index]) inner = axis;
      }
    }
    if (works.size() == 1 && works[0].reduced && is_arg_reduction(works[0]))
      inner = works[0].reduced;
    if (inner) rank[inner.index] = next;
    return rank;
  }

  bool is_arg_reduction(const Work& work) const {
    OpCode code = kernel_[plan_[work.node].op].code;
    return code == OpCode::ArgMax || code == OpCode::ArgMin;
  }

  void score_accesses(const Work& work, std::vector<double>& score) const {
    const Node& node = plan_[work.node];
    // An access over more axes happens more often.
    double weight =
        std::pow(16.0, std::ranges::count_if(work.axes, [](AxisId a) { return bool(a); }));
    auto add = [&](ir::TensorId tensor, i64 dim, AxisId axis) {
      if (axis && kernel_[tensor].strides[dim].is_int(1)) score[axis.index] += weight;
    };
    for (size_t i = work.axes.size(); i-- > 0;) {
      if (!work.axes[i]) continue;
      score[work.axes[i].index] += weight / 4;
      break;
    }
    if (node.kind == Node::Kind::Carry) return inline_.for_each_access(node.value, work.axes, add);
    const Op& op = kernel_[node.op];
    if (op.code == OpCode::Store || op.code == OpCode::Load) {
      for_each_subscript(kernel_, op, [&](i64 dim, i64 at, i64 rank, const ir::Index& index) {
        if (rank == 1 && index.kind != ir::Index::Kind::Gather)
          add(op.attrs.tensor, dim, work.axes[at]);
      });
    }
    for (ValueId operand : op.operands) {
      if (kernel_[operand].type.rank() == static_cast<i64>(work.axes.size())) {
        inline_.for_each_access(operand, work.axes, add);
      }
    }
  }

  // --- placement ---

  void place_values() {
    for (i64 v = 0; v < static_cast<i64>(kernel_.values.size()); ++v) {
      ValueUses& uses = uses_[v];
      if (uses.run < 0 || is_placed(ValueId(v))) continue;
      place_value(ValueId(v), uses);
    }
  }

  void place_value(ValueId value, ValueUses& uses) {
    std::vector<NodeId> common = uses.definition;
    for (const ValueUses::Use& use : uses.uses) {
      if (use.run != uses.run) common.clear();
      size_t length = 0;
      while (length < common.size() && length < use.path.size() &&
             common[length] == use.path[length]) {
        ++length;
      }
      common.resize(length);
    }
    bool in_register = !uses.in_memory && common.size() == uses.definition.size();
    if (kernel_[value].type.is_scalar() && !uses.in_memory) in_register = uses.definition.empty();
    Placement& placement = plan_.placements[value.index];
    if (in_register) {
      placement.kind = Placement::Kind::Register;
      return;
    }
    std::vector<i64> dims;
    std::vector<AxisId> axes = plan_.axes.defined(kernel_, value);
    for (i64 d = 0; d < kernel_[value].type.rank(); ++d) {
      AxisId axis = axes[d];
      bool looped = std::any_of(common.begin(), common.end(),
                                [&](NodeId n) { return plan_[n].axis == axis; });
      if (axis && !looped) dims.push_back(d);
    }
    placement = {Placement::Kind::Buffer, add_buffer(value, dims), dims};
    if (uses.dot_operand) plan_.buffers.back().dtype = kernel_[value].type.dtype;
  }

  Plan plan_;
  const Kernel& kernel_;
  const Config& config_;
  InlineAnalysis inline_;
  std::vector<ValueUses> uses_;
  std::vector<Access> accesses_;
  i64 runs_ = 0;
  i64 next_order_ = 0;
  i64 next_grid_ = 0;
};

}  // namespace

Plan make_plan(const Kernel& kernel, const Config& config,
               const space::Capabilities& capabilities) {
  std::optional<Flattened> flat = flatten_loops(kernel, config);
  if (!flat) return Planner(kernel, config, capabilities).run();
  auto flattened = std::make_shared<const Kernel>(std::move(flat->kernel));
  Plan plan = Planner(*flattened, flat->config, capabilities).run();
  plan.flattened = std::move(flattened);
  return plan;
}

}  // namespace peri::plan
