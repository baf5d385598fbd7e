// Matrix products.
#include <fmt/format.h>

#include "check/fns.h"

namespace peri::check {

using diag::Kind;

namespace {

// A matrix product of device values being typed.
class Product {
 public:
  Product(Checker& c, Value a, Value b, Span span, std::string name)
      : c_(c), a_(std::move(a)), b_(std::move(b)), span_(span), name_(std::move(name)) {}

  // Promotes the operands, gives both the same rank (2, or 3 with a batch) and checks extents.
  bool prepare() {
    if (!operand(a_) || !operand(b_)) return false;
    dtype = promote(dtype_of(c_, a_), dtype_of(c_, b_));
    if (dtype == Dtype::Bool) return fail("is not defined for bool", Kind::DtypeNotAllowed);
    a_.expr = c_.cast(a_.expr, dtype);
    b_.expr = c_.cast(b_.expr, dtype);
    if (rank(a_) == 0 || rank(b_) == 0) return fail("needs matrices, not scalars");
    vector_a_ = rank(a_) == 1;
    vector_b_ = rank(b_) == 1;
    if (vector_a_) a_.expr = c_.unsqueeze(a_.expr, 0);
    if (vector_b_) b_.expr = c_.unsqueeze(b_.expr, 1);
    return drop_unit_batches() && match_batches() && match_k();
  }

  std::vector<Dim> shape() const {
    std::vector<Dim> result;
    if (rank(a_) == 3) result.push_back(dim(a_, 0).block ? dim(a_, 0) : dim(b_, 0));
    result.push_back(dim(a_, rank(a_) - 2));
    result.push_back(dim(b_, rank(b_) - 1));
    return result;
  }

  Value build(std::optional<TexprId> acc, Dtype result) {
    std::vector<TexprId> operands{a_.expr, b_.expr};
    if (acc) operands.push_back(*acc);
    TexprId e = c_.apply(Builtin::Dot, std::move(operands), {result, shape()}, span_);
    for (i64 i = 0; i < dropped_; ++i) e = c_.unsqueeze(e, 0);
    if (vector_b_) e = c_.squeeze(e, c_.expr(e).type.rank() - 1);
    if (vector_a_) e = c_.squeeze(e, c_.expr(e).type.rank() - (vector_b_ ? 1 : 2));
    return array_value(e);
  }

  i64 dropped() const { return dropped_; }
  Dtype dtype = Dtype::F32;

 private:
  i64 rank(const Value& v) const { return c_.type(v).rank(); }
  Dim dim(const Value& v, i64 i) const { return c_.type(v).shape[static_cast<std::size_t>(i)]; }

  bool fail(std::string_view what, Kind kind = Kind::DotMismatch) {
    diag::Diagnostic& d = c_.error(kind, span_, fmt::format("`{}` {}", name_, what));
    d.labels.push_back({a_.span, c_.describe(a_)});
    d.labels.push_back({b_.span, c_.describe(b_)});
    return false;
  }

  bool operand(const Value& v) {
    if (v.array()) return true;
    if (v.poison()) return false;
    c_.error(Kind::BadArgument, v.span.source ? v.span : span_,
             fmt::format("`{}` needs matrices, and this is {}", name_, kind_text(v)));
    return false;
  }

  // Leading dimensions beyond one batch must be 1 in both operands.
  bool drop_unit_batches() {
    const i64 most = std::max(rank(a_), rank(b_));
    for (Value* v : {&a_, &b_}) {
      while (rank(*v) > 3) {
        if (!dim(*v, 0).size.is_int(1)) {
          c_.not_yet(span_, "a matrix product with several batch dimensions");
          return false;
        }
        v->expr = c_.squeeze(v->expr, 0);
      }
    }
    dropped_ = std::max<i64>(0, most - 3);
    return true;
  }

  bool match_batches() {
    if (rank(a_) == 2 && rank(b_) == 2) return true;
    for (Value* v : {&a_, &b_}) {
      if (rank(*v) == 2) v->expr = c_.unsqueeze(v->expr, 0);
    }
    const Dim x = dim(a_, 0), y = dim(b_, 0);
    if (c_.same_extent(x, y)) return true;
    if (!x.size.is_int(1) && !y.size.is_int(1)) return fail("has operands with different batches");
    Value& grown = x.size.is_int(1) ? a_ : b_;
    std::vector<Dim> shape = c_.type(grown).shape;
    shape[0] = x.size.is_int(1) ? y : x;
    grown.expr = c_.broadcast_to(grown.expr, shape);
    return true;
  }

  bool match_k() {
    const Dim x = dim(a_, rank(a_) - 1), y = dim(b_, rank(b_) - 2);
    if (c_.same_extent(x, y)) return true;
    return fail("has operands whose inner extents differ");
  }

