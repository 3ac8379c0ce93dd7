"""Sequence classifiers of PyTorch: LSTM and GRU in both directions, with padded and with packed sequences."""
import exporting
import numpy as np
import torch
from torch import nn

VOCABULARY, HIDDEN = 50, 12


class Classifier(nn.Module):
    """Embeds tokens, reads them in both directions, and classifies the last states of both."""

    def __init__(self, kind):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 8)
        self.layers = kind(8, HIDDEN, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(2 * HIDDEN, 4)

    def forward(self, tokens):
        states, final = self.layers(self.embedding(tokens))
        final = final[0] if isinstance(final, tuple) else final
        return self.head(torch.cat([final[-2], final[-1]], 1)), states


class Packed(nn.Module):
    """A sequence of each length of the batch: exporters make sequence_lens of it."""

    def __init__(self, kind):
        super().__init__()
        self.layers = kind(6, HIDDEN, bidirectional=True, batch_first=True)
        self.head = nn.Linear(2 * HIDDEN, 4)

    def forward(self, features, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(features, lengths, batch_first=True, enforce_sorted=True)
        states, _ = nn.utils.rnn.pad_packed_sequence(self.layers(packed)[0], batch_first=True)
        return (self.head(states),)


def scaled(module):
    """Weights of a size that saturates some gates and leaves others open."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(2)
    return module.eval()


def token_feeds(rng, batch, sequence):
    return {"tokens": rng.integers(0, VOCABULARY, (batch, sequence))}


def packed_feeds(rng, batch, sequence):
    lengths = np.sort(rng.integers(1, sequence + 1, batch))[::-1].copy()
    lengths[0] = sequence  # PyTorch cuts its result at the longest
    return {"features": rng.standard_normal((batch, sequence, 6)).astype(np.float32), "lengths": lengths.astype(np.int64)}


AXES = {0: "batch", 1: "sequence"}
LEGACY = {"legacy": exporting.legacy()}  # the new exporter unrolls an RNN, and cannot pack sequences


def classifier(name, kind, **options):
    return exporting.Small(name, lambda: scaled(Classifier(kind)), token_feeds, inputs={"tokens": AXES},
                           outputs={"logits": {0: "batch"}, "states": AXES}, sizes=[(1, 1), (2, 5), (3, 17)], traced=(2, 9), **options)


def packed(name, kind):
    return exporting.Small(name, lambda: scaled(Packed(kind)), packed_feeds, inputs={"features": AXES, "lengths": {0: "batch"}},
                           outputs={"logits": AXES}, sizes=[(1, 4), (3, 7), (5, 12)], traced=(3, 9), exporters=LEGACY)


MODELS = [classifier("lstm-small", nn.LSTM), classifier("gru-small", nn.GRU), classifier("rnn-small", nn.RNN, exporters=LEGACY),
          packed("lstm-packed-small", nn.LSTM), packed("gru-packed-small", nn.GRU)]
