// Dots: operands in memory, register-tiled contraction, epilogue on the register tiles.
#include <algorithm>

#include "backends/cpu/contraction.h"
#include "backends/cpu/dot_plan.h"
#include "backends/cpu/emit.h"
#include "base/bug.h"

namespace peri::cpu {

using ir::Op;
using ir::OpCode;
using ir::ValueId;
using plan::Node;

namespace {

// Stands for an extent or stride that only a call knows where memory for it is reserved; plans
// split such extents into blocks, so that it does not matter.
constexpr i64 kUnknownExtent = i64{1} << 20;

}  // namespace

Value* Emitter::extent(const Dim& dim) {
  return dim.block ? block(dim.block).count : sym(dim.size);
}

// --- operands ---

Matrix Emitter::matrix(ValueId value) {
  const plan::Placement& place = plan_.at(value);
  if (place.kind == plan::Placement::Kind::Buffer) {
    // Dimensions that the buffer leaves out have extent 1.
    Matrix all = buffer_matrix(place.buffer);
    std::vector<Value*> strides(kernel_[value].type.rank(), integer(0));
    for (size_t i = 0; i < place.dims.size(); ++i) strides[place.dims[i]] = all.strides[i];
    return {all.data, all.dtype, strides};
  }
  const Op& op = kernel_[kernel_[value].def];
  if (op.code == OpCode::Load) return load_matrix(op);
  Matrix inner = matrix(op.operands[0]);
  const TileType& type = kernel_[value].type;
  Matrix result{inner.data, inner.dtype, std::vector<Value*>(type.rank(), integer(0))};
  std::vector<i64> dims = analysis::view_dims(kernel_, op);
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] >= 0) result.strides[dims[i]] = inner.strides[i];
  }
  return result;
}

Matrix Emitter::buffer_matrix(plan::BufferId buffer) {
  return {buffers_[buffer.index], plan_[buffer].dtype, buffer_strides_[buffer.index]};
}

Matrix Emitter::load_matrix(const Op& op) {
  const ir::TensorParam& tensor = kernel_[op.attrs.tensor];
  i64 rank = kernel_[op.results[0]].type.rank();
  Coords zero(rank, Coord{Coord::Kind::Scalar, integer(0), 0});
  check_matrix(op);
  Matrix result{tensor_address(op, zero).pointer, tensor.dtype,
                std::vector<Value*>(rank, integer(0))};
  plan::for_each_subscript(kernel_, op, [&](i64 dim, i64 at, i64 count, const ir::Index&) {
    if (count == 1) result.strides[at] = sym(tensor.strides[dim]);
  });
  return result;
}

// --- the dot ---

void Emitter::emit_dot(const Node& node) {
  const Op& op = kernel_[node.op];
  llvm::Instruction* before = split("dot");
  push_scope(before);
  if (node.k_loop) {
    const Op& loop = kernel_[node.k_loop];
    BlockId k = loop.attrs.blocks[0];
    auto bound = [&](size_t i) {
      return cast(eval(loop.operands[i], {}), kernel_[loop.operands[i]].type.dtype, Dtype::I64);
    };
    Value* begin = bound(0);
    Value* end = bound(1);
    // One tile that is all of k.
    BlockState state{begin, end, b_.CreateSub(end, begin), integer(0), integer(1), top_};
    if (known(begin) && known(end))
      state.count = integer(std::max<i64>(*known(end) - *known(begin), 0));
    blocks_[k] = state;
  }
  auto operand = [&](size_t i) {
    return node.operands[i] ? buffer_matrix(node.operands[i]) : matrix(op.operands[i]);
  };
  Matrix a = operand(0);
  Matrix b = operand(1);
  Matrix c = buffer_matrix(node.buffer);
  const TileType& ta = kernel_[op.operands[0]].type;
  const TileType& tb = kernel_[op.operands[1]].type;
  i64 rank = ta.rank();
  std::vector<Value*> counts{extent(ta.shape[rank - 2]), extent(tb.shape[rank - 1]),
                             extent(ta.shape[rank - 1])};
  if (rank == 2) {
    emit_one_dot(node, a, b, c, counts, nullptr);
  } else {
    Value* batches = extent(kernel_[op.results[0]].type.shape[0]);
    Accumulators none;
    counted_loop(integer(0), batches, 1, none, [&](Value* index, Accumulators&) {
      auto slice = [&](const Matrix& m) {
        Value* offset = b_.CreateMul(index, m.strides[0]);
        Value* data = b_.CreateGEP(memory_type(m.dtype), m.data, offset);
        return Matrix{data, m.dtype, {m.strides[1], m.strides[2]}};
      };
      Coord batch{Coord::Kind::Scalar, index, top_};
      emit_one_dot(node, slice(a), slice(b), slice(c), counts, &batch);
    });
  }
  pop_scope();
  mark_written(node.buffer);
}

