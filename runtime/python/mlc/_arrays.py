"""Between arrays and mlc_tensor: element types, and how an argument becomes memory that the library can read.

An input is used where it lies if it is dense, row-major, aligned and of the machine's byte order; otherwise it is
copied once. Element types are never converted: a model that wants float32 refuses float64, and the library's message
says so. Python numbers and lists have no element type; they take the model's.
"""
from __future__ import annotations

import dataclasses
import pkgutil
import re
from typing import Any, Optional, Tuple, Union

import numpy as np

from . import _abi
from ._errors import InvalidArgument

try:
    import ml_dtypes
except ImportError:
    ml_dtypes = None


@dataclasses.dataclass(frozen=True)
class _Element:
    """One line of types.def."""
    name: str
    dtype: np.dtype
    bits: Optional[np.dtype] = None  # of a type that NumPy lacks: what holds its bits; also its dtype without ml_dtypes

    @property
    def has_numbers(self) -> bool:
        return self.dtype is not self.bits


def _element(name: str, npy: str) -> _Element:
    if not npy.startswith("V"):
        return _Element(name, np.dtype(npy))
    bits = np.dtype("u" + npy[1:])
    return _Element(name, np.dtype(getattr(ml_dtypes, name, bits)), bits)


def _read_elements() -> dict:
    """{mlc_dtype: element}."""
    elements = {}
    lines = pkgutil.get_data(__package__, "types.def").decode()
    for line in re.findall(r"^MLC_(?:FLOAT|INTEGER)_TYPE *\((.*)\)$", lines, re.MULTILINE):
        _, code, name, _, _, _, _, _, _, npy, *_ = (column.strip(' "') for column in line.split(","))
        elements[int(code)] = _element(name, npy)
    return elements


_ELEMENTS = _read_elements()
_CODES = {element.dtype: code for code, element in _ELEMENTS.items() if element.has_numbers}  # bits mean themselves, uint16


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """An input, output or parameter. A size is a number, the name of a symbolic dimension, or None where the library
    computes it."""
    name: str
    dtype: np.dtype
    shape: Tuple[Union[int, str, None], ...]
    code: int = dataclasses.field(repr=False)  # mlc_dtype

    @property
    def type(self) -> str:
        """float32[batch,1,8,8]"""
        sizes = ",".join("?" if size is None else str(size) for size in self.shape)
        return f"{_ELEMENTS[self.code].name}[{sizes}]"

    def __str__(self) -> str:
        return f"{self.name}: {self.type}"


def dtype_of(code: int) -> np.dtype:
    if code not in _ELEMENTS:
        raise InvalidArgument(f"element type {code} of the library is unknown to this version of the package")
    return _ELEMENTS[code].dtype


def _code_of(array: np.ndarray, info: TensorInfo) -> int:
    """The mlc_dtype that describes the array; bits of bfloat16 may come as uint16."""
    bits = _ELEMENTS[info.code].bits
    if bits is not None and array.dtype == bits:
        return info.code
    code = _CODES.get(array.dtype.newbyteorder("="))
    if code is None:
        raise InvalidArgument(f'"{info.name}": expected {info.type}, got elements of type {array.dtype}')
    return code


_HOST_DEVICES = (1, 3, 11, 13)  # DLPack's kDLCPU, kDLCUDAHost, kDLROCMHost, kDLCUDAManaged


def _from_dlpack(value: Any, info: TensorInfo) -> np.ndarray:
    device = int(value.__dlpack_device__()[0])
    if device not in _HOST_DEVICES:  # numpy would ask for a copy
        raise InvalidArgument(f'input "{info.name}": expected memory of the CPU, this {type(value).__name__} lies on '
                              f"DLPack device {device}")
    try:
        return np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise InvalidArgument(f'input "{info.name}": numpy cannot view this {type(value).__name__}: {error}') from error


_KIND_RANKS = {"b": 0, "u": 1, "i": 1, "f": 2}


def _from_python(value: Any, info: TensorInfo) -> np.ndarray:
    """Numbers and nested lists, in the model's element type, unless that would drop a fraction or a sign."""
    element = _ELEMENTS[info.code]
    if not element.has_numbers:
        raise InvalidArgument(f'input "{info.name}": expected {info.type}: numbers become {element.name} where ml_dtypes is installed')
    try:
        natural = np.asarray(value)
        wanted = 2 if element.bits is not None else _KIND_RANKS[info.dtype.kind]  # NumPy's kind of bfloat16 is V
        if natural.size and _KIND_RANKS.get(natural.dtype.kind, 3) > wanted:
            raise TypeError(f"{type(value).__name__} of {natural.dtype} does not convert")
        return np.asarray(value, info.dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidArgument(f'input "{info.name}": expected {info.type}: {error}') from error


def as_input(value: Any, info: TensorInfo) -> np.ndarray:
    """An array that the library can read, of the same memory if possible."""
    if not isinstance(value, (np.ndarray, np.generic)):
        if hasattr(value, "__dlpack__"):
            value = _from_dlpack(value, info)
        elif hasattr(value, "__array__") or hasattr(value, "__array_interface__"):
            value = np.asarray(value)
        else:
            value = _from_python(value, info)
    return np.require(value, value.dtype.newbyteorder("="), ("C", "A"))


def check_output(value: Any, info: TensorInfo) -> np.ndarray:
    """The caller's array for a result: written in place, hence never a copy of it."""
    if not isinstance(value, np.ndarray):
        raise InvalidArgument(f'output "{info.name}": expected a numpy array to write to, got {type(value).__name__}')
    for flag, claim in (("C_CONTIGUOUS", "contiguous"), ("ALIGNED", "aligned"), ("WRITEABLE", "writable")):
        if not value.flags[flag]:
            raise InvalidArgument(f'output "{info.name}": the array must be {claim}')
    if not value.dtype.isnative:
        raise InvalidArgument(f'output "{info.name}": the array must be of the machine\'s byte order')
    return value


def fill_tensor(tensor: _abi.Tensor, array: np.ndarray, info: TensorInfo) -> None:
    if array.ndim > _abi.RANK_MAX:
        raise InvalidArgument(f'"{info.name}": expected {info.type}, got {array.ndim} dimensions')
    tensor.data = array.ctypes.data
    tensor.dtype = _code_of(array, info)
    tensor.rank = array.ndim
    tensor.shape[:array.ndim] = array.shape


def with_actual_shape(array: np.ndarray, tensor: _abi.Tensor) -> np.ndarray:
    """The part of an output that the library has filled. Sizes that depend on data are allocated by their upper bound;
    the library reports the actual ones in the tensor."""
    shape = tuple(tensor.shape[:tensor.rank])
    if shape == array.shape:
        return array
    count = int(np.prod(shape, dtype=np.int64))
    return array.reshape(-1)[:count].reshape(shape)


def array_at(memory: Any, code: int, shape: Tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(memory, dtype_of(code)).reshape(shape)


def as_aligned_bytes(memory: Any, alignment: int = 64) -> np.ndarray:
    """The bytes of a buffer, where they lie if they are aligned there (mapped files are), else a copy of them."""
    data = np.frombuffer(memory, np.uint8)
    if data.ctypes.data % alignment == 0:
        return data
    padded = np.empty(data.size + alignment, np.uint8)
    begin = -padded.ctypes.data % alignment
    padded[begin:begin + data.size] = data
    return padded[begin:begin + data.size]
