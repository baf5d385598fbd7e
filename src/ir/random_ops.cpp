#include <fmt/format.h>

#include <algorithm>

#include "ir/random_generator.h"

namespace peri::ir {

// --- values ---

void RandomGenerator::mark(ValueId value, bool exact) {
  exact_.resize(kernel_.values.size());
  exact_[value.index] = exact;
}

ValueId RandomGenerator::add(ValueId value, bool exact) {
  mark(value, exact);
  if (chance(15)) kernel_[value].name = fmt::format("v{}", below(10));
  pool_.push_back(value);
  return value;
}

std::optional<ValueId> RandomGenerator::find(const std::function<bool(ValueId)>& good) {
  std::vector<ValueId> found;
  std::ranges::copy_if(pool_, std::back_inserter(found), good);
  if (found.empty()) return std::nullopt;
  return found[below(std::ssize(found))];
}

ValueId RandomGenerator::number(Dtype dtype, double value) {
  ValueId constant = builder_.constant(dtype, SymValue::of(value));
  mark(constant, true);
  return constant;
}

ValueId RandomGenerator::integer(i64 value) {
  return builder_.constant(Dtype::I64, SymValue::of(value));
}

ValueId RandomGenerator::scaled(ValueId value, double factor) {
  return op(OpCode::Mul, {value, number(dtype_of(value), factor)});
}

std::optional<ValueId> RandomGenerator::fit(ValueId value, std::vector<Dim> shape) {
  const std::vector<Dim> from = shape_of(value);
  bool exact = is_exact(value);
  if (from == shape) return value;
  std::size_t next = 0;
  std::vector<i64> missing;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    bool taken = next < from.size() && (from[next] == shape[i] || from[next].is_one());
    next += taken ? 1 : 0;
    if (!taken) missing.push_back(static_cast<i64>(i));
  }
  if (next < from.size()) return std::nullopt;
  if (from.empty()) missing.clear();  // a scalar expands to anything
  for (i64 dim : missing) value = builder_.view(OpCode::Unsqueeze, value, {dim}, {});
  if (shape_of(value) != shape) value = builder_.view(OpCode::Expand, value, {}, shape);
  mark(value, exact);
  return value;
}

ValueId RandomGenerator::partner(ValueId like) {
  const TileType type = kernel_[like].type;
  for (int attempt = 0; attempt < 4; ++attempt) {
    auto other = find([&](ValueId v) { return dtype_of(v) == type.dtype; });
    if (other && rank_of(*other) == 0) return *other;
    if (auto fitted = fit(*other, type.shape)) return *fitted;
  }
  return number(type.dtype, static_cast<double>(below(5)) - 1.5);
}

ValueId RandomGenerator::indices(BlockId block, std::vector<Dim> shape, i64 dim) {
  ValueId value = builder_.tile_attr(OpCode::TileIndex, block, {Dtype::I64, {}});
  for (i64 i = std::ssize(shape) - 1; i > dim; --i) {
    value = builder_.view(OpCode::Unsqueeze, value, {1}, {});
  }
  for (i64 i = 0; i < dim; ++i) value = builder_.view(OpCode::Unsqueeze, value, {0}, {});
  return shape_of(value) == shape ? value : builder_.view(OpCode::Expand, value, {}, shape);
}

// --- sources and loads ---

void RandomGenerator::source() {
  TileType index{Dtype::I64, {}};
  BlockId block = axes_[below(grid_axes_)].open;
  switch (below(6)) {
    case 0:
      add(builder_.tile_attr(OpCode::TileIndex, block, index), true);
      return;
    case 1:
      add(builder_.tile_attr(one_of({OpCode::TileBegin, OpCode::TileEnd, OpCode::TileId,
                                     OpCode::TileCount, OpCode::BlockSize}),
                             block, index),
          true);
      return;
    case 2:
      add(builder_.iota(one_of({Dtype::I64, Dtype::I32, Dtype::F32}),
                        {kernel_.syms->integer(axes_[below(std::ssize(axes_))].size), {}}),
          true);
      return;
    case 3:
      if (options_.symbols) {
        add(builder_.host_scalar(Dtype::F32, kernel_.syms->symbol_sym(SymbolId(0))), true);
        return;
      }
      [[fallthrough]];
    case 4:
      add(number(Dtype::F32, 0.25 * static_cast<double>(below(9)) - 1), true);
      return;
    default:
      add(integer(below(7) - 3), true);
  }
}

