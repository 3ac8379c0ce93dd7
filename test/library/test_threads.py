"""The same bits whatever computes them: any number of threads, the application's pool, and any number of handles at once."""
import concurrent.futures
import ctypes

import mlc_backend
import numpy as np
import pytest
import realistic
from programs import ROOT, SOURCES, bert_feeds, build


@pytest.fixture(scope="module")
def shuffled(tmp_path_factory):
    """Options of a pool that runs the tasks of a loop on three threads, in random order."""
    path = build(tmp_path_factory.mktemp("pool") / "pool.so", "-shared", "-fPIC", f"-I{ROOT}/runtime/include",
                 SOURCES / "shuffled_pool.c", "-lpthread")
    function, seed = ctypes.CDLL(path).shuffled, ctypes.c_uint(1)
    return {"parallel_for": ctypes.cast(function, ctypes.c_void_p), "pool": ctypes.addressof(seed), "kept": (function, seed)}


def bits(library, feeds):
    return b"".join(array.tobytes() for array in library.run(feeds).values())


def check(path, feeds, shuffled, times=3):
    with mlc_backend.Library(path, threads=1) as library:
        want = bits(library, feeds)
    for threads in (1, 2, 3, 8):
        with mlc_backend.Library(path, threads=threads) as library:
            for _ in range(times):
                assert bits(library, feeds) == want, f"{threads} threads"
    with mlc_backend.Library(path, parallel_for=shuffled["parallel_for"], pool=shuffled["pool"]) as library:
        for _ in range(times):
            assert bits(library, feeds) == want, "the application's pool"


@pytest.mark.parametrize("batch", [1, 2, 33])
def test_digits(compiled, digits, shuffled, batch):
    check(compiled(digits), {"image": np.random.default_rng(0).random((batch, 1, 8, 8), np.float32)}, shuffled)


@pytest.mark.parametrize("exporter", ["legacy", "dynamo"])
@pytest.mark.parametrize("size", ["1x7", "3x64"])
def test_bert(compiled, root, shuffled, exporter, size):
    check(compiled(root / f"test/models/bert-small/{exporter}.onnx"), bert_feeds(root, size), shuffled)


@pytest.mark.slow
def test_squeezenet(compiled, root, shuffled):
    path = compiled(realistic.save("squeezenet", root / "build/test-models"))
    with mlc_backend.Library(path) as library:
        info = library.inputs[0]
    check(path, {info.name: np.random.default_rng(0).standard_normal(info.shape).astype(np.float32)}, shuffled, 2)


def test_handles_at_once(compiled, digits):
    """Handles of one library in several threads give what each gives alone."""
    rng = np.random.default_rng(1)
    images = [rng.random((batch, 1, 8, 8), np.float32) for batch in (3, 17, 1, 8)]
    path = compiled(digits)

    def results(image, times):
        with mlc_backend.Library(path, threads=2) as library:
            return [bits(library, {"image": image}) for _ in range(times)]

    alone = [results(image, 1)[0] for image in images]
    with concurrent.futures.ThreadPoolExecutor(len(images)) as pool:
        together = list(pool.map(lambda image: results(image, 200), images))
    for want, got in zip(alone, together):
        assert set(got) == {want}
