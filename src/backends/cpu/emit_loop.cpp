// Loops over the elements of a tile: scalar, or in vector lanes with unrolling and a tail.
#include <llvm/IR/Intrinsics.h>

#include <algorithm>

#include "backends/cpu/emit.h"
#include "base/bug.h"

namespace peri::cpu {

using ir::Op;
using ir::OpCode;
using plan::Node;

void Emitter::emit_loop(const Node& node) {
  const analysis::Axis& axis = plan_.axes[node.axis];
  Value* count = axis.block ? block(axis.block).count : sym(axis.size);
  clear_memory_reductions(node);
  if (known(count) == 1) {
    Accumulators accumulators = identities(node, 0);
    push_scope(split("once"));
    emit_body(node, {Coord::Kind::Scalar, integer(0), 0}, 0, nullptr, accumulators);
    pop_scope();
    return finish_reductions(node, accumulators);
  }
  if (node.vector) {
    emit_vector_loop(node, count);
  } else {
    emit_scalar_loop(node, count);
  }
}

void Emitter::emit_scalar_loop(const Node& node, Value* count) {
  Accumulators accumulators = identities(node, 0);
  counted_loop(integer(0), count, 1, accumulators, [&](Value* index, Accumulators& acc) {
    emit_body(node, {Coord::Kind::Scalar, index, top_}, 0, nullptr, acc);
  });
  finish_reductions(node, accumulators);
}

void Emitter::emit_vector_loop(const Node& node, Value* count) {
  i64 width = vector_lanes(node);
  i64 unroll = node.unroll;
  auto fixed = known(count);
  if (fixed) {
    while (unroll > 1 && unroll * width > *fixed) unroll /= 2;
  }
  // Each unrolled copy has accumulators of its own: a reduction's latency overlaps.
  std::vector<Accumulators> copies;
  for (i64 u = 0; u < unroll; ++u) copies.push_back(identities(node, width));
  Accumulators flat;
  for (const Accumulators& copy : copies) flat.insert(flat.end(), copy.begin(), copy.end());
  size_t each = node.reductions.size();
  Value* next = integer(0);
  next = counted_loop(next, count, unroll * width, flat, [&](Value* index, Accumulators& acc) {
    for (i64 u = 0; u < unroll; ++u) {
      auto first = acc.begin() + static_cast<i64>(each) * u;
      Accumulators mine(first, first + static_cast<i64>(each));
      Value* at = u == 0 ? index : b_.CreateAdd(index, integer(u * width));
      emit_body(node, {Coord::Kind::Lanes, at, top_}, width, nullptr, mine);
      std::copy(mine.begin(), mine.end(), first);
    }
  });
  Accumulators accumulators(flat.begin(), flat.begin() + static_cast<i64>(each));
  for (i64 u = 1; u < unroll; ++u) {
    for (size_t r = 0; r < each; ++r) {
      accumulators[r] = combine(kernel_[node.reductions[r]], accumulators[r], flat[each * u + r]);
    }
  }
  bool whole = fixed && *fixed % width == 0;
  if (can_mask(node) && !whole) {
    emit_masked_tail(node, next, count, width, accumulators);
    return finish_reductions(node, accumulators);
  }
  if (unroll > 1) {
    next = counted_loop(next, count, width, accumulators, [&](Value* index, Accumulators& acc) {
      emit_body(node, {Coord::Kind::Lanes, index, top_}, width, nullptr, acc);
    });
  }
  if (whole) return finish_reductions(node, accumulators);
  Accumulators scalars;
  for (size_t r = 0; r < each; ++r) {
    scalars.push_back(join_lanes(kernel_[node.reductions[r]], accumulators[r]));
  }
  counted_loop(next, count, 1, scalars, [&](Value* index, Accumulators& acc) {
    emit_body(node, {Coord::Kind::Scalar, index, top_}, 0, nullptr, acc);
  });
  finish_reductions(node, scalars);
}

// What is left, a vector at a time, each with the lanes that exist.
void Emitter::emit_masked_tail(const Node& node, Value* from, Value* count, i64 width,
                               Accumulators& accumulators) {
  auto* type = llvm::FixedVectorType::get(b_.getInt32Ty(), static_cast<unsigned>(width));
  Value* end = b_.CreateAdd(count, integer(width - 1));
  counted_loop(from, end, width, accumulators, [&](Value* index, Accumulators& acc) {
    Value* left = b_.CreateTrunc(b_.CreateSub(count, index), b_.getInt32Ty());
    Value* mask = b_.CreateICmpULT(b_.CreateStepVector(type), splat(left, width));
    emit_body(node, {Coord::Kind::Lanes, index, top_}, width, mask, acc);
  });
}

// Emits the loop's nodes for one index (or one vector of indices), in a scope of their own.
void Emitter::emit_body(const Node& node, Coord index, i64 lanes, Value* mask,
                        Accumulators& accumulators) {
  scope().coords[node.axis] = index;
  scope().lanes = lanes;
  scope().mask = mask;
  scope().memo.clear();
  scope().registers.clear();
  if (lanes > 0 && !mask) prefetch_next(node);
  for (plan::NodeId child : node.body) {
    const Node& c = plan_[child];
    bool step =
        c.kind == Node::Kind::Compute && ir::info(kernel_[c.op].code).rule == ir::Rule::Reduce;
    auto here = std::find(node.reductions.begin(), node.reductions.end(), c.op);
    if (step && here != node.reductions.end()) {
      const Op& op = kernel_[c.op];
      std::vector<Value*>& acc = accumulators[here - node.reductions.begin()];
      Value* value = splat(eval(op.operands[0], loop_coords(op.operands[0])), lanes);
      Value* position = acc.size() == 2 ? splat(index_value(index), lanes) : nullptr;
      std::vector<Value*> stepped = reduction_step(op, acc, value, position);
      if (mask) {
        for (size_t i = 0; i < acc.size(); ++i)
          stepped[i] = b_.CreateSelect(mask, stepped[i], acc[i]);
      }
      acc = stepped;
    } else if (step && plan_.axes.of(kernel_[c.op].operands[0], kernel_[c.op].attrs.dims[0])) {
      step_in_memory(c, kernel_[c.op]);
    } else {
      emit_node(child);
    }
  }
}

// Prefetches what the loads of `node.prefetches` will read at these lanes when the loop over
// `ahead` goes on: one index further. CPUs drop prefetches while their queues are full, so lines
// are asked for again: rms_norm of 4096 x 4096 on a Zen 4 takes 4.5 ms with one each and 3.2 with
// four.
void Emitter::prefetch_next(const Node& node) {
  for (ir::OpId id : node.prefetches) {
    const Op& op = kernel_[id];
    Coords coords = loop_coords(op.results[0]);
    std::vector<plan::AxisId> axes = plan_.axes.of(op.results[0]);
    for (size_t d = 0; d < coords.size(); ++d) {
      if (axes[d] != node.ahead) continue;
      coords[d].index = add(coords[d].index, integer(1), coords[d].depth);
    }
    Address address = tensor_address(op, coords);
    if (address.offsets || !address.lanes) continue;
    i64 bytes = lanes() * size_of(kernel_[op.attrs.tensor].dtype);
    i64 times = (plan_.prefetch_rows * bytes + 63) / 64;
    for (i64 i = 0; i < times; ++i) prefetch(op, address.pointer);
  }
}

Value* Emitter::counted_loop(Value* from, Value* to, i64 step, Accumulators& accumulators,
                             const LoopBody& body) {
  auto start = known(from), end = known(to);
  if (start && end && *start + step > *end) return from;
  llvm::Instruction* before = split("loop");
  llvm::BasicBlock* preheader = before->getParent();
  llvm::BasicBlock* header = b_.GetInsertBlock();
  llvm::PHINode* index = b_.CreatePHI(b_.getInt64Ty(), 2, "i");
  index->addIncoming(from, preheader);
  std::vector<std::vector<llvm::PHINode*>> phis;
  for (std::vector<Value*>& accumulator : accumulators) {
    phis.emplace_back();
    for (Value*& part : accumulator) {
      llvm::PHINode* phi = b_.CreatePHI(part->getType(), 2);
      phi->addIncoming(part, preheader);
      phis.back().push_back(phi);
      part = phi;
    }
  }
  Accumulators at_header = accumulators;
  llvm::BasicBlock* loop = new_block("loop.body");
  llvm::BasicBlock* done = new_block("loop.done");
  Value* next = b_.CreateAdd(index, integer(step), "", true, true);
  b_.CreateCondBr(b_.CreateICmpSLE(next, to), loop, done);
  b_.SetInsertPoint(loop);
  push_scope(before);
  body(index, accumulators);
  pop_scope();
  index->addIncoming(next, b_.GetInsertBlock());
  for (size_t i = 0; i < phis.size(); ++i) {
    for (size_t j = 0; j < phis[i].size(); ++j) {
      phis[i][j]->addIncoming(accumulators[i][j], b_.GetInsertBlock());
    }
  }
  b_.CreateBr(header);
  b_.SetInsertPoint(done);
  accumulators = at_header;
  if (start && end) return integer(*start + (*end - *start) / step * step);
  return index;
}

Emitter::Accumulators Emitter::identities(const Node& node, i64 lanes) {
  Accumulators result;
  for (ir::OpId id : node.reductions) result.push_back(reduction_identity(kernel_[id], lanes));
  return result;
}

// Results of the loop's register reductions become values of the place around the loop.
void Emitter::finish_reductions(const Node& node, const Accumulators& accumulators) {
  for (size_t r = 0; r < node.reductions.size(); ++r) {
    const Op& op = kernel_[node.reductions[r]];
    ir::ValueId result = op.results[0];
    Value* value = join_lanes(op, accumulators[r]).back();
    set_register(result, value);
    const plan::Placement& place = plan_.at(result);
    if (place.kind != plan::Placement::Kind::Buffer) continue;
    store_buffer(place.buffer, buffer_coords(result, reduced_coords(op)), value,
                 kernel_[result].type.dtype);
  }
}

// Sets the accumulators that a loop over the reduced axis will step: all inner indices, at the
// current outer ones.
void Emitter::clear_memory_reductions(const Node& node) {
  for (ir::OpId id : node.memory_reductions) {
    const Op& op = kernel_[id];
    clear_accumulators(op, plan_.axes.defined(kernel_, op.results[0]), {});
  }
}

void Emitter::clear_accumulators(const Op& op, const std::vector<plan::AxisId>& axes,
                                 const Coords& coords) {
  ir::ValueId result = op.results[0];
  if (coords.size() == axes.size()) {
    const plan::Placement& place = plan_.at(result);
    store_buffer(place.buffer, buffer_coords(result, coords), reduction_identity(op, 0)[0],
                 kernel_[result].type.dtype);
    return;
  }
  plan::AxisId axis = axes[coords.size()];
  auto descend = [&](Coord coord) {
    Coords next = coords;
    next.push_back(coord);
    clear_accumulators(op, axes, next);
  };
  if (!axis) return descend({Coord::Kind::Scalar, integer(0), 0});
  for (i64 s = top_; s >= 0; --s) {
    auto it = scopes_[s].coords.find(axis);
    if (it != scopes_[s].coords.end()) return descend(it->second);
  }
  const analysis::Axis& extent = plan_.axes[axis];
  Value* count = extent.block ? block(extent.block).count : sym(extent.size);
  Accumulators none;
  counted_loop(integer(0), count, 1, none,
               [&](Value* index, Accumulators&) { descend({Coord::Kind::Scalar, index, top_}); });
}

// Lanes of a vector loop: a native vector of f32, fewer where f64 takes part.
i64 Emitter::vector_lanes(const Node& node) const {
  (void)node;
  bool wide = std::any_of(kernel_.values.begin(), kernel_.values.end(), [](const ir::Value& v) {
    return v.type.dtype == Dtype::F64 && !v.type.is_scalar();
  });
  i64 bytes = plan_.simd_bits > 0 ? plan_.simd_bits / 8 : target_.vector_bytes;
  return bytes / (wide ? 8 : 4);
}

// Whether the tail may run as one masked vector: where masked accesses of every width are
// instructions.
bool Emitter::can_mask(const Node& node) const {
  if (target_.has_avx512) return true;
  if (!target_.has_masks) return false;
  (void)node;
  auto wide = [](Dtype dtype) { return size_of(dtype) >= 4; };
  return std::all_of(kernel_.tensors.begin(), kernel_.tensors.end(),
                     [&](const ir::TensorParam& t) { return wide(t.dtype); }) &&
         std::all_of(plan_.buffers.begin(), plan_.buffers.end(),
                     [&](const plan::Buffer& b) { return wide(b.dtype); });
}

}  // namespace peri::cpu
