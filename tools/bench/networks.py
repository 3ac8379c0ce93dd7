"""Graphs that are made here, with random weights as a trained network has them: MobileNetV2, single operators.

Everything else that is measured comes from files: the graphs of the onnx wheel (test/models/realistic.py) and of this repository,
some of which grown.py enlarges.
"""
import re
import zlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def normal(name, shape, deviation):
    """The same numbers for a name and shape whatever else the model holds."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return (rng.standard_normal(shape, np.float32) * np.float32(deviation)).astype(np.float32)


# MobileNetV2 ----------------------------------------------------------------------------------------------------------


class Network:
    """A graph under construction; every method adds nodes and returns the name of its result."""

    def __init__(self):
        self.nodes, self.weights = [], []

    def weight(self, name, value):
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def node(self, operator, inputs, **attributes):
        output = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def conv(self, x, channels_in, channels, kernel=1, stride=1, groups=1, damping=1.0):
        """With a bias, as exporters write a convolution and the batch norm that they folded into it."""
        name = f"conv{len(self.weights) // 2}"
        fan_in = channels_in // groups * kernel * kernel
        filters = normal(f"{name}.weight", (channels, channels_in // groups, kernel, kernel), damping * (2 / fan_in) ** 0.5)
        inputs = [x, self.weight(f"{name}.weight", filters), self.weight(f"{name}.bias", normal(f"{name}.bias", channels, 0.1))]
        return self.node("Conv", inputs, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[kernel // 2] * 4,
                         dilations=[1, 1], group=groups)

    def model(self, inputs, outputs):
        values = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in side.items()]
                  for side in (inputs, outputs)]
        made = helper.make_model(helper.make_graph(self.nodes, "bench", *values, self.weights),
                                 opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(made)
        return made


def mobilenetv2():
    """MobileNetV2 1.0 at 224x224 (Sandler et al. 2018, table 2), batch symbolic, as torchvision's model is exported."""
    net = Network()
    low, high = net.weight("zero", np.float32(0)), net.weight("six", np.float32(6))

    def relu6(x):
        return net.node("Clip", [x, low, high])

    x, channels = relu6(net.conv("image", 3, 32, kernel=3, stride=2)), 32
    for expansion, out, repeats, first_stride in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                                                  (6, 160, 3, 2), (6, 320, 1, 1)]:
        for stride in [first_stride] + [1] * (repeats - 1):
            wide, y = expansion * channels, x
            if expansion > 1:
                y = relu6(net.conv(y, channels, wide))
            y = relu6(net.conv(y, wide, wide, kernel=3, stride=stride, groups=wide))
            is_residual = stride == 1 and channels == out
            y = net.conv(y, wide, out, damping=0.5 if is_residual else 1.0)
            x, channels = net.node("Add", [x, y]) if is_residual else y, out
    x = relu6(net.conv(x, channels, 1280))
    x = net.node("Flatten", [net.node("GlobalAveragePool", [x])], axis=1)
    dense = [net.weight("dense.weight", normal("dense.weight", (1000, 1280), 1280 ** -0.5)),
             net.weight("dense.bias", normal("dense.bias", 1000, 0.1))]
    net.nodes.append(helper.make_node("Gemm", [x, *dense], ["logits"], name="dense", transB=1))
    return net.model({"image": ["batch", 3, 224, 224]}, {"logits": ["batch", 1000]})


# Recurrent ------------------------------------------------------------------------------------------------------------


def recurrent(operator, inputs=128, hidden=256, layers=2, classes=10):
    """A classifier of sequences as PyTorch exports it: layers of LSTM or GRU over [sequence, batch, features], and a dense layer on
    the last step."""
    net, gates = Network(), {"LSTM": 4, "GRU": 3}[operator]
    deviation = hidden ** -0.5 / 2

    def weight(name, *shape):
        return net.weight(name, normal(f"{operator}.{name}", shape, deviation))

    x = "features"
    for layer in range(layers):
        width = hidden if layer else inputs
        weights = [weight(f"w{layer}", 1, gates * hidden, width), weight(f"r{layer}", 1, gates * hidden, hidden),
                   weight(f"b{layer}", 1, 2 * gates * hidden)]
        attributes = {"linear_before_reset": 1} if operator == "GRU" else {}
        x = net.node(operator, [x, *weights], hidden_size=hidden, **attributes)
        x = net.node("Squeeze", [x, net.weight(f"direction{layer}", np.array([1]))])
    last = net.node("Gather", [x, net.weight("last", np.int64(-1))], axis=0)
    net.nodes.append(helper.make_node("Gemm", [last, weight("dense", classes, hidden), weight("bias", classes)], ["logits"], transB=1))
    return net.model({"features": ["sequence", "batch", inputs]}, {"logits": ["batch", classes]})


