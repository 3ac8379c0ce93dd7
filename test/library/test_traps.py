"""A program that traps floating-point exceptions may run a library: where all results are finite nothing divides by 0, overflows or is
invalid, not in lanes that a mask drops either; and the floating-point environment stays as it was."""
import platform
import subprocess

import numpy as np
import onnx
import onnxruntime
import onnx.parser
import pytest
from programs import ROOT, SOURCES, build, output

HEAD = '<ir_version: 10, opset_import: ["" : 23]> g '


def random(*shape, low=-2.0, high=2.0):
    return np.random.default_rng(7).uniform(low, high, shape).astype(np.float32)


ROWS, IMAGE = random(5, 37), random(2, 3, 7, 9)
FAR = ROWS - np.float32(1000)
CASES = {  # text of the graph, inputs; all sizes are ragged: no multiple of a vector
    "softmax": ("(float[a,b] x) => (float[a,b] y) { y = Softmax(x) }", [ROWS]),
    "softmax of far numbers": ("(float[a,b] x) => (float[a,b] y) { y = Softmax(x) }", [FAR]),
    "log softmax": ("(float[a,b] x) => (float[a,b] y) { y = LogSoftmax<axis=0>(x) }", [ROWS]),
    "layer norm": ("(float[a,b] x, float[b] s, float[b] c) => (float[a,b] y) { y = LayerNormalization(x, s, c) }",
                   [ROWS, random(37), random(37)]),
    "division": ("(float[a,b] x, float[a,b] z) => (float[a,b] y) { y = Div(x, z) }", [ROWS, random(5, 37, low=1)]),
    "division by columns": ("(float[a,b] x, float[b] z) => (float[a,b] y) { y = Div(x, z) }", [ROWS, random(37, low=1)]),
    "division of transposed": ("(float[b,a] x, float[a,b] z) => (float[a,b] y) { t = Transpose(x) y = Div(t, z) }",
                               [random(37, 5), random(5, 37, low=1)]),
    "remainder": ("(float[a,b] x, float[a,b] z) => (float[a,b] y) { y = Mod<fmod=1>(x, z) }", [ROWS, random(5, 37, low=1)]),
    "logarithm": ("(float[a,b] x) => (float[a,b] y) { y = Log(x) }", [random(5, 37, low=1)]),
    "root": ("(float[a,b] x) => (float[a,b] y) { s = Sqrt(x) y = Reciprocal(s) }", [random(5, 37, low=1)]),
    "slice of every second": ("(float[a,b] x, float[c] w) => (float[a,c] y) <int64[1] from = {0}, int64[1] to = {100}, int64[1] axis = {1}, "
                              "int64[1] two = {2}> { s = Slice(x, from, to, axis, two) y = Div(w, s) }",
                              [random(5, 37, low=1), random(19)]),
    "position": ("(float[a,b] x) => (float[a,b] y) <int64 zero = {0}, int64 one = {1}, int64 axis = {1}> { s = Shape(x) "
                 "n = Gather(s, axis) r = Range(zero, n, one) d = Sub(n, r) f = Cast<to=1>(d) y = Div(x, f) }", [ROWS]),
    "arc functions": ("(float[a,b] x) => (float[a,b] y, float[a,b] z, float[a,b] w) { y = Atan(x) z = Asinh(x) t = Abs(x) "
                      "one = CastLike(t, x) w = Sinh(y) }", [np.float32([[0, -0.0, 1, 1e30, -1e30, 0.3, 5]])]),
    "acosh": ("(float[a,b] x) => (float[a,b] y) { y = Acosh(x) }", [np.float32([[1, 1e30, 2, 1e15, 1.5]])]),
    "power": ("(float[a,b] x, float[a,b] z) => (float[a,b] y) { y = Pow(x, z) }",
              [np.float32([[0, 2, 0.5, 0, 3]]), np.float32([[0, 0, 100, 2, -1]])]),
    "activations": ("(float[a,b] x) => (float[a,b] y, float[a,b] z) { g = Gelu(x) s = Sigmoid(g) t = Softplus(s) u = Elu(t) y = Mish(u) "
                    "v = Selu(x) w = Softsign(v) k = Tanh(w) z = Erf(k) }", [100 * ROWS]),
    "sigmoid": ("(float[a,b] x) => (float[a,b] y, float[a,b] z) { y = Sigmoid(x) z = HardSwish(x) }", [100 * ROWS]),
    "norm of zeros": ("(float[a,b] x) => (float[a,b] y) { y = LpNormalization(x) }", [np.stack([np.zeros(37), *ROWS[1:]]).astype(np.float32)]),
    "means": ("(float[a,b] x) => (float[a,1] y, float[1,b] z) <int64[1] one = {1}, int64[1] zero = {0}> { m = ReduceMean(x, one) "
              "y = Reciprocal(m) z = ReduceLogSumExp(x, zero) }", [ROWS]),
    "quantization": ("(float[a,b] x) => (uint8[a,b] y) <float scale = {0.1}, uint8 zero = {128}> { y = QuantizeLinear(x, scale, zero) }", [ROWS]),
    "matmul": ("(float[a,b] x, float[b,c] w, float[c] s) => (float[a,c] y) { m = MatMul(x, w) n = Abs(m) o = Add(n, s) p = Log(o) "
               "q = Div(p, s) y = Softmax(q) }", [ROWS, random(37, 10), random(10, low=1)]),
    "convolution": ("(float[n,3,h,w] x, float[10,3,3,3] k, float[10,1,1] s) => (float[n,10,h2,w2] y) { c = Conv(x, k) a = Abs(c) b = Add(a, s) "
                    "d = Sqrt(b) e = Div(c, d) y = Sigmoid(e) }", [IMAGE, random(10, 3, 3, 3), random(10, 1, 1, low=1)]),
    "average pool": ("(float[n,3,h,w] x) => (float[n,3,h2,w2] y) { y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(x) }", [IMAGE]),
    "batch norm": ("(float[n,3,h,w] x, float[3] s, float[3] m) => (float[n,3,h,w] y) { y = BatchNormalization(x, s, m, m, s) }",
                   [IMAGE, random(3, low=1), random(3)]),
    "group norm": ("(float[n,6,h,w] x, float[6] s) => (float[n,6,h,w] y) { y = GroupNormalization<num_groups=2>(x, s, s) }",
                   [random(2, 6, 7, 9), random(6)]),
    "root mean square norm": ("(float[a,b] x, float[b] s) => (float[a,b] y) { y = RMSNormalization(x, s) }", [ROWS, random(37)]),
    "gru": ("(float[t,b,3] x, float[1,6,3] w, float[1,6,2] r) => (float[t,1,b,2] y) { y = GRU<hidden_size=2>(x, w, r) }",
            [random(5, 3, 3), random(1, 6, 3), random(1, 6, 2)]),
    "lstm": ("(float[t,b,3] x, float[1,8,3] w, float[1,8,2] r) => (float[t,1,b,2] y, float[1,b,2] h, float[1,b,2] c) "
             "{ y, h, c = LSTM<hidden_size=2>(x, w, r) }", [random(5, 3, 3), random(1, 8, 3), random(1, 8, 2)]),
    "non-maximum suppression": ("(float[1,n,4] b, float[1,1,n] s) => (int64[k,3] y) <int64 most = {3}, float overlap = {0.5}> "
                                "{ y = NonMaxSuppression(b, s, most, overlap) }",
                                [np.float32([[[0, 0, 1, 1], [0, 0.1, 1, 1.1], [0, 10, 1, 11], [0, 10.2, 1, 11], [3, 3, 5, 7]]]),
                                 np.float32([[[0.9, 0.7, 0.5, 0.6, 0.1]]])]),
}
# Instructions with masks, and without: lanes that nobody wants are computed in other ways.
CPUS = ("native", "x86-64-v2" if platform.machine() == "x86_64" else "armv8-a")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("trapping") / "run_tensors"
    return build(path, f"-I{ROOT}/runtime/include", SOURCES / "run_tensors.c", SOURCES / "trapping.c", "-ldl", "-lm")


