#!/usr/bin/env python3
"""Exports the small BERT that the tests compile, with PyTorch's own exporters, and stores what PyTorch computes for it.

Runs by hand, never in tools/test: it needs an environment of its own with PyTorch (several GB).

    python3 -m venv /tmp/venv-torch
    /tmp/venv-torch/bin/pip install -r test/models/requirements-torch.txt
    /tmp/venv-torch/bin/python test/models/make_models.py

Writes into test/models/bert-small/:
    legacy.onnx   torch.onnx.export(dynamo=False), opset 17: the graph that most published models look like
    dynamo.onnx   torch.onnx.export(dynamo=True), opset 20: what new exports look like
    golden.npz    for each (batch, sequence) of SIZES: inputs and PyTorch's outputs, as "<batch>x<sequence>/<name>"

Both files hold the same weights; batch and sequence are dynamic in both.
"""
import pathlib

import numpy as np
import onnx
import torch
import transformers

OUT = pathlib.Path(__file__).resolve().parent / "bert-small"
SIZES = [(1, 1), (1, 7), (1, 16), (2, 33), (3, 64)]
INPUTS, OUTPUTS = ["input_ids", "attention_mask", "token_type_ids"], ["last_hidden_state", "pooler_output"]


class Bert(torch.nn.Module):
    """Positional inputs and a tuple of outputs, as exporters want them."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, token_type_ids):
        result = self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        return result.last_hidden_state, result.pooler_output


def make_bert():
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=200, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256,
        max_position_embeddings=64, attn_implementation="eager")
    model = transformers.BertModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # the usual 0.02 leaves attention almost uniform: no test of softmax
            if parameter.dim() == 2:
                parameter.mul_(4)
            elif parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return Bert(model).eval()


def make_inputs(batch, sequence, seed):
    """Random tokens; every row but the first has padding at its end."""
    rng = np.random.default_rng(seed)
    mask = np.ones((batch, sequence), np.int64)
    for row in range(1, batch):
        mask[row, int(rng.integers(1, sequence + 1)):] = 0
    return (rng.integers(0, 200, (batch, sequence)), mask, rng.integers(0, 2, (batch, sequence)))


def export_legacy(model, example, path):
    names = INPUTS + OUTPUTS
    axes = {name: {0: "batch", 1: "sequence"} for name in names[:-1]} | {"pooler_output": {0: "batch"}}
    torch.onnx.export(model, example, str(path), dynamo=False, opset_version=17, input_names=INPUTS, output_names=OUTPUTS,
                      dynamic_axes=axes)


def export_dynamo(model, example, path):
    batch, sequence = torch.export.Dim("batch", min=1, max=64), torch.export.Dim("sequence", min=1, max=64)
    program = torch.onnx.export(model, example, dynamo=True, opset_version=20, input_names=INPUTS, output_names=OUTPUTS,
                                dynamic_shapes=[{0: batch, 1: sequence}] * 3)
    program.save(str(path), external_data=False)
    exported = onnx.load(path)  # traces with paths of the exporting machine: not part of the model
    for node in exported.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*exported.graph.value_info, *exported.graph.input, *exported.graph.output, *exported.graph.initializer]:
        del value.metadata_props[:]
    for function in exported.functions:
        del function.metadata_props[:]
        for node in function.node:
            del node.metadata_props[:]
    onnx.save(exported, path)


def main():
    OUT.mkdir(exist_ok=True)
    model = make_bert()
    example = tuple(torch.from_numpy(array) for array in make_inputs(2, 9, seed=99))
    export_legacy(model, example, OUT / "legacy.onnx")
    export_dynamo(model, example, OUT / "dynamo.onnx")

    golden = {}
    for seed, (batch, sequence) in enumerate(SIZES):
        inputs = make_inputs(batch, sequence, seed)
        with torch.no_grad():
            outputs = model(*(torch.from_numpy(array) for array in inputs))
        for name, array in zip(INPUTS + OUTPUTS, [*inputs, *(output.numpy() for output in outputs)]):
            golden[f"{batch}x{sequence}/{name}"] = array
    np.savez_compressed(OUT / "golden.npz", **golden)

    for path in sorted(OUT.glob("*.onnx")):
        exported = onnx.load(path)
        onnx.checker.check_model(exported, full_check=True)
        if path.stat().st_size > 1 << 20:
            raise SystemExit(f"error: {path} is larger than 1 MB")
        print(f"{path.name}: {path.stat().st_size} bytes, {len(exported.graph.node)} nodes, "
              f"{sorted({node.op_type for node in exported.graph.node})}")


if __name__ == "__main__":
    main()
