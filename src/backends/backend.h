// The interface every backend gives to the phases around it.
//
// A backend is a vertical slice: capabilities, a plan's emission and the toolchain. Executing what
// it emits is the runtime's work.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backends/artifact.h"
#include "backends/code_store.h"
#include "base/expected.h"
#include "diag/diag.h"
#include "ir/ir.h"
#include "lower/lower.h"
#include "space/capabilities.h"
#include "space/config.h"

namespace peri::backends {

struct CompileOptions {
  std::string keep;                        // fill `Compiled::text`: one of the backend's stages
  const diag::Sources* sources = nullptr;  // of origin comments; null: there are none
  CodeStore* store = nullptr;              // of machine code; null: nothing is kept
  // A search compiles: what takes several times as long as anything before is given up.
  bool impatient = false;
  // What code may rely on; where a device launch does, it says what a call has to check.
  bool assume_aligned = true;  // tensors are aligned to 16 bytes
  bool assume_32_bit = true;   // sizes, strides and offsets that only a call knows fit 32 bits
};

struct Compiled {
  Artifact artifact;
  std::string text;       // of the stage that was to be kept
  std::string toolchain;  // that made the machine code outside of this program, and its version
};

// What a cost model expects of a config, without compiling it.
struct Prediction {
  // A loop, a dot or an overhead; those of all grid cells together.
  struct Part {
    std::string name;
    double seconds = 0;
    double bytes = 0;  // moved from and to memory beyond the caches of one core
    double flops = 0;  // a multiply-add counts two, other vector work in additions of equal cost
    std::string_view limiter;  // "arithmetic", "L1", "L2", "L3", "memory" or "overhead"
  };
  double seconds = 0;  // of a call; 0: the model says nothing
  double bytes = 0, flops = 0;
  std::string_view limiter;  // of the parts that take longest
  std::vector<Part> parts;   // in program order
};

// What the machine reaches at best, for rooflines.
struct MachineSpeed {
  double bytes_per_second = 0, flops_per_second = 0;  // 0: unknown
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const space::Capabilities& capabilities() const = 0;
  // The host executes what compile() makes, without a device of its own.
  virtual bool can_run_here() const = 0;
  // The config to use without tuning, complete (every knob of the space has a value), from a cost
  // model. `hints` of the kernel's symbols stand for sizes that are not constant.
  virtual space::Config default_config(const ir::Kernel& kernel) const = 0;
  // For ranking configs: the order counts, the scale less. In some ten microseconds; thread-safe. A
  // backend without a model says nothing (0 seconds).
  virtual Prediction predict(const ir::Kernel&, const space::Config&) const { return {}; }
  // Measured on `threads` threads (0: all) for calls that touch `working_set` bytes, in some 50 ms;
  // measured once a process. Unknown where the code cannot run here. Nothing else should run.
  virtual MachineSpeed machine_speed(i64 threads, double working_set) const {
    (void)threads, (void)working_set;
    return {};
  }
  // What a config decides, as text: two that generate different code differ here.
  virtual std::string print_plan(const ir::Kernel& kernel, const space::Config& config) const = 0;
  // The predicted cost of the plan's parts, which `--stage plan` prints after it; "" without a
  // model.
  virtual std::string print_cost(const ir::Kernel&, const space::Config&) const { return ""; }
  // Plans and emits. Thread-safe. The config must be of the kernel's space (complete and legal).
  // With `keep` set to a stage before machine code, the artifact may be empty.
  virtual Expected<Compiled> compile(const ir::Kernel& kernel, const space::Config& config,
                                     const CompileOptions& options) const = 0;
  // The compiler outside of this program that compile() starts for what is not kept, as
  // Compiled::toolchain names it; "" where there is none. Asks it once, in a second or two. From
  // then on only code by that version counts as kept. Fails as compile() does without it.
  virtual Expected<std::string> toolchain() const { return ""; }
  // A source file that needs nothing of this project, with the kernel under one config and its host
  // program; fails with `cannot-eject` where the backend has no such form. `sources`: of origin
  // comments, or null.
  virtual Expected<std::string> eject(const lower::Lowered& lowered, const space::Config& config,
                                      const diag::Sources* sources) const;
};

// Which backend, for what.
struct TargetRequest {
  std::string device = "cpu";
  std::string target{};     // of the device; "": of the one that is there
  std::string cpu_level{};  // "host", "x86-64-v3", ...
  std::string python{};     // interpreter for toolchains that need one
};

// A device as users name it: DEVICE, DEVICE:1 (the second one), or DEVICE:TARGET for a target that
// need not be here. Several of them: DEVICE:0,1 or DEVICE:all.
struct DeviceName {
  std::string device;
  i64 index = 0;  // of several the first
  std::string target;
  std::vector<i64> others;  // named after the first
  bool is_all = false;
  bool is_several() const { return is_all || !others.empty(); }
};
DeviceName parse_device(std::string_view text);

// The device whose backend makes code for a target, as Capabilities::target names it; the host
// where no other does.
std::string_view device_of(std::string_view target);

// Whether the error says that the compiler outside of this program is not here, or not one that
// serves.
bool lacks_toolchain(const Error& error);

// Stages of `emit` that some backend prints, in the registry's order.
std::vector<std::string_view> stages();
// Whether the device's backend prints this stage.
bool has_stage(std::string_view device, std::string_view stage);

// The device whose backend writes source files of this kind, "" if none does, and the kinds.
std::string_view eject_device(std::string_view kind);
std::vector<std::string_view> eject_kinds();
// The target of that device that a file is ejected for if none is named.
std::string_view eject_target(std::string_view kind);

// An error lists what devices or targets there are.
Expected<std::shared_ptr<Backend>> find_backend(const TargetRequest& request);

}  // namespace peri::backends
