"""`mlc verify`: healthy models are verified, faults are found at the right node or output, and reproducers reproduce."""
import json
import math
import pathlib
import shlex
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

pytestmark = pytest.mark.slow

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


def test_json_of_a_transformer(mlc, root, compiled):
    """Dynamic sizes, shape arithmetic, and nodes that are the same in every layer."""
    model = root / "test/models/bert-small/legacy.onnx"
    done = run(mlc, "verify", model, "--library", compiled(model), "--dim", "batch=1,sequence=5", "--input",
               "token_type_ids=random:0:1", "--input", "attention_mask=ones", "--outputs-only", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["verified"] and report["outputs"] and all(output["ok"] for output in report["outputs"])
    assert len(report["nodes"]) > 50
    assert all(node["verdict"] == "not checked" and node["ok"] is None for node in report["nodes"])


# One for each family of core ops: the reference and the library, which share nothing below core, agree.
@pytest.mark.parametrize("name", [
    "test_conv_with_strides_and_asymmetric_padding", "test_convtranspose_dilations", "test_convinteger_with_padding",
    "test_einsum_batch_matmul", "test_maxpool_2d_dilations", "test_averagepool_2d_pads_count_include_pad",
    "test_gathernd_example_int32_batch_dim1", "test_gather_elements_1", "test_scatternd_add", "test_scatter_elements_with_axis",
    "test_cumsum_1d_reverse_exclusive", "test_top_k", "test_argmax_keepdims_example_select_last_index", "test_reversesequence_batch",
    "test_resize_upsample_scales_nearest", "test_mod_mixed_sign_int8", "test_pow_types_int64_float32", "test_erf",
    "test_logsoftmax_large_number", "test_lstm_with_peepholes", "test_bitshift_right_uint8", "test_isinf_positive",
    "test_where_example", "test_dequantizelinear_axis", "test_dft", "test_if", "test_scan9_multi_state", "test_nonzero_example",
    "test_compress_0", "test_unique_sorted_with_axis_3d", "test_unique_not_sorted_without_axis",
    "test_nonmaxsuppression_center_point_box_format", "test_nonmaxsuppression_flipped_coordinates",
    "test_nonmaxsuppression_identical_boxes", "test_nonmaxsuppression_limit_output_size",
    "test_nonmaxsuppression_suppress_by_IOU_and_scores", "test_nonmaxsuppression_two_batches",
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


def save_deciding(path, low):
    """What the data decides: how many elements there are (Compress), how many steps (Loop), and which branch (If)."""
    scalar = [helper.make_tensor_value_info(name, kind, []) for name, kind in (
        ("i", TensorProto.INT64), ("go", TensorProto.BOOL), ("s", TensorProto.FLOAT))]
    outputs = [onnx.ValueInfoProto(name=name) for name in ("more", "half", "each")]
    body = helper.make_graph([helper.make_node("Mul", ["s", "k"], ["half"]), helper.make_node("Greater", ["half", "low"], ["more"]),
                              helper.make_node("Identity", ["half"], ["each"])], "body", scalar, outputs)
    once = helper.make_graph([helper.make_node("Neg", ["chosen"], ["a"])], "once", [], [onnx.ValueInfoProto(name="a")])
    twice = helper.make_graph([helper.make_node("Concat", ["chosen", "chosen"], ["b"], axis=0)], "twice", [],
                              [onnx.ValueInfoProto(name="b")])
    return save_model(path, [
        helper.make_node("Greater", ["x", "zero"], ["mask"], "mask"), helper.make_node("Compress", ["x", "mask"], ["chosen"], "choose"),
        helper.make_node("ReduceSum", ["chosen"], ["total"], "total", keepdims=0),
        helper.make_node("Loop", ["count", "", "total"], ["last", "steps"], "halve", body=body),
        helper.make_node("Less", ["total", "ten"], ["small"], "small"),
        helper.make_node("If", ["small"], ["either"], "branch", then_branch=once, else_branch=twice),
        helper.make_node("Concat", ["either", "steps"], ["y"], "join", axis=0)],
        {"zero": np.float32(0), "k": np.float32(0.5), "low": np.float32(low), "ten": np.float32(10), "count": np.array(100)}, [7])


@pytest.fixture(scope="module")
def deciding(mlc, tmp_path_factory, compiled):
    """The model, and a library of it that stops its loop too early."""
    folder = tmp_path_factory.mktemp("deciding")
    return save_deciding(folder / "model.onnx", 0.25), compiled(save_deciding(folder / "other.onnx", 1))


@pytest.mark.parametrize("scale", [1, 5])
def test_sizes_and_steps_that_the_data_decides(mlc, deciding, tmp_path, scale):
    x = scale * np.float32([1, -1, 0, 2, -3, 0.5, 0])
    np.save(tmp_path / "x.npy", x)
    chosen = x[x > 0]
    size = len(chosen) * (1 if chosen.sum() < 10 else 2) + math.ceil(math.log2(chosen.sum() / 0.25))
    model, other = deciding
    done = run(mlc, "verify", model, "--input", f"x=@{tmp_path}/x.npy", "--json", *(["--outputs-only"] if scale == 5 else []))
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["outputs"][0]["type"] == f"float32[{size}]" and report["outputs"][0]["ok"]
    assert {node["name"] for node in report["nodes"]} == {"mask", "choose", "total", "halve", "small", "branch", "join"}
    assert all(node["verdict"] == ("not checked" if scale == 5 else "ok") for node in report["nodes"]), report["nodes"]
    done = run(mlc, "verify", model, "--input", f"x=@{tmp_path}/x.npy", "--outputs-only", "--library", other)
    assert done.returncode == 1 and f"its shape is [{size - 2}] instead of [{size}]" in done.stdout, done.stdout


def test_value_that_grows(mlc, tmp_path):
    """A loop that appends until a value is negative, with a branch in its body that reads what is around the loop."""
    def graph(name, nodes, outputs, inputs=()):
        return helper.make_graph(nodes, name, inputs, [onnx.ValueInfoProto(name=output) for output in outputs])

    shrink = graph("shrink", [helper.make_node("Mul", ["v", "rate"], ["a"])], ["a"])
    lower = graph("lower", [helper.make_node("Sub", ["v", "step"], ["b"])], ["b"])
    arguments = [helper.make_tensor_value_info(name, kind, sizes) for name, kind, sizes in (
        ("i", TensorProto.INT64, []), ("go", TensorProto.BOOL, []), ("list", TensorProto.FLOAT, None))]
    body = graph("body", [
        helper.make_node("Gather", ["list", "end"], ["v"], axis=0), helper.make_node("Greater", ["v", "high"], ["large"]),
        helper.make_node("If", ["large"], ["w"], then_branch=shrink, else_branch=lower),
        helper.make_node("Concat", ["list", "w"], ["longer"], axis=0), helper.make_node("Greater", ["w", "zero"], ["more"]),
        helper.make_node("Squeeze", ["more"], ["again"])], ["again", "longer"], arguments)
    model = save_model(tmp_path / "growing.onnx", [helper.make_node("Loop", ["count", "", "x"], ["y"], "grow", body=body)], {
        "end": np.array([-1]), "high": np.float32([0.5]), "rate": np.float32([0.9]), "step": np.float32([0.3]),
        "zero": np.float32([0]), "count": np.array(50)}, [2])
    values = [7.0, 2.0]
    while values[-1] > 0:
        values.append(values[-1] * 0.9 if values[-1] > 0.5 else values[-1] - 0.3)
    np.save(tmp_path / "x.npy", np.float32(values[:2]))
    done = run(mlc, "verify", model, "--input", f"x=@{tmp_path}/x.npy", "--outputs-only")
    assert done.returncode == 0 and f"output y: float32[{len(values)}], ok" in done.stdout, done.stdout + done.stderr


# Lengths and numbers of boxes that the run finds; branches of unknown size; loops around a cell.
DECIDING_MODELS = {
    "yolo-nms-small/legacy": ["--dim", "batch=2,height=64,width=64"],
    "ssdlite-small/legacy": ["--dim", "height=64,width=64"],
    "lstm-small/legacy": ["--dim", "batch=2,sequence=9"],
    "gru-small/legacy": ["--dim", "batch=2,sequence=9"],
    "keras-gru-small/tf2onnx": ["--shape", "tokens=2x9"],
}


@pytest.mark.parametrize("name", DECIDING_MODELS)
def test_models_that_decide(mlc, root, compiled, name):
    model = root / f"test/models/{name}.onnx"
    done = run(mlc, "verify", model, "--library", compiled(model), *DECIDING_MODELS[name], "--outputs-only")
    assert done.returncode == 0 and "not checked" not in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
def test_nodes_of_a_model_that_decides(mlc, root):
    done = run(mlc, "verify", root / "test/models/keras-gru-small/tf2onnx.onnx", "--shape", "tokens=2x9", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    nodes = json.loads(done.stdout)["nodes"]
    assert sum(node["operator"] == "Loop" for node in nodes) == 3 and all(node["verdict"] == "ok" for node in nodes), nodes


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


def test_a_size_that_is_not_given(mlc, digits, compiled):
    done = run(mlc, "verify", digits, "--library", compiled(digits))
    assert done.returncode == 1 and "give the size with --dim batch=1" in done.stderr


def test_inputs_that_the_model_refuses(mlc, root, compiled):
    """Told before anything is compiled node by node."""
    model = root / "test/models/bert-small/legacy.onnx"
    done = run(mlc, "verify", model, "--library", compiled(model), "--dim", "batch=1,sequence=4", "--input",
               "token_type_ids=random:7:9", "--input", "attention_mask=ones")
    assert done.returncode == 1 and "is not below 2" in done.stderr and not done.stdout


def test_unsupported_model(mlc, tmp_path):
    model = save_model(tmp_path / "odd.onnx", [helper.make_node("Frobnicate", ["x"], ["y"], "odd")], {}, [2])
    done = run(mlc, "verify", model)
    assert done.returncode == 2 and "odd" in done.stderr and "Frobnicate" in done.stderr
