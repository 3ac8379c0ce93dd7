"""Wrong calls of a generated library: a status and a message that names the tensor, what it is and what was expected."""
import ctypes

import mlc_backend
import numpy as np
import pytest
from programs import SOURCES, bert_feeds, build, output


@pytest.mark.parametrize("suffix", [".so", ".a"])
@pytest.mark.parametrize("sanitize", [[], ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]], ids=["plain", "asan"])
def test_typed_functions(compiled, digits, tmp_path, suffix, sanitize):
    library = compiled(digits, suffix=suffix)
    table = "mlc_model_v1" if suffix == ".so" else "digits_mlc_model_v1"
    program = build(tmp_path / "program", *sanitize, f"-DMODEL={table}", SOURCES / "typed_errors.c", f"-I{library.parent}", library,
                    "-lm", f"-Wl,-rpath,{library.parent}")
    assert "0 complaints" in output(program)


class Call:
    """A reflective call whose tensors can be spoilt before it is made."""

    def __init__(self, library, feeds):
        self.library = library
        self.arrays = [feeds[info.name] for info in library.inputs]
        dims = library.bind(library.inputs, self.arrays)
        self.results = [np.empty(shape, info.dtype) for info, shape in zip(library.outputs, library.output_shapes(dims))]
        self.inputs, self.outputs = library._tensors(self.arrays), library._tensors(self.results)

    def __call__(self):
        model, handle = self.library.model, self.library._handle
        status = model.run(handle, self.inputs, self.outputs)
        return mlc_backend.STATUS[status], model.last_error(handle).decode()


def null(tensor):
    tensor.data = None


def set_to(field, value, axis=None):
    def change(tensor):
        if axis is None:
            setattr(tensor, field, value)
        else:
            tensor.shape[axis] = value
    return change


GOT = 'input "input_ids": expected int64[batch,sequence], got '
MASK = 'input "attention_mask": expected int64[batch,sequence], got '
CASES = [
    ("inputs", 0, null, 'input "input_ids": the data pointer is null'),
    ("outputs", 0, null, 'output "{output}": the data pointer is null'),
    ("inputs", 0, set_to("dtype", 1), GOT + "float32[3,64] (the type is float32, expected int64)"),
    ("inputs", 0, set_to("dtype", 0), GOT + "unknown[3,64] (the type is 0, which no mlc_dtype has)"),
    ("inputs", 0, set_to("dtype", -7), GOT + "unknown[3,64] (the type is -7, which no mlc_dtype has)"),
    ("inputs", 0, set_to("rank", 1), GOT + "int64[3] (the rank is 1, expected 2)"),
    ("inputs", 0, set_to("rank", 0), GOT + "int64[] (the rank is 0, expected 2)"),
    ("inputs", 0, set_to("rank", -2), GOT + "int64[...] (the rank is -2, expected 2)"),
    ("inputs", 0, set_to("rank", 1 << 30), GOT + "int64[...] (the rank is 1073741824, expected 2)"),
    ("inputs", 0, set_to("shape", -1, 0), GOT + "int64[-1,64] (dimension 0 is -1, expected 0 or more)"),
    ("inputs", 1, set_to("shape", 2, 0), MASK + 'int64[2,64] (dimension 0: batch is 2 here, but 3 in input "input_ids")'),
    ("inputs", 1, set_to("shape", 65, 1), MASK + 'int64[3,65] (dimension 1: sequence is 65 here, but 64 in input "input_ids")'),
]


@pytest.fixture
def bert(compiled, root):
    with mlc_backend.Library(compiled(root / "test/models/bert-small/legacy.onnx")) as library:
        yield library, bert_feeds(root)


@pytest.mark.parametrize("side, index, change, message", CASES, ids=range(len(CASES)))
def test_reflective_run(bert, side, index, change, message):
    library, feeds = bert
    assert [info.name for info in library.inputs[:2]] == ["input_ids", "attention_mask"]
    call, good = Call(library, feeds), Call(library, feeds)
    change(getattr(call, side)[index])
    assert call() == ("invalid argument", message.format(output=library.outputs[0].name))
    assert good() == ("ok", "")
    assert np.isfinite(good.results[0]).all()


def test_wrong_output_shape(bert):
    library, feeds = bert
    call = Call(library, feeds)
    call.outputs[0].shape[0] += 1
    status, message = call()
    assert status == "invalid argument" and f'output "{library.outputs[0].name}": expected float32[3,' in message
    assert "(dimension 0 is 4, expected 3)" in message


def test_overlap(bert):
    library, feeds = bert
    call = Call(library, feeds)
    call.inputs[2].data = call.outputs[0].data
    assert call() == ("invalid argument", f'output "{library.outputs[0].name}" overlaps input "{library.inputs[2].name}"')
    inputs_may = Call(library, feeds)
    inputs_may.inputs[2].data = inputs_may.inputs[1].data
    assert inputs_may()[0] == "ok"


def test_null_pointers(bert):
    library, feeds = bert
    call, model, handle = Call(library, feeds), library.model, library._handle
    assert model.run(None, call.inputs, call.outputs) == 1
    assert model.run(handle, None, call.outputs) == 1
    assert model.last_error(handle) == b"the pointer to the inputs is null"
    assert model.run(handle, call.inputs, None) == 1
    assert model.last_error(handle) == b"the pointer to the outputs is null"
    assert model.create(None, None) == 1
    model.destroy(None)
    assert model.workspace_size(None) == 0
    assert model.output_shapes(None, (ctypes.c_int64 * 8)()) == 1


def test_token_out_of_range(bert):
    """The model's own failure: an index that the embedding table does not have."""
    library, feeds = bert
    for wrong in (10 ** 6, -10 ** 6, 2 ** 62):
        ids = feeds["input_ids"].copy()
        ids[1, 5] = wrong
        call = Call(library, {**feeds, "input_ids": ids})
        status, message = call()
        assert status == "model error" and str(wrong) in message, (status, message)
    assert Call(library, feeds)()[0] == "ok"


@pytest.mark.parametrize("length", [65, 5000])
def test_sequence_too_long(bert, length):
    """The model has 64 positions: adding them to more tokens cannot broadcast, and would read behind the weights."""
    library, feeds = bert
    call = Call(library, {name: np.ones((1, length), np.int64) for name in feeds})
    status, message = call()
    assert status != "ok" and message, (status, message)


def test_arena_too_small(compiled, digits):
    bytes_needed = None
    with mlc_backend.Library(compiled(digits)) as library:
        bytes_needed = library.workspace_size(batch=4)
    memory = (ctypes.c_char * (bytes_needed + 64))()
    aligned = (ctypes.addressof(memory) + 63) // 64 * 64
    with mlc_backend.Library(compiled(digits), arena=aligned, arena_bytes=bytes_needed) as library:
        assert library.run({"image": np.zeros((4, 1, 8, 8), np.float32)})
        with pytest.raises(mlc_backend.MlcError, match=rf"out of memory: the arena is too small: \d+ bytes needed, {bytes_needed} b"):
            library.run({"image": np.zeros((5, 1, 8, 8), np.float32)})
        assert library.run({"image": np.zeros((3, 1, 8, 8), np.float32)})
