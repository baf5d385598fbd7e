"""Tiles, grids, bounds, slices and subscripts."""
from __future__ import annotations
import torch
import helion
import helion.language as hl


@helion.kernel
def gridonly(x):
    o = torch.empty_like(x)
    for i in hl.grid(x.size(0)):
        o[i] = x[i] * 2 + i
    return o


@helion.kernel(config=helion.Config(block_sizes=[]))
def gridstep(x):
    m, n = x.size()
    o = torch.zeros_like(x)
    for i in hl.grid(1, m, step=3):
        o[i, :] = x[i, :] + i
    return o


@helion.kernel()
def grid2(x):
    o = torch.empty_like(x)
    for i, j in hl.grid([x.size(0), x.size(1)]):
        o[i, j] = x[i, j] * i - j
    return o


@helion.kernel()
def mix(x):
    a, b, c = x.shape
    o = torch.empty_like(x)
    for i in hl.grid(a):
        for tb, tc in hl.tile([b, c]):
            o[i, tb, tc] = x[i, tb, tc] + x[a - 1 - i, tb, tc]
    return o


@helion.kernel()
def attrs(x):
    n = x.size(0)
    o = torch.empty([n], dtype=torch.float32)
    p = torch.empty([n], dtype=torch.int64)
    for t in hl.tile(n, block_size=4):
        o[t] = x[t] * t.index + t.begin + t.end
        p[t] = t.id * t.block_size + (t.index - t.begin) * 0
    return o, p


@helion.kernel()
def bounds(x):
    o = torch.zeros_like(x)
    for t in hl.tile(5, 33, block_size=8):
        o[t] = x[t] + t.begin
    return o


@helion.kernel()
def nested_in(x):
    n = x.size(0)
    o = torch.zeros_like(x)
    for outer in hl.tile(n, block_size=16):
        for inner in hl.tile(outer.begin, outer.end, block_size=5):
            o[inner] = x[inner] * (inner.index - outer.begin)
    return o


@helion.kernel()
def tri(x):
    n = x.size(0)
    o = torch.zeros([n], dtype=torch.float32)
    for i in hl.grid(n):
        acc = hl.zeros([1], dtype=torch.float32)
        for t in hl.tile(0, i + 1):
            acc = acc + x[i, t].sum()
        o[i] = acc.sum()
    return o


@helion.kernel()
def list_bs(x):
    o = torch.empty_like(x)
    for ti, tj in hl.tile([0, 0], [x.size(0), x.size(1)], block_size=[4, None]):
        o[ti, tj] = x[ti, tj] * (ti.index[:, None] + tj.index[None, :])
    return o


@helion.kernel()
def four(x):
    o = torch.empty_like(x)
    p = torch.empty([x.size(3), x.size(1)], dtype=x.dtype)
    for t in hl.tile(x.size()):
        a, b, c, d = t
        o[a, b, c, d] = x[a, b, c, d] + b.index[None, :, None, None]
    for td, tb in hl.tile([x.size(3), x.size(1)]):
        p[td, tb] = x[0, tb, 2, td].T
    return o, p


@helion.kernel()
def ar(x):
    m, n = x.size()
    n = hl.specialize(n)
    o = torch.empty_like(x)
    for t in hl.tile(m):
        cols = hl.arange(n)
        o[t, :] = x[t, :] * cols[None, :] + torch.arange(n, device=x.device)
    return o


@helion.kernel()
def lst(x):
    m, n = x.size()
    o = torch.zeros([m, n], dtype=x.dtype)
    for t in hl.tile(m):
        v = hl.load(x, [t, hl.arange(8)], extra_mask=(t.index < m - 3)[:, None])
        hl.store(o, [t, hl.arange(8)], v * 2, extra_mask=(t.index % 2 == 0)[:, None])
    return o


@helion.kernel()
def two_loops(x):
    m, n = x.size()
    tmp = torch.empty_like(x)
    out = torch.empty([n], dtype=x.dtype)
    for ti, tj in hl.tile([m, n]):
        tmp[ti, tj] = torch.exp(x[ti, tj])
    for tj in hl.tile(n):
        out[tj] = tmp[:, tj].sum(0)
    for tj in hl.tile(n):
        out[tj] = out[tj] * 2 + tmp[0, tj]
    return out, tmp


@helion.kernel()
def inplace(x):
    for ti, tj in hl.tile(x.size()):
        x[ti, tj] = x[ti, tj] * 3
        x[ti, tj] += 1
    return x


@helion.kernel()
def inplace2(x):
    for t in hl.tile(x.size(0)):
        v = x[t]
        x[t] = v + 1
        w = x[t]
        x[t] = w * v
    return x.sum(), x


@helion.kernel()
def slices(x):
    m, n = x.size()
    o = torch.zeros_like(x)
    for t in hl.tile(m):
        o[t, 0:8] = x[t, 4:12] * 2
        o[t, 12:20] = x[t, 12:] + x[t, :8]
        o[t, 9] = x[t, 3]
        o[t, 10] = x[t, n - 1]
        o[t, 11] = x[t, -2]
    return o


@helion.kernel()
def nones(x, y):
    o = torch.empty([x.size(0), y.size(0)], dtype=torch.promote_types(x.dtype, y.dtype))
    for ti, tj in hl.tile(o.shape):
        o[ti, tj] = x[ti, None] * y[None, tj]
    return o


@helion.kernel()
def strided(x):
    o = torch.empty_like(x)
    p = x.new_empty(x.size(1), x.size(0))
    for ti, tj in hl.tile(x.size()):
        o[ti, tj] = x[ti, tj] + 1
        p[tj, ti] = x[ti, tj].T
    return o, p


@helion.kernel()
def begins(x):
    n = x.size(0)
    o = torch.empty([(n + 6) // 7], dtype=x.dtype)
    q = torch.zeros([helion.cdiv(n, 7)], dtype=torch.int32)
    for t in hl.tile(n, block_size=7):
        o[t.id] = x[t].sum()
        q[t.id] = t.end - t.begin
    return o, q


@helion.kernel()
def dyn(x, n):
    m = x.size(0)
    o = torch.zeros([m], dtype=x.dtype)
    for i in hl.grid(m):
        end = n[i]
        acc = hl.zeros([], dtype=torch.float32)
        for t in hl.tile(0, end):
            acc = acc + x[i, t].sum()
        o[i] = acc
    return o


@helion.kernel()
def cond(x, flag: bool):
    o = torch.empty_like(x)
    for t in hl.tile(x.size(0), block_size=8):
        v = x[t]
        if flag:
            v = v * 2
        else:
            v = v - 1
        if t.begin == 8:
            v = v + 100
        elif t.id == 2:
            v = -v
        o[t] = v
    return o


@helion.kernel()
def cdv(x):
    n = x.size(0)
    nb = helion.cdiv(n, 4)
    o = torch.zeros([nb, helion.next_power_of_2(n)], dtype=x.dtype)
    for t in hl.tile(n, block_size=4):
        o[t.id, t.index] = x[t] + nb
    return o


@helion.kernel()
def rng(x):
    m, n = x.size()
    o = torch.empty([m], dtype=x.dtype)
    for t in hl.tile(m):
        acc = hl.zeros([t])
        for k in range(n):
            acc = acc + x[t, k] * k
        for k in range(1, n, 2):
            acc += x[t, k]
        for k in hl.static_range(4):
            acc -= x[t, k]
        o[t] = acc
    return o
