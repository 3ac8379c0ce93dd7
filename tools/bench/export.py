#!/usr/bin/env python3
"""Exports networks at their published sizes, with random weights, for tools/bench/bench: `real-size` there.

The networks are those of test/models/export, which this needs the environment of (PyTorch, torchvision, timm, transformers), in the
configurations that the papers name. Files go to build/bench/models; none is committed, because they have up to 700 MB.

    /tmp/venv-torch/bin/python tools/bench/export.py [NAME ...]
"""
import argparse
import functools
import os
import pathlib
import sys
import warnings

import models
import numpy as np
import timm
import torch
import torchvision
import transformers
from torch import nn

sys.path.insert(0, str(models.ROOT / "test/models/export"))
import causal  # noqa: E402
import detection  # noqa: E402
import exporting  # noqa: E402
import t5  # noqa: E402
import vision  # noqa: E402
import vit  # noqa: E402
import whisper  # noqa: E402

CLASSES = 1000
IMAGE = ["batch", 3, "height", "width"]
LOGITS = {"logits": {0: "batch"}}


def network(name, make, inputs, outputs, *traced):
    """`inputs`: {name: sizes and symbols}; `traced`: a size for each symbol."""
    def array(rng, key, shape):
        if "mask" in key:
            return np.ones(shape, np.int64)
        return rng.integers(0, 100, shape) if key == "input_ids" else rng.standard_normal(shape, np.float32)

    def feeds(rng, **sizes):
        return {key: array(rng, key, [sizes.get(dim, dim) for dim in dims]) for key, dims in inputs.items()}

    axes = {key: {axis: dim for axis, dim in enumerate(dims) if isinstance(dim, str)} for key, dims in inputs.items()}
    return exporting.Small(name, make, feeds, axes, outputs, sizes=[], traced=traced)


def spread(module):
    """Deviations of 0.04 in place of 0.02, as grown.py has them."""
    return exporting.spread(module, factor=2)


# Transformers ---------------------------------------------------------------------------------------------------------------

LLAMA_LAYERS, LLAMA_KEY_HEADS, LLAMA_HEAD_SIZE, LLAMA_VOCABULARY, LLAMA_POSITIONS = 30, 3, 64, 49152, 8192
T5_LAYERS, T5_HEADS, T5_HEAD_SIZE, T5_HIDDEN = 12, 12, 64, 768
WHISPER_MELS, WHISPER_POSITIONS = 80, 1500


def make_llama():
    """SmolLM2-135M (Allal et al. 2025)."""
    return causal.Causal(spread(transformers.LlamaForCausalLM(transformers.LlamaConfig(
        vocab_size=LLAMA_VOCABULARY, hidden_size=576, intermediate_size=1536, num_hidden_layers=LLAMA_LAYERS, num_attention_heads=9,
        num_key_value_heads=LLAMA_KEY_HEADS, max_position_embeddings=LLAMA_POSITIONS, tie_word_embeddings=True))))


def make_t5():
    """The base size of T5 1.1."""
    return transformers.T5ForConditionalGeneration(transformers.T5Config(
        vocab_size=32128, d_model=T5_HIDDEN, d_kv=T5_HEAD_SIZE, d_ff=2048, num_layers=T5_LAYERS, num_heads=T5_HEADS,
        feed_forward_proj="gated-gelu", decoder_start_token_id=0, tie_word_embeddings=False, attn_implementation="eager")).eval()


def t5_decoder():
    """One token behind `past`: keys and values of the encoder's states are inputs."""
    past = {name: ["batch", T5_HEADS, "encoded" if "encoder" in name else "past", T5_HEAD_SIZE]
            for name in t5.pairs("past_key_values", layers=T5_LAYERS)}
    present = t5.cache_axes(t5.pairs("present", ("decoder",), T5_LAYERS), "total")
    return network("t5-decoder", lambda: t5.DecoderWithPast(make_t5()),
                   {"input_ids": ["batch", "sequence"], "encoder_attention_mask": ["batch", "encoded"], **past},
                   {"logits": t5.TOKENS, **present}, 2, 3, 7, 5)


def make_whisper():
    """The base size."""
    model = transformers.WhisperForConditionalGeneration(transformers.WhisperConfig(
        d_model=512, encoder_layers=6, encoder_attention_heads=8, encoder_ffn_dim=2048, decoder_layers=1, decoder_attention_heads=8,
        decoder_ffn_dim=2048, num_mel_bins=WHISPER_MELS, max_source_positions=WHISPER_POSITIONS))
    return whisper.Encoder(spread(model))


