"""BERT (Devlin et al. 2018) with its pooler, DistilBERT (Sanh et al. 2019), RoBERTa (Liu et al. 2019) with a classifier,
DeBERTa (He et al. 2020)."""
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


class Masked(torch.nn.Module):
    """The first result of a model that takes tokens and a mask."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        return (self.model(input_ids=input_ids, attention_mask=attention_mask)[0],)


def make_bert():
    config = transformers.BertConfig(
        vocab_size=VOCABULARY, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256,
        max_position_embeddings=POSITIONS, attn_implementation="eager")
    return Bert(exporting.spread(transformers.BertModel(config))).eval()


def make_distilbert():
    config = transformers.DistilBertConfig(vocab_size=VOCABULARY, dim=32, n_layers=2, n_heads=4, hidden_dim=64,
                                           max_position_embeddings=POSITIONS)
    return Masked(exporting.spread(transformers.DistilBertModel(config)))


def make_roberta():
    """Positions count the tokens that are not padding: a running sum."""
    config = transformers.RobertaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                                        intermediate_size=64, max_position_embeddings=POSITIONS + 2, num_labels=3,
                                        pad_token_id=1)
    return Masked(exporting.spread(transformers.RobertaForSequenceClassification(config)))


def make_deberta():
    """Attention between contents and relative positions, gathered from a product."""
    config = transformers.DebertaV2Config(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=POSITIONS, relative_attention=True, position_buckets=8, pos_att_type=["p2c", "c2p"],
        type_vocab_size=0, norm_rel_ebd="layer_norm", share_att_key=True)
    return Masked(exporting.spread(transformers.DebertaV2Model(config)))


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


def masked_feeds(rng, batch, sequence):
    """Padding has token 1."""
    mask = padded_mask(rng, batch, sequence)
    return {"input_ids": np.where(mask, rng.integers(2, VOCABULARY, (batch, sequence)), 1), "attention_mask": mask}


def masked(name, make, outputs, **options):
    return exporting.Small(name, make, masked_feeds, inputs={name: HIDDEN_AXES for name in ("input_ids", "attention_mask")},
                           outputs=outputs, sizes=[(1, 1), (1, 5), (3, 17)], traced=(2, 9), most={"sequence": POSITIONS}, **options)


MODELS = [
    exporting.Small(
        "bert-small", make_bert, bert_feeds,
        inputs={name: HIDDEN_AXES for name in ("input_ids", "attention_mask", "token_type_ids")},
        outputs={"last_hidden_state": HIDDEN_AXES, "pooler_output": {0: "batch"}},
        sizes=[(1, 1), (1, 7), (1, 16), (2, 33), (3, 64)], traced=(2, 9), most={"sequence": POSITIONS}),
    masked("distilbert-small", make_distilbert, {"last_hidden_state": HIDDEN_AXES},
           exporters={"legacy": exporting.legacy(), "dynamo": exporting.dynamo(), "fused": exporting.fused()}),
    masked("deberta-small", make_deberta, {"last_hidden_state": HIDDEN_AXES}),
    masked("roberta-small", make_roberta, {"logits": {0: "batch"}}),
]
