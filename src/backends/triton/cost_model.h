// The config of a kernel without tuning, from its shapes.
#pragma once

#include "backends/triton/target.h"
#include "ir/ir.h"
#include "space/config.h"

namespace peri::triton {

// `descriptors`: what a matrix product reads and writes moves by the copy engine, where there is
// one; whether the layouts allow that is for the caller to find out.
space::Config choose_config(const ir::Kernel& kernel, const Target& target, bool descriptors);

}  // namespace peri::triton
