"""`mlc compile`: what it writes beside the library, its options, and what it says of models that it cannot compile."""
import json
import os
import re
import subprocess

import mlc_backend
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper


def run(command, **options):
    return subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=300, check=False, **options)


def make_model(path, nodes, inputs=("x",), outputs=("y",), opset=17, shape=(2, 3)):
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)  # noqa: E731
    graph = helper.make_graph(nodes, "g", [value(name) for name in inputs], [value(name) for name in outputs])
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.example", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def test_files(compiled, digits):
    """Library, header and manifest lie side by side; the manifest describes the signature."""
    library = compiled(digits)
    assert library.with_suffix(".h").stat().st_size > 0
    manifest = json.loads(library.with_suffix(".json").read_text())
    text = json.dumps(manifest)
    for word in ("image", "logits", "batch"):
        assert word in text
    with mlc_backend.Library(library) as loaded:
        assert json.loads(loaded.model.manifest) == manifest
        assert loaded.model.name == b"digits"
        assert loaded.symbols == ["batch"]
        assert [(info.name, info.dtype, info.shape) for info in loaded.inputs] == [("image", np.float32, ("batch", 1, 8, 8))]
        assert [(info.name, info.dtype, info.shape) for info in loaded.outputs] == [("logits", np.float32, ("batch", 10))]


@pytest.mark.parametrize("language", [["-x", "c", "-std=c11"], ["-x", "c++", "-std=c++17"]])
def test_header_is_self_contained(compiled, digits, language):
    """The header alone compiles, strictly and without any include path."""
    header = compiled(digits).with_suffix(".h")
    done = run(["clang-22", *language, "-Wall", "-Wextra", "-Werror", "-Wno-pragma-once-outside-header", "-pedantic", "-fsyntax-only", header])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("suffix", [".a", ".o"])
def test_static(compiled, digits, suffix):
    """In what is linked statically every global symbol begins with the model's name."""
    artifact = compiled(digits, suffix=suffix)
    done = run(["llvm-nm-22", "--defined-only", "--extern-only", "--format=just-symbols", artifact])
    assert done.returncode == 0, done.stderr
    symbols = [line for line in done.stdout.split() if not line.endswith(":")]
    assert "digits_run" in symbols and "digits_mlc_model_v1" in symbols
    assert [symbol for symbol in symbols if not symbol.startswith("digits_")] == []


def test_shared_exports(compiled, digits):
    """A shared library exports its own functions and the reflective symbol, nothing of the runtime."""
    done = run(["llvm-nm-22", "-D", "--defined-only", "--format=just-symbols", compiled(digits)])
    assert done.returncode == 0, done.stderr
    assert [symbol for symbol in done.stdout.split() if not symbol.startswith("digits_")] == ["mlc_model_v1"]


def test_name(compiled, digits):
    library = compiled(digits, "--name=other")
    with mlc_backend.Library(library) as loaded:
        assert loaded.model.name == b"other"
    assert "other_run" in library.with_suffix(".h").read_text()


@pytest.mark.parametrize("option", ["--dim=batch=8", "--shape=image=8x1x8x8"])
def test_fixed_sizes(compiled, digits, option):
    with mlc_backend.Library(compiled(digits, option)) as library:
        assert library.symbols == [] and library.inputs[0].shape == (8, 1, 8, 8)
        assert library.run({"image": np.zeros((8, 1, 8, 8), np.float32)})["logits"].shape == (8, 10)
        with pytest.raises(mlc_backend.MlcError, match="image"):
            library.run({"image": np.zeros((4, 1, 8, 8), np.float32)})


@pytest.mark.parametrize("option, named", [
    ("--dim=btach=8", "btach"), ("--shape=imge=8x1x8x8", "imge"), ("--shape=image=8x3x8x8", "image"),
    ("--shape=image=8x8", "image"), ("--dim=batch=-1", "batch"), ("--dim=batch=many", "many"),
    ("--cpu=z80", "z80"), ("--target=tpu", "tpu"), ("--emit=poem", "poem"), ("--nonsense", "nonsense"),
])
def test_wrong_options(mlc, digits, tmp_path, option, named):
    """A wrong option is refused by name, before anything is written."""
    done = run([mlc, "compile", digits, "-o", tmp_path / "digits.so", option])
    assert done.returncode > 0
    assert named in done.stderr, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_output_folder_is_missing(mlc, digits, tmp_path):
    done = run([mlc, "compile", digits, "-o", tmp_path / "no/such/digits.so"])
    assert done.returncode > 0 and "no/such" in done.stderr


@pytest.mark.parametrize("stage, mark", [
    ("onnx", "onnx.node"), ("core", "core.conv"), ("linalg", "linalg."), ("tiled", "vector."), ("llvm", "define "),
    ("asm", ".text"),
])
def test_emit(mlc, digits, tmp_path, stage, mark):
    output = tmp_path / "stage.txt"
    done = run([mlc, "compile", digits, f"--emit={stage}", "-o", output])
    assert done.returncode == 0, done.stderr
    assert mark in output.read_text(errors="replace")


