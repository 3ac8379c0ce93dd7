"""What commands say of files that they cannot take, and that they say all of it."""
import ctypes
import io
import pickle
import struct
import subprocess
import zipfile

import mlc_backend
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper


def run(*command, **options):
    return subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=300, check=False, **options)


def tensor(name, dtype=TensorProto.FLOAT, shape=("n", 3)):
    return helper.make_tensor_value_info(name, dtype, shape)


def save(path, nodes, inputs, outputs, initializers=(), opsets=(("", 17),)):
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid(*opset) for opset in opsets], ir_version=8), path)
    return path


def zipped(*names):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, b"x" * 100)
    return stream.getvalue()


def npy():
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    return stream.getvalue()


SAFETENSORS = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
FOREIGN = {
    "a.pt": (zipped("archive/data.pkl", "archive/version"), "saved by PyTorch"),
    "old.pth": (pickle.dumps({"w": 1}, protocol=2), "torch.onnx.export"),
    "a.tflite": (b"\x1c\0\0\0TFL3" + bytes(100), "TensorFlow Lite"),
    "a.h5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "Keras model"),
    "a.keras": (zipped("metadata.json", "config.json"), "Keras model"),
    "a.mlir": (b"module {\n  func.func @main() { return }\n}\n", "is MLIR"),
    "frozen.pb": (b"\x0a\x04\x0a\x02ab", "TensorFlow"),
    "a.safetensors": (struct.pack("<Q", len(SAFETENSORS)) + SAFETENSORS + bytes(4), "safetensors"),
    "a.npy": (npy(), "NumPy array"),
    "a.npz": (zipped("a.npy"), "NumPy archive"),
    "a.ort": (b"\x1c\0\0\0ORTM" + bytes(100), "ONNX Runtime's own format"),
    "a.gguf": (b"GGUF" + bytes(100), "GGUF"),
    "lfs.onnx": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "page.onnx": (b"<!DOCTYPE html><html></html>", "web page"),
    "a.json": (b'{"a": 1}', "is JSON"),
    "a.onnx.gz": (b"\x1f\x8b\x08" + bytes(100), "compressed"),
    "a.a": (b"!<arch>\n", "static library"),
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("command", ["compile", "check", "info", "verify", "run"])
def test_foreign_files(mlc, tmp_path, name, command):
    """What it is and what to do, whatever command gets it."""
    content, words = FOREIGN[name]
    (tmp_path / name).write_bytes(content)
    done = run(mlc, command, tmp_path / name, *(["-o", tmp_path / "x.so"] if command == "compile" else []))
    if (name, command) == ("a.a", "info"):
        words = "no manifest"  # which takes static libraries
    assert done.returncode == 1 and words in done.stderr and "error: " in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["compile", "check", "info", "verify"])
def test_folders(mlc, tmp_path, command):
    options = ["-o", tmp_path / "x.so"] if command == "compile" else []
    done = run(mlc, command, tmp_path, *options)
    assert done.returncode == 1 and "is a folder; give the .onnx file in it" in done.stderr
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01\x12\x02ab")
    done = run(mlc, command, tmp_path, *options)
    assert done.returncode == 1 and "is a TensorFlow SavedModel" in done.stderr


@pytest.mark.parametrize("suffix", [".so", ".a", ".o"])
@pytest.mark.parametrize("machine", ["", "aarch64-linux-gnu", "x86_64-linux-gnu"])
def test_info_of_any_machine(mlc, compiled, digits, suffix, machine):
    """Nothing is loaded: libraries for other machines are described as well."""
    library = compiled(digits, *([f"--triple={machine}", "--cpu=generic"] if machine else []), suffix=suffix)
    done = run(mlc, "info", library)
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert lines["input"] == "image: float32[batch,1,8,8]" and lines["output"] == "logits: float32[batch,10]"
    assert lines["size"] == f"{library.stat().st_size} bytes" and lines["dimension"] == "batch"
    assert lines["made"].startswith("by      mlc 0.") and lines["kernels"].startswith("8: 5 contract")
    if machine:
        assert lines["machine"] == f"{machine.replace('-', '-unknown-', 1)}, generic"
    assert run(mlc, "info", "--manifest", library).stdout.strip() == library.with_suffix(".json").read_text().strip()


def test_library_in_the_place_of_a_model(mlc, compiled, digits, tmp_path):
    library = compiled(digits, "--triple=aarch64-linux-gnu")
    for command in ("check", "verify"):
        done = run(mlc, command, library)
        assert done.returncode == 1 and "is a compiled library or program for aarch64; mlc info" in done.stderr
    for command in ("run", "bench"):
        done = run(mlc, command, library)
        assert done.returncode == 1 and "is not a library for this machine (x86_64)" in done.stderr
    done = run(mlc, "info", "/bin/sh")
    assert done.returncode == 1 and "was not made by mlc" in done.stderr


