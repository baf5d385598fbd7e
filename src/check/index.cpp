// Subscripts of host tensors in device code: loads and stores.
#include <fmt/format.h>

#include "check/checker.h"
#include "check/fns.h"
#include "types/sym_bounds.h"

namespace peri::check {

using diag::Kind;

namespace {

void flatten(const Value& v, std::vector<Value>& out) {
  if (!v.is(ValueKind::Sequence)) {
    out.push_back(v);
    return;
  }
  for (const Value& item : v.seq->items) flatten(item, out);
}

TIndex index_of(TIndex::Kind kind) {
  TIndex index;
  index.kind = kind;
  return index;
}

TIndex range_index(TexprId start, Sym extent) {
  TIndex index = index_of(TIndex::Kind::Range);
  index.value = start;
  index.extent = extent;
  return index;
}

TIndex tile_index(BlockId block, TexprId shift) {
  TIndex index = index_of(TIndex::Kind::Tile);
  index.block = block;
  index.value = shift;
  return index;
}

// Turns the subscripts of one access into TIndex entries and the shape of what they name.
class Accessor {
 public:
  Accessor(Checker& c, TensorId tensor, Span span, bool store, bool masked)
      : c_(c), tensor_(tensor), span_(span), store_(store), masked_(masked) {}

  std::optional<Checker::Access> run(std::vector<Value> items) {
    if (!fill_ellipsis(items)) return std::nullopt;
    find_soft_gathers(items);
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (!one(items[i], i)) return std::nullopt;
    }
    if (!gathers_.empty() && !place_gathers()) return std::nullopt;
    return std::move(access_);
  }

 private:
  const HostTensor& tensor() const { return c_.kernel[tensor_]; }
  Sym size() const { return c_.canon(tensor().sizes[dim_]); }

  bool fail(Kind kind, Span span, std::string message, std::string hint = {}) {
    c_.error(kind, span, std::move(message)).hint = std::move(hint);
    return false;
  }

  bool fill_ellipsis(std::vector<Value>& items) {
    const auto consumes = [](const Value& v) { return !v.none() && !v.is(ValueKind::Ellipsis); };
    const std::size_t rank = tensor().sizes.size();
    const std::size_t used = static_cast<std::size_t>(std::ranges::count_if(items, consumes));
    const auto it =
        std::ranges::find_if(items, [](const Value& v) { return v.is(ValueKind::Ellipsis); });
    if (it != items.end() && used <= rank) {
      const Value all =
          sequence_value({none_value(), none_value(), none_value()}, false, ValueKind::Slice);
      const auto at = items.erase(it);
      items.insert(at, rank - used, all);
      return true;
    }
    if (used == rank) return true;
    diag::Diagnostic& d =
        c_.error(Kind::RankMismatch, span_,
                 fmt::format("`{}` has {} dimension{}, and {} subscript{} given", tensor().name,
                             rank, rank == 1 ? "" : "s", used, used == 1 ? " is" : "s are"));
    if (used < rank) d.hint = "write `:` for each dimension that is taken whole";
    return false;
  }

  // `x[tile.index, labels]` pairs its subscripts as torch does, where both run over one axis.
  void find_soft_gathers(const std::vector<Value>& items) {
    for (const Value& v : items) {
      if (!v.array() || v.block) continue;
      for (const Dim& d : c_.type(v).shape) {
        if (d.block) gather_blocks_.insert(d.block.index);
      }
    }
  }

  void push(TIndex index, std::optional<Dim> dim) {
    access_.indices.push_back(std::move(index));
    if (dim) access_.shape.push_back(*dim);
  }

  bool one(const Value& v, std::size_t position) {
    if (v.none()) {
      push(index_of(TIndex::Kind::NewAxis), Dim{c_.integer(1), {}});
      return true;
    }
    const bool ok = subscript(v);
    ++dim_;
    return ok;
  }

  bool subscript(const Value& v) {
    switch (v.kind) {
      case ValueKind::Tile:
        return tile(v.block, {}, v.span);
      case ValueKind::Slice:
        return slice(v);
      case ValueKind::Scalar:
        return constant(v);
      case ValueKind::Array:
        return array(v);
      case ValueKind::Tensor:
        if (tensor_rank(v) == 0) return array(c_.load(v.tensor, {}, nullptr, v.span));
        c_.check_no_host_tensor(v);
        return false;
      case ValueKind::Poison:
        return false;
      default:
        return fail(Kind::IndexType, v.span.source ? v.span : span_,
                    fmt::format("{} is no subscript", kind_text(v)),
                    "subscripts are tiles, integers, slices, `None` and integer tiles");
    }
  }

