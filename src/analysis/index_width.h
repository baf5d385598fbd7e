// Whether 32-bit integers hold every element offset of a tensor.
#pragma once

#include <optional>
#include <vector>

#include "ir/ir.h"

namespace peri::analysis {

// The largest offset from the tensor's first element, in elements, if sizes and strides are
// constant and it fits 64 bits; 0 for an empty tensor.
std::optional<i64> largest_offset(const ir::TensorParam& tensor);

// By tensor: true if all byte offsets of elements in range are proved to fit a signed 32-bit
// integer. Offsets that an access masks out may still overflow, so guard before computing
// addresses.
std::vector<bool> fits_32_bits(const ir::Kernel& kernel);

}  // namespace peri::analysis
