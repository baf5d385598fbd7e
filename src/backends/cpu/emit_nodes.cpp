// The plan's tree: computations, tile loops, branches.
#include <algorithm>

#include "backends/cpu/emit.h"
#include "base/bug.h"

namespace peri::cpu {

using ir::Op;
using ir::OpCode;
using ir::ValueId;
using plan::Node;
using plan::Placement;

void Emitter::emit_nodes(const std::vector<plan::NodeId>& nodes) {
  for (plan::NodeId id : nodes) emit_node(id);
}

void Emitter::emit_node(plan::NodeId id) {
  const Node& node = plan_[id];
  switch (node.kind) {
    case Node::Kind::Loop:
      return emit_loop(node);
    case Node::Kind::Compute:
      return emit_compute(node);
    case Node::Kind::Carry:
      return emit_carry(node);
    case Node::Kind::Dot:
      return emit_dot(node);
    case Node::Kind::For:
      return emit_for(node);
    case Node::Kind::If:
      return emit_if(node);
  }
}

// Reductions over loops are stepped by emit_body and step_in_memory; one over an extent of 1 comes
// here.
void Emitter::emit_compute(const Node& node) {
  const Op& op = kernel_[node.op];
  if (op.code == OpCode::Store) return emit_store(op, loop_coords(op.operands[0]));
  ValueId result = op.results[0];
  Dtype dtype = kernel_[result].type.dtype;
  bool reduction = ir::info(op.code).rule == ir::Rule::Reduce;
  Coords coords = reduction ? reduced_coords(op) : loop_coords(result);
  Value* value = nullptr;
  if (op.code == OpCode::Load) {
    value = eval_load(op, coords);
  } else if (reduction) {
    Coords inner = loop_coords(op.operands[0]);
    Value* element = eval(op.operands[0], inner);
    i64 width = lanes_of(element);
    auto acc = reduction_step(op, reduction_identity(op, width), element, splat(integer(0), width));
    value = acc.back();
    if (op.code != OpCode::ArgMax && op.code != OpCode::ArgMin) value = acc[0];
  } else {
    value = eval_elementwise(op, coords);
  }
  set_register(result, value);
  const Placement& place = plan_.at(result);
  if (place.kind == Placement::Kind::Buffer) {
    store_buffer(place.buffer, buffer_coords(result, coords), value, dtype);
  }
}

void Emitter::emit_carry(const Node& node) {
  Coords coords = loop_coords(node.value);
  Dtype dtype = kernel_[node.value].type.dtype;
  Value* value = node.source ? load_buffer(node.source, coords, dtype) : eval(node.value, coords);
  store_buffer(node.buffer, coords, value, dtype);
}

// --- tile loops ---

void Emitter::emit_for(const Node& node) {
  llvm::Instruction* before = split("for");
  push_scope(before);
  emit_for_axis(node, 0);
  pop_scope();
}

void Emitter::emit_for_axis(const Node& node, size_t depth) {
  const Op& op = kernel_[node.op];
  if (depth == node.order.size()) {
    // What the body carries on is written by the body, whatever wrote it before.
    for (ValueId param : kernel_[op.regions[0]].params) mark_written(plan_.at(param).buffer);
    region_depths_[op.regions[0]] = top_;
    return emit_nodes(node.body);
  }
  BlockId id = node.order[depth];
  size_t position =
      std::find(op.attrs.blocks.begin(), op.attrs.blocks.end(), id) - op.attrs.blocks.begin();
  auto bound = [&](size_t i) {
    Value* v = eval(op.operands[i], {});
    return cast(v, kernel_[op.operands[i]].type.dtype, Dtype::I64);
  };
  Value* begin = bound(2 * position);
  Value* end = bound(2 * position + 1);
  const Block& block = kernel_[id];
  Value* step = block.kind == Block::Kind::Grid ? (block.step ? sym(block.step) : integer(1))
                                                : sym(plan_.block_sizes[id.index]);
  Value* range = b_.CreateSub(end, begin);
  Value* tiles = b_.CreateSDiv(b_.CreateAdd(range, b_.CreateSub(step, integer(1))), step);
  llvm::Instruction* before = split("tile");
  llvm::BasicBlock* header = b_.GetInsertBlock();
  llvm::PHINode* tile = b_.CreatePHI(b_.getInt64Ty(), 2, "tile");
  tile->addIncoming(integer(0), before->getParent());
  llvm::BasicBlock* body = new_block("tile.body");
  llvm::BasicBlock* done = new_block("tile.done");
  b_.CreateCondBr(b_.CreateICmpSLT(tile, tiles), body, done);
  b_.SetInsertPoint(body);
  push_scope(before);
  enter_tile(id, begin, end, tile, tiles);
  emit_for_axis(node, depth + 1);
  pop_scope();
  tile->addIncoming(b_.CreateAdd(tile, integer(1)), b_.GetInsertBlock());
  b_.CreateBr(header);
  b_.SetInsertPoint(done);
}

// --- branches ---

void Emitter::emit_if(const Node& node) {
  const Op& op = kernel_[node.op];
  Value* condition = eval(op.operands[0], {});
  llvm::BasicBlock* then_block = new_block("then");
  llvm::BasicBlock* else_block = new_block("else");
  llvm::BasicBlock* done = new_block("endif");
  llvm::Instruction* branch = b_.CreateCondBr(condition, then_block, else_block);
  for (size_t i = 0; i < 2; ++i) {
    b_.SetInsertPoint(i == 0 ? then_block : else_block);
    push_scope(branch, true);
    region_depths_[op.regions[i]] = top_;
    emit_nodes(i == 0 ? node.body : node.orelse);
    pop_scope();
    b_.CreateBr(done);
  }
  b_.SetInsertPoint(done);
  for (ValueId result : op.results) mark_written(plan_.at(result).buffer);
}

}  // namespace peri::cpu
