#include "backends/cpu/cost_model.h"

#include <algorithm>
#include <set>
#include <utility>

#include "backends/cpu/contraction.h"
#include "backends/cpu/predict.h"
#include "ir/walk.h"
#include "plan/flatten_loops.h"
#include "plan/plan.h"
#include "space/space.h"

namespace peri::cpu {

using ir::Kernel;
using ir::Op;
using ir::OpCode;
using space::Capabilities;
using space::Config;
using space::Scope;

namespace {

// A flattened grid must promise to take less than this share of the time.
constexpr double kFlatGain = 0.9;
// Elements of a tile that a loop reads and writes in each iteration, so that it stays in L1.
constexpr i64 kCarried = 512;
constexpr i64 kSplitWork = 1 << 17;  // multiply-adds from which a dot is worth several threads
// A split of a dot's grid among threads whose longest share is longer than this is split further.
constexpr double kEven = 1.15;

// What a block axis does in a kernel.
struct Role {
  i64 extent = 1;  // of its range (hint)
  bool grid = false;
  bool dot_m = false, dot_n = false, dot_k = false, dot_batch = false;
  i64 along = 0, across = 0;  // elements of the largest tensor walked with stride 1, and otherwise
  bool contiguous = false;    // the former is as large
  i64 width = 1;              // elements of other extents in the widest tile that has it
  bool carried = false;       // in a tile of several axes that a loop carries
};

class Chooser {
 public:
  Chooser(const Kernel& kernel, const Capabilities& capabilities, const Target& target)
      : kernel_(kernel),
        capabilities_(capabilities),
        target_(target),
        roles_(kernel.blocks.size()) {
    for (size_t b = 0; b < kernel.blocks.size(); ++b) roles_[b].extent = range_of(kernel.blocks[b]);
    for (const ir::Root& root : kernel.roots) {
      for (BlockId block : root.blocks) roles_[block.index].grid = true;
    }
    ir::for_each_op(kernel, [&](const Op& op) { see_op(op); });
    for (const ir::Value& value : kernel.values) widen(value.type);
    for (Role& role : roles_) role.contiguous = role.along > 0 && role.along >= role.across;
    share_registered();
    // Rows that have an extent of their own inside run along that.
    for (Role& role : roles_) role.contiguous &= role.width == 1;
  }

  Config choose() {
    Config config;
    choose_blocks();
    config["block_sizes"] = Config::array();
    config["loop_orders"] = Config::array();
    for (size_t b = 0; b < kernel_.blocks.size(); ++b) {
      if (is_searched(b)) config["block_sizes"].push_back(sizes_[b]);
    }
    const std::vector<space::LoopNest> nests = space::loop_nests(kernel_);
    for (const space::LoopNest& nest : nests) {
      Config order = Config::array();
      for (size_t i = 0; i < nest.blocks.size(); ++i) order.push_back(i);
      config["loop_orders"].push_back(order);
    }
    config["flatten_loops"] = Config(nests.size(), Config(false));
    add_target_knobs(config);
    flatten_where_faster(nests, config);
    grow_inner_tiles(config);
    cache_stores_where_faster(config);
    return config;
  }

 private:
  i64 hint(Sym sym) const {
    if (!sym) return 1024;
    auto value = kernel_.syms->hint(sym);
    return value ? std::max<i64>(value->integer, 0) : 1024;
  }

  i64 range_of(const Block& block) const {
    if (!block.end) return block.max_size > 0 ? block.max_size : 1024;
    return std::max<i64>(hint(block.end) - (block.begin ? hint(block.begin) : 0), 1);
  }

  bool is_searched(size_t b) const {
    Sym size = kernel_.blocks[b].size;
    if (size.kind() != SymKind::Symbol) return false;
    const Symbol& symbol = kernel_.syms->symbol(size->symbol);
    return symbol.origin == SymbolOrigin::Block && symbol.block == BlockId(static_cast<i64>(b));
  }

