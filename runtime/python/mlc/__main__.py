"""python -m mlc ...: the command line `mlc`, wherever this package finds it."""
import os
import sys

from ._compile import compiler_environment, find_compiler
from ._errors import CompilerNotFound


def main() -> None:
    try:
        compiler = find_compiler()
    except CompilerNotFound as error:
        sys.exit(f"error: {error}")
    sys.stdout.flush()
    os.execve(compiler, [str(compiler), *sys.argv[1:]], compiler_environment(compiler))


if __name__ == "__main__":
    main()