  std::size_t tensor_rank(const Value& v) const { return c_.kernel[v.tensor].sizes.size(); }

  // A dimension of size 1 broadcasts against any tile in loads.
  bool broadcasts(BlockId block) {
    if (store_) return false;
    const Sym end = range_end(block);
    if (size().is_int(1)) return !end || !c_.constant(end) || *c_.constant(end) != 1;
    if (size().is_const() || !end || c_.hint(size()) != 1) return false;
    const std::optional<i64> last = c_.hint(end);
    return last && *last != 1 && c_.assume_equal(size(), c_.integer(1));
  }

  // The end of the range that a tile axis runs over, if the host knows it.
  Sym range_end(BlockId block) const {
    while (c_.kernel[block].parent) block = c_.kernel[block].parent;
    return c_.kernel[block].end ? c_.canon(c_.kernel[block].end) : Sym();
  }

  bool tile(BlockId block, TexprId shift, Span span) {
    if (c_.kernel[block].kind == Block::Kind::Grid) {
      return fail(Kind::TileUsage, span, "a grid index is no tile");
    }
    if (!shift && broadcasts(block)) {
      push(range_index({}, c_.integer(1)), Dim{c_.integer(1), {}});
      return true;
    }
    if (!check_bounds(block, shift, span)) return false;
    push(tile_index(block, shift), c_.dim_of(block));
    return true;
  }

  bool check_bounds(BlockId block, TexprId shift, Span span) {
    const Sym end = range_end(block);
    if (!end || masked_ || c_.device->conditional > 0 || c_.synthetic) return true;
    Sym last = end;
    if (shift) {
      if (c_.expr(shift).kind != TexprKind::Scalar) return true;
      last = c_.syms.add(end, c_.expr(shift).sym);
    }
    const bool grid = c_.kernel[block].kind == Block::Kind::Grid;
    return within(last, span,
                  fmt::format("{} `{}` runs to", grid ? "index" : "tile", c_.kernel[block].name));
  }

  bool within(Sym last, Span span, const std::string& what) {
    if (c_.equal(last, size()) || c_.depends_on_config(last)) return true;
    const std::optional<i64> have = c_.hint(last), limit = c_.hint(size());
    if (have && limit && *have > *limit) {
      c_.error(Kind::IndexRange, span,
               fmt::format("{} {}, beyond dimension {} of `{}`, which has size {}", what, *have,
                           dim_, tensor().name, *limit))
          .hint = "loop over the tensor's own size, or use `hl.load` with `extra_mask`";
      return false;
    }
    // Equal now: a call with other sizes is typed anew, and may broadcast or be an error there.
    if (have && limit && *have == *limit && c_.assume_equal(last, size())) return true;
    const Sym holds = c_.canon(c_.syms.make(SymKind::Le, last, size()));
    if (!holds.is_const()) {
      c_.require(holds, "index-out-of-range",
                 fmt::format("the loop runs beyond the size of `{}`", tensor().name), span_);
    }
    return true;
  }

  bool constant(const Value& v) {
    if (v.sym.type() != SymType::Int) {
      return fail(Kind::IndexType, v.span, fmt::format("{} is no subscript", kind_text(v)));
    }
    Sym at = c_.canon(v.sym);
    const std::optional<i64> known = at.as_int(), limit = c_.hint(size());
    if (known && limit && (*known >= *limit || *known < -*limit)) {
      return fail(Kind::IndexRange, v.span.source ? v.span : span_,
                  fmt::format("index {} is outside dimension {} of `{}`, which has size {}", *known,
                              dim_, tensor().name, *limit));
    }
    at = c_.wrap_index(at, size());
    TIndex index = index_of(TIndex::Kind::Scalar);
    index.value = c_.scalar(at, Dtype::I64, v.span);
    push(std::move(index), std::nullopt);
    return true;
  }

