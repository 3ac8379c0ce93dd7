"""The package repeats mlc.h in ctypes: every size and offset must be the C compiler's."""
import ctypes
import re
import subprocess

from mlc import _abi, _errors

STRUCTURES = {"mlc_tensor": _abi.Tensor, "mlc_options": _abi.Options, "mlc_dim": _abi.Dim,
              "mlc_value_info": _abi.ValueInfo, "mlc_model": _abi.Model}


def test_structures(root, tmp_path):
    lines = []
    for name, structure in STRUCTURES.items():
        lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
        lines += [f'printf("{name}.{field[0]} %zu\\n", offsetof({name}, {field[0]}));' for field in structure._fields_]
    lines += ['printf("version %d\\n", MLC_ABI_VERSION);', 'printf("rank %d\\n", MLC_RANK_MAX);']
    (tmp_path / "abi.c").write_text("#include <stdio.h>\n#include <mlc/mlc.h>\nint main(void) {\n" + "\n".join(lines) +
                                    "\n}\n")
    subprocess.run(["clang-22", f"-I{root}/runtime/include", tmp_path / "abi.c", "-o", tmp_path / "abi"], check=True)
    printed = subprocess.run([tmp_path / "abi"], capture_output=True, text=True, check=True).stdout
    in_c = {name: int(value) for name, value in (line.split() for line in printed.splitlines())}
    here = {"version": _abi.ABI_VERSION, "rank": _abi.RANK_MAX}
    for name, structure in STRUCTURES.items():
        here[name] = ctypes.sizeof(structure)
        here.update({f"{name}.{field[0]}": getattr(structure, field[0]).offset for field in structure._fields_})
    assert here == in_c


def test_every_status_has_an_exception(root):
    header = (root / "runtime/include/mlc/mlc.h").read_text()
    statuses = {int(value) for value in re.findall(r"MLC_\w+ = (\d+)", header.split("} mlc_status;")[0])}
    assert set(_errors._BY_STATUS) == statuses - {0}
