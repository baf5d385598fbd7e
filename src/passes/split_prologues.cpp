#include "passes/split_prologues.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "analysis/memory_effects.h"
#include "base/bug.h"
#include "ir/verify.h"
#include "ir/walk.h"
#include "passes/eliminate_dead_code.h"

namespace peri::passes {

namespace {

using ir::GraphId;
using ir::Kernel;
using ir::Op;
using ir::OpCode;
using ir::OpId;
using ir::ValueId;

constexpr i64 kLeastReuse = 1024;  // elements along the other axes: eight tiles of 128

// Where a dot stands.
struct Site {
  i64 root = 0;
  GraphId graph;
  OpId dot;
  std::vector<BlockId> axes;  // of the grid and of the loops around it
};

// A dimension of an operand, and the axis that it runs along.
struct OperandDim {
  BlockId block;   // none: all of a `:` dimension
  i64 factor = 1;  // elements of the operand for each of the axis, which a reshape has merged
  Sym size;        // of the whole tensor
};

struct Prologue {
  ValueId value;
  std::vector<OpId> ops;  // definitions before uses
  std::vector<OperandDim> dims;
};

// Finds what can be split off.
class Finder {
 public:
  explicit Finder(const Kernel& kernel) : kernel_(kernel) {
    for (const ir::Root& root : kernel.roots) {
      for (i64 storage : analysis::stored_below(kernel, root.body)) stored_.insert(storage);
    }
  }

  std::vector<Site> sites() {
    std::vector<Site> found;
    for (i64 r = 0; r < static_cast<i64>(kernel_.roots.size()); ++r) {
      collect({r, kernel_.roots[r].body, {}, kernel_.roots[r].blocks}, found);
    }
    return found;
  }

  std::optional<Prologue> find(const Site& site, i64 side) {
    Prologue prologue{kernel_[site.dot].operands[side], {}, {}};
    seen_.clear();
    blocks_.clear();
    works_ = loads_ = false;
    if (!visit(prologue.value, prologue) || !works_ || !loads_) return std::nullopt;
    std::set<BlockId> along;
    for (const Dim& dim : kernel_[prologue.value].type.shape) {
      auto axis = axis_of(dim);
      if (!axis) return std::nullopt;
      if (axis->block && !along.insert(axis->block).second) return std::nullopt;
      prologue.dims.push_back(*axis);
    }
    if (along.empty() || !std::ranges::includes(along, blocks_)) return std::nullopt;
    return reuse(site, along) >= kLeastReuse ? std::optional(std::move(prologue)) : std::nullopt;
  }

 private:
  void collect(Site site, std::vector<Site>& found) const {
    for (OpId id : kernel_[site.graph].ops) {
      const Op& op = kernel_[id];
      site.dot = id;
      if (op.code == OpCode::Dot) found.push_back(site);
      if (op.code != OpCode::For) continue;  // what a branch guards may not be there to load
      Site inner = site;
      inner.graph = op.regions[0];
      inner.axes.insert(inner.axes.end(), op.attrs.blocks.begin(), op.attrs.blocks.end());
      collect(std::move(inner), found);
    }
  }

  bool visit(ValueId value, Prologue& prologue) {
    OpId def = kernel_[value].def;
    if (!def) return false;  // a loop carries it
    if (!seen_.insert(def).second) return true;
    const Op& op = kernel_[def];
    const ir::OpInfo& info = ir::info(op.code);
    bool may_stand_alone = info.has(ir::Pure) && op.regions.empty() && info.rule != ir::Rule::Dot &&
                           info.rule != ir::Rule::Reduce;
    if (!may_stand_alone) return false;
    if (op.code == OpCode::Load) {
      if (stored_.contains(analysis::storage_of(kernel_, op.attrs.tensor))) return false;
      loads_ = true;
    }
    bool is_tile = !kernel_[value].type.is_scalar();
    works_ = works_ || (is_tile && info.has(ir::Elementwise) && op.code != OpCode::Cast);
    if (op.attrs.block) blocks_.insert(op.attrs.block);
    for (const ir::Index& index : op.attrs.indices) {
      if (index.block) blocks_.insert(index.block);
    }
    for (const Dim& dim : kernel_[value].type.shape) {
      if (dim.block) blocks_.insert(dim.block);
    }
    for (ValueId operand : op.operands) {
      if (!visit(operand, prologue)) return false;
    }
    prologue.ops.push_back(def);
    return true;
  }

