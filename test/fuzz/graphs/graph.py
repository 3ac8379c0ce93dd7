"""A random model while it is built: every value is computed at once, so that an operator's generator sees the sizes and types
that it can use. Generators choose through `Chooser`, which hypothesis drives where models are to be shrunk."""
import copy
import dataclasses
import random

import evaluate
import ml_dtypes
import numpy as np
import onnx
from onnx import helper, numpy_helper

F16, F32, F64, BF16 = np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64), np.dtype(ml_dtypes.bfloat16)
I8, I16, I32, I64 = (np.dtype(f"int{bits}") for bits in (8, 16, 32, 64))
U8, U16, U32, U64 = (np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64))
BOOL = np.dtype(bool)
DTYPES = {"float16": F16, "float": F32, "double": F64, "bfloat16": BF16, "int8": I8, "int16": I16, "int32": I32, "int64": I64,
          "uint8": U8, "uint16": U16, "uint32": U32, "uint64": U64, "bool": BOOL}
OPSET_NEWEST = 26


class Reject(Exception):
    """The generator made something that no reference runs: try another."""


class Chooser:
    """Choices of a seeded generator."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def integer(self, low, high):
        return self.random.randint(low, high)

    def of(self, options):
        return self.random.choice(list(options))


class DrawnChooser(Chooser):
    """Choices that hypothesis makes, remembers and makes smaller: to the first option and to zero."""

    def __init__(self, draw, strategies):
        super().__init__(0)
        self.draw, self.strategies = draw, strategies

    def integer(self, low, high):
        return self.draw(self.strategies.integers(low, high))

    def of(self, options):
        return self.draw(self.strategies.sampled_from(list(options)))


class Generators(dict):
    """{(domain, operator): function that adds a node of it to a graph}"""

    def operator(self, name, domain=""):
        def register(function):
            self[domain, name] = function
            return function
        return register


@dataclasses.dataclass
class Value:
    name: str
    array: np.ndarray

    @property
    def shape(self):
        return self.array.shape

    @property
    def dtype(self):
        return self.array.dtype


@dataclasses.dataclass
class Style:
    """How the values that operators ask for come to be. `open_all`: every tensor is an input whose sizes are all open and
    distinct symbols; parameters that give shapes and positions are constants or inputs as `parameters` says."""
    open_all: bool = False
    parameters: str = "constant"  # or "input", "any"
    hostile: bool = False         # indices and lengths may be out of range
    sizes: tuple = (2, 3, 1, 4, 5)
    specials: bool = True


def is_float(dtype):
    return dtype in (F16, F32, F64, BF16)


def numbers(rng, dtype, shape, low, high, specials):
    """Values in [low, high]; of floating-point ones a few are zeros of either sign, equal, or `specials`."""
    if dtype == BOOL:
        return rng.random(shape) < 0.5
    if not is_float(dtype):
        if np.dtype(dtype).kind == "u":
            low = max(low, 0)
        return rng.integers(int(np.ceil(low)), int(np.floor(high)) + 1, shape).astype(dtype)
    values = rng.uniform(low, high, shape)
    chosen = rng.random(shape)
    values = np.where(chosen < 0.15, np.round(values), values)
    if specials and low < 0 < high:
        values = np.where(chosen > 0.97, rng.choice([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, 3e4], shape), values)
    return values.astype(dtype)


class Graph:
    def __init__(self, chooser, opset, style=None):
        self.chooser, self.opset, self.style = chooser, opset, style or Style()
        self.nodes, self.inputs, self.constants, self.values = [], {}, {}, []
        self.dims, self.nonempty = {}, set()
        self.hostile = False  # something out of range is in it
        self.rng = np.random.default_rng(chooser.integer(0, 1 << 16))

    # ---- choices ---------------------------------------------------------------------------------------------------------

    def integer(self, low, high):
        return self.chooser.integer(low, high)

    def of(self, *options):
        return self.chooser.of(options)

    def flag(self):
        return self.chooser.of([False, True])

    def size(self):
        return self.chooser.of(self.style.sizes)

    def shape(self, low=1, high=3):
        return tuple(self.size() for _ in range(self.integer(low, high)))

    def axis(self, rank, negative=True):
        return self.integer(-rank if negative else 0, rank - 1)

    def types(self, operator, parameter="T", domain=""):
        """The element types that the operator's schema allows and the interface has."""
        schema = onnx.defs.get_schema(operator, self.opset if domain == "" else 1, domain)
        allowed = {text[len("tensor("):-1] for constraint in schema.type_constraints
                   if constraint.type_param_str == parameter for text in constraint.allowed_type_strs}
        return [dtype for name, dtype in DTYPES.items() if name in allowed]

    def dtype(self, operator, parameter="T", domain=""):
        """One of them, half of the time the one that is used most."""
        types = self.types(operator, parameter, domain)
        preferred = [dtype for dtype in (F32, BOOL, I64) if dtype in types][:1] or types[:1]
        return self.chooser.of([*preferred * len(types), *types])

    # ---- values ----------------------------------------------------------------------------------------------------------

    def constant(self, array):
        value = Value(f"c{len(self.constants)}", np.asarray(array))
        self.constants[value.name] = value.array
        return value

    def input(self, array, fixed=False):
        """An input of the model; each size is open or a number (`fixed`: all are numbers, as a layer's weights have)."""
        array = np.asarray(array)
        value = Value(f"x{len(self.inputs)}", array)
        dims = []
        for axis, size in enumerate(array.shape):
            kinds = ["own"] if self.style.open_all else ["fixed", "own", "shared"]
            kind = "fixed" if fixed is True or fixed and axis in fixed else self.chooser.of(kinds)
            dims.append(size if kind == "fixed" else f"{value.name}_{axis}" if kind == "own" else f"n{size}")
        self.inputs[value.name], self.dims[value.name] = value.array, dims
        return value

    def fresh(self, array, fixed=False):
        """An input or a constant."""
        if self.style.open_all or self.chooser.of([True, True, False]):
            return self.input(array, fixed)
        return self.constant(array)

    def weights(self, dtype, shape, low=-2, high=2):
        """What the compiler wants to know the sizes of."""
        return self.tensor(dtype, shape, low, high, False, True)

    def tensor(self, dtype, shape, low=-2, high=2, specials=None, fixed=False):
        """A value of this type and shape: one that is there already, or a new one. `fixed`: its sizes, or those of some axes,
        are numbers."""
        dtype, shape = np.dtype(dtype), tuple(shape)
        if not fixed:
            fitting = [value for value in self.values if value.dtype == dtype and value.shape == shape
                       and self.within(value.array, low, high)]
            if fitting and not self.style.open_all and self.flag():
                return self.chooser.of(fitting)
        if specials is None:
            specials = self.style.specials and (low, high) == (-2, 2)
        return self.fresh(numbers(self.rng, dtype, shape, low, high, specials), fixed)

    @staticmethod
    def within(array, low, high):
        """The ordinary range takes everything, a narrow one only what lies in it."""
        if (low, high) == (-2, 2) or array.dtype == BOOL:
            return True
        wide = array.astype(np.float64)
        return bool(np.all((wide >= low) & (wide <= high)))

    def existing(self, dtype=None, rank_min=0):
        """A result that is there already, or nothing."""
        fitting = [value for value in self.values if (dtype is None or value.dtype == dtype) and len(value.shape) >= rank_min]
        return self.chooser.of(fitting) if fitting and not self.style.open_all and self.flag() else None

    def some(self, dtype, low=1, high=3):
        """A tensor of any shape whose rank is in [low, high]."""
        value = self.existing(np.dtype(dtype), low)
        return value if value and len(value.shape) <= high else self.tensor(dtype, self.shape(low, high))

    def steps(self, dtype, shape, low, high):
        """A sequence: the references disagree about one without a first step."""
        value = self.tensor(dtype, shape, low, high)
        self.nonempty.add((value.name, 0))
        return value

    def indices(self, bound, shape, dtype=I64, negative=True, fixed=False):
        """Positions below `bound`; where the style is hostile, sometimes one outside."""
        if bound == 0 and np.prod(shape) > 0:
            raise Reject("no position")
        array = self.rng.integers(-bound if negative else 0, max(bound, 1), shape)
        if self.style.hostile and array.size and self.flag():
            array.reshape(-1)[self.integer(0, array.size - 1)] = self.of(bound, -bound - 1, 1 << 30, -(1 << 30))
            self.hostile = True
        return self.fresh(array.astype(dtype), fixed)

    def parameter(self, array):
        """Sizes, axes or positions that are usually constants."""
        kind = self.style.parameters
        if kind == "any":
            kind = self.of("constant", "constant", "constant", "input")
        if kind == "constant":
            return self.constant(array)
        value = self.input(array)
        self.dims[value.name] = list(value.shape)
        return value

    # ---- nodes -----------------------------------------------------------------------------------------------------------

    def node(self, operator, inputs, outputs=1, domain="", **attributes):
        """Adds the node and computes its results; None stands for an input that is absent."""
        names = [value.name if value else "" for value in inputs]
        while names and not names[-1]:
            names.pop()
        first = len(self.nodes)
        results = [f"r{first}_{number}" for number in range(outputs)]
        attributes = {key: value for key, value in attributes.items() if value is not None}
        made = helper.make_node(operator, names, results, name=f"node{first}", domain=domain, **attributes)
        known = {value.name: value.array for value in inputs if value}
        try:
            arrays = evaluate.Node(made, self.opset).run(known)
        except Exception as error:
            raise Reject(f"{operator}: {error}") from error
        if sum(array.size for array in arrays) > 20000:
            raise Reject(f"{operator}: large")
        declared = [value.type.tensor_type.elem_type for value in onnx.shape_inference.infer_shapes(
            evaluate.Node(made, self.opset).model(known)).graph.output]
        if any(kind not in (0, tensor_type(array.dtype)) for kind, array in zip(declared, arrays)):
            raise Reject(f"{operator}: the reference gives another type than the standard")
        self.nodes.append(made)
        values = [Value(name, np.asarray(array)) for name, array in zip(results, arrays)]
        self.values += values
        return values

    def inner(self, name):
        """The name of a node in a body of the node that is made next."""
        return f"node{len(self.nodes)}_{name}"

    def model(self):
        """The model as built so far; every result is an output."""
        outputs = []
        for value in self.values:
            info = helper.make_tensor_value_info(value.name, helper.np_dtype_to_tensor_dtype(value.dtype), None)
            outputs.append(info)
        read = {name for node in self.nodes for name in evaluate.reads(node)}
        inputs = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), self.dims[name])
                  for name, array in self.inputs.items() if name in read]
        initializers = [numpy_helper.from_array(array, name) for name, array in self.constants.items() if name in read]
        graph = helper.make_graph(self.nodes, "g", inputs, outputs, initializers)
        opsets = [helper.make_opsetid("", self.opset)]
        if any(node.domain for node in self.nodes):
            opsets += [helper.make_opsetid(domain, 1) for domain in sorted({node.domain for node in self.nodes} - {""})]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)


    def only(self, node):
        """A graph of this node and those that it reads from."""
        wanted, kept = set(evaluate.reads(node)), [node]
        for earlier in reversed(self.nodes[:self.nodes.index(node)]):
            if wanted & set(earlier.output):
                wanted |= set(evaluate.reads(earlier))
                kept.insert(0, earlier)
        part = copy.copy(self)
        part.nodes = kept
        part.values = [value for value in self.values if any(value.name in one.output for one in kept)]
        return part

    def feeds(self):
        read = {name for node in self.nodes for name in evaluate.reads(node)}
        return {name: array for name, array in self.inputs.items() if name in read}


def tensor_type(dtype):
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def subgraph(name, nodes, inputs, outputs, constants=()):
    """A body; inputs and outputs are (name, dtype, shape), with a shape of None where it is unknown."""
    def infos(values):
        return [helper.make_tensor_value_info(value, tensor_type(dtype), shape) for value, dtype, shape in values]
    return helper.make_graph(nodes, name, infos(inputs), infos(outputs),
                             [numpy_helper.from_array(array, key) for key, array in constants])
