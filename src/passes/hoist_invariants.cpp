#include "passes/hoist_invariants.h"

#include <algorithm>

#include "analysis/memory_effects.h"

namespace peri::passes {

namespace {

using ir::OpCode;
using ir::ValueId;

class Hoister {
 public:
  explicit Hoister(ir::Kernel& kernel) : kernel_(kernel), inside_(kernel.values.size()) {}

  bool run() {
    for (const ir::Root& root : kernel_.roots) run_graph(root.body);
    return changed_;
  }

 private:
  // Inner loops first: what leaves one may leave the next.
  void run_graph(ir::GraphId graph) {
    std::vector<ir::OpId> ops;
    for (ir::OpId id : std::vector<ir::OpId>(kernel_[graph].ops)) {
      for (ir::GraphId region : kernel_[id].regions) run_graph(region);
      if (kernel_[id].code == OpCode::For) hoist_from(id, graph, ops);
      ops.push_back(id);
    }
    kernel_[graph].ops = std::move(ops);
  }

  void hoist_from(ir::OpId loop, ir::GraphId outer, std::vector<ir::OpId>& before) {
    ir::GraphId body = kernel_[loop].regions[0];
    std::vector<i64> stored = analysis::stored_below(kernel_, body);
    mark_inside(kernel_[body].params);
    std::erase_if(kernel_[body].ops, [&](ir::OpId id) {
      ir::Op& op = kernel_[id];
      if (!may_move(op, kernel_[loop], stored)) {
        mark_inside(op.results);
        return false;
      }
      for (ValueId result : op.results) kernel_[result].owner = outer;
      before.push_back(id);
      return changed_ = true;
    });
    for (ValueId param : kernel_[body].params) inside_[param.index] = false;
    for (ir::OpId id : kernel_[body].ops) {
      for (ValueId result : kernel_[id].results) inside_[result.index] = false;
    }
  }

  void mark_inside(const std::vector<ValueId>& values) {
    for (ValueId value : values) inside_[value.index] = true;
  }

  bool may_move(const ir::Op& op, const ir::Op& loop, const std::vector<i64>& stored) const {
    if (!ir::info(op.code).has(ir::Pure) || !op.regions.empty()) return false;
    bool fixed = std::ranges::none_of(op.operands, [&](ValueId v) { return inside_[v.index]; });
    if (!fixed || names_axis(op, loop.attrs.blocks)) return false;
    if (op.code != OpCode::Load) return true;
    i64 storage = analysis::storage_of(kernel_, op.attrs.tensor);
    if (std::ranges::binary_search(stored, storage)) return false;
    return runs(loop) || cannot_fail(op);
  }

  bool names_axis(const ir::Op& op, const std::vector<BlockId>& axes) const {
    auto is_axis = [&](BlockId block) { return block && std::ranges::count(axes, block) > 0; };
    if (is_axis(op.attrs.block)) return true;
    for (const ir::Index& index : op.attrs.indices) {
      if (is_axis(index.block)) return true;
    }
    for (const Dim& dim : kernel_[op.results[0]].type.shape) {
      if (is_axis(dim.block)) return true;
    }
    return false;
  }

  std::optional<i64> constant(ValueId value) const {
    ir::OpId def = kernel_[value].def;
    if (!def || kernel_[def].code != OpCode::Const) return std::nullopt;
    return kernel_[def].attrs.constant.integer;
  }

  // The loop has an iteration, whatever its block sizes.
  bool runs(const ir::Op& loop) const {
    for (size_t i = 0; i < loop.attrs.blocks.size(); ++i) {
      auto begin = constant(loop.operands[2 * i]), end = constant(loop.operands[2 * i + 1]);
      if (!begin || !end || *begin >= *end || kernel_[loop.attrs.blocks[i]].step) return false;
    }
    return true;
  }

  bool cannot_fail(const ir::Op& load) const {
    const ir::TensorParam& tensor = kernel_[load.attrs.tensor];
    size_t dim = 0;
    for (const ir::Index& index : load.attrs.indices) {
      if (index.kind == ir::Index::Kind::NewAxis) continue;
      if (!is_within(index, tensor.sizes[dim++])) return false;
    }
    return true;
  }

  bool is_within(const ir::Index& index, Sym size) const {
    if (index.operand >= 0) return false;
    if (index.kind == ir::Index::Kind::Range) return at_most(index.extent, size);
    const Block& block = kernel_[index.block];
    auto begin = block.begin ? block.begin.as_int() : std::optional<i64>(0);
    bool bounded = !block.parent && begin && *begin >= 0 && !block.step;
    return bounded && block.end && at_most(block.end, size);
  }

  static bool at_most(Sym a, Sym b) {
    auto x = a.as_int(), y = b.as_int();
    return a == b || (x && y && *x <= *y);
  }

  ir::Kernel& kernel_;
  std::vector<bool> inside_;  // by value: defined in the loop at hand
  bool changed_ = false;
};

}  // namespace

bool hoist_invariants(ir::Kernel& kernel) { return Hoister(kernel).run(); }

}  // namespace peri::passes
