"""Results whose sizes only the data tells: room for the most that there can be before the run, the size after it."""
import ctypes

import mlc_backend
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto as T
from onnx import helper
from programs import build, output

VALUE = helper.make_tensor_value_info
TYPES = {"float32": T.FLOAT, "int64": T.INT64, "bool": T.BOOL, "int32": T.INT32, "uint8": T.UINT8}


def constant(name, values):
    return onnx.numpy_helper.from_array(np.asarray(values), name)


def save(folder, nodes, inputs, outputs, initializers=()):
    """inputs and outputs: {name: (type, sizes)}."""
    values = [[VALUE(name, TYPES[dtype], sizes) for name, (dtype, sizes) in side.items()] for side in (inputs, outputs)]
    graph = helper.make_graph(nodes, "graph", *values, list(initializers))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


class Pair:
    """A model through mlc and through ONNX Runtime."""

    def __init__(self, compiled, path, *options):
        self.library = mlc_backend.Library(compiled(path, *options))
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def check(self, **feeds):
        actual = self.library.run(feeds)
        expected = self.session.run(None, feeds)
        for (name, array), reference in zip(actual.items(), expected):
            assert array.dtype == reference.dtype and array.shape == reference.shape, name
            np.testing.assert_allclose(array, reference, rtol=1e-6, err_msg=name)
        return actual


@pytest.mark.parametrize("options", [[], ["--naive-kernels"]], ids=["tiled", "naive"])
@pytest.mark.parametrize("dtype, sizes", [("float32", ["n"]), ("bool", ["n", 5]), ("int64", ["n", 3, "m"])])
def test_nonzero_is_numpys(compiled, tmp_path, dtype, sizes, options):
    path = save(tmp_path, [helper.make_node("NonZero", ["x"], ["y"])], {"x": (dtype, sizes)}, {"y": ("int64", [len(sizes), "k"])})
    library = mlc_backend.Library(compiled(path, *options))
    random = np.random.default_rng(0)
    for trial in range(40):
        shape = [size if isinstance(size, int) else int(random.integers(0, 40)) for size in sizes]
        x = (random.random(shape) < random.random()).astype(dtype)
        np.testing.assert_array_equal(library.run({"x": x})["y"], np.array(np.nonzero(x)))


@pytest.mark.parametrize("axis", [None, 0, -1])
def test_compress_is_numpys(compiled, tmp_path, axis):
    attributes = {} if axis is None else {"axis": axis}
    path = save(tmp_path, [helper.make_node("Compress", ["x", "c"], ["y"], **attributes)],
                {"x": ("float32", ["n", "m"]), "c": ("bool", ["l"])}, {"y": ("float32", ["k"] if axis is None else None)})
    library = mlc_backend.Library(compiled(path))
    random = np.random.default_rng(1)
    for trial in range(30):
        x = random.random(random.integers(1, 9, 2)).astype(np.float32)
        most = x.size if axis is None else x.shape[axis]
        c = random.random(int(random.integers(0, most + 1))) < 0.5
        np.testing.assert_array_equal(library.run({"x": x, "c": c})["y"], np.compress(c, x, axis))


@pytest.mark.parametrize("sorted_first", [0, 1])
@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_unique(compiled, tmp_path, axis, sorted_first, dtype):
    attributes = {} if axis is None else {"axis": axis}
    names = ["values", "first", "inverse", "counts"]
    path = save(tmp_path, [helper.make_node("Unique", ["x"], names, sorted=sorted_first, **attributes)], {"x": (dtype, ["n", "m"])},
                {"values": (dtype, ["k"] if axis is None else ["p", "q"])} | {name: ("int64", [name]) for name in names[1:]})
    pair = Pair(compiled, path)
    random = np.random.default_rng(2)
    for rows, columns, kinds in [(1, 1, 1), (7, 1, 3), (20, 2, 2), (2, 30, 2), (50, 1, 100), (12, 3, 2)]:
        pair.check(x=random.integers(-kinds, kinds, (rows, columns)).astype(dtype))


def detector(folder, classes=3):
    """Boxes and scores -> suppression -> gather -> the best 10, as exported detectors end."""
    node = helper.make_node
    nodes = [
        node("NonMaxSuppression", ["boxes", "scores", "most", "iou", "least"], ["chosen"], "nms"),
        node("Gather", ["chosen", "one"], ["class"], axis=1), node("Gather", ["chosen", "two"], ["box"], axis=1),
        node("Squeeze", ["boxes", "axis0"], ["boxes2"]), node("Gather", ["boxes2", "box"], ["picked"]),
        node("Transpose", ["scores"], ["by_box"], perm=[0, 2, 1]), node("Squeeze", ["by_box", "axis0"], ["by_box2"]),
        node("Unsqueeze", ["class", "axis1"], ["class1"]), node("Unsqueeze", ["box", "axis1"], ["box1"]),
        node("Concat", ["box1", "class1"], ["place"], axis=1), node("GatherND", ["by_box2", "place"], ["score"]),
        node("Shape", ["score"], ["size"]), node("Min", ["size", "ten"], ["k"]),
        node("TopK", ["score", "k"], ["best", "order"], "topk"), node("Gather", ["picked", "order"], ["best_boxes"]),
        node("Gather", ["class", "order"], ["best_classes"]), node("Unsqueeze", ["best", "axis1"], ["column"]),
        node("Concat", ["best_boxes", "column"], ["detections"], axis=1)]
    constants = [constant("one", 1), constant("two", 2), constant("axis0", [0]), constant("axis1", [1]), constant("ten", [10]),
                 constant("iou", np.float32([0.5])), constant("most", [20])]
    return save(folder, nodes, {"boxes": ("float32", [1, "n", 4]), "scores": ("float32", [1, classes, "n"]), "least": ("float32", [1])},
                {"detections": ("float32", ["k", 5]), "best_classes": ("int64", ["k"]), "chosen": ("int64", ["c", 3])}, constants)


