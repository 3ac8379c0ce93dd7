"""Every derivative rule of the core dialect against finite differences of compiled code."""
import dataclasses
import re

import differences
import numpy as np
import pytest
from differences import Case


def unary(op, low=-1.5, high=1.5, **attributes):
    return Case(lambda g: g(op, g.w(2, 3, low=low, high=high), **attributes))


def binary(op, left=(2, 3), right=(2, 3), low=-1.5, high=1.5, **attributes):
    return Case(lambda g: g(op, g.w(*left, low=low, high=high), g.w(*right, low=low, high=high), **attributes))


def on(*shape, low=-1.5, high=1.5):
    """A case whose function takes the graph and one weight."""
    return lambda function: Case(lambda g: function(g, g.w(*shape, low=low, high=high)))


def reduction(op, axes, keepdims, shape=(2, 3, 2), **bounds):
    return on(*shape, **bounds)(lambda g, w: g(op, w, *([g.c(axes)] if axes is not None else []), keepdims=keepdims))


RECURRENT = ["Relu", "Tanh", "Sigmoid", "Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu", "Softsign", "Softplus"]


def recurrent(activation, scale=1.0):
    """An RNN of one activation, whose arguments are of both signs and about as large as the input."""
    x = np.array([[[1.1, -0.7]], [[-0.9, 1.3]]]) * scale
    return Case(lambda g: g("RNN", g.w(2, 1, 2, values=x), g.w(1, 2, 2, values=[[[0.9, 0.1], [0.2, 0.8]]]), g.w(1, 2, 2, low=0, high=0.1),
                            outputs=1, hidden_size=2, activations=[activation], activation_alpha=[0.3], activation_beta=[0.4]))


def large(case):
    """The difference of large numbers has fewer digits."""
    return dataclasses.replace(case, step=0.01, tolerance=1e-6)


POINTWISE = {
    "neg": unary("Neg"), "abs": unary("Abs"), "exp": unary("Exp"), "log": unary("Log", 0.2, 2), "sqrt": unary("Sqrt", 0.2, 2),
    "tanh": unary("Tanh"), "erf": unary("Erf"), "sin": unary("Sin"), "cos": unary("Cos"), "tan": unary("Tan", -1, 1),
    "asin": unary("Asin", -0.9, 0.9), "acos": unary("Acos", -0.9, 0.9), "atan": unary("Atan"), "sinh": unary("Sinh"), "cosh": unary("Cosh"),
    "asinh": unary("Asinh"), "acosh": unary("Acosh", 1.2, 3), "atanh": unary("Atanh", -0.9, 0.9), "reciprocal": unary("Reciprocal"),
    "sign": Case(unary("Sign").build, flat=True), "floor": Case(unary("Floor").build, flat=True),
    "ceil": Case(unary("Ceil").build, flat=True), "round": Case(unary("Round", -1.4, 1.4).build, flat=True),
    "relu": unary("Relu"), "leaky_relu": unary("LeakyRelu"), "elu": unary("Elu"), "selu": unary("Selu"), "celu": unary("Celu", alpha=0.7),
    "gelu": unary("Gelu"), "gelu tanh": unary("Gelu", approximate="tanh"), "sigmoid": unary("Sigmoid"),
    "hard_sigmoid": unary("HardSigmoid", -4, 4), "hard_swish": unary("HardSwish", -4, 4), "softplus": unary("Softplus", -9, 9),
    "softsign": unary("Softsign"), "mish": unary("Mish"), "thresholded_relu": unary("ThresholdedRelu", alpha=0.4),
    "prelu": binary("PRelu", (2, 3), (3,)), "clip": on(2, 3)(lambda g, w: g("Clip", w, g.c(-0.8), g.c(0.9))),

    "add": binary("Add"), "sub": binary("Sub"), "mul": binary("Mul"), "div": binary("Div"),
    "add to a row": binary("Add", (2, 3), (3,)), "sub of a column": binary("Sub", (2, 1), (2, 3)), "mul both ways": binary("Mul", (2, 1), (1, 3)),
    "div by a scalar": binary("Div", (2, 3), ()), "max": binary("Max"), "min": binary("Min"),
    "max of three": Case(lambda g: g("Max", g.w(2, 3), g.w(3), g.w(2, 1))), "mean of two": binary("Mean"),
    "rem": Case(lambda g: g("Mod", g.w(2, 3, low=-5, high=5), g.w(2, 3, low=1.1, high=2), fmod=1)),
    "mod": Case(lambda g: g("GridSample", g.c(g.numbers((1, 1, 4, 5), -1.0, 1.0)), g.w(1, 2, 2, 2, low=-2.9, high=2.9),
                            padding_mode="reflection", align_corners=1)),
    "pow": binary("Pow", low=0.2, high=2),
    "pow with a negative exponent": Case(lambda g: g("Pow", g.w(2, 3, low=0.3, high=2), g.w(3, low=-2, high=-1))),
    "pow of a negative base": on(2, 3)(lambda g, w: g("Pow", w, g.c(np.array([4.0, 5.0, -3.0])))),
    "pow with exponent 0": on(2, 3)(lambda g, w: g("Pow", w, g.c(np.array([0.0, 1.0, 2.0])))),
    "square": on(2, 3)(lambda g, w: g("Pow", w, g.c(2.0))), "a value twice": on(2, 3)(lambda g, w: g("Mul", g("Exp", w), g("Add", w, w))),

    "select": Case(lambda g: g("Where", g.c(np.array([[True, False, True], [False, False, True]])), g.w(2, 3), g.w(2, 3))),
    "select by a broadcast": Case(lambda g: g("Where", g.c(np.array([True, False, True])), g.w(2, 1), g.w())),
    "select by the weight": on(2, 3)(lambda g, w: g("Where", g("Greater", w, g.c(0.25)), g("Exp", w), g("Sin", w))),
    "cast to float32": Case(lambda g: g("Cast", g("Cast", g.w(2, 3), to=1), to=11), step=0.25, tolerance=1e-6),
    "cast to float16": Case(lambda g: g("Cast", g("Cast", g.w(2, 3), to=10), to=11), step=0.25, tolerance=1e-2),
    "cast to integers": Case(lambda g: g("Cast", g("Cast", g.w(2, 3), to=7), to=11), flat=True),
}

