"""BERT (Devlin et al. 2018): the encoder with its pooler."""
import exporting
import numpy as np
import torch
import transformers

VOCABULARY, POSITIONS = 200, 64
HIDDEN_AXES = {0: "batch", 1: "sequence"}


class Bert(torch.nn.Module):
    """Positional inputs and a tuple of outputs, as exporters want them."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, token_type_ids):
        result = self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        return result.last_hidden_state, result.pooler_output


def make_bert():
    config = transformers.BertConfig(
        vocab_size=VOCABULARY, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256,
        max_position_embeddings=POSITIONS, attn_implementation="eager")
    return Bert(exporting.spread(transformers.BertModel(config))).eval()


def padded_mask(rng, batch, sequence):
    """Every row but the first has padding at its end."""
    mask = np.ones((batch, sequence), np.int64)
    for row in range(1, batch):
        mask[row, int(rng.integers(1, sequence + 1)):] = 0
    return mask


def bert_feeds(rng, batch, sequence):
    mask = padded_mask(rng, batch, sequence)
    return {"input_ids": rng.integers(0, VOCABULARY, (batch, sequence)), "attention_mask": mask,
            "token_type_ids": rng.integers(0, 2, (batch, sequence))}


MODELS = [
    exporting.Small(
        "bert-small", make_bert, bert_feeds,
        inputs={name: HIDDEN_AXES for name in ("input_ids", "attention_mask", "token_type_ids")},
        outputs={"last_hidden_state": HIDDEN_AXES, "pooler_output": {0: "batch"}},
        sizes=[(1, 1), (1, 7), (1, 16), (2, 33), (3, 64)], traced=(2, 9), most={"sequence": POSITIONS}),
]
