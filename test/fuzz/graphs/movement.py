"""Operators that move elements, tell sizes, or pick by position."""
import numpy as np
from graph import BOOL, F32, I32, I64, Generators, Reject, tensor_type
from onnx import numpy_helper

OPERATORS = Generators()
operator = OPERATORS.operator


def axes_of(g, axes, since):
    """(inputs, attributes) that carry axes: an input from opset `since` on."""
    if axes is None:
        return [], {}
    return ([g.parameter(np.array(axes, np.int64))], {}) if g.opset >= since else ([], {"axes": list(axes)})


def some_axes(g, rank):
    count = g.integer(1, rank)
    chosen = sorted(g.chooser.of(range(rank)) for _ in range(count))
    return [axis - g.of(0, rank) if g.opset >= 11 else axis for axis in dict.fromkeys(chosen)]


@operator("Transpose")
def transpose(g):
    value = g.some(g.dtype("Transpose"), 0, 4)
    order = list(range(len(value.shape)))
    for index in range(len(order) - 1):
        other = g.integer(index, len(order) - 1)
        order[index], order[other] = order[other], order[index]
    g.node("Transpose", [value], perm=order if g.flag() and order else None)


@operator("Reshape")
def reshape(g):
    value = g.some(g.dtype("Reshape"), 0, 4)
    if g.opset >= 14 and len(value.shape) > 1 and g.flag():  # its own sizes in another order, and a size of 1
        order = g.constant(g.rng.permutation(len(value.shape)))
        one, (sizes,) = g.constant(np.array([1])), g.node("Gather", [*g.node("Shape", [value]), order])
        if g.flag():
            sizes, = g.node("Concat", g.of([sizes, one], [one, sizes]), axis=0)
        g.node("Reshape", [value, sizes], allowzero=1)
        return
    sizes, count = [], value.array.size
    for divisor in (2, 3, 4):
        if count and count % divisor == 0 and g.flag():
            sizes.append(divisor)
            count //= divisor
    sizes.insert(g.integer(0, len(sizes)), count)
    if value.array.size and g.flag():
        sizes[g.integer(0, len(sizes) - 1)] = -1
    elif value.shape and value.array.size and g.flag():
        sizes = [0, -1]
    if g.opset < 5:
        g.node("Reshape", [value], shape=sizes)
    else:
        g.node("Reshape", [value, g.parameter(np.array(sizes, np.int64))])


@operator("Flatten")
def flatten(g):
    value = g.some(g.dtype("Flatten"), 1, 4)
    g.node("Flatten", [value], axis=g.integer(-len(value.shape) if g.opset >= 11 else 0, len(value.shape)))


@operator("Squeeze")
def squeeze(g):
    sizes = [g.of(1, g.size()) for _ in range(g.integer(1, 4))]
    ones = [axis for axis, size in enumerate(sizes) if size == 1]
    axes = [axis for axis in ones if g.flag()] or None
    value = g.tensor(g.dtype("Squeeze"), sizes, fixed=axes is None)  # without axes an open size would tell the rank
    inputs, attributes = axes_of(g, axes, 13)
    g.node("Squeeze", [value, *inputs], **attributes)


@operator("Unsqueeze")
def unsqueeze(g):
    value = g.some(g.dtype("Unsqueeze"), 0, 3)
    rank = len(value.shape) + g.of(1, 2)
    axes = [g.integer(0, rank - 1)] if rank == len(value.shape) + 1 else g.of([0, rank - 1], [0, 1], [rank - 1, 0])
    inputs, attributes = axes_of(g, axes, 13)
    g.node("Unsqueeze", [value, *inputs], **attributes)


@operator("Concat")
def concat(g):
    dtype = g.dtype("Concat")
    value = g.some(dtype, 1, 3)
    axis = g.axis(len(value.shape), g.opset >= 11)
    others = []
    for _ in range(g.integer(0, 2)):
        shape = list(value.shape)
        shape[axis] = g.size()
        others.append(g.tensor(dtype, shape))
    g.node("Concat", [value, *others], axis=axis)


