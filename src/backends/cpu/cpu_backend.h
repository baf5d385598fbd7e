// The CPU backend: LLVM code for the host or a named level.
#pragma once

#include "backends/backend.h"
#include "backends/cpu/target.h"

namespace peri::cpu {

class CpuBackend : public backends::Backend {
 public:
  explicit CpuBackend(Target target);

  const space::Capabilities& capabilities() const override { return capabilities_; }
  bool can_run_here() const override { return target_.is_host_runnable; }
  space::Config default_config(const ir::Kernel& kernel) const override;
  backends::Prediction predict(const ir::Kernel& kernel,
                               const space::Config& config) const override;
  backends::MachineSpeed machine_speed(i64 threads, double working_set) const override;
  std::string print_plan(const ir::Kernel& kernel, const space::Config& config) const override;
  std::string print_cost(const ir::Kernel& kernel, const space::Config& config) const override;
  Expected<backends::Compiled> compile(const ir::Kernel& kernel, const space::Config& config,
                                       const backends::CompileOptions& options) const override;

 private:
  Target target_;
  space::Capabilities capabilities_;
};

// The registry's constructor: for `request.cpu_level`.
Expected<std::shared_ptr<backends::Backend>> make_backend(const backends::TargetRequest& request);

}  // namespace peri::cpu