  bool array(const Value& v) {
    const TileType type = c_.type(v);
    if (!is_integer(type.dtype)) {
      return fail(
          Kind::IndexType, v.span,
          fmt::format("a subscript must be of an integer dtype, and this is {}", c_.describe(v)),
          type.dtype == Dtype::Bool ? "use `hl.load` and `hl.store` with `extra_mask`" : "");
    }
    if (v.block && type.rank() == 1 && !gather_blocks_.contains(v.block.index)) {
      return tile(v.block, v.shift, v.span);
    }
    const Texpr& e = c_.expr(v.expr);
    const bool axis_begin = e.kind == TexprKind::TileAttr && e.attr == TileAttr::Begin;
    if (axis_begin && c_.kernel[e.block].kind == Block::Kind::Grid &&
        !check_bounds(e.block, {}, v.span)) {
      return false;
    }
    TIndex index = index_of(type.is_scalar() ? TIndex::Kind::Scalar : TIndex::Kind::Gather);
    index.value = c_.cast(v.expr, Dtype::I64);
    if (!type.is_scalar()) {
      if (gathers_.empty()) first_gather_ = access_.shape.size();
      gathers_.push_back(access_.indices.size());
      gather_values_.push_back(array_value(index.value));
      gather_values_.back().span = v.span;
    }
    push(std::move(index), std::nullopt);
    return true;
  }

  bool slice(const Value& v) {
    const Value &lower = v.seq->items[0], &upper = v.seq->items[1], &step = v.seq->items[2];
    const bool unit = step.none() || (step.scalar() && c_.constant(step.sym) == 1);
    if (!unit) {
      return fail(Kind::SliceBounds, step.span, "a slice in device code must have step 1");
    }
    if (lower.array() || upper.array()) return device_slice(lower, upper, v.span);
    std::optional<Sym> from = bound(lower, c_.integer(0)), to = bound(upper, size());
    if (!from || !to) return false;
    if (from->is_int(0) && c_.equal(*to, size())) {
      push(range_index({}, size()), Dim{size(), {}});
      return true;
    }
    const Sym extent = c_.canon(c_.syms.sub(*to, *from));
    if (const std::optional<i64> n = c_.hint(extent); n && *n <= 0) {
      return fail(Kind::SliceBounds, v.span, "this slice is empty");
    }
    if (!within(*to, v.span, "the slice ends at")) return false;
    const bool shifted = !from->is_int(0);
    const TexprId start = shifted ? c_.scalar(*from, Dtype::I64, v.span) : TexprId();
    push(range_index(start, extent), Dim{extent, {}});
    return true;
  }

  std::optional<Sym> bound(const Value& v, Sym otherwise) {
    if (v.none()) return otherwise;
    if (!v.scalar() || v.sym.type() != SymType::Int) {
      fail(Kind::SliceBounds, v.span, fmt::format("{} is no bound of a slice", kind_text(v)));
      return std::nullopt;
    }
    Sym at = c_.canon(v.sym);
    const std::optional<i64> limit = size().as_int();
    at = c_.wrap_index(at, size());
    if (at.as_int().value_or(0) < 0) at = c_.integer(0);
    if (limit && at.as_int() && *at.as_int() > *limit) at = size();
    return at;
  }

  // x[tile.begin:tile.end] is x[tile]; x[i:i + 4] has an extent that is known.
  bool device_slice(const Value& lower, const Value& upper, Span span) {
    if (lower.array() && upper.array()) {
      const Texpr low = c_.expr(lower.expr), high = c_.expr(upper.expr);
      const bool begins = low.kind == TexprKind::TileAttr && low.attr == TileAttr::Begin;
      if (begins && high.kind == TexprKind::TileAttr && high.attr == TileAttr::End &&
          low.block == high.block) {
        return tile(low.block, {}, span);
      }
      const bool sum = high.kind == TexprKind::Apply && high.builtin == Builtin::Add &&
                       c_.expr(high.operands[1]).kind == TexprKind::Scalar;
      if (sum && same_scalar(low, c_.expr(high.operands[0]))) {
        const Sym extent = c_.canon(c_.expr(high.operands[1]).sym);
        if (begins && c_.kernel[low.block].size == extent) return tile(low.block, {}, span);
        push(range_index(c_.cast(lower.expr, Dtype::I64), extent), Dim{extent, {}});
        return true;
      }
    }
    return fail(Kind::SliceBounds, span, "the extent of this slice is not known while compiling",
                "loop over the range with `hl.tile(begin, end)` and index with the tile");
  }

  bool same_scalar(const Texpr& a, const Texpr& b) const {
    if (a.kind != b.kind) return false;
    if (a.kind == TexprKind::Var) return a.var == b.var;
    if (a.kind == TexprKind::Scalar) return a.sym == b.sym;
    if (a.kind == TexprKind::TileAttr) return a.block == b.block && a.attr == b.attr;
    const auto same = [&](TexprId x, TexprId y) { return same_scalar(c_.expr(x), c_.expr(y)); };
    return a.kind == TexprKind::Apply && a.builtin == b.builtin && a.type == b.type &&
           a.type.is_scalar() && std::ranges::equal(a.operands, b.operands, same);
  }

