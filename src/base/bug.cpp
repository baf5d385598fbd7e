#include "base/bug.h"

#include <cstdio>
#include <cstdlib>

namespace peri {

void bug(const char* file, int line, const char* condition, const std::string& text) {
  fmt::print(stderr,
             "bug: {}\n  at {}:{}: {}\n  this is a fault of perihelion, not of your kernel; please "
             "report it with the command that led here\n",
             text, file, line, condition);
  std::fflush(stderr);
  std::abort();
}

}  // namespace peri
