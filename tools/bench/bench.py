#!/usr/bin/env python3
"""Compares libraries that mlc compiles with ONNX Runtime: time, values, size, and what compiling cost.

    tools/bench/bench resnet50 bert-base                  one thread, pinned to the quietest core
    tools/bench/bench bert-base:dynamic --dim sequence=197
    tools/bench/bench networks --threads 2 --json out.json
    tools/bench/bench matmul conv -- --cpu=x86-64-v3      everything behind -- goes to mlc compile
    tools/bench/bench resnet50 --profile                  also: which kernels take the time (tools/bench/kernels.py)
    tools/bench/bench networks --check                    only the values

A MODEL is a name (--list), a set (networks, matmul, conv), a shape (matmul-MxKxN, matmul-BxMxKxN,
conv-CxHxW-O[-kK][-sS][-depthwise]) or the path of an .onnx file. MODEL:dynamic compiles without knowing the sizes of symbolic
dimensions.
Exit code 1: a model did not compile, crashed, or differs from ONNX Runtime by more than the tolerance.
"""
import argparse
import datetime
import json
import math
import os
import pathlib
import subprocess
import sys

import kernels
import measure
import models
import sides

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOLERANCE = 1e-4
NOISE_MAX = 0.02  # a larger share of the cores' time for others makes figures doubtful

LEGEND = """ms: minimum and median; ratio: time of ONNX Runtime / time of mlc: of minima, of medians, of least processor time;
error: max|mlc-ORT| / max|ORT|; memory: peak while compiling; others: share of these cores' time that went to somebody else
"""
# heading, key of the row, factor, form
COLUMNS = [("mlc ms", "mlc_min_s", 1e3, "{:.3f}"), ("median", "mlc_median_s", 1e3, "{:.3f}"),
           ("ORT ms", "onnxruntime_min_s", 1e3, "{:.3f}"), ("median", "onnxruntime_median_s", 1e3, "{:.3f}"),
           ("ratio", "ratio_min", 1, "{:.2f}"), ("median", "ratio_median", 1, "{:.2f}"), ("cpu", "ratio_cpu", 1, "{:.2f}"),
           ("GF/s", "mlc_operations_per_s", 1e-9, "{:.1f}"), ("error", "error", 1, "{:.1e}"),
           ("library", "library_bytes", 1e-6, "{:.2f} MB"), ("compile", "compile_s", 1, "{:.2f} s"),
           ("memory", "compile_memory_bytes", 1e-6, "{:.0f} MB"), ("others", "others_share", 1, "{:.1%}")]
COLUMN_WIDTH = 9


def bench(case, args):
    """One row, as JSON holds it; "failure" says how far it came."""
    row = {"model": case.name, "dims": case.dims, "dynamic": case.dynamic, "threads": args.threads}
    library, feeds = case.library(), models.feeds(case)
    fixed = {} if case.dynamic else case.dims
    try:
        if not args.no_compile:
            compilation = sides.compile_library(case.path, library, case.compile_options(args.compile_options))
            row |= {"compile_s": compilation.seconds, "compile_cpu_s": compilation.cpu_seconds,
                    "compile_memory_bytes": compilation.memory_bytes}
        row["library_bytes"] = library.stat().st_size
        plan = measure.Plan(library, case.path, feeds, fixed, args.threads, args.cores or measure.quiet_cores(args.threads))
        with measure.Workers(plan) as workers:
            row["error"] = sides.relative_error(*(workers.outputs(side) for side in measure.SIDES))
            if math.isinf(row["error"]):
                row |= {"error": None, "failure": "outputs differ in shape, type or where they are finite"}
            elif row["error"] > TOLERANCE:
                row["failure"] = f"values differ by {row['error']:.1e} of the largest"
            if not args.check:
                row |= times(case, feeds, fixed, workers, args.rounds)
    except (sides.CompileError, measure.SideFailed, OSError) as error:
        row["failure"] = str(error)
    return row


def times(case, feeds, fixed, workers, rounds):
    timings, others = measure.interleave(workers, rounds)
    ours, theirs = (timings[side] for side in measure.SIDES)
    operations = sides.contraction_operations(case.path, feeds, fixed)
    row = {"cores": workers.plan.cores, "calls": [len(ours.wall), len(theirs.wall)], "others_share": others,
           "mlc_min_s": ours.minimum, "mlc_median_s": ours.median,
           "onnxruntime_min_s": theirs.minimum, "onnxruntime_median_s": theirs.median,
           "ratio_min": theirs.minimum / ours.minimum, "ratio_median": theirs.median / ours.median}
    if workers.plan.threads == 1:
        row |= {"mlc_cpu_min_s": min(ours.cpu), "onnxruntime_cpu_min_s": min(theirs.cpu), "ratio_cpu": min(theirs.cpu) / min(ours.cpu)}
    if operations:
        row |= {"operations": operations, "mlc_operations_per_s": operations / ours.minimum}
    return row


