"""Matrix products."""
import torch
import helion
import helion.language as hl


@helion.kernel
def mm(x, y):
    m, k = x.size()
    k2, n = y.size()
    assert k == k2, f"size mismatch {k} {k2}"
    out = torch.empty([m, n], dtype=torch.promote_types(x.dtype, y.dtype), device=x.device)
    for tm, tn in hl.tile([m, n]):
        acc = hl.zeros([tm, tn], dtype=torch.float32)
        for tk in hl.tile(k):
            acc = acc + torch.mm(x[tm, tk].to(torch.float32), y[tk, tn].float())
        out[tm, tn] = acc
    return out


@helion.kernel
def dots(x, y):
    m, k = x.size()
    _, n = y.size()
    o1 = torch.empty([m, n], dtype=torch.float32)
    o2 = torch.empty([m, n], dtype=x.dtype)
    o3 = torch.empty([m, n], dtype=torch.float16)
    for tm, tn in hl.tile([m, n]):
        a = hl.zeros([tm, tn], dtype=torch.float32)
        b = hl.zeros([tm, tn], dtype=torch.float32)
        c = hl.zeros([tm, tn], dtype=torch.float32)
        for tk in hl.tile(k):
            a = hl.dot(x[tm, tk], y[tk, tn], acc=a)
            b += hl.dot(x[tm, tk], y[tk, tn])
            c = c + hl.dot(x[tm, tk], y[tk, tn], out_dtype=torch.float16)
        o1[tm, tn] = a
        o2[tm, tn] = b.to(x.dtype)
        o3[tm, tn] = c
    return o1, o2, o3


@helion.kernel
def i8(x, y):
    m, k = x.size()
    _, n = y.size()
    o1 = torch.empty([m, n], dtype=torch.int32)
    o2 = torch.empty([m, n], dtype=torch.float32)
    for tm, tn in hl.tile([m, n]):
        a = hl.zeros([tm, tn], dtype=torch.int32)
        for tk in hl.tile(k):
            a = hl.dot(x[tm, tk], y[tk, tn], acc=a)
        o1[tm, tn] = a
        o2[tm, tn] = a.to(torch.float32) * 0.5
    return o1, o2


@helion.kernel
def at(x, y):
    m, k = x.size()
    _, n = y.size()
    o = torch.empty([m, n], dtype=torch.float32)
    for tm, tn in hl.tile([m, n]):
        a = hl.zeros([tm, tn], dtype=torch.float32)
        for tk in hl.tile(k):
            a += x[tm, tk] @ y[tk, tn]
            a = a + torch.matmul(x[tm, tk], y[tk, tn])
        o[tm, tn] = torch.relu(a)
    return o


@helion.kernel
def bmm3(a, b):
    B, m, k = a.size()
    _, _, n = b.size()
    o = torch.empty([B, m, n], dtype=a.dtype)
    for tb, tm, tn in hl.tile([B, m, n]):
        acc = hl.zeros([tb, tm, tn], dtype=torch.float32)
        for tk in hl.tile(k):
            acc = torch.baddbmm(acc, a[tb, tm, tk].float(), b[tb, tk, tn].float())
        o[tb, tm, tn] = acc.to(a.dtype)
    return o


@helion.kernel
def whole(x, y):
    m, k = x.size()
    _, n = y.size()
    o = torch.empty([m, n], dtype=x.dtype)
    for tm in hl.tile(m):
        o[tm, :] = x[tm, :] @ y[:, :]
    return o


@helion.kernel
def chain(x, y, z):
    m, k = x.size()
    o = torch.empty([m, z.size(1)], dtype=x.dtype)
    for tm in hl.tile(m):
        h = torch.nn.functional.silu(x[tm, :] @ y[:, :])
        o[tm, :] = torch.matmul(h, z[:, :])
    return o


@helion.kernel
def addmms(c, x, y):
    m, k = x.size()
    _, n = y.size()
    c = torch.broadcast_to(c, [m, n])
    o = torch.empty([m, n], dtype=x.dtype)
    for tm, tn in hl.tile([m, n]):
        acc = c[tm, tn].float() * 0.5
        for tk in hl.tile(k):
            acc = torch.addmm(acc, x[tm, tk], y[tk, tn])
        o[tm, tn] = acc
    return o


