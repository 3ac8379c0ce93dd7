"""Memory belongs to the caller: its size is known before the first run, and `run` never asks the heap for any."""
import pytest
import realistic
from programs import ROOT, SOURCES, build, output


def check(library, folder, *sizes):
    program = build(folder / "memory", SOURCES / "memory.c", f"-I{ROOT}/runtime/include", "-rdynamic", library,
                    f"-Wl,-rpath,{library.parent}")
    assert "0 complaints" in output(program, *sizes)


@pytest.mark.parametrize("batch", [1, 4, 33])
def test_digits(compiled, digits, tmp_path, batch):
    check(compiled(digits), tmp_path, batch)


def test_digits_static(compiled, digits, tmp_path):
    check(compiled(digits, "--dim", "batch=4"), tmp_path)


@pytest.mark.parametrize("sizes", [(1, 16), (3, 33)])
def test_bert(compiled, root, tmp_path, sizes):
    check(compiled(root / "test/models/bert-small/legacy.onnx"), tmp_path, *sizes)


@pytest.mark.slow
def test_squeezenet(compiled, root, tmp_path):
    check(compiled(realistic.save("squeezenet", root / "build/test-models")), tmp_path)
