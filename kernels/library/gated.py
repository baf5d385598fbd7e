"""Gated activations: GEGLU (tanh form) and SwiGLU, with gradients."""
import torch

import helion
import helion.language as hl


@helion.kernel()
def geglu(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """gelu(a) * b"""
    assert a.shape == b.shape, f"shape mismatch: {a.shape} != {b.shape}"
    out = torch.empty_like(a)
    total = a.numel()
    a_flat = a.view(-1)
    b_flat = b.view(-1)
    out_flat = out.view(-1)
    for tile in hl.tile(total):
        x = a_flat[tile].to(torch.float32)
        inner = 0.7978845608028654 * (x + 0.044715 * x * x * x)
        gelu = 0.5 * x * (1.0 + torch.tanh(inner))
        out_flat[tile] = gelu.to(b.dtype) * b_flat[tile]
    return out


@helion.kernel()
def swiglu(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """silu(a) * b"""
    assert a.shape == b.shape, f"shape mismatch: {a.shape} != {b.shape}"
    out = torch.empty_like(a)
    total = a.numel()
    a_flat = a.view(-1)
    b_flat = b.view(-1)
    out_flat = out.view(-1)
    for tile in hl.tile(total):
        x = a_flat[tile].to(torch.float32)
        silu = x * torch.sigmoid(x)
        out_flat[tile] = silu.to(b.dtype) * b_flat[tile]
    return out


@helion.kernel()
def swiglu_backward(
    grad_out: torch.Tensor, a: torch.Tensor, b: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    grad_a = torch.empty_like(a)
    grad_b = torch.empty_like(b)
    for tile in hl.tile(a.size()):
        x = a[tile].to(torch.float32)
        gate = torch.sigmoid(x)
        dy = grad_out[tile].to(torch.float32)
        grad_b[tile] = (dy * x * gate).to(b.dtype)
        grad_a[tile] = (dy * b[tile].to(torch.float32) * gate * (1.0 + x * (1.0 - gate))).to(a.dtype)
    return grad_a, grad_b
