"""Whole layers: recurrent ones, attention and what transformers fuse, optimizers, and nodes with bodies."""
import evaluate
import numpy as np
from elementwise import partner
from graph import BOOL, F32, I32, I64, Generators, Reject, Value, subgraph
from onnx import helper

OPERATORS = Generators()
operator = OPERATORS.operator
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def recurrent(name):
    def make(g):
        gates, steps, batch, width, hidden = GATES[name], g.size(), g.size(), g.size(), g.integer(1, 4)
        direction = g.of("forward", "reverse", "bidirectional")
        ways = 2 if direction == "bidirectional" else 1

        def narrow(*shape):
            return g.tensor(F32, shape, -1, 1)

        def weights(*shape):
            return g.weights(F32, shape, -1, 1)
        inputs = [g.steps(F32, (steps, batch, width), -1, 1), weights(ways, gates * hidden, width), weights(ways, gates * hidden, hidden),
                  weights(ways, 2 * gates * hidden) if g.flag() else None]
        lengths = np.array([g.integer(1, max(steps, 1)) for _ in range(batch)], np.int32)
        if g.style.hostile and batch and g.flag():
            lengths[0], g.hostile = steps + 1, True
        inputs.append(g.fresh(lengths) if g.flag() else None)
        if g.flag():
            inputs += [narrow(ways, batch, hidden) for _ in range(2 if name == "LSTM" else 1)]
        attributes = {"linear_before_reset": g.of(0, 1)} if name == "GRU" else {}
        g.node(name, inputs, outputs=g.integer(1, 3 if name == "LSTM" else 2), hidden_size=hidden, direction=direction,
               clip=g.of(None, None, 0.5), **attributes)
    return make


for layer_name in GATES:
    OPERATORS["", layer_name] = recurrent(layer_name)


