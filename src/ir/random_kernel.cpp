#include "ir/random_kernel.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/random_generator.h"

namespace peri::ir {

Kernel random_kernel(u64 seed, const RandomOptions& options) {
  return RandomGenerator(seed, options).run();
}

RandomGenerator::RandomGenerator(u64 seed, const RandomOptions& options)
    : options_(options), random_(seed), builder_(kernel_, {}) {
  kernel_.name = fmt::format("random_{}", seed);
  kernel_.syms = std::make_shared<SymTable>();
  if (!options.symbols) return;
  Symbol alpha;
  alpha.name = "alpha";
  alpha.type = SymType::Float;
  alpha.origin = SymbolOrigin::ArgValue;
  alpha.leaf = 0;
  alpha.hint = SymValue::of(0.5);
  kernel_.syms->add_symbol(std::move(alpha));
}

Kernel RandomGenerator::run() {
  grid_axes_ = 1 + below(2);
  for (i64 i = 0; i < grid_axes_ + 2; ++i) {
    axes_.push_back({one_of<i64>({1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 16, 17}), {}});
  }
  inputs();
  root();
  if (chance(20)) root();
  return std::move(kernel_);
}

TensorId RandomGenerator::add_tensor(std::string name, Dtype dtype, std::vector<i64> axes,
                                     std::vector<i64> sizes) {
  TensorParam tensor;
  tensor.name = std::move(name);
  tensor.dtype = dtype;
  tensor.slot = tensor.base = std::ssize(kernel_.tensors);
  tensor.strides.resize(sizes.size());
  i64 stride = 1;
  bool padded = tensor.name.starts_with("in") && chance(20);
  for (i64 i = std::ssize(sizes); i-- > 0;) {
    tensor.strides[i] = kernel_.syms->integer(stride);
    stride *= sizes[i] + (padded ? 1 : 0);
  }
  for (i64 size : sizes) tensor.sizes.push_back(kernel_.syms->integer(size));
  kernel_.tensors.push_back(std::move(tensor));
  tensor_axes_.push_back(std::move(axes));
  return TensorId(std::ssize(kernel_.tensors) - 1);
}

void RandomGenerator::inputs() {
  i64 count = 2 + below(3);
  for (i64 i = 0; i < count; ++i) {
    std::vector<i64> axes, sizes;
    i64 rank = 1 + below(3);
    for (i64 d = 0; d < rank; ++d) {
      axes.push_back(d == 0 && chance(60) ? below(grid_axes_) : below(std::ssize(axes_)));
      sizes.push_back(axes_[axes.back()].size);
    }
    Dtype dtype = i == 0 || chance(50) ? Dtype::F32
                                       : one_of({Dtype::F64, Dtype::F16, Dtype::BF16, Dtype::I32,
                                                 Dtype::I64, Dtype::I8, Dtype::U8, Dtype::Bool});
    if (is_half(dtype) && !options_.halves) dtype = Dtype::F32;
    add_tensor(fmt::format("in{}", i), dtype, std::move(axes), std::move(sizes));
  }
}

Sym RandomGenerator::block_size(i64 axis_size, BlockId block) {
  i64 size = chance(20) ? axis_size : 1 + below(axis_size + 1);
  if (!options_.symbols || chance(50)) return kernel_.syms->integer(size);
  Symbol symbol;
  symbol.name = fmt::format("b{}", block.index);
  symbol.origin = SymbolOrigin::Block;
  symbol.block = block;
  symbol.hint = SymValue::of(size);
  return kernel_.syms->symbol_sym(kernel_.syms->add_symbol(std::move(symbol)));
}

void RandomGenerator::root() {
  Root root;
  root.body = add_graph(kernel_);
  builder_.set_graph(root.body);
  pool_.clear();
  for (i64 i = 0; i < grid_axes_; ++i) {
    BlockId id(std::ssize(kernel_.blocks));
    Block block;
    block.name = fmt::format("tile_{}", i);
    block.size = block_size(axes_[i].size, id);
    block.begin = kernel_.syms->integer(0);
    block.end = kernel_.syms->integer(axes_[i].size);
    block.loop = std::ssize(kernel_.roots);
    kernel_.blocks.push_back(std::move(block));
    axes_[i].open = id;
    root.blocks.push_back(id);
  }
  kernel_.roots.push_back(std::move(root));
  load();
  load();
  steps(options_.steps, 0);
  finish_root();
}

void RandomGenerator::steps(i64 count, i64 depth) {
  for (i64 i = 0; i < count; ++i) step(depth);
}

void RandomGenerator::step(i64 depth) {
  i64 kind = below(100);
  if (kind < 14) return load();
  if (kind < 20) return source();
  if (kind < 24) return shifted_load();
  if (kind < 36) return unary();
  if (kind < 52) return binary();
  if (kind < 58) return compare();
  if (kind < 64) return select();
  if (kind < 69) return cast();
  if (kind < 79) return reduce();
  if (kind < 86) return view();
  if (kind < 91) return dot();
  if (kind < 93) return random_numbers();
  if (depth >= 2) return unary();
  return kind < 98 ? loop(depth) : branch(depth);
}

// Stores a few values, late ones first.
void RandomGenerator::finish_root() {
  i64 count = 1 + below(3);
  for (i64 i = 0; i < count; ++i) {
    i64 late = std::max<i64>(0, std::ssize(pool_) - 6 - 4 * i);
    store(pool_[late + below(std::ssize(pool_) - late)]);
  }
}

// --- loops ---

// Opens `axis` by a new block; `bounds` receives the loop's.
BlockId RandomGenerator::loop_axis(i64 axis, std::vector<ValueId>& bounds) {
  BlockId id(std::ssize(kernel_.blocks)), parent = axes_[axis].open;
  Block block;
  block.name = fmt::format("inner_{}", id.index);
  block.size = block_size(axes_[axis].size, id);
  block.parent = parent;
  if (parent) {
    TileType index{Dtype::I64, {}};
    bounds = {builder_.tile_attr(OpCode::TileBegin, parent, index),
              builder_.tile_attr(OpCode::TileEnd, parent, index)};
  } else {
    block.begin = kernel_.syms->integer(0);
    block.end = kernel_.syms->integer(axes_[axis].size);
    bounds = {integer(0), integer(axes_[axis].size)};
  }
  kernel_.blocks.push_back(std::move(block));
  axes_[axis].open = id;
  return id;
}

void RandomGenerator::loop(i64 depth) {
  i64 axis = chance(25) ? below(grid_axes_) : grid_axes_ + below(2);
  if (axes_[axis].open && chance(50)) axis = grid_axes_ + below(2);
  std::vector<ValueId> operands, initial;
  BlockId outer = axes_[axis].open;
  BlockId block = loop_axis(axis, operands);
  for (i64 i = 0; i <= below(2); ++i) {
    auto value = find([&](ValueId v) { return rank_of(v) <= 3; });
    if (value) initial.push_back(*value);
  }
  bool partial = chance(25);
  if (partial) {
    ValueId zero = number(Dtype::F32, 0);
    Dim full{kernel_[block].size, {}};
    initial.push_back(builder_.view(OpCode::Expand, zero, {}, {full}));
  }
  GraphId body = add_graph(kernel_), around = builder_.graph();
  std::vector<TileType> types;
  std::vector<ValueId> yields;
  std::size_t first = pool_.size();
  builder_.set_graph(body);
  for (ValueId value : initial) {
    types.push_back(kernel_[value].type);
    TileType type = types.back();
    ValueId param = add_param(kernel_, body, std::move(type));
    if (!partial || value != initial.back()) add(param, false);
  }
  load();
  steps(2 + below(5), depth + 1);
  drop_axis(first, block);
  for (std::size_t i = 0; i < initial.size(); ++i) {
    ValueId param = kernel_[body].params[i];
    bool last = i + 1 == initial.size();
    yields.push_back(partial && last ? op(OpCode::Add, {param, tile_numbers(block)})
                                     : next_of(param, first + initial.size()));
  }
  kernel_[body].yields = std::move(yields);
  pool_.resize(first);
  builder_.set_graph(around);
  axes_[axis].open = outer;
  operands.insert(operands.end(), initial.begin(), initial.end());
  Attrs attrs;
  attrs.blocks = {block};
  OpId id =
      builder_.add(OpCode::For, std::move(operands), std::move(attrs), std::move(types), {body});
  std::vector<ValueId> results = kernel_[id].results;
  if (partial) {
    add(builder_.reduce(OpCode::Sum, results.back(), 0), true);
    results.pop_back();
  }
  for (ValueId result : results) add(result, false);
}

// The indices of the current tile as floats: sums of them have no elements beyond the last tile.
ValueId RandomGenerator::tile_numbers(BlockId block) {
  ValueId index = builder_.tile_attr(OpCode::TileIndex, block, {Dtype::I32, {}});
  return builder_.cast(index, Dtype::F32);
}

// Reduces what has an extent of the loop's own axis, so that it can leave the loop.
void RandomGenerator::drop_axis(std::size_t first, BlockId block) {
  for (std::size_t i = first, end = pool_.size(); i < end; ++i) {
    ValueId value = pool_[i];
    for (i64 dim = rank_of(value); dim-- > 0;) {
      if (shape_of(value)[dim].block != block) continue;
      bool truth = dtype_of(value) == Dtype::Bool;
      value = builder_.reduce(truth ? OpCode::Any : one_of({OpCode::ReduceMax, OpCode::Sum}), value,
                              dim);
    }
    if (value == pool_[i]) continue;
    add(is_float(dtype_of(value)) ? scaled(value, 0.125) : value, false);
  }
}

// A next value for a carried one: what the body made joined with what there was.
ValueId RandomGenerator::next_of(ValueId param, std::size_t first) {
  const TileType type = kernel_[param].type;
  ValueId other = op(type.dtype == Dtype::Bool ? OpCode::Not : OpCode::Neg, {param});
  for (std::size_t i = first; i < pool_.size(); ++i) {
    if (dtype_of(pool_[i]) != type.dtype) continue;
    if (auto fitted = fit(pool_[i], type.shape)) other = *fitted;
  }
  if (type.dtype == Dtype::Bool) return op(OpCode::Xor, {param, other});
  if (!is_float(type.dtype)) return op(OpCode::Add, {param, other});
  if (chance(30)) return op(OpCode::Max, {param, other});
  return op(OpCode::Add, {scaled(param, 0.5), other});
}

// --- branches ---

// Of integers only: they are the same everywhere.
ValueId RandomGenerator::condition() {
  TileType index{Dtype::I64, {}};
  OpCode attribute = one_of({OpCode::TileId, OpCode::TileBegin});
  ValueId value = builder_.tile_attr(attribute, axes_[below(grid_axes_)].open, index);
  return op(one_of({OpCode::Eq, OpCode::Lt, OpCode::Ge}), {value, integer(below(4))});
}

void RandomGenerator::branch(i64 depth) {
  ValueId test = condition();
  ValueId base = pool_[below(std::ssize(pool_))];
  const TileType type = kernel_[base].type;
  GraphId around = builder_.graph();
  std::vector<GraphId> regions;
  std::size_t first = pool_.size();
  for (int i = 0; i < 2; ++i) {
    regions.push_back(add_graph(kernel_));
    builder_.set_graph(regions.back());
    if (i == 0 || chance(50)) steps(1 + below(3), depth + 1);
    ValueId result = i == 0 || chance(50) ? next_of(base, first) : base;
    kernel_[regions.back()].yields = {result};
    pool_.resize(first);
  }
  builder_.set_graph(around);
  OpId id = builder_.add(OpCode::If, {test}, {}, {type}, std::move(regions));
  add(kernel_[id].results[0], false);
}

// --- stores ---

// All grid axes are among the subscripts, so that no two cells write one element.
void RandomGenerator::store(ValueId value) {
  for (i64 axis = grid_axes_; axis-- > 0;) {
    Dim dim = extent(axes_[axis].open);
    std::vector<Dim> shape = shape_of(value);
    if (std::ranges::find(shape, dim) != shape.end()) continue;
    shape.insert(shape.begin(), dim);
    value = *fit(value, shape);
  }
  std::vector<i64> axes, sizes;
  std::vector<Index> indices;
  for (const Dim& dim : shape_of(value)) {
    i64 axis = -1;
    for (i64 i = 0; i < grid_axes_; ++i) {
      if (dim.block && dim.block == axes_[i].open) axis = i;
    }
    axes.push_back(axis);
    sizes.push_back(axis < 0 ? *dim.size.as_int() : axes_[axis].size);
    indices.push_back(axis < 0 ? Index{Index::Kind::Range, {}, dim.size, -1}
                               : Index{Index::Kind::Tile, dim.block, {}, -1});
  }
  ValueId mask;
  if (chance(20)) {
    i64 dim = std::ranges::find_if(axes, [](i64 a) { return a >= 0; }) - axes.begin();
    const std::vector<Dim> shape = shape_of(value);
    mask = op(OpCode::Ne, {this->indices(shape[dim].block, shape, dim), integer(1)});
  }
  TensorId out = add_tensor(fmt::format("out{}", outputs_++), dtype_of(value), std::move(axes),
                            std::move(sizes));
  builder_.store(value, out, std::move(indices), {}, mask);
}

}  // namespace peri::ir
