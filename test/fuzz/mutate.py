"""Breaks models on purpose and watches mlc refuse them: a diagnostic and an exit code, never a signal, a failed assertion,
an endless loop or unbounded memory.

    .venv/bin/python test/fuzz/mutate.py [--count 2000] [--seed 0] [--keep FOLDER] [MODEL.onnx ...]

Two kinds of mutations: of the bytes (what a broken download or a fuzzer makes) and of the message (sizes, names, types, order,
nesting, through protobuf's API: what a broken or hostile exporter makes). `mlc check` takes many files in one process; when it
dies, the last file that it named is the culprit. Files that break it stay in the folder.
"""
import argparse
import glob
import os
import pathlib
import random
import resource
import subprocess
import sys
import tempfile

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, TensorProto, helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
MLC = pathlib.Path(os.environ.get("MLC", ROOT / "build/bin/mlc"))
BATCH, SECONDS, BYTES = 25, 120, 4 << 30
SIZES = [-(1 << 63), -1, 0, 1, 2, 3, 7, 255, 1 << 16, (1 << 31) - 1, 1 << 31, 1 << 40, 1 << 62, (1 << 63) - 1]
FLOATS = [0.0, -0.0, -1.0, 1e-45, 1e38, float("inf"), float("nan")]

# One node test for each way in which an operator reads its inputs: attributes, shapes from tensors, subgraphs, many axes.
NODE_TESTS = """add_bcast argmax_negative_axis_keepdims_example averagepool_2d_pads batchnorm_example cast_FLOAT_to_DOUBLE
 clip concat_2d_axis_1 constantofshape_float_ones conv_with_strides_padding convtranspose_2d cumsum_1d depthtospace_example
 dequantizelinear_axis einsum_batch_matmul expand_dim_changed flatten_axis2 gather_2d_indices gather_elements_1 gathernd_example_float32
 gemm_all_attributes gridsample_bilinear group_normalization_epsilon gru_defaults hardmax_axis_1 if instancenorm_example
 layer_normalization_default_axis loop11 lrn lstm_defaults matmul_4d maxpool_2d_dilations maxunpool_export_with_output_shape
 mean_one_input nonmaxsuppression_center_point_box_format nonzero_example onehot_with_axis pad constant_pad constant_pad_axes pow_bcast_array
 quantizelinear_axis range_float_type_positive_delta reduce_sum_do_not_keepdims_example resize_upsample_sizes_nearest reshape_reordered_all_dims
 roialign_aligned_false scan9_sum scatter_elements_with_axis scatternd_add sequence_insert_at_back slice softmax_axis_1
 spacetodepth split_variable_parts_1d_opset18 split_equal_parts_2d squeeze tile tile_precomputed top_k transpose_all_permutations_3 trilu_one_row_neg
 unique_sorted_with_axis unsqueeze_two_axes where_example attention_4d adam momentum""".split()


def seed_models():
    data = pathlib.Path(onnx.__file__).parent / "backend/test/data/node"
    paths = [data / f"test_{name}/model.onnx" for name in NODE_TESTS]
    paths += [ROOT / "examples/digits/digits.onnx", *sorted((ROOT / "test/models/bert-small").glob("*.onnx"))]
    return [path for path in paths if path.exists()]


def load_small(path):
    """Without large weights: mutations inside them change nothing that is parsed."""
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) > 4096 and tensor.data_type == TensorProto.FLOAT:
            tensor.dims[:] = [1] * len(tensor.dims)
            tensor.raw_data = b"\0" * 4
    return model


# ---- mutations of the message: each takes (model, rng) and changes the model ---------------------------------------------

def graphs_of(graph, depth=0):
    """The graph and its subgraphs."""
    yield graph
    for node in graph.node if depth < 20 else ():
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from graphs_of(attribute.g, depth + 1)


def pick_graph(model, rng):
    return rng.choice(list(graphs_of(model.graph)))


def pick_node(model, rng):
    nodes = [node for graph in graphs_of(model.graph) for node in graph.node]
    return rng.choice(nodes) if nodes else model.graph.node.add(op_type="Relu")


def pick_tensor(model, rng):
    tensors = [tensor for graph in graphs_of(model.graph) for tensor in graph.initializer]
    tensors += [attribute.t for graph in graphs_of(model.graph) for node in graph.node for attribute in node.attribute
                if attribute.HasField("t")]
    return rng.choice(tensors) if tensors else model.graph.initializer.add(name="w", data_type=1)


def names_of(model):
    names = [tensor.name for tensor in model.graph.initializer] + [value.name for value in model.graph.input]
    return names + [name for node in model.graph.node for name in [*node.input, *node.output]] + ["", "nowhere", "a" * 5000, "\x1b[31m"]


