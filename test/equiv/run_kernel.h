// Runs one kernel compiled and interpreted on the same random tensors, and compares.
#pragma once

#include <string>

#include "backends/backend.h"
#include "ir/ir.h"
#include "space/config.h"

namespace peri::equiv {

// "" if every written tensor agrees within tolerance, else what differs. All sizes must be constant
// and tensors must not share storage. Integer tensors get values 0..3, so that they can index.
std::string compare(const ir::Kernel& kernel, const backends::Backend& backend,
                    const space::Config& config, u64 seed);

}  // namespace peri::equiv
