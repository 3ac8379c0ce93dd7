"""What single operators give where formulas that are right elsewhere go wrong, against values of C, NumPy or ONNX Runtime."""
import ctypes

import mlc_backend
import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from onnx import numpy_helper

F32 = np.float32
NAN, INF = np.nan, np.inf


def model_of(text, opset=24, microsoft=False):
    domains = f'"" : {opset}' + (', "com.microsoft" : 1' if microsoft else "")
    return onnx.parser.parse_model(f"<ir_version: 10, opset_import: [{domains}]> g {text}")


def run(tmp_path, model, *options, **feeds):
    stem = tmp_path / f"m{len(list(tmp_path.iterdir()))}"  # a library that is loaded already would be loaded again
    onnx.save(model, stem.with_suffix(".onnx"))
    library = mlc_backend.compile_model(stem.with_suffix(".onnx"), stem.with_suffix(".so"), *options)
    with mlc_backend.Library(library, threads=2) as library:
        return list(library.run(feeds).values())


def same(got, want):
    """Equal with the signs of zeros; NaN where NaN is."""
    np.testing.assert_array_equal(got, want)
    numbers = ~np.isnan(want)
    np.testing.assert_array_equal(np.signbit(got)[numbers], np.signbit(want)[numbers])


EDGES = np.array([0.0, -0.0, 1, -2.5, INF, -INF, NAN, 1e-40, 3e38])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", ["float", "double", "float16"])
def test_constants_of_algebra(tmp_path, dtype):
    """x + 0 is x but for -0, x - x is not 0 of infinity, and so on: what may be simplified must keep these."""
    x = EDGES.astype({"float": F32, "double": np.float64, "float16": np.float16}[dtype])
    cases = {"Add(x, p)": x + x.dtype.type(0), "Add(p, x)": x + x.dtype.type(0), "Add(x, m)": x + x.dtype.type(-0.0), "Sub(x, p)": x - x.dtype.type(0),
             "Sub(x, m)": x - x.dtype.type(-0.0), "Sub(p, x)": x.dtype.type(0) - x, "Sub(m, x)": x.dtype.type(-0.0) - x, "Mul(x, p)": x * x.dtype.type(0),
             "Mul(x, one)": x, "Mul(x, minus)": -x, "Div(x, one)": x, "Div(x, x)": x / x, "Sub(x, x)": x - x, "Pow(x, one)": x,
             "Pow(x, p)": np.ones_like(x), "Max(x, x)": x, "Min(x, x)": x, "Add(x, x)": x + x, "Div(p, x)": x.dtype.type(0) / x}
    outputs = ", ".join(f"{dtype}[n] y{i}" for i in range(len(cases)))
    nodes = " ".join(f"y{i} = {text}" for i, text in enumerate(cases))
    model = model_of(f"({dtype}[n] x) => ({outputs}) {{ {nodes} }}")
    for name, value in {"p": 0.0, "m": -0.0, "one": 1.0, "minus": -1.0}.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array(value, x.dtype), name))
    for text, got in zip(cases, run(tmp_path, model, x=x)):
        same(got, cases[text])


@pytest.mark.parametrize("dtype", ["float", "double", "float16"])
def test_sine_of_large_numbers(tmp_path, dtype):
    numpy_type = {"float": F32, "double": np.float64, "float16": np.float16}[dtype]
    most = float(np.finfo(numpy_type).max)
    x = np.concatenate([np.geomspace(0.1, most, 1000), -np.geomspace(1, most, 77), [0.0, -0.0, 2.0**51, 1e15, 1e16, 1e22]])
    x = x[np.abs(x) <= most].astype(numpy_type)
    text = f"({dtype}[n] x) => ({dtype}[n] s, {dtype}[n] c, {dtype}[n] t) {{ s = Sin(x) c = Cos(x) t = Tan(x) }}"
    for got, function in zip(run(tmp_path, model_of(text), x=x), (np.sin, np.cos, np.tan)):
        want = function(x.astype(np.float64))
        np.testing.assert_allclose(got.astype(np.float64), want, rtol=4 * np.finfo(numpy_type).eps, atol=0)
        np.testing.assert_array_equal(np.signbit(got), np.signbit(want))


