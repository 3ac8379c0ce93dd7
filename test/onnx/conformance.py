"""Runs the official ONNX backend test suite: every model is compiled by `mlc compile`, and the library that comes out is loaded
and run on the suite's data.

The tests, their data and the comparison are those of onnx.backend.test.runner: the five kinds below hold the 1914 tests of
onnx 1.22. The nine "real" models are the graphs that the wheel carries as data/light, with the outputs beside them, as the
runner does it itself; nothing is downloaded and nothing is skipped.

Some tests hand over as inputs what mlc wants to know when it compiles: axes, new shapes, scales. When mlc says so, the test is
compiled again with `--input-value`, which makes exactly those inputs constant, and the summary counts these tests separately.

known_failures.txt names every test that fails and why. A failure that it does not name and a pass that it does name are
both errors: the list only shrinks.

    test/onnx/run [--filter RE] [--jobs N] [--update [--grow]]
"""
import argparse
import collections
import concurrent.futures
import dataclasses
import glob
import multiprocessing
import os
import pathlib
import re
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
import xml.etree.ElementTree as ElementTree

import mlc_backend
import numpy as np
import onnx
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner

HERE = pathlib.Path(__file__).resolve().parent
KNOWN_FAILURES = HERE / "known_failures.txt"
KINDS = ["node", "real", "simple", "pytorch-converted", "pytorch-operator"]
SUITE_SIZE = 1914  # of onnx 1.22: another number means that this file and requirements.txt disagree
REASON_LENGTH = 100
GIB = 1 << 30
SIZE_TYPES = {onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.BOOL}
LIST_LENGTH = 16
SIZE_ARGUMENTS = [("Resize", 2), ("Upsample", 1), ("OneHot", 1), ("Range", 0), ("Range", 1), ("Range", 2)]  # sizes that may be floats


@dataclasses.dataclass
class Case:
    name: str
    kind: str
    model: str
    directory: str  # with test_data_set_*; of a real model: none
    rtol: float
    atol: float

    def limits(self):
        """Seconds to compile, bytes of the compiler, seconds to run: full-size networks need more than one operator."""
        return (600, 12 * GIB, 120) if self.kind == "real" else (60, 4 * GIB, 20)


@dataclasses.dataclass
class Result:
    name: str
    reason: str  # "": passed
    compile_seconds: float = 0.0
    is_bound: bool = False  # inputs were made constant


def all_cases():
    wheel = pathlib.Path(onnx.__file__).parent.parent
    cases = []
    for kind in KINDS:
        for test in load_model_tests(kind=kind):
            model = str(wheel / test.url) if test.url else os.path.join(test.model_dir, "model.onnx")
            cases.append(Case(test.name, kind, model, test.model_dir or "", test.rtol, test.atol))
    cases.sort(key=lambda case: (case.kind != "real", case.name))  # the long ones first
    return cases


def data_sets(case, model):
    """Yields ({input: value}, [expected outputs])."""
    if case.kind == "real":
        weights = {tensor.name for tensor in model.graph.initializer}
        feeds = {value.name: Runner.generate_dummy_data(value, name=case.name)
                 for value in model.graph.input if value.name not in weights}
        expected = []
        for i, value in enumerate(model.graph.output):
            Runner._load_proto(None, f"{os.path.splitext(case.model)[0]}_output_{i}.pb", expected, value.type)
        yield feeds, expected
        return
    for directory in sorted(glob.glob(os.path.join(case.directory, "test_data_set*"))):
        values = {"input": [], "output": []}
        for what, declared in (("input", model.graph.input), ("output", model.graph.output)):
            for i in range(len(glob.glob(os.path.join(directory, f"{what}_*.pb")))):
                Runner._load_proto(None, os.path.join(directory, f"{what}_{i}.pb"), values[what], declared[i].type)
        names = [value.name for value in model.graph.input]
        yield dict(zip(names, values["input"])), values["output"]