// A tile of an axis that is open; else all of it, a part, one place, or all in reverse.
Index RandomGenerator::subscript(const TensorParam& tensor, i64 dim, std::vector<ValueId>& operands,
                                 bool& gathered) {
  i64 size = *tensor.sizes[dim].as_int();
  i64 axis = tensor_axes_[tensor.slot][dim];
  BlockId open = axis < 0 ? BlockId() : axes_[axis].open;
  Index index{Index::Kind::Range, {}, tensor.sizes[dim], -1};
  auto operand = [&](ValueId value) {
    index.operand = static_cast<i32>(operands.size());
    operands.push_back(value);
  };
  i64 kind = below(100);
  if (open && kind < 80) {
    index.kind = Index::Kind::Tile;
    index.block = open;
    index.extent = {};
  } else if (open && kind < 85) {
    index = {Index::Kind::Scalar, {}, {}, -1};
    operand(builder_.tile_attr(OpCode::TileBegin, open, {Dtype::I64, {}}));
  } else if (open && kind < 90 && !gathered) {
    gathered = true;
    index = {Index::Kind::Gather, {}, {}, -1};
    operand(builder_.tile_attr(OpCode::TileIndex, open, {Dtype::I64, {}}));
  } else if (kind < 60 || open) {
    return index;
  } else if (kind < 75 && size > 1) {
    i64 start = 1 + below(size - 1);
    index.extent = kernel_.syms->integer(1 + below(size - start));
    operand(integer(start));
  } else if (kind < 85 && !gathered) {
    gathered = true;
    index = {Index::Kind::Gather, {}, {}, -1};
    ValueId count = builder_.iota(Dtype::I64, {kernel_.syms->integer(size), {}});
    operand(op(OpCode::Sub, {integer(size - 1), count}));
  } else {
    index = {Index::Kind::Scalar, {}, {}, -1};
    operand(integer(below(size)));
  }
  return index;
}

void RandomGenerator::load() {
  TensorId id(below(std::ssize(kernel_.tensors)));
  const TensorParam tensor = kernel_[id];
  std::vector<Index> subscripts;
  std::vector<ValueId> operands;
  bool gathered = false;
  for (i64 dim = 0; dim < std::ssize(tensor.sizes); ++dim) {
    if (chance(4) && tensor.sizes.size() < 3)
      subscripts.push_back({Index::Kind::NewAxis, {}, {}, -1});
    subscripts.push_back(subscript(tensor, dim, operands, gathered));
  }
  bool exact = tensor.name.starts_with("in");
  add(builder_.load(id, std::move(subscripts), std::move(operands)), exact);
}

// x[tile + 1], masked where that leaves the tensor.
void RandomGenerator::shifted_load() {
  TensorId id(below(std::ssize(kernel_.tensors)));
  const TensorParam tensor = kernel_[id];
  i64 axis = tensor_axes_[id.index][0];
  if (!tensor.name.starts_with("in") || axis < 0 || !axes_[axis].open) return load();
  i64 shift = 1 + below(2);
  std::vector<Index> subscripts = {{Index::Kind::Tile, axes_[axis].open, {}, 0}};
  for (std::size_t dim = 1; dim < tensor.sizes.size(); ++dim) {
    subscripts.push_back({Index::Kind::Range, {}, tensor.sizes[dim], -1});
  }
  ValueId by = integer(shift);
  const std::vector<Dim> shape = access_type(kernel_, id, subscripts, {by}).shape;
  ValueId at = op(OpCode::Add, {indices(axes_[axis].open, shape, 0), by});
  ValueId mask = op(OpCode::Lt, {at, integer(axes_[axis].size)});
  add(builder_.load(id, std::move(subscripts), {by}, mask), true);
}

void RandomGenerator::random_numbers() {
  auto offset = find([&](ValueId v) { return dtype_of(v) == Dtype::I64 && rank_of(v) > 0; });
  if (offset) add(builder_.rand(integer(below(1000)), *offset), true);
}

// --- arithmetic ---

// The function at an argument where it is smooth and of moderate size.
ValueId RandomGenerator::bounded(OpCode code, ValueId x) {
  Dtype dtype = dtype_of(x);
  switch (code) {
    case OpCode::Exp:
    case OpCode::Exp2:
    case OpCode::Expm1:
    case OpCode::Sinh:
    case OpCode::Cosh:
      return op(code,
                {op(OpCode::Max, {op(OpCode::Min, {x, number(dtype, 2)}), number(dtype, -2)})});
    case OpCode::Log:
    case OpCode::Log2:
    case OpCode::Log10:
    case OpCode::Rsqrt:
    case OpCode::Sqrt:
    case OpCode::Reciprocal:
      return op(code, {op(OpCode::Add, {op(OpCode::Abs, {x}), number(dtype, 1)})});
    case OpCode::Log1p:
      return op(code, {op(OpCode::Abs, {x})});
    case OpCode::Tan:
    case OpCode::Asin:
    case OpCode::Acos:
      return op(code, {scaled(op(OpCode::Tanh, {x}), 0.75)});
    default:
      return op(code, {x});
  }
}

