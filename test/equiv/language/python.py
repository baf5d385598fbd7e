"""Python around kernels: helpers, lambdas, defaults, optional arguments."""
# %% imports
from __future__ import annotations
import math
import os.path
from typing import TYPE_CHECKING, Any, Callable, Optional, Union, Tuple
from dataclasses import dataclass
import torch
import torch.nn.functional as F
from torch import Tensor
import helion
from helion import language as hl
if TYPE_CHECKING:
    from collections.abc import Sequence
ALPHA = 0.25
_SIZES = {"a": 2, "b": 3}
FLAG = True
def helper(v: Tensor, scale: float = 2.0, *, shift: float = 0.0) -> Tensor:
    """Scaled."""
    w = v * scale
    if FLAG:
        w = w + shift
    return w
def two(v):
    return v + 1, v - 1
square = lambda z: z * z


@helion.kernel(static_shapes=True, ignore_warnings=[], autotune_effort="none")
def opt(x: torch.Tensor, b: torch.Tensor | None = None) -> torch.Tensor:
    o = torch.empty_like(x)
    for t in hl.tile(x.size(0)):
        v = x[t, :]
        if b is not None:
            v = v + b[:]
        o[t, :] = v
    return o


@helion.kernel()
def optstr(x: torch.Tensor, mode: str = "none"):
    o = torch.empty_like(x)
    for t in hl.tile(x.size(0)):
        o[t] = x[t] * 2
    if mode == "sum":
        return o.sum()
    elif mode == "mean":
        return o.mean()
    return o


@helion.kernel()
def hlp(x: "torch.Tensor"):
    o = torch.empty_like(x)
    for t in hl.tile(x.size(0)):
        a, b = two(helper(x[t], shift=1.5))
        o[t] = square(a) + helper(b, 3) + F.relu(a)
    return o


@helion.kernel()
def lam(x, f: Callable[[Tensor], Tensor]):
    o = torch.empty_like(x)
    for (t,) in hl.tile([x.size(0)]):
        o[t] = f(x[t])
    return o


@helion.kernel()
def cexpr(x, n: hl.constexpr, flip: hl.constexpr = False):
    o = torch.empty_like(x)
    for t in hl.tile(x.size(0)):
        v = x[t]
        for _ in hl.static_range(n):
            v = v * 2
        if flip and n > 1:
            v = -v
        o[t] = v
    return o


@helion.kernel()
def lists(xs: list[float], x):
    o = torch.empty_like(x)
    for t in hl.tile(x.size(0)):
        v = x[t]
        for c in xs:
            v = v + c
        o[t] = v * len(xs) + xs[-1]
    return o


@helion.kernel()
def ret(x) -> tuple[torch.Tensor, tuple[torch.Tensor, int], float]:
    m, n = x.shape
    a = torch.empty_like(x)
    b = torch.empty([m], dtype=torch.float32, device=x.device)
    for t in hl.tile(m):
        a[t, :] = x[t, :] + 1
        b[t] = x[t, :].sum(-1)
    return a, (b, m * n), m / n


@helion.kernel()
def dct(x):
    o = {"p": torch.empty_like(x), "q": torch.empty_like(x)}
    for t in hl.tile(x.size(0)):
        o["p"][t] = x[t] * _SIZES["a"]
        o["q"][t] = x[t] * _SIZES["b"]
    return o["p"], o["q"]


@helion.kernel()
def zipk(x):
    outs = [torch.empty([x.size(0)], dtype=x.dtype) for _ in range(3)]
    for t in hl.tile(x.size(0)):
        for i, (o, c) in enumerate(zip(outs, (1.0, 2.0, 3.0))):
            o[t] = x[t, i] * c
    return outs[0], outs[1], outs[2]


@helion.kernel()
def wal(x):
    if (n := x.size(0)) > 3:
        o = torch.zeros([n], dtype=x.dtype)
    else:
        o = torch.ones([n], dtype=x.dtype)
    for t in hl.tile(n):
        o[t] += x[t]
    return o


@helion.kernel()
def dflt(x, eps: float = 1e-5, k: int = 3, on: bool = True, dt: torch.dtype = torch.float32):
    o = torch.empty(x.size(), dtype=dt)
    for t in hl.tile(x.size(0)):
        v = x[t] + eps
        if on:
            v = v * k
        o[t] = v
    return o


@helion.kernel()
def nested_fn(x):
    o = torch.empty_like(x)
    c = 3
    def inner(v):
        return v * c
    for t in hl.tile(x.size(0)):
        o[t] = inner(x[t])
    return o


@helion.kernel()
def views(x):
    a, b, c = x.size()
    o = torch.empty([a, b * c], dtype=x.dtype)
    p = torch.empty([c, a, b], dtype=x.dtype)
    q = torch.empty([a, b, 2, 5], dtype=x.dtype)
    for t in hl.tile(a):
        v = x[t, :, :]
        o[t, :] = v.reshape(v.size(0), b * c)
        p[:, t, :] = v.permute(2, 0, 1)
        q[t, :, :, :] = v.view(-1, b, 2, 5)
    return o, p, q


