"""What pyproject.toml cannot say: the version is CMake's, and a wheel that holds the compiler fits one platform only."""
import pathlib
import re

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel

PACKAGE = pathlib.Path(__file__).resolve().parent
REPOSITORY = PACKAGE.parents[1]


def version():
    """`project(mlc VERSION 1.2.3)`; in a source distribution, which has no CMakeLists.txt, that of its metadata."""
    for file, pattern in ((REPOSITORY / "CMakeLists.txt", r"project\(mlc VERSION ([\d.]+)"),
                          (PACKAGE / "PKG-INFO", r"(?m)^Version: (\S+)$")):
        found = re.search(pattern, file.read_text()) if file.exists() else None
        if found:
            return found[1]
    raise SystemExit(f"setup.py: error: no version in {REPOSITORY / 'CMakeLists.txt'} and no PKG-INFO")


class Wheel(bdist_wheel):
    """py3-none-any, or py3-none-PLATFORM when tools/wheel has put the compiler in: any Python, one kind of machine."""

    def finalize_options(self):
        super().finalize_options()
        self.root_is_pure = not (PACKAGE / "mlc/bin/mlc").exists()

    def get_tag(self):
        return ("py3", "none", super().get_tag()[2])


setup(version=version(), cmdclass={"bdist_wheel": Wheel})
