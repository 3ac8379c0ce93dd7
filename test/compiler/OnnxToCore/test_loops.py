"""Loops and branches that the run decides, and recurrent operators over sequences of any length, against ONNX Runtime.

If this failed, conditions would be read wrongly, carried values would be overwritten before they are read, or outputs of steps would
lie at the wrong places.
"""
import mlc_backend
import numpy as np
import onnx
import onnxruntime
import onnx.parser
import pytest
from onnx import TensorProto, helper, numpy_helper


def model_of(text, opset=17):
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{text}')
    onnx.checker.check_model(model, full_check=False)
    return model


@pytest.fixture(scope="module")
def check(mlc, tmp_path_factory):
    """check(model, feeds, *options): every run of the library equals ONNX Runtime's; returns the results of the last run."""

    def run(model, feeds, *options, tolerance=2e-6, threads=1):
        path = tmp_path_factory.mktemp("loop") / "model.onnx"
        onnx.save(model, path)
        library = mlc_backend.compile_model(path, path.with_suffix(".so"), *options, mlc=mlc)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        with mlc_backend.Library(library, threads=threads) as loaded:
            for feed in feeds:
                want = dict(zip([output.name for output in session.get_outputs()], session.run(None, feed)))
                got = loaded.run(feed)
                assert list(got) == list(want)
                for name in want:
                    assert got[name].dtype == want[name].dtype and got[name].shape == want[name].shape, name
                    np.testing.assert_allclose(got[name], want[name], rtol=tolerance, atol=tolerance, err_msg=name)
        return got

    return run


NAIVE = pytest.mark.parametrize("options", [(), ("--naive-kernels",)], ids=["planned", "naive"])


def random(*shape, seed=0):
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(np.float32)


# ---- If ---------------------------------------------------------------------------------------------------------------

BRANCHES = """main (bool c, float[n,4] x, float[4] w) => (float[n,4] y, float[n] z) {
  k = Add(x, w)
  y, z = If (c) <
    then_branch = left () => (float[n,4] a, float[n] b) { a = Neg(k)  b = ReduceSum<keepdims=0>(a, last) },
    else_branch = right () => (float[n,4] d, float[n] e) { f = Mul(k, k)  d = Softmax(f)  e = ReduceMax<axes=[1], keepdims=0>(x) }>
}"""


@NAIVE
def test_if(check, options):
    """A branch sees the values around it; only what was chosen is computed, into the same result."""
    model = model_of(BRANCHES.replace("k = Add", "last = Constant<value = int64[1] {1}>()  k = Add"))
    feeds = [{"c": np.array(c), "x": random(n, 4), "w": random(4)} for c in (True, False) for n in (1, 3)]
    check(model, feeds, *options)


def test_if_passes_on_what_is_around_it(check):
    """A branch without any operator yields an argument, a constant, or one value twice."""
    model = model_of("""main (bool c, float[4] x) => (float[4] y, float[4] z, float[4] v) {
      y, z = If (c) <
        then_branch = left () => (float[4] a, float[4] b) { a = Identity(x)  b = Constant<value = float[4] {1, 2, 3, 4}>() },
        else_branch = right () => (float[4] d, float[4] e) { f = Neg(x)  d = Identity(f)  e = Identity(f) }>
      v = Add(y, z)
    }""")
    check(model, [{"c": np.array(c), "x": random(4)} for c in (True, False)])


def test_if_of_different_sizes(check):
    """The result's size is chosen with the branch."""
    model = model_of("""main (bool c, float[n,4] x) => (float[m,4] y) {
      two = Constant<value = int64[1] {2}>()
      zero = Constant<value = int64[1] {0}>()
      y = If (c) <
        then_branch = left () => (float[m,4] a) { a = Concat<axis=0>(x, x) },
        else_branch = right () => (float[m,4] b) { s = Slice(x, zero, two, zero)  b = Neg(s) }>
    }""")
    check(model, [{"c": np.array(c), "x": random(n, 4)} for c in (True, False) for n in (2, 5)])


