"""Runs libraries that mlc has compiled from ONNX models, and compiles them.

    import mlc
    model = mlc.load("digits.so")               # or mlc.compile("digits.onnx")
    logits = model(image=images)
"""
from importlib import metadata as _metadata

from ._arrays import TensorInfo
from ._compile import compile, compile_to, find_compiler
from ._errors import (CompileError, CompilerNotFound, CorruptData, Error, InternalError, InvalidArgument, IOFailure,
                      LoadError, ModelError, OutOfMemory, UnsupportedCpu, UnsupportedDevice)
from ._model import Model, Parameters, load

try:
    __version__ = _metadata.version("mlc")
except _metadata.PackageNotFoundError:
    __version__ = "0+source"  # used from the repository, not installed

__all__ = ["CompileError", "CompilerNotFound", "CorruptData", "Error", "IOFailure", "InternalError", "InvalidArgument",
           "LoadError", "Model", "ModelError", "OutOfMemory", "Parameters", "TensorInfo", "UnsupportedCpu",
           "UnsupportedDevice", "compile", "compile_to", "find_compiler", "load"]
