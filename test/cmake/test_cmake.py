"""cmake --install, find_package(mlc) and mlc_add_model, as an application outside the repository uses them."""
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import time

import numpy as np
import onnx
import onnxruntime
import pytest

import mlc_backend

HERE = pathlib.Path(__file__).resolve().parent
CHECKERED = np.array([(i // 8 + i) % 2 for i in range(64)], np.float32).reshape(1, 1, 8, 8)


def run(*command, **options):
    return subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=300, check=False, **options)


def output(*command, **options):
    done = run(*command, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def prefix(mlc, root, tmp_path_factory):
    """An installation that has been moved since."""
    build = mlc.parents[1] if (mlc.parents[1] / "CMakeCache.txt").exists() else root / "build"
    folder = tmp_path_factory.mktemp("installed")
    output("cmake", "--install", build, "--prefix", folder / "first")
    return (folder / "first").rename(folder / "moved here")


def configure(prefix, build, source, *options, generator="Ninja"):
    return run("cmake", "-G", generator, "-S", source, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}",
               "-DCMAKE_BUILD_TYPE=Release", *options)


def configured(*arguments, **options):
    done = configure(*arguments, **options)
    assert done.returncode == 0, done.stdout + done.stderr


def project(folder, text, languages="C"):
    folder.mkdir(exist_ok=True)
    (folder / "CMakeLists.txt").write_text(f"cmake_minimum_required(VERSION 3.20)\nproject(test LANGUAGES {languages})\n"
                                           f"find_package(mlc REQUIRED)\n{text}\n")
    return folder


def logits_of(model):
    return onnxruntime.InferenceSession(str(model)).run(None, {"image": CHECKERED})[0]


def numbers(*command):
    return np.array(output(*command).split(), np.float32).reshape(-1, 10)


def test_prefix(prefix, root):
    files = {str(file.relative_to(prefix)) for file in prefix.glob("**/*") if file.is_file()}
    package = {str(pathlib.Path(file).parent) for file in files if file.endswith("mlcConfig.cmake")}.pop()
    assert files == {"bin/mlc", "include/mlc/mlc.h", "include/mlc/mlc.hpp", "include/mlc/types.def"} | {
        f"{package}/{name}.cmake" for name in ("mlcConfig", "mlcConfigVersion", "mlcAddModel")}
    version = re.search(r"project\(mlc VERSION ([\d.]+)", (root / "CMakeLists.txt").read_text())[1]
    assert output(prefix / "bin/mlc", "--version").startswith(f"mlc {version} ")
    for file in prefix.glob("**/*.cmake"):
        assert "first" not in file.read_text(), f"{file} holds the path that it was installed to"


@pytest.mark.parametrize("generator", ["Ninja", pytest.param("Unix Makefiles", marks=pytest.mark.slow)])
def test_application(prefix, digits, tmp_path, generator):
    build = tmp_path / "a build"
    configured(prefix, build, HERE / "application", f"-DMODEL={digits}", "-DCMAKE_C_VISIBILITY_PRESET=hidden",
               generator=generator)
    output("cmake", "--build", build)
    want = logits_of(digits)
    np.testing.assert_allclose(numbers(build / "in_c"), want, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(numbers(build / "in_cpp"), np.repeat(want, 2, 0), rtol=1e-4, atol=1e-5)
    assert (build / "libdigits.a").exists() and (build / "libdigits-any-batch.so").exists()

    output("cmake", "--install", build, "--prefix", tmp_path / "app")
    shutil.rmtree(build)
    np.testing.assert_allclose(numbers(tmp_path / "app/bin/in_cpp"), np.repeat(want, 2, 0), rtol=1e-4, atol=1e-5)
    assert (tmp_path / "app/include/any_batch.h").exists()
    # Programs that load libraries at run time find the reflective table in it.
    library = mlc_backend.Library(tmp_path / "app/lib/libdigits-any-batch.so")
    np.testing.assert_allclose(library.run({"image": CHECKERED})["logits"], want, rtol=1e-4, atol=1e-5)


PROGRAM = 'mlc_add_model(digits model.onnx)\nadd_executable(program main.c)\ntarget_link_libraries(program digits)'


def copy_of_in_c(folder):
    text = (HERE / "application/in_c.c").read_text()
    (folder / "main.c").write_text(text.replace("digits_run(model, image", "digits_run(model, &(digits_dims){1}, image"))


@pytest.mark.slow
@pytest.mark.parametrize("generator", ["Ninja", "Unix Makefiles"])
def test_what_is_built_again(prefix, root, digits, tmp_path, generator):
    """When the model, its external data or the compiler has changed, and not otherwise."""
    source, build = project(tmp_path / "source", PROGRAM), tmp_path / "build"
    copy_of_in_c(source)
    other = root / "examples/digits/digits_init.onnx"
    proto = onnx.load(digits)
    onnx.save(proto, source / "model.onnx", save_as_external_data=True, location="the weights.bin", size_threshold=0)
    compiler = tmp_path / "mlc"
    shutil.copy(prefix / "bin/mlc", compiler)
    configured(prefix, build, source, f"-DMLC_EXECUTABLE={compiler}", generator=generator)

    def rebuilt():
        time.sleep(0.01)  # make compares times
        return "Compiling" in output("cmake", "--build", build)

    assert rebuilt() and not rebuilt()
    np.testing.assert_allclose(numbers(build / "program"), logits_of(digits), rtol=1e-4, atol=1e-5)
    weights = source / "the weights.bin"
    weights.write_bytes(bytes(weights.stat().st_size))
    assert rebuilt() and not rebuilt()
    assert not numbers(build / "program").any()
    shutil.copyfile(other, source / "model.onnx")
    assert rebuilt()
    np.testing.assert_allclose(numbers(build / "program"), logits_of(other), rtol=1e-4, atol=1e-5)
    os.utime(compiler)
    assert rebuilt() and not rebuilt()


CROSS = "/usr/aarch64-linux-gnu"
# Without gcc's start files: the C library's own are enough for C.
TOOLCHAIN = f"""set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER clang-22)
set(CMAKE_AR /usr/bin/llvm-ar-22)
set(CMAKE_RANLIB /usr/bin/llvm-ranlib-22)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_EXE_LINKER_FLAGS "-fuse-ld=lld -nostdlib {CROSS}/lib/Scrt1.o {CROSS}/lib/crti.o {CROSS}/lib/crtn.o -L{CROSS}/lib")
set(CMAKE_SHARED_LINKER_FLAGS "-fuse-ld=lld -nostdlib -L{CROSS}/lib")
set(CMAKE_C_STANDARD_LIBRARIES -lc)
"""
HEADERS = f"-nostdlibinc -isystem{CROSS}/include"


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="needs an x86-64 machine and the C library for aarch64")
@pytest.mark.parametrize("target", ["variable", "flag"])
@pytest.mark.parametrize("kind", ["STATIC", "SHARED"])
def test_cross_compiling(prefix, digits, tmp_path, target, kind):
    """The library is for the machine that the toolchain compiles for, and runs there."""
    source = project(tmp_path / "source", PROGRAM.replace("model.onnx", f"{digits} {kind}"))
    copy_of_in_c(source)
    say = (f'set(CMAKE_C_COMPILER_TARGET aarch64-linux-gnu)\nset(CMAKE_C_FLAGS "{HEADERS}")\n' if target == "variable" else
           f'set(CMAKE_C_FLAGS "--target=aarch64-linux-gnu {HEADERS}")\n')
    (tmp_path / "toolchain.cmake").write_text(TOOLCHAIN + say)
    configured(prefix, tmp_path / "build", source, f"-DCMAKE_TOOLCHAIN_FILE={tmp_path}/toolchain.cmake")
    output("cmake", "--build", tmp_path / "build")
    manifest = json.loads((tmp_path / "build/digits.mlc/digits.json").read_text())
    assert (manifest["triple"], manifest["cpu"]) == ("aarch64-unknown-linux-gnu", "generic")
    got = numbers("qemu-aarch64", "-L", CROSS, "-E", f"LD_LIBRARY_PATH={tmp_path}/build", tmp_path / "build/program")
    np.testing.assert_allclose(got, logits_of(digits), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("toolchain, message", [
    ("set(CMAKE_SYSTEM_NAME Linux)\nset(CMAKE_C_COMPILER_TARGET riscv64-linux-gnu)", "compiled for Linux, riscv64-linux-gnu; mlc has"),
    ("set(CMAKE_SYSTEM_NAME Linux)\nset(CMAKE_C_COMPILER_TARGET aarch64-linux-musl)", "compiled for Linux, aarch64-linux-musl; mlc has"),
    ("set(CMAKE_SYSTEM_NAME Linux)\nset(CMAKE_C_COMPILER_TARGET i686-linux-gnu)", "compiled for Linux, i686-linux-gnu; mlc has"),
    ("set(CMAKE_SYSTEM_NAME Generic)\nset(CMAKE_C_COMPILER_TARGET aarch64-none-elf)", "compiled for Generic, aarch64-none-elf; mlc has"),
])
def test_target_that_mlc_has_not(prefix, digits, tmp_path, toolchain, message):
    source = project(tmp_path / "source", f"mlc_add_model(digits {digits})")
    (tmp_path / "toolchain.cmake").write_text("set(CMAKE_C_COMPILER clang-22)\nset(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)\n"
                                              "set(CMAKE_C_COMPILER_WORKS ON)\n" + toolchain)
    done = configure(prefix, tmp_path / "build", source, f"-DCMAKE_TOOLCHAIN_FILE={tmp_path}/toolchain.cmake")
    assert done.returncode != 0 and message in " ".join(done.stderr.split()), done.stderr


def test_same_architecture_elsewhere(prefix, digits, tmp_path):
    """A toolchain for another machine of this kind: its CPU is not this one's. TRIPLE and CPU say it explicitly."""
    machine = platform.machine()
    source = project(tmp_path / "source", f"mlc_add_model(a {digits})\nmlc_add_model(b {digits} TRIPLE aarch64-linux-gnu CPU cortex-a76)")
    (tmp_path / "toolchain.cmake").write_text(f"set(CMAKE_SYSTEM_NAME Linux)\nset(CMAKE_SYSTEM_PROCESSOR {machine})\n")
    configured(prefix, tmp_path / "build", source, f"-DCMAKE_TOOLCHAIN_FILE={tmp_path}/toolchain.cmake")
    output("cmake", "--build", tmp_path / "build", "--target", "a.mlc/a.json", "b.mlc/b.json")
    found = [json.loads((tmp_path / f"build/{name}.mlc/{name}.json").read_text()) for name in "ab"]
    assert [(manifest["triple"].split("-")[0], manifest["cpu"]) for manifest in found] == \
        [(machine, "generic"), ("aarch64", "cortex-a76")]


def test_prefix_that_moves(prefix, digits, tmp_path):
    """A project that is configured again finds the compiler where the package is now; folders beside share the package."""
    first, second = tmp_path / "first", tmp_path / "second"
    shutil.copytree(prefix, first)
    source = project(tmp_path / "source", "")
    (source / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.20)\nproject(test LANGUAGES C)\n"
                                           "add_subdirectory(package)\nadd_subdirectory(model)\n")
    for folder, text in (("package", "find_package(mlc REQUIRED)"), ("model", f"mlc_add_model(digits {digits})")):
        (source / folder).mkdir()
        (source / folder / "CMakeLists.txt").write_text(text)
    configured(first, tmp_path / "build", source)
    output("cmake", "--build", tmp_path / "build")
    first.rename(second)
    configured(second, tmp_path / "build", source)
    assert "Compiling" in output("cmake", "--build", tmp_path / "build")


def test_as_a_subdirectory(root, tmp_path):
    """It says that it cannot be one, and what to do."""
    source = project(tmp_path / "source", "")
    (source / "CMakeLists.txt").write_text(f"cmake_minimum_required(VERSION 3.20)\nproject(test LANGUAGES C CXX)\nadd_subdirectory({root} mlc)\n")
    done = run("cmake", "-S", source, "-B", tmp_path / "build")
    text = " ".join(done.stderr.split())
    assert done.returncode != 0 and "mlc cannot be a part of another project" in text and "cmake --install build --prefix P" in text


@pytest.mark.parametrize("languages", ["C", "CXX", "C CXX"])
def test_headers_and_the_standard(prefix, tmp_path, languages):
    """mlc::headers asks for the C++ that mlc.hpp needs, and C projects can use it for mlc.h."""
    name = "main.cpp" if "CXX" in languages else "main.c"
    source = project(tmp_path / "source", f"add_executable(program {name})\ntarget_link_libraries(program mlc::headers)", languages)
    (source / name).write_text(f'#include "mlc/mlc.h{"pp" if "CXX" in languages else ""}"\nint main(void) {{ return MLC_OK; }}\n')
    compilers = [f"-DCMAKE_{language}_COMPILER={'g++' if language == 'CXX' else 'gcc'}" for language in languages.split()]
    configured(prefix, tmp_path / "build", source, *compilers)
    output("cmake", "--build", tmp_path / "build")


@pytest.mark.slow
def test_training_and_cpp_alone(prefix, root, tmp_path):
    """A project without C can have shared libraries; the options of training arrive."""
    source = project(tmp_path / "source", "mlc_add_model(trainer ${MODEL} SHARED TRAIN LOSS cross_entropy OPTIMIZER adam "
                     "LEARNING_RATE 0.01 TRAINABLE fc.weight fc.bias OPTIONS --target=cpu)", "CXX")
    configured(prefix, tmp_path / "build", source, f"-DMODEL={root / 'examples/digits/digits_init.onnx'}")
    output("cmake", "--build", tmp_path / "build")
    library = mlc_backend.Library(tmp_path / "build/libtrainer.so")
    assert [info.name for info in library.params] == ["fc.weight", "fc.bias"]
    before = library.param("fc.bias").copy()
    library.train_step({"image": CHECKERED, "label": np.array([3])})
    np.testing.assert_allclose(np.abs(library.param("fc.bias") - before), 0.01, rtol=1e-3)  # adam's first step


def test_static_in_shared_build(prefix, digits, tmp_path):
    """BUILD_SHARED_LIBS chooses where neither is said."""
    source = project(tmp_path / "source", "mlc_add_model(a ${MODEL})\nmlc_add_model(b ${MODEL} STATIC)\n"
                     "foreach(t a b)\nget_target_property(type ${t} TYPE)\nmessage(STATUS \"${t} ${type}\")\nendforeach()")
    done = configure(prefix, tmp_path / "build", source, f"-DMODEL={digits}", "-DBUILD_SHARED_LIBS=ON")
    assert "a SHARED_LIBRARY" in done.stdout and "b STATIC_LIBRARY" in done.stdout


@pytest.mark.parametrize("arguments, message", [
    ("STATIC SHARED", "STATIC or SHARED, not both"),
    ("NAME a-b", "NAME a-b is not a C identifier"),
    ("LOSS mse", "LOSS needs TRAIN"),
    ("BATCH 8", "unknown argument BATCH;8"),
    ("TRAIN LOSS", "no value after LOSS"),
])
def test_misuse(prefix, digits, tmp_path, arguments, message):
    source = project(tmp_path / "source", f"mlc_add_model(digits {digits} {arguments})", "NONE")
    done = configure(prefix, tmp_path / "build", source)
    assert done.returncode != 0 and message in " ".join(done.stderr.split()), done.stderr


def test_errors_of_the_model(prefix, tmp_path):
    """They are the compiler's, and stop the build."""
    source = project(tmp_path / "source", "mlc_add_model(broken broken.onnx)")
    (source / "broken.onnx").write_bytes(b"\xff\xff")
    configured(prefix, tmp_path / "build", source)
    done = run("cmake", "--build", tmp_path / "build")
    assert done.returncode != 0 and "broken.onnx: error: " in done.stdout + done.stderr


@pytest.mark.parametrize("asked, is_found", [("0.1", True), ("0.0.1", False), ("0.2", False), ("1.0", False)])
def test_version(prefix, tmp_path, asked, is_found):
    source = project(tmp_path / "source", "", "NONE")
    text = (source / "CMakeLists.txt").read_text().replace("find_package(mlc", f"find_package(mlc {asked}")
    (source / "CMakeLists.txt").write_text(text)
    assert (configure(prefix, tmp_path / "build", source).returncode == 0) == is_found