  void see_op(const Op& op) {
    if (op.code == OpCode::Dot) see_dot(op);
    if (ir::is_access(op)) see_access(op);
    if (op.code != OpCode::For) return;
    for (ir::ValueId carried : op.results) {
      const TileType& type = kernel_[carried].type;
      for (const Dim& dim : type.shape) {
        if (type.rank() > 1) mark(dim, &Role::carried);
      }
    }
  }

  void mark(const Dim& dim, bool Role::* flag) {
    BlockId block = dim.block ? dim.block : space::sized_by(kernel_, dim);
    if (block) roles_[block.index].*flag = true;
  }

  // Of all tiles of an axis.
  i64 extent_of(const Dim& dim) const {
    BlockId block = dim.block ? dim.block : space::sized_by(kernel_, dim);
    return block ? roles_[block.index].extent : hint(dim.size);
  }

  void see_dot(const Op& op) {
    ++dots_;
    const TileType& a = kernel_[op.operands[0]].type;
    const TileType& b = kernel_[op.operands[1]].type;
    mark(a.shape[a.rank() - 2], &Role::dot_m);
    mark(a.shape[a.rank() - 1], &Role::dot_k);
    mark(b.shape[b.rank() - 1], &Role::dot_n);
    if (a.rank() == 3) mark(a.shape[0], &Role::dot_batch);
    if (b.rank() == 3) mark(b.shape[0], &Role::dot_batch);
    i64 work = extent_of(b.shape[b.rank() - 1]);
    for (const Dim& dim : a.shape) __builtin_mul_overflow(work, extent_of(dim), &work);
    dot_work_ = std::max(dot_work_, work);
  }

  void see_access(const Op& op) {
    const ir::TensorParam& tensor = kernel_[op.attrs.tensor];
    i64 elements = 1;
    for (Sym size : tensor.sizes) elements *= hint(size);
    touched_ = std::max(touched_, elements);
    i64 dim = 0;
    for (const ir::Index& index : op.attrs.indices) {
      if (index.kind == ir::Index::Kind::NewAxis) continue;
      if (index.kind == ir::Index::Kind::Tile) {
        Role& role = roles_[index.block.index];
        i64& most = tensor.strides[dim].is_int(1) ? role.along : role.across;
        most = std::max(most, elements);
      }
      ++dim;
    }
    if (op.code == OpCode::Store) {
      i64 bytes = size_of(tensor.dtype);
      for (Sym size : tensor.sizes) bytes *= hint(size);
      written_bytes_ += bytes;
    } else {
      loads_ += 1;
    }
  }

  void widen(const TileType& type) {
    for (const Dim& dim : type.shape) {
      if (!dim.block) continue;
      i64 width = 1;
      for (const Dim& other : type.shape) {
        if (!other.block && !space::sized_by(kernel_, other)) {
          width *= std::max<i64>(hint(other.size), 1);
        }
      }
      i64& widest = roles_[dim.block.index].width;
      widest = std::max(widest, width);
    }
  }

  // A registered block does what the axes that use its size do.
  void share_registered() {
    for (size_t b = 0; b < kernel_.blocks.size(); ++b) {
      Sym size = kernel_.blocks[b].size;
      if (is_searched(b) || size.kind() != SymKind::Symbol) continue;
      const Symbol& symbol = kernel_.syms->symbol(size->symbol);
      if (symbol.origin != SymbolOrigin::Block || !symbol.block) continue;
      Role& to = roles_[symbol.block.index];
      const Role& from = roles_[b];
      to.extent = std::max(from.extent,
                           kernel_[symbol.block].kind == Block::Kind::Registered ? 1 : to.extent);
      to.grid |= from.grid;
      to.dot_m |= from.dot_m;
      to.dot_n |= from.dot_n;
      to.dot_k |= from.dot_k;
      to.dot_batch |= from.dot_batch;
      to.contiguous |= from.contiguous;
      to.carried |= from.carried;
      to.width = std::max(to.width, from.width);
    }
  }

  // --- sizes ---

  i64 threads() const {
    return touched_ < (i64{1} << 15) && dots_ == 0 ? 1 : capabilities_.max_threads;
  }

