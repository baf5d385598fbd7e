// Views of host tensors.
#include <fmt/format.h>

#include "check/checker.h"

namespace peri::check {

using diag::Kind;

Value Checker::host_view(TensorId base, std::vector<Sym> sizes, std::vector<Sym> strides,
                         Sym offset) {
  HostTensor view;
  view.kind = HostTensor::Kind::View;
  const HostTensor& from = kernel[base];
  view.name = from.name;
  view.dtype = from.dtype;
  view.sizes = std::move(sizes);
  view.strides = std::move(strides);
  view.base = base;
  view.offset = offset;
  if (from.kind == HostTensor::Kind::View) {
    view.base = from.base;
    view.offset = canon(syms.add(from.offset, offset));
  }
  return tensor_value(add_tensor(std::move(view)));
}

bool Checker::is_contiguous(const HostTensor& tensor) {
  const std::vector<Sym> want = contiguous_strides(tensor.sizes);
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (canon(tensor.sizes[i]).is_int(1)) continue;
    if (!equal(want[i], tensor.strides[i])) return false;
  }
  return true;
}

namespace {

// One dimension of a host subscript.
struct HostSlice {
  Sym start, extent, step;
};

std::optional<HostSlice> host_slice(Checker& c, const Value& slice, Sym size) {
  Sym parts[3] = {c.integer(0), size, c.integer(1)};
  for (int i = 0; i < 3; ++i) {
    const Value& part = slice.seq->items[static_cast<std::size_t>(i)];
    if (part.none()) continue;
    if (!part.scalar() || part.sym.type() != SymType::Int) {
      c.bad(Kind::SliceBounds, part.span,
            fmt::format("{} is no bound of a slice", kind_text(part)));
      return std::nullopt;
    }
    Sym at = c.canon(part.sym);
    if (i < 2) {
      const Sym wrapped = c.wrap_index(at, size);
      if (wrapped != at) at = c.syms.make(SymKind::Max, wrapped, c.integer(0));
      at = c.canon(c.syms.make(SymKind::Min, at, size));
    }
    parts[i] = at;
  }
  const std::optional<i64> step = parts[2].as_int();
  if (!step || *step <= 0) {
    c.bad(Kind::SliceBounds, slice.span, "the step of a slice must be a positive constant");
    return std::nullopt;
  }
  Sym extent = c.syms.make(SymKind::Max, c.syms.sub(parts[1], parts[0]), c.integer(0));
  if (*step != 1) extent = c.syms.ceil_div(extent, parts[2]);
  return HostSlice{parts[0], c.canon(extent), parts[2]};
}

std::optional<Sym> host_index(Checker& c, const Value& v, Sym size, i64 dim, const HostTensor& t,
                              Span span) {
  const std::optional<i64> given = c.hint(v.sym), limit = c.hint(size);
  if (given && limit && (*given >= *limit || *given < -*limit)) {
    c.bad(Kind::IndexRange, span,
          fmt::format("index {} is outside dimension {} of `{}`, which has size {}", *given, dim,
                      t.name, *limit));
    return std::nullopt;
  }
  const Sym at = c.wrap_index(v.sym, size);
  const Sym inside = c.canon(c.syms.make(SymKind::And, c.syms.make(SymKind::Ge, at, c.integer(0)),
                                         c.syms.make(SymKind::Lt, at, size)));
  if (!inside.is_const()) {
    c.require(inside, "index-out-of-range",
              fmt::format("index {} is outside dimension {} of `{}`", c.syms.print(c.canon(v.sym)),
                          dim, t.name),
              span);
  }
  return at;
}

}  // namespace

