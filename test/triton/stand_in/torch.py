"""A stand-in for torch that is enough for ejected modules in Triton's interpreter: strided tensors
over NumPy memory."""
import numpy as np


class _Dtype:
    """A torch dtype with Triton's name for it and the NumPy type that holds it."""

    def __init__(self, name, triton_name, numpy_type, is_float):
        self.name, self.triton_name, self.numpy_type = name, triton_name, np.dtype(numpy_type)
        self.is_floating_point = is_float
        self.itemsize = self.numpy_type.itemsize

    def __repr__(self):
        return f"torch.{self.name}"


bool = _Dtype("bool", "i1", np.bool_, False)
uint8 = _Dtype("uint8", "u8", np.uint8, False)
int8 = _Dtype("int8", "i8", np.int8, False)
int16 = _Dtype("int16", "i16", np.int16, False)
int32 = _Dtype("int32", "i32", np.int32, False)
int64 = _Dtype("int64", "i64", np.int64, False)
float16 = _Dtype("float16", "fp16", np.float16, True)
bfloat16 = _Dtype("bfloat16", "bf16", np.uint16, True)
float32 = _Dtype("float32", "fp32", np.float32, True)
float64 = _Dtype("float64", "fp64", np.float64, True)


class _Storage:
    def __init__(self, data):
        self.data = data  # bytes

    def data_ptr(self):
        return self.data.ctypes.data

    def cpu(self):
        return self

    def copy_(self, other):
        if other is not self:
            self.data[:] = other.data


class Tensor:
    device = "cpu"

    def __init__(self, storage, dtype, sizes, strides, offset=0):
        self.storage, self.dtype = storage, dtype
        self.sizes, self.strides, self.offset = tuple(sizes), tuple(strides), offset

    def data_ptr(self):
        return self.storage.data_ptr() + self.offset * self.dtype.itemsize

    def untyped_storage(self):
        return self.storage

    def storage_offset(self):
        return self.offset

    def size(self, dim=None):
        return self.sizes if dim is None else self.sizes[dim]

    @property
    def shape(self):
        return self.sizes

    def stride(self, dim=None):
        return self.strides if dim is None else self.strides[dim]

    def new_empty(self, size, device=None):
        return Tensor(_Storage(np.empty(0, np.uint8)), self.dtype, (0,), (1,))

    def set_(self, storage, offset, sizes, strides):
        self.storage, self.offset = storage, offset
        self.sizes, self.strides = tuple(sizes), tuple(strides)

    def cpu(self):
        return self

    def array(self):
        """The elements as a strided NumPy view; bfloat16 as its bits."""
        flat = self.storage.data[self.offset * self.dtype.itemsize :]
        flat = flat[: len(flat) // self.dtype.itemsize * self.dtype.itemsize]
        steps = [stride * self.dtype.itemsize for stride in self.strides]
        if 0 in self.sizes:
            return np.empty(self.sizes, self.dtype.numpy_type)
        return np.lib.stride_tricks.as_strided(flat.view(self.dtype.numpy_type), self.sizes, steps)

    def fill_(self, value):
        if self.dtype is bfloat16:
            value = np.float32(value).view(np.uint32) >> 16
        self.array()[...] = value

    def copy_(self, other):
        assert self.dtype is other.dtype
        self.array()[...] = other.array()


def empty_strided(sizes, strides, dtype=float32, device=None):
    last = sum((n - 1) * s for n, s in zip(sizes, strides)) + 1
    count = 0 if 0 in sizes else last
    # What nobody writes shows as NaN or an absurd number.
    data = np.full(max(count * dtype.itemsize, 1) + 16, 0xFF, np.uint8)
    return Tensor(_Storage(data), dtype, sizes, strides)


def empty(*sizes, dtype=float32, device=None):
    sizes = sizes[0] if sizes and isinstance(sizes[0], (tuple, list)) else sizes
    strides, step = [], 1
    for n in reversed(sizes):
        strides.insert(0, step)
        step *= n
    return empty_strided(sizes, strides, dtype)


def as_strided(base, sizes, strides, offset):
    return Tensor(base.storage, base.dtype, sizes, strides, offset)


class cuda:
    @staticmethod
    def get_device_properties(device):
        class Properties:
            multi_processor_count = 3

        return Properties
