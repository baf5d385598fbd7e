#include "backends/cpu/memory_model.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace peri::cpu {

namespace {

constexpr double kPage = 4096;
constexpr double kScatter = 8;  // time of a lone line beyond L2, in those of lines in a row
constexpr i64 kWay = 4096;      // bytes after which addresses use the same set of L1 again

// Of a stream that is walked from page to page, by how much lies together on each.
double scatter_of(const Stream& stream) {
  double run = kLine;
  for (int d = 0; d < stream.rank; ++d) {
    const Stream::Dim& dim = stream.dims[d];
    if (dim.stride == stream.element_bytes && !dim.random) {
      run = std::max(run, dim.span * stream.element_bytes);
    }
  }
  return 1 + kScatter * kLine / run;
}

bool covers_same(const Stream& a, const Stream& b) {
  if (a.array != b.array || a.rank != b.rank) return false;
  for (int d = 0; d < a.rank; ++d) {
    const Stream::Dim &x = a.dims[d], &y = b.dims[d];
    if (x.span != y.span || x.random || y.random) return false;
    // All of a dimension is the same whoever walks it.
    if (x.span < x.size && (x.axis != y.axis || x.block != y.block)) return false;
  }
  return true;
}

}  // namespace

void Stream::add_dim(const Dim& dim) {
  if (rank < kMaxRank) dims[rank++] = dim;
}

double Stream::footprint(bool lookup) const {
  double run = element_bytes;  // what lies together
  double others = 1;
  double nearest = 0;  // distance of runs
  for (int d = 0; d < rank; ++d) {
    const Dim& dim = dims[d];
    if (dim.stride == element_bytes && !dim.random) {
      run = dim.span * element_bytes;
    } else if (dim.stride > 0) {
      others *= dim.span;
      if (dim.span > 1 && (nearest == 0 || dim.stride < nearest)) nearest = dim.stride;
    }
  }
  bool lines_shared = nearest > 0 && nearest < kLine;
  run = std::max(run, lines_shared ? nearest : kLine);
  if (lookup && nearest >= kLine && nearest < 1e15) {
    auto distance = static_cast<double>(std::gcd(static_cast<i64>(nearest), kWay));
    run = std::max(run, distance);
  }
  return run * others;
}

void MemoryModel::touch(Stream& stream) {
  double bytes = stream.footprint();
  for (int level = 0; level < kLevels; ++level) {
    bool skips = stream.streaming && level + 1 < kLevels;
    stream.traffic[level] = skips ? 0 : bytes * stream.cost(level);
  }
}

std::array<double, kLevels> MemoryModel::sizes(const Streams& streams) const {
  std::array<double, kLevels> sizes{};
  for (const Stream& stream : streams) {
    if (stream.streaming) continue;
    for (int level = 0; level < kLevels; ++level) {
      if (!stream.found[level]) sizes[level] += stream.footprint(level < 2);
    }
  }
  return sizes;
}

std::array<bool, kLevels> MemoryModel::fitting(const Streams& streams, double cores) const {
  std::array<double, kLevels> all = sizes(streams);
  return {all[0] <= cores * capacities_[0], all[1] <= cores * capacities_[1],
          all[2] <= capacities_[2]};
}

void MemoryModel::join(Streams& streams) const {
  std::vector<bool> again(streams.size(), false);
  std::array<double, kLevels> sizes{};
  for (size_t i = 0; i < streams.size(); ++i) {
    for (size_t j = 0; j < i && !again[i]; ++j) again[i] = covers_same(streams[i], streams[j]);
    for (int level = 0; level < kLevels && !streams[i].streaming; ++level) {
      if (!again[i] && !streams[i].found[level]) sizes[level] += streams[i].footprint(level < 2);
    }
  }
  for (size_t i = 0; i < streams.size(); ++i) {
    for (int level = 0; level < kLevels; ++level) {
      if (!again[i] || sizes[level] > capacities_[level]) continue;
      streams[i].found[level] = true;
      streams[i].traffic[level] = 0;
    }
  }
  std::erase_if(streams, [](const Stream& stream) { return stream.found[0]; });
}

void MemoryModel::repeat(Streams& streams, analysis::AxisId axis, BlockId block,
                         double trips) const {
  if (trips <= 0) trips = 0;
  std::array<double, kLevels> body = sizes(streams);
  for (Stream& stream : streams) {
    for (int d = 0; d < stream.rank; ++d) {
      Stream::Dim& dim = stream.dims[d];
      bool walked = (axis && dim.axis == axis) || (block && dim.block == block);
      if (walked && trips > 1 && dim.stride >= kPage && stream.scatter == 1) {
        stream.scatter = scatter_of(stream);
        for (int level = 1; level < kLevels; ++level) stream.traffic[level] *= stream.scatter;
      }
      if (walked) dim.span = std::min(dim.span * std::max(trips, 1.0), std::max(dim.size, 1.0));
    }
    double bytes = stream.footprint();
    for (int level = 0; level < kLevels; ++level) {
      if (stream.found[level] || (stream.streaming && level + 1 < kLevels)) continue;
      bool fits = body[level] <= capacities_[level];
      double all = stream.traffic[level] * trips;
      stream.traffic[level] = fits ? std::min(all, bytes * stream.cost(level)) : all;
    }
  }
}

}  // namespace peri::cpu
