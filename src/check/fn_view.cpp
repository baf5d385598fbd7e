// Views: of device values by explicit operations, of host tensors by their strides.
#include <fmt/format.h>

#include "check/fns.h"

namespace peri::check {

using diag::Kind;

namespace {

// Finds which extents of a reshaped value become which. A tile axis stays one where a size or tile
// of the result says so; else it merges with its neighbours, which asks for full tiles (see the
// config space). What lies between is reshaped freely.
class DeviceReshape {
 public:
  DeviceReshape(Checker& c, std::vector<Dim> from, std::vector<Dim> to, Span span)
      : c_(c), from_(std::move(from)), to_(std::move(to)), span_(span) {}

  std::optional<std::vector<Dim>> run() {
    if (!infer()) return std::nullopt;
    std::size_t i = 0, j = 0;
    while (i < from_.size() || j < to_.size()) {
      if (i < from_.size() && j < to_.size() && same(from_[i], to_[j])) {
        if (!to_[j].block) to_[j].block = from_[i].block;
        ++i, ++j;
      } else if (i < from_.size() && from_[i].size.is_int(1)) {
        ++i;
      } else if (j < to_.size() && to_[j].size.is_int(1)) {
        ++j;
      } else if (!group(i, j)) {
        return std::nullopt;
      }
    }
    return to_;
  }

 private:
  bool same(const Dim& a, const Dim& b) {
    if (a.block && b.block) return a.block == b.block;
    return c_.equal(a.size, b.size);
  }

  static std::vector<Sym> sizes(std::span<const Dim> dims) {
    std::vector<Sym> result;
    for (const Dim& d : dims) result.push_back(d.size);
    return result;
  }

  Sym count(const std::vector<Dim>& dims, std::size_t begin, std::size_t end) {
    return c_.product(sizes(std::span(dims).subspan(begin, end - begin)));
  }

  bool group(std::size_t& i, std::size_t& j) {
    return between_axes(i, j) || merged(i, j) || mismatch();
  }

  // Extents up to the next tile axis, on both sides, hold the same elements.
  bool between_axes(std::size_t& i, std::size_t& j) {
    std::size_t from = i, to = j;
    while (from < from_.size() && !from_[from].block) ++from;
    while (to < to_.size() && !to_[to].block) ++to;
    if (from == i && to == j) return false;
    const Sym have = count(from_, i, from), want = count(to_, j, to);
    if (!c_.equal(have, want) && !c_.assume_equal(have, want)) return false;
    i = from, j = to;
    return true;
  }

  // The fewest extents, on both sides, that hold the same elements.
  bool merged(std::size_t& i, std::size_t& j) {
    const std::size_t rest = from_.size() - i + to_.size() - j;
    for (std::size_t total = 2; total <= rest; ++total) {
      for (std::size_t m = 1; m < total; ++m) {
        const std::size_t from = i + m, to = j + total - m;
        if (from > from_.size() || to > to_.size()) continue;
        if (!c_.equal(count(from_, i, from), count(to_, j, to))) continue;
        const bool merges = std::any_of(from_.begin() + i, from_.begin() + from,
                                        [](const Dim& d) { return bool(d.block); });
        for (; j < to; ++j) {
          if (merges) to_[j].block = {};
        }
        i = from;
        return true;
      }
    }
    return false;
  }

  bool mismatch() {
    c_.error(Kind::ShapeMismatch, span_,
             fmt::format("a {} cannot be viewed as [{}]", c_.describe(TileType{Dtype::F32, from_}),
                         c_.sizes_text(sizes(to_))));
    return false;
  }

  bool infer() {
    std::optional<std::size_t> open;
    for (std::size_t i = 0; i < to_.size(); ++i) {
      if (!to_[i].size.is_int(-1)) continue;
      if (open) {
        c_.error(Kind::ShapeMismatch, span_, "only one size can be -1");
        return false;
      }
      open = i;
    }
    if (!open) return true;
    std::vector<Sym> known = sizes(to_);
    known.erase(known.begin() + static_cast<i64>(*open));
    Sym quotient = c_.canon(c_.divide(sizes(from_), known));
    if (quotient.kind() == SymKind::FloorDiv && settle(quotient.operand(1))) {
      quotient = c_.canon(c_.divide(sizes(from_), known));
    }
    to_[*open].size = quotient;
    return true;
  }

  // What is left to divide by is an extent of the operand, for the arguments at hand.
  bool settle(Sym divisor) {
    const std::optional<i64> wanted = c_.hint(divisor);
    return std::ranges::any_of(from_, [&](const Dim& d) {
      return !d.block && !d.size.is_const() && wanted && c_.hint(d.size) == wanted &&
             c_.assume_equal(d.size, divisor);
    });
  }

