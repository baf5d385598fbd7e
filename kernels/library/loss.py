"""Losses over rows: cross entropy, Kullback-Leibler and Jensen-Shannon divergence."""
from __future__ import annotations

import torch

import helion
import helion.language as hl


@helion.kernel()
def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean over rows of log(sum(exp(logits))) - logits[label]."""
    n, v = logits.shape
    losses = torch.zeros([n], dtype=logits.dtype, device=logits.device)
    flat = logits.view(-1)
    for tile_n in hl.tile(n):
        wanted = labels[tile_n]
        position = tile_n.index * v + wanted
        at_label = hl.load(flat, [position])
        rows = logits[tile_n, :]
        largest = torch.amax(rows, dim=-1, keepdim=True)
        total = torch.sum(torch.exp(rows - largest), dim=-1, keepdim=True)
        losses[tile_n] = largest.squeeze(-1) + torch.log(total.squeeze(-1)) - at_label
    return losses.mean()


@helion.kernel(ignore_warnings=[helion.exc.TensorOperationInWrapper])
def kl_div(
    y_pred: torch.Tensor,
    y_true: torch.Tensor,
    log_target: bool = False,
    reduction: hl.constexpr = "batchmean",
    eps: float = 1e-10,
) -> torch.Tensor:
    """sum(y_true * (log(y_true) - y_pred)) over rows; y_pred holds log-probabilities."""
    bt, v = y_pred.shape
    assert y_true.shape == y_pred.shape, f"shape mismatch: {y_true.shape} != {y_pred.shape}"
    if reduction == "none":
        loss = torch.zeros_like(y_pred)
    else:
        loss = torch.zeros([bt], dtype=torch.float32, device=y_pred.device)
    block_v = hl.register_block_size(v)
    for tile_bt in hl.tile(bt):
        total = hl.zeros([tile_bt, block_v], dtype=torch.float32)
        for tile_v in hl.tile(v, block_size=block_v):
            pred = y_pred[tile_bt, tile_v]
            true = y_true[tile_bt, tile_v]
            if log_target:
                part = torch.exp(true) * (true - pred)
            else:
                part = true * (torch.log(torch.clamp(true, min=eps)) - pred)
            if reduction == "none":
                loss[tile_bt, tile_v] = part
            else:
                total += part
        if reduction != "none":
            loss[tile_bt] = total.sum(dim=-1)
    if reduction == "batchmean":
        return torch.sum(loss) / bt
    if reduction == "sum":
        return torch.sum(loss)
    if reduction == "mean":
        return torch.sum(loss) / (bt * v)
    return loss


@helion.kernel()
def jsd(
    log_q: torch.Tensor,
    log_p: torch.Tensor,
    labels: torch.Tensor | None = None,
    beta: hl.constexpr = 0.5,
    ignore_index: hl.constexpr = -100,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Generalised Jensen-Shannon divergence of log-probabilities, and its gradient by log_q."""
    bt, v = log_q.shape
    assert log_p.shape == log_q.shape, f"shape mismatch: {log_p.shape} != {log_q.shape}"
    loss = torch.zeros([bt], dtype=torch.float32, device=log_q.device)
    dq = torch.empty_like(log_q)
    count = float(bt)
    block_v = hl.register_block_size(v)
    for tile_bt in hl.tile(bt):
        total = hl.zeros([tile_bt, block_v], dtype=torch.float32)
        for tile_v in hl.tile(v, block_size=block_v):
            log_x = log_q[tile_bt, tile_v].to(torch.float32)
            log_y = log_p[tile_bt, tile_v].to(torch.float32)
            if beta == 0.0:
                y = torch.exp(log_y)
                part = y * (log_y - log_x)
                grad = -y
            elif beta == 1.0:
                q = torch.exp(log_x)
                part = q * (log_x - log_y)
                grad = part + q
            else:
                q = torch.exp(log_x)
                p = torch.exp(log_y)
                beta_p = beta * p
                rest_q = (1.0 - beta) * q
                mixture = beta_p + rest_q
                log_m = torch.log(mixture)
                part = beta_p * log_y + rest_q * log_x - mixture * log_m
                grad = rest_q * (log_x - log_m)
            if labels is not None:
                kept = labels[tile_bt] != ignore_index
                part = torch.where(kept[:, None], part, 0.0)
                grad = torch.where(kept[:, None], grad, 0.0)
            total += part / count
            dq[tile_bt, tile_v] = (grad / count).to(log_q.dtype)
        loss[tile_bt] = total.sum(dim=-1)
    return torch.sum(loss), dq
