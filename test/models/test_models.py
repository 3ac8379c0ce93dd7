"""Real models, compiled and compared with another implementation: ONNX Runtime, and for exported ones also the stored results of
the library they come from.

Errors are relative to the largest value of an output: 1e-4, about a thousand roundings of float32.
"""
import pathlib

import mlc_backend
import numpy as np
import onnx
import onnxruntime
import pytest
import realistic

TOLERANCE = 1e-4
QUICK = ("bert-small", "gpt2-small", "lstm-small", "mobilenetv3-small", "yolo-nms-small")  # in the fast tier
EXPORTED = sorted(path for golden in pathlib.Path(__file__).parent.glob("*/golden.npz") for path in golden.parent.glob("*.onnx"))
# Where ONNX Runtime fails on a batch: there PyTorch's values are the only reference.
BATCHES_REFUSED = {"llama-small/dynamo-opset23": "'cos_cache' and 'sin_cache' are expected to have the same shape"}


def golden_values(folder):
    """{size: {name: array}} of a folder that export/ wrote."""
    sizes = {}
    with np.load(folder / "golden.npz") as stored:
        for key in stored:
            size, name = key.split("/", 1)
            sizes.setdefault(size, {})[name] = stored[key]
    return sizes


def relative_error(got, want):
    assert got.shape == want.shape and got.dtype == want.dtype
    assert np.isfinite(got).all()
    if got.size == 0:
        return 0.0
    return float(np.abs(got - want).max() / max(np.abs(want).max(), np.finfo(np.float32).tiny))


def session_of(model):
    return onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])


def reference(session, feeds):
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, feeds)))


def assert_equal(got, want, where=""):
    assert list(got) == list(want)
    errors = {name: relative_error(got[name], want[name]) for name in want}
    assert max(errors.values()) <= TOLERANCE, (where, errors)


@pytest.mark.parametrize("batch", [1, 2, 7, 64])
def test_digits(compiled, digits, batch):
    image = np.random.default_rng(batch).random((batch, 1, 8, 8), np.float32)
    with mlc_backend.Library(compiled(digits)) as library:
        assert_equal(library.run({"image": image}), reference(session_of(digits), {"image": image}))


def test_digits_accuracy(compiled, digits):
    import data
    _, (images, labels) = data.split()
    with mlc_backend.Library(compiled(digits)) as library:
        logits = library.run({"image": images})["logits"]
    assert (logits.argmax(1) == labels).mean() >= 0.97


@pytest.mark.parametrize("path", [pytest.param(path, id=f"{path.parent.name}-{path.stem}", marks=[] if path.parent.name in QUICK else pytest.mark.slow)
                                  for path in EXPORTED])
def test_exported(compiled, path):
    """One library serves every size. Golden values come from the library that the model was exported from (export/)."""
    sizes, session = golden_values(path.parent), session_of(path)
    refused = BATCHES_REFUSED.get(f"{path.parent.name}/{path.stem}")
    with mlc_backend.Library(compiled(path)) as library:
        for size, values in sizes.items():
            feeds = {info.name: values[info.name] for info in library.inputs}
            got = library.run(feeds)
            assert_equal(got, {name: values[name] for name in got}, size)
            if refused and size.split("x")[0] != "1":
                with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument, match=refused):
                    reference(session, feeds)
            else:
                assert_equal(got, reference(session, feeds), size)


@pytest.mark.parametrize("exporter", ["legacy", "dynamo"])
def test_bert_small_static(compiled, root, exporter):
    """Sizes fixed at compile time with --dim."""
    folder = root / "test/models/bert-small"
    golden = np.load(folder / "golden.npz")
    library_path = compiled(folder / f"{exporter}.onnx", "--dim", "batch=2", "--dim", "sequence=33")
    with mlc_backend.Library(library_path) as library:
        assert not library.symbols
        got = library.run({info.name: golden[f"2x33/{info.name}"] for info in library.inputs})
        assert_equal(got, {name: golden[f"2x33/{name}"] for name in got})


@pytest.mark.parametrize("name", ["faster-rcnn-small", "retinanet-small"])
def test_detector_static(compiled, root, name):
    """A fixed image; how many boxes are found is still up to the data."""
    model = root / "test/models" / name / "legacy.onnx"
    values = golden_values(model.parent)["64x96"]
    with mlc_backend.Library(compiled(model, "--dim", "height=64", "--dim", "width=96")) as library:
        got = library.run({"image": values["image"]})
    assert_equal(got, {name: values[name] for name in got})


@pytest.mark.slow
@pytest.mark.parametrize("name,threads", [*((name, 2) for name in realistic.NAMES), ("resnet50", 1), ("squeezenet", 1)])
def test_full_size(compiled, root, name, threads):
    """As published, 224x224, with random weights in which every channel differs."""
    model = realistic.save(name, root / "build/test-models")
    value = onnx.load(model, load_external_data=False).graph.input[0]
    shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    feeds = {value.name: np.random.default_rng(0).standard_normal(shape).astype(np.float32)}
    with mlc_backend.Library(compiled(model), threads=threads) as library:
        assert_equal(library.run(feeds), reference(session_of(model), feeds))
