"""The PTX itself: ptxas takes every kernel without spills and remarks, and without a driver a library says what it needs."""
import ctypes
import re
import shutil
import subprocess

import pytest

ARCHS = ["sm_80", "sm_90a"]


def models(root):
    yield "digits", root / "examples/digits/digits.onnx", []
    yield "digits_train", root / "examples/digits/digits_init.onnx", ["--train", "--optimizer=adam"]
    yield "bert_small", root / "test/models/bert-small/dynamo.onnx", []
    yield "bert_small_static", root / "test/models/bert-small/legacy.onnx", ["--dim", "batch=2", "--dim", "sequence=33"]


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("name", ["digits", "digits_train", "bert_small", "bert_small_static"])
def test_ptxas(mlc, root, tmp_path, name, arch):
    ptxas = shutil.which("ptxas")
    if not ptxas:
        pytest.skip("NOT CHECKED: no ptxas on the PATH, PTX was not assembled")
    _, model, options = next(one for one in models(root) if one[0] == name)
    text = tmp_path / "kernels.ptx"
    done = subprocess.run([mlc, "compile", model, f"--target=cuda:{arch}", "--emit=ptx", "-o", text, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ptx = text.read_text()
    assert f".target {arch}" in ptx
    done = subprocess.run([ptxas, "-v", f"-arch={arch}", text, "-o", tmp_path / "kernels.cubin"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kernels = ptx.count(".entry")
    assert kernels > 0 and len(re.findall(r"Compiling entry function", done.stderr)) == kernels
    assert len(re.findall(r"\b0 bytes spill stores, 0 bytes spill loads", done.stderr)) == kernels, done.stderr
    assert not re.search(r"C75\d\d|warning", done.stderr), done.stderr


def test_images(mlc, digits, tmp_path):
    """A library for sm_90a also holds code for sm_80, after it."""
    subprocess.run([mlc, "compile", digits, "--target=cuda:sm_90a", "-o", tmp_path / "digits.so"], check=True)
    found = re.findall(rb"\n\.target (sm_\w+)", (tmp_path / "digits.so").read_bytes())
    assert sorted(found) == [b"sm_80", b"sm_90a"]


@pytest.mark.parametrize("target", ["cuda:sm_70", "cuda:sm_999", "cuda:sm_80a"])
def test_unknown_arch(mlc, digits, target):
    """LLVM would end the process over some of these."""
    done = subprocess.run([mlc, "compile", digits, f"--target={target}", "--emit=ptx"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is not supported: expected one of sm_80, " in done.stderr


def test_no_driver(mlc, digits, tmp_path):
    subprocess.run([mlc, "compile", digits, "--target=cuda:sm_80", "-o", tmp_path / "digits.so"], check=True)
    try:
        ctypes.CDLL("libcuda.so.1")
        message = None
    except OSError:
        message = "MLC_UNSUPPORTED_DEVICE: the library holds GPU code for sm_80, but the NVIDIA driver (libcuda.so.1) is not installed"
    if message is None:
        pytest.skip("NOT CHECKED: this process has a driver")
    done = subprocess.run([mlc, "run", tmp_path / "digits.so", "--input", "random", "--dim", "batch=2"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert message in done.stderr
