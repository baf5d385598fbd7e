#include "backends/triton/cost_model.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "backends/triton/plan.h"
#include "backends/triton/rolling.h"
#include "ir/walk.h"
#include "plan/flatten_loops.h"
#include "space/space.h"

namespace peri::triton {

using ir::Kernel;
using ir::Op;
using ir::OpCode;
using space::Config;

namespace {

constexpr i64 kLongestRow = 32768;       // elements of a `:` dimension that one program keeps
constexpr i64 kTurned = 64;              // side of a tile that is transposed
constexpr i64 kChunk = 4096;             // of a longer one
constexpr i64 kLoopedRow = 8192;         // elements of an axis that one turn of a loop takes
constexpr i64 kBytesPerWarp = 2048;      // of a tile that memory-bound programs give each warp
constexpr i64 kLeastBytesPerWarp = 512;  // one access of 16 bytes a lane
constexpr i64 kBusyWarps = 32;           // of a multiprocessor, which hide the latency of memory
constexpr i64 kShortRow = 128;           // elements; shorter rows waste lanes and accesses
constexpr i64 kManyRows = 512;   // of which tiles of 128 waste little where loops end at the tile
constexpr i64 kChainStages = 3;  // of loops with several products
constexpr i64 kFewTurns = 4;
constexpr i64 kSmallTensor = 16;  // times smaller than the largest: its walk costs nothing

// What a block does in a kernel.
struct Role {
  i64 extent = 1;
  bool grid = false, in_loop = false;
  bool dot_m = false, dot_n = false, dot_k = false, batch = false;
  bool contiguous = false;
  bool sized = false;  // only its number of blocks matters: loops inside divide it further
  i64 merged = 1;      // elements of a dot for each of its own, which a reshape has merged
  i64 width = 1;       // elements of the `:` dimensions beside it
  i64 bytes = 4;       // of the narrowest element loaded along it
};

class Chooser {
 public:
  Chooser(const Kernel& kernel, const Target& target, bool descriptors)
      : kernel_(kernel),
        target_(target),
        descriptors_(descriptors && target.tensor_maps),
        blocks_(space::searched_blocks(kernel)) {
    for (const ir::Root& root : kernel.roots) {
      for (BlockId block : root.blocks) {
        if (Role* role = role_of(block)) role->grid = true;
      }
      largest_ = 1;
      ir::for_each_op(kernel, root.body, [&](const Op& op) { see_size(op); });
      ir::for_each_op(kernel, root.body, [&](const Op& op) { see_op(op); });
    }
    for (std::size_t b = 0; b < kernel.blocks.size(); ++b) see_block(BlockId(static_cast<i64>(b)));
    for (const ir::Value& value : kernel.values) see_value(value.type);
  }

  Config choose() {
    Config config = Config::object();
    choose_blocks();
    flatten_short_rows(config);
    config["block_sizes"] = Config::array();
    for (BlockId block : blocks_) config["block_sizes"].push_back(clamp(block));
    choose_reductions(config);
    config["num_warps"] = warps();
    config["num_stages"] = dots_ > 1 ? stages_of_chain() : dots_ > 0 ? stages() : 2;
    choose_grid(config);
    if (descriptors_ && dots_ == 1 && dot_bytes_ <= 2) choose_descriptors(config);
    return config;
  }

 private:
  i64 hint(Sym sym, i64 fallback) const {
    if (!sym) return fallback;
    auto value = kernel_.syms->hint(sym);
    return value ? std::max<i64>(value->integer, 0) : fallback;
  }

  // The searched block that gives `block` its size; none if none does.
  BlockId searched(BlockId block) const {
    Sym size = kernel_[block].size;
    for (BlockId candidate : blocks_) {
      if (kernel_[candidate].size == size) return candidate;
    }
    return {};
  }

  // Its role; null if there is no such block.
  Role* role_of(BlockId block) {
    BlockId found = searched(block);
    return found ? &roles_[found] : nullptr;
  }

  void see_block(BlockId id) {
    const Block& block = kernel_[id];
    if (block.parent) {
      if (Role* parent = role_of(block.parent)) parent->sized = true;
    }
    Role* role = role_of(id);
    if (role == nullptr || block.kind == Block::Kind::Registered) return;
    i64 begin = block.begin ? hint(block.begin, 0) : 0;
    i64 extent = block.end ? hint(block.end, 1024) - begin : block.parent ? 1024 : 4096;
    role->extent = std::max(role->extent, std::max<i64>(extent, 1));
  }

