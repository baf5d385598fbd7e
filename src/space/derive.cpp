#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <map>

#include "analysis/axes.h"
#include "base/bug.h"
#include "ir/walk.h"
#include "space/space.h"

namespace peri::space {

namespace {

using ir::Kernel;
using ir::Op;
using ir::OpCode;

constexpr i64 kUnknownExtent = 4096;    // of a loop whose bounds only the device knows
constexpr i64 kLoopedReduction = 4096;  // longest `:` dimension kept whole by default

// Calls `visit_loop` for the axes of each grid and device loop and `visit_op` for every op, in
// program order.
void walk(const Kernel& kernel, const std::function<void(const std::vector<BlockId>&)>& visit_loop,
          const std::function<void(ir::OpId)>& visit_op) {
  std::function<void(ir::GraphId)> walk_graph = [&](ir::GraphId graph) {
    for (ir::OpId id : kernel[graph].ops) {
      const Op& op = kernel[id];
      visit_op(id);
      if (op.code == OpCode::For) visit_loop(op.attrs.blocks);
      for (ir::GraphId region : op.regions) walk_graph(region);
    }
  };
  for (const ir::Root& root : kernel.roots) {
    visit_loop(root.blocks);
    walk_graph(root.body);
  }
}

// What a scope has entries for: a name for each.
struct Items {
  std::vector<std::string> names;
  std::vector<i64> sizes;  // LoopNest: number of axes; Reduction: extent
};

std::string names_of(const Kernel& kernel, const std::vector<BlockId>& blocks) {
  std::string text;
  for (BlockId block : blocks) text += (text.empty() ? "" : ", ") + kernel[block].name;
  return text;
}

std::map<Scope, Items> items_of(const Kernel& kernel) {
  std::map<Scope, Items> items;
  auto add = [&](Scope scope, std::string name, i64 size) {
    items[scope].names.push_back(std::move(name));
    items[scope].sizes.push_back(size);
  };
  analysis::Axes axes(kernel);
  std::vector<analysis::AxisId> reduced;
  auto on_loop = [&](const std::vector<BlockId>& blocks) {
    add(Scope::Loop, names_of(kernel, blocks), 0);
  };
  auto on_op = [&](ir::OpId id) {
    const Op& op = kernel[id];
    if (op.code == OpCode::For) add(Scope::DeviceLoop, names_of(kernel, op.attrs.blocks), 0);
    if (op.code == OpCode::Dot) add(Scope::Dot, kernel[op.results[0]].name, 0);
    if (ir::is_access(op)) {
      add(op.code == OpCode::Load ? Scope::Load : Scope::Store, kernel[op.attrs.tensor].name, 0);
      add(Scope::Access, kernel[op.attrs.tensor].name, 0);
    }
    if (ir::info(op.code).rule != ir::Rule::Reduce) return;
    analysis::AxisId axis = axes.of(op.operands[0], op.attrs.dims[0]);
    if (!axis || axes[axis].block) return;
    if (std::find(reduced.begin(), reduced.end(), axis) != reduced.end()) return;
    reduced.push_back(axis);
    auto size = kernel.syms->hint(axes[axis].size);
    add(Scope::Reduction, kernel.syms->print(axes[axis].size), size ? size->integer : 0);
  };
  walk(kernel, on_loop, on_op);
  for (const LoopNest& nest : loop_nests(kernel)) {
    add(Scope::LoopNest, names_of(kernel, nest.blocks), nest.blocks.size());
  }
  for (const ir::Root& root : kernel.roots) {
    if (root.blocks.size() >= 2) add(Scope::Grid, names_of(kernel, root.blocks), 0);
  }
  for (ir::OpId load : element_loads(kernel)) {
    add(Scope::ElementLoad, kernel[kernel[load].attrs.tensor].name, 0);
  }
  return items;
}

// --- block sizes ---

class BlockKnobs {
 public:
  BlockKnobs(const Kernel& kernel, const Capabilities& capabilities)
      : kernel_(kernel), capabilities_(capabilities) {
    find_merged();
  }

  std::vector<Knob> derive() {
    std::vector<Knob> knobs;
    for (BlockId block : searched_blocks(kernel_)) {
      knobs.push_back(knob_of(block, static_cast<i64>(knobs.size())));
    }
    return knobs;
  }

 private:
  struct Range {
    i64 extent = kUnknownExtent;
    bool fixed = false;  // holds for every call
  };

