// A kernel under one config as a Python module: its Triton kernels, and its host program as a
// function of torch tensors. Needs torch and Triton, nothing of this project.
#pragma once

#include <string>
#include <vector>

#include "backends/triton/emit.h"
#include "lower/lower.h"

namespace peri::triton {

// `roots`: of lowered.kernel under `plan`, in order.
std::string eject_module(const lower::Lowered& lowered, const Plan& plan,
                         const std::vector<RootText>& roots, const space::Config& config);

}  // namespace peri::triton
