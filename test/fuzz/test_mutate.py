"""mutate.py as a test: a few hundred mutants always, some thousand when there is time."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import mutate  # noqa: E402


def report(failures):
    return "\n\n".join(f"{path}: {wrong}\n{output}" for path, wrong, output in failures)


def test_mutants(mlc, tmp_path):
    failures = mutate.run(mlc, 250, 1, tmp_path)
    assert not failures, report(failures)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_many_mutants(mlc, tmp_path, seed):
    failures = mutate.run(mlc, 1500, seed, tmp_path)
    assert not failures, report(failures)