def test_sine_does_not_depend_on_its_neighbours(tmp_path):
    """Large arguments take another way through the kernel: those that do not keep their bits."""
    small = np.linspace(-1000, 1000, 64).astype(F32)
    both = np.where(np.arange(64) % 5 == 0, F32(1e30), small).astype(F32)
    model = model_of("(float[n] x) => (float[n] y) { y = Sin(x) }")
    alone, mixed = run(tmp_path, model, x=small)[0], run(tmp_path, model, x=both)[0]
    np.testing.assert_array_equal(alone[both == small], mixed[both == small])


def c_power(x, y):
    """C's; NumPy takes the root of -infinity for its power of 0.5."""
    function = ctypes.CDLL("libm.so.6").pow
    function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double] * 2
    return np.array([function(a, b) for a, b in zip(*np.broadcast_arrays(x.astype(float), y))]).astype(x.dtype)


@pytest.mark.parametrize("dtype", ["float", "double"])
def test_power(tmp_path, dtype):
    """C's pow at all pairs of special values, with the exponent as an input and as a constant."""
    numpy_type = F32 if dtype == "float" else np.float64
    values = np.array([0.0, -0.0, 1, -1, 2, -2, 0.5, -0.5, 3, -3, 1.5, INF, -INF, NAN], numpy_type)
    x, y = np.repeat(values, values.size), np.tile(values, values.size)
    got, = run(tmp_path, model_of(f"({dtype}[n] x, {dtype}[n] y) => ({dtype}[n] z) {{ z = Pow(x, y) }}"), x=x, y=y)
    want = c_power(x, y)
    np.testing.assert_allclose(got, want, rtol=1e-6)
    same(np.where(np.isfinite(want) & (want != 0), 1, got), np.where(np.isfinite(want) & (want != 0), 1, want))
    exponents = [v for v in values if np.isfinite(v)]
    outputs = ", ".join(f"{dtype}[n] z{i}" for i in range(len(exponents)))
    constants = ", ".join(f"{dtype} e{i} = {{{v}}}" for i, v in enumerate(exponents))
    nodes = " ".join(f"z{i} = Pow(x, e{i})" for i in range(len(exponents)))
    for got, exponent in zip(run(tmp_path, model_of(f"({dtype}[n] x) => ({outputs}) <{constants}> {{ {nodes} }}"), x=values), exponents):
        want = c_power(values, exponent)
        np.testing.assert_allclose(got, want, rtol=1e-6)
        special = ~np.isfinite(want) | (want == 0)
        same(got[special], want[special])


@pytest.mark.parametrize("dtype, numpy_type", [("int32", np.int32), ("uint8", np.uint8), ("int64", np.int64)])
def test_comparison_of_integers_with_fractions(tmp_path, dtype, numpy_type):
    """Shrink compares with -lambda and lambda: 0 lies between -0.5 and 0.5, 1 does not."""
    x = np.arange(-4 if np.iinfo(numpy_type).min < 0 else 0, 5).astype(numpy_type)
    for limit, bias in ((0.5, 0.0), (1.5, 0.0), (2.0, 1.0), (-0.5, 0.0), (1.5, 0.5), (300.0, 0.0)):
        model = model_of(f"({dtype}[n] x) => ({dtype}[n] y) {{ y = Shrink<lambd = {limit}, bias = {bias}>(x) }}")
        real = x.astype(np.float64)
        want = np.where(real < -limit, real + bias, np.where(real > limit, real - bias, 0)).astype(numpy_type)
        np.testing.assert_array_equal(run(tmp_path, model, x=x)[0], want)


