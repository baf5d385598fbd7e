#include "analysis/index_range.h"

#include <algorithm>
#include <functional>

#include "types/sym_bounds.h"
#include "types/sym_ops.h"

namespace peri::analysis {

namespace {

using ir::Op;
using ir::OpCode;
using ir::ValueId;

constexpr i64 kMaxDepth = 16;  // of the expressions looked into

class Ranges {
 public:
  explicit Ranges(const ir::Kernel& kernel) : kernel_(kernel), syms_(*kernel.syms) {}

  bool at_most(Sym a, Sym b) {
    if (!a || !b) return false;
    if (a == b) return true;
    auto gap = lower_bound(syms_, syms_.sub(b, a));
    if (gap && *gap >= 0) return true;
    if (a.kind() == SymKind::Min) return at_most(a.operand(0), b) || at_most(a.operand(1), b);
    return false;
  }

  // The indices that a tile axis runs over.
  IndexRange of_axis(BlockId id) {
    while (kernel_[id].parent) id = kernel_[id].parent;
    const Block& block = kernel_[id];
    if (block.kind == Block::Kind::Registered) return {};
    if (block.step && lower_bound(syms_, block.step).value_or(-1) < 0) return {};
    if (!block.end) return {};
    return {block.begin ? lower_bound(syms_, block.begin) : std::optional<i64>(0), block.end};
  }

  IndexRange of(ValueId value, i64 depth) {
    ir::OpId def = kernel_[value].def;
    if (!def || depth > kMaxDepth) return {};
    const Op& op = kernel_[def];
    switch (op.code) {
      case OpCode::Const:
      case OpCode::HostScalar:
        return of_scalar(op);
      case OpCode::TileIndex:
      case OpCode::TileBegin:
        return of_axis(op.attrs.block);
      case OpCode::TileId:
        return {0, {}};
      case OpCode::Iota:
        return {0, kernel_[value].type.shape[0].size};
      case OpCode::ArgMax:
      case OpCode::ArgMin:
        return {0, kernel_[op.operands[0]].type.shape[op.attrs.dims[0]].size};
      case OpCode::Cast:
        return widens(op) ? of(op.operands[0], depth + 1) : IndexRange{};
      default:
        break;
    }
    if (ir::info(op.code).rule == ir::Rule::View) return of(op.operands[0], depth + 1);
    if (kernel_[value].type.dtype != Dtype::I64) return {};  // a sum of narrower ones may wrap
    return of_arithmetic(op, depth);
  }

  IndexRange shifted(const IndexRange& a, const IndexRange& b) {
    IndexRange sum;
    if (a.low && b.low) sum.low = checked_add(*a.low, *b.low);
    if (a.end && b.end) sum.end = syms_.sub(syms_.add(a.end, b.end), syms_.integer(1));
    return sum;
  }

 private:
  IndexRange of_scalar(const Op& op) {
    Sym value = op.code == OpCode::HostScalar ? op.attrs.sym : syms_.constant(op.attrs.constant);
    if (value.type() != SymType::Int) return {};
    return {lower_bound(syms_, value), syms_.add(value, syms_.integer(1))};
  }

  // The result holds every value of the operand.
  bool widens(const Op& op) const {
    Dtype from = kernel_[op.operands[0]].type.dtype, to = kernel_[op.results[0]].type.dtype;
    if (!is_integer(from) || !is_integer(to)) return false;
    return from == to || (size_of(to) > size_of(from) && to != Dtype::U8);
  }

  std::optional<i64> constant(ValueId value) const {
    ir::OpId def = kernel_[value].def;
    while (def && ir::info(kernel_[def].code).rule == ir::Rule::View) {
      def = kernel_[kernel_[def].operands[0]].def;
    }
    if (!def || kernel_[def].code != OpCode::Const) return std::nullopt;
    const SymValue& v = kernel_[def].attrs.constant;
    return v.type == SymType::Int ? std::optional(v.integer) : std::nullopt;
  }

  IndexRange of_arithmetic(const Op& op, i64 depth) {
    if (op.operands.size() < 2) return {};
    IndexRange a = of(op.operands[op.operands.size() - 2], depth + 1);
    IndexRange b = of(op.operands.back(), depth + 1);
    auto factor = constant(op.operands.back());
    switch (op.code) {
      case OpCode::Add:
        return shifted(a, b);
      case OpCode::Sub:
        if (!factor) return {};
        return shifted(a, {-*factor, syms_.integer(1 - *factor)});
      case OpCode::Mul:
        if (!factor || *factor < 1) return {};
        return scaled(a, SymKind::Mul, *factor);
      case OpCode::FloorDiv:
        if (!factor || *factor < 1 || a.low.value_or(-1) < 0) return {};
        return scaled(a, SymKind::FloorDiv, *factor);
      case OpCode::Remainder:
        if (!factor || *factor < 1) return {};
        return {0, syms_.integer(*factor)};
      case OpCode::And:
        if (!factor || *factor < 0) return {};
        return {0, syms_.add(syms_.integer(*factor), syms_.integer(1))};
      case OpCode::Min:
        return {smaller(a.low, b.low), a.end && !at_most(b.end, a.end) ? a.end : b.end};
      case OpCode::Max:
        return {a.low && b.low ? std::optional(std::max(*a.low, *b.low)) : (a.low ? a.low : b.low),
                joined(a.end, b.end)};
      case OpCode::Select:
        return {smaller(a.low, b.low), joined(a.end, b.end)};
      default:
        return {};
    }
  }

  static std::optional<i64> smaller(std::optional<i64> a, std::optional<i64> b) {
    return a && b ? std::optional(std::min(*a, *b)) : std::nullopt;
  }

  // The larger end, if it is known which.
  Sym joined(Sym a, Sym b) {
    if (at_most(a, b)) return b;
    return at_most(b, a) ? a : Sym();
  }

  // Of a * factor, or a / factor: both grow with a.
  IndexRange scaled(const IndexRange& a, SymKind kind, i64 factor) {
    IndexRange result;
    if (a.low) {
      result.low = kind == SymKind::Mul ? checked_mul(*a.low, factor) : floor_div(*a.low, factor);
    }
    if (a.end) {
      Sym last = syms_.sub(a.end, syms_.integer(1));
      result.end = syms_.add(syms_.make(kind, last, syms_.integer(factor)), syms_.integer(1));
    }
    return result;
  }

  const ir::Kernel& kernel_;
  SymTable& syms_;
};

}  // namespace

IndexRange index_range(const ir::Kernel& kernel, ValueId value) {
  return Ranges(kernel).of(value, 0);
}

bool is_in_range(const ir::Kernel& kernel, const Op& op, i64 dim, const ir::Index& index) {
  Ranges ranges(kernel);
  IndexRange range;
  switch (index.kind) {
    case ir::Index::Kind::NewAxis:
      return true;
    case ir::Index::Kind::Tile:
      range = ranges.of_axis(index.block);
      break;
    case ir::Index::Kind::Range:
      range = {0, index.extent};
      break;
    default:
      range = {0, kernel.syms->integer(1)};
  }
  if (index.operand >= 0) range = ranges.shifted(range, ranges.of(op.operands[index.operand], 0));
  return range.low.value_or(-1) >= 0 &&
         ranges.at_most(range.end, kernel[op.attrs.tensor].sizes[dim]);
}

}  // namespace peri::analysis
