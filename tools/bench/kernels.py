#!/usr/bin/env python3
"""Shows which kernels a model has and which of them take the time, on one thread.

    .venv/bin/python tools/bench/kernels.py resnet50
    .venv/bin/python tools/bench/kernels.py bert-base:dynamic --dim sequence=197 --calls
    .venv/bin/python tools/bench/kernels.py resnet50 --perf         also: perf's samples, for what is outside of loops
    .venv/bin/python tools/bench/kernels.py resnet50 --facts        no run, only what the compiler says
    .venv/bin/python tools/bench/kernels.py resnet50 -- --cpu=x86-64-v3

Every parallel loop of a library goes through mlc_options.parallel_for; ours runs it and looks at the clock, and the library's
symbol table says whose loop it is. Kernels that need only one task are no loops: their time is in "outside of loops".
Operations are all arithmetic of a kernel's bodies; bytes are its arguments, read or written once (a table counts whole even if
few of its rows are read). Times are the least of each position of a run, so they hold on a busy machine too.
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
import signal
import struct
import subprocess
import sys
import tempfile
import time

import kernel_facts
import measure
import models
import sides

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECORDS_MAX = 1 << 16


class Record(ctypes.Structure):
    _fields_ = [("task", ctypes.c_void_p), ("count", ctypes.c_int64), ("begin", ctypes.c_int64), ("end", ctypes.c_int64)]


class Recorder(ctypes.Structure):
    _fields_ = [("begin", ctypes.c_int64), ("end", ctypes.c_int64), ("used", ctypes.c_int64), ("capacity", ctypes.c_int64),
                ("records", ctypes.POINTER(Record))]


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
        subprocess.run([compiler, "-O2", "-std=gnu11", "-shared", "-fPIC", f"-I{ROOT}/runtime/include", str(source),
                        "-o", str(unfinished)], check=True)
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
    recorder = Recorder(capacity=RECORDS_MAX, records=records)
    address = ctypes.cast(functions.record_loop, ctypes.c_void_p).value
    side = sides.Mlc(library, feeds, 1, parallel_for=address, pool=ctypes.addressof(recorder))

    def run_once():
        """[(task, count, nanoseconds, nanoseconds before it)] of the loops; nanoseconds behind the last one; of all."""
        side.offer_room()
        status = functions.record_run(side.entry, side.handle, side.input_tensors, side.output_tensors,
                                      ctypes.byref(recorder))
        if status or recorder.used > RECORDS_MAX:
            raise SystemExit(f"error: run: status {status}, {recorder.used} loops")
        entries = records[:recorder.used]
        ends = [recorder.begin] + [entry.end for entry in entries]
        loops = [(entry.task, entry.count, entry.end - entry.begin, entry.begin - end) for entry, end in zip(entries, ends)]
        return loops, recorder.end - ends[-1], recorder.end - recorder.begin

    run_once()
    runs, deadline = [], time.perf_counter() + 1
    while len(runs) < 20 or time.perf_counter() < deadline and len(runs) < 10000:
        runs.append(run_once())
    info, symbols, loops = SymbolInfo(), function_symbols(library), []
    for position in zip(*(run[0] for run in runs)):
        task, count = position[0][:2]
        ctypes.CDLL(None).dladdr(ctypes.c_void_p(task), ctypes.byref(info))
        symbol = symbols.get(task - info.base, hex(task - info.base))
        seconds, gap = (min(entry[column] for entry in position) * 1e-9 for column in (2, 3))
        loops.append(Loop(symbol, count, seconds, gap))
    side.close()
    return Recording(loops, min(run[1] for run in runs) * 1e-9, min(run[2] for run in runs) * 1e-9)


def facts(case, options):
    """{name: kernel_facts.Kernel} as the compiler plans them."""
    with tempfile.TemporaryDirectory() as folder:
        stages = pathlib.Path(folder, "stages")
        sides.compile_library(case.path, pathlib.Path(folder, "library.so"), [*options, "--save-stages", str(stages)])
        (planned,) = stages.glob("*-plan-tiling.mlir")
        return kernel_facts.read(planned.read_text())


def rate(amount, seconds, form):
    return form.format(amount / seconds * 1e-9) if amount and seconds else "-"


def compact(tiling):
    """"8x2x16 r0 l1 task 0,32": rows x vectors x lanes of a register tile, row and lane loop, iterations of a task."""
    plan = dict(re.findall(r"(\w+) = (\[[^]]*\]|-?\d+)", tiling))
    if not plan:
        return ""
    tile = f"{plan['rows']}x{plan['vectors']}x{plan['lanes']} r{plan['row_loop']} l{plan['lane_loop']}"
    return f"{tile} task {plan['task'][1:-1].replace(' ', '')}"


def print_table(heading, rows, left):
    """`left`: numbers of the columns that are aligned to the left."""
    rows = [heading, *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heading))]
    for row in rows:
        cells = [f"{cell:{'<' if column in left else '>'}{width}}" for column, (cell, width) in enumerate(zip(row, widths))]
        print("  ".join(cells).rstrip())


@dataclasses.dataclass
class Usage:
    """What one kernel, or all kernels of one kind, cost in one run."""
    calls: int = 0
    seconds: float = 0.0
    operations: int | None = 0  # None: unknown, because sizes are symbolic
    bytes: int | None = 0
    tasks: set = dataclasses.field(default_factory=set)

    def add(self, other):
        self.calls += other.calls
        self.seconds += other.seconds
        self.operations = None if None in (self.operations, other.operations) else self.operations + other.operations
        self.bytes = None if None in (self.bytes, other.bytes) else self.bytes + other.bytes

    def cells(self, whole):
        if not self.seconds:
            return [str(self.calls), "-", "-", "-", "-"]
        return [str(self.calls), f"{self.seconds * 1e6:.1f}", f"{self.seconds / whole:.1%}",
                rate(self.operations, self.seconds, "{:.1f}"), rate(self.bytes, self.seconds, "{:.1f}")]


def usages(kernels, loops):
    """{kernel's name: Usage}, the slowest first."""
    found = {}
    for name, kernel in kernels.items():
        times = lambda amount: None if amount is None else amount * kernel.calls
        found[name] = Usage(kernel.calls, 0.0, times(kernel.operations), times(kernel.bytes))
    for loop in loops:
        usage = found.setdefault(loop.kernel, Usage(operations=None, bytes=None))
        usage.seconds += loop.seconds
        usage.tasks.add(loop.tasks)
    return dict(sorted(found.items(), key=lambda entry: -entry[1].seconds))


def print_kernels(kernels, recording):
    """One line for each kernel, then one for each kind."""
    inside = sum(loop.seconds for loop in recording.loops)
    outside = sum(loop.gap for loop in recording.loops) + recording.tail
    rows, kinds = [], collections.defaultdict(Usage)
    for name, usage in usages(kernels, recording.loops).items():
        kernel = kernels.get(name)
        kind = kernel.kind if kernel else "?"
        if usage.seconds:
            kinds[kind].add(usage)
        tasks = "/".join(map(str, sorted(usage.tasks))) or "-"
        facts = [", ".join(kernel.arguments), compact(kernel.tiling)] if kernel else ["", ""]
        rows.append([name, kind, tasks, *usage.cells(inside + outside), *facts])
    rows += [[f"all {kind}", "", "", *usage.cells(inside + outside), "", ""] for kind, usage in kinds.items()]
    rows.append(["outside of loops", "", "", *Usage(0, outside, None, None).cells(inside + outside), "", ""])
    print_table(["kernel", "kind", "tasks", "calls", "us", "share", "GF/s", "GB/s", "arguments", "tile"], rows, left={0, 1, 8, 9})
    print(f"all positions together {(inside + outside) * 1e6:.1f} us; fastest whole run {recording.whole * 1e6:.1f} us")


def print_facts(kernels):
    rows = [[kernel.name, kernel.kind, str(kernel.calls), rate(kernel.operations, 1e-3, "{:.3f}"),
             rate(kernel.bytes, 1e-3, "{:.3f}"), ", ".join(kernel.arguments), compact(kernel.tiling)] for kernel in kernels.values()]
    print_table(["kernel", "kind", "calls", "MF", "MB", "arguments", "tile"], rows, left={0, 1, 5, 6})


def print_calls(loops):
    print_table(["loop", "of", "tasks", "us", "us before it"],
                [[str(number), loop.symbol, str(loop.tasks), f"{loop.seconds * 1e6:.1f}", f"{loop.gap * 1e6:.1f}"]
                 for number, loop in enumerate(loops)], left={1})


def print_runtime(case):
    operators = sides.time_by_operator(case.path, models.feeds(case), {} if case.dynamic else case.dims, runs=10)
    print("ONNX Runtime, us of each operator of its optimised graph (nodes): "
          + ", ".join(f"{operator} {microseconds} ({nodes})" for operator, (microseconds, nodes) in operators.items()))


def run_forever(connection, library, feeds):
    side = sides.Mlc(library, feeds, 1)
    side.run()
    connection.send(None)
    while os.getppid() != 1:
        for _ in range(100):
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
            record = ["perf", "record", "-q", "-e", "cpu-clock", "-F", "4000", "-o", data, "-p", str(process.pid)]
            done = subprocess.run([*record, "--", "sleep", str(seconds)], capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"perf record failed: {done.stderr.strip()[:200]}")
                return
            report = ["perf", "report", "-q", "--stdio", "-i", data, "--sort", "symbol", "--dsos", library.name,
                      "--percentage", "relative", "--percent-limit", "0.5"]
            report = subprocess.run(report, capture_output=True, text=True, check=False).stdout
    finally:
        process.kill()
        process.join()
    print(f"perf, share of the samples inside {library.name}:")
    print("\n".join(line.rstrip(" -") for line in report.splitlines() if line.strip()))


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
    arguments, passed = models.split(sys.argv[1:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="as for tools/bench/bench")
    parser.add_argument("--dim", type=models.size, action="append", default=[], metavar="NAME=SIZE")
    parser.add_argument("--calls", action="store_true", help="also every loop in the order of the run")
    parser.add_argument("--perf", action="store_true", help="also perf's samples")
    parser.add_argument("--facts", action="store_true", help="only what the compiler says, without a run")
    args = parser.parse_args(arguments)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `kernels.py ... | head` ends quietly
    try:
        show(args, passed)
    except (models.UnknownModel, sides.CompileError) as error:
        raise SystemExit(f"error: {error}") from error


def show(args, passed):
    for case in models.cases(args.models, dict(args.dim)):
        print(f"\n== {case.title()}")
        options, library = case.compile_options(passed), case.library()
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
