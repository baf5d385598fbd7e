// Which storage ops write, for whoever moves or merges loads.
#pragma once

#include <vector>

#include "ir/ir.h"

namespace peri::analysis {

// Names the storage behind a tensor: tensors of equal keys may alias.
i64 storage_of(const ir::Kernel& kernel, ir::TensorId tensor);

// The storage keys that ops of `graph` and of graphs nested in it store to, sorted.
std::vector<i64> stored_below(const ir::Kernel& kernel, ir::GraphId graph);

}  // namespace peri::analysis