def attention(q, k, v, seen):
    """softmax(q k' / 2) v over the keys that are seen; 0 where none is."""
    weights = np.where(seen, np.exp(q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])), 0)
    return weights / np.maximum(weights.sum(-1, keepdims=True), 1e-30) @ v


def random(*shape):
    return np.random.default_rng(3).uniform(-1, 1, shape).astype(F32)


Q, K, V = random(2, 2, 3, 4), random(2, 2, 6, 4), random(2, 2, 6, 5)


def attend(tmp_path, attributes="", dims="b,h", **more):
    heads = dims.replace("h", "2")
    codes = {np.dtype(np.int64): "int64", np.dtype(bool): "bool", np.dtype(F32): "float"}
    declared = "".join(f", {codes[x.dtype]}[{','.join(map(str, x.shape))}] {n}" for n, x in more.items())
    given = "q, k, v, m" if "m" in more else "q, k, v"
    given += (', "", "", L' if "m" in more else ', "", "", "", L') if "L" in more else ""
    text = (f"(float[{heads},s,4] q, float[{heads},t,4] k, float[{heads},t,5] v{declared}) => (float[{heads},s,5] y) "
            f"{{ y = Attention{attributes}({given}) }}")
    return run(tmp_path, model_of(text), q=Q, k=K, v=V, **more)[0]


def test_causal_attention_with_lengths(tmp_path):
    """The last query sees every key that is no padding, each before it one less; a query before the first key sees none."""
    lengths = np.array([5, 2])
    seen = np.arange(6) <= (lengths[:, None, None, None] - 3 + np.arange(3)[:, None])
    got = attend(tmp_path, "<is_causal = 1>", L=lengths)
    np.testing.assert_allclose(got, attention(Q, K, V, seen), rtol=1e-5, atol=1e-6)
    assert (got[1, :, 0] == 0).all()


def test_attention_with_lengths(tmp_path):
    lengths = np.array([0, 4])
    got = attend(tmp_path, L=lengths)
    np.testing.assert_allclose(got, attention(Q, K, V, np.arange(6) < lengths[:, None, None, None]), rtol=1e-5, atol=1e-6)
    assert (got[0] == 0).all()


@pytest.mark.parametrize("isBool", [True, False])
def test_attention_with_hidden_rows(tmp_path, isBool):
    seen = np.array([[True, False, True, True, False, True], [False] * 6, [False] * 5 + [True]])
    mask = seen if isBool else np.where(seen, 0, -INF).astype(F32)
    got = attend(tmp_path, m=mask)
    np.testing.assert_allclose(got, attention(Q, K, V, seen), rtol=1e-5, atol=1e-6)
    assert (got[:, :, 1] == 0).all()


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
def test_padding_that_crops(tmp_path, mode):
    """What is cut off does not come back on the other side."""
    x = np.arange(24, dtype=F32).reshape(4, 6)
    model = model_of(f'(float[n,m] x) => (float[p,q] y) <int64[4] pads = {{-1, 2, 1, -2}}> {{ y = Pad<mode = "{mode}">(x, pads) }}')
    want = np.pad(x[1:, :-2], [(0, 1), (2, 0)], mode=mode)
    np.testing.assert_array_equal(run(tmp_path, model, x=x)[0], want)
    np.testing.assert_array_equal(onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0], want)


@pytest.mark.parametrize("height", [1, 4, 5, 7])
def test_padding_to_a_multiple(tmp_path, height):
    """(4 - h mod 4) mod 4: the size is arithmetic on sizes, a difference whose sign nobody knows included."""
    text = """(float[b,3,h,w] x) => (float[b,3,p,w] y) <int64 two = {2}, int64 four = {4}, int64[1] zero = {0}, int64[6] none = {0, 0, 0, 0, 0, 0}> {
      s = Shape(x) h = Gather(s, two) m = Mod(h, four) d = Sub(four, m) e = Mod(d, four) last = Unsqueeze(e, zero)
      pads = Concat<axis = 0>(none, last, zero) y = Pad(x, pads) }"""
    model, x = model_of(text, 17), random(2, 3, height, 2)
    want = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    np.testing.assert_array_equal(run(tmp_path, model, x=x)[0], want)


