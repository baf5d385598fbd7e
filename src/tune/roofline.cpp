#include "tune/roofline.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

namespace peri::tune {

using ir::Kernel;
using ir::Op;
using ir::OpCode;

namespace {

constexpr double kUnknown = 1;
constexpr double kColdBytes = 1e9;  // more than any cache

class Counter {
 public:
  explicit Counter(const Kernel& kernel)
      : kernel_(kernel), extents_(kernel.blocks.size(), kUnknown) {
    for (size_t b = 0; b < kernel.blocks.size(); ++b) {
      const Block& block = kernel.blocks[b];
      if (!block.end) continue;
      double range = value(block.end) - (block.begin ? value(block.begin) : 0);
      if (block.kind == Block::Kind::Grid && block.step) range /= std::max(value(block.step), 1.0);
      extents_[b] = std::max(range, 0.0);
    }
  }

  Work run() {
    for (const ir::Root& root : kernel_.roots) {
      std::vector<BlockId> around = root.blocks;
      graph(root.body, around);
    }
    for (const auto& [storage, bytes] : read_) work_.bytes += bytes;
    for (const auto& [storage, bytes] : written_) work_.bytes += bytes;
    return work_;
  }

 private:
  double value(Sym sym) const {
    if (!sym) return kUnknown;
    auto hint = kernel_.syms->hint(sym);
    return hint ? hint->as_real() : kUnknown;
  }

  // All elements that a value has over the whole call: of each tile axis the whole range, and once
  // for each index of the loops around it that go one by one.
  double elements(const TileType& type, const std::vector<BlockId>& around) const {
    double count = 1;
    std::vector<BlockId> walked;
    for (const Dim& dim : type.shape) {
      count *= dim.block ? extents_[dim.block.index] : value(dim.size);
      if (dim.block) walked.push_back(dim.block);
    }
    for (BlockId block : around) {
      bool one_by_one = kernel_[block].kind == Block::Kind::Grid;
      if (one_by_one && std::ranges::count(walked, block) == 0) count *= extents_[block.index];
    }
    return count;
  }

  // Where a bound of a loop stands on average: tiles of an outer loop begin and end anywhere.
  double bound(ir::ValueId id) const {
    ir::OpId def = kernel_[id].def;
    if (!def) return kUnknown;
    const Op& op = kernel_[def];
    switch (op.code) {
      case OpCode::Const:
        return op.attrs.constant.as_real();
      case OpCode::HostScalar:
        return value(op.attrs.sym);
      case OpCode::TileBegin:
      case OpCode::TileEnd:
        return extents_[op.attrs.block.index] / 2;
      case OpCode::Cast:
        return bound(op.operands[0]);
      default:
        return kUnknown;
    }
  }

  void enter_loop(const Op& op) {
    for (size_t i = 0; i < op.attrs.blocks.size(); ++i) {
      const BlockId block = op.attrs.blocks[i];
      if (kernel_[block].end) continue;
      const ir::OpId begin = kernel_[op.operands[2 * i]].def,
                     end = kernel_[op.operands[2 * i + 1]].def;
      auto is = [&](ir::OpId def, OpCode code) { return def && kernel_[def].code == code; };
      // Tiles within a tile: together they are its axis.
      bool within = is(begin, OpCode::TileBegin) && is(end, OpCode::TileEnd) &&
                    kernel_[begin].attrs.block == kernel_[end].attrs.block;
      extents_[block.index] =
          within ? extents_[kernel_[begin].attrs.block.index]
                 : std::max(0.0, bound(op.operands[2 * i + 1]) - bound(op.operands[2 * i]));
    }
  }

  void graph(ir::GraphId id, std::vector<BlockId>& around) {
    for (ir::OpId op_id : kernel_[id].ops) {
      const Op& op = kernel_[op_id];
      count(op, around);
      if (op.code == OpCode::For) enter_loop(op);
      const size_t depth = around.size();
      around.insert(around.end(), op.attrs.blocks.begin(), op.attrs.blocks.end());
      for (ir::GraphId region : op.regions) graph(region, around);
      around.resize(depth);
    }
  }

  void count(const Op& op, const std::vector<BlockId>& around) {
    const ir::OpInfo& row = ir::info(op.code);
    if (op.code == OpCode::Load) return access(op, op.results[0], around, read_);
    if (op.code == OpCode::Store) return access(op, op.operands[0], around, written_);
    if (op.code == OpCode::Dot) return dot(op, around);
    bool reduction = row.rule == ir::Rule::Reduce;
    bool computes = row.has(ir::Elementwise) && op.code != OpCode::Cast;
    if (!reduction && !computes) return;
    const ir::Value& counted = kernel_[reduction ? op.operands[0] : op.results[0]];
    if (is_float(counted.type.dtype)) work_.flops += elements(counted.type, around);
  }

  void dot(const Op& op, const std::vector<BlockId>& around) {
    const TileType& a = kernel_[op.operands[0]].type;
    const Dim& k = a.shape.back();
    const double depth = k.block ? extents_[k.block.index] : value(k.size);
    work_.flops += 2 * depth * elements(kernel_[op.results[0]].type, around);
  }

  void access(const Op& op, ir::ValueId shape, const std::vector<BlockId>& around,
              std::map<i64, double>& bytes) {
    const ir::TensorParam& tensor = kernel_[op.attrs.tensor];
    double count = 1;
    for (Sym size : tensor.sizes) count *= value(size);
    bool gathers = std::ranges::any_of(
        op.attrs.indices, [](const ir::Index& i) { return i.kind == ir::Index::Kind::Gather; });
    if (gathers) count = std::min(count, elements(kernel_[shape].type, around));
    const i64 storage = tensor.base >= 0 ? tensor.base : -1 - op.attrs.tensor.index;
    double& most = bytes[storage];
    most = std::max(most, count * static_cast<double>(size_of(tensor.dtype)));
  }

  const Kernel& kernel_;
  std::vector<double> extents_;  // of whole axes, by block
  std::map<i64, double> read_, written_;
  Work work_;
};

}  // namespace

Work work_of(const Kernel& kernel) { return Counter(kernel).run(); }

Roofline roofline_of(const Kernel& kernel, const backends::Backend& backend, i64 threads,
                     bool cold) {
  const Work work = work_of(kernel);
  const backends::MachineSpeed speed =
      backend.machine_speed(threads, cold ? kColdBytes : work.bytes);
  return {work.bytes, work.flops, speed.bytes_per_second, speed.flops_per_second};
}

}  // namespace peri::tune
