"""CLIP (Radford et al. 2021): a text and an image encoder, and the similarity of every text with every image."""
import bert
import exporting
import numpy as np
import torch
import transformers

IMAGE, VOCABULARY, POSITIONS = 32, 100, 32
TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


class Clip(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, pixel_values, attention_mask):
        result = self.model(input_ids=input_ids, pixel_values=pixel_values, attention_mask=attention_mask)
        return result.logits_per_image, result.logits_per_text, result.text_embeds, result.image_embeds


def make_clip():
    config = transformers.CLIPConfig(
        text_config=TOWER | {"vocab_size": VOCABULARY, "max_position_embeddings": POSITIONS, "eos_token_id": VOCABULARY - 1,
                             "bos_token_id": 0, "pad_token_id": 1},
        vision_config=TOWER | {"image_size": IMAGE, "patch_size": 8}, projection_dim=16)
    return Clip(exporting.spread(transformers.CLIPModel(config)))


def feeds(rng, texts, sequence, images):
    """The end of a text, whose state CLIP takes, is the first token with the largest number."""
    mask = bert.padded_mask(rng, texts, sequence)
    tokens = rng.integers(2, VOCABULARY - 1, (texts, sequence))
    for row, length in enumerate(mask.sum(1)):
        tokens[row, length - 1:] = VOCABULARY - 1
    return {"input_ids": tokens, "pixel_values": rng.standard_normal((images, 3, IMAGE, IMAGE)).astype(np.float32),
            "attention_mask": mask}


MODELS = [exporting.Small(
    "clip-small", make_clip, feeds,
    inputs={"input_ids": {0: "texts", 1: "sequence"}, "pixel_values": {0: "images"},
            "attention_mask": {0: "texts", 1: "sequence"}},
    outputs={"logits_per_image": {0: "images", 1: "texts"}, "logits_per_text": {0: "texts", 1: "images"},
             "text_embeds": {0: "texts"}, "image_embeds": {0: "images"}},
    sizes=[(1, 1, 1), (3, 7, 2), (2, 17, 1)], traced=(2, 9, 3), most={"sequence": POSITIONS})]
