// The walk over a plan's nodes, and what cells, threads and memory add.
#include "backends/cpu/predict.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "backends/cpu/predictor.h"

namespace peri::cpu {

using ir::Op;
using ir::OpCode;
using ir::ValueId;
using plan::Node;
using plan::NodeId;

namespace {

constexpr double kUnknownExtent = 1024;
// What another program or the other operands leave of a cache.
constexpr double kUsable[kLevels] = {0.9, 0.8, 0.7};
// Of the shorter of arithmetic and memory time, which overlap: the share that shows.
constexpr double kUnhidden = 0.3;

std::array<double, kLevels> capacities(const Target& target) {
  return {kUsable[0] * static_cast<double>(target.l1d), kUsable[1] * static_cast<double>(target.l2),
          kUsable[2] * static_cast<double>(target.l3)};
}

}  // namespace

Machine machine_of(const Target& target) {
  Machine machine;
  if (target.vector_bytes == 64) return machine;
  machine.vector_op_cycles = machine.load_cycles = machine.multiply_add_cycles = 0.5;
  if (!target.has_fma) machine.multiply_add_cycles = 1;
  return machine;
}

Predictor::Predictor(const plan::Plan& plan, const Target& target, i64 threads)
    : plan_(plan),
      kernel_(*plan.kernel),
      target_(target),
      machine_(machine_of(target)),
      memory_(capacities(target)),
      threads_(static_cast<double>(threads)),
      lanes_(static_cast<double>(target.lanes(4))),
      ranges_(kernel_.blocks.size()),
      seen_(kernel_.values.size(), 0) {
  for (const ir::Value& v : kernel_.values) {
    if (v.type.dtype == Dtype::F64 && !v.type.is_scalar()) {
      lanes_ = static_cast<double>(target.lanes(8));
    }
  }
  for (size_t b = 0; b < ranges_.size(); ++b) {
    const Block& block = kernel_.blocks[b];
    double extent = kUnknownExtent;
    if (block.begin && block.end) extent = value(block.end, extent) - value(block.begin, 0);
    ranges_[b] = range_of(BlockId(static_cast<i64>(b)), extent);
  }
}

backends::Prediction Predictor::run() {
  for (i64 r = 0; r < static_cast<i64>(plan_.roots.size()); ++r) root(r);
  double longest = 0;
  for (const auto& part : result_.parts) {
    result_.seconds += part.seconds;
    result_.bytes += part.bytes;
    result_.flops += part.flops;
    if (part.seconds > longest) result_.limiter = part.limiter;
    longest = std::max(longest, part.seconds);
  }
  return std::move(result_);
}

// --- sizes ---

double Predictor::value(Sym sym, double fallback) const {
  if (!sym) return fallback;
  if (!sym.is_const()) sym = plan_.resolve(sym);
  if (sym.is_const()) return sym->value.as_real();
  auto hint = kernel_.syms->hint(sym);
  return hint ? hint->as_real() : fallback;
}

// A scalar's value on average over the tiles around it.
double Predictor::estimate(ValueId id) const {
  ir::OpId def = kernel_[id].def;
  if (!def) return kUnknownExtent;
  const Op& op = kernel_[def];
  auto operand = [&](size_t i) { return estimate(op.operands[i]); };
  auto begin_of = [&](BlockId block) {
    const Range& range = ranges_[block.index];
    return value(kernel_[block].begin, 0) + (range.extent - range.count) / 2;
  };
  switch (op.code) {
    case OpCode::Const:
      return op.attrs.constant.as_real();
    case OpCode::HostScalar:
      return value(op.attrs.sym, kUnknownExtent);
    case OpCode::TileBegin:
      return begin_of(op.attrs.block);
    case OpCode::TileEnd:
      return begin_of(op.attrs.block) + ranges_[op.attrs.block.index].count;
    case OpCode::TileCount:
      return ranges_[op.attrs.block.index].tiles;
    case OpCode::BlockSize:
      return value(plan_.block_sizes[op.attrs.block.index], 1);
    case OpCode::Cast:
      return operand(0);
    case OpCode::Add:
      return operand(0) + operand(1);
    case OpCode::Sub:
      return operand(0) - operand(1);
    case OpCode::Mul:
      return operand(0) * operand(1);
    case OpCode::Min:
      return std::min(operand(0), operand(1));
    case OpCode::Max:
      return std::max(operand(0), operand(1));
    default:
      return kUnknownExtent;
  }
}

Range Predictor::range_of(BlockId id, double extent) const {
  const Block& block = kernel_[id];
  double size = value(plan_.block_sizes[id.index], 1);
  if (block.kind == Block::Kind::Registered) return {size, 1, size};
  extent = std::max(extent, 0.0);
  double step = block.kind == Block::Kind::Grid ? value(block.step, 1) : size;
  Range range{extent, std::ceil(extent / std::max(step, 1.0)), 1};
  if (block.kind == Block::Kind::Tile && range.tiles > 0) range.count = extent / range.tiles;
  return range;
}

double Predictor::count(plan::AxisId axis) const {
  if (!axis) return 1;
  const analysis::Axis& a = plan_.axes[axis];
  return a.block ? ranges_[a.block.index].count : std::max(value(a.size, kUnknownExtent), 0.0);
}

std::string Predictor::axis_name(plan::AxisId axis) const {
  BlockId block = plan_.axes[axis].block;
  return block ? kernel_[block].name : ":";
}

// --- the walk ---

void Predictor::root(i64 index) {
  const plan::RootPlan& root = plan_.roots[index];
  size_t first = parts_.size();
  double cells = 1;
  for (BlockId block : root.order) cells *= ranges_[block.index].tiles;
  Streams streams = nodes(root.body);
  scale(first, cells);
  for (size_t i = root.order.size(); i-- > 0;) {
    memory_.repeat(streams, {}, root.order[i], ranges_[root.order[i].index].tiles);
  }
  Part overhead;
  overhead.name = fmt::format("{} cells", cells);
  overhead.cycles = cells * machine_.cell_cycles;
  overhead.overhead = true;
  parts_.push_back(std::move(overhead));
  finish_root(root, streams, cells, first);
}

Streams Predictor::nodes(const std::vector<NodeId>& ids) {
  Streams all;
  for (NodeId id : ids) {
    Streams streams = node(id);
    all.insert(all.end(), streams.begin(), streams.end());
  }
  memory_.join(all);
  return all;
}

Streams Predictor::node(NodeId id) {
  const Node& n = plan_[id];
  switch (n.kind) {
    case Node::Kind::Loop:
      return n.vector ? vector_loop(id) : loop(n);
    case Node::Kind::Compute:
    case Node::Kind::Carry:
      return scalar_statement(n);
    case Node::Kind::Dot:
      return dot(n);
    case Node::Kind::For:
      return tile_loop(n);
    case Node::Kind::If:
      return branch(n);
  }
  return {};
}

void Predictor::scale(size_t first_part, double trips) {
  for (size_t p = first_part; p < parts_.size(); ++p) {
    parts_[p].cycles *= trips;
    parts_[p].flops *= trips;
  }
}

Streams Predictor::loop(const Node& n) {
  size_t first = parts_.size();
  double trips = count(n.axis);
  Streams streams = nodes(n.body);
  if (parts_.size() > first) parts_[first].cycles += machine_.loop_cycles;
  scale(first, trips);
  for (ir::OpId id : n.memory_reductions) {
    double elements = 1;
    for (plan::AxisId axis : plan_.axes.defined(kernel_, kernel_[id].results[0])) {
      elements *= count(axis);
    }
    if (parts_.size() > first) parts_[first].cycles += elements * machine_.clear_cycles;
  }
  move_prefetched(n, streams);
  memory_.repeat(streams, n.axis, {}, trips);
  return streams;
}

// A row's first pass finds what a later one has fetched: the latter's arithmetic hides the time.
void Predictor::move_prefetched(const Node& row, Streams& streams) const {
  for (NodeId child : row.body) {
    const Node& pass = plan_[child];
    for (ir::OpId load : pass.prefetches) {
      i64 to = -1;
      for (const Stream& s : streams) {
        if (parts_[s.part].node == child) to = s.part;
      }
      if (to < 0) continue;
      for (Stream& s : streams) {
        if (s.array == kernel_[load].attrs.tensor.index) s.part = to;
      }
    }
  }
}

Streams Predictor::tile_loop(const Node& n) {
  const Op& op = kernel_[n.op];
  size_t first = parts_.size();
  double trips = 1;
  for (size_t i = 0; i < op.attrs.blocks.size(); ++i) {
    BlockId block = op.attrs.blocks[i];
    double extent = estimate(op.operands[2 * i + 1]) - estimate(op.operands[2 * i]);
    ranges_[block.index] = range_of(block, extent);
    trips *= ranges_[block.index].tiles;
  }
  Streams streams = nodes(n.body);
  if (parts_.size() > first) parts_[first].cycles += machine_.cell_cycles / 2;
  scale(first, trips);
  for (size_t i = n.order.size(); i-- > 0;) {
    memory_.repeat(streams, {}, n.order[i], ranges_[n.order[i].index].tiles);
  }
  return streams;
}

// Either side is taken half the time.
Streams Predictor::branch(const Node& n) {
  size_t first = parts_.size();
  Streams all = nodes(n.body);
  Streams other = nodes(n.orelse);
  all.insert(all.end(), other.begin(), other.end());
  scale(first, 0.5);
  for (Stream& stream : all) {
    for (double& bytes : stream.traffic) bytes /= 2;
  }
  memory_.join(all);
  return all;
}

// --- time ---

// Of a part on each of `threads` cores.
double Predictor::part_seconds(const Part& part, double threads) const {
  double bandwidth = machine_.memory_bytes * std::min(threads, machine_.memory_sharing);
  double moves[kLevels] = {part.traffic[0] / machine_.l2_bytes / threads,
                           part.traffic[1] / machine_.l3_bytes / threads,
                           part.traffic[2] / bandwidth};
  double slowest = *std::max_element(moves, moves + kLevels);
  double memory = slowest + 0.1 * (moves[0] + moves[1] + moves[2] - slowest);
  double arithmetic = part.cycles / threads;
  double cycles = std::max(arithmetic, memory) + kUnhidden * std::min(arithmetic, memory);
  return cycles / machine_.hertz;
}

std::string_view Predictor::limiter_of(const Part& part) const {
  if (part.overhead) return "overhead";
  constexpr std::string_view kNames[kLevels] = {"L2", "L3", "memory"};
  const double rates[kLevels] = {machine_.l2_bytes, machine_.l3_bytes, machine_.memory_bytes};
  std::string_view limiter = part.accesses ? "L1" : "arithmetic";
  double longest = part.cycles;
  for (int level = 0; level < kLevels; ++level) {
    if (part.traffic[level] / rates[level] <= longest) continue;
    longest = part.traffic[level] / rates[level];
    limiter = kNames[level];
  }
  return limiter;
}

void Predictor::finish_root(const plan::RootPlan& root, const Streams& streams, double cells,
                            size_t first_part) {
  double available = root.num_threads > 0 ? static_cast<double>(root.num_threads) : threads_;
  double threads = std::clamp(std::min(available, cells), 1.0, threads_);
  // Calls find what the last one has left in the caches.
  auto stays = memory_.fitting(streams, threads);
  for (const Stream& stream : streams) {
    for (int level = 0; level < kLevels; ++level) {
      if (!stays[level] || stream.streaming)
        parts_[stream.part].traffic[level] += stream.traffic[level];
    }
  }
  bool on_demand = root.schedule == Schedule::Dynamic;
  double longest_share = on_demand ? cells / threads + 0.5 : std::ceil(cells / threads);
  double imbalance = cells > 0 ? std::max(1.0, longest_share * threads / cells) : 1;
  for (size_t p = first_part; p < parts_.size(); ++p) {
    const Part& part = parts_[p];
    double seconds = part_seconds(part, threads) * imbalance;
    result_.parts.push_back({part.name, seconds, part.traffic[1], part.flops, limiter_of(part)});
  }
  double overhead = machine_.call_seconds;
  if (threads > 1) overhead += machine_.thread_seconds;
  if (on_demand) overhead += std::min(cells, 16.0 * threads) * machine_.turn_seconds;
  result_.parts.push_back({threads > 1 ? fmt::format("call and {} threads", threads) : "call",
                           overhead, 0, 0, "overhead"});
}

backends::Prediction predict(const plan::Plan& plan, const Target& target, i64 threads) {
  return Predictor(plan, target, threads).run();
}

std::string print(const backends::Prediction& prediction) {
  auto line = [](double seconds, std::string_view name, std::string_view limiter, double bytes) {
    std::string text = fmt::format("{:>10.2f} us  {:<10} {}", seconds * 1e6, limiter, name);
    if (bytes >= 1024) text += fmt::format(" ({:.0f} KiB beyond L2)", bytes / 1024);
    return text + "\n";
  };
  std::string text = "predicted cost\n";
  for (const auto& part : prediction.parts) {
    text += line(part.seconds, part.name, part.limiter, part.bytes);
  }
  return text + line(prediction.seconds, "in all", prediction.limiter, prediction.bytes);
}

}  // namespace peri::cpu
