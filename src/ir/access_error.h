// The error of an access outside of a tensor, the same from whoever runs a kernel.
#pragma once

#include <string_view>

#include "base/expected.h"
#include "base/ids.h"

namespace peri::ir {

// `index-out-of-range`: `index` along dimension `dim` of the tensor `name`, which has `size` there.
std::unexpected<Error> index_out_of_range(std::string_view name, i64 dim, i64 index, i64 size);

}  // namespace peri::ir
