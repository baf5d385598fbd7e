// The CPU that code is made for: instruction set, vector shape and cache sizes.
//
//   Target t = *target_for("host");         // or "x86-64-v2", "x86-64-v3", "x86-64-v4", "aarch64"
//   i64 lanes = t.lanes(4);                 // f32 lanes of a native vector
//
// "host" uses every feature of the CPU at hand. The named levels are the same on every machine, but
// for AVX-512 BF16, VNNI and FP16, which "x86-64-v4" uses where the host has them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/expected.h"
#include "base/ids.h"

namespace peri::cpu {

struct Target {
  std::string level;   // as asked for
  std::string triple;  // LLVM's target triple, CPU name and feature string
  std::string cpu;
  std::string features;
  i64 vector_bytes = 16;  // width of a native vector: 16, 32 or 64
  i64 vector_registers = 16;
  bool is_x86 = true;
  bool is_host_runnable = false;  // this machine can execute the code
  bool has_fma = false;
  bool has_f16c = false;   // conversions between f16 and f32 are instructions
  bool has_masks = false;  // masked loads and stores are instructions (AVX2, AVX-512)
  bool has_avx512 = false;
  bool has_avx512_bf16 = false;
  bool has_avx512_fp16 = false;
  bool has_vnni = false;
  i64 l1d = 32 << 10;  // bytes; the host's where it runs there, else typical
  i64 l2 = 1 << 20;
  i64 l3 = 32 << 20;

  // Lanes of a native vector of elements of `element_bytes`.
  i64 lanes(i64 element_bytes) const { return vector_bytes / element_bytes; }
};

// The levels that target_for() knows, "host" first.
const std::vector<std::string>& target_levels();

// The target of a level; an unknown level is an error that lists the known ones.
Expected<Target> target_for(std::string_view level);

}  // namespace peri::cpu
