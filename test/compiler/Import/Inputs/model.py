"""Makes ONNX files of the text in a test: protobuf's text format, whose comments hold the RUN and CHECK lines.

    model.py FILE.test FOLDER

Each part that begins with a line `# ---- name` becomes FOLDER/name.onnx; a file without such lines becomes model.onnx.
Nothing is checked: most of these models are wrong on purpose.
"""
import pathlib
import re
import sys

import onnx
from google.protobuf import text_format

source, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
parts = re.split(r"^# ---- (\S+)\n", source.read_text(), flags=re.MULTILINE)
named = dict(zip(parts[1::2], parts[2::2])) or {"model": parts[0]}
for name, text in named.items():
    model = text_format.Parse(text, onnx.ModelProto())
    (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
