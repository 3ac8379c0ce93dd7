"""What a model's values must be: ONNX's reference evaluator or ONNX Runtime node by node, with noise that tells how far rounding
may carry a result, and ONNX Runtime over the whole model as a second opinion."""
import math
import warnings

import guarded
import ml_dtypes
import numpy as np
import onnx
import onnxruntime
from onnx import helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

onnxruntime.set_default_logger_severity(4)
BF16 = np.dtype(ml_dtypes.bfloat16)
# One step of a type, times a few: what any order of evaluation may lose in a node. Of float64 one of float32: attributes are float32.
NOISE = {"float64": 1e-7, "float32": 1e-6, "float16": 2e-3, "bfloat16": 2e-2}
# Data movement and decisions: exact in any order of evaluation, so that their inputs are not disturbed.
EXACT = frozenset("""Abs And ArgMax ArgMin BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast CastLike Ceil CenterCropPad
 Clip Compress Concat Constant ConstantOfShape DepthToSpace Dropout Equal Expand EyeLike Flatten Floor Gather GatherElements
 GatherND Greater GreaterOrEqual Hardmax Identity IsInf IsNaN Less LessOrEqual Max MaxPool GlobalMaxPool MaxUnpool Min Neg NonMaxSuppression
 NonZero Not OneHot Or Pad Range ReduceMax ReduceMin Relu Reshape ReverseSequence Round Scatter ScatterElements ScatterND Shape
 Shrink Sign Size Slice SpaceToDepth Split Squeeze TensorScatter ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Where Xor
 If Loop Scan Mod QuantizeLinear DynamicQuantizeLinear QLinearConv QLinearMatMul""".split())
SPREAD = 8.0
# Where the reference evaluator is wrong: samples outside of the image, lengths of sequences, the rows of a single step, the rank of
# the maximum of rows, the shape of no elements, the order of what is unique and not sorted,
# a window that hangs over.
DOUBTED = frozenset(["GRU", "GatherElements", "GlobalMaxPool", "LSTM", "Loop", "LpPool", "RNN", "RoiAlign", "Unique"])


def is_float(array):
    return array.dtype.kind == "f" or array.dtype == BF16


def disturbed(array, rng):
    if not is_float(array):
        return array
    noise = 1 + NOISE[array.dtype.name] * rng.uniform(-1, 1, array.shape)
    with np.errstate(all="ignore"):
        return (array.astype(np.float64) * noise).astype(array.dtype)


def session(model):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run_apart(model, feeds):
    """ONNX Runtime's values, from a child process: on some inputs it crashes, and rarely on any (threads of a forked process)."""
    def values(_):
        arrays = session(model).run(None, feeds)
        return guarded.Outcome("values", values=dict(enumerate(np.asarray(array) for array in arrays)))
    outcome = guarded.in_children(values, [0])[0]
    if outcome.kind == "crash":
        outcome = guarded.in_children(values, [0])[0]
    if outcome.kind != "values":
        raise RuntimeError(outcome.message.strip().splitlines()[-1])
    return list(outcome.values.values())


class LRN(OpRun):
    """The reference evaluator's counts the images where it means the channels (onnx 1.22)."""

    op_domain = ""

    def _run(self, x, alpha, beta, bias, size):
        before, after = (size - 1) // 2, math.ceil((size - 1) / 2)
        padded = np.pad(x * x, [(0, 0), (before, after), *[(0, 0)] * (x.ndim - 2)])
        sums = sum(padded[:, first:first + x.shape[1]] for first in range(size))
        return ((x / (bias + alpha / size * sums) ** beta).astype(x.dtype),)


class BatchNormalization(OpRun):
    """Before opset 14, when a node with one result was inference; the reference evaluator updates the statistics first."""

    op_domain = ""

    def _run(self, x, scale, bias, mean, variance, epsilon=1e-5, is_test=None, momentum=None, spatial=None):
        def per_channel(values):
            return values.reshape(-1, *(1,) * (x.ndim - 2))
        y = per_channel(scale) * (x - per_channel(mean)) / np.sqrt(per_channel(variance) + epsilon) + per_channel(bias)
        return (y.astype(x.dtype),)


class TensorScatter(OpRun):
    """The reference evaluator's takes the batch's number modulo the length, too (onnx 1.22)."""

    op_domain = ""

    def _run(self, cache, update, starts=None, mode="linear", axis=-2):
        y, new = (np.moveaxis(array, axis, 1) for array in (cache.copy(), update))
        if new.shape[1] > y.shape[1] or new.shape[:1] + new.shape[2:] != y.shape[:1] + y.shape[2:]:
            raise ValueError(f"an update of {update.shape} for {cache.shape}")
        for batch in range(len(y)):
            places = np.arange(new.shape[1]) + (0 if starts is None else starts[batch])
            y[batch, places % y.shape[1] if mode == "circular" else places] = new[batch]
        return (np.moveaxis(y, 1, axis),)


