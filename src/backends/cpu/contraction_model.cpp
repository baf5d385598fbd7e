// Which plan is good: a small cost model, and what a tuner may try.
//
// The rules come from measurements on AVX-512 and AVX2 cores with 1 MB of L2:
// - a B that fits L2 is best read where it lies; a larger one is packed, four panels at a time,
// once
//   there are rows enough to pay for it;
// - for few rows B streams from memory: then eight rows of B at a time, all columns, beat any tile;
// - k is split only where a panel of B would not fit L2, since partial sums through C cost more.
#include <algorithm>
#include <bit>
#include <limits>

#include "backends/cpu/contraction.h"
#include "backends/cpu/contraction_emit.h"

namespace peri::cpu {
namespace {

constexpr i64 kAssumedExtent = 1024;  // of a dynamic extent

struct Tile {
  i64 rows;
  i64 vectors;
};

constexpr Tile kTiles32[] = {{6, 4},  {8, 2},  {5, 5}, {12, 2}, {4, 4}, {4, 6}, {7, 2}, {5, 2},
                             {10, 2}, {8, 3},  {7, 3}, {5, 3},  {2, 8}, {1, 8}, {8, 1}, {10, 1},
                             {12, 1}, {16, 1}, {3, 4}, {2, 4},  {5, 4}, {4, 5}};
constexpr Tile kTiles16[] = {{6, 2}, {4, 3}, {5, 2}, {4, 2}, {3, 3},
                             {2, 4}, {2, 5}, {1, 8}, {6, 1}, {1, 4}};

class Model {
 public:
  Model(const ContractionShape& shape, const Target& target)
      : shape_(shape),
        target_(target),
        m_(assumed(shape.m)),
        n_(assumed(shape.n)),
        k_(assumed(shape.k)),
        lanes_(target.lanes(size_of(shape.acc))),
        b_bytes_(k_ * n_ * size_of(shape.b)) {}

  ContractionPlan choose() const {
    if (prefers_dots()) return along_k();
    if (shape_.b_stride_n == 1 && m_ <= 16 && b_bytes_ > target_.l2 && shape_.c_is_memory) {
      return streaming();
    }
    return tiled();
  }

 private:
  static i64 assumed(i64 extent) { return extent == kDynamic ? kAssumedExtent : extent; }

  // One or two columns, or few rows against a B that is contiguous along k.
  bool prefers_dots() const {
    if (shape_.a_stride_k != 1) return false;
    if (shape_.n != kDynamic && n_ <= 2) return true;
    return shape_.b_stride_k == 1 && shape_.b_stride_n != 1 && m_ <= (k_ >= 256 ? 16 : 4);
  }

  ContractionPlan along_k() const {
    ContractionPlan plan;
    plan.along_k = kAllColumns;
    return plan;
  }

  ContractionPlan streaming() const {
    ContractionPlan plan;
    const bool few = m_ <= 4;
    plan.mr = few ? m_ : target_.vector_registers / 4;
    const i64 line_vectors = 64 / target_.vector_bytes;  // in a cache line
    plan.nr_vectors = m_ == 1 ? 8 : few ? 2 * line_vectors : line_vectors;
    while (!contraction::fits_registers(plan.mr, plan.nr_vectors, target_)) plan.nr_vectors /= 2;
    plan.kc = few ? 8 : 128;
    plan.k_unroll = 8;
    return plan;
  }

  ContractionPlan tiled() const {
    ContractionPlan plan;
    plan.pairs = contraction::can_pair(shape_, target_) && m_ > 4;
    const bool converts_b = !plan.pairs && size_of(shape_.b) < size_of(shape_.acc);
    plan.pack_b = converts_b ? m_ > 16 : b_bytes_ > largest_unpacked_b() && m_ >= 96;
    const bool converts_a = !plan.pairs && size_of(shape_.a) < size_of(shape_.acc);
    const bool scattered_a = shape_.a_stride_k != 1 && m_ * k_ * size_of(shape_.a) > target_.l2;
    plan.pack_a = (converts_a || scattered_a) && n_ > 4 * lanes_;
    plan.along_k = last_columns();
    const Tile tile = best_tile(n_ - plan.along_k, plan.pack_a);
    plan.mr = tile.rows;
    plan.nr_vectors = tile.vectors;
    plan.k_unroll = std::clamp<i64>(
        static_cast<i64>(std::bit_floor(static_cast<u64>(48 / (tile.rows * tile.vectors)))), 2, 8);
    block(plan);
    return plan;
  }

  // A panel's row of B should fill some cache lines, or L1's sets are used unevenly.
  i64 largest_unpacked_b() const {
    return target_.vector_bytes == 64 ? target_.l2 : target_.l2 / 2;
  }

  // A vector with one or two columns in it wastes most of itself.
  i64 last_columns() const {
    if (shape_.n == kDynamic || shape_.a_stride_k != 1 || k_ < 32) return 0;
    const i64 tail = n_ % lanes_;
    return tail <= 2 ? tail : 0;
  }

  void block(ContractionPlan& plan) const {
    const i64 unit = plan.pairs ? 2 : size_of(shape_.acc);  // bytes per element of k
    const i64 panel = plan.nr_vectors * lanes_ * unit;
    if (plan.pack_b && shape_.c_is_memory && k_ * panel > target_.l2 * 3 / 4) {
      plan.kc = target_.l2 / 2 / panel;
    }
    const i64 depth = plan.kc == 0 ? k_ : plan.kc;
    const i64 a_unit = plan.pack_a ? unit : size_of(shape_.a);
    const i64 a_bytes = m_ * depth * a_unit;
    if (a_bytes <= (plan.pack_b ? target_.l2 : target_.l2 / 4)) {
      if (plan.pack_b) plan.nc = 1;  // a panel is used while it is still near
      return;
    }
    plan.mc = std::max<i64>(2 * plan.mr, target_.l2 * 3 / 8 / (depth * a_unit));
    if (!plan.pack_b) {
      // A block of B stays in L2 while the rows of A pass by it, each read once per block.
      plan.nc = 16 * lanes_;
      plan.columns_outer = false;
    }
    // A packed again for every block of B would cost more than B's distance.
    if (plan.pack_b && !plan.pack_a) plan.nc = 32 * lanes_;
    plan.prefetch_a = !plan.pack_a && shape_.a_stride_k == 1;
  }

