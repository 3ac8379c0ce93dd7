"""Libraries for the GPU give the values that ONNX Runtime and PyTorch give: on the emulator, and with MLC_GPU=device on a GPU.

The kernels that run are those of the PTX inside the library.
"""
import json

import data
import mlc_backend
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

TARGET = "--target=cuda:sm_80"


@pytest.fixture
def gpu(compiled, driver):
    """gpu(model, *options): a library for the GPU, ready to run."""
    return lambda model, *options: mlc_backend.Library(compiled(model, TARGET, *options))


def reference(model, feeds):
    session = onnxruntime.InferenceSession(model if isinstance(model, bytes) else str(model), providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, feeds)))


def assert_equal(got, want, tolerance=1e-4):
    assert list(got) == list(want)
    for name, value in want.items():
        assert got[name].shape == value.shape and got[name].dtype == value.dtype
        if value.size == 0:
            continue
        if np.issubdtype(value.dtype, np.floating):
            scale = float(np.abs(value).max()) or 1.0
            np.testing.assert_allclose(got[name] / scale, value / scale, rtol=0, atol=tolerance, err_msg=name)
        else:
            np.testing.assert_array_equal(got[name], value, err_msg=name)


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_digits(gpu, digits, batch):
    image = np.random.default_rng(batch).random((batch, 1, 8, 8), np.float32)
    with gpu(digits) as library:
        assert_equal(library.run({"image": image}), reference(digits, {"image": image}))


@pytest.mark.parametrize("size", ["1x1", "1x7", "2x33"])
@pytest.mark.parametrize("exporter", ["legacy", "dynamo"])
def test_bert_small(gpu, root, exporter, size):
    folder = root / "test/models/bert-small"
    golden = np.load(folder / "golden.npz")
    with gpu(folder / f"{exporter}.onnx") as library:
        got = library.run({info.name: golden[f"{size}/{info.name}"] for info in library.inputs})
        assert_equal(got, {name: golden[f"{size}/{name}"] for name in got})


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_training(gpu, root, optimizer):
    """The first 20 losses are PyTorch's; state stays on the device and is updated in place."""
    golden = json.loads((root / "test/train/golden_losses.json").read_text())
    (images, labels), _ = data.split()
    with gpu(root / "examples/digits/digits_init.onnx", "--train", "--loss=cross_entropy", f"--optimizer={optimizer}") as library:
        image, label = library.train_inputs
        losses = []
        for start in range(0, 20 * 32, 32):
            feeds = {image.name: images[start:start + 32], label.name: labels[start:start + 32].astype(label.dtype)}
            (loss,) = library.train_step(feeds).values()
            losses.append(float(loss.reshape(())))
    np.testing.assert_allclose(losses, golden[optimizer], rtol=1e-4)


