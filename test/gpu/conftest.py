"""The emulated driver, built and loaded for the tests of this folder. With MLC_GPU=device they run on the machine's GPU instead."""
import ctypes
import os
import pathlib
import subprocess

import pytest

EMULATOR = pathlib.Path(__file__).parent / "emulator"


def build(folder):
    """The emulator as folder/libcuda.so.1. Its soname makes every later dlopen("libcuda.so.1") of the process find it."""
    driver = folder / "libcuda.so.1"
    subprocess.run(["clang++-22", "-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-Wl,-soname,libcuda.so.1",
                    f'-DMLC_EMULATOR_SOURCE="{EMULATOR}"', '-DMLC_EMULATOR_COMPILER="clang++-22"', str(EMULATOR / "libcuda.cpp"), "-o", str(driver)],
                   check=True)
    return driver


@pytest.fixture(scope="session")
def driver_path(tmp_path_factory):
    return build(tmp_path_factory.mktemp("emulator"))


@pytest.fixture(scope="session")
def driver(driver_path):
    """The driver that libraries of this process will use."""
    if os.environ.get("MLC_GPU") == "device":
        return ctypes.CDLL("libcuda.so.1")
    return ctypes.CDLL(str(driver_path), mode=ctypes.RTLD_GLOBAL)
