"""Model: a compiled library as an object."""
from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Mapping as AbstractMapping
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from . import _abi
from ._arrays import TensorInfo, array_at, as_aligned_bytes, as_input, check_output, fill_tensor, with_actual_shape
from ._errors import Error, InternalError, InvalidArgument
from ._library import ModelHandle, open_library, sizes_array

Path = Union[str, "os.PathLike[str]"]
Result = Union[np.ndarray, Tuple[np.ndarray, ...]]
Weights = Union[None, str, "os.PathLike[str]", bytes, bytearray, memoryview, np.ndarray]
Out = Union[None, np.ndarray, Mapping[str, np.ndarray]]


class Parameters(AbstractMapping):
    """The model's parameters by name, as arrays that share the library's memory: writing to one changes the model.

    Do not read or write them while another thread is in train_step()."""

    def __init__(self, handle: ModelHandle):
        self._handle = handle

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self:
            raise KeyError(name)
        view = _abi.Tensor()
        self._handle.call(self._handle.table.param, name.encode(), ctypes.byref(view))
        shape = tuple(view.shape[:view.rank])
        info = next(info for info in self._handle.library.params if info.name == name)
        count = int(np.prod(shape, dtype=np.int64)) * info.dtype.itemsize
        if count == 0:
            return np.empty(shape, info.dtype)
        memory = (ctypes.c_char * count).from_address(view.data)
        memory.owner = self._handle  # what frees the memory outlives the array
        return array_at(memory, view.dtype, shape)

    def __setitem__(self, name: str, value: Any) -> None:
        view, value = self[name], np.asarray(value)
        if value.shape != view.shape:
            raise InvalidArgument(f'parameter "{name}": expected the shape {view.shape}, got {value.shape}')
        view[...] = value

    def __iter__(self) -> Iterator[str]:
        return (info.name for info in self._handle.library.params)

    def __len__(self) -> int:
        return len(self._handle.library.params)

    def __contains__(self, name: object) -> bool:
        return any(info.name == name for info in self._handle.library.params)


