"""A node on constants (folded by the compiler) gives what the same node on inputs gives (run by kernels): every pointwise operator on
the edge values of every element type. Bits are equal, or both are NaN; functions that kernels approximate are within the errors
of docs/math.md, with the same infinities, zeros and NaN."""
import re
import subprocess

import mlc_backend
import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

TYPES = {
    "float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float32": np.float32, "float64": np.float64, "int8": np.int8,
    "int16": np.int16, "int32": np.int32, "int64": np.int64, "uint8": np.uint8, "uint16": np.uint16, "uint32": np.uint32,
    "uint64": np.uint64, "bool": np.bool_,
}
FLOATS = ["float16", "bfloat16", "float32", "float64"]
ROUNDED = [("Abs", {}), ("Neg", {}), ("Sign", {}), ("Floor", {}), ("Ceil", {}), ("Round", {}), ("Relu", {}), ("LeakyRelu", {}),
           ("ThresholdedRelu", {"alpha": 0.0}), ("HardSigmoid", {}), ("HardSwish", {}), ("Softsign", {}), ("Reciprocal", {}),
           ("Sqrt", {}), ("IsNaN", {}), ("IsInf", {}), ("IsInf", {"detect_negative": 0}), ("Shrink", {"bias": 0.0}),
           ("Shrink", {"bias": 0.5, "lambd": 1.5})]
APPROXIMATED = [("Exp", {}), ("Log", {}), ("Sin", {}), ("Cos", {}), ("Tan", {}), ("Asin", {}), ("Acos", {}), ("Atan", {}),
                ("Sinh", {}), ("Cosh", {}), ("Tanh", {}), ("Asinh", {}), ("Acosh", {}), ("Atanh", {}), ("Erf", {}), ("Sigmoid", {}),
                ("Softplus", {}), ("Elu", {}), ("Selu", {}), ("Celu", {"alpha": 2.0})]
COMPARED = [("Equal", {}), ("Less", {}), ("LessOrEqual", {}), ("Greater", {}), ("GreaterOrEqual", {})]
NUMBERS = [("Add", {}), ("Sub", {}), ("Mul", {}), ("Div", {}), ("Max", {}), ("Min", {}), *COMPARED]
INTEGERS = [("Mod", {}), ("Mod", {"fmod": 1}), ("Pow", {}), ("BitwiseAnd", {}), ("BitwiseOr", {}), ("BitwiseXor", {})]
TRUTHS = [("And", {}), ("Or", {}), ("Xor", {}), ("Equal", {})]


def edges(name):
    dtype = np.dtype(TYPES[name])
    if name == "bool":
        return np.array([False, True])
    if name in FLOATS:
        info = ml_dtypes.finfo(dtype)
        tiny, least, most = (float(v) for v in (info.smallest_subnormal, info.smallest_normal, info.max))
        values = [0, np.nan, np.inf, tiny, 3 * tiny, least, most, 1e-3, 0.5, 1, 1.5, 2.5, 3, 100, 127.5, 128, 255.5, 256, 32768,
                  65535.9, 65536, 2**31, 2**31 + 0.5, 2**32, 2**52 + 1, 2**63, 2**64, 1e30]
        with np.errstate(over="ignore"):
            return np.array(values + [-v for v in values], np.float64).astype(dtype)
    info = np.iinfo(dtype)
    values = {0, 1, 2, 3, 7, 8, 31, 62, 63, 64, 100, info.min, info.min + 1, info.max - 1, info.max, info.max // 2}
    return np.array(sorted(values | ({-1, -2, -3, -7, -64} if info.min < 0 else set())), dtype)


def operators(name):
    """(operator, attributes, arity, exact)"""
    casts = [("Cast", {"to": helper.np_dtype_to_tensor_dtype(np.dtype(t))}, 1, True) for t in TYPES.values()]
    unary = lambda ops, exact: [(op, attributes, 1, exact) for op, attributes in ops]  # noqa: E731
    binary = lambda ops, exact: [(op, attributes, 2, exact) for op, attributes in ops]  # noqa: E731
    if name == "bool":
        return casts + unary([("Not", {})], True) + binary(TRUTHS, True)
    if name in FLOATS:
        return (casts + unary(ROUNDED, True) + unary(APPROXIMATED, False) + binary([*NUMBERS, ("Mod", {"fmod": 1})], True)
                + binary([("Pow", {})], False))
    signed = [("Neg", {})] if name.startswith("int") else []
    shifts = [("BitShift", {"direction": d}) for d in ("LEFT", "RIGHT")] if name.startswith("uint") else []
    return (casts + unary([("Abs", {}), ("Sign", {}), ("BitwiseNot", {}), ("Relu", {}), ("Shrink", {"bias": 1.5, "lambd": 1.5}),
                           *signed], True) + binary([*NUMBERS, *INTEGERS, *shifts], True))


def few_of(name):
    """So few that the compiler would follow them as sizes (kFloatSizesMax), which are no size, though."""
    x = edges(name)
    if name not in FLOATS:
        return np.concatenate([x[:8], x[8:][-8:]])
    return np.array([0, -0.0, np.nan, np.inf, -np.inf, 2.5, -1.5, 256, 65536, 2**63, -2**63, 2**64, 1e30, -1e30], np.float64).astype(x.dtype)


def model_of(name, is_few):
    x = few_of(name) if is_few else edges(name)
    few = x[-4:] if is_few else x if name != "float64" else x[:40]
    feeds = {"x": x, "a": np.repeat(few, few.size), "b": np.tile(few, few.size)}
    element = helper.np_dtype_to_tensor_dtype(np.dtype(TYPES[name]))
    nodes, outputs = [], []
    for i, (op, attributes, arity, _) in enumerate(operators(name)):
        for side in ("run", "folded"):
            given = ["x"] if arity == 1 else ["a", "b"]
            nodes.append(helper.make_node(op, [v + "_constant" if side == "folded" else v for v in given], [f"{side}{i}"], **attributes))
            outputs.append(onnx.ValueInfoProto(name=f"{side}{i}"))
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info(k, element, v.shape) for k, v in feeds.items()], outputs,
                              [numpy_helper.from_array(v, k + "_constant") for k, v in feeds.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=10), feeds


