// Addresses, loads and stores of tensors and buffers.
#include <llvm/IR/Intrinsics.h>

#include <algorithm>

#include "backends/cpu/emit.h"
#include "backends/cpu/vector_math.h"
#include "base/bug.h"

namespace peri::cpu {

using ir::Op;
using ir::ValueId;

std::vector<Coord> Emitter::subscript_parts(const Op& op, const ir::Index& index,
                                            const Coords& coords, i64 at, i64 rank) {
  std::vector<Coord> parts;
  if (index.kind == ir::Index::Kind::Tile) {
    const BlockState& tile = block(index.block);
    parts.push_back({Coord::Kind::Scalar, tile.begin, tile.depth});
  }
  if (index.kind == ir::Index::Kind::Tile || index.kind == ir::Index::Kind::Range) {
    parts.push_back(coords[at]);
  }
  if (index.operand < 0) return parts;
  ValueId operand = op.operands[index.operand];
  Coords inner;
  if (index.kind == ir::Index::Kind::Gather) {
    inner.assign(coords.begin() + at, coords.begin() + at + rank);
  }
  i64 depth = settled(depth_of(operand, inner));
  Value* value = cast(eval(operand, inner), kernel_[operand].type.dtype, Dtype::I64);
  bool vector = lanes_of(value) > 0;
  parts.push_back(
      {vector ? Coord::Kind::Vector : Coord::Kind::Scalar, value, vector ? top_ : depth});
  return parts;
}

Emitter::Address Emitter::tensor_address(const Op& op, const Coords& coords) {
  const ir::TensorParam& tensor = kernel_[op.attrs.tensor];
  std::vector<Term> terms;
  plan::for_each_subscript(kernel_, op, [&](i64 dim, i64 at, i64 rank, const ir::Index& index) {
    Value* stride = sym(tensor.strides[dim]);
    for (Coord part : subscript_parts(op, index, coords, at, rank)) terms.push_back({part, stride});
  });
  return address_of(tensor_pointer(op.attrs.tensor), tensor.dtype, std::move(terms));
}

Emitter::Address Emitter::buffer_address(plan::BufferId buffer, const Coords& coords) {
  std::vector<Term> terms;
  for (size_t i = 0; i < coords.size(); ++i) {
    terms.push_back({coords[i], buffer_strides_[buffer.index][i]});
  }
  return address_of(buffers_[buffer.index], plan_[buffer].dtype, std::move(terms));
}

// Scalar terms are summed first, each at the place where it becomes known; what is left to add in a
// loop is its own index.
Emitter::Address Emitter::address_of(Value* base, Dtype dtype, std::vector<Term> terms) {
  std::stable_sort(terms.begin(), terms.end(),
                   [](const Term& x, const Term& y) { return x.coord.depth < y.coord.depth; });
  Value* offset = integer(0);
  Value* lane_stride = integer(0);
  Value* vector = nullptr;
  bool consecutive = false;
  i64 depth = 0;
  for (const Term& term : terms) {
    if (term.coord.kind == Coord::Kind::Vector) {
      Value* part = b_.CreateMul(term.coord.index, splat(term.stride, lanes()));
      vector = vector ? b_.CreateAdd(vector, part) : part;
      continue;
    }
    depth = std::max(depth, std::min(term.coord.depth, top_));
    offset = add(offset, mul(term.coord.index, term.stride, depth), depth);
    if (term.coord.kind != Coord::Kind::Lanes) continue;
    consecutive = true;
    lane_stride = add(lane_stride, term.stride, 0);
  }
  consecutive &= known(lane_stride) != 0;
  if (consecutive && (vector || known(lane_stride) != 1)) {
    auto* type = llvm::FixedVectorType::get(b_.getInt64Ty(), static_cast<unsigned>(lanes()));
    Value* steps = b_.CreateMul(b_.CreateStepVector(type), splat(lane_stride, lanes()));
    vector = vector ? b_.CreateAdd(vector, steps) : steps;
  }
  return {b_.CreateGEP(memory_type(dtype), base, offset), vector, consecutive || vector};
}

// --- memory <-> register ---

Value* Emitter::load(const Address& address, Dtype memory, Dtype as, Value* mask) {
  i64 width = address.lanes ? lanes() : 0;
  llvm::Type* type = memory_type(memory, width);
  llvm::Align align(static_cast<u64>(size_of(memory)));
  Value* raw = nullptr;
  if (address.offsets) {
    Value* pointers = b_.CreateGEP(memory_type(memory), address.pointer, address.offsets);
    Value* all = mask ? mask
                      : llvm::Constant::getAllOnesValue(llvm::FixedVectorType::get(
                            b_.getInt1Ty(), static_cast<unsigned>(width)));
    raw = b_.CreateMaskedGather(type, pointers, align, all, llvm::Constant::getNullValue(type));
  } else if (width > 0 && mask) {
    raw =
        b_.CreateMaskedLoad(type, address.pointer, align, mask, llvm::Constant::getNullValue(type));
  } else {
    raw = b_.CreateAlignedLoad(type, address.pointer, align);
  }
  switch (memory) {
    case Dtype::Bool:
      raw = b_.CreateICmpNE(raw, llvm::Constant::getNullValue(type));
      break;
    case Dtype::BF16:
      raw = emit_bf16_to_f32(b_, raw);
      break;
    case Dtype::F16:
      raw = emit_f16_to_f32(b_, target_, raw);
      break;
    default:
      break;
  }
  return cast(raw, memory, as);
}

void Emitter::store(const Address& address, Dtype memory, Value* value, Dtype as, Value* mask,
                    bool streaming) {
  value = cast(value, as, memory);
  i64 width = address.lanes ? lanes() : 0;
  BUG_IF(width == 0 && lanes_of(value) > 0, "lanes of a value go to one address");
  value = splat(value, width);
  switch (memory) {
    case Dtype::Bool:
      value = b_.CreateZExt(value, memory_type(memory, width));
      break;
    case Dtype::BF16:
      value = emit_f32_to_bf16(b_, value);
      break;
    case Dtype::F16:
      value = emit_f32_to_f16(b_, target_, value);
      break;
    default:
      break;
  }
  llvm::Align align(static_cast<u64>(size_of(memory)));
  if (address.offsets) {
    Value* pointers = b_.CreateGEP(memory_type(memory), address.pointer, address.offsets);
    Value* all = mask ? mask
                      : llvm::Constant::getAllOnesValue(llvm::FixedVectorType::get(
                            b_.getInt1Ty(), static_cast<unsigned>(width)));
    b_.CreateMaskedScatter(value, pointers, align, all);
  } else if (width > 0 && mask && llvm::isa<llvm::Constant>(mask) && size_of(memory) < 4) {
    // LLVM 22 stores four bytes for one 2-byte lane of a constant mask.
    store_lanes(value, address.pointer, align, llvm::cast<llvm::Constant>(mask));
  } else if (width > 0 && mask) {
    b_.CreateMaskedStore(value, address.pointer, align, mask);
  } else {
    if (streaming) align = llvm::Align(static_cast<u64>(size_of(memory) * width));
    llvm::StoreInst* st = b_.CreateAlignedStore(value, address.pointer, align);
    if (!streaming) return;
    auto* one = llvm::ConstantAsMetadata::get(b_.getInt32(1));
    st->setMetadata(llvm::LLVMContext::MD_nontemporal,
                    llvm::MDNode::get(module_.getContext(), {one}));
  }
}

// One store for each lane that a constant mask has.
void Emitter::store_lanes(Value* value, Value* pointer, llvm::Align align, llvm::Constant* mask) {
  for (i64 lane = 0; lane < lanes_of(value); ++lane) {
    if (mask->getAggregateElement(static_cast<unsigned>(lane))->isNullValue()) continue;
    Value* element = b_.CreateExtractElement(value, static_cast<u64>(lane));
    Value* at = b_.CreateConstGEP1_64(element->getType(), pointer, static_cast<u64>(lane));
    b_.CreateAlignedStore(element, at, align);
  }
}

// --- buffers ---

Coords Emitter::buffer_coords(ValueId value, const Coords& coords) const {
  Coords kept;
  for (i64 d : plan_.at(value).dims) kept.push_back(coords[d]);
  return kept;
}

Value* Emitter::load_buffer(plan::BufferId buffer, const Coords& coords, Dtype as) {
  Address address = buffer_address(buffer, coords);
  return load(address, plan_[buffer].dtype, as, address.lanes ? scope().mask : nullptr);
}

void Emitter::store_buffer(plan::BufferId buffer, const Coords& coords, Value* value, Dtype as) {
  Address address = buffer_address(buffer, coords);
  store(address, plan_[buffer].dtype, value, as, address.lanes ? scope().mask : nullptr, false);
  mark_written(buffer);
}

// --- tensors ---

// Lanes (or whether the element) of an access that exist and that the user's mask lets through;
// null: all.
Value* Emitter::extent_mask(const Op& op, const Coords& coords) {
  Value* exists = scope().mask;
  if (!op.attrs.has_mask) return exists;
  Value* wanted = eval(op.operands.back(), coords);
  if (!exists) return wanted;
  return b_.CreateAnd(splat(wanted, lanes()), exists);
}

Value* Emitter::eval_load(const Op& op, const Coords& coords) {
  Dtype memory = kernel_[op.attrs.tensor].dtype;
  Dtype as = kernel_[op.results[0]].type.dtype;
  Value* mask = op.attrs.has_mask ? extent_mask(op, coords) : scope().mask;
  check_access(op, coords, mask);
  Address address = tensor_address(op, coords);
  if (address.lanes && !address.offsets && !scope().mask) prefetch_ahead(op, address);
  if (address.lanes) return load(address, memory, as, mask ? splat(mask, lanes()) : nullptr);
  if (!op.attrs.has_mask) return load(address, memory, as, nullptr);
  // One element: a masked-out one is read from memory of ours, and is 0.
  bool varies = lanes_of(mask) > 0;
  Value* any = varies ? b_.CreateOrReduce(mask) : mask;
  address.pointer = b_.CreateSelect(any, address.pointer, dummy_);
  Value* element = splat(load(address, memory, as, nullptr), lanes_of(mask));
  return b_.CreateSelect(mask, element, llvm::Constant::getNullValue(element->getType()));
}

// Fetches what a load will read some vectors later. Addresses behind the tensor do no harm.
void Emitter::prefetch_ahead(const Op& op, const Address& address) {
  i64 bytes = plan_.access(op).prefetch_bytes;
  if (bytes > 0) prefetch(op, b_.CreateConstGEP1_64(b_.getInt8Ty(), address.pointer, bytes));
}

void Emitter::prefetch(const Op& op, Value* pointer) {
  using Keep = plan::AccessPolicy::Keep;
  Keep keep = plan_.access(op).keep;
  u32 locality = keep == Keep::First ? 0 : keep == Keep::Last ? 3 : 2;
  b_.CreateIntrinsic(llvm::Intrinsic::prefetch, {b_.getPtrTy()},
                     {pointer, b_.getInt32(0), b_.getInt32(locality), b_.getInt32(1)});
}

void Emitter::emit_store(const Op& op, const Coords& coords) {
  Dtype memory = kernel_[op.attrs.tensor].dtype;
  Dtype as = kernel_[op.operands[0]].type.dtype;
  Value* value = eval(op.operands[0], coords);
  Value* mask = extent_mask(op, coords);
  check_access(op, coords, mask);
  Address address = tensor_address(op, coords);
  if (address.lanes) {
    mask = mask ? splat(mask, lanes()) : nullptr;
    store(address, memory, value, as, mask, !mask && is_streaming(op, coords));
    return;
  }
  if (op.attrs.has_mask) address.pointer = b_.CreateSelect(mask, address.pointer, dummy_);
  store(address, memory, value, as, nullptr, false);
}

// Whether a vector store may go around the caches: wanted, and every address of it is aligned to
// the vector.
bool Emitter::is_streaming(const Op& op, const Coords& coords) {
  const ir::TensorParam& tensor = kernel_[op.attrs.tensor];
  i64 bytes = size_of(tensor.dtype);
  i64 vector = lanes() * bytes;
  if (!plan_.access(op).streaming || !tensor.aligned || vector < 16) return false;
  bool aligned = true;
  plan::for_each_subscript(kernel_, op, [&](i64 dim, i64 at, i64 rank, const ir::Index& index) {
    if (index.operand >= 0) aligned = false;
    auto stride = tensor.strides[dim].as_int();
    if (!stride || !aligned) return void(aligned = false);
    if ((*stride * bytes) % vector == 0) return;
    // The contiguous dimension: lanes start at multiples of the vector, tiles must too.
    bool lanes_here = rank == 1 && coords[at].kind == Coord::Kind::Lanes && *stride == 1;
    if (!lanes_here) return void(aligned = false);
    if (index.kind != ir::Index::Kind::Tile) return;
    auto size = plan_.block_sizes[index.block.index].as_int();
    const Block& axis = kernel_[index.block];
    bool from_zero = axis.begin && axis.begin.is_int(0);
    aligned = size && *size % lanes() == 0 && from_zero;
  });
  return aligned;
}

}  // namespace peri::cpu
