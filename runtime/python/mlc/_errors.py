"""One exception for each status of mlc.h, with the library's message; and the compiler's."""
from __future__ import annotations


class Error(Exception):
    """Everything that this package raises on its own account."""


class InvalidArgument(Error, ValueError):
    """A wrong shape, type, name or alignment."""


class OutOfMemory(Error, MemoryError):
    """Memory could not be allocated."""


class UnsupportedCpu(Error):
    """The library was compiled for CPU features that this machine lacks."""


class UnsupportedDevice(Error):
    """No GPU driver, or no GPU that can run the library's code."""


class IOFailure(Error, OSError):
    """A file could not be read or written."""


class CorruptData(Error):
    """A checkpoint is malformed or belongs to another model."""


class ModelError(Error):
    """The model itself failed: an index out of range, a Reshape that does not fit."""


class InternalError(Error):
    """A defect of mlc."""


class LoadError(Error, OSError):
    """The file is not a library that mlc has made, or is one of another version of the interface."""


class CompilerNotFound(Error, FileNotFoundError):
    """There is no executable `mlc`."""


class CompileError(Error):
    """The compiler refused the model. `stderr` is all that it wrote there."""

    def __init__(self, stderr: str, returncode: int):
        super().__init__(stderr.strip() or f"mlc ended with exit code {returncode} and said nothing")
        self.stderr = stderr
        self.returncode = returncode

    @property
    def unsupported(self) -> bool:
        """True if nothing is wrong with the model, but it has nodes that mlc does not support."""
        return self.returncode == 2


_BY_STATUS = {1: InvalidArgument, 2: OutOfMemory, 3: UnsupportedCpu, 4: UnsupportedDevice, 5: IOFailure,
              6: CorruptData, 7: ModelError, 8: InternalError}


def error_of(status: int, message: str) -> Error:
    return _BY_STATUS.get(status, InternalError)(message or f"status {status}")
