// Loads and stores: pointers with masks, or descriptors.
#include <fmt/format.h>

#include <algorithm>

#include "backends/triton/emit.h"

namespace peri::triton {

using backends::LaunchParam;
using ir::Index;
using ir::Op;
using ir::OpCode;
using ir::OpId;
using ir::ValueId;

// --- pointers ---

// The dimensions that the addresses vary along.
std::vector<bool> Emitter::access_presence(const Op& op, ValueId value, const TileType& type) {
  std::vector<bool> present(type.rank(), false);
  const ir::TensorParam& tensor = kernel_[op.attrs.tensor];
  i64 at = 0, gather_at = -1, dim = 0;
  for (const Index& index : op.attrs.indices) {
    bool moves =
        index.kind == Index::Kind::NewAxis || !plan_.resolve(tensor.strides[dim++]).is_int(0);
    if (index.kind == Index::Kind::Scalar) continue;
    if (index.kind == Index::Kind::Gather) {
      const Held& operand = held(op.operands[index.operand]);
      i64 rank = kernel_[op.operands[index.operand]].type.rank();
      i64 first = gather_at < 0 ? at : gather_at;
      for (i64 d = 0; d < rank; ++d) {
        if (operand.present[d] && moves) present[first + d] = true;
      }
      if (gather_at < 0) at += rank;
      gather_at = first;
      continue;
    }
    if (index.kind != Index::Kind::NewAxis) {
      bool scalar = kernel_[value].type.is_scalar();
      i64 lanes = scalar ? plan_.lanes(type.shape[at]) : lanes_of(value, at);
      present[at] = lanes > 1 && moves;
    }
    ++at;
  }
  return present;
}

// The index along one tensor dimension, as a tile of the access's dimensions.
Held Emitter::subscript(const Op& op, const Index& index, ValueId value, i64 at, i64 rank) {
  Held text{{}, Dtype::I32, std::vector<bool>(rank, false), false};
  auto shifted = [&](Held base) {
    if (index.operand < 0) return base;
    Held shift = held(op.operands[index.operand]);
    if (shift.text.text == "0") return base;
    if (shift.dtype == Dtype::I64 && !shift.is_literal) base = as_dtype(base, Dtype::I64);
    base.text = binary("+", Binding::Sum, shift.text, base.text);
    return base;
  };
  switch (index.kind) {
    case Index::Kind::Tile:
      text.text = {blocks_.at(index.block).index};
      if (blocks_.at(index.block).wide) text.dtype = Dtype::I64;
      text.present[at] = plan_.block_size(index.block) > 1;
      return shifted(std::move(text));
    case Index::Kind::Range: {
      bool scalar = kernel_[value].type.is_scalar();
      i64 lanes = scalar ? plan_.lanes({index.extent, {}}) : lanes_of(value, at);
      text.present[at] = lanes > 1;
      if (lanes == 1) {
        text.text = {"0"};
      } else {
        text.text = {scalar ? range(index.extent, lanes).index
                            : range_of(value, at, index.extent).index};
      }
      return shifted(std::move(text));
    }
    default: {
      Held operand = held(op.operands[index.operand]);
      std::vector<bool> own = operand.present;
      operand.present = std::vector<bool>(rank, false);
      for (std::size_t d = 0; d < own.size() && index.kind == Index::Kind::Gather; ++d) {
        operand.present[at + d] = own[d];
      }
      return operand;
    }
  }
}

void Emitter::add_term(std::vector<Term>& terms, Held index, Sym stride, bool wide,
                       const std::vector<bool>& present) {
  stride = plan_.resolve(stride);
  if (index.text.text == "0" || stride.is_int(0)) return;
  if (wide && !index.is_literal) index = as_dtype(index, Dtype::I64);
  // An index in range fits; only what a mask keeps out may not.
  if (!wide && index.dtype == Dtype::I64 && !index.is_literal) {
    index = as_dtype(index, Dtype::I32);
  }
  Term term{aligned(index, present), index.is_tile()};
  if (!stride.is_int(1)) term.text = binary("*", Binding::Product, term.text, sym(stride));
  terms.push_back(std::move(term));
}

std::string Emitter::access_mask(const Op& op, ValueId value, const TileType& type,
                                 const std::vector<bool>& present) {
  std::string mask;
  auto add = [&](const Text& text) {
    mask += (mask.empty() ? "" : " & ") + text.as(Binding::Unary);
  };
  bool scalar = kernel_[value].type.is_scalar();
  for (i64 d = 0; d < type.rank(); ++d) {
    if (!present[d]) continue;
    std::string lanes = scalar ? "" : mask_of(value, d, type);
    if (scalar && lanes_.is_partial(type.shape[d])) {
      lanes = type.shape[d].block ? blocks_.at(type.shape[d].block).mask
                                  : range(type.shape[d].size, plan_.lanes(type.shape[d])).mask;
    }
    if (lanes.empty()) continue;
    Held tile{{lanes}, Dtype::Bool, std::vector<bool>(present.size(), false), false};
    tile.present[d] = true;
    add(aligned(tile, present));
  }
  if (op.attrs.has_mask) add(aligned(held(op.operands.back()), present));
  return mask;
}

// `wanted`: further dimensions that the pointers must have.
Emitter::Address Emitter::address(OpId id, ValueId value, const std::vector<bool>& wanted) {
  const Op& op = kernel_[id];
  const ir::TensorParam& param = kernel_[op.attrs.tensor];
  Address address;
  address.type = ir::access_type(kernel_, op.attrs.tensor, op.attrs.indices, op.operands);
  std::vector<bool> varies = access_presence(op, value, address.type);
  address.present = varies;
  for (std::size_t d = 0; d < wanted.size(); ++d) {
    if (wanted[d]) address.present[d] = true;
  }
  if (op.attrs.has_mask) {
    const Held& mask = held(op.operands.back());
    for (std::size_t d = 0; d < mask.present.size(); ++d) {
      if (mask.present[d]) address.present[d] = true;
    }
  }
  bool wide = plan_.wide[op.attrs.tensor.index];
  std::vector<Term> terms;
  i64 at = 0, dim = 0, gather_at = -1;
  i64 rank = address.type.rank();
  for (const Index& index : op.attrs.indices) {
    bool gather = index.kind == Index::Kind::Gather;
    if (index.kind == Index::Kind::NewAxis) {
      ++at;
      continue;
    }
    i64 position = gather && gather_at >= 0 ? gather_at : at;
    add_term(terms, subscript(op, index, value, position, rank), param.strides[dim++], wide,
             address.present);
    if (gather && gather_at < 0) {
      gather_at = at;
      at += kernel_[op.operands[index.operand]].type.rank();
    } else if (!gather && index.kind != Index::Kind::Scalar) {
      ++at;
    }
  }
  Text offset;
  // Scalars first: they are added once, not in every lane.
  std::ranges::stable_sort(terms, {}, [](const Term& term) { return term.is_tile; });
  for (const Term& term : terms) {
    offset = offset.text.empty() ? term.text : binary("+", Binding::Sum, offset, term.text);
  }
  Text base{tensor(op.attrs.tensor)};
  address.pointer = offset.text.empty()
                        ? base
                        : Text{fmt::format("{} + ({})", base.text, offset.text), Binding::Sum};
  if (!offset.text.empty() && offset.binding <= Binding::Product) {
    address.pointer = {fmt::format("{} + {}", base.text, offset.text), Binding::Sum};
  }
  address.mask = access_mask(op, value, address.type, address.present);
  if (varies != address.present) {
    std::string shape;
    bool scalar = kernel_[value].type.is_scalar();
    for (i64 d = 0; d < rank; ++d) {
      if (!address.present[d]) continue;
      i64 lanes = scalar ? plan_.lanes(address.type.shape[d]) : lanes_of(value, d);
      shape += fmt::format("{}{}", shape.empty() ? "" : ", ", lanes);
    }
    // Terms are aligned to the full rank already, or all scalars.
    address.pointer = {fmt::format("tl.broadcast_to({}, [{}])", address.pointer.text, shape)};
  }
  return address;
}

void Emitter::emit_load(OpId id) {
  const Op& op = kernel_[id];
  const AccessPlan& access = plan_.accesses.at(id);
  ValueId result = op.results[0];
  Held value;
  if (access.indexing == Indexing::Descriptor) {
    value = load_descriptor(id);
  } else {
    Address from = address(id, result, {});
    bool real = is_float(kernel_[op.attrs.tensor].dtype);
    std::string options;
    if (!from.mask.empty()) {
      options = fmt::format(", mask={}, other={}", from.mask, real ? "0.0" : "0");
    }
    if (!access.eviction.empty()) {
      options += fmt::format(", eviction_policy=\"evict_{}\"", access.eviction);
    }
    value = {{fmt::format("tl.load({}{})", from.pointer.text, options)},
             kernel_[op.attrs.tensor].dtype,
             from.present,
             false};
  }
  if (is_half(value.dtype) && wanted_forms(result) == 2) value = as_dtype(value, Dtype::F32);
  define(result, std::move(value));
}

void Emitter::emit_store(OpId id) {
  const Op& op = kernel_[id];
  if (plan_.accesses.at(id).indexing == Indexing::Descriptor) return store_descriptor(id);
  ValueId source = op.operands[0];
  Held value = held(source);
  TileType type = ir::access_type(kernel_, op.attrs.tensor, op.attrs.indices, op.operands);
  value.present.resize(type.rank());
  Address to = address(id, source, value.present);
  std::string mask = to.mask.empty() ? "" : ", mask=" + to.mask;
  lines_.add(
      fmt::format("tl.store({}, {}{})", to.pointer.text, aligned(value, to.present).text, mask));
}

// --- descriptors ---

std::string Emitter::descriptor(OpId id) {
  const Op& op = kernel_[id];
  const backends::TensorMap& map = *plan_.accesses.at(id).map;
  const ir::TensorParam& tensor_param = kernel_[op.attrs.tensor];
  std::string sizes, strides, box;
  for (std::size_t i = 0; i < map.dims.size(); ++i) {
    const char* comma = i == 0 ? "" : ", ";
    sizes += comma + sym(tensor_param.sizes[map.dims[i]]).text;
    strides += comma + sym(tensor_param.strides[map.dims[i]]).text;
    box += fmt::format("{}{}", comma, map.box[i]);
  }
  std::string key = fmt::format("{} {} {}", op.attrs.tensor.index, strides, box);
  std::string& name = descriptors_[key];
  if (!name.empty()) return name;
  if (plan_.host_descriptors) {
    LaunchParam p;
    p.kind = LaunchParam::Kind::Map;
    p.tensor = op.attrs.tensor.index;
    p.alignment = 16;
    p.map = map;
    name = param(p, fmt::format("tensordesc<{}[{}]>", signature_dtype(tensor_param.dtype), box),
                 false, tensor_param.name + "_desc");
    return name;
  }
  result_.described.insert(op.attrs.tensor.index);
  std::string base = tensor(op.attrs.tensor);
  name = names_.unique(tensor_param.name + "_desc");
  preamble_.define(name, fmt::format("tl.make_tensor_descriptor({}, [{}], [{}], [{}])", base, sizes,
                                     strides, box));
  return name;
}

// "[begin, 0]": where a box starts, in the order of the descriptor's dimensions.
std::string Emitter::descriptor_offsets(OpId id, ValueId value) {
  const Op& op = kernel_[id];
  std::vector<std::string> starts;
  for (const Index& index : op.attrs.indices) {
    std::string start = "0";
    if (index.kind == Index::Kind::Tile) {
      const BlockText& block = blocks_.at(index.block);
      // A box that is accessed has an element in range, and sizes along it fit (tensor_map()).
      bool cast = block.wide || block.may_be_wide;
      start = cast ? block.begin + ".to(tl.int32)" : block.begin;
    }
    if (index.operand >= 0) {
      Held shift = held(op.operands[index.operand]);
      if (shift.dtype == Dtype::I64 && !shift.is_literal) shift = as_dtype(shift, Dtype::I32);
      start = start == "0" ? shift.text.text : binary("+", Binding::Sum, {start}, shift.text).text;
    }
    starts.push_back(start);
  }
  std::string text;
  for (i64 dim : plan_.accesses.at(id).map->dims) text += (text.empty() ? "" : ", ") + starts[dim];
  return "[" + text + "]";
}

namespace {

// The access's dimensions in the order in which the descriptor has them.
std::vector<i64> value_dims(const Op& op, const backends::TensorMap& map) {
  std::vector<i64> of_tensor;
  i64 at = 0;
  for (const Index& index : op.attrs.indices) {
    of_tensor.push_back(index.kind == Index::Kind::Scalar ? -1 : at++);
  }
  std::vector<i64> dims;
  for (i64 dim : map.dims) dims.push_back(of_tensor[dim]);
  return dims;
}

}  // namespace

Held Emitter::load_descriptor(OpId id) {
  const Op& op = kernel_[id];
  ValueId result = op.results[0];
  const backends::TensorMap& map = *plan_.accesses.at(id).map;
  std::vector<bool> present = full_presence(result);
  std::string text = fmt::format("{}.load({})", descriptor(id), descriptor_offsets(id, result));
  std::vector<i64> order;
  std::string shape;
  std::vector<i64> dims = value_dims(op, map);
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (map.box[i] == 1) continue;
    order.push_back(dims[i]);
    shape += fmt::format("{}{}", shape.empty() ? "" : ", ", map.box[i]);
  }
  if (order.size() != dims.size()) text = fmt::format("{}.reshape({})", text, shape);
  if (!std::ranges::is_sorted(order)) {
    std::vector<i64> sorted = order;
    std::ranges::sort(sorted);
    std::string positions;
    for (i64 dim : sorted) {
      positions += fmt::format("{}{}", positions.empty() ? "" : ", ",
                               std::ranges::find(order, dim) - order.begin());
    }
    text = order.size() == 2 ? fmt::format("tl.trans({})", text)
                             : fmt::format("tl.permute({}, [{}])", text, positions);
  }
  return {{text}, kernel_[op.attrs.tensor].dtype, present, false};
}

