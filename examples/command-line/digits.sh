#!/bin/sh
# From a model to its results on the command line: is it supported, what does it take, compile, run, compare, measure.
# Usage: digits.sh FOLDER; FOLDER holds images.npy (examples/digits/data.py writes it) and receives everything else.
set -eux
cd "$(dirname "$0")/../.."
PATH=$PWD/build/bin:$PATH
model=examples/digits/digits.onnx

mlc check $model
mlc info $model
mlc compile $model -o "$1/digits.so" --report=memory
mlc run "$1/digits.so" --input image=@"$1/images.npy" --output logits=@"$1/logits.npy"

# Another library for exactly one image, for any processor since 2013: it must agree.
mlc compile $model -o "$1/one.so" --dim batch=1 --cpu x86-64-v3
mlc run "$1/one.so" --input image=ones --output logits=@"$1/one.npy"
mlc run "$1/digits.so" --input image=ones --dim batch=1 --expect logits=@"$1/one.npy" --rtol 1e-4
mlc bench "$1/one.so" --threads 1 --warmup 10 --iterations 100
