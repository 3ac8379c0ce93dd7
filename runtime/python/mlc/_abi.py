"""The structures of mlc/mlc.h, field by field. test/python/test_python_abi.py compares every offset with the C compiler's."""
from __future__ import annotations

import ctypes

ABI_VERSION = 2
RANK_MAX = 16


class Tensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("dtype", ctypes.c_int32), ("rank", ctypes.c_int32),
                ("shape", ctypes.c_int64 * RANK_MAX)]


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
_Sizes = ctypes.POINTER(ctypes.c_int64)
_Call = ctypes.CFUNCTYPE(ctypes.c_int, Handle, ctypes.POINTER(Tensor), ctypes.POINTER(Tensor))
_Path = ctypes.CFUNCTYPE(ctypes.c_int, Handle, ctypes.c_char_p)


class Model(ctypes.Structure):
    """mlc_model. Calls through its function pointers release the interpreter's lock."""
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
        ("workspace_size", ctypes.CFUNCTYPE(ctypes.c_size_t, _Sizes)),
        ("output_shapes", ctypes.CFUNCTYPE(ctypes.c_int, _Sizes, _Sizes)),
        ("create", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Options), ctypes.POINTER(Handle))),
        ("destroy", ctypes.CFUNCTYPE(None, Handle)),
        ("run", _Call),
        ("train_step", _Call),
        ("param", ctypes.CFUNCTYPE(ctypes.c_int, Handle, ctypes.c_char_p, ctypes.POINTER(Tensor))),
        ("save", _Path),
        ("load", _Path),
        ("last_error", ctypes.CFUNCTYPE(ctypes.c_char_p, Handle)),
        ("result_shapes", ctypes.CFUNCTYPE(ctypes.c_int, Handle, _Sizes)),
    ]
