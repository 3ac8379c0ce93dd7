"""Matrix products whose number of rows only the run knows, with weights and with two inputs, against NumPy.

If this failed, the form for few rows would read panels that are not its own, or one square weight that is read by rows and by columns would
be packed once for both.
"""
import mlc_backend
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

DEPTH, WIDTHS = 70, (64, 96, 100, 130, 1000)
random = np.random.default_rng(0)


def normal(*shape):
    return random.standard_normal(shape).astype(np.float32)


def save(path, nodes, inputs, outputs, weights):
    values = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in side.items()] for side in (inputs, outputs)]
    graph = helper.make_graph(nodes, "products", *values, [numpy_helper.from_array(value, name) for name, value in weights.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize("cpu", ["native", "x86-64-v3", "x86-64-v2"])
def test_open_rows(compiled, tmp_path, cpu):
    weights = {f"w{n}": normal(DEPTH, n) for n in WIDTHS}
    nodes = [node for n in WIDTHS for node in (helper.make_node("MatMul", ["x", f"w{n}"], [f"p{n}"]), helper.make_node("Relu", [f"p{n}"], [f"y{n}"]),
                                               helper.make_node("MatMul", ["x", f"v{n}"], [f"z{n}"]))]
    path = save(tmp_path / "model.onnx", nodes, {"x": ["rows", DEPTH]} | {f"v{n}": [DEPTH, n] for n in WIDTHS},
                {f"{name}{n}": ["rows", n] for n in WIDTHS for name in "yz"}, weights)
    with mlc_backend.Library(compiled(path, f"--cpu={cpu}"), threads=2) as library:
        for rows in (1, 2, 3, 9, 40):
            feeds = {"x": normal(rows, DEPTH)} | {f"v{n}": normal(DEPTH, n) for n in WIDTHS}
            results = library.run(feeds)
            for n in WIDTHS:
                np.testing.assert_allclose(results[f"y{n}"], np.maximum(feeds["x"] @ weights[f"w{n}"], 0), atol=1e-4)
                np.testing.assert_allclose(results[f"z{n}"], feeds["x"] @ feeds[f"v{n}"], atol=1e-4)


def test_one_weight_two_ways(compiled, tmp_path):
    weight, x = normal(64, 64), normal(8, 64)
    nodes = [helper.make_node("Gemm", ["x", "w"], ["y"]), helper.make_node("Gemm", ["x", "w"], ["z"], transB=1)]
    path = save(tmp_path / "model.onnx", nodes, {"x": [8, 64]}, {"y": [8, 64], "z": [8, 64]}, {"w": weight})
    with mlc_backend.Library(compiled(path), threads=1) as library:
        results = library.run({"x": x})
    np.testing.assert_allclose(results["y"], x @ weight, atol=1e-4)
    np.testing.assert_allclose(results["z"], x @ weight.T, atol=1e-4)
