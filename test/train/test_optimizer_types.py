"""Optimizers on parameters of every floating-point type, against the same formulas in numpy."""
import ml_dtypes
import mlc_backend
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

ROWS, INPUTS, OUTPUTS, STEPS = 4, 3, 2, 5
TYPES = {"float32": (TensorProto.FLOAT, np.float32, 1e-5), "float64": (TensorProto.DOUBLE, np.float64, 1e-13),
         "float16": (TensorProto.FLOAT16, np.float16, 2e-3), "bfloat16": (TensorProto.BFLOAT16, ml_dtypes.bfloat16, 2e-2)}
OPTIONS = {"sgd": ["--optimizer=sgd", "--learning-rate=0.125"],
           "momentum": ["--optimizer=sgd", "--learning-rate=0.125", "--momentum=0.5"],
           "adam": ["--optimizer=adam", "--learning-rate=0.03125"]}


def numbers(*shape):
    return np.random.default_rng(sum(shape)).uniform(-1, 1, shape)


def model(path, name):
    """y = x w, and a second parameter whose gradients are so small that their squares are nothing in 16 bits."""
    onnx_type, dtype, _ = TYPES[name]
    value = lambda name, *shape: helper.make_tensor_value_info(name, onnx_type, shape)  # noqa: E731
    tensor = lambda name, array: helper.make_tensor(name, onnx_type, array.shape, array.astype(dtype).tobytes(), raw=True)  # noqa: E731
    nodes = [helper.make_node("MatMul", ["x", "w"], ["xw"]), helper.make_node("Mul", ["b", "small"], ["sb"]),
             helper.make_node("Add", ["xw", "sb"], ["y"])]
    graph = helper.make_graph(nodes, "g", [value("x", ROWS, INPUTS)], [value("y", ROWS, OUTPUTS)],
                              [tensor("w", numbers(INPUTS, OUTPUTS)), tensor("b", numbers(OUTPUTS)),
                               tensor("small", np.array([2.0 ** -12]))])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10), path)
    return path


def expected(dtype, kind):
    """w and b after the steps. Parameters are kept in their type, the rest is as exact as numpy."""
    w, b = (numbers(*shape).astype(dtype).astype(np.float64) for shape in ((INPUTS, OUTPUTS), (OUTPUTS,)))
    x, target = (numbers(*shape).astype(dtype).astype(np.float64) for shape in ((ROWS, INPUTS), (ROWS, OUTPUTS)))
    first, second = [np.zeros_like(w), np.zeros_like(b)], [np.zeros_like(w), np.zeros_like(b)]
    for step in range(1, STEPS + 1):
        d = 2 * (x @ w + b * 2.0 ** -12 - target) / target.size
        for i, (parameter, gradient) in enumerate(((w, x.T @ d), (b, d.sum(0) * 2.0 ** -12))):
            if kind == "adam":
                first[i] = 0.9 * first[i] + 0.1 * gradient
                second[i] = 0.999 * second[i] + 0.001 * gradient ** 2
                change = 0.03125 * (first[i] / (1 - 0.9 ** step)) / (np.sqrt(second[i] / (1 - 0.999 ** step)) + 1e-8)
            else:
                first[i] = (0.5 if kind == "momentum" else 0) * first[i] + gradient
                change = 0.125 * first[i]
            parameter[...] = (parameter - change).astype(dtype).astype(np.float64)
    return {"w": w, "b": b}


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("kind", OPTIONS)
def test_steps(compiled, tmp_path_factory, name, kind):
    _, dtype, tolerance = TYPES[name]
    library = compiled(model(tmp_path_factory.mktemp("types") / f"{name}.onnx", name), "--train", "--loss=mse", "--trainable=w",
                       "--trainable=b", *OPTIONS[kind])
    with mlc_backend.Library(library) as loaded:
        for _ in range(STEPS):
            loaded.train_step({"x": numbers(ROWS, INPUTS).astype(dtype), "target": numbers(ROWS, OUTPUTS).astype(dtype)})
        got = {info.name: loaded.param(info.name).astype(np.float64) for info in loaded.params}
    want = expected(dtype, kind)
    for parameter in ("w", "b"):
        np.testing.assert_allclose(got[parameter], want[parameter], rtol=0, atol=tolerance * 5, err_msg=parameter)

