"""Attention with an online softmax, plain and causal."""
import math

import torch

import helion
import helion.language as hl


@helion.kernel(static_shapes=True)
def attention(q_in: torch.Tensor, k_in: torch.Tensor, v_in: torch.Tensor) -> torch.Tensor:
    """softmax(q k^T / sqrt(d)) v over the last two dimensions; leading ones are batches."""
    m_dim = q_in.size(-2)
    n_dim = k_in.size(-2)
    assert n_dim == v_in.size(-2)
    head_dim = hl.specialize(q_in.size(-1))
    assert head_dim == k_in.size(-1) == v_in.size(-1)
    q_view = q_in.reshape([-1, m_dim, head_dim])
    v_view = v_in.reshape([-1, n_dim, head_dim])
    k_view = k_in.reshape([-1, n_dim, head_dim]).transpose(1, 2)
    out = torch.empty_like(q_view)
    scale = 1.0 / math.sqrt(head_dim) * 1.44269504  # exponentials to base 2
    for tile_b, tile_m in hl.tile([q_view.size(0), m_dim]):
        largest = hl.full([tile_b, tile_m], float("-inf"), dtype=torch.float32)
        total = torch.full_like(largest, 1.0)
        acc = hl.zeros([tile_b, tile_m, head_dim], dtype=torch.float32)
        q = q_view[tile_b, tile_m, :]
        for tile_n in hl.tile(n_dim):
            k = k_view[tile_b, :, tile_n]
            scores = torch.bmm(q, k)
            new_largest = torch.maximum(largest, torch.amax(scores, -1) * scale)
            scores = scores * scale - new_largest[:, :, None]
            weights = torch.exp2(scores)
            rescale = torch.exp2(largest - new_largest)
            total = total * rescale + torch.sum(weights, -1)
            acc = acc * rescale[:, :, None]
            v = v_view[tile_b, tile_n, :]
            acc = torch.baddbmm(acc, weights.to(v.dtype), v)
            largest = new_largest
        out[tile_b, tile_m, :] = (acc / total[:, :, None]).to(out.dtype)
    return out.view(q_in.size())


@helion.kernel(static_shapes=True)
def causal_attention(q_in: torch.Tensor, k_in: torch.Tensor, v_in: torch.Tensor) -> torch.Tensor:
    """As attention; a query sees keys up to its own position only."""
    m_dim = q_in.size(-2)
    n_dim = k_in.size(-2)
    assert n_dim == v_in.size(-2)
    head_dim = hl.specialize(q_in.size(-1))
    assert head_dim == k_in.size(-1) == v_in.size(-1)
    q_view = q_in.reshape([-1, m_dim, head_dim])
    v_view = v_in.reshape([-1, n_dim, head_dim])
    k_view = k_in.reshape([-1, n_dim, head_dim]).transpose(1, 2)
    out = torch.empty_like(q_view)
    scale = 1.0 / math.sqrt(head_dim) * 1.44269504
    for tile_b, tile_m in hl.tile([q_view.size(0), m_dim]):
        largest = hl.full([tile_b, tile_m], float("-inf"), dtype=torch.float32)
        total = hl.zeros([tile_b, tile_m], dtype=torch.float32)
        acc = hl.zeros([tile_b, tile_m, head_dim], dtype=torch.float32)
        q = q_view[tile_b, tile_m, :]
        for tile_n in hl.tile(0, tile_m.end):
            k = k_view[tile_b, :, tile_n]
            scores = torch.bmm(q, k) * scale
            seen = tile_m.index[:, None] >= tile_n.index[None, :]
            scores = torch.where(seen[None, :, :], scores, float("-inf"))
            new_largest = torch.maximum(largest, torch.amax(scores, -1))
            weights = torch.exp2(scores - new_largest[:, :, None])
            rescale = torch.exp2(largest - new_largest)
            total = total * rescale + torch.sum(weights, -1)
            v = v_view[tile_b, tile_n, :]
            acc = torch.baddbmm(acc * rescale[:, :, None], weights.to(v.dtype), v)
            largest = new_largest
        out[tile_b, tile_m, :] = (acc / total[:, :, None]).to(out.dtype)
    return out.view(q_in.size())
