"""What a generated library needs and exports, and how much of it is not the model."""
import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from programs import output, symbols, system_library

LIBC = ("libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2")  # the loader is a part of libc that serves thread-local storage


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """y = relu(x): almost nothing but the runtime."""
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"])  # noqa: E731
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "tiny", [value("x")], [value("y")])
    path = tmp_path_factory.mktemp("tiny") / "tiny.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize("model", ["tiny", "digits", "bert"])
def test_needs_libc_alone(compiled, tiny, digits, root, model):
    """Otherwise users would have to install whatever the compiler was built with."""
    library = compiled({"tiny": tiny, "digits": digits, "bert": root / "test/models/bert-small/legacy.onnx"}[model])
    offered = set().union(*(symbols(system_library(name), "-D", "--defined-only") for name in LIBC))
    assert symbols(library, "-D", "--undefined-only") - offered == set()
    dynamic = output("llvm-readelf-22", "-d", library)
    assert set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)) <= set(LIBC)
    assert "TEXTREL" not in dynamic and "(INIT" not in dynamic  # no code runs before create


def test_exports_the_model_alone(compiled, digits):
    names = {f"digits_{name}" for name in ("create", "destroy", "run", "workspace_size", "output_shapes", "last_error")}
    names.add("digits_" + re.search(r"digits_(create_with_signature_[0-9a-f]{16})", compiled(digits).with_suffix(".h").read_text())[1])
    assert symbols(compiled(digits), "-D", "--defined-only") == names | {"digits_mlc_model_v1", "mlc_model_v1"}


@pytest.mark.parametrize("suffix", [".a", ".o"])
def test_static_names_begin_with_the_model(compiled, digits, suffix):
    names = symbols(compiled(digits, suffix=suffix), "--defined-only", "--extern-only")
    assert {"digits_run", "digits_mlc_model_v1"} <= names
    assert [name for name in names if not name.startswith("digits_")] == []


def test_runtime_is_small(compiled, tiny):
    """Runtime, tables and one kernel together stay under 64 KB, in memory and in the file."""
    library = compiled(tiny)
    loaded = sum(int(line.split()[1]) for line in output("llvm-size-22", "-A", library).splitlines()
                 if re.match(r"\.\w", line) and not line.startswith((".comment", ".relro_padding")))
    assert loaded < 64 << 10, f"{loaded} bytes are loaded"
    assert library.stat().st_size < 64 << 10


def test_sections(compiled, digits):
    """Weights and tables lie in pages that are never written, and the stack is not executable."""
    segments = output("llvm-readelf-22", "-lW", compiled(digits))
    flags = {line.split()[0]: line.split()[6:-1] for line in segments.splitlines()
             if line.strip().startswith(("GNU_STACK", "GNU_RELRO"))}
    assert flags["GNU_STACK"] == ["RW"] and "GNU_RELRO" in flags
    writable = sum(int(line.split()[1]) for line in output("llvm-size-22", "-A", compiled(digits)).splitlines()
                   if line.startswith((".data ", ".bss ")))
    assert writable == 0, "handles share global state"


def test_empty_batch(compiled, digits):
    """No images: no logits."""
    import mlc_backend
    with mlc_backend.Library(compiled(digits)) as library:
        assert library.run({"image": np.zeros((0, 1, 8, 8), np.float32)})["logits"].shape == (0, 10)
