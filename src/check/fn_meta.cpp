// Facts about tensors and dtypes.
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "check/fns.h"

namespace peri::check {

using diag::Kind;

std::optional<double> float_limit(Dtype dtype, std::string_view name) {
  struct Limits {
    double max, eps, tiny;
  };
  const Limits l =
      dtype == Dtype::F16 ? Limits{65504.0, std::ldexp(1, -10), std::ldexp(1, -14)}
      : dtype == Dtype::BF16
          ? Limits{std::ldexp(255.0 / 128, 127), std::ldexp(1, -7), std::ldexp(1, -126)}
      : dtype == Dtype::F32
          ? Limits{std::numeric_limits<float>::max(), std::numeric_limits<float>::epsilon(),
                   std::numeric_limits<float>::min()}
          : Limits{std::numeric_limits<double>::max(), std::numeric_limits<double>::epsilon(),
                   std::numeric_limits<double>::min()};
  if (name == "max") return l.max;
  if (name == "min") return -l.max;
  if (name == "eps") return l.eps;
  if (name == "tiny" || name == "smallest_normal") return l.tiny;
  return std::nullopt;
}

std::optional<i64> integer_limit(Dtype dtype, std::string_view name) {
  const i64 bits = size_of(dtype) * 8;
  if (name == "bits") return bits;
  if (!is_integer(dtype)) return std::nullopt;
  const i64 top = dtype == Dtype::U8    ? 255
                  : dtype == Dtype::I64 ? std::numeric_limits<i64>::max()
                                        : (i64{1} << (bits - 1)) - 1;
  if (name == "max") return top;
  if (name == "min") return dtype == Dtype::U8 ? 0 : -top - 1;
  return std::nullopt;
}

namespace fn {

Value size(Checker& c, const Args& a) {
  if (!tensor_arg(c, a, 0)) return {};
  const std::vector<Value> sizes = c.shape_values(a[0]);
  if (!a.has(1)) return sequence_value(sizes);
  const auto dim = c.dim_from(a[1], static_cast<i64>(sizes.size()), a[1].span);
  return dim ? sizes[static_cast<std::size_t>(*dim)] : Value();
}

Value stride(Checker& c, const Args& a) {
  if (!a[0].is(ValueKind::Tensor)) return bad_arg(c, a, 0, "a host tensor");
  const HostTensor& t = c.kernel[a[0].tensor];
  std::vector<Value> strides;
  for (Sym s : t.strides) strides.push_back(scalar_value(c.canon(s)));
  if (!a.has(1)) return sequence_value(strides);
  const auto dim = c.dim_from(a[1], static_cast<i64>(strides.size()), a[1].span);
  return dim ? strides[static_cast<std::size_t>(*dim)] : Value();
}

Value numel(Checker& c, const Args& a) {
  if (!tensor_arg(c, a, 0)) return {};
  std::vector<Sym> sizes;
  for (const Value& v : c.shape_values(a[0])) sizes.push_back(v.sym);
  return scalar_value(c.product(sizes));
}

Value rank(Checker& c, const Args& a) {
  return tensor_arg(c, a, 0) ? c.scalar_int(rank_of(c, a[0])) : Value();
}

Value element_size(Checker& c, const Args& a) {
  return tensor_arg(c, a, 0) ? c.scalar_int(size_of(dtype_of(c, a[0]))) : Value();
}

Value is_contiguous(Checker& c, const Args& a) {
  if (!a[0].is(ValueKind::Tensor)) return scalar_value(c.syms.boolean(true));
  return scalar_value(c.syms.boolean(c.is_contiguous(c.kernel[a[0].tensor])));
}

Value is_floating_point(Checker& c, const Args& a) {
  const bool real = a[0].is(ValueKind::Dtype) ? is_float(a[0].dtype)
                                              : tensor_arg(c, a, 0) && is_float(dtype_of(c, a[0]));
  return scalar_value(c.syms.boolean(real));
}

Value storage_offset(Checker& c, const Args& a) {
  if (!a[0].is(ValueKind::Tensor)) return bad_arg(c, a, 0, "a host tensor");
  const HostTensor& t = c.kernel[a[0].tensor];
  return t.offset ? scalar_value(t.offset) : c.scalar_int(0);
}

Value device_index(Checker& c, const Args&) { return c.scalar_int(-1); }

Value promote_types(Checker& c, const Args& a) {
  if (!a[0].is(ValueKind::Dtype)) return bad_arg(c, a, 0, "a dtype");
  if (!a[1].is(ValueKind::Dtype)) return bad_arg(c, a, 1, "a dtype");
  return dtype_value(promote(a[0].dtype, a[1].dtype));
}

Value result_type(Checker& c, const Args& a) {
  std::vector<Value> operands{a[0], a[1]};
  std::optional<Dtype> tiles, scalars;
  Dtype weak = Dtype::Bool;
  bool any_weak = false;
  for (const Value& v : operands) {
    if (v.scalar()) {
      any_weak = true;
      weak = promote(weak, v.sym.type() == SymType::Float ? Dtype::F64
                           : v.sym.type() == SymType::Int ? Dtype::I64
                                                          : Dtype::Bool);
    } else if (v.array() || v.is(ValueKind::Tensor)) {
      std::optional<Dtype>& place = rank_of(c, v) == 0 ? scalars : tiles;
      place = place ? promote(*place, dtype_of(c, v)) : dtype_of(c, v);
    } else {
      return bad_arg(c, a, &v == &operands[0] ? 0 : 1, "a tensor or a number");
    }
  }
  std::optional<Dtype> result = tiles ? tiles : scalars;
  if (tiles && scalars && is_float(*scalars) && !is_float(*tiles)) result = scalars;
  if (!result) return dtype_value(weak == Dtype::F64 ? Dtype::F32 : weak);
  return dtype_value(any_weak ? promote_weak(*result, weak) : *result);
}

Value finfo(Checker& c, const Args& a) {
  const std::optional<Dtype> dtype = dtype_arg(c, a, 0, Dtype::F32);
  if (!dtype) return {};
  if (is_float(*dtype) != (a.entry.name == "finfo")) {
    return c.bad(Kind::DtypeNotAllowed, a.span,
                 fmt::format("`{}` is not defined for {}", a.name(), name_of(*dtype)));
  }
  Value v = make_value(ValueKind::Info);
  v.dtype = *dtype;
  return v;
}

Value broadcast_shapes(Checker& c, const Args& a) {
  std::vector<std::vector<Sym>> shapes;
  for (const Value& shape : a.given[0] ? a[0].seq->items : std::vector<Value>{}) {
    const auto sizes = c.sizes_from(shape, a.span);
    if (!sizes) return {};
    shapes.push_back(*sizes);
  }
  const auto result = c.host_broadcast(shapes, a.span, a.name());
  if (!result) return {};
  std::vector<Value> values;
  for (Sym s : *result) values.push_back(scalar_value(s));
  return sequence_value(std::move(values));
}

Value broadcast_tensors(Checker& c, const Args& a) {
  std::vector<std::vector<Sym>> shapes;
  const std::vector<Value> tensors = a.given[0] ? a[0].seq->items : std::vector<Value>{};
  for (const Value& v : tensors) {
    if (!v.is(ValueKind::Tensor)) {
      return c.bad(Kind::BadArgument, v.span,
                   fmt::format("`{}` needs tensors, and this is {}", a.name(), kind_text(v)));
    }
    shapes.push_back(c.kernel[v.tensor].sizes);
  }
  const auto sizes = c.host_broadcast(shapes, a.span, a.name());
  if (!sizes) return {};
  std::vector<Value> result;
  for (const Value& v : tensors) {
    const bool same = c.kernel[v.tensor].sizes == *sizes;
    result.push_back(same ? v : c.host_expand(v, *sizes, a.span));
  }
  return sequence_value(std::move(result));
}

Value is_tensor(Checker& c, const Args& a) {
  return scalar_value(c.syms.boolean(a[0].is(ValueKind::Tensor) || a[0].array()));
}

Value torch_device(Checker&, const Args&) { return make_value(ValueKind::Device); }

Value torch_check(Checker& c, const Args& a) {
  const std::optional<bool> holds = c.decide(a[0], "a check");
  if (holds && !*holds)
    return c.bad(Kind::AssertFails, a.span, "this check fails for these arguments");
  return none_value();
}

Value always_false(Checker& c, const Args&) { return scalar_value(c.syms.boolean(false)); }

}  // namespace fn
}  // namespace peri::check
