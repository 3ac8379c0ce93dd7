"""A library for features that the machine lacks refuses at create and names them; nothing before that uses them."""
import json
import pathlib

import mlc_backend
import numpy as np
import pytest

FEATURES = set(next((line for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")),
                    "").split())
CPUS = ["sapphirerapids", "graniterapids", "diamondrapids", "znver5", "cooperlake", "cannonlake", "skylake-avx512", "haswell"]


def features_of(library):
    return json.loads(library.with_suffix(".json").read_text())["cpu_features"]


def test_lacking_features(compiled, digits):
    """The first of these processors that has more than this machine."""
    for cpu in CPUS:
        library = compiled(digits, f"--cpu={cpu}")
        lacking = [name for name in features_of(library) if name not in FEATURES and name not in ("sse3", "lzcnt")]
        if lacking:
            with pytest.raises(mlc_backend.MlcError) as error:
                mlc_backend.Library(library)
            assert str(error.value) == ("unsupported cpu: this CPU lacks features that the library was compiled for: "
                                        + ", ".join(lacking))
            return
    pytest.skip("this machine has the features of all these processors")


def test_unknown_feature(compiled, digits, tmp_path):
    """A newer compiler may ask for what this runtime has never heard of: that is not taken for present."""
    content = compiled(digits, "--cpu=x86-64-v3").read_bytes()
    assert content.count(b",avx2,fma") == 1
    library = tmp_path / "digits.so"
    library.write_bytes(content.replace(b",avx2,fma", b",avx9,fma"))
    with pytest.raises(mlc_backend.MlcError) as error:
        mlc_backend.Library(library)
    assert str(error.value) == 'unsupported cpu: the library asks for the unknown CPU feature "avx9"'


@pytest.mark.parametrize("cpu", ["x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4", "native"])
def test_same_values_on_every_cpu(compiled, digits, cpu):
    """Every planner's machine (sse2, avx2, avx512) computes the same to rounding."""
    library = compiled(digits, f"--cpu={cpu}")
    if not set(features_of(library)) <= FEATURES | {"sse3", "lzcnt"}:
        pytest.skip(f"this machine is no {cpu}")
    image = np.random.default_rng(3).random((5, 1, 8, 8), np.float32)
    import onnxruntime
    want = onnxruntime.InferenceSession(str(digits)).run(None, {"image": image})[0]
    with mlc_backend.Library(library) as loaded:
        np.testing.assert_allclose(loaded.run({"image": image})["logits"], want, rtol=1e-4, atol=1e-5)
