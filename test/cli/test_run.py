"""`mlc run`, `bench`, `info`, `ops` and help, as a user types them."""
import json
import subprocess

import numpy as np
import pytest
from onnx import numpy_helper


def run(*command):
    return subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=300, check=False)


@pytest.fixture(scope="module")
def golden(tmp_path_factory, digits):
    """Files with an input and what ONNX Runtime makes of it."""
    import onnxruntime
    folder = tmp_path_factory.mktemp("golden")
    image = np.random.default_rng(0).random((5, 1, 8, 8), np.float32)
    logits = onnxruntime.InferenceSession(str(digits)).run(None, {"image": image})[0]
    np.save(folder / "image.npy", image)
    np.save(folder / "logits.npy", logits)
    np.save(folder / "wrong.npy", logits + 1)
    np.save(folder / "double.npy", image.astype(np.float64))
    np.save(folder / "flat.npy", image.reshape(5, 64))
    (folder / "image.pb").write_bytes(numpy_helper.from_array(image, "image").SerializeToString())
    (folder / "logits.pb").write_bytes(numpy_helper.from_array(logits, "logits").SerializeToString())
    (folder / "cut.npy").write_bytes((folder / "image.npy").read_bytes()[:200])
    (folder / "text.npy").write_text("not an array\n")
    return folder


@pytest.mark.parametrize("kind", ["npy", "pb"])
def test_expect(compiled, mlc, digits, golden, kind):
    done = run(mlc, "run", compiled(digits), "--input", f"image=@{golden}/image.{kind}",
               "--expect", f"logits=@{golden}/logits.{kind}", "--rtol", "1e-4", "--atol", "1e-5")
    assert done.returncode == 0, done.stdout + done.stderr


def test_expect_fails(compiled, mlc, digits, golden):
    done = run(mlc, "run", compiled(digits), "--input", f"image=@{golden}/image.npy", "--expect",
               f"logits=@{golden}/wrong.npy")
    assert done.returncode == 1
    assert "logits" in done.stdout + done.stderr


@pytest.mark.parametrize("threads", [1, 2])
def test_output(compiled, mlc, digits, golden, tmp_path, threads):
    done = run(mlc, "run", compiled(digits), "--input", f"image=@{golden}/image.npy", "--output",
               f"logits=@{tmp_path}/out.npy", "--threads", threads)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), np.load(golden / "logits.npy"), rtol=1e-4, atol=1e-5)


def test_random_input(compiled, mlc, digits):
    done = run(mlc, "run", compiled(digits, "--dim", "batch=3"), "--input", "image=random")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("argument, named", [
    ("imge=@image.npy", "imge"), ("image=@nothing.npy", "nothing.npy"), ("image=@double.npy", "image"),
    ("image=@flat.npy", "image"), ("image=@cut.npy", "cut.npy"), ("image=@text.npy", "text.npy"), ("image", "image"),
])
def test_wrong_input(compiled, mlc, digits, golden, argument, named):
    """The input is named, and the exit code says that it failed; it never crashes."""
    done = run(mlc, "run", compiled(digits), "--input", argument.replace("@", f"@{golden}/"))
    assert 0 < done.returncode < 126, done.stderr
    assert named in done.stderr, done.stderr


def test_missing_input(compiled, mlc, digits):
    done = run(mlc, "run", compiled(digits))
    assert 0 < done.returncode < 126 and "image" in done.stderr


def test_run_refuses_other_files(mlc, root, tmp_path):
    for path in (root / "README.md", tmp_path / "missing.so", tmp_path):
        done = run(mlc, "run", path)
        assert 0 < done.returncode < 126 and path.name in done.stderr


def test_bench(compiled, mlc, digits):
    done = run(mlc, "bench", compiled(digits, "--dim", "batch=1"), "--warmup", 2, "--iterations", 20, "--threads", 1, "--json")
    assert done.returncode == 0, done.stderr
    assert "median" in json.dumps(json.loads(done.stdout))


@pytest.mark.parametrize("what", ["library", "model"])
def test_info(compiled, mlc, digits, what):
    done = run(mlc, "info", compiled(digits) if what == "library" else digits)
    assert done.returncode == 0, done.stderr
    for word in ("image", "logits", "batch"):
        assert word in done.stdout


def test_ops(mlc):
    done = run(mlc, "ops")
    assert done.returncode == 0 and "Conv" in done.stdout and "MatMul" in done.stdout


@pytest.mark.parametrize("command, words", [
    ([], ["compile", "check", "info", "run", "verify", "bench", "ops"]),
    (["compile"], ["--name", "--cpu", "--dim", "--shape", "--emit", "--save-stages", "--report", "--train", "--loss",
                   "--optimizer", "--target", "-o"]),
    (["verify"], ["--input", "--dim", "--rtol", "--atol", "--max-ulp", "--against", "--python", "--save", "--library",
                  "--json", "--all", "--quiet"]),
    (["check"], []), (["info"], []), (["ops"], []),
    (["run"], ["--input", "--expect", "--rtol", "--atol", "--output", "--threads"]),
    (["bench"], ["--warmup", "--iterations", "--duration", "--threads", "--json"]),
])
def test_help(mlc, command, words):
    """--help of every command names every option that the command takes."""
    done = run(mlc, *command, "--help")
    assert done.returncode == 0, done.stderr
    for word in words:
        assert word in done.stdout


def test_unknown_command(mlc):
    done = run(mlc, "transmogrify")
    assert 0 < done.returncode < 126 and "transmogrify" in done.stderr
