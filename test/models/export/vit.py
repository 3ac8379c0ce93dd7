"""Transformers on images: ViT (Dosovitskiy et al. 2020) on patches, Swin (Liu et al. 2021) on shifted windows of them."""
import exporting
import numpy as np
import torch
import transformers

IMAGE, CLASSES = 32, 10


class Classifier(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, pixel_values):
        return (self.model(pixel_values).logits,)


def vit():
    config = transformers.ViTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
                                    image_size=IMAGE, patch_size=8, num_labels=CLASSES)
    return Classifier(exporting.spread(transformers.ViTForImageClassification(config)))


def swin():
    """Eager attention: the dynamo exporter fails on PyTorch's fused one with a position bias ("Cannot view a tensor")."""
    config = transformers.SwinConfig(image_size=IMAGE, patch_size=2, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4,
                                     mlp_ratio=2.0, num_labels=CLASSES, attn_implementation="eager")
    return Classifier(exporting.spread(transformers.SwinForImageClassification(config)))


def feeds(rng, batch):
    return {"pixel_values": rng.standard_normal((batch, 3, IMAGE, IMAGE)).astype(np.float32)}


MODELS = [exporting.Small(name, make, feeds, inputs={"pixel_values": {0: "batch"}}, outputs={"logits": {0: "batch"}},
                          sizes=[(1,), (2,), (3,)], traced=(2,))
          for name, make in (("vit-small", vit), ("swin-small", swin))]
