// Views: pairs that cancel or compose, and repeated scalars.
#include <algorithm>

#include "passes/canonical_rules.h"

namespace peri::passes {

namespace {

using ir::OpCode;
using ir::ValueId;

ir::Attrs with_dims(std::vector<i64> dims) {
  ir::Attrs attrs;
  attrs.dims = std::move(dims);
  return attrs;
}

std::vector<ValueId> without_splats(const Rewriter& rewriter, const std::vector<ValueId>& values) {
  std::vector<ValueId> scalars;
  for (ValueId value : values) {
    ValueId scalar = rewriter.splatted(value);
    scalars.push_back(scalar ? scalar : value);
  }
  return scalars;
}

// Whether a view keeps the axes of its operand: where its type forgets one, the last tile of the
// axis has fewer elements than the type says.
bool keeps_axes(const TileType& from, const TileType& to) {
  return std::ranges::all_of(from.shape, [&](const Dim& dim) {
    return !dim.block || std::ranges::count(to.shape, dim.block, &Dim::block) ==
                             std::ranges::count(from.shape, dim.block, &Dim::block);
  });
}

// A view of a repeated scalar.
bool view_of_splat(Rewriter& rewriter, ir::OpId id) {
  const ir::Op& op = rewriter.op(id);
  ValueId value = op.operands[0];
  const TileType &type = rewriter.type(value), &result = rewriter.result_type(id);
  if (type.is_scalar() && op.code == OpCode::Expand) return false;
  ValueId scalar = type.is_scalar() ? value : rewriter.splatted(value);
  if (!scalar || !keeps_axes(type, result)) return false;
  if (result.is_scalar()) return rewriter.replace(id, scalar);
  return rewriter.become(id, OpCode::Expand, {scalar});
}

bool simplify_permute(Rewriter& rewriter, ir::OpId id) {
  const ir::Op& op = rewriter.op(id);
  std::vector<i64> dims = op.attrs.dims;
  if (std::is_sorted(dims.begin(), dims.end())) return rewriter.replace(id, op.operands[0]);
  const ir::Op* inner = rewriter.definition(op.operands[0], OpCode::Permute);
  if (!inner) return false;
  for (i64& dim : dims) dim = inner->attrs.dims[dim];
  return rewriter.become(id, OpCode::Permute, {inner->operands[0]}, with_dims(dims));
}

// squeeze of unsqueeze, or the reverse, at one position.
bool cancel(Rewriter& rewriter, ir::OpId id, OpCode inverse) {
  const ir::Op& op = rewriter.op(id);
  const ir::Op* inner = rewriter.definition(op.operands[0], inverse);
  if (!inner || inner->attrs.dims != op.attrs.dims) return false;
  ValueId source = inner->operands[0];
  return rewriter.type(source) == rewriter.result_type(id) && rewriter.replace(id, source);
}

bool simplify_expand(Rewriter& rewriter, ir::OpId id) {
  const ir::Op& op = rewriter.op(id);
  ValueId value = op.operands[0];
  if (rewriter.type(value) == rewriter.result_type(id)) return rewriter.replace(id, value);
  const ir::Op* inner = rewriter.definition(value, OpCode::Expand);
  if (!inner || !keeps_axes(rewriter.type(value), rewriter.result_type(id))) return false;
  return rewriter.become(id, OpCode::Expand, {inner->operands[0]});
}

std::vector<Dim> without_ones(const TileType& type) {
  std::vector<Dim> dims;
  for (const Dim& dim : type.shape) {
    if (!dim.is_one()) dims.push_back(dim);
  }
  return dims;
}

// A reshape that only drops and adds extents of 1 is squeezes and unsqueezes.
bool reshape_of_ones(Rewriter& rewriter, ir::OpId id) {
  ValueId value = rewriter.op(id).operands[0];
  TileType target = rewriter.result_type(id), type = rewriter.type(value);
  std::vector<Dim> kept = without_ones(type);
  if (kept != without_ones(target)) return false;
  for (i64 d = type.rank(); d-- > 0;) {
    if (!type.shape[d].is_one()) continue;
    type.shape.erase(type.shape.begin() + d);
    value = rewriter.insert(OpCode::Squeeze, {value}, type, with_dims({d}));
  }
  for (i64 d = 0; d < target.rank(); ++d) {
    if (!target.shape[d].is_one()) continue;
    type.shape.insert(type.shape.begin() + d, target.shape[d]);
    value = rewriter.insert(OpCode::Unsqueeze, {value}, type, with_dims({d}));
  }
  return rewriter.replace(id, value);
}

bool simplify_reshape(Rewriter& rewriter, ir::OpId id) {
  ValueId value = rewriter.op(id).operands[0];
  if (rewriter.type(value) == rewriter.result_type(id)) return rewriter.replace(id, value);
  for (OpCode code : {OpCode::Reshape, OpCode::Squeeze, OpCode::Unsqueeze}) {
    const ir::Op* inner = rewriter.definition(value, code);
    if (inner) return rewriter.become(id, OpCode::Reshape, {inner->operands[0]});
  }
  return reshape_of_ones(rewriter, id);
}

}  // namespace

bool simplify_view(Rewriter& rewriter, ir::OpId id) {
  OpCode code = rewriter.op(id).code;
  if (ir::info(code).rule != ir::Rule::View) return false;
  if (view_of_splat(rewriter, id)) return true;
  switch (code) {
    case OpCode::Permute:
      return simplify_permute(rewriter, id);
    case OpCode::Squeeze:
      return cancel(rewriter, id, OpCode::Unsqueeze);
    case OpCode::Unsqueeze:
      return cancel(rewriter, id, OpCode::Squeeze);
    case OpCode::Expand:
      return simplify_expand(rewriter, id);
    default:
      return simplify_reshape(rewriter, id);
  }
}

bool simplify_splats(Rewriter& rewriter, ir::OpId id) {
  const ir::Op& op = rewriter.op(id);
  if (!ir::info(op.code).has(ir::Elementwise)) return false;
  std::vector<ValueId> scalars = without_splats(rewriter, op.operands);
  if (scalars == op.operands) return false;
  OpCode code = op.code;
  TileType result = rewriter.result_type(id);
  // A tile of type `kept` goes on giving the extents.
  auto gives_extents = [&](const TileType& kept) {
    return kept.shape == result.shape && std::ranges::all_of(op.operands, [&](ValueId v) {
             return Rewriter::covers(kept, rewriter.type(v));
           });
  };
  auto is_scalar = [&](ValueId v) { return rewriter.type(v).is_scalar(); };
  if (std::ranges::all_of(scalars, is_scalar)) {
    if (!gives_extents(result)) return false;
    ValueId scalar = rewriter.insert(code, scalars, TileType{result.dtype, {}});
    return rewriter.become(id, OpCode::Expand, {scalar});
  }
  bool keeps_extents =
      std::ranges::any_of(scalars, [&](ValueId v) { return gives_extents(rewriter.type(v)); });
  return keeps_extents && rewriter.become(id, code, scalars);
}

}  // namespace peri::passes
