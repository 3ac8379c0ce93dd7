"""mlc.load and Model: values against ONNX Runtime, what is copied, what is refused, how long memory lives."""
import ast
import concurrent.futures
import gc
import mmap
import os
import shutil
import subprocess
import sys
import threading
import time
import weakref

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import mlc as package


TYPES = {name: getattr(TensorProto, name.upper())
         for name in ("float16", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
                      "uint64", "bool")}
TYPES.update(float32=TensorProto.FLOAT, float64=TensorProto.DOUBLE)


def images(count=3, seed=0):
    return np.random.default_rng(seed).random((count, 1, 8, 8), np.float32)


@pytest.fixture(scope="module")
def want(digits):
    return onnxruntime.InferenceSession(str(digits)).run(None, {"image": images()})[0]


@pytest.fixture()
def model(compiled, digits):
    with package.load(compiled(digits)) as loaded:
        yield loaded


def save_model(path, nodes, inputs, outputs, opset=17):
    values = lambda infos: [helper.make_tensor_value_info(*info) for info in infos]  # noqa: E731
    graph = helper.make_graph(nodes, "test", values(inputs), values(outputs))
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path


@pytest.fixture(scope="module")
def typed(compiled, tmp_path_factory):
    """For every element type T: `T same` = `T`, and `T flat`, the same in one dimension."""
    nodes, inputs, outputs = [helper.make_node("Constant", [], ["all"], value_ints=[-1])], [], []
    for name, code in TYPES.items():
        nodes.append(helper.make_node("Identity", [name], [f"{name} same"]))
        nodes.append(helper.make_node("Reshape", [name, "all"], [f"{name} flat"]))
        inputs.append((name, code, ["n", 2]))
        outputs += [(f"{name} same", code, ["n", 2]), (f"{name} flat", code, ["m"])]
    return compiled(save_model(tmp_path_factory.mktemp("typed") / "typed.onnx", nodes, inputs, outputs))


def feeds_of(change=None, count=3):
    """A feed for every input; those in `change` replace them."""
    feeds = {name: np.zeros((count, 2), "uint16" if name == "bfloat16" else name) for name in TYPES}
    return {**feeds, **(change or {})}


def test_equals_onnxruntime(model, want):
    for result in (model(image=images()), model(images()), model.run({"image": images()})["logits"]):
        np.testing.assert_allclose(result, want, rtol=1e-4, atol=1e-5)
        assert result.dtype == np.float32 and result.flags.owndata


def test_describes_itself(model):
    assert model.name == "digits" and model.symbols == ("batch",)
    assert [str(info) for info in (*model.inputs, *model.outputs)] == ["image: float32[batch,1,8,8]",
                                                                       "logits: float32[batch,10]"]
    assert model.inputs[0].shape == ("batch", 1, 8, 8) and model.inputs[0].dtype == np.float32
    assert model.manifest["inputs"][0]["name"] == "image"
    assert model.output_shapes(batch=5) == {"logits": (5, 10)}
    assert 0 < model.workspace_size(batch=1) < model.workspace_size(batch=64)
    assert repr(model) == "<mlc.Model digits(image: float32[batch,1,8,8]) -> (logits: float32[batch,10])>"
    for wrong in ({}, {"n": 1}, {"batch": 1, "n": 2}):
        with pytest.raises(package.InvalidArgument, match="batch"):
            model.output_shapes(**wrong)