# ---- Loop -------------------------------------------------------------------------------------------------------------

COUNTED = """main (int64 m, float[n] x, float[n] w) => (float[n] last) {
  go = Constant<value = bool {1}>()
  last = Loop (m, go, x) <body = body (int64 i, bool c, float[n] v) => (bool d, float[n] u) {
    d = Identity(c)
    s = Add(v, w)
    f = Cast<to=1>(i)
    t = Add(s, f)
    u = Tanh(t)
  }>
}"""


@NAIVE
def test_loop_of_a_count_that_is_an_input(check, options):
    feeds = [{"m": np.array(m), "x": random(n), "w": random(n, seed=1)} for m in (0, 1, 7) for n in (1, 33)]
    check(model_of(COUNTED), feeds, *options)


@NAIVE
def test_loop_ends_early_and_stacks(check, options):
    """The number of rows of an output is the number of steps that were made."""
    model = model_of("""main (float[4] x, float limit) => (float[4] last, float[k,4] all, int64[k] steps) {
      m = Constant<value = int64 {20}>()
      go = Constant<value = bool {1}>()
      last, all, steps = Loop (m, go, x) <body = body (int64 i, bool c, float[4] v) => (bool d, float[4] u, float[4] r, int64 j) {
        u = Add(v, x)
        r = Neg(u)
        s = ReduceSum<keepdims=0>(u)
        d = Less(s, limit)
        j = Identity(i)
      }>
    }""")
    x = np.array([1, 2, 3, 4], np.float32)
    check(model, [{"x": x, "limit": np.array(limit, np.float32)} for limit in (0, 35, 99, 1e9)], *options)


def test_loop_while(check):
    """Neither a count nor an output: Collatz from an input."""
    model = model_of("""main (int64 x) => (int64 steps, int64 last) {
      one = Constant<value = int64 {1}>()
      two = Constant<value = int64 {2}>()
      three = Constant<value = int64 {3}>()
      zero = Constant<value = int64 {0}>()
      go = Greater(x, one)
      steps, last = Loop ("", go, zero, x) <body = body (int64 i, bool c, int64 n, int64 v) => (bool d, int64 k, int64 u) {
        k = Add(n, one)
        r = Mod(v, two)
        e = Equal(r, zero)
        u = If (e) <
          then_branch = even () => (int64 a) { a = Div(v, two) },
          else_branch = odd () => (int64 b) { p = Mul(v, three)  b = Add(p, one) }>
        d = Greater(u, one)
      }>
    }""")
    check(model, [{"x": np.array(x)} for x in (1, 6, 27)])


@NAIVE
def test_carried_values_change_places(check, options):
    """Fibonacci with vectors: each step yields the other value, a sum that reads both, and a shifted one."""
    model = model_of("""main (int64 m, float[8] x, float[8] y) => (float[8] a, float[8] b, float[8] c) {
      go = Constant<value = bool {1}>()
      at = Constant<value = int64[8] {1, 2, 3, 4, 5, 6, 7, 0}>()
      a, b, c = Loop (m, go, x, y, x) <body = body (int64 i, bool d, float[8] p, float[8] q, float[8] r)
          => (bool e, float[8] s, float[8] t, float[8] u) {
        e = Identity(d)
        s = Identity(q)
        t = Add(p, q)
        u = Gather(r, at)
      }>
    }""")
    check(model, [{"m": np.array(m), "x": random(8), "y": random(8, seed=3)} for m in (0, 1, 2, 9)], *options)


