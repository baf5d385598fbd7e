"""Subscripts that only the call can check."""
from __future__ import annotations
import torch
import helion
import helion.language as hl


@helion.kernel()
def rows(table, ids):
    o = torch.empty([ids.size(0), table.size(1)], dtype=table.dtype)
    for t in hl.tile(ids.size(0)):
        o[t, :] = table[ids[t], :]
    return o


@helion.kernel()
def elements(table, ids):
    o = torch.empty_like(table)
    for t, c in hl.tile(ids.size()):
        o[t, c] = table[t.index[:, None], ids[t, c]]
    return o


@helion.kernel()
def scatter(x, ids):
    o = torch.zeros_like(x)
    for t in hl.tile(ids.size(0)):
        o[ids[t]] = x[t]
    return o


@helion.kernel()
def shifted(x, shift: int):
    o = torch.zeros_like(x)
    for t in hl.tile(x.size(0)):
        o[t] = x[t.index + shift]
    return o


@helion.kernel()
def scalar(x, at):
    o = torch.zeros_like(x)
    for t in hl.tile(x.size(0)):
        o[t] = x[t] + x[at[0]]
    return o


@helion.kernel()
def masked(x, ids, limit: int):
    o = torch.zeros_like(x)
    for t in hl.tile(x.size(0)):
        i = ids[t]
        o[t] = hl.load(x, [i], extra_mask=i < limit)
    return o


@helion.kernel()
def product(x, y, begin):
    o = torch.zeros([x.size(0), y.size(1)], dtype=torch.float32)
    for t in hl.tile(x.size(0)):
        first = begin[0]
        acc = hl.zeros([t, y.size(1)], dtype=torch.float32)
        for k in hl.tile(first, first + 8):
            acc = torch.addmm(acc, x[t, k], y[k, :])
        o[t, :] = acc
    return o


@helion.kernel()
def no_turn(x, at, n):
    o = torch.zeros_like(x)
    for t in hl.tile(x.size(0)):
        acc = hl.zeros([t], dtype=torch.float32)
        for k in hl.tile(0, n[0]):
            acc = acc + x[at[0]] + x[k].sum()
        o[t] = acc
    return o


@helion.kernel()
def branch(x, at, flag):
    o = torch.zeros_like(x)
    for t in hl.tile(x.size(0)):
        if flag[0] > 0:
            o[t] = x[t] + x[at[0]]
        else:
            o[t] = x[t]
    return o


@helion.kernel()
def first_row(x):
    r = x[0]
    o = torch.zeros_like(r)
    for t in hl.tile(r.size(0)):
        o[t] = r[t]
    return o


@helion.kernel()
def host_index(x, at: int):
    r = x[at]
    o = torch.zeros_like(r)
    for t in hl.tile(r.size(0)):
        o[t] = r[t] + x[at, t]
    return o


@helion.kernel()
def host_slice(x, begin: int):
    r = x[begin:]
    o = torch.zeros_like(r)
    for t in hl.tile(r.size(0)):
        o[t] = r[t]
    return o


@helion.kernel()
def largest(x):
    o = torch.zeros([x.size(0)], dtype=x.dtype)
    p = torch.zeros([x.size(0)], dtype=torch.int64)
    for t in hl.tile(x.size(0)):
        o[t] = x[t, :].amin(-1)
        p[t] = x[t, :].argmax(-1)
    return o, p


@helion.kernel()
def host_largest(x):
    o = torch.zeros_like(x)
    for t in hl.tile(x.size(0)):
        o[t, :] = x[t, :]
    return o, x.amax(1)
