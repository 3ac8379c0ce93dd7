"""The models that can be measured, by name: where the file is or how it is made, sizes of symbolic dimensions, inputs."""
import argparse
import dataclasses
import functools
import math
import os
import pathlib
import re
import sys

import grown
import networks
import numpy as np
import onnx

ROOT = pathlib.Path(__file__).resolve().parents[2]
MADE = ROOT / "build/bench/models"
sys.path.insert(0, str(ROOT / "test/models"))
import realistic  # noqa: E402

FILES = {"digits": ROOT / "examples/digits/digits.onnx", "bert-small": ROOT / "test/models/bert-small/legacy.onnx",
         "bert-small-dynamo": ROOT / "test/models/bert-small/dynamo.onnx"}
BUILDERS = {"bert-base": grown.bert_base, "gpt2": grown.gpt2, "mobilenetv2": networks.mobilenetv2,
            "lstm": lambda: networks.recurrent("LSTM"), "gru": lambda: networks.recurrent("GRU")}
IMAGE = {"height": 224, "width": 224}
EXPORTED = {"llama": {"sequence": 1, "past": 256}, "t5-encoder": {}, "t5-decoder": {"sequence": 1, "encoded": 128, "past": 64},
            "whisper-encoder": {}, "vit-base": {}, "swin-tiny": {}, "convnext-tiny": IMAGE, "efficientnet-b0": IMAGE,
            "mobilenetv3-large": IMAGE, "unet": {"height": 256, "width": 256},
            "ssdlite": {"height": 320, "width": 320}}  # by export.py: its sizes, as SIZES_OF
SETS = {"networks": ["resnet50", "bert-base", "gpt2", "squeezenet", "mobilenetv2", "lstm", "gru", "bert-small", "digits"],
        "real-size": list(EXPORTED), "matmul": networks.MATMULS, "conv": networks.CONVS}
SIZES = {"batch": 1, "sequence": 128}  # of symbolic dimensions, unless --dim says otherwise; others are 1
SIZES_OF = {"bert-small": {"sequence": 64}, "bert-small-dynamo": {"sequence": 64},
            "gpt2": {"sequence": 1, "past": 256}, **EXPORTED}


class UnknownModel(Exception):
    pass


@dataclasses.dataclass
class Case:
    """One row: a model at certain sizes. `dynamic`: the library is compiled without knowing them."""
    name: str
    path: pathlib.Path
    dims: dict
    dynamic: bool

    def title(self):
        dims = [f"{name}={number}" for name, number in self.dims.items() if number != 1]
        return " ".join([self.name + (":dynamic" if self.dynamic else ""), *dims])

    def library(self):
        words = [self.name, *(f"{name}{number}" for name, number in self.dims.items()), *(["dynamic"] if self.dynamic else [])]
        return ROOT / "build/bench" / (re.sub(r"\W", "_", "_".join(words)) + ".so")

    def compile_options(self, more):
        """Those of mlc compile, `more` among them."""
        fixed = [] if self.dynamic else [f"{name}={number}" for name, number in self.dims.items()]
        return [word for dim in fixed for word in ("--dim", dim)] + more


def size(text):
    """A value of --dim."""
    name, _, number = text.rpartition("=")
    if not name or not number.isdigit() or int(number) < 1:
        raise argparse.ArgumentTypeError(f"expected NAME=SIZE, found {text!r}")
    return name, int(number)


