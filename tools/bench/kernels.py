#!/usr/bin/env python3
"""Shows which kernels a model has and which of them take the time, on one thread.

    .venv/bin/python tools/bench/kernels.py resnet50
    .venv/bin/python tools/bench/kernels.py bert-base:dynamic --dim sequence=197 --calls
    .venv/bin/python tools/bench/kernels.py resnet50 --perf         also: perf's samples, for what is outside of loops
    .venv/bin/python tools/bench/kernels.py resnet50 --facts        no run, only what the compiler says
    .venv/bin/python tools/bench/kernels.py resnet50 -- --cpu=x86-64-v3

Every parallel loop of a library goes through mlc_options.parallel_for; ours runs it and looks at the clock, and the library's
symbol table says whose loop it is. Kernels that need only one task are no loops: their time is in "outside of loops".
Operations are all arithmetic of a kernel's bodies; bytes are its arguments, read or written once.
"""
import argparse
import collections
import ctypes
import dataclasses
import multiprocessing
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time

import bench
import kernel_facts
import measure
import models
import sides

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECORDS_MAX = 1 << 16


class Record(ctypes.Structure):
    _fields_ = [("task", ctypes.c_void_p), ("count", ctypes.c_int64), ("begin", ctypes.c_int64), ("end", ctypes.c_int64)]


class Recorder(ctypes.Structure):
    _fields_ = [("used", ctypes.c_int64), ("capacity", ctypes.c_int64), ("records", ctypes.POINTER(Record))]


class SymbolInfo(ctypes.Structure):  # Dl_info
    _fields_ = [("file", ctypes.c_char_p), ("base", ctypes.c_void_p), ("name", ctypes.c_char_p), ("address", ctypes.c_void_p)]


@dataclasses.dataclass
class Loop:
    """One parallel loop of a run, by its position in the run. `gap`: seconds since the loop before it."""
    symbol: str
    tasks: int
    seconds: float
    gap: float

    @property
    def kernel(self):
        return re.sub(r"_task(_\d+)?(_thunk(_\d+)?)?$", "", self.symbol.partition(".")[0])


def recorder_library():
    path = ROOT / "build/bench/record_loops.so"
    source = pathlib.Path(__file__).with_name("record_loops.c")
    if not path.exists() or path.stat().st_mtime < source.stat().st_mtime:
        path.parent.mkdir(parents=True, exist_ok=True)
        compiler = shutil.which("clang-22") or shutil.which("cc")
        unfinished = path.with_suffix(f".{os.getpid()}.tmp")
        subprocess.run([compiler, "-O2", "-std=gnu11", "-shared", "-fPIC", f"-I{ROOT}/runtime/include", str(source), "-o", str(unfinished)], check=True)
        unfinished.rename(path)
    return ctypes.CDLL(str(path))


def function_symbols(library):
    """{address: name} of the functions in .symtab, local ones too; addresses count from where the library is loaded."""
    data = pathlib.Path(library).read_bytes()
    (table,), (entry, count) = struct.unpack_from("<Q", data, 0x28), struct.unpack_from("<HH", data, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, table + number * entry) for number in range(count)]
    names = {}
    for _, kind, _, _, offset, size, link, _, _, step in sections:
        if kind != 2:  # SHT_SYMTAB
            continue
        strings = sections[link][4]
        for at in range(offset, offset + size, step):
            name, info, _, _, address, _ = struct.unpack_from("<IBBHQQ", data, at)
            if info & 15 == 2:  # STT_FUNC
                names[address] = data[strings + name:data.index(b"\0", strings + name)].decode()
    return names


@dataclasses.dataclass
class Recording:
    """The least time of each position of a run: of loops, and of what lies between them."""
    loops: list
    tail: float   # seconds after the last loop
    whole: float  # least seconds of a run


