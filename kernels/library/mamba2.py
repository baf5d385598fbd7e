"""The chunk scan of Mamba-2: what each chunk's inputs and the state before it make of its outputs."""
import torch

import helion
import helion.language as hl


@helion.kernel()
def mamba2_chunk_scan(
    cb: torch.Tensor,
    x: torch.Tensor,
    dt: torch.Tensor,
    decay: torch.Tensor,
    c: torch.Tensor,
    states: torch.Tensor,
    d: torch.Tensor,
) -> torch.Tensor:
    """out[m] = exp(decay[m]) c[m] states + sum over k <= m of cb[m, k] exp(decay[m] - decay[k]) dt[k] x[k] + d x[m]

    cb is [batch, chunks, groups, chunk, chunk], x [batch, seq, heads, head_dim], dt and decay (sums of
    dt * a from the chunk's start) [batch, heads, chunks, chunk], c [batch, seq, groups, state], states
    [batch, chunks, heads, head_dim, state] and d [heads].
    """
    batch, chunks, groups, chunk, _ = cb.size()
    _, seq, heads, head_dim = x.size()
    state = hl.specialize(c.size(-1))
    assert seq == chunks * chunk, f"size mismatch {seq} != {chunks} * {chunk}"
    out = torch.empty_like(x)
    x_chunks = x.view(batch, chunks, chunk, heads, head_dim)
    c_chunks = c.view(batch, chunks, chunk, groups, state)
    out_chunks = out.view(batch, chunks, chunk, heads, head_dim)
    block_m = hl.register_block_size(chunk)
    block_n = hl.register_block_size(head_dim)
    for tile_b, tile_c, tile_h, tile_m, tile_n in hl.tile(
        [batch, chunks, heads, chunk, head_dim], block_size=[1, 1, 1, block_m, block_n]
    ):
        i_b, i_c, i_h = tile_b.begin, tile_c.begin, tile_h.begin
        group = i_h // (heads // groups)
        decay_m = decay[i_b, i_h, i_c, tile_m].to(torch.float32) * 1.44269504  # for exponentials to base 2
        before = states[i_b, i_c, i_h, tile_n, :]
        acc = hl.dot(c_chunks[i_b, i_c, tile_m, group, :], before.T)
        acc = acc * torch.exp2(decay_m)[:, None]
        for tile_k in hl.tile(0, tile_m.end):
            decay_k = decay[i_b, i_h, i_c, tile_k].to(torch.float32) * 1.44269504
            dt_k = dt[i_b, i_h, i_c, tile_k].to(torch.float32)
            weights = cb[i_b, i_c, group, tile_m, tile_k].to(torch.float32)
            weights = weights * torch.exp2(decay_m[:, None] - decay_k[None, :]) * dt_k[None, :]
            seen = tile_m.index[:, None] >= tile_k.index[None, :]
            weights = torch.where(seen, weights, 0.0).to(x.dtype)
            acc = hl.dot(weights, x_chunks[i_b, i_c, tile_k, i_h, tile_n], acc=acc)
        x_m = x_chunks[i_b, i_c, tile_m, i_h, tile_n].to(torch.float32)
        acc = acc + x_m * d[i_h].to(torch.float32)
        out_chunks[i_b, i_c, tile_m, i_h, tile_n] = acc.to(x.dtype)
    return out
