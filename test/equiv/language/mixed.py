"""Whole kernels that mix the parts."""
import torch
import helion
import helion.language as hl


@helion.kernel()
def eye(x):
    o = torch.empty_like(x)
    for a, b in hl.tile(x.shape):
        o[a, b] = torch.where(a.index[:, None] == b.index[None, :], 1.0, x[a, b])
    return o


@helion.kernel()
def minidx(x):
    m, n = x.size()
    o = torch.empty([m], dtype=torch.int64)
    d = torch.empty([m], dtype=x.dtype)
    for t in hl.tile(m):
        best = hl.full([t], float("inf"), dtype=torch.float32)
        bi = hl.zeros([t], dtype=torch.int64)
        for u in hl.tile(n):
            v = x[t, u]
            lo = torch.amin(v, dim=1)
            at = torch.argmin(v, dim=1) + u.begin
            better = lo < best
            best = torch.where(better, lo, best)
            bi = torch.where(better, at, bi)
        o[t] = bi
        d[t] = best
    return o, d


@helion.kernel()
def online(x):
    m, n = x.size()
    o = torch.empty([m], dtype=x.dtype)
    for t in hl.tile(m):
        mx = hl.full([t], float("-inf"), dtype=torch.float32)
        s = hl.zeros([t], dtype=torch.float32)
        for u in hl.tile(n):
            v = x[t, u]
            nm = torch.maximum(mx, v.amax(1))
            s = s * torch.exp(mx - nm) + torch.exp(v - nm[:, None]).sum(1)
            mx = nm
        o[t] = mx + torch.log(s)
    return o


@helion.kernel()
def two_dim(x):
    a, b, c = x.size()
    o = torch.empty([a], dtype=x.dtype)
    for t in hl.tile(a):
        o[t] = x[t, :, :].sum(-1).sum(-1) + x[t, :, :].reshape(-1, b * c).amax(-1)
    return o


@helion.kernel()
def bcast(a, b, c):
    a, b, c = torch.broadcast_tensors(a, b, c)
    o = torch.empty(a.shape, dtype=torch.float32)
    for t in hl.tile(o.shape):
        o[t] = a[t] * b[t] + c[t]
    return o


@helion.kernel()
def zerod(x, s):
    o = torch.empty_like(x)
    for t in hl.tile(x.size(0)):
        o[t] = x[t]
    return o


@helion.kernel()
def onesz(x):
    o = torch.empty_like(x)
    for t in hl.tile(x.size(0)):
        v = x[t, :, :]
        o[t, :, :] = v.sum(-1, keepdim=True) + v.amax(1, keepdim=True)
    return o


@helion.kernel()
def swaps(x):
    m, n = x.size()
    o = torch.empty([n, m], dtype=x.dtype)
    for a, b in hl.tile([m, n]):
        o[b, a] = x[a, b].transpose(-1, -2) + torch.permute(x[a, b], (1, 0)) * x[a, b].t()
    return o


@helion.kernel()
def accum(x):
    m, n = x.size()
    o = torch.zeros([m], dtype=x.dtype)
    for t in hl.tile(m):
        for u in hl.tile(n):
            o[t] += x[t, u].sum(1)
    return o


@helion.kernel()
def fullops(x):
    m, n = x.size()
    o = torch.full_like(x, 3.0)
    p = torch.ones_like(x)
    q = torch.zeros_like(x, dtype=torch.int32)
    for a, b in hl.tile([m, n]):
        v = x[a, b]
        o[a, b] = torch.full_like(v, 2.0) * v + torch.zeros_like(v) + torch.ones_like(v)
        q[a, b] = 7
        p[a, b] = 0.5
    return o, p, q


@helion.kernel()
def tup(x):
    n, = x.shape
    a = b = torch.empty_like(x)
    for t in hl.tile(n):
        u, v = x[t], x[t] + 1
        u, v = v, u
        a[t] = u * 2 - v
    return a


