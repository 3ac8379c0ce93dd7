"""Weights in a file of their own: found, mapped and shared; replaced by those of a retrained model; anything else refused."""
import ctypes
import json
import mmap
import os
import shutil
import struct
import subprocess

import mlc_backend
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from programs import build, output, run

HEADER_BYTES = 64


def save_mlp(path, seed, hidden=48):
    """Two layers, where the compiler packs weights and fuses biases."""
    rng = np.random.default_rng(seed)
    weights = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in
               {"w0": (40, hidden), "b0": (hidden,), "w1": (hidden, 24), "b1": (24,)}.items()}
    value = lambda name, size: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size])  # noqa: E731
    nodes = [helper.make_node("Gemm", ["x", "w0", "b0"], ["h"]), helper.make_node("Tanh", ["h"], ["t"]),
             helper.make_node("Gemm", ["t", "w1", "b1"], ["y"])]
    graph = helper.make_graph(nodes, "mlp", [value("x", 40)], [value("y", 24)],
                              [numpy_helper.from_array(array, name) for name, array in weights.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


X = np.random.default_rng(0).standard_normal((5, 40)).astype(np.float32)


def reference(model):
    return onnxruntime.InferenceSession(str(model)).run(None, {"x": X})[0]


def values(library, **options):
    with mlc_backend.Library(library, **options) as loaded:
        return loaded.run({"x": X})["y"]


def assert_close(got, want):
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def mlp(tmp_path_factory):
    """mlp(seed): a model; all of them have the same structure."""
    folder = tmp_path_factory.mktemp("models")
    return lambda seed, **shape: save_mlp(folder / f"mlp{seed}{''.join(map(str, shape.values()))}.onnx", seed, **shape)


@pytest.fixture(scope="module")
def libraries(mlc, mlp, tmp_path_factory):
    """The same model with its weights inside and in a file."""
    folder = tmp_path_factory.mktemp("libraries")
    output(mlc, "compile", mlp(1), "-o", folder / "inside.so")
    output(mlc, "compile", mlp(1), "-o", folder / "beside.so", f"--weights={folder / 'mlp.weights'}")
    return folder


@pytest.fixture
def beside(libraries, tmp_path):
    """A copy of the library and its file, to move and to damage."""
    for name in ("beside.so", "mlp.weights"):
        shutil.copy(libraries / name, tmp_path)
    return tmp_path / "beside.so"


@pytest.fixture(scope="module")
def retrained(mlc, mlp, tmp_path_factory):
    """Other weights of the same structure, without a library."""
    path = tmp_path_factory.mktemp("retrained") / "other.weights"
    output(mlc, "compile", mlp(2), "-o", path)
    assert [entry.name for entry in path.parent.iterdir()] == ["other.weights"]
    return path


def test_same_bits(libraries, mlp):
    inside, side = values(libraries / "inside.so"), values(libraries / "beside.so")
    assert inside.tobytes() == side.tobytes()
    assert_close(side, reference(mlp(1)))


def test_found_beside_the_library(beside, tmp_path, monkeypatch):
    """Wherever both are moved and whatever folder is the current one."""
    folder = tmp_path / "moved"
    folder.mkdir()
    for name in ("beside.so", "mlp.weights"):
        (tmp_path / name).rename(folder / name)
    monkeypatch.chdir("/")
    assert np.isfinite(values(folder / "beside.so")).all()
    (folder / "mlp.weights").unlink()
    with pytest.raises(mlc_backend.MlcError) as error:
        values(folder / "beside.so")
    assert str(error.value) == f"io error: {folder}/mlp.weights: cannot open the weights: No such file or directory"


def test_mapped_read_only_and_shared(beside):
    with mlc_backend.Library(beside), mlc_backend.Library(beside):
        lines = [line.split() for line in open("/proc/self/maps") if str(beside.parent / "mlp.weights") in line]
        assert [line[1] for line in lines] == ["r--s", "r--s"]
    assert str(beside.parent / "mlp.weights") not in open("/proc/self/maps").read()


@pytest.mark.parametrize("kind", ["inside", "beside"])
def test_weights_of_a_retrained_model(libraries, mlp, retrained, kind):
    library = libraries / f"{kind}.so"
    got = values(library, weights_file=str(retrained).encode())
    assert_close(got, reference(mlp(2)))
    with open(retrained, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as memory:
        view = (ctypes.c_char * len(memory)).from_buffer(memory)
        assert values(library, weights=ctypes.addressof(view), weights_bytes=len(memory)).tobytes() == got.tobytes()
        del view
    assert_close(values(library), reference(mlp(1)))


def damage(content, name):
    if name == "truncated":
        return content[:-1]
    if name == "header only":
        return content[:HEADER_BYTES]
    if name == "shorter than a header":
        return content[:30]
    if name == "too long":
        return content + b"\0"
    if name == "other version":
        return content[:8] + struct.pack("<I", 9) + content[12:]
    return b"{\"name\": 1}" * 100  # no file of weights


REASONS = {"truncated": "the file is truncated", "header only": "the file is truncated",
           "shorter than a header": "30 bytes are too few for a file of weights", "too long": "the file is too long",
           "other version": "a file of weights of version 9, this library reads version 1",
           "not weights": "not a file of weights made by mlc"}


@pytest.mark.parametrize("name", REASONS)
def test_damaged_file(beside, name):
    path = beside.parent / "mlp.weights"
    content = path.read_bytes()
    path.unlink()  # the module's other tests have it mapped
    path.write_bytes(damage(content, name))
    with pytest.raises(mlc_backend.MlcError) as error:
        values(beside)
    assert str(error.value).startswith(f"corrupt data: {path}: ") and str(error.value).endswith(REASONS[name])


@pytest.mark.parametrize("what", ["other sizes", "other cpu", "training"])
def test_file_of_another_structure(mlc, mlp, beside, tmp_path, what):
    model = mlp(3, hidden=32) if what == "other sizes" else mlp(2)
    options = {"other sizes": [], "other cpu": ["--cpu=x86-64"], "training": ["--train", "--loss=mse"]}[what]
    output(mlc, "compile", model, "-o", tmp_path / "foreign.weights", *options)
    with pytest.raises(mlc_backend.MlcError) as error:
        values(beside, weights_file=str(tmp_path / "foreign.weights").encode())
    message = str(error.value)
    assert message.startswith(f"corrupt data: {tmp_path}/foreign.weights: weights for other code (structure ")
    assert message.endswith("another model, or compiled with other options")


def test_bad_options(beside, mlc, tmp_path):
    for options, message in [
            ({"weights_file": b"/tmp"}, "io error: /tmp: cannot open the weights: not a regular file, or empty"),
            ({"weights_file": b"a", "weights": 64, "weights_bytes": 64},
             "invalid argument: options: weights_file and weights are both given"),
            ({"weights": 64}, "invalid argument: options: weights and weights_bytes must be given together"),
            ({"weights": 65, "weights_bytes": 64}, "invalid argument: options: weights is not aligned to 64 bytes")]:
        with pytest.raises(mlc_backend.MlcError) as error:
            values(beside, **options)
        assert str(error.value) == message
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"])  # noqa: E731
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value("x")], [value("y")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "relu.onnx")
    output(mlc, "compile", tmp_path / "relu.onnx", "-o", tmp_path / "relu.so", f"--weights={tmp_path / 'relu.weights'}")
    with mlc_backend.Library(tmp_path / "relu.so") as library:  # no weights, so no file is needed
        assert library.run({"x": np.array([-1, 2], np.float32)})["y"].tolist() == [0, 2]
    with pytest.raises(mlc_backend.MlcError, match="options: weights are given, but the model has none"):
        mlc_backend.Library(tmp_path / "relu.so", weights_file=b"mlp.weights")


PROGRAM = """#include "mlp.h"
#include <stdio.h>
int main(void) {
  mlp *model;
  if (mlp_create(NULL, &model) != MLC_OK)
    return puts(mlp_last_error(NULL)), 1;
  float x[40] = {0}, y[24];
  mlp_dims dims = {1};
  if (mlp_run(model, &dims, x, y) != MLC_OK)
    return puts(mlp_last_error(model)), 1;
  printf("%.9g\\n", (double)y[3]);
  mlp_destroy(model);
  return 0;
}
"""


@pytest.mark.parametrize("suffix", [".a", ".o"])
def test_static_library(mlc, mlp, tmp_path, suffix):
    """Linked statically there is no library to be beside of: the name is relative to the current folder."""
    artifact = tmp_path / ("mlp" + suffix)
    output(mlc, "compile", mlp(1), "-o", artifact, f"--weights={tmp_path / 'mlp.weights'}")
    assert artifact.stat().st_size < 200_000
    assert "/* The weights are in the file mlp.weights, in the program's current folder. */" in \
        (tmp_path / "mlp.h").read_text()
    (tmp_path / "main.c").write_text(PROGRAM)
    program = build(tmp_path / "program", f"-I{tmp_path}", tmp_path / "main.c", artifact, "-lm")
    session = onnxruntime.InferenceSession(str(mlp(1)))
    want = session.run(None, {"x": np.zeros((1, 40), np.float32)})[0][0, 3]
    assert_close(float(output(program, cwd=tmp_path)), want)
    done = run(program, cwd="/")
    assert (done.returncode, done.stdout) == (1, "mlp.weights: cannot open the weights: No such file or directory\n")


def test_training_starts_from_the_file(mlc, root, tmp_path):
    model = root / "examples/digits/digits_init.onnx"
    image = np.random.default_rng(1).random((4, 1, 8, 8), np.float32)
    label = np.array([1, 2, 3, 4], np.int64)
    losses = {}
    for name, options in {"inside": [], "beside": [f"--weights={tmp_path / 'digits.weights'}"]}.items():
        library = mlc_backend.compile_model(model, tmp_path / f"{name}.so", "--train", "--name=digits", *options, mlc=mlc)
        with mlc_backend.Library(library) as loaded:
            feeds = dict(zip([info.name for info in loaded.train_inputs], [image, label]))
            losses[name] = [float(list(loaded.train_step(feeds).values())[0]) for _ in range(5)]
    assert losses["inside"] == losses["beside"] and losses["beside"][-1] < losses["beside"][0]


def test_what_describes_it(mlc, libraries, tmp_path):
    manifest = json.loads((libraries / "beside.json").read_text())["weights"]
    assert manifest["file"] == "mlp.weights" and len(manifest["structure"]) == 32
    assert manifest["bytes"] == (libraries / "mlp.weights").stat().st_size - HEADER_BYTES
    inside = json.loads((libraries / "inside.json").read_text())["weights"]
    assert inside == {**manifest, "file": None}
    assert (f"weights      {manifest['bytes']} bytes in the file mlp.weights, structure {manifest['structure']}"
            in output(mlc, "info", libraries / "beside.so"))
    assert (libraries / "mlp.weights").read_bytes()[:8] == b"\x93MLCW\r\n\0"


def test_command_line(mlc, mlp, libraries, retrained, tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", reference(mlp(2)))
    output(mlc, "run", libraries / "beside.so", f"--input=x=@{tmp_path}/x.npy", f"--expect=y=@{tmp_path}/y.npy",
           f"--weights={retrained}")
    output(mlc, "bench", libraries / "beside.so", "--dim=n=1", "--iterations=1", f"--weights={retrained}")
    done = run(mlc, "bench", libraries / "beside.so", "--dim=n=1", "--weights=/nothing")
    assert done.returncode == 1 and "/nothing: cannot open the weights: No such file or directory" in done.stderr
    (tmp_path / "other").mkdir()
    done = run(mlc, "compile", mlp(1), "-o", tmp_path / "a.so", "--weights=other/a.weights", cwd=tmp_path)
    assert done.returncode == 1 and "expected a file in the folder of" in done.stderr
    done = run(mlc, "compile", mlp(1), "-o", tmp_path / "a.so", f"--weights={tmp_path}")
    assert done.returncode == 1 and "cannot be written: Is a directory" in done.stderr
    done = run(mlc, "compile", mlp(1), "--emit=core", "--weights=a.weights", cwd=tmp_path)
    assert done.returncode == 64


# Large models: the weights are mapped, packed and written piece by piece.

LAYERS, SIZE = 16, 2048
WEIGHTS_BYTES = LAYERS * SIZE * SIZE * 4


def save_large(folder):
    """LAYERS products with external weights: one random matrix, rolled further for every layer."""
    base = (np.random.default_rng(0).standard_normal(SIZE * SIZE) / np.sqrt(SIZE)).astype(np.float32)
    nodes, weights = [], []
    x = y = np.random.default_rng(1).standard_normal((2, SIZE)).astype(np.float32)
    with open(folder / "large.bin", "wb") as file:
        for layer in range(LAYERS):
            matrix = np.roll(base, 1237 * layer)
            weight = TensorProto(name=f"w{layer}", data_type=TensorProto.FLOAT, dims=[SIZE, SIZE],
                                 data_location=TensorProto.EXTERNAL)
            for key, value in {"location": "large.bin", "offset": file.tell(), "length": matrix.nbytes}.items():
                weight.external_data.add(key=key, value=str(value))
            file.write(matrix.tobytes())
            weights.append(weight)
            nodes.append(helper.make_node("MatMul", [f"h{layer}", f"w{layer}"], [f"h{layer + 1}"]))
            y = y @ matrix.reshape(SIZE, SIZE)
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, SIZE])  # noqa: E731
    graph = helper.make_graph(nodes, "large", [value("h0")], [value(f"h{LAYERS}")], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / "large.onnx").write_bytes(model.SerializeToString())
    return x, y


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--weights=large.weights"]], ids=["inside", "beside"])
def test_memory_of_compilation(mlc, mlp, tmp_path, options):
    """Under twice the weights, and what compiling a small model takes."""
    x, y = save_large(tmp_path)

    def peak_bytes(*command):
        process = subprocess.Popen([str(part) for part in command], cwd=tmp_path)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        assert status == 0
        return usage.ru_maxrss << 10

    small = peak_bytes(mlc, "compile", mlp(1), "-o", "small.so")
    large = peak_bytes(mlc, "compile", "large.onnx", "-o", "large.so", *options)
    assert large - small < 2.1 * WEIGHTS_BYTES, f"{(large - small) / WEIGHTS_BYTES:.2f} times the weights"
    with mlc_backend.Library(tmp_path / "large.so") as library:
        got = library.run({"h0": x})[f"h{LAYERS}"]
    assert np.abs(got - y).max() / np.abs(y).max() < 1e-4


