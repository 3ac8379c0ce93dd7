"""Loads libraries that mlc has compiled, through ctypes and the reflective table of mlc.h.

The structures below are written from the header by hand and on purpose share nothing with the runtime's own Python
module: tests that use them also check that the documented interface is enough.
"""
import ctypes
import dataclasses
import os
import pathlib
import signal
import subprocess

import numpy as np
import onnx

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
MLC = pathlib.Path(os.environ.get("MLC", REPOSITORY / "build/bin/mlc"))

ABI_VERSION = 2
RANK_MAX = 16
STATUS = ["ok", "invalid argument", "out of memory", "unsupported cpu", "unsupported device", "io error", "corrupt data",
          "model error", "internal"]


class Tensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("dtype", ctypes.c_int32), ("rank", ctypes.c_int32),
                ("shape", ctypes.c_int64 * RANK_MAX)]


ParallelFor = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)


class Options(ctypes.Structure):
    _fields_ = [("threads", ctypes.c_int32), ("parallel_for", ctypes.c_void_p), ("pool", ctypes.c_void_p),
                ("allocate", ctypes.c_void_p), ("release", ctypes.c_void_p), ("user", ctypes.c_void_p),
                ("arena", ctypes.c_void_p), ("arena_bytes", ctypes.c_size_t), ("device", ctypes.c_int32),
                ("seed", ctypes.c_uint64), ("weights_file", ctypes.c_char_p), ("weights", ctypes.c_void_p),
                ("weights_bytes", ctypes.c_size_t)]


class Dim(ctypes.Structure):
    _fields_ = [("value", ctypes.c_int64), ("symbol", ctypes.c_int32), ("bounded", ctypes.c_int32)]


class ValueInfo(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("dtype", ctypes.c_int32), ("rank", ctypes.c_int32),
                ("dims", ctypes.POINTER(Dim))]


Handle = ctypes.c_void_p
Dims = ctypes.POINTER(ctypes.c_int64)
Tensors = ctypes.POINTER(Tensor)


def at_actual_shape(array, tensor):
    """The part of an output's room that the run has filled: less than all of it where only the data tells the size."""
    shape = tuple(tensor.shape[:tensor.rank])
    return array if shape == array.shape else array.reshape(-1)[:int(np.prod(shape, dtype=np.int64))].reshape(shape)


class Model(ctypes.Structure):
    _fields_ = [
        ("abi_version", ctypes.c_int32), ("struct_bytes", ctypes.c_int32),
        ("name", ctypes.c_char_p), ("manifest", ctypes.c_char_p),
        ("symbol_count", ctypes.c_int32), ("input_count", ctypes.c_int32),
        ("output_count", ctypes.c_int32), ("param_count", ctypes.c_int32),
        ("symbols", ctypes.POINTER(ctypes.c_char_p)),
        ("inputs", ctypes.POINTER(ValueInfo)), ("outputs", ctypes.POINTER(ValueInfo)),
        ("params", ctypes.POINTER(ValueInfo)),
        ("train_input_count", ctypes.c_int32), ("train_output_count", ctypes.c_int32),
        ("train_inputs", ctypes.POINTER(ValueInfo)), ("train_outputs", ctypes.POINTER(ValueInfo)),
        ("workspace_size", ctypes.CFUNCTYPE(ctypes.c_size_t, Dims)),
        ("output_shapes", ctypes.CFUNCTYPE(ctypes.c_int, Dims, Dims)),
        ("create", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Options), ctypes.POINTER(Handle))),
        ("destroy", ctypes.CFUNCTYPE(None, Handle)),
        ("run", ctypes.CFUNCTYPE(ctypes.c_int, Handle, Tensors, Tensors)),
        ("train_step", ctypes.CFUNCTYPE(ctypes.c_int, Handle, Tensors, Tensors)),
        ("param", ctypes.CFUNCTYPE(ctypes.c_int, Handle, ctypes.c_char_p, Tensors)),
        ("save", ctypes.CFUNCTYPE(ctypes.c_int, Handle, ctypes.c_char_p)),
        ("load", ctypes.CFUNCTYPE(ctypes.c_int, Handle, ctypes.c_char_p)),
        ("last_error", ctypes.CFUNCTYPE(ctypes.c_char_p, Handle)),
        ("result_shapes", ctypes.CFUNCTYPE(ctypes.c_int, Handle, Dims)),
    ]


