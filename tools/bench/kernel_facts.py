"""What the compiler says of each kernel: read from the text that `mlc compile --save-stages` leaves after --plan-tiling.

The text is MLIR's ordinary syntax. Loops whose size it does not state (symbolic dimensions) leave operations and bytes unknown.
"""
import collections
import dataclasses
import math
import re

FUNCTION = re.compile(r"^  func\.func private @(\w+)\((.*)\).*?attributes \{(.*)\} \{$")
GENERIC = re.compile(r"linalg\.generic \{(.*?)\} (?:ins\((.*?)\) )?outs\((.*?)\)(?: attrs = .*)? \{$")
MEMREF = re.compile(r"memref<((?:[\d?]+x)*)(\w+)")
MAP = re.compile(r"affine_map<\(([^)]*)\)(?:\[[^\]]*\])? -> \((.*?)\)>")
ARITHMETIC = re.compile(r"= (?:arith\.(?:add|sub|mul|div|rem|max|min|maximum|minimum|maxnum|minnum|cmp|neg)[fsiu]*|math\.\w+) ")
ELEMENT_BYTES = {"index": 8, "i1": 1}


@dataclasses.dataclass
class Kernel:
    name: str
    kind: str
    tiling: str
    arguments: list                 # shapes as texts; the last ones are results
    bytes: int | None               # of all arguments: the least that it moves
    operations: int | None = 0      # additions, multiplications and so on, counted from the bodies
    calls: int = 0


def shape_of(text):
    dims, element = MEMREF.match(text).groups()
    return [None if dim == "?" else int(dim) for dim in dims.split("x")[:-1]], element


def element_bytes(element):
    return ELEMENT_BYTES.get(element) or int(re.search(r"\d+", element)[0]) // 8


def memrefs(text):
    return [match[0] for match in MEMREF.finditer(text or "")]


def loop_sizes(maps, operands):
    """The size of every loop that some operand walks directly; None for the others."""
    sizes = {}
    for (variables, results), operand in zip(maps, operands):
        shape, _ = shape_of(operand)
        for variable in variables:
            sizes.setdefault(variable, None)
        for result, size in zip(results, shape):
            if result in variables and size is not None:
                sizes[result] = size
    return list(sizes.values())


def read_map(text):
    variables, results = MAP.search(text).groups()
    return [word.strip() for word in variables.split(",") if word.strip()], [word.strip() for word in results.split(",")]


def read_maps(attributes, aliases):
    inside = attributes.partition("indexing_maps = [")[2].partition("], iterator_types")[0]
    words = re.findall(r"#\w+|affine_map<.*?>(?=,|$)", inside)
    return [aliases[word] if word.startswith("#") else read_map(word) for word in words]


def argument_texts(signature):
    """"128x768" for every memref argument, scalars by their type."""
    for argument in re.findall(r"%\w+: ((?:[^,<{]|<(?:[^<>]|<[^<>]*>)*>)+)", signature):
        if not argument.startswith("memref"):
            continue
        shape, element = shape_of(argument)
        text = "x".join("?" if size is None else str(size) for size in shape) or "scalar"
        size = None if None in shape else math.prod(shape) * element_bytes(element)
        yield text + ("" if element == "f32" else f":{element}"), size


def read(text):
    """{name: Kernel} of a stage's text."""
    kernels, calls, aliases, kernel, sizes = {}, collections.Counter(), {}, None, None
    for line in text.splitlines():
        if line.startswith("#") and "affine_map" in line:
            aliases[line.partition(" ")[0]] = read_map(line)
        elif line.startswith("  func.func"):
            kernel = None
            if (match := FUNCTION.match(line)) and "sched.kind" in match[3]:
                arguments = list(argument_texts(match[2]))
                total = None if any(size is None for _, size in arguments) else sum(size for _, size in arguments)
                kind = re.search(r"sched\.kind = #sched.kind<(\w+)>", match[3])[1]
                tiling = re.search(r"#sched\.tiling<(.*?)>", match[3])
                kernel = Kernel(match[1], kind, tiling[1] if tiling else "", [text for text, _ in arguments], total)
                kernels[match[1]] = kernel
        elif call := re.search(r"\bcall @(\w+)\(", line):
            calls[call[1]] += 1
        if kernel is None:
            continue
        if match := GENERIC.search(line):
            sizes = loop_sizes(read_maps(match[1], aliases), memrefs(match[2]) + memrefs(match[3]))
        elif sizes is not None and ARITHMETIC.search(line) and kernel.operations is not None:
            kernel.operations = None if None in sizes else kernel.operations + math.prod(sizes)
        elif line.strip().startswith("}"):
            sizes = None
    for name, kernel in kernels.items():
        kernel.calls = calls[name]
    return kernels
