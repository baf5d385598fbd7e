// Accesses out of range. Subscripts that are not proved to stay inside their dimension are compared
// with its size as far in front of the access as they are known; the first one outside is noted in
// the scratch memory, and the function returns.
#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/MDBuilder.h>

#include <algorithm>

#include "analysis/index_range.h"
#include "backends/cpu/emit.h"

namespace peri::cpu {

using ir::Op;
using ir::OpCode;

namespace {

// Keys of Scope::arithmetic.
constexpr int kChecked = 4;
constexpr int kFirstOutside = 5;

}  // namespace

bool Emitter::in_range(const Op& op, i64 dim, const ir::Index& index) {
  auto [known, fresh] = in_range_.try_emplace({&op, dim});
  if (fresh) known->second = analysis::is_in_range(kernel_, op, dim, index);
  return known->second;
}

bool Emitter::is_checked(const Op& op) {
  bool checked = false;
  plan::for_each_subscript(kernel_, op, [&](i64 dim, i64, i64, const ir::Index& index) {
    checked = checked || !in_range(op, dim, index);
  });
  return checked;
}

// Where an access may stand at the earliest: a loop's body, which may run for no tile at all.
i64 Emitter::floor_of(const Op& op) const {
  auto depth = region_depths_.find(owners_[&op - kernel_.ops.data()]);
  return depth == region_depths_.end() ? 0 : depth->second;
}

void Emitter::check_access(const Op& op, const Coords& coords, Value* mask) {
  plan::for_each_subscript(kernel_, op, [&](i64 dim, i64 at, i64 rank, const ir::Index& index) {
    if (in_range(op, dim, index)) return;
    Position position = position_of(subscript_parts(op, index, coords, at, rank));
    position.depth = settled(std::max(position.depth, floor_of(op)));
    if (!position.lanes && !position.vector) {
      check_scalar(op, dim, position, op.attrs.has_mask ? mask : nullptr);
    } else if (position.vector || mask) {
      check_vector(op, dim, position, mask);
    } else {
      check_consecutive(op, dim, position, integer(lanes()));
    }
  });
}

// A dot reads all of its operand.
void Emitter::check_matrix(const Op& op) {
  i64 rank = kernel_[op.results[0]].type.rank();
  Coords first(rank, Coord{Coord::Kind::Scalar, integer(0), 0});
  plan::for_each_subscript(kernel_, op, [&](i64 dim, i64 at, i64 count, const ir::Index& index) {
    if (in_range(op, dim, index)) return;
    Position position = position_of(subscript_parts(op, index, first, at, count));
    position.depth = top_;
    Value* extent_here = count == 1 ? extent(kernel_[op.results[0]].type.shape[at]) : integer(1);
    check_consecutive(op, dim, position, extent_here);
  });
}

Emitter::Position Emitter::position_of(const std::vector<Coord>& parts) {
  Position position{integer(0)};
  for (const Coord& part : parts) {
    if (part.kind == Coord::Kind::Vector) {
      position.vector = position.vector ? b_.CreateAdd(position.vector, part.index) : part.index;
      continue;
    }
    position.depth = std::max(position.depth, std::min(part.depth, top_));
    position.scalar = add(position.scalar, part.index, position.depth);
    position.lanes |= part.kind == Coord::Kind::Lanes;
  }
  return position;
}

Value* Emitter::size_of_dim(const Op& op, i64 dim) {
  return sym(kernel_[op.attrs.tensor].sizes[dim]);
}

// Unsigned comparisons find negative positions too.
void Emitter::check_scalar(const Op& op, i64 dim, const Position& position, Value* mask) {
  Value* size = size_of_dim(op, dim);
  at_depth(mask ? top_ : position.depth, [&] {
    Value*& done = scope().arithmetic[{kChecked, position.scalar, size}];
    if (done && !mask) return done;
    Value* out = b_.CreateICmpUGE(position.scalar, size);
    if (mask) out = b_.CreateAnd(out, lanes_of(mask) > 0 ? b_.CreateOrReduce(mask) : mask);
    leave_if(out, op, dim, [&] { return position.scalar; });
    return mask ? nullptr : done = size;
  });
}

// For `count` indices from the position on.
void Emitter::check_consecutive(const Op& op, i64 dim, const Position& position, Value* count) {
  Value* size = size_of_dim(op, dim);
  auto first_outside = [&]() -> Value* {
    Value* room = b_.CreateAdd(b_.CreateSub(size, count), integer(1));
    return b_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, room, integer(0));
  };
  Value* limit = nullptr;
  if (known(count)) {
    limit = at_depth(0, [&] {
      Value*& shared = scope().arithmetic[{kFirstOutside, size, count}];
      if (!shared) shared = first_outside();
      return shared;
    });
  } else {
    limit = first_outside();
  }
  Value* out = b_.CreateICmpUGE(position.scalar, limit);
  if (!known(count)) out = b_.CreateAnd(out, b_.CreateICmpSGT(count, integer(0)));
  leave_if(out, op, dim, [&] {
    Value* past = b_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, position.scalar, size);
    Value* before = b_.CreateICmpSLT(position.scalar, integer(0));
    return b_.CreateSelect(before, position.scalar, past);
  });
}

