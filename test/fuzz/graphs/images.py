"""Pooling, resizing, sampling, and signals."""
import numpy as np
from contractions import window
from graph import F32, F64, I32, I64, Generators, tensor_type

OPERATORS = Generators()
operator = OPERATORS.operator


def pooled(g, name):
    dtype = F32 if name == "LpPool" else g.dtype(name)
    rank = g.of(2, 1, 3)
    spatial = tuple(g.integer(1, 6) for _ in range(rank))
    sizes = tuple(g.integer(1, 3) for _ in range(rank))
    dilated = g.opset >= {"AveragePool": 19, "MaxPool": 10, "LpPool": 18}[name]
    attributes = window(g, sizes, spatial, dilated)
    value = g.tensor(dtype, (g.size(), g.size(), *spatial), specials=False)
    if g.opset >= {"AveragePool": 10, "MaxPool": 10, "LpPool": 18}[name] and "auto_pad" not in attributes:
        attributes["ceil_mode"] = g.of(0, 1)
    return value, attributes


@operator("AveragePool")
def average_pool(g):
    value, attributes = pooled(g, "AveragePool")
    g.node("AveragePool", [value], count_include_pad=g.of(0, 1), **attributes)


@operator("LpPool")
def lp_pool(g):
    value, attributes = pooled(g, "LpPool")
    g.node("LpPool", [value], p=g.of(1, 2, 3), **attributes)


@operator("MaxPool")
def max_pool(g):
    value, attributes = pooled(g, "MaxPool")
    g.node("MaxPool", [value], outputs=g.of(1, 2), storage_order=g.of(0, 0, 1), **attributes)


@operator("MaxUnpool")
def max_unpool(g):
    value = g.tensor(F32, (g.size(), g.size(), 2 * g.size(), 2 * g.size()), specials=False)
    pooled_values = g.node("MaxPool", [value], outputs=2, kernel_shape=[2, 2], strides=[2, 2])
    g.node("MaxUnpool", pooled_values, kernel_shape=[2, 2], strides=[2, 2])


def over_all(name):
    def make(g):
        dtype = g.dtype(name)
        sizes = g.shape(3, 4)
        value = g.tensor(dtype, sizes, specials=False)
        g.node(name, [value], **({"p": g.of(1, 2)} if name == "GlobalLpPool" else {}))
    return make


for pool_name in ("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"):
    OPERATORS["", pool_name] = over_all(pool_name)


@operator("Resize")
def resize(g):
    mode = g.of("nearest", "linear", "cubic") if g.opset >= 11 else g.of("nearest", "linear")
    spatial = tuple(g.integer(1, 5) for _ in range(2))
    value = g.tensor(F32, (*(g.size() for _ in range(2)), *spatial), specials=False)
    scales = [1.0, 1.0, g.of(1.0, 2.0, 0.5, 1.5, 3.0), g.of(1.0, 2.0, 0.6, 2.5)]
    if g.opset < 11:
        return g.node("Resize", [value, g.parameter(np.array(scales, np.float32))], mode=mode)
    attributes = {"coordinate_transformation_mode": g.of("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")}
    if mode == "nearest":
        attributes["nearest_mode"] = g.of("round_prefer_floor", "floor", "ceil", "round_prefer_ceil")
    if mode == "cubic":
        attributes.update(cubic_coeff_a=g.of(None, -0.5), exclude_outside=g.of(0, 1))
    if g.opset >= 18 and g.flag():
        attributes["antialias"] = 0 if mode == "nearest" else 1
    sizes = None
    if g.flag():
        scales, sizes = None, [*value.shape[:2], g.integer(1, 7), g.integer(1, 7)]
    if g.opset >= 18 and sizes and g.flag():
        attributes.update(axes=[2, 3], keep_aspect_ratio_policy=g.of("stretch", "not_larger", "not_smaller"))
        sizes = sizes[2:]
    return g.node("Resize", [value, None if g.opset >= 13 else g.constant(np.zeros(0, np.float32)),
                             g.parameter(np.array(scales, np.float32)) if scales else
                             None if g.opset >= 13 else g.constant(np.zeros(0, np.float32)),
                             g.parameter(np.array(sizes, np.int64)) if sizes else None], mode=mode, **attributes)


@operator("Upsample")
def upsample(g):
    value = g.tensor(F32, g.shape(4, 4), specials=False)
    scales = [1.0, 1.0, g.of(1.0, 2.0, 3.0), g.of(1.0, 2.0)]
    if g.opset < 9:
        g.node("Upsample", [value], mode="nearest", scales=scales)
    else:
        g.node("Upsample", [value, g.parameter(np.array(scales, np.float32))], mode=g.of("nearest", "linear"))


@operator("GridSample")
def grid_sample(g):
    rank = g.of(2, 3) if g.opset >= 20 else 2
    batch, channels = g.size(), g.size()
    value = g.tensor(F32, (batch, channels, *(g.size() for _ in range(rank))), specials=False)
    grid = g.tensor(F32, (batch, *(g.size() for _ in range(rank)), rank), -1.3, 1.3)
    modes = ["linear", "nearest", *(["cubic"] if rank == 2 else [])] if g.opset >= 20 else ["bilinear", "nearest", "bicubic"]
    g.node("GridSample", [value, grid], mode=g.chooser.of(modes), padding_mode=g.of("zeros", "border", "reflection"),
           align_corners=g.of(0, 1))


