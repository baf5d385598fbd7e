"""The kernels to check and to measure: arguments as peri writes them, and what PyTorch says of each.

Functions take the arguments in the kernel's order. In check they get float64 tensors, so they are written
without dtypes of their own; in bars they are the eager peer, so they are what a user of PyTorch would write."""
from dataclasses import dataclass
from typing import Callable

try:
    import torch
    import torch.nn.functional as F
except ImportError:  # the peers are skipped
    torch = F = None


@dataclass
class Check:
    kernel: str  # FILE.py:KERNEL below kernels/
    args: dict  # NAME -> SPEC, in the kernel's order
    reference: Callable | None  # None: peri's own interpreter alone
    agree: float = 1.0  # share of elements that must agree
    has_dot: bool = False


@dataclass
class Bar:
    name: str
    kernel: str
    args: dict
    eager: Callable
    floor_bytes: float = 0  # read and written once
    floor_flops: float = 0
    peer: str = "floor"  # what the bar is a multiple of: floor, eager, compile or helion
    bar: float = 1.0
    compiled: bool = True  # worth torch.compile
    note: str = ""


# --- what PyTorch says ---


def exp_backward(grad_out, exp_x):
    return grad_out * exp_x


def softmax(x):
    return torch.softmax(x, -1)


def softmax_backward(grad_out, softmax_out):
    return softmax_out * (grad_out - (grad_out * softmax_out).sum(-1, keepdim=True))


def row_sum(x):
    return x.sum(-1)


def matmul(x, y):
    return torch.matmul(x, y)


def matmul_bias_relu(x, y, bias):
    return torch.relu(x @ y + bias)


def addmm(bias, x, y, alpha=1.0):
    return torch.addmm(bias.expand(x.shape[0], -1), x, y, alpha=alpha)


def matmul_layer_norm(x, y, weight, bias):
    return F.layer_norm(x @ y, (y.shape[1],), weight, bias, 1e-5)


def layer_norm(x, weight, bias=None):
    return F.layer_norm(x, (x.shape[-1],), weight, bias, 1e-5)


def layer_norm_all(x, weight, bias=None):
    rstd = torch.rsqrt(x.var(-1, unbiased=False) + 1e-5)
    return layer_norm(x, weight, bias), x.mean(-1), rstd


