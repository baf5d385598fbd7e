// Subscripts: gathers that are really tiles or ranges, zero shifts, and masks that are always true.
#include "passes/canonical_rules.h"

namespace peri::passes {

namespace {

using ir::Index;
using ir::OpCode;
using ir::ValueId;

// Indices of 32 bits and more do not wrap where the access is in range.
bool is_wide(Dtype dtype) { return dtype == Dtype::I64 || dtype == Dtype::I32; }

// A gather's index tile as consecutive numbers plus a scalar.
struct Consecutive {
  Index index;            // Tile or Range, without its shift
  ValueId shift;          // none: 0
  bool negative = false;  // subtract the shift
};

ValueId skip_casts(const Rewriter& rewriter, ValueId value) {
  const ir::Op* cast = rewriter.definition(value, OpCode::Cast);
  while (cast && is_wide(rewriter.type(value).dtype)) {
    ValueId source = cast->operands[0];
    if (!is_wide(rewriter.type(source).dtype)) break;
    value = source;
    cast = rewriter.definition(value, OpCode::Cast);
  }
  return value;
}

std::optional<Index> counting_index(const Rewriter& rewriter, ValueId value) {
  value = skip_casts(rewriter, value);
  Index index;
  if (!is_wide(rewriter.type(value).dtype)) return std::nullopt;
  if (const ir::Op* tile = rewriter.definition(value, OpCode::TileIndex)) {
    index.kind = Index::Kind::Tile;
    index.block = tile->attrs.block;
    Dim dim{rewriter.kernel[index.block].size, index.block};
    if (rewriter.type(value).shape != std::vector<Dim>{dim}) return std::nullopt;
    return index;
  }
  const Dim* dim = rewriter.type(value).shape.empty() ? nullptr : &rewriter.type(value).shape[0];
  if (!rewriter.definition(value, OpCode::Iota) || dim->block) return std::nullopt;
  index.kind = Index::Kind::Range;
  index.extent = dim->size;
  return index;
}

std::optional<Consecutive> consecutive(const Rewriter& rewriter, ValueId value) {
  value = skip_casts(rewriter, value);
  if (auto index = counting_index(rewriter, value)) return Consecutive{*index, {}};
  const ir::Op* add = rewriter.definition(value, OpCode::Add);
  const ir::Op* sub = rewriter.definition(value, OpCode::Sub);
  if ((!add && !sub) || !is_wide(rewriter.type(value).dtype)) return std::nullopt;
  std::vector<ValueId> operands = (add ? add : sub)->operands;
  if (add && rewriter.type(operands[0]).is_scalar()) std::swap(operands[0], operands[1]);
  if (!rewriter.type(operands[1]).is_scalar()) return std::nullopt;
  auto index = counting_index(rewriter, operands[0]);
  if (!index) return std::nullopt;
  return Consecutive{*index, operands[1], sub != nullptr};
}

ValueId shift_value(Rewriter& rewriter, const Consecutive& from) {
  if (!from.negative) return from.shift;
  return rewriter.insert(OpCode::Neg, {from.shift}, rewriter.type(from.shift));
}

i64 gather_count(const ir::Op& op) {
  i64 count = 0;
  for (const Index& index : op.attrs.indices) count += index.kind == Index::Kind::Gather;
  return count;
}

// Erases an operand and renumbers the subscripts that follow it.
void erase_operand(ir::Op& op, i32 operand) {
  op.operands.erase(op.operands.begin() + operand);
  for (Index& index : op.attrs.indices) {
    if (index.operand > operand) --index.operand;
  }
}

// Only one gather may become a tile: several stand together in the result.
bool gather_to_tile(Rewriter& rewriter, ir::OpId id) {
  if (gather_count(rewriter.op(id)) != 1) return false;
  for (size_t i = 0; i < rewriter.op(id).attrs.indices.size(); ++i) {
    Index gather = rewriter.op(id).attrs.indices[i];
    if (gather.kind != Index::Kind::Gather) continue;
    ValueId tile = rewriter.op(id).operands[gather.operand];
    auto from = rewriter.type(tile).rank() == 1 ? consecutive(rewriter, tile) : std::nullopt;
    if (!from) return false;
    ValueId shift = from->shift ? shift_value(rewriter, *from) : ValueId();
    ir::Op& op = rewriter.kernel[id];
    op.attrs.indices[i] = from->index;
    if (shift) {
      op.attrs.indices[i].operand = gather.operand;
      op.operands[gather.operand] = shift;
    } else {
      erase_operand(op, gather.operand);
    }
    return true;
  }
  return false;
}

bool drop_zero_shifts(Rewriter& rewriter, ir::OpId id) {
  ir::Op& op = rewriter.kernel[id];
  for (Index& index : op.attrs.indices) {
    bool shifts = index.kind == Index::Kind::Tile || index.kind == Index::Kind::Range;
    if (!shifts || index.operand < 0) continue;
    auto shift = rewriter.constant(op.operands[index.operand]);
    if (!shift || shift->integer != 0) continue;
    i32 operand = index.operand;
    index.operand = -1;
    erase_operand(op, operand);
    return true;
  }
  return false;
}

bool drop_true_mask(Rewriter& rewriter, ir::OpId id) {
  ir::Op& op = rewriter.kernel[id];
  if (!op.attrs.has_mask) return false;
  ValueId mask = op.operands.back();
  ValueId scalar = rewriter.splatted(mask);
  auto known = rewriter.constant(scalar ? scalar : mask);
  if (!known || !known->integer) return false;
  op.operands.pop_back();
  op.attrs.has_mask = false;
  return true;
}

}  // namespace

bool simplify_access(Rewriter& rewriter, ir::OpId id) {
  OpCode code = rewriter.op(id).code;
  if (code != OpCode::Load && code != OpCode::Store) return false;
  return gather_to_tile(rewriter, id) || drop_zero_shifts(rewriter, id) ||
         drop_true_mask(rewriter, id);
}

}  // namespace peri::passes