  void see_value(const TileType& type) {
    i64 width = 1;
    for (const Dim& dim : type.shape) {
      bool fixed = !dim.block && !space::sized_by(kernel_, dim);
      if (fixed) width *= std::max<i64>(hint(dim.size, 1), 1);
    }
    for (const Dim& dim : type.shape) {
      if (!dim.block) continue;
      if (Role* role = role_of(dim.block)) role->width = std::max(role->width, width);
    }
    widest_ = std::max(widest_, width);
  }

  void see_op(const Op& op) {
    if (op.code == OpCode::Dot) see_dot(op);
    if (ir::is_access(op)) see_access(op);
    if (op.code != OpCode::For) return;
    for (BlockId block : op.attrs.blocks) {
      triangular_ = triangular_ || (!kernel_[block].end && !kernel_[block].parent);
      if (Role* role = role_of(block)) role->in_loop = true;
    }
  }

  void mark(const Dim& dim, bool Role::* flag) {
    BlockId block = dim.block ? dim.block : space::sized_by(kernel_, dim);
    if (!block) return;
    Role* role = role_of(block);
    if (role == nullptr) return;
    role->*flag = true;
    if (!dim.block)
      role->merged = hint(dim.size, 1) / std::max<i64>(hint(kernel_[block].size, 1), 1);
  }

  void see_dot(const Op& op) {
    ++dots_;
    const TileType& a = kernel_[op.operands[0]].type;
    const TileType& b = kernel_[op.operands[1]].type;
    dot_bytes_ = std::max(dot_bytes_, size_of(a.dtype));
    mark(a.shape[a.rank() - 2], &Role::dot_m);
    mark(a.shape[a.rank() - 1], &Role::dot_k);
    mark(b.shape[b.rank() - 1], &Role::dot_n);
    for (const TileType* type : {&a, &b}) {
      if (type->rank() == 3) mark(type->shape[0], &Role::batch);
    }
    for (const Dim& dim : {a.shape[a.rank() - 1], b.shape[b.rank() - 1]}) {
      bool fixed = !dim.block && !space::sized_by(kernel_, dim);
      if (fixed) dot_width_ = std::max(dot_width_, hint(dim.size, 1));
    }
  }

  i64 elements_of(const ir::TensorParam& tensor) const {
    i64 elements = 1;
    for (Sym size : tensor.sizes) elements *= std::max<i64>(hint(size, 1), 1);
    return elements;
  }

  void see_size(const Op& op) {
    if (!ir::is_access(op)) return;
    largest_ = std::max(largest_, elements_of(kernel_[op.attrs.tensor]));
  }

  void see_access(const Op& op) {
    const ir::TensorParam& tensor = kernel_[op.attrs.tensor];
    i64 dim = 0;
    const bool is_large = elements_of(tensor) >= largest_ / kSmallTensor;
    see_shape(kernel_[ir::accessed_value(op)].type);
    for (const ir::Index& index : op.attrs.indices) {
      if (index.kind == ir::Index::Kind::NewAxis) continue;
      if (index.kind == ir::Index::Kind::Tile) {
        Role* role = role_of(index.block);
        bool flat = dim < static_cast<i64>(tensor.strides.size()) &&
                    kernel_.syms->hint(tensor.strides[dim]) == SymValue::of(i64{1});
        if (role != nullptr && flat && hint(tensor.sizes[dim], 2) > 1) {
          role->contiguous = role->contiguous || is_large;
          role->bytes = std::min(role->bytes, size_of(tensor.dtype));
        }
      }
      ++dim;
    }
  }

  void see_shape(const TileType& type) {
    std::set<BlockId> blocks;
    for (const Dim& dim : type.shape) {
      BlockId block = dim.block ? searched(dim.block) : BlockId();
      if (block) blocks.insert(block);
    }
    shapes_.insert(std::move(blocks));
  }

  // --- blocks ---

  // Tensors run along several axes of one tile: it turns in shared memory.
  bool is_turned() const {
    return std::ranges::any_of(shapes_, [&](const std::set<BlockId>& shape) {
      return std::ranges::count_if(shape,
                                   [&](BlockId block) { return roles_.at(block).contiguous; }) > 1;
    });
  }

