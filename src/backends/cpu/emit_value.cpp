// Values at coordinates, computed once per place and in front of loops they do not depend on.
#include <llvm/IR/Intrinsics.h>

#include <algorithm>

#include "analysis/axes.h"
#include "backends/cpu/emit.h"
#include "backends/cpu/vector_math.h"
#include "base/bug.h"

namespace peri::cpu {

using ir::Op;
using ir::OpCode;
using ir::ValueId;
using plan::Placement;

namespace {

i64 deepest(const Coords& coords) {
  i64 depth = 0;
  for (const Coord& c : coords) depth = std::max(depth, c.depth);
  return depth;
}

std::vector<std::pair<i64, Value*>> key_of(const Coords& coords) {
  std::vector<std::pair<i64, Value*>> key;
  for (const Coord& c : coords) key.emplace_back(static_cast<i64>(c.kind), c.index);
  return key;
}

// Extents of 1 have index 0 whatever the consumer's coordinate is.
Coords normalised(const ir::Kernel& kernel, ValueId value, Coords coords, Value* zero) {
  const TileType& type = kernel[value].type;
  if (type.is_scalar()) return {};
  for (i64 d = 0; d < type.rank(); ++d) {
    if (type.shape[d].is_one()) coords[d] = {Coord::Kind::Scalar, zero, 0};
  }
  return coords;
}

}  // namespace

// The loop indices of a value's own axes.
Coords Emitter::loop_coords(ValueId value) {
  Coords coords;
  for (plan::AxisId axis : plan_.axes.of(value)) {
    Coord coord{Coord::Kind::Scalar, integer(0), 0};
    for (i64 s = top_; axis && s >= 0; --s) {
      auto it = scopes_[s].coords.find(axis);
      if (it == scopes_[s].coords.end()) continue;
      coord = it->second;
      break;
    }
    coords.push_back(coord);
  }
  return coords;
}

Value* Emitter::index_value(const Coord& coord) {
  if (coord.kind != Coord::Kind::Lanes) return coord.index;
  auto* type = llvm::FixedVectorType::get(b_.getInt64Ty(), static_cast<unsigned>(lanes()));
  Value* steps = b_.CreateStepVector(type);
  return b_.CreateAdd(splat(coord.index, lanes()), steps);
}

Value* Emitter::find_register(ValueId value, i64* depth) {
  for (i64 s = top_; s >= 0; --s) {
    auto it = scopes_[s].registers.find(value);
    if (it == scopes_[s].registers.end()) continue;
    if (depth) *depth = s;
    return it->second;
  }
  return nullptr;
}

Value* Emitter::eval(ValueId value, const Coords& wanted) {
  Coords coords = normalised(kernel_, value, wanted, integer(0));
  return at_depth(settled(depth_of(value, coords)), [&]() -> Value* {
    auto key = std::pair(value, key_of(coords));
    auto it = scopes_[top_].memo.find(key);
    if (it != scopes_[top_].memo.end()) return it->second;
    Value* result = eval_here(value, coords);
    scopes_[top_].memo[key] = result;
    return result;
  });
}

// Where a value that could stand at `depth` does stand: not in front of a branch.
i64 Emitter::settled(i64 depth) const {
  for (i64 s = top_; s > depth; --s) {
    if (scopes_[s].barrier) return s;
  }
  return std::min(depth, top_);
}

Value* Emitter::eval_here(ValueId value, const Coords& coords) {
  if (Value* v = find_register(value, nullptr)) return v;
  const Placement& place = plan_.at(value);
  Dtype dtype = kernel_[value].type.dtype;
  if (place.kind == Placement::Kind::Buffer) {
    return load_buffer(place.buffer, buffer_coords(value, coords), dtype);
  }
  BUG_IF(!kernel_[value].def, "a loop parameter has no place");
  const Op& op = kernel_[kernel_[value].def];
  BUG_IF(place.kind == Placement::Kind::Register, "`{}` is used before it is computed",
         ir::info(op.code).text);
  if (op.code == OpCode::Load) return eval_load(op, coords);
  if (ir::info(op.code).rule == ir::Rule::View) return eval_view(op, coords);
  if (ir::info(op.code).rule == ir::Rule::Given && op.code != OpCode::Rand) {
    return eval_attribute(op, coords);
  }
  return eval_elementwise(op, coords);
}

Value* Emitter::eval_elementwise(const Op& op, const Coords& coords) {
  Dtype dtype = kernel_[op.operands.back()].type.dtype;
  std::vector<Value*> operands;
  i64 width = 0;
  for (ValueId operand : op.operands) {
    operands.push_back(eval(operand, coords));
    width = std::max(width, lanes_of(operands.back()));
  }
  bool one_divisor = op.code == OpCode::Div && width > 0 && lanes_of(operands[1]) == 0;
  if (one_divisor && compute_dtype(dtype) == Dtype::F32 && target_.has_avx512) {
    return divide_by_scalar(operands[0], operands[1], settled(depth_of(op.operands[1], coords)));
  }
  for (Value*& operand : operands) operand = splat(operand, width);
  if (op.code == OpCode::Cast) return cast(operands[0], dtype, kernel_[op.results[0]].type.dtype);
  if (op.code == OpCode::Rand) return emit_philox(b_, operands[0], operands[1]);
  return emit_elementwise(b_, target_, op.code, dtype, operands);
}

// x / d for all lanes, by the reciprocal r of d and one correction: q = x r, then q + (x - q d) r,
// which is the correctly rounded quotient where r is a normal number (Markstein, 1990). A quotient
// that is not finite needs and takes no correction. A division costs as much as ten such steps.
Value* Emitter::divide_by_scalar(Value* x, Value* divisor, i64 depth) {
  auto hoisted = [&](int what, const auto& emit) {
    return at_depth(depth, [&]() -> Value* {
      Value*& shared = scopes_[top_].arithmetic[{what, divisor, divisor}];
      if (!shared) shared = emit();
      return shared;
    });
  };
  auto number = [&](double v) { return llvm::ConstantFP::get(b_.getFloatTy(), v); };
  Value* reciprocal = hoisted(2, [&] { return b_.CreateFDiv(number(1), divisor); });
  Value* tame = hoisted(3, [&] {
    Value* size = b_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, divisor);
    return b_.CreateAnd(b_.CreateFCmpOGE(size, number(0x1p-100)),
                        b_.CreateFCmpOLE(size, number(0x1p100)));
  });
  i64 width = lanes_of(x);
  Value* r = splat(reciprocal, width);
  Value* d = splat(divisor, width);
  llvm::BasicBlock* fast = new_block("by.reciprocal");
  llvm::BasicBlock* slow = new_block("by.division");
  llvm::BasicBlock* done = new_block("divided");
  b_.CreateCondBr(tame, fast, slow);
  b_.SetInsertPoint(fast);
  auto fma = [&](Value* a, Value* b, Value* c) {
    return b_.CreateIntrinsic(llvm::Intrinsic::fma, {x->getType()}, {a, b, c});
  };
  Value* quotient = b_.CreateFMul(x, r);
  Value* rest = fma(b_.CreateFNeg(quotient), d, x);
  Value* corrected = fma(rest, r, quotient);
  Value* finite = b_.CreateFCmpORD(rest, rest);
  Value* exact = b_.CreateSelect(finite, corrected, quotient);
  b_.CreateBr(done);
  b_.SetInsertPoint(slow);
  Value* divided = b_.CreateFDiv(x, d);
  b_.CreateBr(done);
  b_.SetInsertPoint(done);
  llvm::PHINode* result = b_.CreatePHI(x->getType(), 2);
  result->addIncoming(exact, fast);
  result->addIncoming(divided, slow);
  return result;
}

