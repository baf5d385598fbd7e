// What Triton makes of a kernel: machine code, and what a launch of it needs to know.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/expected.h"
#include "base/ids.h"

namespace peri::triton {

// How the compiled code copies through a descriptor parameter.
struct DescriptorLayout {
  i64 swizzle = 0;       // as backends::TensorMap has it
  std::vector<i64> box;  // of one copy: a tile may take several
  bool operator==(const DescriptorLayout&) const = default;
};

struct Binary {
  std::string function;
  std::string format;  // "cubin", "hsaco"
  std::string bytes;
  i64 num_warps = 4;
  i64 shared_bytes = 0;
  i64 cluster = 1;
  i64 scratch_bytes = 0, scratch_alignment = 1;
  std::vector<DescriptorLayout> descriptors;  // of each descriptor parameter
  std::vector<std::string> texts;             // of Source::keep
  std::string compiler;                       // "triton 3.6.0"
  bool operator==(const Binary&) const = default;
};

// A line of JSON with everything but `bytes` and `texts`, then the bytes.
std::string write_binary(const Binary& binary);
// Fails with `bad-binary`: cut short, of another version of the format, or with values that no
// launch has.
Expected<Binary> read_binary(std::string_view text);

// Part of the key of whatever is kept in this format.
inline constexpr i64 kBinarySchema = 1;

}  // namespace peri::triton
