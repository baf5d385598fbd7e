#include <cmath>
#include <functional>

#include "analysis/memory_effects.h"

#include "plan/planner.h"

namespace peri::plan {

using analysis::Axes;
using ir::Kernel;
using ir::Op;
using ir::OpCode;
using ir::ValueId;

void for_each_subscript(const Kernel& kernel, const Op& op, const SubscriptVisitor& visit) {
  i64 out = 0;
  i64 tensor_dim = 0;
  i64 gather_at = -1;
  for (const ir::Index& index : op.attrs.indices) {
    switch (index.kind) {
      case ir::Index::Kind::NewAxis:
        ++out;
        break;
      case ir::Index::Kind::Scalar:
        visit(tensor_dim++, out, 0, index);
        break;
      case ir::Index::Kind::Gather: {
        i64 rank = kernel[op.operands[index.operand]].type.rank();
        if (gather_at < 0) {
          gather_at = out;
          out += rank;
        }
        visit(tensor_dim++, gather_at, rank, index);
        break;
      }
      default:
        visit(tensor_dim++, out++, 1, index);
    }
  }
}

InlineAnalysis::InlineAnalysis(const Kernel& kernel, const Axes& axes, i64 limit)
    : kernel_(kernel), axes_(axes), limit_(limit), cost_(kernel.ops.size(), -1) {
  for (const Op& op : kernel.ops) {
    if (op.code == OpCode::Store)
      written_storages_.insert(analysis::storage_of(kernel, op.attrs.tensor));
  }
  // Graphs list their ops in order and nested graphs come with their op, so definitions are seen
  // first.
  std::function<void(ir::GraphId)> visit = [&](ir::GraphId graph) {
    for (ir::OpId id : kernel[graph].ops) {
      cost_[id.index] = classify(kernel[id]);
      for (ir::GraphId region : kernel[id].regions) visit(region);
    }
  };
  for (const ir::Root& root : kernel.roots) visit(root.body);
}

bool InlineAnalysis::is_written(ir::TensorId tensor) const {
  return written_storages_.contains(analysis::storage_of(kernel_, tensor));
}

bool InlineAnalysis::is_inline(ValueId value) const {
  ir::OpId def = kernel_[value].def;
  return def && cost_[def.index] >= 0;
}

i64 InlineAnalysis::classify(const Op& op) {
  const ir::OpInfo& row = ir::info(op.code);
  if (op.code == OpCode::Load) return is_written(op.attrs.tensor) ? -1 : 1;
  if (row.rule == ir::Rule::Given && op.code != OpCode::Rand) return 0;
  if (row.rule == ir::Rule::View) {
    ValueId operand = op.operands[0];
    return is_inline(operand) ? cost_[kernel_[operand].def.index] : 0;
  }
  if (!row.has(ir::Elementwise) || row.has(ir::Transcendental)) return -1;
  i64 cost = 1;
  i64 scheduled = 0;
  i64 rank = kernel_[op.results[0]].type.rank();
  for (ValueId operand : op.operands) {
    std::vector<Read> reads;
    collect_reads(operand, axes_.of(operand), reads);
    for (const Read& read : reads) scheduled += kernel_[read.value].type.rank() >= rank && rank > 0;
    if (is_inline(operand)) cost += cost_[kernel_[operand].def.index];
  }
  return cost <= limit_ && scheduled <= 1 ? cost : -1;
}

void InlineAnalysis::walk(ValueId value, const std::vector<AxisId>& coordinates,
                          const Visit& visit) const {
  visit(value, coordinates);
  if (!is_inline(value)) return;
  const Op& op = kernel_[kernel_[value].def];
  const ir::OpInfo& row = ir::info(op.code);
  if (op.code == OpCode::Load) {
    walk_load(op, coordinates, visit);
  } else if (row.has(ir::Elementwise)) {
    for (ValueId operand : op.operands) {
      bool scalar = kernel_[operand].type.is_scalar();
      walk(operand, scalar ? std::vector<AxisId>{} : coordinates, visit);
    }
  } else if (op.code == OpCode::Reshape) {
    const TileType& from = kernel_[op.operands[0]].type;
    const TileType& to = kernel_[value].type;
    std::vector<AxisId> inner(from.rank());
    for (i64 i = 0; i < std::min(from.rank(), to.rank()) && from.shape[i] == to.shape[i]; ++i) {
      inner[i] = coordinates[i];
    }
    walk(op.operands[0], inner, visit);
  } else if (row.rule == ir::Rule::View) {
    std::vector<i64> dims = analysis::view_dims(kernel_, op);
    std::vector<AxisId> inner(dims.size());
    for (size_t i = 0; i < dims.size(); ++i) {
      if (dims[i] >= 0) inner[i] = coordinates[dims[i]];
    }
    if (kernel_[op.operands[0]].type.is_scalar()) inner.clear();
    walk(op.operands[0], inner, visit);
  }
}

void InlineAnalysis::walk_load(const Op& op, const std::vector<AxisId>& coordinates,
                               const Visit& visit) const {
  if (op.attrs.has_mask) {
    ValueId mask = op.operands.back();
    walk(mask, kernel_[mask].type.is_scalar() ? std::vector<AxisId>{} : coordinates, visit);
  }
  for_each_subscript(kernel_, op, [&](i64, i64 at, i64 rank, const ir::Index& index) {
    if (index.operand < 0) return;
    ValueId operand = op.operands[index.operand];
    if (index.kind != ir::Index::Kind::Gather) return walk(operand, {}, visit);
    walk(operand, {coordinates.begin() + at, coordinates.begin() + at + rank}, visit);
  });
}

void InlineAnalysis::collect_reads(ValueId value, const std::vector<AxisId>& coordinates,
                                   std::vector<Read>& reads) const {
  walk(value, coordinates, [&](ValueId v, const std::vector<AxisId>& c) {
    if (!is_inline(v)) reads.push_back({v, c});
  });
}

void InlineAnalysis::for_each_load(ValueId value, const std::vector<AxisId>& coordinates,
                                   const LoadVisitor& visit) const {
  walk(value, coordinates, [&](ValueId v, const std::vector<AxisId>& c) {
    ir::OpId def = kernel_[v].def;
    if (def && is_inline(v) && kernel_[def].code == OpCode::Load) visit(def, c);
  });
}

void InlineAnalysis::for_each_access(ValueId value, const std::vector<AxisId>& coordinates,
                                     const AccessVisitor& visit) const {
  for_each_load(value, coordinates, [&](ir::OpId load, const std::vector<AxisId>& c) {
    const Op& op = kernel_[load];
    for_each_subscript(kernel_, op, [&](i64 dim, i64 at, i64 rank, const ir::Index& index) {
      if (rank == 1 && index.kind != ir::Index::Kind::Gather) visit(op.attrs.tensor, dim, c[at]);
    });
  });
}

bool InlineAnalysis::is_direct_load(ValueId value) const {
  while (is_inline(value)) {
    const Op& op = kernel_[kernel_[value].def];
    if (op.code == OpCode::Load) {
      if (op.attrs.has_mask) return false;
      for (const ir::Index& index : op.attrs.indices) {
        if (index.kind == ir::Index::Kind::Gather) return false;
      }
      return true;
    }
    bool view = op.code == OpCode::Permute || op.code == OpCode::Squeeze ||
                op.code == OpCode::Unsqueeze || op.code == OpCode::Expand;
    if (!view || kernel_[op.operands[0]].type.is_scalar()) return false;
    value = op.operands[0];
  }
  return false;
}

bool InlineAnalysis::is_zero(ValueId value) const {
  while (is_inline(value)) {
    const Op& op = kernel_[kernel_[value].def];
    if (op.code == OpCode::Const) {
      const SymValue& c = op.attrs.constant;
      return c.as_real() == 0 && !std::signbit(c.real);
    }
    if (ir::info(op.code).rule != ir::Rule::View) return false;
    value = op.operands[0];
  }
  return false;
}

}  // namespace peri::plan