  Checker& c_;
  std::vector<Dim> from_, to_;
  Span span_;
};

Value reshape_device(Checker& c, const Value& v, const Value& shape, Span span) {
  const auto wanted = c.shape_from(shape, span);
  if (!wanted) return {};
  const auto dims = DeviceReshape(c, c.type(v).shape, *wanted, span).run();
  if (!dims) return {};
  return array_value(c.reshape(v.expr, *dims));
}

Value reshape_value(Checker& c, const Args& a, const Value& shape) {
  if (!tensor_arg(c, a, 0)) return {};
  if (a[0].array()) return reshape_device(c, a[0], shape, a.span);
  const auto sizes = c.sizes_from(shape, a.span);
  return sizes ? c.host_reshape(a[0], *sizes, a.span) : Value();
}

// With dimension i of the result being dimension order[i] of the operand.
Value permute_value(Checker& c, const Value& v, const std::vector<i64>& order) {
  if (v.array()) return array_value(c.permute(v.expr, order));
  const HostTensor t = c.kernel[v.tensor];
  std::vector<Sym> sizes, strides;
  for (i64 d : order) {
    sizes.push_back(t.sizes[static_cast<std::size_t>(d)]);
    strides.push_back(t.strides[static_cast<std::size_t>(d)]);
  }
  return c.host_view(v.tensor, std::move(sizes), std::move(strides), c.integer(0));
}

Value swap_dims(Checker& c, const Value& v, i64 first, i64 second) {
  std::vector<i64> order;
  for (i64 i = 0; i < rank_of(c, v); ++i) order.push_back(i);
  std::swap(order[static_cast<std::size_t>(first)], order[static_cast<std::size_t>(second)]);
  return permute_value(c, v, order);
}

bool extent_is_one(Checker& c, const Value& v, i64 dim) {
  const std::size_t d = static_cast<std::size_t>(dim);
  if (v.array()) return c.type(v).shape[d].size.is_int(1);
  const Sym size = c.canon(c.kernel[v.tensor].sizes[d]);
  if (size.is_const()) return size.is_int(1);
  if (c.hint(size) == 1) return c.assume_equal(size, c.integer(1));
  return !c.assume_true(c.syms.make(SymKind::Ne, size, c.integer(1)));
}

Value drop_dims(Checker& c, Value v, std::vector<i64> dims) {
  std::ranges::sort(dims, std::greater());
  if (v.array()) {
    for (i64 d : dims) v.expr = c.squeeze(v.expr, d);
    return array_value(v.expr);
  }
  const HostTensor t = c.kernel[v.tensor];
  std::vector<Sym> sizes = t.sizes, strides = t.strides;
  for (i64 d : dims) {
    sizes.erase(sizes.begin() + d);
    strides.erase(strides.begin() + d);
  }
  return c.host_view(v.tensor, std::move(sizes), std::move(strides), c.integer(0));
}

Value expand_device(Checker& c, const Args& a, const Value& shape) {
  auto dims = c.shape_from(shape, a.span);
  if (!dims) return {};
  const std::vector<Dim> from = c.type(a[0]).shape;
  if (dims->size() < from.size()) {
    return c.bad(Kind::RankMismatch, a.span, "a value cannot be expanded to fewer dimensions");
  }
  const std::size_t offset = dims->size() - from.size();
  for (std::size_t i = offset; i < dims->size(); ++i) {
    const Dim& have = from[i - offset];
    Dim& want = (*dims)[i];
    if (want.size.is_int(-1) || (!want.block && c.same_extent(have, want))) want = have;
    if (have.size.is_int(1) || c.same_extent(have, want)) continue;
    diag::Diagnostic& d = c.error(Kind::ShapeMismatch, a.span, "only extents of 1 can be expanded");
    d.labels.push_back({a[0].span, c.describe(a[0])});
    return {};
  }
  return array_value(c.broadcast_to(a[0].expr, *dims));
}

}  // namespace

Value matrix_transpose(Checker& c, const Value& v, const std::string& name, Span span) {
  const i64 rank = rank_of(c, v);
  if (name == "T" && rank != 2) {
    std::vector<i64> order;
    for (i64 i = rank; i-- > 0;) order.push_back(i);
    return permute_value(c, v, order);
  }
  if (rank < 2) {
    return c.bad(Kind::RankMismatch, span, fmt::format("`.{}` needs two dimensions", name));
  }
  return swap_dims(c, v, rank - 2, rank - 1);
}

namespace fn {

Value reshape(Checker& c, const Args& a) { return reshape_value(c, a, a[1]); }

Value view(Checker& c, const Args& a) {
  const bool dtype =
      a.has(1) && a[1].seq->items.size() == 1 && a[1].seq->items[0].is(ValueKind::Dtype);
  if (dtype) return c.not_yet(a.span, "viewing a tensor as another dtype");
  return reshape_value(c, a, a[1]);
}

Value view_as(Checker& c, const Args& a) {
  if (!tensor_arg(c, a, 1)) return {};
  return reshape_value(c, a, sequence_value(c.shape_values(a[1])));
}

Value permute(Checker& c, const Args& a) {
  if (!tensor_arg(c, a, 0)) return {};
  const i64 rank = rank_of(c, a[0]);
  const auto order = c.dims_from(a[1], rank, a.span);
  if (!order) return {};
  if (static_cast<i64>(order->size()) != rank) {
    return c.bad(Kind::RankMismatch, a.span,
                 fmt::format("{} dimensions are named for a value with {}", order->size(), rank));
  }
  return permute_value(c, a[0], *order);
}

Value transpose(Checker& c, const Args& a) {
  if (!tensor_arg(c, a, 0)) return {};
  const i64 rank = rank_of(c, a[0]);
  const auto first = c.dim_from(a[1], rank, a[1].span), second = c.dim_from(a[2], rank, a[2].span);
  return first && second ? swap_dims(c, a[0], *first, *second) : Value();
}

Value matrix_t(Checker& c, const Args& a) {
  if (!tensor_arg(c, a, 0)) return {};
  const i64 rank = rank_of(c, a[0]);
  if (rank > 2) return c.bad(Kind::RankMismatch, a.span, "`.t()` needs at most two dimensions");
  return rank < 2 ? a[0] : swap_dims(c, a[0], 0, 1);
}

Value squeeze(Checker& c, const Args& a) {
  if (!tensor_arg(c, a, 0)) return {};
  const i64 rank = rank_of(c, a[0]);
  std::vector<i64> candidates;
  if (a.has(1) && !a[1].seq->items.empty()) {
    const auto dims = c.dims_from(a[1], rank, a.span);
    if (!dims) return {};
    candidates = *dims;
  } else {
    for (i64 i = 0; i < rank; ++i) candidates.push_back(i);
  }
  std::erase_if(candidates, [&](i64 d) { return !extent_is_one(c, a[0], d); });
  return candidates.empty() ? a[0] : drop_dims(c, a[0], candidates);
}

Value unsqueeze(Checker& c, const Args& a) {
  if (!tensor_arg(c, a, 0)) return {};
  const auto dim = c.dim_from(a[1], rank_of(c, a[0]) + 1, a[1].span);
  if (!dim) return {};
  if (a[0].array()) return array_value(c.unsqueeze(a[0].expr, *dim));
  const HostTensor t = c.kernel[a[0].tensor];
  std::vector<Sym> sizes = t.sizes, strides = t.strides;
  sizes.insert(sizes.begin() + *dim, c.integer(1));
  strides.insert(strides.begin() + *dim, c.integer(1));
  return c.host_view(a[0].tensor, std::move(sizes), std::move(strides), c.integer(0));
}

// Where the index along the new dimension is i, the i-th value.
Value stack(Checker& c, const Args& a) {
  if (!a[0].is(ValueKind::Sequence) || a[0].seq->items.empty()) {
    return bad_arg(c, a, 0, "one tensor or more in a list");
  }
  const std::vector<Value> items = a[0].seq->items;
  for (const Value& item : items) {
    if (item.poison()) return {};
    if (item.is(ValueKind::Tensor)) return c.not_yet(a.span, "stack on host tensors");
    if (!item.array()) return bad_arg(c, a, 0, "one tensor or more in a list");
    const std::vector<Dim>&first = c.type(items[0]).shape, &shape = c.type(item).shape;
    const auto same = [&](const Dim& x, const Dim& y) { return c.same_extent(x, y); };
    if (std::ranges::equal(first, shape, same)) continue;
    return c.bad(Kind::ShapeMismatch, a.span,
                 fmt::format("a {} is stacked with a {}", c.describe(items[0]), c.describe(item)));
  }
  const std::optional<i64> dim =
      a.has(1) ? c.dim_from(a[1], rank_of(c, items[0]) + 1, a[1].span) : std::optional<i64>(0);
  const std::optional<Dtype> dtype = c.promote_operands(items);
  if (!dim || !dtype) return {};
  const Dim count{c.integer(static_cast<i64>(items.size())), {}};
  Value index = array_value(c.apply(Builtin::Iota, {}, {Dtype::I64, {count}}, a.span));
  for (i64 d = *dim; d < rank_of(c, items[0]); ++d)
    index.expr = c.unsqueeze(index.expr, 1 + d - *dim);
  Value result;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const Value item = array_value(c.unsqueeze(c.cast(items[i].expr, *dtype), *dim));
    const Value here = scalar_value(c.integer(static_cast<i64>(i)));
    result = i == 0 ? item
                    : c.elementwise(Builtin::Where,
                                    {c.elementwise(Builtin::Eq, {index, here}, a.span, a.name()),
                                     item, result},
                                    a.span, a.name());
  }
  return result;
}

Value expand(Checker& c, const Args& a) {
  if (!tensor_arg(c, a, 0)) return {};
  if (a[0].array()) return expand_device(c, a, a[1]);
  const auto sizes = c.sizes_from(a[1], a.span);
  return sizes ? c.host_expand(a[0], *sizes, a.span) : Value();
}

Value expand_as(Checker& c, const Args& a) {
  if (!tensor_arg(c, a, 0) || !tensor_arg(c, a, 1)) return {};
  const Value shape = sequence_value(c.shape_values(a[1]));
  if (a[0].array()) return expand_device(c, a, shape);
  const auto sizes = c.sizes_from(shape, a.span);
  return sizes ? c.host_expand(a[0], *sizes, a.span) : Value();
}

Value flatten(Checker& c, const Args& a) {
  if (!tensor_arg(c, a, 0)) return {};
  const i64 rank = rank_of(c, a[0]);
  const Value zero = c.scalar_int(0), last = c.scalar_int(-1);
  if (rank == 0) return reshape_value(c, a, sequence_value({c.scalar_int(1)}));
  const auto start = c.dim_from(a.has(1) ? a[1] : zero, rank, a.span);
  const auto end = c.dim_from(a.has(2) ? a[2] : last, rank, a.span);
  if (!start || !end) return {};
  std::vector<Value> shape;
  const std::vector<Value> from = c.shape_values(a[0]);
  for (i64 i = 0; i < rank; ++i) {
    if (i < *start || i > *end) {
      shape.push_back(from[static_cast<std::size_t>(i)]);
    } else if (i == *start) {
      shape.push_back(*start == *end ? from[static_cast<std::size_t>(i)] : c.scalar_int(-1));
    }
  }
  return reshape_value(c, a, sequence_value(std::move(shape)));
}

Value contiguous(Checker& c, const Args& a) {
  const bool copy = a[0].is(ValueKind::Tensor) && !c.is_contiguous(c.kernel[a[0].tensor]);
  return copy ? c.host_copy(a[0], a.span) : a[0];
}

Value clone(Checker& c, const Args& a) {
  return a[0].is(ValueKind::Tensor) ? c.host_copy(a[0], a.span) : a[0];
}

Value detach(Checker&, const Args& a) { return a[0]; }

// copy_, fill_, zero_
Value fill_in_place(Checker& c, const Args& a) {
  if (!a[0].is(ValueKind::Tensor)) return bad_arg(c, a, 0, "a host tensor");
  c.host_assign(a[0], a.values.size() > 1 ? a[1] : c.scalar_int(0), a.span);
  return a[0];
}

Value narrow(Checker& c, const Args& a) {
  if (!a[0].is(ValueKind::Tensor) || c.device) return c.not_yet(a.span, "narrow on a device value");
  const auto dim = c.dim_from(a[1], rank_of(c, a[0]), a[1].span);
  if (!dim || !a[2].scalar() || !a[3].scalar()) return {};
  std::vector<Value> index(
      static_cast<std::size_t>(*dim),
      sequence_value({none_value(), none_value(), none_value()}, false, ValueKind::Slice));
  const Value stop = scalar_value(c.syms.add(a[2].sym, a[3].sym));
  index.push_back(sequence_value({a[2], stop, none_value()}, false, ValueKind::Slice));
  return c.host_subscript(a[0], sequence_value(std::move(index)), a.span);
}

Value select(Checker& c, const Args& a) {
  if (!a[0].is(ValueKind::Tensor) || c.device) return c.not_yet(a.span, "select on a device value");
  const auto dim = c.dim_from(a[1], rank_of(c, a[0]), a[1].span);
  if (!dim) return {};
  std::vector<Value> index(
      static_cast<std::size_t>(*dim),
      sequence_value({none_value(), none_value(), none_value()}, false, ValueKind::Slice));
  index.push_back(a[2]);
  return c.host_subscript(a[0], sequence_value(std::move(index)), a.span);
}

Value hl_subscript(Checker& c, const Args& a) {
  if (a[0].is(ValueKind::Tensor))
    return c.load(a[0].tensor, Checker::index_items(a[1]), nullptr, a.span);
  if (!tensor_arg(c, a, 0)) return {};
  return device_subscript(c, a[0], Checker::index_items(a[1]), a.span);
}

}  // namespace fn
}  // namespace peri::check
