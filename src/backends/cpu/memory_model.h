// How much data a loop nest moves between the caches, by footprints.
//
// A `Stream` is one access (a load or store, or an operand of a dot) as seen from one node of the
// loop tree: what a single execution of the node touches, and what of that comes from beyond each
// cache. Streams are made at the leaves and grow on the way out:
//
//   MemoryModel memory(caches);
//   Streams body = ...;                  // of the leaves in one loop body
//   memory.join(body);                   // the second reader of data that fits finds it there
//   memory.repeat(body, over_axis, 64);  // 64 iterations
//
// What one iteration touches stays in a cache if it all fits; then the loop brings each byte once,
// else every iteration brings its own again. Rows whose distance is a large power of two use few of
// a cache's sets, so they count as longer than they are. Short runs on a page each are not
// prefetched: from beyond L2 their bytes count several times.
#pragma once

#include <array>
#include <vector>

#include "analysis/axes.h"
#include "base/ids.h"

namespace peri::cpu {

inline constexpr int kLevels = 3;  // L1, L2, L3
inline constexpr int kMaxRank = 6;
inline constexpr double kLine = 64;  // bytes of a cache line

struct Stream {
  // A dimension of the array, and the part of it that one execution covers.
  struct Dim {
    analysis::AxisId axis;  // the loops that walk it; none: none does
    BlockId block;
    double span = 1;      // elements
    double size = 1;      // of the array
    double stride = 1;    // bytes between elements
    bool random = false;  // a gather: neighbours are elsewhere
  };
  i64 array = 0;  // equal for streams that may touch the same data
  std::array<Dim, kMaxRank> dims;
  int rank = 0;
  double element_bytes = 4;
  bool store = false;
  double scatter = 1;                     // how much longer lines take that no prefetcher expects
  bool streaming = false;                 // a store around the caches
  bool fills_lines = true;                // a vector is at least as long as a cache line
  i64 part = 0;                           // of the prediction, which pays for it
  std::array<double, kLevels> traffic{};  // bytes from beyond L1, L2, L3
  std::array<bool, kLevels> found{};      // an earlier stream has brought it there

  void add_dim(const Dim& dim);
  double cost(int level) const { return weight(level) * (level > 0 ? scatter : 1); }
  // Bytes moved per byte touched: stores read their lines from memory first, and write them back.
  double weight(int level) const { return !store || streaming ? 1 : level == 2 ? 2 : 1.2; }
  // Bytes of the cache lines that are touched; `lookup`: with those that only block sets of L1.
  double footprint(bool lookup = false) const;
};

using Streams = std::vector<Stream>;

class MemoryModel {
 public:
  explicit MemoryModel(std::array<double, kLevels> capacities) : capacities_(capacities) {}

  // Sets the traffic of a stream whose loops have all been applied by hand.
  static void touch(Stream& stream);
  // One after the other: streams of data that an earlier one has brought are found.
  void join(Streams& streams) const;
  // A loop over an axis, or over the tiles of a block; none of both: the same again.
  void repeat(Streams& streams, analysis::AxisId axis, BlockId block, double trips) const;

  // Which caches hold all that the streams touch, private ones being there `cores` times.
  std::array<bool, kLevels> fitting(const Streams& streams, double cores) const;

 private:
  std::array<double, kLevels> sizes(const Streams& streams) const;

  std::array<double, kLevels> capacities_;
};

}  // namespace peri::cpu