def make_vit():
    return vit.Classifier(spread(transformers.ViTForImageClassification(transformers.ViTConfig(num_labels=CLASSES))))


def make_swin():
    config = transformers.SwinConfig(num_labels=CLASSES, attn_implementation="eager")
    return vit.Classifier(spread(transformers.SwinForImageClassification(config)))


# Convolutions ---------------------------------------------------------------------------------------------------------------


def classifier(name, make):
    """`make` gives a module of images to logits."""
    return network(name, lambda: vision.Outputs(vision.calibrated(make(), (2, 224, 224))).eval(), {"image": IMAGE}, LOGITS, 2, 224, 256)


def make_convnext():
    """The scale of residual branches begins at 1e-6, which would hide them."""
    return timm.models.convnext.ConvNeXt(depths=(3, 3, 9, 3), dims=(96, 192, 384, 768), num_classes=CLASSES, ls_init_value=0.5)


class UNet(nn.Module):
    """Ronneberger et al. 2015, padded: `depth` times half the size and twice the channels, and back."""

    def __init__(self, inputs, width, depth):
        super().__init__()
        self.down = vision.DoubleConv(inputs, width)
        self.below = UNet(width, 2 * width, depth - 1) if depth else None
        self.transposed = nn.ConvTranspose2d(2 * width, width, 2, stride=2) if depth else None
        self.up = vision.DoubleConv(2 * width, width) if depth else None

    def forward(self, image):
        skip = self.down(image)
        if not self.below:
            return skip
        below = self.below(nn.functional.max_pool2d(skip, 2))
        return self.up(torch.cat([skip, self.transposed(below)], 1))


def make_unet():
    body = nn.Sequential(UNet(3, 64, 4), nn.Conv2d(64, 2, 1))
    return vision.Outputs(vision.calibrated(body, (2, 64, 96))).eval()


def make_ssdlite():
    """SSDlite on MobileNetV3 (Howard et al. 2019), with some tens of detections: no two of their scores are close."""
    module = torchvision.models.detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, score_thresh=0.7)
    vision.calibrated(module.backbone, (2, 320, 320))
    detection.decisive(module.head, factor=0.5)
    return detection.Detector(module).eval()


TOKENS = ["batch", "sequence"]
PIXELS = {"pixel_values": ["batch", 3, 224, 224]}
STATES = {"last_hidden_state": t5.TOKENS}
NETWORKS = [
    causal.small("llama", make_llama, causal.Cache(LLAMA_LAYERS, LLAMA_KEY_HEADS, LLAMA_HEAD_SIZE), LLAMA_VOCABULARY, LLAMA_POSITIONS),
    network("t5-encoder", lambda: t5.Encoder(make_t5()), {"input_ids": TOKENS, "attention_mask": TOKENS}, STATES, 2, 9),
    t5_decoder(),
    network("whisper-encoder", make_whisper, {"input_features": ["batch", WHISPER_MELS, 2 * WHISPER_POSITIONS]},
            {"last_hidden_state": {0: "batch"}}, 2),
    network("vit-base", make_vit, PIXELS, LOGITS, 2), network("swin-tiny", make_swin, PIXELS, LOGITS, 2),
    classifier("convnext-tiny", make_convnext),
    classifier("efficientnet-b0", functools.partial(torchvision.models.efficientnet_b0, weights=None)),
    classifier("mobilenetv3-large", functools.partial(torchvision.models.mobilenet_v3_large, weights=None)),
    network("unet", make_unet, {"image": IMAGE}, {"mask": vision.IMAGE_AXES}, 2, 64, 96),
    network("ssdlite", make_ssdlite, {"image": [3, "height", "width"]},
            {name: detection.BOX_AXES for name in ("boxes", "scores", "labels")}, 320, 384),
]


def write(small):
    """One file, by the exporter that most published models come from."""
    models.MADE.mkdir(parents=True, exist_ok=True)
    path = models.MADE / f"{small.name}.onnx"
    unfinished = pathlib.Path(f"{path}.{os.getpid()}.tmp")
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracers warn of every Python branch
        exporting.legacy()(small, small.make(), unfinished)
    model = exporting.without_traces(unfinished)
    unfinished.rename(path)
    print(f"{path.relative_to(models.ROOT)}: {path.stat().st_size / 1e6:.0f} MB, {len(model.graph.node)} nodes", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = {small.name: small for small in NETWORKS}
    assert set(known) == set(models.EXPORTED), "models.EXPORTED lists what this file makes"
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    args = parser.parse_args()
    if unknown := set(args.names) - set(known):
        parser.error(f"no network {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    for name in args.names or known:
        write(known[name])


if __name__ == "__main__":
    main()
