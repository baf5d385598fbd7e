// Sources, views and dots.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "backends/triton/dot_depth.h"
#include "backends/triton/emit.h"
#include "base/bug.h"

namespace peri::triton {

using ir::Op;
using ir::OpCode;
using ir::ValueId;

void Emitter::emit_source(const Op& op) {
  ValueId result = op.results[0];
  const TileType& type = kernel_[result].type;
  Held value;
  value.dtype = type.dtype;
  value.present.assign(type.rank(), false);
  auto scalar = [&](const std::string& text) {
    value.text = {text};
    value.dtype = Dtype::I32;
    auto known = lanes_.interval(result);
    if (!known || !known->fits_32_bits()) value = as_dtype(value, Dtype::I64);
  };
  switch (op.code) {
    case OpCode::Const:
      value.text = literal(type.dtype, op.attrs.constant);
      value.is_literal = true;
      break;
    case OpCode::HostScalar: {
      Sym s = plan_.resolve(op.attrs.sym);
      if (s.is_const()) {
        value.text = literal(type.dtype, s->value);
        value.is_literal = true;
        break;
      }
      value.text = sym(s, type.dtype == Dtype::F64);
      Dtype held_as = s.type() == SymType::Float
                          ? (type.dtype == Dtype::F64 ? Dtype::F64 : Dtype::F32)
                      : s.type() == SymType::Bool ? Dtype::Bool
                                                  : Dtype::I64;
      value.dtype = held_as;
      if (held_as != type.dtype && !(is_half(type.dtype) && held_as == Dtype::F32)) {
        value = as_dtype(value, type.dtype);
      }
      break;
    }
    case OpCode::TileBegin:
      scalar(blocks_.at(op.attrs.block).begin);
      break;
    case OpCode::TileEnd:
      scalar(blocks_.at(op.attrs.block).end);
      break;
    case OpCode::TileId:
      scalar(blocks_.at(op.attrs.block).id);
      break;
    case OpCode::TileCount:
      scalar(blocks_.at(op.attrs.block).count);
      break;
    case OpCode::BlockSize:
      value.text = python_integer(plan_.block_size(op.attrs.block));
      value.is_literal = true;
      break;
    case OpCode::TileIndex:
    case OpCode::Iota: {
      bool tile = op.code == OpCode::TileIndex;
      value.text = {tile                      ? blocks_.at(op.attrs.block).index
                    : lanes_of(result, 0) > 1 ? range_of(result, 0, type.shape[0].size).index
                                              : std::string("0")};
      value.present = full_presence(result);
      value.dtype = Dtype::I32;
      value.is_literal = !tile && lanes_of(result, 0) == 1;
      auto known = lanes_.interval(result);
      if (type.dtype == Dtype::I64 && known && known->fits_32_bits()) break;
      value = as_dtype(value, type.dtype);
      break;
    }
    default:
      BUG_IF(true, "`{}` has no text", ir::info(op.code).text);
  }
  define(result, std::move(value));
}

// --- views ---

void Emitter::emit_view(const Op& op) {
  ValueId from = op.operands[0], result = op.results[0];
  Held value = held(from);
  const TileType& type = kernel_[result].type;
  std::vector<bool> present(type.rank(), false);
  if (op.code == OpCode::Reshape) return emit_reshape(op);
  if (kernel_[from].type.is_scalar() || !value.is_tile()) {
    value.present = present;
    define(result, std::move(value));
    return;
  }
  std::vector<i64> dims = analysis::view_dims(kernel_, op);
  std::vector<i64> order;
  for (std::size_t d = 0; d < dims.size(); ++d) {
    if (!value.present[d]) continue;
    BUG_IF(dims[d] < 0, "%{} loses a dimension with lanes", result.index);
    present[dims[d]] = true;
    order.push_back(dims[d]);
  }
  value.present = present;
  if (!std::ranges::is_sorted(order)) {
    // Position in the tile of each dimension of the result, in its order.
    std::vector<i64> sorted = order;
    std::ranges::sort(sorted);
    std::string positions;
    for (i64 dim : sorted) {
      i64 at = std::ranges::find(order, dim) - order.begin();
      positions += fmt::format("{}{}", positions.empty() ? "" : ", ", at);
    }
    value.text = {order.size() == 2
                      ? fmt::format("tl.trans({})", value.text.text)
                      : fmt::format("tl.permute({}, [{}])", value.text.text, positions)};
  }
  define(result, std::move(value));
}

namespace {

std::string list(const std::vector<i64>& lanes) {
  std::string text;
  for (i64 n : lanes) text += fmt::format("{}{}", text.empty() ? "" : ", ", n);
  return "[" + text + "]";
}

}  // namespace

// The lane of `from`, counted row by row, that each lane of `to` takes, as text of `lane`.
std::string Emitter::reshaped_lane(ValueId from, ValueId to, const std::string& lane) const {
  auto size_of_dim = [&](ValueId value, i64 d) {
    return plan_.resolve(kernel_[value].type.shape[d].size).as_int().value_or(lanes_of(value, d));
  };
  std::string element;
  i64 below = 1, step = 1;
  for (i64 d = kernel_[to].type.rank(); d-- > 0;) {
    std::string at = fmt::format("{} // {} % {}", lane, below, lanes_of(to, d));
    element += fmt::format("{}{} * {}", element.empty() ? "" : " + ", at, step);
    below *= lanes_of(to, d);
    step *= size_of_dim(to, d);
  }
  std::string source;
  i64 elements = 1, lanes = 1;
  for (i64 d = kernel_[from].type.rank(); d-- > 0;) {
    std::string at = fmt::format("({}) // {} % {}", element, elements, size_of_dim(from, d));
    source += fmt::format("{}{} * {}", source.empty() ? "" : " + ", at, lanes);
    elements *= size_of_dim(from, d);
    lanes *= lanes_of(from, d);
  }
  return source;
}

void Emitter::emit_reshape(const Op& op) {
  ValueId from = op.operands[0], result = op.results[0];
  Held value = held(from);
  std::vector<bool> before = full_presence(from), after = full_presence(result);
  auto lanes_in = [&](ValueId v, bool& padded) {
    std::vector<i64> lanes;
    for (i64 d = 0; d < kernel_[v].type.rank(); ++d) {
      if (lanes_of(v, d) > 1) lanes.push_back(lanes_of(v, d));
      padded = padded || !plan_.resolve(kernel_[v].type.shape[d].size).is_int(lanes_of(v, d));
    }
    return lanes;
  };
  bool padded = false;
  std::vector<i64> old_lanes = lanes_in(from, padded), new_lanes = lanes_in(result, padded);
  Text tile = materialise(from, value, before);
  value.is_literal = false;
  value.present = after;
  if (old_lanes == new_lanes) {
    value.text = tile;
  } else if (!padded && !new_lanes.empty()) {
    value.text = {fmt::format("tl.reshape({}, {})", tile.text, list(new_lanes))};
  } else if (old_lanes.empty() || new_lanes.empty()) {
    value.text = old_lanes.empty()
                     ? Text{fmt::format("tl.full({}, {}, {})", list(new_lanes), tile.text,
                                        triton_dtype(value.dtype))}
                     : Text{fmt::format("tl.sum(tl.where(tl.arange(0, {0}) == 0, tl.reshape({1}, "
                                        "[{0}]), 0), 0)",
                                        std::accumulate(old_lanes.begin(), old_lanes.end(), i64{1},
                                                        std::multiplies<>()),
                                        tile.text)};
  } else {
    // Rows of lanes are longer than rows of elements: each lane fetches its element.
    i64 sources = 1, targets = 1;
    for (i64 n : old_lanes) sources *= n;
    for (i64 n : new_lanes) targets *= n;
    std::string lane = names_.unique("lane"), index = names_.unique("source_lane");
    lines_.define(lane, fmt::format("tl.arange(0, {})", targets));
    lines_.define(index, reshaped_lane(from, result, lane));
    value.text = {fmt::format("tl.reshape(tl.gather(tl.reshape({}, [{}]), {}, 0), {})", tile.text,
                              sources, index, list(new_lanes))};
  }
  define(result, std::move(value));
}

// --- dots ---

// A dot's operand as a tile of the dimensions in `keep`, with zeros where k has no elements.
Text Emitter::dot_operand(ValueId value, const std::vector<bool>& keep, Dtype dtype, bool is_left) {
  Held operand = as_dtype(held(value), dtype);
  i64 k = kernel_[value].type.rank() - (is_left ? 1 : 2);
  bool real = is_float(dtype);
  operand = masked(value, k, std::move(operand), real ? SymValue::of(0.0) : SymValue::of(i64{0}));
  std::vector<bool> full = full_presence(value);
  Text tile = materialise(value, operand, full);
  std::string shape;
  bool same = true;
  for (std::size_t d = 0; d < keep.size(); ++d) {
    if (keep[d]) {
      shape += fmt::format("{}{}", shape.empty() ? "" : ", ", lanes_of(value, static_cast<i64>(d)));
    }
    same = same && keep[d] == full[d];
  }
  return same ? tile : Text{fmt::format("tl.reshape({}, [{}])", tile.text, shape)};
}

void Emitter::emit_dot(const Op& op) {
  ValueId a = op.operands[0], b = op.operands[1], result = op.results[0];
  i64 rank = kernel_[result].type.rank();
  Dtype dtype = promote(kernel_[a].type.dtype, kernel_[b].type.dtype);
  Dtype acc_dtype = dtype == Dtype::F64   ? Dtype::F64
                    : is_float(dtype)     ? Dtype::F32
                    : dtype == Dtype::I64 ? Dtype::I64
                                          : Dtype::I32;
  std::vector<bool> full = full_presence(result);
  // A batch of one is no dimension; rows, columns and k are, whatever their extent.
  std::vector<bool> keep(rank, true);
  bool batch = rank == 3 && (lanes_of(a, 0) > 1 || lanes_of(b, 0) > 1);
  if (rank == 3) keep[0] = batch;
  i64 k = lanes_of(a, kernel_[a].type.rank() - 1);
  // Shorter ones have no matrix instruction.
  bool native = (is_float(dtype) || dtype == Dtype::I8) && k >= least_depth(kernel_, op);
  Text x = dot_operand(a, keep, dtype, true), y = dot_operand(b, keep, dtype, false);
  Text acc;
  bool squeezed = keep != full;
  std::string shape;
  for (i64 d = 0; d < rank; ++d) {
    if (keep[d]) shape += fmt::format("{}{}", shape.empty() ? "" : ", ", lanes_of(result, d));
  }
  if (op.operands.size() > 2) {
    Held start = as_dtype(held(op.operands[2]), acc_dtype);
    acc = materialise(result, start, full);
    if (squeezed) acc = {fmt::format("tl.reshape({}, [{}])", acc.text, shape)};
  }
  Held value{{}, acc_dtype, full, false};
  if (native) {
    std::string options = acc.text.empty() ? "" : ", " + acc.text;
    if (dtype == Dtype::F32)
      options += fmt::format(", input_precision=\"{}\"", plan_.dot_precision);
    if (acc_dtype == Dtype::F64) options += ", out_dtype=tl.float64";
    if (dtype == Dtype::I8) options += ", out_dtype=tl.int32";
    value.text = {fmt::format("tl.dot({}, {}{})", x.text, y.text, options)};
  } else {
    std::string lead = batch ? ":, " : "";
    Held left{x, dtype, {}, false}, right{y, dtype, {}, false};
    std::string to = triton_dtype(acc_dtype);
    value.text = {fmt::format("tl.sum({0}[{2}:, :, None].to({4}) * {1}[{2}None, :, :], {3})",
                              x.atom(), y.atom(), lead, batch ? 2 : 1, to)};
    if (!acc.text.empty()) value.text = binary("+", Binding::Sum, acc, value.text);
  }
  if (squeezed) {
    std::string lanes;
    for (i64 d = 0; d < rank; ++d) {
      if (full[d]) lanes += fmt::format("{}{}", lanes.empty() ? "" : ", ", lanes_of(result, d));
    }
    value.text = {lanes.empty() ? fmt::format("tl.sum(tl.reshape({}, [1]), 0)", value.text.text)
                                : fmt::format("tl.reshape({}, [{}])", value.text.text, lanes)};
  }
  Dtype wanted = kernel_[result].type.dtype;
  if (wanted != acc_dtype && !(is_half(wanted) && acc_dtype == Dtype::F32)) {
    value = as_dtype(value, wanted);
  }
  define(result, std::move(value));
}

}  // namespace peri::triton
