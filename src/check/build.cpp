// Construction of device expressions, and of host tensors.
#include "check/checker.h"

namespace peri::check {

TexprId Checker::add(Texpr e) {
  spend(1, e.span);
  kernel.exprs.push_back(std::move(e));
  return TexprId(static_cast<i64>(kernel.exprs.size()) - 1);
}

VarId Checker::new_var(const std::string& name) {
  kernel.vars.push_back({name});
  return VarId(static_cast<i64>(kernel.vars.size()) - 1);
}

Dim Checker::dim_of(BlockId block) const { return {kernel[block].size, block}; }

TexprId Checker::scalar(Sym sym, Dtype dtype, Span span) {
  Texpr e;
  e.kind = TexprKind::Scalar;
  e.type.dtype = dtype;
  e.span = span;
  if (is_float(dtype) && sym.type() != SymType::Float) sym = syms.make(SymKind::ToFloat, sym);
  if (is_integer(dtype) && sym.type() != SymType::Int) sym = syms.make(SymKind::ToInt, sym);
  if (dtype == Dtype::Bool && sym.type() == SymType::Int) {
    sym = syms.make(SymKind::Ne, sym, integer(0));
  } else if (dtype == Dtype::Bool && sym.type() == SymType::Float) {
    sym = syms.make(SymKind::Ne, sym, syms.real(0));
  }
  e.sym = sym;
  return add(std::move(e));
}

TexprId Checker::apply(Builtin builtin, std::vector<TexprId> operands, TileType type, Span span) {
  Texpr e;
  e.kind = TexprKind::Apply;
  e.type = std::move(type);
  e.span = span;
  e.builtin = builtin;
  e.operands = std::move(operands);
  return add(std::move(e));
}

TexprId Checker::cast(TexprId value, Dtype dtype) {
  const Texpr& e = expr(value);
  if (e.type.dtype == dtype) return value;
  if (e.kind == TexprKind::Scalar) return scalar(e.sym, dtype, e.span);
  return apply(Builtin::Cast, {value}, {dtype, e.type.shape}, e.span);
}

TexprId Checker::unsqueeze(TexprId value, i64 position) {
  TileType type = expr(value).type;
  type.shape.insert(type.shape.begin() + position, Dim{integer(1), {}});
  const TexprId id = apply(Builtin::Unsqueeze, {value}, std::move(type), expr(value).span);
  kernel.exprs[id.index].dims = {position};
  return id;
}

TexprId Checker::squeeze(TexprId value, i64 position) {
  TileType type = expr(value).type;
  type.shape.erase(type.shape.begin() + position);
  const TexprId id = apply(Builtin::Squeeze, {value}, std::move(type), expr(value).span);
  kernel.exprs[id.index].dims = {position};
  return id;
}

TexprId Checker::expand(TexprId value, const std::vector<Dim>& shape) {
  if (expr(value).type.shape == shape) return value;
  return apply(Builtin::Expand, {value}, {expr(value).type.dtype, shape}, expr(value).span);
}

TexprId Checker::permute(TexprId value, const std::vector<i64>& order) {
  const Texpr& e = expr(value);
  TileType type{e.type.dtype, {}};
  bool identity = true;
  for (std::size_t i = 0; i < order.size(); ++i) {
    type.shape.push_back(e.type.shape[static_cast<std::size_t>(order[i])]);
    identity = identity && order[i] == static_cast<i64>(i);
  }
  if (identity) return value;
  const TexprId id = apply(Builtin::Permute, {value}, std::move(type), e.span);
  kernel.exprs[id.index].dims = order;
  return id;
}

TexprId Checker::reshape(TexprId value, const std::vector<Dim>& shape) {
  const Texpr& e = expr(value);
  if (e.type.shape == shape) return value;
  return apply(Builtin::Reshape, {value}, {e.type.dtype, shape}, e.span);
}

TexprId Checker::reduce(Builtin builtin, TexprId value, std::vector<i64> dims, bool keep,
                        Dtype dtype) {
  const Texpr& e = expr(value);
  TileType type{dtype, {}};
  for (i64 i = 0; i < e.type.rank(); ++i) {
    if (std::ranges::find(dims, i) == dims.end()) {
      type.shape.push_back(e.type.shape[static_cast<std::size_t>(i)]);
    } else if (keep) {
      type.shape.push_back({integer(1), {}});
    }
  }
  const TexprId id = apply(builtin, {value}, std::move(type), e.span);
  kernel.exprs[id.index].dims = std::move(dims);
  kernel.exprs[id.index].keep_dims = keep;
  return id;
}

TexprId Checker::tile_attr(BlockId block, TileAttr attr, Span span) {
  Texpr e;
  e.kind = TexprKind::TileAttr;
  e.type.dtype = Dtype::I64;
  if (attr == TileAttr::Index) e.type.shape = {dim_of(block)};
  e.span = span;
  e.block = block;
  e.attr = attr;
  return add(std::move(e));
}

TexprId Checker::hold(TexprId value, const std::string& name, bool copy) {
  const Texpr& e = expr(value);
  if (e.kind == TexprKind::Scalar || e.kind == TexprKind::TileAttr) return value;
  if (e.kind == TexprKind::Var && !copy) return value;
  const TileType type = e.type;
  const Span span = e.span;
  Tstmt assign = statement(TstmtKind::Assign, span);
  assign.var = new_var(name);
  assign.value = value;
  Texpr read;
  read.kind = TexprKind::Var;
  read.type = type;
  read.span = span;
  read.var = assign.var;
  emit(std::move(assign));
  return add(std::move(read));
}

Value Checker::hold(Value value, const std::string& name, bool copy) {
  if (!spend(1, value.span)) return value;
  if (value.array() && device) {
    const bool lasting = !value.shift || expr(value.shift).kind == TexprKind::Scalar;
    value.expr = hold(value.expr, name, copy);
    if (!lasting) value.block = {};
  } else if (value.is(ValueKind::Sequence) && device) {
    if (!value.seq->is_list) value.seq = std::make_shared<Sequence>(*value.seq);
    for (Value& item : value.seq->items) item = hold(item, name, copy);
  }
  return value;
}

TensorId Checker::add_tensor(HostTensor tensor) {
  kernel.tensors.push_back(std::move(tensor));
  return TensorId(static_cast<i64>(kernel.tensors.size()) - 1);
}

std::vector<Sym> Checker::contiguous_strides(const std::vector<Sym>& sizes) {
  std::vector<Sym> strides(sizes.size());
  Sym stride = integer(1);
  for (std::size_t i = sizes.size(); i-- > 0;) {
    strides[i] = stride;
    stride = canon(syms.mul(stride, sizes[i]));
  }
  return strides;
}

TensorId Checker::alloc(std::string name, Dtype dtype, std::vector<Sym> sizes, Sym fill,
                        Span span) {
  HostTensor tensor;
  tensor.name = std::move(name);
  tensor.kind = HostTensor::Kind::Alloc;
  tensor.dtype = dtype;
  tensor.strides = contiguous_strides(sizes);
  tensor.sizes = std::move(sizes);
  const TensorId id = add_tensor(std::move(tensor));
  unnamed.insert(id.index);
  HostStmt stmt = host_statement(HostStmt::Kind::Alloc, span);
  stmt.tensor = id;
  stmt.fill = fill;
  kernel.host.push_back(std::move(stmt));
  return id;
}

}  // namespace peri::check