def test_loop_in_if_in_loop(check):
    model = model_of("""main (bool c, float[n,4] x) => (float[n,4] y, float[k,n] z) {
      m = Constant<value = int64 {20}>()
      go = Constant<value = bool {1}>()
      three = Constant<value = int64 {3}>()
      two = Constant<value = int64 {2}>()
      zero = Constant<value = int64 {0}>()
      y, z = Loop (m, go, x) <body = outer (int64 i, bool d, float[n,4] v) => (bool e, float[n,4] u, float[n] s) {
        e = Identity(d)
        r = Mod(i, two)
        isEven = Equal(r, zero)
        both = And(isEven, c)
        w = Sigmoid(v)
        u = If (both) <
          then_branch = left () => (float[n,4] a) {
            a = Loop (three, go, w) <body = inner (int64 j, bool f, float[n,4] p) => (bool g, float[n,4] q) {
              g = Identity(f)
              h = Add(p, w)
              k = Cast<to=1>(j)
              q = Mul(h, k)
            }>
          },
          else_branch = right () => (float[n,4] b) { b = Neg(v) }>
        s = ReduceMean<axes=[1], keepdims=0>(u)
      }>
    }""")
    check(model, [{"c": np.array(c), "x": random(n, 4)} for c in (True, False) for n in (1, 3)])


@NAIVE
def test_greedy_decoding(check, options):
    """A token is appended in each step until the end token: what was decoded so far is read by the next step."""
    model = model_of("""main (int64[1] start, float[6,6] table, float[6] w) => (int64[t] tokens) {
      m = Constant<value = int64 {12}>()
      go = Constant<value = bool {1}>()
      end = Constant<value = int64[1] {5}>()
      zero = Constant<value = int64[1] {0}>()
      tokens = Loop (m, go, start) <body = body (int64 i, bool c, int64[k] sofar) => (bool d, int64[l] next) {
        rows = Gather(table, sofar)
        mean = ReduceMean<axes=[0], keepdims=1>(rows)
        f = Cast<to=1>(i)
        scaled = Mul(w, f)
        scores = Add(mean, scaled)
        token = ArgMax<axis=1, keepdims=0>(scores)
        next = Concat<axis=0>(sofar, token)
        same = Equal(token, end)
        not = Not(same)
        d = Squeeze(not, zero)
      }>
    }""")
    feeds = [{"start": np.array([s]), "table": random(6, 6, seed=s), "w": random(6, seed=s) / 10} for s in range(5)]
    lengths = {check(model, [feed], *options)["tokens"].size for feed in feeds}
    assert len(lengths) > 1  # some end early


def test_value_that_grows_at_both_ends(check):
    """By sizes that only the run knows."""
    model = model_of("""main (float[2,n] x, float[2,m] y, float[2,m] w) => (float[2,k] z, float[2,l] front) {
      count = Constant<value = int64 {70}>()
      go = Constant<value = bool {1}>()
      z, front = Loop (count, go, x, x) <body = body (int64 i, bool c, float[2,p] v, float[2,q] f)
          => (bool d, float[2,r] u, float[2,s] g) {
        d = Identity(c)
        s = ReduceMean<axes=[1], keepdims=1>(v)
        u = Concat<axis=1>(v, s, y, w)
        g = Concat<axis=1>(y, f)
      }>
    }""")
    check(model, [{"x": random(2, n), "y": random(2, m), "w": random(2, m)} for n, m in ((1, 1), (5, 1), (2, 3))])


# ---- Scan -------------------------------------------------------------------------------------------------------------

@NAIVE
@pytest.mark.parametrize("reverse", [0, 1])
def test_scan(check, options, reverse):
    """Any length, both directions, other axes than the first."""
    model = model_of(f"""main (float[n,5] h, float[n,t,5] x, float[t,n] g) => (float[n,5] last, float[n,5,t] all, float[t,n] sums) {{
      last, all, sums = Scan <num_scan_inputs=2, scan_input_axes=[1, 0], scan_input_directions=[{reverse}, 0],
          scan_output_axes=[-1, 0], scan_output_directions=[0, {reverse}],
          body = body (float[n,5] s, float[n,5] u, float[n] v) => (float[n,5] r, float[n,5] q, float[n] p) {{
            a = Add(s, u)
            axis = Constant<value = int64[1] {{1}}>()
            w = Unsqueeze(v, axis)
            b = Mul(a, w)
            r = Tanh(b)
            q = Sub(r, s)
            p = ReduceSum<keepdims=0>(q, axis)
          }}> (h, x, g)
    }}""")
    check(model, [{"h": random(n, 5), "x": random(n, t, 5), "g": random(t, n)} for n, t in ((1, 1), (3, 4), (2, 130))], *options)