void RandomGenerator::unary() {
  ValueId x = pool_[below(std::ssize(pool_))];
  if (!is_float(dtype_of(x))) {
    OpCode code = dtype_of(x) == Dtype::Bool
                      ? OpCode::Not
                      : one_of({OpCode::Neg, OpCode::Abs, OpCode::Sign, OpCode::Not});
    add(op(code, {x}), true);
    return;
  }
  if (is_exact(x) && chance(35)) {
    OpCode code = one_of({OpCode::Neg, OpCode::Abs, OpCode::Sign, OpCode::Floor, OpCode::Ceil,
                          OpCode::Round, OpCode::Trunc});
    add(op(code, {x}), true);
    return;
  }
  OpCode code = one_of(
      {OpCode::Exp,   OpCode::Exp2, OpCode::Expm1, OpCode::Log,        OpCode::Log2, OpCode::Log10,
       OpCode::Log1p, OpCode::Sqrt, OpCode::Rsqrt, OpCode::Reciprocal, OpCode::Sin,  OpCode::Cos,
       OpCode::Tan,   OpCode::Sinh, OpCode::Cosh,  OpCode::Tanh,       OpCode::Asin, OpCode::Acos,
       OpCode::Atan,  OpCode::Erf,  OpCode::Erfc,  OpCode::Sigmoid,    OpCode::Neg,  OpCode::Abs});
  add(bounded(code, x), false);
}

ValueId RandomGenerator::float_binary(ValueId a, ValueId b) {
  Dtype dtype = dtype_of(a);
  ValueId positive = op(OpCode::Add, {op(OpCode::Abs, {b}), number(dtype, 1)});
  switch (below(8)) {
    case 0:
      return op(OpCode::Sub, {a, b});
    case 1:
      return op(OpCode::Mul, {scaled(a, 0.5), b});
    case 2:
      return op(OpCode::Div, {a, positive});
    case 3:
      return op(OpCode::Atan2, {a, positive});
    case 4:
      return op(OpCode::Pow, {positive, op(OpCode::Tanh, {a})});
    default:
      return op(OpCode::Add, {a, b});
  }
}

ValueId RandomGenerator::integer_binary(ValueId a, ValueId b) {
  Dtype dtype = dtype_of(a);
  ValueId small = number(dtype, static_cast<double>(1 + below(5)));
  if (chance(30)) {
    return op(one_of({OpCode::FloorDiv, OpCode::Remainder, OpCode::Fmod, OpCode::Shl, OpCode::Shr}),
              {a, small});
  }
  return op(one_of({OpCode::Add, OpCode::Sub, OpCode::Mul, OpCode::Max, OpCode::Min, OpCode::And,
                    OpCode::Or, OpCode::Xor}),
            {a, b});
}

void RandomGenerator::binary() {
  ValueId a = pool_[below(std::ssize(pool_))];
  ValueId b = partner(a);
  bool exact = is_exact(a) && is_exact(b);
  if (dtype_of(a) == Dtype::Bool) {
    add(op(one_of({OpCode::And, OpCode::Or, OpCode::Xor}), {a, b}), true);
  } else if (!is_float(dtype_of(a))) {
    add(integer_binary(a, b), true);
  } else if (chance(25)) {
    add(op(one_of({OpCode::Max, OpCode::Min}), {a, b}), exact);
  } else {
    if (chance(50) && rank_of(a) == rank_of(b)) std::swap(a, b);
    add(float_binary(a, b), false);
  }
}

void RandomGenerator::compare() {
  auto a = find([&](ValueId v) { return is_exact(v); });
  if (!a) return;
  ValueId b = partner(*a);
  if (!is_exact(b)) b = number(dtype_of(*a), 0.5);
  add(op(one_of({OpCode::Eq, OpCode::Ne, OpCode::Lt, OpCode::Le, OpCode::Gt, OpCode::Ge}), {*a, b}),
      true);
}

void RandomGenerator::select() {
  auto test = find([&](ValueId v) { return dtype_of(v) == Dtype::Bool; });
  if (!test) return compare();
  ValueId a = pool_[below(std::ssize(pool_))];
  auto fitted = fit(*test, shape_of(a));
  if (!fitted) return;
  ValueId b = partner(a);
  bool exact = is_exact(a) && is_exact(b);
  add(op(OpCode::Select, {*fitted, a, b}), exact);
}

