#!/usr/bin/env python3
"""Translates the PTX that mlc emits to C++ for the emulated driver: ptx_to_cpp.py IN.ptx OUT.cpp

Every register is a variable of its width, every instruction one statement on its bits. An instruction that is not in the tables
below is an error: nothing is guessed.
"""
import re
import sys

TYPES = {"b8": "uint8_t", "u8": "uint8_t", "s8": "int8_t", "b16": "uint16_t", "u16": "uint16_t", "s16": "int16_t", "b32": "uint32_t",
         "u32": "uint32_t", "s32": "int32_t", "b64": "uint64_t", "u64": "uint64_t", "s64": "int64_t", "f16": "_Float16", "bf16": "Bf16",
         "f32": "float", "f64": "double", "pred": "uint8_t"}
BYTES = {name: int(re.sub(r"\D", "", name) or 8) // 8 for name in TYPES}
FLOATS = ("f16", "bf16", "f32", "f64")
# Modifiers that change nothing here: fused products and sums are separate instructions, and approximations are computed exactly.
IGNORED = {"rn", "approx", "full", "uni", "global", "nc", "sync", "aligned", "to", "volatile", "relaxed", "weak", "L1", "no_allocate", "gpu", "cta", "sys"}
COMPARE = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "lo": "<", "ls": "<=", "hi": ">", "hs": ">="}
WIDE = {"u16": "uint32_t", "s16": "int32_t", "u32": "uint64_t", "s32": "int64_t"}
HUGE = {"u16": "uint32_t", "s16": "int32_t", "u32": "uint64_t", "s32": "int64_t", "u64": "Unsigned128", "s64": "Signed128"}
SPECIAL = {"%tid.x": "t.number", "%ntid.x": "t.launch->threads", "%ctaid.x": "t.block", "%nctaid.x": "t.launch->blocks",
           "%laneid": "(t.number % 32)", "%warpid": "(t.number / 32)", "%tid.y": "0", "%tid.z": "0", "%ctaid.y": "0", "%ctaid.z": "0",
           "%ntid.y": "1", "%ntid.z": "1", "%nctaid.y": "1", "%nctaid.z": "1"}
MATH = {"sqrt": "std::sqrt({0})", "rsqrt": "1 / std::sqrt({0})", "rcp": "1 / {0}", "ex2": "std::exp2({0})", "lg2": "std::log2({0})",
        "sin": "std::sin({0})", "cos": "std::cos({0})", "tanh": "std::tanh({0})", "abs": "std::fabs({0})"}
ROUND = {"rni": "std::nearbyint", "rzi": "std::trunc", "rmi": "std::floor", "rpi": "std::ceil"}


class Unsupported(Exception):
    pass