# ---- RNN, GRU, LSTM -----------------------------------------------------------------------------------------------------

def recurrent(operator, gates, hidden, size, *, directions=1, static=None, lengths=False, states=False, peepholes=False,
              dynamic_weights=False, **attributes):
    rng = np.random.default_rng(hidden)
    parts = {"W": (directions, gates * hidden, size), "R": (directions, gates * hidden, hidden),
             "B": (directions, 2 * gates * hidden), "P": (directions, 3 * hidden)}
    weights = {name: (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32) for name, shape in parts.items()}
    inputs = [helper.make_tensor_value_info("X", TensorProto.FLOAT, static or ["t", "b", size])]
    state = [directions, "b", hidden]
    names = ["X", "W", "R", "B", "lengths" if lengths else "", "h0" if states else ""]
    outputs = ["Y", "Y_h"]
    if lengths:
        inputs.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, ["b"]))
    if states:
        inputs.append(helper.make_tensor_value_info("h0", TensorProto.FLOAT, state))
    if operator == "LSTM":
        names += ["c0" if states else "", "P" if peepholes else ""]
        outputs.append("Y_c")
        if states:
            inputs.append(helper.make_tensor_value_info("c0", TensorProto.FLOAT, state))
    if dynamic_weights:
        inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, parts[name]) for name in ("W", "R", "B")]
    initializers = [] if dynamic_weights else [numpy_helper.from_array(array, name) for name, array in weights.items()]
    node = helper.make_node(operator, names, outputs, hidden_size=hidden, **attributes)
    graph = helper.make_graph([node], "g", inputs, [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs],
                              initializers)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])

    def feed(steps, batch):
        values = {"X": random(steps, batch, size, seed=steps)}
        if lengths:
            values["lengths"] = rng.integers(1, steps + 1, batch).astype(np.int32)
        if states:
            values["h0"] = random(directions, batch, hidden, seed=2)
            if operator == "LSTM":
                values["c0"] = random(directions, batch, hidden, seed=5)
        if dynamic_weights:
            values |= {name: weights[name] for name in ("W", "R", "B")}
        return values

    return model, feed


CELLS = [("RNN", 1, {}), ("GRU", 3, {}), ("GRU", 3, {"linear_before_reset": 1}), ("LSTM", 4, {})]


@NAIVE
@pytest.mark.parametrize("operator, gates, attributes", CELLS, ids=["rnn", "gru", "gru-linear", "lstm"])
def test_recurrent_of_any_length(check, operator, gates, attributes, options):
    model, feed = recurrent(operator, gates, 24, 10, states=True, **attributes)
    check(model, [feed(steps, batch) for steps, batch in ((1, 1), (5, 3), (90, 2))], *options, tolerance=1e-5)


@pytest.mark.parametrize("operator, gates, attributes", CELLS, ids=["rnn", "gru", "gru-linear", "lstm"])
def test_recurrent_both_directions_with_lengths(check, operator, gates, attributes):
    model, feed = recurrent(operator, gates, 16, 7, directions=2, lengths=True, states=True, direction="bidirectional", **attributes)
    check(model, [feed(steps, batch) for steps, batch in ((1, 1), (6, 4), (40, 3))], tolerance=1e-5)


def test_lstm_with_everything(check):
    model, feed = recurrent("LSTM", 4, 12, 5, states=True, peepholes=True, clip=0.9, input_forget=0, direction="reverse")
    check(model, [feed(steps, batch) for steps, batch in ((2, 1), (30, 5))], tolerance=1e-5)


