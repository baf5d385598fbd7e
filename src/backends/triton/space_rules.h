// Which configs a GPU can run: knobs that a kernel rules out, and a static model of shared memory,
// threads and registers.
#pragma once

#include "backends/triton/target.h"
#include "space/capabilities.h"

namespace peri::triton {

space::Capabilities capabilities_of(const Target& target);

}  // namespace peri::triton
