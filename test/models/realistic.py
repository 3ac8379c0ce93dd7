#!/usr/bin/env python3
"""Full-size networks with weights as a trained network has them, made from the graphs that the onnx wheel carries.

data/light of the wheel holds ResNet-50, SqueezeNet and seven more as published, but with every large weight replaced by
ConstantOfShape(0.02): all channels are then equal, and a compiler that mixes up two of them still passes. Here those nodes become
random initializers (fixed seed): He-normal weights, small biases, batch norms near the identity.

    realistic.py resnet50 OUT.onnx
"""
import argparse
import os
import pathlib
import zlib

import numpy as np
import onnx
from onnx import numpy_helper

LIGHT = pathlib.Path(onnx.__file__).parent / "backend/test/data/light"
NAMES = sorted(path.stem.removeprefix("light_") for path in LIGHT.glob("light_*.onnx"))


def roles(graph):
    """What each value is to the node that reads it: "weight", "bias", "scale", "mean" or "variance"."""
    found = {}
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm", "MatMul"):
            names = ["", "weight", "bias"]
        elif node.op_type == "BatchNormalization":
            names = ["", "scale", "bias", "mean", "variance"]
        else:
            continue
        for name, role in zip(node.input, names):
            if role:
                found[name] = role
    return found


def random_weight(name, role, shape):
    """The same numbers for a name and shape whatever else the model holds."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if role == "weight":
        fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else shape[0]
        value = rng.standard_normal(shape) * np.sqrt(2.0 / fan_in)
    elif role in ("scale", "variance"):
        value = rng.uniform(0.5, 1.5, shape)
    else:
        value = 0.1 * rng.standard_normal(shape)
    return value.astype(np.float32)


def residual_branch_ends(graph):
    """Scales of batch norms whose result goes straight into a sum: without damping, sums would double at every block."""
    summed = {name for node in graph.node if node.op_type in ("Sum", "Add") for name in node.input}
    return {node.input[1] for node in graph.node if node.op_type == "BatchNormalization" and node.output[0] in summed}


def realistic(name):
    """The model `name` of the wheel with random weights."""
    path = LIGHT / f"light_{name}.onnx"
    if not path.exists():
        raise SystemExit(f"error: no model {name}; there are {', '.join(NAMES)}")
    model = onnx.load(path)
    graph = model.graph
    small = {tensor.name: tensor for tensor in graph.initializer}
    role_of, damped = roles(graph), residual_branch_ends(graph)

    shapes = {}  # of every weight: those that are computed, and the few small ones that are stored
    for node in graph.node:
        if node.op_type == "ConstantOfShape" and node.input[0] in small:
            shapes[node.output[0]] = [int(size) for size in numpy_helper.to_array(small[node.input[0]])]
    for tensor in graph.initializer:
        if tensor.name in role_of:
            shapes[tensor.name] = list(tensor.dims)

    made = []
    for value, shape in shapes.items():
        array = random_weight(value, role_of.get(value, "bias"), shape)
        made.append(numpy_helper.from_array(array * np.float32(0.3) if value in damped else array, value))
    gone = {node.input[0] for node in graph.node if node.output[0] in shapes} | set(shapes)
    kept_nodes = [node for node in graph.node if node.output[0] not in shapes]
    still_read = {name for node in kept_nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name not in gone and tensor.name in still_read]
    inputs = [value for value in graph.input if value.name not in small]  # IR 3 listed initializers as inputs
    for field, values in ((graph.node, kept_nodes), (graph.initializer, made + kept), (graph.input, inputs)):
        values = [type(values[0]).FromString(value.SerializeToString()) for value in values]
        del field[:]
        field.extend(values)
    model.ir_version = max(model.ir_version, 4)
    onnx.checker.check_model(model)
    return model


def save(name, folder):
    """Writes the model once; later calls find it. Two processes may call this at the same time."""
    path = pathlib.Path(folder) / f"{name}.onnx"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}.tmp")
        onnx.save(realistic(name), unfinished)
        unfinished.rename(path)
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("output", type=pathlib.Path)
    args = parser.parse_args()
    onnx.save(realistic(args.name), args.output)
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