def model_of(nodes, inputs, outputs, weights=(), opset=17):
    """A model of a few nodes; inputs and outputs are {name: shape} of floats, or {name: (type, shape)}."""
    def info(name, shape):
        element, shape = shape if isinstance(shape, tuple) else (TensorProto.FLOAT, shape)
        return helper.make_tensor_value_info(name, element, shape)

    graph = helper.make_graph(nodes, "test", [info(*one) for one in inputs.items()], [info(*one) for one in outputs.items()],
                              [numpy_helper.from_array(value, name) for name, value in dict(weights).items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


def random(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


node = helper.make_node
CASES = {
    "relu": (model_of([node("Relu", ["x"], ["y"])], {"x": ["n", 5]}, {"y": ["n", 5]}), {"x": random(77, 5)}),
    "nothing": (model_of([node("Relu", ["x"], ["y"])], {"x": ["n", 5]}, {"y": ["n", 5]}), {"x": random(0, 5)}),
    "functions": (model_of([node(op, ["x" if i == 0 else f"v{i}"], [f"v{i + 1}"]) for i, op in enumerate(
        ["Tanh", "Exp", "Sigmoid", "Erf", "Sqrt", "Cos", "Sin", "Abs", "Floor", "Neg", "Softplus", "Log"])], {"x": [9, 31]}, {"v12": [9, 31]}),
        {"x": random(9, 31)}),
    "broadcast": (model_of([node("Add", ["x", "b"], ["s"]), node("Mul", ["s", "x"], ["y"])], {"x": [4, 3, 50], "b": [3, 1]}, {"y": [4, 3, 50]}),
                  {"x": random(4, 3, 50), "b": random(3, 1)}),
    "transpose": (model_of([node("Transpose", ["x"], ["y"], perm=[2, 0, 1])], {"x": [6, 17, 33]}, {"y": [33, 6, 17]}), {"x": random(6, 17, 33)}),
    "concat": (model_of([node("Concat", ["x", "z"], ["y"], axis=1)], {"x": ["n", 3], "z": ["n", 4]}, {"y": ["n", 7]}), {"x": random(20, 3), "z": random(20, 4)}),
    "slice": (model_of([node("Slice", ["x", "begin", "end", "axis", "step"], ["y"])], {"x": [30, 8]}, {"y": [10, 8]},
                       {"begin": np.array([1]), "end": np.array([30]), "axis": np.array([0]), "step": np.array([3])}), {"x": random(30, 8)}),
    "gather": (model_of([node("Gather", ["x", "i"], ["y"])], {"x": [50, 16], "i": (TensorProto.INT64, ["n"])}, {"y": ["n", 16]}),
               {"x": random(50, 16), "i": np.array([3, 49, 0, -1])}),
    "softmax": (model_of([node("Softmax", ["x"], ["y"], axis=-1)], {"x": ["n", 100]}, {"y": ["n", 100]}), {"x": 10 * random(37, 100)}),
    "softmax_dynamic": (model_of([node("Softmax", ["x"], ["y"], axis=-1)], {"x": ["n", "m"]}, {"y": ["n", "m"]}), {"x": 10 * random(13, 70)}),
    "layer_norm": (model_of([node("LayerNormalization", ["x", "g", "b"], ["y"])], {"x": ["n", 48]}, {"y": ["n", 48]}, {"g": random(48), "b": random(48)}),
                   {"x": random(21, 48)}),
    "mean": (model_of([node("ReduceMean", ["x"], ["y"], axes=[1], keepdims=0)], {"x": [5, 40, 3]}, {"y": [5, 3]}), {"x": random(5, 40, 3)}),
    "sum_all": (model_of([node("ReduceSum", ["x"], ["y"], keepdims=0)], {"x": [50, 40]}, {"y": []}), {"x": random(50, 40)}),
    "argmax": (model_of([node("ArgMax", ["x"], ["y"], axis=1, keepdims=0)], {"x": [19, 33]}, {"y": (TensorProto.INT64, [19])}), {"x": random(19, 33)}),
    "max_pool": (model_of([node("MaxPool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])], {"x": [2, 3, 17, 15]}, {"y": [2, 3, 9, 8]}),
                 {"x": random(2, 3, 17, 15)}),
    "matmul": (model_of([node("MatMul", ["x", "w"], ["m"]), node("Add", ["m", "b"], ["y"])], {"x": ["n", 70]}, {"y": ["n", 30]}, {"w": random(70, 30), "b": random(30)}),
               {"x": random(45, 70)}),
    # Large enough for tiles of 4 x 4; rows and columns with a rest.
    "matmul_tiles": (model_of([node("MatMul", ["x", "w"], ["y"])], {"x": ["n", 20]}, {"y": ["n", 2050]}, {"w": random(20, 2050)}), {"x": random(131, 20)}),
    "matmul_tiles_static": (model_of([node("MatMul", ["x", "w"], ["y"])], {"x": [516, 12]}, {"y": [516, 512]}, {"w": random(12, 512)}), {"x": random(516, 12)}),
    "matmul_dynamic": (model_of([node("MatMul", ["x", "w"], ["y"])], {"x": ["n", "k"], "w": ["k", "m"]}, {"y": ["n", "m"]}), {"x": random(33, 21), "w": random(21, 35)}),
    "conv": (model_of([node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2]), node("Relu", ["c"], ["y"])], {"x": ["n", 6, 13, 11]}, {"y": ["n", 10, 7, 6]},
                      {"w": random(10, 6, 3, 3), "b": random(10)}), {"x": random(2, 6, 13, 11)}),
    "depthwise": (model_of([node("Conv", ["x", "w"], ["y"], group=8, pads=[1, 1, 1, 1])], {"x": [2, 8, 12, 12]}, {"y": [2, 8, 12, 12]}, {"w": random(8, 1, 3, 3)}),
                  {"x": random(2, 8, 12, 12)}),
    "where": (model_of([node("Greater", ["x", "z"], ["c"]), node("Where", ["c", "x", "z"], ["y"])], {"x": [300], "z": [300]}, {"y": [300]}), {"x": random(300), "z": random(300) * 2}),
    "shape": (model_of([node("Shape", ["x"], ["y"])], {"x": ["n", "m", 3]}, {"y": (TensorProto.INT64, [3])}), {"x": random(5, 2, 3)}),
    "cast": (model_of([node("Cast", ["x"], ["i"], to=TensorProto.INT32), node("Cast", ["i"], ["h"], to=TensorProto.FLOAT16), node("Cast", ["h"], ["y"], to=TensorProto.DOUBLE)],
                      {"x": [90]}, {"y": (TensorProto.DOUBLE, [90])}), {"x": 100 * random(90)}),
    "half": (model_of([node("Mul", ["x", "x"], ["s"]), node("Add", ["s", "x"], ["y"])], {"x": (TensorProto.FLOAT16, [90])}, {"y": (TensorProto.FLOAT16, [90])}),
             {"x": random(90).astype(np.float16)}),
}


@pytest.mark.parametrize("name", CASES)
def test_operators(gpu, tmp_path_factory, name):
    model, feeds = CASES[name]
    path = tmp_path_factory.mktemp(name) / f"{name}.onnx"
    onnx.save(model, path)
    with gpu(path) as library:
        assert_equal(library.run(feeds), reference(model.SerializeToString(), feeds), 1e-3 if name in ("half", "functions") else 1e-5)


def test_weights_in_a_file(driver, digits, tmp_path):
    """What lies beside the library is uploaded like what lies inside, and so is what create is given instead."""
    library = mlc_backend.compile_model(digits, tmp_path / "digits.so", TARGET, f"--weights={tmp_path / 'digits.weights'}")
    feeds = {"image": np.random.default_rng(3).random((2, 1, 8, 8), np.float32)}
    with mlc_backend.Library(library) as loaded:
        assert_equal(loaded.run(feeds), reference(digits, feeds))
    (tmp_path / "digits.weights").rename(tmp_path / "moved.weights")
    with mlc_backend.Library(library, weights_file=bytes(tmp_path / "moved.weights")) as loaded:
        assert_equal(loaded.run(feeds), reference(digits, feeds))
