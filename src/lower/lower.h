// Typed kernel -> Device IR and a host program.
#pragma once

#include "check/typed.h"
#include "ir/ir.h"
#include "lower/host_program.h"

namespace peri::lower {

struct Lowered {
  ir::Kernel kernel;
  HostProgram host;
};

// Total on what `check` accepts. Builds SSA (carried variables of loops, merges of branches) and
// expands composite functions into ops; variable names stay on values.
Lowered lower(const check::TypedKernel& typed);

}  // namespace peri::lower
