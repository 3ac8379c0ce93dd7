"""Truncated, mutated and hostile model files: a diagnostic and an exit code, never a crash, endless loop or all memory."""
import concurrent.futures
import resource
import subprocess

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

SECONDS, BYTES = 20, 2 << 30


def limit():
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def check(mlc, path):
    """Exit code and output of `mlc check`; fails on a signal, on an abort's code and on the time limit."""
    done = subprocess.run([str(mlc), "check", str(path)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", timeout=SECONDS, preexec_fn=limit, check=False)
    assert 0 <= done.returncode < 126, f"{path}: exit code {done.returncode}\n{done.stdout[-2000:]}"
    assert "Stack dump" not in done.stdout, done.stdout
    return done.returncode, done.stdout


def refused(mlc, path):
    code, output = check(mlc, path)
    assert code != 0 and path.name in output and "error: " in output, output
    return output


@pytest.mark.parametrize("content", [b"", b"\0", b"\xff" * 1000, b"ONNX", b"\x08\x08", b"{}", b"\x3a\xff\xff\xff\xff\x0f"])
def test_not_a_model(mlc, tmp_path, content):
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    refused(mlc, path)


def test_missing_and_folder(mlc, tmp_path):
    assert check(mlc, tmp_path / "missing.onnx")[0] != 0
    assert check(mlc, tmp_path)[0] != 0


@pytest.mark.parametrize("part", [0.01, 0.1, 0.5, 0.9, 0.999])
def test_truncated(mlc, digits, tmp_path, part):
    content = digits.read_bytes()
    path = tmp_path / "cut.onnx"
    path.write_bytes(content[:int(len(content) * part)])
    refused(mlc, path)


def save(path, nodes, initializers=(), inputs=None, outputs=None):
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3])  # noqa: E731
    graph = helper.make_graph(nodes, "g", inputs or [value("x")], outputs or [value("y")], list(initializers))
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)],
                                       ir_version=8).SerializeToString())
    return path


def hostile_models():
    relu = lambda a, b: helper.make_node("Relu", [a], [b])  # noqa: E731
    huge = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 40, 1 << 40], raw_data=b"\0" * 16)
    negative = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[-3], raw_data=b"\0" * 12)
    short = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2, 3], raw_data=b"\0" * 20)
    odd_type = TensorProto(name="w", data_type=99, dims=[1], raw_data=b"\0")
    outside = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2, 3], data_location=TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value="../../../../etc/passwd")
    add = helper.make_node("Add", ["x", "w"], ["y"])
    return {
        "cycle": ([relu("y", "x1"), relu("x1", "y")], []),
        "undefined": ([relu("nowhere", "y")], []),
        "twice": ([relu("x", "y"), relu("x", "y")], []),
        "no-nodes": ([], []),
        "huge": ([add], [huge]),
        "negative": ([add], [negative]),
        "short": ([add], [short]),
        "type": ([add], [odd_type]),
        "outside": ([add], [outside]),
        "fill": ([helper.make_node("ConstantOfShape", ["w"], ["y"])],
                 [helper.make_tensor("w", TensorProto.INT64, [2], [1 << 35, 1 << 35])]),
    }


@pytest.mark.parametrize("name", hostile_models())
def test_hostile(mlc, tmp_path, name):
    nodes, initializers = hostile_models()[name]
    refused(mlc, save(tmp_path / f"{name}.onnx", nodes, initializers))


def test_deep_nesting(mlc, tmp_path):
    """Graphs in attributes of nodes in graphs, 5000 deep: a reader that recurses freely runs out of stack."""
    def field(number, content):
        length, size = b"", len(content)
        while size >= 0x80:
            length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
        return bytes([number << 3 | 2]) + length + bytes([size]) + content

    graph = b""
    for _ in range(5000):
        graph = field(1, field(4, b"If") + field(5, field(1, b"then_branch") + field(6, graph)))  # node { attribute { g
    path = tmp_path / "deep.onnx"
    path.write_bytes(b"\x08\x08" + field(7, graph))
    refused(mlc, path)


def test_long_chain(mlc, tmp_path):
    """Ten thousand nodes in a row: nothing recurses once per node."""
    nodes = [helper.make_node("Relu", [f"v{i}" if i else "x"], [f"v{i + 1}"]) for i in range(10000)]
    nodes.append(helper.make_node("Relu", ["v10000"], ["y"]))
    code, output = check(mlc, save(tmp_path / "chain.onnx", nodes))
    assert code == 0, output


def mutate(content, rng):
    """A few bytes changed, removed, doubled or cut: what a broken download or a fuzzer makes."""
    content = bytearray(content)
    for _ in range(int(rng.integers(1, 6))):
        at = int(rng.integers(0, len(content)))
        kind = int(rng.integers(0, 5))
        if kind == 0:
            content[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            content[at] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF]))
        elif kind == 2:
            del content[at:at + int(rng.integers(1, 9))]
        elif kind == 3:
            content[at:at] = content[at:at + int(rng.integers(1, 9))]
        else:
            del content[max(at, 1):]
        if not content:
            break
    return bytes(content)


def without_large_weights(path):
    """Mutations of weights change nothing that is parsed: leave only the structure."""
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) > 64 and tensor.data_type == TensorProto.FLOAT:
            del tensor.dims[2:]
            tensor.dims[:] = [1] * len(tensor.dims)
            tensor.raw_data = np.zeros(1, np.float32).tobytes()
    return model.SerializeToString()


def run_mutations(mlc, root, folder, count):
    seeds = [without_large_weights(path) for path in
             (root / "examples/digits/digits.onnx", root / "test/models/bert-small/dynamo.onnx")]

    def one(number):
        rng = np.random.default_rng(number)
        path = folder / f"mutant{number}.onnx"
        path.write_bytes(mutate(seeds[number % len(seeds)], rng))
        check(mlc, path)
        path.unlink()  # what fails stays for whoever looks into it

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for result in [pool.submit(one, number) for number in range(count)]:
            result.result()


def test_mutations(mlc, root, tmp_path):
    run_mutations(mlc, root, tmp_path, 60)


@pytest.mark.slow
def test_many_mutations(mlc, root, tmp_path):
    run_mutations(mlc, root, tmp_path, 3000)
