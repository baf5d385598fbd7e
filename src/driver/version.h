// The version of the compiler: part of cache keys, printed by `peri --version`.
#pragma once

#include <string_view>

namespace peri::driver {

inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace peri::driver
