#!/usr/bin/env python3
"""Trains the digits CNN in plain numpy and writes it as ONNX: the model that quickstart, tests and examples use.

Forward and backward are written by hand, so that the model in this repository owes nothing to a framework, and so that
a reader can compare them with what `mlc compile --train` derives. The seed is fixed. On one machine two runs write the
same bytes; another BLAS may change the last bits of the weights, which is why digits.onnx is committed.

    digits.onnx       trained, image[batch,1,8,8] in [0,1] -> logits[batch,10]
    digits_init.onnx  the same graph with He-uniform random weights: where training examples and their golden file start

    .venv/bin/python examples/digits/train.py [--epochs 60] [--out examples/digits]
"""
import argparse
import pathlib

import data
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MODEL_VERSION = 1
SHAPES = {  # in the order in which they are drawn
    "conv1.weight": (16, 1, 3, 3), "conv1.bias": (16,),
    "conv2.weight": (32, 16, 3, 3), "conv2.bias": (32,),
    "fc.weight": (10, 128), "fc.bias": (10,),
}


def he_uniform(seed):
    """Weights uniform in +-sqrt(6 / fan_in), biases zero."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in SHAPES.items():
        if name.endswith("bias"):
            weights[name] = np.zeros(shape, np.float32)
        else:
            bound = np.sqrt(6.0 / np.prod(shape[1:]))
            weights[name] = rng.uniform(-bound, bound, shape).astype(np.float32)
    return weights


def patches(x):
    """[n,c,h,w] -> [n*h*w, c*9]: the 3x3 neighbourhoods under a padding of one, in the weights' (c, kh, kw) order."""
    n, c, h, w = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(n * h * w, c * 9)


def scatter_patches(columns, shape):
    """The transpose of `patches`: adds every neighbourhood back to where it came from."""
    n, c, h, w = shape
    columns = columns.reshape(n, h, w, c, 3, 3)
    padded = np.zeros((n, c, h + 2, w + 2), columns.dtype)
    for i in range(3):
        for j in range(3):
            padded[:, :, i:i + h, j:j + w] += columns[..., i, j].transpose(0, 3, 1, 2)
    return padded[:, :, 1:-1, 1:-1]