class Function:
    def __init__(self, name, globals_):
        self.name, self.globals = name, globals_
        self.params, self.locals, self.shared = [], {}, {}
        self.registers, self.lines = [], []
        self.waits, self.threads, self.site, self.shared_bytes = False, 1024, 0, 0

    # --- Operands

    def value(self, text):
        """The bits of an operand."""
        text = text.strip()
        if text in SPECIAL:
            return SPECIAL[text]
        if text.startswith("%"):
            return text[1:].replace("$", "_")
        if match := re.fullmatch(r"0f([0-9A-Fa-f]{8})", text):
            return f"0x{match[1]}u"
        if match := re.fullmatch(r"0d([0-9A-Fa-f]{16})", text):
            return f"0x{match[1]}ull"
        if match := re.fullmatch(r"0x([0-9A-Fa-f]+)U?", text):
            return f"0x{match[1]}ull"
        if re.fullmatch(r"-?\d+", text):
            return f"uint64_t({text}ll)" if text != "-9223372036854775808" else "0x8000000000000000ull"
        if text in ("true", "false"):
            return "1" if text == "true" else "0"
        return self.symbol(text)

    def symbol(self, name):
        if name in self.locals:
            return f"reinterpret_cast<uint64_t>({name})"
        if name in self.shared:
            return f"(reinterpret_cast<uint64_t>(t.shared) + {self.shared[name]})"
        if name in self.globals:
            return f"reinterpret_cast<uint64_t>({name})"
        raise Unsupported(f"operand {name}")

    def typed(self, text, kind):
        return f"as<{TYPES[kind]}>({self.value(text)})"

    def set(self, register, kind, expression):
        register = self.value(register)
        return f"{register} = bits(static_cast<{TYPES[kind]}>({expression}));"

    # --- Memory

    def address(self, text, kind, space):
        """A char * expression for [base+offset]."""
        match = re.fullmatch(r"\[([^+\]]+)(?:\+(-?\d+))?\]", text.strip())
        base, offset = match[1], int(match[2] or 0)
        if space == "param":
            if base not in self.params:
                raise Unsupported(f"parameter {base}")
            return f"(static_cast<char *>(t.launch->arguments[{self.params.index(base)}]) + {offset})"
        own = base in self.locals or base in self.shared or base in self.globals or space in ("local", "shared")
        plain = f"{self.value(base)} + {offset}"
        if own:
            return f"reinterpret_cast<char *>({plain})"
        self.site += 1
        return f"access({plain}, {{bytes}}, seen{self.site})"

    def transfer(self, parts, operands, store):
        space = next((part for part in parts if part in ("param", "global", "local", "shared", "const")), "generic")
        kind, width = parts[-1], next((int(part[1:]) for part in parts if part in ("v2", "v4")), 1)
        memory, registers = (operands[0], operands[1]) if store else (operands[1], operands[0])
        registers = [one.strip() for one in registers.strip("{} ").split(",")]
        at = self.address(memory, kind, space).replace("{bytes}", str(width * BYTES[kind]))
        lines = [f"char *at = {at};"]
        for number, register in enumerate(registers):
            place = f"at + {number * BYTES[kind]}"
            if store:
                lines.append(f"store<{TYPES[kind]}>({place}, {self.value(register)});")
            else:
                lines.append(f"{self.value(register)} = load<{TYPES[kind]}>({place});" if register != "_" else "")
        return "{ " + " ".join(lines) + " }"

    # --- Instructions

    def translate(self, name, modifiers, operands):
        kinds = [part for part in modifiers if part in TYPES]
        kind = kinds[-1] if kinds else None
        rest = [part for part in modifiers if part not in TYPES and part not in IGNORED]
        a = lambda number, as_kind=None: self.typed(operands[number], as_kind or kind)

        def only(*allowed):
            if unknown := [part for part in rest if part not in allowed]:
                raise Unsupported(f"{name} .{' .'.join(unknown)}")

        if name == "atom": # threads run one after the other
            only("min", "max", "add")
            at = self.address(operands[1], kind, "global").replace("{bytes}", str(BYTES[kind]))
            new = {"min": "minimum(old, {0})", "max": "maximum(old, {0})", "add": "old + {0}"}[rest[0]].format(a(2))
            old = "" if operands[0] == "_" else f"{self.value(operands[0])} = bits(old); "
            return (f"{{ char *at = {at}; auto old = as<{TYPES[kind]}>(load<{TYPES[kind]}>(at)); {old}"
                    f"store<{TYPES[kind]}>(at, bits(static_cast<{TYPES[kind]}>({new}))); }}")
        if name in ("ld", "st", "ldu"):
            return self.transfer(modifiers, operands, name == "st")
        if name == "mov":
            if operands[0].startswith("{"):
                parts = [self.value(one) for one in operands[0].strip("{}").split(",") if one.strip() != "_"]
                size = 8 * BYTES[kind] // len(operands[0].strip("{}").split(","))
                names = operands[0].strip("{} ").split(",")
                return f"{{ uint64_t whole = {self.value(operands[1])}; " + " ".join(
                    f"{self.value(one)} = whole >> {size * number};" for number, one in enumerate(names) if one.strip() != "_") + " }"
            if operands[1].startswith("{"):
                names = operands[1].strip("{} ").split(",")
                size = 8 * BYTES[kind] // len(names)
                mask = (1 << size) - 1
                return f"{self.value(operands[0])} = " + " | ".join(
                    f"(uint64_t({self.value(one)}) & {mask}ull) << {size * number}" for number, one in enumerate(names)) + ";"
            return f"{self.value(operands[0])} = {self.value(operands[1])};"
        if name == "cvta":
            return f"{self.value(operands[0])} = {self.value(operands[1])};"
        if name in ("add", "sub"):
            only()
            return self.set(operands[0], kind, f"{a(1)} {'+' if name == 'add' else '-'} {a(2)}")
        if name in ("mul", "mad") and kind not in FLOATS:
            only("lo", "hi", "wide")
            if "wide" in rest:
                wide = WIDE[kind]
                product = f"{wide}({a(1)}) * {wide}({a(2)})"
                if name == "mad":
                    product += f" + as<{wide}>({self.value(operands[3])})"
                return f"{self.value(operands[0])} = bits({wide}({product}));"
            product = f"({HUGE[kind]}({a(1)}) * {a(2)} >> {8 * BYTES[kind]})" if "hi" in rest else f"{a(1)} * {a(2)}"
            return self.set(operands[0], kind, product + (f" + {a(3)}" if name == "mad" else ""))
        if name == "mul":
            only()
            return self.set(operands[0], kind, f"{a(1)} * {a(2)}")
        if name in ("fma", "mad"):
            only()
            return self.set(operands[0], kind, f"fusedMultiplyAdd({a(1)}, {a(2)}, {a(3)})")
        if name == "div":
            only()
            return self.set(operands[0], kind, f"{a(1)} / {a(2)}" if kind in FLOATS else f"divide({a(1)}, {a(2)})")
        if name == "rem":
            only()
            return self.set(operands[0], kind, f"remainder({a(1)}, {a(2)})")
        if name == "neg":
            only()
            if kind in FLOATS: # NaN's sign, too
                return f"{self.value(operands[0])} = {self.value(operands[1])} ^ (1ull << {8 * BYTES[kind] - 1});"
            return self.set(operands[0], kind, f"-{a(1)}")
        if name == "abs" and kind in FLOATS:
            return f"{self.value(operands[0])} = {self.value(operands[1])} & ~(1ull << {8 * BYTES[kind] - 1});"
        if name == "abs":
            return self.set(operands[0], kind, f"{a(1)} < 0 ? -{a(1)} : {a(1)}")
        if name in ("min", "max"):
            only("NaN")
            return self.set(operands[0], kind, f"{name}imum{'Nan' if 'NaN' in rest else ''}({a(1)}, {a(2)})")
        if name in MATH:
            only()
            return self.set(operands[0], kind, MATH[name].format(a(1)))
        if name == "copysign":
            sign = f"(1ull << {8 * BYTES[kind] - 1})"
            return f"{self.value(operands[0])} = ({self.value(operands[1])} & {sign}) | ({self.value(operands[2])} & ~{sign});"
        if name == "setp":
            return self.compare(rest, kind, operands)
        if name == "selp":
            return f"{self.value(operands[0])} = {self.value(operands[3])} ? {self.value(operands[1])} : {self.value(operands[2])};"
        if name in ("and", "or", "xor"):
            return f"{self.value(operands[0])} = {self.value(operands[1])} {dict(zip(('and', 'or', 'xor'), '&|^'))[name]} {self.value(operands[2])};"
        if name == "not":
            return f"{self.value(operands[0])} = {'!' if kind == 'pred' else '~'}{self.value(operands[1])};"
        if name in ("shl", "shr"):
            only()
            return self.set(operands[0], kind, f"shift{'Left' if name == 'shl' else 'Right'}<{TYPES[kind]}>({a(1)}, {self.value(operands[2])})")
        if name == "shf":
            only("l", "r", "wrap", "clamp")
            by = f"{'std::min<uint32_t>(32, ' if 'clamp' in rest else '31 & ('}{self.value(operands[3])})"
            pair = f"((uint64_t({self.value(operands[2])}) << 32) | {self.value(operands[1])})"
            return f"{self.value(operands[0])} = " + (f"({pair} << ({by})) >> 32;" if "l" in rest else f"{pair} >> ({by});")
        if name == "cvt":
            return self.convert(rest, kinds, operands)
        if name == "popc":
            return f"{self.value(operands[0])} = __builtin_popcountll({a(1)});"
        if name == "clz":
            return f"{self.value(operands[0])} = {a(1)} ? __builtin_clzll({a(1)}) - {64 - 8 * BYTES[kind]} : {8 * BYTES[kind]};"
        if name == "brev":
            return f"{self.value(operands[0])} = __builtin_bitreverse{8 * BYTES[kind]}({a(1)});"
        if name == "bfe":
            return f"{self.value(operands[0])} = bits(static_cast<{TYPES[kind]}>(shiftRight<{TYPES[kind]}>(shiftLeft<{TYPES[kind]}>({a(1)}, {8 * BYTES[kind]} - ({self.value(operands[2])}) - ({self.value(operands[3])})), {8 * BYTES[kind]} - ({self.value(operands[3])}))));"
        if name == "prmt":
            only()
            return f"{self.value(operands[0])} = permute({self.value(operands[1])}, {self.value(operands[2])}, {self.value(operands[3])});"
        if name == "bra":
            return f"goto {self.label(operands[0])};"
        if name in ("ret", "exit"):
            return "return;"
        if name == "trap":
            return 'emulatorFault("a trap", 0);'
        if name in ("bar", "barrier"):
            self.waits = True
            return "emulatorBarrier();"
        if name == "shfl":
            self.waits = True
            mode = next(part for part in rest if part in ("bfly", "idx", "up", "down"))
            lane = {"bfly": "(t.number % 32) ^ {0}", "idx": "{0}", "up": "(t.number % 32) < {0} ? (t.number % 32) : (t.number % 32) - {0}",
                    "down": "(t.number % 32) + {0} > 31 ? (t.number % 32) : (t.number % 32) + {0}"}[mode].format(f"uint32_t({self.value(operands[2])})")
            return f"{self.value(operands[0].split('|')[0])} = emulatorShuffle({self.value(operands[1])}, {lane});"
        raise Unsupported(name)

    def label(self, text):
        return "label_" + text.strip().replace("$", "")

    def compare(self, rest, kind, operands):
        x, y = self.typed(operands[1], kind), self.typed(operands[2], kind)
        relation = rest[0]
        if relation in ("num", "nan"):
            test = f"({x} == {x} && {y} == {y})" if relation == "num" else f"({x} != {x} || {y} != {y})"
        elif relation in COMPARE and (kind not in FLOATS or relation != "ne"):
            test = f"({x} {COMPARE[relation]} {y})"
        elif relation == "ne": # ordered
            test = f"({x} < {y} || {x} > {y})"
        elif kind in FLOATS and relation[:2] in COMPARE and relation[2:] == "u":
            test = f"({x} != {x} || {y} != {y} || {x} {COMPARE[relation[:2]]} {y})"
        else:
            raise Unsupported(f"setp .{relation}")
        if len(rest) > 1:
            test = f"{test} {dict(zip(('and', 'or', 'xor'), '&|^'))[rest[1]]} {self.value(operands[3])}"
        if "|" in operands[0]:
            raise Unsupported("setp with two results")
        return f"{self.value(operands[0])} = {test};"

    def convert(self, rest, kinds, operands):
        to, source = kinds
        x = self.typed(operands[1], source)
        unknown = [part for part in rest if part not in ROUND and part not in ("sat", "rz", "rna", "relu")]
        if unknown or "rna" in rest or "relu" in rest:
            raise Unsupported(f"cvt .{' .'.join(rest)}")
        rounding = next((ROUND[part] for part in rest if part in ROUND), None)
        if source in FLOATS and to not in FLOATS:
            return self.set(operands[0], to, f"toInteger<{TYPES[to]}>({rounding or 'std::trunc'}(static_cast<double>({x})))")
        if source in FLOATS and rounding: # float to integral float
            return self.set(operands[0], to, f"{rounding}({'' if source in ('f32', 'f64') else '(float)'}{x})")
        if "sat" in rest or "rz" in rest:
            raise Unsupported(f"cvt .{' .'.join(rest)}")
        if source not in FLOATS and to in ("f16", "bf16"):
            x = f"static_cast<float>({x})" # integers of at most 24 bits are exact
        elif to == "bf16" or (source == "bf16" and to != "f32"):
            x = f"static_cast<float>({x})"
        return self.set(operands[0], to, x)

    # --- Text

    def instruction(self, text):
        guard = ""
        if match := re.match(r"@(!?)%(\w+)\s+(.*)", text):
            guard = f"if ({match[1]}{match[2]}) "
            text = match[3]
        opcode, _, operands = text.partition(" ") if " " in text else text.partition("\t")
        name, *modifiers = re.split(r"::|\.", opcode.strip())
        parts, depth, current = [], 0, ""
        for character in operands.replace("\t", " "):
            depth += (character in "{[(") - (character in ")]}")
            if character == "," and depth == 0:
                parts.append(current.strip())
                current = ""
            else:
                current += character
        if current.strip():
            parts.append(current.strip())
        try:
            statement = self.translate(name, modifiers, parts)
        except (KeyError, IndexError, ValueError) as error:
            raise Unsupported(f"{text} ({error!r})") from error
        except Unsupported as error:
            raise Unsupported(f"{text}: {error}") from error
        self.lines.append(f"  {guard}{statement}")

    def text(self):
        body = "\n".join(self.lines)
        sites = "".join(f"static Range seen{number + 1};" for number in range(self.site))
        registers = "".join(f"  {kind} {name}{number}{{}};\n" for kind, name, count in self.registers for number in range(1, count))
        memory = "".join(f"  alignas({align}) char {name}[{size}];\n" for name, (align, size) in self.locals.items())
        # Jumps may not cross initialisations: registers are declared first, without.
        registers = registers.replace("{}", "")
        return f"static void {self.name}(const Thread &t) {{\n  {sites}\n{registers}{memory}{body}\n}}\n"