  // Axes run from 0 to an end that the host knows.
  std::optional<OperandDim> axis_of(const Dim& dim) const {
    SymTable& syms = *kernel_.syms;
    if (dim.size.is_const()) return OperandDim{{}, 1, dim.size};
    for (BlockId id : blocks_) {
      const Block& block = kernel_[id];
      bool whole = block.kind == Block::Kind::Tile && !block.parent && block.begin &&
                   block.begin.is_int(0) && block.end && block.end.is_const();
      if (!whole) continue;
      if (dim.block == id) return OperandDim{id, 1, block.end};
      auto size = syms.hint(block.size), merged = syms.hint(dim.size);
      if (dim.block || !size || !merged || size->integer <= 0) continue;
      i64 factor = merged->integer / size->integer;
      const Sym factors[] = {block.size, syms.integer(factor)};
      if (factor < 1 || syms.product(factors) != dim.size) continue;
      return OperandDim{id, factor, syms.integer(block.end.as_int().value() * factor)};
    }
    return std::nullopt;
  }

  // How often cells of the product would compute the same elements, were its tiles single elements.
  i64 reuse(const Site& site, const std::set<BlockId>& along) const {
    i64 count = 1;
    for (BlockId id : site.axes) {
      if (along.contains(id)) continue;
      const Block& block = kernel_[id];
      auto begin = block.begin ? block.begin.as_int() : std::nullopt;
      auto end = block.end ? block.end.as_int() : std::nullopt;
      if (!begin || !end) return 0;
      count *= std::max<i64>(*end - *begin, 0);
    }
    return count;
  }

  const Kernel& kernel_;
  std::set<i64> stored_;
  std::set<OpId> seen_;
  std::set<BlockId> blocks_;  // that the prologue's ops name
  bool works_ = false, loads_ = false;
};

class Splitter {
 public:
  explicit Splitter(lower::Lowered& lowered) : kernel_(lowered.kernel), host_(lowered.host) {}

  void split(const Site& site, i64 side, const Prologue& prologue) {
    const i64 slot = add_slot(prologue);
    const ir::TensorId tensor = add_tensor(prologue, slot);
    add_root(site, prologue, tensor);
    add_launch(site.root, slot);
    kernel_[site.dot].operands[side] = load(site, prologue, tensor);
  }

 private:
  std::string name_of(const Prologue& prologue) const {
    std::string name = kernel_[prologue.value].name;
    if (name.empty()) name = "operand";
    auto taken = [&] {
      return std::ranges::any_of(host_.slots, [&](const auto& slot) { return slot.name == name; });
    };
    while (taken()) name += "_";
    return name;
  }

  i64 add_slot(const Prologue& prologue) {
    lower::Slot slot;
    slot.name = name_of(prologue);
    slot.kind = check::HostTensor::Kind::Alloc;
    slot.dtype = kernel_[prologue.value].type.dtype;
    i64 stride = 1;
    for (std::size_t d = prologue.dims.size(); d-- > 0;) {
      slot.sizes.insert(slot.sizes.begin(), prologue.dims[d].size);
      slot.strides.insert(slot.strides.begin(), kernel_.syms->integer(stride));
      stride *= prologue.dims[d].size.as_int().value();
    }
    host_.slots.push_back(std::move(slot));
    return static_cast<i64>(host_.slots.size()) - 1;
  }

  ir::TensorId add_tensor(const Prologue& prologue, i64 slot) {
    const lower::Slot& made = host_.slots[slot];
    kernel_.tensors.push_back({made.name, kernel_[prologue.value].type.dtype, made.sizes,
                               made.strides, slot, slot, true});
    return ir::TensorId(static_cast<i64>(kernel_.tensors.size()) - 1);
  }

  // --- the new root ---

  // Stands before the product's.
  void add_root(const Site& site, const Prologue& prologue, ir::TensorId tensor) {
    blocks_.clear();
    values_.clear();
    i64 loop = 0;
    for (const Block& block : kernel_.blocks) loop = std::max(loop, block.loop + 1);
    ir::Root root{{}, ir::add_graph(kernel_), kernel_[site.dot].span};
    for (const OperandDim& dim : prologue.dims) {
      if (!dim.block) continue;
      Block axis = kernel_[dim.block];
      axis.loop = loop;
      kernel_.blocks.push_back(std::move(axis));
      const BlockId made(static_cast<i64>(kernel_.blocks.size()) - 1);
      blocks_[dim.block] = made;
      root.blocks.push_back(made);
    }
    for (OpId id : prologue.ops) copy(id, root.body);
    ir::Builder builder(kernel_, root.body);
    builder.set_span(root.span);
    auto [indices, operands] = subscripts(builder, prologue);
    builder.store(values_.at(prologue.value), tensor, indices, operands);
    kernel_.roots.insert(kernel_.roots.begin() + site.root, std::move(root));
  }

