#include "analysis/index_width.h"

#include <limits>

namespace peri::analysis {

std::optional<i64> largest_offset(const ir::TensorParam& tensor) {
  i64 offset = 0;
  bool known = true, empty = false;
  for (size_t d = 0; d < tensor.sizes.size(); ++d) {
    auto size = tensor.sizes[d].as_int(), stride = tensor.strides[d].as_int();
    if (size && *size <= 0) empty = true;
    if (size && *size == 1) continue;
    i64 reach = 0;
    known = known && size && stride && !__builtin_mul_overflow(*size - 1, *stride, &reach) &&
            !__builtin_add_overflow(offset, reach, &offset);
  }
  if (empty) return 0;
  return known ? std::optional<i64>(offset) : std::nullopt;
}

std::vector<bool> fits_32_bits(const ir::Kernel& kernel) {
  std::vector<bool> fits;
  for (const ir::TensorParam& tensor : kernel.tensors) {
    auto offset = largest_offset(tensor);
    i64 limit = std::numeric_limits<i32>::max() / size_of(tensor.dtype);
    fits.push_back(offset && *offset <= limit);
  }
  return fits;
}

}  // namespace peri::analysis