def test_check_tells_all_obstacles(mlc, tmp_path):
    """As a classifier of scikit-learn: labels are strings, probabilities a sequence of maps; and more that is not supported."""
    sequence = helper.make_value_info("probabilities", helper.make_sequence_type_proto(
        helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))))
    nodes = [helper.make_node("Relu", ["x"], ["r"]),
             helper.make_node("ZipMap", ["r"], ["probabilities"], name="zip", domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2]),
             helper.make_node("Unheard", ["r"], ["u"], name="unheard", domain="com.example"),
             helper.make_node("LabelEncoder", ["words"], ["label"], name="strings", domain="com.example"),
             helper.make_node("Constant", [], ["c"], name="constant", value=helper.make_tensor("t", TensorProto.STRING, [1], [b"a"])),
             helper.make_node("Unheard", ["c"], ["v"], name="behind", domain="com.example")]
    model = save(tmp_path / "m.onnx", nodes, [tensor("x"), tensor("words", TensorProto.STRING, ["w"])],
                 [tensor("label", TensorProto.STRING, ["w"]), sequence, tensor("u", shape=None), tensor("v", shape=None)],
                 [helper.make_tensor("text", TensorProto.STRING, [1], [b"a"])],
                 opsets=[("", 17), ("ai.onnx.ml", 3), ("com.example", 1)])
    done = run(mlc, "check", model)
    assert done.returncode == 2, done.stderr
    for words in ('input "words": element type string', 'output "label": element type string',
                  'output "probabilities": sequence values', 'initializer "text"', "constant: error: Constant"):
        assert words in done.stderr, (words, done.stderr)
    table = [line.split()[0] for line in done.stdout.splitlines() if line]
    for node in ("zip", "unheard", "strings", "behind"):
        assert node in table, done.stdout
    assert run(mlc, "compile", model, "-o", tmp_path / "m.so").returncode == 2
    assert run(mlc, "check", model, model).returncode == 2


def test_missing_data_file(mlc, tmp_path):
    """One error for all weights that are in it."""
    weights = [helper.make_tensor(f"w{i}", TensorProto.FLOAT, [3], np.full(3, i, np.float32).tobytes(), raw=True) for i in range(56)]
    nodes = [helper.make_node("Sum", ["x", *(f"w{i}" for i in range(56))], ["y"])]
    model = save(tmp_path / "m.onnx", nodes, [tensor("x")], [tensor("y")], weights)
    onnx.save(onnx.load(model), model, save_as_external_data=True, location="m.data", size_threshold=0)
    (tmp_path / "m.data").unlink()
    done = run(mlc, "compile", model, "-o", tmp_path / "m.so")
    assert done.returncode == 1
    assert done.stderr == ('m.onnx: error: initializer "w0" and 55 more: external data "m.data" cannot be opened: '
                           "No such file or directory\n")


@pytest.mark.parametrize("domain, newest", [("", onnx.defs.onnx_opset_version()), ("ai.onnx.ml", 5),
                                            ("ai.onnx.preview.training", 1)])
def test_opset_that_does_not_exist(mlc, tmp_path, domain, newest):
    node = {"": helper.make_node("Relu", ["x"], ["y"], name="node"),
            "ai.onnx.ml": helper.make_node("Scaler", ["x"], ["y"], name="node", domain=domain, offset=[0.0], scale=[1.0]),
            "ai.onnx.preview.training": helper.make_node("Adam", ["x"], ["y"], name="node", domain=domain)}[domain]
    model = lambda version: save(tmp_path / f"m{version}.onnx", [node], [tensor("x")], [tensor("y")],  # noqa: E731
                                 opsets=[("", 17), (domain, version)] if domain else [("", version)])
    done = run(mlc, "check", model(newest + 1))
    assert done.returncode == 2
    assert (f"m{newest + 1}.onnx:node: error: {node.op_type}: version {newest + 1} of the operator set {domain or 'ai.onnx'} is not "
            f"supported: the newest that mlc knows is {newest}\n") == done.stderr
    assert "operator set" not in run(mlc, "check", model(newest)).stderr


def test_null_handle(compiled, digits):
    """Every function that takes a handle says that there is none."""
    library = ctypes.CDLL(str(compiled(digits)))
    library.digits_last_error.restype = ctypes.c_char_p
    model = mlc_backend.Library(compiled(digits)).model
    for call in (lambda: library.digits_run(None, None, None, None), lambda: model.run(None, None, None),
                 lambda: model.save(None, b"x"), lambda: model.load(None, b"x")):
        library.digits_create(None, ctypes.byref(ctypes.c_void_p()))  # which clears the message
        assert library.digits_last_error(None) == b""
        assert call() == 1
        assert library.digits_last_error(None) == b"the handle is null"


def test_empty_batch(mlc, compiled, digits):
    """A size of 0 works fixed as it works open."""
    for library, size in ((compiled(digits, "--dim=batch=0"), {}), (compiled(digits), {})):
        with mlc_backend.Library(library) as loaded:
            assert loaded.run({"image": np.zeros((0, 1, 8, 8), np.float32)})["logits"].shape == (0, 10)


def test_usual_forms(mlc, digits, tmp_path):
    """What users of other compilers type."""
    assert run(mlc, "help", "compile").stdout == run(mlc, "compile", "--help").stdout != ""
    done = run(mlc, "help", "nothing")
    assert done.returncode == 64 and 'unknown command "nothing"' in done.stderr
    assert run(mlc, "compile", digits, f"-o{tmp_path}/x.o").returncode == 0 and (tmp_path / "x.o").exists()
    assert run(mlc, "compile", digits, f"-o={tmp_path}/y.o").returncode == 0 and (tmp_path / "y.o").exists()
    done = run(mlc, "compile", digits, "-x")
    assert done.returncode == 64 and 'unknown option "-x"' in done.stderr
    assert run(mlc, "compile", digits, "-o", tmp_path / "libmodel.a").returncode == 0
    assert "model_run(" in (tmp_path / "libmodel.h").read_text() and "libmodel_" not in (tmp_path / "libmodel.h").read_text()
    (tmp_path / "main.c").write_text('#include "libmodel.h"\nint main(void) { return model_workspace_size(&(model_dims){1}) == 0; }\n')
    done = run("clang-22", "main.c", "-L.", "-lmodel", "-lm", "-o", "main", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert run("./main", cwd=tmp_path).returncode == 0