  // Axes that a reshape merges with a neighbour, or splits off one, must have full tiles only.
  void find_merged() {
    for (const Op& op : kernel_.ops) {
      if (op.code != OpCode::Reshape) continue;
      const std::vector<Dim>& from = kernel_[op.operands[0]].type.shape;
      const std::vector<Dim>& to = kernel_[op.results[0]].type.shape;
      for (const auto& [dims, others] : {std::pair(&from, &to), std::pair(&to, &from)}) {
        for (const Dim& dim : *dims) {
          if (dim.block && std::ranges::count(*others, dim) == 0) merged_.push_back(dim.block);
        }
      }
    }
  }

  std::optional<i64> hint(Sym sym) const {
    if (!sym) return std::nullopt;
    auto value = kernel_.syms->hint(sym);
    return value ? std::optional(value->integer) : std::nullopt;
  }

  Range range_of(BlockId id) const {
    const Block& block = kernel_[id];
    if (block.parent) {
      Range range = range_of(block.parent);
      return {std::min(range.extent, largest_size(block.parent)), range.fixed};
    }
    auto begin = hint(block.begin), end = hint(block.end);
    if (!begin || !end) return {};
    return {std::max<i64>(*end - *begin, 1), block.begin.is_const() && block.end.is_const()};
  }

  i64 largest_size(BlockId id) const {
    Sym size = kernel_[id].size;
    if (size.is_const()) return size.as_int().value_or(1);
    return range_of(id).extent;
  }

  // The axes that take their size from `block`.
  std::vector<BlockId> users_of(BlockId block) const {
    std::vector<BlockId> users;
    for (i64 b = 0; b < static_cast<i64>(kernel_.blocks.size()); ++b) {
      if (kernel_.blocks[b].size != kernel_[block].size) continue;
      if (kernel_.blocks[b].kind != Block::Kind::Registered) users.push_back(BlockId(b));
    }
    return users;
  }

  Range common_range(const std::vector<BlockId>& users) const {
    if (users.empty()) return {};
    Range common{1, true};
    for (BlockId user : users) {
      Range range = range_of(user);
      common.extent = std::max(common.extent, range.extent);
      common.fixed = common.fixed && range.fixed;
    }
    return common;
  }

  Knob knob_of(BlockId id, i64 index) const {
    const Block& block = kernel_[id];
    std::vector<BlockId> users = users_of(id);
    Range range = common_range(users);
    Knob knob;
    knob.key = "block_sizes";
    knob.index = index;
    knob.subject = block.name;
    knob.kind = capabilities_.exact_bounds ? KnobKind::Extent : KnobKind::PowerOfTwo;
    knob.low = block.kind == Block::Kind::Registered ? std::max<i64>(block.min_size, 1) : 1;
    knob.high = std::max(range.extent, knob.low);
    knob.whole = range.fixed ? knob.high : 0;
    if (block.max_size > 0 && block.max_size < knob.high) {
      knob.high = std::max(block.max_size, knob.low);
      knob.excluded.push_back(
          {fmt::format("above {}", knob.high), "the kernel registers this bound"});
    } else {
      knob.excluded.push_back(
          {fmt::format("above {}", knob.high), "a larger tile is the whole axis"});
    }
    if (knob.low > 1) {
      knob.excluded.push_back(
          {fmt::format("below {}", knob.low), "the kernel registers this bound"});
    }
    if (!capabilities_.exact_bounds) {
      knob.high = static_cast<i64>(std::bit_ceil(static_cast<u64>(knob.high)));
    }
    require_full_tiles(users, range, knob);
    knob.default_value = default_size(block, knob);
    return knob;
  }

  void require_full_tiles(const std::vector<BlockId>& users, Range range, Knob& knob) const {
    bool merged = std::any_of(users.begin(), users.end(), [&](BlockId user) {
      return std::find(merged_.begin(), merged_.end(), user) != merged_.end();
    });
    if (!merged) return;
    knob.divides = range.fixed ? range.extent : 1;
    std::string whole =
        range.fixed ? std::to_string(range.extent) : "an extent only known in a call";
    knob.excluded.push_back({"what does not divide " + whole, "a reshape merges this axis"});
  }

  i64 default_size(const Block& block, const Knob& knob) const {
    i64 wanted = kernel_.syms->hint(block.size)->integer;
    std::vector<Json> all = knob.candidates();
    BUG_IF(all.empty(), "no legal size for block `{}`", block.name);
    i64 best = all[0].get<i64>();
    for (const Json& value : all) {
      if (value.get<i64>() <= wanted) best = value.get<i64>();
    }
    return best;
  }

