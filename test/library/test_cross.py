"""Libraries for aarch64, compiled on another machine and run by qemu: the same values, and equal bits for any number of threads."""
import json
import os
import platform
import subprocess

import ml_dtypes
import mlc_backend
import numpy as np
import onnxruntime
import pytest
import realistic
from programs import ROOT, SOURCES, STRICT, bert_feeds, output, run, symbols
from test_narrow_floats import BITS, cast_model, every, hard_values

pytestmark = pytest.mark.slow

if platform.machine() != "x86_64":
    pytest.skip("needs an x86-64 machine and the C library for aarch64", allow_module_level=True)
SYSROOT = "/usr/aarch64-linux-gnu"
QEMU = ["qemu-aarch64", "-L", SYSROOT]
TRIPLE = "--triple=aarch64-linux-gnu"
# Without gcc's start files: the C library's own are enough for C.
CROSS = ["clang-22", "-std=c11", "--target=aarch64-linux-gnu", "-nostdlibinc", f"-isystem{SYSROOT}/include", "-fuse-ld=lld",
         "-nostdlib", f"{SYSROOT}/lib/Scrt1.o", f"{SYSROOT}/lib/crti.o", f"{SYSROOT}/lib/crtn.o", f"-L{SYSROOT}/lib"]


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    program = tmp_path_factory.mktemp("runner") / "run_tensors"
    output(*CROSS, *STRICT, f"-I{ROOT}/runtime/include", SOURCES / "run_tensors.c", "-lc", "-o", program)
    return program


def pack(array):
    return np.array([array.ndim, *array.shape], np.int64).tobytes() + np.ascontiguousarray(array).tobytes()


class Reader:
    def __init__(self, content):
        self.content, self.at = content, 0

    def take(self, dtype, count):
        array = np.frombuffer(self.content, dtype, count, self.at)
        self.at += array.nbytes
        return array

    def tensor(self, dtype):
        shape = self.take(np.int64, int(self.take(np.int64, 1)[0]))
        return self.take(dtype, int(shape.prod())).reshape(shape)


@pytest.fixture(scope="module")
def foreign(runner):
    """foreign(library, feeds): outputs by name, as {name: array}; with steps=n the list of them after each training step."""
    def call(library, feeds, threads=1, steps=0, cpu="max"):
        manifest = json.loads(library.with_suffix(".json").read_text())
        signature = manifest["training"] if steps else manifest
        content = b"".join(pack(feeds[info["name"]]) for info in signature["inputs"])
        command = [*QEMU, "-cpu", cpu, runner, library, threads, steps]
        done = subprocess.run([str(part) for part in command], input=content, capture_output=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr.decode()
        reader = Reader(done.stdout)
        named = lambda info: getattr(ml_dtypes, info["dtype"], None) or np.dtype(info["dtype"])  # noqa: E731
        results = [{info["name"]: reader.tensor(named(info)) for info in signature["outputs"]} for _ in range(steps or 1)]
        assert reader.at == len(done.stdout)
        return results if steps else results[0]

    return call


def reference(model, feeds):
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, feeds)))


def assert_equal(got, want):
    assert list(got) == list(want)
    for name in want:
        assert got[name].shape == want[name].shape and got[name].dtype == want[name].dtype
        assert np.abs(got[name] - want[name]).max() <= 1e-4 * np.abs(want[name]).max(), name


def check_model(foreign, library, model, feeds):
    one, two = foreign(library, feeds, threads=1), foreign(library, feeds, threads=2)
    assert {name: one[name].tobytes() for name in one} == {name: two[name].tobytes() for name in two}
    assert_equal(one, reference(model, feeds))


@pytest.mark.parametrize("cpu", ["generic", "neoverse-n1"])
def test_digits(compiled, foreign, digits, cpu):
    feeds = {"image": np.random.default_rng(7).random((7, 1, 8, 8), np.float32)}
    check_model(foreign, compiled(digits, TRIPLE, f"--cpu={cpu}"), digits, feeds)


def test_bert(compiled, foreign, root):
    model = root / "test/models/bert-small/legacy.onnx"
    check_model(foreign, compiled(model, TRIPLE, "--cpu=cortex-a76"), model, bert_feeds(root, "1x16"))


def test_squeezenet(compiled, foreign, tmp_path_factory):
    model = realistic.save("squeezenet", tmp_path_factory.getbasetemp() / "models")
    session = onnxruntime.InferenceSession(str(model))
    info = session.get_inputs()[0]
    feeds = {info.name: np.random.default_rng(0).standard_normal(info.shape).astype(np.float32)}
    assert_equal(foreign(compiled(model, TRIPLE), feeds, threads=2), reference(model, feeds))


def test_training(compiled, foreign, root):
    """Two steps of Adam: the losses of the same library for this machine."""
    model, options = root / "examples/digits/digits_init.onnx", ["--train", "--loss=cross_entropy", "--optimizer=adam"]
    rng = np.random.default_rng(2)
    with mlc_backend.Library(compiled(model, *options)) as native:
        image, label = (info.name for info in native.train_inputs)
        feeds = {image: rng.random((16, 1, 8, 8), np.float32), label: rng.integers(0, 10, 16).astype(np.int64)}
        want = [native.train_step(feeds) for _ in range(2)]
    library = compiled(model, TRIPLE, *options)
    got = foreign(library, feeds, steps=2)
    for got_step, want_step in zip(got, want, strict=True):
        assert_equal(got_step, want_step)
    assert got[1] != got[0]
    two = foreign(library, feeds, threads=2, steps=2)
    assert [[value.tobytes() for value in step.values()] for step in got] == \
        [[value.tobytes() for value in step.values()] for step in two]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("cpu", ["generic", "neoverse-v1"])