def check_library(case, path, threads, constants=()):
    """Runs every data set; returns why it fails, or "". The library has no inputs `constants`."""
    model = onnx.load(case.model)
    sets = 0
    with mlc_backend.Library(path, threads=threads) as library:
        for feeds, expected in data_sets(case, model):
            if sets == 0:
                first = feeds
            if any(not np.array_equal(feeds[name], first[name]) for name in constants):
                return "an input that was made constant differs between the data sets"
            feeds = {name: value for name, value in feeds.items() if name not in constants}
            outputs = list(library.run(feeds).values())
            try:
                Runner.assert_similar_outputs(expected, outputs, case.rtol, case.atol)
            except AssertionError as error:
                return describe_difference(error, expected, outputs)
            sets += 1
    return "" if sets else "the test has no data"


def describe_difference(error, expected, outputs):
    for i, (want, have) in enumerate(zip(expected, outputs)):
        if not isinstance(want, np.ndarray) or want.dtype == object:
            return f"output {i} is a {type(want).__name__}, which the C interface does not carry"
        if want.shape != have.shape:
            return f"wrong shape of output {i}: {have.shape}, expected {want.shape}"
        if want.dtype != have.dtype:
            return f"wrong type of output {i}: {have.dtype}, expected {want.dtype}"
    if len(outputs) != len(expected):
        return f"{len(outputs)} outputs, expected {len(expected)}"
    worst = re.search(r"Max absolute difference[^:]*: (\S+)", str(error))
    return f"wrong values (max absolute difference {worst[1]})" if worst else "wrong values"


