"""What all exported models share: how one is described, exported, and how its golden values are stored.

A model is a `Small`: a name, how it is made, its inputs and outputs with their symbolic dimensions, and the sizes to run it at.
`write` makes test/models/NAME/ of it:

    EXPORTER.onnx   one file for each exporter; test_models.py compiles each once
    golden.npz      for each of `sizes`: inputs and the reference's outputs, as "<size>x<size>.../<name>", in order of `symbols`
"""
import dataclasses
import inspect
import pathlib
import warnings
from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir
import torch
from onnxscript.rewriter import ort_fusions

FOLDER = pathlib.Path(__file__).resolve().parents[1]
BYTES_MAX = 3 << 18  # of a file


def evaluate_eagerly(module, arrays):
    """What PyTorch computes without any exporter."""
    module.eval()  # exporters put back the mode in which they found the outermost module
    with torch.no_grad():
        outputs = module(*(torch.from_numpy(array) for array in arrays))
    return [output.numpy() for output in outputs]


def legacy(opset=17, **options):
    """PyTorch's exporter that traces: the graph that most published models look like."""
    def export(small, module, path):
        module.eval()
        values = small.inputs | small.outputs
        torch.onnx.export(module, small.example(), str(path), dynamo=False, opset_version=opset,
                          input_names=list(small.inputs), output_names=list(small.outputs),
                          dynamic_axes={name: axes for name, axes in values.items() if axes}, **options)
    return export


def dynamo(opset=20, **options):
    """PyTorch's exporter that builds on torch.export: what new exports look like."""
    def export(small, module, path):
        module.eval()
        dims = {name: torch.export.Dim(name, min=small.least.get(name, 1), max=small.most.get(name, 4096))
                for name in small.symbols()}
        shapes = [{axis: dims[name] for axis, name in axes.items()} for axes in small.inputs.values()]
        kinds = [parameter.kind for parameter in inspect.signature(module.forward).parameters.values()]
        if inspect.Parameter.VAR_POSITIONAL in kinds:  # torch.export wants all that it takes as one tuple
            first = kinds.index(inspect.Parameter.VAR_POSITIONAL)
            shapes[first:] = [tuple(shapes[first:])]
        program = torch.onnx.export(module, small.example(), dynamo=True, opset_version=opset, dynamic_shapes=tuple(shapes),
                                    input_names=list(small.inputs), output_names=list(small.outputs), **options)
        program.save(str(path), external_data=False)
    return export


def fused(opset=20):
    """What `dynamo` writes, with operators of ONNX Runtime's own domain in it, as exporters for ONNX Runtime have them."""
    def export(small, module, path):
        dynamo(opset)(small, module, path)
        model, _ = ort_fusions.optimize_for_ort(onnx_ir.load(path))
        onnx_ir.save(model, path)
    return export


@dataclasses.dataclass
class Small:
    """A model in a small configuration with random weights."""
    name: str
    make: Callable     # () -> a module: arrays in the order of `inputs` to a tuple in the order of `outputs`
    feeds: Callable    # (rng, **{symbol: size}) -> {input: array}
    inputs: dict       # {name: {axis: symbol}}
    outputs: dict
    sizes: list        # tuples: sizes of the symbols, in order of `symbols`
    traced: tuple      # the sizes that exporters see; unlike each other and larger than 1, so that none is taken for a constant
    exporters: dict = dataclasses.field(default_factory=lambda: {"legacy": legacy(), "dynamo": dynamo()})
    least: dict = dataclasses.field(default_factory=dict)  # {symbol: smallest size}, where it is not 1
    most: dict = dataclasses.field(default_factory=dict)
    evaluate: Callable = evaluate_eagerly  # (module, arrays) -> arrays; Keras has its own

    def symbols(self):
        return list(dict.fromkeys(symbol for axes in self.inputs.values() for symbol in axes.values()))

    def arrays(self, sizes, seed):
        feeds = self.feeds(np.random.default_rng(seed), **dict(zip(self.symbols(), sizes, strict=True)))
        return [np.ascontiguousarray(feeds[name]) for name in self.inputs]

    def example(self):
        return tuple(torch.from_numpy(array) for array in self.arrays(self.traced, seed=99))


def spread(module, factor=4, seed=1):
    """Larger weights than the usual 0.02, which leaves attention almost uniform: no test of softmax. Biases that are not 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() == 2:
                parameter.mul_(factor)
            elif parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return module.eval()


def without_traces(path):
    """Removes paths and stack traces of the exporting machine: not part of the model."""
    model = onnx.load(path)
    graphs = [model.graph]
    for graph in graphs:
        for node in graph.node:
            graphs.extend(attribute.g for attribute in node.attribute if attribute.HasField("g"))
    nodes = [node for graph in [*graphs, *model.functions] for node in graph.node]
    values = [value for graph in graphs for value in [*graph.value_info, *graph.input, *graph.output, *graph.initializer]]
    for part in [*nodes, *values, *model.functions, *graphs]:
        del part.metadata_props[:]
    for node in nodes:
        node.ClearField("doc_string")
    if not any(node.domain == "com.microsoft" for node in nodes):  # the checker knows ONNX alone
        onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return model


def write(small):
    """Writes the folder of a model; raises if it is too large to be committed."""
    folder = FOLDER / small.name
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    module = small.make()
    for exporter, export in small.exporters.items():
        path = folder / f"{exporter}.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracers warn of every Python branch
            export(small, module, path)
        model = without_traces(path)
        operators = sorted({node.op_type for node in model.graph.node})
        print(f"{small.name}/{path.name}: {path.stat().st_size} bytes, {len(model.graph.node)} nodes, {operators}")

    golden = {}
    for seed, sizes in enumerate(small.sizes):
        arrays = small.arrays(sizes, seed)
        results = small.evaluate(module, arrays)
        label = "x".join(map(str, sizes)) or "static"
        for name, array in zip([*small.inputs, *small.outputs], [*arrays, *results], strict=True):
            golden[f"{label}/{name}"] = array
    np.savez_compressed(folder / "golden.npz", **golden)
    for path in folder.iterdir():
        if path.stat().st_size > BYTES_MAX:
            raise SystemExit(f"error: {path} has more than {BYTES_MAX} bytes")
