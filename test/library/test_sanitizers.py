"""Generated code itself under ThreadSanitizer and AddressSanitizer, together with the runtime: no two tasks touch the same memory
without order, and nothing is read or written beside an input, an output, the weights or the arena."""
import re

import pytest
import realistic
from programs import ROOT, SOURCES, output, run

pytestmark = pytest.mark.slow

RUNTIME = sorted((ROOT / "runtime/src").glob("*.cpp"))
OPT = "/usr/lib/llvm-22/bin/opt"
# ThreadSanitizer sees accesses of up to 16 bytes, neither wider vectors nor masked ones: they are made scalar for it, which LLVM
# does with masked ones only where the CPU has none.
OPTIONS = {"thread": ["--cpu=x86-64-v2"], "address": []}


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


def build(mlc, model, library, runtimes, sanitizer, folder, *options):
    """The program of `model`; `library` gives the tables and weights, so it is compiled with the same options."""
    code = folder / "model.ll"
    output(mlc, "compile", model, *OPTIONS[sanitizer], "--emit=llvm", "-o", code)
    code.write_text(instrumented(code.read_text(), sanitizer))
    if sanitizer == "thread":
        output(OPT, "-passes=function(scalarize-masked-mem-intrin,scalarizer<load-store>)", code, "-S", "-o", code)
    output("clang-22", "-O1", f"-fsanitize={sanitizer}", "-Wno-override-module", "-c", code, "-o", folder / "model.o")
    output("clang-22", "-std=c11", "-g", "-Wall", "-Wextra", "-Werror", f"-fsanitize={sanitizer}", *options,
           f"-I{ROOT}/runtime/include", SOURCES / "sanitized.c", folder / "model.o", *runtimes(sanitizer), library,
           f"-Wl,-rpath,{library.parent}", "-lm", "-o", folder / "program")
    return folder / "program"


def check(mlc, compiled, model, runtimes, sanitizer, folder, threads, sizes):
    program = build(mlc, model, compiled(model, *OPTIONS[sanitizer]), runtimes, sanitizer, folder)
    done = run(program, threads, *sizes)
    assert done.returncode == 0, done.stdout + done.stderr[-6000:]
    assert ", 0 of 3 handles differ" in done.stdout


@pytest.mark.parametrize("sanitizer, mistake, complaint", [
    ("thread", "SHARED_OUTPUT", "data race"), ("address", "FREED_INPUT", "heap-use-after-free")])
def test_sanitizers_see_kernels(mlc, compiled, digits, runtimes, tmp_path, sanitizer, mistake, complaint):
    library = compiled(digits, *OPTIONS[sanitizer])
    done = run(build(mlc, digits, library, runtimes, sanitizer, tmp_path, f"-D{mistake}"), 2, 33)
    assert done.returncode != 0 and complaint in done.stderr and "kernel_" in done.stderr, done.stderr


@pytest.mark.parametrize("sanitizer, threads", [("thread", 1), ("thread", 4), ("address", 2)])
@pytest.mark.parametrize("batch", [1, 33])
def test_digits(mlc, compiled, digits, runtimes, tmp_path, sanitizer, threads, batch):
    check(mlc, compiled, digits, runtimes, sanitizer, tmp_path, threads, [batch])


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer, threads", [("thread", 4), ("address", 2)])
@pytest.mark.parametrize("exporter", ["legacy", "dynamo"])
@pytest.mark.parametrize("sizes", [(1, 16), (3, 33)])
def test_bert(mlc, compiled, root, runtimes, tmp_path, exporter, sanitizer, threads, sizes):
    check(mlc, compiled, root / f"test/models/bert-small/{exporter}.onnx", runtimes, sanitizer, tmp_path, threads, sizes)


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer, threads", [("thread", 4), ("address", 2)])
def test_squeezenet(mlc, compiled, root, runtimes, tmp_path, sanitizer, threads):
    check(mlc, compiled, realistic.save("squeezenet", root / "build/test-models"), runtimes, sanitizer, tmp_path, threads, [])