def test_save_stages(mlc, digits, tmp_path):
    done = run([mlc, "compile", digits, "-o", tmp_path / "digits.so", f"--save-stages={tmp_path / 'stages'}"])
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "stages").iterdir())) >= 5


def report_lines(mlc, digits, tmp_path, *options):
    done = run([mlc, "compile", digits, "-o", tmp_path / "digits.so", "--dim", "batch=2", *options])
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()


def test_reports(mlc, digits, tmp_path):
    """Every page has the lines that answer its question; columns are aligned."""
    lines = report_lines(mlc, digits, tmp_path, "--report")
    titles = [line for line in lines if line.startswith("== ")]
    assert titles == ["== the model", "== what nodes became: core operations", "== kernels", "== memory",
                      "== time of the compilation"]
    words = [line.split() for line in lines]
    assert ["input", "image", "f32[2,1,8,8]"] in words and ["output", "logits", "f32[2,10]"] in words
    assert ["2", "Conv"] in words and ["2", "core.conv"] in words
    assert any(line.startswith("parameters: 6.09 k in 6 tensors, 24.4 KB") for line in lines)
    kernel = next(line for line in lines if line.startswith("kernel_") and "conv2" in line and "sums of products" in line)
    header = next(line for line in lines if line.startswith("kernel "))
    for word, found in (("operations", "297 k"), ("kind", "sums of products"), ("how", "register tile of")):
        assert kernel[header.index(word):].startswith(found), kernel  # 2 x 4 x 4 x 32 results of 9 x 16 products, bias, relu
    assert any(line.startswith("weights") and line.endswith(" bytes") for line in lines)
    assert any(line.startswith("Most workspace is needed at kernel call ") for line in lines)
    assert any(line.startswith("optimizing ") for line in lines) and any(line.startswith("all ") for line in lines)


def test_reports_are_reproducible(mlc, digits, tmp_path):
    pages = "--report=model,ops,groups,memory"
    assert report_lines(mlc, digits, tmp_path, pages) == report_lines(mlc, digits, tmp_path, pages)


def test_report_file(mlc, digits, tmp_path):
    assert report_lines(mlc, digits, tmp_path, "--report-file", tmp_path / "report.txt") == []
    assert "== kernels" in (tmp_path / "report.txt").read_text()
    assert report_lines(mlc, digits, tmp_path, "--report=memory", "--report-file", tmp_path / "memory.txt") == []
    assert (tmp_path / "memory.txt").read_text().startswith("== memory\n")


def test_report_of_an_unknown_page(mlc, digits, tmp_path):
    done = run([mlc, "compile", digits, "-o", tmp_path / "digits.so", "--report=memroy"])
    assert done.returncode == 64 and 'expected a list of model, ops, groups, memory, time, found "memroy"' in done.stderr


def run_on_terminal(command):
    """Exit code and what a terminal gets on standard error."""
    reader, writer = os.openpty()
    process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=writer, env={**os.environ, "TERM": "xterm"})
    os.close(writer)
    text = b""
    try:
        while data := os.read(reader, 4096):
            text += data
    except OSError:  # the other end is closed: how Linux says end of file
        pass
    os.close(reader)
    return process.wait(), text.decode()


ERASE = "\r\x1b[K"


def chain_of_kernels(path, count, last="Relu"):
    """Enough different kernels to be compiled for well over a second."""
    nodes = [helper.make_node("Softmax", ["x"], ["v0"], axis=0)]
    for i in range(count):
        nodes.append(helper.make_node("MatMul", [f"v{i}", f"w{i}"], [f"v{i + 1}"], f"product_{i}"))
    nodes.append(helper.make_node(last, [f"v{count}"], ["y"], "last"))
    weights = [numpy_helper.from_array(np.ones((20 + i % 97, 20 + (i + 1) % 97), np.float32), f"w{i}") for i in range(count)]
    graph = helper.make_graph(nodes, "chain", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [8, 20])],
                              [onnx.ValueInfoProto(name="y")], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.slow
def test_progress_on_a_terminal(mlc, tmp_path):
    """One line, rewritten in place and gone at the end; nothing with --quiet, nothing without a terminal."""
    model = chain_of_kernels(tmp_path / "chain.onnx", 300)
    command = [mlc, "compile", model, "-o", tmp_path / "chain.so"]
    code, text = run_on_terminal(command)
    assert code == 0 and text.startswith(ERASE) and text.endswith(ERASE) and "\n" not in text, repr(text)
    for line in text.split(ERASE)[1:-1]:
        assert re.fullmatch(r"[a-zA-Z ]+ \([1-7] of 7\), \d+ s", line), repr(line)
    assert run_on_terminal([*command, "--quiet"]) == (0, "")
    assert run(command).stderr == ""


