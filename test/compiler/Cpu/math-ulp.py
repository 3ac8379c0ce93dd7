#!/usr/bin/env python3
"""Errors of ExpandMath's functions against libm in double, over a sweep of all floats. Breaks when a polynomial, a reduction or a
special case is wrong. Usage: math-ulp.py <mlc-opt> [stride [cpu]]; a stride of 1 is exhaustive (minutes for each function).
docs/math.md quotes its table."""
import os, shutil, subprocess, sys, tempfile

mlcOpt, stride, cpu = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1021, sys.argv[3] if len(sys.argv) > 3 else "native"
llvm = "/usr/lib/llvm-22/bin/"
# name: largest allowed error in ulp (of the true result), largest absolute error (either is enough), largest |x|
inf = float("inf")
unary = {
    "exp": (1.5, 0, inf), "exp2": (1.5, 0, inf), "expm1": (2.5, 0, inf), "log": (1.5, 0, inf), "log1p": (2, 0, inf), "log2": (2, 0, inf), "log10": (2, 0, inf),
    "tanh": (5.5, 0, inf), "erf": (4, 4.5e-7, inf), "sin": (1.75, 0, inf), "cos": (1.75, 0, inf), "tan": (3.75, 0, inf), "asin": (3.5, 0, inf), "acos": (2.5, 0, inf),
    "atan": (3, 0, inf), "sinh": (3, 0, inf), "cosh": (3, 0, inf), "asinh": (3.5, 0, inf), "acosh": (3.5, 0, inf), "atanh": (3.5, 0, inf), "cbrt": (1, 0, inf),
    "rsqrt": (1.5, 0, inf),
}
binary = {"powf": (1, 0, inf), "atan2": (3.75, 0, inf)}
cName = {"powf": "pow", "rsqrt": "rsqrt"}

mlir, c = "", open(os.path.join(os.path.dirname(__file__), "math-ulp.c")).read() + "\nint main(void) {\n"
for shape, suffix in (("vector<16xf32>", "v"), ("f32", "s")):
    for name in list(unary) + list(binary):
        y = "  %y = llvm.load %py {alignment = 4 : i64} : !llvm.ptr -> " + shape + "\n" if name in binary else ""
        call = f"math.{name} %x, %y" if name in binary else f"math.{name} %x"
        mlir += f"func.func @{suffix}_{name}(%px: !llvm.ptr, %py: !llvm.ptr, %out: !llvm.ptr) {{\n  %x = llvm.load %px {{alignment = 4 : i64}} : !llvm.ptr -> {shape}\n{y}"
        mlir += f"  %r = {call} : {shape}\n  llvm.store %r, %out {{alignment = 4 : i64}} : {shape}, !llvm.ptr\n  return\n}}\n"
for name, (ulp, absolute, limit) in {**unary, **binary}.items():
    c += f"  {{ extern Function v_{name}, s_{name}; check{2 if name in binary else 1}(\"{name}\", v_{name}, s_{name}, {cName.get(name, name)}, {ulp}, {absolute}, "
    c += f"{'INFINITY' if limit == inf else limit}, {stride}u); }}\n"
c += "  return failures != 0;\n}\n"

with tempfile.TemporaryDirectory() as folder:
    path = lambda name: os.path.join(folder, name)
    run = lambda *command: subprocess.run(command, check=True)
    open(path("f.mlir"), "w").write(mlir)
    open(path("m.c"), "w").write(c)
    passes = "func.func(expand-math),canonicalize,cse,convert-scf-to-cf,convert-vector-to-llvm,convert-math-to-llvm,convert-arith-to-llvm,convert-func-to-llvm,convert-cf-to-llvm,reconcile-unrealized-casts"
    run(mlcOpt, f"--pass-pipeline=builtin.module({'func.func(expand-math),canonicalize,cse'})", path("f.mlir"), "-o", path("e.mlir"))
    run(llvm + "mlir-opt" if os.path.exists(llvm + "mlir-opt") else shutil.which("mlir-opt-22"), f"--pass-pipeline=builtin.module({passes.split(',', 3)[3]})", path("e.mlir"), "-o", path("l.mlir"))
    run(llvm + "mlir-translate" if os.path.exists(llvm + "mlir-translate") else shutil.which("mlir-translate-22"), "--mlir-to-llvmir", path("l.mlir"), "-o", path("f.ll"))
    run(llvm + "clang", "-O2", "-march=" + cpu, "-Wno-override-module", "-c", path("f.ll"), "-o", path("f.o"))
    run(llvm + "clang", "-O2", "-march=native", "-Wno-unused-function", path("m.c"), path("f.o"), "-lm", "-o", path("m"))
    sys.exit(subprocess.run([path("m")]).returncode)