def test_out(model, want):
    buffer = np.full((3, 10), np.nan, np.float32)
    assert model.run({"image": images()}, out=buffer)["logits"] is buffer
    np.testing.assert_allclose(buffer, want, rtol=1e-4, atol=1e-5)
    buffer[:] = np.nan
    model.run({"image": images()}, out={"logits": buffer})
    np.testing.assert_allclose(buffer, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("buffer, message", [
    (np.empty((3, 9), np.float32), "dimension 1 is 9, expected 10"),
    (np.empty((3, 10), np.float64), "float64"),
    (np.empty((10, 3), np.float32).T, "contiguous"),
    (np.empty((3, 10), ">f4"), "byte order"),
    (np.frombuffer(bytes(120), np.float32).reshape(3, 10), "writable"),
    ([0.0] * 30, "numpy array"),
    ({"logit": np.empty((3, 10), np.float32)}, 'no output "logit"; it has logits'),
])
def test_out_is_refused(model, buffer, message):
    with pytest.raises(package.InvalidArgument, match=message):
        model.run({"image": images()}, out=buffer)


def test_out_must_not_overlap(compiled, tmp_path):
    path = save_model(tmp_path / "relu.onnx", [helper.make_node("Relu", ["x"], ["y"])],
                      [("x", TensorProto.FLOAT, ["n"])], [("y", TensorProto.FLOAT, ["n"])])
    x = np.ones(8, np.float32)
    with pytest.raises(package.InvalidArgument, match='output "y" overlaps input "x"'):
        package.load(compiled(path)).run({"x": x[:4]}, out=x[2:6])


@pytest.mark.parametrize("value, message", [
    (images().astype(np.float64), r'input "image": expected float32\[batch,1,8,8\], got float64\[3,1,8,8\]'),
    (images()[:, :, :7], "dimension 2 is 7, expected 8"),
    (images()[0], "the rank is 3, expected 4"),
    (images() + 1j, "complex64"),
    (np.zeros((1,) * 17, np.float32), "17 dimensions"),
    ([[["a"]]], "does not convert"),
    ([[1.0], [1.0, 2.0]], "inhomogeneous"),
    (object(), "does not convert"),
])
def test_input_is_refused(model, want, value, message):
    with pytest.raises(package.InvalidArgument, match=message):
        model(value)
    np.testing.assert_allclose(model(images()), want, rtol=1e-4, atol=1e-5)  # and the model still works


def test_names_are_refused(model):
    for call, message in ((lambda: model(), "image: float32"), (lambda: model(images(), images()), "at most 1"),
                          (lambda: model(x=images()), 'no input "x"; it has image'),
                          (lambda: model(images(), image=images()), "by position and by name")):
        with pytest.raises(package.InvalidArgument, match=message):
            call()


def test_layouts_that_are_copied(model, want):
    """Strided, byte-swapped and misaligned arrays give the same values as dense ones."""
    strided = np.asfortranarray(images())
    misaligned = np.frombuffer(b"x" + images().tobytes(), np.uint8)[1:].view(np.float32).reshape(3, 1, 8, 8)
    assert not misaligned.flags.aligned
    for array in (strided, images().astype(">f4"), misaligned, np.repeat(images(), 2, 0)[::2], images().tolist()):
        np.testing.assert_allclose(model(array), want, rtol=1e-4, atol=1e-5)


class Exporter:
    """Only the DLPack protocol, as another library's tensor."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def test_nothing_is_copied(model, monkeypatch):
    """The library gets the caller's own address: of an array, of a read-only one, and of a DLPack exporter."""
    from mlc import _model
    seen = []
    fill = _model.fill_tensor
    monkeypatch.setattr(_model, "fill_tensor", lambda tensor, array, info: (
        seen.append(array.ctypes.data), fill(tensor, array, info)))
    array = images()
    model(array)
    array.flags.writeable = False
    model(array)
    array.flags.writeable = True
    model(Exporter(array))
    assert seen[::2] == [array.ctypes.data] * 3


def test_dlpack(model, want):
    np.testing.assert_allclose(model(Exporter(images())), want, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(np.from_dlpack(model(images())), model(images()))

    class Packed(Exporter):
        def __dlpack__(self, **options):
            raise BufferError("four bits an element")

    with pytest.raises(package.InvalidArgument, match='input "image": numpy cannot view this Packed: four bits'):
        model(Packed(images()))

    class Elsewhere(Exporter):
        def __dlpack_device__(self):
            return (2, 0)  # kDLCUDA

    with pytest.raises(package.InvalidArgument, match='input "image": expected memory of the CPU, this Elsewhere'):
        model(Elsewhere(images()))


@pytest.mark.parametrize("name", [name for name in TYPES if name != "bfloat16"])
def test_element_types(typed, name):
    """Every type keeps its values, also in Python's numbers, and with no elements."""
    model = package.load(typed)
    x = np.array([[1, 0], [3, 4], [5, 127]]).astype(name)
    for array in (x, x[:0], x.tolist()):
        results = model.run(feeds_of({name: array}, count=len(array)))
        same, flat = results[f"{name} same"], results[f"{name} flat"]
        assert same.dtype == flat.dtype == np.dtype(name) and flat.shape == (2 * len(array),)
        np.testing.assert_array_equal(same, x[:len(array)])
        np.testing.assert_array_equal(flat, same.reshape(-1))


def test_bfloat16(typed):
    model = package.load(typed)
    x = np.array([[1.5, -2], [0, 3e38]], ml_dtypes.bfloat16)
    for array in (x, x.view(np.uint16), [[1.5, -2], [0, 3e38]]):
        same = model.run(feeds_of({"bfloat16": array}, count=2))["bfloat16 same"]
        assert same.dtype == x.dtype
        np.testing.assert_array_equal(same.view(np.uint16), x.view(np.uint16))
    assert "bfloat16: bfloat16[n,2]" in map(str, model.inputs)


def test_bfloat16_without_ml_dtypes(compiled, root, tmp_path):
    """There the bits come and go as uint16."""
    library = compiled(save_model(tmp_path / "bits.onnx", [helper.make_node("Identity", ["x"], ["y"])],
                                  [("x", TensorProto.BFLOAT16, ["n"])], [("y", TensorProto.BFLOAT16, ["n"])]))
    program = ("import sys; sys.modules['ml_dtypes'] = None\n"
               "import mlc, numpy as np\n"
               f"model = mlc.load({str(library)!r})\n"
               "x = np.array([0x3fc0, 0xc000], np.uint16)\n"
               "assert model(x).dtype == np.uint16 and (model(x) == x).all()\n"
               "try: model([1.5, 2])\n"
               "except mlc.InvalidArgument as error: print(error)\n")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": str(root / "runtime/python")})
    assert done.returncode == 0, done.stderr
    assert "where ml_dtypes is installed" in done.stdout


@pytest.mark.parametrize("value", [[[1.5, 2]], [[1, 256]], [[-1, 2]]], ids=str)
def test_python_numbers_keep_their_value(typed, value):
    with pytest.raises(package.InvalidArgument, match=r'input "uint8": expected uint8\[n,2\]'):
        package.load(typed).run(feeds_of({"uint8": value}, count=1))


@pytest.fixture(scope="module")
def bounded(root, tmp_path_factory):
    """A library by hand, whose output is smaller than the room for it."""
    library = tmp_path_factory.mktemp("bounded") / "bounded.so"
    subprocess.run(["clang-22", "-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers", "-shared", "-fPIC",
                    f"-I{root}/runtime/include", root / "test/python/bounded.c", "-o", library], check=True)
    return library


def test_sizes_that_data_tells(bounded):
    """The result is the filled part of the room, without a copy."""
    model, room = package.load(bounded), np.full(6, -1, np.float32)
    x = np.array([3, 0, 0, 4, 5, 0], np.float32)
    assert model.outputs[0].shape == (None,) and model.output_shapes(n=6) == {"y": (6,)}
    np.testing.assert_array_equal(model(x), [3, 4, 5])
    assert model(np.zeros(4, np.float32)).shape == (0,)
    result = model.run({"x": x}, out=room)["y"]
    np.testing.assert_array_equal(result, [3, 4, 5])
    assert np.shares_memory(result, room)


def test_sizes_that_data_tells_in_cpp(bounded, root, tmp_path):
    subprocess.run(["clang++-22", "-std=c++20", "-fsanitize=address", f"-I{root}/runtime/include",
                    root / "test/python/bounded.cpp", "-o", tmp_path / "program"], check=True)
    printed = subprocess.run([tmp_path / "program", bounded], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["3", "4", "5"] * 2


def test_model_error(compiled, tmp_path):
    path = save_model(tmp_path / "gather.onnx", [helper.make_node("Gather", ["x", "i"], ["y"])],
                      [("x", TensorProto.FLOAT, [4]), ("i", TensorProto.INT64, ["n"])],
                      [("y", TensorProto.FLOAT, ["n"])])
    model = package.load(compiled(path))
    with pytest.raises(package.ModelError, match="9"):
        model(np.ones(4, np.float32), [9])
    np.testing.assert_array_equal(model([1, 2, 3, 4], [3, 0]), [4, 1])


def test_options(compiled, digits, want):
    for threads in (1, 2):
        np.testing.assert_allclose(package.load(compiled(digits), threads=threads)(images()), want, rtol=1e-4,
                                   atol=1e-5)
    with pytest.raises(package.InvalidArgument, match="threads"):
        package.load(compiled(digits), threads=-1)


def test_other_weights(compiled, digits, tmp_path):
    """Of a model with the same structure: from a file, from memory that is aligned, and from memory that is not."""
    proto, other = onnx.load(digits), tmp_path / "other.onnx"
    for tensor in proto.graph.initializer:
        if onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type) == np.float32:
            tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) * 0.5, tensor.name))
    onnx.save(proto, other)
    want = onnxruntime.InferenceSession(str(other)).run(None, {"image": images()})[0]
    file = package.compile_to(other, tmp_path / "other.weights")
    content = file.read_bytes()
    with open(file, "rb") as opened:
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    for weights in (file, str(file), mapped, content, memoryview(b"x" + content)[1:]):
        np.testing.assert_allclose(package.load(compiled(digits), weights=weights)(images()), want, rtol=1e-4,
                                   atol=1e-5)
    for weights in (content[:-1], b"x" + content[1:]):
        with pytest.raises(package.CorruptData):
            package.load(compiled(digits), weights=weights)
    with pytest.raises(package.IOFailure, match="absent"):
        package.load(compiled(digits), weights=tmp_path / "absent")


