"""tools/wheel, pip and a Python that has nothing but numpy and the wheel."""
import pathlib
import re
import subprocess
import sys
import zipfile

import numpy
import pytest

USE = """
import os, sys
import numpy as np
import mlc
assert mlc.__file__.startswith(sys.argv[1]), mlc.__file__
print(mlc.__version__, mlc.find_compiler())
model = mlc.compile(sys.argv[2]) if sys.argv[3] == "compile" else mlc.load(sys.argv[2])
print(model(np.zeros((2, 1, 8, 8), np.float32)).shape)
"""


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False, timeout=300, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def make(root, mlc, folder, *options):
    printed = run(root / "tools/wheel", "-o", folder, *options, env={"MLC": str(mlc), "PATH": "/usr/bin:/bin"}, cwd="/")
    wheels = list(folder.glob("*.whl"))
    assert len(wheels) == 1 and wheels[0].name in printed
    return wheels[0], printed


def install(wheel, target):
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", target, wheel)
    return target


def use(target, environment, *arguments):
    """In a process that sees the installed package and numpy, and of the repository nothing."""
    path = f"{target}:{pathlib.Path(numpy.__file__).parents[1]}"
    return run(sys.executable, "-S", "-c", USE, target, *arguments, cwd="/",
               env={"PYTHONPATH": path, "PATH": "/usr/bin:/bin", **environment})


def version(root):
    return re.search(r"project\(mlc VERSION ([\d.]+)", (root / "CMakeLists.txt").read_text())[1]


def test_pure_wheel(root, mlc, compiled, digits, tmp_path):
    wheel, _ = make(root, mlc, tmp_path)
    assert wheel.name == f"mlc-{version(root)}-py3-none-any.whl"
    names = zipfile.ZipFile(wheel).namelist()
    assert {"mlc/py.typed", "mlc/types.def"} <= set(names) and not [name for name in names if name.startswith(("mlc/bin", "mlc/lib"))]
    target = install(wheel, tmp_path / "site")
    library = compiled(digits)
    for path, how in ((library, "load"), (digits, "compile")):
        assert use(target, {"MLC": str(mlc)}, path, how).splitlines() == [f"{version(root)} {mlc}", "(2, 10)"]


@pytest.mark.slow
def test_wheel_with_compiler(root, mlc, digits, tmp_path):
    """It compiles without MLC and with no mlc on PATH; the machine's LLVM is used."""
    wheel, printed = make(root, mlc, tmp_path, "--with-compiler")
    assert re.fullmatch(r"mlc-[\d.]+-py3-none-linux_\w+\.whl", wheel.name) and "LLVM and MLIR 22" in printed
    target = install(wheel, tmp_path / "site")
    assert use(target, {}, digits, "compile").splitlines() == [f"{version(root)} {target}/mlc/bin/mlc", "(2, 10)"]


@pytest.mark.slow
def test_wheel_with_libraries(root, mlc, digits, tmp_path):
    """It compiles with the libraries that came along: the loader takes none but the system's own from elsewhere."""
    wheel, printed = make(root, mlc, tmp_path, "--with-libraries")
    assert "GLIBC " in printed and wheel.stat().st_size < 200e6
    target = install(wheel, tmp_path / "site")
    assert use(target, {}, digits, "compile").splitlines()[1] == "(2, 10)"
    loaded = run("ldd", target / "mlc/bin/mlc", env={"LD_LIBRARY_PATH": f"{target}/mlc/lib", "PATH": "/usr/bin:/bin"})
    elsewhere = {line.split()[0] for line in loaded.splitlines() if "=>" in line and str(target) not in line}
    assert elsewhere <= {"libc.so.6", "libm.so.6", "libstdc++.so.6", "libgcc_s.so.1"}, loaded
