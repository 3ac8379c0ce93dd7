"""Whisper (Radford et al. 2022): the encoder, two convolutions along time and a transformer; and the decoder's first tokens."""
import exporting
import numpy as np
import torch
import transformers

MELS, POSITIONS, HIDDEN, VOCABULARY = 16, 40, 32, 100


def whisper():
    config = transformers.WhisperConfig(
        vocab_size=VOCABULARY, num_mel_bins=MELS, encoder_layers=2, encoder_attention_heads=4, decoder_layers=2,
        decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, d_model=HIDDEN, max_source_positions=POSITIONS,
        max_target_positions=32, pad_token_id=0, bos_token_id=0, eos_token_id=0, decoder_start_token_id=1)
    return exporting.spread(transformers.WhisperForConditionalGeneration(config))


class Encoder(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.encoder = model.get_encoder()

    def forward(self, input_features):
        return (self.encoder(input_features).last_hidden_state,)


class Decoder(torch.nn.Module):
    """For the dynamo exporter alone: the other one has no aten::diff, which finds packed sequences when there is no mask."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, encoder_hidden_states):
        outputs = transformers.modeling_outputs.BaseModelOutput(last_hidden_state=encoder_hidden_states)
        return (self.model(decoder_input_ids=input_ids, encoder_outputs=outputs, use_cache=False).logits,)


def encoder_feeds(rng, batch):
    return {"input_features": rng.standard_normal((batch, MELS, 2 * POSITIONS)).astype(np.float32)}


def decoder_feeds(rng, batch, sequence):
    return {"input_ids": rng.integers(0, VOCABULARY, (batch, sequence)),
            "encoder_hidden_states": rng.standard_normal((batch, POSITIONS, HIDDEN)).astype(np.float32)}


MODELS = [
    exporting.Small("whisper-encoder-small", lambda: Encoder(whisper()), encoder_feeds,
                    inputs={"input_features": {0: "batch"}}, outputs={"last_hidden_state": {0: "batch"}},
                    sizes=[(1,), (2,), (3,)], traced=(2,)),
    exporting.Small("whisper-decoder-small", lambda: Decoder(whisper()), decoder_feeds,
                    inputs={"input_ids": {0: "batch", 1: "sequence"}, "encoder_hidden_states": {0: "batch"}},
                    outputs={"logits": {0: "batch", 1: "sequence"}}, sizes=[(1, 1), (2, 5), (3, 17)], traced=(2, 4),
                    most={"sequence": 32}, exporters={"dynamo": exporting.dynamo()}),
]