def record(library, feeds):
    """Runs for about a second, at least 20 times."""
    functions = recorder_library()
    records = (Record * RECORDS_MAX)()
    recorder = Recorder(0, RECORDS_MAX, records)
    address = ctypes.cast(functions.record_loop, ctypes.c_void_p).value
    side = sides.Mlc(library, feeds, 1, parallel_for=address, pool=ctypes.addressof(recorder))
    nanoseconds = ctypes.c_int64()

    def run_once():
        """[(task, count, nanoseconds, nanoseconds before it)] of the loops, and the time behind the last one."""
        start = time.perf_counter_ns()
        status = functions.record_run(side.entry, side.handle, side.input_tensors, side.output_tensors, ctypes.byref(recorder), ctypes.byref(nanoseconds))
        if status or recorder.used > RECORDS_MAX:
            raise SystemExit(f"error: run: status {status}, {recorder.used} loops")
        entries = records[:recorder.used]
        ends = [start] + [entry.end for entry in entries]
        loops = [(entry.task, entry.count, entry.end - entry.begin, entry.begin - end) for entry, end in zip(entries, ends)]
        return loops, start + nanoseconds.value - ends[-1], nanoseconds.value

    run_once()
    runs, deadline = [], time.perf_counter() + 1
    while len(runs) < 20 or time.perf_counter() < deadline and len(runs) < 10000:
        runs.append(run_once())
    info, symbols, loops = SymbolInfo(), function_symbols(library), []
    for position in zip(*(run[0] for run in runs)):
        task, count = position[0][:2]
        ctypes.CDLL(None).dladdr(ctypes.c_void_p(task), ctypes.byref(info))
        symbol = symbols.get(task - info.base, hex(task - info.base))
        loops.append(Loop(symbol, count, min(entry[2] for entry in position) * 1e-9, min(entry[3] for entry in position) * 1e-9))
    side.close()
    return Recording(loops, min(run[1] for run in runs) * 1e-9, min(run[2] for run in runs) * 1e-9)


def facts(case, options):
    """{name: kernel_facts.Kernel} as the compiler plans them."""
    with tempfile.TemporaryDirectory() as folder:
        sides.compile_library(case.path, pathlib.Path(folder) / "library.so", [*options, "--save-stages", f"{folder}/stages"])
        stages = sorted(pathlib.Path(folder).glob("stages/*-plan-tiling.mlir"))
        return kernel_facts.read(stages[-1].read_text()) if stages else {}


def rate(amount, seconds, form):
    return form.format(amount / seconds * 1e-9) if amount and seconds else "-"


def compact(tiling):
    """"8x2x16 r0 l1 task 0,32": rows x vectors x lanes of a register tile, row and lane loop, iterations of a task."""
    plan = dict(re.findall(r"(\w+) = (\[[^]]*\]|-?\d+)", tiling))
    if not plan:
        return ""
    unroll = "" if plan["unroll"] == "1" else f" unroll {plan['unroll']}"
    return f"{plan['rows']}x{plan['vectors']}x{plan['lanes']} r{plan['row_loop']} l{plan['lane_loop']}{unroll} task {plan['task'][1:-1].replace(' ', '')}"


def print_table(heading, rows, left):
    """`left`: numbers of the columns that are aligned to the left."""
    rows = [heading, *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heading))]
    for row in rows:
        print("  ".join(f"{cell:{'<' if column in left else '>'}{width}}" for column, (cell, width) in enumerate(zip(row, widths))).rstrip())


def print_kernels(kernels, recording):
    """One line for each kernel, the slowest first."""
    by_kernel = collections.defaultdict(list)
    for loop in recording.loops:
        by_kernel[loop.kernel].append(loop)
    inside = sum(loop.seconds for loop in recording.loops)
    outside = sum(loop.gap for loop in recording.loops) + recording.tail
    seconds = {name: sum(loop.seconds for loop in by_kernel.get(name, [])) for name in {*kernels, *by_kernel}}
    rows = []
    for name in sorted(seconds, key=lambda name: -seconds[name]):
        kernel, own = kernels.get(name), by_kernel.get(name, [])
        calls = kernel.calls if kernel else len(own)
        total = lambda amount: amount * calls if amount else None
        rows.append([name, kernel.kind if kernel else "?", str(calls), "/".join(str(count) for count in sorted({loop.tasks for loop in own})) or "-",
                     f"{seconds[name] * 1e6:.1f}" if own else "-", f"{seconds[name] / (inside + outside):.1%}" if own else "-",
                     rate(kernel and total(kernel.operations), seconds[name], "{:.1f}"), rate(kernel and total(kernel.bytes), seconds[name], "{:.1f}"),
                     ", ".join(kernel.arguments) if kernel else "", compact(kernel.tiling) if kernel else ""])
    print_table(["kernel", "kind", "calls", "tasks", "us", "share", "GF/s", "GB/s", "arguments", "tile"], rows, left={0, 1, 8, 9})
    print(f"{inside * 1e6:.1f} us in loops, {outside * 1e6:.1f} us outside ({outside / (inside + outside):.1%}); fastest whole run {recording.whole * 1e6:.1f} us")


