"""Wrong calls of a generated library: a status and a message that names the tensor, what it is and what was expected."""
import ctypes

import mlc_backend
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from programs import SOURCES, bert_feeds, build, output, run


@pytest.mark.parametrize("suffix", [".so", ".a"])
@pytest.mark.parametrize("sanitize", [[], ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]], ids=["plain", "asan"])
def test_typed_functions(compiled, digits, tmp_path, suffix, sanitize):
    library = compiled(digits, suffix=suffix)
    table = "mlc_model_v1" if suffix == ".so" else "digits_mlc_model_v1"
    program = build(tmp_path / "program", *sanitize, f"-DMODEL={table}", SOURCES / "typed_errors.c", f"-I{library.parent}", library,
                    "-lm", f"-Wl,-rpath,{library.parent}")
    assert "0 complaints" in output(program)


class Call:
    """A reflective call whose tensors can be spoilt before it is made."""

    def __init__(self, library, feeds):
        self.library = library
        self.arrays = [feeds[info.name] for info in library.inputs]
        dims = library.bind(library.inputs, self.arrays)
        self.results = [np.empty(shape, info.dtype) for info, shape in zip(library.outputs, library.output_shapes(dims))]
        self.inputs, self.outputs = library._tensors(self.arrays), library._tensors(self.results)

    def __call__(self):
        model, handle = self.library.model, self.library._handle
        status = model.run(handle, self.inputs, self.outputs)
        return mlc_backend.STATUS[status], model.last_error(handle).decode()


def null(tensor):
    tensor.data = None


def set_to(field, value, axis=None):
    def change(tensor):
        if axis is None:
            setattr(tensor, field, value)
        else:
            tensor.shape[axis] = value
    return change


GOT = 'input "input_ids": expected int64[batch,sequence], got '
MASK = 'input "attention_mask": expected int64[batch,sequence], got '
CASES = [
    ("inputs", 0, null, 'input "input_ids": the data pointer is null'),
    ("outputs", 0, null, 'output "{output}": the data pointer is null'),
    ("inputs", 0, set_to("dtype", 1), GOT + "float32[3,64] (the type is float32, expected int64)"),
    ("inputs", 0, set_to("dtype", 0), GOT + "unknown[3,64] (the type is 0, which no mlc_dtype has)"),
    ("inputs", 0, set_to("dtype", -7), GOT + "unknown[3,64] (the type is -7, which no mlc_dtype has)"),
    ("inputs", 0, set_to("rank", 1), GOT + "int64[3] (the rank is 1, expected 2)"),
    ("inputs", 0, set_to("rank", 0), GOT + "int64[] (the rank is 0, expected 2)"),
    ("inputs", 0, set_to("rank", -2), GOT + "int64[...] (the rank is -2, expected 2)"),
    ("inputs", 0, set_to("rank", 1 << 30), GOT + "int64[...] (the rank is 1073741824, expected 2)"),
    ("inputs", 0, set_to("shape", -1, 0), GOT + "int64[-1,64] (dimension 0 is -1, expected 0 or more)"),
    ("inputs", 1, set_to("shape", 2, 0), MASK + 'int64[2,64] (dimension 0: batch is 2 here, but 3 in input "input_ids")'),
    ("inputs", 1, set_to("shape", 65, 1), MASK + 'int64[3,65] (dimension 1: sequence is 65 here, but 64 in input "input_ids")'),
]


@pytest.fixture
def bert(compiled, root):
    with mlc_backend.Library(compiled(root / "test/models/bert-small/legacy.onnx")) as library:
        yield library, bert_feeds(root)


@pytest.mark.parametrize("side, index, change, message", CASES, ids=range(len(CASES)))
def test_reflective_run(bert, side, index, change, message):
    library, feeds = bert
    assert [info.name for info in library.inputs[:2]] == ["input_ids", "attention_mask"]
    call, good = Call(library, feeds), Call(library, feeds)
    change(getattr(call, side)[index])
    assert call() == ("invalid argument", message.format(output=library.outputs[0].name))
    assert good() == ("ok", "")
    assert np.isfinite(good.results[0]).all()


def test_wrong_output_shape(bert):
    library, feeds = bert
    call = Call(library, feeds)
    call.outputs[0].shape[0] += 1
    status, message = call()
    assert status == "invalid argument" and f'output "{library.outputs[0].name}": expected float32[3,' in message
    assert "(dimension 0 is 4, expected 3)" in message


