// Tensor math on the host: each function becomes an allocation and a root of its own.
#include <fmt/format.h>

#include "check/checker.h"
#include "check/fns.h"

namespace peri::check {

using diag::Kind;

// Right-aligned broadcasting of sizes; a hint of 1 that it relies on becomes a guard.
std::optional<std::vector<Sym>> Checker::host_broadcast(const std::vector<std::vector<Sym>>& shapes,
                                                        Span span, const std::string& what) {
  std::vector<Sym> result;
  for (const std::vector<Sym>& shape : shapes) {
    if (shape.size() > result.size()) {
      result.insert(result.begin(), shape.size() - result.size(), integer(1));
    }
    const std::size_t offset = result.size() - shape.size();
    for (std::size_t i = 0; i < shape.size(); ++i) {
      Sym& place = result[offset + i];
      const Sym size = canon(shape[i]);
      place = canon(place);
      if (size.is_int(1) || equal(place, size)) continue;
      if (place.is_int(1) || (hint(place) == 1 && assume_equal(place, integer(1)))) {
        place = size;
      } else if ((hint(size) == 1 && assume_equal(size, integer(1))) || assume_equal(place, size)) {
        continue;
      } else {
        error(Kind::ShapeMismatch, span,
              fmt::format("`{}` on shapes that do not broadcast: {} and {}", what,
                          syms.print(place), syms.print(size)));
        return std::nullopt;
      }
    }
  }
  return result;
}

namespace {

// A root made by the checker: one axis for each dimension that may be cut into tiles.
class HostRoot {
 public:
  HostRoot(Checker& c, Span span) : c_(c), span_(span) {
    ++c.tile_statements;
    DeviceState state;
    state.body = &root_.body;
    c.device = std::move(state);
    c.synthetic = true;
    root_.span = span;
  }
  ~HostRoot() {
    c_.device.reset();
    c_.synthetic = false;
  }
  HostRoot(const HostRoot&) = delete;
  HostRoot& operator=(const HostRoot&) = delete;

  BlockId axis(std::string name, Sym end, bool grid) {
    Block block;
    block.name = std::move(name);
    block.kind = grid ? Block::Kind::Grid : Block::Kind::Tile;
    block.begin = c_.integer(0);
    block.end = end;
    block.loop = c_.tile_statements - 1;
    const BlockId id(static_cast<i64>(c_.kernel.blocks.size()));
    block.size = grid ? c_.integer(1) : c_.block_symbol(id);
    root_.blocks.push_back(c_.add_block(std::move(block)));
    c_.device->open.push_back(id);
    return id;
  }

  // Axes over `sizes`, but for dimensions in `whole` and those of size 1.
  void axes(const std::vector<Sym>& sizes, const std::vector<i64>& whole) {
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const bool cut =
          std::ranges::find(whole, static_cast<i64>(i)) == whole.end() && !sizes[i].is_int(1);
      dims_.push_back(cut ? axis(fmt::format("i{}", i), sizes[i], false) : BlockId());
    }
    if (root_.blocks.empty()) axis("i", c_.integer(1), true);
  }

  static Value whole_slice() {
    return sequence_value({none_value(), none_value(), none_value()}, false, ValueKind::Slice);
  }

  Value load(const Value& tensor) {
    const std::vector<Sym> sizes = c_.kernel[tensor.tensor].sizes;
    const std::size_t offset = dims_.size() - sizes.size();
    std::vector<Value> index;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const BlockId block = dims_[offset + i];
      const bool one = c_.canon(sizes[i]).is_int(1);
      index.push_back(block && !one ? tile_value(block) : whole_slice());
    }
    Value v = c_.load(tensor.tensor, index, nullptr, span_);
    v.span = tensor.span;
    return v;
  }

  void store(TensorId tensor, const Value& value) {
    std::vector<Value> index;
    for (const Dim& d : c_.type(value).shape) {
      index.push_back(d.block ? tile_value(d.block) : whole_slice());
    }
    c_.store(tensor, index, value, nullptr, span_);
  }

  void store_all(TensorId tensor, const Value& value) {
    std::vector<Value> index;
    for (BlockId block : dims_) index.push_back(block ? tile_value(block) : whole_slice());
    c_.store(tensor, index, value, nullptr, span_);
  }

