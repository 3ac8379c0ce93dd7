"""tools/quickstart, run again in a built tree: it must also work when everything is in place."""
import re
import subprocess


def test_quickstart(mlc, root):
    done = subprocess.run([str(root / "tools/quickstart")], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=900, check=False, cwd="/")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    accuracies = [float(text) for text in re.findall(r"accuracy: ([\d.]+) %", done.stdout)]
    assert len(accuracies) == 2 and min(accuracies) >= 97  # the command line's and the C program's


def test_unknown_option(root):
    for script in ("quickstart", "test", "install"):
        done = subprocess.run([str(root / "tools" / script), "--nonsense"], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and "--nonsense" in done.stderr