@helion.kernel()
def newx(x):
    o = x.new_empty(x.size(), dtype=torch.float32)
    p = x.new_zeros([x.size(0)])
    q = torch.empty(x.shape[0], dtype=x.dtype)
    for t in hl.tile(x.numel()):
        o[t] = x[t].float().exp()
        p[t] = x[t].sin()
        q[t] = x[t].to(dtype=torch.float32).cos().to(x.dtype)
    return o, p, q


@helion.kernel()
def types(x):
    o = torch.empty([x.size(0)], dtype=torch.float32)
    for t in hl.tile(x.size(0)):
        v = x[t, :].to(torch.float32)
        o[t] = torch.mean(v * v, -1)
    return o


@helion.kernel()
def dup(x):
    o = torch.empty_like(x)
    for t in hl.tile(x.size(0)):
        o[t, :] = x[t, :] + x[t, :] * x[t, :]
        o[t, 0] = 0
    return o, o


@helion.kernel()
def carry(x):
    m, n = x.size()
    o = torch.empty_like(x)
    for t in hl.tile(n):
        s = hl.zeros([t], dtype=torch.float32)
        for i in range(m):
            s = s * 0.9 + x[i, t]
            o[i, t] = s
    return o


@helion.kernel()
def cols(x):
    a, b, c = x.size()
    o = torch.empty([a, c], dtype=x.dtype)
    for t, u in hl.tile([a, b]):
        pass
    for t in hl.tile(a):
        acc = hl.zeros([t, c], dtype=torch.float32)
        for u in hl.tile(b):
            acc += x[t, u, :].sum(1)
        o[t, :] = acc
    return o


@helion.kernel()
def lnorm(x, w, b, eps: float = 1e-5):
    m, n = x.size()
    o = torch.empty_like(x)
    mean = torch.empty([m], dtype=torch.float32)
    for t in hl.tile(m):
        a = x[t, :].to(torch.float32)
        mu = torch.sum(a, dim=-1) / n
        c = a - mu[:, None]
        var = torch.sum(c * c, dim=-1) / n
        r = torch.rsqrt(var + eps)
        o[t, :] = (c * r[:, None] * w[:].to(torch.float32) + b[:].to(torch.float32)).to(x.dtype)
        mean[t] = mu
    return o, mean


@helion.kernel()
def emb(x, w):
    xf = x.reshape(-1)
    d = w.size(1)
    o = torch.empty([xf.size(0), d], dtype=w.dtype)
    for t, u in hl.tile([xf.size(0), d]):
        o[t, u] = hl.load(w, [xf[t], u])
    return o.view(*x.size(), d)


@helion.kernel()
def rope(x, c, s):
    m, d = x.size()
    h = d // 2
    o = torch.empty_like(x)
    for t in hl.tile(m):
        a = x[t, :h]
        b = x[t, h:]
        o[t, :h] = a * c[t, :] - b * s[t, :]
        o[t, h:] = b * c[t, :] + a * s[t, :]
    return o


@helion.kernel()
def stk(x):
    m, n = x.size()
    o = torch.empty([m, n, 2], dtype=x.dtype)
    for t in hl.tile(m):
        o[t, :, :] = torch.stack([x[t, :], -x[t, :]], dim=-1)
    return o


@helion.kernel()
def catk(x, y):
    m = x.size(0)
    n1, n2 = x.size(1), y.size(1)
    o = torch.empty([m, n1 + n2], dtype=x.dtype)
    for t in hl.tile(m):
        o[t, :n1] = x[t, :]
        o[t, n1:] = y[t, :]
    return o


