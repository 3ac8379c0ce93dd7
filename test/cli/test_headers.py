"""The generated header: names of a model that mean something else in C or C++, and headers beside a library that they do not fit."""
import re
import subprocess

import onnx
import pytest
from onnx import TensorProto, helper

C = """assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg stdatomic stdbool stddef
stdint stdio stdlib stdnoreturn string tgmath threads time uchar wchar wctype unistd fcntl dlfcn pthread sys/stat sys/types""".split()
CPP = """algorithm atomic bit cassert cerrno cfenv cfloat cinttypes climits clocale cmath concepts csetjmp csignal cstdarg cstddef cstdint
cstdio cstdlib cstring ctime cuchar cwchar cwctype complex memory numbers span string thread vector version unistd.h fcntl.h dlfcn.h
pthread.h sys/stat.h sys/types.h""".split()
KEYWORDS = """auto break case char const continue default do double else enum extern float for goto if inline int long register restrict
return short signed sizeof static struct switch typedef union unsigned void volatile while typeof alignas alignof and and_eq asm bitand
bitor bool catch char8_t char16_t char32_t class co_await co_return co_yield compl concept const_cast consteval constexpr constinit
decltype delete dynamic_cast explicit export false friend mutable namespace new noexcept not not_eq nullptr operator or or_eq private
protected public reinterpret_cast requires static_assert static_cast template this thread_local throw true try typeid typename using
virtual wchar_t xor xor_eq""".split()
OTHERS = """NULL errno stdin EOF INFINITY I unix linux M_PI PRId64 int64_t size_t uint8_t mlc_status mlc_tensor names names_dims handle dims
MLC_OK N batch""".split()
COMPILERS = {"C11, gcc": ["gcc", "-x", "c", "-std=c11"], "GNU C, gcc": ["gcc", "-x", "c", "-std=gnu17", "-D_GNU_SOURCE"],
             "C11, clang": ["clang-22", "-x", "c", "-std=c11"], "GNU C, clang": ["clang-22", "-x", "c", "-std=gnu17", "-D_GNU_SOURCE"],
             "C++20, g++": ["g++", "-x", "c++", "-std=c++20"], "GNU C++, g++": ["g++", "-x", "c++", "-std=gnu++20"],
             "C++20, clang": ["clang++-22", "-x", "c++", "-std=c++20"], "GNU C++, clang": ["clang++-22", "-x", "c++", "-std=gnu++20"]}
USUAL = r"__|_[A-Z]|[A-Z][A-Z_]"
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]


def run(*command, **options):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300, check=False, **options)


def includes(language):
    names = [f"{name}.h" for name in C] if language in ("C11", "GNU C") else CPP
    return "".join(f"#include <{name}>\n" for name in names)


def macros(compiler, text):
    """Macros without parameters that a compiler and these headers define."""
    done = run(*compiler, "-dM", "-E", "-", input=text)
    assert done.returncode == 0, done.stderr
    return set(re.findall(r"^#define (\w+)(?: |$)", done.stdout, re.MULTILINE))


@pytest.fixture(scope="module")
def all_macros():
    found = set().union(*(macros(compiler, includes(name.split(",")[0])) for name, compiler in COMPILERS.items()))
    assert len(found) > 1000 and {"NULL", "EOF", "errno", "stdin", "unix", "linux", "PRId64", "L_tmpnam", "I"} <= found
    return sorted(found)


@pytest.fixture(scope="module")
def header(mlc, all_macros, tmp_path_factory):
    """Of a model whose inputs and dimensions are named like macros: all that are unusual, and every hundredth of the others."""
    usual = [name for name in all_macros if re.match(USUAL, name)]
    names = sorted(set(all_macros) - set(usual) | set(usual[::100]) | set(KEYWORDS) | set(OTHERS))
    folder = tmp_path_factory.mktemp("names")
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [name]) for name in names]
    graph = helper.make_graph([helper.make_node("Identity", [names[0]], ["y"])], "g", inputs,
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [names[0]])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "names.onnx")
    done = run(mlc, "compile", folder / "names.onnx", "-o", folder / "names.so")
    assert done.returncode == 0, done.stderr
    return folder / "names.h"