# single operators -----------------------------------------------------------------------------------------------------

MATMUL = re.compile(r"matmul-(\d+)x(\d+)x(\d+)")
BATCH_MATMUL = re.compile(r"matmul-(\d+)x(\d+)x(\d+)x(\d+)")
CONV = re.compile(r"conv-(\d+)x(\d+)x(\d+)-(\d+)(?:-k(\d+))?(?:-s(\d+))?(-depthwise)?")

# The shapes of BERT-base at sequence 128: projection, both feed-forward layers, one row; scores and context; then squares.
MATMULS = ["matmul-128x768x768", "matmul-128x768x3072", "matmul-128x3072x768", "matmul-1x768x3072", "matmul-12x128x64x128",
           "matmul-12x128x128x64", "matmul-512x512x512", "matmul-1024x1024x1024"]
# Of ResNet-50: stem, 3x3 of every stage, 1x1 of first and last, a strided one; of MobileNetV2: three depthwise ones.
CONVS = ["conv-3x224x224-64-k7-s2", "conv-64x56x56-64-k3", "conv-128x28x28-128-k3", "conv-256x14x14-256-k3", "conv-512x7x7-512-k3",
         "conv-64x56x56-256", "conv-256x56x56-64", "conv-1024x14x14-256", "conv-512x7x7-2048", "conv-128x56x56-128-k3-s2",
         "conv-32x112x112-32-k3-depthwise", "conv-144x56x56-144-k3-s2-depthwise", "conv-576x14x14-576-k3-depthwise"]


def matmul(rows, depth, columns):
    """x W + b with a constant W, as a linear layer is exported."""
    net = Network()
    weight = net.weight("weight", normal("weight", (depth, columns), (1 / depth) ** 0.5))
    product = net.node("MatMul", ["x", weight])
    net.nodes.append(helper.make_node("Add", [net.weight("bias", normal("bias", columns, 0.1)), product], ["y"], name="bias"))
    return net.model({"x": [1, rows, depth]}, {"y": [1, rows, columns]})


def batch_matmul(batch, rows, depth, columns):
    """A batched product of two inputs: no operand can be packed at compile time."""
    net = Network()
    net.nodes.append(helper.make_node("MatMul", ["a", "b"], ["y"], name="matmul"))
    return net.model({"a": [1, batch, rows, depth], "b": [1, batch, depth, columns]}, {"y": [1, batch, rows, columns]})


def conv(channels_in, height, width, channels, kernel, stride, depthwise):
    """A convolution with bias and ReLU."""
    net = Network()
    x = net.conv("x", channels_in, channels, kernel, stride, channels_in if depthwise else 1)
    net.nodes.append(helper.make_node("Relu", [x], ["y"], name="relu"))
    shape = [1, channels, *((size - 1) // stride + 1 for size in (height, width))]
    return net.model({"x": [1, channels_in, height, width]}, {"y": shape})


def single_operator(name):
    """The model of a name such as matmul-128x768x3072 or conv-64x56x56-64-k3-s2; None if it is no such name."""
    if match := MATMUL.fullmatch(name):
        return matmul(*map(int, match.groups()))
    if match := BATCH_MATMUL.fullmatch(name):
        return batch_matmul(*map(int, match.groups()))
    if match := CONV.fullmatch(name):
        *sizes, kernel, stride, depthwise = match.groups()
        return conv(*map(int, sizes), int(kernel or 1), int(stride or 1), bool(depthwise))
    return None
