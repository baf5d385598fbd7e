// Pointwise functions of torch and torch.nn.functional.
#include <fmt/format.h>

#include <limits>

#include "check/fns.h"

namespace peri::check {

using diag::Kind;

std::optional<Dtype> dtype_arg(Checker& c, const Args& a, i64 i, Dtype otherwise) {
  if (!a.has(i)) return otherwise;
  if (a[i].is(ValueKind::Dtype)) return a[i].dtype;
  if (a[i].is(ValueKind::Builtin)) {  // dtype=int, float, bool as torch takes them
    if (a[i].text == "python.int") return Dtype::I64;
    if (a[i].text == "python.float") return Dtype::F32;
    if (a[i].text == "python.bool") return Dtype::Bool;
  }
  bad_arg(c, a, i, "a dtype");
  return std::nullopt;
}

std::optional<bool> flag_arg(Checker& c, const Args& a, i64 i, bool otherwise) {
  if (!a.has(i)) return otherwise;
  return c.decide(a[i], "an argument");
}

std::optional<i64> int_arg(Checker& c, const Args& a, i64 i, i64 otherwise) {
  if (!a.has(i)) return otherwise;
  const std::optional<i64> v = a[i].scalar() ? c.constant(a[i].sym) : std::nullopt;
  if (!v) bad_arg(c, a, i, "an int that is known while compiling");
  return v;
}

std::optional<double> real_arg(Checker& c, const Args& a, i64 i, double otherwise) {
  if (!a.has(i)) return otherwise;
  if (a[i].scalar() && c.canon(a[i].sym).is_const()) return c.canon(a[i].sym)->value.as_real();
  bad_arg(c, a, i, "a number that is known while compiling");
  return std::nullopt;
}

bool tensor_arg(Checker& c, const Args& a, i64 i) {
  if (a[i].array() || a[i].is(ValueKind::Tensor)) return true;
  bad_arg(c, a, i, c.device ? "a device value" : "a tensor");
  return false;
}

Value bad_arg(Checker& c, const Args& a, i64 i, std::string_view wanted) {
  const Span span = a[i].span.source ? a[i].span : a.span;
  return c.bad(Kind::BadArgument, span,
               fmt::format("`{}` needs {} here, and this is {}", a.name(), wanted, kind_text(a[i])),
               a[i].is(ValueKind::Tile) ? "use `tile.index` for the indices of a tile" : "");
}

i64 rank_of(Checker& c, const Value& v) {
  if (v.is(ValueKind::Tensor)) return static_cast<i64>(c.kernel[v.tensor].sizes.size());
  return v.array() ? c.type(v).rank() : 0;
}

Dtype dtype_of(Checker& c, const Value& v) {
  return v.is(ValueKind::Tensor) ? c.kernel[v.tensor].dtype : c.type(v).dtype;
}

namespace {

Value number(Checker& c, double v) { return scalar_value(c.syms.real(v)); }

// A call on operands that are held, so that using them twice computes them once.
Value held(Checker& c, const Args& a, i64 i) { return c.hold(a[i], "x"); }

Value ew(Checker& c, const Args& a, Builtin builtin, std::vector<Value> operands) {
  return c.elementwise(builtin, std::move(operands), a.span, a.name());
}

// A function of one float operand that lowering expands; its type is the operand's.
Value composite_of(Checker& c, const Args& a, Builtin builtin, bool floats = true) {
  if (!tensor_arg(c, a, 0)) return {};
  const TileType type = c.type(a[0]);
  const bool fits = floats ? is_float(type.dtype) : type.dtype != Dtype::Bool;
  if (!fits) {
    return c.bad(Kind::DtypeNotAllowed, a.span,
                 fmt::format("`{}` is not defined for {}", a.name(), name_of(type.dtype)),
                 "convert with `.to(torch.float32)` first");
  }
  return array_value(c.apply(builtin, {a[0].expr}, type, a.span));
}

}  // namespace

namespace fn {

Value pointwise(Checker& c, const Args& a) { return ew(c, a, a.entry.builtin, a.values); }

Value same(Checker&, const Args& a) { return a[0]; }

Value isfinite(Checker& c, const Args& a) {
  const Value x = held(c, a, 0);
  const Value special =
      ew(c, a, Builtin::BitOr, {ew(c, a, Builtin::IsNan, {x}), ew(c, a, Builtin::IsInf, {x})});
  return ew(c, a, Builtin::LogicalNot, {special});
}

Value logical_not(Checker& c, const Args& a) { return ew(c, a, Builtin::LogicalNot, {a[0]}); }

Value square(Checker& c, const Args& a) {
  const Value x = held(c, a, 0);
  return ew(c, a, Builtin::Mul, {x, x});
}

Value composite(Checker& c, const Args& a) {
  return composite_of(c, a, a.entry.builtin, a.entry.builtin != Builtin::Relu);
}

Value gelu(Checker& c, const Args& a) {
  if (a.has(1) && !a[1].is(ValueKind::String)) return bad_arg(c, a, 1, "'none' or 'tanh'");
  const std::string mode = a.has(1) ? a[1].text : "none";
  if (mode != "none" && mode != "tanh") return bad_arg(c, a, 1, "'none' or 'tanh'");
  const Value v = composite_of(c, a, Builtin::Gelu);
  if (v.array()) c.kernel.exprs[static_cast<std::size_t>(v.expr.index)].text = mode;
  return v;
}

Value softplus(Checker& c, const Args& a) {
  const std::optional<double> beta = real_arg(c, a, 1, 1.0), threshold = real_arg(c, a, 2, 20.0);
  if (!beta || !threshold) return {};
  if (*threshold != 20.0) return c.not_yet(a[2].span, "softplus with another threshold than 20");
  const Value v = composite_of(c, a, Builtin::Softplus);
  if (v.array()) c.kernel.exprs[static_cast<std::size_t>(v.expr.index)].real = *beta;
  return v;
}

Value logsigmoid(Checker& c, const Args& a) {
  Args negated = a;
  negated.values[0] = ew(c, a, Builtin::Neg, {a[0]});
  if (negated[0].poison()) return {};
  const Value v = composite_of(c, negated, Builtin::Softplus);
  if (!v.array()) return v;
  c.kernel.exprs[static_cast<std::size_t>(v.expr.index)].real = 1.0;
  return ew(c, a, Builtin::Neg, {v});
}

Value leaky_relu(Checker& c, const Args& a) {
  const Value x = held(c, a, 0);
  const Value slope = a.has(1) ? a[1] : number(c, 0.01);
  return ew(c, a, Builtin::Where,
            {ew(c, a, Builtin::Gt, {x, number(c, 0)}), x, ew(c, a, Builtin::Mul, {x, slope})});
}

Value elu(Checker& c, const Args& a) {
  const Value x = held(c, a, 0);
  const Value alpha = a.has(1) ? a[1] : number(c, 1.0);
  const Value tail = ew(c, a, Builtin::Mul, {alpha, ew(c, a, Builtin::Expm1, {x})});
  return ew(c, a, Builtin::Where, {ew(c, a, Builtin::Gt, {x, number(c, 0)}), x, tail});
}

namespace {

Value clamp_to(Checker& c, const Args& a, Value x, Value low, Value high) {
  if (low.none() && high.none()) return x;
  if (low.none()) return ew(c, a, Builtin::Minimum, {x, high});
  if (high.none()) return ew(c, a, Builtin::Maximum, {x, low});
  const Value with_low = ew(c, a, Builtin::Maximum, {x, low});
  return ew(c, a, Builtin::Minimum, {with_low, high});
}

Value hard_sigmoid_of(Checker& c, const Args& a, const Value& x) {
  const Value shifted =
      ew(c, a, Builtin::Add, {ew(c, a, Builtin::Div, {x, number(c, 6)}), number(c, 0.5)});
  return clamp_to(c, a, shifted, number(c, 0), number(c, 1));
}

}  // namespace

Value relu6(Checker& c, const Args& a) { return clamp_to(c, a, a[0], number(c, 0), number(c, 6)); }

Value hardtanh(Checker& c, const Args& a) {
  return clamp_to(c, a, a[0], a.has(1) ? a[1] : number(c, -1), a.has(2) ? a[2] : number(c, 1));
}

Value hardsigmoid(Checker& c, const Args& a) { return hard_sigmoid_of(c, a, a[0]); }

Value hardswish(Checker& c, const Args& a) {
  const Value x = held(c, a, 0);
  return ew(c, a, Builtin::Mul, {x, hard_sigmoid_of(c, a, x)});
}

Value mish(Checker& c, const Args& a) {
  Args held_args = a;
  held_args.values[0] = held(c, a, 0);
  const Value soft = composite_of(c, held_args, Builtin::Softplus);
  if (!soft.array()) return soft;
  c.kernel.exprs[static_cast<std::size_t>(soft.expr.index)].real = 1.0;
  return ew(c, a, Builtin::Mul, {held_args[0], ew(c, a, Builtin::Tanh, {soft})});
}

Value add_scaled(Checker& c, const Args& a) {
  const Value other = a.has(2) ? ew(c, a, Builtin::Mul, {a[1], a[2]}) : a[1];
  return ew(c, a, a.entry.builtin, {a[0], other});
}

Value rsub(Checker& c, const Args& a) { return ew(c, a, Builtin::Sub, {a[1], a[0]}); }

Value divide(Checker& c, const Args& a) {
  if (!a.has(2)) return ew(c, a, Builtin::Div, {a[0], a[1]});
  const std::string mode = a[2].is(ValueKind::String) ? a[2].text : "";
  if (mode == "floor") return ew(c, a, Builtin::FloorDiv, {a[0], a[1]});
  if (mode != "trunc") return bad_arg(c, a, 2, "'floor' or 'trunc'");
  const std::optional<Dtype> dtype = c.promote_operands(std::vector<Value>{a[0], a[1]});
  Value v = ew(c, a, Builtin::Trunc, {ew(c, a, Builtin::Div, {a[0], a[1]})});
  if (v.array() && !is_float(*dtype)) v.expr = c.cast(v.expr, *dtype);
  return v;
}

// fmax and fmin prefer the operand that is a number.
Value nan_aware(Checker& c, const Args& a) {
  const Value x = held(c, a, 0), y = held(c, a, 1);
  if (!x.array() || !y.array() || !is_float(dtype_of(c, x))) {
    return ew(c, a, a.entry.builtin, {x, y});
  }
  const Value both = ew(c, a, a.entry.builtin, {x, y});
  const Value right = ew(c, a, Builtin::Where, {ew(c, a, Builtin::IsNan, {y}), x, both});
  return ew(c, a, Builtin::Where, {ew(c, a, Builtin::IsNan, {x}), y, right});
}

Value logical(Checker& c, const Args& a) {
  std::vector<Value> operands{a[0], a[1]};
  for (Value& v : operands) {
    if (v.array()) v.expr = c.cast(v.expr, Dtype::Bool);
    if (v.scalar()) v.sym = c.expr(c.scalar(v.sym, Dtype::Bool, v.span)).sym;
  }
  return ew(c, a, a.entry.builtin, std::move(operands));
}

namespace {

Value select_value(Checker& c, const Args& a, const Value& condition, const Value& x,
                   const Value& y) {
  if (condition.array() && dtype_of(c, condition) != Dtype::Bool) {
    return c.bad(Kind::DtypeNotAllowed, condition.span,
                 fmt::format("the condition of `{}` must be bool, and this is {}", a.name(),
                             c.describe(condition)));
  }
  return ew(c, a, Builtin::Where, {condition, x, y});
}

}  // namespace

Value where(Checker& c, const Args& a) { return select_value(c, a, a[0], a[1], a[2]); }
Value where_method(Checker& c, const Args& a) { return select_value(c, a, a[1], a[0], a[2]); }

Value masked_fill(Checker& c, const Args& a) {
  if (!tensor_arg(c, a, 0)) return {};
  const Dtype dtype = dtype_of(c, a[0]);
  Value value = a[2];
  if (value.array()) value.expr = c.cast(value.expr, dtype);
  if (value.scalar() && is_integer(dtype))
    value = scalar_value(c.syms.make(SymKind::ToInt, value.sym));
  return select_value(c, a, a[1], value, a[0]);
}

Value clamp(Checker& c, const Args& a) { return clamp_to(c, a, a[0], a[1], a[2]); }
Value clamp_one(Checker& c, const Args& a) { return ew(c, a, a.entry.builtin, {a[0], a[1]}); }

Value lerp(Checker& c, const Args& a) {
  const Value start = held(c, a, 0);
  const Value step = ew(c, a, Builtin::Mul, {a[2], ew(c, a, Builtin::Sub, {a[1], start})});
  return ew(c, a, Builtin::Add, {start, step});
}

Value addcmul(Checker& c, const Args& a) {
  Value product = ew(c, a, a.entry.builtin, {a[1], a[2]});
  if (a.has(3)) product = ew(c, a, Builtin::Mul, {product, a[3]});
  return ew(c, a, Builtin::Add, {a[0], product});
}

namespace {

Value cast_value(Checker& c, const Args& a, Dtype dtype) {
  if (a[0].is(ValueKind::Tensor)) {
    if (c.kernel[a[0].tensor].dtype == dtype) return a[0];
    return math_call(c, {a[0]}, a.span, "to", [&](std::vector<Value> v) {
      v[0].expr = c.cast(v[0].expr, dtype);
      return v[0];
    });
  }
  if (!a[0].array()) return bad_arg(c, a, 0, "a tensor");
  Value v = a[0];
  v.expr = c.cast(v.expr, dtype);
  v.weak = false;
  if (dtype_of(c, v) != Dtype::I64) v.block = is_integer(dtype) ? v.block : BlockId();
  return v;
}

}  // namespace

// x.to(dtype), x.to(device), x.to(device, dtype), x.to(other)
Value to(Checker& c, const Args& a) {
  std::optional<Dtype> dtype;
  std::vector<Value> targets;
  if (a.has(1)) targets = a[1].seq->items;
  if (a.values.size() > 2 && a.has(2)) {
    if (!a[2].is(ValueKind::Dtype)) return bad_arg(c, a, 2, "a dtype");
    targets.push_back(a[2]);
  }
  for (const Value& target : targets) {
    if (target.is(ValueKind::Dtype)) {
      dtype = target.dtype;
    } else if (target.is(ValueKind::Tensor) || target.array()) {
      dtype = dtype_of(c, target);
    } else if (target.is(ValueKind::String) && parse_dtype(target.text)) {
      dtype = parse_dtype(target.text);
    } else if (!target.is(ValueKind::Device) && !target.is(ValueKind::String) &&
               !target.is(ValueKind::Opaque) &&
               !(target.scalar() && target.sym.type() == SymType::Bool)) {
      return c.bad(Kind::BadArgument, target.span,
                   fmt::format("`.to` needs a dtype, and this is {}", kind_text(target)));
    }
  }
  return dtype ? cast_value(c, a, *dtype) : a[0];
}

Value type_as(Checker& c, const Args& a) {
  return tensor_arg(c, a, 1) ? cast_value(c, a, dtype_of(c, a[1])) : Value();
}

Value cast_named(Checker& c, const Args& a) {
  static const std::map<std::string_view, Dtype> dtypes{
      {"float", Dtype::F32},     {"double", Dtype::F64}, {"half", Dtype::F16},
      {"bfloat16", Dtype::BF16}, {"int", Dtype::I32},    {"long", Dtype::I64},
      {"short", Dtype::I16},     {"char", Dtype::I8},    {"byte", Dtype::U8},
      {"bool", Dtype::Bool}};
  return cast_value(c, a, dtypes.at(a.entry.name));
}

}  // namespace fn
}  // namespace peri::check
