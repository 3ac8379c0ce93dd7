"""tools/gpu-check, both halves, with the emulator in place of a GPU: what it packs passes, and what is wrong in it is found.

Its checks are also the tests of how libraries bear failures of the driver: every call of a run of the digits CNN, of BERT and of a
training step fails once and for good, with six codes.
"""
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.slow  # the emulator translates fifteen libraries

CHECKS = ["digits", "bert", "bert-static", "gpt2", "mobilenetv3", "unet", "lstm", "operators", "narrow", "train-sgd", "train-adam", "wrong-labels",
          "wrong-indices", "faults-digits", "faults-bert", "faults-train"]


@pytest.fixture(scope="module")
def packed(root, mlc, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpu-check") / "pack"
    done = subprocess.run([sys.executable, root / "tools/gpu-check", "pack", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def run(packed, driver_path, tmp_path):
    """run(...): FOLDER/run with these arguments; elsewhere, with nothing of the repository on its path."""
    def call(*arguments, folder=packed):
        return subprocess.run([sys.executable, folder / "run", "--driver", driver_path, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    return call


def test_checks(packed):
    """All kinds of checks are there, and nothing else is: what is missing would not be missed."""
    assert [check["name"] for check in json.loads((packed / "checks.json").read_text())] == CHECKS


@pytest.mark.parametrize("name", CHECKS)
def test_passes(run, name):
    done = run("--only", name)
    assert done.returncode == 0 and done.stdout.startswith(f"PASS {name} "), done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "1 passed, 0 failed"
    if name.partition("-")[0] not in ("wrong", "faults"):
        assert f"\n{name:16} kernel_" in done.stdout


def test_times(run, tmp_path):
    """As many launches as the model has calls of kernels, each with a time."""
    assert run("--only", "digits", "--json", tmp_path / "times.json").returncode == 0
    times = json.loads((tmp_path / "times.json").read_text())["digits"]
    assert len(times) == 8 and all(launches == 1 and microseconds > 0 for _, launches, microseconds in times)


def spoil_value(folder):
    with np.load(folder / "digits.npz") as stored:
        arrays = dict(stored)
    arrays["2/out/logits"][63, 9] += 0.1
    np.savez(folder / "digits.npz", **arrays)


def spoil_checks(**changes):
    def spoil(folder):
        checks = json.loads((folder / "checks.json").read_text())
        for check in checks:
            check.update({key: value for key, value in changes.items() if key in check})
        (folder / "checks.json").write_text(json.dumps(checks))
    return spoil


@pytest.mark.parametrize("name, spoil, message", [
    ("digits", spoil_value, "Failed: set 2: logits is off by "),
    ("train-sgd", spoil_checks(losses=[1.0]), "Failed: step 0: the loss is 3.2"),
    ("wrong-indices", spoil_checks(messages=["i 78 is not below 9"]), "i 77 is not below 9', expected 'i 78 is not below 9'"),
    ("lstm", lambda folder: (folder / "lstm.so").unlink(), "LoadError: "),
])
def test_finds(run, packed, tmp_path, name, spoil, message):
    folder = tmp_path / "pack"
    shutil.copytree(packed, folder)
    spoil(folder)
    done = run("--only", name, folder=folder)
    assert done.returncode == 1 and done.stdout.startswith(f"FAIL {name} ") and message in done.stdout, done.stdout + done.stderr


def test_out_of_time(run):
    """What was not run has not passed."""
    done = run("--seconds", "0")
    assert done.returncode == 1 and done.stdout.splitlines()[-1] == f"0 passed, {len(CHECKS)} failed"
