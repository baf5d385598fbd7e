// The config to use without tuning: from the kernel, its sizes and the machine, in microseconds.
#pragma once

#include "backends/cpu/target.h"
#include "ir/ir.h"
#include "space/capabilities.h"
#include "space/config.h"

namespace peri::cpu {

space::Config choose_config(const ir::Kernel& kernel, const space::Capabilities& capabilities,
                            const Target& target);

}  // namespace peri::cpu