Value* Emitter::eval_attribute(const Op& op, const Coords& coords) {
  Dtype dtype = kernel_[op.results[0]].type.dtype;
  auto sized = [&](Value* v) { return cast(v, Dtype::I64, dtype); };
  switch (op.code) {
    case OpCode::Const:
      return constant(dtype, op.attrs.constant);
    case OpCode::HostScalar: {
      SymType type = op.attrs.sym.type();
      Dtype from = type == SymType::Float  ? Dtype::F64
                   : type == SymType::Bool ? Dtype::Bool
                                           : Dtype::I64;
      return cast(sym(op.attrs.sym), from, dtype);
    }
    case OpCode::TileBegin:
      return sized(block(op.attrs.block).begin);
    case OpCode::TileEnd:
      return sized(block(op.attrs.block).end);
    case OpCode::TileId:
      return sized(block(op.attrs.block).id);
    case OpCode::TileCount:
      return sized(block(op.attrs.block).tiles);
    case OpCode::BlockSize:
      return sized(sym(plan_.block_sizes[op.attrs.block.index]));
    case OpCode::TileIndex: {
      Value* index = index_value(coords[0]);
      return sized(b_.CreateAdd(index, splat(block(op.attrs.block).begin, lanes_of(index))));
    }
    case OpCode::Iota:
      return sized(index_value(coords[0]));
    default:
      BUG_IF(true, "op {} has no value", ir::info(op.code).text);
  }
}

Coords Emitter::view_coords(const Op& op, const Coords& coords) {
  std::vector<i64> dims = analysis::view_dims(kernel_, op);
  Coords inner(dims.size(), Coord{Coord::Kind::Scalar, integer(0), 0});
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] >= 0) inner[i] = coords[dims[i]];
  }
  return inner;
}