  const Kernel& kernel_;
  const Capabilities& capabilities_;
  std::vector<BlockId> merged_;
};

// --- other knobs ---

KnobRow row_of(const SharedKnob& shared) {
  KnobRow row{std::string(shared.key), shared.scope, shared.kind, shared.low, shared.high, {}, {},
              std::string(shared.doc)};
  if (!shared.choices.empty()) row.choices = nlohmann::json::parse(shared.choices);
  if (!shared.default_value.empty())
    row.default_value = nlohmann::json::parse(shared.default_value);
  return row;
}

std::vector<i64> identity(i64 count) {
  std::vector<i64> order;
  for (i64 i = 0; i < count; ++i) order.push_back(i);
  return order;
}

Knob knob_of(const KnobRow& row, i64 index, const std::string& subject, i64 size) {
  Knob knob;
  knob.key = row.key;
  knob.index = index;
  knob.subject = subject;
  knob.kind = row.kind;
  knob.low = row.low;
  knob.high = row.high;
  for (const nlohmann::json& choice : row.choices) knob.choices.push_back(choice);
  knob.default_value = row.default_value;
  knob.excluded = row.excluded;
  if (row.kind == KnobKind::Permutation) {
    knob.high = size;
    knob.default_value = identity(size);
  }
  if (row.scope == Scope::Reduction && row.kind == KnobKind::PowerOfTwo) {
    knob.may_be_null = true;
    knob.whole = size;
    knob.high = std::max(knob.low, static_cast<i64>(std::bit_floor(static_cast<u64>(size))));
    knob.default_value = size <= kLoopedReduction ? Json(nullptr) : Json(kLoopedReduction);
  }
  return knob;
}

void add_row(const KnobRow& row, const std::map<Scope, Items>& items, std::vector<Knob>& knobs) {
  if (row.scope == Scope::Kernel) {
    knobs.push_back(knob_of(row, -1, "", 0));
    return;
  }
  auto found = items.find(row.scope);
  if (found == items.end()) return;
  for (std::size_t i = 0; i < found->second.names.size(); ++i) {
    knobs.push_back(
        knob_of(row, static_cast<i64>(i), found->second.names[i], found->second.sizes[i]));
  }
}

Json json_of(SymValue value) {
  if (value.type == SymType::Bool) return value.integer != 0;
  return value.type == SymType::Float ? Json(value.real) : Json(value.integer);
}

Knob knob_of(const check::Tunable& tunable) {
  Knob knob;
  knob.key = tunable.name;
  knob.low = tunable.low;
  knob.high = tunable.high;
  knob.default_value = json_of(tunable.default_value);
  if (tunable.kind == "power_of_two") knob.kind = KnobKind::PowerOfTwo;
  if (tunable.kind == "integer") knob.kind = KnobKind::Integer;
  if (tunable.kind == "boolean") knob.choices = {false, true};
  for (SymValue choice : tunable.choices) knob.choices.push_back(json_of(choice));
  return knob;
}

// --- tile volumes ---

std::string shape_text(const Kernel& kernel, const TileType& type) {
  std::string text;
  for (const Dim& dim : type.shape) {
    text += text.empty() ? "" : ", ";
    text += dim.block ? kernel[dim.block].name : kernel.syms->print(dim.size);
  }
  return fmt::format("{}[{}]", name_of(type.dtype), text);
}

bool is_searched(const Kernel& kernel, Sym size) {
  bool found = false;
  for_each_symbol(size, [&](SymbolId id) {
    found = found || kernel.syms->symbol(id).origin == SymbolOrigin::Block;
  });
  return found;
}

// One entry for each distinct shape that block sizes have a part in. A shape whose smallest tile is
// already over the limit is allowed that tile.
std::vector<TileVolume> volumes_of(const Kernel& kernel, i64 limit) {
  std::map<std::vector<const SymNode*>, TileVolume> by_shape;
  if (limit <= 0) return {};
  for (const ir::Value& value : kernel.values) {
    TileVolume volume{.subject = {}, .sizes = {}, .element_bytes = size_of(value.type.dtype)};
    std::vector<const SymNode*> shape;
    bool searched = false;
    i64 smallest = volume.element_bytes;
    for (const Dim& dim : value.type.shape) {
      volume.sizes.push_back(dim.size);
      shape.push_back(dim.size.node());
      bool block = is_searched(kernel, dim.size);
      searched = searched || block;
      auto hint = kernel.syms->hint(dim.size);
      if (!block && hint) __builtin_mul_overflow(smallest, hint->integer, &smallest);
    }
    if (!searched) continue;
    volume.limit = std::max(limit, smallest);
    volume.subject = shape_text(kernel, value.type);
    TileVolume& entry = by_shape[shape];
    if (entry.sizes.empty() || entry.element_bytes < volume.element_bytes) entry = volume;
  }
  std::vector<TileVolume> volumes;
  for (auto& [shape, volume] : by_shape) volumes.push_back(std::move(volume));
  return volumes;
}

// Block sizes that are too large whatever the other blocks are leave the space.
void bound_by_volume(const Kernel& kernel, const std::vector<TileVolume>& volumes,
                     std::vector<Knob>& blocks) {
  std::vector<std::string> reasons(blocks.size());
  std::vector<BlockId> ids = searched_blocks(kernel);
  auto fits = [&](std::size_t changed, i64 size, std::string& reason) {
    Config config;
    for (const Knob& knob : blocks) config["block_sizes"].push_back(knob.low);
    config["block_sizes"][changed] = size;
    auto broken = ConfigSpace(kernel, blocks, volumes, "").why_not(config);
    if (broken) reason = *broken;
    return !broken;
  };
  for (std::size_t k = 0; k < blocks.size(); ++k) {
    std::string reason;
    std::vector<Json> all = blocks[k].candidates();
    if (fits(k, all.back().get<i64>(), reason)) continue;
    auto first_bad = std::partition_point(all.begin() + 1, all.end(), [&](const Json& size) {
      return fits(k, size.get<i64>(), reason);
    });
    fits(k, first_bad->get<i64>(), reason);
    blocks[k].high = std::prev(first_bad)->get<i64>();
    blocks[k].excluded.push_back({fmt::format("above {}", blocks[k].high), reason});
    if (blocks[k].default_value > blocks[k].high) blocks[k].default_value = blocks[k].high;
  }
}

}  // namespace

std::vector<ir::OpId> element_loads(const Kernel& kernel) {
  // Values that elements are wanted of; through views, those that they show.
  std::vector<bool> wanted(kernel.values.size(), false);
  std::vector<ir::OpId> all, loads;
  walk(kernel, [](const auto&) {}, [&](ir::OpId id) { all.push_back(id); });
  for (auto id = all.rbegin(); id != all.rend(); ++id) {
    const Op& op = kernel[*id];
    bool shown = ir::info(op.code).rule == ir::Rule::View && !wanted[op.results[0].index];
    if (shown) continue;
    for (std::size_t i = 0; i < op.operands.size(); ++i) {
      bool factor = op.code == OpCode::Dot && i < 2;
      if (!factor) wanted[op.operands[i].index] = true;
    }
  }
  for (const ir::Graph& graph : kernel.graphs) {
    for (ir::ValueId value : graph.yields) wanted[value.index] = true;
  }
  for (ir::OpId id : all) {
    const Op& op = kernel[id];
    if (op.code != OpCode::Load || kernel[op.results[0]].type.is_scalar()) continue;
    if (wanted[op.results[0].index]) loads.push_back(id);
  }
  return loads;
}

std::vector<ir::OpId> stores(const Kernel& kernel) {
  std::vector<ir::OpId> found;
  walk(
      kernel, [](const auto&) {},
      [&](ir::OpId id) {
        if (kernel[id].code == OpCode::Store) found.push_back(id);
      });
  return found;
}

std::vector<LoopNest> loop_nests(const Kernel& kernel) {
  std::vector<LoopNest> nests;
  for (std::size_t r = 0; r < kernel.roots.size(); ++r) {
    const ir::Root& root = kernel.roots[r];
    if (root.blocks.size() >= 2) nests.push_back({root.blocks, static_cast<i64>(r)});
    ir::for_each_op(kernel, root.body, [&](const Op& op) {
      bool is_nest = op.code == OpCode::For && op.attrs.blocks.size() >= 2;
      if (is_nest) nests.push_back({op.attrs.blocks});
    });
  }
  return nests;
}

ConfigSpace derive(const Kernel& kernel, std::span<const check::Tunable> tunables,
                   const Capabilities& capabilities) {
  std::vector<TileVolume> volumes = volumes_of(kernel, capabilities.max_tile_bytes);
  std::vector<Knob> knobs = BlockKnobs(kernel, capabilities).derive();
  bound_by_volume(kernel, volumes, knobs);
  std::map<Scope, Items> items = items_of(kernel);
  for (const std::string& key : capabilities.shared_keys) {
    auto rows = shared_knobs();
    auto row = std::find_if(rows.begin(), rows.end(), [&](auto& r) { return r.key == key; });
    BUG_IF(row == rows.end(), "target {} uses unknown knob `{}`", capabilities.target, key);
    if (row->scope != Scope::Block) add_row(row_of(*row), items, knobs);
  }
  for (const KnobRow& row : capabilities.knobs) add_row(row, items, knobs);
  for (const check::Tunable& tunable : tunables) knobs.push_back(knob_of(tunable));
  if (capabilities.restrict_knobs) capabilities.restrict_knobs(kernel, knobs);
  ConfigRules rules = capabilities.rules ? capabilities.rules(kernel) : ConfigRules();
  return ConfigSpace(kernel, std::move(knobs), std::move(volumes), capabilities.target,
                     std::move(rules));
}

}  // namespace peri::space
