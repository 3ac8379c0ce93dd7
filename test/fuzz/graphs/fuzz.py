"""Random models against the references, until the time is over.

    .venv/bin/python test/fuzz/graphs/fuzz.py [--seconds 3600] [--seed 0] [--keep FOLDER] [--operator NAME ...]

A model holds several operators on shared values with random types, sizes, attributes, constants and open sizes. It is run on inputs that
fit and on some that do not (check.py). hypothesis makes what fails smaller; the model, its inputs and what happened stay in a folder of
FOLDER. The same kind of fault of the same operators is kept once.
"""
import argparse
import pathlib
import re
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "test/onnx"), str(ROOT / "test/fuzz/graphs")]
sys.dont_write_bytecode = True

import check  # noqa: E402
import graph  # noqa: E402
import hypothesis  # noqa: E402
import operators  # noqa: E402
from hypothesis import strategies  # noqa: E402

NODES_MAX = 8
MISFITS = 4


class Found(Exception):
    """A model on which something is wrong."""

    def __init__(self, built, finding):
        super().__init__(f"{finding.kind}: {finding.message}")
        self.built, self.finding = built, finding

    def signature(self):
        """Faults with one signature are likely one fault."""
        names = sorted({node.op_type for node in self.built.nodes})
        return f"{self.finding.kind}-" + "-".join(names[:3])


def build(chooser, keys):
    """A graph whose first operator is one of `keys`; others follow, which may use its results."""
    key = chooser.of(keys)
    opset = chooser.of(operators.OPSETS_OF[key])
    style = graph.Style(open_all=False, parameters=chooser.of(["constant", "any"]), hostile=chooser.of([False, False, True]),
                        sizes=chooser.of([(2, 3, 1, 4, 5), (2, 1, 0), (3, 9, 17, 1)]))
    built = graph.Graph(chooser, opset, style)
    operators.add(built, key)
    others = [other for other in operators.OPERATORS if opset in operators.OPSETS_OF[other]]
    for _ in range(chooser.integer(0, NODES_MAX - 1)):
        try:
            operators.add(built, chooser.of(others))
        except graph.Reject:
            continue
    return built


def some_misfits(built):
    """A few, chosen by the graph's own generator."""
    every = list(check.misfits(built))
    return [every[index] for index in built.rng.permutation(len(every))[:MISFITS]]


class Statistics:
    def __init__(self):
        self.models = self.nodes = self.refused = self.rejected = 0
        self.reasons = {}

    def __str__(self):
        return f"{self.models} models, {self.nodes} nodes, {self.refused} refused, {self.rejected} without a reference"


def examine(built, statistics, ignored=lambda found: False):
    """Raises Found for the first thing that is wrong and not ignored."""
    checker = check.check(built, misfits=() if built.hostile else some_misfits(built))
    statistics.models += 1
    statistics.nodes += len(built.nodes)
    if checker.refused:
        statistics.refused += 1
        reason = re.sub(r"\[[^]]*\]|\d+", "#", checker.refused)
        statistics.reasons[reason] = statistics.reasons.get(reason, 0) + 1
    for finding in checker.findings:
        found = Found(built, finding)
        if not ignored(found):
            raise found


def reduced(found):
    """The same kind of fault on one node of the model and what it reads, if there it is."""
    for node in found.built.nodes:
        part = found.built.only(node)
        if len(part.nodes) == len(found.built.nodes):
            continue
        feeds = {name: found.finding.feeds[name] for name in part.feeds()}
        fitting = part.feeds()
        different = any(array.shape != fitting[name].shape for name, array in feeds.items())
        checker = check.check(part, misfits=[feeds] if different else [])
        same = [finding for finding in checker.findings if finding.kind == found.finding.kind]
        if same:
            return Found(part, same[0])
    return found


def search(keys, seed, examples, seconds, statistics, ignored=lambda found: False):
    """One search of hypothesis: a Found whose model is as small as it could be made, or nothing."""
    end = time.monotonic() + seconds
    last = []

    @hypothesis.seed(seed)
    @hypothesis.settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck),
                         print_blob=False, phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink], report_multiple_bugs=False)
    @hypothesis.given(strategies.data())
    def attempt(data):
        if time.monotonic() > end:  # also ends shrinking: nothing fails any more
            return
        try:
            built = build(graph.DrawnChooser(data.draw, strategies), keys)
        except graph.Reject:
            statistics.rejected += 1
            hypothesis.reject()
        try:
            examine(built, statistics, ignored)
        except Found as found:
            if not last or len(found.built.nodes) <= len(last[0].built.nodes):
                last[:] = [found]
            raise
    try:
        attempt()
    except (Found, hypothesis.errors.Flaky, hypothesis.errors.Unsatisfiable):
        pass
    return reduced(last[0]) if last else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", default=str(ROOT / "build/fuzz-findings"))
    parser.add_argument("--operator", action="append", help="the first operator of each model; may be repeated")
    parser.add_argument("--ignore", action="append", default=[], help="a regular expression of faults that are known")
    arguments = parser.parse_args()
    keys = [key for key in operators.OPERATORS if not arguments.operator or key[1] in arguments.operator]
    statistics, kept, end, seed = Statistics(), set(), time.monotonic() + arguments.seconds, arguments.seed

    def ignored(found):
        return found.signature() in kept or any(re.search(known, str(found)) for known in arguments.ignore)
    while time.monotonic() < end:
        found = search(keys, seed, 60, min(120, end - time.monotonic()), statistics, ignored)
        seed += 1
        if found:
            kept.add(found.signature())
            folder = pathlib.Path(arguments.keep) / f"{len(kept):02}-{found.signature()}"
            check.save(folder, found.built.model(), found.finding)
            print(f"{folder.name}: {found}", flush=True)
    print(statistics)
    for reason, count in sorted(statistics.reasons.items(), key=lambda entry: -entry[1])[:20]:
        print(f"  {count:4} {reason}")
    return 1 if kept else 0


if __name__ == "__main__":
    sys.exit(main())
