"""mlc.compile: how models, options and the compiler are found and passed on, and what its errors say."""
import gc
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import mlc as package
from mlc import _compile

IMAGES = np.random.default_rng(0).random((3, 1, 8, 8), np.float32)


@pytest.fixture(scope="module")
def want(digits):
    return onnxruntime.InferenceSession(str(digits)).run(None, {"image": IMAGES})[0]


@pytest.mark.parametrize("form", [str, pathlib.Path, lambda path: path.read_bytes(), onnx.load],
                         ids=["str", "path", "bytes", "proto"])
def test_forms_of_a_model(digits, want, form):
    np.testing.assert_allclose(package.compile(form(digits))(IMAGES), want, rtol=1e-4, atol=1e-5)


def test_not_a_model():
    with pytest.raises(TypeError, match="expected a path, an onnx.ModelProto or bytes, got int"):
        package.compile(7)


def test_output_and_dims(digits, want, tmp_path):
    model = package.compile(digits, tmp_path / "three.so", dims={"batch": 3}, cpu="x86-64-v3", threads=1)
    assert model.symbols == () and model.inputs[0].shape == (3, 1, 8, 8) and model.manifest["cpu"] == "x86-64-v3"
    np.testing.assert_allclose(model(IMAGES), want, rtol=1e-4, atol=1e-5)
    assert {path.name for path in tmp_path.iterdir()} == {"three.so", "three.h", "three.json"}


def test_shapes(digits):
    assert package.compile(digits, shapes={"image": [2, None, 8, 8]}).inputs[0].shape[0] == 2


def test_input_values(tmp_path):
    """An input bound at compile time is a numpy array here."""
    graph = helper.make_graph([helper.make_node("Reshape", ["x", "shape"], ["y"])], "test",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, [6]),
                               helper.make_tensor_value_info("shape", TensorProto.INT64, [2])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, None])])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model = package.compile(proto, input_values={"shape": np.array([3, 2], np.int64)})
    assert [info.name for info in model.inputs] == ["x"]
    np.testing.assert_array_equal(model(np.arange(6, dtype=np.float32)), np.arange(6).reshape(3, 2))


def test_other_forms(digits, tmp_path):
    with pytest.raises(ValueError, match="compile_to"):
        package.compile(digits, tmp_path / "digits.a")
    assert package.compile_to(digits, tmp_path / "digits.a", name="d") == tmp_path / "digits.a"
    assert "d_run" in (tmp_path / "digits.h").read_text()


def test_options_of_training(root):
    model = package.compile(root / "examples/digits/digits_init.onnx", train=True, loss="cross_entropy",
                            optimizer="sgd", learning_rate=0.5, trainable=["fc.*"])
    assert set(model.params) == {"fc.weight", "fc.bias"}
    before = model.params["fc.bias"].copy()
    labels = np.array([1, 2, 3])
    logits = model(IMAGES).astype(np.float64)
    model.train_step(IMAGES, labels)
    # The gradient of the bias by hand: softmax minus one-hot, averaged.
    gradient = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    gradient[np.arange(3), labels] -= 1
    np.testing.assert_allclose(model.params["fc.bias"], before - 0.5 * gradient.mean(0), rtol=1e-4, atol=1e-6)


def test_how_values_become_options():
    values = {"cpu": None, "train": True, "naive_kernels": False, "dim": {"a": 1, "b": 2}, "trainable": ["x", "y"],
              "learning_rate": 0.1, "save_stages": pathlib.Path("/tmp/x")}
    assert list(_compile._options(values)) == ["--train", "--dim=a=1", "--dim=b=2", "--trainable=x", "--trainable=y",
                                               "--learning-rate=0.1", "--save-stages=/tmp/x"]


def test_report_is_printed(digits, capsys):
    package.compile(digits, report="memory")
    assert "== memory" in capsys.readouterr().err


def test_errors(digits, tmp_path):
    graph = helper.make_graph([helper.make_node("NoSuchOp", ["x"], ["y"], name="odd")], "test",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, [6])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [6])])
    with pytest.raises(package.CompileError, match=r"model.onnx:odd: error: NoSuchOp") as error:
        package.compile(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    assert error.value.unsupported and error.value.returncode == 2 and "odd" in error.value.stderr
    for model, options, message in ((tmp_path / "absent.onnx", {}, "absent.onnx"), (b"\xff\xff", {}, "error: "),
                                    (digits, {"no_such_option": 1}, "--no-such-option"),
                                    (digits, {"learning_rate": 1}, "needs --train")):
        with pytest.raises(package.CompileError, match=message) as error:
            package.compile(model, **options)
        assert not error.value.unsupported


def test_temporary_folders_go(digits, monkeypatch, tmp_path):
    """With the model, and at once if nothing was compiled."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model = package.compile(digits.read_bytes())
    assert len(list(tmp_path.iterdir())) == 1
    del model
    with pytest.raises(package.CompileError):
        package.compile(b"\xff")
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_where_the_compiler_is(mlc, monkeypatch, tmp_path):
    assert package.find_compiler() == mlc
    monkeypatch.setenv("MLC", str(tmp_path / "mlc"))
    with pytest.raises(package.CompilerNotFound, match="which is no executable"):
        package.find_compiler()
    monkeypatch.delenv("MLC")
    monkeypatch.setattr(_compile, "_PACKAGE", tmp_path / "lib/python/mlc")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(package.CompilerNotFound, match="set MLC"):
        package.find_compiler()
    for folder in (tmp_path, tmp_path / "build/bin", tmp_path / "lib/python/mlc/bin"):  # each before the last
        monkeypatch.setattr(_compile, "_PACKAGE", tmp_path / "lib/python/mlc")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy("/bin/true", folder / "mlc")
        assert package.find_compiler() == folder / "mlc"


def test_command_line(mlc, root, digits, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(root / "runtime/python"), "MLC": str(mlc)}

    def run(*arguments):
        return subprocess.run([sys.executable, "-m", "mlc", *map(str, arguments)], capture_output=True, text=True,
                              check=False, env=environment)

    assert run("--version").stdout.startswith("mlc ")
    assert run("compile", digits, "-o", tmp_path / "digits.so").returncode == 0 and (tmp_path / "digits.h").exists()
    assert run("compile").returncode == 64
