"""Runs ejected modules in Triton's interpreter: one JSON job a line, one reply a line.

A job: {"module": file, "arguments": [...], "out": folder}; an argument is a number or {"dtype",
"sizes", "strides", "offset", "file"} with the bytes of its storage. The reply names what was
written: returned tensors (contiguous) as out0, ..., and the arguments' storages as arg0, ..."""
import importlib.util
import json
import os
import sys
import traceback
import warnings

os.environ["TRITON_INTERPRET"] = "1"
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "stand_in"))
warnings.simplefilter("ignore")
import numpy as np

np.seterr(all="ignore")
import torch
import triton
import triton.language as tl
from triton.language.extra import libdevice
from triton.runtime import interpreter


def _elementwise(function):
    def call(*args, **_):
        args = [a if isinstance(a, tl.tensor) else tl.core.tensor(
            interpreter.TensorHandle(np.array([a], np.float32), tl.float32), tl.float32) for a in args]
        data = function(*[a.handle.data for a in args])
        first = max(args, key=lambda a: a.handle.data.size)
        data = np.asarray(data).astype(first.handle.data.dtype)
        return tl.core.tensor(interpreter.TensorHandle(data, first.dtype.scalar), first.type)

    return call


def _erfc(x):
    import math
    return np.vectorize(math.erfc, otypes=[float])(x)


for name, function in {
    "expm1": np.expm1, "log10": np.log10, "log1p": np.log1p, "tan": np.tan, "sinh": np.sinh,
    "cosh": np.cosh, "tanh": np.tanh, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan,
    "erfc": _erfc, "rint": np.rint, "trunc": np.trunc, "fmod": np.fmod, "atan2": np.arctan2,
    "pow": np.power,
}.items():
    setattr(libdevice, name, _elementwise(function))


def _fast_reduce(self, input):
    """NaN-propagating extrema and products at NumPy's speed."""
    name = getattr(getattr(self.combine_fn, "fn", None), "__name__", "")
    fast = {"_max": np.max, "_min": np.min, "_mul": np.prod}.get(name)
    if fast is None or len(input) != 1:
        return _generic(self, input)
    value = input[0]
    data = fast(value.handle.data, axis=self.axis, keepdims=self.keep_dims)
    return [self.to_tensor(data.astype(value.handle.data.dtype), value.dtype)]


_generic = interpreter.ReduceOps.generic_reduce
interpreter.ReduceOps.generic_reduce = _fast_reduce

# The interpreter holds bfloat16 as bits and multiplies those.
_create_dot = interpreter.InterpreterBuilder.create_dot


def _widened(handle):
    if handle.dtype.scalar != tl.bfloat16:
        return handle
    bits = handle.data.astype(np.uint32) << 16
    return interpreter.TensorHandle(bits.view(np.float32), tl.float32)


def create_dot(self, a, b, *rest):
    return _create_dot(self, _widened(a), _widened(b), *rest)


interpreter.InterpreterBuilder.create_dot = create_dot

# NumPy 2.4 makes no scalar of an array of one element.
_patch_tensor = interpreter._patch_lang_tensor


def _patch_lang_tensor(tensor, scope):
    _patch_tensor(tensor, scope)
    scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())


interpreter._patch_lang_tensor = _patch_lang_tensor

# A tensor's type by the stand-in's dtype.
_mangle = triton.runtime.jit.mangle_type


def mangle_type(arg, *rest):
    if isinstance(arg, torch.Tensor):
        return "*" + arg.dtype.triton_name
    if arg is True or arg is False:
        return "i32"  # which the interpreter makes of it
    return _mangle(arg, *rest)


triton.runtime.jit.mangle_type = mangle_type
if hasattr(interpreter, "mangle_type"):
    interpreter.mangle_type = mangle_type


# Numbers as the compiler types them: f32, or i32 where they fit, unless an annotation says otherwise.
_init_args_hst = interpreter.GridExecutor._init_args_hst


def _typed(number, annotation):
    declared = triton.runtime.jit._normalize_ty(annotation)
    if isinstance(number, float):
        dtype, kind = (tl.float64, np.float64) if declared == "fp64" else (tl.float32, np.float32)
    elif isinstance(number, int) and declared == "i64":
        dtype, kind = tl.int64, np.int64
    else:
        return number
    return tl.tensor(interpreter.TensorHandle(np.array([number], kind), dtype), dtype)


def init_args_hst(self, args_dev, kwargs):
    args, kwargs = _init_args_hst(self, args_dev, kwargs)
    types = self.fn.__annotations__
    return [_typed(a, types.get(name, "")) for name, a in zip(self.arg_names, args)], kwargs


interpreter.GridExecutor._init_args_hst = init_args_hst


def argument(spec):
    if not isinstance(spec, dict):
        return spec
    data = np.fromfile(spec["file"], np.uint8)
    dtype = getattr(torch, spec["dtype"])
    return torch.Tensor(torch._Storage(data), dtype, spec["sizes"], spec["strides"], spec["offset"])


def flatten(value):
    if isinstance(value, tuple):
        return [leaf for item in value for leaf in flatten(item)]
    return [] if value is None else [value]


def run(job):
    spec = importlib.util.spec_from_file_location("ejected", job["module"])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    arguments = [argument(a) for a in job["arguments"]]
    outputs = []
    for i, leaf in enumerate(flatten(module.call(*arguments))):
        if not isinstance(leaf, torch.Tensor):
            outputs.append({"value": leaf})
            continue
        leaf.array().copy().tofile(os.path.join(job["out"], f"out{i}"))
        outputs.append({"dtype": leaf.dtype.name, "sizes": list(leaf.sizes)})
    for i, value in enumerate(arguments):
        if isinstance(value, torch.Tensor):
            value.storage.data.tofile(os.path.join(job["out"], f"arg{i}"))
    return outputs


print(json.dumps({"version": triton.__version__}), flush=True)
for line in sys.stdin:
    try:
        reply = {"outputs": run(json.loads(line))}
    except BaseException:
        reply = {"error": traceback.format_exc()[-1500:]}
    print(json.dumps(reply), flush=True)