  void choose_blocks() {
    const bool turned = is_turned();
    for (BlockId block : blocks_) {
      Role& role = roles_[block];
      if (role.width > 1) role.contiguous = false;  // the row itself runs along memory
      bool dot = role.dot_m || role.dot_n || role.dot_k;
      if (dot)
        sizes_[block] = std::min(dot_size(role) / std::max<i64>(role.merged, 1),
                                 std::max<i64>(16, power_of_two(role.extent)));
      if (!dot && role.contiguous) {
        sizes_[block] = turned ? std::min(along_size(role), kTurned) : along_size(role);
      }
    }
    for (BlockId block : blocks_) {
      Role& role = roles_[block];
      if (sizes_.contains(block)) continue;
      if (role.batch || dots_ > 0) {
        sizes_[block] = 1;
      } else if (role.sized) {
        sizes_[block] = share(role);
      } else {
        sizes_[block] = across_size(role);
      }
    }
    for (const ir::Root& root : kernel_.roots) fill_machine(root);
  }

  i64 dot_size(const Role& role) const {
    if (dots_ > 1) {
      if (role.dot_m && role.grid) return triangular_ && role.extent < kManyRows ? 64 : 128;
      return dot_width_ > 64 ? 64 : 128;
    }
    if (role.dot_k && !role.grid) return dot_bytes_ >= 4 ? 32 : 64;
    if (role.dot_n && role.grid) return dot_bytes_ >= 4 ? 128 : 256;
    if (role.dot_m && role.grid) return dot_width_ > 256 ? 64 : 128;
    return 64;
  }

  // Elements of a contiguous axis that one program takes at a time.
  i64 along_size(const Role& role) const {
    i64 wanted = role.in_loop ? kLoopedRow : 4096 / std::max<i64>(role.bytes, 1);
    return std::min(power_of_two(role.extent), std::max<i64>(wanted, 512));
  }

  // Rows of an axis across memory: enough for two full warps' loads.
  i64 across_size(const Role& role) const {
    i64 inner = std::min(role.width, kLongestRow);
    for (const auto& [block, size] : sizes_) {
      if (roles_.at(block).contiguous) inner = std::max(inner, size);
    }
    i64 rows = std::max<i64>(1, 1024 / power_of_two(inner));
    i64 fair = std::max<i64>(1, role.extent / (2 * target_.multiprocessors));
    return std::min({rows, static_cast<i64>(std::bit_floor(static_cast<u64>(fair))),
                     power_of_two(role.extent)});
  }

  // Two programs a multiprocessor.
  i64 share(const Role& role) const {
    i64 programs = 2 * target_.multiprocessors;
    return power_of_two((role.extent + programs - 1) / programs);
  }

  i64 tiles_of(const Block& block, i64 size) const {
    i64 extent = hint(block.end, 1) - hint(block.begin, 0);
    size = std::max<i64>(size, 1);
    return std::max<i64>((extent + size - 1) / size, 1);
  }

  i64 programs_of(const ir::Root& root) const {
    i64 programs = 1;
    for (BlockId id : root.blocks) {
      BlockId block = searched(id);
      programs *= tiles_of(kernel_[id], block ? sizes_.at(block) : hint(kernel_[id].size, 1));
    }
    return programs;
  }

  // Smaller tiles where a grid of large ones leaves multiprocessors idle.
  void fill_machine(const ir::Root& root) {
    for (int round = 0; round < 8; ++round) {
      BlockId largest;
      for (BlockId id : root.blocks) {
        BlockId block = searched(id);
        if (!block) continue;
        i64 size = sizes_[block];
        const Role& role = roles_[block];
        bool can_shrink = role.dot_m || role.dot_n ? size > 32 : role.contiguous && size > 64;
        if (can_shrink && (!largest || size >= sizes_[largest])) largest = block;
      }
      if (programs_of(root) * 10 >= target_.multiprocessors * 7 || !largest) return;
      sizes_[largest] /= 2;
    }
  }

  // Grids whose tensors have short rows run as one axis over all elements.
  void flatten_short_rows(Config& config) {
    const std::vector<space::LoopNest> nests = space::loop_nests(kernel_);
    for (std::size_t i = 0; i < nests.size(); ++i) {
      if (plan::why_not_flat(kernel_, nests[i])) continue;
      if (extent_of(nests[i].blocks.back()) >= kShortRow) continue;
      config["flatten_loops"] = config.value("flatten_loops", Config(nests.size(), Config(false)));
      config["flatten_loops"][i] = true;
      set_flat_sizes(nests[i].blocks);
    }
  }

  i64 extent_of(BlockId id) const {
    return std::max<i64>(hint(kernel_[id].end, 1) - hint(kernel_[id].begin, 0), 1);
  }

