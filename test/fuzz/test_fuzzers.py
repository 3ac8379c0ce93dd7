"""Builds the libFuzzer targets (address and undefined-behaviour sanitizers) and runs them: a minute over import and
decomposition, some seconds over data files. The seeds are the node tests of the onnx wheel and what the code below makes.

Longer, by hand:
    cmake --build build --target fuzzers && .venv/bin/python test/fuzz/test_fuzzers.py FOLDER
    build/bin/fuzz_import -max_total_time=600 -rss_limit_mb=2048 -malloc_limit_mb=1024 -timeout=10 FOLDER/import
"""
import io
import json
import pathlib
import re
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import mutate  # noqa: E402

SEED_BYTES_MAX = 4096
LIMITS = ["-rss_limit_mb=2048", "-malloc_limit_mb=1024", "-timeout=10", "-max_len=16384", "-seed=1", "-print_final_stats=1"]


def regressions():
    """What the fuzzer has found, as models: undefined behaviour shows under the sanitizer only."""
    value = helper.make_tensor_value_info
    body = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "body", [value("a", 1, [3])], [value("b", 1, [3])])
    scan = helper.make_node("Scan", ["x", "x"], ["y"], num_scan_inputs=-(1 << 63), body=body)
    pad = helper.make_node("Pad", ["x", "pads"], ["y"])
    pads = numpy_helper.from_array(np.array([1, 2, 3, 4]), "pads")
    for name, node, initializers in (("scan-inputs", scan, []), ("pad-of-a-dynamic-size", pad, [pads])):
        graph = helper.make_graph([node], name, [value("x", 1, ["n", 3])], [onnx.ValueInfoProto(name="y")], initializers)
        yield name, helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()


def import_seeds(folder):
    """Small models, one for each way to use an operator: the fuzzer combines them."""
    tests, seen = pathlib.Path(onnx.__file__).parent / "backend/test/data/node", set()
    for path in sorted(tests.glob("*/model.onnx")):
        if path.stat().st_size > SEED_BYTES_MAX:
            continue
        nodes = onnx.load(path).graph.node
        ways = tuple((node.op_type, len(node.input), *sorted(attribute.name for attribute in node.attribute)) for node in nodes)
        if ways not in seen:
            seen.add(ways)
            (folder / path.parent.name).write_bytes(path.read_bytes())
    for name, content in regressions():
        (folder / name).write_bytes(content)
    for path in mutate.seed_models():
        content = mutate.load_small(path).SerializeToString()
        if len(content) <= 16384:
            (folder / f"{path.parent.name}-{path.stem}").write_bytes(content)


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def safetensors(header, size):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(size)


def file_seeds(folder):
    """The first byte chooses the reader (FuzzFiles.cpp)."""
    arrays = [np.zeros((2, 3), np.float32), np.array(5, np.int64), np.zeros((0, 4), np.uint8), np.array([True, False])]
    for number, array in enumerate(arrays):
        (folder / f"npy{number}").write_bytes(b"\0" + npy(array))
        (folder / f"pb{number}").write_bytes(b"\1" + numpy_helper.from_array(array).SerializeToString())
    typed = onnx.helper.make_tensor("t", onnx.TensorProto.INT8, [2], [-1, 3])
    (folder / "typed").write_bytes(b"\1" + typed.SerializeToString())
    slots = {"w": ("F32", [2, 3], 24), 'b "\né': ("F16", [2], 4), "w.momentum": ("F32", [2, 3], 24), "steps": ("F32", [2], 8)}
    header, end = {"__metadata__": {"format": "mlc"}}, 0  # of the program in test/runtime/Programs.cpp
    for name, (dtype, shape, size) in slots.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    (folder / "checkpoint").write_bytes(b"\2" + safetensors(header, end))
    (folder / "empty-checkpoint").write_bytes(b"\2" + safetensors({}, 0))


@pytest.fixture(scope="module")
def fuzzers():
    done = subprocess.run(["cmake", "--build", "build", "--target", "fuzzers"], cwd=ROOT, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    return ROOT / "build/bin"


def fuzz(fuzzer, make_seeds, folder, seconds):
    seeds = folder / "seeds"
    seeds.mkdir()
    make_seeds(seeds)
    # `timeout` forks from a small process: the largest memory of a process counts what its parent's held when it forked.
    done = subprocess.run(["timeout", str(seconds + 300), str(fuzzer), f"-max_total_time={seconds}", f"-artifact_prefix={folder}/",
                           *LIMITS, str(seeds)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False)
    assert done.returncode == 0, f"the input is kept in {folder}\n{done.stdout[-4000:]}"
    runs = int(re.search(r"stat::number_of_executed_units: *(\d+)", done.stdout)[1])
    assert runs > len(list(seeds.iterdir())) + seconds, f"only {runs} runs"
    return runs


@pytest.mark.slow
def test_regressions(fuzzers, tmp_path):
    """Each on its own: it must not depend on what a minute finds."""
    for name, content in regressions():
        (tmp_path / name).write_bytes(content)
        done = subprocess.run([str(fuzzers / "fuzz_import"), *LIMITS, str(tmp_path / name)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, errors="replace", timeout=60, check=False)
        assert done.returncode == 0, f"{name}\n{done.stderr[-3000:]}"


@pytest.mark.slow
def test_import(fuzzers, tmp_path):
    fuzz(fuzzers / "fuzz_import", import_seeds, tmp_path, 60)


@pytest.mark.slow
def test_files(fuzzers, tmp_path):
    fuzz(fuzzers / "fuzz_files", file_seeds, tmp_path, 15)


if __name__ == "__main__":
    for name, make_seeds in (("import", import_seeds), ("files", file_seeds)):
        target = pathlib.Path(sys.argv[1]) / name
        target.mkdir(parents=True, exist_ok=True)
        make_seeds(target)