class Model:
    """A library that mlc has compiled, and one instance of its model.

    Calls on one Model wait for each other; they release the interpreter's lock, so several Models run at once."""

    def __init__(self, path: Path, *, threads: int = 0, seed: int = 0, device: int = 0, weights: Weights = None):
        """`threads`: of the model's own pool, the caller included; 0: one for each core. `seed`: of random initial
        parameters and random operators. `device`: ordinal of the GPU, for libraries that hold GPU code. `weights`:
        others than the library's own, a file that `mlc compile --weights=FILE` wrote (its path, or its bytes)."""
        options, keep = _abi.Options(threads=threads, seed=seed, device=device), None
        if isinstance(weights, (str, os.PathLike)):
            options.weights_file = os.fsencode(weights)
        elif weights is not None:
            keep = as_aligned_bytes(weights)
            options.weights, options.weights_bytes = keep.ctypes.data, keep.size
        self._library = open_library(path)
        self._handle: Optional[ModelHandle] = ModelHandle(self._library, options, keep)
        self._manifest: Optional[Dict[str, Any]] = None
        self._known_shapes: Tuple[Optional[Tuple[int, ...]], List[Tuple[int, ...]]] = (None, [])

    # What the library says about itself.

    @property
    def name(self) -> str:
        return self._library.table.name.decode()

    @property
    def manifest(self) -> Dict[str, Any]:
        """The .json file beside the library, which is also inside it."""
        if self._manifest is None:
            self._manifest = json.loads(self._library.table.manifest)
        return self._manifest

    @property
    def symbols(self) -> Tuple[str, ...]:
        """Names of the symbolic dimensions."""
        return self._library.symbols

    @property
    def inputs(self) -> Tuple[TensorInfo, ...]:
        return self._library.inputs

    @property
    def outputs(self) -> Tuple[TensorInfo, ...]:
        return self._library.outputs

    @property
    def train_inputs(self) -> Tuple[TensorInfo, ...]:
        """What train_step() takes; empty if the library was compiled without train=True."""
        return self._library.train_inputs

    @property
    def train_outputs(self) -> Tuple[TensorInfo, ...]:
        return self._library.train_outputs

    def workspace_size(self, **sizes: int) -> int:
        """Bytes of memory that a call needs with these sizes of the symbolic dimensions."""
        return self._library.table.workspace_size(self._all_sizes(sizes))

    def output_shapes(self, **sizes: int) -> Dict[str, Tuple[int, ...]]:
        """Shapes of the outputs with these sizes of the symbolic dimensions (of a size that depends on data: the
        largest possible)."""
        shapes = self._shapes(self._all_sizes(sizes))
        if shapes is None:
            raise InvalidArgument(f"{self.name}: no output shapes for the dimensions {sizes}")
        return {info.name: shape for info, shape in zip(self.outputs, shapes)}

    def __repr__(self) -> str:
        if self._handle is None:
            return f"<mlc.Model {self.name}, closed>"
        values = lambda infos: ", ".join(map(str, infos))  # noqa: E731
        return f"<mlc.Model {self.name}({values(self.inputs)}) -> ({values(self.outputs)})>"

    # Calls.

    def __call__(self, *args: Any, **named: Any) -> Result:
        """Runs on inputs by position or by name. One output comes as an array, several as a tuple in their order."""
        return _unwrap(self.run(self._by_name(args, named, self.inputs)))

    def run(self, feeds: Mapping[str, Any], out: Out = None) -> Dict[str, np.ndarray]:
        """Runs on {name: array} and returns {name: array}. `out`: arrays to write results to, by name (or one array,
        of a model with one output); the others are allocated."""
        return self._invoke("run", feeds, out, self.inputs, self.outputs)

    def train_step(self, *args: Any, **named: Any) -> Result:
        """One step of training on inputs and labels, by position or by name: loss, gradients, and the update of every
        parameter. Returns the loss, as an array without dimensions."""
        if not self.train_inputs:
            raise InvalidArgument(f"{self.name}: the library was compiled without train=True (--train)")
        feeds = self._by_name(args, named, self.train_inputs)
        return _unwrap(self._invoke("train_step", feeds, None, self.train_inputs, self.train_outputs))

    @property
    def params(self) -> Parameters:
        return Parameters(self._open_handle())

    def save(self, path: Path) -> None:
        """Writes parameters and optimizer state as a safetensors file, replacing it in one step."""
        self._open_handle().call(self._library.table.save, os.fsencode(path))

    def load(self, path: Path) -> None:
        """Reads what save() wrote. Changes nothing unless the whole file is valid."""
        self._open_handle().call(self._library.table.load, os.fsencode(path))

    # Lifetime.

    def close(self) -> None:
        """Frees the instance, or leaves that to the last array that shares a parameter's memory."""
        self._handle = None

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # How a call is made.

    def _open_handle(self) -> ModelHandle:
        if self._handle is None:
            raise Error(f"{self.name}: the model is closed")
        return self._handle

    def _by_name(self, args: Sequence[Any], named: Mapping[str, Any], infos: Sequence[TensorInfo]) -> Dict[str, Any]:
        if len(args) > len(infos):
            raise InvalidArgument(f"{self.name}: expected at most {len(infos)} inputs, got {len(args)}")
        feeds = {info.name: value for info, value in zip(infos, args)}
        for name, value in named.items():
            if name in feeds:
                raise InvalidArgument(f'input "{name}" is given by position and by name')
            feeds[name] = value
        return feeds

    def _invoke(self, function: str, feeds: Mapping[str, Any], out: Out, inputs: Sequence[TensorInfo],
                outputs: Sequence[TensorInfo]) -> Dict[str, np.ndarray]:
        handle = self._open_handle()
        self._check_names("input", feeds, inputs, complete=True)
        given = self._given_outputs(out, outputs)
        arrays = [as_input(feeds[info.name], info) for info in inputs]
        input_tensors = _tensors(arrays, inputs)
        shapes = self._result_shapes(function, arrays, inputs, outputs)
        # Without shapes the inputs are wrong, and the library says how: it checks them before it looks at outputs.
        results: List[np.ndarray] = []
        output_tensors = (_abi.Tensor * max(1, len(outputs)))()
        if shapes is not None:
            results = [given[info.name] if info.name in given else np.empty(shape, info.dtype)
                       for info, shape in zip(outputs, shapes)]
            output_tensors = _tensors(results, outputs)
        handle.call(getattr(self._library.table, function), input_tensors, output_tensors)
        if shapes is None:
            raise InternalError(f"{self.name}: the library accepts inputs for which it has no output shapes")
        return {info.name: with_actual_shape(result, tensor)
                for info, result, tensor in zip(outputs, results, output_tensors)}

    def _check_names(self, role: str, values: Mapping[str, Any], infos: Sequence[TensorInfo], complete: bool) -> None:
        known = [info.name for info in infos]
        for name in values:
            if name not in known:
                raise InvalidArgument(f'{self.name} has no {role} "{name}"; it has {", ".join(known) or "none"}')
        missing = [str(info) for info in infos if info.name not in values] if complete else []
        if missing:
            raise InvalidArgument(f"{self.name}: no value is given for {role} {', '.join(missing)}")

    def _given_outputs(self, out: Out, outputs: Sequence[TensorInfo]) -> Dict[str, np.ndarray]:
        if out is None:
            return {}
        if not isinstance(out, AbstractMapping):
            if len(outputs) != 1:
                raise InvalidArgument(f"{self.name} has {len(outputs)} outputs: give out={{name: array}}")
            out = {outputs[0].name: out}
        self._check_names("output", out, outputs, complete=False)
        return {info.name: check_output(out[info.name], info) for info in outputs if info.name in out}

    def _result_shapes(self, function: str, arrays: Sequence[np.ndarray], inputs: Sequence[TensorInfo],
                       outputs: Sequence[TensorInfo]) -> Optional[List[Tuple[int, ...]]]:
        """None if these inputs do not fit the model."""
        sizes: Dict[str, int] = {}
        for array, info in zip(arrays, inputs):
            if array.ndim != len(info.shape):
                return None
            for size, declared in zip(array.shape, info.shape):
                if isinstance(declared, str):
                    sizes.setdefault(declared, size)
        if function == "run":
            return self._shapes(sizes_array(sizes, self.symbols))
        # The table computes shapes of run alone; train_step's are constants and symbols.
        shapes = [tuple(sizes.get(size) if isinstance(size, str) else size for size in info.shape) for info in outputs]
        return None if any(size is None for shape in shapes for size in shape) else shapes

    def _shapes(self, sizes) -> Optional[List[Tuple[int, ...]]]:
        key, shapes = self._known_shapes
        if key == tuple(sizes):
            return shapes
        ranks = [len(info.shape) for info in self.outputs]
        flat = (ctypes.c_int64 * max(1, sum(ranks)))()
        if self._library.table.output_shapes(sizes, flat) != 0:
            return None
        values, shapes = list(flat), []
        for rank in ranks:
            shapes.append(tuple(values[:rank]))
            values = values[rank:]
        self._known_shapes = (tuple(sizes), shapes)
        return shapes

    def _all_sizes(self, sizes: Mapping[str, int]):
        for name in sizes:
            if name not in self.symbols:
                raise InvalidArgument(f'{self.name} has no dimension "{name}"; it has '
                                      f'{", ".join(self.symbols) or "none"}')
        missing = [symbol for symbol in self.symbols if symbol not in sizes]
        if missing:
            raise InvalidArgument(f"{self.name}: no size is given for dimension {', '.join(missing)}")
        return sizes_array(dict(sizes), self.symbols)


def _tensors(arrays: Sequence[np.ndarray], infos: Sequence[TensorInfo]):
    tensors = (_abi.Tensor * max(1, len(arrays)))()
    for tensor, array, info in zip(tensors, arrays, infos):
        fill_tensor(tensor, array, info)
    return tensors


def _unwrap(results: Dict[str, np.ndarray]) -> Result:
    values = tuple(results.values())
    return values[0] if len(values) == 1 else values


def load(path: Path, *, threads: int = 0, seed: int = 0, device: int = 0, weights: Weights = None) -> Model:
    """Loads a library made by `mlc compile`, or by compile(). The options are Model's."""
    return Model(path, threads=threads, seed=seed, device=device, weights=weights)
