"""Products of matrices, convolutions, and their quantized forms."""
import numpy as np
from elementwise import partner
from graph import F32, I8, I16, I32, U8, U16, Generators, Reject

OPERATORS = Generators()
operator = OPERATORS.operator


def matrices(g, dtype, second=None):
    """Operands of a product: vectors, matrices, stacks that broadcast."""
    rows, inner, columns = g.size(), g.size(), g.size()
    batch = g.shape(0, 2)
    first = g.of((*batch, rows, inner), (rows, inner), (inner,))
    other = g.of((*partner(g, batch), inner, columns), (inner, columns), (inner,))
    return g.tensor(dtype, first, specials=False), g.tensor(second or dtype, other, specials=False)


@operator("MatMul")
def matmul(g):
    g.node("MatMul", matrices(g, g.dtype("MatMul")))


@operator("FusedMatMul", "com.microsoft")
def fused_matmul(g):
    rows, inner, columns, batch = g.size(), g.size(), g.size(), g.shape(0, 1)
    flip, flop = g.of(0, 1), g.of(0, 1)
    first = g.tensor(F32, (*batch, *((inner, rows) if flip else (rows, inner))), specials=False)
    second = g.tensor(F32, (*batch, *((columns, inner) if flop else (inner, columns))), specials=False)
    g.node("FusedMatMul", [first, second], domain="com.microsoft", transA=flip, transB=flop, alpha=g.of(1.0, 0.5))


@operator("Gemm")
def gemm(g):
    dtype = g.dtype("Gemm")
    rows, inner, columns = g.size(), g.size(), g.size()
    flip, flop = g.of(0, 1), g.of(0, 1)
    first = g.tensor(dtype, (inner, rows) if flip else (rows, inner), specials=False)
    second = g.tensor(dtype, (columns, inner) if flop else (inner, columns), specials=False)
    third = g.tensor(dtype, partner(g, (rows, columns)), specials=False) if g.flag() or g.opset < 11 else None
    scale = {} if dtype.kind in "iu" else {"alpha": g.of(1.0, 0.5), "beta": g.of(1.0, 0.25)}
    g.node("Gemm", [first, second, third], transA=flip, transB=flop, **scale)


EQUATIONS = ["ij,jk->ik", "ij,jk", "bij,bjk->bik", "ij->ji", "ij->", "ij->i", "ii->i", "ii", "i,j->ij", "ij,ij->", "bhid,bhjd->bhij",
             "...ij,...jk->...ik", "ij,jk,kl->il", "iij->ij", "i,i->i", "a...b->b...a", "i,i,i->", "ij,ij,ij->i", "ij,j,i->", "i,j,k->ijk", "ij,kj,k->i",
             "ij,ij,j->ij"]


@operator("Einsum")
def einsum(g):
    equation = g.chooser.of(EQUATIONS)
    sizes, batch, inputs = {}, g.shape(1, 1), []
    for term in equation.split("->")[0].split(","):
        shape = []
        for letter in term.replace("...", "."):
            shape += batch if letter == "." else [sizes.setdefault(letter, g.size())]
        inputs.append(g.tensor(g.dtype("Einsum"), shape, specials=False) if not inputs else
                      g.tensor(inputs[0].dtype, shape, specials=False))
    g.node("Einsum", inputs, equation=equation)


@operator("Det")
def det(g):
    size = g.integer(1, 4)
    g.node("Det", [g.tensor(F32, (*(shape := g.shape(0, 2)), size, size), -2, 2, False, [len(shape), len(shape) + 1])])