  // Sizes whose product is what a single axis of as many elements would have.
  void set_flat_sizes(const std::vector<BlockId>& axes) {
    Role all;
    for (BlockId axis : axes) {
      all.extent *= extent_of(axis);
      if (BlockId block = searched(axis)) all.bytes = std::min(all.bytes, roles_.at(block).bytes);
    }
    i64 left = along_size(all);
    auto programs = [&] { return (all.extent + left - 1) / left; };
    while (left > 64 && programs() * 10 < target_.multiprocessors * 7) left /= 2;
    for (std::size_t i = axes.size(); i-- > 0;) {
      BlockId block = searched(axes[i]);
      if (!block) continue;
      sizes_[block] = std::min(power_of_two(extent_of(axes[i])), left);
      left /= sizes_[block];
    }
  }

  i64 clamp(BlockId id) {
    const Block& block = kernel_[id];
    i64 size = std::max(sizes_[id], block.min_size);
    if (block.max_size > 0) size = std::min(size, power_of_two(block.max_size));
    return sizes_[id] = size;
  }

  // --- the rest ---

  void choose_reductions(Config& config) {
    analysis::Axes axes(kernel_);
    Config chunks = Config::array();
    for (const ReducedAxis& reduced : reduced_axes(kernel_, axes)) {
      i64 extent = hint(axes[reduced.axis].size, 1);
      bool looped = reduced.reason.empty() && extent > kLongestRow;
      chunks.push_back(looped ? Config(kChunk) : Config(nullptr));
      if (looped) widest_ = kChunk;
    }
    if (!chunks.empty()) config["reduction_loops"] = chunks;
  }

  // Of `dim` under the chosen sizes, if they give it.
  std::optional<i64> chosen_lanes(const Dim& dim) const {
    if (!space::sized_by(kernel_, dim)) return std::nullopt;
    auto size = kernel_.syms->evaluate(dim.size, [&](SymbolId id) -> std::optional<SymValue> {
      const Symbol& symbol = kernel_.syms->symbol(id);
      auto chosen = sizes_.find(symbol.block);
      bool is_block = symbol.origin == SymbolOrigin::Block && chosen != sizes_.end();
      return is_block ? SymValue::of(chosen->second) : symbol.hint;
    });
    return size ? std::optional(power_of_two(size->integer)) : std::nullopt;
  }

  i64 tile_elements(const TileType& type) const {
    i64 count = 1;
    for (const Dim& dim : type.shape) {
      i64 whole = std::min(power_of_two(hint(dim.size, 1)), std::max(widest_, kChunk));
      count *= chosen_lanes(dim).value_or(whole);
    }
    return count;
  }

  i64 warps() const {
    if (dots_ > 0) return warps_of_dots();
    const ir::Root* main = nullptr;  // the root that moves most
    i64 moved = -1, bytes = 0;
    for (const ir::Root& root : kernel_.roots) {
      i64 all = 0, tile = 0;
      ir::for_each_op(kernel_, root.body, [&](const Op& op) {
        if (!ir::is_access(op)) return;
        const TileType& type = kernel_[ir::accessed_value(op)].type;
        all += elements_of(kernel_[op.attrs.tensor]);
        tile = std::max(tile, tile_elements(type) * size_of(type.dtype));
      });
      if (all <= moved) continue;
      main = &root;
      moved = all, bytes = tile;
    }
    if (main == nullptr) return 1;
    // A machine of few programs needs as many warps of each as there are accesses for.
    const i64 most = target_.max_threads / target_.warp_size;
    i64 resident = (programs_of(*main) + target_.multiprocessors - 1) / target_.multiprocessors;
    i64 busy = std::min(kBusyWarps / std::max<i64>(resident, 1), bytes / kLeastBytesPerWarp);
    i64 wanted = power_of_two(std::max(bytes / kBytesPerWarp, busy));
    return std::clamp<i64>(wanted, widest_ == 1 ? 4 : 1, most);
  }

  i64 warps_of_dots() const {
    i64 accumulators = 0;
    for (const ir::Value& value : kernel_.values) {
      bool dot = value.def && kernel_[value.def].code == OpCode::Dot;
      if (dot) accumulators = std::max(accumulators, tile_elements(value.type));
    }
    return accumulators >= 128 * 128 ? 8 : 4;
  }