  void choose_blocks() {
    sizes_.assign(kernel_.blocks.size(), 1);
    bool several_dots = dots_ > 1;
    i64 inner_contiguous = 0;
    for (size_t b = 0; b < kernel_.blocks.size(); ++b) {
      if (!is_searched(b)) continue;
      const Role& role = roles_[b];
      if (role.dot_batch) {
        sizes_[b] = 1;
      } else if (role.dot_m || role.dot_n || role.dot_k) {
        sizes_[b] = dot_size(role, several_dots);
      } else if (role.contiguous) {
        sizes_[b] = std::min<i64>(role.extent, role.carried ? kCarried : 4096);
        inner_contiguous = std::max(inner_contiguous, sizes_[b]);
      }
    }
    for (size_t b = 0; b < kernel_.blocks.size(); ++b) {
      const Role& role = roles_[b];
      bool dot = role.dot_m || role.dot_n || role.dot_k || role.dot_batch;
      if (!is_searched(b) || dot) continue;
      sizes_[b] = role.contiguous ? contiguous_size(role) : row_size(b, inner_contiguous);
    }
    if (dots_ > 0) split_for_threads();
    for (size_t b = 0; b < kernel_.blocks.size(); ++b) {
      const Block& block = kernel_.blocks[b];
      sizes_[b] = std::max({sizes_[b], block.min_size, i64{1}});
      if (block.max_size > 0) sizes_[b] = std::min(sizes_[b], block.max_size);
    }
  }

  i64 dot_size(const Role& role, bool several_dots) const {
    if (several_dots) return std::min<i64>(role.extent, role.dot_m && role.grid ? 64 : 256);
    // Few rows: the other operand streams from memory once, along all its columns.
    if ((role.dot_k || role.dot_n) && dot_rows() <= 8) return role.extent;
    if (role.dot_k && !role.grid) return even_split(role.extent, 1024, 8);
    return even_split(role.extent, role.grid ? 1024 : 256, 16);
  }

  i64 dot_rows() const {
    i64 rows = 1;
    for (const Role& role : roles_) rows = role.dot_m ? std::max(rows, role.extent) : rows;
    return rows;
  }

  // The extent in equal pieces of at most `most`, each a multiple of `multiple`.
  static i64 even_split(i64 extent, i64 most, i64 multiple) {
    if (extent <= most) return extent;
    i64 pieces = (extent + most - 1) / most;
    i64 piece = (extent + pieces - 1) / pieces;
    return (piece + multiple - 1) / multiple * multiple;
  }

  i64 contiguous_size(const Role& role) const {
    bool alone = role.width == 1 && grid_axes() == 1 && role.grid;
    if (alone) return flat_size(role);
    return std::min<i64>(role.extent, role.carried ? kCarried : 4096);
  }

  // Of the only axis of a grid.
  i64 flat_size(const Role& role) const {
    i64 share = (role.extent + 4 * threads() - 1) / (4 * threads());
    i64 size = std::clamp<i64>(share, 2048, 65536);
    return std::min<i64>(role.extent, (size + 63) / 64 * 64);
  }

  i64 row_size(size_t b, i64 inner) const {
    const Role& role = roles_[b];
    const i64 width = role.width > 1 ? role.width : std::max<i64>(inner, 1);
    i64 rows = std::clamp<i64>((role.carried ? kCarried : 16384) / width, 1, 256);
    if (!role.grid) return std::min(rows, role.extent);
    i64 share = std::max<i64>(1, role.extent / (4 * threads()));
    if (holds_tiles(b)) return std::min(share, role.extent);  // whose rows are few
    return std::min({rows, share, role.extent});
  }

  // Whether tiles of this size are themselves cut into tiles.
  bool holds_tiles(size_t b) const {
    return std::ranges::any_of(kernel_.blocks, [&](const Block& inner) {
      return inner.parent && kernel_[inner.parent].size == kernel_.blocks[b].size;
    });
  }

  i64 grid_axes() const {
    return std::count_if(roles_.begin(), roles_.end(), [](const Role& r) { return r.grid; });
  }

