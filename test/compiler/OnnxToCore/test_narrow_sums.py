"""float16 and bfloat16 results that fit while sums, counts or squares on the way to them do not. The reference is ONNX Runtime on the
same numbers in float32, rounded once."""
import dataclasses

import mlc_backend
import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

TYPES = {"float16": (TensorProto.FLOAT16, np.float16), "bfloat16": (TensorProto.BFLOAT16, ml_dtypes.bfloat16)}


@dataclasses.dataclass
class Case:
    name: str
    opset: int
    inputs: list  # float arrays take the type under test, integers stay
    attributes: dict


def random(*shape, low=-1.0, high=1.0):
    return np.random.default_rng(len(shape)).uniform(low, high, shape).astype(np.float32)


HALVES = random(2, 1, 256, 260, low=0.4, high=0.6)  # 66,560 values: more than float16 can count
LARGE = random(3, 400, low=300, high=400)
IMAGE = random(1, 2, 20, 20, low=300, high=400)
CANCELLING = np.tile(np.float32([60000, 50000, -60000, -49900]), (2, 8))
AXES = np.array([1])
LABELS = np.arange(70000) % 3

CASES = [
    Case("ReduceMean", 18, [LARGE, AXES], {}),
    Case("ReduceMean", 13, [HALVES], {"axes": [2, 3]}),
    Case("ReduceSum", 13, [CANCELLING, AXES], {}),
    Case("ReduceL1", 18, [CANCELLING[:, :1], AXES], {}),
    Case("ReduceL2", 18, [LARGE, AXES], {}),
    Case("ReduceSumSquare", 18, [np.full((2, 3), 0.001, np.float32), AXES], {}),
    Case("ReduceLogSum", 18, [LARGE, AXES], {}),
    Case("ReduceLogSumExp", 18, [random(2, 70000, low=0, high=1), AXES], {}),
    Case("Mean", 13, [CANCELLING, CANCELLING, CANCELLING], {}),
    Case("Sum", 13, [CANCELLING, CANCELLING, -CANCELLING], {}),
    Case("CumSum", 14, [CANCELLING, np.array(1)], {"exclusive": 1}),
    Case("GlobalAveragePool", 1, [HALVES], {}),
    Case("GlobalLpPool", 2, [IMAGE], {"p": 2}),
    Case("GlobalLpPool", 2, [IMAGE], {"p": 3}),
    Case("AveragePool", 19, [IMAGE], {"kernel_shape": [20, 20]}),
    Case("AveragePool", 19, [IMAGE], {"kernel_shape": [15, 15], "pads": [1, 1, 1, 1], "strides": [2, 2], "count_include_pad": 1}),
    Case("AveragePool", 19, [IMAGE], {"kernel_shape": [15, 15], "pads": [1, 1, 1, 1], "strides": [2, 2]}),
    Case("LpPool", 18, [IMAGE], {"kernel_shape": [5, 5]}),
    Case("Softmax", 13, [random(1, 70000, low=0, high=3)], {}),
    Case("LogSoftmax", 13, [random(1, 70000, low=0, high=3)], {}),
    Case("Softmax", 11, [random(1, 70, 1000, low=0, high=3)], {"axis": 1}),
    Case("MeanVarianceNormalization", 13, [IMAGE], {}),
    Case("LpNormalization", 1, [LARGE], {"axis": 1, "p": 2}),
    Case("LRN", 13, [IMAGE], {"size": 3, "alpha": 1e-4}),
    Case("InstanceNormalization", 6, [IMAGE, np.float32([1, 2]), np.float32([0, 1])], {}),
    Case("BatchNormalization", 15, [IMAGE / 100, np.float32([300, 400]), np.float32([60000, -60000]), np.float32([300, 200]),
                                    np.float32([1, 2])], {}),
    Case("NegativeLogLikelihoodLoss", 13, [random(70000, 3, low=2, high=3), LABELS], {}),
    Case("NegativeLogLikelihoodLoss", 13, [random(70000, 3, low=2, high=3), LABELS, np.float32([1, 2, 3])], {}),
    Case("SoftmaxCrossEntropyLoss", 13, [random(70000, 3, low=2, high=3), LABELS], {}),
]


def model_of(case, arrays, element, is_open):
    def info(i, array):
        code = element if array.dtype.kind in "fV" else TensorProto.INT64
        sizes = [f"d{i}_{axis}" for axis in range(array.ndim)] if is_open and case.inputs[i].dtype.kind == "f" else array.shape
        return helper.make_tensor_value_info(f"x{i}", code, sizes)
    given = [i for i, x in enumerate(arrays) if x is not AXES and x.ndim > 0]
    initializers = [onnx.numpy_helper.from_array(x, f"x{i}") for i, x in enumerate(arrays) if i not in given]
    node = helper.make_node(case.name, [f"x{i}" for i in range(len(arrays))], ["y"], **case.attributes)
    graph = helper.make_graph([node], "g", [info(i, arrays[i]) for i in given], [helper.make_tensor_value_info("y", element, None)],
                              initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", case.opset)], ir_version=10), [f"x{i}" for i in given]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("is_open", [False, True], ids=["fixed", "open"])
@pytest.mark.parametrize("dtype", list(TYPES))
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{case.opset}-{case.inputs[0].shape}")
def test_value(mlc, tmp_path, case, dtype, is_open):
    element, numpy_type = TYPES[dtype]
    narrow = [x.astype(numpy_type) if x.dtype.kind == "f" else x for x in case.inputs]
    wide = [x.astype(np.float32) if x.dtype == numpy_type else x for x in narrow]
    model, names = model_of(case, wide, TensorProto.FLOAT, False)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    want = session.run(None, {name: wide[int(name[1:])] for name in names})[0].astype(numpy_type).astype(np.float64)
    assert np.isfinite(want).any()  # of running sums some are too large
    is_open = is_open and "Pool" not in case.name and "BatchN" not in case.name  # channels, windows
    model, names = model_of(case, narrow, element, is_open)
    onnx.save(model, tmp_path / "m.onnx")
    library = mlc_backend.compile_model(tmp_path / "m.onnx", tmp_path / "m.so")
    with mlc_backend.Library(library, threads=2) as loaded:
        got = loaded.run({name: narrow[int(name[1:])] for name in names})["y"].astype(np.float64)
    assert got.shape == want.shape
    step = float(ml_dtypes.finfo(numpy_type).eps)
    np.testing.assert_allclose(got, want, rtol=1.5 * step, atol=1.5 * float(ml_dtypes.finfo(numpy_type).smallest_subnormal))
