// Reductions and normalised exponentials.
#include <fmt/format.h>

#include <limits>

#include "check/fns.h"

namespace peri::check {

using diag::Kind;

namespace {

// The dimensions that a reduction names; all of them if it names none.
std::optional<std::vector<i64>> reduced_dims(Checker& c, const Args& a, i64 param) {
  const i64 rank = rank_of(c, a[0]);
  const Value& dim = a[param];
  const bool all =
      dim.none() || (dim.is(ValueKind::Sequence) && dim.seq->items.empty()) ||
      (dim.is(ValueKind::Sequence) && dim.seq->items.size() == 1 && dim.seq->items[0].none());
  if (!all) return c.dims_from(dim, rank, dim.span.source ? dim.span : a.span);
  std::vector<i64> dims;
  for (i64 i = 0; i < rank; ++i) dims.push_back(i);
  return dims;
}

// torch has no largest or smallest of no elements.
bool check_elements(Checker& c, const Args& a, const std::vector<i64>& dims) {
  for (i64 dim : dims) {
    const Dim& d = c.type(a[0]).shape[static_cast<std::size_t>(dim)];
    if (d.block || c.depends_on_config(d.size)) continue;  // tiles have elements
    const Sym some = c.canon(c.syms.make(SymKind::Gt, d.size, c.integer(0)));
    if (c.hint(d.size) == 0) {
      c.bad(Kind::EmptyReduction, a.span,
            fmt::format("`{}` over dimension {}, which has size 0", a.name(), dim),
            "return before the loop where the dimension is empty");
      return false;
    }
    if (some.is_const() || c.device->conditional > 0) continue;
    c.require(some, "empty-reduction",
              fmt::format("`{}` over dimension {}, which has size 0", a.name(), dim), a.span);
  }
  return true;
}

bool float_only(Builtin builtin) { return builtin == Builtin::Mean; }

Value not_defined(Checker& c, const Args& a, Dtype dtype) {
  return c.bad(Kind::DtypeNotAllowed, a.span,
               fmt::format("`{}` is not defined for {}", a.name(), name_of(dtype)),
               "convert with `.to(torch.float32)` first, or give `dtype=`");
}

Dtype result_dtype(Builtin builtin, Dtype dtype) {
  switch (builtin) {
    case Builtin::Sum:
    case Builtin::Prod:
      return is_float(dtype) ? dtype : Dtype::I64;
    case Builtin::ArgMax:
    case Builtin::ArgMin:
      return Dtype::I64;
    case Builtin::Any:
    case Builtin::All:
      return Dtype::Bool;
    default:
      return dtype;
  }
}

Value reduce(Checker& c, Builtin builtin, TexprId x, std::vector<i64> dims, bool keep) {
  if (dims.empty()) return array_value(c.cast(x, result_dtype(builtin, c.expr(x).type.dtype)));
  const Dtype dtype = result_dtype(builtin, c.expr(x).type.dtype);
  return array_value(c.reduce(builtin, x, std::move(dims), keep, dtype));
}

}  // namespace

namespace fn {

Value reduction(Checker& c, const Args& a) {
  if (!tensor_arg(c, a, 0)) return {};
  // x.sum(dim, keepdim): what follows the dimensions positionally.
  Args args = a;
  if (args.has(1) && args[1].seq->items.size() == 2 && args[1].seq->items[1].scalar() &&
      args[1].seq->items[1].sym.type() == SymType::Bool) {
    args.values[2] = args[1].seq->items[1];
    args.given[2] = true;
    args.values[1].seq = std::make_shared<Sequence>(Sequence{{args[1].seq->items[0]}, {}, false});
  }
  const auto dims = reduced_dims(c, args, 1);
  const std::optional<bool> keep = flag_arg(c, args, 2, false);
  if (!dims || !keep) return {};
  TexprId x = a[0].expr;
  if (a.values.size() > 3) {
    const std::optional<Dtype> dtype = dtype_arg(c, a, 3, dtype_of(c, a[0]));
    if (!dtype) return {};
    x = c.cast(x, *dtype);
  }
  const Builtin builtin = a.entry.builtin;
  const bool extreme = builtin == Builtin::Amax || builtin == Builtin::Amin;
  if (extreme && !check_elements(c, a, *dims)) return {};
  const Dtype dtype = c.expr(x).type.dtype;
  if (float_only(builtin) && !is_float(dtype)) return not_defined(c, a, dtype);
  if (builtin == Builtin::Any || builtin == Builtin::All) x = c.cast(x, Dtype::Bool);
  if (dtype == Dtype::Bool && extreme) {
    return reduce(c, builtin == Builtin::Amax ? Builtin::Any : Builtin::All, x, *dims, *keep);
  }
  return reduce(c, builtin, x, *dims, *keep);
}

Value arg_reduction(Checker& c, const Args& a) {
  if (!tensor_arg(c, a, 0)) return {};
  const auto dims = reduced_dims(c, a, 1);
  const std::optional<bool> keep = flag_arg(c, a, 2, false);
  if (!dims || !keep) return {};
  if (dims->size() > 1) {
    return c.not_yet(a.span, a.name() + " over several dimensions");
  }
  if (dtype_of(c, a[0]) == Dtype::Bool) return not_defined(c, a, Dtype::Bool);
  if (!check_elements(c, a, *dims)) return {};
  return reduce(c, a.entry.builtin, a[0].expr, *dims, *keep);
}

// torch.max(x), torch.max(x, y), torch.max(x, dim) -> (values, indices)
Value extremum(Checker& c, const Args& a) {
  const bool is_max = a.entry.builtin == Builtin::Amax;
  if (a[1].array() || a[1].is(ValueKind::Tensor)) {
    return c.elementwise(is_max ? Builtin::Maximum : Builtin::Minimum, {a[0], a[1]}, a.span,
                         a.name());
  }
  if (!tensor_arg(c, a, 0)) return {};
  const auto dims = reduced_dims(c, a, 1);
  const std::optional<bool> keep = flag_arg(c, a, 2, false);
  if (!dims || !keep) return {};
  if (!check_elements(c, a, *dims)) return {};
  const Value x = c.hold(a[0], "x");
  Value values = reduce(c, a.entry.builtin, x.expr, *dims, *keep);
  if (!a.has(1)) return values;
  Value indices = reduce(c, is_max ? Builtin::ArgMax : Builtin::ArgMin, x.expr, *dims, *keep);
  Value both = sequence_value({values, indices});
  both.seq->fields = {"values", "indices"};
  return both;
}

Value variance(Checker& c, const Args& a) {
  if (!tensor_arg(c, a, 0)) return {};
  Args args = a;
  if (args.has(1) && args[1].scalar() && args[1].sym.type() == SymType::Bool) {  // x.var(False)
    std::swap(args.values[1], args.values[2]);
    args.given[2] = true;
    args.values[1] = none_value();
  }
  const auto dims = reduced_dims(c, args, 1);
  const std::optional<bool> unbiased = flag_arg(c, args, 2, true);
  const std::optional<bool> keep = flag_arg(c, args, 3, false);
  if (!dims || !unbiased || !keep) return {};
  const std::optional<double> correction = real_arg(c, args, 4, *unbiased ? 1.0 : 0.0);
  if (!correction) return {};
  const Dtype dtype = dtype_of(c, a[0]);
  if (!is_float(dtype)) return not_defined(c, a, dtype);
  const Value x = c.hold(a[0], "x");
  Value var = reduce(c, Builtin::Var, x.expr, *dims, *keep);
  c.kernel.exprs[static_cast<std::size_t>(var.expr.index)].real = *correction;
  const bool root = a.entry.name.starts_with("std");
  if (root) var = c.elementwise(Builtin::Sqrt, {var}, a.span, a.name());
  if (!a.entry.name.ends_with("mean")) return var;
  return sequence_value({var, reduce(c, Builtin::Mean, x.expr, *dims, *keep)});
}

Value softmax(Checker& c, const Args& a) {
  if (!tensor_arg(c, a, 0)) return {};
  if (!a.has(1)) {
    return c.bad(Kind::ArgumentCount, a.span, fmt::format("`{}` needs an argument `dim`", a.name()),
                 "`dim=-1` for the last dimension");
  }
  const std::optional<i64> dim = c.dim_from(a[1], rank_of(c, a[0]), a[1].span);
  std::optional<Dtype> dtype;
  // The third positional argument of torch.softmax is the dtype.
  if (a.has(2) && a[2].is(ValueKind::Dtype)) dtype = a[2].dtype;
  if (!dtype) dtype = dtype_arg(c, a, 3, dtype_of(c, a[0]));
  if (!dim || !dtype) return {};
  if (!is_float(*dtype)) return not_defined(c, a, *dtype);
  const TexprId x = c.cast(a[0].expr, *dtype);
  const TexprId e = c.apply(a.entry.builtin, {x}, c.expr(x).type, a.span);
  c.kernel.exprs[static_cast<std::size_t>(e.index)].dims = {*dim};
  return array_value(e);
}

// log(sum(exp(x - m))) + m with m the maximum, 0 where that is infinite.
Value logsumexp(Checker& c, const Args& a) {
  if (!tensor_arg(c, a, 0)) return {};
  const auto dims = reduced_dims(c, a, 1);
  const std::optional<bool> keep = flag_arg(c, a, 2, false);
  if (!dims || !keep) return {};
  const Dtype dtype = dtype_of(c, a[0]);
  if (!is_float(dtype)) return not_defined(c, a, dtype);
  const auto ew = [&](Builtin builtin, std::vector<Value> operands) {
    return c.elementwise(builtin, std::move(operands), a.span, a.name());
  };
  const Value x = c.hold(array_value(c.cast(a[0].expr, compute_dtype(dtype))), "x");
  Value top = c.hold(reduce(c, Builtin::Amax, x.expr, *dims, true), "top");
  top = c.hold(ew(Builtin::Where, {ew(Builtin::IsInf, {top}), scalar_value(c.syms.real(0)), top}),
               "top");
  const Value terms = ew(Builtin::Exp, {ew(Builtin::Sub, {x, top})});
  Value sum = reduce(c, Builtin::Sum, terms.expr, *dims, true);
  Value result = ew(Builtin::Add, {ew(Builtin::Log, {sum}), top});
  TexprId e = c.cast(result.expr, dtype);
  if (!*keep) {
    std::vector<i64> order = *dims;
    std::ranges::sort(order, std::greater());
    for (i64 dim : order) e = c.squeeze(e, dim);
  }
  return array_value(e);
}

Value count_nonzero(Checker& c, const Args& a) {
  if (!tensor_arg(c, a, 0)) return {};
  const auto dims = reduced_dims(c, a, 1);
  if (!dims) return {};
  const TexprId ones = c.cast(c.cast(a[0].expr, Dtype::Bool), Dtype::I64);
  return reduce(c, Builtin::Sum, ones, *dims, false);
}

}  // namespace fn
}  // namespace peri::check
