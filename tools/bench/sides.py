"""The two sides of a comparison: a library that mlc has compiled, and ONNX Runtime. Both run on memory that is bound once.

Calls go through Python: an empty one takes 0.3 us through ctypes; a one-node model of four elements 1.5 us through I/O binding.
"""
import collections
import ctypes
import dataclasses
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnxruntime

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test/onnx"))
import mlc_backend  # noqa: E402


class CompileError(Exception):
    pass


def aligned(array):
    """A copy at a multiple of 64 bytes: neither side shall depend on where numpy happened to allocate."""
    memory = np.empty(array.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    copy = memory[start:start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def empty(shape, dtype):
    return aligned(np.zeros(shape, dtype))


@dataclasses.dataclass
class Compilation:
    seconds: float      # wall clock
    cpu_seconds: float
    memory_bytes: int   # peak resident memory of mlc
    library_bytes: int


def peak_memory(pid):
    """VmHWM so far. The peak that wait4 reports is no use: it includes that of this process from before exec."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0)


def compile_library(model, library, options):
    """Runs `mlc compile`. Memory is sampled every 5 ms until mlc ends."""
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile("w+", errors="replace") as messages:
        start, memory = time.perf_counter(), 0
        process = subprocess.Popen([str(mlc_backend.MLC), "compile", str(model), "-o", str(library), *options],
                                   stdin=subprocess.DEVNULL, stdout=messages, stderr=subprocess.STDOUT)
        try:
            while True:
                memory = max(memory, peak_memory(process.pid))
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    break
                time.sleep(0.005)
        except BaseException:
            process.kill()
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        if process.returncode:
            messages.seek(0)
            raise CompileError(f"mlc: exit code {process.returncode}: {mlc_backend.first_error(messages.read())}")
    return Compilation(seconds, usage.ru_utime + usage.ru_stime, memory, library.stat().st_size)


class Mlc:
    """`parallel_for` and `pool`: addresses of the caller's pool in place of the library's own threads."""

    def __init__(self, library, feeds, threads, parallel_for=None, pool=None):
        self.library = mlc_backend.Library(library)
        model, handle = self.library.model, mlc_backend.Handle()
        options = mlc_backend.Options(threads=threads, parallel_for=parallel_for, pool=pool)
        if status := model.create(ctypes.byref(options), ctypes.byref(handle)):
            raise mlc_backend.MlcError(f"create: {mlc_backend.STATUS[status]}: {model.last_error(None).decode()}")
        self.handle, self._destroy = handle, model.destroy
        inputs = [aligned(feeds[info.name]) for info in self.library.inputs]
        shapes = self.library.output_shapes(self.library.bind(self.library.inputs, inputs))
        results = [empty(shape, info.dtype) for info, shape in zip(self.library.outputs, shapes)]
        self._memory = inputs, results
        self.input_tensors, self.output_tensors = self._tensors(inputs), self._tensors(results)
        self._room = bytes(self.output_tensors) if any(None in info.shape for info in self.library.outputs) else None
        self.entry = self._call = model.run
        self._last_error = model.last_error

    @staticmethod
    def _tensors(arrays):
        tensors = (mlc_backend.Tensor * max(1, len(arrays)))()
        for tensor, array in zip(tensors, arrays):
            tensor.data, tensor.dtype, tensor.rank = array.ctypes.data, mlc_backend.dtype_code(array.dtype), array.ndim
            tensor.shape[:array.ndim] = array.shape
        return tensors

    @property
    def outputs(self):
        """What the last run has written, which sizes that only the data tells included."""
        results = zip(self.library.outputs, self._memory[1], self.output_tensors)
        return {info.name: mlc_backend.at_actual_shape(array, tensor) for info, array, tensor in results}

    def offer_room(self):
        """Where only the data tells a size, a run has written it in place of the room there is."""
        if self._room:
            ctypes.memmove(self.output_tensors, self._room, len(self._room))

    def run(self):
        self.offer_room()
        if status := self._call(self.handle, self.input_tensors, self.output_tensors):
            raise mlc_backend.MlcError(f"run: {mlc_backend.STATUS[status]}: {self._last_error(self.handle).decode()}")

    def close(self):
        self._destroy(self.handle)
        self.library.close()


def session_options(threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    return options


class OnnxRuntime:
    """`dims`: sizes of symbols that it may take as constants, as mlc does; empty for a dynamic case."""

    def __init__(self, model, feeds, dims, threads):
        options = session_options(threads)
        for name, size in dims.items():
            options.add_free_dimension_override_by_name(name, size)
        session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        inputs = {name: aligned(array) for name, array in feeds.items()}
        self.outputs = {name: empty(value.shape, value.dtype) for name, value in zip(names, session.run(names, inputs))}
        binding = session.io_binding()
        for bind, arrays in ((binding.bind_input, inputs), (binding.bind_output, self.outputs)):
            for name, array in arrays.items():
                bind(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        self._memory = inputs, binding
        self._call, self._binding = session.run_with_iobinding, binding

    def run(self):
        self._call(self._binding)

    def close(self):
        pass


def relative_error(got, want):
    """max |got - want| / max |want| over the worst output; infinite if shapes, types, or the places of NaNs differ."""
    worst = 0.0
    for name, expected in want.items():
        found = got.get(name)
        if found is None or found.shape != expected.shape or found.dtype != expected.dtype:
            return math.inf
        if not np.array_equal(np.isfinite(found), np.isfinite(expected)):
            return math.inf
        finite = np.isfinite(expected)
        expected, found = expected[finite].astype(np.float64), found[finite].astype(np.float64)
        if expected.size:
            difference = np.abs(found - expected).max()
            worst = max(worst, difference / np.abs(expected).max() if difference else 0.0)
    return float(worst)


def run_profiled(model, feeds, dims, optimized, runs):
    """ONNX Runtime's own record of `runs` runs: dictionaries with name, dur (us) and args, one for each node and run."""
    options = session_options(1)
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    for name, size in dims.items():
        options.add_free_dimension_override_by_name(name, size)
    with tempfile.TemporaryDirectory() as folder:
        options.enable_profiling, options.profile_file_prefix = True, f"{folder}/profile"
        session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        for _ in range(runs):
            session.run(None, feeds)
        events = json.loads(pathlib.Path(session.end_profiling()).read_text())
    return [event for event in events if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")]


def contraction_operations(model, feeds, dims):
    """Multiplications and additions of all MatMul, Gemm and Conv nodes of one run."""
    total = 0
    for event in run_profiled(model, feeds, dims, optimized=False, runs=1):
        operator = event["args"]["op_name"]
        if operator not in ("MatMul", "Gemm", "Conv"):
            continue
        shapes = [next(iter(value.values())) for value in event["args"]["input_type_shape"]]
        (result,) = (next(iter(value.values())) for value in event["args"]["output_type_shape"])
        if operator == "Conv":
            depth = math.prod(shapes[1][1:])
        else:  # the left operand of a Gemm may be transposed
            depth = shapes[0][-1] if operator == "MatMul" else math.prod(shapes[0]) // max(1, result[0])
        total += 2 * depth * math.prod(result)
    return total


def time_by_operator(model, feeds, dims, runs):
    """{operator: (microseconds of one run, nodes)} of ONNX Runtime's optimised graph."""
    times, counts = collections.defaultdict(list), collections.Counter()
    for event in run_profiled(model, feeds, dims, optimized=True, runs=runs):
        times[event["args"]["op_name"], event["name"]].append(event["dur"])
    result = collections.Counter()
    for (operator, _), durations in times.items():
        result[operator] += min(durations)
        counts[operator] += 1
    return {operator: (microseconds, counts[operator]) for operator, microseconds in result.most_common()}
