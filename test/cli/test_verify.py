"""`mlc verify`: healthy models are verified, faults are found at the right node or output, and reproducers reproduce."""
import json
import pathlib
import shlex
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

CONFORMANCE = pathlib.Path(onnx.__file__).parent / "backend/test/data/node"


def run(*command):
    return subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=600, check=False)


def save_model(path, nodes, initializers, sizes, element=TensorProto.FLOAT):
    graph = helper.make_graph(nodes, "test", [helper.make_tensor_value_info("x", element, sizes)],
                              [onnx.ValueInfoProto(name="y")],
                              [numpy_helper.from_array(value, name) for name, value in initializers.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_healthy_model(mlc, digits):
    done = run(mlc, "verify", digits, "--dim", "batch=3", "--seed", "7")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert any(line.split()[:2] == ["conv1", "Conv"] and line.endswith("ok") for line in lines), done.stdout
    assert lines[-1].startswith("verified: 8 nodes, 1 outputs, against the reference interpreter, seed 7, ")


def test_json_of_a_transformer(mlc, root):
    """Dynamic sizes, shape arithmetic, and nodes that are the same in every layer."""
    done = run(mlc, "verify", root / "test/models/bert-small/dynamo.onnx", "--dim", "batch=1,sequence=5", "--input",
               "token_type_ids=random:0:1", "--input", "attention_mask=ones", "--outputs-only", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["verified"] and report["outputs"] and all(output["ok"] for output in report["outputs"])
    assert len(report["nodes"]) > 50 and all(node["verdict"] == "ok" for node in report["nodes"])


# One for each family of core ops: the reference and the library, which share nothing below core, agree.
@pytest.mark.parametrize("name", [
    "test_conv_with_strides_and_asymmetric_padding", "test_convtranspose_dilations", "test_convinteger_with_padding",
    "test_einsum_batch_matmul", "test_maxpool_2d_dilations", "test_averagepool_2d_pads_count_include_pad",
    "test_gathernd_example_int32_batch_dim1", "test_gather_elements_1", "test_scatternd_add", "test_scatter_elements_with_axis",
    "test_cumsum_1d_reverse_exclusive", "test_top_k", "test_argmax_keepdims_example_select_last_index", "test_reversesequence_batch",
    "test_resize_upsample_scales_nearest", "test_mod_mixed_sign_int8", "test_pow_types_int64_float32", "test_erf",
    "test_logsoftmax_large_number", "test_lstm_with_peepholes", "test_bitshift_right_uint8", "test_isinf_positive",
    "test_where_example", "test_dequantizelinear_axis", "test_dft", "test_if",
])
def test_operators(mlc, name):
    folder = CONFORMANCE / name
    graph = onnx.load(folder / "model.onnx").graph
    known = {value.name for value in graph.initializer}
    inputs = [value for value in graph.input if value.name not in known]
    options = []
    for index, value in enumerate(inputs):
        source = f"{value.name}=@{folder}/test_data_set_0/input_{index}.pb"
        # Counts, repetitions and scales are wanted at compile time.
        is_constant = value.name in ("K", "k", "axis", "scales", "dft_length", "sequence_lens")
        options += ["--input-value" if is_constant else "--input", source]
    done = run(mlc, "verify", folder / "model.onnx", "--outputs-only", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not checked" not in done.stdout, done.stdout


@pytest.fixture
def cancelling(tmp_path):
    """A sum that float32 cannot add up: 1e8 swallows the ones before -1e8 takes it away."""
    x = np.tile(np.float32([1e8, 1, 1, -1e8]), (3, 25))
    np.save(tmp_path / "x.npy", x)
    model = save_model(tmp_path / "cancelling.onnx", [
        helper.make_node("Relu", ["x"], ["a"], "before"), helper.make_node("Add", ["x", "zero"], ["b"], "also_before"),
        helper.make_node("ReduceSum", ["b", "axes"], ["c"], "unstable", keepdims=1),
        helper.make_node("Sub", ["c", "a"], ["y"], "after")],
        {"zero": np.zeros(1, np.float32), "axes": np.array([1])}, [3, 100])
    return model, tmp_path / "x.npy"


def test_unstable_node_and_its_reproducer(mlc, cancelling, tmp_path):
    model, x = cancelling
    folder = tmp_path / "a folder"
    done = run(mlc, "verify", model, "--input", f"x=@{x}", "--max-ulp", "4", "--save", folder)
    assert done.returncode == 1
    assert done.stdout.splitlines()[1].split()[:2] == ["unstable", "ReduceSum"], done.stdout
    assert "first node beyond the bounds: unstable" in done.stdout and "NOT verified" in done.stdout
    beyond = [line.split()[0] for line in done.stdout.splitlines() if line.endswith("BEYOND")]
    assert beyond == ["unstable"], "the nodes before and after are right by themselves"
    assert np.array_equal(np.load(folder / "y0.npy"), np.full((3, 1), 50, np.float32))
    onnx.checker.check_model(str(folder / "node.onnx"))  # other tools can read it
    command = shlex.split(next(line for line in done.stdout.splitlines() if line.startswith("reproduce: ")))[2:]
    again = run(mlc, *command)
    assert again.returncode == 1 and "unstable" in again.stdout and "instead of 50" in again.stdout, again.stdout


def test_growing_errors_are_located(mlc, tmp_path):
    """Every node is right to a few ulp, but a difference of nearly equal numbers makes them visible."""
    x = np.linspace(0.5, 0.50001, 64, dtype=np.float32)
    np.save(tmp_path / "x.npy", x)
    model = save_model(tmp_path / "growing.onnx", [
        helper.make_node("Neg", ["x"], ["m"], "first"), helper.make_node("Neg", ["m"], ["p"], "second"),
        helper.make_node("Tanh", ["p"], ["a"], "tanh"), helper.make_node("Sub", ["a", "c"], ["d"], "cancel"),
        helper.make_node("Mul", ["d", "k"], ["y"], "scale")],
        {"c": np.tanh(x.astype(np.float64)).astype(np.float32), "k": np.float32([1e6])}, [64])
    done = run(mlc, "verify", model, "--input", f"x=@{tmp_path}/x.npy", "--json")
    assert done.returncode == 1, done.stdout
    report = json.loads(done.stdout)
    assert not report["verified"] and all(node["ok"] for node in report["nodes"])
    assert "the result of cancel (Sub)" in report["located"]


def test_a_wrong_library(mlc, digits, tmp_path):
    """A library of the same model with one other weight is not that model's."""
    model = onnx.load(digits)
    bias = next(value for value in model.graph.initializer if len(value.dims) == 1 and value.dims[0] == 10)
    values = numpy_helper.to_array(bias).copy()
    values[3] += 0.01
    bias.CopyFrom(numpy_helper.from_array(values, bias.name))
    onnx.save(model, tmp_path / "other.onnx")
    assert run(mlc, "compile", tmp_path / "other.onnx", "-o", tmp_path / "other.so").returncode == 0
    done = run(mlc, "verify", digits, "--dim", "batch=2", "--outputs-only", "--library", tmp_path / "other.so")
    assert done.returncode == 1
    assert "output logits: float32[2,10], BEYOND" in done.stdout and "2 of 20 elements, the first at [0,3]" in done.stdout


def test_against_onnxruntime(mlc, cancelling):
    """The same table with ONNX Runtime as the reference: its own sum is off, too, but in another order."""
    model, x = cancelling
    done = run(mlc, "verify", model, "--input", f"x=@{x}", "--against=onnxruntime", f"--python={sys.executable}", "--json",
               "--rtol", "1")
    report = json.loads(done.stdout)
    assert report["reference"].startswith("ONNX Runtime "), done.stdout + done.stderr
    assert {node["name"] for node in report["nodes"]} == {"before", "also_before", "unstable", "after"}
    assert all(node["note"] == "" for node in report["nodes"])


def test_without_onnxruntime(mlc, digits, tmp_path):
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\necho error No module named onnxruntime\n")
    python.chmod(0o755)
    done = run(mlc, "verify", digits, "--dim", "batch=1", "--against=onnxruntime", f"--python={python}")
    assert done.returncode == 1
    assert f"{python}: ONNX Runtime: No module named onnxruntime; give a Python" in done.stderr


def test_a_size_that_is_not_given(mlc, digits):
    done = run(mlc, "verify", digits)
    assert done.returncode == 1 and "give the size with --dim batch=1" in done.stderr


def test_inputs_that_the_model_refuses(mlc, root):
    """Told before anything is compiled node by node."""
    done = run(mlc, "verify", root / "test/models/bert-small/legacy.onnx", "--dim", "batch=1,sequence=4", "--input",
               "token_type_ids=random:7:9", "--input", "attention_mask=ones")
    assert done.returncode == 1 and "is not below 2" in done.stderr and not done.stdout


def test_unsupported_model(mlc, tmp_path):
    model = save_model(tmp_path / "odd.onnx", [helper.make_node("Frobnicate", ["x"], ["y"], "odd")], {}, [2])
    done = run(mlc, "verify", model)
    assert done.returncode == 2 and "odd" in done.stderr and "Frobnicate" in done.stderr
