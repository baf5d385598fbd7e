#include "plan/flatten_loops.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/bug.h"
#include "ir/walk.h"

namespace peri::plan {

using ir::Kernel;
using ir::Op;
using ir::OpCode;
using space::Config;

namespace {

using Reason = std::optional<std::string>;

constexpr const char* kKey = "flatten_loops";

// What merges a tensor's dimensions: the distance of neighbours in row-major order, or none.
// Dimensions of extent 1 have no neighbours, and empty tensors no elements.
Sym merged_stride(const Kernel& kernel, const ir::TensorParam& tensor) {
  SymTable& syms = *kernel.syms;
  if (std::ranges::any_of(tensor.sizes, [](Sym size) { return size.is_int(0); })) {
    return syms.integer(1);
  }
  Sym innermost, next;
  for (size_t d = tensor.sizes.size(); d-- > 0;) {
    if (tensor.sizes[d].is_int(1)) continue;
    if (next && tensor.strides[d] != next) return {};
    if (!innermost) innermost = tensor.strides[d];
    next = syms.mul(tensor.strides[d], tensor.sizes[d]);
  }
  return innermost ? innermost : syms.integer(1);
}

// Looks for what keeps one grid from being flattened.
class Legality {
 public:
  Legality(const Kernel& kernel, const ir::Root& root) : kernel_(kernel), root_(root) {}

  Reason run() {
    for (BlockId id : root_.blocks) {
      if (Reason reason = check_axis(kernel_[id])) return reason;
    }
    for (ir::OpId id : kernel_[root_.body].ops) {
      if (Reason reason = check_op(kernel_[id])) return reason;
    }
    return check_tensors();
  }

 private:
  static Reason check_axis(const Block& block) {
    if (block.kind != Block::Kind::Tile) {
      return fmt::format("`{}` is one index at a time", block.name);
    }
    bool from_zero = !block.parent && block.begin && block.begin.is_int(0) && block.end;
    return from_zero ? Reason() : fmt::format("`{}` does not begin at 0", block.name);
  }

  Reason check_op(const Op& op) {
    const ir::OpInfo& info = ir::info(op.code);
    bool elementwise = info.has(ir::Elementwise) || ir::is_access(op) || op.code == OpCode::Const ||
                       op.code == OpCode::HostScalar || op.code == OpCode::Expand;
    if (!elementwise) return fmt::format("`{}` is not elementwise", info.text);
    if (ir::is_access(op)) {
      if (Reason reason = check_access(op)) return reason;
    }
    for (const std::vector<ir::ValueId>* values : {&op.operands, &op.results}) {
      for (ir::ValueId value : *values) {
        if (!is_whole_or_scalar(kernel_[value].type)) {
          return fmt::format("a value of `{}` has not just the axes of the tile", info.text);
        }
      }
    }
    return {};
  }

  bool is_whole_or_scalar(const TileType& type) const {
    return type.is_scalar() ||
           std::ranges::equal(type.shape, root_.blocks,
                              [&](Dim dim, BlockId id) { return dim.block == id; });
  }

  Reason check_access(const Op& op) {
    const ir::TensorParam& tensor = kernel_[op.attrs.tensor];
    const std::vector<ir::Index>& indices = op.attrs.indices;
    bool scalar = std::ranges::all_of(
        indices, [](const ir::Index& index) { return index.kind == ir::Index::Kind::Scalar; });
    if (scalar) {
      by_element_.insert(op.attrs.tensor);
      return {};
    }
    bool whole = std::ranges::equal(indices, root_.blocks, [](const ir::Index& index, BlockId id) {
      return index.kind == ir::Index::Kind::Tile && index.block == id && index.operand < 0;
    });
    if (!whole) return fmt::format("`{}` is not indexed by just the tile", tensor.name);
    merged_.insert(op.attrs.tensor);
    for (size_t d = 0; d < tensor.sizes.size(); ++d) {
      const Block& block = kernel_[root_.blocks[d]];
      if (tensor.sizes[d] == block.end) continue;
      return fmt::format("`{}` is larger than the range of `{}`", tensor.name, block.name);
    }
    if (merged_stride(kernel_, tensor)) return {};
    return fmt::format("`{}` is not contiguous over `{}`", tensor.name, names());
  }

  // A tensor has one shape, for all its accesses.
  Reason check_tensors() const {
    std::set<ir::TensorId> others = by_element_;
    for (const ir::Root& root : kernel_.roots) {
      if (&root == &root_) continue;
      ir::for_each_op(kernel_, root.body, [&](const Op& op) {
        if (ir::is_access(op)) others.insert(op.attrs.tensor);
      });
    }
    for (ir::TensorId tensor : merged_) {
      if (others.contains(tensor)) {
        return fmt::format("`{}` is also used in another way", kernel_[tensor].name);
      }
    }
    return {};
  }

