"""Training without a framework: the step function of a library compiled with --train, against PyTorch and by its result."""
import json
import re
import subprocess

import data
import mlc_backend
import numpy as np
import onnx
import pytest
from onnx import numpy_helper


@pytest.fixture(scope="module")
def golden(root):
    return json.loads((root / "test/train/golden_losses.json").read_text())


@pytest.fixture
def initial(root):
    return root / "examples/digits/digits_init.onnx"


def feed(library, images, labels):
    """The model's input and the loss's label, whatever the label is called."""
    image, label = library.train_inputs
    assert image.name == "image" and image.dtype == np.float32
    return {image.name: images, label.name: labels.astype(label.dtype)}


def step(library, images, labels):
    (loss,) = library.train_step(feed(library, images, labels)).values()
    return float(loss.reshape(()))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_losses_equal_pytorch(compiled, golden, initial, optimizer):
    """The first 20 losses; test/train/make_golden.py says how they were made."""
    (images, labels), _ = data.split()
    path = compiled(initial, "--train", "--loss=cross_entropy", f"--optimizer={optimizer}")
    with mlc_backend.Library(path) as library:
        losses = [step(library, images[start:start + 32], labels[start:start + 32]) for start in range(0, 20 * 32, 32)]
    np.testing.assert_allclose(losses, golden[optimizer], rtol=1e-4)


def test_same_bits_for_every_thread_count(compiled, initial):
    (images, labels), _ = data.split()
    path = compiled(initial, "--train", "--loss=cross_entropy", "--optimizer=adam")
    seen = set()
    for threads in (1, 2, 3):
        with mlc_backend.Library(path, threads=threads) as library:
            for start in range(0, 5 * 32, 32):
                step(library, images[start:start + 32], labels[start:start + 32])
            seen.add(b"".join(library.param(info.name).tobytes() for info in library.params))
    assert len(seen) == 1


def test_parameters(compiled, initial):
    """Every initializer can be read and replaced; run uses what was written."""
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(initial).graph.initializer}
    path = compiled(initial, "--train", "--loss=cross_entropy", "--optimizer=sgd")
    with mlc_backend.Library(path) as library:
        assert {info.name for info in library.params} == set(weights)
        for name, value in weights.items():
            np.testing.assert_array_equal(library.param(name), value)
        library.param("fc.weight")[:] = 0
        library.param("fc.bias")[:] = np.arange(10)
        logits = library.run({"image": np.ones((2, 1, 8, 8), np.float32)})["logits"]
        np.testing.assert_allclose(logits, np.tile(np.arange(10, dtype=np.float32), (2, 1)))


def test_save_and_load(compiled, initial, tmp_path):
    """A second handle that loads the checkpoint goes on exactly as the first one does: the optimizer's state is in it."""
    (images, labels), _ = data.split()
    path = compiled(initial, "--train", "--loss=cross_entropy", "--optimizer=adam")
    checkpoint = str(tmp_path / "half.safetensors").encode()
    with mlc_backend.Library(path) as first, mlc_backend.Library(path) as second:
        for start in range(0, 3 * 32, 32):
            step(first, images[start:start + 32], labels[start:start + 32])
        first._check(first.model.save(first._handle, checkpoint), first._handle)
        second._check(second.model.load(second._handle, checkpoint), second._handle)
        assert step(first, images[96:128], labels[96:128]) == step(second, images[96:128], labels[96:128])
        assert step(first, images[128:160], labels[128:160]) == step(second, images[128:160], labels[128:160])


def test_wrong_labels(compiled, initial):
    """A label that is no class is the model's error, not a crash or a write outside memory."""
    path = compiled(initial, "--train", "--loss=cross_entropy", "--optimizer=sgd")
    with mlc_backend.Library(path) as library:
        before = [library.param(info.name).copy() for info in library.params]
        for label in (10, -1, 1 << 40):
            with pytest.raises(mlc_backend.MlcError, match="label"):
                step(library, np.zeros((1, 1, 8, 8), np.float32), np.array([label]))
        for info, value in zip(library.params, before, strict=True):
            np.testing.assert_array_equal(library.param(info.name), value, err_msg=f"{info.name} changed")


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_program_trains_to_97_percent(compiled, initial, root, tmp_path, optimizer):
    """examples/digits/training.c, from random weights, stopped by the first floating-point exception."""
    library = compiled(initial, "--train", "--loss=cross_entropy", f"--optimizer={optimizer}", "--name=digits")
    data.write_binary(tmp_path / "train.bin", *data.split()[0])
    data.write_binary(tmp_path / "held_out.bin", *data.split()[1])
    (tmp_path / "digits.h").write_bytes(library.with_suffix(".h").read_bytes())
    build = subprocess.run(["clang-22", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{tmp_path}",
                            str(root / "examples/digits/training.c"), str(root / "test/library/trapping.c"), "-lm", str(library), f"-Wl,-rpath,{library.parent}",
                            "-o", str(tmp_path / "training")], capture_output=True, text=True, check=False)
    assert build.returncode == 0, build.stderr
    done = subprocess.run([str(tmp_path / name) for name in ("training", "train.bin", "held_out.bin", "out.safetensors")],
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert float(re.findall(r"accuracy: ([\d.]+) %", done.stdout)[-1]) >= 97
    assert (tmp_path / "out.safetensors").stat().st_size > 20000