@operator("Split")
def split(g):
    value = g.some(g.dtype("Split"), 1, 3)
    axis = g.axis(len(value.shape), g.opset >= 11)
    size = value.shape[axis]
    if g.opset >= 18 and g.flag():
        count = g.integer(1, max(1, min(size, 3)))
        return g.node("Split", [value], outputs=count, axis=axis, num_outputs=count)
    first = g.integer(0, size)
    if g.opset < 13:
        return g.node("Split", [value], outputs=2, axis=axis, split=[first, size - first])
    return g.node("Split", [value, g.parameter(np.array([first, size - first]))], outputs=2, axis=axis)


@operator("Slice")
def slice_(g):
    value = g.some(g.dtype("Slice"), 1, 3)
    rank = len(value.shape)
    axes = some_axes(g, rank)
    edge = [-(1 << 31), -9, -2, -1, 0, 1, 2, 3, 9, (1 << 31) - 1]
    starts, ends = [g.chooser.of(edge) for _ in axes], [g.chooser.of(edge) for _ in axes]
    if g.opset < 10:
        return g.node("Slice", [value], starts=starts, ends=ends, axes=[axis % rank for axis in axes])
    kind = g.of(np.int64, np.int32)
    inputs = [g.parameter(np.array(part, kind)) for part in (starts, ends, axes)]
    steps = [g.parameter(np.array([g.of(1, 2, -1, -2, 3) for _ in axes], kind))] if g.flag() else []
    return g.node("Slice", [value, *inputs, *steps])


@operator("Expand")
def expand(g):
    value = g.some(g.dtype("Expand"), 0, 3)
    sizes = [g.of(1, size) if size != 1 else g.size() for size in value.shape]
    sizes = [g.size() for _ in range(g.integer(0, 1))] + sizes
    g.node("Expand", [value, g.parameter(np.array(sizes, np.int64))])


@operator("Tile")
def tile(g):
    value = g.some(g.dtype("Tile"), 1, 3)
    g.node("Tile", [value, g.parameter(np.array([g.of(1, 2, 3, 0) for _ in value.shape], np.int64))])


@operator("Pad")
def pad(g):
    value = g.some(F32 if g.opset < 11 else g.dtype("Pad"), 1, 3)
    rank = len(value.shape)
    mode = g.of("constant", "reflect", "edge", *(["wrap"] if g.opset >= 19 else []))
    if g.opset < 11:
        return g.node("Pad", [value], pads=[g.integer(0, 1) for _ in range(2 * rank)], mode=mode)
    axes = some_axes(g, rank) if g.opset >= 18 and g.flag() else None
    count = len(axes) if axes is not None else rank
    most = [value.shape[axis] for axis in (axes if axes is not None else range(rank))]
    amounts = [g.integer(-1 if mode == "constant" else 0, 2 if mode == "constant" else max(0, min(size - 1, 3))) for size in most * 2]
    fill = g.fresh(np.array(1, value.dtype)) if mode == "constant" and g.flag() else None
    inputs = [value, g.parameter(np.array(amounts, np.int64)), fill]
    if axes is not None and count:
        inputs.append(g.constant(np.array(axes, g.of(np.int64, np.int32))))
    return g.node("Pad", inputs, mode=mode)


@operator("CenterCropPad")
def center_crop_pad(g):
    value = g.some(g.dtype("CenterCropPad"), 1, 3)
    axes = some_axes(g, len(value.shape)) if g.flag() else None
    count = len(axes) if axes else len(value.shape)
    g.node("CenterCropPad", [value, g.parameter(np.array([g.integer(1, 5) for _ in range(count)], np.int64))], axes=axes)


@operator("Gather")
def gather(g):
    value = g.some(g.dtype("Gather"), 1, 3)
    axis = g.axis(len(value.shape))
    g.node("Gather", [value, g.indices(value.shape[axis], g.shape(0, 2), g.of(I64, I32), g.opset >= 11)], axis=axis)


@operator("GatherElements")
def gather_elements(g):
    value = g.some(g.dtype("GatherElements"), 1, 3)
    axis = g.axis(len(value.shape))
    shape = [g.integer(min(1, size), size) for size in value.shape]
    shape[axis] = g.size()
    g.node("GatherElements", [value, g.indices(value.shape[axis], shape, g.of(I64, I32))], axis=axis)