def test_load_errors(root, digits, tmp_path):
    (tmp_path / "text.so").write_text("no library")
    libc = "/lib/x86_64-linux-gnu/libm.so.6"
    for path, message in ((tmp_path / "absent.so", "No such file"), (tmp_path / "text.so", "can be loaded"),
                          (digits, "mlc.compile"), (libc, "no symbol mlc_model_v1")):
        with pytest.raises(package.LoadError, match=message):
            package.load(path)


def test_threads_share_a_model(model):
    """Concurrent calls on one model wait for each other; on several they do not mix."""
    batches = [images(seed=seed) for seed in range(8)]
    expected = [model(batch) for batch in batches]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(10):
            for result, wanted in zip(pool.map(model, batches), expected):
                np.testing.assert_array_equal(result, wanted)


def test_interpreter_runs_meanwhile(compiled, tmp_path):
    """A call releases the interpreter's lock: another thread counts on while a long product is computed."""
    path = save_model(tmp_path / "product.onnx", [helper.make_node("MatMul", ["x", "x"], ["y"])],
                      [("x", TensorProto.FLOAT, ["n", "n"])], [("y", TensorProto.FLOAT, ["n", "n"])])
    model, x = package.load(compiled(path), threads=1), np.ones((1024, 1024), np.float32)
    model(x)
    ticks, is_done = [0], threading.Event()

    def count():
        while not is_done.is_set():
            ticks[0] += 1

    counter = threading.Thread(target=count)
    counter.start()
    before = ticks[0]
    start = time.perf_counter()
    model(x)
    seconds, counted = time.perf_counter() - start, ticks[0] - before
    is_done.set()
    counter.join()
    # Holding the lock, the call would leave the counter nothing but the interpreter's switches before and after it.
    assert counted > seconds * 1e5, f"{counted} in {seconds:.3f} s"


