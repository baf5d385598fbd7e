// Runs one kernel compiled and interpreted on the same random tensors, and compares.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "backends/backend.h"
#include "ir/ir.h"
#include "runtime/tensor.h"
#include "space/config.h"

namespace peri::equiv {

// "" if every written tensor agrees within tolerance, else what differs. All sizes must be constant
// and tensors must not share storage. Integer tensors get values 0..3, so that they can index.
std::string compare(const ir::Kernel& kernel, const backends::Backend& backend,
                    const space::Config& config, u64 seed);

// Runs root 0 of compiled code on `tensors`, one for each of the kernel's; no scalars.
void run_compiled(const ir::Kernel& kernel, const backends::RootCode& root,
                  std::span<const runtime::Tensor> tensors);

}  // namespace peri::equiv