def tuples(g, value, batch=0):
    """Indices of GatherND and ScatterND: each a position of `depth` axes after the batch."""
    depth = g.integer(1, len(value.shape) - batch)
    shape = (*value.shape[:batch], *g.shape(0 if batch else 1, 2))
    parts = [g.rng.integers(-size if size else 0, max(size, 1), shape) for size in value.shape[batch:batch + depth]]
    if 0 in value.shape:
        raise Reject("no position")
    array = np.stack(parts, -1)
    if g.style.hostile and array.size and g.flag():
        array.reshape(-1)[g.integer(0, array.size - 1)] = g.of(9, -9, 1 << 30)
        g.hostile = True
    return depth, g.fresh(array, [array.ndim - 1])


@operator("GatherND")
def gather_nd(g):
    value = g.some(g.dtype("GatherND"), 1, 3)
    batch = g.integer(0, len(value.shape) - 1) if g.opset >= 12 else 0
    g.node("GatherND", [value, tuples(g, value, batch)[1]], batch_dims=batch if g.opset >= 12 else None)


@operator("ScatterND")
def scatter_nd(g):
    value = g.some(g.dtype("ScatterND"), 1, 3)
    depth, indices = tuples(g, value)
    updates = g.tensor(value.dtype, indices.shape[:-1] + value.shape[depth:], specials=False)
    how = g.of("none", "add", "mul", "min", "max")
    if how == "none":
        unique_positions(g, value, indices, depth)
    reduction = None if g.opset < 16 else how if g.opset >= 18 or how in ("none", "add", "mul") else "add"
    if value.dtype == BOOL:
        reduction = None
    g.node("ScatterND", [value, indices, updates], reduction=reduction)


def unique_positions(g, value, indices, depth):
    """Without a reduction two updates of one place have no order."""
    sizes = np.array(value.shape[:depth])
    rows = indices.array.reshape(-1, depth) % sizes
    if len(np.unique(rows, axis=0)) != len(rows):
        raise Reject("a position twice")


def scatter_elements_inputs(g, operator_name):
    value = g.some(g.dtype(operator_name), 1, 3)
    axis = g.axis(len(value.shape), g.opset >= 11)
    shape = [g.integer(min(1, size), size) for size in value.shape]
    indices = g.indices(value.shape[axis], shape, g.of(I64, I32), g.opset >= 11)
    return value, axis, indices, g.tensor(value.dtype, shape, specials=False)


def is_twice(positions, axis):
    """Whether a position occurs twice along the axis: of which update is left nothing is said."""
    lines = np.moveaxis(positions, axis, -1).reshape(-1, positions.shape[axis]) if positions.size else []
    return any(len(np.unique(line)) != len(line) for line in lines)


@operator("ScatterElements")
def scatter_elements(g):
    value, axis, indices, updates = scatter_elements_inputs(g, "ScatterElements")
    reduction = None
    if g.opset >= 16 and value.dtype != BOOL and g.flag():
        reduction = g.of("add", "mul", *(["min", "max"] if g.opset >= 18 else []))
    if not reduction and is_twice(indices.array % value.shape[axis], axis):
        raise Reject("a position twice")
    g.node("ScatterElements", [value, indices, updates], axis=axis, reduction=reduction)


@operator("Scatter")
def scatter(g):
    value, axis, indices, updates = scatter_elements_inputs(g, "Scatter")
    if is_twice(indices.array, axis):
        raise Reject("a position twice")
    g.node("Scatter", [value, indices, updates], axis=axis)


@operator("TensorScatter")
def tensor_scatter(g):
    dtype = g.dtype("TensorScatter")
    batch, length, width = g.size(), g.integer(1, 5), g.size()
    count = g.integer(1, length)
    cache, update = g.tensor(dtype, (batch, length, width)), g.tensor(dtype, (batch, count, width))
    starts = g.indices(length - count + 1, (batch,), negative=False) if g.flag() else None
    g.node("TensorScatter", [cache, update, starts], mode=g.of("linear", "circular"), axis=g.of(None, -2, 1))


@operator("ReverseSequence")
def reverse_sequence(g):
    value = g.some(g.dtype("ReverseSequence"), 2, 3)
    batch = g.of(0, 1)
    longest = value.shape[1 - batch]
    if longest == 0:
        raise Reject("no step")
    lengths = g.rng.integers(1, longest + 1, value.shape[batch])
    if g.style.hostile and lengths.size and g.flag():
        lengths[0], g.hostile = g.of(longest + 1, -1, 1 << 30), True
    g.node("ReverseSequence", [value, g.fresh(lengths)], batch_axis=batch, time_axis=1 - batch)