def change_tensor_dim(model, rng):
    tensor = pick_tensor(model, rng)
    if tensor.dims and rng.random() < 0.8:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(SIZES)
    else:
        tensor.dims.extend(rng.choice(SIZES) for _ in range(rng.choice([1, 2, 20, 2000])))


def change_tensor_type(model, rng):
    pick_tensor(model, rng).data_type = rng.choice([-1, *range(27), 99])


def change_tensor_values(model, rng):
    """Shapes, axes, indices and repeats come from integer tensors: any value may arrive there."""
    tensor = pick_tensor(model, rng)
    count = 1
    for size in tensor.dims:
        count *= max(size, 0)
    if tensor.data_type == TensorProto.INT64 and 0 < count < 10000:
        tensor.raw_data = b"".join(rng.choice(SIZES).to_bytes(8, "little", signed=True) for _ in range(count))


def cut_tensor(model, rng):
    tensor = pick_tensor(model, rng)
    if tensor.raw_data:
        tensor.raw_data = tensor.raw_data[:rng.randrange(len(tensor.raw_data))]
    else:
        tensor.float_data.extend([1.0] * rng.randrange(5))
        tensor.int64_data.extend([1] * rng.randrange(5))


def make_external(model, rng):
    tensor = pick_tensor(model, rng)
    tensor.data_location = TensorProto.EXTERNAL
    for key in ("location", "offset", "length"):
        if rng.random() < 0.8:
            tensor.external_data.add(key=key, value=rng.choice(["", ".", "..", "../../etc/passwd", "/dev/zero", "/etc/passwd", "0",
                                                                "-1", "9" * 30, str(1 << 63), "x\0y", "a" * 5000]))


def change_value_shape(model, rng):
    values = [*model.graph.input, *model.graph.output] or [model.graph.input.add(name="x")]
    shape = rng.choice(values).type.tensor_type.shape
    dim = rng.choice(shape.dim) if shape.dim and rng.random() < 0.8 else shape.dim.add()
    kind = rng.randrange(4)
    if kind == 0:
        dim.dim_value = rng.choice(SIZES)
    elif kind == 1:
        dim.dim_param = rng.choice(["", "batch", "N", "a" * 5000, "\n", "?", "unk__1", "2*N"])
    elif kind == 2:
        dim.Clear()
    else:
        for _ in range(rng.choice([1, 20, 1000])):
            shape.dim.add().dim_value = rng.choice(SIZES)


def change_value_type(model, rng):
    values = [*model.graph.input, *model.graph.output] or [model.graph.input.add(name="x")]
    value = rng.choice(values)
    kind = rng.randrange(5)
    if kind == 0:
        value.type.tensor_type.elem_type = rng.choice([-1, *range(27), 99])
    elif kind == 1:
        value.type.Clear()
    elif kind == 2:
        value.type.tensor_type.ClearField("shape")
    elif kind == 3:
        inner = value.type
        for _ in range(rng.choice([1, 40, 150])):
            inner = inner.sequence_type.elem_type
        inner.tensor_type.elem_type = 1
    else:
        value.type.optional_type.elem_type.tensor_type.elem_type = 1


def change_input(model, rng):
    node = pick_node(model, rng)
    name = rng.choice(names_of(model))
    if node.input and rng.random() < 0.8:
        node.input[rng.randrange(len(node.input))] = name
    else:
        node.input.extend([name] * rng.choice([1, 2, 100]))


def drop_input(model, rng):
    node = pick_node(model, rng)
    if node.input:
        del node.input[rng.randrange(len(node.input)):]


def change_output(model, rng):
    node = pick_node(model, rng)
    name = rng.choice(names_of(model))
    if node.output and rng.random() < 0.7:
        node.output[rng.randrange(len(node.output))] = name
    else:
        node.output.extend([name] * rng.choice([1, 2, 100]))


def make_cycle(model, rng):
    node, other = pick_node(model, rng), pick_node(model, rng)
    if node.input and other.output:
        node.input[0] = other.output[0]


def move_node(model, rng):
    graph = pick_graph(model, rng)
    if graph.node:
        node = graph.node.pop(rng.randrange(len(graph.node)))
        if rng.random() < 0.7:
            graph.node.insert(rng.randrange(len(graph.node) + 1), node)


def double_node(model, rng):
    graph = pick_graph(model, rng)
    if graph.node:
        graph.node.add().CopyFrom(rng.choice(graph.node))