  Checker& c_;
  Value a_, b_;
  Span span_;
  std::string name_;
  bool vector_a_ = false, vector_b_ = false;
  i64 dropped_ = 0;
};

Value scaled(Checker& c, const Args& a, Value v, i64 factor) {
  if (!a.has(factor)) return v;
  return c.elementwise(Builtin::Mul, {v, a[factor]}, a.span, a.name());
}

// The accumulator in the product's shape; a bias row is broadcast as torch.addmm does.
std::optional<TexprId> accumulator(Checker& c, const Args& a, const Value& acc,
                                   const std::vector<Dim>& shape, i64 dropped) {
  TexprId e = acc.expr;
  for (i64 i = 0; i < dropped && c.expr(e).type.rank() > 3; ++i) e = c.squeeze(e, 0);
  const TileType type = c.expr(e).type;
  bool fits = type.shape.size() <= shape.size();
  const std::size_t offset = fits ? shape.size() - type.shape.size() : 0;
  for (std::size_t i = 0; fits && i < type.shape.size(); ++i) {
    fits = type.shape[i].size.is_int(1) || c.same_extent(type.shape[i], shape[offset + i]);
  }
  if (fits) return c.broadcast_to(e, shape);
  diag::Diagnostic& d =
      c.error(Kind::DotMismatch, a.span,
              fmt::format("the accumulator of `{}` does not fit the product", a.name()));
  d.labels.push_back({acc.span, c.describe(acc)});
  d.notes.push_back("the product is a " + c.describe(TileType{type.dtype, shape}));
  return std::nullopt;
}

bool any_tensor(const Args& a) {
  return std::ranges::any_of(a.values, [](const Value& v) { return v.is(ValueKind::Tensor); });
}

}  // namespace

Value dot_product(Checker& c, const Value& a, const Value& b, Span span) {
  if (a.is(ValueKind::Tensor) || b.is(ValueKind::Tensor)) {
    if (!c.device) {
      if (a.is(ValueKind::Tensor) && b.is(ValueKind::Tensor)) return c.host_dot(a, b, span);
    } else {
      c.check_no_host_tensor(a.is(ValueKind::Tensor) ? a : b);
      return {};
    }
  }
  Product product(c, a, b, span, "@");
  return product.prepare() ? product.build(std::nullopt, product.dtype) : Value();
}

namespace fn {

Value matmul(Checker& c, const Args& a) {
  if (any_tensor(a)) return dot_product(c, a[0], a[1], a.span);
  Product product(c, a[0], a[1], a.span, a.name());
  if (!product.prepare()) return {};
  const bool has_dtype = a.values.size() > 2;
  const std::optional<Dtype> dtype = has_dtype ? dtype_arg(c, a, 2, product.dtype) : product.dtype;
  return dtype ? product.build(std::nullopt, *dtype) : Value();
}

Value addmm(Checker& c, const Args& a) {
  if (any_tensor(a)) {
    if (c.device) return dot_product(c, a[1], a[2], a.span);
    const Value product = scaled(c, a, dot_product(c, a[1], a[2], a.span), 4);
    return c.binary("+", a[0], product, a.span, a.span);
  }
  Product product(c, a[1], a[2], a.span, a.name());
  if (!tensor_arg(c, a, 0) || !product.prepare()) return {};
  const Dtype dtype = dtype_of(c, a[0]);
  Value acc = scaled(c, a, a[0], 3);
  if (acc.poison()) return {};
  acc.span = a[0].span;
  const std::vector<Dim> shape = product.shape();
  const auto start = accumulator(c, a, acc, shape, product.dropped());
  if (!start) return {};
  if (!a.has(4)) return product.build(c.cast(*start, dtype), dtype);
  const Value scaled_product = scaled(c, a, product.build(std::nullopt, dtype), 4);
  return c.elementwise(Builtin::Add, {array_value(*start), scaled_product}, a.span, a.name());
}

Value hl_dot(Checker& c, const Args& a) {
  Product product(c, a[0], a[1], a.span, a.name());
  if (any_tensor(a)) {
    c.check_no_host_tensor(
        *std::ranges::find_if(a.values, [](const Value& v) { return v.is(ValueKind::Tensor); }));
    return {};
  }
  if (!product.prepare()) return {};
  const Dtype in = product.dtype;
  const bool allowed = is_float(in) || in == Dtype::I8;
  if (!allowed) {
    return c.bad(Kind::DtypeNotAllowed, a.span,
                 fmt::format("`hl.dot` is not defined for {}", name_of(in)),
                 "operands are f16, bf16, f32, f64 or i8");
  }
  const Dtype usual = in == Dtype::F64 ? in : is_float(in) ? Dtype::F32 : Dtype::I32;
  if (!a.has(2)) {
    const std::optional<Dtype> dtype = dtype_arg(c, a, 3, usual);
    return dtype ? product.build(std::nullopt, *dtype) : Value();
  }
  if (!tensor_arg(c, a, 2)) return {};
  const Dtype acc = dtype_of(c, a[2]);
  const std::optional<Dtype> dtype = dtype_arg(c, a, 3, acc);
  if (!dtype) return {};
  if (is_float(acc) != is_float(in)) {
    return c.bad(
        Kind::DtypeNotAllowed, a[2].span,
        fmt::format("an accumulator of {} does not fit operands of {}", name_of(acc), name_of(in)),
        is_float(in) ? "accumulate in f32" : "accumulate in i32");
  }
  const auto start = accumulator(c, a, a[2], product.shape(), product.dropped());
  if (!start) return {};
  Value v = product.build(*start, acc);
  v.expr = c.cast(v.expr, *dtype);
  return v;
}

// x @ weight.T + bias
Value linear(Checker& c, const Args& a) {
  if (!tensor_arg(c, a, 1)) return {};
  const Value weight = matrix_transpose(c, a[1], "T", a.span);
  const Value product = dot_product(c, a[0], weight, a.span);
  return a.has(2) ? c.binary("+", product, a[2], a.span, a.span) : product;
}

}  // namespace fn
}  // namespace peri::check