class MlcError(Exception):
    """A status other than MLC_OK, or a value that the C interface cannot carry."""


class CompileError(MlcError):
    """mlc did not write a library; `first` is its first diagnostic without place and severity."""

    def __init__(self, first, output, returncode):
        super().__init__(output.strip() or first)
        self.first, self.output, self.returncode = first, output, returncode


@dataclasses.dataclass
class Info:
    """One input or output: sizes are numbers, names of symbols, or None where only the run can tell."""
    name: str
    dtype: np.dtype
    shape: tuple


def np_dtype(code):
    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(code))


def dtype_code(dtype):
    return onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def first_error(output, model_name=""):
    """The text after "error: " of the first diagnostic: `op (opset n): reason`, without the node's place."""
    for line in output.splitlines():
        _, found, text = line.partition("error: ")
        if found:
            return text.strip()
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[0] if lines else "no diagnostic"


def compile_model(model, output, *options, timeout=120, cpu_seconds=None, memory_bytes=None, mlc=MLC):
    """Runs `mlc compile` and returns the path of the library."""
    import resource

    def limit():
        if memory_bytes:
            resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        if cpu_seconds:  # the same on a busy machine
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    command = [str(mlc), "compile", str(model), "-o", str(output), *options]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=timeout, preexec_fn=limit, text=True, errors="replace")
    except subprocess.TimeoutExpired as error:
        raise CompileError(f"mlc ran past {timeout} s", "", None) from error
    if done.returncode == -signal.SIGXCPU:
        raise CompileError(f"mlc ran past {cpu_seconds} s of processor time", done.stdout, done.returncode)
    if done.returncode < 0:
        raise CompileError(f"mlc crashed with signal {-done.returncode}", done.stdout, done.returncode)
    if done.returncode != 0:
        first = first_error(done.stdout)
        if "Stack dump" in done.stdout or "Assertion" in done.stdout:
            first = "mlc crashed: " + first
        raise CompileError(first, done.stdout, done.returncode)
    if not os.path.exists(output):
        raise CompileError("mlc wrote no library and returned 0", done.stdout, 0)
    return pathlib.Path(output)


