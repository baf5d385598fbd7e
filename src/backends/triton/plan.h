// What a kernel does on a GPU under one config, decided once and printable.
//
// A root is one launch; a grid cell is one program (or, where programs are persistent, one turn of
// a program's loop). A tile's extents are powers of two; where fewer elements exist, lanes are
// masked. Dimensions of extent 1 have no place in a tile at all: a [1, m, n] value is an [m, n]
// tile.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "backends/artifact.h"
#include "backends/triton/target.h"
#include "plan/plan.h"
#include "space/config.h"

namespace peri::triton {

using analysis::AxisId;

enum class PidType : u8 { Flat, Xyz, PersistentBlocked, PersistentInterleaved };
enum class Indexing : u8 { Pointer, Descriptor };

// The largest size and offset that code in 32 bits is for: what a tile reaches beyond fits as well.
constexpr i64 kMostIn32Bits = INT32_MAX - 65536;

// Options of one loop; none: the compiler's choice.
struct LoopOptions {
  i64 unroll = 0;
  i64 stages = 0;
  std::optional<bool> multi_buffer, flatten, warp_specialize;
  bool is_static = false;  // unrolled fully
};

struct LoopPlan {
  std::vector<BlockId> order;  // slowest first
  LoopOptions options;
};

struct AccessPlan {
  Indexing indexing = Indexing::Pointer;
  std::string eviction;                    // "", "first", "last"
  std::optional<backends::TensorMap> map;  // Descriptor
};

struct RootPlan {
  LoopPlan grid;
  i64 l2_grouping = 1;
  PidType pid_type = PidType::Flat;
};

// Its programs take one cell after the other.
inline bool is_persistent(const RootPlan& root) {
  return root.pid_type >= PidType::PersistentBlocked;
}

struct Plan {
  plan::Plan shared;  // block sizes, tunables and axes
  Target target;
  std::vector<RootPlan> roots;
  std::map<ir::OpId, LoopPlan> loops;       // by For
  std::map<ir::OpId, AccessPlan> accesses;  // by Load, Store
  std::map<AxisId, i64> rolled;  // reduced axes that are walked in chunks of so many elements
  bool fuse_reductions = true;   // independent ones along a rolled axis share a loop
  std::vector<bool> wide;        // by tensor: offsets need 64 bits
  bool assume_32_bit = true;     // sizes and strides of a call fit 32 bits; a launch checks it
  bool assume_aligned = true;
  bool host_descriptors = false;
  i64 num_warps = 4;
  i64 num_stages = 1;
  i64 maxnreg = 0;  // 0: no limit
  i64 num_sm_multiplier = 1;
  std::string dot_precision = "tf32x3";

  explicit Plan(const ir::Kernel& kernel) : shared(kernel) {}
  const ir::Kernel& kernel() const { return *shared.kernel; }

  Sym resolve(Sym sym) const { return shared.resolve(sym); }
  i64 block_size(BlockId block) const;
  // Lanes that a tile has for this dimension: a power of two.
  i64 lanes(const Dim& dim) const;
  bool is_rolled(ir::ValueId value, i64 dim) const;
};

// Planning and emitting make new host scalar expressions in the kernel's table, which is not
// thread-safe: hold this meanwhile.
std::mutex& planning_mutex();

// `config` must be complete and of the kernel's space. The plan's kernel is `kernel`, or what
// plan::flatten_loops() makes of it.
Plan make_plan(const ir::Kernel& kernel, const space::Config& config, const Target& target);

std::string print(const Plan& plan);

// The first power of two that is not below `value` (1 for less).
i64 power_of_two(i64 value);

// The map under which a descriptor moves what `access` (a Load or Store) accesses; none, and the
// reason, if the hardware cannot.
std::optional<backends::TensorMap> tensor_map(const Plan& plan, const ir::Op& access,
                                              std::string& reason);

}  // namespace peri::triton
