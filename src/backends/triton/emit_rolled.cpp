// A graph whose reduced `:` dimension is walked in chunks.
//
// Ops along the axis run in passes over it, the others between them. Sums and extrema are kept
// chunk-wide and reduced once, after their pass.
#include <fmt/format.h>

#include <algorithm>

#include "backends/triton/emit.h"
#include "backends/triton/rolling.h"

namespace peri::triton {

using ir::Op;
using ir::OpCode;
using ir::OpId;
using ir::ValueId;

std::optional<AxisId> Emitter::rolled_axis(ir::GraphId graph) const {
  for (OpId id : kernel_[graph].ops) {
    const Op& op = kernel_[id];
    if (!op.regions.empty()) continue;
    for (const auto& [axis, chunk] : plan_.rolled) {
      if (is_along(kernel_, plan_.shared.axes, op, axis)) return axis;
    }
  }
  return std::nullopt;
}

void Emitter::emit_rolled(ir::GraphId graph, AxisId axis) {
  const bool fuse = plan_.fuse_reductions;
  for (const Pass& pass : passes_of(kernel_, plan_.shared.axes, graph, axis, fuse)) {
    for (OpId id : pass.before) emit_op(id);
    if (!pass.along.empty() || !pass.reduces.empty()) emit_pass(axis, pass.along, pass.reduces);
  }
}

namespace {

SymValue identity_of(OpCode code, Dtype dtype) {
  bool real = is_float(dtype);
  i64 bits = 8 * size_of(dtype);
  i64 low = dtype == Dtype::U8 || dtype == Dtype::Bool ? 0 : INT64_MIN >> (64 - bits);
  i64 high = dtype == Dtype::Bool ? 1 : dtype == Dtype::U8 ? 255 : ~low;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  switch (code) {
    case OpCode::Prod:
      return real ? SymValue::of(1.0) : SymValue::of(i64{1});
    case OpCode::ReduceMax:
    case OpCode::ArgMax:
      return real ? SymValue::of(-kInfinity) : SymValue::of(low);
    case OpCode::ReduceMin:
    case OpCode::ArgMin:
      return real ? SymValue::of(kInfinity) : SymValue::of(high);
    case OpCode::All:
      return SymValue::of(i64{1});
    default:
      return real ? SymValue::of(0.0) : SymValue::of(i64{0});
  }
}

// In which a reduction accumulates.
Dtype accumulation_dtype(OpCode code, Dtype operand, Dtype result) {
  if (code == OpCode::Any || code == OpCode::All || operand == Dtype::Bool) {
    return code == OpCode::Sum || code == OpCode::Prod ? Dtype::I64 : Dtype::I32;
  }
  if (code == OpCode::Sum || code == OpCode::Prod) {
    return is_half(result) ? Dtype::F32 : result;
  }
  return is_half(operand) ? Dtype::F32 : operand;
}

}  // namespace

void Emitter::emit_pass(AxisId axis, const Members& along, const Members& reduces) {
  i64 chunk = plan_.rolled.at(axis);
  Sym size = plan_.shared.extent(axis);
  std::map<OpId, std::string> accs;
  for (OpId id : reduces) {
    const Op& op = kernel_[id];
    ValueId operand = op.operands[0], result = op.results[0];
    Dtype dtype =
        accumulation_dtype(op.code, kernel_[operand].type.dtype, kernel_[result].type.dtype);
    std::string name =
        kernel_[result].name.empty() ? std::string(ir::info(op.code).text) : kernel_[result].name;
    accs[id] = names_.unique(name + "_acc");
    Held start{literal(dtype, identity_of(op.code, dtype)), dtype, {}, true};
    start.present.assign(kernel_[operand].type.rank(), false);
    comment(op);
    lines_.add(
        fmt::format("{} = {}", accs[id], materialise(operand, start, full_presence(operand)).text));
  }
  std::string begin = names_.unique("chunk_begin"), index = names_.unique("chunk");
  lines_.add(fmt::format("for {} in range(0, {}, {}):", begin, sym(size).text, chunk));
  lines_.indent();
  lines_.define(index, fmt::format("{} + tl.arange(0, {})", begin, chunk));
  RangeText text{index, ""};
  if (!size.as_int() || *size.as_int() % chunk != 0) {
    text.mask = names_.unique("chunk_mask");
    lines_.define(text.mask, fmt::format("{} < {}", index, sym(size).text));
  }
  chunks_[axis] = text;
  for (OpId id : along) emit_op(id);
  for (OpId id : reduces) {
    comment(kernel_[id]);
    accumulate(kernel_[id], accs[id]);
  }
  lines_.dedent();
  for (OpId id : reduces) {
    const Op& op = kernel_[id];
    ValueId operand = op.operands[0], result = op.results[0];
    Dtype dtype =
        accumulation_dtype(op.code, kernel_[operand].type.dtype, kernel_[result].type.dtype);
    std::vector<bool> present = full_presence(operand);
    i64 position = std::count(present.begin(), present.begin() + op.attrs.dims[0], true);
    comment(op);
    Held total{reduction_text(op.code, {accs[id]}, position, dtype), dtype, present, false};
    total.present.erase(total.present.begin() + op.attrs.dims[0]);
    if (kernel_[result].type.dtype == Dtype::Bool) {
      total.text = binary("!=", Binding::Compare, total.text, {"0"});
      total.dtype = Dtype::Bool;
    }
    define(result, std::move(total));
  }
}

void Emitter::accumulate(const Op& op, const std::string& acc) {
  ValueId operand = op.operands[0];
  Dtype dtype =
      accumulation_dtype(op.code, kernel_[operand].type.dtype, kernel_[op.results[0]].type.dtype);
  Held value = as_dtype(as_real(held(operand)), dtype);
  for (i64 d = 0; d < kernel_[operand].type.rank(); ++d) {
    if (plan_.shared.axes.of(operand, d) != plan_.shared.axes.of(operand, op.attrs.dims[0])) {
      continue;
    }
    value = masked(operand, d, std::move(value), identity_of(op.code, dtype));
  }
  std::string text = aligned(value, full_presence(operand)).text;
  switch (op.code) {
    case OpCode::Sum:
      lines_.add(fmt::format("{} += {}", acc, text));
      break;
    case OpCode::Prod:
      lines_.add(fmt::format("{} *= {}", acc, aligned(value, full_presence(operand)).atom()));
      break;
    case OpCode::ReduceMin:
    case OpCode::All:
      lines_.add(fmt::format("{} = {}({}, {})", acc,
                             is_float(dtype) ? helper("_min") : "tl.minimum", acc, text));
      break;
    default:
      lines_.add(fmt::format("{} = {}({}, {})", acc,
                             is_float(dtype) ? helper("_max") : "tl.maximum", acc, text));
  }
}

// --- reductions of whole tiles ---

Text Emitter::reduction_text(OpCode code, const Text& tile, i64 axis, Dtype dtype) {
  auto reduce = [&](const char* combine) {
    return Text{fmt::format("tl.reduce({}, {}, {})", tile.text, axis, helper(combine))};
  };
  switch (code) {
    case OpCode::Sum:
      return {fmt::format("tl.sum({}, {})", tile.text, axis)};
    case OpCode::Prod:
      return reduce("_mul");
    case OpCode::ReduceMin:
    case OpCode::All:
      if (is_float(dtype)) return reduce("_min");
      return {fmt::format("tl.min({}, {})", tile.text, axis)};
    default:
      if (is_float(dtype)) return reduce("_max");
      return {fmt::format("tl.max({}, {})", tile.text, axis)};
  }
}

void Emitter::emit_reduce(const Op& op) {
  ValueId operand = op.operands[0], result = op.results[0];
  i64 dim = op.attrs.dims[0];
  Held value = held(operand);
  bool arg = op.code == OpCode::ArgMax || op.code == OpCode::ArgMin;
  Dtype dtype =
      accumulation_dtype(op.code, kernel_[operand].type.dtype, kernel_[result].type.dtype);
  value = as_dtype(as_real(value), dtype);
  value = masked(operand, dim, std::move(value), identity_of(op.code, dtype));
  std::vector<bool> wanted = value.present;
  wanted[dim] = lanes_of(operand, dim) > 1;
  Held total{{}, dtype, wanted, false};
  total.present.erase(total.present.begin() + dim);
  i64 position = std::count(wanted.begin(), wanted.begin() + dim, true);
  if (!wanted[dim]) {
    total.text = arg ? Text{"0"} : aligned(value, wanted);
    total.is_literal = arg || value.is_literal;
    if (arg) total.present.assign(total.present.size(), false);
  } else if (arg) {
    Text tile = materialise(operand, value, wanted);
    std::string index = fmt::format("tl.arange(0, {})", lanes_of(operand, dim));
    Held lane{{index}, Dtype::I32, std::vector<bool>(wanted.size(), false), false};
    lane.present[dim] = true;
    Text lanes = materialise(operand, lane, wanted);
    const char* combine = op.code == OpCode::ArgMax ? "_argmax" : "_argmin";
    total.text = {fmt::format("tl.reduce(({}, {}), {}, {})[1]", tile.text, lanes.text, position,
                              helper(combine))};
  } else {
    total.text = reduction_text(op.code, materialise(operand, value, wanted), position, dtype);
  }
  if (arg) total.dtype = Dtype::I32;
  if (kernel_[result].type.dtype == Dtype::Bool) {
    total.text = binary("!=", Binding::Compare, total.text, {"0"});
    total.dtype = Dtype::Bool;
  }
  define(result, std::move(total));
}

}  // namespace peri::triton
