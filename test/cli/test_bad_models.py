"""Truncated, mutated and hostile model files: a diagnostic and an exit code, never a crash, endless loop or all memory."""
import concurrent.futures
import json
import os
import resource
import subprocess

import mlc_backend
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

pytestmark = pytest.mark.slow

SECONDS, BYTES, RESIDENT = 20, 2 << 30, 400 << 20  # of the processor, of address space, of memory
FILE_BYTES = 1 << 30  # what a command may write


def limit():
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(mlc, *arguments, resident=RESIDENT):
    """Exit code and output of mlc; fails on a signal, on an abort's code, on too much time and on too much memory."""
    with subprocess.Popen([str(mlc), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", preexec_fn=limit) as process:
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        code = process.returncode = os.waitstatus_to_exitcode(status)
    assert 0 <= code < 126, f"{arguments}: exit code {code}\n{output[-2000:]}"
    assert "Stack dump" not in output, output
    assert usage.ru_maxrss << 10 <= resident, f"{arguments}: {usage.ru_maxrss >> 10} MB"
    return code, output


def check(mlc, path):
    return run(mlc, "check", path)


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


@pytest.mark.parametrize("depth", [150, 5000, 10000])
def test_deep_nesting(mlc, tmp_path, depth):
    """Graphs in attributes of nodes in graphs: a reader that recurses freely runs out of stack. Every If takes three messages."""
    def field(number, content):
        length, size = b"", len(content)
        while size >= 0x80:
            length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
        return bytes([number << 3 | 2]) + length + bytes([size]) + content

    graph = b""
    for _ in range(depth):
        graph = field(1, field(4, b"If") + field(5, field(1, b"then_branch") + field(6, graph)))  # node { attribute { g
    path = tmp_path / "deep.onnx"
    path.write_bytes(b"\x08\x08" + field(7, graph))
    assert "messages nest deeper than 200" in refused(mlc, path)


def test_long_chain(mlc, tmp_path):
    """Ten thousand nodes in a row: nothing recurses once per node."""
    nodes = [helper.make_node("Relu", [f"v{i}" if i else "x"], [f"v{i + 1}"]) for i in range(10000)]
    nodes.append(helper.make_node("Relu", ["v10000"], ["y"]))
    code, output = check(mlc, save(tmp_path / "chain.onnx", nodes))
    assert code == 0, output


# ---- what a small file can ask for -----------------------------------------------------------------------------------------

LOWEST, HIGHEST, HUGE = -(1 << 63), (1 << 63) - 1, 10 ** 12


def ints(name, *values):
    return numpy_helper.from_array(np.array(values, np.int64), name)


def floats(name, *values):
    return numpy_helper.from_array(np.array(values, np.float32), name)


def scalar(name, value, dtype=np.int64):
    return numpy_helper.from_array(np.array(value, dtype), name)


def anything(name):
    return onnx.ValueInfoProto(name=name)


def value(name, shape=(2, 3), dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def model(nodes, initializers=(), inputs=None, outputs=None, functions=()):
    graph = helper.make_graph(nodes, "g", [value("x")] if inputs is None else inputs,
                              [anything("y")] if outputs is None else outputs, list(initializers))
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("local", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9, functions=functions).SerializeToString()


def single(op, *initializers, shape=(2, 3), **attributes):
    """One node that takes x and initializers."""
    node = helper.make_node(op, ["x", *[tensor.name for tensor in initializers]], ["y"], **attributes)
    return model([node], initializers, [value("x", shape)])


def constants(op, *initializers):
    return model([helper.make_node(op, [tensor.name for tensor in initializers], ["y"])], initializers, [])


def function(name, *calls):
    """b = the last of the operators applied to a one after the other."""
    names = ["a", *[f"t{i}" for i in range(len(calls) - 1)], "b"]
    nodes = [helper.make_node(op, [before], [after], domain="" if op == "Relu" else "local")
             for op, before, after in zip(calls, names, names[1:])]
    return helper.make_function("local", name, ["a"], ["b"], nodes, [helper.make_opsetid("", 18), helper.make_opsetid("local", 1)])


def calling(name, *functions):
    return model([helper.make_node(name, ["x"], ["y"], domain="local")], functions=functions)


def loop(trips):
    body = helper.make_graph([helper.make_node("Add", ["v", "v"], ["w"]), helper.make_node("Identity", ["c"], ["d"])], "body",
                             [value("i", (), TensorProto.INT64), value("c", (), TensorProto.BOOL), value("v")],
                             [value("d", (), TensorProto.BOOL), value("w")])
    return model([helper.make_node("Loop", ["n", "", "x"], ["y"], body=body)], [scalar("n", trips)])


IMAGE = (1, 1, 8, 8)
# Name: the model, what the diagnostic says.
REFUSED = {
    "fill": lambda: (constants("ConstantOfShape", ints("s", 1 << 33, 1 << 33)), "too large"),
    "expand": lambda: (single("Expand", ints("s", HUGE, 2, 3)), "too large"),
    "tile": lambda: (single("Tile", ints("r", HUGE, 1)), "too large"),
    "tile-negative": lambda: (single("Tile", ints("r", LOWEST, 1)), "negative"),
    "tile-overflow": lambda: (single("Tile", ints("r", 1 << 62, 1 << 62)), "too large"),
    "range": lambda: (constants("Range", scalar("a", LOWEST), scalar("b", HIGHEST), scalar("c", 1)), "too many elements"),
    "range-nan": lambda: (constants("Range", *[scalar(n, v, np.float32) for n, v in [("a", 0), ("b", np.nan), ("c", 1)]]), "Range"),
    "range-step-0": lambda: (constants("Range", scalar("a", 0), scalar("b", 9), scalar("c", 0)), "delta is 0"),
    "resize": lambda: (model([helper.make_node("Resize", ["x", "", "", "s"], ["y"])], [ints("s", HUGE, HUGE)]), "too large"),
    "resize-nan": lambda: (model([helper.make_node("Resize", ["x", "", "s"], ["y"])], [floats("s", np.nan, 1)]), "scale is nan"),
    "resize-inf": lambda: (model([helper.make_node("Resize", ["x", "", "s"], ["y"])], [floats("s", 1, np.inf)]), "scale is"),
    "pad": lambda: (single("Pad", ints("p", 0, HUGE, 0, HUGE)), "too large"),
    "pad-overflow": lambda: (single("Pad", ints("p", HIGHEST, HIGHEST, HIGHEST, HIGHEST)), "too large"),
    "slice-step-0": lambda: (single("Slice", ints("a", 0), ints("b", 2), ints("c", 0), ints("d", 0)), "step is 0"),
    "slice-axis": lambda: (single("Slice", ints("a", 0), ints("b", 2), ints("c", LOWEST)), "out of range"),
    "reshape": lambda: (single("Reshape", ints("s", LOWEST, -1)), str(LOWEST)),
    "reshape-overflow": lambda: (single("Reshape", ints("s", 1 << 62, 1 << 62)), "too large"),
    "pool": lambda: (single("MaxPool", shape=IMAGE, kernel_shape=[1 << 40, 1 << 40]), "too large"),
    "pool-pads": lambda: (single("MaxPool", shape=IMAGE, kernel_shape=[2, 2], pads=[HIGHEST] * 4), "MaxPool"),
    "blocks": lambda: (single("DepthToSpace", shape=(1, 4, 8, 8), blocksize=LOWEST), "blocksize"),
    "one-hot": lambda: (model([helper.make_node("OneHot", ["i", "d", "v"], ["y"])], [scalar("d", HUGE), floats("v", 0, 1)],
                              [value("i", (3,), TensorProto.INT64)]), "too large"),
    "rank": lambda: (single("Unsqueeze", ints("a", *range(5000))), "rank 5002"),
    "axis": lambda: (single("Softmax", axis=LOWEST), "out of range"),
    "permutation": lambda: (single("Transpose", perm=list(range(10 ** 6))), "out of range"),
    "equation": lambda: (single("Einsum", equation="ij->" + "i" * 100000), "Einsum"),
    "string": lambda: (single("Relu", junk=b"a" * 10 ** 6), "attribute 'junk'"),
    "strings": lambda: (single("Relu", junk=[b"a"] * 10 ** 6), "attribute 'junk'"),
    "integers": lambda: (single("Relu", junk=list(range(10 ** 6))), "attribute 'junk'"),
    "missing": lambda: (model([helper.make_node("Relu", [f"q{i}"], [f"v{i}"]) for i in range(50000)]), "not a value of the model"),
    "cycle": lambda: (model([helper.make_node("Relu", [f"v{i}"], [f"v{(i + 1) % 50000}"]) for i in reversed(range(50000))]),
                      "needs its own result"),
    "recursion": lambda: (calling("F", function("F", "Relu", "F")), "calls itself"),
    "mutual-recursion": lambda: (calling("F", function("F", "G"), function("G", "Relu", "F")), "calls itself"),
    "doubling": lambda: (calling("F40", function("F0", "Relu"),
                                 *[function(f"F{i}", f"F{i - 1}", f"F{i - 1}") for i in range(1, 41)]), "expand to more than"),
    "functions-deep": lambda: (calling("F999", function("F0", "Relu"), *[function(f"F{i}", f"F{i - 1}") for i in range(1, 1000)]),
                               "nest deeper"),
    "input-size": lambda: (single("Relu", shape=(1 << 40, 1 << 40)), "overflows"),
    "input-negative": lambda: (single("Relu", shape=(-1, 3)), "negative"),
    "input-rank": lambda: (single("Relu", shape=[1] * 1000), "rank 1000"),
    "scan-inputs": lambda: (model([helper.make_node("Scan", ["x", "x"], ["y"], num_scan_inputs=LOWEST, body=helper.make_graph(
        [helper.make_node("Identity", ["a"], ["b"])], "body", [value("a")], [value("b")]))]), f"num_scan_inputs is {LOWEST}"),
    "no-outputs": lambda: (model([helper.make_node("Relu", ["x"], ["y"])], outputs=[]), "no outputs"),
    "no-operator": lambda: (model([helper.make_node("", ["x"], ["y"])]), "no operator"),
    "same-outputs": lambda: (model([helper.make_node("Relu", ["x"], ["y"])], outputs=[anything("y"), anything("y")]), "two outputs"),
    "same-inputs": lambda: (model([helper.make_node("Relu", ["x"], ["y"])], inputs=[value("x"), value("x")]), "two inputs"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(mlc, tmp_path, name):
    content, text = REFUSED[name]()
    path = tmp_path / f"{name}.onnx"
    path.write_bytes(content)
    code, output = check(mlc, path)
    assert code in (1, 2) and text in output, output


# Strange, and well defined: compiled to a library within the same limits.
COMPILED = {
    "slice-lowest": lambda: single("Slice", ints("a", LOWEST), ints("b", HIGHEST), ints("c", 0), ints("d", HIGHEST)),
    "slice-back": lambda: single("Slice", ints("a", HIGHEST), ints("b", LOWEST), ints("c", 0), ints("d", LOWEST)),
    "crop-lowest": lambda: single("Pad", ints("p", -1, -3, -1, 0)),
    "division": lambda: constants("Div", ints("a", LOWEST, 5), ints("b", -1, 0)),
    "remainder": lambda: constants("Mod", ints("a", LOWEST, 5), ints("b", -1, 0)),
    "cast": lambda: model([helper.make_node("Cast", ["a"], ["y"], to=7)], [floats("a", np.nan, np.inf, 1e30, -1e30)], []),
    "nan": lambda: single("LeakyRelu", alpha=float("nan")),
    "infinite": lambda: single("Selu", alpha=float("inf"), gamma=float("-inf")),
    "no-trips": lambda: loop(LOWEST),
    "nothing-inside": lambda: single("Softmax", shape=(2, 0)),
    "output-is-input": lambda: model([], outputs=[anything("x")]),
    "output-is-weight": lambda: model([], [floats("w", 1, 2)], [], [anything("w")]),
    "one-value-thrice": lambda: model([helper.make_node("Identity", ["x"], ["b"]), helper.make_node("Identity", ["x"], ["c"])],
                                      outputs=[anything("x"), anything("b"), anything("c")]),
    "unused-input": lambda: model([helper.make_node("Relu", ["x"], ["y"])], inputs=[value("x"), value("u", ("n",))]),
    "many-inputs": lambda: model([helper.make_node("Sum", [f"x{i}" for i in range(300)], ["y"])],
                                 inputs=[value(f"x{i}") for i in range(300)]),
}


@pytest.mark.parametrize("name", COMPILED)
def test_compiled(mlc, tmp_path, name):
    path = tmp_path / "model.onnx"
    path.write_bytes(COMPILED[name]())
    code, output = run(mlc, "compile", path, "-o", tmp_path / "model.so")
    assert code == 0, output


@pytest.mark.parametrize("trips", [10 ** 5, 10 ** 15])
def test_loop_is_not_unrolled(mlc, tmp_path, trips):
    path = tmp_path / "loop.onnx"
    path.write_bytes(loop(trips))
    code, output = run(mlc, "compile", path, "-o", tmp_path / "loop.so")
    assert code == 0 or "Loop" in output, output


@pytest.mark.parametrize("count", [10 ** 9, HUGE])
def test_constant_fills_no_disk(mlc, tmp_path, count):
    """10^12 zeros are a few bytes in the model; the library would hold them. Nor are they added up one by one."""
    path = tmp_path / "zeros.onnx"
    nodes = [helper.make_node("ConstantOfShape", ["s"], ["c"]), helper.make_node("ReduceSum", ["c"], ["y"])]
    path.write_bytes(model(nodes, [ints("s", count)], []))
    code, output = run(mlc, "compile", path, "-o", tmp_path / "zeros.so")
    assert code == 1 and "one repeated value" in output, output
    assert [file.name for file in tmp_path.iterdir()] == ["zeros.onnx"]


def test_info_of_impossible_sizes(mlc, tmp_path):
    """The elements of all initializers together are more than a number holds."""
    path = tmp_path / "huge.onnx"
    path.write_bytes(model([], [TensorProto(name=f"w{i}", data_type=TensorProto.FLOAT, dims=[HIGHEST]) for i in range(3)]))
    code, output = run(mlc, "info", path)
    assert code == 0 and str((1 << 64) - 1) in output, output


NAMES = {
    "quotes": ['a"b\n\\', "\u202e\x01\"}", "/*x*/"],
    "keywords": ["int", "for", "return"],
    "collisions": ["a.b", "a/b", "a_b"],
    "reserved": ["model", "dims", "inputs"],
    "digits": ["0", "00", "é"],
}


@pytest.mark.parametrize("kind", NAMES)
def test_names(mlc, tmp_path, kind):
    """Any name is fine: the header is C, the manifest is JSON and keeps the names."""
    first, second, result = NAMES[kind]
    path = tmp_path / "model.onnx"
    path.write_bytes(model([helper.make_node("Add", [first, second], [result])], (),
                           [value(first, ("n", first)), value(second, ("n", first))], [anything(result)]))
    code, output = run(mlc, "compile", path, "-o", tmp_path / "model.so")
    assert code == 0, output
    manifest = json.loads((tmp_path / "model.json").read_text())
    assert [tensor["name"] for tensor in manifest["inputs"]] == [first, second]
    for compiler in (["clang-22", "-std=c11", "-x", "c"], ["clang++-22", "-std=c++17", "-x", "c++"]):
        done = subprocess.run([*compiler, "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-pragma-once-outside-header",
                               tmp_path / "model.h"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_compile_time_is_linear(mlc, tmp_path):
    """Small kernels inlined into one function made LLVM quadratic: 48 s for 4,000 of them."""
    nodes = [helper.make_node("MatMul", [f"v{i}" if i else "x", "w"], [f"v{i + 1}"]) for i in range(4000)]
    path = tmp_path / "chain.onnx"
    path.write_bytes(model(nodes, [floats("w", *[[0.5] * 3] * 3)], outputs=[anything("v4000")]))
    code, output = run(mlc, "compile", path, "-o", tmp_path / "chain.so")
    assert code == 0, output


@pytest.mark.slow
def test_100000_nodes(mlc, tmp_path):
    nodes = [helper.make_node("Relu", [f"v{i}" if i else "x"], [f"v{i + 1}"]) for i in range(100000)]
    path = tmp_path / "chain.onnx"
    path.write_bytes(model(nodes, outputs=[anything("v100000")]))
    assert run(mlc, "check", path)[0] == 0


def test_wide_concat(mlc, tmp_path):
    """One insertion after the other, each of which looked back at all before it: the square of 100,000."""
    path = tmp_path / "wide.onnx"
    path.write_bytes(model([helper.make_node("Concat", ["x"] * 100000, ["y"], axis=0)]))
    code, output = run(mlc, "compile", path, "-o", tmp_path / "wide.so")
    assert code == 0, output


def test_concat_in_parts(mlc, tmp_path):
    """More values than are put together at once stay in order."""
    names = [("x", "z")[i % 3 == 0] for i in range(2500)]
    path = tmp_path / "parts.onnx"
    path.write_bytes(model([helper.make_node("Concat", names, ["y"], axis=0)], inputs=[value("x"), value("z")]))
    feeds = {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "z": np.full((2, 3), -1, np.float32)}
    with mlc_backend.Library(mlc_backend.compile_model(path, tmp_path / "parts.so", mlc=mlc)) as library:
        np.testing.assert_array_equal(library.run(feeds)["y"], np.concatenate([feeds[name] for name in names]))


@pytest.mark.parametrize("count", [10000])
def test_many_inputs_and_outputs(mlc, tmp_path, count):
    """Each has attributes; changing them one by one took the square of the memory."""
    nodes = [helper.make_node("Relu", [f"x{i}"], [f"y{i}"]) for i in range(count)]
    path = tmp_path / "wide.onnx"
    path.write_bytes(model(nodes, (), [value(f"x{i}") for i in range(count)], [value(f"y{i}") for i in range(count)]))
    code, output = check(mlc, path)
    assert code == 0, output


# ---- files -----------------------------------------------------------------------------------------------------------------

def external(path, **fields):
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2, 3], data_location=TensorProto.EXTERNAL)
    for key, text in fields.items():
        tensor.external_data.add(key=key, value=str(text))
    path.write_bytes(model([helper.make_node("Add", ["x", "w"], ["y"])], [tensor]))
    return path


@pytest.mark.parametrize("fields, text", [
    ({"location": "/etc/passwd"}, "not a path relative"), ({"location": "../secret"}, "leaves the model's folder"),
    ({"location": "a/../../secret"}, "leaves the model's folder"), ({"location": "link"}, "leaves the model's folder"),
    ({"location": "up/secret"}, "leaves the model's folder"), ({"location": "."}, "leaves the model's folder"),
    ({"location": "fifo"}, "not a regular file"), ({"location": "none"}, "cannot"), ({}, "no location"),
    ({"location": "data", "offset": 10 ** 6, "length": 24}, "has 100 bytes"), ({"location": "data", "length": 101}, "has 100 bytes"),
    ({"location": "data", "offset": (1 << 64) - 8, "length": 24}, "has 100 bytes"), ({"location": "data", "offset": -1}, "not a number"),
    ({"location": "data", "offset": 1 << 70}, "not a number"), ({"location": "data", "length": 23}, "23 bytes"),
])
def test_external_data(mlc, tmp_path, fields, text):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(24))
    (folder / "data").write_bytes(bytes(100))
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "up").symlink_to(tmp_path)
    os.mkfifo(folder / "fifo")
    assert text in refused(mlc, external(folder / "model.onnx", **fields))


def test_files_that_are_no_models(mlc, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "text.txt").write_text("A text about models.\n" * 1000)
    for path in (tmp_path / "fifo", tmp_path / "text.txt", "/dev/null", "/dev/zero", "/proc/self/mem"):
        code, output = check(mlc, path)
        assert code == 1 and "error: " in output, output


@pytest.mark.parametrize("emit", [[], ["--emit=core"]])
def test_output_that_cannot_be_written(mlc, digits, tmp_path, emit):
    (tmp_path / "folder.so").mkdir()
    (tmp_path / "full.so").symlink_to("/dev/full")
    for output in (tmp_path / "folder.so", tmp_path / "none/x.so", tmp_path / "full.so"):
        code, text = run(mlc, "compile", digits, "-o", output, *emit)
        assert code == 1 and "error: " in text, text


# ---- mutations -------------------------------------------------------------------------------------------------------------

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