  // Indices of the elements along one dimension.
  Value index(std::size_t dim) {
    if (dims_[dim]) return array_value(c_.tile_attr(dims_[dim], TileAttr::Index, span_));
    return array_value(c_.apply(Builtin::Iota, {}, {Dtype::I64, {Dim{c_.integer(1), {}}}}, span_));
  }

  TensorId alloc_for(const Value& value, const std::string& name) {
    const TileType type = c_.type(value);
    std::vector<Sym> sizes;
    for (const Dim& d : type.shape) sizes.push_back(d.block ? c_.kernel[d.block].end : d.size);
    return c_.alloc(name, type.dtype, std::move(sizes), {}, span_);
  }

  void launch() {
    HostStmt stmt = host_statement(HostStmt::Kind::Launch, span_);
    stmt.root = static_cast<i64>(c_.kernel.roots.size());
    c_.kernel.host.push_back(std::move(stmt));
    c_.kernel.roots.push_back(std::move(root_));
  }

 private:
  Checker& c_;
  Span span_;
  Root root_;
  std::vector<BlockId> dims_;
};

std::string temporary_name(const std::string& function) {
  const auto dot = function.rfind('.');
  std::string name = dot == std::string::npos ? function : function.substr(dot + 1);
  if (name.empty() || !std::isalpha(static_cast<unsigned char>(name[0]))) name = "value";
  return name;
}

}  // namespace

Value Checker::host_math(std::vector<Value> operands, const std::vector<i64>& whole_dims,
                         const DeviceFunction& function, Span span, const std::string& name) {
  std::vector<std::vector<Sym>> shapes;
  for (const Value& v : operands) {
    if (v.is(ValueKind::Tensor)) shapes.push_back(kernel[v.tensor].sizes);
  }
  const auto sizes = host_broadcast(shapes, span, name);
  if (!sizes) return {};
  HostRoot root(*this, span);
  root.axes(*sizes, whole_dims);
  for (Value& v : operands) {
    if (v.is(ValueKind::Tensor)) v = root.load(v);
    if (v.poison()) return {};
  }
  Value result = function(std::move(operands));
  const auto keep = [&](Value& v) {
    const TensorId tensor = root.alloc_for(v, temporary_name(name));
    root.store(tensor, v);
    v = tensor_value(tensor);
  };
  if (result.array()) {
    keep(result);
  } else if (result.is(ValueKind::Sequence)) {
    for (Value& item : result.seq->items) {
      if (item.array()) keep(item);
    }
  } else {
    return result;
  }
  root.launch();
  return result;
}

Value Checker::host_fill(const Value& target,
                         const std::function<Value(const std::vector<Value>& index)>& function,
                         Span span) {
  const std::vector<Sym> sizes = kernel[target.tensor].sizes;
  HostRoot root(*this, span);
  root.axes(sizes, {});
  std::vector<Value> index;
  for (std::size_t i = 0; i < sizes.size(); ++i) index.push_back(root.index(i));
  const Value v = function(index);
  if (v.poison()) return v;
  root.store_all(target.tensor, v);
  root.launch();
  return target;
}

void Checker::host_assign(const Value& target, const Value& value, Span span) {
  if (target.poison() || value.poison()) return;
  if (!value.is(ValueKind::Tensor) && !value.scalar()) {
    error(Kind::OperandType, value.span.source ? value.span : span,
          fmt::format("{} cannot be stored into a tensor", kind_text(value)));
    return;
  }
  const std::vector<Sym> sizes = kernel[target.tensor].sizes;
  Value source = value;
  if (value.is(ValueKind::Tensor)) {
    source = host_expand(value, sizes, span);
    if (source.poison()) return;
    source.span = value.span;
  }
  HostRoot root(*this, span);
  root.axes(sizes, {});
  if (source.is(ValueKind::Tensor)) source = root.load(source);
  root.store_all(target.tensor, source);
  root.launch();
}

