"""Elementwise arithmetic, casts and promotion."""
import math
import torch
import helion
import helion.language as hl


@helion.kernel()
def promo(i, f, b, u):
    o1 = torch.empty(i.size(), dtype=torch.float16)
    o2 = torch.empty(i.size(), dtype=torch.int32)
    o3 = torch.empty(i.size(), dtype=torch.float32)
    o4 = torch.empty(i.size(), dtype=torch.uint8)
    o5 = torch.empty(i.size(), dtype=torch.int64)
    for t in hl.tile(i.size(0)):
        o1[t] = i[t] * f[t] + b[t]
        o2[t] = i[t] + u[t] * b[t]
        o3[t] = i[t] / u[t].to(torch.int32).clamp(min=1)
        o4[t] = u[t] + 7
        o5[t] = (b[t] + b[t]).to(torch.int64) + (u[t] + b[t])
    return o1, o2, o3, o4, o5


@helion.kernel()
def intdiv(a, b):
    n = a.size(0)
    dt = torch.promote_types(a.dtype, b.dtype)
    o1 = torch.empty([n], dtype=dt)
    o2 = torch.empty([n], dtype=dt)
    o3 = torch.empty([n], dtype=torch.float32)
    o4 = torch.empty([n], dtype=a.dtype)
    o5 = torch.empty([n], dtype=a.dtype)
    for t in hl.tile(n):
        o1[t] = a[t] // b[t]
        o2[t] = a[t] % b[t]
        o3[t] = a[t] / b[t]
        o4[t] = a[t] // 4
        o5[t] = a[t] % 7
    return o1, o2, o3, o4, o5


@helion.kernel()
def floatdiv(a, b):
    o1, o2, o3, o4 = torch.empty_like(a), torch.empty_like(a), torch.empty_like(a), torch.empty_like(a)
    for t in hl.tile(a.size(0)):
        x, y = a[t], b[t]
        o1[t] = x // y
        o2[t] = x % y
        o3[t] = x / y
        o4[t] = 1.0 / x - y / 2
    return o1, o2, o3, o4


@helion.kernel()
def bits(a, b):
    o = [torch.empty_like(a) for _ in range(6)]
    for t in hl.tile(a.size(0)):
        o[0][t] = a[t] & b[t]
        o[1][t] = a[t] | b[t]
        o[2][t] = a[t] ^ b[t]
        o[3][t] = ~a[t]
        o[4][t] = a[t] << b[t]
        o[5][t] = a[t] >> b[t]
    return o[0], o[1], o[2], o[3], o[4], o[5]


@helion.kernel()
def bools(a, b):
    o = torch.empty_like(a)
    p = torch.empty_like(a)
    q = torch.empty(a.size(), dtype=torch.int64)
    for t in hl.tile(a.size(0)):
        o[t] = (a[t] & b[t]) | ~(a[t] ^ b[t])
        p[t] = torch.logical_not(a[t]) & torch.logical_or(a[t], b[t])
        q[t] = a[t] + 2 * b[t]
    return o, p, q


@helion.kernel()
def unary1(x):
    o1 = torch.empty_like(x)
    o2 = torch.empty_like(x)
    o3 = torch.empty_like(x)
    o4 = torch.empty_like(x)
    o5 = torch.empty_like(x)
    o6 = torch.empty_like(x)
    for t in hl.tile(x.size(0)):
        v = x[t]
        o1[t] = torch.relu(v)
        o2[t] = torch.sigmoid(v)
        o3[t] = torch.tanh(v)
        o4[t] = torch.exp(v)
        o5[t] = torch.abs(v)
        o6[t] = -v
    return o1, o2, o3, o4, o5, o6


@helion.kernel()
def unary2(x):
    o1 = torch.empty_like(x)
    o2 = torch.empty_like(x)
    o3 = torch.empty_like(x)
    o4 = torch.empty_like(x)
    o5 = torch.empty_like(x)
    o6 = torch.empty_like(x)
    for t in hl.tile(x.size(0)):
        v = x[t]
        o1[t] = torch.log(v)
        o2[t] = torch.rsqrt(v)
        o3[t] = torch.sqrt(v)
        o4[t] = torch.exp2(v)
        o5[t] = torch.log1p(v)
        o6[t] = torch.log2(v)
    return o1, o2, o3, o4, o5, o6


