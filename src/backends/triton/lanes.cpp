#include "backends/triton/lanes.h"

#include <algorithm>
#include <bit>

#include "interp/ops.h"

namespace peri::triton {

using ir::Op;
using ir::OpCode;
using ir::ValueId;

namespace {

constexpr i64 kMostMultiple = i64{1} << 20;

i64 multiple_of_integer(i64 value) {
  if (value == 0) return kMostMultiple;
  return std::min(kMostMultiple, i64{1} << std::countr_zero(static_cast<u64>(value)));
}

std::optional<Interval> checked(int overflow, i64 low, i64 high) {
  return overflow != 0 ? std::nullopt : std::optional(Interval{low, high});
}

}  // namespace

Lanes::Lanes(const Plan& plan) : plan_(plan), kernel_(plan.kernel()) {
  for (const Op& op : kernel_.ops) {
    if (op.code != OpCode::For) continue;
    for (std::size_t i = 0; i < op.attrs.blocks.size(); ++i) {
      ranges_[op.attrs.blocks[i]] = {op.operands[2 * i], op.operands[2 * i + 1]};
    }
  }
}

// --- which lanes exist ---

bool Lanes::is_full(BlockId id) const {
  const Block& block = kernel_[id];
  i64 size = plan_.block_size(id);
  if (size == 1 || block.kind == Block::Kind::Grid) return true;
  if (size != power_of_two(size)) return false;
  Sym begin = block.begin ? plan_.resolve(block.begin) : Sym();
  Sym end = block.end ? plan_.resolve(block.end) : Sym();
  if (begin && end && begin.as_int() && end.as_int()) {
    return (*end.as_int() - *begin.as_int()) % size == 0;
  }
  return multiple_of_begin(id) >= size && multiple_of_end(id) >= size;
}

bool Lanes::is_partial(const Dim& dim) const {
  if (dim.block) return is_active(dim.block) && !is_full(dim.block);
  return !plan_.resolve(dim.size).is_int(plan_.lanes(dim));
}

bool Lanes::is_partial(ValueId value, i64 dim) const {
  if (plan_.is_rolled(value, dim)) {
    i64 chunk = plan_.rolled.at(plan_.shared.axes.of(value, dim));
    auto size = plan_.resolve(kernel_[value].type.shape[dim].size).as_int();
    return !size || *size % chunk != 0;
  }
  return is_partial(kernel_[value].type.shape[dim]);
}

// --- multiples ---

i64 Lanes::multiple_of(Sym sym) const {
  if (!sym) return 1;
  sym = plan_.resolve(sym);
  if (auto known = sym.as_int()) return multiple_of_integer(*known);
  return 1;
}

i64 Lanes::multiple_of_begin(BlockId id) const {
  auto loop = ranges_.find(id);
  if (loop != ranges_.end()) return multiple_of(loop->second.begin);
  return kernel_[id].begin ? multiple_of(kernel_[id].begin) : kMostMultiple;
}

i64 Lanes::multiple_of_end(BlockId id) const {
  auto loop = ranges_.find(id);
  return loop == ranges_.end() ? multiple_of(kernel_[id].end) : multiple_of(loop->second.end);
}

i64 Lanes::multiple_of(ValueId value) const {
  if (!kernel_[value].def) return 1;
  const Op& op = kernel_[kernel_[value].def];
  switch (op.code) {
    case OpCode::Const:
      return multiple_of_integer(op.attrs.constant.integer);
    case OpCode::HostScalar:
      return multiple_of(op.attrs.sym);
    case OpCode::BlockSize:
      return multiple_of_integer(plan_.block_size(op.attrs.block));
    case OpCode::TileEnd:
      if (!is_full(op.attrs.block)) return 1;
      [[fallthrough]];
    case OpCode::TileBegin:
      if (kernel_[op.attrs.block].kind == Block::Kind::Grid) return 1;
      return std::min(multiple_of_begin(op.attrs.block),
                      multiple_of_integer(plan_.block_size(op.attrs.block)));
    case OpCode::Add:
    case OpCode::Sub:
      return std::min(multiple_of(op.operands[0]), multiple_of(op.operands[1]));
    case OpCode::Mul:
      return std::min(kMostMultiple, multiple_of(op.operands[0]) * multiple_of(op.operands[1]));
    default:
      return 1;
  }
}

// --- intervals ---

std::optional<Interval> Lanes::block_interval(BlockId id) {
  const Block& block = kernel_[id];
  std::optional<i64> low, high;
  if (auto loop = ranges_.find(id); loop != ranges_.end()) {
    auto begin = interval(loop->second.begin), end = interval(loop->second.end);
    if (begin) low = begin->low;
    if (end) high = end->high;
  } else {
    low = block.begin ? plan_.resolve(block.begin).as_int() : 0;
    high = plan_.resolve(block.end).as_int();
    if (!high && plan_.assume_32_bit) high = kMostIn32Bits;  // checked at the launch
  }
  if (!low || !high) return std::nullopt;
  if (block.step) {  // may run backwards
    return Interval{std::min(*low, *high), std::max(*low, *high)};
  }
  return Interval{*low, std::max(*low, *high)};
}

std::optional<Interval> Lanes::interval(ValueId value) {
  auto [entry, fresh] = intervals_.try_emplace(value);
  if (fresh) {
    auto computed = compute_interval(value);
    intervals_[value] = computed;
    return computed;
  }
  return entry->second;
}

std::optional<Interval> Lanes::compute_interval(ValueId value) {
  Dtype dtype = kernel_[value].type.dtype;
  ir::OpId def = kernel_[value].def;
  if (def && kernel_[def].code == OpCode::Const && is_integer(dtype)) {
    i64 constant = kernel_[def].attrs.constant.integer;
    return Interval{constant, constant};
  }
  if (dtype == Dtype::Bool) return Interval{0, 1};
  if (dtype == Dtype::U8) return Interval{0, 255};
  if (is_integer(dtype) && dtype != Dtype::I64) {
    i64 bits = 8 * size_of(dtype) - 1;
    return Interval{-(i64{1} << bits), (i64{1} << bits) - 1};
  }
  if (dtype != Dtype::I64 || !def) return std::nullopt;
  const Op& op = kernel_[def];
  switch (op.code) {
    case OpCode::HostScalar: {
      auto known = plan_.resolve(op.attrs.sym).as_int();
      return known ? std::optional(Interval{*known, *known}) : std::nullopt;
    }
    case OpCode::TileBegin:
    case OpCode::TileEnd:
    case OpCode::TileIndex: {
      auto block = block_interval(op.attrs.block);
      if (block) block->high += power_of_two(plan_.block_size(op.attrs.block));
      return block;
    }
    case OpCode::TileId:
    case OpCode::TileCount: {
      auto block = block_interval(op.attrs.block);
      if (!block) return std::nullopt;
      return Interval{0, block->high - block->low + 1};
    }
    case OpCode::BlockSize:
      return Interval{0, plan_.block_size(op.attrs.block)};
    case OpCode::Iota:
      return Interval{0, plan_.lanes(kernel_[value].type.shape[0])};
    case OpCode::ArgMax:
    case OpCode::ArgMin:
      return Interval{0, plan_.lanes(kernel_[op.operands[0]].type.shape[op.attrs.dims[0]])};
    default:
      return arithmetic_interval(op);
  }
}

std::optional<Interval> Lanes::arithmetic_interval(const Op& op) {
  const ir::OpInfo& row = ir::info(op.code);
  if (row.rule == ir::Rule::View) return interval(op.operands[0]);
  if (op.code == OpCode::Cast) {
    return is_float(kernel_[op.operands[0]].type.dtype) ? std::nullopt : interval(op.operands[0]);
  }
  if (!row.has(ir::Elementwise) || op.code == OpCode::Rand) return std::nullopt;
  std::vector<Interval> in;
  for (ValueId operand : op.operands) {
    auto known = interval(operand);
    if (!known) return std::nullopt;
    in.push_back(*known);
  }
  i64 low = 0, high = 0;
  int overflow = 0;
  switch (op.code) {
    case OpCode::Add:
      overflow = __builtin_add_overflow(in[0].low, in[1].low, &low);
      overflow |= __builtin_add_overflow(in[0].high, in[1].high, &high);
      return checked(overflow, low, high);
    case OpCode::Sub:
      overflow = __builtin_sub_overflow(in[0].low, in[1].high, &low);
      overflow |= __builtin_sub_overflow(in[0].high, in[1].low, &high);
      return checked(overflow, low, high);
    case OpCode::Mul: {
      i64 p[4];
      for (int i = 0; i < 4; ++i) {
        i64 a = i < 2 ? in[0].low : in[0].high, b = i % 2 == 0 ? in[1].low : in[1].high;
        overflow |= __builtin_mul_overflow(a, b, &p[i]);
      }
      return checked(overflow, *std::min_element(p, p + 4), *std::max_element(p, p + 4));
    }
    case OpCode::Max:
      return Interval{std::max(in[0].low, in[1].low), std::max(in[0].high, in[1].high)};
    case OpCode::Min:
      return Interval{std::min(in[0].low, in[1].low), std::min(in[0].high, in[1].high)};
    case OpCode::Select:
      return Interval{std::min(in[1].low, in[2].low), std::max(in[1].high, in[2].high)};
    case OpCode::FloorDiv:
      if (in[0].low < 0 || in[1].low <= 0) return std::nullopt;
      return Interval{0, in[0].high / in[1].low};
    case OpCode::Remainder:
      if (in[0].low < 0 || in[1].low <= 0) return std::nullopt;
      return Interval{0, std::min(in[0].high, in[1].high - 1)};
    default:
      return std::nullopt;
  }
}

// --- padding ---

std::optional<SymValue> Lanes::padding(ValueId value, i64 dim) {
  const TileType& type = kernel_[value].type;
  if (type.is_scalar() || dim < 0) return std::nullopt;
  return compute_padding(value, dim);
}

namespace {

// The value an expanded scalar has everywhere.
std::optional<SymValue> constant_of(const ir::Kernel& kernel, ValueId value) {
  if (!kernel[value].def) return std::nullopt;
  const Op& op = kernel[kernel[value].def];
  if (op.code == OpCode::Const) return op.attrs.constant;
  if (ir::info(op.code).rule == ir::Rule::View) return constant_of(kernel, op.operands[0]);
  return std::nullopt;
}

// Whether the access can leave lanes of a tile's dimension to what lies beyond its range.
bool reads_beyond(const Plan& plan, const Op& op, const Dim& dim) {
  auto access = plan.accesses.find(plan.kernel()[op.results[0]].def);
  if (access == plan.accesses.end() || access->second.indexing != Indexing::Descriptor) {
    return false;
  }
  const ir::TensorParam& tensor = plan.kernel()[op.attrs.tensor];
  i64 d = 0;
  for (const ir::Index& index : op.attrs.indices) {
    Sym size = plan.resolve(tensor.sizes[d++]);
    if (index.kind == ir::Index::Kind::Tile && index.block == dim.block) {
      const Block& block = plan.kernel()[dim.block];
      return !block.end || plan.resolve(block.end) != size || index.operand >= 0;
    }
    if (index.kind == ir::Index::Kind::Range && !dim.block && index.extent == dim.size) {
      return plan.resolve(index.extent) != size || index.operand >= 0;
    }
  }
  return true;
}

}  // namespace

std::optional<SymValue> Lanes::compute_padding(ValueId value, i64 dim) {
  if (auto constant = constant_of(kernel_, value)) return constant;
  if (!kernel_[value].def) return std::nullopt;
  const Op& op = kernel_[kernel_[value].def];
  const ir::OpInfo& row = ir::info(op.code);
  if (op.code == OpCode::Load) {
    const Dim& extent = kernel_[value].type.shape[dim];
    if (reads_beyond(plan_, op, extent)) return std::nullopt;
    // Along a stride of 0 all lanes hold what one of them loads.
    for (Sym stride : kernel_[op.attrs.tensor].strides) {
      if (plan_.resolve(stride).is_int(0)) return std::nullopt;
    }
    bool real = is_float(kernel_[value].type.dtype);
    return real ? SymValue::of(0.0) : SymValue::of(i64{0});
  }
  if (op.code == OpCode::Reshape) return std::nullopt;
  if (row.rule == ir::Rule::View) {
    if (kernel_[op.operands[0]].type.is_scalar()) return std::nullopt;
    std::vector<i64> dims = analysis::view_dims(kernel_, op);
    for (std::size_t i = 0; i < dims.size(); ++i) {
      if (dims[i] == dim) return padding(op.operands[0], static_cast<i64>(i));
    }
    return std::nullopt;
  }
  if (row.has(ir::Elementwise) && op.code != OpCode::Rand) return elementwise_padding(op, dim);
  return std::nullopt;
}

std::optional<SymValue> Lanes::elementwise_padding(const Op& op, i64 dim) {
  std::vector<std::optional<SymValue>> in;
  for (ValueId operand : op.operands) {
    bool scalar = kernel_[operand].type.is_scalar();
    in.push_back(scalar ? constant_of(kernel_, operand) : padding(operand, dim));
  }
  if (op.code == OpCode::And &&
      ((in[0] && in[0]->integer == 0) || (in[1] && in[1]->integer == 0))) {
    return SymValue::of(i64{0});
  }
  if (op.code == OpCode::Select && in[1] && in[1] == in[2]) return in[1];
  if (op.code == OpCode::Select && in[0]) return in[0]->integer != 0 ? in[1] : in[2];
  std::vector<interp::Tile> tiles;
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (!in[i]) return std::nullopt;
    tiles.push_back(interp::constant(*in[i], kernel_[op.operands[i]].type.dtype, true));
  }
  Dtype dtype = kernel_[op.results[0]].type.dtype;
  if (op.code == OpCode::Cast) return interp::value_of(interp::convert(tiles[0], dtype, true));
  std::vector<const interp::Tile*> pointers;
  for (const interp::Tile& tile : tiles) pointers.push_back(&tile);
  return interp::value_of(interp::elementwise(op.code, pointers, dtype, true));
}

}  // namespace peri::triton
