// Ops that read no other value but attributes, and the subscripts of loads and stores.
#include <utility>

#include "base/bug.h"
#include "interp/machine.h"
#include "interp/ops.h"

namespace peri::interp {

using ir::Op;
using ir::OpCode;

Tile constant(const SymValue& value, Dtype dtype, bool exact) {
  bool real = value.type == SymType::Float;
  Tile tile =
      real ? Tile{Dtype::F64, {}, {value.real}, {}} : integer_scalar(Dtype::I64, value.integer);
  return convert(tile, dtype, exact);
}

SymValue value_of(const Tile& scalar) {
  if (scalar.is_real()) return SymValue::of(scalar.reals[0]);
  i64 value = scalar.integers[0];
  return scalar.dtype == Dtype::Bool ? SymValue::of_bool(value != 0) : SymValue::of(value);
}

Expected<Tile> Machine::source(const Op& op) {
  const TileType& type = type_of(op.results[0]);
  switch (op.code) {
    case OpCode::Const:
      return constant(op.attrs.constant, type.dtype, exact_);
    case OpCode::HostScalar: {
      auto value = evaluate(op.attrs.sym);
      if (!value) return std::unexpected(value.error());
      return constant(*value, type.dtype, exact_);
    }
    case OpCode::Iota:
      return counting(op, 0);
    case OpCode::TileIndex:
      return counting(op, axes_[op.attrs.block.index].begin);
    default:
      return tile_attribute(op);
  }
}

Expected<Tile> Machine::counting(const Op& op, i64 first) {
  const TileType& type = type_of(op.results[0]);
  auto shape = extents(type);
  if (!shape) return std::unexpected(shape.error());
  Tile tile = make_tile(Dtype::I64, *shape);
  for (i64 i = 0; i < tile.count(); ++i) tile.integers[i] = first + i;
  return convert(tile, type.dtype, exact_);
}

Expected<Tile> Machine::tile_attribute(const Op& op) {
  const AxisState& axis = axes_[op.attrs.block.index];
  Expected<i64> value = 0;
  switch (op.code) {
    case OpCode::TileBegin:
      value = axis.begin;
      break;
    case OpCode::TileEnd:
      value = axis.end;
      break;
    case OpCode::TileId:
      value = axis.id;
      break;
    case OpCode::TileCount:
      value = axis.count;
      break;
    case OpCode::BlockSize:
      value = block_size(op.attrs.block);
      break;
    default:
      BUG_IF(true, "`{}` has no definition", ir::info(op.code).text);
  }
  if (!value) return std::unexpected(value.error());
  Dtype dtype = type_of(op.results[0]).dtype;
  return convert(integer_scalar(Dtype::I64, *value), dtype, exact_);
}

const Tile* Machine::mask(const Op& op) const {
  return op.attrs.has_mask ? &values_[op.operands.back().index] : nullptr;
}

namespace {

// Gathers stand together; where one has fewer elements, so has the access.
void crop_gathers(std::vector<Subscript>& subscripts) {
  const Subscript* first = nullptr;
  std::vector<i64> shape;
  for (const Subscript& subscript : subscripts) {
    if (!subscript.gather) continue;
    shape = first ? smaller_shape(shape, subscript.extents) : subscript.extents;
    first = &subscript;
  }
  for (Subscript& subscript : subscripts) {
    if (!subscript.gather || subscript.extents == shape) continue;
    Tile cropped = crop(Tile{Dtype::I64, subscript.extents, {}, subscript.indices}, shape);
    subscript = {subscript.dim, shape, std::move(cropped.integers), true};
  }
}

}  // namespace

Expected<Access> Machine::access(const Op& op) {
  Access access{&environment_.tensors[op.attrs.tensor.index], kernel_[op.attrs.tensor].name, {}};
  i64 dim = 0;
  for (const ir::Index& index : op.attrs.indices) {
    auto next = subscript(op, index);
    if (!next) return std::unexpected(next.error());
    if (index.kind != ir::Index::Kind::NewAxis) next->dim = dim++;
    access.subscripts.push_back(std::move(*next));
  }
  crop_gathers(access.subscripts);
  return access;
}

namespace {

// Wraps: a start may be any number, and what it leads to is checked against the tensor later.
Subscript counting_subscript(i64 begin, i64 start, i64 extent) {
  Subscript subscript{-1, {extent}, {}, false};
  u64 first = static_cast<u64>(begin) + static_cast<u64>(start);
  for (i64 i = 0; i < extent; ++i) subscript.indices.push_back(static_cast<i64>(first + i));
  return subscript;
}

}  // namespace

Expected<Subscript> Machine::subscript(const Op& op, const ir::Index& index) {
  const Tile* value = index.operand >= 0 ? &operand(op, index.operand) : nullptr;
  i64 start = value && value->is_scalar() ? value->integers[0] : 0;
  switch (index.kind) {
    case ir::Index::Kind::NewAxis:
      return Subscript{-1, {1}, {}, false};
    case ir::Index::Kind::Scalar:
      return Subscript{-1, {}, {start}, false};
    case ir::Index::Kind::Gather:
      return Subscript{-1, value->shape, value->integers, true};
    case ir::Index::Kind::Tile: {
      const AxisState& axis = axes_[index.block.index];
      return counting_subscript(axis.begin, start, axis.end - axis.begin);
    }
    case ir::Index::Kind::Range: {
      auto extent = integer(index.extent);
      if (!extent) return std::unexpected(extent.error());
      return counting_subscript(0, start, *extent);
    }
  }
  BUG_IF(true, "unknown subscript");
}

}  // namespace peri::interp