Value* Emitter::eval_view(const Op& op, const Coords& coords) {
  if (kernel_[op.operands[0]].type.is_scalar()) return eval(op.operands[0], {});
  if (op.code == OpCode::Reshape) return eval_reshape(op, coords);
  return eval(op.operands[0], view_coords(op, coords));
}

// Row-major position in the result, split along the operand's extents. Leading dimensions that both
// have stay as they are.
Value* Emitter::eval_reshape(const Op& op, const Coords& coords) {
  const TileType& from = kernel_[op.operands[0]].type;
  const TileType& to = kernel_[op.results[0]].type;
  i64 shared = 0;
  while (shared < std::min(from.rank(), to.rank()) && from.shape[shared] == to.shape[shared])
    ++shared;
  Coords inner(coords.begin(), coords.begin() + shared);
  Value* linear = integer(0);
  i64 depth = deepest(coords);
  for (i64 d = shared; d < to.rank(); ++d) {
    Value* index = index_value(coords[d]);
    i64 width = std::max(lanes_of(linear), lanes_of(index));
    linear = b_.CreateMul(splat(linear, width), splat(sym(to.shape[d].size), width));
    linear = b_.CreateAdd(linear, splat(index, width));
  }
  i64 width = lanes_of(linear);
  Coords rest;
  for (i64 d = from.rank(); d-- > shared;) {
    Value* size = splat(sym(from.shape[d].size), width);
    Value* index = d == shared ? linear : b_.CreateURem(linear, size);
    if (d != shared) linear = b_.CreateUDiv(linear, size);
    rest.push_back({width > 0 ? Coord::Kind::Vector : Coord::Kind::Scalar, index, depth});
  }
  inner.insert(inner.end(), rest.rbegin(), rest.rend());
  return eval(op.operands[0], inner);
}

// --- depths ---

i64 Emitter::depth_of(ValueId value, const Coords& coords) {
  i64 depth = 0;
  if (find_register(value, &depth)) return depth;
  const Placement& place = plan_.at(value);
  if (place.kind == Placement::Kind::Buffer) {
    return depth_of_buffer(place.buffer, buffer_coords(value, coords));
  }
  return depth_of_op(kernel_[kernel_[value].def], coords);
}

i64 Emitter::depth_of_op(const Op& op, const Coords& coords) {
  if (op.code == OpCode::Const || op.code == OpCode::HostScalar || op.code == OpCode::BlockSize)
    return 0;
  i64 depth = deepest(coords);
  if (op.attrs.block) return std::max(depth, block(op.attrs.block).depth);
  if (op.code == OpCode::Load) {
    for (const ir::Index& index : op.attrs.indices) {
      if (index.kind == ir::Index::Kind::Tile) depth = std::max(depth, block(index.block).depth);
    }
    if (op.attrs.has_mask) depth = std::max(depth, depth_of(op.operands.back(), coords));
    if (is_checked(op)) depth = std::max(depth, floor_of(op));
    plan::for_each_subscript(kernel_, op, [&](i64, i64 at, i64 rank, const ir::Index& index) {
      if (index.operand < 0) return;
      Coords inner;
      if (index.kind == ir::Index::Kind::Gather)
        inner.assign(coords.begin() + at, coords.begin() + at + rank);
      depth = std::max(
          depth, depth_of(op.operands[index.operand],
                          normalised(kernel_, op.operands[index.operand], inner, integer(0))));
    });
    return depth;
  }
  if (op.code == OpCode::Reshape) {
    // Its operand's coordinates are computed from all of these.
    Coords inner(kernel_[op.operands[0]].type.rank(), Coord{Coord::Kind::Scalar, nullptr, depth});
    return std::max(depth, depth_of(op.operands[0], inner));
  }
  bool view = ir::info(op.code).rule == ir::Rule::View;
  for (ValueId operand : op.operands) {
    if (kernel_[operand].type.is_scalar()) {
      depth = std::max(depth, depth_of(operand, {}));
    } else {
      Coords inner = view ? view_coords(op, coords) : coords;
      depth = std::max(depth, depth_of(operand, normalised(kernel_, operand, inner, integer(0))));
    }
  }
  return depth;
}

// A buffer's element is settled once the loops that wrote it are left.
i64 Emitter::depth_of_buffer(plan::BufferId buffer, const Coords& coords) const {
  const std::vector<i64>& writer = written_[buffer.index];
  i64 common = -1;
  while (common + 1 <= top_ && common + 1 < static_cast<i64>(writer.size()) &&
         scopes_[common + 1].id == writer[common + 1]) {
    ++common;
  }
  return std::min(top_, std::max(deepest(coords), common));
}

void Emitter::mark_written(plan::BufferId buffer) {
  std::vector<i64>& scopes = written_[buffer.index];
  scopes.clear();
  for (i64 s = 0; s <= top_; ++s) scopes.push_back(scopes_[s].id);
}

}  // namespace peri::cpu
