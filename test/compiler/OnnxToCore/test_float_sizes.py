"""Sizes that a model computes in floating point from other sizes, against ONNX Runtime at sizes where rounding shows.

If this failed, detectors that scale images to a fixed size would be refused, or a size would be one off where float32 rounds.
"""
import subprocess

import mlc_backend
import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest

SIZES = """
  s = Shape(x)
  hw = Slice(s, two, four)
"""
HEAD = """main (float[1,2,h,w] x) => (float[p,q,r,t] y) <int64[1] zero = {0}, int64[1] two = {2}, int64[1] four = {4},
  int64[1] three = {3}, float[1] goal = {64.0}, float[1] most = {96.0}, float tenth = {0.1}, float[2] ones = {1.0, 1.0},
  float[1] thirty = {30.0}, float none = {0.0}, float root = {7.0}> {
""" + SIZES
# min(64 / shorter, 96 / longer), as detectors choose their scale
SCALE = """
  short = ReduceMin<axes=[0]>(hw)
  long = ReduceMax<axes=[0]>(hw)
  shortf = Cast<to=1>(short)
  longf = Cast<to=1>(long)
  inverse = Reciprocal(shortf)
  a = Mul(inverse, goal)
  b = Div(most, longf)
  scale = Min(a, b)
"""
RESIZED = {
    "scales": SCALE + "scales = Concat<axis=0>(ones, scale, scale)\n"
              'y = Resize<mode="linear">(x, , scales) }',
    "nearest": SCALE + "scales = Concat<axis=0>(ones, scale, scale)\n"
               'y = Resize<mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor">(x, , scales) }',
    "sizes": SCALE + "f = Cast<to=1>(hw)\n g = Mul(f, scale)\n k = Floor(g)\n i = Cast<to=7>(k)\n nc = Slice(s, zero, two)\n"
             'all = Concat<axis=0>(nc, i)\n y = Resize<mode="linear">(x, , , all) }',
    "double": "f = Cast<to=11>(hw)\n t = CastLike(tenth, f)\n g = Mul(f, t)\n k = Ceil(g)\n i = Cast<to=6>(k)\n j = Cast<to=7>(i)\n"
              "nc = Slice(s, zero, two)\n all = Concat<axis=0>(nc, j)\n y = Resize<mode=\"linear\">(x, , , all) }",
    "chosen": "f = Cast<to=1>(hw)\n isLarge = Greater(f, thirty)\n third = Div(f, root)\n v = Where(isLarge, third, f)\n u = Sqrt(v)\n"
              "k = Round(u)\n i = Cast<to=7>(k)\n nc = Slice(s, zero, two)\n all = Concat<axis=0>(nc, i)\n"
              'y = Resize<mode="linear">(x, , , all) }',
}
IMAGES = [(64, 96), (63, 97), (41, 103), (10, 7), (1, 1), (30, 31), (211, 37), (20, 50)]


def model_of(body):
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]>\n{HEAD}{body}')
    onnx.checker.check_model(model)
    return model


@pytest.mark.parametrize("options", [(), ("--naive-kernels",), ("--dim", "h=41")], ids=["planned", "naive", "height"])
@pytest.mark.parametrize("name", RESIZED)
def test_image(mlc, tmp_path, name, options):
    model = model_of(RESIZED[name])
    onnx.save(model, tmp_path / "model.onnx")
    library = mlc_backend.compile_model(tmp_path / "model.onnx", tmp_path / "model.so", *options, mlc=mlc)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    with mlc_backend.Library(library) as loaded:
        for height, width in IMAGES:
            x = np.random.default_rng(height).standard_normal((1, 2, 41 if options[:1] == ("--dim",) else height, width))
            x = x.astype(np.float32)
            want = session.run(None, {"x": x})[0]
            got = loaded.run({"x": x})["y"]
            assert got.shape == want.shape, (height, width)
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4, err_msg=f"{height}x{width}")


def test_every_size(mlc, tmp_path):
    """floor(64 * (n * (1 / n))) and the like: sizes only, at every n, where float32 rounds down or up."""
    text = """main (float[n] x) => (float[m] y) <float t = {64.0}> {
      s = Shape(x)  f = Cast<to=1>(s)  r = Reciprocal(f)  u = Mul(r, t)  v = Mul(u, f)  k = Floor(v)  i = Cast<to=7>(k)
      y = ConstantOfShape(i) }"""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]>\n{text}')
    onnx.save(model, tmp_path / "model.onnx")
    library = mlc_backend.compile_model(tmp_path / "model.onnx", tmp_path / "model.so", mlc=mlc)
    n = np.arange(1, 400, dtype=np.float32)
    want = np.floor(np.float32(1) / n * np.float32(64) * n).astype(int)
    assert set(want) == {63, 64}  # both occur
    with mlc_backend.Library(library) as loaded:
        got = [len(loaded.run({"x": np.zeros(int(size), np.float32)})["y"]) for size in n]
    np.testing.assert_array_equal(got, want)


def test_size_from_data(mlc, tmp_path):
    """A fraction of a count that the data tells, in the library and in the reference interpreter, which must round alike."""
    text = """main (float[n] x) => (float[m] y) <float t = {0.3}, int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2}> {
      p = NonZero(x)  s = Shape(p)  k = Slice(s, one, two)  f = Cast<to=1>(k)  u = Mul(f, t)  v = Ceil(u)
      i = Cast<to=7>(v)  y = Slice(x, zero, i) }"""
    onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]>\n{text}'), tmp_path / "model.onnx")
    command = [mlc, "verify", tmp_path / "model.onnx", "--dim", "n=37"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    assert done.returncode == 0 and "output y: float32[12], ok" in done.stdout, done.stdout
