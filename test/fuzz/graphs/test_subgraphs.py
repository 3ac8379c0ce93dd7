"""Every operator in a branch of an If and in the body of a Loop gives what it gives alone: there, the checks of sizes, sizes that only
the run knows, scratch memory and constants belong to another region, where they were once computed too early or could not be found."""
import copy

import check
import evaluate
import graph
import guarded
import mlc_backend
import numpy as np
import onnx
import operators
import pytest
from onnx import TensorProto, helper, numpy_helper

ATTEMPTS, CHUNKS, STEPS = 12, 12, 2
BODIES = {"If", "Loop", "Scan"}  # of these themselves: test_loops.py
KEYS = [key for key in operators.OPERATORS if key[1] not in BODIES]
STATIC = {("", "DeformConv")}  # wants sizes that are known when it is compiled
INFO = helper.make_tensor_value_info


def built(key):
    """A model of one operator whose sizes are all open, or nothing."""
    for seed in range(ATTEMPTS):
        chooser = graph.Chooser(f"{key} {seed}")
        made = graph.Graph(chooser, chooser.of(operators.OPSETS_OF[key]), graph.Style(open_all=True, specials=False, sizes=(2, 3, 4)))
        try:
            operators.add(made, key)
        except graph.Reject:
            continue
        return made
    return None


def untyped(values, suffix):
    """The declarations of results without their sizes."""
    return [INFO(value.name + suffix, value.type.tensor_type.elem_type, None) for value in values]


def renamed(nodes, suffix):
    """Copies of nodes whose results, and what reads them, have other names."""
    made = {name for node in nodes for name in node.output if name}
    copies = [copy.deepcopy(node) for node in nodes]
    for node in copies:
        node.name += suffix
        node.input[:] = [name + suffix if name in made else name for name in node.input]
        node.output[:] = [name + suffix if name else name for name in node.output]
    return copies


def branch(made, model):
    """The branch that is chosen is the model, the other one yields nothing of the same types."""
    outputs, nothing = model.graph.output, {value.name: np.zeros([0] * value.array.ndim, value.dtype) for value in made.values}
    then = helper.make_graph(renamed(model.graph.node, "_then"), "then", [], untyped(outputs, "_then"))
    other = helper.make_graph([], "otherwise", [], untyped(outputs, "_else"),
                              [numpy_helper.from_array(nothing[value.name], value.name + "_else") for value in outputs])
    return [helper.make_node("If", ["condition"], [value.name + "_if" for value in outputs], "if", then_branch=then, else_branch=other)]


def body(model):
    """The results of each step, one after the other."""
    outputs = model.graph.output
    step = helper.make_graph([*renamed(model.graph.node, "_step"), helper.make_node("Identity", ["go"], ["go_on"])], "body",
                             [INFO("number", TensorProto.INT64, []), INFO("go", TensorProto.BOOL, [])],
                             [INFO("go_on", TensorProto.BOOL, []), *untyped(outputs, "_step")])
    return [helper.make_node("Size", ["steps"], ["count"]),
            helper.make_node("Loop", ["count", "condition"], [value.name + "_loop" for value in outputs], "loop", body=step)]


FEEDS = {"condition": np.array(True), "steps": np.zeros(STEPS, np.float32)}


def within(made, kinds):
    """The model in an If, in a Loop or in both."""
    model = made.model()
    nodes = [*(branch(made, model) if "_if" in kinds else []), *(body(model) if "_loop" in kinds else [])]
    inputs = [*model.graph.input, INFO("condition", TensorProto.BOOL, []), INFO("steps", TensorProto.FLOAT, ["steps"])]
    outputs = [value for kind in kinds for value in untyped(model.graph.output, kind)]
    model.graph.CopyFrom(helper.make_graph(nodes, "g", inputs, outputs, list(model.graph.initializer)))
    return model


def compiled(model, stem):
    """A library; nothing where the compiler has no support."""
    onnx.save(model, stem.with_suffix(".onnx"))
    try:
        return mlc_backend.compile_model(stem.with_suffix(".onnx"), stem.with_suffix(".so"), timeout=300, cpu_seconds=30)
    except mlc_backend.CompileError as error:
        crashed = error.returncode is None or error.returncode < 0
        if crashed or check.INTERNAL.search(error.output or error.first) or not check.UNSUPPORTED.search(error.first):
            raise
        return None


def differing(values, expected, kinds):
    """Where the results of subgraphs are not `expected`, or nothing."""
    for name, (array, error, sure) in expected.items():
        for kind in kinds:
            steps = (STEPS,) if kind == "_loop" else ()
            wanted = [np.broadcast_to(part, steps + array.shape) for part in (array, error, sure)]
            found = evaluate.disagreement(values[name + kind], wanted)
            if found:
                return f"{name}{kind}: {found}"
    return None


def alone(made, folder):
    """What the operator gives without a subgraph, as `expected`: where the references are not of one mind that is what counts."""
    outcome = guarded.run(compiled(made.model(), folder / "alone"), made.feeds())
    return {name: (array, np.full(array.shape, 1e-6 * np.abs(array.astype(np.float64)).max(initial=1)), np.ones(array.shape, bool))
            for name, array in outcome.values.items()}


def problem(key, folder):
    """(what is wrong with an operator in a subgraph, whether it could be run)"""
    made = built(key)
    kinds = ("_if", "_loop") if made.opset >= 13 else ("_if",)  # before, the standard wants ranks of Loop's results
    title = f"{'-'.join(filter(None, key))} (opset {made.opset})"
    try:
        library = compiled(within(made, kinds), folder / "within")
    except mlc_backend.CompileError as error:
        return f"{title}: {error}", True
    if not library:
        return None, False
    outcome = guarded.run(library, {**made.feeds(), **FEEDS})
    if outcome.kind != "values":
        return f"{title}: {outcome}", True
    found = differing(outcome.values, evaluate.Evaluation(made.model()).expected(made.feeds()), kinds)
    found = found and differing(outcome.values, alone(made, folder), kinds)
    return found and f"{title}: {found}", True


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_operators(chunk, tmp_path):
    wrong, refused = [], []
    for number, key in enumerate(KEYS[chunk::CHUNKS]):
        folder = tmp_path / str(number)
        folder.mkdir()
        found, is_run = problem(key, folder)
        wrong += [found] if found else []
        refused += [] if is_run else [key]
    assert not wrong, "\n".join(wrong)
    assert set(refused) <= STATIC


@pytest.mark.parametrize("operator", ["MatMul", "Tile", "ArgMax", "Concat"])
def test_one_operator(operator, tmp_path):
    """Some of those that were wrong; the chunks have all."""
    assert problem(("", operator), tmp_path) == (None, True)
