"""T5 (Raffel et al. 2020): encoder and decoder with relative position bias; the decoder with cross attention and a cache."""
import bert
import exporting
import numpy as np
import torch
import transformers

LAYERS, HEADS, HEAD_SIZE, HIDDEN, VOCABULARY = 2, 4, 8, 32, 100


def t5():
    """Eager attention: the dynamo exporter fails on PyTorch's fused one with a position bias ("Cannot view a tensor")."""
    config = transformers.T5Config(vocab_size=VOCABULARY, d_model=HIDDEN, d_kv=HEAD_SIZE, d_ff=64, num_layers=LAYERS,
                                   num_heads=HEADS, relative_attention_num_buckets=8, relative_attention_max_distance=20,
                                   feed_forward_proj="gated-gelu", decoder_start_token_id=0, tie_word_embeddings=False,
                                   attn_implementation="eager")
    return exporting.spread(transformers.T5ForConditionalGeneration(config), factor=2)


class Encoder(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.encoder = model.get_encoder()

    def forward(self, input_ids, attention_mask):
        return (self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state,)


class Decoder(torch.nn.Module):
    """The first tokens: keys and values of the encoder's states are made here."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, encoder_attention_mask, encoder_hidden_states):
        outputs = transformers.modeling_outputs.BaseModelOutput(last_hidden_state=encoder_hidden_states)
        result = self.model(decoder_input_ids=input_ids, attention_mask=encoder_attention_mask, encoder_outputs=outputs,
                            use_cache=True)
        caches = result.past_key_values
        layers = zip(caches.self_attention_cache.layers, caches.cross_attention_cache.layers)
        return result.logits, *(tensor for pair in layers for layer in pair for tensor in (layer.keys, layer.values))


class DecoderWithPast(torch.nn.Module):
    """Later tokens: `past` is key and value of the decoder, then of the encoder's states, for every layer."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, encoder_attention_mask, *past):
        own = transformers.DynamicCache(list(zip(past[0::4], past[1::4])))
        cross = transformers.DynamicCache(list(zip(past[2::4], past[3::4])))
        # Nothing but its length is read of the encoder's states: their keys and values are in the cache.
        states = transformers.modeling_outputs.BaseModelOutput(
            last_hidden_state=torch.zeros(*encoder_attention_mask.shape, self.model.config.d_model))
        result = self.model(decoder_input_ids=input_ids, attention_mask=encoder_attention_mask, encoder_outputs=states,
                            past_key_values=transformers.EncoderDecoderCache(own, cross), use_cache=True)
        layers = result.past_key_values.self_attention_cache.layers
        return result.logits, *(tensor for layer in layers for tensor in (layer.keys, layer.values))


def floats(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def encoder_feeds(rng, batch, sequence):
    return {"input_ids": rng.integers(0, VOCABULARY, (batch, sequence)),
            "attention_mask": bert.padded_mask(rng, batch, sequence)}


def decoder_feeds(rng, batch, sequence, encoded):
    return {"input_ids": rng.integers(0, VOCABULARY, (batch, sequence)),
            "encoder_attention_mask": bert.padded_mask(rng, batch, encoded),
            "encoder_hidden_states": floats(rng, batch, encoded, HIDDEN)}


def with_past_feeds(rng, batch, sequence, encoded, past):
    feeds = {"input_ids": rng.integers(0, VOCABULARY, (batch, sequence)),
             "encoder_attention_mask": bert.padded_mask(rng, batch, encoded)}
    for name in pairs("past_key_values"):
        feeds[name] = floats(rng, batch, HEADS, encoded if "encoder" in name else past, HEAD_SIZE)
    return feeds


def pairs(prefix, sides=("decoder", "encoder"), layers=LAYERS):
    return [f"{prefix}.{layer}.{side}.{part}" for layer in range(layers) for side in sides for part in ("key", "value")]


def cache_axes(names, length):
    """`length`: the symbol of the decoder's own keys."""
    return {name: {0: "batch", 2: "encoded" if "encoder" in name else length} for name in names}


TOKENS, ENCODED = {0: "batch", 1: "sequence"}, {0: "batch", 1: "encoded"}
MODELS = [
    exporting.Small("t5-encoder-small", lambda: Encoder(t5()), encoder_feeds,
                    inputs={"input_ids": TOKENS, "attention_mask": TOKENS}, outputs={"last_hidden_state": TOKENS},
                    sizes=[(1, 1), (1, 5), (3, 17), (2, 64)], traced=(2, 9)),
    exporting.Small("t5-decoder-small", lambda: Decoder(t5()), decoder_feeds,
                    inputs={"input_ids": TOKENS, "encoder_attention_mask": ENCODED, "encoder_hidden_states": ENCODED},
                    outputs={"logits": TOKENS} | cache_axes(pairs("present"), "sequence"),
                    sizes=[(1, 1, 1), (1, 1, 9), (3, 5, 17), (2, 17, 5)], traced=(2, 3, 7)),
    exporting.Small("t5-decoder-with-past-small", lambda: DecoderWithPast(t5()), with_past_feeds,
                    inputs={"input_ids": TOKENS, "encoder_attention_mask": ENCODED,
                            **cache_axes(pairs("past_key_values"), "past")},
                    outputs={"logits": TOKENS} | cache_axes(pairs("present", ("decoder",)), "total"),
                    sizes=[(1, 1, 1, 1), (1, 1, 9, 16), (3, 1, 17, 5), (2, 4, 5, 3)], traced=(2, 3, 7, 5)),
]
