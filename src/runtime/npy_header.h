// The header of an .npy file: a Python dict with the keys 'descr', 'fortran_order' and 'shape'.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/expected.h"
#include "base/ids.h"

namespace peri::runtime {

struct NpyHeader {
  std::string descr;  // "<f4"
  bool fortran_order = false;
  std::vector<i64> shape;
};

Expected<NpyHeader> parse_npy_header(std::string_view text);

// Magic, version, length and padded text: all that stands before the data.
std::string format_npy_header(const NpyHeader& header);

}  // namespace peri::runtime
