"""wav2vec 2.0 (Baevski et al. 2020): convolutions along a sound of any length, then a transformer."""
import exporting
import numpy as np
import torch
import transformers


class Recognizer(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_values):
        return (self.model(input_values).logits,)


def make_wav2vec2():
    config = transformers.Wav2Vec2Config(
        vocab_size=32, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, conv_dim=(16, 16, 16),
        conv_stride=(5, 2, 2), conv_kernel=(10, 3, 3), num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=4)
    return Recognizer(exporting.spread(transformers.Wav2Vec2ForCTC(config)))


def feeds(rng, batch, samples):
    return {"input_values": rng.standard_normal((batch, samples)).astype(np.float32)}


MODELS = [exporting.Small(
    "wav2vec2-small", make_wav2vec2, feeds, inputs={"input_values": {0: "batch", 1: "samples"}},
    outputs={"logits": {0: "batch", 1: "frames"}}, sizes=[(1, 400), (2, 801), (3, 333)], traced=(2, 640),
    least={"samples": 100}, most={"samples": 100000})]
