// What compiled code may call by name without the host program exporting it: libm, memory
// functions, and the conversions of 16-bit floats that LLVM calls where the CPU has no instruction.
#pragma once

#include <span>

namespace peri::cpu {

struct RuntimeSymbol {
  const char* name;
  void* address;
};

std::span<const RuntimeSymbol> runtime_symbols();

}  // namespace peri::cpu
