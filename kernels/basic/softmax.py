"""Softmax over rows, written four ways, and its gradient."""
import torch

import helion
import helion.language as hl


@helion.kernel()
def softmax(x: torch.Tensor) -> torch.Tensor:
    """The torch function on a whole row."""
    m, _n = x.size()
    out = torch.empty_like(x)
    for tile_m in hl.tile(m):
        out[tile_m, :] = torch.nn.functional.softmax(x[tile_m, :], dim=1)
    return out


@helion.kernel()
def softmax_decomposed(x: torch.Tensor) -> torch.Tensor:
    """The same in steps."""
    m, _n = x.size()
    out = torch.empty_like(x)
    for tile_m in hl.tile(m):
        row = x[tile_m, :]
        largest = torch.amax(row, dim=1, keepdim=True)
        exponentials = torch.exp(row - largest)
        total = torch.sum(exponentials, dim=1, keepdim=True)
        out[tile_m, :] = exponentials / total
    return out


@helion.kernel()
def softmax_two_pass(x: torch.Tensor) -> torch.Tensor:
    """Online: one pass keeps the running maximum and sum, another writes the result."""
    m, n = x.size()
    out = torch.empty_like(x)
    block_m = hl.register_block_size(m)
    block_n = hl.register_block_size(n)
    for tile_m in hl.tile(m, block_size=block_m):
        largest = hl.full([tile_m], float("-inf"), dtype=torch.float32)
        total = hl.zeros([tile_m], dtype=torch.float32)
        for tile_n in hl.tile(n, block_size=block_n):
            values = x[tile_m, tile_n]
            new_largest = torch.maximum(largest, torch.amax(values, dim=1))
            total = total * torch.exp(largest - new_largest) + torch.exp(
                values - new_largest[:, None]
            ).sum(dim=1)
            largest = new_largest
        for tile_n in hl.tile(n, block_size=block_n):
            values = x[tile_m, tile_n]
            out[tile_m, tile_n] = torch.exp(values - largest[:, None]) / total[:, None]
    return out


@helion.kernel()
def softmax_backward(grad_out: torch.Tensor, softmax_out: torch.Tensor) -> torch.Tensor:
    m, n = grad_out.size()
    grad_x = torch.empty_like(grad_out)
    for tile_m in hl.tile(m):
        dy = grad_out[tile_m, :]
        y = softmax_out[tile_m, :]
        dot = torch.sum(dy * y, dim=1, keepdim=True)
        grad_x[tile_m, :] = y * (dy - dot)
    return grad_x


@helion.kernel()
def batch_softmax(x: torch.Tensor) -> torch.Tensor:
    """Over the last of three dimensions."""
    b, m, _n = x.size()
    out = torch.empty_like(x)
    for tile_b, tile_m in hl.tile([b, m]):
        values = x[tile_b, tile_m, :]
        largest = torch.amax(values, dim=-1, keepdim=True)
        exponentials = torch.exp(values - largest)
        out[tile_b, tile_m, :] = exponentials / torch.sum(exponentials, dim=-1, keepdim=True)
    return out
