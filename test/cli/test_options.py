"""No option is accepted that has no effect. For every option of every command: when it has one, or a call in which it has none."""
import json
import re
import subprocess

import numpy as np
import pytest

ALWAYS = None  # an effect in every call, or the error of a value that fits nothing
NEEDS = {
    "compile": {
        "--output": ALWAYS, "--dim": ALWAYS, "--shape": ALWAYS, "--emit": ALWAYS, "--report-file": ALWAYS, "--quiet": ALWAYS,
        "--target": ("--emit=core --target=cuda:sm_80", "--target needs a later stage"),
        "--triple": ("--emit=linalg --triple=aarch64-linux-gnu", "--triple needs a later stage"),
        "--cpu": ("--emit=ptx --target=cuda:sm_80 --cpu=x86-64-v3", "--cpu needs a later stage"),
        "--train": ("--emit=onnx --train", "--train needs a later stage"),
        "--save-stages": ("--emit=onnx --save-stages=s", "--save-stages needs a later stage"),
        "--report": ("--emit=core --report=model,memory", "--report needs a later stage"),
        "--depfile": ("--emit=core --depfile=d", "--depfile needs an output"),
        "--name": ("--emit=core --name=n", "--name needs a library as output"),
        "--weights": ("--emit=core --weights=w", "--weights needs a library as output"),
        "--sysroot": ("-o x.o --sysroot=/", "--sysroot needs a shared library as output"),
        "--input-value": ("-o x.so --input-value image=@x.npy --shape image=1x1x8x8", "are both given"),
        "--loss": ("-o x.so --loss=mse", "--loss needs --train"),
        "--optimizer": ("-o x.so --optimizer=adam", "--optimizer needs --train"),
        "--learning-rate": ("-o x.so --learning-rate=1", "--learning-rate needs --train"),
        "--momentum": ("-o x.so --train --optimizer=adam --momentum=0.9", "--momentum needs --optimizer=sgd"),
        "--trainable": ("-o x.so --trainable=*", "--trainable needs --train"),
    },
    "check": {"--dim": ALWAYS, "--shape": ALWAYS},
    "info": {"--manifest": ALWAYS, "--dim": ("LIBRARY --manifest --dim batch=1", "--dim needs the description"),
             "--shape": ("LIBRARY --manifest --shape image=1x1x8x8", "--shape needs the description")},
    "run": {
        "--input": ALWAYS, "--dim": ALWAYS, "--shape": ALWAYS, "--weights": ALWAYS, "--output": ALWAYS, "--expect": ALWAYS,
        "--threads": ALWAYS,
        "--seed": ("LIBRARY --input ones --dim batch=1 --seed 1", "--seed has no effect: no input is random"),
        "--rtol": ("LIBRARY --input random --dim batch=1 --rtol 1", "--rtol needs --expect"),
        "--atol": ("LIBRARY --input random --dim batch=1 --atol 1", "--atol needs --expect"),
        "--device": ("LIBRARY --input random --dim batch=1 --device 1", "--device has no effect: the library runs on the CPU"),
    },
    "bench": {
        "--input": ALWAYS, "--dim": ALWAYS, "--shape": ALWAYS, "--weights": ALWAYS, "--warmup": ALWAYS, "--iterations": ALWAYS,
        "--threads": ALWAYS, "--json": ALWAYS,
        "--seed": ("LIBRARY --input ones --dim batch=1 --seed 1", "--seed has no effect: no input is random"),
        "--duration": ("LIBRARY --dim batch=1 --duration 1 --iterations 1", "--duration needs"),
        "--device": ("LIBRARY --dim batch=1 --device 1", "--device has no effect: the library runs on the CPU"),
    },
    "verify": {
        "--input": ALWAYS, "--dim": ALWAYS, "--shape": ALWAYS, "--input-value": ALWAYS, "--against": ALWAYS, "--rtol": ALWAYS,
        "--atol": ALWAYS, "--library": ALWAYS, "--outputs-only": ALWAYS, "--json": ALWAYS, "--quiet": ALWAYS,
        "--seed": ("MODEL --input ones --dim batch=1 --seed 1", "--seed has no effect: no input is random"),
        "--cpu": ("MODEL --library=LIBRARY --outputs-only --cpu=native", "--cpu needs something to compile"),
        "--python": ("MODEL --python=/bin/sh", "--python needs --against=onnxruntime"),
        "--static": ("MODEL --static --library=LIBRARY", "--static needs a library that verify compiles"),
        "--save": ("MODEL --save=d --outputs-only", "--save needs nodes to be checked"),
        "--max-ulp": ("MODEL --max-ulp=4 --outputs-only", "--max-ulp needs nodes to be checked"),
        "--all": ("MODEL --all --json", "--all needs a table"),
    },
    "ops": {"--markdown": ALWAYS},
}