def translate(ptx):
    ptx = re.sub(r"//[^\n]*", "", ptx)
    globals_, functions, declarations = {}, [], []
    for match in re.finditer(r"^\s*(?:\.visible\s+|\.extern\s+)?\.(?:global|const)\s+\.align\s+(\d+)\s+\.b8\s+([\w$]+)\[(\d+)\](?:\s*=\s*\{([^}]*)\})?;", ptx, re.M):
        align, name, size, initial = match.groups()
        globals_[name] = True
        declarations.append(f"alignas({align}) static unsigned char {name}[{size}] = {{{initial or ''}}};")
    module_shared = re.findall(r"^\s*(?:\.visible\s+|\.extern\s+)?\.shared\s+\.align\s+(\d+)\s+\.b8\s+([\w$]+)\[(\d*)\];", ptx, re.M)
    for match in re.finditer(r"\.entry\s+(\w+)\s*\((.*?)\)(.*?)\{\n(.*?)^\}", ptx, re.S | re.M):
        name, parameters, directives, body = match.groups()
        function = Function(name, globals_)
        functions.append(function)
        function.params = re.findall(r"\b(\w+_param_\d+|\w+)\s*(?:\[\d+\])?\s*(?:,|$)", parameters.strip())
        if threads := re.search(r"\.maxntid\s+(\d+)", directives):
            function.threads = int(threads[1])
        shared = list(module_shared)
        for statement in re.split(r";|(?<=:)\n", body):
            statement = statement.strip()
            while match := re.match(r"(\$?[\w$]+):\s*", statement):
                function.lines.append(f" {function.label(match[1])}:;")
                statement = statement[match.end():]
            if not statement:
                continue
            if match := re.match(r"\.reg\s+\.(\w+)\s+%(\w+)<(\d+)>", statement):
                function.registers.append((TYPES[match[1]], match[2], int(match[3])))
            elif match := re.match(r"\.reg\s+\.(\w+)\s+%(\w+)$", statement):
                function.lines.insert(0, f"  {TYPES[match[1]]} {match[2]};")
            elif match := re.match(r"\.local\s+\.align\s+(\d+)\s+\.b8\s+(\w+)\[(\d+)\]", statement):
                function.locals[match[2]] = (int(match[1]), int(match[3]))
            elif match := re.match(r"\.shared\s+\.align\s+(\d+)\s+\.b8\s+(\w+)\[(\d+)\]", statement):
                shared.append(match.groups())
            elif statement.startswith((".loc", ".pragma")):
                continue
            else:
                for align, symbol, size in shared:
                    if symbol not in function.shared:
                        function.shared_bytes = -(-function.shared_bytes // int(align)) * int(align)
                        function.shared[symbol] = function.shared_bytes
                        function.shared_bytes += int(size or 0)
                function.instruction(re.sub(r"\s+", " ", statement))
    if len(functions) != ptx.count(".entry"):
        raise Unsupported(f"{ptx.count('.entry')} kernels, understood {len(functions)}")
    table = "".join(f'  {{"{f.name}", {f.name}, {str(f.waits).lower()}, {f.shared_bytes}, {f.threads}}},\n' for f in functions)
    return ('#include "Emulator.h"\n#include <algorithm>\nusing namespace emulator;\n' + "\n".join(declarations) + "\n" + "\n".join(f.text() for f in functions) +
            f'extern "C" {{\nextern const KernelInfo kernels[];\nconst KernelInfo kernels[] = {{\n{table}  {{nullptr, nullptr, false, 0, 0}}}};\n}}\n')


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        text = file.read()
    try:
        result = translate(text)
    except Unsupported as error:
        sys.exit(f"ptx_to_cpp: not supported: {error}")
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(result)


if __name__ == "__main__":
    main()