  // 1-d index tiles over different axes form a grid; others broadcast.
  bool is_grid() const {
    std::set<i32> blocks;
    for (const Value& v : gather_values_) {
      const TileType& t = c_.type(v);
      if (t.rank() != 1 || !t.shape[0].block) return false;
      blocks.insert(t.shape[0].block.index);
    }
    return blocks.size() == gather_values_.size() && blocks.size() > 1;
  }

  bool place_gathers() {
    if (is_grid()) {
      const i64 n = static_cast<i64>(gather_values_.size());
      for (i64 i = 0; i < n; ++i) {
        TexprId& e = gather_values_[static_cast<std::size_t>(i)].expr;
        for (i64 j = 0; j < n; ++j) {
          if (j != i) e = c_.unsqueeze(e, j < i ? 0 : c_.expr(e).type.rank());
        }
      }
    }
    const auto shape = c_.broadcast(gather_values_, span_, "[]");
    if (!shape) return false;
    for (std::size_t i = 0; i < gathers_.size(); ++i) {
      access_.indices[gathers_[i]].value = c_.broadcast_to(gather_values_[i].expr, *shape);
    }
    access_.shape.insert(access_.shape.begin() + static_cast<i64>(first_gather_), shape->begin(),
                         shape->end());
    return true;
  }

  Checker& c_;
  TensorId tensor_;
  Span span_;
  bool store_, masked_;
  std::size_t dim_ = 0;
  Checker::Access access_;
  std::set<i32> gather_blocks_;
  std::vector<std::size_t> gathers_;
  std::vector<Value> gather_values_;
  std::size_t first_gather_ = 0;
};

}  // namespace

std::vector<Value> Checker::index_items(const Value& index) {
  std::vector<Value> items;
  flatten(index, items);
  return items;
}

void Checker::require(Sym condition, std::string code, const std::string& text, Span span) {
  std::vector<HostStmt>& checks = device && !synthetic ? device->requirements : kernel.host;
  const bool known = std::ranges::any_of(checks, [&](const HostStmt& check) {
    return check.kind == HostStmt::Kind::Check && check.condition == condition;
  });
  if (known) return;
  const diag::Sources::Place place = diags->sources().place(span.source, span.begin);
  HostStmt check = host_statement(HostStmt::Kind::Check, span);
  check.condition = condition;
  check.code = std::move(code);
  check.text = fmt::format("line {}: {}", place.line, text);
  checks.push_back(std::move(check));
}

Sym Checker::wrap_index(Sym index, Sym size) {
  index = canon(index);
  const std::optional<i64> known = index.as_int();
  if (known) return *known < 0 ? canon(syms.add(size, index)) : index;
  if (depends_on_config(index) || lower_bound(syms, index).value_or(-1) >= 0) return index;
  const bool negative = assume_true(syms.make(SymKind::Lt, index, integer(0)));
  return negative ? canon(syms.add(size, index)) : index;
}

std::optional<Checker::Access> Checker::access(TensorId tensor, const std::vector<Value>& index,
                                               Span span, bool store, bool masked) {
  std::vector<Value> items;
  for (const Value& v : index) flatten(v, items);
  return Accessor(*this, tensor, span, store, masked).run(std::move(items));
}

TexprId Checker::access_mask(const Value& mask, const std::vector<Dim>& shape, Span span) {
  TexprId e = as_expr(mask, Dtype::Bool);
  if (expr(e).type.rank() > static_cast<i64>(shape.size())) {
    bad(Kind::ShapeMismatch, mask.span,
        fmt::format("the mask is a {} and the access a {}", describe(expr(e).type),
                    describe(TileType{Dtype::Bool, shape})));
    return {};
  }
  return fit(e, shape, mask.span, "the mask") ? broadcast_to(e, shape) : TexprId();
}

