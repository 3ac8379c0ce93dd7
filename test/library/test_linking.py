"""Generated libraries as neighbours: two in one program, in every form, in C and in C++."""
import itertools

import numpy as np
import onnxruntime
import pytest
from programs import ROOT, SOURCES, build, output, run

MODELS = {"first": ROOT / "examples/digits/digits.onnx", "second": ROOT / "examples/digits/digits_init.onnx"}
COMPILERS = [("clang-22", "-std=c11"), ("gcc", "-std=c11"), ("clang++-22", "-x", "c++", "-std=c++17"),
             ("g++", "-x", "c++", "-std=c++17")]


@pytest.fixture(scope="module")
def libraries(mlc, tmp_path_factory):
    """libraries(suffix): both models in one folder, as users have them."""
    folders = {}

    def make(suffix):
        if suffix not in folders:
            folders[suffix] = tmp_path_factory.mktemp("two" + suffix[1:])
            for name, model in MODELS.items():
                output(mlc, "compile", model, "-o", folders[suffix] / (name + suffix))
        return folders[suffix]

    return make


def want():
    image = (np.arange(64, dtype=np.float32) / 64).reshape(1, 1, 8, 8)
    return [onnxruntime.InferenceSession(str(model)).run(None, {"image": image})[0][0] for model in MODELS.values()]


@pytest.mark.parametrize("suffixes", list(itertools.product([".so", ".a", ".o"], repeat=2)), ids="".join)
def test_two_models_in_one_program(libraries, tmp_path, suffixes):
    artifacts = [libraries(suffix) / (name + suffix) for name, suffix in zip(MODELS, suffixes)]
    includes = [f"-I{artifact.parent}" for artifact in artifacts]
    program = build(tmp_path / "program", SOURCES / "two_models.c", *includes, *artifacts, "-lm",
                    *[f"-Wl,-rpath,{artifact.parent}" for artifact in artifacts])
    got = np.array([[float(word) for word in line.split()] for line in output(program).splitlines()], np.float32)
    np.testing.assert_allclose(got, want(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("compiler", COMPILERS, ids=lambda compiler: f"{compiler[0]}-{compiler[-1][5:]}")
def test_header(libraries, tmp_path, compiler):
    """The headers compile strictly as C11 and C++17, together, twice, and without any include path of mlc's."""
    folder = libraries(".a")
    build(tmp_path / "program", SOURCES / "two_models.c", "-x", "none", f"-I{folder}", folder / "first.a",
          folder / "second.a", "-lm", compiler=compiler)
    for header in ("first.h", "second.h"):
        done = run(*compiler, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-include", folder / header,
                   "-xc++" if "++" in compiler[0] else "-xc", "/dev/null")
        assert done.returncode == 0, done.stderr


def test_header_next_to_mlc_h(libraries, tmp_path):
    """In either order: the header repeats mlc.h under mlc.h's own guard."""
    folder = libraries(".a")
    for number, includes in enumerate((["mlc/mlc.h", "first.h"], ["first.h", "mlc/mlc.h"])):
        source = tmp_path / f"{number}.c"
        source.write_text("".join(f'#include "{name}"\n' for name in includes) + "int unused;\n")
        output("clang-22", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", f"-I{folder}",
               f"-I{ROOT}/runtime/include", source)


def test_static_library_in_a_shared_one(libraries, tmp_path):
    """Archives hold position-independent code: an application's own plugin can contain a model."""
    folder = libraries(".a")
    source = tmp_path / "plugin.c"
    source.write_text('#include "first.h"\nsize_t plugin(void);\nsize_t plugin(void) { first_dims d = {3}; '
                      "return first_workspace_size(&d); }\n")
    build(tmp_path / "plugin.so", "-shared", "-fPIC", f"-I{folder}", source, folder / "first.a", "-lm", "-Wl,-z,defs")
