"""Runs a compiled library where a mistake shows: inputs, outputs and the workspace lie against pages that nobody may touch, and
the run is repeated on memory filled with other bytes, so that what it leaves unwritten differs. The library is loaded in a
child process, which a crash ends without ending the caller."""
import ctypes
import dataclasses
import faulthandler
import gc
import io
import mmap
import os
import pickle
import select
import signal
import traceback

import mlc_backend
import numpy as np

PAGE = mmap.PAGESIZE
BYTES_MAX = 1 << 31
ARENA_ALIGNMENT = 64
PROT_NONE, PROT_READ, PROT_WRITE = 0, 1, 2
# (where the buffer lies in its pages, what fills outputs and workspace before the run)
RUNS = (("end", 0xA5), ("start", 0x5B))

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


@dataclasses.dataclass
class Outcome:
    """What a run came to: `values`, a `status` other than MLC_OK, or what must not be: `crash`, `hang`, `unstable` (bits that
    the run did not write, or that change from run to run), `input` (it wrote to an input), `shape` (an impossible size)."""
    kind: str
    message: str = ""
    status: int = 0
    values: dict = dataclasses.field(default_factory=dict)

    @property
    def faulty(self):
        return self.kind not in ("values", "status")

    def __str__(self):
        return f"{self.kind}: {self.message}" if self.message else self.kind