def print_facts(kernels):
    rows = [[kernel.name, kernel.kind, str(kernel.calls), rate(kernel.operations, 1, "{:.4f}"), rate(kernel.bytes, 1, "{:.4f}"),
             ", ".join(kernel.arguments), compact(kernel.tiling)] for kernel in kernels.values()]
    print_table(["kernel", "kind", "calls", "GF", "GB", "arguments", "tile"], rows, left={0, 1, 5, 6})


def print_calls(loops):
    print_table(["loop", "of", "tasks", "us", "us before it"],
                [[str(number), loop.symbol, str(loop.tasks), f"{loop.seconds * 1e6:.1f}", f"{loop.gap * 1e6:.1f}"]
                 for number, loop in enumerate(loops)], left={1})


def print_runtime(case):
    fixed = {} if case.dynamic else case.dims
    print("ONNX Runtime, us of each operator of its optimised graph (nodes): " + ", ".join(
        f"{operator} {microseconds} ({nodes})"
        for operator, (microseconds, nodes) in sides.time_by_operator(case.path, models.feeds(case), fixed, runs=10).items()))


def run_forever(connection, library, feeds):
    side = sides.Mlc(library, feeds, 1)
    side.run()
    connection.send(None)
    while os.getppid() != 1:
        side.run()


def print_samples(library, feeds, seconds=3):
    """The library's functions by perf's samples of a process that does nothing but run it."""
    if not shutil.which("perf"):
        print("perf is not installed: no samples")
        return
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=run_forever, args=(there, library, feeds), daemon=True)
    process.start()
    there.close()
    try:
        here.recv()
        with tempfile.TemporaryDirectory() as folder:
            data = f"{folder}/perf.data"
            done = subprocess.run(["perf", "record", "-q", "-e", "cpu-clock", "-F", "4000", "-o", data, "-p", str(process.pid), "--", "sleep", str(seconds)],
                                  capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"perf record failed: {done.stderr.strip()[:200]}")
                return
            report = subprocess.run(["perf", "report", "-q", "--stdio", "-i", data, "--sort", "dso,symbol", "--percent-limit", "0.1"],
                                    capture_output=True, text=True, check=False).stdout
    finally:
        process.kill()
        process.join()
    print("perf, share of samples:")
    print("\n".join(line for line in report.splitlines() if line.strip()))


def report(case, library, options):
    """The tables of one model whose library is there."""
    kernels, allowed = facts(case, options), os.sched_getaffinity(0)
    os.sched_setaffinity(0, measure.quiet_cores(1))
    recording = record(library, models.feeds(case))
    print_kernels(kernels, recording)
    print_runtime(case)
    os.sched_setaffinity(0, allowed)
    return recording


def main():
    arguments, passed = bench.split(sys.argv[1:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="as for tools/bench/bench")
    parser.add_argument("--dim", type=bench.size, action="append", default=[], metavar="NAME=SIZE")
    parser.add_argument("--calls", action="store_true", help="also every loop in the order of the run")
    parser.add_argument("--perf", action="store_true", help="also perf's samples")
    parser.add_argument("--facts", action="store_true", help="only what the compiler says, without a run")
    args = parser.parse_args(arguments)
    for case in models.cases(args.models, dict(args.dim)):
        print(f"\n== {bench.title(case)}")
        options, library = bench.compile_options(case, passed), bench.library_path(case)
        if args.facts:
            print_facts(facts(case, options))
            continue
        sides.compile_library(case.path, library, options)
        recording = report(case, library, options)
        if args.calls:
            print_calls(recording.loops)
        if args.perf:
            print_samples(library, models.feeds(case))


if __name__ == "__main__":
    main()