def rms_norm(x, weight):
    """As Llama writes it."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-5)
    return (wide * scale).to(x.dtype) * weight


def rms_norm_all(x, weight):
    return rms_norm(x, weight), torch.rsqrt(x.pow(2).mean(-1) + 1e-5)


def rms_norm_backward(grad_out, x, weight, inverse_rms):
    wide = torch.promote_types(x.dtype, torch.float32)
    normalized = x.to(wide) * inverse_rms[:, None]
    weighted = grad_out.to(wide) * weight.to(wide)
    projection = (weighted * normalized).mean(-1, keepdim=True)
    grad_x = (weighted - normalized * projection) * inverse_rms[:, None]
    grad_weight = (grad_out.to(wide) * normalized).sum(0)
    return grad_x.to(x.dtype), grad_weight.to(weight.dtype)


def welford(weight, bias, x):
    return layer_norm(x, weight, bias)


def cross_entropy(logits, labels):
    return F.cross_entropy(logits, labels)


def kl_div(y_pred, y_true):
    return (y_true * (torch.log(y_true.clamp(min=1e-10)) - y_pred)).sum() / y_pred.shape[0]


def kl_div_builtin(y_pred, y_true):
    return F.kl_div(y_pred, y_true, reduction="batchmean")


def jsd(log_q, log_p):
    rows = log_q.shape[0]
    q, p = torch.exp(log_q), torch.exp(log_p)
    log_m = torch.log(0.5 * q + 0.5 * p)
    loss = (0.5 * p * (log_p - log_m) + 0.5 * q * (log_q - log_m)).sum() / rows
    return loss, 0.5 * q * (log_q - log_m) / rows


def geglu(a, b):
    return F.gelu(a, approximate="tanh") * b


def swiglu(a, b):
    return F.silu(a) * b


def swiglu_backward(grad_out, a, b):
    gate = torch.sigmoid(a)
    return grad_out * b * gate * (1 + a * (1 - gate)), grad_out * a * gate


def embedding(x, weight):
    return F.embedding(x, weight)


def attention(q, k, v):
    return F.scaled_dot_product_attention(q, k, v)


def causal_attention(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def nearest_label(queries, points, labels):
    return labels[torch.cdist(queries, points).argmin(-1)]


def rope(q, k, cos, sin):
    """As Llama writes it."""
    def turned(x):
        low, high = x.chunk(2, -1)
        return x * torch.cat([cos, cos], -1) + torch.cat([-high, low], -1) * torch.cat([sin, sin], -1)

    return turned(q), turned(k)


def unpacked(packed):
    pairs = torch.stack([(packed << 4) >> 4, packed >> 4], 1)
    return pairs.reshape(2 * packed.shape[0], packed.shape[1])


def int4_gemm(x, packed):
    return x @ unpacked(packed).to(x.dtype)


def mamba2_chunk_scan(cb, x, dt, decay, c, states, d):
    batch, chunks, groups, chunk, _ = cb.shape
    heads, head_dim = x.shape[2:]
    wide = torch.promote_types(x.dtype, torch.float32)
    per_group = heads // groups
    x_chunks = x.reshape(batch, chunks, chunk, heads, head_dim)
    c_heads = c.reshape(batch, chunks, chunk, groups, -1).repeat_interleave(per_group, 3)
    sums = decay.to(wide).permute(0, 2, 1, 3)  # [batch, chunks, heads, chunk]
    causal = torch.ones(chunk, chunk, dtype=torch.bool, device=x.device).tril()
    differences = (sums[..., :, None] - sums[..., None, :]).masked_fill(~causal, float("-inf"))
    weights = cb.repeat_interleave(per_group, 2) * torch.exp(differences) * dt.to(wide).permute(0, 2, 1, 3)[..., None, :]
    inside = torch.einsum("bchmk,bckhd->bcmhd", weights.to(x.dtype), x_chunks)
    before = torch.einsum("bcmhs,bchds->bcmhd", c_heads, states.to(x.dtype))
    out = inside + before * torch.exp(sums).permute(0, 1, 3, 2)[..., None] + x_chunks * d[:, None]
    return out.reshape(x.shape).to(x.dtype)


# --- checked at odd sizes ---


def rows(*names, shape="123,1000", dtype=""):
    return {name: f"randn[{shape}]{dtype}" for name in names}


def product(m, k, n, dtype=""):
    return {"x": f"randn[{m},{k}]{dtype}", "y": f"randn[{k},{n}]{dtype}"}


def heads(shape, dtype=""):
    return {name: f"randn[{shape}]{dtype}" for name in ("q_in", "k_in", "v_in")}


def mamba2(batch, seq, heads, groups, chunk, head_dim, state):
    chunks = seq // chunk
    sizes = {
        "cb": (batch, chunks, groups, chunk, chunk), "x": (batch, seq, heads, head_dim),
        "dt": (batch, heads, chunks, chunk), "decay": (batch, heads, chunks, chunk), "c": (batch, seq, groups, state),
        "states": (batch, chunks, heads, head_dim, state), "d": (heads,)}
    return {name: f"{'rand' if name in ('dt', 'decay') else 'randn'}{list(size)}:f16".replace(" ", "") for name, size in sizes.items()}


RELU_BIAS = "lambda acc, tile: torch.relu(acc + bias[tile[1]])"

CHECKS = [
    Check("basic/add.py:add", rows("x", "y"), lambda x, y: x + y),
    Check("basic/add.py:add", {"x": "randn[123,1]:bf16", "y": "randn[1000]:bf16"}, lambda x, y: x + y),
    Check("basic/copy.py:copy", {"x": "randn[1000,123].t()"}, lambda x: x),
    Check("basic/exp.py:exp", rows("x"), lambda x: torch.exp(x)),
    Check("basic/exp.py:exp_backward", {"grad_out": "randn[123,1000]", "exp_x": "rand[123,1000]"}, exp_backward),
    Check("basic/sum.py:row_sum", rows("x", dtype=":bf16"), row_sum),
    Check("basic/long_sum.py:long_sum", {"x": "randn[5,70001]"}, row_sum),
    Check("basic/long_sum.py:long_sum_looped", {"x": "randn[5,70001]"}, row_sum),
    Check("basic/long_sum.py:long_sum_manual", {"x": "randn[5,70001]"}, row_sum),
    Check("basic/softmax.py:softmax", rows("x", dtype=":bf16"), softmax),
    Check("basic/softmax.py:softmax", rows("x"), softmax),
    Check("basic/softmax.py:softmax_decomposed", rows("x"), softmax),
    Check("basic/softmax.py:softmax_two_pass", rows("x"), softmax),
    Check("basic/softmax.py:softmax_backward", {"grad_out": "randn[123,1000]", "softmax_out": "rand[123,1000]"},
          softmax_backward),
    Check("basic/softmax.py:batch_softmax", {"x": "randn[7,19,333]"}, softmax),
    Check("basic/matmul.py:matmul", product(123, 321, 213, ":bf16"), matmul, has_dot=True),
    Check("basic/matmul.py:matmul", product(123, 321, 213, ":f16"), matmul, has_dot=True),
    Check("basic/matmul.py:matmul", product(123, 321, 213), matmul, has_dot=True),
    Check("basic/matmul.py:matmul_epilogue", product(123, 321, 213, ":bf16") | {
        "bias": "randn[213]:bf16", "epilogue": RELU_BIAS},
          lambda x, y, bias, _: matmul_bias_relu(x, y, bias), has_dot=True),
    Check("basic/matmul.py:matmul_bias_relu", product(123, 321, 213, ":bf16") | {"bias": "randn[213]:bf16"},
          matmul_bias_relu, has_dot=True),
    Check("basic/matmul.py:addmm", {"bias": "randn[213]"} | product(123, 321, 213) | {"alpha": "0.5"}, addmm,
          has_dot=True),
    Check("basic/matmul.py:bmm", {"a": "randn[5,123,77]:f16", "b": "randn[5,77,99]:f16"}, matmul, has_dot=True),
    Check("basic/matmul.py:broadcast_matmul", {"x": "randn[5,33,77]:bf16", "y": "randn[77,99]:bf16"}, matmul,
          has_dot=True),
    Check("basic/matmul.py:matmul_layer_norm", product(123, 321, 200) | {
        "weight": "randn[200]", "bias": "randn[200]"}, matmul_layer_norm, has_dot=True),
    Check("library/norm.py:layer_norm", rows("x") | {"weight": "randn[1000]", "bias": "randn[1000]"}, layer_norm_all),
    Check("library/norm.py:layer_norm", rows("x", dtype=":bf16") | {"weight": "randn[1000]:bf16"}, layer_norm_all),
    Check("library/norm.py:rms_norm", rows("x", dtype=":bf16") | {"weight": "randn[1000]:bf16"}, rms_norm_all),
    Check("library/norm.py:rms_norm_backward", rows("grad_out", "x") | {
        "weight": "randn[1000]", "inverse_rms": "rand[123]"}, rms_norm_backward),
    Check("library/norm.py:welford", {"weight": "randn[1000]", "bias": "randn[1000]", "x": "randn[123,1000]"}, welford),
    Check("library/loss.py:cross_entropy", {"logits": "randn[123,1000]", "labels": "randint[123]=0:1000"},
          cross_entropy),
    Check("library/loss.py:kl_div", {"y_pred": "randn[123,1000]", "y_true": "rand[123,1000]"}, kl_div),
    Check("library/loss.py:jsd", {"log_q": "randn[123,1000]", "log_p": "randn[123,1000]"}, jsd),
    Check("library/gated.py:geglu", rows("a", "b", dtype=":bf16"), geglu),
    Check("library/gated.py:swiglu", rows("a", "b", dtype=":bf16"), swiglu),
    Check("library/gated.py:swiglu_backward", rows("grad_out", "a", "b"), swiglu_backward),
    Check("library/embedding.py:embedding", {"x": "randint[37,11]=0:999", "weight": "randn[999,130]:bf16"}, embedding),
    Check("library/dropout.py:dropout", {"p": "0.25", "x": "randn[100003]", "seed": "42"}, None),
    Check("library/attention.py:attention", heads("3,2,170,64", ":f16"), attention, has_dot=True),
    Check("library/attention.py:attention", heads("2,170,128", ":bf16"), attention, has_dot=True),
    Check("library/attention.py:causal_attention", heads("3,2,170,64", ":f16"), causal_attention, has_dot=True),
    Check("library/nearest.py:nearest_label", {
        "queries": "randn[123,32]", "points": "randn[500,32]", "labels": "randint[500]=0:10"}, nearest_label, 0.98,
          has_dot=True),
    Check("library/rope.py:rope", {
        "q": "randn[2,6,77,64]:bf16", "k": "randn[2,2,77,64]:bf16", "cos": "randn[77,32]", "sin": "randn[77,32]"}, rope),
    Check("library/int4_gemm.py:int4_gemm", {"x": "randn[77,96]:bf16", "packed": "randint[48,130]=-128:128:i8"},
          int4_gemm, has_dot=True),
    Check("library/int4_gemm.py:int4_gemm", {"x": "randn[77,256]:f16", "packed": "randint[128,130]=-128:128:i8"},
          int4_gemm, has_dot=True),
    Check("library/int4_gemm.py:int4_gemm", {"x": "randn[1056,256]:bf16", "packed": "randint[128,136]=-128:128:i8"},
          int4_gemm, has_dot=True),
    Check("library/mamba2.py:mamba2_chunk_scan", mamba2(2, 150, 6, 2, 50, 24, 16), mamba2_chunk_scan, has_dot=True),
]

# --- measured ---


def square(*names, n=8192, dtype=":bf16"):
    return {name: f"randn[{n},{n}]{dtype}" for name in names}


S = 8192 * 8192 * 2.0  # bytes of a square in bf16
LOGITS = 8192 * 16384 * 4.0

BARS = [
    Bar("add bf16 8192²", "basic/add.py:add", square("x", "y"), lambda x, y: x + y, 3 * S, bar=1.04),
    Bar("sum bf16 8192²", "basic/sum.py:row_sum", square("x"), row_sum, S, bar=1.12),
    Bar("softmax bf16 8192²", "basic/softmax.py:softmax", square("x"), softmax, 2 * S, bar=1.15),
    Bar("softmax bf16 4096²", "basic/softmax.py:softmax", square("x", n=4096), softmax, S / 2, peer="helion", bar=0.9),
    Bar("rms_norm bf16 8192²", "library/norm.py:rms_norm", square("x") | {"weight": "randn[8192]:bf16"}, rms_norm,
        2 * S, bar=1.06),
    Bar("rms_norm backward bf16 32768×4096", "library/norm.py:rms_norm_backward", {
        "grad_out": "randn[32768,4096]:bf16", "x": "randn[32768,4096]:bf16", "weight": "randn[4096]:bf16",
        "inverse_rms": "rand[32768]"}, rms_norm_backward, 3 * 32768 * 4096 * 2.0, bar=1.15),
    Bar("layer_norm bf16 8192²", "library/norm.py:layer_norm", square("x") | {
        "weight": "randn[8192]:bf16", "bias": "randn[8192]:bf16"}, layer_norm, 2 * S, bar=1.12),
    Bar("cross_entropy f32 8192×32768", "library/loss.py:cross_entropy", {
        "logits": "randn[8192,32768]", "labels": "randint[8192]=0:32768"}, cross_entropy, 2 * LOGITS, bar=1.05),
    Bar("jsd f32 8192×16384", "library/loss.py:jsd", {
        "log_q": "randn[8192,16384]", "log_p": "randn[8192,16384]"}, jsd, 3 * LOGITS, bar=1.08,
        note="the floor counts the gradient that is written"),
    Bar("kl_div f32 8192×16384", "library/loss.py:kl_div", {
        "y_pred": "randn[8192,16384]", "y_true": "rand[8192,16384]"}, kl_div_builtin, 2 * LOGITS, bar=1.02),
    Bar("swiglu bf16 8192×11008", "library/gated.py:swiglu", rows("a", "b", shape="8192,11008", dtype=":bf16"), swiglu,
        3 * 8192 * 11008 * 2.0, bar=1.01),
    Bar("embedding bf16 32768×4096", "library/embedding.py:embedding", {
        "x": "randint[16384]=0:32768", "weight": "randn[32768,4096]:bf16"}, embedding, 2 * 16384 * 4096 * 2.0,
        bar=1.05),
    Bar("welford f32 262144×1024", "library/norm.py:welford", {
        "weight": "randn[1024]", "bias": "randn[1024]", "x": "randn[262144,1024]"}, welford, 2 * 262144 * 1024 * 4.0,
        bar=1.03),
    Bar("matmul bf16 4096³", "basic/matmul.py:matmul", product(4096, 4096, 4096, ":bf16"), matmul,
        floor_flops=2 * 4096.0**3, peer="eager", bar=1.03),
    Bar("bmm bf16 16×2048³", "basic/matmul.py:bmm", {
        "a": "randn[16,2048,2048]:bf16", "b": "randn[16,2048,2048]:bf16"}, matmul, floor_flops=32 * 2048.0**3,
        peer="eager", bar=1.05, compiled=False),
    Bar("attention bf16 4×32×4096×128", "library/attention.py:attention", heads("4,32,4096,128", ":bf16"), attention,
        floor_flops=4 * 128 * 4096.0**2 * 128, peer="eager", bar=1.35),
    Bar("mamba2 chunk scan f16 8,80,1,4096,256,64,128", "library/mamba2.py:mamba2_chunk_scan",
        mamba2(8, 4096, 80, 1, 256, 64, 128), mamba2_chunk_scan, floor_bytes=874.6e6, peer="helion", bar=0.85),
    Bar("int4 GEMM bf16 4096³", "library/int4_gemm.py:int4_gemm", {
        "x": "randn[4096,4096]:bf16", "packed": "randint[2048,4096]=-128:128:i8"}, int4_gemm,
        floor_flops=2 * 4096.0**3, peer="compile", bar=1.1),
]


def few(bar):
    """The bar's kernel at the sizes of its first check: where there is no GPU."""
    return next(check.args for check in CHECKS if check.kernel == bar.kernel)
