"""Sums of very long rows: whole, looped by the config, looped by hand."""
import torch

import helion
import helion.language as hl


@helion.kernel()
def long_sum(x: torch.Tensor) -> torch.Tensor:
    """The whole row at once."""
    m, _n = x.size()
    out = torch.empty([m], dtype=x.dtype, device=x.device)
    for tile_m in hl.tile(m):
        out[tile_m] = x[tile_m, :].sum(-1)
    return out


@helion.kernel(config=helion.Config(block_sizes=[1], reduction_loops=[4096], num_warps=16))
def long_sum_looped(x: torch.Tensor) -> torch.Tensor:
    """The same, its reduction in pieces of the config's size."""
    m, _n = x.size()
    out = torch.empty([m], dtype=x.dtype, device=x.device)
    for tile_m in hl.tile(m):
        out[tile_m] = x[tile_m, :].sum(-1)
    return out


@helion.kernel()
def long_sum_manual(x: torch.Tensor) -> torch.Tensor:
    """A loop over pieces of the row, with a tile of partial sums."""
    m, n = x.size()
    out = torch.empty([m], dtype=x.dtype, device=x.device)
    block_n = hl.register_block_size(n)
    for tile_m in hl.tile(m):
        partial = hl.zeros([tile_m, block_n], dtype=x.dtype)
        for tile_n in hl.tile(n, block_size=block_n):
            partial += x[tile_m, tile_n]
        out[tile_m] = partial.sum(-1)
    return out
