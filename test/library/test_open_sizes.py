"""Sizes that only the run knows and that meet another: what NumPy stretches is stretched, what does not fit ends the run with the node and
the sizes, and nothing is read or written outside of the caller's memory. Values are those of the ONNX reference evaluator, and of ONNX
Runtime where that has none."""
import ctypes
import subprocess

import mlc_backend
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto as T
from onnx import helper
from onnx.reference import ReferenceEvaluator

VALUE = helper.make_tensor_value_info
NODE = helper.make_node
TYPES = {"float32": T.FLOAT, "int32": T.INT32, "int64": T.INT64, "bool": T.BOOL}
# Where the reference evaluator is wrong: lengths of sequences, samples of regions, loops that append to nothing.
BY_ONNX_RUNTIME = {"GRU", "LSTM", "Loop", "RNN", "RoiAlign", "Scan"}


def model_of(nodes, inputs, constants=(), outputs=("y",), opset=18):
    """inputs: {name: sizes, or (type, sizes)}; constants: {name: array}."""
    typed = {name: value if isinstance(value, tuple) else ("float32", value) for name, value in inputs.items()}
    graph = helper.make_graph(nodes, "graph", [VALUE(name, TYPES[dtype], sizes) for name, (dtype, sizes) in typed.items()],
                              [VALUE(name, T.UNDEFINED, None) for name in outputs],
                              [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in dict(constants).items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    inferred = onnx.shape_inference.infer_shapes(model)
    known = {value.name: value.type.tensor_type.elem_type for value in [*inferred.graph.value_info, *inferred.graph.output]}
    for value in model.graph.output:
        value.type.tensor_type.elem_type = known.get(value.name) or T.FLOAT
    return model


class Model:
    def __init__(self, compiled, tmp_path, *arguments, **options):
        self.model = model_of(*arguments, **options)
        onnx.save(self.model, tmp_path / "model.onnx")
        self.library = mlc_backend.Library(compiled(tmp_path / "model.onnx"))
        if any(node.op_type in BY_ONNX_RUNTIME for node in self.model.graph.node):
            self.reference = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
        else:
            self.reference = ReferenceEvaluator(self.model)

    def check(self, **feeds):
        self.compare(self.reference.run(None, feeds), **feeds)

    def compare(self, expected, **feeds):
        actual = list(self.library.run(feeds).values())
        for have, want in zip(actual, expected, strict=True):
            assert have.shape == want.shape
            np.testing.assert_allclose(have, want, rtol=1e-5, atol=1e-6)

    def refuses(self, *words, **feeds):
        with pytest.raises(Exception) as error:
            self.library.run(feeds)
        assert all(word in str(error.value) for word in words), error.value


def random(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("op", ["Add", "Mul", "Sub", "Div", "Max", "Pow"])
def test_two_open_sizes_stretch(compiled, tmp_path, op):
    model = Model(compiled, tmp_path, [NODE(op, ["a", "b"], ["y"])], {"a": ["m", "n", 4], "b": ["p", "q", 4]})
    for left, right in [((2, 3), (2, 3)), ((1, 3), (2, 3)), ((2, 3), (2, 1)), ((1, 3), (2, 1)), ((1, 1), (5, 7)), ((0, 3), (1, 3)),
                        ((5, 1), (1, 0))]:
        model.check(a=abs(random(*left, 4)), b=random(*right, 4))
    model.refuses(op, "2", "3", a=random(2, 3, 4), b=random(3, 3, 4))
    model.refuses(op, "3", "7", a=random(2, 3, 4), b=random(1, 7, 4))


def test_three_operands_stretch(compiled, tmp_path):
    model = Model(compiled, tmp_path, [NODE("Where", ["c", "a", "b"], ["y"])],
                  {"c": ("bool", ["k"]), "a": ["m", 1], "b": ["p", "q"]})
    for k, m, p, q in [(3, 2, 2, 3), (1, 2, 1, 1), (3, 1, 2, 3), (3, 2, 1, 1)]:
        model.check(c=np.arange(k) % 2 == 0, a=random(m, 1), b=random(p, q))
    model.refuses("Where", c=np.array([True, False]), a=random(1, 1), b=random(2, 3))


def test_an_open_size_meets_a_constant(compiled, tmp_path):
    model = Model(compiled, tmp_path, [NODE("Add", ["x", "c"], ["y"])], {"x": ["n", 4]}, {"c": random(3, 4)})
    model.check(x=random(3, 4))
    model.check(x=random(1, 4))
    model.refuses("Add", "2", "3", x=random(2, 4))
    model.refuses("Add", "100000", "3", x=random(100000, 4))


def test_batches_of_products_stretch(compiled, tmp_path):
    model = Model(compiled, tmp_path, [NODE("MatMul", ["x", "w"], ["y"])], {"x": ["n", 2, 4]}, {"w": random(3, 4, 5)})
    model.check(x=random(3, 2, 4))
    model.check(x=random(1, 2, 4))
    model.refuses("MatMul", "2", "3", x=random(2, 2, 4))


def test_inner_sizes_of_products(compiled, tmp_path):
    model = Model(compiled, tmp_path, [NODE("MatMul", ["x", "w"], ["y"])], {"x": ["n", "k"], "w": ["l", "m"]})
    model.check(x=random(3, 4), w=random(4, 5))
    model.check(x=random(3, 0), w=random(0, 5))
    model.refuses("MatMul", "7", "8", x=random(3, 7), w=random(8, 5))


SLICES = {"first": (0, 1), "last": (-1, 2**31 - 1), "second": (1, 2), "last-two": (-2, 2**63 - 1)}


@pytest.mark.parametrize("rows", SLICES)
@pytest.mark.parametrize("op", ["Sub", "Div"])
def test_few_rows_against_all(compiled, tmp_path, rows, op):
    """x - x[:1], x / x[-1:], the position embedding of every DETR."""
    start, end = SLICES[rows]
    model = Model(compiled, tmp_path, [NODE("Slice", ["x", "s", "e", "a"], ["r"]), NODE(op, ["x", "r"], ["y"])], {"x": ["b", "n", 3]},
                  {"s": [start], "e": [end], "a": [1]})
    count = 2 if rows == "last-two" else 1
    for b, n in [(2, count), (1, count), (2, 7)] if count == 1 and rows != "second" else [(2, 2)]:
        model.check(x=random(b, n, 3))
    if rows != "second":
        model.check(x=random(2, 0, 3))
    if rows == "last-two":
        model.refuses(op, "7", "2", x=random(1, 7, 3))


def test_a_row_is_expanded_to_a_constant(compiled, tmp_path):
    model = Model(compiled, tmp_path, [NODE("Slice", ["x", "s", "e", "a"], ["r"]), NODE("Expand", ["r", "t"], ["y"])], {"x": ["n", 4]},
                  {"s": [0], "e": [1], "a": [0], "t": [3, 4]})
    model.check(x=random(5, 4))
    model.refuses("Expand", "0", "3", x=random(0, 4))


def test_expand(compiled, tmp_path):
    model = Model(compiled, tmp_path, [NODE("Shape", ["z"], ["t"]), NODE("Expand", ["x", "t"], ["y"])],
                  {"x": ["n", 4], "z": ["b", "m", "k"]})
    for n, z in [(3, (2, 3, 4)), (1, (2, 3, 4)), (3, (1, 1, 1)), (3, (2, 1, 4)), (1, (1, 1, 1)), (1, (2, 0, 4))]:
        model.check(x=random(n, 4), z=random(*z))
    model.refuses("Expand", "3", "2", x=random(3, 4), z=random(1, 2, 4))
    model.refuses("Expand", "4", "5", x=random(3, 4), z=random(1, 3, 5))


def test_expand_to_what_is_read(compiled, tmp_path):
    """A target without a bound is no size to plan memory for: it must be the size, or 1."""
    model = Model(compiled, tmp_path, [NODE("Expand", ["x", "s"], ["y"])], {"x": ["n", 2], "s": ("int64", [2])})
    for target in [(3, 2), (1, 2), (3, 1)]:
        model.check(x=random(3, 2), s=np.array(target))
    model.refuses("Expand_0", "size 3", "5", x=random(3, 2), s=np.array([5, 2]))
    model.refuses("Expand_0", "size 1", "5", x=random(1, 2), s=np.array([5, 2]))


def test_expand_to_a_computed_size(compiled, tmp_path):
    """A size that follows from another by floating point has a bound, and stretches."""
    model = Model(compiled, tmp_path, [NODE("Shape", ["z"], ["d"]), NODE("Cast", ["d"], ["f"], to=T.FLOAT), NODE("Mul", ["f", "h"], ["g"]),
                                       NODE("Floor", ["g"], ["r"]), NODE("Cast", ["r"], ["s"], to=T.INT64), NODE("Expand", ["x", "s"], ["y"])],
                  {"x": ["n"], "z": ["m"]}, {"h": np.array([0.5], np.float32)})
    for rows, others in [(1, 7), (3, 6), (1, 2)]:
        model.check(x=random(rows), z=random(others))


def test_squeeze_to_a_scalar(compiled, tmp_path):
    model = Model(compiled, tmp_path, [NODE("Squeeze", ["x", "a"], ["y"])], {"x": ["m", "n"]}, {"a": [0, 1]})
    model.check(x=random(1, 1))
    model.refuses("Squeeze_0", "2", x=random(2, 1))
    model.refuses("Squeeze_0", "0", x=random(1, 0))


def test_a_count_behind_a_view(compiled, tmp_path):
    """Memory is planned for the size of a view of a view."""
    model = Model(compiled, tmp_path, [NODE("Squeeze", ["x", "a"], ["s"]), NODE("NonZero", ["s"], ["y"])], {"x": [1, 1, 1, "n"]}, {"a": [2]})
    for size in (1, 2, 5, 0):
        model.check(x=random(1, 1, 1, size))


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
@pytest.mark.parametrize("tail", [[NODE("Softmax", ["r"], ["y"])], [NODE("LayerNormalization", ["r", "g"], ["y"])],
                                  [NODE("ReduceMean", ["r"], ["y"], axes=[1], keepdims=0)], [NODE("Gemm", ["r", "w"], ["y"])]],
                         ids=["softmax", "layer-norm", "mean", "gemm"])
def test_a_constant_over_an_open_batch(compiled, tmp_path, tail, batch):
    """Zero states and learned queries: rows 1 and up were as they had been in memory."""
    nodes = [NODE("Shape", ["x"], ["b"], end=1), NODE("Concat", ["b", "four"], ["t"], axis=0), NODE("Expand", ["c", "t"], ["r"]), *tail]
    model = Model(compiled, tmp_path, nodes, {"x": ["n", 2]},
                  {"four": [4], "c": random(1, 4), "g": random(4), "w": random(4, 5)}, opset=17)
    model.check(x=random(batch, 2))


def test_parts_and_windows(compiled, tmp_path):
    model = Model(compiled, tmp_path, [NODE("Split", ["x", "sizes"], ["a", "b"], axis=0), NODE("Neg", ["b"], ["y"])], {"x": ["n", 4]},
                  {"sizes": [2, 3]}, outputs=("a", "y"))
    model.check(x=random(5, 4))
    model.refuses("Split", "5", "4", x=random(4, 4))
    model.refuses("Split", "5", "6", x=random(6, 4))


def test_a_window_that_does_not_fit(compiled, tmp_path):
    model = Model(compiled, tmp_path, [NODE("Conv", ["x", "w"], ["y"], strides=[2])], {"x": [1, 2, "n"]}, {"w": random(3, 2, 5)})
    model.check(x=random(1, 2, 9))
    model.refuses("Conv", "3", "5", x=random(1, 2, 3))
    dims, shapes = (ctypes.c_int64 * 1)(3), (ctypes.c_int64 * 3)()
    assert mlc_backend.STATUS[model.library.model.output_shapes(dims, shapes)] == "model error"
    assert "Conv" in model.library.model.last_error(None).decode()


INDEXED = {
    "Gather": ([NODE("Gather", ["x", "i"], ["y"])], (("int64", ["k"]), lambda k: np.array([0, k]))),
    "Gather-negative": ([NODE("Gather", ["x", "i"], ["y"])], (("int64", ["k"]), lambda k: np.array([0, -k - 1]))),
    "GatherElements": ([NODE("GatherElements", ["x", "i"], ["y"])], (("int64", ["k", 2]), lambda k: np.array([[0, k]]))),
    "GatherND": ([NODE("GatherND", ["x", "i"], ["y"])], (("int64", ["k", 1]), lambda k: np.array([[k]]))),
    "GatherND-pairs": ([NODE("GatherND", ["x", "i"], ["y"])], (("int64", ["k", 2]), lambda k: np.array([[k - 1, 2]]))),
    "ScatterElements": ([NODE("ScatterElements", ["x", "i", "u"], ["y"])], (("int64", ["k", 2]), lambda k: np.array([[0, k]]))),
    "ScatterND": ([NODE("ScatterND", ["x", "i", "v"], ["y"])], (("int64", ["k", 1]), lambda k: np.array([[k]]))),
    "ReverseSequence": ([NODE("ReverseSequence", ["x", "i"], ["y"])], (("int64", [2]), lambda k: np.array([1, k + 1]))),
}


@pytest.mark.parametrize("case", INDEXED)
def test_positions_out_of_range(compiled, tmp_path, case):
    """x is [n, 2]; the last index is one too many. Its neighbour is none."""
    nodes, ((dtype, sizes), bad) = INDEXED[case]
    model = Model(compiled, tmp_path, nodes, {"x": ["n", 2], "i": (dtype, sizes)}, {"u": random(1, 2), "v": random(1, 2)})
    good = bad(3)
    good = np.minimum(np.maximum(good, -3), 1 if "pairs" in case else 2)
    model.check(x=random(3, 2), i=good)
    model.refuses(case.split("-")[0], x=random(3, 2), i=bad(3))


SCANNED = helper.make_graph([NODE("Add", ["s", "u"], ["s2"]), NODE("Mul", ["u", "v"], ["o"])], "body", [VALUE(name, T.FLOAT, [2]) for name in "suv"],
                            [VALUE(name, T.FLOAT, [2]) for name in ("s2", "o")])
# Nodes, inputs, shapes that fit, and pairs of sizes in shapes that do not.
DISAGREE = {
    "Concat": ([NODE("Concat", ["x", "z"], ["y"], axis=1)], {"x": ["a", "b"], "z": ["c", "d"]}, [((3, 2), (3, 4)), ((3, 2), (3, 0))],
               {(3, 5): ((3, 2), (5, 2)), (1, 3): ((1, 2), (3, 2)), (3, 1): ((3, 2), (1, 2))}),
    "Concat-constant": ([NODE("Concat", ["x", "c"], ["y"], axis=1)], {"x": ["n", 2]}, [((3, 2),)],
                        {(5, 3): ((5, 2),), (1, 3): ((1, 2),), (0, 3): ((0, 2),)}),
    "GatherND": ([NODE("GatherND", ["x", "i"], ["y"], batch_dims=1)], {"x": ["a", "b", "c"], "i": ("int64", ["d", "e", 1])},
                 [((2, 3, 2), (2, 2, 1))], {(3, 2): ((3, 3, 2), (2, 2, 1)), (2, 3): ((2, 3, 2), (3, 2, 1)), (1, 2): ((1, 3, 2), (2, 2, 1)),
                                            (2, 1): ((2, 3, 2), (1, 2, 1))}),
    "GatherND-two": ([NODE("GatherND", ["x", "i"], ["y"], batch_dims=2)], {"x": ["a", "b", "c"], "i": ("int64", ["d", "e", 1])},
                     [((2, 3, 4), (2, 3, 1))], {(4, 3): ((2, 4, 4), (2, 3, 1)), (3, 4): ((2, 3, 4), (2, 4, 1)), (1, 2): ((2, 1, 4), (2, 2, 1))}),
    "Scan": ([NODE("Scan", ["s0", "x", "z"], ["l", "y"], body=SCANNED, num_scan_inputs=2)], {"x": ["n", 2], "z": ["m", 2]}, [((3, 2), (3, 2))],
             {(3, 5): ((3, 2), (5, 2)), (5, 3): ((5, 2), (3, 2)), (1, 3): ((1, 2), (3, 2)), (3, 1): ((3, 2), (1, 2)), (0, 3): ((0, 2), (3, 2))}),
    "Scan-constant": ([NODE("Scan", ["s0", "x", "c"], ["l", "y"], body=SCANNED, num_scan_inputs=2)], {"x": ["n", 2]}, [((3, 2),)],
                      {(5, 3): ((5, 2),), (1, 3): ((1, 2),), (0, 3): ((0, 2),)}),
    "Einsum": ([NODE("Einsum", ["x"], ["y"], equation="ii->i")], {"x": ["a", "b"]}, [((3, 3),), ((1, 1),)],
               {(3, 5): ((3, 5),), (5, 3): ((5, 3),), (1, 3): ((1, 3),)}),
    "Einsum-trace": ([NODE("Einsum", ["x"], ["y"], equation="ii->")], {"x": ["a", "b"]}, [((3, 3),)], {(3, 5): ((3, 5),), (1, 3): ((1, 3),)}),
    "Einsum-rows": ([NODE("Einsum", ["x"], ["y"], equation="iij->ij")], {"x": ["a", "b", "c"]}, [((3, 3, 2),)],
                    {(3, 5): ((3, 5, 2),), (1, 3): ((1, 3, 2),)}),
    "Einsum-product": ([NODE("Einsum", ["x", "z"], ["y"], equation="ij,jj->i")], {"x": ["a", "b"], "z": ["p", "q"]}, [((2, 3), (3, 3))],
                       {(5, 4): ((3, 5), (5, 4)), (3, 5): ((5, 3), (3, 5)), (3, 1): ((1, 3), (3, 1))}),
}


@pytest.mark.parametrize("case", DISAGREE)
def test_sizes_that_disagree(compiled, tmp_path, case):
    """One size of each pair would be read for both: past the end of the smaller, or only a part of the larger."""
    nodes, inputs, fitting, differing = DISAGREE[case]
    model = Model(compiled, tmp_path, nodes, inputs, {"c": random(3, 2), "s0": random(2)}, outputs=list(nodes[0].output), opset=17)

    def feeds(shapes):
        return {name: np.arange(np.prod(shape)).reshape(shape) % 2 if isinstance(inputs[name], tuple) else random(*shape)
                for name, shape in zip(inputs, shapes)}
    for shapes in fitting:
        model.check(**feeds(shapes))
    for (first, other), shapes in differing.items():
        model.refuses(f"model error: {case.split('-')[0]}_0: ", f"differ: {first} and {other}", **feeds(shapes))


def sequences(op, direction):
    """Nodes, inputs and weights of a recurrent operator with lengths."""
    gates, directions = {"LSTM": 4, "GRU": 3, "RNN": 1}[op], 2 if direction == "bidirectional" else 1
    return ([NODE(op, ["x", "w", "r", "", "i"], ["y", "h"], hidden_size=2, direction=direction)], {"x": ["t", "b", 3], "i": ("int32", ["c"])},
            {"w": random(directions, gates * 2, 3), "r": random(directions, gates * 2, 2)})


ROI, PLACES = np.array([[0, 0, 3, 3], [1, 1, 2, 2]], np.float32), (1, 1, 2, 2)
SCATTERED = {"x": ["b", "s", "d"], "u": ["c", "t", "e"], "i": ("int64", ["f"])}
UNPOOLED = {"x": ["n", 1, "h", "w"], "i": ("int64", ["m", 1, "k", "l"])}
REGIONS = {"x": ["n", 1, "h", "w"], "r": ["k", 4], "i": ("int64", ["l"])}
CACHE = {"x": random(2, 4, 3), "u": random(2, 2, 3)}
HUGE = 1 << 40
# Opset, (nodes, inputs, weights), other feeds, values of `i` that are right, and wrong ones by the value and the bound that the message names.
POSITIONS = {
    "TensorScatter": (24, ([NODE("TensorScatter", ["x", "u", "i"], ["y"], axis=1)], SCATTERED, {}), CACHE, [0, 2],
                      {(3, 3): [0, 3], (4, 3): [4, 0], (-1, 0): [-1, 0], (HUGE, 3): [HUGE, 0]}),
    "TensorScatter-circular": (24, ([NODE("TensorScatter", ["x", "u", "i"], ["y"], axis=1, mode="circular")], SCATTERED, {}), CACHE,
                               [0, 3], {(4, 4): [4, 0], (-1, 0): [0, -1], (HUGE, 4): [0, HUGE]}),
    "MaxUnpool": (18, ([NODE("MaxUnpool", ["x", "i"], ["y"], kernel_shape=[2, 2], strides=[2, 2])], UNPOOLED, {}), {"x": random(*PLACES)},
                  np.reshape([0, 3, 8, 15], PLACES),
                  {(bad, bound): np.reshape([0, bad, 8, 15], PLACES) for bad, bound in ((16, 16), (-1, 0), (HUGE, 16))}),
    **{f"RoiAlign-{mode}": (16, ([NODE("RoiAlign", ["x", "r", "i"], ["y"], output_height=2, output_width=2, sampling_ratio=2, mode=mode)],
                                 REGIONS, {}), {"x": random(2, 1, 4, 4), "r": ROI}, [0, 1],
                            {(2, 2): [0, 2], (-1, 0): [-1, 0], (HUGE, 2): [HUGE, 0]}) for mode in ("avg", "max")},
    **{f"{op}-{direction}": (18, sequences(op, direction), {"x": random(4, 2, 3)}, np.array([4, 0], np.int32),
                             {(bad, bound): np.array(lengths, np.int32)
                              for bad, bound, lengths in ((5, 5, [5, 1]), (-1, 0, [2, -1]), (2**31 - 1, 5, [2**31 - 1, 1]))})
       for op in ("LSTM", "GRU", "RNN") for direction in ("forward", "reverse", "bidirectional")},
}


@pytest.mark.parametrize("case", POSITIONS)
def test_positions_and_lengths_out_of_range(compiled, tmp_path, case):
    """If what an input says of places and lengths were believed, values would be lost in silence, or memory outside be read or written."""
    opset, (nodes, inputs, weights), others, good, wrong = POSITIONS[case]
    model = Model(compiled, tmp_path, nodes, inputs, weights, outputs=list(nodes[0].output), opset=opset)
    model.check(**others, i=np.array(good))
    for (value, bound), values in wrong.items():
        words = f"model error: {case.split('-')[0]}_0: i {value} is {'below' if value < bound else 'not below'} {bound}"
        model.refuses(words, **others, i=np.array(values))


@pytest.mark.parametrize("causal", [0, 1])
def test_lengths_of_keys_out_of_range(compiled, tmp_path, causal):
    """Attention's nonpad_kv_seqlen: keys after the last would be read."""
    node = NODE("Attention", ["q", "k", "v", "", "", "", "i"], ["y"], is_causal=causal)
    model = Model(compiled, tmp_path, [node], {"q": ["b", 2, "s", 4], "k": ["b", 2, "t", 4], "v": ["b", 2, "t", 5], "i": ("int64", ["n"])}, opset=24)
    q, k, v, lengths = random(2, 2, 3, 4), random(2, 2, 6, 4), random(2, 2, 6, 5), np.array([6, 3])
    scores = q @ k.transpose(0, 1, 3, 2) / 2
    visible = np.arange(6) < lengths[:, None, None, None]
    if causal:  # the queries are the last ones
        visible = visible & (np.arange(6) <= np.arange(3)[:, None] + lengths[:, None, None, None] - 3)
    weights = np.where(visible, np.exp(scores), 0)
    model.compare([weights / weights.sum(-1, keepdims=True) @ v], q=q, k=k, v=v, i=lengths)
    for wrong, bound in ((7, 7), (-1, 0), (HUGE, 7)):
        words = f"model error: Attention_0: i {wrong} is {'below' if wrong < bound else 'not below'} {bound}"
        model.refuses(words, q=q, k=k, v=v, i=np.array([2, wrong]))
    model.refuses("model error: Attention_0: ", "3 and 2", q=q, k=k, v=v, i=np.array([1, 2, 3]))


def test_a_constant_position_out_of_range(compiled, mlc, tmp_path):
    """It is seen at compile time where the size is known, at the latest by the run."""
    model = Model(compiled, tmp_path, [NODE("Gather", ["x", "i"], ["y"])], {"x": ["n", 2]}, {"i": np.array([0, 3])})
    model.check(x=random(4, 2))
    model.refuses("model error: Gather_0: index 3 is out of range: less than 3 is expected", x=random(3, 2))
    model.refuses("model error: Gather_0: index 3 is out of range: less than 0 is expected", x=random(0, 2))
    for wrong, words in ((3, "index 3 is out of range: less than 3 is expected"), (-4, "index -4 is out of range: at least -3 is expected")):
        onnx.save(model_of([NODE("Gather", ["x", "i"], ["y"])], {"x": [3, 2]}, {"i": np.array([0, wrong])}), tmp_path / "fixed.onnx")
        with pytest.raises(mlc_backend.CompileError, match=f"Gather_0: error: .*{words}"):
            mlc_backend.compile_model(tmp_path / "fixed.onnx", tmp_path / "fixed.so", mlc=mlc)


@pytest.mark.parametrize("indices, words", [([1, 7], "indices have size 7 in dimension 1, the data 3"),
                                            ([3, 2], "indices have size 3 in dimension 0, the data 2")])
def test_more_indices_than_data(mlc, tmp_path, indices, words):
    """Along another axis than the one that is scattered to, an element would be written behind the data."""
    axis = 0 if indices[1] == 7 else 1
    model = model_of([NODE("ScatterElements", ["x", "i", "u"], ["y"], axis=axis)], {"x": [2, 3], "i": ("int64", indices), "u": indices})
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(mlc_backend.CompileError, match=f"ScatterElements_0: error: ScatterElements .*: {words}"):
        mlc_backend.compile_model(tmp_path / "m.onnx", tmp_path / "m.so", mlc=mlc)


def test_the_lesser_of_one_and_a_size(compiled, tmp_path):
    """Min(1, n) is 1 or 0: a row that is stretched over all, not a size of its own."""
    nodes = [NODE("Shape", ["x"], ["n"], start=0, end=1), NODE("Min", ["n", "one"], ["k"]), NODE("Expand", ["c", "k"], ["r"]),
             NODE("Add", ["x", "r"], ["y"])]
    model = Model(compiled, tmp_path, nodes, {"x": ["n"]}, {"one": [1], "c": random(1)}, outputs=("k", "r", "y"))
    for n in (1, 5, 0):
        model.check(x=random(n))


def test_a_prompt_for_each_of_a_batch(compiled, tmp_path):
    """cat([prompt.expand(b, -1, -1), x], 1)"""
    nodes = [NODE("Shape", ["x"], ["b"], start=0, end=1), NODE("Concat", ["b", "rest"], ["t"], axis=0), NODE("Expand", ["p", "t"], ["e"]),
             NODE("Concat", ["e", "x"], ["y"], axis=1)]
    model = Model(compiled, tmp_path, nodes, {"x": ["b", "n", 2], "p": ["c", 3, 2]}, {"rest": [3, 2]})
    for batch, prompts in [(2, 1), (2, 2), (1, 1), (0, 1)]:
        model.check(x=random(batch, 4, 2), p=random(prompts, 3, 2))
    model.refuses("model error: Concat_3: ", "2 and 1", x=random(1, 4, 2), p=random(2, 3, 2))
    model.refuses("model error: Expand_2: ", "size 2", "to 3", x=random(3, 4, 2), p=random(2, 3, 2))


def test_computed_positions_out_of_range(compiled, tmp_path):
    """Positions of an exporter's Range against a table: a sequence that is longer than the table."""
    nodes = [NODE("Shape", ["x"], ["s"], start=0, end=1), NODE("Squeeze", ["s", "zero"], ["n"]), NODE("Range", ["o", "n", "i"], ["p"]),
             NODE("Gather", ["t", "p"], ["y"])]
    model = Model(compiled, tmp_path, nodes, {"x": ["n"]}, {"zero": [0], "o": np.int64(0), "i": np.int64(1), "t": random(5, 3)})
    model.check(x=random(5))
    assert model.library.run({"x": random(0)})["y"].shape == (0, 3)  # the reference forgets the table's columns
    model.refuses("Gather", "5", x=random(6))


@pytest.mark.parametrize("nodes, words", [
    ([NODE("Pad", ["x", "p"], ["y"], mode="edge")], "Pad"), ([NODE("Pad", ["x", "p"], ["y"], mode="reflect")], "Pad"),
    ([NODE("ArgMax", ["x"], ["y"])], "ArgMax"), ([NODE("Gather", ["x", "last"], ["y"])], "Gather"),
    ([NODE("Resize", ["x", "", "scales"], ["y"])], "Resize")], ids=["pad-edge", "pad-reflect", "arg-max", "gather", "resize"])
def test_an_axis_that_is_empty(compiled, tmp_path, nodes, words):
    model = Model(compiled, tmp_path, nodes, {"x": ["n", 2]},
                  {"p": [1, 0, 1, 0], "last": np.int64(-1), "scales": np.array([2, 1], np.float32)})
    model.check(x=random(3, 2))
    if words == "Resize":  # twice nothing is nothing
        assert model.library.run({"x": random(0, 2)})["y"].shape == (0, 2)
    else:
        model.refuses(words, "0", x=random(0, 2))


def test_a_slice_of_nothing_compiles(compiled, tmp_path):
    """Fusion rewrote the destination of what has no elements for ever."""
    nodes = [NODE("Slice", ["x", "three", "three", "zero", "minus"], ["r"]), NODE("Exp", ["r"], ["e"]), NODE("Softmax", ["e"], ["y"])]
    model = Model(compiled, tmp_path, nodes, {"x": ["n", 4]}, {"three": [3], "zero": [0], "minus": [-1]})
    model.check(x=random(7, 4))


def test_a_loop_appends_to_nothing(compiled, tmp_path):
    """out = cat([out, y]), out = empty: Mask and Keypoint R-CNN."""
    body = helper.make_graph(
        [NODE("Gather", ["x", "i"], ["g"], axis=0), NODE("Unsqueeze", ["g", "zero1"], ["u"]), NODE("Concat", ["r", "u"], ["r2"], axis=0),
         NODE("Identity", ["c"], ["c2"])], "body",
        [VALUE("i", T.INT64, []), VALUE("c", T.BOOL, []), VALUE("r", T.FLOAT, None)],
        [VALUE("c2", T.BOOL, []), VALUE("r2", T.FLOAT, None)])
    nodes = [NODE("Shape", ["x"], ["s"], start=0, end=1), NODE("Squeeze", ["s", "zero1"], ["n"]), NODE("ConstantOfShape", ["none"], ["r0"]),
             NODE("Loop", ["n", "true", "r0"], ["y"], body=body)]
    model = Model(compiled, tmp_path, nodes, {"x": ["n", 4]}, {"zero1": [0], "none": [0, 4], "true": np.array(True)})
    for rows in (1, 9, 0):
        model.check(x=random(rows, 4))


# What comes before the last node of a body, `v2 = v + g`; it holds for a w of 6 elements and not for one of 3 or of none.
ASSUMING = {
    "index": [NODE("Gather", ["w", "five"], ["g"])],
    "step": [NODE("Add", ["i", "four"], ["j"]), NODE("Gather", ["w", "j"], ["g"])],
    "sizes": [NODE("Identity", ["w"], ["g"])],
    "expand": [NODE("Shape", ["w"], ["s"]), NODE("Expand", ["x", "s"], ["g"])],
    "reshape": [NODE("Reshape", ["w", "pairs"], ["h"]), NODE("ReduceSum", ["h"], ["g"], keepdims=0)],
    "slice": [NODE("Slice", ["w", "from", "to"], ["h"]), NODE("Squeeze", ["h", "zero"], ["g"])],
    "largest": [NODE("Slice", ["w", "from", "to"], ["h"]), NODE("ArgMax", ["h"], ["k"], keepdims=0), NODE("Cast", ["k"], ["g"], to=T.FLOAT)],
}


@pytest.mark.parametrize("case", ASSUMING)
def test_a_loop_without_a_step_assumes_nothing(compiled, tmp_path, case):
    """What its body relies on would be checked before the loop, and no step needs it."""
    body = helper.make_graph([*ASSUMING[case], NODE("Add", ["v", "g"], ["v2"]), NODE("Identity", ["c"], ["c2"])], "body",
                             [VALUE("i", T.INT64, []), VALUE("c", T.BOOL, []), VALUE("v", T.FLOAT, None)],
                             [VALUE("c2", T.BOOL, []), VALUE("v2", T.FLOAT, None)])
    constants = {"five": np.array(5), "four": np.array(4), "pairs": [2, 3], "from": [5], "to": [6], "zero": [0]}
    read = {name for node in ASSUMING[case] for name in node.input}
    model = Model(compiled, tmp_path, [NODE("Loop", ["m", "true", "x"], ["y"], body=body)], {"x": ["n"], "w": ["k"], "m": ("int64", [])},
                  {"true": np.array(True)} | {name: array for name, array in constants.items() if name in read})
    model.check(x=random(6), w=random(6), m=np.array(2))
    for size in (6, 3, 0):
        model.check(x=random(6), w=random(size), m=np.array(0))
    model.refuses("model error: ", x=random(6), w=random(3), m=np.array(2))


def branch(*nodes):
    return helper.make_graph(nodes, "branch", [], [VALUE(nodes[-1].output[0], T.FLOAT, [None])])


@pytest.mark.parametrize("nodes", [
    [NODE("Slice", ["v", "one", "many"], ["v2"])],
    [NODE("Concat", ["v", "v"], ["v2"], axis=0)],
    [NODE("Greater", ["v", "zero"], ["found"]), NODE("Compress", ["v", "found"], ["v2"], axis=0)],
    [NODE("NonZero", ["v"], ["found"]), NODE("Squeeze", ["found", "first"], ["at"]), NODE("Gather", ["v", "at"], ["v2"])],
    [NODE("ReduceMax", ["v"], ["top"], keepdims=0), NODE("Greater", ["top", "zero"], ["found"]),
     NODE("If", ["found"], ["v2"], then_branch=branch(NODE("Slice", ["v", "one", "many"], ["a"])), else_branch=branch(NODE("Neg", ["v"], ["a"])))],
    [NODE("ReduceMax", ["v"], ["top"], keepdims=0), NODE("Greater", ["top", "zero"], ["found"]),
     NODE("If", ["found"], ["v2"], then_branch=branch(NODE("Neg", ["v"], ["a"])), else_branch=branch(NODE("Concat", ["v", "v"], ["a"], axis=0)))],
], ids=["slice", "twice", "compress", "nonzero", "if-slice", "if-twice"])
def test_a_carried_value_of_other_sizes_is_refused(mlc, tmp_path, nodes):
    """It compiled, and failed in every run that changed the size."""
    body = helper.make_graph(
        [*nodes, NODE("Not", ["c"], ["c2"])], "body",
        [VALUE("i", T.INT64, []), VALUE("c", T.BOOL, []), VALUE("v", T.FLOAT, ["k"])], [VALUE("c2", T.BOOL, []), VALUE("v2", T.FLOAT, None)])
    model = model_of([NODE("Loop", ["m", "t", "x"], ["y"], body=body, name="shrinks")], {"x": ["n"], "m": ("int64", []), "t": ("bool", [])},
                     {"one": [1], "many": [2**62], "zero": np.float32(0), "first": [0]})
    onnx.save(model, tmp_path / "model.onnx")
    result = subprocess.run([mlc, "compile", tmp_path / "model.onnx", "-o", tmp_path / "model.so"], capture_output=True, text=True, check=False)
    assert result.returncode == 2 and "shrinks" in result.stderr and "changes the size of dimension 0" in result.stderr


@pytest.mark.parametrize("operator, opset", [("CumSum", 18), ("CumProd", 26)])
def test_an_axis_that_is_none(compiled, tmp_path, operator, opset):
    """The input came back as it was."""
    model = Model(compiled, tmp_path, [NODE(operator, ["x", "axis"], ["y"])], {"x": ["n", "m"], "axis": ("int64", [])}, opset=opset)
    for axis in (0, 1, -1, -2):
        model.check(x=random(2, 3), axis=np.array(axis))
    for axis in (2, -3, 2**62):
        model.refuses(operator, str(axis), x=random(2, 3), axis=np.array(axis))


def test_blocks_that_are_too_many(compiled, tmp_path):
    model = Model(compiled, tmp_path, [NODE("QuantizeLinear", ["x", "s"], ["q"], axis=1, block_size=2), NODE("DequantizeLinear", ["q", "s"], ["y"], axis=1, block_size=2)],
                  {"x": ["n", "c"], "s": ["p", "k"]}, opset=21)
    model.check(x=random(2, 4), s=abs(random(2, 2)) + 1)
    model.refuses("QuantizeLinear", "3", "2", x=random(2, 4), s=abs(random(2, 3)) + 1)


def test_a_size_divided_by_none(compiled, tmp_path):
    """6 / 0 was 6."""
    nodes = [NODE("Shape", ["x"], ["a"]), NODE("Shape", ["z"], ["b"]), NODE("Div", ["a", "b"], ["s"]), NODE("ConstantOfShape", ["s"], ["y"])]
    model = Model(compiled, tmp_path, nodes, {"x": ["n"], "z": ["m"]})
    model.check(x=random(6), z=random(2))
    model.refuses("Div", "6", "0", x=random(6), z=random(0))


@pytest.mark.parametrize("nodes, inputs, constants", [
    ([NODE("Where", ["c", "x", "y2"], ["y"])], {"x": ["n"], "y2": [2]}, {"c": np.zeros(2, bool)}),
    ([NODE("And", ["b", "c"], ["y"])], {"b": ("bool", ["n"])}, {"c": np.zeros(2, bool)}),
    ([NODE("PRelu", ["c", "x"], ["y"])], {"x": [1, "n"]}, {"c": np.ones((3, 2), np.float32)}),
    ([NODE("Concat", ["none", "x"], ["y"], axis=0)], {"none": [0, 2], "x": [3, "n"]}, {}),
    ([NODE("Concat", ["two", "x"], ["c"], axis=0), NODE("Shape", ["c"], ["y"])], {"two": [1, 2], "x": [3, "n"]}, {}),
], ids=["where-never", "and-false", "prelu-of-positive", "concat-of-nothing", "shape-only"])
def test_what_is_folded_away_has_to_fit(compiled, tmp_path, nodes, inputs, constants):
    model = Model(compiled, tmp_path, nodes, inputs, constants)
    def feeds(n):
        sizes = {name: [n if size == "n" else size for size in (value[1] if isinstance(value, tuple) else value)] for name, value in inputs.items()}
        return {name: random(*size) > 0 if name == "b" else random(*size) for name, size in sizes.items()}
    model.check(**feeds(2))
    model.refuses(nodes[0].op_type, "3", "2", **feeds(3))


SWAPPED = {"output": [NODE("Identity", ["r"], ["y"])], "neg": [NODE("Neg", ["r"], ["y"])], "sum": [NODE("ReduceSum", ["r", "first"], ["y"], keepdims=0)],
           "transpose": [NODE("Transpose", ["r"], ["y"])], "add": [NODE("Add", ["r", "z"], ["y"])]}


@pytest.mark.parametrize("use", SWAPPED)
@pytest.mark.parametrize("sizes, shape, other", [
    (["n", "m", 1], ["m", "n"], ["m", "n"]), (["n", "m"], ["m", "n", 1], ["m", "n", 1]), (["n", "m", 4], ["m", "n", 2, 2], ["m", "n", 1, 2]),
    (["n", "m", 2, 2], ["m", "n", 4], ["m", 1, 4]), (["n", "m"], ["m", "n"], [1, "n"]), (["n", 1, "m"], ["m", "n", 1, 1], ["m", "n", 1, 1]),
], ids=["drop", "add", "split", "join", "same", "move"])
def test_a_reshape_swaps_open_sizes(compiled, tmp_path, use, sizes, shape, other):
    """[n, m] to [m, n, 1] has the type of a dimension that is added, and was one: columns came as rows, and sums wrote beyond the output."""
    nodes = [NODE("Shape", ["x"], ["n"], start=0, end=1), NODE("Shape", ["x"], ["m"], start=sizes.index("m"), end=sizes.index("m") + 1),
             NODE("Concat", [f"c{size}" if isinstance(size, int) else size for size in shape], ["s"], axis=0), NODE("Reshape", ["x", "s"], ["r"], allowzero=1)]
    inputs = {"x": sizes, **({"z": other} if use == "add" else {})}
    model = Model(compiled, tmp_path, nodes + SWAPPED[use], inputs, {"first": [0], "c1": [1], "c2": [2], "c4": [4]})
    for n, m in ((2, 3), (3, 2), (1, 5), (4, 1), (3, 3), (0, 2)):
        of = {"n": n, "m": m}
        model.check(**{name: random(*(of.get(size, size) for size in dims)) for name, dims in inputs.items()})
