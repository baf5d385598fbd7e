// Whether two kernels do the same: both run in the interpreter on made-up data.
#pragma once

#include <string>

#include "ir/ir.h"

namespace peri::passes {

struct Trial {
  SymTable::Lookup symbols;  // none: every symbol has its hint
  u64 seed = 1;              // of the data: small numbers, some of them special
  bool exact = true;
};

// What the kernels' tensors, equal before, show afterwards: "" if they have equal bits (any NaN
// equals any other), else the first difference. A kernel that fails by itself compares to nothing:
// `ran`, if given, says whether `before` succeeded. Kernels with huge tensors are not run.
std::string compare_runs(const ir::Kernel& before, const ir::Kernel& after, const Trial& trial,
                         bool* ran = nullptr);

}  // namespace peri::passes
