#!/usr/bin/env python3
"""Checks the rules that STYLE.md marks as checked by machine, those that are cheap to check.

    tools/tidy/tidy.py            every check; prints file:line: rule, and exits with 1 if anything is found
    tools/tidy/tidy.py --fix      formats the sources with clang-format first
    tools/tidy/tidy.py --list     the checks

Checked: a pass, its file and its test have the same name; file names say what a unit is; includes follow the order of the layers;
attributes are read and written in one place; functions have at most 80 lines; headers have no `using namespace`;
command-line options are declared under tools/ only; sources are formatted; the list of known failures is sorted and only
shrinks. The sources are the files that git tracks or would track.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
KNOWN_FAILURES = "test/onnx/known_failures.txt"
VAGUE_NAMES = re.compile(r"(Util|Utils|Common|Helper|Helpers|Manager|Misc)(?![a-z])")
CPP = (".cpp", ".h", ".c")

CHECKS = {}


def check(function):
    CHECKS[function.__name__.replace("_", "-")] = function
    return function


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def sources():
    listing = git("ls-files", "--cached", "--others", "--exclude-standard", "-z")
    if listing.returncode != 0:
        raise SystemExit(f"error: git ls-files: {listing.stderr.strip()}")
    return sorted(name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file())


def lines(name):
    return enumerate((ROOT / name).read_text(errors="replace").splitlines(), 1)


def kebab(name):
    """TileBlocks -> tile-blocks, OnnxToCore -> onnx-to-core, LowerToLLVM -> lower-to-llvm."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()


def declared_passes():
    """(line, def name, argument) of every pass of Passes.td, in order."""
    text = (ROOT / "compiler/Passes.td").read_text()
    for match in re.finditer(r'^def\s+(\w+)\s*:\s*\w*Pass\w*<\s*"([^"]+)"', text, re.MULTILINE):
        yield text.count("\n", 0, match.start()) + 1, match[1], match[2]


@check
def pass_files(files):
    """A pass declared in Passes.td: argument, definition, file and test have one name."""
    if "compiler/Passes.td" not in files:
        return
    for line, definition, argument in declared_passes():
        at = f"compiler/Passes.td:{line}"
        name = definition.removesuffix("Pass")
        if kebab(name) != argument:
            yield f"{at}: pass {definition} is called --{argument}, expected --{kebab(name)}"
        found = [file for file in files if file.startswith("compiler/") and file.endswith(f"/{name}.cpp")]
        if len(found) != 1:
            yield f"{at}: expected one file compiler/*/{name}.cpp for --{argument}, found {len(found)}"
            continue
        test = f"test/{pathlib.PurePath(found[0]).parent}/{argument}.mlir"
        if test not in files:
            yield f"{found[0]}:1: --{argument} has no test {test}"


@check
def pass_examples(files):
    """Every pass shows before and after in its description."""
    if "compiler/Passes.td" not in files:
        return
    text = (ROOT / "compiler/Passes.td").read_text()
    for line, definition, _ in declared_passes():
        body = "\n".join(text.splitlines()[line - 1:])
        body = body[:body.find("\ndef ", 1)] if "\ndef " in body[1:] else body
        if "```mlir" not in body:
            yield f"compiler/Passes.td:{line}: the description of {definition} has no ```mlir example"


@check
def file_names(files):
    """No Utils, Common, Helper, Manager, Misc: if it cannot be named, it is not a unit yet."""
    for file in files:
        if VAGUE_NAMES.search(pathlib.PurePath(file).stem):
            yield f"{file}:1: the name does not say what this is"


# Folders of the dialects and of the compiler, each of which may include those before it. Of compiler/ itself all but the driver is shared;
# the driver and tools may include all, and only they include the driver.
DRIVER = re.compile(r"compiler/(Compile\.cpp|Dialects\.cpp|(Pipeline|Stages)\.(h|cpp))")
LAYERS = ("dialects/core", "dialects/onnx", "dialects/sched", "dialects/rt", "compiler", "compiler/Import", "compiler/OnnxToCore", "compiler/Core",
          "compiler/Reference", "compiler/CoreToLinalg", "compiler/Schedule", "compiler/Bufferize", "compiler/Cpu", "compiler/Gpu",
          "compiler/Report", "compiler/Emit")


