"""Values of generated kernels: each is built once by LowerKernels (vectors of 16 and of 4) and once as plain linalg loops, both
run on the same arrays, and must agree. Breaks when a rest is masked wrongly, a stage reads a value too early, or a transposed
block lands in the wrong place."""
import ctypes
import re
import subprocess

import numpy as np
import pytest

LLVM = "/usr/lib/llvm-22/bin/"
PLAN = "#sched.tiling<task = [0], lanes = {}, vectors = 2, rows = 1, row_loop = -1, lane_loop = 0>"
TO_LLVM = (
    "builtin.module(func.func(scf-forall-to-for,convert-linalg-to-loops),fold-memref-alias-ops,expand-strided-metadata,lower-affine,canonicalize,cse,"
    "convert-scf-to-cf,convert-vector-to-llvm,convert-math-to-llvm,convert-math-to-libm,convert-func-to-llvm,finalize-memref-to-llvm,"
    "convert-arith-to-llvm,convert-index-to-llvm,convert-cf-to-llvm,convert-ub-to-llvm,reconcile-unrealized-casts)"
)


def tool(name):
    import os, shutil

    return LLVM + name if os.path.exists(LLVM + name) else shutil.which(name + "-22")


def build(folder, mlc, name, source, lanes):
    """The kernel as a library; lanes None: plain loops."""
    kind = re.search(r"\[(\w+)\]$", source.split("\n", 1)[0]).group(1)
    body = source.split("\n", 1)[1]
    header = f"func.func @{name}(" + source.split("\n", 1)[0].rsplit(" [", 1)[0] + ", %call: !llvm.ptr) attributes {llvm.emit_c_interface"
    header += f', sched.kind = #sched.kind<{kind}>, sched.tiling = {PLAN.format(lanes)}}} {{\n' if lanes else "} {\n"
    path = folder / f"{name}{lanes or ''}.mlir"
    path.write_text(header + body + "\n  return\n}\n")
    passes = "lower-kernels,expand-math,canonicalize,cse" if lanes else "expand-math"
    lowered = subprocess.run([mlc.parent / "mlc-opt", path, f"--pass-pipeline=builtin.module(func.func({passes}))"], capture_output=True, text=True)
    assert lowered.returncode == 0, lowered.stderr
    if lanes:
        assert "linalg." not in lowered.stdout and lowered.stdout.count("scf.forall") <= 1
    text = re.sub(r', sched\.tiling = #sched\.tiling<[^>]*>|, sched\.kind = #sched\.kind<\w+>', "", lowered.stdout)
    llvm = subprocess.run([tool("mlir-opt"), f"--pass-pipeline={TO_LLVM}"], input=text, capture_output=True, text=True)
    assert llvm.returncode == 0, llvm.stderr
    ir = subprocess.run([tool("mlir-translate"), "--mlir-to-llvmir"], input=llvm.stdout, capture_output=True, text=True, check=True).stdout
    path.with_suffix(".ll").write_text(ir)
    library = path.with_suffix(".so")
    subprocess.run([tool("clang"), "-O2", "-march=native", "-Wno-override-module", "-shared", "-fPIC", path.with_suffix(".ll"), "-o", library, "-lm"], check=True)
    return ctypes.CDLL(str(library))


