"""The examples that the README shows, as it shows them."""
import os
import re

import numpy as np
import pytest
from programs import ROOT, build, output


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    output(ROOT / ".venv/bin/python", ROOT / "examples/digits/data.py", folder)
    return folder


@pytest.mark.parametrize("suffix", [".so", ".a", ".o"])
def test_c(compiled, digits, data, tmp_path, suffix):
    library = compiled(digits, suffix=suffix)
    program = build(tmp_path / "digits", ROOT / "examples/digits/digits.c", f"-I{library.parent}", library, "-lm",
                    f"-Wl,-rpath,{library.parent}")
    assert float(re.search(r"accuracy: ([\d.]+) %", output(program, data / "held_out.bin"))[1]) >= 97


@pytest.mark.parametrize("compiler", ["g++", "clang++-22"])
def test_cpp(compiled, digits, data, tmp_path, compiler):
    library = compiled(digits)
    program = build(tmp_path / "digits", ROOT / "examples/cpp/digits.cpp", f"-I{library.parent}",
                    f"-I{ROOT}/runtime/include", library, f"-Wl,-rpath,{library.parent}",
                    compiler=(compiler, "-std=c++20"))
    (tmp_path / "images").write_bytes(np.load(data / "images.npy").tobytes())
    predicted = output("sh", "-c", '"$0" < "$1"', program, tmp_path / "images").split()
    assert np.mean(np.array(predicted, int) == np.load(data / "labels.npy")) >= 0.97
    assert output("sh", "-c", '"$0" < /dev/null', program) == ""  # no images, no digits


def test_command_line(mlc, data):
    environment = {**os.environ, "PATH": f"{mlc.parent}:{os.environ['PATH']}"}
    output(ROOT / "examples/command-line/digits.sh", data, env=environment)
    predicted = np.load(data / "logits.npy").argmax(1)
    assert np.mean(predicted == np.load(data / "labels.npy")) >= 0.97
