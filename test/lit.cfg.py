"""lit over test/**/*.mlir and *.test: the IR tests, checked with FileCheck.

    .venv/bin/lit test                      everything
    .venv/bin/lit test/compiler/Schedule    one folder
    lit --param build=build-sanitize test   another build folder; `--param memory=0` lifts the memory limit
"""
import os
import resource
import shutil

import lit.formats

root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
build = os.path.join(root, lit_config.params.get("build", "build"))
llvm = lit_config.params.get("llvm", "/usr/lib/llvm-22/bin")

config.name = "mlc"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["onnx", "models", "cli", "Inputs", "CMakeLists.txt"]
config.test_source_root = os.path.join(root, "test")
config.test_exec_root = os.path.join(build, "test")

for tool in ("mlc", "mlc-opt"):
    if not os.access(os.path.join(build, "bin", tool), os.X_OK):
        lit_config.fatal(f"no {tool} in {build}/bin: build first (tools/test does)")
if not os.access(os.path.join(llvm, "FileCheck"), os.X_OK):
    lit_config.fatal(f"no FileCheck in {llvm}: run tools/install")

config.environment["PATH"] = os.pathsep.join([llvm, os.environ.get("PATH", "")])
config.environment["FILECHECK_OPTS"] = "--enable-var-scope --dump-input-filter=error"
for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
    if name in os.environ:
        config.environment[name] = os.environ[name]

# `%mlc` also begins `%mlc-opt`: the look-ahead keeps them apart.
config.substitutions += [
    ("%mlc-opt", os.path.join(build, "bin", "mlc-opt")),
    (r"%mlc(?![-\w])", os.path.join(build, "bin", "mlc")),
    ("%python", os.path.join(root, ".venv/bin/python")),
    ("%cc", shutil.which("clang-22") or os.path.join(llvm, "clang")),
    ("%include", os.path.join(root, "runtime/include")),
    ("%root", root),
]
if shutil.which("ptxas"):
    config.available_features.add("ptxas")

# Defects of upstream passes have ended in endless loops and all memory: both are failures here.
config.maxIndividualTestTime = int(lit_config.params.get("timeout", 120))
gigabytes = int(lit_config.params.get("memory", 8))
if gigabytes:
    resource.setrlimit(resource.RLIMIT_AS, (gigabytes << 30, gigabytes << 30))
