"""Pages that are generated must be what the compiler prints today, and every snippet of the documents must do what it says."""
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper


ROOT = pathlib.Path(__file__).resolve().parents[2]
RUN = {"sh", "c", "cpp", "cmake", "python"}
SHOWN = {"text", "mlir"}  # commands that install or take hours, and excerpts of the program with "..." in it


def test_operators_page(mlc, root):
    printed = subprocess.run([mlc, "ops", "--markdown"], capture_output=True, text=True, check=True).stdout
    page = (root / "docs/operators.md").read_text()
    assert page == printed, "stale: run `mlc ops --markdown > docs/operators.md`"


def pages():
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return [name for name in listed if name != "docs/operators.md"]


def snippets():
    """(page, line, kind, text) of every fenced block."""
    found = []
    for page in pages():
        text = (ROOT / page).read_text()
        for match in re.finditer(r"^```(.*)\n((?:.*\n)*?)```$", text, re.MULTILINE):
            found.append((page, text.count("\n", 0, match.start()) + 1, match[1].strip(), match[2]))
    return found


def test_kinds_of_snippets():
    """What is not run says so: a fence of no or another kind would be a snippet that nobody tries."""
    everything = snippets()
    assert [(page, line, kind) for page, line, kind, _ in everything if kind not in RUN | SHOWN] == []
    assert {kind for _, _, kind, _ in everything} >= RUN
    for page in pages():
        assert (ROOT / page).read_text().count("```") % 2 == 0, page


def run(command, folder, environment, stdin=""):
    done = subprocess.run([str(part) for part in command], cwd=folder, env=environment, input=stdin, capture_output=True, text=True,
                          timeout=300, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def prefix(mlc, root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prefix")
    run(["cmake", "--install", mlc.parents[1], "--prefix", folder], folder, dict(os.environ))
    return folder


@pytest.fixture
def place(mlc, root, prefix, tmp_path):
    """A folder with what the documents mention, and an environment in which mlc is installed."""
    environment = {**os.environ, "PATH": f"{prefix}/bin:{os.environ['PATH']}", "PYTHONPATH": str(root / "runtime/python"),
                   "MLC": str(prefix / "bin/mlc"), "PYTHONDONTWRITEBYTECODE": "1"}
    for name in ("digits.onnx", "digits_init.onnx"):
        shutil.copy(root / "examples/digits" / name, tmp_path)
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [2])  # noqa: E731
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value("x")], [value("y")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "model.onnx")
    np.save(tmp_path / "images.npy", np.zeros((3, 1, 8, 8), np.float32))
    run(["mlc", "compile", "digits.onnx", "-o", "digits.so"], tmp_path, environment)
    run(["mlc", "run", "digits.so", "--input", "image=random", "--dim", "batch=4", "--output", "logits=@expected.npy"], tmp_path,
        environment)
    return tmp_path, environment, prefix


def first_of(kind):
    return next(text for page, _, of, text in snippets() if page == "README.md" and of == kind)


CXX = ["g++", "-std=c++20", "-Wall", "-Wextra", "-Werror"]


@pytest.mark.slow
@pytest.mark.parametrize("page, line, kind, text", [snippet for snippet in snippets() if snippet[2] in RUN],
                         ids=lambda value: value if isinstance(value, str) and "\n" not in value else str(value)[:5])
def test_snippet(place, page, line, kind, text):
    folder, environment, prefix = place
    if kind == "sh":
        (folder / "main.c").write_text(first_of("c"))  # which the commands build
        run(["sh", "-eu", "-c", text], folder, environment)
    elif kind == "c":
        (folder / "main.c").write_text(text)
        for compiler in ("gcc", "clang-22"):
            run([compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", "main.c", "digits.so", "-Wl,-rpath,$ORIGIN", "-o", "main"], folder,
                environment)
            run(["./main"], folder, environment)
    elif kind == "cpp":
        (folder / "main.cpp").write_text(text)
        for compiler in (CXX, ["clang++-22", *CXX[1:]]):
            run([*compiler, f"-I{prefix}/include", "main.cpp", "digits.so", "-Wl,-rpath,$ORIGIN", "-o", "main"], folder, environment)
            first, second = run(["./main"], folder, environment).split()
            assert first == second
    elif kind == "cmake":
        (folder / "CMakeLists.txt").write_text(text)
        (folder / "main.cpp").write_text(first_of("cpp"))
        run(["cmake", "-G", "Ninja", "-S", ".", "-B", "build", f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_CXX_COMPILER=g++"], folder,
            environment)
        run(["cmake", "--build", "build"], folder, environment)
        run(["build/app"], folder, environment)
    else:
        run([sys.executable, "-c", text], folder, environment)


def test_program_is_moved(place):
    """The README's link line makes a program that finds its library beside it, wherever both are."""
    folder, environment, _ = place
    (folder / "main.c").write_text(first_of("c"))
    line = next(line for page, _, kind, text in snippets() if page == "README.md" and kind == "sh" for line in text.splitlines()
                if line.startswith("cc main.c"))
    run(["sh", "-eu", "-c", line], folder, environment)
    (folder / "elsewhere").mkdir()
    for name in ("main", "digits.so"):
        (folder / name).rename(folder / "elsewhere" / name)
    run([folder / "elsewhere/main"], "/", environment)


@pytest.mark.slow
def test_commands_in_the_examples(place, root):
    """The commands at the head of examples/digits."""
    folder, environment, prefix = place
    for source, training in (("digits/digits.c", False), ("digits/training.c", True), ("cpp/digits.cpp", False)):
        shutil.copy(root / "examples" / source, folder)
        if training:
            run(["mlc", "compile", "digits_init.onnx", "-o", "digits.so", "--train"], folder, environment)
        else:
            run(["mlc", "compile", "digits.onnx", "-o", "digits.so"], folder, environment)
        command = re.search(r"^(?: \*|//)   (c(?:c|\+\+) .*? -o \w+)", (folder / source.split("/")[1]).read_text(), re.MULTILINE)[1]
        run(["sh", "-c", command.replace("<where mlc/mlc.hpp is>", f"{prefix}/include")], folder, environment)


def test_paths_in_the_documents(root):
    """Links lead somewhere."""
    for page in pages():
        for target in re.findall(r"\]\(([^)#:]+)\)", (root / page).read_text()):
            assert ((root / page).parent / target).exists(), f"{page}: {target}"
