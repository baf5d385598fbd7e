#include "backends/triton/target.h"

#include <fmt/format.h>

#include <algorithm>

namespace peri::triton {

i64 Target::capability() const { return vendor == "cuda" ? std::stoi(arch) : 0; }

const std::vector<Target>& targets() {
  static const std::vector<Target> kTargets = {
      {.name = "sm_80",
       .vendor = "cuda",
       .arch = "80",
       .shared_bytes = 166912,
       .multiprocessors = 108},
      {.name = "sm_90",
       .vendor = "cuda",
       .arch = "90",
       .shared_bytes = 232448,
       .multiprocessors = 132,
       .tensor_maps = true},
      {.name = "sm_100",
       .vendor = "cuda",
       .arch = "100",
       .shared_bytes = 232448,
       .multiprocessors = 148,
       .tensor_maps = true,
       .warp_specialize = true},
      {.name = "gfx942",
       .vendor = "hip",
       .arch = "gfx942",
       .warp_size = 64,
       .shared_bytes = 65536,
       .registers = 131072,
       .multiprocessors = 304},
  };
  return kTargets;
}

bool is_target(std::string_view name) {
  return std::ranges::find(targets(), name, &Target::name) != targets().end();
}

Expected<Target> target_for(std::string_view name) {
  auto found = std::ranges::find(targets(), name, &Target::name);
  if (found != targets().end()) return *found;
  std::string known;
  for (const Target& target : targets()) known += (known.empty() ? "" : ", ") + target.name;
  return fail("unknown-target", fmt::format("there is no GPU target `{}`", name),
              "the targets are " + known);
}

}  // namespace peri::triton
