// Functions that make tensors on the host and tiles in device code.
#include <fmt/format.h>

#include "check/fns.h"

namespace peri::check {

using diag::Kind;

namespace {

// What torch.empty, zeros and ones fill with; the table's Builtin tells them apart.
Sym fill_of(Checker& c, Builtin which) {
  if (which == Builtin::Sub) return c.integer(0);
  if (which == Builtin::Exp) return c.integer(1);
  return {};
}

Sym fill_as(Checker& c, Sym fill, Dtype dtype) {
  return fill ? c.expr(c.scalar(fill, dtype, {})).sym : fill;
}

Value full_tile(Checker& c, const std::vector<Dim>& shape, Sym fill, Dtype dtype, Span span) {
  const TexprId e = c.scalar(fill ? fill : c.integer(0), dtype, span);
  return array_value(c.broadcast_to(e, shape));
}

Value full(Checker& c, const Value& shape, Sym fill, Dtype dtype, Span span,
           const std::string& name) {
  if (c.device) {
    const auto dims = c.shape_from(shape, span);
    return dims ? full_tile(c, *dims, fill, dtype, span) : Value();
  }
  const auto sizes = c.sizes_from(shape, span);
  if (!sizes) return {};
  for (Sym s : *sizes) {
    const std::optional<i64> n = c.hint(s);
    if (n && *n < 0) return c.bad(Kind::BadArgument, span, fmt::format("a size of {}", *n));
  }
  return tensor_value(c.alloc(name, dtype, *sizes, fill_as(c, fill, dtype), span));
}

Value like(Checker& c, const Args& a, Sym fill, Dtype dtype) {
  if (!tensor_arg(c, a, 0)) return {};
  if (a[0].array()) return full_tile(c, c.type(a[0]).shape, fill, dtype, a.span);
  if (c.device) {
    c.check_no_host_tensor(a[0]);
    return {};
  }
  std::vector<Sym> sizes = c.kernel[a[0].tensor].sizes;
  return tensor_value(c.alloc("out", dtype, std::move(sizes), fill_as(c, fill, dtype), a.span));
}

// The value of a fill argument: a host scalar or, in device code, a device scalar.
Value fill_value(Checker& c, const Args& a, i64 at, const Value& shape,
                 std::optional<Dtype> dtype) {
  Value fill = a[at];
  if (fill.is(ValueKind::Tensor) && c.device && c.kernel[fill.tensor].sizes.empty()) {
    fill = c.load(fill.tensor, {}, nullptr, a.span);
  }
  if (fill.array() && c.type(fill).is_scalar()) {
    const auto dims = c.shape_from(shape, a.span);
    if (!dims) return {};
    return array_value(c.broadcast_to(c.cast(fill.expr, dtype.value_or(dtype_of(c, fill))), *dims));
  }
  if (!fill.scalar()) return bad_arg(c, a, at, "a number");
  const SymType type = fill.sym.type();
  const Dtype natural = type == SymType::Float ? Dtype::F32
                        : type == SymType::Int ? Dtype::I64
                                               : Dtype::Bool;
  return full(c, shape, c.canon(fill.sym), dtype.value_or(natural), a.span, "full");
}

std::optional<std::optional<Dtype>> maybe_dtype(Checker& c, const Args& a, i64 at) {
  if (!a.has(at)) return std::optional<Dtype>();
  const std::optional<Dtype> dtype = dtype_arg(c, a, at, Dtype::F32);
  if (!dtype) return std::nullopt;
  return std::optional<Dtype>(dtype);
}

}  // namespace

namespace fn {

Value create(Checker& c, const Args& a) {
  const std::optional<Dtype> dtype = dtype_arg(c, a, 1, Dtype::F32);
  if (!dtype) return {};
  const Value shape = a.given[0] ? a[0] : sequence_value({});
  return full(c, shape, fill_of(c, a.entry.builtin), *dtype, a.span, std::string(a.entry.name));
}

Value create_full(Checker& c, const Args& a) {
  const auto dtype = maybe_dtype(c, a, 2);
  return dtype ? fill_value(c, a, 1, a[0], *dtype) : Value();
}

Value create_like(Checker& c, const Args& a) {
  if (!tensor_arg(c, a, 0)) return {};
  const std::optional<Dtype> dtype = dtype_arg(c, a, 1, dtype_of(c, a[0]));
  return dtype ? like(c, a, fill_of(c, a.entry.builtin), *dtype) : Value();
}

Value create_full_like(Checker& c, const Args& a) {
  if (!tensor_arg(c, a, 0)) return {};
  const std::optional<Dtype> dtype = dtype_arg(c, a, 2, dtype_of(c, a[0]));
  if (!dtype) return {};
  if (c.device && a[0].is(ValueKind::Tensor)) {
    c.check_no_host_tensor(a[0]);
    return {};
  }
  return fill_value(c, a, 1, sequence_value(c.shape_values(a[0])), *dtype);
}

Value create_new(Checker& c, const Args& a) {
  if (!tensor_arg(c, a, 0)) return {};
  const std::optional<Dtype> dtype = dtype_arg(c, a, 2, dtype_of(c, a[0]));
  const Value shape = a.given[1] ? a[1] : sequence_value({});
  return dtype ? full(c, shape, fill_of(c, a.entry.builtin), *dtype, a.span, "new") : Value();
}

Value create_new_full(Checker& c, const Args& a) {
  if (!tensor_arg(c, a, 0)) return {};
  const std::optional<Dtype> dtype = dtype_arg(c, a, 3, dtype_of(c, a[0]));
  return dtype ? fill_value(c, a, 2, a[1], *dtype) : Value();
}

Value create_strided(Checker& c, const Args& a) {
  const auto sizes = c.sizes_from(a[0], a.span), strides = c.sizes_from(a[1], a.span);
  const std::optional<Dtype> dtype = dtype_arg(c, a, 2, Dtype::F32);
  if (!sizes || !strides || !dtype) return {};
  HostTensor dense;
  dense.sizes = *sizes;
  dense.strides = *strides;
  if (sizes->size() != strides->size() || !c.is_contiguous(dense)) {
    return c.not_yet(a.span, "empty_strided with strides that are not contiguous");
  }
  return tensor_value(c.alloc("empty_strided", *dtype, *sizes, {}, a.span));
}

namespace {

struct Bounds {
  Value start, end, step;
};

std::optional<Bounds> arange_bounds(Checker& c, const Args& a) {
  const std::vector<Value> given = a.given[0] ? a[0].seq->items : std::vector<Value>{};
  const i64 n = static_cast<i64>(a.values.size());
  Bounds b{c.scalar_int(0), none_value(), c.scalar_int(1)};
  if (given.size() == 1) b.end = given[0];
  if (given.size() > 1) b.start = given[0], b.end = given[1];
  if (given.size() > 2) b.step = given[2];
  if (a.has(n - 3)) b.start = a[n - 3];
  if (a.has(n - 2)) b.end = a[n - 2];
  if (a.has(n - 1)) b.step = a[n - 1];
  for (Value* v : {&b.start, &b.end, &b.step}) {
    if (v->is(ValueKind::Tile)) {  // a tile stands for its size
      const BlockId block = v->block;
      *v = scalar_value(c.kernel[block].size);
      v->block = block;
    }
    if (v->scalar() || v->array()) continue;
    c.bad(Kind::BadArgument, v->span.source ? v->span : a.span,
          fmt::format("`{}` needs an end", a.name()));
    return std::nullopt;
  }
  return b;
}

// end - start where that is known: ints of the host, or `start + n` in device code.
std::optional<Value> arange_length(Checker& c, const Bounds& b) {
  if (b.start.scalar() && b.end.scalar()) {
    Value length = b.end;
    if (!b.start.sym.is_int(0)) length = scalar_value(c.canon(c.syms.sub(b.end.sym, b.start.sym)));
    if (!b.step.scalar()) return std::nullopt;
    if (!b.step.sym.is_int(1))
      length = scalar_value(c.canon(c.syms.ceil_div(length.sym, b.step.sym)));
    return length;
  }
  if (!b.start.array() || !b.end.array() || !b.step.scalar() || !b.step.sym.is_int(1)) {
    return std::nullopt;
  }
  const Texpr &end = c.expr(b.end.expr), &start = c.expr(b.start.expr);
  if (end.kind != TexprKind::Apply || end.builtin != Builtin::Add) return std::nullopt;
  const Texpr &base = c.expr(end.operands[0]), &shift = c.expr(end.operands[1]);
  const bool same = base.kind == start.kind && base.var == start.var && base.block == start.block &&
                    base.attr == start.attr && base.kind != TexprKind::Apply;
  if (!same || shift.kind != TexprKind::Scalar) return std::nullopt;
  return scalar_value(shift.sym);
}

Value arange_tile(Checker& c, const Args& a, const Bounds& b, Dtype dtype) {
  const std::optional<Value> length = arange_length(c, b);
  if (!length) {
    return c.bad(Kind::NotConstant, a.span, "the length of this range is not known while compiling",
                 "use `tile.index` for the indices of a tile");
  }
  const auto shape = c.shape_from(*length, a.span);
  if (!shape) return {};
  if (const auto n = (*shape)[0].size.as_int(); n && *n <= 0) {
    return c.bad(Kind::BadArgument, a.span, "this range is empty");
  }
  TexprId e = c.apply(Builtin::Iota, {}, {is_float(dtype) ? Dtype::I64 : dtype, *shape}, a.span);
  e = c.cast(e, dtype);
  const bool plain = b.start.scalar() && b.start.sym.is_int(0) && b.step.sym.is_int(1);
  if (plain) return array_value(e);
  Value v = array_value(e);
  if (!b.step.sym.is_int(1)) v = c.elementwise(Builtin::Mul, {v, b.step}, a.span, a.name());
  return c.elementwise(Builtin::Add, {v, b.start}, a.span, a.name());
}

}  // namespace

Value arange(Checker& c, const Args& a) {
  const std::optional<Bounds> b = arange_bounds(c, a);
  if (!b) return {};
  bool real = false;
  for (const Value* v : {&b->start, &b->end, &b->step}) {
    real = real || (v->scalar() && v->sym.type() == SymType::Float);
  }
  const std::optional<Dtype> dtype = dtype_arg(c, a, 1, real ? Dtype::F32 : Dtype::I64);
  if (!dtype) return {};
  if (real) return c.not_yet(a.span, "arange with bounds that are not ints");
  if (c.device) return arange_tile(c, a, *b, *dtype);
  const std::optional<Value> length = arange_length(c, *b);
  if (!length) return {};
  const TensorId out = c.alloc("arange", *dtype, {length->sym}, {}, a.span);
  const Value like = tensor_value(out);
  return c.host_fill(
      like,
      [&](const std::vector<Value>& index) {
        Value v = index[0];
        v = c.elementwise(Builtin::Mul, {v, b->step}, a.span, a.name());
        return c.elementwise(Builtin::Add, {v, b->start}, a.span, a.name());
      },
      a.span);
}

Value tensor_of(Checker& c, const Args& a) {
  if (!a[0].scalar()) return c.not_yet(a.span, "torch.tensor of a list");
  const auto dtype = maybe_dtype(c, a, 1);
  return dtype ? fill_value(c, a, 0, sequence_value({}), *dtype) : Value();
}

Value hl_zeros(Checker& c, const Args& a) {
  const std::optional<Dtype> dtype = dtype_arg(c, a, 1, Dtype::F32);
  return dtype ? full(c, a[0], c.integer(0), *dtype, a.span, "zeros") : Value();
}

Value hl_full(Checker& c, const Args& a) {
  const std::optional<Dtype> dtype = dtype_arg(c, a, 2, Dtype::F32);
  return dtype ? fill_value(c, a, 1, a[0], dtype) : Value();
}

namespace {

// Row-major index of each element of a tile in the whole that its axes run over.
std::optional<Value> global_offsets(Checker& c, const Args& a, const std::vector<Dim>& shape) {
  std::optional<Value> offset;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const Dim& d = shape[i];
    Value index;
    Sym extent = d.size;
    if (d.block) {
      BlockId block = d.block;
      while (c.kernel[block].parent) block = c.kernel[block].parent;
      extent = c.kernel[block].end;
      if (!extent) {
        c.not_yet(a.span, "random numbers over a loop whose bounds are not known on the host");
        return std::nullopt;
      }
      index = array_value(c.tile_attr(d.block, TileAttr::Index, a.span));
    } else {
      index = array_value(c.apply(Builtin::Iota, {}, {Dtype::I64, {d}}, a.span));
    }
    for (std::size_t j = i + 1; j < shape.size(); ++j) {
      index.expr = c.unsqueeze(index.expr, c.expr(index.expr).type.rank());
    }
    if (!offset) {
      offset = index;
      continue;
    }
    const Value scaled =
        c.elementwise(Builtin::Mul, {*offset, scalar_value(extent)}, a.span, a.name());
    offset = c.elementwise(Builtin::Add, {scaled, index}, a.span, a.name());
  }
  if (!offset) offset = array_value(c.scalar(c.integer(0), Dtype::I64, a.span));
  return offset;
}

Value uniform(Checker& c, const Args& a, const Value& seed, const Value& offsets) {
  const auto shape = c.shape_from(a[0], a.span);
  if (!shape) return {};
  Value at = offsets;
  if (at.none()) {
    const std::optional<Value> global = global_offsets(c, a, *shape);
    if (!global) return {};
    at = *global;
  }
  Value key = seed;
  if (key.is(ValueKind::Tensor) && c.kernel[key.tensor].sizes.empty()) {
    key = c.load(key.tensor, {}, nullptr, a.span);
  }
  const bool number = key.scalar() || (key.array() && c.type(key).is_scalar());
  if (!number || !at.array()) return bad_arg(c, a, 1, "an int as the seed");
  const TexprId offset = c.broadcast_to(c.cast(at.expr, Dtype::I64), *shape);
  return array_value(
      c.apply(Builtin::Rand, {c.as_expr(key, Dtype::I64), offset}, {Dtype::F32, *shape}, a.span));
}

}  // namespace

Value hl_rand(Checker& c, const Args& a) { return uniform(c, a, a[1], a[3]); }

// floor(u * (high - low)) + low
Value hl_randint(Checker& c, const Args& a) {
  const Value u = uniform(c, a, a[3], none_value());
  if (!a[1].scalar() || !a[2].scalar() || u.poison())
    return u.poison() ? u : bad_arg(c, a, 1, "an int");
  const Value range = scalar_value(c.syms.sub(a[2].sym, a[1].sym));
  const auto ew = [&](Builtin b, std::vector<Value> v) {
    return c.elementwise(b, std::move(v), a.span, a.name());
  };
  const Value real = scalar_value(c.syms.make(SymKind::ToFloat, range.sym));
  Value v = ew(Builtin::Floor, {ew(Builtin::Mul, {u, real})});
  v.expr = c.cast(v.expr, Dtype::I64);
  return ew(Builtin::Add, {v, a[1]});
}

}  // namespace fn
}  // namespace peri::check
