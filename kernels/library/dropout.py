"""Dropout that stores no mask: the seed gives it again."""
import torch

import helion
import helion.language as hl


@helion.kernel(static_shapes=False)
def dropout(p: float, x: torch.Tensor, seed: int) -> torch.Tensor:
    """Elements survive with probability 1 - p, scaled by 1 / (1 - p)."""
    out = torch.empty_like(x)
    n = x.numel()
    x_flat = x.view(-1)
    out_flat = out.view(-1)
    for tile in hl.tile(n):
        keep = hl.rand([tile], seed=seed) > p
        scaled = x_flat[tile].to(torch.float32) * (1.0 / (1.0 - p))
        out_flat[tile] = torch.where(keep, scaled, 0.0).to(x.dtype)
    return out