class Library:
    """One loaded library and one handle of it; `options` are more fields of mlc_options."""

    def __init__(self, path, threads=1, **options):
        self._library = ctypes.CDLL(os.path.abspath(path), mode=os.RTLD_LOCAL | os.RTLD_NOW)
        entry = self._library.mlc_model_v1
        entry.restype = ctypes.POINTER(Model)
        self.model = entry().contents
        if self.model.abi_version != ABI_VERSION:
            raise MlcError(f"ABI version {self.model.abi_version}, expected {ABI_VERSION}")
        if self.model.struct_bytes != ctypes.sizeof(Model):
            raise MlcError(f"mlc_model has {self.model.struct_bytes} bytes, expected {ctypes.sizeof(Model)}")
        self.symbols = [self.model.symbols[i].decode() for i in range(self.model.symbol_count)]
        self.inputs = self._infos(self.model.inputs, self.model.input_count)
        self.outputs = self._infos(self.model.outputs, self.model.output_count)
        self.params = self._infos(self.model.params, self.model.param_count)
        self.train_inputs = self._infos(self.model.train_inputs, self.model.train_input_count)
        self.train_outputs = self._infos(self.model.train_outputs, self.model.train_output_count)
        self._handle = Handle()
        self._options = Options(threads=threads, **options)
        self._check(self.model.create(ctypes.byref(self._options), ctypes.byref(self._handle)), None)

    def close(self):
        if self._handle:
            self.model.destroy(self._handle)
            self._handle = Handle()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _infos(self, values, count):
        infos = []
        for value in values[:count] if count else []:
            shape = []
            for dim in value.dims[:value.rank] if value.rank else []:
                shape.append(dim.value if dim.value >= 0 else self.symbols[dim.symbol] if dim.symbol >= 0 else None)
            infos.append(Info(value.name.decode(), np_dtype(value.dtype), tuple(shape)))
        return infos

    def _check(self, status, handle):
        if status != 0:
            name = STATUS[status] if 0 <= status < len(STATUS) else f"status {status}"
            raise MlcError(f"{name}: {self.model.last_error(handle).decode()}")

    def bind(self, infos, arrays):
        """The sizes of the symbols that these inputs imply, in the order of the model's table."""
        sizes = {}
        for info, array in zip(infos, arrays):
            for size, declared in zip(array.shape, info.shape):
                if isinstance(declared, str):
                    sizes.setdefault(declared, size)
        return (ctypes.c_int64 * max(1, len(self.symbols)))(*[sizes.get(name, 0) for name in self.symbols])

    def output_shapes(self, dims):
        ranks = [len(info.shape) for info in self.outputs]
        flat = (ctypes.c_int64 * max(1, sum(ranks)))()
        self._check(self.model.output_shapes(dims, flat), None)
        values, shapes = list(flat), []
        for rank in ranks:
            shapes.append(tuple(values[:rank]))
            values = values[rank:]
        return shapes

    def workspace_size(self, **sizes):
        return self.model.workspace_size((ctypes.c_int64 * max(1, len(self.symbols)))(*[sizes[s] for s in self.symbols]))

    def _tensors(self, arrays):
        tensors = (Tensor * max(1, len(arrays)))()
        for tensor, array in zip(tensors, arrays):
            tensor.data, tensor.dtype, tensor.rank = array.ctypes.data, dtype_code(array.dtype), array.ndim
            tensor.shape[:array.ndim] = array.shape
        return tensors

    def _inputs(self, infos, feeds):
        unknown = set(feeds) - {info.name for info in infos}
        lacking = [info.name for info in infos if info.name not in feeds]
        if unknown or lacking:
            raise MlcError(f"inputs differ: not of this model {sorted(unknown)}, not given {lacking}")
        arrays = []
        for info in infos:
            if not isinstance(feeds[info.name], np.ndarray) or feeds[info.name].dtype == object:
                raise MlcError(f"input '{info.name}': {type(feeds[info.name]).__name__} is not a numeric tensor")
            arrays.append(np.ascontiguousarray(feeds[info.name]).reshape(feeds[info.name].shape))
        return arrays

    def run(self, feeds):
        """Runs on {name: array}; returns {name: array} of all outputs, in order."""
        arrays = self._inputs(self.inputs, feeds)
        shapes = self.output_shapes(self.bind(self.inputs, arrays))
        results = [np.empty(shape, info.dtype) for info, shape in zip(self.outputs, shapes)]
        tensors = self._tensors(results)
        self._check(self.model.run(self._handle, self._tensors(arrays), tensors), self._handle)
        return {info.name: at_actual_shape(result, tensor) for info, result, tensor in zip(self.outputs, results, tensors)}

    def train_step(self, feeds):
        """One step on {name: array}; returns {name: array} of train_outputs, whose sizes must all be constant."""
        arrays = self._inputs(self.train_inputs, feeds)
        results = [np.empty(info.shape, info.dtype) for info in self.train_outputs]
        tensors = self._tensors(results)
        self._check(self.model.train_step(self._handle, self._tensors(arrays), tensors), self._handle)
        return {info.name: result for info, result in zip(self.train_outputs, results)}

    def param(self, name):
        """A parameter's memory as an array that shares it; valid until close()."""
        view = Tensor()
        self._check(self.model.param(self._handle, name.encode(), ctypes.byref(view)), self._handle)
        dtype, shape = np_dtype(view.dtype), tuple(view.shape[:view.rank])
        count = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        return np.frombuffer((ctypes.c_char * count).from_address(view.data), dtype).reshape(shape)
