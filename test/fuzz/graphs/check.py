"""Compiles a model, runs it between guard pages on inputs that fit and on some that do not, and says what is wrong: a crash of
compiler or library, bits that nobody wrote, other values than the references', a status where there are values, values where there are none."""
import dataclasses
import pathlib
import re
import tempfile

import evaluate
import guarded
import mlc_backend
import numpy as np
import onnx

# What a compiler may say of a valid model; anything else on one is a fault.
UNSUPPORTED = re.compile(r"not supported|--input-value|must be a constant|memory cannot be planned")
INTERNAL = re.compile(r"'\w+\.\w+' op|failed to legalize|LLVM ERROR|does not dominate|internal|crashed|ran past|wrote no library")

LISTED_BYTES = 128  # of a constant, in the text of a finding


@dataclasses.dataclass
class Finding:
    kind: str
    message: str
    feeds: dict


class Checker:
    """One model: `findings` after `check`; `refused` if the compiler has no support for it."""

    def __init__(self, model, folder, hostile=False):
        self.model, self.folder, self.hostile = model, pathlib.Path(folder), hostile
        self.refused, self.findings, self.outcomes = None, [], []

    def library(self):
        path = self.folder / "model.onnx"
        onnx.save(self.model, path)
        return mlc_backend.compile_model(path, self.folder / "model.so", timeout=300, cpu_seconds=15)

    def check(self, feeds, *misfits):
        """`feeds` fit (unless the model is hostile); of `misfits` nothing is known."""
        try:
            library = self.library()
        except mlc_backend.CompileError as error:
            self.judge_refusal(error, feeds)
            return self.findings
        every = [feeds, *misfits]
        self.outcomes = guarded.run_each(library, every)
        evaluation = evaluate.Evaluation(self.model)
        if not self.hostile:
            evaluation.values(feeds)  # decides which reference runs each node
        answers = in_children(evaluation.expected, every)
        for number, (given, outcome, answer) in enumerate(zip(every, self.outcomes, answers)):
            if answer.kind != "values" and outcome.kind == "values" and (broadcast := stretched(given, feeds)):
                answer = in_children(evaluation.expected, [broadcast])[0]
            found = judge(evaluation, given, outcome, answer, number == 0 and not self.hostile)
            if found:
                self.findings.append(Finding(*found, given))
        return self.findings

    def judge_refusal(self, error, feeds):
        self.refused = error.first
        crashed = error.returncode is None or error.returncode < 0
        if crashed or INTERNAL.search(error.output or error.first):
            self.findings.append(Finding("compiler", error.first, feeds))
        elif self.needs_element():
            return
        elif not UNSUPPORTED.search(error.first) and not self.hostile:
            self.findings.append(Finding("refused", error.first, feeds))

    def needs_element(self):
        return any(node.op_type in NEEDS_ELEMENT for node in self.model.graph.node) and re.search("is empty|is 0|size 0", self.refused)


def in_children(function, all_feeds):
    """The values of a reference as outcomes: on sizes that disagree it may crash."""
    return guarded.in_children(lambda feeds: guarded.Outcome("values", values=function(feeds)), all_feeds)


def second_opinion(evaluation, feeds):
    """ONNX Runtime's values, or nothing."""
    try:
        return evaluation.second_opinion(feeds)
    except Exception:
        return None


def wrong(values, expected):
    """The first output that is not as expected: (name, what), or nothing."""
    for name, wanted in expected.items():
        found = evaluate.disagreement(values[name], wanted)
        if found:
            return f"{name}: {found}"
    return None


def judge(evaluation, feeds, outcome, answer, fits):
    """(kind, message) of what is wrong, or nothing; `answer` is what the first reference says."""
    if outcome.faulty:
        return outcome.kind, outcome.message
    expected = answer.values if answer.kind == "values" else None
    reason = answer.message.strip().splitlines()[-1][:200] if expected is None else ""
    if outcome.kind == "status":
        return judge_status(evaluation, feeds, outcome, expected, fits)
    if expected and not fits:  # of no elements the references sometimes keep axes that they should drop, or drop some that they should keep
        expected = {name: wanted for name, wanted in expected.items() if wanted[0].size or outcome.values[name].size}
    bad = wrong(outcome.values, expected) if expected is not None else f"no reference: {reason}"
    if not bad:
        return None
    opinion = second_opinion(evaluation, feeds)
    if opinion is None:
        names = {node.op_type for node in evaluation.model.graph.node}
        nothing = all(array.size == 0 for array in outcome.values.values())
        nothing = nothing or (names & OF_NOTHING or expected is None) and any(array.size == 0 for array in feeds.values())
        stretches = any(node.op_type in STRETCHED for node in evaluation.model.graph.node)
        return None if (nothing or stretches) and not fits else ("value", bad)
    first = expected or {name: (array, np.zeros(array.shape), np.ones(array.shape, bool)) for name, array in opinion.items()}
    theirs = {name: (opinion[name], *first[name][1:]) if opinion[name].shape == first[name][0].shape else
              (opinion[name], np.zeros(opinion[name].shape), np.ones(opinion[name].shape, bool)) for name in first}
    if expected:  # each output by itself: one reference may be wrong about this one, the other about that one
        theirs = {name: theirs[name] for name in theirs if evaluate.disagreement(outcome.values[name], expected[name])}
    other = wrong(outcome.values, theirs)
    if not other:
        return None
    if expected and wrong(opinion, expected):
        if any(array.size == 0 for array in feeds.values()):
            return None  # the references disagree about nothing
        return "neither", f"{bad}; ONNX Runtime: {other}"
    return "value", bad


