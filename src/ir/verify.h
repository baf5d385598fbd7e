// Checks that a kernel is well formed: ids in range, definitions dominate uses, arities, result
// types, subscripts against tensor ranks, region signatures.
#pragma once

#include <string>
#include <vector>

#include "ir/ir.h"

namespace peri::ir {

struct Fault {
  OpId op;  // none: of a table row or a root
  std::string text;
};
std::vector<Fault> find_faults(const Kernel& kernel);

// Empty if the kernel is well formed; else what is wrong, one line a fault.
std::vector<std::string> verify(const Kernel& kernel);

}  // namespace peri::ir