void Emitter::store_descriptor(OpId id) {
  const Op& op = kernel_[id];
  ValueId source = op.operands[0];
  const backends::TensorMap& map = *plan_.accesses.at(id).map;
  TileType type = ir::access_type(kernel_, op.attrs.tensor, op.attrs.indices, op.operands);
  Held value = as_dtype(held(source), kernel_[op.attrs.tensor].dtype);
  value.present.resize(type.rank());
  std::vector<bool> present;
  for (i64 d = 0; d < type.rank(); ++d) present.push_back(lanes_of(source, d) > 1);
  Text tile = materialise(source, value, present);
  std::vector<i64> order, kept;
  std::string box;
  std::vector<i64> dims = value_dims(op, map);
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (map.box[i] > 1) order.push_back(dims[i]);
    box += fmt::format("{}{}", i == 0 ? "" : ", ", map.box[i]);
  }
  if (!std::ranges::is_sorted(order)) {
    std::vector<i64> sorted = order;
    std::ranges::sort(sorted);
    std::string positions;
    for (i64 dim : order) {
      positions += fmt::format("{}{}", positions.empty() ? "" : ", ",
                               std::ranges::find(sorted, dim) - sorted.begin());
    }
    tile = {fmt::format("tl.permute({}, [{}])", tile.text, positions)};
  }
  if (order.size() != dims.size()) tile = {fmt::format("{}.reshape({})", tile.atom(), box)};
  lines_.add(
      fmt::format("{}.store({}, {})", descriptor(id), descriptor_offsets(id, source), tile.text));
}

}  // namespace peri::triton
