"""Operators of ONNX Runtime's own domain against ONNX Runtime: masks, caches, biases that the exported models do not have.

All cases are one model. Sizes of batch, sequence and past are symbols, so that the library also computes shapes.
"""
import mlc_backend
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

HEADS, SIZE = 2, 4
HIDDEN = HEADS * SIZE
BATCH, SEQUENCE, PAST = 2, 3, 2
TOTAL = PAST + SEQUENCE
TOKENS = ("batch", "sequence", HIDDEN)
CACHE = ("batch", HEADS, "past", SIZE)
SYMBOLS = {"batch": BATCH, "sequence": SEQUENCE, "past": PAST, "total": TOTAL}
TOLERANCE = 1e-5


def normal(rng, shape):
    return rng.standard_normal(shape).astype(np.float32)


def lengths(rng, shape):
    return np.array([2, 3][:shape[0]], np.int32)


def flags(rng, shape):
    """Most tokens are seen, the first always."""
    seen = (rng.random(shape) < 0.7).astype(np.int32)
    seen[..., 0] = 1
    return seen


def rows(limit):
    return lambda rng, shape: rng.integers(0, limit, shape).astype(np.int32)


# name: (operator, inputs, number of results, attributes); an input is None, a shape, or (shape, maker of integers).
CASES = {
    "gelu": ("Gelu", [TOKENS], 1, {}),
    "bias-gelu": ("BiasGelu", [TOKENS, (HIDDEN,)], 1, {}),
    "fast-gelu": ("FastGelu", [TOKENS, (HIDDEN,)], 1, {}),
    "quick-gelu": ("QuickGelu", [TOKENS], 1, {"alpha": 1.5}),
    "matmul": ("FusedMatMul", [("batch", "sequence", 5), ("batch", 7, 5)], 1, {"transB": 1, "alpha": 0.5}),
    "matmul-transposed": ("FusedMatMul", [("batch", 5, "sequence"), (5, 7)], 1, {"transA": 1}),
    "skip": ("SkipLayerNormalization", [TOKENS, TOKENS, (HIDDEN,), (HIDDEN,), (HIDDEN,)], 4, {"epsilon": 1e-3}),
    "skip-without-beta": ("SkipLayerNormalization", [TOKENS, TOKENS, (HIDDEN,)], 1, {}),
    "skip-rms": ("SkipSimplifiedLayerNormalization", [TOKENS, TOKENS, (HIDDEN,), (HIDDEN,)], 4, {"epsilon": 1e-3}),
    "embed": ("EmbedLayerNormalization",
              [(("batch", "sequence"), rows(9)), (("batch", "sequence"), rows(2)), (9, HIDDEN), (6, HIDDEN), (2, HIDDEN),
               (HIDDEN,), (HIDDEN,), (("batch", "sequence"), flags)], 2, {"epsilon": 1e-3}),
    "embed-without-segments": ("EmbedLayerNormalization",
                               [(("batch", "sequence"), rows(9)), None, (9, HIDDEN), (6, HIDDEN), None, (HIDDEN,), (HIDDEN,)],
                               2, {}),
    "attention": ("Attention", [TOKENS, (HIDDEN, 3 * HIDDEN), (3 * HIDDEN,)], 1, {"num_heads": HEADS}),
    "attention-lengths": ("Attention", [TOKENS, (HIDDEN, 3 * HIDDEN), (3 * HIDDEN,), (("batch",), lengths)], 1,
                          {"num_heads": HEADS}),
    "attention-flags": ("Attention", [TOKENS, (HIDDEN, 3 * HIDDEN), (3 * HIDDEN,), (("batch", "sequence"), flags)], 1,
                        {"num_heads": HEADS, "scale": 0.3}),
    "attention-causal-past": ("Attention", [TOKENS, (HIDDEN, 3 * HIDDEN), (3 * HIDDEN,), None,
                                            (2, "batch", HEADS, "past", SIZE)], 2, {"num_heads": HEADS, "unidirectional": 1}),
    "attention-sizes": ("Attention", [TOKENS, (HIDDEN, 2 * HIDDEN + 6), (2 * HIDDEN + 6,)], 1,
                        {"num_heads": HEADS, "qkv_hidden_sizes": [HIDDEN, HIDDEN, 6]}),
    "heads": ("MultiHeadAttention", [TOKENS, ("batch", "total", HIDDEN), ("batch", "total", HIDDEN)], 1, {"num_heads": HEADS}),
    "heads-bias-flags": ("MultiHeadAttention",
                         [TOKENS, ("batch", "total", HIDDEN), ("batch", "total", HIDDEN), (3 * HIDDEN,),
                          (("batch", "total"), flags)], 1, {"num_heads": HEADS}),
    "heads-past": ("MultiHeadAttention", [TOKENS, TOKENS, TOKENS, None, None, ("batch", 1, "sequence", "total"), CACHE, CACHE],
                   3, {"num_heads": HEADS}),
    "heads-causal": ("MultiHeadAttention", [TOKENS, TOKENS, TOKENS], 1, {"num_heads": HEADS, "unidirectional": 1}),
    "heads-split": ("MultiHeadAttention", [TOKENS, ("batch", HEADS, "total", SIZE), ("batch", HEADS, "total", SIZE)], 1,
                    {"num_heads": HEADS}),
    "rms": ("SimplifiedLayerNormalization", [TOKENS, (HIDDEN,)], 1, {"axis": -1, "epsilon": 1e-3}),
}