namespace {

// Operands of a host matrix product with the batch dimension that both have, or none.
struct HostDot {
  Sym batch, m, n, k;
  bool batched_a = false, batched_b = false;
};

std::optional<HostDot> host_dot_shape(Checker& c, const Value& a, const Value& b, Span span) {
  const HostTensor &x = c.kernel[a.tensor], &y = c.kernel[b.tensor];
  const std::size_t p = x.sizes.size(), q = y.sizes.size();
  if (p < 2 || q < 2 || p > 3 || q > 3) {
    c.not_yet(span, "a matrix product of host tensors that have not 2 or 3 dimensions");
    return std::nullopt;
  }
  HostDot d;
  d.m = x.sizes[p - 2];
  d.n = y.sizes[q - 1];
  d.k = x.sizes[p - 1];
  d.batched_a = p == 3;
  d.batched_b = q == 3;
  if (d.batched_a) d.batch = x.sizes[0];
  if (d.batched_b && !d.batch) d.batch = y.sizes[0];
  const bool batches = !d.batched_a || !d.batched_b || c.assume_equal(x.sizes[0], y.sizes[0]);
  if (batches && c.assume_equal(d.k, y.sizes[q - 2])) return d;
  diag::Diagnostic& e =
      c.error(Kind::DotMismatch, span, "the operands of a matrix product do not fit");
  e.labels.push_back({a.span, c.describe(a)});
  e.labels.push_back({b.span, c.describe(b)});
  return std::nullopt;
}

}  // namespace

Value Checker::host_dot(const Value& a, const Value& b, Span span) {
  const auto shape = host_dot_shape(*this, a, b, span);
  if (!shape) return {};
  const Dtype dtype = promote(kernel[a.tensor].dtype, kernel[b.tensor].dtype);
  const Dtype acc_dtype = is_half(dtype) ? Dtype::F32 : dtype;
  HostRoot root(*this, span);
  BlockId batch;
  if (shape->batch) batch = root.axis("b", shape->batch, true);
  const BlockId m = root.axis("m", shape->m, false), n = root.axis("n", shape->n, false);
  const auto index = [&](bool batched, BlockId row, BlockId column) {
    std::vector<Value> items;
    if (batched) items.push_back(array_value(tile_attr(batch, TileAttr::Begin, span), true));
    items.push_back(tile_value(row));
    items.push_back(tile_value(column));
    return items;
  };
  const TileType type{acc_dtype, {dim_of(m), dim_of(n)}};
  Tstmt init = statement(TstmtKind::Assign, span);
  init.var = new_var("acc");
  init.value = expand(scalar(integer(0), acc_dtype, span), type.shape);
  const VarId acc = init.var;
  emit(std::move(init));
  const auto read = [&] {
    Texpr e;
    e.kind = TexprKind::Var;
    e.type = type;
    e.span = span;
    e.var = acc;
    return add(std::move(e));
  };
  Block block;
  block.name = "k";
  block.begin = integer(0);
  block.end = shape->k;
  block.loop = tile_statements++;
  block.size = block_symbol(BlockId(static_cast<i64>(kernel.blocks.size())));
  const BlockId k = add_block(std::move(block));
  Tstmt loop = statement(TstmtKind::For, span);
  loop.blocks = {k};
  loop.begins = {scalar(integer(0), Dtype::I64, span)};
  loop.ends = {scalar(shape->k, Dtype::I64, span)};
  std::vector<TstmtId>* const outer = std::exchange(device->body, &loop.body);
  const Value x = load(a.tensor, index(shape->batched_a, m, k), nullptr, span);
  const Value y = load(b.tensor, index(shape->batched_b, k, n), nullptr, span);
  Tstmt step = statement(TstmtKind::Assign, span);
  step.var = acc;
  step.value = apply(Builtin::Dot, {cast(x.expr, dtype), cast(y.expr, dtype), read()}, type, span);
  emit(std::move(step));
  device->body = outer;
  emit(std::move(loop));
  std::vector<Sym> sizes{shape->m, shape->n};
  if (shape->batch) sizes.insert(sizes.begin(), shape->batch);
  const TensorId out = alloc("matmul", dtype, std::move(sizes), {}, span);
  store(out, index(static_cast<bool>(shape->batch), m, n), array_value(read()), nullptr, span);
  root.launch();
  return tensor_value(out);
}

}  // namespace peri::check
