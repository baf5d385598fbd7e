// A launch of a device function, with everything worked out that no call changes: where each
// parameter lies, and the values of those that are constant.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "ir/ir.h"
#include "runtime/device.h"
#include "runtime/host_plan.h"

namespace peri::runtime {

// Reused between the launches of a thread.
struct LaunchBuffers {
  struct alignas(kTensorMapAlignment) Line {
    std::byte bytes[kTensorMapAlignment];
  };
  std::vector<Line> values;
  std::vector<void*> params;
  std::vector<i64> extents;
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

  Param param_of(const backends::LaunchParam& param, const ir::Kernel& kernel, HostPlan& plan);
  Expected<std::array<i64, 3>> grid_of(const Device& device, Scalars scalars) const;
  Expected<void> write(const Param& param, Device& device, Scalars scalars,
                       std::span<std::byte* const> data, LaunchBuffers& buffers) const;
  Expected<void> write_map(const Param& param, Device& device, Scalars scalars,
                           std::span<std::byte* const> data, LaunchBuffers& buffers) const;

  i64 index_;
  std::vector<Param> params_;
  std::vector<Limit> limits_;
  std::array<ScalarId, 3> grid_;
  i64 programs_per_multiprocessor_;
  i64 scratch_bytes_;
  i64 buffer_bytes_ = 0;
};

}  // namespace peri::runtime