# Where, as a message says: the node, an input against the sizes of another, or an output whose size is impossible.
NAMED = re.compile(r'node\d+|(in|out)put "')
# Sizes that must be equal by the standard (a slope that stretches its data is none either), though the references broadcast them.
STRICT = frozenset("""BatchNormalization DequantizeLinear Einsum GroupNormalization InstanceNormalization NegativeLogLikelihoodLoss PRelu
 SoftmaxCrossEntropyLoss""".split())
# What has no value where an axis is empty or a window does not fit, though a reference may say zero or nothing.
NEEDS_ELEMENT = frozenset("ArgMax ArgMin AveragePool DFT Hardmax LpPool MaxPool RoiAlign STFT".split())
# ONNX Runtime's own operators whose bias or scale may have one element here, and Attention, whose mask may have one key: the reference
# evaluator hides the other keys, which opset 24 says of shorter masks. ONNX Runtime refuses to stretch.
STRETCHED = frozenset("Attention BiasGelu FastGelu".split())
# What is a sum, an extreme or a scale of nothing there, which ONNX Runtime refuses or defines; of no sequences its recurrent networks abort;
# what is left for a size (-1) beside a size of 0.
OF_NOTHING = frozenset("ConvTranspose DynamicQuantizeLinear Flatten GRU GlobalAveragePool GlobalLpPool GlobalMaxPool LSTM MaxPool RNN Reshape".split())


def judge_status(evaluation, feeds, outcome, expected, fits):
    names = {node.op_type for node in evaluation.model.graph.node}
    if fits and not (names & NEEDS_ELEMENT and any(array.size == 0 for array in feeds.values())):
        return "status", f"inputs that fit: {outcome.message}"
    if not NAMED.search(outcome.message) or len(re.findall(r"\d+", outcome.message)) < 2 or re.search(r"\d{15}", outcome.message):
        return "message", outcome.message
    if outcome.message.startswith('input "'):
        return None  # two axes under one symbol
    if expected is None or names & (STRICT | NEEDS_ELEMENT) or any(evaluate.has_one_reference(node) for node in evaluation.model.graph.node):
        return None  # what is its own second opinion
    opinion = second_opinion(evaluation, feeds)
    if opinion is not None and not wrong(opinion, expected):
        return "status", f"references give values: {outcome.message}"
    return None


def stretched(feeds, fitting):
    """Where an axis is 1 that is more in the inputs that fit: as NumPy broadcasts it. Nothing where no axis is."""
    changed = {name: array for name, array in feeds.items() if array.shape != fitting[name].shape}
    if len(changed) != 1:
        return None
    (name, array), = changed.items()
    wanted = fitting[name].shape
    if any(size not in (1, other) for size, other in zip(array.shape, wanted)):
        return None
    return {**feeds, name: np.ascontiguousarray(np.broadcast_to(array, wanted))}


def resized(array, axis, size):
    """The array with another size of one axis: cut, or its elements again."""
    if array.shape[axis] == 0:
        shape = list(array.shape)
        shape[axis] = size
        return np.zeros(shape, array.dtype)
    return np.take(array, np.arange(size) % array.shape[axis], axis)


def misfits(graph):
    """The inputs with one open size changed, everywhere and in every way that may matter: larger, smaller, one, none."""
    feeds = graph.feeds()
    for name, array in feeds.items():
        for axis, size in enumerate(array.shape):
            if isinstance(graph.dims[name][axis], int):
                continue
            lowest = 1 if (name, axis) in graph.nonempty else 0
            for other in dict.fromkeys((size + 1, size - 1, 1, 0, size + 6)):
                if other >= lowest and other != size:
                    yield {**feeds, name: resized(array, axis, other)}


def save(folder, model, finding):
    """The model, its inputs and what happened."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    for name, array in finding.feeds.items():
        np.save(folder / f"in_{name}.npy", array)
    try:
        for name, (array, _, _) in evaluate.Evaluation(model).expected(finding.feeds).items():
            np.save(folder / f"expected_{name}.npy", array)
    except Exception:  # no reference has values: a status is right
        pass
    shapes = ", ".join(f"{name} {array.dtype}{list(array.shape)}" for name, array in finding.feeds.items())
    brief = onnx.ModelProto()
    brief.CopyFrom(model)
    for tensor in brief.graph.initializer:
        if len(tensor.raw_data) > LISTED_BYTES:
            tensor.raw_data = b""
    text = f"{finding.kind}: {finding.message}\ninputs: {shapes}\n\n{onnx.printer.to_text(brief)}\n"
    (folder / "README").write_text(text)


def check(graph, **more):
    """Of a whole graph, in a temporary folder: the Checker after its run."""
    with tempfile.TemporaryDirectory(prefix="graph-") as folder:
        checker = Checker(graph.model(), folder, graph.hostile)
        checker.check(graph.feeds(), *more.get("misfits", ()))
        return checker
