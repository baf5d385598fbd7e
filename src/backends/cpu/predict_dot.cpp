// What a dot costs: register tiles, packing, and the blocks of its operands in the caches.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "backends/cpu/contraction_emit.h"
#include "backends/cpu/dot_plan.h"
#include "backends/cpu/predictor.h"
#include "plan/subscripts.h"

namespace peri::cpu {

using ir::Op;
using ir::OpCode;
using ir::ValueId;
using plan::AxisId;
using plan::Node;
using plan::Placement;

namespace {

constexpr double kChains = 8;           // multiply-adds in flight
constexpr double kTileCycles = 8;       // around the loop over k of a register tile
constexpr double kScatteredCopy = 1.5;  // cycles an element that is copied across

}  // namespace

// The extent that the emitter knows when it makes code.
i64 Predictor::fixed_extent(AxisId axis, double average) const {
  if (!axis) return 1;
  const analysis::Axis& a = plan_.axes[axis];
  if (!a.block) return plan_.extent(axis).as_int().value_or(kDynamic);
  const Block& block = kernel_[a.block];
  auto size = plan_.block_sizes[a.block.index].as_int();
  if (size == 1) return 1;
  if (!size || !block.begin || !block.end) return kDynamic;
  auto begin = plan_.resolve(block.begin).as_int(), end = plan_.resolve(block.end).as_int();
  if (!begin || !end) return kDynamic;
  const i64 range = std::max<i64>(*end - *begin, 0);
  if (static_cast<double>(range) <= average) return range;
  return range % *size == 0 ? *size : kDynamic;
}

Predictor::Operand Predictor::operand(ValueId id, plan::BufferId computed) const {
  Operand result;
  const auto axes = plan_.axes.of(id);
  result.strides.assign(axes.size(), 0);
  const Placement& place = plan_.at(id);
  if (computed || place.kind == Placement::Kind::Buffer) {
    plan::BufferId buffer = computed ? computed : place.buffer;
    std::vector<i64> dims = place.dims;
    if (computed) {
      dims.clear();
      for (size_t d = 0; d < axes.size(); ++d) dims.push_back(static_cast<i64>(d));
    }
    result.dtype = plan_[buffer].dtype;
    result.stream.array = static_cast<i64>(kernel_.tensors.size()) + buffer.index;
    double stride = 1;
    for (size_t i = dims.size(); i-- > 0;) {
      Stream::Dim dim;
      dim.axis = axes[dims[i]];
      dim.size = std::max(1.0, value(plan_[buffer].extents[i], 1024));
      dim.stride = stride * static_cast<double>(size_of(result.dtype));
      result.strides[dims[i]] = stride;
      stride *= dim.size;
      result.stream.add_dim(dim);
    }
  } else {
    const Op* op = &kernel_[kernel_[id].def];
    while (op->code != OpCode::Load) op = &kernel_[kernel_[op->operands[0]].def];
    const ir::TensorParam& tensor = kernel_[op->attrs.tensor];
    result.dtype = tensor.dtype;
    result.stream.array = op->attrs.tensor.index;
    const auto loaded = plan_.axes.of(op->results[0]);
    plan::for_each_subscript(kernel_, *op, [&](i64 dim, i64 at, i64 rank, const ir::Index& index) {
      AxisId axis = rank == 1 ? loaded[at] : AxisId();
      result.stream.add_dim(tensor_dim(*op, index, dim, axis));
      for (size_t d = 0; d < axes.size(); ++d) {
        if (axis && axes[d] == axis) result.strides[d] = value(tensor.strides[dim], 1);
      }
    });
  }
  result.stream.element_bytes = static_cast<double>(size_of(result.dtype));
  return result;
}

// As contraction_model.cpp weighs register tiles; here in cycles, with all blocks.
double Predictor::tile_cycles(const ContractionPlan& plan, const ContractionShape& shape) const {
  const auto facts = contraction::facts_of(plan, shape, target_);
  const double lanes = static_cast<double>(facts.lanes);
  const double m = static_cast<double>(shape.m), k = static_cast<double>(shape.k);
  double n = static_cast<double>(shape.n);
  const double fma = machine_.multiply_add_cycles;
  double cycles = 0;
  if (plan.along_k > 0) {
    const double columns = std::min(n, static_cast<double>(plan.along_k));
    cycles += m * columns * (std::ceil(k / lanes) * 1.2 + 10);
    n -= columns;
  }
  const double depth = plan.kc > 0 ? std::min<double>(k, static_cast<double>(plan.kc)) : k;
  const double blocks = std::ceil(k / std::max(depth, 1.0));
  const double steps = std::ceil(k / static_cast<double>(facts.step_k));
  const bool converts_b = !plan.pack_b && !plan.pairs && size_of(shape.b) < size_of(shape.acc);
  const bool converts_a = !plan.pack_a && !plan.pairs && size_of(shape.a) < size_of(shape.acc);
  const double unroll = static_cast<double>(plan.k_unroll);
  auto tile = [&](double rows, double vectors) {
    const double sums = rows * vectors;
    if (sums == 0) return 0.0;
    const double element = target_.vector_bytes == 64 ? 0.5 : 1;
    double loads = element * rows * (converts_a ? 3 : 1) + (plan.pack_b ? 1 : 1.5) * vectors;
    if (converts_b) loads += 1.5 * vectors;
    const double step = std::max({sums, loads, kChains}) + 0.15 * loads + 0.8 / unroll;
    return fma * (steps * step + blocks * (2 * sums + kTileCycles));
  };
  const double mr = static_cast<double>(plan.mr), nr = static_cast<double>(plan.nr_vectors);
  const double vectors = std::ceil(n / lanes);
  const double full_rows = std::floor(m / mr), full_columns = std::floor(vectors / nr);
  const double rest_rows = m - full_rows * mr, rest_vectors = vectors - full_columns * nr;
  cycles += full_rows * (full_columns * tile(mr, nr) + tile(mr, rest_vectors));
  cycles += full_columns * tile(rest_rows, nr) + tile(rest_rows, rest_vectors);
  return cycles;
}

double Predictor::packing_cycles(const ContractionPlan& plan, const ContractionShape& shape) const {
  const double lanes = static_cast<double>(target_.lanes(size_of(shape.acc)));
  const double m = static_cast<double>(shape.m), n = static_cast<double>(shape.n),
               k = static_cast<double>(shape.k);
  double cycles = 0;
  if (plan.pack_a) {
    const double times = plan.nc > 0 ? std::ceil(n / static_cast<double>(plan.nc)) : 1;
    cycles += times * m * k * (shape.a_stride_k == 1 ? 3 / lanes : kScatteredCopy);
  }
  if (plan.pack_b) cycles += n * k * (shape.b_stride_n == 1 ? 3 / lanes : kScatteredCopy);
  return cycles;
}

// The loop nest of contraction.h, from the inside.
Streams Predictor::dot_streams(const ContractionPlan& plan, const ContractionShape& shape,
                               const AxisId (&axes)[3], const Operand& a, const Operand& b,
                               const Stream& c) const {
  const double lanes = static_cast<double>(target_.lanes(size_of(shape.acc)));
  const double unit = plan.pairs ? 2 : static_cast<double>(size_of(shape.acc));
  const double m = static_cast<double>(shape.m), n = static_cast<double>(shape.n),
               k = static_cast<double>(shape.k);
  auto block = [](i64 planned, double all) {
    return planned > 0 ? std::min(static_cast<double>(planned), all) : all;
  };
  const double mc = block(plan.mc, m), nc = block(plan.nc, n), kc = block(plan.kc, k);
  const double mr = std::min(static_cast<double>(plan.mr), mc);
  const double nr = std::min(static_cast<double>(plan.nr_vectors) * lanes, nc);
  auto spread = [&](Stream stream, double rows, double columns, double depth) {
    for (int d = 0; d < stream.rank; ++d) {
      Stream::Dim& dim = stream.dims[d];
      if (dim.axis && dim.axis == axes[0]) dim.span = rows;
      if (dim.axis && dim.axis == axes[1]) dim.span = columns;
      if (dim.axis && dim.axis == axes[2]) dim.span = depth;
    }
    stream.part = static_cast<i64>(parts_.size()) - 1;
    MemoryModel::touch(stream);
    return stream;
  };
  auto packed = [&](i64 number, int axis, double lines) {
    Stream stream;
    stream.array = -1 - number;
    stream.element_bytes = unit;
    stream.dims[0] = {axes[axis], {}, 1, lines, kc * unit, false};
    stream.dims[1] = {axes[2], {}, 1, kc, unit, false};
    stream.rank = 2;
    return stream;
  };
  Streams streams{spread(plan.pack_a ? packed(1, 0, mc) : a.stream, mr, nr, kc),
                  spread(plan.pack_b ? packed(2, 1, nc) : b.stream, mr, nr, kc),
                  spread(c, mr, nr, kc)};
  auto rows = [&] { memory_.repeat(streams, axes[0], {}, std::ceil(mc / mr)); };
  auto columns = [&] { memory_.repeat(streams, axes[1], {}, std::ceil(nc / nr)); };
  if (plan.columns_outer) rows(), columns();
  if (!plan.columns_outer) columns(), rows();
  if (plan.pack_a) streams.push_back(spread(a.stream, mc, nc, kc));
  memory_.repeat(streams, axes[0], {}, std::ceil(m / mc));
  if (plan.pack_b) streams.push_back(spread(b.stream, m, nc, kc));
  memory_.repeat(streams, axes[2], {}, std::ceil(k / kc));
  memory_.repeat(streams, axes[1], {}, std::ceil(n / nc));
  return streams;
}

Streams Predictor::dot(const Node& n) {
  const Op& op = kernel_[n.op];
  const ValueId va = op.operands[0], vb = op.operands[1];
  const i64 rank = kernel_[va].type.rank();
  if (n.k_loop) {
    const Op& outer = kernel_[n.k_loop];
    const double extent = std::max(0.0, estimate(outer.operands[1]) - estimate(outer.operands[0]));
    ranges_[outer.attrs.blocks[0].index] = {extent, 1, extent};
  }
  const AxisId axes[3] = {plan_.axes.of(va, rank - 2), plan_.axes.of(vb, rank - 1),
                          plan_.axes.of(va, rank - 1)};
  Operand a = operand(va, n.operands[0]), b = operand(vb, n.operands[1]);
  const AxisId k_of_b = plan_.axes.of(vb, rank - 2);
  for (Stream::Dim& dim : b.stream.dims) {
    if (dim.axis && dim.axis == k_of_b) dim.axis = axes[2];
  }
  const double m = count(axes[0]), columns = count(axes[1]), k = count(axes[2]);
  auto stride = [](const Operand& from, i64 dim) { return static_cast<i64>(from.strides[dim]); };
  ContractionShape shape;
  shape.m = fixed_extent(axes[0], m);
  shape.n = fixed_extent(axes[1], columns);
  shape.k = n.k_loop && k > 0 ? static_cast<i64>(k) : fixed_extent(axes[2], k);
  shape.a_stride_m = stride(a, rank - 2), shape.a_stride_k = stride(a, rank - 1);
  shape.b_stride_k = stride(b, rank - 2), shape.b_stride_n = stride(b, rank - 1);
  shape.a = a.dtype, shape.b = b.dtype;
  shape.acc = plan_[n.buffer].dtype;
  shape.accumulate = n.accumulate;
  const ContractionPlan plan = planned_contraction(plan_.dots[n.dot], shape, target_);
  shape.m = std::max<i64>(1, std::llround(std::ceil(m)));
  shape.n = std::max<i64>(1, std::llround(std::ceil(columns)));
  shape.k = std::max<i64>(1, std::llround(std::ceil(k)));
  const double batches = rank == 3 ? count(plan_.axes.of(va, 0)) : 1;
  parts_.emplace_back();
  parts_.back().name = fmt::format("dot {}x{}x{}: {}", shape.m, shape.k, shape.n, print(plan));
  parts_.back().cycles =
      batches * (tile_cycles(plan, shape) + packing_cycles(plan, shape) + machine_.entry_cycles);
  parts_.back().flops = batches * 2 * m * columns * k;
  const ValueId result = n.k_loop ? kernel_[n.k_loop].results[0] : op.results[0];
  Stream c;
  if (n.epilogue.empty() || plan.kc > 0) {
    c = operand(result, n.buffer).stream;
    c.store = true;
  } else {
    c.element_bytes = 0;
  }
  Streams streams = dot_streams(plan, shape, axes, a, b, c);
  if (rank == 3) memory_.repeat(streams, plan_.axes.of(va, 0), {}, batches);
  if (n.epilogue.empty()) return streams;
  Streams after = epilogue(n, result, rank);
  streams.insert(streams.end(), after.begin(), after.end());
  return streams;
}

// The nodes behind a dot, which run on its sums while they are in registers.
Streams Predictor::epilogue(const Node& n, ValueId result, i64 rank) {
  const AxisId lane = plan_.axes.of(result, rank - 1);
  parts_.emplace_back();
  Part& part = parts_.back();
  part.name = "epilogue";
  ++loop_number_;
  in_register_ = result;
  Work work;
  Streams streams;
  for (plan::NodeId child : n.epilogue) statement(plan_[child], lane, work, streams);
  in_register_ = {};
  double rows = 1;
  for (i64 d = 0; d + 1 < rank; ++d) rows *= count(plan_.axes.of(result, d));
  const double columns = count(lane);
  part.cycles = rows * std::ceil(columns / lanes_) *
                (work.ops * machine_.vector_op_cycles + std::max(work.loads, work.stores) + 2);
  part.flops = rows * columns * work.flops;
  memory_.repeat(streams, lane, {}, columns);
  for (i64 d = rank - 1; d-- > 0;) {
    AxisId axis = plan_.axes.of(result, d);
    memory_.repeat(streams, axis, {}, count(axis));
  }
  return streams;
}

}  // namespace peri::cpu
