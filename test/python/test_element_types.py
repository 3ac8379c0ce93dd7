"""Every line of types.def against ONNX, NumPy and mlc.h, and through everything that expands it: a type forgotten in one place
would be refused, misnamed or misread there alone."""
import collections
import json
import pathlib
import re
import subprocess

import ml_dtypes
import numpy as np
import onnx
import pytest
from mlc import _arrays
from onnx import TensorProto, helper, numpy_helper

import mlc as package

HEADERS = pathlib.Path(__file__).resolve().parents[2] / "runtime/include"
TEXT = (HEADERS / "mlc/types.def").read_text()
Line = collections.namedtuple("Line", "enumerator code name onnx_name bits kind c cpp field npy safetensors error")


def lines(macro):
    return [[column.strip(' "') for column in line.split(",")] for line in re.findall(rf"^MLC_{macro}_TYPE *\((.*)\)$", TEXT, re.M)]


FLOATS, INTEGERS, OTHERS = map(lines, ("FLOAT", "INTEGER", "OTHER"))
LINES = [Line(*columns[:11], columns[13]) for columns in FLOATS] + [Line(*columns, None) for columns in INTEGERS]
EVERY = pytest.mark.parametrize("line", LINES, ids=lambda line: line.name)


def numpy_type(line):
    return np.dtype(getattr(ml_dtypes, line.name, None) or line.name)


def values(line):
    numbers = {"Bool": [0, 1, 1], "Float": [-2.5, 0, 96], "Signed": [-7, 0, 100], "Unsigned": [7, 0, 200]}
    return np.array(numbers[line.kind]).astype(numpy_type(line))


def save(path, nodes, inputs, outputs, initializers=(), opset=21):
    infos = [[helper.make_tensor_value_info(*info) for info in side] for side in (inputs, outputs)]
    graph = helper.make_graph(nodes, "types", *infos, initializers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10), path)
    return path


@pytest.fixture(scope="module")
def typed(tmp_path_factory):
    """For every type T: `T same` = T, and constants that come from the field of a TensorProto, its raw bytes, and folding."""
    nodes, inputs, outputs, constants = [], [], [], [numpy_helper.from_array(np.array([0, 1, 1]), "one")]
    for line in LINES:
        code, x = int(line.code), values(line)
        inputs.append((line.name, code, ["n"]))
        constants += [helper.make_tensor(f"{line.name} given", code, [3], x), numpy_helper.from_array(x, f"{line.name} bytes")]
        nodes.append(helper.make_node("Cast", ["one"], [f"{line.name} one"], to=code))
        for source in ("", " given", " bytes", " one"):
            name = f"{line.name} same{source}"
            nodes.append(helper.make_node("Identity", [line.name + source], [name]))
            outputs.append((name, code, [3] if source else ["n"]))
    return save(tmp_path_factory.mktemp("types") / "types.onnx", nodes, inputs, outputs, constants)


@EVERY
def test_line(line):
    dtype = numpy_type(line)
    assert TensorProto.DataType.Value(line.onnx_name.upper()) == int(line.code)
    assert helper.tensor_dtype_to_np_dtype(int(line.code)) == dtype and helper.tensor_dtype_to_field(int(line.code)) == line.field
    assert (1 if line.kind == "Bool" else 8 * dtype.itemsize) == int(line.bits)
    assert dtype.str[1:] == line.npy
    letter = {"Bool": "BOOL", "Signed": f"I{line.bits}", "Unsigned": f"U{line.bits}", "Float": f"F{line.bits}"}[line.kind]
    assert line.safetensors == ("BF16" if line.name == "bfloat16" else letter)


def test_every_type_has_a_line():
    """Of ONNX, of mlc_dtype, of the Python package. What no tensor can have has one, too."""
    header = (HEADERS / "mlc/mlc.h").read_text()
    enumerators = re.findall(r"MLC_(\w+) = (\d+)", header[header.index("enum mlc_dtype"):header.index("} mlc_dtype;")])
    assert sorted(enumerators) == sorted((line.enumerator, line.code) for line in LINES)
    others = {columns[1].upper(): int(columns[0]) for columns in OTHERS}
    assert {line.onnx_name.upper(): int(line.code) for line in LINES} | others == dict(TensorProto.DataType.items())
    assert {code: element.dtype for code, element in _arrays._ELEMENTS.items()} == {int(line.code): numpy_type(line) for line in LINES}
    assert len(_arrays._CODES) == len(LINES)