bool Checker::fit(TexprId value, const std::vector<Dim>& shape, Span span,
                  const std::string& what) {
  const TileType have = expr(value).type;
  const std::size_t offset = shape.size() - have.shape.size();
  for (std::size_t i = 0; i < have.shape.size(); ++i) {
    const Dim &from = have.shape[i], &to = shape[offset + i];
    if (from.is_one() || same_extent(from, to) || from.size.is_int(1)) continue;
    const bool tiles = from.block && to.block;
    diag::Diagnostic& d = error(tiles ? Kind::TileMismatch : Kind::ShapeMismatch, span,
                                fmt::format("{} does not fit the place it is stored to", what));
    d.labels.push_back({span, describe(have)});
    d.notes.push_back("the place is a " + describe(TileType{have.dtype, shape}));
    return false;
  }
  return true;
}

Value Checker::load(TensorId tensor, const std::vector<Value>& index, const Value* mask,
                    Span span) {
  std::optional<Access> found = access(tensor, index, span, false, mask != nullptr);
  if (!found) return {};
  Texpr e;
  e.kind = TexprKind::Load;
  e.type = {kernel[tensor].dtype, found->shape};
  e.span = span;
  e.tensor = tensor;
  e.indices = std::move(found->indices);
  if (mask != nullptr) {
    e.mask = access_mask(*mask, found->shape, span);
    if (!e.mask) return {};
  }
  Value v = array_value(add(std::move(e)));
  v.span = span;
  return v;
}

namespace {

// torch drops leading extents of 1 of a value that is assigned.
TexprId drop_leading_ones(Checker& c, TexprId value, std::size_t rank) {
  while (c.expr(value).type.shape.size() > rank && c.expr(value).type.shape[0].is_one()) {
    value = c.squeeze(value, 0);
  }
  return value;
}

}  // namespace

void Checker::store(TensorId tensor, const std::vector<Value>& index, const Value& value,
                    const Value* mask, Span span) {
  Value stored = value;
  if (stored.is(ValueKind::Tensor)) {
    if (!kernel[stored.tensor].sizes.empty()) return check_no_host_tensor(stored);
    stored = load(stored.tensor, {}, nullptr, stored.span);
  }
  if (stored.poison()) return;
  if (!stored.array() && !stored.scalar()) {
    error(Kind::OperandType, value.span.source ? value.span : span,
          fmt::format("{} cannot be stored into a tensor", kind_text(value)));
    return;
  }
  std::optional<Access> found = access(tensor, index, span, true, mask != nullptr);
  if (!found) return;
  TexprId e = as_expr(stored, kernel[tensor].dtype);
  e = drop_leading_ones(*this, e, found->shape.size());
  const Span at = value.span.source ? value.span : span;
  if (expr(e).type.shape.size() > found->shape.size()) {
    error(Kind::RankMismatch, at, "the value has more dimensions than the place it is stored to")
        .labels.push_back({at, describe(expr(e).type)});
    return;
  }
  if (!fit(e, found->shape, at, "the value")) return;
  Tstmt stmt = statement(TstmtKind::Store, span);
  stmt.value = broadcast_to(e, found->shape);
  stmt.tensor = tensor;
  stmt.indices = std::move(found->indices);
  if (mask != nullptr) {
    stmt.mask = access_mask(*mask, found->shape, span);
    if (!stmt.mask) return;
  }
  emit(std::move(stmt));
}

Value device_subscript(Checker& c, const Value& v, const std::vector<Value>& index, Span span) {
  const i64 rank = c.type(v).rank();
  const i64 used = std::ranges::count_if(
      index, [](const Value& i) { return !i.none() && !i.is(ValueKind::Ellipsis); });
  if (used > rank) {
    return c.bad(Kind::RankMismatch, span,
                 fmt::format("a value with {} dimensions and {} subscripts", rank, used));
  }
  Value result = v;
  result.block = {};
  i64 at = 0;
  for (const Value& i : index) {
    if (i.is(ValueKind::Ellipsis)) {
      at += rank - used;
    } else if (i.none()) {
      result.expr = c.unsqueeze(result.expr, at++);
    } else if (i.is(ValueKind::Slice)) {
      const bool whole = std::ranges::all_of(i.seq->items, [](const Value& p) { return p.none(); });
      if (!whole) return c.not_yet(i.span, "a slice of a device value");
      ++at;
    } else if (i.scalar() && c.type(result).shape[static_cast<std::size_t>(at)].is_one()) {
      result.expr = c.squeeze(result.expr, at);
    } else {
      diag::Diagnostic& d = c.error(Kind::IndexType, i.span,
                                    "a device value is only indexed with `:`, `...` and `None`");
      d.labels.push_back({v.span, c.describe(v)});
      d.hint = "index the host tensor instead, or reduce the dimension";
      return {};
    }
  }
  return result;
}

}  // namespace peri::check