class Compress(OpRun):
    """The reference evaluator's refuses a condition that is longer than the axis, of which ONNX Runtime takes the begin."""

    op_domain = ""

    def _run(self, x, condition, axis=None):
        x, axis = (x.reshape(-1), 0) if axis is None else (x, axis)
        return (np.compress(condition[:x.shape[axis]], x, axis=axis),)


class Softplus(OpRun):
    """The reference evaluator's loses the digits of small results."""

    op_domain = ""

    def _run(self, x):
        return (np.logaddexp(x.astype(np.float64), 0).astype(x.dtype),)


class Mean(OpRun):
    """The reference evaluator's has the shape of the first input."""

    op_domain = ""

    def _run(self, *inputs):
        return ((sum(array.astype(np.float64) for array in inputs) / len(inputs)).astype(inputs[0].dtype),)


class OneHot(OpRun):
    """The reference evaluator's takes an index modulo the depth; by the standard one that is out of range is nowhere."""

    op_domain = ""

    def _run(self, indices, depth, values, axis=-1):
        depth, place = int(depth.item()), axis % (indices.ndim + 1)
        index, row = np.expand_dims(indices, place), np.arange(depth).reshape(-1, *(1,) * (indices.ndim - place))
        return (np.where((index == row) | (index == row - depth), values[1], values[0]),)


class Softmax(OpRun):
    """Before opset 13, of a matrix: the axes from `axis` on are one; the reference evaluator has that of opset 13 alone."""

    op_domain = ""

    def _run(self, x, axis=1):
        rows = x.reshape(math.prod(x.shape[:axis]) if axis >= 0 else math.prod(x.shape[:x.ndim + axis]), -1) if x.size else x.reshape(0, 1)
        shifted = rows.astype(np.float64) - rows.max(axis=1, keepdims=True, initial=-np.inf)
        powers = np.exp(shifted)
        return (self.of(rows, shifted, powers / powers.sum(axis=1, keepdims=True)).reshape(x.shape).astype(x.dtype),)

    def of(self, rows, shifted, y):
        return y


class LogSoftmax(Softmax):
    """As Softmax."""

    def of(self, rows, shifted, y):
        return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


class Hardmax(Softmax):
    """As Softmax."""

    def of(self, rows, shifted, y):
        return np.arange(rows.shape[1]) == rows.argmax(axis=1)[:, np.newaxis] if rows.size else y


class Node:
    """One node, run by the reference evaluator, or by ONNX Runtime where that has no such operator."""

    def __init__(self, node, opset):
        self.node, self.opset = onnx.NodeProto(), opset
        self.node.CopyFrom(node)
        for attribute in node.attribute:
            if attribute.name == "auto_pad" and attribute.s == b"VALID":  # the reference evaluator's is another padding; without it is the same
                self.node.attribute.remove(attribute)
        self.evaluator, self.decided, self.apart = None, False, False

    def model(self, feeds):
        sizes = array_sizes if has_one_reference(self.node) else lambda array: [None] * array.ndim
        inputs = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), sizes(array))
                  for name, array in feeds.items()]
        outputs = [onnx.ValueInfoProto(name=name) for name in self.node.output]
        graph = helper.make_graph([self.node], "node", inputs, outputs)
        opsets = [helper.make_opsetid("", self.opset)]
        if self.node.domain:
            opsets.append(helper.make_opsetid(self.node.domain, 1))
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)

    def run(self, known):
        """The results, of the values by name that it reads. What runs it first runs it always: where the reference refuses other sizes,
        ONNX Runtime is not asked in its place."""
        feeds = {name: known[name] for name in reads(self.node) if name in known}
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            refusal = None
            if not self.apart:
                try:
                    self.evaluator = self.evaluator or self.reference(feeds)
                    results = [typed(array, feeds, self.node) for array in self.evaluator.run(None, feeds)]
                    self.decided = True
                    return results
                except Exception as error:
                    if self.decided:
                        raise
                    refusal = error
            try:
                results = run_apart(self.model(feeds), feeds)
            except RuntimeError as error:
                raise RuntimeError(f"{self.node.op_type}: {error}; the reference evaluator: {refusal!r}") from error
            self.apart = True
            return results

    def reference(self, feeds):
        if has_one_reference(self.node):
            raise NotImplementedError(self.node.op_type)
        old = [BatchNormalization] * (self.opset < 14) + [Hardmax, LogSoftmax, Softmax] * (self.opset < 13)
        return ReferenceEvaluator(self.model(feeds), new_ops=[Compress, LRN, Mean, OneHot, Softplus, TensorScatter, *old])