def test_overlap(bert):
    library, feeds = bert
    call = Call(library, feeds)
    call.inputs[2].data = call.outputs[0].data
    assert call() == ("invalid argument", f'output "{library.outputs[0].name}" overlaps input "{library.inputs[2].name}"')
    inputs_may = Call(library, feeds)
    inputs_may.inputs[2].data = inputs_may.inputs[1].data
    assert inputs_may()[0] == "ok"


def test_null_pointers(bert):
    library, feeds = bert
    call, model, handle = Call(library, feeds), library.model, library._handle
    assert model.run(None, call.inputs, call.outputs) == 1
    assert model.run(handle, None, call.outputs) == 1
    assert model.last_error(handle) == b"the pointer to the inputs is null"
    assert model.run(handle, call.inputs, None) == 1
    assert model.last_error(handle) == b"the pointer to the outputs is null"
    assert model.create(None, None) == 1
    model.destroy(None)
    assert model.workspace_size(None) == 0
    assert model.output_shapes(None, (ctypes.c_int64 * 8)()) == 1


def test_token_out_of_range(bert):
    """The model's own failure: an index that the embedding table does not have."""
    library, feeds = bert
    for wrong in (10 ** 6, -10 ** 6, 2 ** 62):
        ids = feeds["input_ids"].copy()
        ids[1, 5] = wrong
        call = Call(library, {**feeds, "input_ids": ids})
        status, message = call()
        assert status == "model error" and str(wrong) in message, (status, message)
    assert Call(library, feeds)()[0] == "ok"


@pytest.mark.parametrize("length", [65, 5000])
def test_sequence_too_long(bert, length):
    """The model has 64 positions: adding them to more tokens cannot broadcast, and would read behind the weights."""
    library, feeds = bert
    with pytest.raises(mlc_backend.MlcError, match=f"model error: .*Add_1: sizes differ: {length} and 64"):
        library.run({name: np.ones((1, length), np.int64) for name in feeds})


def test_arena_too_small(compiled, digits):
    bytes_needed = None
    with mlc_backend.Library(compiled(digits)) as library:
        bytes_needed = library.workspace_size(batch=4)
    memory = (ctypes.c_char * (bytes_needed + 64))()
    aligned = (ctypes.addressof(memory) + 63) // 64 * 64
    with mlc_backend.Library(compiled(digits), arena=aligned, arena_bytes=bytes_needed) as library:
        assert library.run({"image": np.zeros((4, 1, 8, 8), np.float32)})
        with pytest.raises(mlc_backend.MlcError, match=rf"out of memory: the arena is too small: \d+ bytes needed, {bytes_needed} b"):
            library.run({"image": np.zeros((5, 1, 8, 8), np.float32)})
        assert library.run({"image": np.zeros((3, 1, 8, 8), np.float32)})


# ---- models made for a mistake -----------------------------------------------------------------------------------------------

def small_model(folder, name, nodes, inputs, outputs):
    """inputs and outputs: {name: sizes}, all float32."""
    values = [[helper.make_tensor_value_info(value, TensorProto.FLOAT, sizes) for value, sizes in side.items()]
              for side in (inputs, outputs)]
    graph = helper.make_graph([helper.make_node(*node) for node in nodes], name, *values)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), folder / f"{name}.onnx")
    return folder / f"{name}.onnx"


def typed_call(library, function, dims, *arrays):
    """`NAME_run` of the header; the status and the message."""
    pointers = [ctypes.c_void_p(array) if isinstance(array, int) else ctypes.c_void_p(array.ctypes.data) for array in arrays]
    sizes = [ctypes.byref((ctypes.c_int64 * len(dims))(*dims))] if dims else []
    status = getattr(library._library, function)(library._handle, *sizes, *pointers)
    return mlc_backend.STATUS[status], library.model.last_error(library._handle).decode()


@pytest.fixture
def pair(compiled, tmp_path):
    path = small_model(tmp_path, "pair", [("Neg", ["a"], ["p"]), ("Add", ["a", "b"], ["q"])],
                       {"a": ["n", 4], "b": ["n", 4]}, {"p": ["n", 4], "q": ["n", 4]})
    with mlc_backend.Library(compiled(path)) as library:
        yield library


