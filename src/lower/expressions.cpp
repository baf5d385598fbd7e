#include <algorithm>

#include "base/bug.h"
#include "ir/rules.h"
#include "lower/lowerer.h"

namespace peri::lower {

using check::Builtin;
using check::Texpr;
using check::TexprId;
using check::TexprKind;
using check::TileAttr;
using check::TIndex;
using ir::Index;
using ir::OpCode;
using ir::ValueId;

namespace {

constexpr std::pair<Builtin, OpCode> kPointwise[] = {
    {Builtin::LogicalNot, OpCode::Not},
    {Builtin::BitNot, OpCode::Not},
    {Builtin::Maximum, OpCode::Max},
    {Builtin::Minimum, OpCode::Min},
    {Builtin::BitAnd, OpCode::And},
    {Builtin::BitOr, OpCode::Or},
    {Builtin::BitXor, OpCode::Xor},
    {Builtin::Where, OpCode::Select},
#define SAME(name) {Builtin::name, OpCode::name}
    SAME(Neg),
    SAME(Abs),
    SAME(Sign),
    SAME(Exp),
    SAME(Exp2),
    SAME(Expm1),
    SAME(Log),
    SAME(Log2),
    SAME(Log10),
    SAME(Log1p),
    SAME(Sqrt),
    SAME(Rsqrt),
    SAME(Reciprocal),
    SAME(Sin),
    SAME(Cos),
    SAME(Tan),
    SAME(Sinh),
    SAME(Cosh),
    SAME(Tanh),
    SAME(Asin),
    SAME(Acos),
    SAME(Atan),
    SAME(Erf),
    SAME(Erfc),
    SAME(Sigmoid),
    SAME(Floor),
    SAME(Ceil),
    SAME(Round),
    SAME(Trunc),
    SAME(IsNan),
    SAME(IsInf),
    SAME(Add),
    SAME(Sub),
    SAME(Mul),
    SAME(Div),
    SAME(FloorDiv),
    SAME(Remainder),
    SAME(Fmod),
    SAME(Pow),
    SAME(Atan2),
    SAME(Eq),
    SAME(Ne),
    SAME(Lt),
    SAME(Le),
    SAME(Gt),
    SAME(Ge),
    SAME(Shl),
    SAME(Shr),
#undef SAME
};

OpCode code_of(Builtin builtin) {
  auto found = std::ranges::find(kPointwise, builtin, &std::pair<Builtin, OpCode>::first);
  BUG_IF(found == std::end(kPointwise), "`{}` is no elementwise operation", name_of(builtin));
  return found->second;
}

}  // namespace

ValueId Lowerer::lower(TexprId id) {
  auto known = lowered_.find(id);
  if (known != lowered_.end()) return known->second;
  const Texpr& e = typed_[id];
  ValueId value = lower(e);
  builder_.set_span(e.span);
  value = conform(builder_.cast(value, e.type.dtype), equalities_.canonical(e.type.shape));
  return lowered_[id] = value;
}

ValueId Lowerer::lower(const Texpr& e) {
  switch (e.kind) {
    case TexprKind::Scalar: {
      Sym sym = equalities_.canonical(e.sym);
      builder_.set_span(e.span);
      if (sym.is_const()) return builder_.constant(e.type.dtype, sym->value);
      return builder_.host_scalar(e.type.dtype, sym);
    }
    case TexprKind::Var: {
      ValueId value = variables_[e.var.index];
      BUG_IF(!value, "`{}` is read before it has a value", typed_.vars[e.var.index].name);
      return value;
    }
    case TexprKind::TileAttr:
      return tile_attr(e);
    case TexprKind::Load: {
      ValueId mask = e.mask ? lower(e.mask) : ValueId();
      Access from = access(e.tensor, e.indices);
      builder_.set_span(e.span);
      if (mask) {
        mask =
            conform(mask, ir::access_type(kernel_, from.tensor, from.indices, from.operands).shape);
      }
      return builder_.load(from.tensor, std::move(from.indices), std::move(from.operands), mask);
    }
    case TexprKind::Apply:
      return apply(e);
  }
  BUG_IF(true, "unknown kind of expression");
}

ValueId Lowerer::scalar(TexprId id, Dtype dtype) { return builder_.cast(lower(id), dtype); }

ValueId Lowerer::tile_attr(const Texpr& e) {
  static constexpr OpCode kCodes[] = {OpCode::TileBegin, OpCode::TileEnd,   OpCode::TileId,
                                      OpCode::TileCount, OpCode::BlockSize, OpCode::TileIndex};
  builder_.set_span(e.span);
  return builder_.tile_attr(kCodes[static_cast<u8>(e.attr)], e.block, {e.type.dtype, {}});
}

// The same elements in extents that Device IR, which compares expressions, takes for `shape`.
ValueId Lowerer::conform(ValueId value, const std::vector<Dim>& shape) {
  const TileType& type = type_of(value);
  if (ir::agree(type.shape, shape)) return value;
  OpCode code = type.is_scalar() ? OpCode::Expand : OpCode::Reshape;
  return builder_.view(code, value, {}, shape);
}

ValueId Lowerer::apply(const Texpr& e) {
  std::vector<ValueId> operands;
  for (TexprId operand : e.operands) operands.push_back(lower(operand));
  builder_.set_span(e.span);
  if (e.builtin == Builtin::Iota) {
    return builder_.iota(e.type.dtype, equalities_.canonical(e.type.shape)[0]);
  }
  if (e.builtin == Builtin::Dot) return dot(std::move(operands), e.type);
  if (e.builtin == Builtin::Cast) return operands[0];  // the caller casts to the type
  if (e.builtin == Builtin::Rand) {
    return builder_.rand(builder_.cast(operands[0], Dtype::I64),
                         builder_.cast(operands[1], Dtype::I64));
  }
  if (auto value = view(e, operands[0])) return *value;
  if (auto value = composites_.expand(e, operands)) return *value;
  return pointwise(e, std::move(operands));
}

// Rounding an integer changes nothing, and none is NaN or infinite.
ValueId Lowerer::pointwise(const Texpr& e, std::vector<ValueId> operands) {
  OpCode code = code_of(e.builtin);
  if (!is_float(type_of(operands[0]).dtype)) {
    if (code == OpCode::IsNan || code == OpCode::IsInf) {
      return builder_.constant(Dtype::Bool, SymValue::of_bool(false));
    }
    if (code >= OpCode::Floor && code <= OpCode::Trunc) return operands[0];
  }
  for (ValueId& operand : operands) {
    if (type_of(operand).is_scalar()) continue;
    operand = conform(operand, equalities_.canonical(e.type.shape));
  }
  return builder_.elementwise(code, std::move(operands));
}

std::optional<ValueId> Lowerer::view(const Texpr& e, ValueId value) {
  std::vector<Dim> shape = equalities_.canonical(e.type.shape);
  switch (e.builtin) {
    case Builtin::Permute:
      return builder_.view(OpCode::Permute, value, e.dims, {});
    case Builtin::Unsqueeze:
      return builder_.view(OpCode::Unsqueeze, value, e.dims, {});
    case Builtin::Squeeze:
      return squeeze(value, e.dims[0]);
    case Builtin::Expand:
      if (type_of(value).shape == shape) return value;
      return builder_.view(OpCode::Expand, value, {}, std::move(shape));
    case Builtin::Reshape:
      if (type_of(value).shape == shape) return value;
      return builder_.view(OpCode::Reshape, value, {}, std::move(shape));
    default:
      return std::nullopt;
  }
}

// An extent may be 1 only by what is known of the arguments.
ValueId Lowerer::squeeze(ValueId value, i64 dim) {
  std::vector<Dim> shape = type_of(value).shape;
  if (shape[dim].size.is_int(1)) return builder_.view(OpCode::Squeeze, value, {dim}, {});
  shape.erase(shape.begin() + dim);
  return builder_.view(OpCode::Reshape, value, {}, std::move(shape));
}

ValueId Lowerer::dot(std::vector<ValueId> operands, const TileType& type) {
  std::vector<Dim> shape = equalities_.canonical(type.shape);
  auto rank = std::ssize(shape);
  Dim inner = type_of(operands[0]).shape[rank - 1];
  std::vector<Dim> left = shape, right = shape;
  left[rank - 1] = right[rank - 2] = inner;
  operands[0] = conform(operands[0], left);
  operands[1] = conform(operands[1], right);
  ValueId acc;
  if (operands.size() > 2) acc = conform(builder_.cast(operands[2], type.dtype), shape);
  return builder_.dot(operands[0], operands[1], acc, type.dtype);
}

Lowerer::Access Lowerer::access(check::TensorId id, const std::vector<TIndex>& indices) {
  static constexpr Index::Kind kKinds[] = {Index::Kind::Tile, Index::Kind::Range,
                                           Index::Kind::Scalar, Index::Kind::Gather,
                                           Index::Kind::NewAxis};
  Access result{tensor(id), {}, {}};
  for (const TIndex& index : indices) {
    Index lowered{kKinds[static_cast<u8>(index.kind)], index.block,
                  equalities_.canonical(index.extent), -1};
    if (index.value) {
      lowered.operand = static_cast<i32>(result.operands.size());
      result.operands.push_back(lower(index.value));
    }
    result.indices.push_back(lowered);
  }
  return result;
}

namespace {

// Whether a tensor's first element is its storage's first.
bool starts_storage(const check::TypedKernel& typed, check::TensorId id) {
  for (; typed[id].kind == check::HostTensor::Kind::View; id = typed[id].base) {
    if (!typed[id].offset || !typed[id].offset.is_int(0)) return false;
  }
  return true;
}

}  // namespace

ir::TensorId Lowerer::tensor(check::TensorId id) {
  auto [found, fresh] = tensors_.try_emplace(id, std::ssize(kernel_.tensors));
  if (!fresh) return found->second;
  const check::HostTensor& host = typed_[id];
  check::TensorId storage = storage_of(typed_, id);
  ir::TensorParam param;
  param.name = host.name;
  param.dtype = host.dtype;
  param.sizes = equalities_.canonical(host.sizes);
  param.strides = equalities_.canonical(host.strides);
  param.slot = id.index;
  param.base = storage.index;
  param.aligned =
      typed_[storage].kind == check::HostTensor::Kind::Alloc && starts_storage(typed_, id);
  kernel_.tensors.push_back(std::move(param));
  return found->second;
}

check::TensorId storage_of(const check::TypedKernel& typed, check::TensorId id) {
  while (typed[id].kind == check::HostTensor::Kind::View) id = typed[id].base;
  return id;
}

}  // namespace peri::lower