@helion.kernel()
def unb(x):
    m, n = x.size()
    o = torch.empty([m, n // 2], dtype=x.dtype)
    y = x.view(m, n // 2, 2)
    for t in hl.tile(m):
        o[t, :] = y[t, :, 0] * y[t, :, 1]
    return o


@helion.kernel()
def maxdim(x):
    m, n = x.size()
    o = torch.empty([m], dtype=x.dtype)
    for t in hl.tile(m):
        o[t] = torch.amax(torch.abs(x[t, :]), -1).clamp_min(1e-4)
    return o


@helion.kernel()
def stdk(x):
    m, n = x.size()
    o = torch.empty([m], dtype=x.dtype)
    for t in hl.tile(m):
        o[t] = torch.sqrt(torch.var(x[t, :], -1))
    return o


@helion.kernel()
def cumlike(x):
    m, n = x.size()
    o = torch.empty_like(x)
    for t in hl.tile(m):
        i = hl.arange(n)
        tri = (i[:, None] <= i[None, :]).to(torch.float32)
        o[t, :] = torch.matmul(x[t, :], tri)
    return o


@helion.kernel()
def flat(x):
    f = x.flatten()
    o = torch.empty_like(f)
    for t in hl.tile(f.numel()):
        o[t] = f[t] * 2
    return o.reshape(x.shape)


@helion.kernel(static_shapes=True)
def att(q, k, v):
    B, m, d = q.size()
    n = k.size(1)
    d = hl.specialize(d)
    o = torch.empty_like(q)
    kt = k.transpose(1, 2)
    sc = 1.0 / d ** 0.5 * 1.44269504
    for tb, tm in hl.tile([B, m]):
        mi = hl.full([tb, tm], float("-inf"), dtype=torch.float32)
        li = torch.full_like(mi, 1.0)
        acc = hl.zeros([tb, tm, d], dtype=torch.float32)
        qq = q[tb, tm, :]
        for tn in hl.tile(v.size(1)):
            s = torch.bmm(qq, kt[tb, :, tn])
            mij = torch.maximum(mi, torch.amax(s, -1) * sc)
            s = s * sc - mij[:, :, None]
            p = torch.exp2(s)
            a = torch.exp2(mi - mij)
            li = li * a + p.sum(-1)
            acc = acc * a[:, :, None]
            acc = torch.baddbmm(acc, p.to(v.dtype).float(), v[tb, tn, :].float())
            mi = mij
        o[tb, tm, :] = (acc / li[:, :, None]).to(o.dtype)
    return o


@helion.kernel()
def intsum(x):
    o = torch.empty([x.size(0)], dtype=torch.int64)
    p = torch.empty([x.size(0)], dtype=torch.float32)
    for t in hl.tile(x.size(0)):
        o[t] = x[t, :].sum(-1)
        p[t] = x[t, :].float().mean(-1)
    return o, p, x.sum()


@helion.kernel()
def b2(x):
    o = torch.empty([x.size(0)], dtype=torch.int64)
    p = torch.empty(x.size(), dtype=torch.float32)
    for t in hl.tile(x.size(0)):
        v = x[t, :]
        o[t] = v.sum(-1) + (~v).sum(-1) * 10
        p[t, :] = torch.where(v, 1, 0) * 0.5 + v
    return o, p


@helion.kernel()
def neg(x):
    o = torch.empty([x.size(0)], dtype=torch.float32)
    p = torch.empty_like(x)
    for t in hl.tile(x.size(0)):
        o[t] = x[t] / 2
        p[t] = (x[t] // -2) % 3 - x[t] % -3
    return o, p


@helion.kernel()
def rev(x):
    n = x.size(0)
    o = torch.empty_like(x)
    for t in hl.tile(n):
        o[t] = x[n - 1 - t.index]
    return o


@helion.kernel()
def tindex(x):
    m, n = x.size()
    o = torch.empty_like(x)
    for t in hl.tile(m):
        o[t.index, :] = x[t.index, :] + (t + 1)[:, None]
    return o


@helion.kernel()
def masked(x, lens):
    m, n = x.size()
    o = torch.empty([m], dtype=x.dtype)
    for t in hl.tile(m):
        acc = hl.zeros([t], dtype=torch.float32)
        for u in hl.tile(n):
            ok = u.index[None, :] < lens[t][:, None]
            acc = acc + hl.load(x, [t, u], extra_mask=ok).sum(-1)
        o[t] = acc
    return o


@helion.kernel()
def isx(x):
    o = torch.empty(x.size(), dtype=torch.int32)
    p = torch.empty_like(x)
    for t in hl.tile(x.size(0)):
        v = x[t]
        o[t] = torch.isnan(v) + 2 * torch.isinf(v).to(torch.int32)
        p[t] = torch.where(torch.isnan(v), 0.0, torch.sign(v))
    return o, p


@helion.kernel()
def misc(x):
    o1, o2, o3, o4, o5, o6 = [torch.empty_like(x) for _ in range(6)]
    for t in hl.tile(x.size(0)):
        v = x[t]
        o1[t] = torch.trunc(v) + torch.expm1(v.clamp(max=3))
        o2[t] = torch.square(v) + torch.atan2(v, v + 1)
        o3[t] = torch.nn.functional.leaky_relu(v, 0.1)
        o4[t] = torch.sin(v)
        o5[t] = torch.cos(v)
        o6[t] = torch.fmod(v, 2.0) + torch.remainder(v, 2.0)
    return o1, o2, o3, o4, o5, o6


@helion.kernel()
def lerpk(x, y):
    o = torch.empty_like(x)
    p = torch.empty_like(x)
    for t in hl.tile(x.size(0)):
        o[t] = torch.lerp(x[t], y[t], 0.3)
        p[t] = torch.add(x[t], y[t], alpha=2) - torch.sub(x[t], y[t]) * torch.mul(x[t], 2) + torch.div(x[t], 2)
    return o, p


@helion.kernel()
def hloads(x):
    o = torch.empty_like(x)
    for a, b in hl.tile(x.size()):
        v = hl.load(x, [a, b], eviction_policy="evict_last")
        hl.store(o, [b, a], v.T)
    return o


@helion.kernel()
def lg(x):
    o = torch.empty_like(x)
    for t in hl.tile(x.size(0)):
        o[t, :] = torch.nn.functional.log_softmax(x[t, :].to(torch.float32), dim=-1).to(x.dtype)
        o[t, :] = torch.exp(o[t, :])
    return o


@helion.kernel()
def stacked(x, y):
    m, n = x.size()
    o1 = torch.zeros([m, 2, n], dtype=torch.float32)
    o2 = torch.zeros([m, hl.specialize(n) * 3], dtype=torch.float32)
    o3 = torch.zeros([2, m], dtype=torch.float32)
    for t in hl.tile(m):
        a, b = x[t, :], y[t, :]
        o1[t, :, :] = torch.stack([a, b], dim=1)
        o2[t, :] = torch.stack((a, b, a + b), dim=-1).reshape(t, n * 3)
        o3[:, t] = torch.stack([a.sum(-1), b.sum(-1)])
    return o1, o2, o3


@helion.kernel()
def interleaved(x):
    m, n = x.size()
    o = torch.empty([m, 2, n], dtype=torch.float32)
    for t, c in hl.tile([m, n]):
        lo = (x[t, c] << 4) >> 4
        hi = x[t, c] >> 4
        o[t, :, c] = torch.stack([lo.to(torch.float32), hi.to(torch.float32)], dim=1)
    return o


@helion.kernel()
def merged(x, y):
    m, n = x.size()
    bm = hl.register_block_size(m)
    o = torch.empty([m * 2, n], dtype=x.dtype)
    s = torch.zeros([m], dtype=torch.float32)
    for t in hl.tile(m, block_size=bm):
        for u in hl.tile(n):
            a, b = x[t, u], y[t, u]
            o[t.begin * 2 : t.begin * 2 + bm * 2, u] = torch.stack([a, b], 1).reshape(bm * 2, u)
        s[t.id] = x[t, :].reshape(-1).sum(0)
    return o, s.sum()


@helion.kernel()
def parted(x):
    m, n = x.size()
    bm = hl.register_block_size(m // 2)
    o = torch.empty([m // 2, n], dtype=x.dtype)
    for t, u in hl.tile([m // 2, n], block_size=[bm, None]):
        pairs = x[t.begin * 2 : t.begin * 2 + bm * 2, u].reshape(t, 2, u)
        o[t, u] = pairs.amax(1)
    return o