SHAPES = {
    "broadcast": on(2, 1, 3)(lambda g, w: g("Expand", w, g.c([4, 2, 3, 3]))), "broadcast a scalar": on()(lambda g, w: g("Expand", w, g.c([2, 3]))),
    "broadcast to the same": on(2, 1)(lambda g, w: g("Expand", w, g.c([1, 1]))),
    "tile": on(2, 3)(lambda g, w: g("Tile", w, g.c([2, 3]))),
    "reshape": on(2, 6)(lambda g, w: g("Softmax", g("Reshape", w, g.c([3, 4])), axis=1)),
    "flatten": on(2, 3, 2)(lambda g, w: g("Softmax", g("Flatten", w, axis=2), axis=0)),
    "squeeze": on(2, 1, 3)(lambda g, w: g("Unsqueeze", g("Squeeze", w, g.c([1])), g.c([0, 3]))),
    "transpose": on(2, 3, 2)(lambda g, w: g("Mul", g("Transpose", w, perm=[1, 2, 0]), g.w(3, 2, 2))),
    "transpose to and fro": on(2, 3)(lambda g, w: g("MatMul", w, g("Transpose", w))),
    "slice": on(3, 4)(lambda g, w: g("Slice", w, g.c([1, 1]), g.c([3, 3]))),
    "slice with steps": on(3, 4)(lambda g, w: g("Slice", w, g.c([0, 1]), g.c([3, 4]), g.c([0, 1]), g.c([2, 2]))),
    "slice a step that leaves a rest": on(12)(lambda g, w: g("Slice", w, g.c([1]), g.c([11]), g.c([0]), g.c([4]))),
    "slice of nothing": on(3)(lambda g, w: (g("Slice", w, g.c([2]), g.c([2])), g("Exp", w))),
    "reverse": on(2, 5)(lambda g, w: g("Slice", w, g.c([4]), g.c([-9]), g.c([1]), g.c([-1]))),
    "reverse with steps": on(3, 4)(lambda g, w: g("Slice", w, g.c([2, 3]), g.c([-9, 0]), g.c([0, 1]), g.c([-1, -2]))),
    "pad": Case(lambda g: g("Pad", g.w(2, 3), g.c([1, 0, 2, 3]), g.w())),
    "pad and cut": on(2, 4)(lambda g, w: g("Pad", w, g.c([1, -1, 0, 2]))),
    "pad by reflection": on(2, 4)(lambda g, w: g("Pad", w, g.c([1, 2, 1, 3]), mode="reflect")),
    "pad by the edge": on(2, 3)(lambda g, w: g("Pad", w, g.c([1, 2, 1, 0]), mode="edge")),
    "pad by wrapping": on(2, 3)(lambda g, w: g("Pad", w, g.c([1, 2, 1, 0]), mode="wrap")),
    "concat": Case(lambda g: g("Concat", g.w(2, 3), g.w(2, 1), g.c(np.ones((2, 2))), g.w(2, 2), axis=1)),
    "concat along the first": Case(lambda g: g("Concat", g.w(1, 3), g.w(2, 3), axis=0)),
    "concat the same twice": on(2, 3)(lambda g, w: g("Concat", w, g("Neg", w), w, axis=-1)),
    "split": on(2, 6)(lambda g, w: (lambda a, b, c: (a, g("Exp", c)))(*g("Split", w, g.c([2, 1, 3]), outputs=3, axis=1))),
    "depth_to_space": on(1, 4, 1, 2)(lambda g, w: g("DepthToSpace", w, blocksize=2)),
    "trilu": on(3, 3)(lambda g, w: g("Trilu", w, upper=1)),
}

