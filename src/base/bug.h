// Invariants of ours: a failure prints where and what, and aborts. Never for bad user input.
#pragma once

#include <fmt/format.h>

#include <string>

namespace peri {

[[noreturn]] void bug(const char* file, int line, const char* condition, const std::string& text);

}  // namespace peri

// BUG_IF(condition, format, args...): stops the program if `condition` holds. The arguments are
// evaluated only then.
#define BUG_IF(condition, ...)                                                 \
  do {                                                                         \
    if (condition) [[unlikely]] {                                              \
      ::peri::bug(__FILE__, __LINE__, #condition, ::fmt::format(__VA_ARGS__)); \
    }                                                                          \
  } while (false)