def buffer(size, place, alignment=1):
    """The address of `size` bytes that end (or start) at a page without access. Never freed: the process ends soon."""
    room = -(-size // alignment) * alignment
    pages = -(-room // PAGE)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    base = libc.mmap(None, (pages + 2) * PAGE, PROT_NONE, flags, -1, 0)
    if base in (None, ctypes.c_void_p(-1).value):
        raise MemoryError(f"mmap of {size} bytes")
    if pages and libc.mprotect(base + PAGE, pages * PAGE, PROT_READ | PROT_WRITE):
        raise MemoryError(f"mprotect of {size} bytes")
    return base + PAGE if place == "start" else base + (pages + 1) * PAGE - room


def array_at(address, size):
    return np.frombuffer((ctypes.c_ubyte * size).from_address(address), np.uint8)


class Run:
    """One handle with its buffers; `outcome` is filled by `run`."""

    def __init__(self, library, feeds, place, fill):
        self.library, self.feeds, self.place, self.fill = library, feeds, place, fill

    def filled(self, size, alignment=1):
        address = buffer(size, self.place, alignment)
        array_at(address, size)[:] = self.fill
        return address

    def tensors(self, arrays):
        """Descriptors of (address, type, shape)."""
        made = (mlc_backend.Tensor * max(1, len(arrays)))()
        for tensor, (address, dtype, shape) in zip(made, arrays):
            tensor.data, tensor.dtype, tensor.rank = address, mlc_backend.dtype_code(dtype), len(shape)
            tensor.shape[:len(shape)] = shape
        return made

    def input_tensors(self, arrays):
        placed = []
        for array in arrays:
            address = buffer(array.nbytes, self.place)
            array_at(address, array.nbytes)[:] = np.frombuffer(array.tobytes(), np.uint8)
            placed.append((address, array.dtype, array.shape))
        return placed

    def output_tensors(self, shapes):
        placed = []
        for info, shape in zip(self.library.outputs, shapes):
            size = int(np.prod(shape, dtype=object)) * info.dtype.itemsize
            if min(shape, default=0) < 0 or size > BYTES_MAX:
                return Outcome("shape", f"output '{info.name}' would have the shape {shape}")
            placed.append((self.filled(size), info.dtype, shape))
        return placed

    def run(self, options):
        library, model = self.library, self.library.model
        arrays = library._inputs(library.inputs, self.feeds)
        dims = library.bind(library.inputs, arrays)
        try:
            shapes = library.output_shapes(dims)
        except mlc_backend.MlcError:
            shapes = None  # run says why
        placed = self.output_tensors(shapes or [(0,) * len(info.shape) for info in library.outputs])
        if isinstance(placed, Outcome):
            return placed
        arena_bytes = model.workspace_size(dims)
        if arena_bytes > BYTES_MAX:
            return Outcome("shape", f"a workspace of {arena_bytes} bytes")
        handle = mlc_backend.Handle()
        all_options = mlc_backend.Options(arena=self.filled(arena_bytes, ARENA_ALIGNMENT), arena_bytes=arena_bytes, **options)
        status = model.create(ctypes.byref(all_options), ctypes.byref(handle))
        if status:
            return Outcome("status", model.last_error(None).decode(), status)
        inputs, tensors = self.input_tensors(arrays), self.tensors(placed)
        status = model.run(handle, self.tensors(inputs), tensors)
        if status:
            return Outcome("status", model.last_error(handle).decode(), status)
        if shapes is None:
            return Outcome("shape", "run succeeds where output_shapes fails")
        for info, array, (address, _, _) in zip(library.inputs, arrays, inputs):
            if array_at(address, array.nbytes).tobytes() != array.tobytes():
                return Outcome("input", f"input '{info.name}' is changed")
        return self.results(placed, tensors)

    def results(self, placed, tensors):
        values = {}
        for info, (address, dtype, shape), tensor in zip(self.library.outputs, placed, tensors):
            actual = tuple(tensor.shape[:tensor.rank])
            if len(actual) != len(shape) or any(not 0 <= size <= most for size, most in zip(actual, shape)):
                return Outcome("shape", f"output '{info.name}' has the shape {actual} in room for {shape}")
            size = int(np.prod(actual, dtype=np.int64)) * dtype.itemsize
            values[info.name] = np.frombuffer(array_at(address, size).tobytes(), dtype).reshape(actual)
        return Outcome("values", values=values)


def difference(first, second):
    """Where the bits of two runs differ, or nothing."""
    for name, array in first.items():
        other = second[name]
        if array.shape != other.shape:
            return f"output '{name}' has the shapes {array.shape} and {other.shape}"
        bits = np.frombuffer(array.tobytes(), np.uint8) != np.frombuffer(other.tobytes(), np.uint8)
        if bits.any():
            index = int(bits.argmax()) // array.itemsize
            return (f"output '{name}', element {index} of {array.size}: {array.reshape(-1)[index]} and "
                    f"{other.reshape(-1)[index]}")
    return None


def run_all(library, feeds, options):
    """The outcome of all runs on one set of inputs."""
    first = None
    for place, fill in RUNS:
        outcome = Run(library, feeds, place, fill).run({"threads": 1, "seed": 1, **options})
        if outcome.faulty:
            return outcome
        if first is None:
            first = outcome
        elif outcome.kind != first.kind:
            return Outcome("unstable", f"{first} and {outcome}")
        elif outcome.kind == "values":
            found = difference(first.values, outcome.values)
            if found:
                return Outcome("unstable", found, values=first.values)
    return first


def read_all(pipe, pid, seconds):
    """What the child writes until it closes the pipe, and whether that was in time: each part may take `seconds`."""
    parts = []
    while True:
        ready, _, _ = select.select([pipe], [], [], seconds)
        if not ready:
            os.kill(pid, signal.SIGKILL)
            return b"".join(parts), False
        part = os.read(pipe, 1 << 20)
        if not part:
            return b"".join(parts), True
        parts.append(part)


def unpickled(content):
    """The whole objects at the start of the content."""
    stream, objects = io.BytesIO(content), []
    while True:
        try:
            objects.append(pickle.load(stream))
        except (EOFError, pickle.UnpicklingError, ValueError):
            return objects


def attempt(function, item):
    try:
        return function(item)
    except Exception:
        return Outcome("error", traceback.format_exc())


def in_child(function, items, seconds=20):
    """The outcomes function(item) of a forked child, up to and with the one that ends it."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            faulthandler.disable()
            gc.disable()  # what the parent's libraries hold may be ended in the parent only
            os.close(reader)
            with os.fdopen(writer, "wb") as stream:
                for item in items:
                    pickle.dump(attempt(function, item), stream)
                    stream.flush()
        finally:
            os._exit(0)
    os.close(writer)
    try:
        content, in_time = read_all(reader, pid, seconds)
    finally:
        os.close(reader)
        _, code = os.waitpid(pid, 0)
    outcomes = unpickled(content)
    if not in_time:
        outcomes.append(Outcome("hang", f"no result after {seconds} s"))
    elif os.WIFSIGNALED(code):
        outcomes.append(Outcome("crash", signal.Signals(os.WTERMSIG(code)).name))
    return outcomes


def in_children(function, items, seconds=20):
    """function(item) for each; where a child ends early, another one goes on behind the item."""
    outcomes = []
    while len(outcomes) < len(items):
        made = in_child(function, items[len(outcomes):], seconds)
        outcomes += made or [Outcome("error", "the child ended without a result")]
    return outcomes


def run_each(path, all_feeds, seconds=20, **options):
    """Loads the library in a child and runs it on each {name: array}; more keywords are fields of mlc_options."""
    loaded = []

    def run_one(feeds):
        if not loaded:
            loaded.append(mlc_backend.Library(path, threads=1))
        return run_all(loaded[0], feeds, options)
    return in_children(run_one, all_feeds, seconds)


def run(path, feeds, **options):
    return run_each(path, [feeds], **options)[0]
