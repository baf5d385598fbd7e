// Branches on constants, loops without iterations, and values that pass through unchanged.
#include "passes/canonical_rules.h"

namespace peri::passes {

namespace {

using ir::OpCode;
using ir::ValueId;

template <class T>
void erase_at(std::vector<T>& items, size_t i) {
  items.erase(items.begin() + static_cast<std::ptrdiff_t>(i));
}

// A value that both branches yield is from outside of them.
bool merge_equal_yields(Rewriter& rewriter, ir::Op& op) {
  ir::Graph& then = rewriter.kernel[op.regions[0]];
  ir::Graph& orelse = rewriter.kernel[op.regions[1]];
  bool changed = false;
  for (size_t i = op.results.size(); i-- > 0;) {
    ValueId value = rewriter.resolve(then.yields[i]);
    if (value != rewriter.resolve(orelse.yields[i])) continue;
    if (rewriter.type(value) != rewriter.type(op.results[i])) continue;
    rewriter.substitute(op.results[i], value);
    erase_at(op.results, i);
    erase_at(then.yields, i);
    erase_at(orelse.yields, i);
    changed = true;
  }
  return changed;
}

bool simplify_if(Rewriter& rewriter, ir::OpId id) {
  ir::Op& op = rewriter.kernel[id];
  auto known = rewriter.constant(op.operands[0]);
  if (!known) return merge_equal_yields(rewriter, op);
  ir::GraphId branch = op.regions[known->integer ? 0 : 1];
  if (!rewriter.same_types(rewriter.kernel[branch].yields, op.results)) return false;
  return rewriter.replace(id, rewriter.splice(branch));
}

bool never_runs(const Rewriter& rewriter, const ir::Op& op) {
  for (size_t i = 0; i < op.attrs.blocks.size(); ++i) {
    auto begin = rewriter.constant(op.operands[2 * i]);
    auto end = rewriter.constant(op.operands[2 * i + 1]);
    const Block& block = rewriter.kernel[op.attrs.blocks[i]];
    if (begin && end && begin->integer >= end->integer && !block.step) return true;
  }
  return false;
}

// The initial value stands for a carried value that never changes.
bool forward_unchanged(Rewriter& rewriter, ir::Op& op) {
  ir::Graph& body = rewriter.kernel[op.regions[0]];
  size_t first = 2 * op.attrs.blocks.size();
  bool changed = false;
  for (size_t i = body.params.size(); i-- > 0;) {
    ValueId init = op.operands[first + i], param = body.params[i];
    ValueId next = rewriter.resolve(body.yields[i]);
    if (next != param && next != init) continue;
    if (!rewriter.same_types({init, init}, {param, op.results[i]})) continue;
    rewriter.substitute(param, init);
    rewriter.substitute(op.results[i], init);
    erase_at(op.operands, first + i);
    erase_at(op.results, i);
    erase_at(body.params, i);
    erase_at(body.yields, i);
    changed = true;
  }
  return changed;
}

bool simplify_for(Rewriter& rewriter, ir::OpId id) {
  ir::Op& op = rewriter.kernel[id];
  if (!never_runs(rewriter, op)) return forward_unchanged(rewriter, op);
  size_t first = 2 * op.attrs.blocks.size();
  return rewriter.replace(id, std::vector<ValueId>(op.operands.begin() + first, op.operands.end()));
}

}  // namespace

bool simplify_control(Rewriter& rewriter, ir::OpId id) {
  switch (rewriter.op(id).code) {
    case OpCode::If:
      return simplify_if(rewriter, id);
    case OpCode::For:
      return simplify_for(rewriter, id);
    default:
      return false;
  }
}

}  // namespace peri::passes