def split(arguments):
    """(ours, those of mlc compile behind --)."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at + 1:]


def names():
    """Every name that needs no path, sets excepted."""
    return sorted({*FILES, *BUILDERS, *EXPORTED, *realistic.NAMES, *networks.MATMULS, *networks.CONVS})


def make(name, build):
    """Writes a model once; later calls find it. Two processes may do this at the same time."""
    path = MADE / f"{name}.onnx"
    if not path.exists():
        MADE.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}.tmp")
        onnx.save(build(), unfinished)
        unfinished.rename(path)
    return path


def exported(name):
    path = MADE / f"{name}.onnx"
    if not path.exists():
        raise UnknownModel(f"{name}: there is no file {path}; tools/bench/export.py makes it, in the environment of "
                           "test/models/requirements-torch.txt")
    return path


def find(name):
    if name in FILES:
        return FILES[name]
    if name in BUILDERS:
        return make(name, BUILDERS[name])
    if name in EXPORTED:
        return exported(name)
    if name in realistic.NAMES:
        return realistic.save(name, MADE)
    if name.endswith(".onnx"):
        if not pathlib.Path(name).exists():
            raise UnknownModel(f"there is no file {name}")
        return pathlib.Path(name).resolve()
    if networks.single_operator(name):
        return make(name, lambda: networks.single_operator(name))
    raise UnknownModel(f"no model {name}: expected a name or set of --list, a shape like matmul-128x768x3072 or "
                       "conv-64x56x56-64-k3-s2, or the path of an .onnx file")


def cases(words, dims):
    """`words` are names, sets and paths, each with ":dynamic" behind it if need be; `dims` are sizes given by the user."""
    for word in words:
        name, _, suffix = word.partition(":")
        if suffix not in ("", "dynamic"):
            raise UnknownModel(f"{word}: expected \":dynamic\" or nothing behind the name, found \":{suffix}\"")
        for member in SETS.get(name, [name]):
            path = find(member)
            known = SIZES | SIZES_OF.get(member, {}) | dims
            if "past" in known:
                known = {"total": known["past"] + known["sequence"]} | known
            sizes = {symbol: known.get(symbol, 1) for symbol in symbols(path)}
            yield Case(member.rpartition("/")[2].removesuffix(".onnx"), path, sizes, bool(suffix and sizes))


@functools.cache
def without_weights(path):
    """The model with an input in place of every large initializer, behind the real inputs, and how many those are."""
    model = onnx.load(path)
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    large = [onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
             for tensor in weights.values() if math.prod(tensor.dims) > 1024]
    small = [tensor for tensor in weights.values() if math.prod(tensor.dims) <= 1024]
    light = onnx.helper.make_model(onnx.helper.make_graph(graph.node, graph.name, inputs + large, graph.output, small),
                                   opset_imports=model.opset_import, ir_version=model.ir_version, functions=model.functions)
    return light, len(inputs)


def inputs(path):
    """(name, element type of ONNX, sizes and names of symbols) of every input."""
    model, count = without_weights(path)
    for value in model.graph.input[:count]:
        tensor = value.type.tensor_type
        dims = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param or f"{value.name}_dim{axis}"
                for axis, dim in enumerate(tensor.shape.dim)]
        yield value.name, tensor.elem_type, dims


def symbols(path):
    """Names of the symbolic dimensions of the inputs, as mlc names them."""
    return list(dict.fromkeys(dim for _, _, dims in inputs(path) for dim in dims if isinstance(dim, str)))


def table_rows(path, name):
    """How many rows the table has that this input indexes; 2 if it indexes none."""
    model, _ = without_weights(path)
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in model.graph.input}
    shapes |= {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    rows = [shapes[node.input[0]][0] for node in model.graph.node
            if node.op_type == "Gather" and node.input[1] == name and node.input[0] in shapes]
    return min(rows, default=2)


def feeds(case):
    """Random inputs: normal floats, indices inside their tables, a mask that hides the last eighth."""
    rng, arrays = np.random.default_rng(0), {}
    for name, element, dims in inputs(case.path):
        shape = [case.dims[dim] if isinstance(dim, str) else dim for dim in dims]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(element)
        if np.issubdtype(dtype, np.floating):
            value = rng.standard_normal(shape)
        elif "mask" in name:
            value = np.broadcast_to(np.arange(shape[-1]) < math.ceil(shape[-1] * 7 / 8), shape)
        else:
            value = rng.integers(0, table_rows(case.path, name), shape)
        arrays[name] = np.ascontiguousarray(value, dtype)
    return arrays