@operator("AffineGrid")
def affine_grid(g):
    rank, batch = g.of(2, 3), g.size()
    corners = g.of(0, 1)  # of one point they are everywhere, by each reference elsewhere
    size = g.parameter(np.array([batch, 2, *(g.integer(1 + corners, 4) for _ in range(rank))]))
    g.node("AffineGrid", [g.tensor(F32, (batch, rank, rank + 1), specials=False), size], align_corners=corners)


@operator("RoiAlign")
def roi_align(g):
    batch, count = g.size(), g.size()
    value = g.tensor(F32, (batch, g.size(), g.integer(1, 6), g.integer(1, 6)), specials=False)
    corners = np.sort(g.rng.uniform(0, 6, (count, 2, 2)), 1).reshape(count, 4).astype(np.float32)
    g.node("RoiAlign", [value, g.fresh(corners), g.indices(batch, (count,), negative=False)], output_height=g.of(1, 2, 3),
           output_width=g.of(1, 2), sampling_ratio=g.of(1, 2, 3), spatial_scale=g.of(1.0, 0.5), mode=g.of("avg", "max"),
           **({"coordinate_transformation_mode": g.of("half_pixel", "output_half_pixel")} if g.opset >= 16 else {}))


@operator("DeformConv")
def deform_conv(g):
    batch, channels, outer = g.size(), g.of(1, 2), g.of(1, 2)
    height, width, kernel = g.integer(2, 5), g.integer(2, 5), g.integer(1, 2)
    out = (batch, height - kernel + 1, width - kernel + 1)
    inputs = [g.tensor(F32, (batch, channels, height, width), specials=False, fixed=[1, 2, 3]),
              g.weights(F32, (outer, channels, kernel, kernel)),
              g.tensor(F32, (out[0], 2 * kernel * kernel, *out[1:]), -1, 1, False, [1, 2, 3])]
    if g.flag():
        inputs += [g.weights(F32, (outer,)), g.tensor(F32, (out[0], kernel * kernel, *out[1:]), 0, 1, False, [1, 2, 3])]
    g.node("DeformConv", inputs, kernel_shape=[kernel, kernel], pads=[0, 0, 0, 0])


@operator("Col2Im")
def col2im(g):
    block = [g.integer(1, 2), g.integer(1, 3)]
    image = [g.integer(block[0], 5), g.integer(block[1], 5)]
    count = (image[0] - block[0] + 1) * (image[1] - block[1] + 1)
    value = g.tensor(F32, (g.size(), g.of(1, 2) * block[0] * block[1], count), specials=False, fixed=[1])
    g.node("Col2Im", [value, g.parameter(np.array(image)), g.parameter(np.array(block))])


@operator("NonMaxSuppression")
def non_max_suppression(g):
    batch, boxes = g.size(), g.size()
    corners = np.sort(g.rng.uniform(0, 4, (batch, boxes, 2, 2)), 2).reshape(batch, boxes, 4).astype(np.float32)
    scores = g.rng.permutation(batch * boxes * 2).reshape(batch, 2, boxes).astype(np.float32) / 40
    limits = [g.parameter(np.array([g.integer(0, 3)])), g.parameter(np.array([0.3], np.float32)), g.parameter(np.array([0.1], np.float32))]
    g.node("NonMaxSuppression", [g.fresh(corners), g.fresh(scores), *limits], center_point_box=g.of(0, 0, 1))


def taper(name):
    def make(g):
        size = g.parameter(np.array(g.integer(3, 9), g.of(I64, I32)))  # ends are 0.42 - 0.5 + 0.08
        g.node(name, [size], periodic=g.of(0, 1), output_datatype=tensor_type(g.of(F32, F64)))
    return make


for taper_name in ("BlackmanWindow", "HammingWindow", "HannWindow"):
    OPERATORS["", taper_name] = taper(taper_name)


@operator("MelWeightMatrix")
def mel_weight_matrix(g):
    ints = [g.integer(1, 6), g.of(8, 16), 8000]
    edges = [np.array(0.0, np.float32), np.array(4000.0, np.float32)]
    g.node("MelWeightMatrix", [g.parameter(np.array(value)) for value in ints] + [g.parameter(edge) for edge in edges])


@operator("DFT")
def dft(g):
    inverse = g.of(0, 1)
    value = g.tensor(F32, (*g.shape(2, 2), 2 if inverse else g.of(1, 2)), specials=False, fixed=[1, 2])
    length = g.parameter(np.array(g.integer(1, 6))) if g.flag() else None
    onesided = 0 if inverse or value.shape[-1] == 2 else g.of(0, 1)
    if g.opset >= 20:
        axis = g.parameter(np.array(g.of(1, -2, 0))) if g.flag() else None
        g.node("DFT", [value, length, axis], inverse=inverse, onesided=onesided)
    else:
        g.node("DFT", [value, length], axis=1, inverse=inverse, onesided=onesided)


@operator("STFT")
def stft(g):
    length, step = g.integer(2, 8), g.integer(1, 4)
    signal = g.tensor(F32, (g.size(), length + g.integer(0, 8), 1), specials=False, fixed=[1, 2])
    taper_values = g.weights(F32, (length,), 0, 1) if g.flag() else None
    g.node("STFT", [signal, g.constant(np.array(step)), taper_values, g.constant(np.array(length))], onesided=g.of(0, 1))