def window(g, sizes, spatial, dilated=True):
    """Attributes of a sliding window of these sizes over `spatial`."""
    rank = len(sizes)
    attributes = {"kernel_shape": list(sizes), "strides": [g.of(1, 2, 3) for _ in range(rank)]}
    dilations = [g.of(1, 1, 2) for _ in range(rank)] if dilated else [1] * rank
    if dilated:
        attributes["dilations"] = dilations
    mode = g.of("NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
    extents = [(size - 1) * dilation + 1 for size, dilation in zip(sizes, dilations)]
    if mode == "NOTSET":
        pads = [g.integer(0, min(2, size - 1)) for size in list(sizes) * 2]
        attributes["pads"] = pads
    else:
        attributes["auto_pad"], pads = mode, [0] * (2 * rank)
    if mode in ("NOTSET", "VALID"):
        for axis, (extent, size) in enumerate(zip(extents, spatial)):
            if size + pads[axis] + pads[axis + rank] < extent:
                raise Reject("a window larger than the image")
    if mode.startswith("SAME") and any(dilation > 1 for dilation in dilations):
        raise Reject("references differ")
    if mode.startswith("SAME") and any((size - 1) // stride * stride + extent < size for size, stride, extent
                                       in zip(spatial, attributes["strides"], extents)):
        raise Reject("padding below zero: the reference evaluator crops, ONNX Runtime refuses")
    return attributes


def convolution(g, weights=None):
    """(image shape, weight shape, attributes)."""
    groups, rank = g.of(1, 1, 2), g.of(2, 1, 3)
    spatial = tuple(g.integer(1, 6) for _ in range(rank))
    sizes = tuple(g.integer(1, 3) for _ in range(rank))
    inner, outer = g.of(1, 2, 3), g.of(1, 2, 4)
    attributes = window(g, sizes, spatial)
    return (g.size(), inner * groups, *spatial), (outer * groups, inner, *sizes), {**attributes, "group": groups}


@operator("Conv")
def conv(g):
    dtype = g.dtype("Conv")
    image, weights, attributes = convolution(g)
    inputs = [g.tensor(dtype, image, specials=False), g.weights(dtype, weights)]
    if g.flag():
        inputs.append(g.weights(dtype, weights[:1]))
    g.node("Conv", inputs, **attributes)


@operator("ConvTranspose")
def conv_transpose(g):
    dtype = g.dtype("ConvTranspose")
    groups, rank, outer = g.of(1, 1, 2), g.of(2, 1), g.of(1, 2)
    spatial, sizes = tuple(g.integer(1, 5) for _ in range(rank)), tuple(g.integer(1, 3) for _ in range(rank))
    image = (g.size(), groups * g.of(1, 2), *spatial)
    strides = [g.of(1, 2, 3) for _ in range(rank)]
    padding = g.of({}, {"pads": [g.integer(0, min(1, size - 1)) for size in sizes * 2]}, {"auto_pad": "VALID"})
    inputs = [g.tensor(dtype, image, specials=False), g.weights(dtype, (image[1], outer, *sizes))]
    if g.flag():
        inputs.append(g.weights(dtype, (outer * groups,)))
    extra = [g.integer(0, stride - 1) for stride in strides] if g.flag() else [0] * rank
    cuts = [sum(padding.get("pads", [])[d::rank]) for d in range(rank)]
    if any((size - 1) * stride + more + kernel <= cut for size, stride, more, kernel, cut in zip(spatial, strides, extra, sizes, cuts)):
        raise Reject("ONNX Runtime has no output without elements, and neither have we")
    g.node("ConvTranspose", inputs, group=groups, strides=strides, kernel_shape=list(sizes), output_padding=extra, **padding)


def scale_of(g, shape=()):
    return g.fresh(g.rng.uniform(0.05, 0.5, shape).astype(np.float32))


def zero_point(g, dtype, shape=()):
    return g.fresh(g.rng.integers(-5 if dtype == I8 else 0, 6, shape).astype(dtype))


@operator("MatMulInteger")
def matmul_integer(g):
    dtypes = g.of(U8, I8), g.of(U8, I8)
    first, second = matrices(g, *dtypes)
    points = [zero_point(g, dtype) if g.flag() else None for dtype in dtypes]
    g.node("MatMulInteger", [first, second, *points])


@operator("ConvInteger")
def conv_integer(g):
    dtypes = g.of(U8, I8), g.of(U8, I8)
    image, weights, attributes = convolution(g)
    if len(image) == 5 and attributes.get("auto_pad", "VALID") != "VALID":
        raise Reject("the reference's sizes are those of no padding mode")
    points = [zero_point(g, dtype) if g.flag() else None for dtype in dtypes]
    g.node("ConvInteger", [g.tensor(dtypes[0], image), g.weights(dtypes[1], weights), *points], **attributes)


@operator("QLinearMatMul")
def qlinear_matmul(g):
    dtypes = g.of(U8, I8), g.of(U8, I8), g.of(U8, I8)
    first, second = matrices(g, *dtypes[:2])
    if len(first.shape) < 2 or len(second.shape) < 2:
        raise Reject("vectors")
    g.node("QLinearMatMul", [first, scale_of(g), zero_point(g, dtypes[0]), second, scale_of(g), zero_point(g, dtypes[1]), scale_of(g),
                             zero_point(g, dtypes[2])])


@operator("QLinearConv")
def qlinear_conv(g):
    dtypes = g.of(U8, I8), g.of(U8, I8), g.of(U8, I8)
    image, weights, attributes = convolution(g)
    if len(image) == 5 and attributes.get("auto_pad", "VALID") != "VALID":
        raise Reject("the reference's sizes are those of no padding mode")
    inputs = [g.tensor(dtypes[0], image), scale_of(g), zero_point(g, dtypes[0]), g.weights(dtypes[1], weights), scale_of(g),
              zero_point(g, dtypes[1]), scale_of(g), zero_point(g, dtypes[2])]
    if g.flag():
        inputs.append(g.weights(I32, weights[:1], -50, 50))
    g.node("QLinearConv", inputs, **attributes)


@operator("QuantizeLinear")
def quantize_linear(g):
    value = g.tensor(F32, g.shape(1, 3), -30, 30, specials=False)
    dtype = g.of(U8, I8, *([U16, I16] if g.opset >= 21 else []))
    shape, axis = ((), None) if g.opset < 13 or g.flag() else per_axis(g, value.shape)
    g.node("QuantizeLinear", [value, scale_of(g, shape), zero_point(g, dtype, shape)], axis=axis)


def per_axis(g, shape):
    axis = g.axis(len(shape))
    return (shape[axis],), axis


@operator("DequantizeLinear")
def dequantize_linear(g):
    dtype = g.of(U8, I8, I32)
    value = g.tensor(dtype, g.shape(1, 3), -9, 99)
    shape, axis = ((), None) if g.opset < 13 or g.flag() else per_axis(g, value.shape)
    if g.opset >= 21 and g.flag() and value.shape[-1] % 2 == 0:
        axis, block = len(value.shape) - 1, 2
        shape = (*value.shape[:-1], value.shape[-1] // 2)
        return g.node("DequantizeLinear", [value, scale_of(g, shape), zero_point(g, dtype, shape) if dtype != I32 else None],
                      axis=axis, block_size=block)
    point = zero_point(g, dtype, shape) if dtype != I32 and g.flag() else None
    return g.node("DequantizeLinear", [value, scale_of(g, shape), point], axis=axis)


@operator("QuantizeLinear", "com.microsoft")
def microsoft_quantize_linear(g):
    value, dtype = g.tensor(F32, g.shape(1, 3), -30, 30, specials=False), g.of(U8, I8, U16, I16)
    g.node("QuantizeLinear", [value, scale_of(g), zero_point(g, dtype)], domain="com.microsoft")


@operator("DequantizeLinear", "com.microsoft")
def microsoft_dequantize_linear(g):
    dtype = g.of(U8, I8, U16, I16)
    value = g.tensor(dtype, g.shape(1, 3), -9, 99)
    g.node("DequantizeLinear", [value, scale_of(g), zero_point(g, dtype)], domain="com.microsoft")


@operator("DynamicQuantizeLinear")
def dynamic_quantize_linear(g):
    value = g.tensor(F32, g.shape(1, 3), -3, 3, specials=False)
    g.nonempty |= {(value.name, axis) for axis in range(len(value.shape))}  # of no elements the references have other scales
    if value.array.size == 0:
        raise Reject("the references disagree about the scale of nothing")
    g.node("DynamicQuantizeLinear", [value], outputs=3)
