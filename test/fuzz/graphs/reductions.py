"""Operators that combine elements along axes: sums, extremes, order, running sums, softmax and norms."""
import numpy as np
from graph import F32, F64, I32, I64, Generators, Reject
from movement import axes_of, some_axes

OPERATORS = Generators()
operator = OPERATORS.operator
REDUCTIONS = {"ReduceL1": (-2, 2), "ReduceL2": (-2, 2), "ReduceLogSum": (0.5, 2), "ReduceLogSumExp": (-2, 2), "ReduceMax": (-2, 2),
              "ReduceMean": (-2, 2), "ReduceMin": (-2, 2), "ReduceProd": (-2, 2), "ReduceSum": (-2, 2), "ReduceSumSquare": (-2, 2)}


def reduction(name, low, high):
    def make(g):
        dtype = F32 if "Log" in name else g.dtype(name)  # logarithms of integers: the references disagree on an empty axis
        value = g.some(dtype, 1, 4) if low == -2 else g.tensor(dtype, g.shape(1, 3), low, high)
        axes = some_axes(g, len(value.shape)) if g.flag() else None
        inputs, attributes = axes_of(g, axes, 13 if name == "ReduceSum" else 18)
        if g.opset >= (13 if name == "ReduceSum" else 18):
            attributes["noop_with_empty_axes"] = g.of(None, 0, 1)
        g.node(name, [value, *inputs], keepdims=g.of(0, 1), **attributes)
    return make


for reduction_name, (lowest, highest) in REDUCTIONS.items():
    OPERATORS["", reduction_name] = reduction(reduction_name, lowest, highest)


def position(name):
    def make(g):
        value = g.some(g.dtype(name), 1, 3)
        last = g.of(0, 1) if g.opset >= 12 else None
        g.node(name, [value], axis=g.axis(len(value.shape), g.opset >= 11), keepdims=g.of(0, 1), select_last_index=last)
    return make


def along(name):
    def make(g):
        value = g.tensor(g.dtype(name), g.shape(1, 3), specials=False)
        g.node(name, [value], axis=g.axis(len(value.shape), g.opset >= 11))
    return make


for along_name in ("ArgMax", "ArgMin"):
    OPERATORS["", along_name] = position(along_name)
for along_name in ("Softmax", "LogSoftmax", "Hardmax"):
    OPERATORS["", along_name] = along(along_name)


def running(name):
    def make(g):
        value = g.some(g.dtype(name), 1, 3)
        axis = g.parameter(np.array(g.axis(len(value.shape)), g.of(np.int64, np.int32)))
        g.node(name, [value, axis], exclusive=g.of(0, 1), reverse=g.of(0, 1))
    return make


for along_name in ("CumSum", "CumProd"):
    OPERATORS["", along_name] = running(along_name)


@operator("TopK")
def top_k(g):
    dtype = g.dtype("TopK") if g.opset >= 11 else F32
    value = g.tensor(dtype, g.shape(1, 3), -9, 9, specials=False)
    axis = g.axis(len(value.shape), g.opset >= 11)
    count = g.integer(0 if g.opset >= 10 else 1, value.shape[axis])
    how = {"largest": g.of(0, 1), "sorted": 1} if g.opset >= 11 else {}
    if g.opset < 10:
        g.node("TopK", [value], outputs=2, axis=axis, k=count)
    else:
        g.node("TopK", [value, g.parameter(np.array([count]))], outputs=2, axis=axis, **how)


@operator("LpNormalization")
def lp_normalization(g):
    value = g.tensor(g.dtype("LpNormalization"), g.shape(1, 3), 0.5, 2)
    g.node("LpNormalization", [value], axis=g.axis(len(value.shape)), p=g.of(1, 2))


def stashed(g, name):
    """A type of values; double precision is computed in single (stash_type)."""
    dtype = g.dtype(name)
    return F32 if dtype == F64 else dtype