@pytest.mark.parametrize("compiler, standard", [("gcc", "c99"), ("clang-22", "c11"), ("g++", "c++20"), ("clang++-22", "c++20")])
def test_headers(compiler, standard, tmp_path):
    checks = []
    for line in LINES:
        at = f"MLC_{line.enumerator}"
        checks.append(f"typedef char size_{line.enumerator}[sizeof({line.c}) == ({line.bits} + 7) / 8 && {at} == {line.code} ? 1 : -1];")
        if "++" in standard:
            checks.append(f"static_assert(mlc::dtypeOf<mlc_test::{line.cpp}_>() == {at} && mlc::elementBytes({at}) == sizeof({line.c}));")
    is_cpp = "++" in standard
    types = "".join(f"using {line.cpp}_ = {line.cpp};\n" for line in LINES)
    source = tmp_path / ("types.cpp" if is_cpp else "types.c")
    source.write_text(f'#include "mlc/mlc.h{"pp" if is_cpp else ""}"\n' +
                      (f"namespace mlc_test {{\nusing namespace mlc;\n{types}}}\n" if is_cpp else "") + "\n".join(checks) +
                      "\n#define MLC_TYPE(NAME, CODE, TEXT, ...) TEXT,\nextern const char *const names[];\nconst char *const names[] = {\n#include \"mlc/types.def\"\n};\n")
    warnings = ["-Wall", "-Wextra", "-Wshadow", "-Wpedantic", "-Werror"]
    subprocess.run([compiler, f"-std={standard}", *warnings, f"-I{HEADERS}", "-fsyntax-only", source], check=True)


@EVERY
def test_library(compiled, typed, line):
    """Import, folding, manifest, header, the runtime's table and Python's."""
    library = compiled(typed)
    manifest = json.loads(library.with_suffix(".json").read_text())
    assert {info["name"]: info["dtype"] for info in manifest["inputs"]}[line.name] == line.name
    note = {"Bool": ", 0 or 1", "Float": f", {line.name} bits" if line.c == "uint16_t" else ""}.get(line.kind, "")
    header = library.with_suffix(".h").read_text()
    assert re.search(rf'@param (m_)?{line.name} in: {line.c} \[n\]{note}(, "{line.name}" in the model)?$', header, re.M)
    model = package.load(library)
    assert f"{line.name}: {line.name}[n]" in map(str, model.inputs)
    feeds = {other.name: np.zeros(3, numpy_type(other)) for other in LINES}
    x = values(line)
    results = model.run({**feeds, line.name: x})
    for source, want in (("", x), (" given", x), (" bytes", x), (" one", np.array([0, 1, 1]).astype(x.dtype))):
        got = results[f"{line.name} same{source}"]
        assert got.dtype == x.dtype
        np.testing.assert_array_equal(got.view(np.uint8), want.view(np.uint8), source)
    wrong = np.zeros(3, numpy_type(next(other for other in LINES if other.name != line.name)))
    with pytest.raises(package.InvalidArgument, match=rf"the type is {wrong.dtype.name}, expected {line.name}"):
        model.run({**feeds, line.name: wrong})


@EVERY
def test_tools(mlc, compiled, typed, line, tmp_path):
    """.npy files both ways, and the text of elements."""
    x = values(line)
    np.save(tmp_path / "x.npy", x)
    command = [mlc, "run", compiled(typed), "--input=zeros", "--dim=n=3", f"--input={line.name}=@{tmp_path}/x.npy"]
    subprocess.run([*command, f"--output={line.name} same=@{tmp_path}/y.npy", f"--expect={line.name} same given=@{tmp_path}/x.npy"], check=True)
    assert (tmp_path / "y.npy").read_bytes() == (tmp_path / "x.npy").read_bytes()
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    words = [{"Bool": str(bool(v)).lower()}.get(line.kind, f"{float(v):g}") for v in x]
    assert f"{line.name} same: {line.name}[3] = {' '.join(words)}\n" in printed


def test_reference(mlc, typed):
    """`mlc verify`: the reference's elements, random inputs, bounds; the help names every bound."""
    done = subprocess.run([mlc, "verify", typed, "--dim=n=3"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    usage = " ".join(subprocess.run([mlc, "verify", "--help"], capture_output=True, text=True, check=True).stdout.split())
    assert [line.name for line in LINES if line.error and f"{line.name} {line.error}" not in usage] == []


@EVERY
def test_name_in_diagnostics(mlc, line, tmp_path):
    other = next(other for other in LINES if other.onnx_name != line.onnx_name)
    path = save(tmp_path / "two.onnx", [helper.make_node("Concat", ["x", "y"], ["z"], axis=0)],
                [("x", int(line.code), [2]), ("y", int(other.code), [2])], [("z", int(line.code), [4])])
    done = subprocess.run([mlc, "check", path], capture_output=True, text=True, check=False)
    assert f"element types differ: {line.onnx_name} and {other.onnx_name}" in done.stdout + done.stderr


@pytest.mark.parametrize("code, name", [columns[:2] for columns in OTHERS if columns[1] != "undefined"])
def test_types_without_tensors(mlc, code, name, tmp_path):
    path = save(tmp_path / "other.onnx", [helper.make_node("Identity", ["x"], ["y"])], [("x", int(code), [2])], [("y", int(code), [2])])
    done = subprocess.run([mlc, "compile", path, "-o", tmp_path / "other.so"], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and f"element type {name} is not supported" in done.stderr
