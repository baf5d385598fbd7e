"""Rotary position embedding of queries and keys."""
import torch

import helion
import helion.language as hl


def turned(low, high, cos, sin):
    """Points (low, high) turned by the angles of cos and sin."""
    return low * cos - high * sin, high * cos + low * sin


@helion.kernel()
def rope(
    q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """q and k are [batch, heads, seq, dim], cos and sin [seq, dim / 2].

    Elements i and dim / 2 + i of a head are a point, which the angle [position, i] turns.
    """
    batch, q_heads, seq, dim = q.size()
    k_heads = k.size(1)
    half = hl.specialize(dim) // 2
    q_out = torch.empty_like(q)
    k_out = torch.empty_like(k)
    for tile_b, tile_h, tile_s in hl.tile([batch, q_heads, seq]):
        q_cos = cos[tile_s, :].to(torch.float32)[None, None, :, :]
        q_sin = sin[tile_s, :].to(torch.float32)[None, None, :, :]
        q_low = q[tile_b, tile_h, tile_s, :half].to(torch.float32)
        q_high = q[tile_b, tile_h, tile_s, half:].to(torch.float32)
        q_low, q_high = turned(q_low, q_high, q_cos, q_sin)
        q_out[tile_b, tile_h, tile_s, :half] = q_low.to(q.dtype)
        q_out[tile_b, tile_h, tile_s, half:] = q_high.to(q.dtype)
    for tile_b, tile_h, tile_s in hl.tile([batch, k_heads, seq]):
        k_cos = cos[tile_s, :].to(torch.float32)[None, None, :, :]
        k_sin = sin[tile_s, :].to(torch.float32)[None, None, :, :]
        k_low = k[tile_b, tile_h, tile_s, :half].to(torch.float32)
        k_high = k[tile_b, tile_h, tile_s, half:].to(torch.float32)
        k_low, k_high = turned(k_low, k_high, k_cos, k_sin)
        k_out[tile_b, tile_h, tile_s, :half] = k_low.to(k.dtype)
        k_out[tile_b, tile_h, tile_s, half:] = k_high.to(k.dtype)
    return q_out, k_out
