"""Layer norm, RMS norm (forward and backward) and Welford's layer norm."""
from __future__ import annotations

import torch

import helion
import helion.language as hl


@helion.kernel()
def layer_norm(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Normalised rows with their mean and reciprocal deviation, which the backward pass needs."""
    m, n = x.size()
    assert weight.size(0) == n, f"weight size mismatch {weight.size(0)} != {n}"
    if bias is not None:
        assert bias.size(0) == n, f"bias size mismatch {bias.size(0)} != {n}"
    out = torch.empty([m, n], dtype=x.dtype, device=x.device)
    mean = torch.empty([m], dtype=torch.float32, device=x.device)
    rstd = torch.empty([m], dtype=torch.float32, device=x.device)
    for tile_m in hl.tile(m):
        row = x[tile_m, :].to(torch.float32)
        row_mean = torch.sum(row, dim=-1) / n
        centered = row - row_mean[:, None]
        variance = torch.sum(centered * centered, dim=-1) / n
        row_rstd = torch.rsqrt(variance + eps)
        normalized = centered * row_rstd[:, None]
        if bias is not None:
            result = normalized * weight[:].to(torch.float32) + bias[:].to(torch.float32)
        else:
            result = normalized * weight[:].to(torch.float32)
        out[tile_m, :] = result.to(x.dtype)
        mean[tile_m] = row_mean
        rstd[tile_m] = row_rstd
    return out, mean, rstd


@helion.kernel()
def rms_norm(
    x: torch.Tensor, weight: torch.Tensor, eps: float = 1e-5
) -> tuple[torch.Tensor, torch.Tensor]:
    m, n = x.size()
    assert weight.size(0) == n, f"weight size mismatch {weight.size(0)} != {n}"
    out = torch.empty_like(x)
    inverse_rms = torch.empty([m], dtype=torch.float32, device=x.device)
    for tile_m in hl.tile(m):
        row = x[tile_m, :].to(torch.float32)
        mean_square = torch.mean(row * row, dim=-1)
        scale = torch.rsqrt(mean_square + eps)
        out[tile_m, :] = (row * scale[:, None] * weight[:].to(torch.float32)).to(out.dtype)
        inverse_rms[tile_m] = scale
    return out, inverse_rms


@helion.kernel()
def rms_norm_backward(
    grad_out: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, inverse_rms: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of x and weight; the weight's partial sums, one row a block, are added on the host."""
    m, n = x.size()
    block_m = hl.register_block_size(m)
    grad_x = torch.empty_like(x)
    partial = torch.empty([(m + block_m - 1) // block_m, n], dtype=torch.float32, device=x.device)
    for tile_block in hl.tile(m, block_size=block_m):
        grad_w = hl.zeros([n], dtype=torch.float32)
        for tile_m in hl.tile(tile_block.begin, tile_block.end):
            row = x[tile_m, :].to(torch.float32)
            dy = grad_out[tile_m, :].to(torch.float32)
            scale = inverse_rms[tile_m].to(torch.float32)
            normalized = row * scale[:, None]
            grad_w += torch.sum(dy * normalized, dim=0)
            weighted = dy * weight[:].to(torch.float32)
            projection = torch.mean(weighted * normalized, dim=-1)
            grad_x[tile_m, :] = (
                (weighted - normalized * projection[:, None]) * scale[:, None]
            ).to(x.dtype)
        partial[tile_block.id, :] = grad_w
    return grad_x, partial.sum(0).to(weight.dtype)


@helion.kernel()
def welford(
    weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor, eps: hl.constexpr = 1e-5
) -> torch.Tensor:
    """Layer norm with mean and squared deviations merged tile by tile (Chan et al.)."""
    m, n = x.size()
    out = torch.empty([m, n], dtype=x.dtype, device=x.device)
    for tile_m in hl.tile(m):
        count = torch.zeros_like(x[tile_m, 0], dtype=torch.float32)
        mean = torch.zeros_like(count)
        squares = torch.zeros_like(count)
        for tile_n in hl.tile(n):
            chunk = x[tile_m, tile_n]
            chunk_count = tile_n.end - tile_n.begin  # the last tile may be short
            total = torch.sum(chunk, dim=-1)
            total_squares = torch.sum(chunk * chunk, dim=-1)
            chunk_mean = total / chunk_count
            chunk_squares = total_squares - total * total / chunk_count
            delta = chunk_mean - mean
            new_count = count + chunk_count
            mean = mean + delta * (chunk_count / new_count)
            squares = squares + chunk_squares + delta * delta * count * (chunk_count / new_count)
            count = new_count
        rstd = torch.rsqrt(squares / count + eps)
        for tile_n in hl.tile(n):
            chunk = x[tile_m, tile_n]
            normalized = (chunk - mean[:, None]) * rstd[:, None]
            out[tile_m, tile_n] = (normalized * weight[tile_n] + bias[tile_n]).to(x.dtype)
    return out
