"""SPECs as torch tensors, and tensors as files that peri reads."""
import os
import re
import zlib

import torch

DTYPES = {
    "bool": torch.bool, "u8": torch.uint8, "i8": torch.int8, "i16": torch.int16, "i32": torch.int32,
    "i64": torch.int64, "f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32, "f64": torch.float64,
}
MADE = re.compile(r"(randn|rand|randint)\[([\d,]*)\](?:=(-?\d+):(-?\d+))?(?::(\w+))?(\.t\(\))?$")


def value_of(name, spec, device):
    """The tensor or number that SPEC describes; other SPECs (a lambda) stay text."""
    made = MADE.match(spec)
    if made is None:
        try:
            return float(spec) if "." in spec else int(spec)
        except ValueError:
            return spec
    maker, sizes, low, high, dtype, transposed = made.groups()
    sizes = [int(size) for size in sizes.split(",") if size]
    generator = torch.Generator(device=device).manual_seed(zlib.crc32(f"{name}={spec}".encode()))
    wanted = DTYPES[dtype] if dtype else torch.int64 if maker == "randint" else torch.float32
    if maker == "randint":
        value = torch.randint(int(low), int(high), sizes, generator=generator, device=device).to(wanted)
    else:
        value = getattr(torch, maker)(sizes, generator=generator, device=device, dtype=torch.float32).to(wanted)
    return value.t() if transposed else value


def values_of(args, device):
    return [value_of(name, spec, device) for name, spec in args.items()]


def widened(value):
    is_float = isinstance(value, torch.Tensor) and value.is_floating_point()
    return value.double() if is_float else value


def npy_spec(value, path, spec):
    """Writes the tensor, and gives the SPEC that reads it back; NumPy has no bfloat16."""
    import numpy

    if not isinstance(value, torch.Tensor):
        return spec
    is_bf16 = value.dtype == torch.bfloat16
    is_transposed = spec.endswith(".t()")
    stored = value.t() if is_transposed else value
    numpy.save(path, (stored.float() if is_bf16 else stored).contiguous().cpu().numpy())
    return f"@{path}" + ":bf16" * is_bf16 + ".t()" * is_transposed


def outputs_in(folder, count, device):
    import numpy

    files = [os.path.join(folder, f"out{i}.npy") for i in range(count)]
    return [torch.from_numpy(numpy.load(file)).to(device) for file in files]