def test_close(compiled, digits):
    model = package.load(compiled(digits))
    model.close()
    model.close()
    with pytest.raises(package.Error, match="closed"):
        model(images())
    assert repr(model) == "<mlc.Model digits, closed>"
    with package.load(compiled(digits)) as model:
        assert model(images()).shape == (3, 10)
    with pytest.raises(package.Error, match="closed"):
        model.params


def test_library_is_unloaded(compiled, digits, tmp_path):
    """With the last model of it, so that a long-lived process can compile as often as it likes."""
    path = shutil.copy(compiled(digits), tmp_path / "copy.so")
    is_mapped = lambda: str(path) in open("/proc/self/maps").read()  # noqa: E731
    first, second = package.load(path), package.load(path)
    del first
    gc.collect()
    assert is_mapped() and second(images()).shape == (3, 10)
    del second
    gc.collect()
    assert not is_mapped()


def test_library_is_compiled_anew(compiled, digits, root, tmp_path):
    """Under the same name, while the old one is in use: each model keeps its own code."""
    path = tmp_path / "model.so"
    old = package.compile(digits, path)
    before = old(images())
    new = package.compile(root / "examples/digits/digits_init.onnx", path)
    other = onnxruntime.InferenceSession(str(root / "examples/digits/digits_init.onnx")).run(None, {"image": images()})
    np.testing.assert_allclose(new(images()), other[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(old(images()), before)


def test_fork(compiled, digits):
    """A child has no threads of its parent's pool: it is told so, instead of waiting for them for ever."""
    models = {threads: package.load(compiled(digits), threads=threads) for threads in (1, 2)}
    want = models[1](images())

    def ends_well(check):
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if check() else 1)
            except BaseException:
                os._exit(2)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    def is_refused():
        try:
            models[2](images())
        except package.Error as error:
            return "fork" in str(error)

    assert ends_well(is_refused)
    assert ends_well(lambda: np.array_equal(models[1](images()), want))


@pytest.fixture(scope="module")
def trainer(compiled, root):
    return compiled(root / "examples/digits/digits_init.onnx", "--train", "--optimizer=adam")


def test_training(trainer, tmp_path):
    model = package.load(trainer)
    labels = np.array([1, 2, 3])
    assert [str(info) for info in model.train_inputs] == ["image: float32[batch,1,8,8]", "label: int64[batch]"]
    # The first loss, from the logits by hand: mean of -log softmax at the labels.
    logits = model(images()).astype(np.float64)
    by_hand = np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(3), labels])
    losses = [float(model.train_step(images(), labels))]
    np.testing.assert_allclose(losses[0], by_hand, rtol=1e-5)
    model.save(tmp_path / "state.safetensors")
    losses += [float(model.train_step(image=images(), label=labels)) for _ in range(20)]
    assert losses[-1] < losses[0] / 2

    resumed = package.load(trainer)
    resumed.load(tmp_path / "state.safetensors")
    assert [float(resumed.train_step(images(), labels)) for _ in range(20)] == losses[1:]