@helion.kernel
def mixed(x, w):
    m, k = x.size()
    _, n = w.size()
    o = torch.empty([m, n], dtype=torch.bfloat16)
    for tm, tn in hl.tile([m, n]):
        acc = hl.zeros([tm, tn])
        for tk in hl.tile(k):
            acc = hl.dot(x[tm, tk], w[tk, tn].to(torch.bfloat16), acc=acc)
        o[tm, tn] = acc
    return o


@helion.kernel
def xt(x, y):
    k, m = x.size()
    n, _ = y.size()
    o = torch.empty([m, n], dtype=x.dtype)
    for tm, tn in hl.tile([m, n]):
        acc = hl.zeros([tm, tn])
        for tk in hl.tile(k):
            acc = torch.addmm(acc, x[tk, tm].T, y[tn, tk].transpose(0, 1))
        o[tm, tn] = acc
    return o


@helion.kernel
def special(x, y):
    m, k = x.size()
    _, n = y.size()
    o = torch.empty([m, n], dtype=x.dtype)
    for tm, tn in hl.tile([m, n]):
        acc = hl.zeros([tm, tn])
        for tk in hl.tile(k):
            acc = torch.addmm(acc, torch.exp(x[tm, tk].clamp(-5, 5)), y[tk, tn])
        o[tm, tn] = acc
    return o


@helion.kernel
def gram(x):
    m, k = x.size()
    o = torch.empty([m, m], dtype=x.dtype)
    for ta, tb in hl.tile([m, m]):
        o[ta, tb] = x[ta, :] @ x[tb, :].T
    return o


@helion.kernel
def mv(x, v):
    m, k = x.size()
    o = torch.empty([m], dtype=x.dtype)
    for tm in hl.tile(m):
        acc = hl.zeros([tm, 1])
        for tk in hl.tile(k):
            acc = acc + x[tm, tk] @ v[tk][:, None]
        o[tm] = acc.squeeze(1)
    return o


@helion.kernel
def splitk(x, y):
    m, k = x.size()
    _, n = y.size()
    part = torch.empty([4, m, n], dtype=torch.float32)
    for s in hl.grid(4):
        for tm, tn in hl.tile([m, n]):
            acc = hl.zeros([tm, tn])
            for tk in hl.tile(s * 10, s * 10 + 10):
                acc = torch.addmm(acc, x[tm, tk], y[tk, tn])
            part[s, tm, tn] = acc
    return part.sum(0), part.amax(dim=0)


@helion.kernel
def baddb(c, a, b):
    B, m, k = a.size()
    n = b.size(-1)
    o = torch.empty([B, m, n], dtype=a.dtype)
    for tb in hl.tile(B):
        o[tb, :, :] = torch.baddbmm(c[tb, :, :], a[tb, :, :], b[tb, :, :], beta=0.5, alpha=2)
    return o


@helion.kernel
def lastdot(q, k):
    B, m, d = q.size()
    n = k.size(1)
    d = hl.specialize(d)
    o = torch.empty([B, m, n], dtype=q.dtype)
    k = k.transpose(1, 2)
    for tb, tm in hl.tile([B, m]):
        qq = q[tb, tm, :]
        for tn in hl.tile(n):
            o[tb, tm, tn] = torch.bmm(qq, k[tb, :, tn])
    return o


@helion.kernel()
def divided(x, y, s: float):
    o = torch.zeros([x.size(0), y.size(1)], dtype=torch.float32)
    for t, n in hl.tile([x.size(0), y.size(1)]):
        acc = hl.zeros([t, n], dtype=torch.float32)
        for k in hl.tile(x.size(1)):
            acc = torch.addmm(acc, x[t, k], y[k, n])
        o[t, n] = acc / s
    return o


@helion.kernel()
def gathered_epilogue(x, y, ids, table):
    o = torch.zeros([x.size(0), y.size(1)], dtype=torch.float32)
    for t, n in hl.tile([x.size(0), y.size(1)]):
        acc = hl.zeros([t, n], dtype=torch.float32)
        for k in hl.tile(x.size(1)):
            acc = torch.addmm(acc, x[t, k], y[k, n])
        o[t, n] = acc + table[ids[n]][None, :]
    return o
