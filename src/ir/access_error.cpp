#include "ir/access_error.h"

#include <fmt/format.h>

namespace peri::ir {

std::unexpected<Error> index_out_of_range(std::string_view name, i64 dim, i64 index, i64 size) {
  return fail("index-out-of-range",
              fmt::format("index {} is out of range for dimension {} of `{}`, of size {}", index,
                          dim, name, size),
              "mask the access, or tile over the tensor's own size");
}

}  // namespace peri::ir