  i64 stages() const {
    i64 bytes = 0;
    for (const Op& op : kernel_.ops) {
      if (op.code != OpCode::Dot) continue;
      for (int side = 0; side < 2; ++side) {
        const TileType& type = kernel_[op.operands[side]].type;
        i64 count = size_of(type.dtype);
        for (const Dim& dim : type.shape) {
          count *= chosen_lanes(dim).value_or(power_of_two(hint(dim.size, 1)));
        }
        bytes += count;
      }
    }
    return std::clamp<i64>(target_.shared_bytes / std::max<i64>(bytes, 1), 1, 4);
  }

  // Of loops with several products, one after the other: three, or what the rules leave of them,
  // for a turn is long (attention on an H100: 1.2 to 1.3 times as fast as with two). Loops of few
  // turns are over before stages pay for the shared memory that they take from other programs.
  i64 stages_of_chain() const { return longest_loop() <= kFewTurns ? 1 : kChainStages; }

  // Turns of the longest loop with a product, as far as sizes are known.
  i64 longest_loop() const {
    i64 most = 0;
    for (const Op& loop : kernel_.ops) {
      if (loop.code != OpCode::For) continue;
      bool multiplies = false;
      ir::for_each_op(kernel_, loop.regions[0],
                      [&](const Op& op) { multiplies = multiplies || op.code == OpCode::Dot; });
      if (!multiplies) continue;
      for (std::size_t i = 0; i < loop.attrs.blocks.size(); ++i) {
        const BlockId size = searched(loop.attrs.blocks[i]);
        if (size) most = std::max(most, extent_in(loop, i) / std::max<i64>(sizes_.at(size), 1));
      }
    }
    return most;
  }

  // Of the loop's i-th axis; up to the end of a tile, what the tiles' axis has.
  i64 extent_in(const Op& loop, std::size_t i) const {
    const BlockId block = loop.attrs.blocks[i];
    const ir::OpId end = kernel_[loop.operands[2 * i + 1]].def;
    const bool is_tile = !kernel_[block].end && end && kernel_[end].code == OpCode::TileEnd;
    return is_tile ? extent_of(kernel_[end].attrs.block) : roles_.at(searched(block)).extent;
  }

  void choose_grid(Config& config) const {
    Config groupings = Config::array();
    for (const ir::Root& root : kernel_.roots) {
      if (root.blocks.size() > 1) groupings.push_back(dots_ == 1 ? 8 : 1);
    }
    if (!groupings.empty()) config["l2_groupings"] = groupings;
  }

  // Operands and results move by descriptors. A persistent grid of large tiles, its loops merged,
  // loads the next tile's operands while a result leaves.
  void choose_descriptors(Config& config) const {
    std::set<ir::ValueId> operands;
    for (const Op& op : kernel_.ops) {
      if (op.code == OpCode::Dot) operands.insert(op.operands.begin(), op.operands.begin() + 2);
    }
    Config indexing = Config::array();
    ir::for_each_op(kernel_, [&](const Op& op) {
      if (!ir::is_access(op)) return;
      bool moved = op.code == OpCode::Store || operands.contains(op.results[0]);
      indexing.push_back(moved ? "tensor_descriptor" : "pointer");
    });
    config["indexing"] = indexing;
    config["host_tensor_descriptors"] = true;
    if (kernel_.roots.size() != 1 || programs_of(kernel_.roots[0]) <= target_.multiprocessors ||
        config["num_warps"] != 8) {
      return;
    }
    config["pid_type"] = "persistent_interleaved";
    config["num_stages"] =
        std::min<i64>(config["num_stages"].get<i64>(), 3);  // the result has a buffer too
    config["range_flattens"] = Config::array();
    for (std::size_t i = 0; i < space::loop_nests(kernel_).size(); ++i) {
      config["range_flattens"].push_back(i == 0 ? Config(true) : Config(nullptr));
    }
  }

  const Kernel& kernel_;
  Target target_;
  bool descriptors_;
  std::vector<BlockId> blocks_;
  std::map<BlockId, Role> roles_;
  std::map<BlockId, i64> sizes_;
  bool triangular_ = false;  // loops end where a tile of the grid does
  i64 dots_ = 0;
  i64 dot_bytes_ = 2;
  i64 dot_width_ = 1;                   // widest `:` dimension of a dot
  i64 widest_ = 1;                      // elements of `:` dimensions in one value
  i64 largest_ = 1;                     // elements of a tensor of the root that is looked at
  std::set<std::set<BlockId>> shapes_;  // searched blocks that the tiles of accesses have
};

}  // namespace

Config choose_config(const Kernel& kernel, const Target& target, bool descriptors) {
  std::lock_guard lock(planning_mutex());
  return Chooser(kernel, target, descriptors).choose();
}

}  // namespace peri::triton
