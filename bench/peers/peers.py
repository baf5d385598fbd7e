"""Times kernels against PyTorch on the CPU: eager, torch.compile and ours, in turns, on one thread.

Run by bench/peers/run, which makes the environment. Prints a Markdown table.
"""

import json
import math
import os
import statistics
import subprocess
import sys
import time

import torch
import torch.nn.functional as F

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PERI = os.environ.get("PERI", os.path.join(ROOT, "build/release/peri"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
sys.path.insert(0, os.path.join(ROOT, "bench/gpu"))

import cases
from tensors import values_of

torch.set_num_threads(1)
torch.manual_seed(0)


def randn(*shape, dtype=torch.float32):
    return torch.randn(*shape).to(dtype)


def jsd(log_q, log_p):
    q, p = log_q.exp(), log_p.exp()
    m = 0.5 * (p + q)
    log_m = m.log()
    loss = 0.5 * (p * (log_p - log_m) + q * (log_q - log_m))
    grad = 0.5 * q * (log_q - log_m) / log_q.shape[0]
    return loss.sum() / log_q.shape[0], grad


def sdpa(q, k, v, causal=False):
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal)


def kl(y_pred, y_true):
    return F.kl_div(y_pred, y_true, reduction="batchmean")


def rms(x, w):
    return F.rms_norm(x, (x.shape[-1],), w, 1e-5)


def layer(x, w, b):
    return F.layer_norm(x, (x.shape[-1],), w, b)


def square(n=4096):
    return lambda: (randn(n, n),)


def pair(a, b, dtype=torch.float32):
    return lambda: (randn(*a, dtype=dtype), randn(*b, dtype=dtype))


def attention(b, s, d):
    return lambda: tuple(randn(b, s, d) for _ in range(3))


def matmul_args(m, k, n, dtype=""):
    return {"x": f"randn[{m},{k}]{dtype}", "y": f"randn[{k},{n}]{dtype}"}


def by_spec(name, function, kernel, args):
    return name, False, function, lambda: values_of(args, "cpu"), kernel, args


S = "randn[4096,4096]"
ATT = {name: "randn[8,1024,64]" for name in ("q_in", "k_in", "v_in")}
# name, where memory is the limit, PyTorch's function, its inputs, our kernel, our arguments
CASES = [
    ("copy 4096²", True, torch.clone, square(), "basic/copy.py:copy", {"x": S}),
    ("add 4096²", True, torch.add, pair((4096, 4096), (4096, 4096)), "basic/add.py:add", {"x": S, "y": S}),
    ("row sum 4096²", True, lambda x: x.sum(-1), square(), "basic/sum.py:row_sum", {"x": S}),
    ("softmax 4096²", False, lambda x: torch.softmax(x, -1), square(), "basic/softmax.py:softmax", {"x": S}),
    ("layer_norm 4096²", False, layer, lambda: (randn(4096, 4096), randn(4096), randn(4096)),
     "library/norm.py:layer_norm", {"x": S, "weight": "randn[4096]", "bias": "randn[4096]"}),
    ("rms_norm 4096²", False, rms, lambda: (randn(4096, 4096), randn(4096)),
     "library/norm.py:rms_norm", {"x": S, "weight": "randn[4096]"}),
    ("geglu 4096²", False, lambda a, b: F.gelu(a, approximate="tanh") * b, pair((4096, 4096), (4096, 4096)),
     "library/gated.py:geglu", {"a": S, "b": S}),
    ("swiglu 4096²", False, lambda a, b: F.silu(a) * b, pair((4096, 4096), (4096, 4096)),
     "library/gated.py:swiglu", {"a": S, "b": S}),
    ("cross_entropy 1024×32768", False, F.cross_entropy,
     lambda: (randn(1024, 32768), torch.randint(0, 32768, (1024,))),
     "library/loss.py:cross_entropy", {"logits": "randn[1024,32768]", "labels": "randint[1024]=0:32768"}),
    ("kl_div 1024×16384", False, kl, lambda: (randn(1024, 16384), torch.rand(1024, 16384)),
     "library/loss.py:kl_div", {"y_pred": "randn[1024,16384]", "y_true": "rand[1024,16384]"}),
    ("jsd 1024×16384", False, jsd, pair((1024, 16384), (1024, 16384)),
     "library/loss.py:jsd", {"log_q": "randn[1024,16384]", "log_p": "randn[1024,16384]"}),
    ("embedding 8192×1024", True, F.embedding, lambda: (torch.randint(0, 8192, (8192,)), randn(8192, 1024)),
     "library/embedding.py:embedding", {"x": "randint[8192]=0:8192", "weight": "randn[8192,1024]"}),
    ("welford 16384×1024", False, layer, lambda: (randn(16384, 1024), randn(1024), randn(1024)),
     "library/norm.py:welford", {"weight": "randn[1024]", "bias": "randn[1024]", "x": "randn[16384,1024]"}),
]
for m, k, n in [(512,) * 3, (1024,) * 3, (2048,) * 3, (37, 129, 65), (96,) * 3, (128,) * 3, (1000, 17, 333),
                (1, 4096, 4096)]:
    CASES.append((f"matmul {m}×{k}×{n}", False, torch.mm, pair((m, k), (k, n)), "basic/matmul.py:matmul",
                  matmul_args(m, k, n)))
CASES += [
    ("matmul bf16 1024³", True, torch.mm, pair((1024, 1024), (1024, 1024), torch.bfloat16),
     "basic/matmul.py:matmul", matmul_args(1024, 1024, 1024, ":bf16")),
    ("matmul+bias+relu 1024³", False, lambda x, y, b: torch.relu(torch.addmm(b, x, y)),
     lambda: (randn(1024, 1024), randn(1024, 1024), randn(1024)), "basic/matmul.py:matmul_bias_relu",
     matmul_args(1024, 1024, 1024) | {"bias": "randn[1024]"}),
    ("bmm 16×256³", False, torch.bmm, pair((16, 256, 256), (16, 256, 256)), "basic/matmul.py:bmm",
     {"a": "randn[16,256,256]", "b": "randn[16,256,256]"}),
    ("attention 8×1024×64", False, sdpa, attention(8, 1024, 64), "library/attention.py:attention", ATT),
    ("causal 8×1024×64", False, lambda q, k, v: sdpa(q, k, v, True), attention(8, 1024, 64),
     "library/attention.py:causal_attention", ATT),
    by_spec("rope 1×32×2048×64", cases.rope, "library/rope.py:rope", {
        "q": "randn[1,32,2048,64]", "k": "randn[1,8,2048,64]", "cos": "randn[2048,32]", "sin": "randn[2048,32]"}),
    by_spec("int4 GEMM 1024³", cases.int4_gemm, "library/int4_gemm.py:int4_gemm", {
        "x": "randn[1024,1024]", "packed": "randint[512,1024]=-128:128:i8"}),
    by_spec("mamba2 chunk scan 1,8,1,1024,128,64,64 f16", cases.mamba2_chunk_scan, "library/mamba2.py:mamba2_chunk_scan",
            cases.mamba2(1, 1024, 8, 1, 128, 64, 64)),
    ("attention 32×2048×128", False, sdpa, attention(32, 2048, 128), "library/attention.py:attention",
     {name: "randn[32,2048,128]" for name in ("q_in", "k_in", "v_in")}),
]


def median_ms(call, seconds=0.4):
    call()
    begin = time.perf_counter()
    call()
    once = max(time.perf_counter() - begin, 1e-7)
    batch = max(1, int(1e-3 / once))
    samples = []
    stop = time.perf_counter() + seconds
    while len(samples) < 5 or time.perf_counter() < stop:
        begin = time.perf_counter()
        for _ in range(batch):
            call()
        samples.append((time.perf_counter() - begin) / batch)
    return statistics.median(samples) * 1e3


def ours(kernel, args):
    command = [PERI, "run", os.path.join(ROOT, "kernels", kernel), "--threads", "1", "--time", "--json"]
    for name, spec in args.items():
        command += ["--arg", f"{name}={spec}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)
    return json.loads(done.stdout)["time"]["median_ms"]


def main():
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    print(f"PyTorch {torch.__version__}, one thread, ms: medians of {ROUNDS} interleaved rounds\n")
    print("| kernel | eager | torch.compile | ours | better peer / ours |\n|---|---|---|---|---|")
    ratios = []
    for name, memory, function, inputs, kernel, args in CASES:
        if only not in name:
            continue
        values = inputs()
        compiled = torch.compile(function, dynamic=False)
        times = {"eager": [], "compile": [], "ours": []}
        with torch.no_grad():
            for _ in range(ROUNDS):
                times["eager"].append(median_ms(lambda: function(*values)))
                times["compile"].append(median_ms(lambda: compiled(*values)))
                times["ours"].append(ours(kernel, args))
        eager, best_compiled, mine = (statistics.median(times[who]) for who in ("eager", "compile", "ours"))
        ratio = min(eager, best_compiled) / mine
        ratios.append(ratio)
        note = " (memory is the limit)" if memory else ""
        print(f"| {name}{note} | {eager:.4g} | {best_compiled:.4g} | {mine:.4g} | {ratio:.2f} |", flush=True)
    print(f"\ngeometric mean {math.exp(statistics.mean(map(math.log, ratios))):.2f}")


main()