@pytest.mark.parametrize("source, target", [("float16", "float32"), ("float32", "float16"), ("float64", "float16"),
                                            ("bfloat16", "float32"), ("float32", "bfloat16"), ("float64", "bfloat16")])
def test_narrow_floats(compiled, foreign, tmp_path, cpu, source, target):
    """Conversions give numpy's bits, whether the CPU has instructions for them or not."""
    x = every(source) if source in ("float16", "bfloat16") else hard_values(target, source)
    got = foreign(compiled(cast_model(tmp_path, source, target), TRIPLE, f"--cpu={cpu}"), {"x": x})["y"]
    want = x.astype(got.dtype)
    nan = np.isnan(want.astype(np.float64))
    assert np.isnan(got.astype(np.float64))[nan].all()
    bits = BITS[want.dtype.itemsize]
    wrong = np.flatnonzero((got.view(bits) != want.view(bits)) & ~nan)
    assert wrong.size == 0, f"{wrong.size} of {x.size}: {[(x[i], got[i], want[i]) for i in wrong[:5]]}"


def test_lacking_features(compiled, runner, digits):
    library = compiled(digits, TRIPLE, "--cpu=neoverse-v1")
    done = run(*QEMU, "-cpu", "cortex-a53", runner, library, 1, 0)
    assert done.returncode == 1
    assert done.stderr == ("status 3: this CPU lacks features that the library was compiled for: atomics, asimdrdm, asimdhp, "
                           "asimdfhm, asimddp, jscvt, fcma, lrcpc, i8mm, bf16\n")


@pytest.mark.parametrize("sysroot", ["found", "missing"])
def test_without_the_target_s_libraries(compiled, foreign, digits, tmp_path, sysroot):
    """libc and libm are needed by name, whether the linker has seen them or not."""
    options = [] if sysroot == "found" else [f"--sysroot={tmp_path}"]
    library = compiled(digits, TRIPLE, *options)
    needed = output("llvm-readelf-22", "-d", library)
    assert "[libc.so.6]" in needed and "[libm.so.6]" in needed and needed.count("(NEEDED)") == 2
    assert "Machine:                           AArch64" in output("llvm-readelf-22", "-h", library)
    offered = set().union(*(symbols(f"{SYSROOT}/lib/{name}", "-D", "--defined-only") for name in
                            ("libc.so.6", "libm.so.6", "ld-linux-aarch64.so.1")))
    assert symbols(library, "-D", "--undefined-only") - offered == set()
    feeds = {"image": np.random.default_rng(7).random((2, 1, 8, 8), np.float32)}
    assert_equal(foreign(library, feeds), reference(digits, feeds))


def test_static_library(compiled, digits, tmp_path):
    library = compiled(digits, TRIPLE, suffix=".a")
    (tmp_path / "main.c").write_text("""#include "digits.h"
#include <stdio.h>
int main(void) {
  digits *model;
  if (digits_create(NULL, &model) != MLC_OK)
    return puts(digits_last_error(NULL)), 1;
  float image[64], logits[10];
  for (int i = 0; i < 64; ++i)
    image[i] = (float)i / 64;
  digits_dims dims = {1};
  if (digits_run(model, &dims, image, logits) != MLC_OK)
    return puts(digits_last_error(model)), 1;
  for (int i = 0; i < 10; ++i)
    printf("%.9g\\n", (double)logits[i]);
  digits_destroy(model);
  return 0;
}
""")
    output(*CROSS, *STRICT, f"-I{library.parent}", tmp_path / "main.c", library, "-lc", "-lm", "-o", tmp_path / "main")
    got = np.array(output(*QEMU, tmp_path / "main").split(), np.float32)
    want = reference(digits, {"image": (np.arange(64, dtype=np.float32) / 64).reshape(1, 1, 8, 8)})["logits"][0]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options, message", [
    (["--triple=riscv64-linux-gnu"], "--triple=riscv64-unknown-linux-gnu: expected x86_64-linux-gnu or aarch64-linux-gnu"),
    (["--triple=armv7-linux-gnueabihf"], "--triple=armv7-unknown-linux-gnueabihf: expected x86_64-linux-gnu or aarch64-linux-gnu"),
    ([TRIPLE, "--cpu=native"], "--cpu=native: this machine is x86_64, not aarch64"),
    ([TRIPLE, "--cpu=haswell"], "--cpu=haswell: expected native, generic, armv8-a, armv8.2-a, ... or the name of a 64-bit Arm processor"),
    (["--cpu=cortex-a76"], "--cpu=cortex-a76: expected native, generic, x86-64-v2, x86-64-v3, x86-64-v4 or the name of a 64-bit x86 processor"),
])
def test_what_is_refused(mlc, digits, tmp_path, options, message):
    done = run(mlc, "compile", digits, "-o", tmp_path / "digits.so", *options)
    assert done.returncode == 1 and message in done.stderr
    assert os.listdir(tmp_path) == []
