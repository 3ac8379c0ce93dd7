#!/usr/bin/env python3
"""How the time that `mlc compile` takes grows with the number of nodes: graphs of one kind at growing sizes, all of whose sizes are open.

    .venv/bin/python tools/bench/compile_time.py                    every kind, up to 4000 nodes
    .venv/bin/python tools/bench/compile_time.py windows --nodes 8000

`power` is p in time ~ nodes^p between a size and the one before it: 1 is linear. Exit code 1: a graph did not compile.
"""
import argparse
import math
import sys
import tempfile
import pathlib

import numpy as np
import onnx
import sides
from networks import normal
from onnx import TensorProto, helper, numpy_helper


class Graph:
    """Nodes one after the other on float x."""

    def __init__(self, dims):
        self.dims, self.nodes, self.constants = dims, [], []

    def constant(self, value):
        self.constants.append(numpy_helper.from_array(np.asarray(value), f"c{len(self.constants)}"))
        return self.constants[-1].name

    def weight(self, *shape):
        return self.constant(normal(f"w{len(self.constants)}", shape, 0.1))

    def node(self, op, *inputs, **attributes):
        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name + "_y"], name=name, **attributes))
        return name + "_y"

    def model(self, result):
        value = helper.make_tensor_value_info
        graph = helper.make_graph(self.nodes, "grown", [value("x", TensorProto.FLOAT, self.dims)],
                                  [value(result, TensorProto.FLOAT, None)], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def chain(nodes):
    """Pointwise operators that become few kernels."""
    g, y = Graph(["n", 64]), "x"
    while len(g.nodes) < nodes:
        y = g.node("Add", g.node("Relu", y), g.weight(64))
    return g.model(y)


def dense(nodes):
    """Products with a norm and a residual: each layer is kernels of its own."""
    g, y = Graph(["n", 32]), "x"
    while len(g.nodes) < nodes:
        z = g.node("LayerNormalization", y, g.weight(32), g.weight(32))
        y = g.node("Add", y, g.node("MatMul", g.node("Relu", g.node("MatMul", z, g.weight(32, 64))), g.weight(64, 32)))
    return g.model(y)


def windows(nodes):
    """Attention in shifted windows of a video: shapes are computed in the graph, and no two blocks agree on them by name."""
    size, heads, window, shift = 32, 4, (4, 7, 7), (2, 3, 3)
    g, y = Graph(["batch", "time", 14, 14, size]), "x"

    def roll(x, by):
        for axis, amount in enumerate(by, 1):
            cut = g.constant([amount])
            parts = [g.node("Slice", x, cut, g.constant([2**62]), g.constant([axis])),
                     g.node("Slice", x, g.constant([0]), cut, g.constant([axis]))]
            x = g.node("Concat", *parts, axis=axis)
        return x

    def sizes_of(x):
        shape = g.node("Shape", x)
        return [g.node("Unsqueeze", g.node("Gather", shape, g.constant(np.int64(i))), g.constant([0])) for i in range(5)]

    def to(x, *sizes):
        return g.node("Reshape", x, g.node("Concat", *[s if isinstance(s, str) else g.constant([s]) for s in sizes], axis=0))

    while len(g.nodes) < nodes:
        is_shifted = len(g.nodes) % 2
        z = g.node("LayerNormalization", y, g.weight(size), g.weight(size))
        z = roll(z, shift) if is_shifted else z
        batch, *extent = sizes_of(z)
        counts = [g.node("Div", e, g.constant([w])) for e, w in zip(extent, window)]
        inner, all_windows = math.prod(window), g.node("Mul", g.node("Mul", g.node("Mul", batch, counts[0]), counts[1]), counts[2])
        z = to(z, batch, counts[0], window[0], counts[1], window[1], counts[2], window[2], size)
        z = to(g.node("Transpose", z, perm=[0, 1, 3, 5, 2, 4, 6, 7]), all_windows, inner, size)
        z = g.node("Transpose", to(g.node("MatMul", z, g.weight(size, 3 * size)), all_windows, inner, 3, heads, size // heads),
                   perm=[2, 0, 3, 1, 4])
        q, k, v = (g.node("Gather", z, g.constant(np.int64(i))) for i in range(3))
        scores = g.node("Add", g.node("MatMul", q, g.node("Transpose", k, perm=[0, 1, 3, 2])), g.weight(1, heads, inner, inner))
        z = g.node("Transpose", g.node("MatMul", g.node("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
        z = to(z, batch, counts[0], counts[1], counts[2], *window, size)
        z = to(g.node("Transpose", z, perm=[0, 1, 4, 2, 5, 3, 6, 7]), batch, *extent[:3], size)
        z = roll(z, [-s for s in shift]) if is_shifted else z
        y = g.node("Add", y, z)
    return g.model(y)


KINDS = {function.__name__: function for function in (chain, dense, windows)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; all of them")
    parser.add_argument("--nodes", type=int, default=4000, help="of the largest graph (4000)")
    args = parser.parse_args()
    unknown = [kind for kind in args.kinds if kind not in KINDS]
    if unknown or args.nodes < 4:
        parser.error(f"no such kind: {', '.join(unknown)}" if unknown else "--nodes: at least 4")
    print(f"{'kind':10} {'nodes':>6} {'cpu s':>8} {'MB':>6} {'power':>6}")
    with tempfile.TemporaryDirectory() as folder:
        for kind in args.kinds or KINDS:
            before = None
            for nodes in (args.nodes // 4, args.nodes // 2, args.nodes):
                model = KINDS[kind](nodes)
                onnx.save(model, pathlib.Path(folder) / "model.onnx")
                try:
                    cost = sides.compile_library(pathlib.Path(folder) / "model.onnx", pathlib.Path(folder) / "model.so", [])
                except sides.CompileError as error:
                    print(f"{kind}, {len(model.graph.node)} nodes: {error}")
                    return 1
                count, power = len(model.graph.node), ""
                if before:
                    power = f"{math.log(cost.cpu_seconds / before[1]) / math.log(count / before[0]):.2f}"
                print(f"{kind:10} {count:6} {cost.cpu_seconds:8.2f} {cost.memory_bytes / 1e6:6.0f} {power:>6}", flush=True)
                before = count, cost.cpu_seconds
    return 0


if __name__ == "__main__":
    sys.exit(main())
