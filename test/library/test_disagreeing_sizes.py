"""One library serves all sizes, so that the sizes that meet in a node are known to the run only. For every operator: models all of
whose sizes are open under symbols of their own, run on sizes that fit and on each size larger, smaller, one and zero. The run gives
the values that the references give, or a status that names the node and the sizes; it touches nothing outside of its buffers."""
import check
import graph
import operators
import pytest

MODELS, ATTEMPTS = 1, 40
# Of one operator in one model.
MISFITS_MAX = 40


# These want sizes that are known when they are compiled, and say so: no run has to check them.
STATIC = {("", "DeformConv")}


def models(key):
    """Deterministic: the first models that the references run."""
    made = 0
    for seed in range(ATTEMPTS):
        chooser = graph.Chooser(f"{key} {seed}")
        built = graph.Graph(chooser, chooser.of(operators.OPSETS_OF[key]), graph.Style(open_all=True, specials=False, sizes=(2, 3, 4)))
        try:
            operators.add(built, key)
        except graph.Reject:
            continue
        yield built
        made += 1
        if made == MODELS or not built.feeds():
            return


@pytest.mark.slow
@pytest.mark.parametrize("key", [pytest.param(key, id="-".join(filter(None, key))) for key in operators.OPERATORS])
def test_sizes(key, tmp_path):
    checked, said, refused = 0, [], []
    for built in models(key):
        checker = check.Checker(built.model(), tmp_path)
        different = list(check.misfits(built))
        step = -(-len(different) // MISFITS_MAX) or 1
        for finding in checker.check(built.feeds(), *different[::step]):
            shapes = ", ".join(f"{name}{list(array.shape)}" for name, array in finding.feeds.items())
            said.append(f"opset {built.opset}, {shapes}: {finding.kind}: {finding.message}")
        checked += checker.refused is None
        refused.append(checker.refused or "")
    assert not said, "\n".join(said)
    if key in STATIC:
        assert all("of dynamic shape" in message and "is not supported" in message for message in refused), refused
    else:
        assert checked, refused


def test_every_operator(mlc):
    """An operator that mlc has is generated, or there is a reason why not."""
    listed = operators.listed(mlc)
    assert not listed - set(operators.OPERATORS) - set(operators.WITHOUT_GENERATOR), "write a generator (test/fuzz/graphs)"
    assert not set(operators.OPERATORS) - listed, "mlc does not list them"
    assert not set(operators.WITHOUT_GENERATOR) - listed and not set(operators.WITHOUT_GENERATOR) & set(operators.OPERATORS)