INDICES = {
    "gather": on(4, 3)(lambda g, w: g("Gather", w, g.c([[2, 0], [2, 3]]))),
    "gather along the last": on(2, 2, 3)(lambda g, w: g("Gather", w, g.c([2, 0, 2, 2]), axis=2)),
    "gather along the middle": on(2, 3, 2)(lambda g, w: g("Gather", w, g.c([[0, 2], [2, 1]]), axis=1)),
    "gather from the end": on(4, 3)(lambda g, w: g("Gather", w, g.c([-1, 1, -4, 3]))),
    "gather one": on(4, 3)(lambda g, w: g("Gather", w, g.c(-2), axis=0)),
    "gather_nd": on(2, 3, 2)(lambda g, w: g("GatherND", w, g.c([[0, 1], [1, 2], [0, 1]]))),
    "gather_nd elements": on(3, 4)(lambda g, w: g("GatherND", w, g.c([[[0, 1]], [[-1, -4]], [[2, 0]]]))),
    "gather_nd in batches": on(2, 3, 2)(lambda g, w: g("GatherND", w, g.c([[[2], [0]], [[1], [1]]]), batch_dims=1)),
    "gather_elements": on(3, 4)(lambda g, w: g("GatherElements", w, g.c([[0, 0, 3], [1, -1, 2]]), axis=1)),
    "gather_elements along the first": on(3, 4)(lambda g, w: g("GatherElements", w, g.c([[0, 2, 1, -3]]), axis=0)),
    "reverse_sequence": on(4, 3)(lambda g, w: g("ReverseSequence", w, g.c([2, 4, 1]))),
    "scatter_nd": Case(lambda g: g("ScatterND", g.w(4, 3), g.c([[2], [0]]), g.w(2, 3))),
    "scatter_nd from the end": Case(lambda g: g("ScatterND", g.w(2, 3), g.c([[-1, 1], [0, -3]]), g.w(2))),
    "scatter_nd add": Case(lambda g: g("ScatterND", g.w(4, 3), g.c([[2], [0], [2]]), g.w(3, 3), reduction="add")),
    "scatter_elements": Case(lambda g: g("ScatterElements", g.w(3, 4), g.c([[1, 3], [0, -2]]), g.w(2, 2), axis=1)),
    "scatter_elements add": Case(lambda g: g("ScatterElements", g.w(3, 4), g.c([[1, 1], [0, -4]]), g.w(2, 2), axis=1, reduction="add")),
    "scatter_elements along the first": Case(lambda g: g("ScatterElements", g.w(3, 2), g.c([[2, 0], [1, 2]]), g.w(2, 2), axis=0)),
    "sort": on(2, 5)(lambda g, w: g("TopK", w, g.c([5]), outputs=2)[0]),
    "sort a few": on(2, 5)(lambda g, w: g("TopK", w, g.c([2]), outputs=2, largest=0)[0]),
    "sort along the first": on(4, 3)(lambda g, w: g("TopK", w, g.c([3]), outputs=2, axis=0)[0]),
    "one_hot": Case(lambda g: g("OneHot", g.c([0, 2, -1]), g.c(4), g.w(2))),
    "max_unpool": on(1, 1, 2, 2)(lambda g, w: g("MaxUnpool", w, g.c([[[[5, 7], [13, 15]]]]), kernel_shape=[2, 2], strides=[2, 2])),
    "grid_sample": Case(lambda g: g("GridSample", g.w(1, 1, 3, 3), g.w(1, 2, 2, 2, low=-0.9, high=0.9))),
    "resize": on(1, 1, 3, 4)(lambda g, w: g("Resize", w, "", g.c(np.array([1, 1, 2, 1.5], np.float32)), mode="linear")),
}


