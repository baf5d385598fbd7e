"""Reductions over rows, columns and nested tiles."""
import torch
import helion
import helion.language as hl


@helion.kernel()
def rows(x):
    m = x.size(0)
    s, me, ma, mi, p = [torch.empty([m], dtype=x.dtype, device=x.device) for _ in range(5)]
    for t in hl.tile(m):
        v = x[t, :]
        s[t] = v.sum(-1)
        me[t] = torch.mean(v, dim=-1)
        ma[t] = torch.amax(v, dim=1)
        mi[t] = v.amin(1)
        p[t] = torch.prod(v, dim=1)
    return s, me, ma, mi, p


@helion.kernel()
def moments(x):
    m = x.size(0)
    doubled = torch.empty_like(x)
    largest, mean, second, third = [torch.empty([m], dtype=torch.float32) for _ in range(4)]
    for t in hl.tile(m):
        v = x[t, :].float()
        doubled[t, :] = v * 2
        largest[t] = v.abs().amax(-1)
        average = v.mean(-1)
        mean[t] = average
        away = v - average[:, None]
        second[t] = (away * away).sum(-1)
        third[t] = (away * away * away).sum(-1)
    return doubled, largest, mean, second, third


@helion.kernel()
def neg3(x):
    a, b, c = x.size()
    o1 = x.new_empty([a, c])
    o2 = x.new_empty([a, b, 1])
    for ta, tc in hl.tile([a, c]):
        o1[ta, tc] = x[ta, :, tc].sum(-2)
    for ta, tb in hl.tile([a, b]):
        o2[ta, tb, :] = x[ta, tb, :].amax(dim=-1, keepdim=True)
    return o1, o2


@helion.kernel()
def first(x):
    m, n = x.shape
    o = torch.zeros(n, dtype=torch.float32, device=x.device)
    q = torch.zeros(n, dtype=torch.float32, device=x.device)
    for t in hl.tile(n):
        o[t] = x[:, t].sum(0)
        q[t] = torch.amax(x[:, t], 0)
    return o, q


@helion.kernel()
def argm(x):
    m, n = x.shape
    o1 = torch.empty([m], dtype=torch.int64)
    o2 = torch.empty([m, 1], dtype=torch.int64)
    o3 = torch.empty([n], dtype=torch.int32)
    for t in hl.tile(m):
        o1[t] = torch.argmax(x[t, :], dim=1)
        o2[t, :] = x[t, :].argmin(-1, keepdim=True)
    for t in hl.tile(n):
        o3[t] = torch.argmax(x[:, t], 0)
    return o1, o2, o3


@helion.kernel()
def ints(x):
    m = x.size(0)
    o1 = torch.empty([m], dtype=torch.int64)
    o2 = torch.empty([m], dtype=x.dtype)
    o3 = torch.empty([m], dtype=x.dtype)
    o4 = torch.empty([m], dtype=torch.int64)
    o5 = torch.empty([m], dtype=torch.float32)
    for t in hl.tile(m):
        v = x[t, :]
        o1[t] = v.sum(1)
        o2[t] = v.amax(1)
        o3[t] = v.amin(1)
        o4[t] = v.prod(1)
        o5[t] = v.to(torch.float32).mean(1)
    return o1, o2, o3, o4, o5


@helion.kernel()
def boolred(x):
    m = x.size(0)
    o1 = torch.empty([m], dtype=torch.int64)
    o2 = torch.empty([m], dtype=torch.bool)
    o3 = torch.empty([m], dtype=torch.bool)
    for t in hl.tile(m):
        v = x[t, :]
        o1[t] = v.sum(1)
        o2[t] = torch.any(v, 1)
        o3[t] = torch.all(v, dim=1)
    return o1, o2, o3


@helion.kernel()
def tiled(x):
    m, n = x.shape
    s = torch.empty([m], dtype=torch.float32)
    a = torch.empty([m], dtype=torch.float32)
    for tm in hl.tile(m):
        acc = hl.zeros([tm], dtype=torch.float32)
        mx = hl.full([tm], float("-inf"), dtype=torch.float32)
        for tn in hl.tile(n):
            v = x[tm, tn]
            acc += v.sum(-1)
            mx = torch.maximum(mx, v.amax(-1))
        s[tm] = acc
        a[tm] = mx
    return s, a


@helion.kernel()
def var(x):
    m = x.size(0)
    o1 = torch.empty([m], dtype=x.dtype)
    o2 = torch.empty([m], dtype=x.dtype)
    o3 = torch.empty([m], dtype=x.dtype)
    for t in hl.tile(m):
        v = x[t, :]
        o1[t] = torch.var(v, dim=-1)
        o2[t] = v.var(-1, correction=0)
        va, me = torch.var_mean(v, dim=-1, unbiased=False)
        o3[t] = va + me
    return o1, o2, o3


@helion.kernel()
def soft(x):
    o1 = torch.empty_like(x)
    o2 = torch.empty_like(x)
    for t in hl.tile(x.size(0)):
        o1[t, :] = torch.softmax(x[t, :], dim=-1)
        o2[t, :] = torch.nn.functional.log_softmax(x[t, :], -1)
    return o1, o2


@helion.kernel()
def empty(x):
    o1 = torch.empty([x.size(0)], dtype=x.dtype)
    o2 = torch.empty([x.size(0)], dtype=x.dtype)
    o3 = torch.empty([x.size(0)], dtype=x.dtype)
    for t in hl.tile(x.size(0)):
        o1[t] = x[t, :].sum(1)
        o2[t] = x[t, :].prod(1)
        o3[t] = x[t, :].mean(1)
    return o1, o2, o3


@helion.kernel()
def total(x):
    o1 = torch.empty([1], dtype=x.dtype)
    part = torch.empty([x.size(0) // 10], dtype=x.dtype)
    for t in hl.grid(0, x.size(0) // 10):
        part[t] = x[t] * 10
    return part.sum(), part.mean() * 2


@helion.kernel()
def lse(x):
    m = x.size(0)
    o = torch.empty([m], dtype=x.dtype)
    for t in hl.tile(m):
        o[t] = torch.logsumexp(x[t, :], dim=1)
    return o
