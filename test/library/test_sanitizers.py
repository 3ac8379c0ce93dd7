"""Generated code itself under ThreadSanitizer and AddressSanitizer, together with the runtime: no two tasks touch the same memory
without order, and nothing is read or written beside an input, an output, the weights or the arena."""
import re

import pytest
import realistic
from programs import ROOT, SOURCES, output, run

RUNTIME = sorted((ROOT / "runtime/src").glob("*.cpp"))


@pytest.fixture(scope="module")
def runtimes(tmp_path_factory):
    """The runtime's objects for a sanitizer, compiled once."""
    made = {}

    def make(sanitizer):
        if sanitizer not in made:
            folder = tmp_path_factory.mktemp(sanitizer)
            output("clang++-22", "-std=c++17", "-O1", "-g", "-fno-exceptions", "-fno-rtti", f"-fsanitize={sanitizer}",
                   f"-I{ROOT}/runtime/include", "-c", *RUNTIME, cwd=folder)
            made[sanitizer] = sorted(folder.glob("*.o"))
        return made[sanitizer]

    return make


def instrumented(text, sanitizer):
    """Every function of the module asks for the sanitizer; entries get names that do not collide with the program's."""
    text = re.sub(r"^(attributes #\d+ = \{)", rf"\1 sanitize_{sanitizer}", text, flags=re.MULTILINE)
    return re.sub(r"@main(_sizes)?\(", lambda match: "@model_sizes(" if match[1] else "@model_main(", text)


def check(mlc, library, model, options, runtimes, sanitizer, folder, threads, sizes):
    code = folder / "model.ll"
    output(mlc, "compile", model, *options, "--emit=llvm", "-o", code)
    code.write_text(instrumented(code.read_text(), sanitizer))
    output("clang-22", "-O1", f"-fsanitize={sanitizer}", "-Wno-override-module", "-c", code, "-o", folder / "model.o")
    output("clang-22", "-std=c11", "-g", "-Wall", "-Wextra", "-Werror", f"-fsanitize={sanitizer}", f"-I{ROOT}/runtime/include",
           SOURCES / "sanitized.c", folder / "model.o", *runtimes(sanitizer), library, f"-Wl,-rpath,{library.parent}", "-lm",
           "-o", folder / "program")
    names = output("llvm-nm-22", folder / "model.o")
    assert {"thread": "__tsan_write", "address": "__asan_report"}[sanitizer] in names, "nothing was instrumented"
    done = run(folder / "program", threads, *sizes)
    assert done.returncode == 0, done.stdout + done.stderr[-6000:]
    assert ", 0 of 3 handles differ" in done.stdout


@pytest.mark.parametrize("sanitizer, threads", [("thread", 1), ("thread", 4), ("address", 2)])
@pytest.mark.parametrize("batch", [1, 33])
def test_digits(mlc, compiled, digits, runtimes, tmp_path, sanitizer, threads, batch):
    check(mlc, compiled(digits), digits, [], runtimes, sanitizer, tmp_path, threads, [batch])


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer, threads", [("thread", 4), ("address", 2)])
@pytest.mark.parametrize("exporter", ["legacy", "dynamo"])
def test_bert(mlc, compiled, root, runtimes, tmp_path, exporter, sanitizer, threads):
    model = root / f"test/models/bert-small/{exporter}.onnx"
    check(mlc, compiled(model), model, [], runtimes, sanitizer, tmp_path, threads, [3, 33])


@pytest.mark.slow
def test_squeezenet(mlc, compiled, root, runtimes, tmp_path):
    model = realistic.save("squeezenet", root / "build/test-models")
    check(mlc, compiled(model), model, [], runtimes, "address", tmp_path, 2, [])
