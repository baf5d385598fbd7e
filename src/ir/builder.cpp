#include <algorithm>
#include <cmath>
#include <limits>

#include "base/bug.h"
#include "ir/ir.h"
#include "ir/rules.h"

namespace peri::ir {

GraphId add_graph(Kernel& kernel) {
  kernel.graphs.emplace_back();
  return GraphId(static_cast<i64>(kernel.graphs.size()) - 1);
}

namespace {

ValueId add_value(Kernel& kernel, TileType type, OpId def, GraphId owner) {
  kernel.values.push_back({std::move(type), def, owner, ""});
  return ValueId(static_cast<i64>(kernel.values.size()) - 1);
}

i64 saturated(double value) {
  constexpr double kLimit = 9223372036854775808.0;
  if (std::isnan(value)) return 0;
  if (value >= kLimit) return std::numeric_limits<i64>::max();
  return value < -kLimit ? std::numeric_limits<i64>::min() : static_cast<i64>(value);
}

i64 wrapped(i64 value, Dtype dtype) {
  switch (dtype) {
    case Dtype::U8:
      return static_cast<u8>(value);
    case Dtype::I8:
      return static_cast<i8>(value);
    case Dtype::I16:
      return static_cast<i16>(value);
    case Dtype::I32:
      return static_cast<i32>(value);
    default:
      return value;
  }
}

// The value in the form that constants of `dtype` have.
SymValue normalised(Dtype dtype, SymValue value) {
  bool real = value.type == SymType::Float;
  if (is_float(dtype)) return SymValue::of(value.as_real());
  if (dtype == Dtype::Bool) return SymValue::of_bool(real ? value.real != 0 : value.integer != 0);
  return SymValue::of(wrapped(real ? saturated(value.real) : value.integer, dtype));
}

}  // namespace

ValueId add_param(Kernel& kernel, GraphId graph, TileType type) {
  ValueId value = add_value(kernel, std::move(type), {}, graph);
  kernel[graph].params.push_back(value);
  return value;
}

OpId Builder::add(OpCode code, std::vector<ValueId> operands, Attrs attrs,
                  std::vector<TileType> types, std::vector<GraphId> regions) {
  OpId id(static_cast<i64>(kernel_.ops.size()));
  Op op{code, std::move(operands), {}, std::move(attrs), std::move(regions), span_};
  for (TileType& type : types) {
    op.results.push_back(add_value(kernel_, std::move(type), id, graph_));
  }
  kernel_.ops.push_back(std::move(op));
  kernel_[graph_].ops.push_back(id);
  return id;
}

ValueId Builder::add_inferred(OpCode code, std::vector<ValueId> operands, Attrs attrs,
                              const TileType& stated) {
  Op op{code, std::move(operands), {}, std::move(attrs), {}, span_};
  Inferred inferred = infer(kernel_, op, stated);
  BUG_IF(!inferred.fault.empty(), "`{}`: {}", info(code).text, inferred.fault);
  OpId id = add(code, std::move(op.operands), std::move(op.attrs), {std::move(inferred.type)});
  return kernel_[id].results[0];
}

ValueId Builder::constant(Dtype dtype, SymValue value) {
  Attrs attrs;
  attrs.constant = normalised(dtype, value);
  return add_inferred(OpCode::Const, {}, std::move(attrs), {dtype, {}});
}

ValueId Builder::host_scalar(Dtype dtype, Sym sym) {
  Attrs attrs;
  attrs.sym = sym;
  return add_inferred(OpCode::HostScalar, {}, std::move(attrs), {dtype, {}});
}

ValueId Builder::tile_attr(OpCode code, BlockId block, TileType type) {
  Attrs attrs;
  attrs.block = block;
  return add_inferred(code, {}, std::move(attrs), type);
}

ValueId Builder::iota(Dtype dtype, Dim extent) {
  return add_inferred(OpCode::Iota, {}, {}, {dtype, {extent}});
}

ValueId Builder::load(TensorId tensor, std::vector<Index> indices, std::vector<ValueId> operands,
                      ValueId mask) {
  Attrs attrs;
  attrs.tensor = tensor;
  attrs.indices = std::move(indices);
  attrs.has_mask = static_cast<bool>(mask);
  if (mask) operands.push_back(mask);
  return add_inferred(OpCode::Load, std::move(operands), std::move(attrs), {});
}

void Builder::store(ValueId value, TensorId tensor, std::vector<Index> indices,
                    std::vector<ValueId> operands, ValueId mask) {
  Attrs attrs;
  attrs.tensor = tensor;
  attrs.indices = std::move(indices);
  attrs.has_mask = static_cast<bool>(mask);
  for (Index& index : attrs.indices) {
    if (index.operand >= 0) ++index.operand;  // the value is the first operand
  }
  operands.insert(operands.begin(), value);
  if (mask) operands.push_back(mask);
  add(OpCode::Store, std::move(operands), std::move(attrs), {});
}

ValueId Builder::elementwise(OpCode code, std::vector<ValueId> operands) {
  return add_inferred(code, std::move(operands), {}, {});
}

ValueId Builder::cast(ValueId value, Dtype dtype) {
  if (kernel_[value].type.dtype == dtype) return value;
  return add_inferred(OpCode::Cast, {value}, {}, {dtype, {}});
}

ValueId Builder::view(OpCode code, ValueId value, std::vector<i64> dims, std::vector<Dim> shape) {
  Attrs attrs;
  attrs.dims = std::move(dims);
  return add_inferred(code, {value}, std::move(attrs), {Dtype::F32, std::move(shape)});
}

ValueId Builder::reduce(OpCode code, ValueId value, i64 dim) {
  Attrs attrs;
  attrs.dims = {dim};
  return add_inferred(code, {value}, std::move(attrs), {});
}

ValueId Builder::dot(ValueId a, ValueId b, ValueId acc, Dtype dtype) {
  std::vector<ValueId> operands = {a, b};
  if (acc) operands.push_back(acc);
  return add_inferred(OpCode::Dot, std::move(operands), {}, {dtype, {}});
}

ValueId Builder::rand(ValueId seed, ValueId offset) {
  return add_inferred(OpCode::Rand, {seed, offset}, {}, {});
}

}  // namespace peri::ir