// Floats become integers only where they were not rounded and are in range.
void RandomGenerator::cast() {
  ValueId x = pool_[below(std::ssize(pool_))];
  Dtype from = dtype_of(x);
  Dtype to = one_of({Dtype::F32, Dtype::F32, Dtype::F64, Dtype::F16, Dtype::BF16, Dtype::I32,
                     Dtype::I64, Dtype::I8, Dtype::U8, Dtype::Bool});
  if (is_half(to) && !options_.halves) to = Dtype::F64;
  if (is_float(from) && !is_float(to)) {
    if (!is_exact(x)) return unary();
    ValueId low = number(from, to == Dtype::U8 ? 0 : -100);
    x = op(OpCode::Min, {op(OpCode::Max, {x, low}), number(from, 100)});
    mark(x, true);
  }
  bool widens = is_float(from) && is_float(to) && epsilon_of(to) <= epsilon_of(from) &&
                !(from == Dtype::BF16 && to == Dtype::F16);
  add(builder_.cast(x, to), is_exact(x) && (widens || from == Dtype::Bool));
}

void RandomGenerator::reduce() {
  auto x = find([&](ValueId v) { return rank_of(v) > 0; });
  if (!x) return;
  i64 dim = below(rank_of(*x));
  Dtype dtype = dtype_of(*x);
  bool exact = is_exact(*x);
  if (dtype == Dtype::Bool) {
    add(builder_.reduce(one_of({OpCode::Any, OpCode::All, OpCode::Sum}), *x, dim), true);
  } else if (exact && chance(25)) {
    add(builder_.reduce(one_of({OpCode::ArgMax, OpCode::ArgMin}), *x, dim), true);
  } else if (chance(40)) {
    add(builder_.reduce(one_of({OpCode::ReduceMax, OpCode::ReduceMin}), *x, dim), exact);
  } else if (!is_float(dtype)) {
    add(builder_.reduce(one_of({OpCode::Sum, OpCode::Sum, OpCode::Prod}), *x, dim), true);
  } else if (chance(20)) {
    add(builder_.reduce(OpCode::Prod, op(OpCode::Tanh, {*x}), dim), false);
  } else {
    add(scaled(builder_.reduce(OpCode::Sum, *x, dim), 0.25), false);
  }
}

// --- views and dots ---

void RandomGenerator::view() {
  auto x = find([&](ValueId v) { return rank_of(v) > 0 && rank_of(v) <= 3; });
  if (!x) return;
  const std::vector<Dim> shape = shape_of(*x);
  i64 rank = std::ssize(shape), dim = below(rank);
  bool exact = is_exact(*x);
  if (shape[dim].is_one()) {
    add(builder_.view(OpCode::Squeeze, *x, {dim}, {}), exact);
  } else if (rank > 1 && chance(60)) {
    std::vector<i64> order(rank);
    for (i64 i = 0; i < rank; ++i) order[i] = i;
    std::swap(order[dim], order[(dim + 1) % rank]);
    add(builder_.view(OpCode::Permute, *x, order, {}), exact);
  } else if (dim + 1 < rank && !shape[dim].block && !shape[dim + 1].block) {
    std::vector<Dim> merged = shape;
    merged[dim].size = kernel_.syms->mul(shape[dim].size, shape[dim + 1].size);
    merged.erase(merged.begin() + dim + 1);
    add(builder_.view(OpCode::Reshape, *x, {}, merged), exact);
  } else if (rank < 3) {
    ValueId wide = builder_.view(OpCode::Unsqueeze, *x, {dim}, {});
    std::vector<Dim> target = shape_of(wide);
    target[dim] = {kernel_.syms->integer(1 + below(4)), {}};
    if (chance(50) && shape_of(wide) != target) {
      wide = builder_.view(OpCode::Expand, wide, {}, target);
    }
    add(wide, exact);
  }
}

// A matrix times one that shares its inner extent: another one at hand, or its own transpose.
void RandomGenerator::dot() {
  auto a =
      find([&](ValueId v) { return is_float(dtype_of(v)) && rank_of(v) >= 2 && rank_of(v) <= 3; });
  if (!a) return;
  i64 rank = rank_of(*a);
  Dtype dtype = dtype_of(*a);
  const std::vector<Dim> left = shape_of(*a);
  auto other = find([&](ValueId v) {
    if (rank_of(v) != rank || dtype_of(v) != dtype) return false;
    return shape_of(v)[rank - 2] == left[rank - 1] && (rank < 3 || shape_of(v)[0] == left[0]);
  });
  std::vector<i64> order = rank == 3 ? std::vector<i64>{0, 2, 1} : std::vector<i64>{1, 0};
  ValueId b = other ? *other : builder_.view(OpCode::Permute, *a, order, {});
  Dtype result = dtype == Dtype::F64 ? Dtype::F64 : Dtype::F32;
  std::vector<Dim> shape = left;
  shape[rank - 1] = shape_of(b)[rank - 1];
  ValueId acc;
  if (chance(40)) {
    auto found = find([&](ValueId v) { return dtype_of(v) == result && shape_of(v) == shape; });
    if (found) acc = *found;
  }
  add(scaled(builder_.dot(*a, b, acc, result), 0.125), false);
}

}  // namespace peri::ir
