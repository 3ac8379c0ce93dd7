"""The PTX itself: ptxas takes every kernel without spills and remarks, and without a driver a library says what it needs."""
import os
import re
import shutil
import subprocess
import sys

import pytest


def has_driver():
    """Asked of another process: in this one the emulator may be loaded."""
    program = "import ctypes, sys; sys.exit(ctypes.CDLL('libcuda.so.1').cuInit(0))"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


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
    spills = [line for line in done.stderr.splitlines() if "spill stores" in line and " 0 bytes spill stores, 0 bytes spill loads" not in line]
    remarks = [line for line in done.stderr.splitlines() if re.search(r"C75\d\d|warning", line)]
    assert not spills and not remarks


def test_images(mlc, digits, tmp_path):
    """A library for sm_90a also holds code for sm_80, after it."""
    subprocess.run([mlc, "compile", digits, "--target=cuda:sm_90a", "-o", tmp_path / "digits.so"], check=True)
    found = re.findall(rb"\n\.target (sm_\w+)", (tmp_path / "digits.so").read_bytes())
    assert sorted(found) == [b"sm_80", b"sm_90a"]


@pytest.mark.parametrize("device, images", [(80, ["sm_80"]), (90, ["sm_90a"])])
def test_image_choice(mlc, digits, tmp_path, driver_path, device, images):
    """The driver is given the best image that the device can run, and no other while that holds all kernels. Values are the CPU's."""
    for name, target in ("cpu", "cpu"), ("gpu", "cuda:sm_90a"):
        subprocess.run([mlc, "compile", digits, f"--target={target}", "-o", tmp_path / f"{name}.so"], check=True)
    logits = f"logits=@{tmp_path}/logits.npy"
    run = ["--input", "random", "--dim", "batch=5"]
    subprocess.run([mlc, "run", tmp_path / "cpu.so", *run, "--output", logits], check=True)
    done = subprocess.run([mlc, "run", tmp_path / "gpu.so", *run, "--expect", logits], capture_output=True, text=True, check=False, env={
        **os.environ, "LD_LIBRARY_PATH": str(driver_path.parent), "EMULATOR_DEVICE": str(device), "EMULATOR_LOG": "1"})
    assert done.returncode == 0, done.stderr
    assert re.findall(r"emulator: \.target (\w+)", done.stderr) == images


@pytest.mark.parametrize("arch", ["sm_80", "sm_86", "sm_87", "sm_89", "sm_90", "sm_90a", "sm_100", "sm_100a", "sm_120"])
def test_every_arch(mlc, digits, tmp_path, arch):
    """Every row of the table: LLVM emits it, and ptxas takes it."""
    done = subprocess.run([mlc, "compile", digits, f"--target=cuda:{arch}", "--emit=ptx", "-o", tmp_path / "kernels.ptx"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if not shutil.which("ptxas"):
        pytest.skip("NOT CHECKED: no ptxas on the PATH, PTX was not assembled")
    subprocess.run(["ptxas", f"-arch={arch}", tmp_path / "kernels.ptx", "-o", tmp_path / "kernels.cubin"], check=True)


@pytest.mark.parametrize("target", ["cuda:sm_70", "cuda:sm_999", "cuda:sm_80a"])
def test_unknown_arch(mlc, digits, target):
    """LLVM would end the process over some of these."""
    done = subprocess.run([mlc, "compile", digits, f"--target={target}", "--emit=ptx"], capture_output=True, text=True, check=False)
    assert done.returncode > 0
    assert "is not supported: expected one of sm_80, " in done.stderr


def test_no_driver(mlc, digits, tmp_path):
    """Without a driver a library says what it needs; `run` is a process of its own and does not see the emulator."""
    subprocess.run([mlc, "compile", digits, "--target=cuda:sm_80", "-o", tmp_path / "digits.so"], check=True)
    if has_driver():
        pytest.skip("NOT CHECKED: this machine has an NVIDIA driver")
    done = subprocess.run([mlc, "run", tmp_path / "digits.so", "--input", "random", "--dim", "batch=2"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert ("MLC_UNSUPPORTED_DEVICE: the library holds GPU code for sm_80, but the NVIDIA driver (libcuda.so.1) is not installed"
            in done.stderr)


def test_on_the_device(root):
    """test_values.py again, on this machine's GPU."""
    if not has_driver():
        pytest.skip("NOT CHECKED: no NVIDIA driver, nothing ran on a GPU")
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test/gpu/test_values.py"], cwd=root,
                          env={**os.environ, "MLC_GPU": "device"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
