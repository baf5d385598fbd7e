// Whether the subscripts of an access stay inside the tensor, for whoever would have to check them.
#pragma once

#include <optional>

#include "ir/ir.h"

namespace peri::analysis {

// What is known of an integer, or of every element of a tile of them: low <= value < end.
struct IndexRange {
  std::optional<i64> low;  // none: unknown
  Sym end;                 // none: unknown
};

IndexRange index_range(const ir::Kernel& kernel, ir::ValueId value);

// True if `index`, a subscript of `op` (a load or store), is proved to name only elements of
// dimension `dim` of the tensor, whatever the config and the contents of tensors.
bool is_in_range(const ir::Kernel& kernel, const ir::Op& op, i64 dim, const ir::Index& index);

}  // namespace peri::analysis
