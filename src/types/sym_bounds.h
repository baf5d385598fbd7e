// Bounds of host scalars that hold in every call.
#pragma once

#include <optional>

#include "types/sym.h"

namespace peri {

// A number that an integer expression is never below, if one is known: sizes of tensors and blocks
// are not negative.
std::optional<i64> lower_bound(const SymTable& syms, Sym sym);

}  // namespace peri
