"""The same model and options give the same bytes, wherever and whenever they are compiled: caches and reviews rely on it."""
import os
import shutil

import pytest
from programs import output


def compile_in(mlc, folder, model, suffix, *options, absolute):
    folder.mkdir()
    shutil.copyfile(model, folder / model.name)
    name = f"{model.stem}{suffix}"
    source, target = (folder / model.name, folder / name) if absolute else (model.name, name)
    environment = {**os.environ, "TMPDIR": str(folder)} if absolute else os.environ
    output(mlc, "compile", source, "-o", target, *options, cwd=folder, env=environment)
    assert sorted(path.suffix for path in folder.iterdir()) == sorted([suffix, ".h", ".json", ".onnx"])  # no leftovers
    return {ending: (folder / model.stem).with_suffix(ending).read_bytes() for ending in (suffix, ".h", ".json")}


@pytest.mark.parametrize("suffix, options", [(".so", []), (".a", []), (".o", []), (".so", ["--dim", "batch=4"]),
                                             (".so", ["--train", "--loss=cross_entropy", "--optimizer=adam"])])
def test_digits(mlc, root, tmp_path, suffix, options):
    model = root / ("examples/digits/digits_init.onnx" if "--train" in options else "examples/digits/digits.onnx")
    one = compile_in(mlc, tmp_path / "one", model, suffix, *options, absolute=True)
    two = compile_in(mlc, tmp_path / "a longer name of the other", model, suffix, *options, absolute=False)
    assert one == two
    for ending, content in one.items():
        assert str(tmp_path).encode() not in content and b"/tmp/" not in content, f"a path in {ending}"


@pytest.mark.slow
@pytest.mark.parametrize("exporter", ["legacy", "dynamo"])
def test_bert(mlc, root, tmp_path, exporter):
    model = root / f"test/models/bert-small/{exporter}.onnx"
    one = compile_in(mlc, tmp_path / "one", model, ".so", absolute=True)
    assert one == compile_in(mlc, tmp_path / "other", model, ".so", absolute=False)