@pytest.mark.parametrize("length", [7, 16, 33])
@pytest.mark.parametrize("onesided", [0, 1])
def test_frames_of_an_open_signal(tmp_path, length, onesided):
    x = random(2, length)
    window = np.hanning(7).astype(F32)
    text = (f"(float[b,n] x, float[7] w) => (float[b,f,k,2] y) <int64 step = {{3}}> {{ y = STFT<onesided = {onesided}>(x, step, w) }}")
    frames = np.stack([x[:, i:i + 7] * window for i in range(0, length - 6, 3)], 1)
    spectrum = (np.fft.rfft if onesided else np.fft.fft)(frames.astype(np.float64))
    got = run(tmp_path, model_of(text, 17), x=x, w=window)[0]
    np.testing.assert_allclose(got, np.stack([spectrum.real, spectrum.imag], -1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("element, numpy_type", [("uint8", np.uint8), ("int8", np.int8), ("uint16", np.uint16), ("int16", np.int16)])
def test_quantization_of_onnx_runtime(tmp_path, element, numpy_type):
    """com.microsoft's QuantizeLinear and DequantizeLinear, which had 16 bits before the standard's."""
    info = np.iinfo(numpy_type)
    zero = (info.max + info.min) // 2
    text = (f"(float[n,4] x) => ({element}[n,4] q, float[n,4] y) <float[4] scale = {{0.1, 0.02, 1.0, 0.5}}, "
            f"{element}[4] zero = {{{zero}, {zero}, {zero}, {zero}}}> {{ q = com.microsoft.QuantizeLinear<axis = 1>(x, scale, zero) "
            "y = com.microsoft.DequantizeLinear<axis = 1>(q, scale, zero) }")
    model, x = model_of(text, 17, microsoft=True), random(5, 4) * 100
    want = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    for got, value in zip(run(tmp_path, model, x=x), want):
        np.testing.assert_array_equal(got, value)


@pytest.mark.parametrize("plane", [(1, 3), (3, 1), (1, 1)])
def test_an_affine_grid_of_one_point(tmp_path, plane):
    """With aligned corners one point is the first, -1; it was 0 times infinity."""
    theta = random(2, 2, 3)
    text = f"(float[n,2,3] t) => (float[n,h,w,2] y) <int64[4] size = {{2, 1, {plane[0]}, {plane[1]}}}> {{ y = AffineGrid<align_corners = 1>(t, size) }}"
    y, x = (np.linspace(-1, 1, size) for size in plane)
    base = np.stack([*np.meshgrid(x, y), np.ones(plane)], -1)
    np.testing.assert_allclose(run(tmp_path, model_of(text, 20), t=theta)[0], np.einsum("nij,hwj->nhwi", theta, base), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("text", ["y = ConstantOfShape(sizes)", "y = Round(none)"])
def test_a_constant_of_no_elements(tmp_path, text):
    """As a weight it was written for ever."""
    model = model_of(f"(float[n] x) => (float[m] z, float[a,b] y) <int64[2] sizes = {{0, 2}}> {{ z = Neg(x) {text} }}")
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((0, 2), F32), "none"))
    x = random(3)
    z, y = run(tmp_path, model, x=x)
    np.testing.assert_array_equal(z, -x)
    assert y.shape == (0, 2)


@pytest.mark.parametrize("k", [2**63 - 1, -2**63, 2**40, 1, 0, -2])
@pytest.mark.parametrize("upper", [0, 1])
def test_triangles_far_from_the_diagonal(tmp_path, k, upper):
    x = random(3, 4)
    text = f"(float[n,m] x, int64 k) => (float[n,m] y) {{ y = Trilu<upper = {upper}>(x, k) }}"
    want = (np.triu if upper else np.tril)(x, max(min(k, 9), -9))
    np.testing.assert_array_equal(run(tmp_path, model_of(text, 18), x=x, k=np.array(k))[0], want)


def test_scores_larger_than_their_type(tmp_path):
    """64 products of 100 and 100 are more than float16 holds, and so they are when scaled: the weights were NaN."""
    q = np.full((1, 2, 3, 64), 100, np.float16)
    q[:, :, 1] = 50
    model = model_of("(float16[b,2,s,64] q, float16[b,2,t,64] k, float16[b,2,t,64] v) => (float16[b,2,s,64] y) { y = Attention(q, k, v) }")
    v = random(1, 2, 3, 64).astype(np.float16)
    scores = q.astype(float) @ q.astype(float).swapaxes(2, 3) / 8
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    want = weights / weights.sum(-1, keepdims=True) @ v.astype(float)
    np.testing.assert_allclose(run(tmp_path, model, q=q, k=q, v=v)[0], want, rtol=2e-3, atol=2e-3)


def test_lengths_of_an_attention(tmp_path):
    """com.microsoft's mask of lengths: one below 0 or above the number of keys was taken for none or all."""
    model = model_of("(float[b,s,4] x, float[4,12] w, float[12] c, int32[k] m) => (float[b,s,4] y) "
                     "{ y = com.microsoft.Attention<num_heads = 2>(x, w, c, m) }", 17, microsoft=True)
    feeds = {"x": random(2, 3, 4), "w": random(4, 12), "c": random(12)}
    lengths = np.array([3, 1], np.int32)
    want = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {**feeds, "m": lengths})[0]
    np.testing.assert_allclose(run(tmp_path, model, **feeds, m=lengths)[0], want, rtol=1e-4, atol=1e-5)
    for wrong in (-1, 4):
        with pytest.raises(mlc_backend.MlcError, match=f"m {wrong} is (not )?below"):
            run(tmp_path, model, **feeds, m=np.array([3, wrong], np.int32))