@pytest.mark.parametrize("options", [[], ["--naive-kernels"]], ids=["tiled", "naive"])
def test_detector(compiled, tmp_path, options):
    pair = Pair(compiled, detector(tmp_path), *options)
    random = np.random.default_rng(3)
    counts = set()
    for boxes in (1, 2, 17, 300):
        corners = random.random((1, boxes, 4)).astype(np.float32)
        scores = random.random((1, 3, boxes)).astype(np.float32)
        for least in (-1.0, 0.5, 0.97, 2.0):
            result = pair.check(boxes=corners, scores=scores, least=np.float32([least]))
            counts.add(len(result["best_classes"]))
    assert {0, 10} < counts


def test_suppression_limit_from_data(compiled, tmp_path):
    path = save(tmp_path, [helper.make_node("NonMaxSuppression", ["boxes", "scores", "most", "iou"], ["chosen"], center_point_box=1)],
                {"boxes": ("float32", [2, "n", 4]), "scores": ("float32", [2, 2, "n"]), "most": ("int64", [1]), "iou": ("float32", [1])},
                {"chosen": ("int64", ["c", 3])})
    pair = Pair(compiled, path)
    random = np.random.default_rng(4)
    for boxes, most in [(1, 0), (5, 1), (40, 3), (40, 1000)]:
        ties = random.integers(0, 4, (2, 2, boxes)) / np.float32(4)
        pair.check(boxes=random.random((2, boxes, 4), np.float32), scores=ties.astype(np.float32), most=np.int64([most]),
                   iou=np.float32([0.3]))


def test_sizes_computed_from_a_count(compiled, tmp_path):
    """Reshape, concatenation, ranges and expansions by a size that the data tells, and arithmetic on it that is not monotone."""
    node = helper.make_node
    nodes = [
        node("NonZero", ["x"], ["nz"]), node("Transpose", ["nz"], ["rows"]), node("Shape", ["rows"], ["shape"]),
        node("Gather", ["shape", "zero"], ["k"]), node("GatherND", ["x", "rows"], ["kept"]),
        node("Concat", ["kept", "kept"], ["twice"], axis=0), node("Mul", ["k", "two"], ["k2"]), node("Concat", ["two1", "minus1"], ["to"], axis=0),
        node("Reshape", ["twice", "to"], ["halves"]), node("Range", ["zero", "k", "one"], ["range"]),
        node("Unsqueeze", ["k", "axis0"], ["k1"]), node("ConstantOfShape", ["k1"], ["zeros"]),
        node("Size", ["x"], ["all"]), node("Sub", ["all", "k"], ["rest"]), node("Unsqueeze", ["rest", "axis0"], ["rest1"]),
        node("Expand", ["seven", "rest1"], ["padding"]), node("Concat", ["kept", "padding"], ["padded"], axis=0),
        node("Tile", ["kept", "two1"], ["tiled"]), node("ReduceSum", ["kept"], ["sum"], keepdims=0),
        node("Div", ["k", "two"], ["half"]), node("Unsqueeze", ["half", "axis0"], ["half1"]),
        node("Slice", ["kept", "axis0", "half1"], ["front"]), node("Slice", ["x", "axis0", "half1"], ["x_front"]),
    ]
    constants = [constant("zero", 0), constant("one", 1), constant("two", 2), constant("two1", [2]), constant("minus1", [-1]),
                 constant("axis0", [0]), constant("seven", np.float32([7]))]
    floats = {name: ("float32", None) for name in ("halves", "zeros", "padded", "tiled", "sum", "front", "x_front")}
    path = save(tmp_path, nodes, {"x": ("float32", ["n", 3])}, floats | {"range": ("int64", None), "k2": ("int64", [])}, constants)
    pair = Pair(compiled, path)
    random = np.random.default_rng(5)
    for rows in (1, 4, 33):
        for share in (0.2, 0.5, 1.0):
            pair.check(x=(random.random((rows, 3)) * (random.random((rows, 3)) < share)).astype(np.float32))
    x = np.zeros((5, 3), np.float32)  # ONNX Runtime does not reshape nothing to [2, -1]
    result = pair.library.run({"x": x})
    assert result["halves"].shape == (2, 0) and result["padded"].tolist() == [7.0] * 15 and result["sum"] == 0


