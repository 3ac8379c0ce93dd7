"""Exports the small models that the tests compile, with the real exporters from the real libraries, and stores golden values.

Runs by hand, never in tools/test: it needs an environment of its own with PyTorch and TensorFlow (several GB).

    python3 -m venv /tmp/venv-torch
    /tmp/venv-torch/bin/pip install -r test/models/requirements-torch.txt
    /tmp/venv-torch/bin/python test/models/export [NAME ...]

Without a name it makes all of them. exporting.py tells what a model is; every family has a file with its list MODELS.
"""
import argparse

import bert
import clip
import detection
import exporting
import from_keras
import gpt2
import llama
import recurrent
import t5
import vision
import vit
import wav2vec2
import whisper

FAMILIES = (bert, clip, detection, from_keras, gpt2, llama, recurrent, t5, vision, vit, wav2vec2, whisper)
MODELS = {small.name: small for family in FAMILIES for small in family.MODELS}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MODELS))
    args = parser.parse_args()
    if unknown := set(args.names) - set(MODELS):
        parser.error(f"no model {', '.join(sorted(unknown))}; there are {', '.join(MODELS)}")
    for name in args.names or MODELS:
        exporting.write(MODELS[name])


if __name__ == "__main__":
    main()
