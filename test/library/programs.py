"""Runs commands, and builds the small programs of this folder against generated libraries."""
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = pathlib.Path(__file__).resolve().parent
STRICT = ["-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def run(*command, **options):
    return subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=300, check=False, **options)


def output(*command, **options):
    """What a command prints that must succeed."""
    done = run(*command, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def build(program, *arguments, compiler=("clang-22", "-std=c11")):
    output(*compiler, *STRICT, *arguments, "-o", program)
    return program


def symbols(artifact, *options):
    """Names of symbols without their versions, as llvm-nm lists them."""
    names = output("llvm-nm-22", *options, "--format=just-symbols", artifact).split()
    return {name.partition("@")[0] for name in names if not name.endswith(":")}


def system_library(name):
    return output("clang-22", f"-print-file-name={name}").strip()


def bert_feeds(root, size="3x64"):
    import numpy as np
    golden = np.load(root / "test/models/bert-small/golden.npz")
    return {name: golden[f"{size}/{name}"] for name in ("input_ids", "attention_mask", "token_type_ids")}
