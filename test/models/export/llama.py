"""Language models of Llama's family: RMS norms, rotary positions, grouped queries, gated feed-forward layers; with caches."""
import causal
import exporting
import transformers

LAYERS, HEADS, KEY_HEADS, HEAD_SIZE, VOCABULARY, POSITIONS = 2, 4, 2, 8, 100, 64
SIZES = {"vocab_size": VOCABULARY, "hidden_size": HEADS * HEAD_SIZE, "intermediate_size": 64, "num_hidden_layers": LAYERS,
         "num_attention_heads": HEADS, "num_key_value_heads": KEY_HEADS, "max_position_embeddings": POSITIONS,
         "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}
EXPORTERS = {"legacy": exporting.legacy(), "dynamo": exporting.dynamo()}


def small(name, model, config, exporters):
    def make():
        return causal.Causal(exporting.spread(model(config)))

    return causal.small(name, make, causal.Cache(LAYERS, KEY_HEADS, HEAD_SIZE), VOCABULARY, POSITIONS, exporters=exporters)


MODELS = [
    # Opset 23 has Attention and RMSNormalization; ONNX Runtime has its own.
    small("llama-small", transformers.LlamaForCausalLM, transformers.LlamaConfig(**SIZES),
          EXPORTERS | {"dynamo-opset23": exporting.dynamo(23), "fused": exporting.fused()}),
    small("mistral-small", transformers.MistralForCausalLM,
          transformers.MistralConfig(**SIZES, head_dim=HEAD_SIZE, sliding_window=None), {"dynamo": exporting.dynamo()}),
    # Norms of queries and keys.
    small("qwen3-small", transformers.Qwen3ForCausalLM, transformers.Qwen3Config(**SIZES, head_dim=HEAD_SIZE), EXPORTERS),
]
