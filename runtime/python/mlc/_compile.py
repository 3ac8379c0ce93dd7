"""compile(): calls the executable `mlc`. Where it looks for it, and how Python values become options."""
from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import weakref
from typing import Any, Dict, Iterator, Mapping, Optional, Sequence

import numpy as np

from ._errors import CompileError, CompilerNotFound
from ._model import Model, Path

_PACKAGE = pathlib.Path(__file__).resolve().parent
Shape = Sequence[Optional[int]]


def find_compiler() -> pathlib.Path:
    """$MLC; else the executable inside this package, in the build of the repository that holds it, or on PATH."""
    chosen = os.environ.get("MLC")
    if chosen:
        if shutil.which(chosen) is None:
            raise CompilerNotFound(f"MLC is {chosen}, which is no executable")
        return pathlib.Path(shutil.which(chosen) or chosen)
    for candidate in (_PACKAGE / "bin/mlc", _PACKAGE.parents[2] / "build/bin/mlc"):
        if os.access(candidate, os.X_OK):
            return candidate
    found = shutil.which("mlc")
    if found is None:
        raise CompilerNotFound("there is no executable mlc: set MLC, or put it on PATH")
    return pathlib.Path(found)


def compiler_environment(compiler: pathlib.Path) -> Dict[str, str]:
    """The libraries that a wheel brings along are searched first, and by its own compiler only."""
    environment = dict(os.environ)
    if compiler == _PACKAGE / "bin/mlc" and (_PACKAGE / "lib").is_dir():
        paths = [str(_PACKAGE / "lib"), *filter(None, [environment.get("LD_LIBRARY_PATH")])]
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(paths)
    return environment


def compile(model: Any, output: Optional[Path] = None, *, dims: Optional[Mapping[str, int]] = None,
            shapes: Optional[Mapping[str, Shape]] = None, input_values: Optional[Mapping[str, Any]] = None,
            cpu: Optional[str] = None, train: bool = False, threads: int = 0, seed: int = 0, device: int = 0,
            **flags: Any) -> Model:
    """Compiles a model and loads the library.

    `model` is a path, an onnx.ModelProto or a model's bytes. Without `output` the library lies in a temporary folder
    that goes with the Model. `dims` makes symbolic dimensions constant, `shapes` sets the shapes of inputs (None: stays
    dynamic), `input_values` makes inputs constant. Other options of `mlc compile` go by their names:
    compile("m.onnx", train=True, loss="mse", learning_rate=0.1). threads, seed and device are as in load()."""
    folder = None
    if output is None:
        folder = tempfile.mkdtemp(prefix="mlc-")
        stem = pathlib.Path(model).stem if isinstance(model, (str, os.PathLike)) else "model"
        output = os.path.join(folder, stem + ".so")
    elif pathlib.Path(output).suffix != ".so":
        raise ValueError(f"only a shared library (.so) can be loaded, not {output}; compile_to() makes the other forms")
    try:
        compile_to(model, output, dims=dims, shapes=shapes, input_values=input_values, cpu=cpu, train=train, **flags)
        loaded = Model(output, threads=threads, seed=seed, device=device)
    except BaseException:
        if folder is not None:
            _remove(folder)
        raise
    if folder is not None:
        weakref.finalize(loaded, _remove, folder)
    return loaded


def compile_to(model: Any, output: Path, *, dims: Optional[Mapping[str, int]] = None,
               shapes: Optional[Mapping[str, Shape]] = None, input_values: Optional[Mapping[str, Any]] = None,
               cpu: Optional[str] = None, train: bool = False, **flags: Any) -> pathlib.Path:
    """As compile(), but only writes the library (.so, .a or .o), its header and its manifest."""
    options = dict(flags, cpu=cpu, train=train, dim=dims,
                   shape={name: _shape_text(shape) for name, shape in (shapes or {}).items()})
    compiler = find_compiler()
    with tempfile.TemporaryDirectory(prefix="mlc-") as folder:
        command = [str(compiler), "compile", _model_file(model, folder), "-o", os.fspath(output),
                   *_options(options), *_input_values(input_values or {}, folder)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, errors="replace", env=compiler_environment(compiler), check=False)
    if done.returncode != 0:
        raise CompileError(done.stderr, done.returncode)
    sys.stdout.write(done.stdout)  # a report that was asked for
    sys.stderr.write(done.stderr)  # warnings
    return pathlib.Path(output)


def _remove(folder: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _model_file(model: Any, folder: str) -> str:
    if isinstance(model, (str, os.PathLike)):
        return os.fspath(model)
    if hasattr(model, "SerializeToString"):
        model = model.SerializeToString()
    if not isinstance(model, (bytes, bytearray, memoryview)):
        raise TypeError(f"expected a path, an onnx.ModelProto or bytes, got {type(model).__name__}")
    path = os.path.join(folder, "model.onnx")
    with open(path, "wb") as file:
        file.write(model)
    return path


def _shape_text(shape: Shape) -> str:
    return "x".join("?" if size is None else str(size) for size in shape)


def _options(options: Mapping[str, Any]) -> Iterator[str]:
    """learning_rate=0.1 -> --learning-rate=0.1; True -> the flag alone; None and False -> nothing; a list repeats the
    option, and a mapping repeats it as name=value."""
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            yield option
            continue
        if isinstance(value, Mapping):
            values = [f"{key}={item}" for key, item in value.items()]
        else:
            values = value if isinstance(value, (list, tuple)) else [value]
        for item in values:
            yield f"{option}={os.fspath(item) if isinstance(item, os.PathLike) else item}"


def _input_values(values: Mapping[str, Any], folder: str) -> Iterator[str]:
    for number, (name, value) in enumerate(values.items()):
        path = os.path.join(folder, f"value{number}.npy")
        np.save(path, np.asarray(value))
        yield f"--input-value={name}=@{path}"
