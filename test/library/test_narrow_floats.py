"""Conversions of float16 and bfloat16 give numpy's bits with and without hardware for them (runtime/src/NarrowFloats.cpp):
every value outwards; inwards every representable value, every tie, their neighbours, and random bits."""
import ml_dtypes
import mlc_backend
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from programs import symbols

TYPES = {"float16": (TensorProto.FLOAT16, np.float16), "bfloat16": (TensorProto.BFLOAT16, ml_dtypes.bfloat16),
         "float32": (TensorProto.FLOAT, np.float32), "float64": (TensorProto.DOUBLE, np.float64)}
BITS = {2: np.uint16, 4: np.uint32, 8: np.uint64}


def cast_model(folder, source, target):
    value = lambda name, dtype: helper.make_tensor_value_info(name, TYPES[dtype][0], ["n"])  # noqa: E731
    node = helper.make_node("Cast", ["x"], ["y"], to=TYPES[target][0])
    graph = helper.make_graph([node], "g", [value("x", source)], [value("y", target)])
    path = folder / f"{source}_{target}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    return path


def every(narrow):
    return np.arange(1 << 16, dtype=np.uint16).view(TYPES[narrow][1])


def hard_values(narrow, wide):
    """Values of `wide` around all decisions of rounding to `narrow`."""
    dtype = TYPES[wide][1]
    points = np.sort(every(narrow).astype(np.float64))
    points = points[np.isfinite(points)]
    ties = (points[1:] + points[:-1]) / 2
    largest = points[-1] + (points[-1] - points[-2]) / 2  # ties with infinity
    around = np.concatenate([points, ties, [largest, -largest]]).astype(np.float32).astype(dtype)
    if narrow == "bfloat16":  # ml_dtypes rounds float64 twice, through float32: neighbours that both have
        step = np.float32
        near = [np.nextafter(around.astype(step), step(to)).astype(dtype) for to in (np.inf, -np.inf)]
    else:
        near = [np.nextafter(around, dtype(to)) for to in (np.inf, -np.inf)]
    random = np.random.default_rng(0).integers(0, 1 << 32, 200_000, dtype=np.uint32).view(np.float32).astype(dtype)
    return np.concatenate([around, *near, random])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("cpu", ["x86-64-v2", "native"])
@pytest.mark.parametrize("source, target", [
    ("float16", "float32"), ("float16", "float64"), ("bfloat16", "float32"), ("float32", "float16"), ("float64", "float16"),
    ("float32", "bfloat16"), ("float64", "bfloat16"), ("float16", "bfloat16"), ("bfloat16", "float16")])
def test_cast(compiled, tmp_path, cpu, source, target):
    x = every(source) if source in ("float16", "bfloat16") else hard_values(target, source)
    library = compiled(cast_model(tmp_path, source, target), f"--cpu={cpu}")
    with mlc_backend.Library(library, threads=2) as loaded:
        got = loaded.run({"x": x})["y"]
    want = x.astype(TYPES[target][1])
    nan = np.isnan(want.astype(np.float64))
    assert np.isnan(got.astype(np.float64))[nan].all()
    bits = BITS[want.dtype.itemsize]
    wrong = np.flatnonzero((got.view(bits) != want.view(bits)) & ~nan)
    assert wrong.size == 0, f"{wrong.size} of {x.size}: {[(x[i], got[i], want[i]) for i in wrong[:5]]}"


def test_only_what_is_used(compiled, digits):
    """A model of float32 alone carries none of these functions."""
    names = symbols(compiled(digits, "--cpu=x86-64-v2"), "--defined-only")
    assert "digits_run" in names and not [name for name in names if "hf2" in name or "bf2" in name]