@pytest.mark.parametrize("layout", [0, 1])
def test_a_sequence_of_no_steps(tmp_path, layout):
    """With a length of 0 that is known when it is compiled the state stays."""
    sizes = "b,t,3" if layout else "t,b,3"
    text = (f"(float[{sizes}] x, float[1,8,3] w, float[1,8,2] r, float[{'b,1,2' if layout else '1,b,2'}] h) => (float[e,f,g,2] y, float[i,j,2] last) "
            f"{{ y, last = LSTM<hidden_size = 2, layout = {layout}>(x, w, r, , , h) }}")
    h = random(4, 1, 2) if layout else random(1, 4, 2)
    feeds = {"x": random(4, 0, 3) if layout else random(0, 4, 3), "w": random(1, 8, 3), "r": random(1, 8, 2), "h": h}
    for options in ([], ["--dim=t=0"]):
        y, last = run(tmp_path, model_of(text, 14), *options, **feeds)
        assert y.shape == ((4, 0, 1, 2) if layout else (0, 1, 4, 2))
        np.testing.assert_array_equal(last, h)


def test_heads_of_no_batch(tmp_path):
    """[0, 6, 8] as [0, -1, 2, 4]: the sizes of 0 cancel as the open batch does."""
    text = "(float[batch,s,8] x) => (float[batch,t,2,4] y) <int64[4] shape = {0, -1, 2, 4}> { y = Reshape(x, shape) }"
    for options in ([], ["--dim=batch=0"]):
        assert run(tmp_path, model_of(text, 18), *options, x=random(0, 6, 8))[0].shape == (0, 6, 2, 4)