  BlockId mapped(BlockId block) const {
    auto found = blocks_.find(block);
    return found == blocks_.end() ? block : found->second;
  }

  void copy(OpId id, GraphId graph) {
    Op op = kernel_[id];
    const OpId made(static_cast<i64>(kernel_.ops.size()));
    for (ValueId& operand : op.operands) operand = values_.at(operand);
    op.attrs.block = mapped(op.attrs.block);
    for (ir::Index& index : op.attrs.indices) index.block = mapped(index.block);
    for (ValueId& result : op.results) {
      ir::Value value = kernel_[result];
      for (Dim& dim : value.type.shape) dim.block = mapped(dim.block);
      value.def = made;
      value.owner = graph;
      kernel_.values.push_back(std::move(value));
      const ValueId fresh(static_cast<i64>(kernel_.values.size()) - 1);
      values_[result] = fresh;
      result = fresh;
    }
    kernel_.ops.push_back(std::move(op));
    kernel_[graph].ops.push_back(made);
  }

  // Of the operand in its tensor, along the axes of the graph that `builder` adds to.
  std::pair<std::vector<ir::Index>, std::vector<ValueId>> subscripts(ir::Builder& builder,
                                                                     const Prologue& prologue) {
    std::vector<ir::Index> indices;
    std::vector<ValueId> operands;
    const TileType type = kernel_[prologue.value].type;
    for (std::size_t d = 0; d < prologue.dims.size(); ++d) {
      const OperandDim& dim = prologue.dims[d];
      ir::Index index;
      if (dim.block && type.shape[d].block) {
        index.kind = ir::Index::Kind::Tile;
        index.block = mapped(dim.block);
      } else {
        index.kind = ir::Index::Kind::Range;
        index.extent = type.shape[d].size;
      }
      if (dim.block && !type.shape[d].block) {
        ValueId begin =
            builder.tile_attr(OpCode::TileBegin, mapped(dim.block), TileType{Dtype::I64, {}});
        ValueId factor = builder.constant(Dtype::I64, SymValue::of(dim.factor));
        index.operand = static_cast<i32>(operands.size());
        operands.push_back(builder.elementwise(OpCode::Mul, {begin, factor}));
      }
      indices.push_back(index);
    }
    return {std::move(indices), std::move(operands)};
  }

  // --- the product ---

  ValueId load(const Site& site, const Prologue& prologue, ir::TensorId tensor) {
    blocks_.clear();
    const std::size_t before = kernel_[site.graph].ops.size();
    ir::Builder builder(kernel_, site.graph);
    builder.set_span(kernel_[site.dot].span);
    auto [indices, operands] = subscripts(builder, prologue);
    ValueId value = builder.load(tensor, indices, operands);
    kernel_[value].name = kernel_[prologue.value].name;
    std::vector<OpId>& ops = kernel_[site.graph].ops;
    std::rotate(std::ranges::find(ops, site.dot), ops.begin() + before, ops.end());
    return value;
  }

  void add_launch(i64 root, i64 slot) {
    using Kind = lower::HostOp::Kind;
    auto product = std::ranges::find_if(host_.ops, [&](const lower::HostOp& op) {
      return op.kind == Kind::Launch && op.root == root;
    });
    BUG_IF(product == host_.ops.end(), "root {} is never launched", root);
    lower::HostOp alloc, launch;
    alloc.kind = Kind::Alloc;
    launch.kind = Kind::Launch;
    alloc.slot = slot;
    launch.root = root;
    alloc.span = launch.span = product->span;
    const auto at = product - host_.ops.begin();
    for (lower::HostOp& op : host_.ops) op.root += op.kind == Kind::Launch && op.root >= root;
    host_.ops.insert(host_.ops.begin() + at, {std::move(alloc), std::move(launch)});
  }

  Kernel& kernel_;
  lower::HostProgram& host_;
  std::map<BlockId, BlockId> blocks_;
  std::map<ValueId, ValueId> values_;
};

bool split_one(lower::Lowered& lowered) {
  Finder finder(lowered.kernel);
  for (const Site& site : finder.sites()) {
    for (i64 side : {0, 1}) {
      auto prologue = finder.find(site, side);
      if (!prologue) continue;
      Splitter(lowered).split(site, side, *prologue);
      eliminate_dead_code(lowered.kernel);
      return true;
    }
  }
  return false;
}

}  // namespace

bool split_prologues(lower::Lowered& lowered) {
  bool changed = false;
  while (split_one(lowered)) changed = true;
  return changed;
}

}  // namespace peri::passes