def test_progress_makes_way_for_errors(mlc, tmp_path):
    model = chain_of_kernels(tmp_path / "chain.onnx", 3, last="Frobnicate")
    code, text = run_on_terminal([mlc, "compile", model, "-o", tmp_path / "chain.so"])
    assert code == 2
    line = text.split(ERASE)[-1]
    assert line.startswith("chain.onnx:last: error: Frobnicate") and line.endswith("\r\n"), repr(text)


def test_check_supported(mlc, digits):
    done = run([mlc, "check", digits])
    assert done.returncode == 0, done.stderr


def test_check_names_every_unsupported_node(mlc, tmp_path):
    """All unsupported nodes at once, each with operator, opset and domain; exit code 2."""
    model = make_model(tmp_path / "odd.onnx", [
        helper.make_node("Frobnicate", ["x"], ["a"], "first"),
        helper.make_node("Relu", ["a"], ["b"], "fine"),
        helper.make_node("Twirl", ["b"], ["c"], "second", domain="com.example"),
        helper.make_node("Frobnicate", ["c"], ["y"], "third"),
    ])
    done = run([mlc, "check", model])
    assert done.returncode == 2
    text = done.stdout + done.stderr
    for word in ("first", "second", "third", "Frobnicate", "Twirl", "com.example", "17"):
        assert word in text, text
    done = run([mlc, "compile", model, "-o", tmp_path / "odd.so"])
    assert done.returncode > 0 and not (tmp_path / "odd.so").exists()
    for word in ("first", "second", "third"):
        assert word in done.stderr


def test_unread_attribute(mlc, tmp_path):
    """An attribute that no rule reads is an error which names it: ignoring it would be a silent wrong answer."""
    node = helper.make_node("Relu", ["x"], ["y"], "relu")
    node.attribute.append(helper.make_attribute("leak", 0.5))
    done = run([mlc, "compile", make_model(tmp_path / "leak.onnx", [node]), "-o", tmp_path / "leak.so"])
    assert done.returncode > 0 and "leak" in done.stderr.split("error:", 1)[-1] and "relu" in done.stderr


def test_wrong_shapes_in_model(mlc, tmp_path):
    """Model, node, operator and both sizes are in the message."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], "/encoder/MatMul_3")], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 768])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 4])],
        [helper.make_tensor("w", TensorProto.FLOAT, [512, 4], np.zeros(2048, np.float32))])
    path = tmp_path / "mismatch.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    done = run([mlc, "compile", path, "-o", tmp_path / "mismatch.so"])
    assert done.returncode > 0
    for word in ("mismatch.onnx", "/encoder/MatMul_3", "MatMul", "768", "512"):
        assert word in done.stderr, done.stderr


def test_size_from_data(compiled, tmp_path):
    """A size that an input's elements say is checked in every run: a wrong one is an error, never a read past the tensor."""
    vector = lambda name, kind, *shape: helper.make_tensor_value_info(name, kind, shape)  # noqa: E731
    graph = helper.make_graph([helper.make_node("TopK", ["x", "k"], ["v", "i"])], "g",
                              [vector("x", TensorProto.FLOAT, 3, 4), vector("k", TensorProto.INT64, 1)],
                              [vector("v", TensorProto.FLOAT, 3, 3), vector("i", TensorProto.INT64, 3, 3)])
    model = tmp_path / "topk.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), model)
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    with mlc_backend.Library(compiled(model)) as library:
        assert np.array_equal(library.run({"x": x, "k": np.array([3])})["v"], x[:, :0:-1])
        for k, message in ((2, "6 elements cannot be reshaped to 9"), (5, "k is 5, expected 0 to 4"),
                           (-1, "k is -1, expected 0 to 4")):
            with pytest.raises(mlc_backend.MlcError, match=message):
                library.run({"x": x, "k": np.array([k])})


def test_depfile(mlc, digits, tmp_path):
    """Build systems learn of files that only the model names."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    model, library = folder / "model.onnx", folder / "model.so"
    onnx.save(onnx.load(digits), model, save_as_external_data=True, location="$weights.bin", size_threshold=0)
    done = run([mlc, "compile", model, "-o", library, "--depfile", tmp_path / "d"])
    assert done.returncode == 0, done.stderr
    escaped = str(folder).replace(" ", "\\ ")
    assert (tmp_path / "d").read_text() == f"{escaped}/model.so: {escaped}/model.onnx \\\n  {escaped}/$$weights.bin\n"

    assert run([mlc, "compile", digits, "-o", tmp_path / "digits.so", "--depfile", tmp_path / "d"]).returncode == 0
    assert (tmp_path / "d").read_text() == f"{tmp_path}/digits.so: {digits}\n"
    for options, message in ((["--emit=core", "--depfile", tmp_path / "d"], "needs an output"),
                             (["-o", library, "--depfile", tmp_path / "absent/d"], "absent/d: cannot be written")):
        done = run([mlc, "compile", digits, *options])
        assert done.returncode != 0 and message in done.stderr, done.stderr
