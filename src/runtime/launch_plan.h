// A launch of a device function, with everything worked out that no call changes: where each
// parameter lies, and the values of those that are constant.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "ir/ir.h"
#include "runtime/device.h"
#include "runtime/host_plan.h"

namespace peri::runtime {

// Tensor maps that were made before, by what they describe: making one takes longer than queueing
// the rest of a launch.
class TensorMapCache {
 public:
  struct Key {
    u64 plan = 0;  // 0: none
    i64 param = 0;
    std::byte* address = nullptr;
    i64 rank = 0;
    std::array<i64, 2 * kMostMapRank> extents{};  // sizes, then strides
    bool operator==(const Key&) const = default;
  };
  struct alignas(kTensorMapAlignment) Map {
    std::byte bytes[kTensorMapBytes];
  };

  // Where the map of `key` stands, or is to stand. `map` is good until the next `find`.
  struct Place {
    bool is_known;
    std::byte* map;
  };
  Place find(const Key& key);
  // What stands at the place of `key` is no map of it.
  void forget(const Key& key);

 private:
  // Two ways: two tensors that a kernel is called with in turns never displace each other.
  static constexpr std::size_t kSets = 64;
  struct Entry {
    Key key;
    Map map;
  };
  struct Set {
    std::array<Entry, 2> ways;
    std::size_t older = 0;  // the way to be replaced
  };
  Set& set_of(const Key& key);

  std::vector<Set> sets_;
};

// Reused between the launches of a thread.
struct LaunchBuffers {
  struct alignas(kTensorMapAlignment) Line {
    std::byte bytes[kTensorMapAlignment];
  };
  u64 plan = 0;  // whose constant parameters stand here; 0: none
  std::vector<Line> values;
  std::vector<void*> params;
  TensorMapCache maps;
};

class LaunchPlan {
 public:
  // Adds what it needs of host scalars to `plan`. `index`: of the launch in its artifact.
  LaunchPlan(const backends::Launch& launch, i64 index, const ir::Kernel& kernel, HostPlan& plan);

  // Whether the code may run on these arguments: its limits and alignments hold. `data`: first
  // elements, by slot.
  Expected<bool> fits(Scalars scalars, std::span<std::byte* const> data) const;

  // Queues the launch. Fails with `bad-host-scalar`, `out-of-memory` and what the device says.
  Expected<void> run(Device& device, const DeviceCode& code, Scalars scalars,
                     std::span<std::byte* const> data, LaunchBuffers& buffers) const;

 private:
  struct Param {
    backends::LaunchParam::Kind kind;
    i64 slot = -1;
    i64 alignment = 1;
    ScalarId value;
    i64 bytes = 8;
    i64 offset = 0;  // of its value in the buffer
    Dtype dtype = Dtype::F32;
    std::vector<ScalarId> sizes, strides;  // Map: slowest first
    std::vector<i64> box;
    i64 swizzle = 0;
  };
  struct Limit {
    ScalarId value;
    i64 most;
  };

  void fill(LaunchBuffers& buffers) const;
  Param param_of(const backends::LaunchParam& param, const ir::Kernel& kernel, HostPlan& plan);
  Expected<std::array<i64, 3>> grid_of(const Device& device, Scalars scalars) const;
  static void write_scalar(const Param& param, const SymValue& value, std::byte* at);
  bool write_constant(const Param& param, const ScalarProgram& scalars);
  Expected<void> write_map(i64 index, Device& device, Scalars scalars,
                           std::span<std::byte* const> data, LaunchBuffers& buffers) const;

  u64 id_;  // of no other plan
  i64 index_;
  std::vector<Param> params_;
  std::vector<i64> varying_;                    // of `params_`: those that calls write
  std::vector<LaunchBuffers::Line> constants_;  // values of the others, in place
  std::vector<Limit> limits_;                   // those that a call can exceed
  std::array<ScalarId, 3> grid_;
  i64 programs_per_multiprocessor_, reserved_multiprocessors_;
  i64 scratch_bytes_;
  i64 buffer_bytes_ = 0;
};

}  // namespace peri::runtime
