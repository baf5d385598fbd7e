#include "lower/composite.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/bug.h"

namespace peri::lower {

using check::Builtin;
using check::Texpr;
using ir::OpCode;
using ir::ValueId;

std::optional<ValueId> Composites::expand(const Texpr& e, const std::vector<ValueId>& operands) {
  ValueId x = operands.empty() ? ValueId() : operands[0];
  switch (e.builtin) {
    case Builtin::Sum:
      return sum(OpCode::Sum, e, x);
    case Builtin::Prod:
      return sum(OpCode::Prod, e, x);
    case Builtin::Amax:
    case Builtin::Amin:
      return extreme(e, x);
    case Builtin::ArgMax:
    case Builtin::ArgMin:
      return arg_extreme(e, x);
    case Builtin::Any:
      return reduce(OpCode::Any, truth(x), e.dims, e.keep_dims);
    case Builtin::All:
      return reduce(OpCode::All, truth(x), e.dims, e.keep_dims);
    case Builtin::Mean:
      return mean(widened(x), e.dims, e.keep_dims);
    case Builtin::Var:
      return variance(e, widened(x));
    case Builtin::Softmax:
      return softmax(widened(x), e.dims[0], false);
    case Builtin::LogSoftmax:
      return softmax(widened(x), e.dims[0], true);
    case Builtin::Relu:
      return op(OpCode::Max, {x, builder_.constant(type_of(x).dtype, SymValue::of(i64{0}))});
    case Builtin::Silu:
      return silu(widened(x));
    case Builtin::Gelu:
      return gelu(widened(x), e.text);
    case Builtin::Softplus:
      return softplus(widened(x), e.real);
    case Builtin::Clamp:
      return clamp(x, operands[1], operands[2]);
    case Builtin::Lerp:
      return lerp(widened(x), widened(operands[1]), widened(operands[2]));
    default:
      return std::nullopt;
  }
}

ValueId Composites::real(ValueId like, double value) {
  return builder_.constant(type_of(like).dtype, SymValue::of(value));
}

ValueId Composites::widened(ValueId value) {
  Dtype dtype = type_of(value).dtype;
  return builder_.cast(value, is_float(dtype) ? compute_dtype(dtype) : Dtype::F32);
}

// A value that lacks dimension `dim` of `like`, repeated along it.
ValueId Composites::repeated(ValueId reduced, i64 dim, ValueId like) {
  ValueId column = builder_.view(OpCode::Unsqueeze, reduced, {dim}, {});
  return builder_.view(OpCode::Expand, column, {}, type_of(like).shape);
}

// One dimension at a time, the last first.
ValueId Composites::reduce(OpCode code, ValueId value, std::vector<i64> dims, bool keep) {
  std::ranges::sort(dims);
  for (i64 i = std::ssize(dims); i-- > 0;) value = builder_.reduce(code, value, dims[i]);
  if (!keep) return value;
  for (i64 dim : dims) value = builder_.view(OpCode::Unsqueeze, value, {dim}, {});
  return value;
}

ValueId Composites::truth(ValueId value) {
  Dtype dtype = type_of(value).dtype;
  if (dtype == Dtype::Bool) return value;
  return op(OpCode::Ne, {value, builder_.constant(dtype, SymValue::of(i64{0}))});
}

// Partial sums stay in the type that they are computed in.
ValueId Composites::sum(OpCode code, const Texpr& e, ValueId x) {
  bool rounds_between = e.dims.size() > 1 && is_half(type_of(x).dtype);
  return reduce(code, rounds_between ? widened(x) : x, e.dims, e.keep_dims);
}

ValueId Composites::extreme(const Texpr& e, ValueId x) {
  bool greatest = e.builtin == Builtin::Amax;
  OpCode code = greatest ? OpCode::ReduceMax : OpCode::ReduceMin;
  if (type_of(x).dtype == Dtype::Bool) code = greatest ? OpCode::Any : OpCode::All;
  return reduce(code, x, e.dims, e.keep_dims);
}

ValueId Composites::arg_extreme(const Texpr& e, ValueId x) {
  if (type_of(x).dtype == Dtype::Bool) x = builder_.cast(x, Dtype::U8);
  OpCode code = e.builtin == Builtin::ArgMax ? OpCode::ArgMax : OpCode::ArgMin;
  return reduce(code, x, {e.dims[0]}, e.keep_dims);
}

// How many elements the dimensions have: of a tile axis, as many as its current tile.
ValueId Composites::element_count(ValueId value, const std::vector<i64>& dims, Dtype dtype) {
  Sym fixed = syms().integer(1);
  std::vector<ValueId> factors;
  const std::vector<Dim> shape = type_of(value).shape;
  for (i64 dim : dims) {
    const Dim& d = shape[dim];
    if (d.block && is_open_(d.block)) {
      TileType index{Dtype::I64, {}};
      ValueId end = builder_.tile_attr(OpCode::TileEnd, d.block, index);
      ValueId begin = builder_.tile_attr(OpCode::TileBegin, d.block, index);
      factors.push_back(builder_.cast(op(OpCode::Sub, {end, begin}), dtype));
    } else {
      fixed = syms().mul(fixed, d.size);
    }
  }
  ValueId count = fixed.is_const() ? builder_.constant(dtype, fixed->value)
                                   : builder_.host_scalar(dtype, fixed);
  if (fixed.is_int(1) && !factors.empty()) {
    count = factors.back();
    factors.pop_back();
  }
  for (ValueId factor : factors) count = op(OpCode::Mul, {count, factor});
  return count;
}

ValueId Composites::mean(ValueId x, const std::vector<i64>& dims, bool keep) {
  ValueId total = reduce(OpCode::Sum, x, dims, keep);
  return op(OpCode::Div, {total, element_count(x, dims, type_of(x).dtype)});
}

// Two passes; the divisor is at least 0, as in torch.
ValueId Composites::variance(const Texpr& e, ValueId x) {
  ValueId centre = mean(x, e.dims, true);
  centre = builder_.view(OpCode::Expand, centre, {}, type_of(x).shape);
  ValueId distance = op(OpCode::Sub, {x, centre});
  ValueId squares = op(OpCode::Mul, {distance, distance});
  ValueId count = element_count(x, e.dims, type_of(x).dtype);
  if (e.real != 0) {
    count = op(OpCode::Max, {op(OpCode::Sub, {count, real(x, e.real)}), real(x, 0)});
  }
  return op(OpCode::Div, {reduce(OpCode::Sum, squares, e.dims, e.keep_dims), count});
}

ValueId Composites::softmax(ValueId x, i64 dim, bool log) {
  if (type_of(x).is_scalar()) x = builder_.view(OpCode::Unsqueeze, x, {0}, {});
  ValueId top = repeated(builder_.reduce(OpCode::ReduceMax, x, dim), dim, x);
  ValueId shifted = op(OpCode::Sub, {x, top});
  ValueId weights = op(OpCode::Exp, {shifted});
  ValueId total = builder_.reduce(OpCode::Sum, weights, dim);
  if (!log) return op(OpCode::Div, {weights, repeated(total, dim, x)});
  return op(OpCode::Sub, {shifted, repeated(op(OpCode::Log, {total}), dim, x)});
}

ValueId Composites::silu(ValueId x) { return op(OpCode::Mul, {x, op(OpCode::Sigmoid, {x})}); }

ValueId Composites::gelu(ValueId x, std::string_view form) {
  ValueId inner;
  if (form == "tanh") {
    const double scale = std::sqrt(2 / std::numbers::pi);
    ValueId cube = op(OpCode::Mul, {op(OpCode::Mul, {x, x}), x});
    ValueId sum = op(OpCode::Add, {x, op(OpCode::Mul, {cube, real(x, 0.044715)})});
    inner = op(OpCode::Tanh, {op(OpCode::Mul, {sum, real(x, scale)})});
  } else {
    inner = op(OpCode::Erf, {op(OpCode::Mul, {x, real(x, std::numbers::sqrt2 / 2)})});
  }
  ValueId half = op(OpCode::Mul, {x, real(x, 0.5)});
  return op(OpCode::Mul, {half, op(OpCode::Add, {inner, real(x, 1)})});
}

// log(1 + e^(beta x)) / beta, and x itself where that makes no difference.
ValueId Composites::softplus(ValueId x, double beta) {
  constexpr double kThreshold = 20;
  ValueId scaled = beta == 1 ? x : op(OpCode::Mul, {x, real(x, beta)});
  ValueId soft = op(OpCode::Log1p, {op(OpCode::Exp, {scaled})});
  if (beta != 1) soft = op(OpCode::Div, {soft, real(x, beta)});
  return op(OpCode::Select, {op(OpCode::Gt, {scaled, real(x, kThreshold)}), x, soft});
}

// The form that is exact at the nearer end.
ValueId Composites::lerp(ValueId start, ValueId end, ValueId weight) {
  ValueId way = op(OpCode::Sub, {end, start});
  ValueId rest = op(OpCode::Sub, {real(weight, 1), weight});
  ValueId from_start = op(OpCode::Add, {start, op(OpCode::Mul, {weight, way})});
  ValueId from_end = op(OpCode::Sub, {end, op(OpCode::Mul, {way, rest})});
  ValueId near_start = op(OpCode::Lt, {op(OpCode::Abs, {weight}), real(weight, 0.5)});
  return op(OpCode::Select, {near_start, from_start, from_end});
}

ValueId Composites::clamp(ValueId x, ValueId low, ValueId high) {
  return op(OpCode::Min, {op(OpCode::Max, {x, low}), high});
}

}  // namespace peri::lower
