"""Pages that are generated must be what the compiler prints today."""
import subprocess


def test_operators_page(mlc, root):
    printed = subprocess.run([mlc, "ops", "--markdown"], capture_output=True, text=True, check=True).stdout
    page = (root / "docs/operators.md").read_text()
    assert page == printed, "stale: run `mlc ops --markdown > docs/operators.md`"
