"""Dimensions of size 1 split no groups: a model of a batch of one has no more kernels than with the batch open."""
import re
import subprocess

import onnx
import pytest


def calls(mlc, model, *options):
    """How many kernels one run starts."""
    done = subprocess.run([mlc, "compile", model, "--emit=tiled", "-o", "/dev/null", "--report=groups", *options], capture_output=True,
                          text=True, check=True)
    return sum(map(int, re.findall(r"^kernel_\d+ +(\d+) ", done.stderr, re.MULTILINE)))


def test_a_batch_of_one(mlc, root):
    models = [path for path in sorted((root / "test/models").glob("*/legacy.onnx"))
              if any(dim.dim_param == "batch" for value in onnx.load(path, load_external_data=False).graph.input
                     for dim in value.type.tensor_type.shape.dim)]
    assert len(models) > 20
    counts = {path.parent.name: (calls(mlc, path), calls(mlc, path, "--dim=batch=1")) for path in models}
    assert not {name: count for name, count in counts.items() if count[1] > count[0]}


@pytest.mark.parametrize("name", ["bert-small", "gpt2-small", "vit-small"])
def test_a_norm_is_one_kernel(mlc, root, name):
    """Mean, variance and what is made of them, of rows that a batch of one surrounds with sizes of 1."""
    done = subprocess.run([mlc, "compile", root / f"test/models/{name}/legacy.onnx", "--emit=tiled", "-o", "/dev/null", "--report=groups",
                           "--dim=batch=1"], capture_output=True, text=True, check=True)
    kinds = [line for line in done.stderr.splitlines() if line.startswith("kernel_") and "Norm" in line]
    assert kinds and all("row by row" in line or "sums of products" in line for line in kinds), kinds