def line(first, cells, width):
    return "  ".join([f"{first:{width}}", *(f"{cell:>{COLUMN_WIDTH}}" for cell in cells)])


def cells(row):
    for _, key, factor, form in COLUMNS:
        yield "-" if row.get(key) is None else form.format(row[key] * factor)


def machine():
    cpu = next((line.partition(":")[2].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), "unknown")
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True,
                            check=False).stdout.strip()
    return {"cpu": cpu, "cores": os.cpu_count(), "load": os.getloadavg()[0], "commit": commit,
            "onnxruntime": sides.onnxruntime.__version__, "date": datetime.datetime.now().isoformat(timespec="seconds")}


def parse(arguments):
    own, passed = models.split(arguments)
    parser = argparse.ArgumentParser(prog="tools/bench/bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--threads", type=int, default=1, help="of both sides (default: 1)")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each side, each of about 50 ms (default: 15)")
    parser.add_argument("--dim", type=models.size, action="append", default=[], metavar="NAME=SIZE",
                        help="size of a symbolic dimension (default: batch=1, sequence=128; may be repeated)")
    parser.add_argument("--cores", type=lambda text: [int(core) for core in text.split(",")], metavar="LIST",
                        help="cores to run on (default: the quietest, as many as threads)")
    parser.add_argument("--check", action="store_true", help="only compare values")
    parser.add_argument("--profile", action="store_true", help="also show the time of each kernel, and of ONNX Runtime's operators")
    parser.add_argument("--no-compile", action="store_true", help="measure the library of the last run again")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write everything as JSON, times in seconds")
    parser.add_argument("--list", action="store_true", help="print the names of models")
    args = parser.parse_args(own)
    args.compile_options, args.dim = passed, dict(args.dim)
    if not args.models and not args.list:
        parser.error("no MODEL is given (--list names them)")
    if args.threads < 1 or args.rounds < 1:
        parser.error("--threads and --rounds are at least 1")
    return args


def main():
    args = parse(sys.argv[1:])
    if args.list:
        print("\n".join([f"{name}: {', '.join(members)}" for name, members in models.SETS.items()] + models.names()))
        return 0
    try:
        cases = list(models.cases(args.models, args.dim))
    except models.UnknownModel as error:
        print(f"tools/bench/bench: error: {error}", file=sys.stderr)
        return 2
    unused = set(args.dim) - {name for case in cases for name in case.dims}
    if unused:
        print(f"tools/bench/bench: error: no model has the dimensions {', '.join(sorted(unused))}", file=sys.stderr)
        return 2

    if not sides.mlc_backend.MLC.exists():
        print(f"tools/bench/bench: error: no compiler at {sides.mlc_backend.MLC}: run tools/build", file=sys.stderr)
        return 2

    about = machine()
    print(f"{about['cpu']}, {about['cores']} cores, load {about['load']:.1f}; ONNX Runtime {about['onnxruntime']}; "
          f"mlc at {about['commit']}; {args.threads} thread{'s' * (args.threads > 1)}\n{LEGEND}")
    width = max(len(case.title()) for case in cases)
    print(line("model", (heading for heading, *_ in COLUMNS), width), flush=True)
    rows = []
    for case in cases:
        row = bench(case, args)
        rows.append(row)
        print(line(case.title(), cells(row), width), *([row["failure"]] if "failure" in row else []), flush=True)
        if args.profile and "mlc_min_s" in row:
            kernels.report(case, case.library(), case.compile_options(args.compile_options))
            print()
    noisy = [row["model"] for row in rows if row.get("others_share", 0) > NOISE_MAX]
    if noisy:
        print(f"\nnot quiet, figures are doubtful (processor time suffers least): {', '.join(noisy)}")
    if args.json:
        args.json.write_text(json.dumps({"machine": about, "rows": rows}, indent=1) + "\n")
    failed = sum("failure" in row for row in rows)
    print(f"\n{len(rows) - failed} of {len(rows)} compiled, ran and agree with ONNX Runtime to {TOLERANCE:g}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
