"""The package under test is the one of the repository; test_python_wheel.py installs it elsewhere."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "runtime/python"))


@pytest.fixture(autouse=True)
def compiler(mlc, monkeypatch):
    monkeypatch.setenv("MLC", str(mlc))