def run(*command, **options):
    return subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=300, check=False, **options)


@pytest.mark.parametrize("command", NEEDS)
def test_every_option_is_in_the_table(mlc, command):
    listed = re.findall(r"^  (?:-\w, )?(--[\w-]+)", run(mlc, command, "--help").stdout, re.MULTILINE)
    assert sorted(set(listed) - {"--help"}) == sorted(NEEDS[command])


@pytest.mark.parametrize("command, option", [(command, option) for command, options in NEEDS.items()
                                             for option, need in options.items() if need])
def test_option_without_effect(mlc, compiled, digits, tmp_path, command, option):
    call, message = NEEDS[command][option]
    np.save(tmp_path / "x.npy", np.zeros((1, 1, 8, 8), np.float32))
    places = {"MODEL": str(digits), "LIBRARY": str(compiled(digits))}
    words = [re.sub("MODEL|LIBRARY", lambda match: places[match[0]], word) for word in call.split()]
    done = run(mlc, command, *([digits] if command == "compile" else []), *words, cwd=tmp_path)
    assert done.returncode in (1, 64) and message in done.stderr, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


@pytest.mark.parametrize("command, option", [
    ("compile", "--output=x.so"), ("compile", "--cpu=native"), ("compile", "--learning-rate=1"), ("compile", "--name=n"),
    ("run", "--threads=1"), ("bench", "--duration=1"), ("bench", "--seed=1"), ("verify", "--rtol=1"), ("verify", "--library=x.so"),
])
def test_option_given_twice(mlc, digits, tmp_path, command, option):
    """The first would have no effect."""
    done = run(mlc, command, digits, option, option, cwd=tmp_path)
    assert done.returncode == 64 and f"option {option.split('=')[0]} is given twice" in done.stderr
    assert not any(tmp_path.iterdir())


def test_options_that_may_be_repeated(mlc, digits, tmp_path):
    done = run(mlc, "verify", digits, "--dim", "batch=1", "--dim", "batch=1", "--outputs-only")
    assert done.returncode == 0, done.stderr
    done = run(mlc, "compile", digits, "-o", tmp_path / "x.so", "--dim=batch=1", "--shape=image=1x1x8x8", "--dim=batch=1")
    assert done.returncode == 0, done.stderr


def test_report_of_a_stage(mlc, digits):
    """The pages that a compilation reaches: all of them unless pages are named."""
    for emit, pages in (("onnx", ["the model", "time of the compilation"]),
                        ("core", ["the model", "what nodes became: core operations", "time of the compilation"])):
        done = run(mlc, "compile", digits, f"--emit={emit}", "--report")
        assert re.findall("^== (.*)$", done.stderr, re.MULTILINE) == pages
    done = run(mlc, "compile", digits, "--emit=onnx", "--report=model")
    assert re.findall("^== (.*)$", done.stderr, re.MULTILINE) == ["the model"]


@pytest.mark.parametrize("options, message", [
    (["--train", "--trainable=fc.*", "--trainable=nothing"], "--trainable: no floating-point initializer of the model matches 'nothing'"),
    (["--train", "--learning-rate=0"], "expected a number above 0"),
    (["--train", "--momentum=-1"], "expected a number of at least 0"),
])
def test_values_without_effect(mlc, root, tmp_path, options, message):
    done = run(mlc, "compile", root / "examples/digits/digits_init.onnx", "-o", tmp_path / "x.so", *options)
    assert done.returncode in (1, 64) and message in done.stderr, done.stderr


def test_outputs_only_as_json(mlc, digits):
    """Nodes that never ran are not called right."""
    done = run(mlc, "verify", digits, "--dim", "batch=1", "--outputs-only", "--json")
    report = json.loads(done.stdout)
    assert report["verified"] and len(report["nodes"]) == 8
    for node in report["nodes"]:
        assert node["ok"] is None and node["verdict"] == "not checked" and node["note"] == "not compiled alone"
    done = run(mlc, "verify", digits, "--dim", "batch=1", "--json")
    assert all(node["ok"] is True and node["verdict"] == "ok" for node in json.loads(done.stdout)["nodes"])


def test_sizes_that_do_not_fit(mlc, digits):
    """Told before the model is compiled: the compiler would not have gone further than the wrong --cpu."""
    for option, message in (("--shape=image=1x3x8x8", "dimension 1 is 1 in the model, not 3"), ("--dim=btach=1", '"btach"')):
        done = run(mlc, "verify", digits, option, "--cpu=none-such")
        assert done.returncode == 1 and message in done.stderr, done.stderr
