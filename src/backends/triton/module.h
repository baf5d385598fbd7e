// The Python module of a root: imports, helpers and the kernel.
#pragma once

#include <string>

#include "backends/triton/emit.h"

namespace peri::triton {

std::string module_text(const RootText& root);
// The same for several roots, each helper once.
std::string module_text(const std::vector<RootText>& roots);

}  // namespace peri::triton