Value Checker::host_subscript(const Value& tensor, const Value& index, Span span) {
  if (tensor.poison() || index.poison()) return {};
  const HostTensor t = kernel[tensor.tensor];
  std::vector<Value> items = index_items(index);
  const std::size_t rank = t.sizes.size();
  const std::size_t used = static_cast<std::size_t>(std::ranges::count_if(
      items, [](const Value& v) { return !v.none() && !v.is(ValueKind::Ellipsis); }));
  if (used > rank) {
    return bad(
        Kind::RankMismatch, span,
        fmt::format("`{}` has {} dimensions, and {} subscripts are given", t.name, rank, used));
  }
  const Value all =
      sequence_value({none_value(), none_value(), none_value()}, false, ValueKind::Slice);
  auto ellipsis =
      std::ranges::find_if(items, [](const Value& v) { return v.is(ValueKind::Ellipsis); });
  if (ellipsis != items.end()) ellipsis = items.erase(ellipsis);
  items.insert(ellipsis, rank - used, all);
  std::vector<Sym> sizes, strides;
  Sym offset = integer(0);
  std::size_t dim = 0;
  for (const Value& v : items) {
    if (v.none()) {
      sizes.push_back(integer(1));
      strides.push_back(integer(1));
      continue;
    }
    const Sym size = canon(t.sizes[dim]), stride = t.strides[dim];
    if (v.is(ValueKind::Slice)) {
      const auto slice = host_slice(*this, v, size);
      if (!slice) return {};
      offset = syms.add(offset, syms.mul(slice->start, stride));
      sizes.push_back(slice->extent);
      strides.push_back(syms.mul(stride, slice->step));
    } else if (v.scalar() && v.sym.type() == SymType::Int) {
      const auto at =
          host_index(*this, v, size, static_cast<i64>(dim), t, v.span.source ? v.span : span);
      if (!at) return {};
      offset = syms.add(offset, syms.mul(*at, stride));
    } else if (v.is(ValueKind::Tensor)) {
      return not_yet(v.span.source ? v.span : span, "indexing a host tensor with a tensor");
    } else {
      return bad(Kind::IndexType, v.span.source ? v.span : span,
                 fmt::format("{} is no subscript of a host tensor", kind_text(v)));
    }
    ++dim;
  }
  return host_view(tensor.tensor, std::move(sizes), std::move(strides), canon(offset));
}

namespace {

// Strides of a view with other sizes, by torch's rule, where every size and stride is constant.
std::optional<std::vector<i64>> view_strides(const std::vector<i64>& sizes,
                                             const std::vector<i64>& strides,
                                             const std::vector<i64>& wanted) {
  std::vector<i64> result(wanted.size());
  if (sizes.empty()) return std::vector<i64>(wanted.size(), 1);
  std::size_t view = wanted.size();
  i64 chunk_stride = strides.back(), tensor_numel = 1, view_numel = 1;
  for (std::size_t d = sizes.size(); d-- > 0;) {
    tensor_numel *= sizes[d];
    const bool chunk_ends =
        d == 0 || (sizes[d - 1] != 1 && strides[d - 1] != tensor_numel * chunk_stride);
    if (!chunk_ends) continue;
    while (view > 0 && (view_numel < tensor_numel || wanted[view - 1] == 1)) {
      --view;
      result[view] = view_numel * chunk_stride;
      view_numel *= wanted[view];
    }
    if (view_numel != tensor_numel) return std::nullopt;
    if (d > 0) {
      chunk_stride = strides[d - 1];
      tensor_numel = 1;
      view_numel = 1;
    }
  }
  return view == 0 ? std::optional(result) : std::nullopt;
}

std::optional<std::vector<i64>> constants(const std::vector<Sym>& values) {
  std::vector<i64> result;
  for (Sym s : values) {
    if (!s.as_int()) return std::nullopt;
    result.push_back(*s.as_int());
  }
  return result;
}

// The same sizes but for inserted or dropped ones.
std::optional<std::vector<Sym>> strides_between_ones(Checker& c, const HostTensor& t,
                                                     const std::vector<Sym>& sizes) {
  std::vector<Sym> strides;
  std::size_t from = 0;
  for (Sym size : sizes) {
    while (from < t.sizes.size() && c.canon(t.sizes[from]).is_int(1)) ++from;
    if (size.is_int(1)) {
      strides.push_back(c.integer(1));
    } else if (from < t.sizes.size() && c.equal(size, t.sizes[from])) {
      strides.push_back(t.strides[from++]);
    } else {
      return std::nullopt;
    }
  }
  while (from < t.sizes.size() && c.canon(t.sizes[from]).is_int(1)) ++from;
  return from == t.sizes.size() ? std::optional(strides) : std::nullopt;
}

}  // namespace