def block_forward(x, weight, bias):
    """3x3 convolution, ReLU, 2x2 max pooling; returns the result and what the backward pass needs."""
    n, _, h, w = x.shape
    channels = weight.shape[0]
    columns = patches(x)
    y = columns @ weight.reshape(channels, -1).T + bias
    y = np.maximum(y, 0).reshape(n, h // 2, 2, w // 2, 2, channels)
    y = y.transpose(0, 5, 1, 3, 2, 4).reshape(n, channels, h // 2, w // 2, 4)
    winner = y.argmax(-1)[..., None]
    return np.take_along_axis(y, winner, -1)[..., 0], (columns, winner, x.shape)


def block_backward(dy, y, weight, saved):
    columns, winner, shape = saved
    n, _, h, w = shape
    channels = weight.shape[0]
    dpool = np.zeros((*dy.shape, 4), dy.dtype)
    np.put_along_axis(dpool, winner, (dy * (y > 0))[..., None], -1)  # ReLU's derivative is 0 where the maximum is 0
    dpool = dpool.reshape(n, channels, h // 2, w // 2, 2, 2).transpose(0, 2, 4, 3, 5, 1).reshape(-1, channels)
    dweight = (dpool.T @ columns).reshape(weight.shape)
    dx = scatter_patches(dpool @ weight.reshape(channels, -1), shape)
    return dx, dweight, dpool.sum(0)


def loss_and_gradients(weights, images, labels):
    y1, saved1 = block_forward(images, weights["conv1.weight"], weights["conv1.bias"])
    y2, saved2 = block_forward(y1, weights["conv2.weight"], weights["conv2.bias"])
    flat = y2.reshape(len(images), -1)
    logits = flat @ weights["fc.weight"].T + weights["fc.bias"]

    shifted = logits - logits.max(1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    rows = np.arange(len(images))
    loss = -log_probabilities[rows, labels].mean()

    dlogits = np.exp(log_probabilities)
    dlogits[rows, labels] -= 1
    dlogits /= len(images)
    gradients = {"fc.weight": dlogits.T @ flat, "fc.bias": dlogits.sum(0)}
    dy2 = (dlogits @ weights["fc.weight"]).reshape(y2.shape)
    dy1, gradients["conv2.weight"], gradients["conv2.bias"] = block_backward(dy2, y2, weights["conv2.weight"], saved2)
    _, gradients["conv1.weight"], gradients["conv1.bias"] = block_backward(dy1, y1, weights["conv1.weight"], saved1)
    return loss, gradients, logits


def check_gradients(weights, images, labels):
    """Compares a few entries of every gradient with central differences in float64.

    The weights are moved a little first: with biases of exactly 0 the blank background sits on ReLU's kink.
    """
    rng = np.random.default_rng(1)
    wide = {name: value + 0.05 * rng.standard_normal(value.shape) for name, value in weights.items()}
    images = images.astype(np.float64)
    _, gradients, _ = loss_and_gradients(wide, images, labels)
    for name, value in wide.items():
        for index in rng.integers(0, value.size, 4):
            step, entry = 1e-6, value.reshape(-1)
            kept = entry[index]
            entry[index] = kept + step
            above, _, _ = loss_and_gradients(wide, images, labels)
            entry[index] = kept - step
            below, _, _ = loss_and_gradients(wide, images, labels)
            entry[index] = kept
            want, got = (above - below) / (2 * step), gradients[name].reshape(-1)[index]
            if abs(want - got) > 1e-4 * max(1e-2, abs(want)):
                raise SystemExit(f"gradient of {name}[{index}]: {got} by hand, {want} by differences")


def shifted_by_a_pixel(images, rng):
    """Each image moved by -1, 0 or 1 pixels along both axes: the writers did not centre their digits either."""
    moved = np.zeros_like(images)
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    for i, (dy, dx) in enumerate(rng.integers(0, 3, (len(images), 2))):
        moved[i] = padded[i, :, dy:dy + 8, dx:dx + 8]
    return moved


def train(weights, images, labels, epochs, seed):
    """Adam with a cosine learning rate from 3e-3 to 0, batches of 64."""
    rng = np.random.default_rng(seed)
    first = {name: np.zeros_like(value) for name, value in weights.items()}
    second = {name: np.zeros_like(value) for name, value in weights.items()}
    batch, step = 64, 0
    steps = epochs * (len(images) // batch)
    for epoch in range(epochs):
        order, total = rng.permutation(len(images)), 0.0
        for start in range(0, len(images) - batch + 1, batch):
            rows = order[start:start + batch]
            loss, gradients, _ = loss_and_gradients(weights, shifted_by_a_pixel(images[rows], rng), labels[rows])
            total += loss
            rate = 3e-3 * 0.5 * (1 + np.cos(np.pi * step / steps))
            step += 1
            for name, gradient in gradients.items():
                first[name] += 0.1 * (gradient - first[name])
                second[name] += 0.001 * (gradient * gradient - second[name])
                mean, square = first[name] / (1 - 0.9**step), second[name] / (1 - 0.999**step)
                weights[name] -= (rate * mean / (np.sqrt(square) + 1e-8)).astype(np.float32)
        if epoch % 10 == 9:
            print(f"epoch {epoch + 1}: loss {total / (len(images) // batch):.4f}")
    return weights


def to_onnx(weights):
    nodes = [
        helper.make_node("Conv", ["image", "conv1.weight", "conv1.bias"], ["conv1.out"], "conv1",
                         kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv1.out"], ["relu1.out"], "relu1"),
        helper.make_node("MaxPool", ["relu1.out"], ["pool1.out"], "pool1", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["pool1.out", "conv2.weight", "conv2.bias"], ["conv2.out"], "conv2",
                         kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv2.out"], ["relu2.out"], "relu2"),
        helper.make_node("MaxPool", ["relu2.out"], ["pool2.out"], "pool2", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["pool2.out"], ["flat"], "flatten", axis=1),
        helper.make_node("Gemm", ["flat", "fc.weight", "fc.bias"], ["logits"], "fc", transB=1),
    ]
    graph = helper.make_graph(
        nodes, "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(weights[name], name) for name in SHAPES])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
                              producer_name="mlc examples/digits/train.py", model_version=MODEL_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    args = parser.parse_args()

    (images, labels), (held_images, held_labels) = data.split()
    initial = he_uniform(seed=0)
    check_gradients(initial, images[:8], labels[:8])
    onnx.save(to_onnx(initial), args.out / "digits_init.onnx")

    weights = train({name: value.copy() for name, value in initial.items()}, images, labels, args.epochs, seed=0)
    _, _, logits = loss_and_gradients(weights, held_images, held_labels)
    accuracy = (logits.argmax(1) == held_labels).mean()
    onnx.save(to_onnx(weights), args.out / "digits.onnx")
    print(f"held-out accuracy: {100 * accuracy:.2f} % of {len(held_labels)} images")
    if accuracy < 0.975:
        raise SystemExit("error: below 97.5 %, digits.onnx is not good enough for the quickstart")


if __name__ == "__main__":
    main()