@pytest.mark.parametrize("operator, best", [("ArgMax", np.argmax), ("ArgMin", np.argmin)])
def test_position_of_nan(tmp_path, operator, best):
    """NaN is the largest and the smallest, as in NumPy and PyTorch; of several the first, or with select_last_index the last."""
    x = np.array([[1, NAN, 3, NAN, 2], [NAN, 5, 5, -1, -1], [2, 7, -3, 7, -3], [0, -0.0, 0, INF, NAN]], F32)
    for last in (0, 1):
        want = x.shape[1] - 1 - best(x[:, ::-1], axis=1) if last else best(x, axis=1)
        model = model_of(f"(float[n,m] x) => (int64[n] y) {{ y = {operator}<axis=1, keepdims=0, select_last_index={last}>(x) }}")
        np.testing.assert_array_equal(run(tmp_path, model, x=x)[0], want)


@pytest.mark.parametrize("scales", [(2, 0.5), (0.6, 1.7), (1.7, 0.6), (0.75, 0.75), (3, 1), (0.4, 2)])
def test_nearest_of_opset_10(tmp_path, scales):
    """Each axis by itself: rounded up where it shrinks, down where it grows; the same of scales that a run computes."""
    x = np.arange(1, 29, dtype=F32).reshape(1, 1, 4, 7)
    fixed = model_of("(float[1,1,h,w] x) => (float[1,1,p,q] y) { y = Resize(x, s) }", 10)
    fixed.graph.initializer.append(numpy_helper.from_array(np.array([1, 1, *scales], F32), "s"))
    computed = model_of("(float[1,1,h,w] x, float[1,1,p,q] z) => (float[1,1,p,q] y) { zs = Shape(z) zf = Cast<to=1>(zs) xs = Shape(x) "
                        "xf = Cast<to=1>(xs) s = Div(zf, xf) y = Resize(x, s) }", 10)
    z = np.zeros((1, 1, int(4 * scales[0]), int(7 * scales[1])), F32)
    for model, feeds in ((fixed, {"x": x}), (computed, {"x": x, "z": z})):
        want = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, feeds)[0]
        np.testing.assert_array_equal(run(tmp_path, model, **feeds)[0], want)


@pytest.mark.parametrize("start, end, step", [(0, 2**63 - 1, 2**63 - 1), (2**63 - 1, 0, -2**63 + 1), (-1, -2**63, -2**63), (0, 2**63 - 1, 2**63 - 6),
                                              (1, 2**62, 2**62), (-2, -2**62, -2**41)])
def test_slice_with_a_huge_step(tmp_path, start, end, step):
    x = np.arange(7, dtype=F32)
    model = model_of(f"(float[n] x) => (float[k] y) <int64[1] s={{{start}}}, int64[1] e={{{end}}}, int64[1] a={{0}}, int64[1] p={{{step}}}> "
                     "{ y = Slice(x, s, e, a, p) }")
    got, = run(tmp_path, model, x=x)
    np.testing.assert_array_equal(got, x[start:end:step])


def test_attention_of_keys_between(tmp_path):
    """com.microsoft's mask of 2 batch numbers: the ends of the keys that are seen, then their starts."""
    rng = np.random.default_rng(0)
    x, w, b = rng.random((2, 5, 4), F32), rng.random((4, 12), F32), rng.random(12, F32)
    model = model_of("(float[2,s,4] x, float[4,12] w, float[12] b, int32[4] m) => (float[2,s,4] y) "
                     "{ y = com.microsoft.Attention<num_heads=2>(x, w, b, m) }", 17, microsoft=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for ends, starts in (((5, 3), (0, 1)), ((4, 5), (3, 0)), ((1, 5), (0, 4))):
        feeds = {"x": x, "w": w, "b": b, "m": np.array([*ends, *starts], np.int32)}
        np.testing.assert_allclose(run(tmp_path, model, **feeds)[0], session.run(None, feeds)[0], rtol=1e-5, atol=1e-6)
