"""What comes from outside and is out of range fails a run on the GPU as it does on the CPU: the same status, the same message.

The host does not see the elements: kernels check them, and leave the first that is wrong to the runtime. Until then other kernels run
with it, so none of them may leave its buffers: the emulator would end the run with a fault instead of MLC_MODEL_ERROR.
"""
import data
import mlc_backend
import numpy as np
import onnx
import pytest
from onnx import TensorProto
from test_values import TARGET, model_of, node, random

I64, I32 = TensorProto.INT64, TensorProto.INT32


def picks(count, **wrong):
    """`count` indices that are right, but for those at the given positions: _12=99."""
    indices = np.arange(count, dtype=np.int64) % 5
    for position, value in wrong.items():
        indices[int(position[1:])] = value
    return indices


GATHER = model_of([node("Gather", ["x", "i"], ["y"])], {"x": ["m", 4], "i": (I64, ["n"])}, {"y": ["n", 4]})
TWO = model_of([node("Gather", ["x", "i"], ["a"]), node("Gather", ["x", "k"], ["b"]), node("Add", ["a", "b"], ["y"])],
               {"x": ["m", 4], "i": (I64, ["n"]), "k": (I64, ["n"])}, {"y": ["n", 4]})
TABLE = model_of([node("Reshape", ["i", "s"], ["t"]), node("Gather", ["x", "t"], ["y"], axis=1)], {"x": [3, "m"], "i": (I32, ["n", 2])},
                 {"y": [3, "k"]}, {"s": np.array([-1])})
ELEMENTS = model_of([node("GatherElements", ["x", "i"], ["y"])], {"x": ["m", 4], "i": (I64, ["n", 4])}, {"y": ["n", 4]})
RESHAPE = model_of([node("Reshape", ["x", "s"], ["y"])], {"x": ["m", "k"]}, {"y": [4, 6]}, {"s": np.array([4, 6])})
# Name: model, feeds, the value and the bound that the message names. Of several wrong elements it is the first one, on every run.
CASES = {
    "above": (GATHER, {"x": random(9, 4), "i": picks(5, _2=77)}, 77, 9),
    "below": (GATHER, {"x": random(9, 4), "i": picks(5, _4=-10)}, -10, -9),
    "first of many": (GATHER, {"x": random(9, 4), "i": picks(3000, _700=12, _701=-99, _1500=13, _2999=14)}, 12, 9),
    "huge": (GATHER, {"x": random(9, 4), "i": picks(5, _1=2**62, _0=-2**63)}, -2**63, -9),
    "one element": (GATHER, {"x": random(9, 4), "i": np.array([9])}, 9, 9),
    "int32, two dimensions": (TABLE, {"x": random(3, 9), "i": np.array([[1, 8], [2**31 - 1, 9]], np.int32)}, 2**31 - 1, 9),
    "elements": (ELEMENTS, {"x": random(9, 4), "i": picks(16, _13=20).reshape(4, 4)}, 20, 9),
    "first check": (TWO, {"x": random(9, 4), "i": picks(5, _4=21), "k": picks(5, _0=22)}, 21, 9),
    "second check": (TWO, {"x": random(9, 4), "i": picks(5), "k": picks(5, _3=22, _4=23)}, 22, 9),
    "sizes": (RESHAPE, {"x": random(5, 5)}, 25, 24),
}


@pytest.fixture
def both(compiled, driver, tmp_path):
    """both(model): its libraries for the CPU and for the GPU."""
    def make(model):
        path = tmp_path / "model.onnx"
        onnx.save(model, path)
        return [mlc_backend.Library(compiled(path, *options)) for options in ((), (TARGET,))]
    return make


def failure(library, feeds):
    with pytest.raises(mlc_backend.MlcError) as error:
        library.run(feeds)
    return str(error.value)


def saved(library, folder):
    """The bytes of all parameters and slots."""
    path = folder / "state.safetensors"
    library._check(library.model.save(library._handle, str(path).encode()), library._handle)
    return path.read_bytes()


@pytest.mark.parametrize("name", CASES)
def test_reported_as_on_the_cpu(both, name):
    model, feeds, value, bound = CASES[name]
    cpu, gpu = both(model)
    with cpu, gpu:
        expected = failure(cpu, feeds)
        assert "model error" in expected and f" {value} " in expected and f" {bound} " in expected + " "
        assert failure(gpu, feeds) == expected
        assert failure(gpu, feeds) == expected