  // How much longer the longest share of a thread is than an even one.
  double unevenness() const {
    i64 cells = 1;
    double padding = 1;
    for (size_t b = 0; b < roles_.size(); ++b) {
      if (!roles_[b].grid || !is_searched(b)) continue;
      i64 pieces = (roles_[b].extent + sizes_[b] - 1) / sizes_[b];
      cells *= pieces;
      padding *= static_cast<double>(pieces * sizes_[b]) / static_cast<double>(roles_[b].extent);
    }
    i64 turns = (cells + capabilities_.max_threads - 1) / capabilities_.max_threads;
    return padding * static_cast<double>(turns * capabilities_.max_threads) /
           static_cast<double>(cells);
  }

  // Even shares for all threads: halves grid axes of a dot until there are, the largest that makes
  // shares about as even as any.
  void split_for_threads() {
    if (touched_ < 16384 && dot_work_ < kSplitWork) return;
    for (i64 round = 0; round < 8 && unevenness() > kEven; ++round) {
      std::vector<std::pair<size_t, i64>> splits;  // of a block, its new size
      std::vector<double> results;
      for (size_t b = 0; b < roles_.size(); ++b) {
        const Role& role = roles_[b];
        if (!role.grid || !is_searched(b) || !(role.dot_m || role.dot_n)) continue;
        if (sizes_[b] < (role.dot_n ? 64 : 32)) continue;
        const i64 half = even_split(role.extent, (sizes_[b] + 1) / 2, role.dot_n ? 16 : 1);
        const i64 whole = std::exchange(sizes_[b], half);
        splits.emplace_back(b, half);
        results.push_back(unevenness());
        sizes_[b] = whole;
      }
      if (splits.empty()) return;
      const double best = *std::ranges::min_element(results);
      size_t chosen = splits.size();
      for (size_t i = 0; i < splits.size(); ++i) {
        if (results[i] > 1.05 * best) continue;
        bool larger =
            chosen == splits.size() || sizes_[splits[i].first] > sizes_[splits[chosen].first];
        if (larger) chosen = i;
      }
      sizes_[splits[chosen].first] = splits[chosen].second;
    }
  }

  // Innermost axes that are short, or end in part of a vector, waste lanes.
  void flatten_where_faster(const std::vector<space::LoopNest>& nests, Config& config) const {
    for (size_t i = 0; i < nests.size(); ++i) {
      if (plan::why_not_flat(kernel_, nests[i])) continue;
      Config flat = config;
      flat["flatten_loops"][i] = true;
      set_flat_sizes(nests[i].blocks, flat["block_sizes"]);
      if (seconds(flat) < kFlatGain * seconds(config)) config = std::move(flat);
    }
  }

  // Tiles that a tile is cut into: as long as the model finds larger ones faster.
  void grow_inner_tiles(Config& config) const {
    const std::vector<BlockId> searched = space::searched_blocks(kernel_);
    for (size_t i = 0; i < searched.size(); ++i) {
      if (!kernel_[searched[i]].parent) continue;
      while (config["block_sizes"][i] < roles_[searched[i].index].extent) {
        Config larger = config;
        larger["block_sizes"][i] = 2 * config["block_sizes"][i].get<i64>();
        if (seconds(larger) >= seconds(config)) break;
        config = std::move(larger);
      }
    }
  }

  // Stores of one loop that all go around the caches may slow each other.
  void cache_stores_where_faster(Config& config) const {
    for (size_t i = 0; i < config["store_cache_modifiers"].size(); ++i) {
      if (config["store_cache_modifiers"][i] == "") continue;
      Config cached = config;
      cached["store_cache_modifiers"][i] = "";
      if (seconds(cached) < seconds(config)) config = std::move(cached);
    }
  }

  double seconds(const Config& config) const {
    plan::Plan plan = plan::make_plan(kernel_, config, capabilities_);
    return predict(plan, target_, capabilities_.max_threads).seconds;
  }

