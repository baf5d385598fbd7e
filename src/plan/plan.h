// The plan: what a kernel does under one config, decided once and printable.
//
// A root's body becomes a tree of nodes over scheduled operations:
//
//   loop tile_n (8)                      one pass over an axis of the tile
//     loop :4096 vector x4               innermost loops run in vector lanes
//       %1 = reduce_max x
//     loop :4096 vector x4
//       %3 = exp ...          -> buffer  a value that a later loop reads is kept in a buffer
//       %4 = sum %3
//     loop :4096 vector x4
//       store out
//
// Operations are one of three things. *Inline* ones (loads of tensors that the root does not write,
// constants, views, cheap arithmetic) are evaluated where they are used, as often as they are used.
// *Scheduled* ones (reductions, stores, expensive arithmetic) have one node. A scheduled value that
// is used only inside the loops that compute it stays in a register; else it lives in a buffer.
// Loops over one axis fuse unless a reduction over it, or an access at other coordinates, stands
// between.
//
// Works on any target that runs exact trip counts; the emitter prints what stands here.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "analysis/axes.h"
#include "base/thread_pool.h"
#include "ir/ir.h"
#include "space/capabilities.h"
#include "space/config.h"

namespace peri::plan {

using analysis::AxisId;

struct NodeTag;
using NodeId = Id<NodeTag>;
struct BufferTag;
using BufferId = Id<BufferTag>;

// Per-thread memory for the elements of one value within a grid cell.
struct Buffer {
  Dtype dtype = Dtype::F32;
  std::vector<Sym> extents;  // row-major
  ir::ValueId value;         // first value kept in it, for printing
};

struct Placement {
  enum class Kind : u8 { Inline, Register, Buffer } kind = Kind::Inline;
  BufferId buffer;
  std::vector<i64> dims;  // Buffer: the value's dimensions it is indexed by
};

struct Node {
  enum class Kind : u8 {
    Loop,     // `body` for each index of `axis`
    Compute,  // one scheduled op at the current indices; reductions: one accumulation step
    Carry,    // value `value` (or buffer `source`) into `buffer`, at the current indices
    Dot,      // a dot over whole tiles; its operands are direct loads or buffers
    For,      // tile loop `op` around `body`
    If,       // branch `op`: `body`, `orelse`
  };
  Kind kind = Kind::Compute;
  AxisId axis;                 // Loop
  bool vector = false;         // Loop: runs in lanes
  i64 unroll = 1;              // Loop, vector: vectors per iteration
  ir::OpId op;                 // Compute, Dot, For, If
  std::vector<BlockId> order;  // For: its axes, slowest first
  ir::ValueId value;           // Carry
  BufferId source;             // Carry
  BufferId buffer;             // Carry, Dot: destination
  std::vector<NodeId> body;
  std::vector<NodeId> orelse;
  std::vector<ir::OpId> reductions;         // Loop: accumulated in registers across it
  std::vector<ir::OpId> memory_reductions;  // Loop: accumulated in their buffers across it
  std::vector<ir::OpId> prefetches;  // Loop, vector: loads to prefetch for the next turn of `ahead`
  AxisId ahead;
  i64 dot = -1;                  // Dot: index into Plan::dots
  ir::OpId k_loop;               // Dot: the tile loop over k that this dot has swallowed, if any
  BufferId operands[2];          // Dot: where operands were computed; none: they lie in memory
  bool accumulate = false;       // Dot: add to what `buffer` holds
  std::vector<NodeId> epilogue;  // Dot: nodes run on each register tile instead of a buffer
};

// How one dot is computed; see backends for the meaning of each number.
struct DotSchedule {
  i64 register_rows = 0;  // 0: the target's choice
  i64 register_vectors = 0;
  i64 k_unroll = 0;
  i64 cache_rows = -1;  // -1: the target's choice, 0: all
  i64 cache_columns = -1;
  i64 cache_depth = -1;
  i64 k_block = 0;               // 0: all of k
  std::string packing = "auto";  // "auto", "none", "a", "b", "ab"
};

struct RootPlan {
  std::vector<BlockId> order;  // grid axes, slowest first
  std::vector<NodeId> body;
  i64 num_threads = 0;  // 0: all
  Schedule schedule = Schedule::Static;
  i64 cells_per_turn = 0;  // 0: as the schedule has it
  // Two or more axes: so many tiles of the last but one are passed, tile by tile of the last,
  // before the next ones; 1: row by row.
  i64 group = 1;
};

// How a load or store of loops over elements uses the caches.
struct AccessPolicy {
  enum class Keep : u8 { Normal, First, Last } keep = Keep::Normal;  // First: evict first
  i64 prefetch_bytes = 0;  // loads: so far in front of each vector, in bytes; 0: not
  bool streaming = false;  // stores: around the caches where addresses allow
};

struct Plan {
  const ir::Kernel* kernel = nullptr;
  std::shared_ptr<const ir::Kernel> flattened;  // `kernel`, if the config flattens loops
  analysis::Axes axes;
  std::vector<Sym> block_sizes;    // by block: constants where the config or the kernel fixes them
  std::vector<Sym> symbol_values;  // by symbol: the config's constant, or the symbol itself
  std::vector<Node> nodes;
  std::vector<Buffer> buffers;
  std::vector<Placement> placements;  // by value
  std::vector<RootPlan> roots;
  std::vector<DotSchedule> dots;  // in program order
  i64 vector_unroll = 0;
  i64 prefetch_rows = 0;  // how often each line of the next row is fetched during the last passes
  i64 simd_bits = 0;      // of the vectors of element loops; 0: the target's
  std::vector<AccessPolicy> accesses;  // by op

  explicit Plan(const ir::Kernel& k) : kernel(&k), axes(k) {}

  const Node& operator[](NodeId id) const { return nodes[id.index]; }
  Node& operator[](NodeId id) { return nodes[id.index]; }
  const Buffer& operator[](BufferId id) const { return buffers[id.index]; }
  const AccessPolicy& access(const ir::Op& op) const {  // of one of the kernel's
    return accesses[static_cast<size_t>(&op - kernel->ops.data())];
  }
  const Placement& at(ir::ValueId id) const { return placements[id.index]; }

  // `sym` with the config's values put in.
  Sym resolve(Sym sym) const;
  // Nominal extent of an axis under the config.
  Sym extent(AxisId axis) const { return resolve(axes[axis].size); }
};

// `config` must be complete and of the kernel's space. The plan's kernel is `kernel`, or what
// flatten_loops() makes of it.
Plan make_plan(const ir::Kernel& kernel, const space::Config& config,
               const space::Capabilities& capabilities);

// By block of the plan's kernel: whether flattening has left it no loop.
std::vector<bool> merged_blocks(const Plan& plan);

std::string print(const Plan& plan);

}  // namespace peri::plan