def test_params(trainer, root):
    model = package.load(trainer)
    initial = {tensor.name: onnx.numpy_helper.to_array(tensor)
               for tensor in onnx.load(root / "examples/digits/digits_init.onnx").graph.initializer}
    assert set(model.params) <= set(initial) and len(model.params) == 6
    for name, view in model.params.items():
        np.testing.assert_array_equal(view, initial[name])
    model.params["fc.weight"][...] = 0
    model.params["fc.bias"] = np.arange(10)
    np.testing.assert_allclose(model(images()), np.tile(np.arange(10, dtype=np.float32), (3, 1)))
    with pytest.raises(KeyError):
        model.params["fc"]
    with pytest.raises(package.InvalidArgument, match=r"\(10,\), got \(9,\)"):
        model.params["fc.bias"] = np.zeros(9)


def test_params_outlive_their_model(trainer):
    model = package.load(trainer)
    view, handle = model.params["fc.bias"], weakref.ref(model._handle)
    view[...] = 7
    model.close()
    del model
    gc.collect()
    assert handle() is not None and (view == 7).all()
    part = view[2:4]
    del view
    gc.collect()
    assert handle() is not None and (part == 7).all()
    del part
    gc.collect()
    assert handle() is None


def test_training_errors(model, trainer, tmp_path):
    with pytest.raises(package.InvalidArgument, match="--train"):
        model.train_step(images())
    assert len(model.params) == 0
    with pytest.raises(package.IOFailure, match="absent"):
        package.load(trainer).load(tmp_path / "absent.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(package.CorruptData):
        package.load(trainer).load(tmp_path / "bad.safetensors")
    with pytest.raises(package.ModelError, match="label"):
        package.load(trainer).train_step(images(), [0, 1, 99])


def test_old_pythons(root):
    """The package promises Python 3.9: its sources parse with that grammar."""
    for file in (root / "runtime/python").glob("**/*.py"):
        ast.parse(file.read_text(), feature_version=(3, 9))