def change_operator(model, rng):
    node = pick_node(model, rng)
    node.op_type = rng.choice([pick_node(model, rng).op_type, "Loop", "If", "Scan", "Reshape", "Slice", "Pad", "Resize", "Tile",
                               "Expand", "Conv", "Einsum", "ConstantOfShape", "Range", "LSTM", "TopK", "Split", "Nothing", ""])
    if rng.random() < 0.1:
        node.domain = rng.choice(["ai.onnx", "ai.onnx.ml", "com.example", "a" * 5000])


def change_attribute(model, rng):
    node = pick_node(model, rng)
    if not node.attribute or rng.random() < 0.2:
        name = rng.choice(["axis", "axes", "pads", "strides", "kernel_shape", "group", "value", "to", "perm", "equation", "x"])
        node.attribute.append(helper.make_attribute(name, rng.choice([rng.choice(SIZES), [rng.choice(SIZES)], 1.5, "x" * 3000])))
        return
    attribute = rng.choice(node.attribute)
    if attribute.type == AttributeProto.INTS and rng.random() < 0.8:
        if attribute.ints and rng.random() < 0.7:
            attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(SIZES)
        else:
            attribute.ints.extend(rng.choice(SIZES) for _ in range(rng.choice([1, 3, 1000])))
    elif attribute.type == AttributeProto.INT and rng.random() < 0.8:
        attribute.i = rng.choice(SIZES)
    elif attribute.type == AttributeProto.FLOAT and rng.random() < 0.8:
        attribute.f = rng.choice(FLOATS)
    elif attribute.type == AttributeProto.STRING and rng.random() < 0.8:
        attribute.s = rng.choice([b"", b"\xff\xfe", b"SAME_UPPER", b"ij,jk->ik", b"...i,...->", b"a" * 100000])
    else:
        attribute.type = rng.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13])


def drop_attribute(model, rng):
    node = pick_node(model, rng)
    if node.attribute:
        if rng.random() < 0.5:
            del node.attribute[rng.randrange(len(node.attribute))]
        else:
            node.attribute.add().CopyFrom(rng.choice(node.attribute))


def change_opset(model, rng):
    if not model.opset_import or rng.random() < 0.1:
        model.opset_import.add(domain=rng.choice(["", "ai.onnx", "x"]), version=rng.choice(SIZES))
    else:
        rng.choice(model.opset_import).version = rng.choice([*range(1, 30), *SIZES])
    if rng.random() < 0.1:
        del model.opset_import[:]


def nest(model, rng):
    """Moves all nodes into subgraphs of If nodes, many levels deep."""
    for _ in range(rng.choice([1, 3, 20])):
        inner = onnx.GraphProto()
        inner.node.extend(model.graph.node)
        inner.output.extend(model.graph.output)
        del model.graph.node[:]
        node = model.graph.node.add(op_type=rng.choice(["If", "Loop", "Scan"]), input=[rng.choice(names_of(model))])
        node.output.extend(value.name for value in model.graph.output)
        for name in rng.choice([["then_branch", "else_branch"], ["body"], ["then_branch"]]):
            try:
                node.attribute.append(helper.make_attribute(name, inner))
            except DecodeError:  # Python's protobuf copies at most 100 levels
                return


def add_function(model, rng):
    """A function, perhaps one that calls itself, called by some node."""
    function = model.functions.add(name="F", domain="local", input=["a"], output=["b"])
    function.opset_import.extend(model.opset_import)
    for _ in range(rng.choice([0, 1, 3])):
        node = function.node.add(op_type=rng.choice(["Relu", "Neg", "F"]), input=["a"], output=["b"])
        node.domain = "local" if node.op_type == "F" else ""
    node = pick_node(model, rng)
    node.op_type, node.domain = "F", "local"
    if rng.random() < 0.5:
        del node.input[1:], node.output[1:], node.attribute[:]


def change_graph_lists(model, rng):
    graph = pick_graph(model, rng)
    field = rng.choice([graph.input, graph.output, graph.initializer])
    if field and rng.random() < 0.5:
        del field[rng.randrange(len(field))]
    elif field:
        field.add().CopyFrom(rng.choice(field))


def splice(model, rng):
    """A node or a tensor becomes a copy of another one, perhaps of one that it holds."""
    pick = rng.choice([pick_node, pick_tensor])
    target, source = pick(model, rng), pick(model, rng)
    copy = type(source)()
    copy.CopyFrom(source)
    target.CopyFrom(copy)


MESSAGE_MUTATIONS = [change_tensor_dim, change_tensor_type, change_tensor_values, cut_tensor, make_external, change_value_shape,
                     change_value_type, change_input, drop_input, change_output, make_cycle, move_node, double_node, change_operator,
                     change_attribute, change_attribute, change_attribute, drop_attribute, change_opset, nest, add_function,
                     change_graph_lists, splice]