def descriptor(array):
    rank = max(array.ndim, 1)

    class Descriptor(ctypes.Structure):
        _fields_ = [("allocated", ctypes.c_void_p), ("aligned", ctypes.c_void_p), ("offset", ctypes.c_int64), ("sizes", ctypes.c_int64 * rank), ("strides", ctypes.c_int64 * rank)]

    steps = [step // array.itemsize for step in array.strides]
    return Descriptor(array.ctypes.data, array.ctypes.data, 0, (ctypes.c_int64 * rank)(*array.shape), (ctypes.c_int64 * rank)(*steps))


def generic(iterators, inputs, outputs, body):
    """linalg.generic: iterators "pr" for parallel and reduction; operands "value type map"; ^bb0 names its arguments %0.. as %x0, %x1, ..."""
    loops = ", ".join(f"d{i}" for i in range(len(iterators)))
    split = [re.fullmatch(r"(\S+) (\S.*>|\w+) \((.*)\)", operand).groups() for operand in inputs + outputs]
    elements = [re.sub(r"memref<|[?\d]+x|[,>].*", "", kind) for _, kind, _ in split]
    maps = ", ".join(f"affine_map<({loops}) -> ({m})>" for _, _, m in split)
    kinds = ", ".join({"p": '"parallel"', "r": '"reduction"'}[i] for i in iterators)
    arguments = ", ".join(f"%x{i}: {element}" for i, element in enumerate(elements))
    group = lambda part: f"({', '.join(v for v, _, _ in part)} : {', '.join(k for _, k, _ in part)})"
    ins = f"ins{group(split[: len(inputs)])} " if inputs else ""
    return f"  linalg.generic {{indexing_maps = [{maps}], iterator_types = [{kinds}]}} {ins}outs{group(split[len(inputs) :])} {{\n  ^bb0({arguments}):\n    {body}\n  }}"


def kernel(kind, arguments, *lines):
    return f"{arguments} [{kind}]\n" + "\n".join(lines)


random = np.random.default_rng(0)
f32 = lambda *shape: random.standard_normal(shape).astype(np.float32)
ADD = "%r = arith.addf %x0, %x1 : f32\n    linalg.yield %r : f32"
MAX = "%r = arith.maximumf %x0, %x1 : f32\n    linalg.yield %r : f32"
CONSTANTS = "  %zero = arith.constant 0.0 : f32\n  %low = arith.constant 0xFF800000 : f32\n  %i0 = arith.constant 0 : i64\n  %i32 = arith.constant 0 : i32\n  %true = arith.constant true"


def softmax(rows, columns, internal):
    full, scalars = f"memref<{rows}x{columns}xf32>", f"memref<{rows}xf32>"
    size = "%n" if rows == "?" else ""
    lines = [CONSTANTS, "  %c0 = arith.constant 0 : index", f"  %n = memref.dim %x, %c0 : {full}"]
    lines += [f"  %{name} = memref.alloc({size}) : {scalars}" for name in "ms"]
    if internal:
        lines.append(f"  %e = memref.alloc({size}) : {full}")
    lines += [
        f"  linalg.fill ins(%low : f32) outs(%m : {scalars})",
        generic("pr", [f"%x {full} (d0, d1)"], [f"%m {scalars} (d0)"], MAX),
        generic("pp", [f"%x {full} (d0, d1)", f"%m {scalars} (d0)"], [f"%e {full} (d0, d1)"], "%d = arith.subf %x0, %x1 : f32\n    %r = math.exp %d : f32\n    linalg.yield %r : f32"),
        f"  linalg.fill ins(%zero : f32) outs(%s : {scalars})",
        generic("pr", [f"%e {full} (d0, d1)"], [f"%s {scalars} (d0)"], ADD),
        generic("pp", [f"%e {full} (d0, d1)", f"%s {scalars} (d0)"], [f"%y {full} (d0, d1)"], "%r = arith.divf %x0, %x1 : f32\n    linalg.yield %r : f32"),
    ]
    return kernel("rows", f"%x: {full}, %y: {full}" + ("" if internal else f", %e: {full}"), *lines)


def pointwise(kind, types, maps, iterators, body, outputs=1):
    names = [f"%a{i}" for i in range(len(types))]
    operands = [f"{n} {t} ({m})" for n, t, m in zip(names, types, maps)]
    return kernel(kind, ", ".join(f"{n}: {t}" for n, t in zip(names, types)), CONSTANTS, generic(iterators, operands[:-outputs], operands[-outputs:], body))


def gather(indexMap, at):
    body = f"%i = linalg.index 0 : index\n    %j = linalg.index 1 : index\n    %c = arith.index_cast %x0 : i64 to index\n    %r = memref.load %x[{at}] : memref<?x?xf32>\n    linalg.yield %r : f32"
    return kernel("loops", "%n: memref<?xi64>, %x: memref<?x?xf32>, %y: memref<?x?xf32>", generic("pp", [f"%n memref<?xi64> ({indexMap})"], ["%y memref<?x?xf32> (d0, d1)"], body))


D2, STRIDED = "memref<?x?xf32>", "memref<?x?xf32, strided<[?, 1]>>"
CASES = {
    # name: (kernel, arrays, numbers of the results, tolerance)
    "static_rest": (pointwise("pointwise", ["memref<1003xf32>"] * 3, ["d0"] * 3, "p", ADD), [f32(1003), f32(1003), f32(1003)], [2], 0),
    "broadcast": (pointwise("pointwise", [D2, "memref<?xf32>", D2], ["d0, d1", "d1", "d0, d1"], "pp", ADD), [f32(37, 203), f32(203), f32(37, 203)], [2], 0),
    "channels": (pointwise("pointwise", ["memref<3x64x7x7xf32>", "memref<64xf32>", "memref<3x64x7x7xf32>"], ["d0, d1, d2, d3", "d1", "d0, d1, d2, d3"], "pppp", ADD), [f32(3, 64, 7, 7), f32(64), f32(3, 64, 7, 7)], [2], 0),
    "channels_dynamic": (pointwise("pointwise", ["memref<?x?x?x?xf32>", "memref<?xf32>", "memref<?x?x?x?xf32>"], ["d0, d1, d2, d3", "d1", "d0, d1, d2, d3"], "pppp", ADD), [f32(3, 64, 7, 7), f32(64), f32(3, 64, 7, 7)], [2], 0),
    "strided": (pointwise("pointwise", [STRIDED, "memref<?xf32>", STRIDED], ["d0, d1", "d1", "d0, d1"], "pp", ADD), [f32(37, 300)[:, 3:203], f32(200), f32(37, 300)[:, 50:250]], [2], 0),
    "transpose": (pointwise("pointwise", ["memref<64x48xf32>", "memref<64xf32>", "memref<48x64xf32>"], ["d1, d0", "d1", "d0, d1"], "pp", ADD), [f32(64, 48), f32(64), f32(48, 64)], [2], 0),
    "transpose_rest": (pointwise("pointwise", ["memref<?x?x?xf32>", "memref<?xf32>", "memref<?x?x?xf32>"], ["d2, d0, d1", "d2", "d0, d1, d2"], "ppp", ADD), [f32(53, 3, 70), f32(53), f32(3, 70, 53)], [2], 0),
    "transpose_narrow": (pointwise("pointwise", [D2, "memref<?xf32>", D2], ["d1, d0", "d1", "d0, d1"], "pp", ADD), [f32(3, 70), f32(3), f32(70, 3)], [2], 0),
    "compare": (pointwise("pointwise", ["memref<?xf32>", "memref<?xf32>", "memref<?xi1>"], ["d0"] * 3, "p", "%r = arith.cmpf olt, %x0, %x1 : f32\n    linalg.yield %r : i1"), [f32(203), f32(203), np.zeros(203, bool)], [2], 0),
    "select_across": (pointwise("pointwise", ["memref<?x?xi1>", D2, D2], ["d1, d0", "d0, d1", "d0, d1"], "pp", "%r = arith.select %x0, %x1, %zero : f32\n    linalg.yield %r : f32"), [random.random((203, 37)) > 0.5, f32(37, 203), f32(37, 203)], [2], 0),
    "index": (pointwise("pointwise", ["memref<?x?xi64>"] * 2, ["d0, d1"] * 2, "pp", "%i = linalg.index 1 : index\n    %j = linalg.index 0 : index\n    %k = affine.apply affine_map<(d0, d1) -> ((d0 - 5) floordiv 3 + d1 mod 4)>(%i, %j)\n    %c = arith.index_cast %k : index to i64\n    %r = arith.addi %c, %x0 : i64\n    linalg.yield %r : i64"), [random.integers(0, 9, (7, 203)), random.integers(0, 9, (7, 203))], [1], 0),
    "divide": (pointwise("pointwise", ["memref<?xi64>"] * 3, ["d0"] * 3, "p", "%r = arith.divsi %x0, %x1 : i64\n    linalg.yield %r : i64"), [random.integers(0, 900, 203), random.integers(1, 9, 203), random.integers(0, 9, 203)], [2], 0),
    "two_results": (pointwise("pointwise", ["memref<?x?xi8>", D2, D2, D2], ["d0, d1"] * 4, "pp", "%r = arith.sitofp %x0 : i8 to f32\n    %q = arith.addf %r, %x1 : f32\n    linalg.yield %q, %r : f32, f32", outputs=2), [random.integers(-100, 100, (7, 201)).astype(np.int8), f32(7, 201), f32(7, 201), f32(7, 201)], [2, 3], 0),
    "half": (pointwise("pointwise", ["memref<?x?xf16>"] * 3, ["d0, d1"] * 3, "pp", "%r = arith.mulf %x0, %x1 : f16\n    linalg.yield %r : f16"), [f32(7, 201).astype(np.float16) for _ in range(3)], [2], 0),
    "reduce_columns": (pointwise("loops", [D2, "memref<?xf32>"], ["d1, d0", "d0"], "pr", ADD), [f32(50, 203), f32(203)], [1], 0),
    "pool_stride_2": (pointwise("loops", ["memref<2x3x29x29xf32>", "memref<3x3xf32>", "memref<2x3x14x14xf32>"], ["d0, d1, d2 * 2 + d4, d3 * 2 + d5", "d4, d5", "d0, d1, d2, d3"], "pppprr", MAX.replace("%x1", "%x2")), [f32(2, 3, 29, 29), f32(3, 3), f32(2, 3, 14, 14)], [2], 0),
    "pool_stride_3": (pointwise("loops", ["memref<2x3x?x?xf32>", "memref<3x3xf32>", "memref<2x3x?x?xf32>"], ["d0, d1, d2 * 3 + d4, d3 * 3 + d5", "d4, d5", "d0, d1, d2, d3"], "pppprr", MAX.replace("%x1", "%x2")), [f32(2, 3, 30, 60), f32(3, 3), f32(2, 3, 10, 20)], [2], 0),
    "gather_rows": (gather("d0", "%c, %j"), [random.integers(0, 20, 30), f32(20, 203), f32(30, 203)], [2], 0),
    "gather_columns": (gather("d1", "%i, %c"), [random.integers(0, 50, 203), f32(30, 50), f32(30, 203)], [2], 0),
    "softmax": (softmax(37, 203, False), [f32(37, 203), f32(37, 203), f32(37, 203)], [1, 2], 1e-6),
    "softmax_internal": (softmax(37, 203, True), [f32(37, 203), f32(37, 203)], [1], 1e-6),
    "softmax_dynamic": (softmax("?", "?", False), [f32(37, 203), f32(37, 203), f32(37, 203)], [1, 2], 1e-6),
    "softmax_short": (softmax("?", 10, True), [f32(37, 10), f32(37, 10)], [1], 1e-6),
    "average_pool": (
        kernel("rows", "%x: memref<2x5x7x7xf32>, %y: memref<2x5x1x1xf32>", CONSTANTS, "  %n = arith.constant 0.02 : f32\n  %m = memref.alloc() : memref<2x5xf32>\n  linalg.fill ins(%zero : f32) outs(%m : memref<2x5xf32>)",
               generic("pprr", ["%x memref<2x5x7x7xf32> (d0, d1, d2, d3)"], ["%m memref<2x5xf32> (d0, d1)"], ADD),
               "  %e = memref.expand_shape %m [[0], [1, 2, 3]] output_shape [2, 5, 1, 1] : memref<2x5xf32> into memref<2x5x1x1xf32>",
               generic("pppp", ["%e memref<2x5x1x1xf32> (d0, d1, d2, d3)"], ["%y memref<2x5x1x1xf32> (d0, d1, d2, d3)"], "%r = arith.mulf %x0, %n : f32\n    linalg.yield %r : f32")),
        [f32(2, 5, 7, 7), f32(2, 5, 1, 1)], [1], 1e-6),
    "sum_strided": (
        kernel("rows", "%x: memref<2x5x7x7xf32, strided<[1000, 100, 10, 1]>>, %y: memref<2x5xf32>", CONSTANTS, "  linalg.fill ins(%zero : f32) outs(%y : memref<2x5xf32>)",
               generic("pprr", ["%x memref<2x5x7x7xf32, strided<[1000, 100, 10, 1]>> (d0, d1, d2, d3)"], ["%y memref<2x5xf32> (d0, d1)"], ADD)),
        [f32(2, 10, 10, 10)[:, :5, :7, :7], f32(2, 5)], [1], 1e-5),
    "argmax": (
        kernel("rows", f"%x: {D2}, %m: memref<?xf32>, %y: memref<?xi64>", CONSTANTS, "  linalg.fill ins(%i0 : i64) outs(%y : memref<?xi64>)\n  linalg.fill ins(%low : f32) outs(%m : memref<?xf32>)",
               generic("pr", [f"%x {D2} (d0, d1)"], ["%m memref<?xf32> (d0)", "%y memref<?xi64> (d0)"], "%i = linalg.index 1 : index\n    %c = arith.index_cast %i : index to i64\n    %g = arith.cmpf ogt, %x0, %x1 : f32\n    %a = arith.select %g, %x0, %x1 : f32\n    %b = arith.select %g, %c, %x2 : i64\n    linalg.yield %a, %b : f32, i64")),
        [f32(37, 203), f32(37), np.zeros(37, np.int64)], [1, 2], 0),
    "argmax_columns": (
        kernel("loops", f"%x: {D2}, %m: memref<?xf32>, %y: memref<?xi64>", CONSTANTS, "  linalg.fill ins(%i0 : i64) outs(%y : memref<?xi64>)\n  linalg.fill ins(%low : f32) outs(%m : memref<?xf32>)",
               generic("rp", [f"%x {D2} (d0, d1)"], ["%m memref<?xf32> (d1)", "%y memref<?xi64> (d1)"], "%i = linalg.index 0 : index\n    %c = arith.index_cast %i : index to i64\n    %g = arith.cmpf ogt, %x0, %x1 : f32\n    %a = arith.select %g, %x0, %x1 : f32\n    %b = arith.select %g, %c, %x2 : i64\n    linalg.yield %a, %b : f32, i64")),
        [f32(37, 203), f32(203), np.zeros(203, np.int64)], [1, 2], 0),
    "sum_bytes": (
        kernel("rows", "%x: memref<?x?xi8>, %y: memref<?xi32>", CONSTANTS, "  linalg.fill ins(%i32 : i32) outs(%y : memref<?xi32>)",
               generic("pr", ["%x memref<?x?xi8> (d0, d1)"], ["%y memref<?xi32> (d0)"], "%q = arith.extsi %x0 : i8 to i32\n    %r = arith.addi %q, %x1 : i32\n    linalg.yield %r : i32")),
        [random.integers(-99, 99, (37, 203)).astype(np.int8), np.zeros(37, np.int32)], [1], 0),
    "all": (
        kernel("rows", "%x: memref<?x?xi1>, %y: memref<?xi1>", CONSTANTS, "  linalg.fill ins(%true : i1) outs(%y : memref<?xi1>)",
               generic("pr", ["%x memref<?x?xi1> (d0, d1)"], ["%y memref<?xi1> (d0)"], "%r = arith.andi %x0, %x1 : i1\n    linalg.yield %r : i1")),
        [random.random((37, 203)) < 0.998, np.zeros(37, bool)], [1], 0),
    "sum_everything": (
        kernel("rows", f"%x: {D2}, %y: memref<f32>", CONSTANTS, "  linalg.fill ins(%zero : f32) outs(%y : memref<f32>)", generic("rr", [f"%x {D2} (d0, d1)"], ["%y memref<f32> ()"], ADD)),
        [f32(37, 203), f32(1).reshape(())], [1], 1e-4),
    "concatenate": (
        kernel("loops", "%a: memref<?x3x?xf32>, %b: memref<?x5x?xf32>, %y: memref<?x8x?xf32>", "  %c0 = arith.constant 0 : index\n  %c2 = arith.constant 2 : index\n  %n = memref.dim %y, %c0 : memref<?x8x?xf32>\n  %m = memref.dim %y, %c2 : memref<?x8x?xf32>",
               "  %v = memref.subview %y[0, 0, 0] [%n, 3, %m] [1, 1, 1] : memref<?x8x?xf32> to memref<?x3x?xf32, strided<[?, ?, 1]>>",
               "  %w = memref.subview %y[0, 3, 0] [%n, 5, %m] [1, 1, 1] : memref<?x8x?xf32> to memref<?x5x?xf32, strided<[?, ?, 1], offset: ?>>",
               generic("ppp", ["%a memref<?x3x?xf32> (d0, d1, d2)"], ["%v memref<?x3x?xf32, strided<[?, ?, 1]>> (d0, d1, d2)"], "linalg.yield %x0 : f32"),
               generic("ppp", ["%b memref<?x5x?xf32> (d0, d1, d2)"], ["%w memref<?x5x?xf32, strided<[?, ?, 1], offset: ?>> (d0, d1, d2)"], "linalg.yield %x0 : f32")),
        [f32(4, 3, 77), f32(4, 5, 77), f32(4, 8, 77)], [2], 0),
    "fill_then_insert": (
        kernel("loops", "%a: memref<3x20xf32>, %y: memref<5x40xf32>", CONSTANTS, "  linalg.fill ins(%zero : f32) outs(%y : memref<5x40xf32>)",
               "  %v = memref.subview %y[1, 7] [3, 20] [1, 1] : memref<5x40xf32> to memref<3x20xf32, strided<[40, 1], offset: 47>>",
               generic("pp", ["%a memref<3x20xf32> (d0, d1)"], ["%v memref<3x20xf32, strided<[40, 1], offset: 47>> (d0, d1)"], "linalg.yield %x0 : f32")),
        [f32(3, 20), f32(5, 40)], [1], 0),
}


@pytest.mark.parametrize("lanes", [16, 4])
@pytest.mark.parametrize("name", CASES)
def test_kernel(name, lanes, mlc, tmp_path):
    source, arrays, results, tolerance = CASES[name]
    values = []
    for library in (build(tmp_path, mlc, "k_" + name, source, None), build(tmp_path, mlc, "k_" + name, source, lanes)):
        for result in results:
            arrays[result][...] = 3
        function = getattr(library, "_mlir_ciface_k_" + name)
        function(*[ctypes.byref(descriptor(array)) for array in arrays], ctypes.c_void_p())
        values.append([arrays[result].copy() for result in results])
    for expected, got in zip(*values):
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)
