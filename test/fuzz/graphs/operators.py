"""The generators of all operators, and which versions of the standard have each."""
import subprocess

import contractions
import elementwise
import images
import layers
import movement
import onnx
import reductions
from graph import Reject

OPERATORS = {**elementwise.OPERATORS, **movement.OPERATORS, **reductions.OPERATORS, **contractions.OPERATORS, **images.OPERATORS,
             **layers.OPERATORS}
OPSETS = (18, 9, 10, 11, 13, 15, 17, 20, 21, 23, 24, 26)
# What `mlc ops` lists and no generator makes, and why.
WITHOUT_GENERATOR = {}
OLD = {"Upsample": (7, 9), "Scatter": (9, 10)}


def opsets_of(domain, name):
    """The versions of ai.onnx at which an operator is generated."""
    if name in OLD and domain == "":
        return OLD[name]
    if domain or name == "SimplifiedLayerNormalization":
        return tuple(opset for opset in OPSETS if opset >= 15)
    since = min(schema.since_version for schema in onnx.defs.get_all_schemas_with_history()
                if schema.name == name and schema.domain == domain)
    return tuple(opset for opset in OPSETS if opset >= since)


OPSETS_OF = {key: opsets_of(*key) for key in OPERATORS}


def add(graph, key):
    """One node of this operator (with those that make its inputs), or Reject."""
    OPERATORS[key](graph)
    if not graph.values:
        raise Reject("no result")


def listed(mlc):
    """(domain, name) of all that `mlc ops` prints."""
    text = subprocess.run([str(mlc), "ops"], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in text.splitlines()[1:] if line.strip()]
    return {("" if domain == "ai.onnx" else domain, name) for name, domain, *_ in rows}
