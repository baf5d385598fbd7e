// Which configs a GPU can run: knobs that a kernel rules out, and a static model of shared memory,
// threads and registers.
#pragma once

#include "backends/triton/target.h"
#include "space/capabilities.h"

namespace peri::triton {

space::Capabilities capabilities_of(const Target& target);

// Of one program, as the rules estimate it.
i64 shared_bytes(const ir::Kernel& kernel, const space::Config& config, const Target& target);

}  // namespace peri::triton