def axes_of(name, op, **bounds):
    return {f"{name} of {text}": reduction(op, axes, keepdims, **bounds)
            for text, axes, keepdims in [("all", None, 0), ("the last", [2], 0), ("the first", [0], 1), ("the middle", [1], 0), ("two", [0, 2], 1)]}


REDUCTIONS = {
    **axes_of("sum", "ReduceSum"), **axes_of("mean", "ReduceMean"), **axes_of("prod", "ReduceProd"), **axes_of("max", "ReduceMax"),
    **axes_of("min", "ReduceMin"), "log_sum_exp": reduction("ReduceLogSumExp", [1], 0), "l1": reduction("ReduceL1", [1], 0),
    "l2": reduction("ReduceL2", [1], 0), "sum_square": reduction("ReduceSumSquare", [0, 1], 0),
    "log_sum": reduction("ReduceLogSum", [1], 0, low=0.2, high=2),
    "prod with zeros": Case(lambda g: g("ReduceProd", g.w(values=[[1.2, 0.0, -0.7], [0.0, 0.5, 0.0], [0.8, -2.0, 1.1]]), g.c([1]))),
    "arg_max": on(2, 3)(lambda g, w: g("Mul", w, g("Cast", g("ArgMax", w, axis=1), to=11))),
    **{f"scan{' exclusive' * exclusive}{' reverse' * reverse} {axis}": on(2, 3, 2)(
        lambda g, w, axis=axis, exclusive=exclusive, reverse=reverse: g("CumSum", w, g.c(axis), exclusive=exclusive, reverse=reverse))
       for axis, exclusive, reverse in [(0, 0, 0), (1, 1, 0), (2, 0, 1), (1, 1, 1), (-2, 0, 1)]},
    "average_pool": on(1, 1, 3, 4)(lambda g, w: g("AveragePool", w, kernel_shape=[2, 2])),
    "average_pool strides": on(1, 2, 6)(lambda g, w: g("AveragePool", w, kernel_shape=[3], strides=[2])),
    "average_pool pads": on(1, 1, 3, 4)(lambda g, w: g("AveragePool", w, kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1])),
    "average_pool counts pads": on(1, 1, 3, 4)(lambda g, w: g("AveragePool", w, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)),
    "average_pool dilations": on(1, 1, 10)(lambda g, w: g("AveragePool", w, kernel_shape=[3], dilations=[2], strides=[2], ceil_mode=1)),
    "global_average_pool": on(2, 1, 3, 2)(lambda g, w: g("GlobalAveragePool", w)),
    "max_pool": on(1, 1, 3, 4)(lambda g, w: g("MaxPool", w, kernel_shape=[2, 2], strides=[2, 2])),
    "max_pool overlapping": on(1, 1, 4, 4)(lambda g, w: g("MaxPool", w, kernel_shape=[3, 2])),
    "max_pool strides, pads": on(1, 1, 4, 4)(lambda g, w: g("MaxPool", w, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])),
    "max_pool dilations": on(1, 2, 7)(lambda g, w: g("MaxPool", w, kernel_shape=[2], dilations=[3], pads=[1, 2])),
    "max_pool ceil": on(1, 1, 9)(lambda g, w: g("MaxPool", w, kernel_shape=[3], strides=[4], ceil_mode=1)),
    "max_pool 3-D": on(1, 1, 2, 3, 2)(lambda g, w: g("MaxPool", w, kernel_shape=[2, 2, 2])),
    "global_max_pool": on(2, 1, 3, 2)(lambda g, w: g("GlobalMaxPool", w)),
    "lp_pool": on(1, 1, 3, 4)(lambda g, w: g("LpPool", w, kernel_shape=[2, 2], p=2)),
}


def conv(x, kernel, **attributes):
    return Case(lambda g: g("Conv", g.w(*x), g.w(*kernel), **attributes))


def conv_transpose(x, kernel, **attributes):
    return Case(lambda g: g("ConvTranspose", g.w(*x), g.w(*kernel), **attributes))


def einsum(equation, *shapes):
    return Case(lambda g: g("Einsum", *[g.w(*shape) for shape in shapes], equation=equation))


