"""Language models with a key/value cache, as optimum's exports have them: past keys and values in, present ones out."""
import dataclasses

import exporting
import numpy as np
import torch
import transformers

# (batch, sequence, total, past): prompts of 1, 5 and 17 tokens; one token behind 1, 16 and 40; several tokens behind some.
SIZES = [(1, 1, 1, 0), (1, 5, 5, 0), (3, 17, 17, 0), (1, 1, 2, 1), (1, 1, 17, 16), (2, 1, 41, 40), (2, 4, 11, 7)]


@dataclasses.dataclass
class Cache:
    layers: int
    heads: int  # of keys
    size: int   # of a head


class Causal(torch.nn.Module):
    """logits and the present keys and values of every layer."""

    def __init__(self, model):
        super().__init__()
        self.model = model.eval()

    def forward(self, input_ids, attention_mask, *past):
        cache = transformers.DynamicCache(list(zip(past[::2], past[1::2])))
        result = self.model(input_ids=input_ids, attention_mask=attention_mask, past_key_values=cache, use_cache=True)
        present = [tensor for layer in result.past_key_values.layers for tensor in (layer.keys, layer.values)]
        return result.logits, *present


def small(name, make, cache, vocabulary, positions, **options):
    """A model of the kind above; `options` are more fields of Small."""
    def feeds(rng, batch, sequence, total, past):
        arrays = {"input_ids": rng.integers(0, vocabulary, (batch, sequence)),
                  "attention_mask": padded_mask(rng, batch, total)}
        for key in inputs:
            if key.startswith("past"):
                arrays[key] = rng.standard_normal((batch, cache.heads, past, cache.size)).astype(np.float32)
        return arrays

    pairs = [f"{layer}.{part}" for layer in range(cache.layers) for part in ("key", "value")]
    inputs = {"input_ids": {0: "batch", 1: "sequence"}, "attention_mask": {0: "batch", 1: "total"}}
    inputs |= {f"past_key_values.{pair}": {0: "batch", 2: "past"} for pair in pairs}
    outputs = {"logits": {0: "batch", 1: "sequence"}} | {f"present.{pair}": {0: "batch", 2: "total"} for pair in pairs}
    return exporting.Small(name, make, feeds, inputs, outputs, SIZES, traced=(2, 3, 8, 5), least={"past": 0},
                           most={"sequence": positions, "total": positions, "past": positions}, **options)


def padded_mask(rng, batch, total):
    """Every row but the first has up to half of its tokens hidden. The first token is not: a query that sees nothing has no
    defined result (0 in PyTorch's fused attention, another value in what the exporters write for it)."""
    mask = np.ones((batch, total), np.int64)
    for row in range(1, batch):
        mask[row, 1:1 + int(rng.integers(0, total // 2 + 1))] = 0
    return mask
