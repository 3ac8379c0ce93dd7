"""Models of Keras 3 on TensorFlow, as its own exporter (tf2onnx) writes them: channels last, so that transposes abound; a GRU as a Loop."""
import functools
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import exporting  # noqa: E402
import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras import layers  # noqa: E402

VOCABULARY = 50
SEQUENCE_AXES = {0: "batch", 1: "sequence"}


def tf2onnx(small, model, path):
    del small
    model.export(str(path), format="onnx", verbose=False)


def evaluate(model, arrays):
    return [np.asarray(model(*arrays, training=False))]


def model_of(inputs, outputs):
    """Every weight random: norms and biases have other values than those they begin with."""
    model = keras.Model(inputs, outputs)
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if "variance" in weight.path or "gamma" in weight.path:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif len(weight.shape) == 1:
            weight.assign(0.2 * rng.standard_normal(weight.shape))
    model(np.zeros([size or 8 for size in inputs.shape]))  # the exporter wants a model that has run
    return model


def normalized(values, activation):
    return layers.Activation(activation)(layers.BatchNormalization()(values))


def make_cnn():
    image = keras.Input((None, None, 3), name="image")
    first = normalized(layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(image), "relu6")
    deep = normalized(layers.DepthwiseConv2D(3, padding="same", strides=2)(first), "swish")
    squeezed = layers.Dense(16, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(deep))
    summed = layers.Add()([deep, layers.SeparableConv2D(16, 3, padding="same", activation="silu")(layers.Multiply()([deep, squeezed]))])
    padded = layers.Conv2D(24, 3, strides=2)(layers.ZeroPadding2D(((0, 1), (0, 1)))(summed))
    pooled = layers.AveragePooling2D(2, strides=1, padding="same")(layers.MaxPooling2D(3, strides=2, padding="same")(padded))
    features = layers.Dropout(0.5)(layers.GlobalMaxPooling2D()(layers.LeakyReLU(0.1)(pooled)))
    return model_of(image, layers.Dense(10, activation="softmax")(features))


def make_unet():
    image = keras.Input((None, None, 3), name="image")
    skip = normalized(layers.Conv2D(8, 3, padding="same")(image), "relu")
    half = normalized(layers.Conv2D(16, 3, padding="same")(layers.MaxPooling2D()(skip)), "elu")
    bottom = layers.Conv2D(24, 3, padding="same", activation="silu")(layers.MaxPooling2D()(half))
    up = layers.Concatenate()([half, layers.Conv2DTranspose(16, 3, strides=2, padding="same")(bottom)])
    up = layers.UpSampling2D(2)(normalized(layers.Conv2D(8, 3, padding="same")(up), "tanh"))
    up = layers.Concatenate()([skip, up])
    return model_of(image, layers.Conv2D(2, 1)(up))


def make_lstm():
    features = keras.Input((None, 6), name="features")
    states = layers.Bidirectional(layers.LSTM(12, return_sequences=True))(features)
    return model_of(features, layers.Dense(4)(layers.LSTM(12)(states)))


def make_gru():
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    states = layers.Bidirectional(layers.GRU(12, return_sequences=True))(layers.Embedding(VOCABULARY, 8)(tokens))
    return model_of(tokens, layers.Dense(4)(layers.GRU(12, reset_after=False)(states)))


def make_masked_lstm():
    """Token 0 is padding, which leaves the state as it was."""
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    embedded = layers.Embedding(VOCABULARY, 8, mask_zero=True)(tokens)
    return model_of(tokens, layers.Dense(4)(layers.LSTM(12)(embedded)))


def approximate_gelu(values):
    """tf2onnx has no erfc, which the exact one is written with."""
    return keras.activations.gelu(values, approximate=True)


def make_attention():
    """A transformer block; Keras writes attention with einsum."""
    features = keras.Input((None, 16), name="features")
    attended = layers.MultiHeadAttention(num_heads=4, key_dim=4)(features, features, use_causal_mask=True)
    summed = layers.LayerNormalization(epsilon=1e-5)(layers.Add()([features, attended]))
    wide = layers.Dense(16)(layers.Dense(32, activation=approximate_gelu)(summed))
    return model_of(features, layers.LayerNormalization(epsilon=1e-5)(layers.Add()([summed, wide])))


def image_feeds(rng, batch, height, width):
    return {"image": rng.standard_normal((batch, height, width, 3), np.float32)}


def feature_feeds(width):
    return lambda rng, batch, sequence: {"features": rng.standard_normal((batch, sequence, width), np.float32)}


def token_feeds(rng, batch, sequence):
    return {"tokens": rng.integers(1, VOCABULARY, (batch, sequence), np.int32)}


def padded_feeds(rng, batch, sequence):
    lengths = rng.integers(1, sequence + 1, (batch, 1))
    return {"tokens": np.where(np.arange(sequence) < lengths, token_feeds(rng, batch, sequence)["tokens"], 0).astype(np.int32)}


def seeded(make):
    keras.utils.set_random_seed(0)
    return make()


def small(name, make, feeds, inputs, output_axes, sizes):
    return exporting.Small(name, functools.partial(seeded, make), feeds, inputs=inputs, outputs={"Identity:0": output_axes}, sizes=sizes, traced=sizes[0],
                           exporters={"tf2onnx": tf2onnx}, evaluate=evaluate)


def of_images(name, make, output_axes, sizes):
    return small(name, make, image_feeds, {"image": {0: "batch", 1: "height", 2: "width"}}, output_axes, sizes)


def of_sequences(name, make, input_name, feeds, output_axes, sizes=((1, 1), (2, 5), (3, 17))):
    return small(name, make, feeds, {input_name: SEQUENCE_AXES}, output_axes, list(sizes))


MODELS = [
    of_images("keras-cnn-small", make_cnn, {0: "batch"}, [(1, 32, 32), (2, 33, 47), (3, 64, 40)]),
    of_images("keras-unet-small", make_unet, {0: "batch", 1: "height", 2: "width"}, [(1, 16, 16), (2, 32, 24), (1, 40, 72)]),
    of_sequences("keras-lstm-small", make_lstm, "features", feature_feeds(6), {0: "batch"}),
    of_sequences("keras-gru-small", make_gru, "tokens", token_feeds, {0: "batch"}),
    of_sequences("keras-masked-lstm-small", make_masked_lstm, "tokens", padded_feeds, {0: "batch"}, [(1, 3), (2, 5), (4, 17)]),
    of_sequences("keras-attention-small", make_attention, "features", feature_feeds(16), SEQUENCE_AXES),
]