void Emitter::check_vector(const Op& op, i64 dim, const Position& position, Value* mask) {
  Value* positions = splat(position.scalar, lanes());
  if (position.vector) positions = b_.CreateAdd(positions, position.vector);
  if (position.lanes)
    positions = b_.CreateAdd(positions, b_.CreateStepVector(positions->getType()));
  Value* out = b_.CreateICmpUGE(positions, splat(size_of_dim(op, dim), lanes()));
  if (mask) out = b_.CreateAnd(out, splat(mask, lanes()));
  leave_if(b_.CreateOrReduce(out), op, dim, [&] {
    Value* bits = b_.CreateBitCast(out, b_.getIntNTy(static_cast<unsigned>(lanes())));
    Value* lane = b_.CreateBinaryIntrinsic(llvm::Intrinsic::cttz, bits, b_.getTrue());
    return b_.CreateExtractElement(positions, b_.CreateZExt(lane, b_.getInt64Ty()));
  });
}

// Also where code is emitted in front of the branch that ends its block.
void Emitter::leave_if(Value* out, const Op& op, i64 dim, const std::function<Value*()>& index) {
  if (known(out) == 0) return;
  llvm::BasicBlock* here = b_.GetInsertBlock();
  llvm::BasicBlock* rest = nullptr;
  llvm::Instruction* before = nullptr;
  if (b_.GetInsertPoint() == here->end()) {
    rest = new_block("in.range");
  } else {
    before = &*b_.GetInsertPoint();
    rest = here->splitBasicBlock(b_.GetInsertPoint(), "in.range");
    here->getTerminator()->eraseFromParent();
    b_.SetInsertPoint(here);
  }
  llvm::BasicBlock* outside = new_block("out.of.range");
  b_.CreateCondBr(out, outside, rest,
                  llvm::MDBuilder(module_.getContext()).createUnlikelyBranchWeights());
  b_.SetInsertPoint(outside);
  Value* fault[] = {integer(op.attrs.tensor.index), integer(dim), index(), size_of_dim(op, dim)};
  llvm::BasicBlock* leave = fault_block();
  for (size_t i = 0; i < fault_.size(); ++i) {
    fault_[i]->addIncoming(fault[i], b_.GetInsertBlock());
  }
  b_.CreateBr(leave);
  if (before) {
    b_.SetInsertPoint(before);
  } else {
    b_.SetInsertPoint(rest);
  }
}

llvm::BasicBlock* Emitter::fault_block() {
  if (fault_block_) return fault_block_;
  fault_block_ = new_block("fault");
  Builder b(fault_block_);
  for (int i = 0; i < 4; ++i) fault_.push_back(b.CreatePHI(b.getInt64Ty(), 2));
  for (size_t i = 0; i < fault_.size(); ++i) {
    b.CreateStore(fault_[i], b.CreateConstGEP1_64(b.getInt64Ty(), scratch_, i));
  }
  b.CreateRetVoid();
  return fault_block_;
}

}  // namespace peri::cpu
