"""Times of what runs in this process: eager PyTorch, torch.compile, our ejected Triton module, a copy, a matmul."""
import importlib.util
import statistics
import sys
import time

import torch


def median_ms(call, is_gpu, milliseconds=100):
    """Median of calls with cold L2, by CUDA events; on a CPU just of calls."""
    call()
    if is_gpu:
        from triton.testing import do_bench

        return do_bench(call, warmup=25, rep=milliseconds, return_mode="median")
    samples = []
    stop = time.perf_counter() + milliseconds / 1e3
    while len(samples) < 3 or time.perf_counter() < stop:
        begin = time.perf_counter()
        call()
        samples.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(samples)


def copy_bytes_per_second(device, is_gpu):
    size = 1 << (30 if is_gpu else 24)
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / median_ms(lambda: target.copy_(source), is_gpu) * 1e3


def matmul_flops_per_second(device, is_gpu):
    n = 8192 if is_gpu else 256
    x, y = (torch.randn(n, n, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * n**3 / median_ms(lambda: x @ y, is_gpu, 200) * 1e3


def compiled(function, values):
    torch.compiler.reset()
    call = torch.compile(function, dynamic=False)
    call(*values)
    return call


def module_at(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where Helion looks for a kernel's helpers
    spec.loader.exec_module(module)
    return module