  std::string names() const {
    std::string text;
    for (BlockId id : root_.blocks) text += (text.empty() ? "" : ", ") + kernel_[id].name;
    return text;
  }

  const Kernel& kernel_;
  const ir::Root& root_;
  std::set<ir::TensorId> merged_, by_element_;
};

// Merges the axes of one grid, which must be legal.
class Flattener {
 public:
  Flattener(Kernel& kernel, const Config& config) : kernel_(kernel), syms_(*kernel.syms) {
    for (const auto& value : space::config_values(kernel, config)) {
      sizes_.push_back(value ? syms_.constant(*value) : Sym());
    }
  }

  void run(ir::Root& root) {
    const std::vector<BlockId> axes = root.blocks;
    const BlockId flat = merge(axes);
    for (ir::OpId id : kernel_[root.body].ops) {
      Op& op = kernel_[id];
      if (ir::is_access(op) && op.attrs.indices[0].kind == ir::Index::Kind::Tile) access(op, flat);
      for (ir::ValueId value : op.results) {
        TileType& type = kernel_[value].type;
        if (!type.is_scalar()) type.shape = {Dim{kernel_[flat].size, flat}};
      }
    }
    root.blocks = {flat};
  }

 private:
  BlockId merge(const std::vector<BlockId>& axes) {
    Block flat = kernel_[axes[0]];
    flat.name.clear();
    std::vector<Sym> sizes, ends;
    for (BlockId id : axes) {
      const Block& block = kernel_[id];
      flat.name += (flat.name.empty() ? "" : "*") + block.name;
      ends.push_back(block.end);
      sizes.push_back(syms_.substitute(block.size, [&](SymbolId symbol) {
        const Sym known = sizes_[symbol.index];
        return known ? known : syms_.symbol_sym(symbol);
      }));
    }
    flat.size = syms_.product(sizes);
    flat.end = syms_.product(ends);
    kernel_.blocks.push_back(std::move(flat));
    return BlockId(static_cast<i64>(kernel_.blocks.size()) - 1);
  }

  void access(Op& op, BlockId flat) {
    ir::Index index;
    index.kind = ir::Index::Kind::Tile;
    index.block = flat;
    op.attrs.indices = {index};
    ir::TensorParam& tensor = kernel_.tensors[op.attrs.tensor.index];
    if (tensor.sizes.size() < 2) return;  // another access has merged it
    tensor.strides = {merged_stride(kernel_, tensor)};
    tensor.sizes = {kernel_[flat].end};
  }

  Kernel& kernel_;
  SymTable& syms_;
  std::vector<Sym> sizes_;  // by symbol: what the config says
};

// Leaves out the entries of a list for which `gone` says so.
void erase_entries(Config& config, const char* key, const std::vector<bool>& gone) {
  auto list = config.find(key);
  if (list == config.end() || !list->is_array()) return;
  Config kept = Config::array();
  for (size_t i = 0; i < list->size(); ++i) {
    if (i >= gone.size() || !gone[i]) kept.push_back((*list)[i]);
  }
  *list = std::move(kept);
}

}  // namespace

Reason why_not_flat(const Kernel& kernel, const space::LoopNest& nest) {
  if (nest.root < 0) return "only grids are flattened";
  return Legality(kernel, kernel.roots[nest.root]).run();
}

void restrict_flattening(const Kernel& kernel, std::vector<space::Knob>& knobs) {
  const std::vector<space::LoopNest> nests = space::loop_nests(kernel);
  for (space::Knob& knob : knobs) {
    if (knob.key != kKey) continue;
    Reason reason = why_not_flat(kernel, nests[knob.index]);
    if (!reason) continue;
    knob.choices = {false};
    knob.excluded.push_back({"true", *reason});
  }
}

std::optional<Flattened> flatten_loops(const Kernel& kernel, const Config& config) {
  auto entries = config.find(kKey);
  auto is_true = [](const Config& entry) { return entry == true; };
  if (entries == config.end() || std::ranges::none_of(*entries, is_true)) return std::nullopt;
  Flattened flat{kernel, config};
  Flattener flattener(flat.kernel, config);
  std::vector<bool> gone_nests, gone_grids;
  for (const space::LoopNest& nest : space::loop_nests(kernel)) {
    const bool is_flat = is_true((*entries)[gone_nests.size()]);
    BUG_IF(is_flat && nest.root < 0, "a device loop is to be flattened");
    if (is_flat) flattener.run(flat.kernel.roots[nest.root]);
    gone_nests.push_back(is_flat);
    if (nest.root >= 0) gone_grids.push_back(is_flat);
  }
  erase_entries(flat.config, "loop_orders", gone_nests);
  erase_entries(flat.config, "l2_groupings", gone_grids);
  erase_entries(flat.config, kKey, gone_nests);
  return flat;
}

}  // namespace peri::plan