CONTRACTIONS = {
    "dot": binary("MatMul", (2, 3), (3, 4)), "dot of vectors": binary("MatMul", (4,), (4,)), "dot with a vector": binary("MatMul", (2, 3), (3,)),
    "dot of a vector": binary("MatMul", (3,), (2, 3, 2)), "dot in batches": binary("MatMul", (2, 2, 3), (2, 3, 2)),
    "dot with broadcast batches": binary("MatMul", (2, 1, 2, 3), (2, 3, 2)), "dot with one matrix": binary("MatMul", (2, 2, 3), (3, 2)),
    "dot with one matrix on the left": binary("MatMul", (2, 3), (2, 3, 2)), "dot of itself": on(3, 3)(lambda g, w: g("MatMul", w, w)),
    **{f"gemm{' left' * a}{' right' * b} transposed": Case(lambda g, a=a, b=b: g("Gemm", g.w(*((3, 2) if a else (2, 3))),
                                                                                 g.w(*((4, 3) if b else (3, 4))),
                                                                          g.w(4), transA=a, transB=b, alpha=0.5, beta=2.0))
       for a in (0, 1) for b in (0, 1)},
    "einsum": einsum("bij,bjk->bik", (2, 2, 3), (2, 3, 2)), "einsum crosswise": einsum("bqhd,bkhd->bhqk", (1, 2, 2, 2), (1, 3, 2, 2)),
    "einsum over two": einsum("ijk,kjl->li", (2, 3, 2), (2, 3, 2)), "einsum outer": einsum("i,j->ji", (3,), (4,)),
    "einsum with a sum": einsum("ij,jk->k", (3, 2), (2, 3)), "einsum diagonal": einsum("ii->i", (3, 3)),
    "einsum of three": einsum("ij,jk,kl->il", (2, 2), (2, 3), (3, 2)),

    "conv": conv((1, 2, 3, 4), (2, 2, 2, 2)), "conv 1-D": conv((2, 2, 5), (3, 2, 2)), "conv 3-D": conv((1, 1, 3, 2, 3), (2, 1, 2, 2, 2)),
    "conv one by one": conv((2, 2, 2, 2), (3, 2, 1, 1)), "conv pads": conv((1, 1, 3, 4), (2, 1, 3, 3), pads=[1, 1, 1, 1]),
    "conv uneven pads": conv((1, 1, 3, 4), (1, 1, 2, 3), pads=[0, 2, 1, 0]), "conv pads beyond the kernel": conv((1, 1, 4), (1, 1, 2), pads=[3, 2]),
    "conv strides": conv((1, 1, 5, 5), (1, 1, 3, 3), strides=[2, 2]), "conv strides with a rest": conv((1, 1, 6, 4), (1, 1, 3, 2), strides=[2, 3]),
    "conv strides beyond the kernel": conv((1, 2, 8), (1, 2, 2), strides=[3]),
    "conv strides, pads": conv((1, 1, 4, 5), (2, 1, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1]),
    "conv dilations": conv((1, 1, 5, 5), (1, 1, 2, 2), dilations=[2, 3]),
    "conv dilations, strides, pads": conv((1, 1, 6, 5), (1, 1, 2, 2), dilations=[2, 2], strides=[2, 1], pads=[1, 0, 2, 1]),
    "conv groups": conv((1, 4, 3, 2), (4, 2, 2, 2), group=2), "conv groups, strides": conv((2, 4, 5), (6, 2, 2), group=2, strides=[2], pads=[1, 1]),
    "conv groups, dilations": conv((1, 4, 6), (2, 2, 2), group=2, dilations=[2]),
    "depthwise": conv((1, 3, 3, 3), (3, 1, 2, 2), group=3),
    "depthwise strides": conv((1, 3, 5, 3), (3, 1, 3, 3), group=3, strides=[2, 2], pads=[1, 1, 1, 1]),
    "depthwise with two filters": conv((2, 2, 4), (4, 1, 2), group=2),
    "conv bias": Case(lambda g: g("Conv", g.w(1, 2, 3, 3), g.w(2, 2, 2, 2), g.w(2))),
    "conv same": conv((1, 1, 4, 4), (1, 1, 3, 2), auto_pad="SAME_UPPER", strides=[2, 2]),
    "conv_transpose": conv_transpose((1, 2, 2, 3), (2, 2, 2, 2)),
    "conv_transpose strides": conv_transpose((1, 2, 2, 3), (2, 1, 3, 2), strides=[2, 2]),
    "conv_transpose 1-D": conv_transpose((2, 2, 3), (2, 2, 3), strides=[3], pads=[1, 1], output_padding=[1]),
    "conv_transpose pads": conv_transpose((1, 1, 3, 3), (1, 2, 3, 3), strides=[2, 2], pads=[1, 1, 1, 0]),
    "conv_transpose dilations": conv_transpose((1, 1, 3, 3), (1, 1, 2, 2), dilations=[2, 2], strides=[2, 1]),
    "conv_transpose groups": conv_transpose((1, 4, 2, 2), (4, 1, 2, 2), group=2, strides=[2, 2]),
    "conv_transpose 3-D": conv_transpose((1, 1, 2, 2, 2), (1, 1, 2, 1, 2), strides=[1, 2, 2]),
}