@pytest.mark.parametrize("output, start, message", [
    ("q", "p", 'output "q" overlaps output "p"'), ("p", "a", 'output "p" overlaps input "a"'),
    ("q", "b", 'output "q" overlaps input "b"'), ("q", "a", 'output "q" overlaps input "a"'),
])
@pytest.mark.parametrize("distance", [0, 4, 188, -188])
def test_overlap_of_both_apis(pair, output, start, message, distance):
    """By one element is enough: 12 x 4 floats are 192 bytes."""
    memory = np.ones((4, 256), np.float32)  # far from each other
    at = {name: row.ctypes.data + 512 for name, row in zip("abpq", memory)}
    at[output] = at[start] + distance
    assert typed_call(pair, "pair_run", [12], *[at[name] for name in "abpq"]) == ("invalid argument", message)
    call = Call(pair, {name: np.ones((12, 4), np.float32) for name in "ab"})
    for tensor, name in zip([*call.inputs[:2], *call.outputs[:2]], "abpq"):
        tensor.data = at[name]
    assert call() == ("invalid argument", message)


@pytest.mark.parametrize("distance", [-192, 192])
def test_side_by_side_is_no_overlap(pair, distance):
    memory = np.ones(3 * 48, np.float32)
    a, b, q = np.ones((3, 12, 4), np.float32)
    p = memory.ctypes.data + 192
    assert typed_call(pair, "pair_run", [12], a, b, p, p + distance) == ("ok", "")
    assert (memory[48:96] == -1).all() and (memory[96:] == 2).all() == (distance > 0) and (q == 1).all()


@pytest.mark.parametrize("role, name", [("input", "a"), ("input", "b"), ("output", "p"), ("output", "q")])
def test_null_and_misaligned(pair, role, name):
    arrays = {key: np.ones((3, 4), np.float32) for key in "abpq"}
    good = {key: array.ctypes.data for key, array in arrays.items()}
    for wrong, reason in [(0, "is null"), *[(good[name] + shift, "is not aligned to 4 bytes") for shift in (1, 2, 3)]]:
        expected = "invalid argument", f'{role} "{name}": the data pointer {reason}'
        pointers = {**good, name: wrong}
        assert typed_call(pair, "pair_run", [3], *pointers.values()) == expected
        call = Call(pair, {key: arrays[key] for key in "ab"})
        tensor = call.inputs["ab".index(name)] if role == "input" else call.outputs["pq".index(name)]
        tensor.data = wrong
        assert call() == expected
    assert typed_call(pair, "pair_run", [0], 0, 0, 0, 0) == ("ok", "")  # nothing to point to
    assert typed_call(pair, "pair_run", [3], *good.values()) == ("ok", "")


OUTER = [("MatMul", ["a", "b"], ["outer"]), ("MatMul", ["outer", "c"], ["y"])]  # n x m numbers between inputs of n and m


@pytest.fixture
def outer(compiled, tmp_path):
    path = small_model(tmp_path, "outer", OUTER, {"a": ["n", 1], "b": [1, "m"], "c": ["m", 1]}, {"y": ["n", 1]})
    with mlc_backend.Library(compiled(path)) as library:
        yield library


TOO_LARGE = "with n = {}, m = {} the workspace is larger than the address space, or a size is negative"


@pytest.mark.parametrize("n, m", [(1 << 31, 1 << 31), (1 << 32, 1 << 32), ((1 << 31) + 16, 1 << 31), (1 << 60, 5), (1 << 31, 3 << 31),
                                  ((1 << 61) - 1, 1)])
def test_workspace_overflow(outer, n, m):
    """Products of 2^64 bytes and more, which wrap around to a few or none: the run would write far behind its workspace."""
    data = np.zeros(16, np.float32)
    tall, wide = data.ctypes.data, data.ctypes.data + 4
    assert outer.workspace_size(n=n, m=m) == 0
    assert typed_call(outer, "outer_run", [n, m], tall, wide, wide, data) == ("invalid argument", TOO_LARGE.format(n, m))
    call = Call(outer, {"a": np.zeros((2, 1), np.float32), "b": np.zeros((1, 2), np.float32), "c": np.zeros((2, 1), np.float32)})
    call.inputs[0].shape[0] = call.outputs[0].shape[0] = n
    call.inputs[1].shape[1] = call.inputs[2].shape[0] = m
    assert call() == ("invalid argument", TOO_LARGE.format(n, m))


@pytest.mark.slow
def test_workspace_without_overflow(outer):
    """As much as 64 bits hold is a question of memory, and a size of zero needs none, whatever the other is."""
    data = np.zeros(16, np.float32)
    assert outer.workspace_size(n=1 << 30, m=1 << 30) == 1 << 62
    status, message = typed_call(outer, "outer_run", [1 << 30, 1 << 30], *[data] * 3, data.ctypes.data + (4 << 30))
    assert status == "out of memory" and str(1 << 62) in message
    assert typed_call(outer, "outer_run", [0, 1 << 40], *[data] * 4) == ("ok", "")