def in_child(function, seconds):
    """function() in a forked process: a generated library that crashes or hangs takes only the child along."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_AS, (12 * GIB, 12 * GIB))
            try:
                answer = function()
            except (mlc_backend.MlcError, OSError) as error:
                answer = str(error)
            except BaseException as error:
                answer = f"harness: {type(error).__name__}: {error}\n{traceback.format_exc()}"
            os.write(write_end, b"=" + answer.encode()[:4000])
        finally:
            os._exit(0)
    os.close(write_end)
    answer, deadline = b"", time.monotonic() + seconds
    try:
        while True:
            ready, _, _ = select.select([read_end], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                os.kill(child, signal.SIGKILL)
                break
            piece = os.read(read_end, 4096)
            if not piece:
                break
            answer += piece
    finally:
        os.close(read_end)
        _, status = os.waitpid(child, 0)
    if answer.startswith(b"="):
        return answer[1:].decode()
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return f"run: longer than {seconds} s" if number == signal.SIGKILL else f"run: crashed with signal {number}"
    return "run: the process ended without an answer"


def inputs_to_know(case, error):
    """The inputs that mlc says it must know when it compiles: {name: file}. Never tensors of data: what a node's argument of the
    diagnostic is, or, where only a size is named, small lists of integers."""
    if case.kind == "real" or not os.path.exists(os.path.join(case.directory, "test_data_set_0")):
        return {}
    model = onnx.load(case.model)
    files = {value.name: os.path.join(case.directory, "test_data_set_0", f"input_{i}.pb")
             for i, value in enumerate(model.graph.input)}
    wanted, is_size = set(), False
    for line in error.output.splitlines():
        named = re.search(r"error: (\w+) \(.*\(input (\d+)\).* computed at run time", line)
        for node in model.graph.node if named else []:
            if node.op_type == named[1] and int(named[2]) < len(node.input):
                wanted.add(node.input[int(named[2])])
        is_size |= bool(re.search("read from data|depends on data|dynamic size|computed at run time", line))
    wanted &= set(files)
    if is_size and not wanted:
        wanted |= {node.input[i] for node in model.graph.node for op_type, i in SIZE_ARGUMENTS
                   if node.op_type == op_type and i < len(node.input)} & set(files)
        for value in model.graph.input:
            tensor = value.type.tensor_type
            shape = [dim.dim_value for dim in tensor.shape.dim]
            if tensor.elem_type in SIZE_TYPES and len(shape) <= 1 and (shape or [1])[0] <= LIST_LENGTH:
                wanted.add(value.name)
    return {name: files[name] for name in sorted(wanted) if os.path.exists(files[name])}


def compile_case(case, library, options):
    """Compiles the model; returns the names of the inputs that it made constant."""
    seconds, memory, _ = case.limits()
    constants = {}
    while True:
        try:
            mlc_backend.compile_model(case.model, library, *options.flags,
                                      *[f"--input-value={name}=@{path}" for name, path in constants.items()],
                                      timeout=seconds, memory_bytes=memory, mlc=options.mlc)
            return sorted(constants)
        except mlc_backend.CompileError as error:
            more = inputs_to_know(case, error) if error.returncode and error.returncode > 0 else {}
            if set(more) <= set(constants):
                raise
            constants.update(more)


def run_case(case, options):
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mlc-onnx-") as scratch:
        library = os.path.join(options.keep or scratch, f"{case.name}.so")
        try:
            constants = compile_case(case, library, options)
        except mlc_backend.CompileError as error:
            return Result(case.name, error.first, time.monotonic() - start)
        compiled = time.monotonic() - start
        reason = in_child(lambda: check_library(case, library, options.threads, constants), case.limits()[2])
        return Result(case.name, reason, compiled, bool(constants))


def shorten(reason):
    """One line without anything that changes from run to run or machine to machine."""
    line = reason.splitlines()[0] if reason else ""
    line = re.sub(r"(?:/[^\s:'\"]+)+/", "", line)
    line = re.sub(r" \(max absolute difference .*", "", line)
    line = "".join(character if character.isprintable() else "?" for character in line)
    return line if len(line) <= REASON_LENGTH else line[:REASON_LENGTH - 3].rstrip() + "..."


def read_known(path=KNOWN_FAILURES):
    known = {}
    if path.exists():
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            name, colon, reason = line.partition(": ")
            if not colon or not reason.strip() or name in known:
                raise SystemExit(f"{path}:{number}: error: expected a new `test_name: reason`, found {line!r}")
            known[name] = reason.strip()
    return known


def write_known(known, path=KNOWN_FAILURES):
    lines = ["# Tests of the ONNX backend suite that fail, and the first line of why. This list only shrinks: fix, then remove the",
             "# line by hand or with `test/onnx/run --update`. Sorted by name; one line for each test."]
    path.write_text("\n".join(lines + [f"{name}: {known[name]}" for name in sorted(known)]) + "\n")


def update_known(known, failed, passed, grow):
    """The new list; failures that were not known enter it only with --grow."""
    new = {name: reason for name, reason in known.items() if name not in passed}
    for name, reason in failed.items():
        if (name in known or grow) and not reason.startswith("harness: "):
            new[name] = reason
    return new


def run_all(cases, options):
    results = []
    tty = sys.stderr.isatty()
    with concurrent.futures.ProcessPoolExecutor(options.jobs, multiprocessing.get_context("fork")) as pool:
        futures = [pool.submit(run_case, case, options) for case in cases]
        for future in concurrent.futures.as_completed(futures):
            results.append(future.result())
            if tty and (len(results) % 10 == 0 or len(results) == len(cases)):
                print(f"\r{len(results)}/{len(cases)}", end="\n" if len(results) == len(cases) else "", file=sys.stderr)
    return results


def print_table(failed, limit):
    reasons = collections.defaultdict(list)
    for name, reason in failed.items():
        reasons[reason].append(name)
    rows = sorted(reasons.items(), key=lambda row: (-len(row[1]), row[0]))
    for reason, names in rows[:limit]:
        print(f"{len(names):6}  {reason}  ({names[0]})")
    if len(rows) > limit:
        print(f"{sum(len(names) for _, names in rows[limit:]):6}  for {len(rows) - limit} other reasons")


def write_junit(path, results, failed, unexpected_failures, unexpected_passes):
    suite = ElementTree.Element("testsuite", name="conformance", tests=str(len(results)))
    for result in sorted(results, key=lambda result: result.name):
        case = ElementTree.SubElement(suite, "testcase", classname="onnx", name=result.name)
        if result.name in unexpected_failures:
            ElementTree.SubElement(case, "failure", message=failed[result.name])
        elif result.name in unexpected_passes:
            ElementTree.SubElement(case, "failure", message="passes, but is listed as a known failure")
        elif result.name in failed:
            ElementTree.SubElement(case, "skipped", message="known failure: " + failed[result.name])
    ElementTree.ElementTree(suite).write(path)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--filter", metavar="RE", help="only tests whose name matches")
    parser.add_argument("--sample", type=int, metavar="N", help="only every N-th test that is expected to pass")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (default: one for each core)")
    parser.add_argument("--threads", type=int, default=1, help="threads of each library (default 1)")
    parser.add_argument("--update", action="store_true", help="take passes out of known_failures.txt and renew reasons")
    parser.add_argument("--grow", action="store_true", help="with --update: also add new failures (a regression; say why)")
    parser.add_argument("--mlc", type=pathlib.Path, default=mlc_backend.MLC, help="the compiler (default build/bin/mlc)")
    parser.add_argument("--naive", action="store_true", help="compile with --naive-kernels: every kernel as plain loops")
    parser.add_argument("--keep", metavar="DIR", help="keep the libraries in this directory")
    parser.add_argument("--reasons", type=int, default=30, metavar="N", help="rows in the table of reasons (default 30)")
    parser.add_argument("--junit", metavar="FILE", help="write a JUnit file, in which known failures are skipped tests")
    parser.add_argument("--verbose", action="store_true", help="print every failure in full")
    parser.add_argument("--list", action="store_true", help="print the selected tests and stop")
    options = parser.parse_args()
    options.flags = ["--naive-kernels"] if options.naive else []
    if options.grow and not options.update:
        parser.error("--grow needs --update")
    if options.jobs < 1 or (options.sample is not None and options.sample < 1):
        parser.error("--jobs and --sample take a number from 1 up")
    return options


def main():
    options = arguments()
    cases, known = all_cases(), read_known()
    if len(cases) != SUITE_SIZE:
        raise SystemExit(f"error: the wheel's suite has {len(cases)} tests, expected {SUITE_SIZE}")
    stale = sorted(set(known) - {case.name for case in cases})
    if stale:
        raise SystemExit(f"error: {KNOWN_FAILURES.name} names tests that the suite lacks: {', '.join(stale)}")
    if options.filter:
        cases = [case for case in cases if re.search(options.filter, case.name)]
    if options.sample:
        cases = sorted((case for case in cases if case.name not in known), key=lambda case: case.name)[::options.sample]
    if not cases:
        raise SystemExit("error: no test is selected")
    if options.list:
        print("\n".join(case.name for case in cases))
        return 0
    if not os.access(options.mlc, os.X_OK):
        raise SystemExit(f"error: no compiler at {options.mlc}; build first (tools/test does)")
    if options.keep:
        os.makedirs(options.keep, exist_ok=True)

    start = time.monotonic()
    results = run_all(cases, options)
    seconds = time.monotonic() - start

    failed = {result.name: shorten(result.reason) for result in results if result.reason}
    passed = {result.name for result in results if not result.reason}
    if options.verbose:
        for result in sorted(results, key=lambda result: result.name):
            if result.reason:
                print(f"{result.name}: {result.reason}")
    print_table(failed, options.reasons)
    if options.update:
        is_first = not KNOWN_FAILURES.exists() and not options.filter and not options.sample
        write_known(update_known(known, failed, passed, options.grow or is_first))
        known = read_known()

    broken = {name for name, reason in failed.items() if reason.startswith("harness: ")}  # never a known failure
    unexpected_failures, unexpected_passes = sorted(set(failed) - set(known) | broken), sorted(passed & set(known))
    for name in unexpected_failures:
        print(f"{name}: error: fails, and is no known failure: {failed[name]}")
    for name in unexpected_passes:
        print(f"{name}: error: passes; remove its line from test/onnx/{KNOWN_FAILURES.name} (or run with --update)")
    compile_seconds = sorted(result.compile_seconds for result in results)
    print(f"{len(cases)} tests in {seconds:.0f} s, {options.jobs} at a time; compiling one took "
          f"{compile_seconds[len(compile_seconds) // 2]:.2f} s (median), {compile_seconds[-1]:.2f} s at most")
    print(f"known failures: {len(set(failed) - set(unexpected_failures))}, unexpected failures: {len(unexpected_failures)}, "
          f"unexpected passes: {len(unexpected_passes)}")
    if options.junit:
        write_junit(options.junit, results, failed, unexpected_failures, unexpected_passes)
    bound = sum(result.is_bound for result in results if not result.reason)
    print(f"{bound} of the passing tests have inputs bound at compile time (axes, shapes, scales: --input-value)")
    print(f"conformance: {len(passed)} passed, {len(failed)} failed, 0 skipped")
    return 1 if unexpected_failures or unexpected_passes else 0


if __name__ == "__main__":
    sys.exit(main())