COMPOSITIONS = {
    "softmax": unary("Softmax", axis=-1), "softmax along the first": unary("Softmax", axis=0), "log_softmax": unary("LogSoftmax", axis=1),
    "layer_norm": Case(lambda g: g("LayerNormalization", g.w(2, 4), g.w(4), g.w(4))),
    "layer_norm over two": Case(lambda g: g("LayerNormalization", g.w(2, 2, 3), g.w(2, 3), axis=1)),
    "instance_norm": Case(lambda g: g("InstanceNormalization", g.w(1, 2, 4), g.w(2), g.w(2))),
    "group_norm": Case(lambda g: g("GroupNormalization", g.w(1, 4, 3), g.w(4), g.w(4), num_groups=2)),
    "batch_norm": Case(lambda g: g("BatchNormalization", g.w(2, 2, 3), g.w(2), g.w(2), g.w(2), g.w(2, low=0.3, high=1))),
    "lp_norm": unary("LpNormalization"), "local_response": on(1, 4, 3)(lambda g, w: g("LRN", w, size=3, alpha=0.5)),
    "attention": Case(lambda g: g("MatMul", g("Softmax", g("MatMul", g.w(1, 2, 3), g("Transpose", g.w(1, 3, 3), perm=[0, 2, 1]))), g.w(1, 3, 2))),
    "lstm": Case(lambda g: g("LSTM", g.w(2, 1, 2), g.w(1, 8, 2), g.w(1, 8, 2), g.w(1, 16), outputs=1, hidden_size=2)),
    "gru": Case(lambda g: g("GRU", g.w(2, 1, 2), g.w(1, 6, 2), g.w(1, 6, 2), outputs=1, hidden_size=2)),
    "rnn": Case(lambda g: g("RNN", g.w(2, 1, 2), g.w(1, 2, 2), g.w(1, 2, 2), outputs=1, hidden_size=2)),
    **{f"rnn {name.lower()}": recurrent(name) for name in RECURRENT},
    # e^1000 is infinite: the side of a function that is not chosen must not reach the derivative
    **{f"rnn {name.lower()} of large numbers": large(recurrent(name, 1000.0)) for name in ("Relu", "LeakyRelu", "Elu", "Softplus", "Affine")},
    **{f"{name.lower()} of large numbers": large(unary(name, 900, 1100)) for name in ("Elu", "Selu", "Celu", "Softplus", "Mish")},
    "sigmoid of large negative numbers": Case(unary("Sigmoid", -1100, -900).build, flat=True),
    "network": Case(lambda g: g("Gemm", g("Flatten", g("MaxPool", g("Relu", g("Conv", g.w(1, 1, 4, 4), g.w(2, 1, 3, 3), g.w(2), pads=[1, 1, 1, 1])),
                                          kernel_shape=[2, 2], strides=[2, 2])), g.w(8, 3), g.w(3))),
}


def dynamic(*shape, weight=None):
    """A case on x[n, shape...] * w."""
    return lambda function: Case(lambda g: function(g, g("Mul", g.x("n", *shape), g.w(*(weight or shape)))))


