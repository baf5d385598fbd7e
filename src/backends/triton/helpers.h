// Device functions that emitted kernels may call: ops that Triton has no word for.
#pragma once

#include <string>
#include <string_view>

namespace peri::triton {

// The definition of helper `name` ("_floor_div"), with its decorator.
std::string_view helper_text(std::string_view name);

}  // namespace peri::triton