def test_slice_ends_from_data(compiled, tmp_path):
    path = save(tmp_path, [helper.make_node("Slice", ["x", "start", "end"], ["y"]), helper.make_node("Neg", ["y"], ["z"])],
                {"x": ("float32", ["n", 2]), "start": ("int64", [1]), "end": ("int64", [1])}, {"z": ("float32", ["k", 2])})
    pair = Pair(compiled, path)
    x = np.arange(20, dtype=np.float32).reshape(10, 2)
    for start, end in [(0, 10), (3, 7), (-4, -1), (7, 3), (-100, 100), (10, 10), (0, -(1 << 62))]:
        pair.check(x=x, start=np.int64([start]), end=np.int64([end]))


def test_too_large_a_size_is_named(compiled, tmp_path):
    path = save(tmp_path, [helper.make_node("TopK", ["x", "k"], ["y", "p"], "best")], {"x": ("float32", ["n"]), "k": ("int64", [1])},
                {"y": ("float32", ["k"]), "p": ("int64", ["k"])})
    library = mlc_backend.Library(compiled(path))
    x = np.float32([3, 1, 2])
    assert library.run({"x": x, "k": np.int64([2])})["y"].tolist() == [3, 2]
    assert library.run({"x": x, "k": np.int64([0])})["y"].tolist() == []
    for k in (4, -1):
        with pytest.raises(mlc_backend.MlcError, match=f"model error: best: k is {k}, expected 0 to 3"):
            library.run({"x": x, "k": np.int64([k])})


def test_size_without_a_bound_is_named(mlc, tmp_path):
    path = save(tmp_path, [helper.make_node("ConstantOfShape", ["n"], ["y"], "make")], {"n": ("int64", [1])}, {"y": ("float32", ["k"])})
    with pytest.raises(mlc_backend.CompileError, match="make: error: the size of a.* is read from data that has no upper bound.*--input-value"):
        mlc_backend.compile_model(path, tmp_path / "model.so", mlc=mlc)
    np.save(tmp_path / "n.npy", np.int64([4]))
    library = mlc_backend.compile_model(path, tmp_path / "model.so", "--input-value", f"n=@{tmp_path}/n.npy", mlc=mlc)
    assert mlc_backend.Library(library).run({}).popitem()[1].shape == (4,)


def test_reflective_table(compiled, tmp_path):
    path = save(tmp_path, [helper.make_node("NonZero", ["x"], ["y"])], {"x": ("float32", [6])}, {"y": ("int64", [1, "k"])})
    library = mlc_backend.Library(compiled(path))
    dims = library.model.outputs[0].dims
    assert [(dim.value, dim.symbol, dim.bounded) for dim in dims[:2]] == [(1, -1, 0), (-1, -1, 1)]
    assert library.output_shapes(None) == [(1, 6)]
    shapes = (ctypes.c_int64 * 2)()
    assert library.model.result_shapes(library._handle, shapes) == 1
    assert b"did not succeed" in library.model.last_error(library._handle)
    library.run({"x": np.float32([0, 1, 0, 2, 0, 0])})
    assert library.model.result_shapes(library._handle, shapes) == 0 and list(shapes) == [1, 2]
    assert library.model.result_shapes(library._handle, None) == 1
    # The shape before a run is the room.
    results = [np.empty((1, 2), np.int64)]
    tensors = library._tensors(results)
    assert library.model.run(library._handle, library._tensors([np.zeros(6, np.float32)]), tensors) == 1
    assert b"dimension 1 is 2, expected 6" in library.model.last_error(library._handle)


PROGRAM = r"""
#include "model.h"
#include <stdio.h>
int main(void) {
  model *m;
  float x[2][3] = {{0, 5, 0}, {7, 0, 0}};
  int64_t y[12], shapes[2];
  model_dims dims = {.n = 2};
  if (model_create(NULL, &m) || model_output_shapes(&dims, shapes))
    return 1;
  printf("room %d x %d\n", (int)shapes[0], (int)shapes[1]);
  if (model_run(m, &dims, &x[0][0], y) || model_result_shapes(m, shapes))
    return 1;
  printf("size %d x %d: %d %d, %d %d\n", (int)shapes[0], (int)shapes[1], (int)y[0], (int)y[1], (int)y[2], (int)y[3]);
  model_destroy(m);
  return 0;
}
"""


def test_typed_functions(compiled, tmp_path):
    path = save(tmp_path, [helper.make_node("NonZero", ["x"], ["y"])], {"x": ("float32", ["n", 3])}, {"y": ("int64", [2, "k"])})
    library = compiled(path)
    (tmp_path / "program.c").write_text(PROGRAM)
    program = build(tmp_path / "program", "-fsanitize=address,undefined", tmp_path / "program.c", f"-I{library.parent}", library,
                    f"-Wl,-rpath,{library.parent}")
    assert output(program) == "room 2 x 6\nsize 2 x 2: 0 1, 1 0\n"