// Replaces a -1 among `sizes`, and checks that the number of elements stays.
std::optional<std::vector<Sym>> Checker::infer_sizes(const std::vector<Sym>& from,
                                                     std::vector<Sym> sizes, Span span) {
  std::optional<std::size_t> open;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (!sizes[i].is_int(-1)) continue;
    if (open) {
      bad(Kind::ShapeMismatch, span, "only one size can be -1");
      return std::nullopt;
    }
    open = i;
  }
  std::vector<Sym> known = sizes;
  if (open) known.erase(known.begin() + static_cast<i64>(*open));
  if (open) sizes[*open] = canon(divide(from, known));
  const Sym have = product(from), want = product(sizes);
  if (equal(have, want)) return sizes;
  const std::optional<i64> a = hint(have), b = hint(want);
  if (a && b && *a == *b && assume_equal(have, want)) return sizes;
  if (open && a && b && depends_on_config(want)) return sizes;
  bad(Kind::ShapeMismatch, span,
      fmt::format("{} elements cannot be viewed as [{}]", syms.print(have), sizes_text(sizes)));
  return std::nullopt;
}

std::string Checker::sizes_text(const std::vector<Sym>& sizes) {
  std::string text;
  for (Sym s : sizes) text += (text.empty() ? "" : ", ") + syms.print(s);
  return text;
}

Value Checker::host_reshape(const Value& tensor, std::vector<Sym> wanted, Span span) {
  const HostTensor t = kernel[tensor.tensor];
  const auto sizes = infer_sizes(t.sizes, std::move(wanted), span);
  if (!sizes) return {};
  if (is_contiguous(t)) {
    return host_view(tensor.tensor, *sizes, contiguous_strides(*sizes), integer(0));
  }
  if (const auto strides = strides_between_ones(*this, t, *sizes)) {
    return host_view(tensor.tensor, *sizes, *strides, integer(0));
  }
  const auto have = constants(t.sizes), steps = constants(t.strides), want = constants(*sizes);
  if (have && steps && want) {
    if (const auto strides = view_strides(*have, *steps, *want)) {
      std::vector<Sym> result;
      for (i64 s : *strides) result.push_back(integer(s));
      return host_view(tensor.tensor, *sizes, result, integer(0));
    }
  }
  const Value copy = host_copy(tensor, span);
  return host_view(copy.tensor, *sizes, contiguous_strides(*sizes), integer(0));
}

Value Checker::host_expand(const Value& tensor, const std::vector<Sym>& wanted, Span span) {
  const HostTensor t = kernel[tensor.tensor];
  if (wanted.size() < t.sizes.size()) {
    return bad(Kind::RankMismatch, span, "a tensor cannot be expanded to fewer dimensions");
  }
  const std::size_t offset = wanted.size() - t.sizes.size();
  std::vector<Sym> sizes = wanted, strides(wanted.size(), integer(0));
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (i < offset) continue;
    const Sym have = canon(t.sizes[i - offset]);
    if (wanted[i].is_int(-1) || equal(have, wanted[i])) {
      sizes[i] = have;
      strides[i] = t.strides[i - offset];
    } else if (have.is_int(1) ||
               (hint(have) == 1 && hint(wanted[i]) != 1 && assume_equal(have, integer(1)))) {
      sizes[i] = wanted[i];
    } else if (assume_equal(have, wanted[i])) {
      strides[i] = t.strides[i - offset];
    } else {
      return bad(
          Kind::ShapeMismatch, span,
          fmt::format("size {} cannot be expanded to {}", syms.print(have), syms.print(wanted[i])));
    }
  }
  return host_view(tensor.tensor, std::move(sizes), std::move(strides), integer(0));
}

Value Checker::host_copy(const Value& tensor, Span span) {
  const HostTensor t = kernel[tensor.tensor];
  const TensorId copy = alloc(t.name, t.dtype, t.sizes, {}, span);
  HostStmt stmt = host_statement(HostStmt::Kind::Copy, span);
  stmt.tensor = copy;
  stmt.source = tensor.tensor;
  kernel.host.push_back(std::move(stmt));
  return tensor_value(copy);
}

}  // namespace peri::check
