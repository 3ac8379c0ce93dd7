"""The suites of tools/test: how each is started and counted. Its last line is `N passed, M failed, K skipped`.

Every suite leaves a JUnit file in build/test-results; the counts come from there and not from parsing output. A suite
that writes none, runs nothing, or fails without a failed test counts as one failure.
"""
import os
import pathlib
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "build/test-results"
PYTHON = sys.executable
JOBS = str(os.cpu_count())


def suites(fast):
    """(name, command); each command is given its JUnit file as {junit}."""
    yield "tidy", [PYTHON, "tools/tidy/tidy.py", "--junit", "{junit}"]
    yield "unit", ["ctest", "--test-dir", "build", "-j", JOBS, "--output-on-failure", "--no-tests=error",
                   "--output-junit", "{junit}"]
    yield "lit", [str(ROOT / ".venv/bin/lit"), "-v", "-j", JOBS, "--xunit-xml-output", "{junit}", "test"]
    yield "programs", [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junit-xml", "{junit}", "test",
                       "-n", JOBS, "--dist", "worksteal", *(["-m", "not slow", "--sample", "2"] if fast else [])]
    yield "conformance", ["test/onnx/run", "--junit", "{junit}", *(["--sample", "24"] if fast else [])]


def count(junit, returncode):
    """(passed, failed, skipped, remark)."""
    try:
        cases = list(ElementTree.parse(junit).iter("testcase"))
    except (OSError, ElementTree.ParseError) as error:
        return 0, 1, 0, f"no result (exit code {returncode}): {error}"
    failed = sum(case.find("failure") is not None or case.find("error") is not None for case in cases)
    skipped = sum(case.find("skipped") is not None and case.find("failure") is None for case in cases)
    passed = len(cases) - failed - skipped
    if not cases:
        return 0, 1, 0, "ran no test"
    if returncode != 0 and failed == 0:
        return passed, 1, skipped, f"no test failed, but the exit code is {returncode}"
    return passed, failed, skipped, ""


def main():
    fast = sys.argv[1] == "fast"
    RESULTS.mkdir(parents=True, exist_ok=True)
    rows, totals = [], [0, 0, 0]
    for name, command in suites(fast):
        junit = RESULTS / f"{name}.xml"
        junit.unlink(missing_ok=True)
        print(f"\n== {name}", flush=True)
        start = time.monotonic()
        try:
            returncode = subprocess.run([part.format(junit=junit) for part in command], cwd=ROOT,
                                        stdin=subprocess.DEVNULL, check=False).returncode
        except OSError as error:
            print(f"error: {error}")
            returncode = -1
        counts = count(junit, returncode)
        rows.append((name, *counts, time.monotonic() - start))
        totals = [total + part for total, part in zip(totals, counts)]

    print(f"\n{'suite':12} {'passed':>7} {'failed':>7} {'skipped':>8} {'seconds':>8}")
    for name, passed, failed, skipped, remark, seconds in rows:
        print(f"{name:12} {passed:7} {failed:7} {skipped:8} {seconds:8.0f}  {remark}")
    print("Known failures of the conformance suite (test/onnx/known_failures.txt) are counted as skipped here.")
    print(f"{totals[0]} passed, {totals[1]} failed, {totals[2]} skipped", flush=True)
    return 1 if totals[1] or not totals[0] else 0


if __name__ == "__main__":
    sys.exit(main())
