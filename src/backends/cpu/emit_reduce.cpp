// Reductions: identities, steps, and joining lanes.
#include <limits>

#include "backends/cpu/emit.h"
#include "backends/cpu/vector_math.h"
#include "base/bug.h"

namespace peri::cpu {

using ir::Op;
using ir::OpCode;

namespace {

bool is_arg(OpCode code) { return code == OpCode::ArgMax || code == OpCode::ArgMin; }
bool is_largest(OpCode code) { return code == OpCode::ArgMax || code == OpCode::ReduceMax; }

SymValue extreme(Dtype dtype, bool largest) {
  if (is_float(dtype)) {
    double inf = std::numeric_limits<double>::infinity();
    return SymValue::of(largest ? inf : -inf);
  }
  if (dtype == Dtype::Bool) return SymValue::of_bool(largest);
  if (dtype == Dtype::U8) return SymValue::of(i64{largest ? 255 : 0});
  u64 top = (u64{1} << (8 * size_of(dtype) - 1)) - 1;
  return SymValue::of(largest ? static_cast<i64>(top) : -static_cast<i64>(top) - 1);
}

}  // namespace

// The dtype a reduction accumulates in: its result's, halves in f32; arg reductions the operand's.
static Dtype accumulation_dtype(const ir::Kernel& kernel, const Op& op) {
  ir::ValueId of = is_arg(op.code) ? op.operands[0] : op.results[0];
  return compute_dtype(kernel[of].type.dtype);
}

std::vector<Value*> Emitter::reduction_identity(const Op& op, i64 lanes) {
  Dtype dtype = accumulation_dtype(kernel_, op);
  auto value = [&](SymValue v) { return splat(constant(dtype, v), lanes); };
  switch (op.code) {
    case OpCode::Sum:
      return {value(SymValue::of(i64{0}))};
    case OpCode::Prod:
      return {value(SymValue::of(i64{1}))};
    case OpCode::Any:
      return {value(SymValue::of_bool(false))};
    case OpCode::All:
      return {value(SymValue::of_bool(true))};
    case OpCode::ReduceMax:
      return {value(extreme(dtype, false))};
    case OpCode::ReduceMin:
      return {value(extreme(dtype, true))};
    default:
      // An index past every other: the first element replaces it even if it equals the identity.
      return {value(extreme(dtype, !is_largest(op.code))),
              splat(integer(std::numeric_limits<i64>::max()), lanes)};
  }
}

std::vector<Value*> Emitter::reduction_step(const Op& op, std::vector<Value*> acc, Value* value,
                                            Value* index) {
  Dtype from = kernel_[op.operands[0]].type.dtype;
  value = cast(value, from, accumulation_dtype(kernel_, op));
  if (!is_arg(op.code)) return combine(op, acc, {value});
  return combine(op, acc, {value, index});
}

std::vector<Value*> Emitter::combine(const Op& op, const std::vector<Value*>& a,
                                     const std::vector<Value*>& b) {
  Dtype dtype = accumulation_dtype(kernel_, op);
  auto apply = [&](OpCode code) {
    return std::vector<Value*>{emit_elementwise(b_, target_, code, dtype, {a[0], b[0]})};
  };
  switch (op.code) {
    case OpCode::Sum:
      return apply(OpCode::Add);
    case OpCode::Prod:
      return apply(OpCode::Mul);
    case OpCode::Any:
      return apply(OpCode::Or);
    case OpCode::All:
      return apply(OpCode::And);
    case OpCode::ReduceMax:
      return apply(OpCode::Max);
    case OpCode::ReduceMin:
      return apply(OpCode::Min);
    default:
      break;
  }
  OpCode better_code = is_largest(op.code) ? OpCode::Gt : OpCode::Lt;
  Value* better = emit_elementwise(b_, target_, better_code, dtype, {b[0], a[0]});
  Value* equal = emit_elementwise(b_, target_, OpCode::Eq, dtype, {b[0], a[0]});
  if (is_float(dtype)) {
    Value* a_nan = b_.CreateFCmpUNO(a[0], a[0]);
    Value* b_nan = b_.CreateFCmpUNO(b[0], b[0]);
    better = b_.CreateOr(better, b_.CreateAnd(b_nan, b_.CreateNot(a_nan)));
    equal = b_.CreateOr(equal, b_.CreateAnd(a_nan, b_nan));
  }
  Value* earlier = b_.CreateICmpSLT(b[1], a[1]);
  Value* take = b_.CreateOr(better, b_.CreateAnd(equal, earlier));
  return {b_.CreateSelect(take, b[0], a[0]), b_.CreateSelect(take, b[1], a[1])};
}

// A scalar accumulator from a vector one, lanes joined pairwise (halves onto halves).
std::vector<Value*> Emitter::join_lanes(const Op& op, const std::vector<Value*>& acc) {
  std::vector<Value*> parts = acc;
  for (i64 width = lanes_of(parts[0]); width > 1; width /= 2) {
    std::vector<int> low, high;
    for (int i = 0; i < width / 2; ++i) {
      low.push_back(i);
      high.push_back(i + static_cast<int>(width / 2));
    }
    std::vector<Value*> a, b;
    for (Value* part : parts) {
      a.push_back(b_.CreateShuffleVector(part, low));
      b.push_back(b_.CreateShuffleVector(part, high));
    }
    parts = combine(op, a, b);
  }
  for (Value*& part : parts) {
    if (lanes_of(part) == 1) part = b_.CreateExtractElement(part, u64{0});
  }
  return parts;
}

// The loop indices of a reduction's result: its operand's, but for the reduced one.
Coords Emitter::reduced_coords(const Op& op) {
  Coords coords = loop_coords(op.operands[0]);
  coords.erase(coords.begin() + op.attrs.dims[0]);
  return coords;
}

// One step of a reduction whose accumulators, one for each inner index, live in its buffer.
void Emitter::step_in_memory(const plan::Node& node, const Op& op) {
  (void)node;
  ir::ValueId result = op.results[0];
  plan::BufferId buffer = plan_.at(result).buffer;
  Dtype dtype = accumulation_dtype(kernel_, op);
  Coords inner = loop_coords(op.operands[0]);
  Coords kept = buffer_coords(result, reduced_coords(op));
  Value* value = splat(eval(op.operands[0], inner), lanes());
  std::vector<Value*> acc{splat(load_buffer(buffer, kept, dtype), lanes())};
  acc = reduction_step(op, acc, value, nullptr);
  store_buffer(buffer, kept, acc[0], dtype);
}

}  // namespace peri::cpu