DYNAMIC = {
    "broadcast": dynamic(3)(lambda g, y: g("Add", y, g.w(3))), "broadcast a scalar": dynamic(3)(lambda g, y: g("Mul", g("Sin", y), g.w())),
    "expand": Case(lambda g: g("Expand", g.w(1, 3), g("Shape", g.x("n", 3)))),
    "stretch": dynamic(3)(lambda g, y: g("Mul", y, g("Sin", g("Slice", y, g.c([0]), g.c([2**62]), g.c([0]), g.c([9]))))),  # of how many rows?
    "broadcast of one number": dynamic(3, weight=(1,))(lambda g, y: g("Add", y, g("ReduceMean", y, g.c([0])))),
    "sum": dynamic(2, 3)(lambda g, y: g("ReduceSum", y, g.c([1]))),
    "mean over n": dynamic(3)(lambda g, y: g("Exp", g("Sub", y, g("ReduceMean", y, g.c([0]))))),
    "max": dynamic(2, 3)(lambda g, y: g("ReduceMax", y, g.c([2]))), "max over n": dynamic(3)(lambda g, y: g("Sub", y, g("ReduceMax", y, g.c([0])))),
    "prod": dynamic(2, 3)(lambda g, y: g("ReduceProd", y, g.c([1]))),
    "prod over n": dynamic(3)(lambda g, y: g("Mul", y, g("ReduceProd", y, g.c([0])))),
    "scan over n": dynamic(3)(lambda g, y: g("CumSum", y, g.c(0), exclusive=1)), "softmax": dynamic(4)(lambda g, y: g("Softmax", y)),
    "softmax over n": dynamic(3)(lambda g, y: g("Softmax", y, axis=0)),
    "layer_norm": dynamic(4)(lambda g, y: g("LayerNormalization", y, g.w(4), g.w(4))),
    "reshape": dynamic(2, 6)(lambda g, y: g("Softmax", g("Reshape", y, g.c([0, 3, 4])))),
    "reshape and back": dynamic(2, 3)(lambda g, y: g("Reshape", g("Softmax", g("Reshape", y, g.c([-1, 3])), axis=1), g.c([-1, 6]))),
    "transpose": dynamic(2, 3)(lambda g, y: g("Transpose", g("Softmax", g("Transpose", y, perm=[2, 0, 1])), perm=[1, 2, 0])),
    "slice": dynamic(6)(lambda g, y: g("Slice", y, g.c([1]), g.c([6]), g.c([1]), g.c([2]))),
    "slices over n": dynamic(2)(lambda g, y: g("Concat", g("Slice", y, g.c([1]), g.c([9]), g.c([0])),
                                               g("Slice", y, g.c([0]), g.c([1]), g.c([0])), axis=0)),
    "reverse over n": dynamic(3)(lambda g, y: g("Slice", y, g.c([-1]), g.c([-99]), g.c([0]), g.c([-1]))),
    "pad": dynamic(3)(lambda g, y: g("Pad", y, g.c([0, 1, 0, 2]), g.w())),
    "concat": dynamic(3)(lambda g, y: g("Concat", y, g("Sin", y), g("Expand", g.w(1, 2), g("Concat",
                                        g("Shape", y, end=1), g.c([1]), axis=0)), axis=1)),
    "concat over n": dynamic(3)(lambda g, y: g("Reshape", g("Concat", y, g("Sin", y), axis=0), g("Concat", g("Shape", y, end=1), g.c([-1]), axis=0))),
    "gather": dynamic(4, 2)(lambda g, y: g("Gather", y, g.c([3, 0, -1]), axis=1)),
    "gather of n": Case(lambda g: g("Gather", g.w(4, 2), g("Cast", g("Abs", g("Mul", g.x("n", 2), g.c(2.0))), to=7))),
    "gather_elements": dynamic(4)(lambda g, y: g("GatherElements", y, g("TopK", g.x("n", 4), g.c([2]), outputs=2)[1], axis=1)),
    "sort": dynamic(4)(lambda g, y: g("TopK", y, g.c([3]), outputs=2)[0]),
    "select": dynamic(3)(lambda g, y: g("Where", g("Less", y, g.c(0.1)), y, g.w(3))),
    "dot": dynamic(3)(lambda g, y: g("MatMul", y, g.w(3, 2))),
    "dot over n": dynamic(3)(lambda g, y: g("MatMul", y, g("MatMul", g("Transpose", y), y))),
    "dot in batches of n": dynamic(2, 3)(lambda g, y: g("MatMul", y, g("Transpose", y, perm=[0, 2, 1]))),
    "gemm": dynamic(3)(lambda g, y: g("Gemm", y, g.w(4, 3), g.w(4), transB=1)),
    "conv": dynamic(2, 3, 3)(lambda g, y: g("Conv", y, g.w(2, 2, 2, 2), g.w(2))),
    "conv strides": dynamic(1, 5, 3)(lambda g, y: g("Conv", y, g.w(2, 1, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1])),
    "conv groups": dynamic(4, 3)(lambda g, y: g("Conv", y, g.w(4, 2, 2), group=2, pads=[1, 0])),
    "conv along n": Case(lambda g: g("Reshape", g("Conv", g("Mul", g.x(1, 2, "n"), g.w(1, 2, 1)), g.w(2, 2, 3), pads=[1, 1]), g("Concat",
                                     g("Shape", g.x("n"), end=1), g.c([-1]), axis=0))),
    "conv_transpose": dynamic(2, 3)(lambda g, y: g("ConvTranspose", y, g.w(2, 1, 3), strides=[2])),
    "max_pool": dynamic(1, 4, 3)(lambda g, y: g("MaxPool", y, kernel_shape=[2, 2], pads=[0, 1, 0, 0])),
    "average_pool": dynamic(1, 4, 3)(lambda g, y: g("AveragePool", y, kernel_shape=[2, 2], strides=[2, 1])),
    "max_pool along n": Case(lambda g: g("Transpose", g("MaxPool",
                                         g("Mul", g.x(1, 2, "n"), g.w(1, 2, 1)), kernel_shape=[3], pads=[1, 1]), perm=[2, 0, 1])),
}

