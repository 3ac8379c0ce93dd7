"""GPT-2 (Radford et al. 2019) with a key/value cache: a prompt has an empty past, every further token what came before."""
import causal
import exporting
import transformers

LAYERS, HEADS, HEAD_SIZE, VOCABULARY, POSITIONS = 2, 4, 8, 100, 64


def make_gpt2():
    config = transformers.GPT2Config(vocab_size=VOCABULARY, n_positions=POSITIONS, n_embd=HEADS * HEAD_SIZE, n_layer=LAYERS,
                                     n_head=HEADS, attn_implementation="eager", bos_token_id=0, eos_token_id=0)
    return causal.Causal(exporting.spread(transformers.GPT2LMHeadModel(config)))


MODELS = [causal.small("gpt2-small", make_gpt2, causal.Cache(LAYERS, HEADS, HEAD_SIZE), VOCABULARY, POSITIONS)]
