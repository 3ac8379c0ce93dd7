"""Generated code of many operators under AddressSanitizer: a test of ONNX's suite for each way in which an operator is used, and the
smaller exported models. Every model is compiled once as usual and once to LLVM, which is instrumented; few processes run them all."""
import concurrent.futures
import os
import pathlib
import pickle
import re
import subprocess
import sys

import conformance
import mlc_backend
import numpy as np
import onnx
import pytest
import test_models
from onnx.backend.test.runner import Runner
from programs import ROOT, SOURCES, output
from test_sanitizers import RUNTIME, instrumented

pytestmark = pytest.mark.slow

EXPORTED = ("gru-small", "lstm-packed-small", "mobilenetv3-small", "shufflenet-small", "gpt2-small", "yolo-topk-small", "swin-small")


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    library = tmp_path_factory.mktemp("runtime") / "runtime.so"
    objects = library.parent
    flags = ["-O1", "-g", "-fPIC", "-fsanitize=address", f"-I{ROOT}/runtime/include"]
    output("clang++-22", "-std=c++17", "-fno-exceptions", "-fno-rtti", *flags, "-c", *RUNTIME, cwd=objects)
    output("clang-22", "-std=c11", "-Wall", "-Wextra", "-Werror", *flags, "-c", SOURCES / "sanitized_suite.c", cwd=objects)
    output("clang-22", "-shared", "-shared-libasan", "-fsanitize=address", *sorted(objects.glob("*.o")), "-o", library, "-lm")
    return library


def ways(model):
    """How a model uses its operators, on elements of which size: one test of each such way is enough."""
    types = [value.type.tensor_type.elem_type for value in model.graph.input[:1]]
    sizes = tuple(mlc_backend.np_dtype(kind).itemsize for kind in types if kind)
    return (sizes, *((node.op_type, node.domain, len(node.input), *sorted(attribute.name for attribute in node.attribute))
                     for node in model.graph.node))


def cases():
    """One case of the suite for each way, of those that are expected to pass."""
    known, seen = conformance.read_known(), set()
    for case in conformance.all_cases():
        if case.kind == "real" or case.name in known:
            continue
        way = ways(onnx.load(case.model))
        if way not in seen:
            seen.add(way)
            yield case


class Options:
    flags, mlc = [], mlc_backend.MLC


def instrument(model, folder, name, *options):
    """The model's kernels and entries as a shared library."""
    code, library = folder / f"{name}.ll", folder / f"{name}.asan.so"
    output(mlc_backend.MLC, "compile", model, *options, "--emit=llvm", "-o", code)
    code.write_text(instrumented(code.read_text(), "address"))
    output("clang-22", "-O1", "-fsanitize=address", "-shared-libasan", "-shared", "-fPIC", "-Wno-override-module", code, "-o", library)
    code.unlink()
    return str(library)


def prepare(case, folder):
    """(name, job, check) of a case: `check` takes the outputs."""
    library = folder / f"{case.name}.so"
    constants = conformance.compile_case(case, str(library), Options)
    names = [value.name for value in onnx.load(case.model).graph.input]
    bound = [f"--input-value={name}=@{case.directory}/test_data_set_0/input_{names.index(name)}.pb" for name in constants]
    code = instrument(case.model, folder, case.name, *bound)
    sets = [({name: value for name, value in feeds.items() if name not in constants}, expected)
            for feeds, expected in conformance.data_sets(case, onnx.load(case.model))]

    def check(outputs):
        for got, (_, expected) in zip(outputs, sets):
            assert not isinstance(got, str), got
            Runner.assert_similar_outputs(expected, got, case.rtol, case.atol)
    return case.name, (str(library), code, [feeds for feeds, _ in sets]), check