def pack(array):
    return np.array([array.ndim, *array.shape], np.int64).tobytes() + np.ascontiguousarray(array).tobytes()


@pytest.mark.parametrize("sizes", ["open", "fixed"])
@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("name", list(CASES))
def test_no_trap(mlc, program, tmp_path, name, cpu, sizes):
    text, inputs = CASES[name]
    model = onnx.parser.parse_model(HEAD + text)
    onnx.save(model, tmp_path / "m.onnx")
    names = [value.name for value in model.graph.input]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    want = session.run(None, dict(zip(names, inputs)))
    assert all(np.isfinite(value).all() for value in want)
    shapes = [f"--shape={n}={'x'.join(map(str, x.shape))}" for n, x in zip(names, inputs)] if sizes == "fixed" else []
    output(mlc, "compile", tmp_path / "m.onnx", "-o", tmp_path / "m.so", f"--cpu={cpu}", *shapes)
    for threads in (1, 2):
        done = subprocess.run([program, tmp_path / "m.so", str(threads), "0"], input=b"".join(map(pack, inputs)), capture_output=True,
                              check=False, timeout=60)
        assert done.returncode == 0, f"{threads} threads: exit code {done.returncode} {done.stderr.decode()}"
        content = done.stdout
        for value in want:
            rank = int.from_bytes(content[:8], "little")
            assert tuple(np.frombuffer(content[8:8 + 8 * rank], np.int64)) == value.shape
            content = content[8 + 8 * rank:]
            got = np.frombuffer(content[:value.nbytes], value.dtype).reshape(value.shape)
            content = content[value.nbytes:]
            np.testing.assert_allclose(got, value, rtol=2e-5, atol=2e-6)
