"""What a generated library promises to the program that links it: symbols, threads, memory, and neighbours."""
import re
import subprocess

import mlc_backend
import numpy as np
import pytest

C_FLAGS = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror"]


def run(*command, **options):
    return subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=300, check=False, **options)


def build(program, sources, *arguments):
    done = run("clang-22", *C_FLAGS, *sources, *arguments, "-o", program)
    assert done.returncode == 0, done.stderr
    return program


def exported(library):
    done = run("llvm-nm-22", "-D", "--defined-only", "--format=just-symbols", library)
    assert done.returncode == 0, done.stderr
    return {symbol.partition("@")[0] for symbol in done.stdout.split()}


def system_library(name):
    done = run("clang-22", f"-print-file-name={name}")
    return done.stdout.strip()


def assert_only_libc(library):
    done = run("llvm-nm-22", "-D", "--undefined-only", "--format=just-symbols", library)
    assert done.returncode == 0, done.stderr
    needed = {symbol.partition("@")[0] for symbol in done.stdout.split()}
    offered = set().union(*(exported(system_library(name)) for name in ("libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2")))
    weak = {"__gmon_start__", "_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable"}
    assert needed - offered - weak == set()
    done = run("llvm-readelf-22", "-d", library)
    assert set(re.findall(r"\(NEEDED\).*\[(.*)\]", done.stdout)) <= {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2"}


def test_undefined_symbols(compiled, digits, root):
    """A generated library needs libc and libm, nothing else."""
    assert_only_libc(compiled(digits))
    assert_only_libc(compiled(root / "test/models/bert-small/legacy.onnx"))


def test_size(compiled, digits):
    """Weights (24 KB), code and runtime (under 64 KB) together stay small."""
    assert compiled(digits).stat().st_size < 192 << 10


def test_same_bits_for_every_thread_count(compiled, digits, root):
    rng = np.random.default_rng(0)
    golden = np.load(root / "test/models/bert-small/golden.npz")
    cases = [
        (compiled(digits), {"image": rng.random((33, 1, 8, 8), np.float32)}),
        (compiled(root / "test/models/bert-small/legacy.onnx"),
         {name: golden[f"3x64/{name}"] for name in ("input_ids", "attention_mask", "token_type_ids")}),
    ]
    for path, feeds in cases:
        seen = set()
        for threads in (1, 2, 3, 8):
            with mlc_backend.Library(path, threads=threads) as library:
                for _ in range(3):
                    seen.add(b"".join(array.tobytes() for array in library.run(feeds).values()))
        assert len(seen) == 1, f"{path.name}: {len(seen)} different results"


def test_handles_are_independent(compiled, digits):
    """Two handles of one library in two threads give what each gives alone."""
    import concurrent.futures
    rng = np.random.default_rng(1)
    images = [rng.random((batch, 1, 8, 8), np.float32) for batch in (3, 17)]
    path = compiled(digits)

    def results(image, times):
        with mlc_backend.Library(path, threads=2) as library:
            return [library.run({"image": image})["logits"] for _ in range(times)]

    alone = [results(image, 1)[0] for image in images]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda image: results(image, 200), images))
    for want, got in zip(alone, together):
        assert all(np.array_equal(want, one) for one in got)


def test_wrong_tensors(compiled, digits):
    """Wrong type, rank, size and a null pointer give a status and a message that names the input."""
    with mlc_backend.Library(compiled(digits)) as library:
        for wrong in (np.zeros((1, 1, 8, 8)), np.zeros((1, 8, 8), np.float32), np.zeros((1, 1, 8, 9), np.float32)):
            with pytest.raises(mlc_backend.MlcError, match="invalid argument: .*image"):
                library.run({"image": wrong})
        tensors = library._tensors([np.zeros((1, 1, 8, 8), np.float32)])
        tensors[0].data = None
        outputs = library._tensors([np.zeros((1, 10), np.float32)])
        assert mlc_backend.STATUS[library.model.run(library._handle, tensors, outputs)] == "invalid argument"
        assert library.run({"image": np.zeros((2, 1, 8, 8), np.float32)})["logits"].shape == (2, 10)


def test_empty_batch(compiled, digits):
    """No images: no logits, or a status that says so; never a crash."""
    with mlc_backend.Library(compiled(digits)) as library:
        try:
            assert library.run({"image": np.zeros((0, 1, 8, 8), np.float32)})["logits"].shape == (0, 10)
        except mlc_backend.MlcError as error:
            assert "batch" in str(error) or "image" in str(error)


@pytest.mark.parametrize("suffix", [".so", ".a"])
def test_two_models_in_one_program(compiled, root, suffix, tmp_path):
    """Two models link into one program, both static or both shared, and do not disturb each other."""
    models = {"first": root / "examples/digits/digits.onnx", "second": root / "examples/digits/digits_init.onnx"}
    artifacts = {name: compiled(model, f"--name={name}", suffix=suffix) for name, model in models.items()}
    for name, artifact in artifacts.items():
        (tmp_path / f"{name}.h").write_bytes(artifact.with_suffix(".h").read_bytes())
    program = build(tmp_path / "program", [root / "test/cli/two_models.c"], f"-I{tmp_path}",
                    *artifacts.values(), "-lm", "-lpthread", "-ldl")
    done = run(program)
    assert done.returncode == 0, done.stdout + done.stderr
    got = np.array([[float(word) for word in line.split()] for line in done.stdout.splitlines()], np.float32)
    image = (np.arange(64, dtype=np.float32) / 64).reshape(1, 1, 8, 8)
    import onnxruntime
    want = [onnxruntime.InferenceSession(str(model)).run(None, {"image": image})[0][0] for model in models.values()]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_run_allocates_nothing(compiled, digits, root, tmp_path):
    """After the first call, `run` with known sizes asks the heap for nothing."""
    library = compiled(digits, "--dim", "batch=4")
    program = build(tmp_path / "program", [root / "test/cli/allocations.c"], f"-I{library.parent}",
                    f"-I{root}/runtime/include", "-rdynamic", library, f"-Wl,-rpath,{library.parent}", "-lpthread", "-ldl")
    done = run(program)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == "0 allocations in 100 runs"


def test_example_program(compiled, digits, root, tmp_path):
    """examples/digits/digits.c, linked with the library: what the README shows."""
    library = compiled(digits)
    done = run(root / ".venv/bin/python", root / "examples/digits/data.py", tmp_path)
    assert done.returncode == 0, done.stderr
    program = build(tmp_path / "digits", [root / "examples/digits/digits.c"], f"-I{library.parent}",
                    library, f"-Wl,-rpath,{library.parent}")
    done = run(program, tmp_path / "held_out.bin")
    assert done.returncode == 0, done.stdout + done.stderr
    assert float(re.search(r"accuracy: ([\d.]+) %", done.stdout)[1]) >= 97


def test_unsupported_cpu(compiled, digits, mlc, tmp_path):
    """A library for features that this machine lacks refuses at create, and says which."""
    have = set(next(line for line in open("/proc/cpuinfo") if line.startswith("flags")).split())
    for cpu, feature in (("diamondrapids", "amx_fp16"), ("sapphirerapids", "amx_tile"), ("skylake-avx512", "avx512f")):
        if feature not in have:
            library = compiled(digits, f"--cpu={cpu}")
            with pytest.raises(mlc_backend.MlcError, match="unsupported cpu: "):
                mlc_backend.Library(library)
            return
    pytest.skip("this machine has every feature that mlc can ask for")
