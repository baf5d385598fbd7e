// Programs to grid cells, and tile axes to indices and masks.
#include <fmt/format.h>

#include "analysis/memory_effects.h"
#include "backends/triton/emit.h"
#include "base/bug.h"

namespace peri::triton {

using ir::ValueId;

namespace {

Text integer(i64 value) { return python_integer(value); }

// a * b and a + b, without what changes nothing.
Text times(const Text& a, const Text& b) {
  if (a.text == "0" || b.text == "1") return a;
  if (a.text == "1" || b.text == "0") return b;
  return binary("*", Binding::Product, a, b);
}

Text plus(const Text& a, const Text& b) {
  if (a.text == "0") return b;
  return b.text == "0" ? a : binary("+", Binding::Sum, a, b);
}

}  // namespace

// --- grid ---

Sym Emitter::tiles_sym(BlockId id) const {
  const Block& block = kernel_[id];
  SymTable& syms = *kernel_.syms;
  Sym begin = block.begin ? plan_.resolve(block.begin) : syms.integer(0);
  Sym range = syms.sub(plan_.resolve(block.end), begin);
  Sym step = block.kind == Block::Kind::Grid && block.step ? plan_.resolve(block.step)
                                                           : plan_.shared.block_sizes[id.index];
  return syms.make(SymKind::Max, syms.ceil_div(range, step), syms.integer(0));
}

Text Emitter::tiles_of(BlockId id) { return sym(tiles_sym(id)); }

void Emitter::emit_grid(i64 index) {
  const RootPlan& root = plan_.roots[index];
  const ir::Root& ir_root = kernel_.roots[index];
  SymTable& syms = *kernel_.syms;
  Sym cells = syms.integer(1);
  for (BlockId block : root.grid.order) cells = syms.mul(cells, tiles_sym(block));
  result_.launch.grid = {cells, syms.integer(1), syms.integer(1)};
  if (analysis::stored_below(kernel_, ir_root.body).empty()) return;  // it has no effect
  if (!is_persistent(root)) {
    if (root.pid_type == PidType::Xyz) {
      std::size_t rank = root.grid.order.size();
      for (std::size_t i = 0; i < rank; ++i) {
        result_.launch.grid[i] = tiles_sym(root.grid.order[rank - 1 - i]);
      }
    }
    decode_cell(root, {"tl.program_id(0)"});
    emit_graph(ir_root.body);
    return;
  }
  result_.launch.programs_per_multiprocessor = plan_.num_sm_multiplier;
  result_.launch.reserved_multiprocessors = kernel_.requests.reserved_multiprocessors;
  std::string pid = names_.unique("pid"), total = sym(cells).text;
  // Else the literal would take the 32 bits of what it meets.
  if (auto known = cells.as_int(); known && *known > INT32_MAX) {
    total = fmt::format("tl.full([], {}, tl.int64)", *known);
  }
  if (root.pid_type == PidType::PersistentInterleaved) {
    lines_.add(
        fmt::format("for {} in {}:", pid,
                    loop_text(root.grid.options, "tl.program_id(0)", total, "tl.num_programs(0)")));
  } else {
    std::string share = names_.unique("cells"), first = names_.unique("first_cell");
    std::string last = names_.unique("last_cell");
    lines_.define(share, fmt::format("tl.cdiv({}, tl.num_programs(0))", total));
    lines_.define(first, fmt::format("tl.program_id(0) * {}", share));
    lines_.define(last, fmt::format("tl.minimum({} + {}, {})", first, share, total));
    lines_.add(fmt::format("for {} in {}:", pid, loop_text(root.grid.options, first, last, "1")));
  }
  lines_.indent();
  decode_cell(root, {pid});
  emit_graph(ir_root.body);
  lines_.dedent();
}

// Whether indices of a grid's axis may need 64 bits.
bool Emitter::is_wide(BlockId id) const {
  auto end = plan_.resolve(kernel_[id].end).as_int();
  return end ? *end > kMostIn32Bits : !plan_.assume_32_bit;
}

// Defines the tile of each axis from a cell's number (or, for xyz, from three).
void Emitter::decode_cell(const RootPlan& root, const Text& pid) {
  const std::vector<BlockId>& order = root.grid.order;
  std::size_t rank = order.size();
  std::vector<Text> ids(rank);
  Text rest = pid;
  bool grouped = root.l2_grouping > 1 && rank >= 2 && root.pid_type != PidType::Xyz;
  if (rank > 1 && root.pid_type != PidType::Xyz && pid.text.find('(') != std::string::npos) {
    std::string name = names_.unique("pid");
    lines_.define(name, pid.text);
    rest = {name};
  }
  for (std::size_t i = rank; i-- > 0;) {
    if (root.pid_type == PidType::Xyz) {
      ids[i] = {fmt::format("tl.program_id({})", rank - 1 - i)};
      continue;
    }
    if (grouped && i == rank - 1) {
      Text slow = tiles_of(order[i - 1]), fast = tiles_of(order[i]);
      std::string cell = rest.text;
      if (rank > 2) {
        cell = names_.unique("cell");
        Text plane = times(slow, fast);
        lines_.define(cell, binary("%", Binding::Product, rest, plane).text);
        rest = binary("//", Binding::Product, rest, plane);
      }
      std::string first = names_.unique("first_row"), rows = names_.unique("rows");
      Text group = times(integer(root.l2_grouping), fast);
      lines_.define(first, fmt::format("{} // {} * {}", cell, group.atom(), root.l2_grouping));
      lines_.define(rows,
                    fmt::format("tl.minimum({} - {}, {})", slow.atom(), first, root.l2_grouping));
      std::string in_group = fmt::format("{} % {}", cell, group.atom());
      ids[i - 1] = {fmt::format("{} + {} % {}", first, in_group, rows), Binding::Sum};
      ids[i] = {fmt::format("{} // {}", in_group, rows), Binding::Product};
      --i;
      continue;
    }
    if (i == 0) {
      ids[i] = rest;
    } else {
      Text tiles = tiles_of(order[i]);
      if (tiles.text == "1") {
        ids[i] = {"0"};
        continue;
      }
      ids[i] = binary("%", Binding::Product, rest, tiles);
      rest = binary("//", Binding::Product, rest, tiles);
    }
  }
  for (std::size_t i = 0; i < rank; ++i) {
    const Block& block = kernel_[order[i]];
    Text begin = block.begin ? sym(block.begin) : integer(0);
    Text id = ids[i];
    bool plain = kernel_[order[i]].kind == Block::Kind::Grid || plan_.block_size(order[i]) == 1;
    plain = plain && begin.text == "0" && !block.step;
    std::string id_name = names_.unique(plain ? block.name : block.name + "_id");
    lines_.define(id_name, id.text);
    Text step = block.kind == Block::Kind::Grid ? (block.step ? sym(block.step) : integer(1))
                                                : integer(plan_.block_size(order[i]));
    const bool wide = is_wide(order[i]) && id.text != "0";
    Text number{wide ? id_name + ".to(tl.int64)" : id_name};
    Text first = plus(begin, times(number, step));
    enter_block(order[i], first, sym(block.end), id_name);
    blocks_[order[i]].count = tiles_of(order[i]).text;
    blocks_[order[i]].wide = wide;
  }
}

// --- axes ---

void Emitter::enter_block(BlockId id, const Text& begin, const Text& end,
                          const std::string& number) {
  const Block& block = kernel_[id];
  i64 size = plan_.block_size(id);
  lanes_.enter(id);
  BlockText text;
  text.id = number;
  bool single = size == 1 || block.kind == Block::Kind::Grid;
  bool named = single && begin.text == number;
  std::string base = named ? number : names_.unique(block.name);
  text.begin = base;
  if (!single) {
    text.begin = begin.binding == Binding::Atom && begin.text.find('(') == std::string::npos
                     ? begin.text
                     : names_.unique(base + "_begin");
  }
  if (text.begin != begin.text) lines_.define(text.begin, begin.text);
  text.index = single ? text.begin : base;
  if (single) {
    text.end = fmt::format("({} + 1)", text.begin);
  } else {
    text.end = names_.unique(base + "_end");
    bool full = lanes_.is_full(id);
    i64 lanes = power_of_two(size);
    lines_.define(text.end,
                  full ? fmt::format("{} + {}", text.begin, size)
                       : fmt::format("tl.minimum({} + {}, {})", text.begin, size, end.text));
    lines_.define(text.index, fmt::format("{} + tl.arange(0, {})", text.begin, lanes));
    if (!full) {
      text.mask = names_.unique(base + "_mask");
      // A tile of 5 has 8 lanes, which reach into the next one.
      std::string bound = lanes == size ? end.as(Binding::Sum) : text.end;
      lines_.define(text.mask, fmt::format("{} < {}", text.index, bound));
    }
  }
  blocks_[id] = std::move(text);
}

const Emitter::RangeText& Emitter::range(Sym extent, i64 lanes) {
  extent = plan_.resolve(extent);
  RangeText& text = ranges_[{extent.node(), lanes}];
  if (!text.index.empty()) return text;
  std::string wanted = extent.is_const() ? fmt::format("range_{}", *extent.as_int()) : "range_";
  text.index = names_.unique(wanted);
  preamble_.define(text.index, fmt::format("tl.arange(0, {})", lanes));
  if (!extent.is_int(lanes)) {
    text.mask = names_.unique(text.index + "_mask");
    preamble_.define(text.mask, fmt::format("{} < {}", text.index, sym(extent).text));
  }
  return text;
}

// The index and mask of a value's dimension without a tile axis.
Emitter::RangeText Emitter::range_of(ValueId value, i64 dim, Sym extent) {
  if (plan_.is_rolled(value, dim)) {
    auto chunk = chunks_.find(plan_.shared.axes.of(value, dim));
    BUG_IF(chunk == chunks_.end(), "%{} is used outside of its chunks", value.index);
    return chunk->second;
  }
  return range(extent, lanes_of(value, dim));
}

// "" if all lanes exist.
std::string Emitter::mask_of(ValueId value, i64 dim, const TileType& type) {
  const Dim& extent = type.shape[dim];
  if (!plan_.is_rolled(value, dim) && !lanes_.is_partial(extent)) return "";
  if (!extent.block) return range_of(value, dim, extent.size).mask;
  return blocks_.at(extent.block).mask;
}

std::string Emitter::loop_text(const LoopOptions& o, const std::string& begin,
                               const std::string& end, const std::string& step) {
  std::string range = begin == "0" && step == "1" ? end : begin + ", " + end;
  if (step != "1") range += ", " + step;
  if (o.is_static) return fmt::format("tl.static_range({})", range);
  std::string options;
  if (o.stages > 0) options += fmt::format(", num_stages={}", o.stages);
  if (o.unroll > 0) options += fmt::format(", loop_unroll_factor={}", o.unroll);
  if (o.multi_buffer) {
    options += fmt::format(", disallow_acc_multi_buffer={}", *o.multi_buffer ? "False" : "True");
  }
  if (o.flatten) options += fmt::format(", flatten={}", *o.flatten ? "True" : "False");
  if (o.warp_specialize && *o.warp_specialize) options += ", warp_specialize=True";
  return fmt::format("{}({}{})", options.empty() ? "range" : "tl.range", range, options);
}

}  // namespace peri::triton