void Emitter::emit_one_dot(const Node& node, const Matrix& a, const Matrix& b, const Matrix& c,
                           const std::vector<Value*>& counts, const Coord* batch) {
  const plan::DotSchedule& schedule = plan_.dots[node.dot];
  auto fixed = [](Value* v) { return known(v).value_or(kDynamic); };
  ContractionShape shape;
  shape.m = fixed(counts[0]);
  shape.n = fixed(counts[1]);
  shape.k = fixed(counts[2]);
  shape.a_stride_m = fixed(a.strides[0]);
  shape.a_stride_k = fixed(a.strides[1]);
  shape.b_stride_k = fixed(b.strides[0]);
  shape.b_stride_n = fixed(b.strides[1]);
  shape.a = a.dtype;
  shape.b = b.dtype;
  shape.acc = c.dtype;
  shape.accumulate = node.accumulate;
  ContractionPlan plan = planned_contraction(schedule, shape, target_);
  ContractionOperands operands;
  operands.a = a.data;
  operands.b = b.data;
  operands.c = c.data;
  operands.scratch = dot_scratch_;
  operands.m = counts[0];
  operands.n = counts[1];
  operands.k = counts[2];
  operands.a_stride_m = a.strides[0];
  operands.a_stride_k = a.strides[1];
  operands.b_stride_k = b.strides[0];
  operands.b_stride_n = b.strides[1];
  operands.c_stride_m = c.strides[0];
  reserve_dot_scratch(node, plan, shape);
  llvm::Instruction* before = split("contraction");
  ContractionEpilogue epilogue;
  if (!node.epilogue.empty()) {
    epilogue = [&](llvm::IRBuilderBase&, const ContractionResult& r) {
      emit_epilogue(node, r, batch, before);
    };
  }
  emit_contraction(b_, shape, plan, target_, operands, epilogue);
}

// Packing buffers are needed for the largest extents of the call.
void Emitter::reserve_dot_scratch(const Node& node, const ContractionPlan& plan,
                                  ContractionShape shape) {
  const Op& op = kernel_[node.op];
  const TileType& ta = kernel_[op.operands[0]].type;
  const TileType& tb = kernel_[op.operands[1]].type;
  auto largest = [&](i64& extent, const Dim& dim) {
    if (extent != kDynamic) return;
    Sym size = plan_.resolve(dim.size);
    if (dim.block && node.k_loop && kernel_[node.k_loop].attrs.blocks[0] == dim.block) {
      const Block& axis = kernel_[dim.block];
      size = axis.end ? plan_.resolve(axis.end) : size;
    }
    // What only a call knows is bounded by its blocks: legalize() has split such extents.
    extent = size.as_int().value_or(kUnknownExtent);
  };
  largest(shape.m, ta.shape[ta.rank() - 2]);
  largest(shape.n, tb.shape[tb.rank() - 1]);
  largest(shape.k, ta.shape[ta.rank() - 1]);
  for (i64* stride : {&shape.a_stride_m, &shape.a_stride_k, &shape.b_stride_k, &shape.b_stride_n}) {
    if (*stride == kDynamic) *stride = kUnknownExtent;
  }
  dot_scratch_bytes_ = std::max(dot_scratch_bytes_, scratch_bytes(plan, shape, target_));
}

// Runs the epilogue's nodes on one vector of results, as the body of loops over its row and
// columns. The contraction emits through `b_` too, and goes on where that ends up.
void Emitter::emit_epilogue(const Node& node, const ContractionResult& r, const Coord* batch,
                            llvm::Instruction* before) {
  ValueId result = node.k_loop ? kernel_[node.k_loop].results[0] : kernel_[node.op].results[0];
  i64 rank = kernel_[result].type.rank();
  push_scope(before);
  scope().lanes = r.lanes > 1 ? r.lanes : 0;
  scope().mask = r.lanes > 1 ? r.mask : nullptr;
  auto bind = [&](i64 dim, Coord coord) {
    if (plan::AxisId axis = plan_.axes.of(result, dim)) scope().coords[axis] = coord;
  };
  if (batch) bind(0, *batch);
  bind(rank - 2, {Coord::Kind::Scalar, r.row, top_});
  bind(rank - 1, {r.lanes > 1 ? Coord::Kind::Lanes : Coord::Kind::Scalar, r.column, top_});
  Value* value = r.value;
  if (r.lanes == 1 && lanes_of(value) == 1) value = b_.CreateExtractElement(value, u64{0});
  set_register(result, cast(value, plan_[node.buffer].dtype, kernel_[result].type.dtype));
  emit_nodes(node.epilogue);
  pop_scope();
}

}  // namespace peri::cpu