GROUPS = {"pointwise": POINTWISE, "shapes": SHAPES, "indices": INDICES, "reductions": REDUCTIONS, "contractions": CONTRACTIONS,
          "compositions": COMPOSITIONS, "dynamic": DYNAMIC}


@pytest.fixture(scope="module")
def gradients(mlc, tmp_path_factory):
    """gradients(group): made at the first call."""
    made = {}

    def of(group):
        if group not in made:
            made[group] = None
            made[group] = differences.Gradients(GROUPS[group], tmp_path_factory.mktemp(group), mlc)
        assert made[group], "the group's model does not compile or run"
        return made[group]

    return of


@pytest.mark.parametrize("group, case", [(group, case) for group, cases in GROUPS.items() for case in cases])
def test_derivative(gradients, group, case):
    measured, expected = gradients(group), GROUPS[group][case]
    for name in measured.weights[case]:
        analytic, numeric = measured.analytic[name], measured.numeric[name]
        assert numeric.any() != expected.flat, f"the difference of {name} is {numeric}"
        np.testing.assert_allclose(analytic, numeric, rtol=0, atol=expected.tolerance * np.abs(numeric).max(), err_msg=name)


# ---- Every rule has a case -------------------------------------------------------------------------------------------------------

# What no model can reach, or what has nothing to differentiate.
WITHOUT_CASE = {
    "compare": "has a truth value", "is_nan": "has a truth value", "is_inf": "has a truth value", "arg_reduce": "has a position",
    "not": "of integers", "and": "of integers", "or": "of integers", "xor": "of integers", "shl": "of integers", "shr": "of integers",
}
# Rules that differ by the operation's kind.
KINDS = {"reduce": ["sum", "prod", "max", "min"], "scan": ["sum"], "window_reduce": ["sum", "max"],
         "scatter_nd": ["none", "sum"], "scatter_elements": ["none", "sum"]}


def rules(root):
    """The operations of the core dialect that implement Differentiable, by mnemonic; one with kinds once for each."""
    text = "".join(path.read_text() for path in sorted((root / "dialects/core").glob("*.td")))
    bases, mnemonics, direct = {}, {}, set()
    for record in re.split(r"^(?=class |def )", text, flags=re.M):
        header = re.match(r"(?:class|def) (Core_\w+)[^{]*?:\s*(\w+)<(?:\"(\w+)\")?[^{]*", record)
        if not header:
            continue
        bases[header[1]] = header[2]
        if header[3] and header[1].endswith("Op"):
            mnemonics[header[1]] = header[3]
        if "DeclareOpInterfaceMethods<Core_Differentiable>" in header[0]:
            direct.add(header[1])

    def is_differentiable(name):
        return name in direct or (name in bases and is_differentiable(bases[name]))

    named = [mnemonic for name, mnemonic in mnemonics.items() if is_differentiable(name)]
    return {rule for mnemonic in named for rule in ([f"{mnemonic} {kind}" for kind in KINDS[mnemonic]] if mnemonic in KINDS else [mnemonic])}


@pytest.mark.slow
def test_every_rule_has_a_case(root, gradients):
    """Looked up in the compiled models: the operations between a weight and the result."""
    found, wanted = set().union(*[gradients(group).operations() for group in GROUPS]), rules(root)
    assert len(wanted) > 60
    assert sorted(wanted - found - set(WITHOUT_CASE)) == [], "a derivative without a case"
    assert sorted(set(WITHOUT_CASE) - wanted) == [], "a reason for what has no derivative"