@check
def layers(files):
    """An include points down: of a folder that may include this one, nothing is included; hence no circles."""
    for file in files:
        folder = str(pathlib.PurePath(file).parent)
        if file.endswith(CPP) and file.startswith(("compiler/", "dialects/")) and not DRIVER.fullmatch(file):
            if folder not in LAYERS:
                yield f"{file}:1: the folder {folder} has no place among the layers"
                continue
            for number, line in lines(file):
                match = re.match(r'#include "(((?:dialects|compiler)(?:/[^"/]+)?)/[^/"]+)"', line)
                if match and (match[2] not in LAYERS[:LAYERS.index(folder) + 1] or DRIVER.fullmatch(match[1])):
                    yield f"{file}:{number}: {folder} includes {match[1]}, which may include {folder}"


# Whose attributes of functions and modules are read and written in one place.
ATTRIBUTE_OWNERS = {"onnx": "dialects/onnx/Signature.cpp", "rt": "dialects/rt/Program.cpp", "sched": "dialects/sched/Kernel.h"}


@check
def attributes(files):
    """The name of an attribute stands in one file, which has typed views of it; what is written is read there, too."""
    for file in files:
        if not file.endswith(CPP) or not file.startswith(("compiler/", "dialects/", "tools/")):
            continue
        for number, line in lines(file):
            for dialect, name in re.findall(r'"(onnx|rt|sched)\.([a-z_]+)"', line.split("//")[0]):
                if file != ATTRIBUTE_OWNERS[dialect]:
                    yield f"{file}:{number}: the attribute {dialect}.{name} is read or written outside of {ATTRIBUTE_OWNERS[dialect]}"
    for owner in ATTRIBUTE_OWNERS.values():
        text = "\n".join(line for _, line in lines(owner) if "name == " not in line)  # the verifier's
        for constant in re.findall(r'(\w+) = "(?:onnx|rt|sched)\.\w+"', text):
            if len(re.findall(rf"\b{constant}\b", text)) < 3:
                yield f"{owner}:1: {constant} is read and never written, or written and never read"


LINES_MAX = 80
# Longer functions that wait for the steps that take them apart. The list may only shrink.
LONG_FUNCTIONS = {"KnownValues::evaluate", "EntryOutliner::makeMemory", "EntryOutliner::emitGroup", "sourceOfDim", "LinalgBuilder::conv",
                  "RowsEmitter::emitStage", "attention", "mlc::cutTasks"}
NO_FUNCTION = re.compile(r"\s*(namespace|struct|class|enum|union|extern|switch|if|for|while|else|do|try|\}|case|default|return)\b")


def functions(name):
    """(line, name, number of lines) of every function in a formatted source: from its first line to the brace below it."""
    text = (ROOT / name).read_text().splitlines()
    for begin, line in enumerate(text):
        indent = len(line) - len(line.lstrip())
        if not line.endswith("{") or indent > 2 or NO_FUNCTION.match(line) or "= {" in line:
            continue
        end = next((at for at in range(begin + 1, len(text)) if text[at].startswith(" " * indent + "}")), begin)
        head = begin  # the declaration may begin some lines before its brace
        while "(" not in text[head] and head > 0:
            head -= 1
        match = re.search(r"([\w:~]+)\(", text[head])
        yield head + 1, match[1] if match else "", end - head + 1


@check
def function_length(files):
    """A function has at most 80 lines."""
    found = set()
    for file in formatted_sources(files):
        if file.startswith(("compiler/", "dialects/", "runtime/", "tools/")):
            for line, name, count in functions(file):
                if count > LINES_MAX and name in LONG_FUNCTIONS:
                    found.add(name)
                elif count > LINES_MAX:
                    yield f"{file}:{line}: {name} has {count} lines, more than {LINES_MAX}"
    for name in sorted(LONG_FUNCTIONS - found):
        yield f"tools/tidy/tidy.py:1: {name} is not that long any more: take it off LONG_FUNCTIONS"


@check
def using_namespace(files):
    """A header has no `using namespace`."""
    for file in files:
        if file.endswith(".h"):
            for number, line in lines(file):
                if re.match(r"\s*using\s+namespace\b", line):
                    yield f"{file}:{number}: `using namespace` in a header"


@check
def command_line_options(files):
    """cl::opt and cl::list only under tools/: options of the compiler are CompileOptions or pass options."""
    for file in files:
        if file.endswith(CPP) and not file.startswith("tools/"):
            for number, line in lines(file):
                if re.search(r"\bcl::(opt|list|bits|alias)\b", line.split("//")[0]):
                    yield f"{file}:{number}: a command-line option outside tools/"