  // Sizes with about the product that a single axis of as many elements would have.
  void set_flat_sizes(const std::vector<BlockId>& axes, Config& sizes) const {
    Role all;
    for (BlockId id : axes) all.extent *= roles_[id.index].extent;
    i64 wanted = flat_size(all);
    const std::vector<BlockId> searched = space::searched_blocks(kernel_);
    for (size_t i = axes.size(); i-- > 0;) {
      auto found = std::ranges::find(searched, axes[i]);
      if (found == searched.end()) continue;
      const i64 size = std::min(roles_[axes[i].index].extent, wanted);
      sizes[static_cast<size_t>(found - searched.begin())] = size;
      wanted = (wanted + size - 1) / size;
    }
  }

  void add_target_knobs(Config& config) const {
    for (const space::KnobRow& row : capabilities_.knobs) {
      if (row.scope == Scope::Kernel) {
        config[row.key] = row.default_value;
      } else if (row.scope == Scope::Dot) {
        config[row.key] = Config(static_cast<size_t>(dots_), row.default_value);
      }
    }
    config["num_threads"] = threads() == 1 ? 1 : 0;
    // What does not stay in the cache until the next call need not go there.
    bool streams = written_bytes_ > target_.l3 / 2 || all_bytes() > target_.l3;
    config["store_cache_modifiers"] =
        Config(space::stores(kernel_).size(), Config(streams ? ".cs" : ""));
    if (streams && dots_ == 0 && aligned_bytes() < target_.vector_bytes) {
      config["simd_width"] = 8 * aligned_bytes();
    }
    config["prefetch_distances"] = prefetch_distances();
    // Rows that the last-level cache holds come soon enough; asking for them costs time.
    if (all_bytes() <= target_.l3) config["prefetch_rows"] = 0;
  }

  // Bytes of the widest vectors to which all rows of what is stored are aligned, as stores around
  // the caches have to be (vectors of narrow types have as many lanes as those of f32). All that
  // the target has if even short ones are not.
  i64 aligned_bytes() const {
    i64 bytes = target_.vector_bytes;
    for (ir::OpId id : space::stores(kernel_)) {
      const ir::TensorParam& tensor = kernel_[kernel_[id].attrs.tensor];
      for (Sym stride : tensor.strides) {
        const i64 distance = hint(stride) * std::max<i64>(size_of(tensor.dtype), 4);
        while (!stride.is_int(1) && bytes >= 16 && distance % bytes != 0) bytes /= 2;
      }
    }
    return bytes >= 16 ? bytes : target_.vector_bytes;
  }

  // Several loads an iteration hide their common stream from the CPU's own prefetchers, which shows
  // where a loop only adds up what it reads: a row sum runs 1.3 times as fast with hints.
  Config prefetch_distances() const {
    std::vector<bool> summed(kernel_.values.size(), false), used(kernel_.values.size(), false);
    for (const Op& op : kernel_.ops) {
      bool reduces = ir::info(op.code).rule == ir::Rule::Reduce;
      for (ir::ValueId operand : op.operands) (reduces ? summed : used)[operand.index] = true;
    }
    Config distances = Config::array();
    bool large = all_bytes() > target_.l3;
    for (ir::OpId load : space::element_loads(kernel_)) {
      i64 value = kernel_[load].results[0].index;
      distances.push_back(large && summed[value] && !used[value] ? 512 : 0);
    }
    return distances;
  }

  i64 all_bytes() const {
    i64 all = 0;
    std::set<i64> storages;
    for (const ir::TensorParam& tensor : kernel_.tensors) {
      if (tensor.base >= 0 && !storages.insert(tensor.base).second) continue;
      i64 bytes = size_of(tensor.dtype);
      for (Sym size : tensor.sizes) bytes *= hint(size);
      all += bytes;
    }
    return all;
  }

  const Kernel& kernel_;
  const Capabilities& capabilities_;
  const Target& target_;
  std::vector<Role> roles_;
  std::vector<i64> sizes_;
  i64 dots_ = 0;
  i64 dot_work_ = 0;  // multiply-adds of the largest dot
  i64 loads_ = 0;
  i64 written_bytes_ = 0;
  i64 touched_ = 0;
};

}  // namespace

Config choose_config(const Kernel& kernel, const Capabilities& capabilities, const Target& target) {
  return Chooser(kernel, capabilities, target).choose();
}

}  // namespace peri::cpu
