"""Loaded libraries and their handles: what lives how long.

A handle keeps its library loaded. Models, and arrays that view a parameter, keep the handle; so an array stays valid
after close(), and memory is freed when the last of them goes.
"""
from __future__ import annotations

import _ctypes
import ctypes
import os
import threading
import weakref
from typing import Dict, List, Optional, Tuple

from . import _abi
from ._arrays import TensorInfo, dtype_of
from ._errors import Error, LoadError, error_of

_lock = threading.Lock()
_loaded: "weakref.WeakValueDictionary[Tuple[str, int, int, int], Library]" = weakref.WeakValueDictionary()


class Library:
    """One shared library and its table."""

    def __init__(self, path: str, known_as: str):
        try:
            self._library = ctypes.CDLL(known_as, mode=os.RTLD_LOCAL | os.RTLD_NOW)
        except OSError as error:
            raise LoadError(f"{path} is not a shared library that can be loaded: {error}") from error
        self.known_as = known_as
        weakref.finalize(self, _ctypes.dlclose, self._library._handle).atexit = False
        try:
            entry = self._library.mlc_model_v1
        except AttributeError:
            raise LoadError(f"{path} was not made by mlc: it has no symbol mlc_model_v1") from None
        entry.restype = ctypes.POINTER(_abi.Model)
        entry.argtypes = ()
        self.table = entry().contents
        if self.table.abi_version != _abi.ABI_VERSION or self.table.struct_bytes != ctypes.sizeof(_abi.Model):
            raise LoadError(f"{path} has version {self.table.abi_version} of the library interface, this package has "
                            f"{_abi.ABI_VERSION}; compile the model again")
        table = self.table
        self.symbols = tuple(table.symbols[i].decode() for i in range(table.symbol_count))
        self.inputs = self._infos(table.inputs, table.input_count)
        self.outputs = self._infos(table.outputs, table.output_count)
        self.params = self._infos(table.params, table.param_count)
        self.train_inputs = self._infos(table.train_inputs, table.train_input_count)
        self.train_outputs = self._infos(table.train_outputs, table.train_output_count)

    def _infos(self, values, count: int) -> Tuple[TensorInfo, ...]:
        infos: List[TensorInfo] = []
        for value in values[:count] if count else []:
            sizes = tuple(dim.value if dim.value >= 0 else self.symbols[dim.symbol] if dim.symbol >= 0 else None
                          for dim in (value.dims[:value.rank] if value.rank else []))
            infos.append(TensorInfo(value.name.decode(), dtype_of(value.dtype), sizes, value.dtype))
        return tuple(infos)


def open_library(path) -> Library:
    """The library that is this file now, which may have been compiled anew since it was last loaded."""
    path = os.path.abspath(os.fspath(path))
    try:
        status = os.stat(path)
    except OSError as error:
        raise LoadError(f"{path}: cannot be opened: {error.strerror}") from error
    if path.endswith(".onnx"):
        raise LoadError(f"{path} is a model; make a library of it first: mlc.compile({os.path.basename(path)!r})")
    key = (path, status.st_dev, status.st_ino, status.st_mtime_ns)
    with _lock:
        library = _loaded.get(key)
        if library is None:
            library = _loaded[key] = Library(path, _unused_name(path))
        return library


def _unused_name(path: str) -> str:
    """The loader goes by names: under that of a library that is still loaded it would return that one. Another
    spelling of the path is another name, in the same folder, where a file of weights may lie."""
    used = {library.known_as for library in _loaded.values()}
    folder, name = os.path.split(path)
    while os.path.join(folder, name) in used:
        name = os.path.join(".", name)
    return os.path.join(folder, name)


class ModelHandle:
    """One mlc_handle: destroyed with the last reference to this object. Calls are one at a time."""

    def __init__(self, library: Library, options: _abi.Options, keep: object = None):
        """`keep`: the owner of memory that the options point to."""
        self.library = library
        self.table = library.table
        self.pointer = _abi.Handle()
        self._lock = threading.Lock()
        self._process: Optional[int] = None if options.threads == 1 else os.getpid()
        status = self.table.create(ctypes.byref(options), ctypes.byref(self.pointer))
        if status != 0:
            raise error_of(status, self.table.last_error(None).decode(errors="replace"))
        # The handle is destroyed before what it needs is let go; at exit the process frees everything.
        weakref.finalize(self, _destroy, library, self.pointer.value, keep).atexit = False

    def call(self, function, *arguments) -> None:
        """function(handle, *arguments); raises what the library says."""
        if self._process is not None and self._process != os.getpid():
            raise Error("this model was loaded before fork(): its threads are in the parent process; load it in the "
                        "child, or with threads=1")
        with self._lock:
            status = function(self.pointer, *arguments)
            message = self.table.last_error(self.pointer).decode(errors="replace") if status else ""
        if status != 0:
            raise error_of(status, message)


def _destroy(library: Library, pointer: Optional[int], keep: object) -> None:
    library.table.destroy(pointer)


def sizes_array(sizes: Dict[str, int], symbols: Tuple[str, ...]):
    return (ctypes.c_int64 * max(1, len(symbols)))(*[sizes.get(symbol, 0) for symbol in symbols])