  Tile best_tile(i64 columns, bool packs_a) const {
    Tile best{1, 1};
    double best_cost = std::numeric_limits<double>::infinity();
    auto consider = [&](Tile tile) {
      if (!contraction::fits_registers(tile.rows, tile.vectors, target_)) return;
      tile.rows = std::min(tile.rows, m_);
      tile.vectors = std::min(tile.vectors, (columns + lanes_ - 1) / lanes_);
      if (const double cost = cost_of(tile, columns, packs_a); cost < best_cost) {
        best = tile;
        best_cost = cost;
      }
    };
    if (target_.vector_registers == 32) {
      for (const Tile& tile : kTiles32) consider(tile);
    } else {
      for (const Tile& tile : kTiles16) consider(tile);
    }
    return best;
  }

  bool is_large() const {
    const i64 a_bytes = m_ * k_ * size_of(shape_.a);
    return a_bytes + b_bytes_ + m_ * n_ * size_of(shape_.acc) > target_.l2;
  }

  // The cost of all tiles and tails, in multiply-adds.
  double cost_of(Tile tile, i64 columns, bool packs_a) const {
    const i64 vectors = (columns + lanes_ - 1) / lanes_;
    double cost = 0;
    for (auto [rows, row_tiles] : {std::pair(tile.rows, m_ / tile.rows), {m_ % tile.rows, 1}}) {
      for (auto [width, column_tiles] :
           {std::pair(tile.vectors, vectors / tile.vectors), {vectors % tile.vectors, 1}}) {
        cost += static_cast<double>(row_tiles * column_tiles) * tile_cost(rows, width);
      }
    }
    cost *= 1 + preference(tile, vectors);
    // Rows a power of two apart meet in one cache set, which has eight places.
    const bool rows_collide = shape_.a_stride_m * size_of(shape_.a) % 2048 == 0;
    if (tile.rows > 9 && rows_collide && !packs_a) cost *= 1.1;
    // Where rows lie side by side, a tile should not end inside a cache line.
    const bool by_columns = shape_.a_stride_m == 1 && shape_.a_stride_k != 1;
    if (by_columns && !packs_a && 16 % tile.rows != 0) cost *= 1.1;
    return cost;
  }

  // Between tiles of equal work. Beyond L2 counts what is loaded per multiply-add, most of all from
  // A, which comes from further away, and that few tails need code. Within L2 small tiles are
  // better: the next one starts while the last one's sums are stored.
  double preference(Tile tile, i64 vectors) const {
    const auto sums = static_cast<double>(tile.rows * tile.vectors);
    const double size = 0.004 * std::max(0.0, sums - (is_large() ? 24 : 16));
    if (!is_large()) return size;
    const auto a_bytes = static_cast<double>(tile.rows * size_of(shape_.acc));
    const auto b_bytes = static_cast<double>(tile.vectors * target_.vector_bytes);
    const i64 tails = (m_ % tile.rows != 0) + (vectors % tile.vectors != 0);
    return size + 0.002 * (4 * a_bytes + b_bytes) / sums + 0.003 * static_cast<double>(tails);
  }

  double tile_cost(i64 rows, i64 vectors) const {
    const auto sums = static_cast<double>(rows * vectors);
    if (sums == 0) return 0;
    // A vector of B may lie across two cache lines; multiply-adds of 64 bytes take as long as two
    // loads.
    const double element = target_.vector_bytes == 64 ? 0.5 : 1;
    const double loads = element * static_cast<double>(rows) + 1.5 * static_cast<double>(vectors);
    constexpr double kLatency = 8;  // multiply-adds in flight
    const double step = std::max({sums, loads, kLatency}) + 0.15 * loads;
    return static_cast<double>(k_) * step + 2 * sums + 8;
  }

  const ContractionShape& shape_;
  const Target& target_;
  i64 m_, n_, k_;
  i64 lanes_;
  i64 b_bytes_;
};

}  // namespace

ContractionPlan default_contraction(const ContractionShape& shape, const Target& target) {
  return legalize(Model(shape, target).choose(), shape, target);
}

ContractionChoices contraction_choices(const ContractionShape& shape, const Target& target) {
  ContractionChoices choices;
  if (target.vector_registers == 32) {
    for (const Tile& tile : kTiles32) choices.tiles.emplace_back(tile.rows, tile.vectors);
  } else {
    for (const Tile& tile : kTiles16) choices.tiles.emplace_back(tile.rows, tile.vectors);
  }
  choices.k_unroll = {1, 2, 4, 8};
  choices.mc = {0, 32, 64, 96, 128, 256, 512};
  choices.nc = {0, 1, 128, 256, 512, 1024, 2048};
  choices.kc = {0, 4, 8, 16, 64, 128, 256, 512, 1024, 2048};
  choices.along_k = {0, 1, 2, kAllColumns};
  choices.pack_a = choices.pack_b = choices.columns_outer = choices.prefetch_a = {false, true};
  const bool pairs = contraction::can_pair(shape, target);
  choices.pairs = pairs ? std::vector<bool>{true, false} : std::vector<bool>{false};
  return choices;
}

}  // namespace peri::cpu
