// The config of a kernel without tuning, from its shapes.
#pragma once

#include "backends/triton/target.h"
#include "ir/ir.h"
#include "space/config.h"

namespace peri::triton {

space::Config choose_config(const ir::Kernel& kernel, const Target& target);

}  // namespace peri::triton