def prepare_exported(path, folder):
    name = f"{path.parent.name}-{path.stem}"
    library = mlc_backend.compile_model(path, folder / f"{name}.so")
    values = next(iter(test_models.golden_values(path.parent).values()))
    with mlc_backend.Library(library) as loaded:
        feeds = {info.name: values[info.name] for info in loaded.inputs}
        names = [info.name for info in loaded.outputs]

    def check(outputs):
        got, = outputs
        assert not isinstance(got, str), got
        test_models.assert_equal(dict(zip(names, got)), {key: values[key] for key in names})
    return name, (str(library), instrument(path, folder, name), [feeds]), check


def run_jobs(runtime, jobs, folder):
    """{name: outputs, or what the sanitizer says}; a process that ends early is followed by one for what is left."""
    preload = output("clang-22", "-print-file-name=libclang_rt.asan-x86_64.so").strip()
    environment = {**os.environ, "LD_PRELOAD": preload, "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:exitcode=99",
                   "OPENBLAS_NUM_THREADS": "1"}
    results, left = {}, dict(jobs)
    while left:
        path = folder / "jobs"
        path.write_bytes(pickle.dumps(left))
        done = subprocess.run([sys.executable, SOURCES / "sanitized_suite.py", runtime, path], env=environment, text=True, timeout=600,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, errors="replace", check=False)
        with open(f"{path}.out", "rb") as stream:
            while True:
                try:
                    name, outputs = pickle.load(stream)
                except (EOFError, pickle.UnpicklingError):
                    break
                results[name] = outputs
        started = [line for line in done.stdout.splitlines() if line in left]
        if done.returncode:
            assert started, done.stderr
            results[started[-1]] = [f"exit code {done.returncode}\n{done.stderr[-3000:]}"]
        assert set(started) & set(results), done.stderr
        left = {name: job for name, job in left.items() if name not in results}
    return results


def test_mistake_is_seen(runtime, digits, tmp_path):
    """The same harness with a workspace that is one row too small."""
    library = mlc_backend.compile_model(digits, tmp_path / "digits.so")
    code = instrument(digits, tmp_path, "digits")
    text = (SOURCES / "sanitized_suite.c").read_text()
    assert "bytesOf(&tensors[i], (size_t)elementBytes[i]);" in text
    broken = tmp_path / "broken.c"
    broken.write_text(text.replace("bytesOf(&tensors[i], (size_t)elementBytes[i]);", "bytesOf(&tensors[i], (size_t)elementBytes[i]) - 4;"))
    output("clang-22", "-std=c11", "-O1", "-g", "-fPIC", "-shared", "-shared-libasan", "-fsanitize=address", f"-I{ROOT}/runtime/include",
           broken, runtime, f"-Wl,-rpath,{runtime.parent}", "-o", tmp_path / "broken.so")
    feeds = {"image": np.zeros((3, 1, 8, 8), np.float32)}
    good = run_jobs(runtime, {"digits": (str(library), code, [feeds])}, tmp_path)
    assert not isinstance(good["digits"][0], str), good
    bad = run_jobs(tmp_path / "broken.so", {"digits": (str(library), code, [feeds])}, tmp_path)
    assert "heap-buffer-overflow" in bad["digits"][0] and re.search("kernel_|model_main", bad["digits"][0]), bad


def check_all(runtime, work, folder):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        prepared = list(pool.map(lambda job: job[0](job[1], folder), work))
    results = run_jobs(runtime, {name: job for name, job, _ in prepared}, folder)
    failed = []
    for name, _, check in prepared:
        try:
            check(results[name])
        except AssertionError as error:
            failed.append(f"{name}: {error}")
    assert not failed, "\n".join(failed)
    return len(prepared)


def test_suite(runtime, tmp_path):
    assert check_all(runtime, [(prepare, case) for case in cases()], tmp_path) > 500


def test_exported(runtime, tmp_path):
    folder = pathlib.Path(test_models.__file__).parent
    paths = [path for name in EXPORTED for path in sorted((folder / name).glob("*.onnx"))[:1]]
    assert check_all(runtime, [(prepare_exported, path) for path in paths], tmp_path) == len(EXPORTED)
