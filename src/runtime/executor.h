// Runs a specialised kernel: its host program with the machine code of its roots, on the host or on
// a device.
//
// Whatever does not depend on the call is worked out when an `Executable` is made. A call binds its
// arguments, allocates, launches and returns; with static shapes it evaluates no expression and
// formats nothing. Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "backends/backend.h"
#include "base/expected.h"
#include "lower/lower.h"
#include "runtime/device.h"
#include "runtime/host_plan.h"
#include "runtime/launch_plan.h"
#include "runtime/result.h"
#include "runtime/tensor.h"

namespace peri::runtime {

// Moves the memory that cells of later calls work in by a page: to another of a few places. An L1
// cache that predicts its way by a hash of the address (AMD's do) takes two lines of one hash for
// each other; where that befalls a row buffer and an operand, a call takes up to four times as
// long.
void move_scratch();

// What one call works on.
struct CallFrame {
  std::span<const Leaf> leaves;
  Scalars scalars;
  std::vector<std::byte*> data;   // by slot: first element
  std::vector<Storage> storages;  // by slot: of allocations
  std::vector<backends::Argument> arguments;
  ScalarStorage scalar_storage;
  i64 max_threads = 0;
  LaunchBuffers launch;  // of launches on a device
};

// Where code runs that is not the host's.
struct Placement {
  std::shared_ptr<Device> device;
  // Code that relies on no alignment and no size of the arguments, for calls that the artifact's
  // limits rule out; asked for once, when such a call comes.
  std::function<Expected<backends::Artifact>()> general;
};

class Executable {
 public:
  // `known`: values of the block and tunable symbols, by symbol; none for others. `artifact` must
  // have a function of the host for each root.
  Executable(std::shared_ptr<const lower::Lowered> lowered, std::vector<ScalarValue> known,
             backends::Artifact artifact);

  // `artifact` must have a launch for each root. Fails as Device::load.
  static Expected<std::shared_ptr<const Executable>> on_device(
      std::shared_ptr<const lower::Lowered> lowered, std::vector<ScalarValue> known,
      backends::Artifact artifact, Placement placement);

  // True if the facts that typing relied on hold for these arguments.
  bool accepts(std::span<const Leaf> leaves) const;

  // `leaves` are the host program's, in its order, of the dtypes and (with static shapes) sizes it
  // was made for; the caller asks accepts() first where shapes are dynamic. `max_threads` 0: as
  // many as the config asks for. Fails with `assertion-failed` (a Check), `out-of-memory`,
  // `bad-host-scalar` (division by zero, a negative size) and `index-out-of-range` (device code
  // read or wrote outside of a tensor: the tensors that it writes hold anything then).
  // On a device, tensors must be in its memory (`wrong-device`), the call queues its work, and the
  // errors of runtime/device.h come too; a size that no code is made for is `unsupported-size`.
  Expected<Result> call(std::span<const Leaf> leaves, i64 max_threads = 0) const;

  const lower::Lowered& lowered() const { return *lowered_; }
  const std::shared_ptr<Device>& device() const { return placement_.device; }  // null: the host

 private:
  struct RootPlan {
    std::vector<i64> slots;
    std::vector<ScalarId> scalars;
    std::vector<SymType> types;
    ScalarId cells, scratch_bytes;
  };

  void plan_root(const backends::RootCode& code);
  void plan_result(const check::ReturnValue& value);

  Expected<void> run(i64 op, CallFrame& frame) const;
  Expected<void> bind_arguments(CallFrame& frame) const;
  Expected<void> bind_views(i64 root, CallFrame& frame) const;
  Expected<void> allocate(i64 op, CallFrame& frame) const;
  Expected<void> launch(i64 root, CallFrame& frame) const;
  Expected<void> launch_on_device(i64 root, CallFrame& frame) const;
  Expected<void> launch_generally(i64 root, CallFrame& frame) const;
  Expected<const Executable*> general() const;
  Expected<void> copy(const lower::HostOp& op, const CallFrame& frame) const;
  Expected<Tensor> tensor_of(i64 slot, const CallFrame& frame) const;
  Expected<Result> result_of(const check::ReturnValue& value, const CallFrame& frame) const;

  std::shared_ptr<const lower::Lowered> lowered_;
  const lower::HostProgram& program_;
  backends::Artifact artifact_;
  HostPlan plan_;
  std::vector<RootPlan> roots_;
  std::vector<i64> argument_slots_;

  Placement placement_;
  std::shared_ptr<DeviceCode> code_;
  std::vector<LaunchPlan> launches_;
  std::vector<ScalarValue> known_;  // for general()
  mutable std::mutex mutex_;        // of general_
  mutable std::shared_ptr<const Executable> general_;
};

}  // namespace peri::runtime
