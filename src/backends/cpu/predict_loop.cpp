// What one vector of a loop costs: its distinct values, loads, stores and reductions.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "backends/cpu/predictor.h"
#include "backends/cpu/vector_math.h"
#include "plan/subscripts.h"

namespace peri::cpu {

using ir::Op;
using ir::OpCode;
using ir::ValueId;
using plan::AxisId;
using plan::Node;
using plan::NodeId;
using plan::Placement;

namespace {

// Time of a native vector on one execution port. There are two that most simple operations can use;
// functions have dependencies that leave one of them idle.
constexpr double kSimple = 0.55, kOrderedCompare = 1.6, kSign = 2, kDivision = 7;
constexpr double kRoundToBf16 = 3, kRandom = 110;
constexpr double kDoubleCall = 20;   // of libm, a lane
constexpr double kPartialLines = 3;  // time of a line written in parts, in those of a whole one

bool is_reduction(const Op& op) { return ir::info(op.code).rule == ir::Rule::Reduce; }

double conversion_cost(Dtype dtype, bool store, const Target& target) {
  switch (dtype) {
    case Dtype::BF16:
      return store ? kRoundToBf16 : kSimple;
    case Dtype::F16:
      return target.has_f16c ? 1 : 8;
    case Dtype::F32:
    case Dtype::F64:
    case Dtype::I32:
      return 0;
    default:
      return kSimple;
  }
}

}  // namespace

bool Predictor::varies(ValueId value, AxisId lane) const {
  if (!lane) return false;
  for (i64 d = 0; d < kernel_[value].type.rank(); ++d) {
    if (plan_.axes.of(value, d) == lane) return true;
  }
  return false;
}

double Predictor::op_cost(const Op& op) const {
  const Dtype dtype = kernel_[op.results[0]].type.dtype;
  const Dtype from = op.operands.empty() ? dtype : kernel_[op.operands[0]].type.dtype;
  const double width =
      size_of(from) == 8 && lanes_ == static_cast<double>(target_.lanes(4)) ? 2 : 1;
  if (op.code == OpCode::FloorDiv && !is_float(dtype)) return 6 * lanes_;
  switch (op.code) {
#define MATH1(name, f32, f64, libm, cost) \
  case OpCode::name:                      \
    return from == Dtype::F64 && (cost) > 1 ? kDoubleCall * lanes_ : (cost);
#define MATH2(name, f32, f64, libm, cost) MATH1(name, f32, f64, libm, cost)
#include "backends/cpu/vector_math.def"
    case OpCode::Div:
      return kDivision * width;
    case OpCode::Max:
    case OpCode::Min:
      return (is_float(dtype) ? kOrderedCompare : kSimple) * width;
    case OpCode::Sign:
      return kSign * width;
    case OpCode::Rand:
      return kRandom;
    case OpCode::Cast:
      return std::max(conversion_cost(dtype, true, target_),
                      conversion_cost(from, false, target_)) *
             width;
    default:
      return kSimple * width;
  }
}

// Cycles from one step of a reduction to the next.
double Predictor::chain_cost(const Op& op) const {
  switch (op.code) {
    case OpCode::ReduceMax:
    case OpCode::ReduceMin:
      return 2 * machine_.latency_cycles;
    case OpCode::ArgMax:
    case OpCode::ArgMin:
      return 3 * machine_.latency_cycles;
    default:
      return machine_.latency_cycles;
  }
}

// --- accesses ---

Stream::Dim Predictor::tensor_dim(const Op& op, const ir::Index& index, i64 dim,
                                  AxisId axis) const {
  const ir::TensorParam& tensor = kernel_[op.attrs.tensor];
  Stream::Dim result;
  result.axis = axis;
  result.block = index.block;
  if (!result.block && axis) result.block = plan_.axes[axis].block;
  result.size = value(tensor.sizes[dim], 1024);
  result.stride = value(tensor.strides[dim], 1) * static_cast<double>(size_of(tensor.dtype));
  result.random = index.kind == ir::Index::Kind::Gather;
  if (index.kind == ir::Index::Kind::Scalar && index.operand >= 0) {
    ir::OpId def = kernel_[op.operands[index.operand]].def;
    if (def) result.block = kernel_[def].attrs.block;
  }
  return result;
}

// As many as the config's vectors have.
double Predictor::vector_lanes() const {
  return plan_.simd_bits > 0 ? std::min(lanes_, static_cast<double>(plan_.simd_bits) / 32) : lanes_;
}

// As the emitter decides it for every address of the access.
bool Predictor::goes_around_caches(const Op& op, AxisId lane) const {
  const ir::TensorParam& tensor = kernel_[op.attrs.tensor];
  const double bytes = static_cast<double>(size_of(tensor.dtype));
  const double lanes = vector_lanes(), vector = lanes * bytes;
  if (!plan_.access(op).streaming || !tensor.aligned || vector < 16) return false;
  bool aligned = true;
  const auto axes = plan_.axes.of(op.operands[0]);
  plan::for_each_subscript(kernel_, op, [&](i64 dim, i64 at, i64 rank, const ir::Index& index) {
    const double stride = value(tensor.strides[dim], 1) * bytes;
    if (index.operand >= 0) aligned = false;
    if (std::fmod(stride, vector) == 0) return;
    bool here = rank == 1 && axes[at] == lane && stride == bytes;
    if (index.kind == ir::Index::Kind::Tile) {
      here = here && std::fmod(value(plan_.block_sizes[index.block.index], 1), lanes) == 0;
    }
    aligned = aligned && here;
  });
  return aligned;
}

void Predictor::access(const Op& op, ValueId shape, AxisId lane, bool store, Work& work,
                       Streams& streams) {
  const ir::TensorParam& tensor = kernel_[op.attrs.tensor];
  const auto axes = plan_.axes.of(shape);
  Stream stream;
  stream.array = op.attrs.tensor.index;
  stream.element_bytes = static_cast<double>(size_of(tensor.dtype));
  stream.part = static_cast<i64>(parts_.size()) - 1;
  bool in_lanes = false, together = true;
  plan::for_each_subscript(kernel_, op, [&](i64 dim, i64 at, i64 rank, const ir::Index& index) {
    AxisId axis = rank > 0 ? axes[at] : AxisId();
    for (i64 i = 0; i < rank; ++i) axis = axes[at + i] == lane && lane ? lane : axis;
    stream.add_dim(tensor_dim(op, index, dim, axis));
    const Stream::Dim& added = stream.dims[std::max(stream.rank - 1, 0)];
    if (!lane || axis != lane) return;
    in_lanes = true;
    together = together && !added.random && added.stride == stream.element_bytes;
  });
  stream.streaming = store && goes_around_caches(op, lane);
  stream.fills_lines = std::min(vector_lanes() * stream.element_bytes,
                                static_cast<double>(target_.vector_bytes)) >= kLine;
  stream.store = store;
  MemoryModel::touch(stream);
  streams.push_back(stream);
  if (!in_lanes && !store) return;
  const double vectors = std::max(1.0, lanes_ * stream.element_bytes / target_.vector_bytes);
  double cycles = vectors * (store ? machine_.store_cycles : machine_.load_cycles);
  if (in_lanes && !together) cycles = lanes_ * machine_.gather_cycles;
  (store ? work.stores : work.loads) += cycles;
  work.ops += conversion_cost(tensor.dtype, store, target_);
}

void Predictor::buffer_access(plan::BufferId id, const std::vector<AxisId>& axes, AxisId lane,
                              bool store, Work& work, Streams& streams) {
  const plan::Buffer& buffer = plan_[id];
  Stream stream;
  stream.array = static_cast<i64>(kernel_.tensors.size()) + id.index;
  stream.element_bytes = static_cast<double>(size_of(buffer.dtype));
  stream.part = static_cast<i64>(parts_.size()) - 1;
  stream.store = store;
  double stride = stream.element_bytes;
  bool in_lanes = false, together = true;
  for (size_t d = buffer.extents.size(); d-- > 0;) {
    Stream::Dim dim;
    dim.axis = d < axes.size() ? axes[d] : AxisId();
    dim.size = std::max(1.0, value(buffer.extents[d], 1024));
    dim.stride = stride;
    stream.add_dim(dim);
    if (lane && dim.axis == lane) {
      in_lanes = true;
      together = stride == stream.element_bytes;
    }
    stride *= dim.size;
  }
  MemoryModel::touch(stream);
  streams.push_back(stream);
  if (lane && !in_lanes && !store) return;
  const double vectors = std::max(1.0, lanes_ * stream.element_bytes / target_.vector_bytes);
  double cycles = vectors * (store ? machine_.store_cycles : machine_.load_cycles);
  if (in_lanes && !together) cycles = lanes_ * machine_.gather_cycles;
  (store ? work.stores : work.loads) += cycles;
}

// --- statements ---

// Each value once: the emitter keeps what it has evaluated for these lanes.
void Predictor::evaluate(ValueId id, AxisId lane, Work& work, Streams& streams) {
  if (seen_[id.index] == loop_number_ || id == in_register_) return;
  seen_[id.index] = loop_number_;
  const Placement& place = plan_.at(id);
  if (place.kind == Placement::Kind::Register) return;
  if (place.kind == Placement::Kind::Buffer) {
    std::vector<AxisId> axes;
    const std::vector<AxisId> all = plan_.axes.of(id);
    for (i64 d : place.dims) axes.push_back(all[d]);
    return buffer_access(place.buffer, axes, lane, false, work, streams);
  }
  ir::OpId def = kernel_[id].def;
  if (!def) return;
  const Op& op = kernel_[def];
  const ir::OpInfo& row = ir::info(op.code);
  if (op.code == OpCode::Load) access(op, id, lane, false, work, streams);
  bool here = !lane || varies(id, lane);
  if (here && (row.has(ir::Elementwise) || op.code == OpCode::TileIndex)) {
    work.ops += op_cost(op);
    work.flops += std::max(1.0, op_cost(op));
  }
  for (ValueId operand : op.operands) evaluate(operand, lane, work, streams);
}

void Predictor::statement(const Node& n, AxisId lane, Work& work, Streams& streams) {
  if (n.kind == Node::Kind::Carry) {
    if (n.value) {
      evaluate(n.value, lane, work, streams);
      buffer_access(n.buffer, plan_.axes.of(n.value), lane, true, work, streams);
    }
    return;
  }
  const Op& op = kernel_[n.op];
  for (ValueId operand : op.operands) evaluate(operand, lane, work, streams);
  if (op.code == OpCode::Store) return access(op, op.operands[0], lane, true, work, streams);
  const ValueId result = op.results[0];
  if (op.code == OpCode::Load) {
    access(op, result, lane, false, work, streams);
  } else if (is_reduction(op)) {
    work.ops += op.code == OpCode::Sum || op.code == OpCode::Prod ? kSimple : kOrderedCompare;
    work.flops += 1;
  } else {
    work.ops += op_cost(op);
    work.flops += std::max(1.0, op_cost(op));
  }
  const Placement& place = plan_.at(result);
  seen_[result.index] = loop_number_;
  if (place.kind != Placement::Kind::Buffer) return;
  const std::vector<AxisId> all = plan_.axes.defined(kernel_, result);
  std::vector<AxisId> axes;
  for (i64 d : place.dims) axes.push_back(all[d]);
  Work once;
  bool each = !is_reduction(op) || (lane && std::ranges::count(axes, lane) > 0);
  buffer_access(place.buffer, axes, lane, true, each ? work : once, streams);
  if (each && is_reduction(op)) work.loads += machine_.load_cycles;  // accumulates in memory
}

std::string Predictor::loop_name(const Node& n) const {
  std::string ops;
  i64 count = 0;
  for (NodeId child : n.body) {
    if (++count > 3) continue;
    const Node& c = plan_[child];
    ops += ops.empty() ? "" : ", ";
    ops += c.kind == Node::Kind::Carry ? "keep" : ir::info(kernel_[c.op].code).text;
    if (c.kind == Node::Kind::Compute && kernel_[c.op].code == OpCode::Store) {
      ops += " @" + kernel_[kernel_[c.op].attrs.tensor].name;
    }
  }
  return fmt::format("loop {}: {}{}", axis_name(n.axis), ops, count > 3 ? ", ..." : "");
}

// A store around the caches that is shorter than a line keeps it in a write-combining buffer until
// the next store has filled it. Two such streams in a loop lose the buffers to each other and to
// the loads, and write parts of lines, which take Zen 3 three times as long.
void Predictor::slow_partial_lines(Streams& streams) {
  auto is_partial = [](const Stream& s) { return s.streaming && !s.fills_lines; };
  if (std::ranges::count_if(streams, is_partial) < 2) return;
  for (Stream& stream : streams) {
    if (!is_partial(stream)) continue;
    stream.scatter = kPartialLines;
    MemoryModel::touch(stream);
  }
}

Streams Predictor::vector_loop(NodeId id) {
  const Node& n = plan_[id];
  parts_.emplace_back();
  Part& part = parts_.back();
  part.name = loop_name(n);
  part.node = id;
  ++loop_number_;
  Work work;
  Streams streams;
  for (NodeId child : n.body) statement(plan_[child], n.axis, work, streams);
  slow_partial_lines(streams);
  const double elements = count(n.axis);
  const double vectors = std::ceil(elements / lanes_);
  double unroll = static_cast<double>(n.unroll);
  while (unroll > 1 && unroll > vectors) unroll /= 2;
  for (ir::OpId id : n.reductions) {
    work.chain = std::max(work.chain, chain_cost(kernel_[id]) / unroll);
  }
  const double arithmetic = work.ops * machine_.vector_op_cycles;
  const double accesses = std::max(work.loads, work.stores);
  part.accesses = accesses > arithmetic;
  const double busy = std::max({arithmetic, accesses, work.chain, machine_.loop_cycles / unroll});
  part.cycles = vectors * (busy + 0.25 * machine_.loop_cycles / unroll) + machine_.entry_cycles +
                static_cast<double>(n.reductions.size()) * machine_.join_cycles;
  part.flops = elements * work.flops;
  memory_.join(streams);
  memory_.repeat(streams, n.axis, {}, elements);
  return streams;
}

Streams Predictor::scalar_statement(const Node& n) {
  parts_.emplace_back();
  Part& part = parts_.back();
  part.name = "scalars";
  ++loop_number_;
  Work work;
  Streams streams;
  statement(n, {}, work, streams);
  part.cycles = work.ops * machine_.vector_op_cycles + work.loads + work.stores + 1;
  part.flops = work.flops;
  memory_.join(streams);
  return streams;
}

}  // namespace peri::cpu