def add(name, nodes, values, ends, feeds):
    """The nodes, inputs, outputs and arrays of one case; SimplifiedLayerNormalization is in ONNX's domain though not in ONNX."""
    operator, inputs, results, attributes = CASES[name]
    rng, names = np.random.default_rng(0), []
    for i, entry in enumerate(inputs):
        names.append("" if entry is None else f"{name}/x{i}")
        if entry is None:
            continue
        shape, fill = entry if callable(entry[-1]) else (entry, normal)
        feeds[names[-1]] = fill(rng, [SYMBOLS.get(dim, dim) for dim in shape])
        values.append(helper.make_tensor_value_info(names[-1], helper.np_dtype_to_tensor_dtype(feeds[names[-1]].dtype), shape))
    # Mean and deviation of a normalization are results of training alone.
    used = [0, 3][:1 + results // 4] if operator.startswith("Skip") else range(results)
    outputs = [f"{name}/y{i}" if i in used else "" for i in range(results)]
    domain = "" if operator == "SimplifiedLayerNormalization" else "com.microsoft"
    nodes.append(helper.make_node(operator, names, outputs, name=name, domain=domain, **attributes))
    for i in used:
        kind = TensorProto.INT32 if (operator, i) == ("EmbedLayerNormalization", 1) else TensorProto.FLOAT
        ends.append(helper.make_tensor_value_info(outputs[i], kind, None))


@pytest.fixture(scope="module")
def results(compiled, tmp_path_factory):
    """What mlc and ONNX Runtime compute for one model with all cases."""
    nodes, values, ends, feeds = [], [], [], {}
    for name in CASES:
        add(name, nodes, values, ends, feeds)
    model = helper.make_model(helper.make_graph(nodes, "fused", values, ends), ir_version=8,
                              opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)])
    path = tmp_path_factory.mktemp("fused") / "fused.onnx"
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    want = dict(zip([output.name for output in session.get_outputs()], session.run(None, feeds), strict=True))
    with mlc_backend.Library(compiled(path)) as library:
        return library.run(feeds), want


@pytest.mark.parametrize("name", CASES)
def test_fused(results, name):
    got, want = ({key: array for key, array in side.items() if key.startswith(f"{name}/")} for side in results)
    assert list(got) == list(want) and want
    for output, array in want.items():
        assert got[output].shape == array.shape and got[output].dtype == array.dtype
        np.testing.assert_allclose(got[output], array, rtol=TOLERANCE, atol=TOLERANCE, err_msg=output)