def layer_norm(name, bias, outputs):
    def make(g):
        dtype = stashed(g, name) if name in ("LayerNormalization", "RMSNormalization") else F32
        value = g.tensor(dtype, g.shape(1, 3), specials=False)
        axis = g.axis(len(value.shape))
        inner = value.shape[axis:]
        inputs = [value, g.tensor(dtype, inner, 0.5, 2)]
        if bias and g.flag():
            inputs.append(g.tensor(dtype, inner, specials=False))
        g.node(name, inputs, outputs=g.integer(1, outputs), axis=axis, epsilon=g.of(1e-3, None))
    return make


OPERATORS["", "LayerNormalization"] = layer_norm("LayerNormalization", True, 1)
OPERATORS["", "RMSNormalization"] = layer_norm("RMSNormalization", False, 1)
OPERATORS["", "SimplifiedLayerNormalization"] = layer_norm("SimplifiedLayerNormalization", False, 1)


def image(g, dtype, low=2, high=4, channels=None):
    sizes = g.shape(low, high)
    return g.tensor(dtype, (sizes[0], channels or sizes[1], *sizes[2:]), specials=False, fixed=[1] if channels else False)


@operator("BatchNormalization")
def batch_normalization(g):
    dtype = F32 if g.flag() else g.of(*g.types("BatchNormalization"))
    value = image(g, dtype)
    channels = (value.shape[1],)
    inputs = [g.tensor(dtype, channels, low, 2, specials=False) for low in (0.5, -1, -1, 0.5)]
    if g.opset < 9 or len({array.dtype for array in inputs}) != 1:
        raise Reject("training flags of the first versions")
    g.node("BatchNormalization", [value, *inputs], epsilon=g.of(1e-3, None))


@operator("InstanceNormalization")
def instance_normalization(g):
    dtype = g.dtype("InstanceNormalization")
    value = image(g, dtype, 3, 4)
    g.node("InstanceNormalization", [value, g.tensor(dtype, value.shape[1:2], 0.5, 2), g.tensor(dtype, value.shape[1:2], -1, 1)],
           epsilon=g.of(1e-3, None))


@operator("GroupNormalization")
def group_normalization(g):
    dtype = stashed(g, "GroupNormalization")
    groups = g.of(1, 2)
    value = image(g, dtype, 3, 4, groups * g.of(1, 2, 3))
    count = (value.shape[1] if g.opset >= 21 else groups,)
    g.node("GroupNormalization", [value, g.tensor(dtype, count, 0.5, 2), g.tensor(dtype, count, -1, 1)], num_groups=groups,
           epsilon=g.of(1e-3, None))


@operator("MeanVarianceNormalization")
def mean_variance_normalization(g):
    value = g.tensor(F32, g.shape(4, 4), specials=False)
    g.node("MeanVarianceNormalization", [value], axes=g.of(None, [0, 2, 3], [1], [-1]))


@operator("LRN")
def lrn(g):
    g.node("LRN", [image(g, F32, 3, 4)], size=g.of(1, 3, 5), alpha=g.of(None, 0.1), beta=g.of(None, 0.5), bias=g.of(None, 2.0))


@operator("NegativeLogLikelihoodLoss")
def nll_loss(g):
    loss(g, "NegativeLogLikelihoodLoss")


@operator("SoftmaxCrossEntropyLoss")
def softmax_cross_entropy_loss(g):
    loss(g, "SoftmaxCrossEntropyLoss")


def loss(g, name):
    dtype = g.dtype(name)
    batch, classes, *rest = g.shape(2, 3)
    scores = g.tensor(dtype, (batch, classes, *rest), -2, 2, specials=False)
    target = g.indices(classes, (batch, *rest), g.of(I64, I32), negative=False)
    weights = g.tensor(dtype, (classes,), 0.5, 2) if g.flag() else None
    ignored = g.of(None, 0, -1)
    how = g.of("none", "sum", "mean")
    kept = target.array != (ignored if ignored is not None else -100)
    if how == "mean" and not kept.any():
        raise Reject("a mean of nothing")
    outputs = g.of(1, 2) if name == "SoftmaxCrossEntropyLoss" else 1
    g.node(name, [scores, target, weights], outputs=outputs, reduction=how, ignore_index=ignored)
