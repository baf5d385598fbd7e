// The state of a run: values, current tiles and evaluated symbols of one root.
#pragma once

#include <optional>
#include <unordered_map>
#include <vector>

#include "interp/access.h"
#include "interp/interp.h"
#include "interp/tile.h"

namespace peri::interp {

// Where a tile axis stands. Index i of a tile is `begin + i`; an axis whose loop is not running is
// not `active`, and extents that belong to it are nominal.
struct AxisState {
  bool active = false;
  i64 begin = 0, end = 0;
  i64 id = 0, count = 0;
};

// The iterations of one axis: tile `id` starts at `begin + id * step`.
struct AxisRange {
  BlockId block;
  i64 begin = 0, end = 0, step = 1, count = 0;
};

class Machine {
 public:
  Machine(const ir::Kernel& kernel, const Environment& environment);
  Machine(const Machine&) = delete;
  ~Machine();

  Expected<std::vector<AxisRange>> grid(const ir::Root& root);
  Expected<void> run_cells(const ir::Root& root, i64 begin, i64 end);

 private:
  void find_last_uses(ir::GraphId id, std::vector<bool>& needed);
  Expected<void> run_graph(ir::GraphId graph);
  Expected<void> run_op(const ir::Op& op);
  Expected<void> run_for(const ir::Op& op);
  Expected<void> run_if(const ir::Op& op);

  // Gives a value its tile, less what its type says does not exist.
  Expected<void> define(ir::ValueId value, Tile tile);
  Expected<void> define_all(const std::vector<ir::ValueId>& values,
                            const std::vector<ir::ValueId>& sources);

  Expected<Tile> evaluate(const ir::Op& op);
  Expected<Tile> source(const ir::Op& op);
  Expected<Tile> tile_attribute(const ir::Op& op);
  Expected<Tile> counting(const ir::Op& op, i64 first);
  Expected<Tile> view(const ir::Op& op);
  Expected<Tile> reshape(const ir::Op& op);
  Tile dot(const ir::Op& op);

  // The value that op's attrs and operands access. `first`: position of the index operands.
  Expected<Access> access(const ir::Op& op);
  Expected<Subscript> subscript(const ir::Op& op, const ir::Index& index);
  const Tile* mask(const ir::Op& op) const;

  Expected<SymValue> evaluate(Sym sym);
  Expected<i64> integer(Sym sym);
  Expected<i64> block_size(BlockId block);
  Expected<i64> extent(const Dim& dim);
  Expected<std::vector<i64>> extents(const TileType& type);
  Expected<AxisRange> range(BlockId block, i64 begin, i64 end);
  void enter(const std::vector<AxisRange>& ranges, i64 cell);
  void leave(const std::vector<AxisRange>& ranges);

  const Tile& operand(const ir::Op& op, i64 i) const { return values_[op.operands[i].index]; }
  const TileType& type_of(ir::ValueId value) const { return kernel_[value].type; }
  Tile& at(ir::ValueId value) { return values_[value.index]; }

  const ir::Kernel& kernel_;
  const Environment& environment_;
  bool exact_;
  std::vector<Tile> values_;
  std::vector<std::vector<ir::ValueId>>
      last_uses_;                // by op, of the root that runs: values that nothing needs then
  std::vector<AxisState> axes_;  // by block
  std::unordered_map<const SymNode*, SymValue> symbols_;
};

}  // namespace peri::interp