def test_works_again(both):
    """A run that failed leaves nothing behind: the next one is right."""
    cpu, gpu = both(GATHER)
    x = random(9, 4)
    with cpu, gpu:
        for indices in picks(6, _3=9), picks(6), picks(6, _5=-100), np.array([-9, 8]), picks(0):
            if indices.size and not -9 <= min(indices) <= max(indices) < 9:
                failure(gpu, {"x": x, "i": indices})
            else:
                np.testing.assert_array_equal(gpu.run({"x": x, "i": indices})["y"], x[indices])


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_wrong_label(compiled, driver, root, tmp_path, optimizer):
    """A step with a wrong label leaves parameters and optimizer state as they were, bit for bit."""
    (images, labels), _ = data.split()
    options = ["--train", "--loss=cross_entropy", f"--optimizer={optimizer}"]
    model = root / "examples/digits/digits_init.onnx"
    with mlc_backend.Library(compiled(model, *options)) as cpu, mlc_backend.Library(compiled(model, TARGET, *options)) as gpu:
        image, label = gpu.train_inputs
        good = {image.name: images[:4], label.name: labels[:4].astype(label.dtype)}
        bad = {**good, label.name: np.array([3, 1, 10, -1], label.dtype)}
        gpu.train_step(good)
        before = saved(gpu, tmp_path)
        messages = []
        for library in cpu, gpu:
            with pytest.raises(mlc_backend.MlcError) as error:
                library.train_step(bad)
            messages.append(str(error.value))
        assert messages[0] == messages[1] and "label 10 is not below 10" in messages[1]
        assert saved(gpu, tmp_path) == before
        gpu.train_step(good)
        assert saved(gpu, tmp_path) != before


def lengths(op, gates):
    """A recurrent operator over sequences whose lengths are an input."""
    return model_of([node(op, ["x", "w", "r", "", "i"], ["y", "h"], hidden_size=2)], {"x": ["t", "b", 3], "i": (I32, ["c"])},
                    {"y": ["t", 1, "b", 2], "h": [1, "b", 2]}, {"w": random(1, 2 * gates, 3), "r": random(1, 2 * gates, 2)})


SCATTER = model_of([node("TensorScatter", ["x", "u", "i"], ["y"], axis=1)], {"x": ["b", "s", 3], "u": ["b", "t", 3], "i": (I64, ["b"])},
                   {"y": ["b", "s", 3]}, opset=24)
UNPOOL = model_of([node("MaxUnpool", ["x", "i"], ["y"], kernel_shape=[2, 2], strides=[2, 2])],
                  {"x": ["n", 1, "h", "w"], "i": (I64, ["n", 1, "h", "w"])}, {"y": ["n", 1, "k", "l"]})
ALIGN = model_of([node("RoiAlign", ["x", "r", "i"], ["y"], output_height=2, output_width=2, sampling_ratio=2)],
                 {"x": ["n", 1, "h", "w"], "r": ["k", 4], "i": (I64, ["k"])}, {"y": ["k", 1, 2, 2]})
ATTENTION = model_of([node("Attention", ["x", "k", "v", "", "", "", "i"], ["y"], is_causal=1)],
                     {"x": ["b", 2, "s", 4], "k": ["b", 2, "t", 4], "v": ["b", 2, "t", 5], "i": (I64, ["b"])}, {"y": ["b", 2, "s", 5]}, opset=24)
ROI = np.array([[0, 0, 3, 3], [1, 1, 2, 2]], np.float32)
# Name: model, feeds but for `i`, what `i` may be, and what it may not be by the value and the bound that the message names.
PLACES = {
    "TensorScatter": (SCATTER, {"x": random(2, 4, 3), "u": random(2, 2, 3)}, [0, 2], {(3, 3): [0, 3], (-1, 0): [-1, 0], (2**40, 3): [1, 2**40]}),
    "MaxUnpool": (UNPOOL, {"x": random(1, 1, 2, 2)}, [[[[0, 3], [8, 15]]]],
                  {(16, 16): [[[[0, 3], [8, 16]]]], (-1, 0): [[[[-1, 3], [8, 15]]]], (2**40, 16): [[[[0, 2**40], [1, 2]]]]}),
    "RoiAlign": (ALIGN, {"x": random(2, 1, 4, 4), "r": ROI}, [0, 1], {(2, 2): [0, 2], (-1, 0): [-1, 0], (2**40, 2): [2**40, 0]}),
    "Attention": (ATTENTION, {"x": random(2, 2, 3, 4), "k": random(2, 2, 6, 4), "v": random(2, 2, 6, 5)}, [6, 3],
                  {(7, 7): [7, 1], (-1, 0): [-1, 2], (2**40, 7): [1, 2**40]}),
    **{op: (lengths(op, gates), {"x": random(4, 2, 3)}, [4, 2], {(5, 5): [5, 1], (-1, 0): [2, -1], (2**31 - 1, 5): [2**31 - 1, 1]})
       for op, gates in (("GRU", 3), ("RNN", 1), ("LSTM", 4))},
}


