"""The benchmark's tables: that every column has its figure, not what the figures are."""
import re
import subprocess
import sys


def output(root, script, *arguments):
    done = subprocess.run([sys.executable, root / "tools/bench" / script, *arguments], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_table_and_profile(root):
    text = output(root, "bench.py", "digits", "--rounds", "1", "--profile")
    assert re.search(r"^digits +\d", text, re.MULTILINE) and "1 of 1 compiled, ran and agree" in text
    assert re.search(r"^kernel_\d+ +contract +.* \d+x\d+x\d+ r-?\d l\d task [\d,]+$", text, re.MULTILINE)
    assert "ONNX Runtime, us of each operator" in text


def test_facts_of_kernels(root):
    text = output(root, "kernels.py", "digits", "--facts", "--", "--cpu=x86-64-v3")
    assert len(re.findall(r"^kernel_\d+ +contract +1 ", text, re.MULTILINE)) >= 3 and "x8 r" in text
