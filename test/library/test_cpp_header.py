"""mlc/mlc.hpp: strict warnings of two compilers, with sanitizers, and as programs without exceptions see it."""
import numpy as np
import onnxruntime
import pytest
from programs import ROOT, SOURCES, build, output, run

COMPILERS = ["g++", "clang++-22"]
WARNINGS = """-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast -Wcast-qual -Wnon-virtual-dtor
-Woverloaded-virtual -Wdouble-promotion -Wformat=2 -Wnull-dereference -Wundef""".split()
INCLUDE = f"-I{ROOT}/runtime/include"


@pytest.fixture(scope="module")
def trainer(compiled, digits):
    return compiled(digits, "--train", "--optimizer=adam")


@pytest.mark.slow
@pytest.mark.parametrize("compiler", COMPILERS)
def test_program(trainer, digits, tmp_path, compiler):
    """Values, errors and lifetimes; AddressSanitizer sees every byte that the header touches."""
    program = build(tmp_path / "program", SOURCES / "cpp_header.cpp", INCLUDE, f"-I{trainer.parent}", trainer, "-g",
                    "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-Wl,-rpath,{trainer.parent}",
                    compiler=(compiler, "-std=c++20"))
    image = np.random.default_rng(0).random((1, 1, 8, 8), np.float32)
    (tmp_path / "image").write_bytes(image.tobytes())
    printed = output("sh", "-c", '"$0" "$1" "$2" < "$3"', program, trainer, tmp_path / "state", tmp_path / "image")
    got = np.array([line.split() for line in printed.splitlines()], np.float32)
    want = onnxruntime.InferenceSession(str(digits)).run(None, {"image": image})[0]
    np.testing.assert_allclose(got, np.tile(want, (4, 1)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("flags", [["-std=c++20"], ["-std=c++23"], ["-std=c++20", "-fno-exceptions", "-fno-rtti"]], ids=" ".join)
def test_compiles_alone(tmp_path, compiler, flags):
    source = tmp_path / "core.cpp"
    source.write_text('#include "mlc/mlc.hpp"\n'
                      "mlc_status core(mlc::Model &model, const mlc_model *table, std::span<const float> x) {\n"
                      "  if (mlc_status status = model.create(table))\n    return status;\n"
                      "  const mlc::Input inputs[] = {{\"x\", x}};\n  mlc::Tensors results;\n"
                      "  return model.tryRun(inputs, results);\n}\n"
                      "void all(mlc::Tensor &tensor, std::span<float> y, std::vector<int64_t> &shape) {\n"
                      "  mlc::Output output{\"y\", y, &shape};\n  tensor.shrink(shape);\n  (void)tensor.as<float>();\n}\n")
    done = run(compiler, *flags, *WARNINGS, "-Werror", INCLUDE, "-c", source, "-o",
               tmp_path / "core.o")
    assert done.returncode == 0, done.stderr
