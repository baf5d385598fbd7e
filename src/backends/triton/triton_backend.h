// The Triton backend: kernels as Triton source, compiled for NVIDIA and AMD GPUs.
#pragma once

#include "backends/backend.h"
#include "backends/triton/emit.h"
#include "backends/triton/plan.h"
#include "backends/triton/toolchain.h"

namespace peri::triton {

class TritonBackend : public backends::Backend {
 public:
  TritonBackend(Target target, std::string python);

  const space::Capabilities& capabilities() const override { return capabilities_; }
  bool can_run_here() const override { return false; }
  space::Config default_config(const ir::Kernel& kernel) const override;
  std::string print_plan(const ir::Kernel& kernel, const space::Config& config) const override;
  Expected<std::string> toolchain() const override;
  Expected<backends::Compiled> compile(const ir::Kernel& kernel, const space::Config& config,
                                       const backends::CompileOptions& options) const override;

  Expected<std::string> eject(const lower::Lowered& lowered, const space::Config& config,
                              const diag::Sources* sources) const override;

 private:
  std::vector<RootText> emit(Plan& plan, const backends::CompileOptions& options) const;

  Target target_;
  std::string python_;
  space::Capabilities capabilities_;
};

// The registry's constructor: for `request.target`.
Expected<std::shared_ptr<backends::Backend>> make_backend(const backends::TargetRequest& request);

}  // namespace peri::triton