@pytest.mark.parametrize("n, m, message", [((1 << 62) + 1, 0, 'input "a": the tensor is larger than the address space'),
                                           (0, (1 << 62) + 1, 'input "b": the tensor is larger than the address space')])
def test_tensor_overflow(outer, n, m, message):
    data = np.zeros(16, np.float32)
    assert typed_call(outer, "outer_run", [n, m], *[data] * 4) == ("invalid argument", message)


def test_arena_of_a_model_with_symbols(compiled, tmp_path):
    path = small_model(tmp_path, "outer", OUTER, {"a": ["n", 1], "b": [1, "m"], "c": ["m", 1]}, {"y": ["n", 1]})
    library = compiled(path)
    memory = np.zeros(64 * 64, np.uint8)
    aligned = (memory.ctypes.data + 63) // 64 * 64
    with pytest.raises(mlc_backend.MlcError, match="options: arena is not aligned to 64 bytes"):
        mlc_backend.Library(library, arena=aligned + 32, arena_bytes=640)
    with mlc_backend.Library(library, arena=aligned, arena_bytes=640) as model:
        a, y, ones = np.arange(10, dtype=np.float32), np.zeros(10, np.float32), np.ones(10, np.float32)
        assert typed_call(model, "outer_run", [10, 10], a, ones, ones, y) == ("ok", "") and (y == 10 * a).all()
        needed = model.workspace_size(n=10, m=20)
        many = np.ones(20, np.float32)
        assert typed_call(model, "outer_run", [10, 20], a, many, many, y) == (
            "out of memory", f"the arena is too small: {needed} bytes needed, 640 bytes given")


def test_handle_of_another_model(bert, compiled, digits):
    """Its inputs are others and its runtime may be another version: every function that takes a handle refuses it."""
    with mlc_backend.Library(compiled(digits)) as own:
        table, foreign, view = own.model, bert[0]._handle, mlc_backend.Tensor()
        call = Call(own, {"image": np.zeros((4, 1, 8, 8), np.float32)})
        invalid = mlc_backend.STATUS.index("invalid argument")
        assert table.run(foreign, call.inputs, call.outputs) == invalid
        assert table.train_step(foreign, call.inputs, call.outputs) == invalid
        assert table.param(foreign, b"w", ctypes.byref(view)) == invalid
        assert table.save(foreign, b"file") == table.load(foreign, b"file") == invalid
        assert table.last_error(foreign) == b'the handle is not one of the model "digits"'
        table.destroy(foreign)
        dims = (ctypes.c_int64 * 1)(4)
        data = np.zeros(4 * 64, np.float32).ctypes
        assert own._library.digits_run(foreign, dims, ctypes.c_void_p(data.data), ctypes.c_void_p(data.data)) == invalid
        assert call() == ("ok", "")
    assert Call(*bert)() == ("ok", "")  # nothing has happened to it


OLD = """
#include "mlc/mlc.h"
const mlc_model *mlc_model_v1(void) {
  static const mlc_model model = {.abi_version = 1, .struct_bytes = sizeof(mlc_model), .name = "old"};
  return &model;
}
"""
USER = """
#include "mlc/mlc.hpp"
#include <cstdio>
extern "C" const mlc_model *mlc_model_v1(void);
int main() {
  mlc::Model model;
  std::printf("%d %s", int(model.create(mlc_model_v1())), model.lastError().c_str());
}
"""


def test_library_of_another_version(mlc, root, tmp_path):
    """Made by an older mlc: its structures are others, so nothing behind the version may be read."""
    (tmp_path / "old.c").write_text(OLD)
    (tmp_path / "user.cpp").write_text(USER)
    include = f"-I{root}/runtime/include"
    library = build(tmp_path / "old.so", "-shared", "-fPIC", include, tmp_path / "old.c")
    done = run(mlc, "run", library, "--input=zeros")
    assert done.returncode != 0 and "has version 1 of the library interface, this mlc has" in done.stderr, done.stderr
    program = build(tmp_path / "user", include, tmp_path / "user.cpp", library, f"-Wl,-rpath,{tmp_path}",
                    compiler=("clang++-22", "-std=c++20"))
    assert output(program) == "1 the library has another version of the interface than mlc.hpp: compile anew"