@operator("Trilu")
def trilu(g):
    value = g.some(g.dtype("Trilu"), 2, 3)
    diagonal = g.fresh(np.array(g.integer(-4, 4))) if g.flag() else None
    g.node("Trilu", [value, diagonal], upper=g.of(0, 1))


@operator("EyeLike")
def eye_like(g):
    value = g.tensor(g.dtype("EyeLike", "T1"), g.shape(2, 2))
    g.node("EyeLike", [value], k=g.integer(-2, 2), dtype=tensor_type(g.of(F32, I64, I32)) if g.flag() else None)


@operator("Shape")
def shape_of(g):
    value = g.some(g.dtype("Shape"), 0, 3)
    bounds = {"start": g.of(None, 0, 1, -1, -2), "end": g.of(None, 1, -1, 2)} if g.opset >= 15 else {}
    g.node("Shape", [value], **bounds)


@operator("Size")
def size_of(g):
    g.node("Size", [g.some(g.dtype("Size"), 0, 3)])


@operator("Constant")
def constant(g):
    dtype = g.of(F32, I64, BOOL)
    array = np.ones(g.shape(0, 2), dtype)
    g.node("Constant", [], value=numpy_helper.from_array(array))


@operator("ConstantOfShape")
def constant_of_shape(g):
    dtype = g.dtype("ConstantOfShape", "T2")
    sizes = g.existing(I64, 1)
    if not sizes or len(sizes.shape) != 1 or sizes.array.min(initial=0) < 0 or sizes.array.max(initial=0) > 9:
        sizes = g.parameter(np.array(g.shape(0, 3), np.int64))
    fill = numpy_helper.from_array(np.array([2], dtype)) if g.flag() else None
    g.node("ConstantOfShape", [sizes], value=fill)


@operator("Range")
def range_(g):
    dtype = g.of(I64, I32, F32)
    start, count, delta = g.integer(-3, 3), g.integer(0, 5), g.of(1, 2, -1)
    g.node("Range", [g.parameter(np.array(part, dtype)) for part in (start, start + count * delta, delta)])


@operator("OneHot")
def one_hot(g):
    depth = g.integer(1, 4)
    indices = g.indices(depth, g.shape(1, 2), g.of(I64, I32, F32))
    g.node("OneHot", [indices, g.parameter(np.array(depth)), g.fresh(np.array([0, 1], g.of(F32, I64, BOOL)), True)],
           axis=g.integer(-1, len(indices.shape)))


@operator("NonZero")
def non_zero(g):
    g.node("NonZero", [g.some(g.dtype("NonZero"), 1, 3)])


@operator("Unique")
def unique(g):
    value = g.tensor(g.dtype("Unique"), g.shape(), -1, 2, specials=False)
    axis = g.axis(len(value.shape)) if g.flag() else None
    g.node("Unique", [value], outputs=g.integer(1, 4), axis=axis, sorted=g.of(0, 1))


@operator("Compress")
def compress(g):
    value = g.some(g.dtype("Compress"), 1, 3)
    axis = g.axis(len(value.shape)) if g.flag() else None
    size = value.array.size if axis is None else value.shape[axis]
    g.node("Compress", [value, g.tensor(BOOL, (g.integer(min(1, size), size),))], axis=axis)


@operator("DepthToSpace")
def depth_to_space(g):
    block, sizes = g.of(1, 2, 3), g.shape(3, 3)
    value = g.tensor(g.dtype("DepthToSpace"), (sizes[0], block * block * g.of(1, 2), *sizes[1:]), fixed=[1])
    g.node("DepthToSpace", [value], blocksize=block, mode=g.of("DCR", "CRD") if g.opset >= 11 else None)


@operator("SpaceToDepth")
def space_to_depth(g):
    block, sizes = g.of(1, 2, 3), g.shape(4, 4)
    value = g.tensor(g.dtype("SpaceToDepth"), (*sizes[:2], sizes[2] * block, sizes[3] * block))
    g.node("SpaceToDepth", [value], blocksize=block)


@operator("Identity")
def identity(g):
    g.node("Identity", [g.some(g.of(*g.types("Identity", "V" if g.opset >= 14 else "T") or [F32]), 0, 3)])
