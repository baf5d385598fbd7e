// The GPUs that code can be made for, by name, with what a cost model and a resource check ask.
//
//   Target t = *target_for("sm_90");
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/expected.h"
#include "base/ids.h"

namespace peri::triton {

struct Target {
  std::string name;          // "sm_90", "gfx942"
  std::string vendor;        // as Triton names it: "cuda", "hip"
  std::string arch;          // as Triton names it: "90", "gfx942"
  i64 warp_size = 32;        // threads
  i64 shared_bytes = 0;      // of one program, at most
  i64 registers = 65536;     // of one multiprocessor, 32 bits each
  i64 max_threads = 1024;    // of one program
  i64 multiprocessors = 0;   // of a typical device
  bool tensor_maps = false;  // copies of boxes by descriptor
  bool warp_specialize = false;

  i64 capability() const;  // 90 of sm_90; 0 for others
};

const std::vector<Target>& targets();

bool is_target(std::string_view name);
// An unknown name is an error (`unknown-target`) that lists the known ones.
Expected<Target> target_for(std::string_view name);

}  // namespace peri::triton