def has_one_reference(node):
    return node.domain == "com.microsoft" or node.op_type in DOUBTED


def array_sizes(array):
    return list(array.shape)


def typed(array, feeds, node):
    """The reference evaluator computes optimizers in double precision."""
    array = np.asarray(array)
    return array.astype(feeds[node.input[2]].dtype) if node.domain == "ai.onnx.preview.training" else array


def reads(node):
    """The names that a node reads, those of its subgraphs included."""
    names = [name for name in node.input if name]
    for attribute in node.attribute:
        if attribute.HasField("g"):
            inside = {value.name for value in attribute.g.input} | {tensor.name for tensor in attribute.g.initializer}
            for inner in attribute.g.node:
                names += [name for name in reads(inner) if name not in inside]
                inside |= set(inner.output)
            names += [value.name for value in attribute.g.output if value.name not in inside]
    return list(dict.fromkeys(names))


class Evaluation:
    """Values of a model, with the error that each element may have."""

    def __init__(self, model):
        opset = next(entry.version for entry in model.opset_import if entry.domain == "")
        self.model = model
        self.nodes = [Node(node, opset) for node in model.graph.node]
        self.constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self.outputs = [value.name for value in model.graph.output]

    def values(self, feeds, rng=None):
        known = {**self.constants, **feeds}
        for node in self.nodes:
            inexact = rng is not None and node.node.op_type not in EXACT
            given = {name: disturbed(known[name], rng) for name in reads(node.node)} if inexact else known
            results = node.run(given)
            for name, array in zip(node.node.output, results):
                known[name] = disturbed(array, rng) if inexact else array
        return {name: known[name] for name in self.outputs}

    def expected(self, feeds):
        """{name: (array, error, sure)}: `error` may be lost by rounding, where `sure` is false nothing is known."""
        exact = self.values(feeds)
        bounds = {name: (np.zeros(array.shape), np.ones(array.shape, bool)) for name, array in exact.items()}
        for seed in (1, 2):
            try:
                noisy = self.values(feeds, np.random.default_rng(seed))
            except Exception:
                return {name: (array, np.zeros(array.shape), np.zeros(array.shape, bool)) for name, array in exact.items()}
            for name, array in exact.items():
                bounds[name] = widened(bounds[name], array, noisy[name])
        return {name: (array, *bounds[name]) for name, array in exact.items()}

    def second_opinion(self, feeds):
        """ONNX Runtime's values; an exception where it has no kernel, or no place for the type."""
        if any(array.dtype == BF16 for array in feeds.values()):
            raise ValueError("bfloat16")
        return dict(zip(self.outputs, run_apart(self.model, feeds)))


def widened(bound, exact, noisy):
    error, sure = bound
    if exact.shape != noisy.shape:
        return error, np.zeros(exact.shape, bool)
    if not is_float(exact):
        return error, sure & (exact == noisy)
    first, other = exact.astype(np.float64), noisy.astype(np.float64)
    finite = np.isfinite(first) & np.isfinite(other)
    with np.errstate(all="ignore"):
        change = np.where(finite, np.abs(first - other), 0)
    same = finite | (first == other) | (np.isnan(first) & np.isnan(other))
    return np.maximum(error, change), sure & same


def disagreement(got, expected):
    """What is wrong with an array, given (array, error, sure); nothing if it is as it must be."""
    want, error, sure = expected
    if got.shape != want.shape:
        return f"shape {got.shape}, expected {want.shape}" if sure.any() or not sure.size else None
    if got.dtype != want.dtype:
        return f"type {got.dtype}, expected {want.dtype}"
    if not is_float(want):
        bad = (got != want) & sure
    else:
        first, other = got.astype(np.float64), want.astype(np.float64)
        noise = NOISE[want.dtype.name]
        with np.errstate(all="ignore"):
            scale = np.max(np.abs(other), initial=0, where=np.isfinite(other))
            allowed = SPREAD * error + 4 * noise * np.abs(other) + noise * min(max(scale, 1e-3), 4.0)
            near = np.abs(first - other) <= np.where(np.isfinite(other), allowed, 0)
        bad = ~(near | (first == other) | (np.isnan(first) & np.isnan(other))) & sure
    if not bad.any():
        return None
    index = int(bad.reshape(-1).argmax())
    return (f"{int(bad.sum())} of {bad.size} elements differ, the first at {index}: {got.reshape(-1)[index]}, "
            f"expected {want.reshape(-1)[index]}")
