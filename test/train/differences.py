"""Gradients of many small graphs at once: what a training step moves its weights by, and central differences of its loss.

Every case is a branch of one model with weights of its own. The output is all branches' results in one vector, so one training step
with a mean squared error gives every gradient, and one run with one element of each branch's weights moved gives every difference.
All is float64: with the five-point formula and a step of 1e-4, differences are right to about ten digits.
"""
import contextlib
import ctypes
import dataclasses
import re
import typing

import mlc_backend
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 22
BATCH = 3  # what "n", the dynamic size, is at run time


@dataclasses.dataclass
class Case:
    """`build` takes a Graph and returns the branch's results. A `flat` one has a derivative that is 0 everywhere."""
    build: typing.Callable
    step: float = 1e-4
    tolerance: float = 1e-9
    flat: bool = False


class Graph:
    """The model's nodes; g("Exp", x, axis=1) adds one and is its result, or a tuple of them with outputs=2."""

    def __init__(self):
        self.nodes, self.weights, self.constants, self.inputs = [], {}, {}, {}
        self.random = np.random.default_rng(7)
        self.branch = ""

    def __call__(self, op, *operands, outputs=1, **attributes):
        names = [f"{self.branch}:{len(self.nodes)}:{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, list(operands), names, name=f"{self.branch}:{op}:{len(self.nodes)}", **attributes))
        return names[0] if outputs == 1 else tuple(names)

    def numbers(self, shape, low, high):
        """Distinct numbers in between in any order, none close to another one or to the middle: no kink is near."""
        count = int(np.prod(shape))
        places = self.random.permutation(count) + 0.5 + self.random.uniform(0.1, 0.3, count)
        return (low + (high - low) * places / count).reshape(shape)

    def w(self, *shape, low=-1.5, high=1.5, values=None):
        """A weight."""
        name = f"w:{self.branch}:{len(self.weights)}"
        self.weights[name] = self.numbers(shape, low, high) if values is None else np.array(values)
        return name

    def c(self, values):
        """A constant: integers of a list are int64, floats float64."""
        name = f"c:{len(self.constants)}"
        self.constants[name] = np.asarray(values)
        return name

    def x(self, *shape):
        """An input; a size "n" is known at run time only."""
        name = f"x:{len(self.inputs)}"
        self.inputs[name] = (shape, self.numbers([BATCH if size == "n" else size for size in shape], -1.5, 1.5))
        return name


@contextlib.contextmanager
def trapping():
    """The first division by 0, invalid operation or overflow ends the process (SIGFPE)."""
    libm, traps = ctypes.CDLL("libm.so.6"), 0x1 | 0x4 | 0x8
    before = libm.feenableexcept(traps)
    try:
        yield
    finally:
        libm.fedisableexcept(traps & ~before)


def central(function):
    """The derivative at 0 with a step of 1; its error is of the fourth order."""
    return (8 * (function(1) - function(-1)) - (function(2) - function(-2))) / 12


class Gradients:
    """One library of a group of cases; every gradient twice, `analytic` and `numeric`, by case and weight."""

    def __init__(self, cases, folder, compiler):
        self.cases, self.graph, self.stages = cases, Graph(), folder / "stages"
        model = folder / "cases.onnx"
        onnx.save(self._model(), model)
        library = mlc_backend.compile_model(model, folder / "cases.so", "--train", "--loss=mse", "--optimizer=sgd", "--learning-rate=1",
                                            "--trainable=w:*", f"--save-stages={self.stages}", timeout=600, mlc=compiler)
        with mlc_backend.Library(library) as self.library:
            self._measure()

    def _model(self):
        g = self.graph
        for name, case in self.cases.items():
            g.branch = name
            results = case.build(g)
            rows = g.c([0 if g.inputs else 1, -1])
            columns = [g("Reshape", result, rows) for result in ([results] if isinstance(results, str) else results)]
            g.nodes.append(helper.make_node("Concat", columns, [name], axis=1))
        g.nodes.append(helper.make_node("Concat", list(self.cases), ["all"], axis=1))
        rows = "n" if g.inputs else 1
        inputs = [helper.make_tensor_value_info(name, TensorProto.DOUBLE, shape) for name, (shape, _) in g.inputs.items()]
        outputs = [helper.make_tensor_value_info(name, TensorProto.DOUBLE, [rows, None]) for name in ["all", *self.cases]]
        initializers = [numpy_helper.from_array(values, name) for name, values in {**g.weights, **g.constants}.items()]
        graph = helper.make_graph(g.nodes, "cases", inputs, outputs, initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)

    def _measure(self):
        g, library = self.graph, self.library
        feeds = {name: values for name, (_, values) in g.inputs.items()}
        results = library.run(feeds)
        target = g.random.uniform(-1, 1, results["all"].shape)
        targets = dict(zip(self.cases, np.split(target, np.cumsum([results[name].shape[1] for name in self.cases])[:-1], axis=1)))
        self.weights = {case: [name for name in g.weights if name.split(":")[1] == case] for case in self.cases}
        self.numeric = {name: np.zeros_like(values) for name, values in g.weights.items()}
        for turn in range(max(sum(g.weights[name].size for name in names) for names in self.weights.values())):
            places = {}  # of each case, the weight and the element that move now
            for case, names in self.weights.items():
                left = turn
                for name in names:
                    if 0 <= left < g.weights[name].size:
                        places[case] = name, left
                    left -= g.weights[name].size

            def losses(factor):
                for case, (name, element) in places.items():
                    library.param(name).reshape(-1)[element] = g.weights[name].reshape(-1)[element] + factor * self.cases[case].step
                found = library.run(feeds)
                return np.array([((found[case] - targets[case]) ** 2).sum() / target.size for case in places])

            slopes = central(losses)
            for (case, (name, element)), slope in zip(places.items(), slopes):
                self.numeric[name].reshape(-1)[element] = slope / self.cases[case].step
                library.param(name).reshape(-1)[element] = g.weights[name].reshape(-1)[element]
        (label,) = [info.name for info in library.train_inputs if info.name not in feeds]
        with trapping():
            library.train_step({**feeds, label: target})
        self.analytic = {name: values - library.param(name) for name, values in g.weights.items()}

    def operations(self):
        """The core operations that were differentiated: each that a weight reaches, with its kind if it has one."""
        before = max(path for path in self.stages.iterdir() if path.name < next(self.stages.glob("*-add-training.mlir")).name)
        active, found = set(), set()
        for line in before.read_text().splitlines():
            results, _, operation = line.strip().partition(" = ")
            names = set(re.findall(r"%[\w$.-]+", operation))
            if not active & names and not re.search(r'name = "w:', operation):
                continue
            active |= set(re.findall(r"%[\w$.-]+", results))
            for name, kind in re.findall(r"^core\.(\w+)(?: (\w+))?", operation):
                found |= {name, f"{name} {kind}"}
        return found
