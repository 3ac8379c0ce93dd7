"""Random models for a short while (fuzz.py runs longer), the same ones each time; and the finder itself must find: a library that
writes too much, that leaves something unwritten, whose values are wrong."""
import check
import evaluate
import fuzz
import graph
import guarded
import numpy as np
import operators
import pytest

SEARCHES, EXAMPLES, SECONDS = 3, 30, 300  # the time is for a machine that is stuck: the models are the same on all


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEARCHES))
def test_random_models(seed, tmp_path):
    statistics = fuzz.Statistics()
    found = fuzz.search(list(operators.OPERATORS), seed, EXAMPLES, SECONDS, statistics)
    if found:
        check.save(tmp_path / "found", found.built.model(), found.finding)
        pytest.fail(f"{tmp_path}/found: {found}\n{(tmp_path / 'found/README').read_text()}", pytrace=False)
    assert statistics.models - statistics.refused > 0, statistics


def built(operator):
    """A small model of one operator, and its expected values."""
    chooser = graph.Chooser(1)
    made = graph.Graph(chooser, 18, graph.Style(open_all=True, specials=False))
    operators.add(made, ("", operator))
    return made


def test_wrong_values_are_found(mlc, tmp_path):
    """The model that is checked is not the one that is compiled."""
    made = built("Sin")
    model = made.model()
    other = built("Cos").model()
    checker = check.Checker(model, tmp_path)
    assert not checker.check(made.feeds())
    other.graph.input[0].name = other.graph.node[0].input[0] = next(iter(made.feeds()))
    wrong = check.Checker(model, tmp_path)
    wrong.library = check.Checker(other, tmp_path).library
    assert [finding.kind for finding in wrong.check(made.feeds())] == ["value"]


class Written(guarded.Run):
    """A run whose `library` is a function of the addresses of the outputs."""

    def run(self, options):
        address, size = self.filled(64), 64
        values = guarded.array_at(address, size)
        self.library(address, values)
        return guarded.Outcome("values", values={"y": values.copy()})


@pytest.mark.parametrize("code, kind", [
    (lambda address, values: values.fill(1), "values"),
    (lambda address, values: values[:63].fill(1), "unstable"),
    (lambda address, values: guarded.array_at(address, 65).fill(1), "crash"),
    (lambda address, values: guarded.array_at(address - 1, 65).fill(1), "crash")])
def test_guards(code, kind, monkeypatch):
    monkeypatch.setattr(guarded, "Run", Written)
    outcomes = guarded.in_children(lambda library: guarded.run_all(library, {}, {}), [code, code])
    assert [outcome.kind for outcome in outcomes] == [kind, kind], [str(outcome) for outcome in outcomes]


def test_tolerance():
    """What rounding explains is no fault, one step more than it explains is."""
    want = np.array([1, 100, 0], np.float32)
    expected = (want, np.array([1e-6, 1e-4, 0]), np.array([True, True, False]))
    assert not evaluate.disagreement(want * np.float32(1 + 1e-6), expected)
    assert not evaluate.disagreement(np.array([1, 100, 7], np.float32), expected)
    assert evaluate.disagreement(np.array([1, 100.1, 0], np.float32), expected)
    assert evaluate.disagreement(np.array([1, np.nan, 0], np.float32), expected)
    assert evaluate.disagreement(np.array([1, 100], np.float32), expected)