def clang_format():
    for name in ("clang-format-22", "/usr/lib/llvm-22/bin/clang-format"):
        if shutil.which(name):
            return shutil.which(name)
    raise SystemExit("error: no clang-format-22: run tools/install")


def formatted_sources(files):
    return [file for file in files if file.endswith(CPP) and not file.startswith("shared/")]


@check
def formatting(files):
    """Sources are as clang-format 22 with .clang-format writes them (`tidy.py --fix` does it)."""
    names = formatted_sources(files)
    if not names:
        return
    done = subprocess.run([clang_format(), "--dry-run", "--Werror", "--ferror-limit=1", *names], cwd=ROOT,
                          capture_output=True, text=True, check=False)
    seen = set()
    for match in re.finditer(r"^(\S+?):(\d+):\d+: error: ", done.stderr, re.MULTILINE):
        if match[1] not in seen:
            seen.add(match[1])
            yield f"{os.path.relpath(match[1], ROOT) if os.path.isabs(match[1]) else match[1]}:{match[2]}: not formatted"
    if done.returncode != 0 and not seen:
        yield f"clang-format failed: {done.stderr.strip()[:200]}"


@check
def known_failures(files):
    """The list of known failures is sorted, names each test once with a reason, and its last change added none."""
    if KNOWN_FAILURES not in files:
        return
    names = []
    for number, line in lines(KNOWN_FAILURES):
        if not line or line.startswith("#"):
            continue
        name, colon, reason = line.partition(": ")
        if not colon or not reason.strip():
            yield f"{KNOWN_FAILURES}:{number}: expected `test_name: reason`"
        elif names and name <= names[-1]:
            yield f"{KNOWN_FAILURES}:{number}: {name} does not sort after {names[-1]}"
        names.append(name)
    old = earlier_known_failures()
    for name in sorted(set(names) - old) if old is not None else []:
        yield f"{KNOWN_FAILURES}:1: {name} is new: the list only shrinks"


def earlier_known_failures():
    """The names before the last change of the list, committed or not; None if there is no earlier list to be seen."""
    commits = git("log", "-2", "--format=%H", "--", KNOWN_FAILURES).stdout.split()
    if git("diff", "--quiet", "HEAD", "--", KNOWN_FAILURES).returncode == 0:
        commits = commits[1:]  # unchanged since the last commit that touched it: compare with the one before
    if not commits:
        return None
    text = git("show", f"{commits[0]}:{KNOWN_FAILURES}")
    if text.returncode != 0:
        return None
    return {line.partition(": ")[0] for line in text.stdout.splitlines() if line and not line.startswith("#")}


def write_junit(path, findings):
    suite = ElementTree.Element("testsuite", name="tidy", tests=str(len(findings)))
    for name, found in findings.items():
        case = ElementTree.SubElement(suite, "testcase", classname="tidy", name=name)
        if found:
            ElementTree.SubElement(case, "failure", message=f"{len(found)} findings").text = "\n".join(found)
    ElementTree.ElementTree(suite).write(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fix", action="store_true", help="format the sources first")
    parser.add_argument("--list", action="store_true", help="print the checks and stop")
    parser.add_argument("--junit", metavar="FILE", help="write the result as a JUnit file")
    parser.add_argument("checks", nargs="*", metavar="CHECK", help="only these (default: all)")
    args = parser.parse_args()
    unknown = sorted(set(args.checks) - set(CHECKS))
    if unknown:
        parser.error(f"no check {', '.join(unknown)}; there are {', '.join(CHECKS)}")
    if args.list:
        for name, function in CHECKS.items():
            print(f"{name:22} {function.__doc__}")
        return 0
    files = sources()
    if args.fix:
        subprocess.run([clang_format(), "-i", *formatted_sources(files)], cwd=ROOT, check=True)
    findings = {name: list(function(files)) for name, function in CHECKS.items() if not args.checks or name in args.checks}
    for name, found in findings.items():
        for text in found:
            print(f"{text} [{name}]")
    if args.junit:
        write_junit(args.junit, findings)
    failed = sum(bool(found) for found in findings.values())
    print(f"tidy: {len(findings) - failed} of {len(findings)} checks passed, {sum(map(len, findings.values()))} findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
