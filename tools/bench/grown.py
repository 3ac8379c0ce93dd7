"""Transformers at real size: graphs that PyTorch's exporter wrote for small models (test/models), with more and wider layers.

So shapes are computed in the graph, masks go through Range, Gather, And and Where, and batch, sequence and past are dynamic.
The layer behind the first is the template of all further ones; weights are random, as a trained network has them.
"""
import dataclasses
import pathlib
from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper, numpy_helper
from networks import normal

ROOT = pathlib.Path(__file__).resolve().parents[2]


@dataclasses.dataclass
class Growth:
    """How a small model becomes a large one."""
    source: str         # below test/models
    layers: int
    marks: list         # what names of layer i contain, with "{}" for i; the first one is in names of nodes
    sizes: dict         # {size in the small model: size}
    constant: Callable  # array -> array: constants that depend on sizes
    weight: Callable    # (name, shape) -> array

    def belongs(self, name, number):
        return any(mark.format(number) in name for mark in self.marks)

    def renamed(self, name, number):
        """The name of layer 1 in layer `number`."""
        for mark in self.marks:
            name = name.replace(mark.format(1), mark.format(number))
        return name


class Layers:
    """The nodes of the small graph before its second layer, of that layer, which is the template, and behind it."""

    def __init__(self, growth, graph):
        nodes, mark = list(graph.node), growth.marks[0].format(1)
        of_layer = [i for i, node in enumerate(nodes) if mark in node.name]
        first, end = of_layer[0], of_layer[-1] + 1
        self.growth, self.before, self.template, self.after = growth, nodes[:first], nodes[first:end], nodes[end:]
        produced = {value for node in self.template for value in node.output}
        read = {value for node in self.template for value in node.input}
        from_first = {value for node in self.before if growth.belongs(node.name, 0) for value in node.output}
        (self.state,) = from_first & read
        (self.result,) = produced & {value for node in self.after for value in node.input}
        inputs = {value.name for value in graph.input if growth.belongs(value.name, 1)}
        self.own = produced | inputs | {tensor.name for tensor in graph.initializer if tensor.name in read}

    def name(self, value, number):
        """What a value of the template is called in layer `number`."""
        if value not in self.own or number == 1:
            return value
        other = self.growth.renamed(value, number)
        return other if other != value else f"{value}@{number}"

    def copy(self, number, ends):
        """The nodes of one layer; `ends` renames the states that it reads and makes."""
        for node in self.template:
            copy = onnx.NodeProto.FromString(node.SerializeToString())
            copy.name = f"{self.growth.renamed(node.name, number)}@{number}"
            copy.input[:] = [ends.get(value) or self.name(value, number) for value in node.input]
            copy.output[:] = [ends.get(value) or self.name(value, number) for value in node.output]
            yield copy

    def nodes(self):
        """Those of the whole network; the last layer's result keeps its name."""
        nodes, state = list(self.before), self.state
        for number in range(1, self.growth.layers):
            result = self.result if number == self.growth.layers - 1 else f"{self.result}@{number}"
            nodes += self.copy(number, {self.state: state, self.result: result})
            state = result
        return nodes + self.after

    def values(self, values):
        """Graph inputs or outputs; those of the template once for each layer."""
        for value in values:
            for number in range(1, self.growth.layers) if self.growth.belongs(value.name, 1) else [1]:
                copy = onnx.ValueInfoProto.FromString(value.SerializeToString())
                copy.name = self.growth.renamed(value.name, number)
                for dim in copy.type.tensor_type.shape.dim:
                    if dim.HasField("dim_value"):
                        dim.dim_value = self.growth.sizes.get(dim.dim_value, dim.dim_value)
                yield copy


def grow(growth):
    model = onnx.load(ROOT / "test/models" / growth.source)
    graph, layers = model.graph, Layers(growth, model.graph)
    shapes = {layers.name(tensor.name, number): [growth.sizes.get(size, size) for size in tensor.dims]
              for tensor in graph.initializer for number in range(1, growth.layers)}
    weights = [numpy_helper.from_array(growth.weight(name, shape), name) for name, shape in shapes.items()]
    nodes = layers.nodes()
    for node in nodes:
        if node.op_type == "Constant":
            value = growth.constant(numpy_helper.to_array(node.attribute[0].t))
            node.attribute[0].CopyFrom(helper.make_attribute("value", numpy_helper.from_array(value)))
    sides = [list(layers.values(values)) for values in (graph.input, graph.output)]
    grown = helper.make_model(helper.make_graph(nodes, graph.name, *sides, weights), opset_imports=model.opset_import,
                              ir_version=model.ir_version)
    onnx.checker.check_model(grown)
    return grown


def integers(value, sizes):
    """A constant list of sizes; small integers are axes and indices as well, so only whole lists of known sizes are replaced."""
    if value.dtype == np.int64 and value.ndim == 1 and value.size and all(int(size) in sizes for size in value):
        return np.array([sizes[int(size)] for size in value], np.int64)
    return value


def transformer_weight(name, shape):
    """Deviations as the small models' tests have them: the usual 0.02 would leave attention almost uniform."""
    if len(shape) == 2:
        return normal(name, shape, 0.04)
    is_scale = name.endswith(".weight")
    return normal(name, shape, 0.1) + np.float32(is_scale)


# BERT-base: 12 layers, hidden 768, 12 heads (Devlin et al. 2018) -----------------------------------------------------------

BERT_SIZES = {64: 768, 256: 3072, 200: 30522}


def bert_constant(value):
    if value.dtype == np.int64 and value.size > 8:
        assert value.ravel().tolist() == list(range(value.size))  # position ids
        return np.arange(512).reshape(1, 512)
    if value.dtype == np.float32 and value.ndim == 0 and value == 16 ** -0.5:
        return np.array(64 ** -0.5, np.float32)
    return integers(value, {16: 64})


def bert_weight(name, shape):
    if "position_embeddings" in name:  # the small model has as many positions as its hidden size
        shape = [512, 768]
    return transformer_weight(name, shape)


def bert_base():
    return grow(Growth("bert-small/legacy.onnx", 12, ["layer.{}/", "layer.{}."], BERT_SIZES, bert_constant, bert_weight))


# GPT-2: 12 layers, hidden 768, 12 heads, 124 million parameters (Radford et al. 2019) ---------------------------------------

GPT2_SIZES = {4: 12, 8: 64, 32: 768, 96: 2304, 128: 3072, 100: 50257, 64: 1024}


def gpt2_constant(value):
    if value.dtype == np.float32 and value.ndim == 0 and value == np.float32(8 ** -0.5):
        return np.array(64 ** -0.5, np.float32)
    return integers(value, GPT2_SIZES)


def gpt2():
    """With a cache. The exporter stores the table of tokens a second time, transposed for the last product."""
    marks = ["/h.{}/", ".h.{}.", "past_key_values.{}.", "present.{}."]
    return grow(Growth("gpt2-small/legacy.onnx", 12, marks, GPT2_SIZES, gpt2_constant, transformer_weight))