@pytest.mark.parametrize("language", [name if name in ("C11, gcc", "C++20, clang") else pytest.param(name, marks=pytest.mark.slow)
                                      for name in COMPILERS])
def test_names(header, language, tmp_path):
    """The header compiles before and after all standard headers."""
    standard = includes(language.split(",")[0])
    for text in (standard + '#include "names.h"\n', '#include "names.h"\n' + standard):
        use = "int64_t use(const names_dims *d);\nint64_t use(const names_dims *d) { return d->batch + d->N; }\n"
        done = run(*COMPILERS[language], *STRICT, "-iquote", header.parent, "-fsyntax-only", "-", input=text + use)
        assert done.returncode == 0, done.stderr[:3000]


def test_no_name_is_a_macro(header, all_macros):
    """The rule, for every macro and not only for those that this model has: a word that stands alone is none of them."""
    text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.DOTALL)
    declarations = text[text.index("typedef struct names_dims"):text.index("names_last_error")]
    identifiers = set(re.findall(r"\w+", declarations)) - {"__asm__", "__cplusplus"}
    assert identifiers & set(all_macros) == set()
    unusual = [name for name in all_macros if not re.match(USUAL, name)]
    assert set(unusual) <= set(re.findall(r"\w+", header.read_text()))  # all of them have been tried


@pytest.mark.slow
@pytest.mark.parametrize("name", ["NULL", "errno", "I", "unix", "class", "int64_t"])
def test_name_of_the_library(mlc, digits, tmp_path, name):
    assert run(mlc, "compile", digits, "-o", tmp_path / f"{name}.so").returncode == 0
    for language, compiler in COMPILERS.items():
        text = includes(language.split(",")[0]) + f'#include "{name}.h"\nm_{name} *handle;\n'
        done = run(*compiler, "-iquote", tmp_path, "-fsyntax-only", "-", input=text)
        assert done.returncode == 0, (language, done.stderr[:2000])


PROGRAM = """#include "digits.h"
int main(void) {
  digits *model;
  if (digits_create(NULL, &model) != MLC_OK)
    return 1;
  digits_destroy(model);
  return 0;
}
"""


@pytest.mark.parametrize("first, second", [(".so", ".o"), (".o", ".so"), (".a", ".so")])
def test_header_of_another_library(mlc, digits, tmp_path, first, second):
    """Libraries of one name share their header. A program does not link with the one that the header does not describe."""
    def compile_to(suffix, *options):
        done = run(mlc, "compile", digits, "-o", tmp_path / f"digits{suffix}", *options)
        assert done.returncode == 0, done.stderr

    def link_with(suffix):
        return run("clang-22", "-Wl,--gc-sections", "-ffunction-sections", "main.c", f"./digits{suffix}", "-lm", "-o", "main", cwd=tmp_path)

    (tmp_path / "main.c").write_text(PROGRAM)
    compile_to(first, "--dim=batch=2")
    assert link_with(first).returncode == 0 and run("./main", cwd=tmp_path).returncode == 0
    compile_to(second)
    assert link_with(second).returncode == 0 and run("./main", cwd=tmp_path).returncode == 0
    done = link_with(first)
    assert done.returncode != 0 and re.search(r"undefined (symbol|reference).*digits_create_with_signature_", done.stderr), done.stderr
    compile_to(first)  # the same signature again
    assert link_with(first).returncode == 0 and run("./main", cwd=tmp_path).returncode == 0


def test_library_that_is_replaced(mlc, digits, tmp_path):
    """A program that was linked before ends when it starts, instead of calling run with other arguments."""
    (tmp_path / "main.c").write_text(PROGRAM)
    for options in ([], ["--dim=batch=2"]):
        assert run(mlc, "compile", digits, "-o", tmp_path / "digits.so", *options).returncode == 0
        if not options:
            assert run("clang-22", "main.c", "./digits.so", "-Wl,-z,now", "-o", "main", cwd=tmp_path).returncode == 0
            assert run("./main", cwd=tmp_path).returncode == 0
    done = run("./main", cwd=tmp_path)
    assert done.returncode != 0 and "digits_create_with_signature_" in done.stderr