def mutate_message(model, rng):
    mutant = onnx.ModelProto()
    mutant.CopyFrom(model)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        rng.choice(MESSAGE_MUTATIONS)(mutant, rng)
    return mutant.SerializeToString()


def mutate_bytes(content, rng):
    content = bytearray(content)
    for _ in range(rng.randrange(1, 6)):
        if not content:
            break
        at, kind = rng.randrange(len(content)), rng.randrange(6)
        if kind == 0:
            content[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            content[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
        elif kind == 2:
            del content[at:at + rng.randrange(1, 9)]
        elif kind == 3:
            content[at:at] = content[at:at + rng.randrange(1, 200)]
        elif kind == 4:
            content[at:at + 1] = b"\xff" * rng.randrange(1, 12)  # a huge length
        else:
            del content[at:]
    return bytes(content)


# ---- running mlc -----------------------------------------------------------------------------------------------------------

def limit():
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run_mlc(mlc, *arguments):
    """(what is wrong or "", output)."""
    try:
        done = subprocess.run([str(mlc), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=SECONDS, preexec_fn=limit, check=False)
    except subprocess.TimeoutExpired as error:
        return f"still running after {SECONDS} s", (error.stdout or b"").decode(errors="replace")
    if done.returncode not in (0, 1, 2):
        return f"exit code {done.returncode}", done.stdout
    for word in ("Assertion", "Stack dump", "LLVM ERROR", "Sanitizer"):
        if word in done.stdout:
            return f'"{word}" in the output', done.stdout
    if done.returncode != 0 and "error: " not in done.stdout and "not supported" not in done.stdout:
        return "it failed without a diagnostic", done.stdout
    return "", done.stdout


def check_batch(mlc, paths):
    """The files of the batch that break `mlc check`, with the reason and the end of the output."""
    failures = []
    while paths:
        wrong, output = run_mlc(mlc, "check", *paths)
        if not wrong:
            break
        last = paths[0]
        for line in output.splitlines():
            if line.startswith("== ") and pathlib.Path(line[3:]) in paths:
                last = pathlib.Path(line[3:])
        failures.append((last, wrong, output[-3000:]))
        paths = paths[paths.index(last) + 1:]
    return failures


def compile_mutant(mlc, path, *options):
    """What is wrong with `mlc compile`, if anything; removes what it wrote."""
    wrong, output = run_mlc(mlc, "compile", path, *options)
    for suffix in (".mlir", ".so", ".h", ".json"):
        path.with_suffix(suffix).unlink(missing_ok=True)
    return [(path, f"compile {' '.join(map(str, options))}: {wrong}", output[-3000:])] if wrong else []


def run(mlc, count, seed, folder, models=None, core_every=10, library_every=0):
    """Makes and checks `count` mutants in `folder`; returns the failures and leaves their files. Every so many are also
    compiled, to core or all the way."""
    seeds = [load_small(path) for path in models or seed_models()]
    failures = []
    for start in range(0, count, BATCH):
        paths = []
        for number in range(start, min(count, start + BATCH)):
            rng = random.Random(f"{seed}/{number}")
            model = rng.choice(seeds)
            content = mutate_message(model, rng) if rng.random() < 0.7 else mutate_bytes(model.SerializeToString(), rng)
            paths.append(folder / f"mutant-{seed}-{number}.onnx")
            paths[-1].write_bytes(content)
        broken = check_batch(mlc, paths)
        for number, path in enumerate(paths, start):
            if any(path == other for other, *_ in broken):
                continue
            if core_every and number % core_every == 0:
                broken += compile_mutant(mlc, path, "--emit=core", "-o", path.with_suffix(".mlir"))
            if library_every and number % library_every == 0:
                broken += compile_mutant(mlc, path, "-o", path.with_suffix(".so"))
        failures += broken
        for path in paths:
            if all(path != other for other, *_ in broken):
                path.unlink()
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="models to mutate (default: node tests of the onnx wheel and our examples)")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=pathlib.Path, help="folder for files that break mlc (default: a temporary one)")
    parser.add_argument("--libraries", type=int, default=0, metavar="N", help="compile every Nth mutant all the way")
    parser.add_argument("--mlc", type=pathlib.Path, default=MLC)
    options = parser.parse_args()
    folder = options.keep or pathlib.Path(tempfile.mkdtemp(prefix="mlc-fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    models = [pathlib.Path(name) for pattern in options.models for name in sorted(glob.glob(pattern))]
    failures = run(options.mlc, options.count, options.seed, folder, models, library_every=options.libraries)
    for path, wrong, output in failures:
        print(f"{path}: {wrong}\n{output}\n")
    print(f"{options.count} mutants, {len(failures)} failures" + (f", kept in {folder}" if failures else ""))
    if not failures and not options.keep:
        folder.rmdir()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