@pytest.mark.parametrize("name", PLACES)
def test_places_and_lengths(both, name):
    """Operators that check what an index input says of places, rows or lengths: right ones give the CPU's values, wrong ones its message."""
    model, feeds, good, wrong = PLACES[name]
    dtype = np.int32 if name in ("GRU", "RNN", "LSTM") else np.int64
    cpu, gpu = both(model)
    with cpu, gpu:
        for (value, bound), indices in wrong.items():
            expected = failure(cpu, {**feeds, "i": np.array(indices, dtype)})
            assert expected == f"model error: {name}_0: i {value} is {'below' if value < bound else 'not below'} {bound}"
            assert failure(gpu, {**feeds, "i": np.array(indices, dtype)}) == expected
        want = cpu.run({**feeds, "i": np.array(good, dtype)})
        for key, got in gpu.run({**feeds, "i": np.array(good, dtype)}).items():
            np.testing.assert_allclose(got, want[key], rtol=1e-5, atol=1e-6, err_msg=key)


HOSTILE = np.array([0, -1, 5, 6, -6, -7, 2**31, -2**31, 2**62, 2**63 - 1, -2**63, 3])


def hostile(*shape):
    return np.resize(HOSTILE, shape)


def one(op, inputs, outputs, weights=(), **attributes):
    return model_of([node(op, [*inputs, *dict(weights)], list(outputs), **attributes)], inputs, outputs, weights)


X = {"x": ["a", "b"]}
# Operators that read or write where indices say. None may leave its buffers, whatever the indices are.
INDEXED = {
    "Gather": (one("Gather", {**X, "i": (I64, ["n"])}, {"y": ["n", "b"]}), {"i": hostile(12)}),
    "Gather axis": (one("Gather", {**X, "i": (I64, ["n", 2])}, {"y": ["a", "n", 2]}, axis=1), {"i": hostile(6, 2)}),
    "GatherElements": (one("GatherElements", {**X, "i": (I64, ["n", "b"])}, {"y": ["n", "b"]}), {"i": hostile(4, 4)}),
    "GatherND": (one("GatherND", {**X, "i": (I64, ["n", 2])}, {"y": ["n"]}), {"i": hostile(12, 2)}),
    "GatherND rows": (one("GatherND", {**X, "i": (I64, ["n", 1])}, {"y": ["n", "b"]}), {"i": hostile(12, 1)}),
    "ScatterND": (one("ScatterND", {**X, "i": (I64, ["n", 2]), "u": ["n"]}, {"y": ["a", "b"]}), {"i": hostile(12, 2), "u": random(12)}),
    "ScatterND add": (one("ScatterND", {**X, "i": (I64, ["n", 1]), "u": ["n", "b"]}, {"y": ["a", "b"]}, reduction="add"),
                      {"i": hostile(12, 1), "u": random(12, 4)}),
    "ScatterElements": (one("ScatterElements", {**X, "i": (I64, ["n", "b"]), "u": ["n", "b"]}, {"y": ["a", "b"]}), {"i": hostile(4, 4), "u": random(4, 4)}),
    "ScatterElements add": (one("ScatterElements", {**X, "i": (I64, ["n", "b"]), "u": ["n", "b"]}, {"y": ["a", "b"]}, reduction="add"),
                            {"i": hostile(4, 4), "u": random(4, 4)}),
    "OneHot": (model_of([node("OneHot", ["i", "d", "v"], ["y"])], {"i": (I64, ["n"])}, {"y": ["n", 7]}, {"d": np.array(7), "v": np.array([0, 1], np.float32)}),
               {"i": hostile(12)}),
    "ReverseSequence": (one("ReverseSequence", {**X, "i": (I64, ["b"])}, {"y": ["a", "b"]}, batch_axis=1, time_axis=0), {"i": hostile(12)[4:8]}),
    "LSTM": (model_of([node("LSTM", ["z", "w", "r", "", "i"], ["y"], hidden_size=2)], {"z": [5, 3, 2], "i": (I32, [3])}, {"y": [5, 1, 3, 2]},
                      {"w": random(1, 8, 2), "r": random(1, 8, 2)}), {"z": random(5, 3, 2), "i": np.array([6, -1, 2**31 - 1], np.int32)}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", INDEXED)
def test_no_access_outside(both, name):
    """The run succeeds or fails as the CPU's does; a fault of the device (CUDA error 700) would be an internal error."""
    model, feeds = INDEXED[name]
    if any(value.name == "x" for value in model.graph.input):
        feeds = {"x": random(6, 4), **feeds}
    cpu, gpu = both(model)
    with cpu, gpu:
        try:
            want = cpu.run(feeds)
        except mlc_backend.MlcError as error:
            assert "model error" in str(error)
            assert failure(gpu, feeds) == str(error)
            return
        for key, value in gpu.run(feeds).items():
            np.testing.assert_array_equal(value, want[key], err_msg=key)