@helion.kernel()
def hostm(x):
    m, n = x.size()
    g = torch.empty_like(x)
    xf = x.reshape(-1).view(m, n)
    for t in hl.tile(m):
        g[t, :] = xf[t, :] * 2
    r = g.sum(0).to(x.dtype)
    s = (g * x).mean()
    u = torch.sqrt(s.abs()) + r[0]
    return r, s, u, g.t().contiguous(), g.max()


@helion.kernel()
def ifhost(x):
    if x.ndim == 1:
        x = x[None, :]
    assert x.dim() == 2
    o = torch.empty_like(x)
    for t in hl.tile(x.size(0)):
        o[t, :] = x[t, :] * 2
    return o


@helion.kernel()
def chained(x):
    o = torch.empty_like(x)
    for t in hl.tile(x.size(0), block_size=8):
        v = x[t]
        if 0 < t.begin <= 16 and not t.id == 2:
            v = v * 3
        o[t] = torch.where((v > -1) & (v < 1), v, 0)
    return o


@helion.kernel()
def whl(x):
    o = torch.empty_like(x)
    for t in hl.tile(x.size(0)):
        v = x[t]
        i = 0
        while i < 3:
            v = v * 2
            i = i + 1
        o[t] = v
    return o


@helion.kernel()
def cmpr(x):
    o = torch.empty_like(x)
    for t in hl.tile(x.size(0)):
        vs = [x[t] * i for i in (1, 2, 3)]
        acc = vs[0]
        for v in vs[1:]:
            acc = acc + v
        o[t] = acc
    return o


@helion.kernel()
def tern(x, k: hl.constexpr):
    o = torch.empty_like(x)
    c = 2.0 if k > 1 else 3.0
    for t in hl.tile(x.size(0)):
        w = x[t] if k == 2 else -x[t]
        o[t] = w * c
    return o


@helion.kernel()
def castret(x):
    o = torch.empty(x.size(), dtype=torch.float64)
    for t in hl.tile(x.numel()):
        o[t] = x[t]
    return o.to(torch.float16), o.half().float(), o.to(torch.int32)


@helion.kernel()
def ann(x: Tensor, s: Union[int, float] = 1.0, u: Optional[Any] = None) -> Tuple[Tensor, ...]:
    o: Tensor = torch.empty_like(x)
    n: int = x.size(0)
    for t in hl.tile(n):
        v: Tensor = x[t]
        v *= s
        o[t] = v
    return (o,)


@helion.kernel()
def bm(x):
    o = torch.empty_like(x)
    p = torch.empty(x.size(), dtype=torch.bool)
    for ti, tj in hl.tile(x.size()):
        mask = ti.index[:, None] >= tj.index[None, :]
        o[ti, tj] = torch.where(mask, x[ti, tj], float("-inf"))
        p[ti, tj] = mask & (x[ti, tj] > 0)
    return o, p


@helion.kernel()
def gather1(w, idx):
    o = torch.empty([idx.size(0), w.size(1)], dtype=w.dtype)
    for t, c in hl.tile([idx.size(0), w.size(1)]):
        o[t, c] = w[idx[t], c]
    return o


@helion.kernel()
def gather2(w, i, j):
    flat = w.view(-1)
    o = torch.empty([i.size(0)], dtype=w.dtype)
    for t in hl.tile(i.size(0)):
        o[t] = hl.load(flat, [i[t] * w.size(1) + j[t]])
    return o


@helion.kernel()
def gather3(w, idx):
    a, b = idx.size()
    o = torch.empty([a, b, w.size(1)], dtype=w.dtype)
    for ta, tb in hl.tile([a, b]):
        o[ta, tb, :] = w[idx[ta, tb], :]
    return o


@helion.kernel()
def scat(x, p):
    o = torch.zeros_like(x)
    for t in hl.tile(x.size(0)):
        hl.store(o, [8 - p[t]], x[t])
    return o


@helion.kernel()
def take(x, idx):
    m, n = x.size()
    o = torch.empty([m], dtype=x.dtype)
    for t in hl.tile(m):
        cols = hl.arange(n)
        hit = cols[None, :] == idx[t][:, None]
        o[t] = torch.sum(torch.where(hit, x[t, :], 0.0), dim=-1)
    return o


@helion.kernel()
def vw(x):
    m, n = x.size()
    y = x.view(m, 3, 4)
    o = torch.empty([m, 3], dtype=x.dtype)
    for t in hl.tile(m):
        o[t, :] = y[t, :, :].sum(-1)
    return o.T, o.view(-1), o.unsqueeze(0).expand(2, m, 3)


@helion.kernel()
def selfs(x):
    o = torch.empty_like(x)
    for t in hl.tile(x.size(0)):
        o[t] = x[t]
        o[t] *= 2
        o[t] -= x[t] / 3
    return o
class Wrap(torch.nn.Module):
    def __init__(self):
        super().__init__()
    def forward(self, x):
        return opt(x)
def main() -> None:
    from triton.testing import do_bench  # type: ignore
    import notthere.sub as nt
    x = torch.randn([4, 4], device="cuda")
    print(f"{do_bench(lambda: opt(x)):.3f} {x.shape=}")
    with torch.no_grad():
        try:
            nt.go(*[1], **{"a": 2})
        except (ValueError, TypeError) as e:
            raise RuntimeError("bad") from e
        finally:
            pass
if __name__ == "__main__":
    main()