@helion.kernel()
def unary3(x):
    o1 = torch.empty_like(x)
    o2 = torch.empty_like(x)
    o3 = torch.empty_like(x)
    o4 = torch.empty_like(x)
    o5 = torch.empty_like(x)
    o6 = torch.empty_like(x)
    o7 = torch.empty_like(x)
    o8 = torch.empty_like(x)
    o9 = torch.empty_like(x)
    for t in hl.tile(x.size(0)):
        v = x[t]
        o1[t] = torch.floor(v)
        o2[t] = torch.ceil(v)
        o3[t] = torch.round(v)
        o4[t] = torch.nn.functional.gelu(v)
        o5[t] = torch.nn.functional.silu(v)
        o6[t] = torch.nn.functional.softplus(v)
        o7[t] = torch.erf(v)
        o8[t] = v.clamp(-1, 1)
        o9[t] = torch.reciprocal(v)
    return o1, o2, o3, o4, o5, o6, o7, o8, o9


@helion.kernel()
def minmax(x, y):
    o1 = torch.empty_like(x)
    o2 = torch.empty_like(x)
    o3 = torch.empty_like(x)
    o4 = torch.empty_like(x)
    for t in hl.tile(x.size(0)):
        o1[t] = torch.maximum(x[t], y[t])
        o2[t] = torch.minimum(x[t], y[t])
        o3[t] = torch.where(x[t] > 0, x[t], y[t])
        o4[t] = torch.clamp(x[t], min=0.0)
    return o1, o2, o3, o4


@helion.kernel()
def casts(x):
    n = x.size(0)
    a = torch.empty([n], dtype=torch.int8)
    b = torch.empty([n], dtype=torch.int64)
    c = torch.empty([n], dtype=torch.bool)
    d = torch.empty([n], dtype=torch.float16)
    e = torch.empty([n], dtype=torch.float64)
    f = torch.empty([n], dtype=torch.bfloat16)
    for t in hl.tile(n):
        v = x[t]
        a[t] = v.to(torch.int8)
        b[t] = v.long()
        c[t] = v.bool()
        d[t] = v.half()
        e[t] = v.double()
        f[t] = v.bfloat16()
    return a, b, c, d, e, f


@helion.kernel()
def scal(x, n: int, p: float):
    a = torch.empty(x.size(), dtype=torch.float32)
    b = torch.empty(x.size(), dtype=torch.float32)
    c = torch.empty(x.size(), dtype=torch.int64) 
    for t in hl.tile(x.size(0)):
        a[t] = x[t] * p + n
        b[t] = n - x[t].to(torch.float32) * (n // 2) + n % 2 + p ** 2
        c[t] = (x[t] * n).to(torch.int64)
    return a, b, c, n * 2, p + n


@helion.kernel()
def wide_scalars(x, n: int, p: float):
    a = torch.empty(x.size(), dtype=torch.float64)
    b = torch.empty(x.size(), dtype=torch.int64)
    for t in hl.tile(x.size(0)):
        a[t] = x[t] * p + p
        b[t] = hl.full([t], n, dtype=torch.int64) * 1000003
    return a, b


@helion.kernel()
def cmp(x, y):
    o = torch.empty(x.size(), dtype=torch.int32)
    for t in hl.tile(x.size(0)):
        a, b = x[t], y[t]
        r = (a < b).to(torch.int32) + 2 * (a <= b) + 4 * (a > b) + 8 * (a >= b) + 16 * (a == b) + 32 * (a != b)
        o[t] = r + 64 * torch.isnan(a)
    return o


@helion.kernel()
def u8wrap(a, b):
    o1, o2, o3 = torch.empty_like(a), torch.empty_like(a), torch.empty(a.size(), dtype=torch.float32)
    for t in hl.tile(a.size(0)):
        o1[t] = a[t] * b[t] + 200
        o2[t] = -a[t] - b[t]
        o3[t] = (a[t] + b[t]) * 0.5
    return o1, o2, o3


@helion.kernel()
def fpow(x, y):
    o1, o2, o3, o4 = [torch.empty_like(x) for _ in range(4)]
    for t in hl.tile(x.size(0)):
        o1[t] = torch.pow(x[t], y[t])
        o2[t] = x[t] ** 2
        o3[t] = x[t] ** 0.5
        o4[t] = 2 ** x[t]
    return o1, o2, o3, o4


@helion.kernel()
def ipow(x):
    o1, o2 = [torch.empty_like(x) for _ in range(2)]
    for t in hl.tile(x.size(0)):
        o1[t] = x[t] ** 3
        o2[t] = x[t] * x[t] + abs(x[t])
    return o1, o2
EPS = 1e-3
SCALE = math.sqrt(2.0) * EPS
TABLE = (1.0, 2.0, 3.0)


@helion.kernel()
def consts(x):
    out = torch.empty_like(x)
    for t in hl.tile(x.size(0)):
        acc = x[t] * SCALE
        for i in hl.static_range(3):
            acc = acc + TABLE[i] * i
        for c in TABLE:
            acc = acc * c
        out[t] = acc + math.pi
    return out
