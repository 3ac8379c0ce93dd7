#!/usr/bin/env python3
"""The first 20 losses of training the digits CNN in PyTorch: what `mlc compile --train` must reproduce to 1e-4.

Runs by hand in the environment of ../models/requirements-torch.txt:

    /tmp/venv-torch/bin/python test/train/make_golden.py

Starts at the weights of examples/digits/digits_init.onnx. Step i uses rows 32 i .. 32 i + 31 of the training split of
examples/digits/data.py, in order. Writes golden_losses.json: {"sgd": [...], "adam": [...]}, the mean cross entropy of each step
before its update, computed in float32; "float64" holds the same in double precision, to show how much rounding matters.
"""
import json
import pathlib
import sys

import onnx
import torch
from onnx import numpy_helper

HERE = pathlib.Path(__file__).resolve().parent
DIGITS = HERE.parents[1] / "examples/digits"
sys.path.insert(0, str(DIGITS))
import data  # noqa: E402

STEPS, BATCH = 20, 32


def make_network(dtype):
    network = torch.nn.Sequential()
    network.add_module("conv1", torch.nn.Conv2d(1, 16, 3, padding=1))
    network.add_module("relu1", torch.nn.ReLU())
    network.add_module("pool1", torch.nn.MaxPool2d(2))
    network.add_module("conv2", torch.nn.Conv2d(16, 32, 3, padding=1))
    network.add_module("relu2", torch.nn.ReLU())
    network.add_module("pool2", torch.nn.MaxPool2d(2))
    network.add_module("flatten", torch.nn.Flatten())
    network.add_module("fc", torch.nn.Linear(128, 10))
    weights = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy())
               for tensor in onnx.load(DIGITS / "digits_init.onnx").graph.initializer}
    network.load_state_dict(weights)
    return network.to(dtype)


def losses(optimizer, dtype):
    network = make_network(dtype)
    step = {"sgd": lambda p: torch.optim.SGD(p, lr=0.05),
            "adam": lambda p: torch.optim.Adam(p, lr=1e-3, betas=(0.9, 0.999), eps=1e-8)}[optimizer](network.parameters())
    (images, labels), _ = data.split()
    result = []
    for i in range(STEPS):
        rows = slice(i * BATCH, (i + 1) * BATCH)
        loss = torch.nn.functional.cross_entropy(network(torch.from_numpy(images[rows]).to(dtype)),
                                                 torch.from_numpy(labels[rows]))
        step.zero_grad()
        loss.backward()
        step.step()
        result.append(loss.item())
    return result


def main():
    torch.set_num_threads(1)
    golden = {
        "source": f"PyTorch {torch.__version__.split('+')[0]}, test/train/make_golden.py",
        "batch": BATCH,
        "sgd": losses("sgd", torch.float32), "adam": losses("adam", torch.float32),
        "float64": {name: losses(name, torch.float64) for name in ("sgd", "adam")},
    }
    for name in ("sgd", "adam"):
        worst = max(abs(a - b) / abs(b) for a, b in zip(golden[name], golden["float64"][name]))
        print(f"{name}: first {golden[name][0]:.6f}, last {golden[name][-1]:.6f}, float32 against float64 {worst:.1e}")
    (HERE / "golden_losses.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
