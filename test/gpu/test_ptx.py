"""The PTX itself: ptxas takes every kernel without spills and remarks, and without a driver a library says what it needs."""
import os
import pathlib
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


def assemble(mlc, model, arch, folder, *options):
    """What ptxas says of each kernel: {name: bytes that it spills}. None if this machine has no ptxas."""
    text = folder / "kernels.ptx"
    done = subprocess.run([mlc, "compile", model, f"--target=cuda:{arch}", "--emit=ptx", "-o", text, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ptx = text.read_text()
    assert f".target {arch}" in ptx
    if not shutil.which("ptxas"):
        pytest.skip("NOT CHECKED: no ptxas on the PATH, PTX was not assembled")
    done = subprocess.run(["ptxas", "-v", f"-arch={arch}", text, "-o", folder / "kernels.cubin"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if re.search(r"C75\d\d|warning", line)]
    spills = dict(re.findall(r"Function properties for (\w+)\n.* (\d+) bytes spill stores", done.stderr))
    assert sorted(spills) == sorted(re.findall(r"\.entry (\w+)", ptx)) and spills
    return {name: int(count) for name, count in spills.items()}


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("name", ["digits", "digits_train", "bert_small", "bert_small_static"])
def test_ptxas(mlc, root, tmp_path, name, arch):
    _, model, options = next(one for one in models(root) if one[0] == name)
    assert not any(assemble(mlc, model, arch, tmp_path, *options).values())


# How many kernels of a model spill at most, and how much: these numbers may only become less. Kernels of 32 registers divide by a size
# of 64 bits, which is a subroutine; 72 and 80 registers are what ptxas thinks best for a tile.
SPILLS = {"convnext-small": 1, "deberta-small": 1, "distilbert-small": 1, "efficientnet-small": 1, "gpt2-small": 1, "keras-attention-small": 1,
          "llama-small": 1, "mistral-small": 1, "qwen3-small": 1, "super-resolution-small": 2, "t5-decoder-with-past-small": 1, "yolo-topk-small": 1}
SPILL_BYTES_MAX = 12
# What does not compile for a GPU, and why.
CONDITION = "a condition that is computed at run time is not supported on a GPU"
REFUSED = {"faster-rcnn-small": CONDITION, "keras-gru-small": CONDITION, "keras-masked-lstm-small": CONDITION, "retinanet-small": CONDITION,
           "ssdlite-small": CONDITION, "yolo-nms-small": "a size or index that depends on data is not supported on the GPU"}
EXPORTED = sorted((pathlib.Path(__file__).parents[1] / "models").glob("*/*.onnx"))


@pytest.mark.slow
@pytest.mark.parametrize("model", [pytest.param(path, id=f"{path.parent.name}-{path.stem}") for path in EXPORTED])
def test_exported(mlc, tmp_path, model):
    """docs/gpu.md says how many models spill and how many do not compile: neither number may grow."""
    folder = model.parent.name
    if folder in REFUSED:
        done = subprocess.run([mlc, "compile", model, "--target=cuda:sm_80", "-o", tmp_path / "m.so"], capture_output=True, text=True, check=False)
        assert done.returncode != 0 and REFUSED[folder] in done.stderr
        return
    spilled = [count for count in assemble(mlc, model, "sm_80", tmp_path).values() if count]
    assert len(spilled) <= SPILLS.get(folder, 0) and max(spilled, default=0) <= SPILL_BYTES_MAX


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