def differences(run, folded, exact, dtype):
    """The places where the two differ by more than they may."""
    if exact or dtype == np.float64:  # double comes from the C library on both sides
        same = run.tobytes() == folded.tobytes()
        if same:
            return np.array([], int)
        equal = np.array([a.tobytes() == b.tobytes() for a, b in zip(run, folded)])
        if run.dtype.kind not in "fV":
            return np.flatnonzero(~equal)
        a, b = run.astype(np.float64), folded.astype(np.float64)
        if not exact:
            equal |= np.abs(a - b) <= 4 * np.spacing(np.abs(b))
        return np.flatnonzero(~(equal | (np.isnan(a) & np.isnan(b))))
    a, b = run.astype(np.float64), folded.astype(np.float64)
    eps = float(ml_dtypes.finfo(dtype).eps)
    small = 2.0**-125  # kernels may flush smaller results to 0
    ulps = 8 if dtype == np.float32 else 1.5
    near = np.abs(a - b) <= np.maximum(ulps * eps * np.abs(b), float(ml_dtypes.finfo(dtype).smallest_subnormal))
    near |= (np.abs(a) < small) & (np.abs(b) < small) & ((a != 0) | (b != 0))
    near &= (np.signbit(a) == np.signbit(b)) | (a != 0) | (b != 0)
    return np.flatnonzero(~(near | (a == b) & (np.signbit(a) == np.signbit(b)) | (np.isnan(a) & np.isnan(b))))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("is_few", [False, True])
@pytest.mark.parametrize("name", list(TYPES))
def test_equal(mlc, tmp_path, name, is_few):
    model, feeds = model_of(name, is_few)
    onnx.save(model, tmp_path / "m.onnx")
    core = subprocess.run([mlc, "compile", tmp_path / "m.onnx", "--emit=core"], capture_output=True, text=True, check=True).stdout
    constants = set(re.findall(r"(%[\w]+) = core.constant", core))
    results = re.search(r"return (.*?) :", core).group(1).split(", ")
    assert set(results[1::2]) <= constants, "not folded: this would compare a kernel with itself"
    with mlc_backend.Library(mlc_backend.compile_model(tmp_path / "m.onnx", tmp_path / "m.so"), threads=2) as library:
        got = library.run(feeds)
    wrong = []
    for i, (op, attributes, arity, exact) in enumerate(operators(name)):
        run, folded = got[f"run{i}"], got[f"folded{i}"]
        given = (feeds["x"],) if arity == 1 else (feeds["a"], feeds["b"])
        wrong += [f"{op} {attributes or ''} of {', '.join(str(v[k]) for v in given)}: {run[k]} when run, {folded[k]} when folded"
                  for k in differences(run, folded, exact, np.dtype(TYPES[name]))]
    assert not wrong, f"{len(wrong)} differ:\n" + "\n".join(wrong[:40])
