"""What a command leaves: whole files, or what was there before; never a crash, a half-written file or a temporary one."""
import os
import resource
import shutil
import signal
import subprocess
import time

import pytest

OUTPUTS = ["x.so", "x.a", "x.o", "x.weights", "--emit=core", "--emit=llvm", "--emit=asm"]


def run(*command, **options):
    return subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=300, check=False, **options)


def arguments(output, folder):
    return [output, "-o", folder / "x.txt"] if output.startswith("--") else ["-o", folder / output]


def assert_refused(done, reason, code=1):
    assert done.returncode == code, done.stderr
    assert reason in done.stderr and "crash" not in done.stderr and "LLVM ERROR" not in done.stderr, done.stderr


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Where outputs go, and where temporary files go."""
    outputs, temporary = tmp_path / "out", tmp_path / "tmp"
    outputs.mkdir()
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    return outputs, temporary


def contents(folders):
    return {path.name: path.read_bytes() for folder in folders for path in folder.iterdir()}


@pytest.mark.parametrize("output", [output if output in ("x.so", "x.a") else pytest.param(output, marks=pytest.mark.slow)
                                    for output in OUTPUTS])
def test_limit_of_file_sizes(mlc, digits, folders, output):
    """Wherever the limit strikes, what was there before stays, and nothing is added."""
    whole = run(mlc, "compile", digits, *arguments(output, folders[0]))
    assert whole.returncode == 0, whole.stderr
    before = contents(folders)
    largest = max(len(content) for content in before.values())
    for share in (0, 0.1, 0.5, 0.9):
        limit = int(share * largest)
        done = run(mlc, "compile", digits, *arguments(output, folders[0]),
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))  # noqa: B023
        assert_refused(done, "cannot be written: File too large")
        assert contents(folders) == before


@pytest.mark.parametrize("output", OUTPUTS)
def test_full_disk(mlc, digits, folders, output):
    """A file system of 4 pages: enough to begin, too little to end."""
    script = 'mount -t tmpfs -o size=16k none "$0" && { "$@"; code=$?; ls "$0"; exit $code; }'
    done = run("unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "sh", "-c", script,
               folders[0], mlc, "compile", digits, *arguments(output, folders[0]))
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip("no file system can be mounted here: " + done.stderr)
    assert_refused(done, "cannot be written: No space left on device")
    assert done.stdout == "" and contents(folders) == {}


@pytest.mark.parametrize("command", ["compile --emit=core", "compile --emit=asm", "info", "check", "ops", "--help", "--version"])
def test_standard_output_is_full(mlc, digits, command):
    first, *rest = command.split()
    model = [] if first in ("ops", "--help", "--version") else [digits]
    with open("/dev/full", "w") as full:
        done = subprocess.run([str(part) for part in [mlc, first, *model, *rest]], stdout=full, stderr=subprocess.PIPE,
                              text=True, timeout=300, check=False)
    assert_refused(done, "standard output: cannot be written: No space left on device")


def test_device_as_output(mlc, digits, tmp_path):
    """What is no regular file is written into: pipes work, and the errors of devices arrive."""
    done = run(mlc, "compile", digits, "--emit=core", "-o", "/dev/stdout")
    assert done.returncode == 0 and "core.conv" in done.stdout
    assert_refused(run(mlc, "compile", digits, "--emit=core", "-o", "/dev/full"), "/dev/full: cannot be written: No space left")
    target, link = tmp_path / "target.txt", tmp_path / "link.txt"
    link.symlink_to(target)
    assert run(mlc, "compile", digits, "--emit=core", "-o", link).returncode == 0
    assert link.is_symlink() and "core.conv" in target.read_text()


# Each option that names an output; {} is a place where nothing can be made.
UNWRITABLE = ["-o {}/x.so", "-o {}/x.a", "-o {}/x.o", "-o {}/x.weights", "--emit=core -o {}/x.txt",
              "-o OUT/x.so --weights={}/x.weights", "-o OUT/x.so --depfile={}/x.d", "-o OUT/x.so --report-file={}/x.txt",
              "-o OUT/x.so --save-stages={}/stages"]


@pytest.mark.parametrize("options", UNWRITABLE)
def test_unwritable_output(mlc, root, folders, options):
    """Found before the compilation: the model is not even read."""
    (folders[1] / "file").touch()
    place = folders[1] / "file"
    words = [word.replace("OUT", str(folders[0])).format(place) for word in options.split()]
    done = run(mlc, "compile", folders[1] / "no-such-model.onnx", *words)
    assert_refused(done, f"{place}/")
    assert "Not a directory" in done.stderr and "no-such-model" not in done.stderr
    assert list(folders[0].iterdir()) == []


def test_output_is_a_folder(mlc, digits, folders):
    (folders[0] / "x.so").mkdir()
    assert_refused(run(mlc, "compile", digits, "-o", folders[0] / "x.so"), "x.so: cannot be written: Is a directory")
    (folders[0] / "y.h").mkdir()
    assert_refused(run(mlc, "compile", digits, "-o", folders[0] / "y.so"), "y.h: cannot be written: Is a directory")
    assert sorted(os.listdir(folders[0])) == ["x.so", "y.h"]


@pytest.mark.parametrize("output", ["x.so", "x.a", "x.o", "x.weights"])
def test_library_does_not_replace_a_pipe(mlc, folders, output):
    os.mkfifo(folders[0] / output)
    done = run(mlc, "compile", folders[1] / "no-such-model.onnx", "-o", folders[0] / output)
    assert_refused(done, f"{output}: is not a regular file")
    assert (folders[0] / output).is_fifo()


@pytest.mark.parametrize("output", OUTPUTS[:4])
def test_names_with_special_characters(mlc, digits, folders, output):
    folder = folders[0] / "100% of a 'name'"
    folder.mkdir()
    done = run(mlc, "compile", digits, "-o", folder / f"%1 {output}")
    assert done.returncode == 0, done.stderr
    made = {f"%1 {output}"} | ({"%1 x.h", "%1 x.json"} if output != "x.weights" else set())
    assert set(os.listdir(folder)) == made
    if output == "x.so":
        done = run(mlc, "run", folder / "%1 x.so", "--input", "random", "--dim", "batch=1", "--output", f"@{folder}/%.npy")
        assert done.returncode == 0 and set(os.listdir(folder)) == made | {"%.npy"}, done.stderr


@pytest.mark.parametrize("options, message", [
    ("-o x.so --weights=x.json", "two outputs are the same file: x.json"),
    ("-o x.so --depfile=x.h", "two outputs are the same file: x.h"),
    ("-o x.so --depfile=x.d --report-file=x.d", "two outputs are the same file: x.d"),
    ("-o x.so --weights=model.onnx", "the output model.onnx is the model itself"),
    ("--emit=core -o ./model.onnx", "the output ./model.onnx is the model itself"),
])
def test_outputs_that_collide(mlc, digits, folders, options, message):
    shutil.copy(digits, folders[0] / "model.onnx")
    before = contents(folders)
    assert_refused(run(mlc, "compile", "model.onnx", *options.split(), cwd=folders[0]), message, code=64)
    assert contents(folders) == before


def test_output_is_data_of_the_model(mlc, digits, folders):
    import onnx
    onnx.save(onnx.load(digits), folders[0] / "model.onnx", save_as_external_data=True, location="model.weights", size_threshold=0)
    before = contents(folders)
    for options in (["-o", "model.weights"], ["-o", "x.so", "--weights=model.weights"]):
        done = run(mlc, "compile", "model.onnx", *options, cwd=folders[0])
        assert_refused(done, "the output model.weights is data of the model")
        assert contents(folders) == before


def test_run_and_verify(mlc, compiled, digits, folders):
    """mlc run and mlc verify look at what they will write before they work."""
    (folders[1] / "file").touch()
    before = contents(folders)
    done = run(mlc, "run", compiled(digits), "--input", "random", "--dim", "batch=1", "--output", f"@{folders[1]}/file/x.npy")
    assert_refused(done, "file/x.npy: cannot be written: Not a directory")
    done = run(mlc, "run", compiled(digits), "--input", "random", "--dim", "batch=1", "--output", "@/dev/full")
    assert_refused(done, "/dev/full: cannot be written: No space left on device")
    done = run(mlc, "verify", digits, "--dim", "batch=1", "--save", folders[1] / "file/x")
    assert_refused(done, "file/x: cannot be written: Not a directory")
    done = run(mlc, "verify", digits, "--dim", "batch=1", "--save", folders[0] / "new/folder")
    assert done.returncode == 0, done.stderr  # nothing deviates: nothing is left
    assert contents(folders) == before


def ended_by(number, command, is_ready, **options):
    def untouched():  # what starts the tests in the background, or nohup, may have it ignored
        signal.signal(number, signal.SIG_DFL)

    process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, **{"preexec_fn": untouched, **options})
    while not is_ready() and process.poll() is None:
        time.sleep(0.001)
    assert process.poll() is None, "it ended before there was anything to clean up"
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    return process.returncode, output + errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGXCPU])
@pytest.mark.parametrize("command", ["compile", "verify"])
def test_signals(mlc, root, folders, number, command):
    """A signal ends the command, which removes its temporary files first."""
    model = root / "test/models/convnext-small/legacy.onnx"
    options = ["-o", folders[0] / "x.so"] if command == "compile" else []
    code, text = ended_by(number, [mlc, command, model, *options],
                          lambda: any(any(folder.iterdir()) for folder in folders[1].iterdir()))
    assert code == -number and text == ""
    assert contents(folders) == {}


def test_ignored_signal(mlc, digits, folders):
    """As under nohup: what is ignored from the start stays ignored."""
    ignore = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)  # noqa: E731
    process = subprocess.Popen([str(mlc), "compile", str(digits), "-o", str(folders[0] / "x.so")], preexec_fn=ignore)
    while process.poll() is None:
        process.send_signal(signal.SIGHUP)
        time.sleep(0.01)
    assert process.returncode == 0 and (folders[0] / "x.so").exists()
