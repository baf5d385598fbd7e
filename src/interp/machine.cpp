#include "interp/machine.h"

#include <ranges>
#include <utility>

#include "base/bug.h"
#include "interp/ops.h"
#include "ir/walk.h"

namespace peri::interp {

using ir::Op;
using ir::OpCode;

Machine::Machine(const ir::Kernel& kernel, const Environment& environment)
    : kernel_(kernel),
      environment_(environment),
      exact_(environment.options.exact),
      values_(kernel.values.size()),
      axes_(kernel.blocks.size()) {}

Machine::~Machine() { drop_recycled(); }

// From the end: what is met first is a last use. One within a loop or branch counts as one by the
// loop or branch, where the value is older. `needed`: by value, whether it was met.
void Machine::find_last_uses(ir::GraphId id, std::vector<bool>& needed) {
  const ir::Graph& graph = kernel_[id];
  for (ir::ValueId value : graph.params) needed[value.index] = true;
  for (ir::ValueId value : graph.yields) needed[value.index] = true;
  for (ir::OpId op : std::views::reverse(graph.ops)) {
    auto use = [&](ir::ValueId value) {
      if (kernel_[value].owner != id || needed[value.index]) return;
      needed[value.index] = true;
      last_uses_[op.index].push_back(value);
    };
    auto use_all = [&](const Op& user) {
      for (ir::ValueId operand : user.operands) use(operand);
      for (ir::GraphId region : user.regions) {
        for (ir::ValueId yielded : kernel_[region].yields) use(yielded);
      }
    };
    for (ir::ValueId result : kernel_[op].results) use(result);  // which nothing may use
    use_all(kernel_[op]);
    for (ir::GraphId region : kernel_[op].regions) {
      ir::for_each_op(kernel_, region, use_all);
      find_last_uses(region, needed);
    }
  }
}

// --- symbols and extents ---

Expected<SymValue> Machine::evaluate(Sym sym) {
  auto [known, fresh] = symbols_.try_emplace(sym.node());
  if (!fresh) return known->second;
  auto value = kernel_.syms->evaluate(sym, environment_.symbols);
  if (value) return known->second = *value;
  symbols_.erase(known);
  return fail("missing-value", fmt::format("`{}` has no value here", kernel_.syms->print(sym)));
}

Expected<i64> Machine::integer(Sym sym) {
  auto value = evaluate(sym);
  if (!value) return std::unexpected(value.error());
  return value->type == SymType::Float ? static_cast<i64>(value->real) : value->integer;
}

Expected<i64> Machine::block_size(BlockId block) {
  auto size = integer(kernel_[block].size);
  if (!size || *size > 0) return size;
  return fail("bad-block-size",
              fmt::format("block size {} of `{}` is not positive", *size, kernel_[block].name));
}

Expected<i64> Machine::extent(const Dim& dim) {
  if (dim.block && axes_[dim.block.index].active) {
    const AxisState& axis = axes_[dim.block.index];
    return axis.end - axis.begin;
  }
  return integer(dim.size);
}

Expected<std::vector<i64>> Machine::extents(const TileType& type) {
  std::vector<i64> shape;
  for (const Dim& dim : type.shape) {
    auto size = extent(dim);
    if (!size) return std::unexpected(size.error());
    shape.push_back(*size);
  }
  return shape;
}

// --- loops ---

namespace {

// Steps of size `step` that fit from `begin` on before `end`.
i64 step_count(i64 begin, i64 end, i64 step) {
  __extension__ using Wide = __int128;
  Wide distance = step > 0 ? Wide(end) - begin : Wide(begin) - end;
  Wide size = step > 0 ? Wide(step) : -Wide(step);
  return distance <= 0 ? 0 : static_cast<i64>((distance + size - 1) / size);
}

}  // namespace

Expected<AxisRange> Machine::range(BlockId id, i64 begin, i64 end) {
  const Block& block = kernel_[id];
  AxisRange axis{id, begin, end, 1, 0};
  auto step = block.kind == Block::Kind::Grid
                  ? (block.step ? integer(block.step) : Expected<i64>(1))
                  : block_size(id);
  if (!step) return std::unexpected(step.error());
  if (*step == 0) return fail("bad-step", fmt::format("`{}` steps by 0", block.name));
  axis.step = *step;
  axis.count = step_count(begin, end, *step);
  return axis;
}

void Machine::enter(const std::vector<AxisRange>& ranges, i64 cell) {
  for (size_t i = ranges.size(); i-- > 0;) {
    const AxisRange& range = ranges[i];
    AxisState& axis = axes_[range.block.index];
    axis = {true, 0, 0, cell % range.count, range.count};
    axis.begin = range.begin + axis.id * range.step;
    bool grid = kernel_[range.block].kind == Block::Kind::Grid;
    axis.end = grid ? axis.begin + 1 : std::min(axis.begin + range.step, range.end);
    cell /= range.count;
  }
}

void Machine::leave(const std::vector<AxisRange>& ranges) {
  for (const AxisRange& range : ranges) axes_[range.block.index].active = false;
}

Expected<std::vector<AxisRange>> Machine::grid(const ir::Root& root) {
  std::vector<AxisRange> ranges;
  for (BlockId id : root.blocks) {
    const Block& block = kernel_[id];
    BUG_IF(!block.end, "root axis `{}` has no end", block.name);
    auto begin = block.begin ? integer(block.begin) : Expected<i64>(0);
    auto end = integer(block.end);
    if (!begin || !end) return std::unexpected((begin ? end : begin).error());
    auto axis = range(id, *begin, *end);
    if (!axis) return std::unexpected(axis.error());
    ranges.push_back(*axis);
  }
  return ranges;
}

namespace {

i64 cells_of(const std::vector<AxisRange>& ranges) {
  i64 cells = 1;
  for (const AxisRange& range : ranges) cells *= range.count;
  return cells;
}

}  // namespace

Expected<void> Machine::run_cells(const ir::Root& root, i64 begin, i64 end) {
  auto ranges = grid(root);
  if (!ranges) return std::unexpected(ranges.error());
  end = std::min(end, cells_of(*ranges));
  last_uses_.assign(kernel_.ops.size(), {});
  std::vector<bool> needed(kernel_.values.size());
  find_last_uses(root.body, needed);
  for (i64 cell = begin; cell < end; ++cell) {
    if (environment_.before_cell) {
      if (auto done = environment_.before_cell(); !done) return done;
    }
    enter(*ranges, cell);
    if (auto done = run_graph(root.body); !done) return done;
  }
  leave(*ranges);
  return {};
}

Expected<void> Machine::run_for(const Op& op) {
  const ir::Graph& body = kernel_[op.regions[0]];
  size_t axis_count = op.attrs.blocks.size();
  std::vector<AxisRange> ranges;
  for (size_t i = 0; i < axis_count; ++i) {
    i64 begin = operand(op, 2 * i).integers[0], end = operand(op, 2 * i + 1).integers[0];
    auto axis = range(op.attrs.blocks[i], begin, end);
    if (!axis) return std::unexpected(axis.error());
    ranges.push_back(*axis);
  }
  for (size_t i = 0; i < body.params.size(); ++i) {
    auto done = define(body.params[i], operand(op, 2 * axis_count + i));
    if (!done) return done;
  }
  for (i64 cell = 0, cells = cells_of(ranges); cell < cells; ++cell) {
    enter(ranges, cell);
    if (auto done = run_graph(op.regions[0]); !done) return done;
    std::vector<Tile> next;
    for (size_t i = 0; i < body.params.size(); ++i) {
      next.push_back(overlay(std::move(at(body.params[i])), at(body.yields[i])));
    }
    for (size_t i = 0; i < next.size(); ++i) at(body.params[i]) = std::move(next[i]);
  }
  leave(ranges);
  return define_all(op.results, body.params);
}

Expected<void> Machine::run_if(const Op& op) {
  ir::GraphId branch = op.regions[operand(op, 0).integers[0] ? 0 : 1];
  if (auto done = run_graph(branch); !done) return done;
  return define_all(op.results, kernel_[branch].yields);
}

// --- ops ---

Expected<void> Machine::run_graph(ir::GraphId graph) {
  for (ir::OpId op : kernel_[graph].ops) {
    if (auto done = run_op(kernel_[op]); !done) return done;
    for (ir::ValueId value : last_uses_[op.index]) recycle(std::exchange(at(value), {}));
  }
  return {};
}

Expected<void> Machine::run_op(const Op& op) {
  if (op.code == OpCode::For) return run_for(op);
  if (op.code == OpCode::If) return run_if(op);
  if (op.code == OpCode::Store) {
    auto target = access(op);
    if (!target) return std::unexpected(target.error());
    return store(operand(op, 0), *target, mask(op), exact_);
  }
  auto result = evaluate(op);
  if (!result) return std::unexpected(result.error());
  return define(op.results[0], std::move(*result));
}

Expected<void> Machine::define(ir::ValueId value, Tile tile) {
  const TileType& type = type_of(value);
  for (i64 d = 0; d < type.rank(); ++d) {
    auto limit = extent(type.shape[d]);
    if (!limit) return std::unexpected(limit.error());
    if (tile.shape[d] <= *limit) continue;
    std::vector<i64> shape = tile.shape;
    shape[d] = *limit;
    tile = crop(tile, shape);
  }
  recycle(std::exchange(at(value), std::move(tile)));
  return {};
}

Expected<void> Machine::define_all(const std::vector<ir::ValueId>& values,
                                   const std::vector<ir::ValueId>& sources) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (auto done = define(values[i], at(sources[i])); !done) return done;
  }
  return {};
}