def test_weights_that_are_inputs(check):
    """They are laid out once, in front of the loop."""
    model, feed = recurrent("LSTM", 4, 32, 8, dynamic_weights=True)
    check(model, [feed(20, 3)], tolerance=1e-5)


def test_long_static_sequence(check):
    model, feed = recurrent("LSTM", 4, 16, 8, static=[500, 2, 8])
    check(model, [feed(500, 2)], tolerance=2e-5)


def test_training_unrolls(mlc, tmp_path):
    """A loop has no derivative: with a static length there is none, with a dynamic one the node is named."""
    for static, message in (([6, 2, 8], None), (None, "LSTM (opset 17): a sequence of dynamic length, where derivatives are wanted")):
        model, _ = recurrent("LSTM", 4, 16, 8, static=static)
        del model.graph.output[1:]
        onnx.save(model, tmp_path / "model.onnx")
        try:
            mlc_backend.compile_model(tmp_path / "model.onnx", tmp_path / "model.so", "--train", "--loss=mse", mlc=mlc)
            assert message is None
        except mlc_backend.CompileError as error:
            assert message and message in str(error)


def error_of(text, mlc, tmp_path):
    onnx.save(model_of(text), tmp_path / "model.onnx")
    with pytest.raises(mlc_backend.CompileError) as caught:
        mlc_backend.compile_model(tmp_path / "model.onnx", tmp_path / "model.so", mlc=mlc)
    return str(caught.value)


def test_what_no_loop_carries_is_named(mlc, tmp_path):
    loop = """main (int64 m, float[n] x) => (float[k] y) {{
      go = Constant<value = bool {{1}}>()
      y = Loop ({count}, go, x) <body = body (int64 i, bool c, float[p] v) => (bool d, float[q] u) {{
        s = ReduceSum<keepdims=0>(v)
        zero = Constant<value = float {{0}}>()
        d = Greater(s, zero)
        u = {next}
      }}>
    }}"""
    assert ("Loop (opset 17): carried value 0, which grows without a bound on the number of steps in each step"
            in error_of(loop.format(count='""', next="Concat<axis=0>(v, x)"), mlc, tmp_path))
    assert "the size of an intermediate value" in error_of(loop.format(count="m", next="Concat<axis=0>(v, x)"), mlc, tmp_path)
    branches = """main (bool c, float[4] x) => (float y) {
      y = If (c) <then_branch = left () => (float[4] a) { a = Neg(x) },
                  else_branch = right () => (float b) { b = ReduceSum<keepdims=0>(x) }>
    }"""
    assert "branches of ranks 1 and 0" in error_of(branches, mlc, tmp_path)


def test_a_value_that_changes_its_size_fails_the_run(mlc, tmp_path):
    """What only the run can tell: the initial value has another size than the next one."""
    onnx.save(model_of("""main (float[n] x, float[k] w, int64 m) => (float[n] y) {
      go = Constant<value = bool {1}>()
      y = Loop (m, go, x) <body = body (int64 i, bool c, float[p] v) => (bool d, float[q] u) {
        d = Identity(c)
        u = Neg(w)
      }>
    }"""), tmp_path / "model.onnx")
    library = mlc_backend.compile_model(tmp_path / "model.onnx", tmp_path / "model.so", mlc=mlc)
    with mlc_backend.Library(library) as loaded:
        feed = {"x": random(4), "w": random(4), "m": np.array(2)}
        np.testing.assert_array_equal(loaded.run(feed)["y"], -feed["w"])
        with pytest.raises(mlc_backend.MlcError, match="sizes [45] and [45] do not agree"):
            loaded.run(feed | {"w": random(5)})


@pytest.mark.parametrize("threads", [2, 3])
def test_same_bits_for_every_thread_count(check, threads):
    model, feed = recurrent("LSTM", 4, 96, 32, directions=2, direction="bidirectional")
    values = feed(17, 5)
    one = check(model, [values], tolerance=1e-5)
    more = check(model, [values], tolerance=1e-5, threads=threads)
    assert all(one[name].tobytes() == more[name].tobytes() for name in one)
