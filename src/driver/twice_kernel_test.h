// A small kernel for tests of what surrounds kernels.
#pragma once

namespace peri::driver {

inline constexpr const char* kTwice = R"(import torch
import helion
import helion.language as hl

@helion.kernel()
def twice(x: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(x)
    for tile in hl.tile(x.size(0)):
        out[tile] = x[tile] * 2
    return out
)";

}  // namespace peri::driver