Expected<Tile> Machine::evaluate(const Op& op) {
  Dtype dtype = type_of(op.results[0]).dtype;
  if (op.code == OpCode::Cast) return convert(operand(op, 0), dtype, exact_);
  if (ir::info(op.code).has(ir::Elementwise)) {
    std::vector<const Tile*> operands;
    for (ir::ValueId value : op.operands) operands.push_back(&at(value));
    return elementwise(op.code, operands, dtype, exact_);
  }
  switch (ir::info(op.code).rule) {
    case ir::Rule::Reduce:
      return reduce(op.code, operand(op, 0), op.attrs.dims[0], dtype, exact_);
    case ir::Rule::Dot:
      return dot(op);
    case ir::Rule::View:
      return view(op);
    case ir::Rule::Access: {
      auto from = access(op);
      if (!from) return std::unexpected(from.error());
      return load(*from, mask(op));
    }
    default:
      return source(op);
  }
}

Tile Machine::dot(const Op& op) {
  const Tile* acc = op.operands.size() > 2 ? &operand(op, 2) : nullptr;
  return interp::dot(operand(op, 0), operand(op, 1), acc, type_of(op.results[0]).dtype, exact_);
}

Expected<Tile> Machine::view(const Op& op) {
  const Tile& tile = operand(op, 0);
  std::vector<i64> shape = tile.shape;
  switch (op.code) {
    case OpCode::Permute:
      return permute(tile, op.attrs.dims);
    case OpCode::Unsqueeze:
      shape.insert(shape.begin() + op.attrs.dims[0], 1);
      return with_shape(tile, shape);
    case OpCode::Squeeze:
      shape.erase(shape.begin() + op.attrs.dims[0]);
      return with_shape(tile, shape);
    case OpCode::Reshape:
      return reshape(op);
    default:
      break;
  }
  auto full = extents(type_of(op.results[0]));
  if (!full) return std::unexpected(full.error());
  const TileType& from = type_of(op.operands[0]);
  for (i64 d = 0; d < from.rank(); ++d) {
    if (!from.shape[d].is_one()) (*full)[d] = tile.shape[d];
  }
  return expand(tile, *full);
}

Expected<Tile> Machine::reshape(const Op& op) {
  auto shape = extents(type_of(op.results[0]));
  if (!shape) return std::unexpected(shape.error());
  const Tile& tile = operand(op, 0);
  if (product(*shape) == tile.count()) return with_shape(tile, *shape);
  return fail("partial-reshape",
              fmt::format("a tile of {} elements is reshaped to {} elements", tile.count(),
                          product(*shape)),
              "reshape needs full tiles: choose a block size that divides the extent");
}

}  // namespace peri::interp
