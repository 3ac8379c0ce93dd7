"""What every pytest file here starts from: where the compiler is, and libraries compiled once in a session."""
import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
for folder in ("test/onnx", "test/models", "test/fuzz/graphs", "examples/digits"):
    sys.path.insert(0, str(ROOT / folder))
sys.dont_write_bytecode = True

import mlc_backend  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--sample", type=int, metavar="N", help="at most N cases of each test function, spread over its parameters")


def pytest_collection_modifyitems(config, items):
    """What `--sample` leaves out is deselected; without parameters a function is one case."""
    most = config.getoption("--sample")
    if not most:
        return
    functions = {}
    for item in items:
        functions.setdefault((item.path, item.originalname), []).append(item)
    kept = {case for cases in functions.values() for case in cases[::-(-len(cases) // most)]}
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: full-size networks and long fuzzing; `tools/test fast` leaves them out")


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def mlc():
    if not mlc_backend.MLC.exists():
        pytest.fail(f"no compiler at {mlc_backend.MLC}: build first (tools/test does)", pytrace=False)
    return mlc_backend.MLC


@pytest.fixture(scope="session")
def compiled(mlc, tmp_path_factory):
    """compiled(model, *options, suffix=".so"): the library, made at the first call with these arguments."""
    libraries = {}

    def compile_once(model, *options, suffix=".so"):
        key = (str(model), options, suffix)
        if key not in libraries:
            stem = re.sub(r"\W", "_", pathlib.Path(model).stem)
            folder = tmp_path_factory.mktemp(stem)
            libraries[key] = mlc_backend.compile_model(model, folder / (stem + suffix), *options, timeout=600, mlc=mlc)
        return libraries[key]

    return compile_once


@pytest.fixture(scope="session")
def digits(root):
    return root / "examples/digits/digits.onnx"