@operator("Attention")
def attention(g):
    batch, heads, queries, keys, width = g.size(), g.of(1, 2), g.size(), g.size(), g.of(2, 4)
    shared = g.of(1, 2) if heads == 2 else 1
    past = g.of(0, 0, 2)

    def headed(count, length):
        return g.tensor(F32, (batch, count, length, width), -1, 1, fixed=[1, 3])
    query, key, value = headed(heads, queries), headed(heads // shared, keys), headed(heads // shared, keys)
    before = [headed(heads // shared, past), headed(heads // shared, past)] if past else [None, None]
    mask = None
    if g.flag():
        shape = g.of((queries, keys + past), (batch, 1, queries, keys + past), (1, heads, queries, keys + past))
        mask = g.tensor(F32, shape, -1, 1) if g.flag() else g.fresh(np.ones(shape, bool))
    g.node("Attention", [query, key, value, mask, *before], outputs=3 if past else 1, is_causal=g.of(0, 1), scale=g.of(None, 0.5),
           softcap=g.of(None, 2.0))


@operator("RotaryEmbedding")
def rotary_embedding(g):
    batch, heads, length, half, most = g.size(), g.of(1, 2), g.size(), g.of(1, 2), g.integer(5, 7)
    ids = g.indices(most, (batch, length), negative=False) if g.flag() else None
    shape = (most, half) if ids else (batch, length, half)
    caches = [g.tensor(F32, shape, -1, 1, fixed=[len(shape) - 1]) for _ in range(2)]
    g.node("RotaryEmbedding", [g.tensor(F32, (batch, heads, length, 2 * half), -1, 1, fixed=[1, 3]), *caches, ids], interleaved=g.of(0, 1))


def microsoft(name):
    return operator(name, "com.microsoft")


@microsoft("Attention")
def packed_attention(g):
    batch, length, heads, width, inner = g.size(), g.size(), g.of(1, 2), g.of(1, 2), g.size()
    hidden = heads * width
    mask = g.fresh(np.ones((batch, length), np.int32)) if g.flag() else None
    g.node("Attention", [g.tensor(F32, (batch, length, inner), -1, 1), g.weights(F32, (inner, 3 * hidden), -1, 1),
                         g.weights(F32, (3 * hidden,), -1, 1), mask], domain="com.microsoft", num_heads=heads,
           unidirectional=g.of(0, 1))


@microsoft("MultiHeadAttention")
def multi_head_attention(g):
    batch, queries, keys, heads, width = g.size(), g.size(), g.size(), g.of(1, 2), g.of(1, 2)
    hidden = heads * width
    mask = g.fresh(np.ones((batch, keys), np.int32)) if g.flag() else None
    g.node("MultiHeadAttention", [g.tensor(F32, (batch, queries, hidden), -1, 1, fixed=[2]), g.tensor(F32, (batch, keys, hidden), -1, 1, fixed=[2]),
                                  g.tensor(F32, (batch, keys, hidden), -1, 1, fixed=[2]),
                                  g.weights(F32, (3 * hidden,), -1, 1) if g.flag() else None, mask],
           domain="com.microsoft", num_heads=heads)


@microsoft("BiasGelu")
def bias_gelu(g):
    value = g.tensor(F32, g.shape(1, 3), -2, 2, specials=False)
    g.node("BiasGelu", [value, g.tensor(F32, value.shape[-1:], -1, 1)], domain="com.microsoft")


@microsoft("FastGelu")
def fast_gelu(g):
    value = g.tensor(F32, g.shape(1, 3), specials=False)
    g.node("FastGelu", [value, g.tensor(F32, value.shape[-1:], -1, 1) if g.flag() else None], domain="com.microsoft")


@microsoft("Gelu")
def microsoft_gelu(g):
    g.node("Gelu", [g.tensor(F32, g.shape(), specials=False)], domain="com.microsoft")


@microsoft("QuickGelu")
def quick_gelu(g):
    g.node("QuickGelu", [g.tensor(F32, g.shape(), specials=False)], domain="com.microsoft", alpha=g.of(None, 1.0))


def skip_norm(name, has_beta):
    def make(g):
        shape = g.shape(3, 3)
        inputs = [g.tensor(F32, shape, -1, 1), g.tensor(F32, shape, -1, 1), g.tensor(F32, shape[-1:], 0.5, 2)]
        if has_beta:
            inputs.append(g.tensor(F32, shape[-1:], -1, 1) if g.flag() else None)
        inputs.append(g.tensor(F32, shape[-1:], -1, 1) if g.flag() else None)
        g.node(name, inputs, domain="com.microsoft", epsilon=1e-3)
    return make


for layer_name, beta in (("SkipLayerNormalization", True), ("SkipSimplifiedLayerNormalization", False)):
    OPERATORS["com.microsoft", layer_name] = skip_norm(layer_name, beta)


@microsoft("EmbedLayerNormalization")
def embed_layer_normalization(g):
    batch, length, width, words = g.size(), g.integer(1, 4), g.of(2, 4), g.integer(1, 5)
    segments = g.flag()
    inputs = [g.indices(words, (batch, length), I32, negative=False), g.indices(2, (batch, length), I32, False) if segments else None,
              g.weights(F32, (words, width), -1, 1), g.weights(F32, (g.integer(length, 5), width), -1, 1),
              g.weights(F32, (2, width), -1, 1) if segments else None, g.weights(F32, (width,), 0.5, 2), g.weights(F32, (width,), -1, 1)]
    g.nonempty.add((inputs[0].name, 1))  # the references disagree about no words
    g.node("EmbedLayerNormalization", inputs, outputs=2, domain="com.microsoft", epsilon=1e-3)


def optimizer(name, slots, attributes):
    def make(g):
        shape = g.shape(1, 2)
        value, gradient = g.tensor(F32, shape, -1, 1), g.tensor(F32, shape, -1, 1)
        memory = [g.tensor(F32, shape, 0.1, 1) for _ in range(slots)]
        g.node(name, [g.fresh(np.float32(0.1)), g.fresh(np.int64(g.integer(0, 3))), value, gradient, *memory], outputs=1 + slots,
               domain="ai.onnx.preview.training", **attributes(g))
    return make


OPTIMIZERS = {
    "Adagrad": (1, lambda g: {"norm_coefficient": 0.1, "epsilon": 1e-3, "decay_factor": 0.1}),
    "Adam": (2, lambda g: {"norm_coefficient": 0.1, "alpha": 0.9, "beta": 0.8, "epsilon": 1e-3}),
    "Momentum": (1, lambda g: {"norm_coefficient": 0.1, "alpha": 0.9, "beta": 0.8, "mode": g.of("standard", "nesterov")})}
for layer_name, (slot_count, factors) in OPTIMIZERS.items():
    OPERATORS["ai.onnx.preview.training", layer_name] = optimizer(layer_name, slot_count, factors)


@operator("If")
def if_(g):
    value, other = g.tensor(F32, g.shape(1, 2)), None
    other = g.tensor(F32, partner(g, value.shape))
    branches = [subgraph(name, [helper.make_node(kind, [value.name, other.name], [name + "_r"], name=g.inner(name))], [],
                         [(name + "_r", F32, None)]) for name, kind in (("yes", "Add"), ("no", "Mul"))]
    condition = g.fresh(np.array(g.flag()))
    outer(g, "If", [condition], [value, other], then_branch=branches[0], else_branch=branches[1])


def outer(g, name, inputs, captured, outputs=1, **attributes):
    """A node whose body reads other values of the graph."""
    results = [f"r{len(g.nodes)}_{number}" for number in range(outputs)]
    made = helper.make_node(name, [value.name for value in inputs], results, name=f"node{len(g.nodes)}", **attributes)
    known = {value.name: value.array for value in [*inputs, *captured]}
    try:
        arrays = evaluate.Node(made, g.opset).run(known)
    except Exception as error:
        raise Reject(f"{name}: {error}") from error
    g.nodes.append(made)
    g.values += [Value(result, np.asarray(array)) for result, array in zip(results, arrays)]


@operator("Loop")
def loop(g):
    value = g.tensor(F32, g.shape(1, 2), -1, 1)
    other = g.tensor(F32, value.shape, -1, 1)
    nodes = [helper.make_node("Add", ["carried", other.name], ["sum"], name=g.inner("add")),
             helper.make_node("Mul", ["sum", "sum"], ["row"], name=g.inner("square")),
             helper.make_node("Identity", ["go_in"], ["go_out"], name=g.inner("go"))]
    body = subgraph("body", nodes, [("step", I64, []), ("go_in", BOOL, []), ("carried", F32, list(value.shape))],
                    [("go_out", BOOL, []), ("sum", F32, None), ("row", F32, None)])
    count = g.parameter(np.array(g.integer(1, 3)))
    outer(g, "Loop", [count, g.fresh(np.array(True)), value], [other], outputs=2, body=body)


@operator("Scan")
def scan(g):
    steps, shape = g.integer(1, 4), g.shape(1, 1)
    start, rows = g.tensor(F32, shape, -1, 1), g.steps(F32, (steps, *shape), -1, 1)
    nodes = [helper.make_node("Add", ["carried", "row"], ["sum"], name=g.inner("add")), helper.make_node("Neg", ["sum"], ["out"], name=g.inner("neg"))]
    body = subgraph("body", nodes, [("carried", F32, [None]), ("row", F32, [None])], [("sum", F32, [None]), ("out", F32, [None])])
    g.node("Scan", [start, rows], outputs=2, body=body, num_scan_inputs=1)
