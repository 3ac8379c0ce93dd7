"""Operators in the forms that the conformance suite has few tests of, against ONNX Runtime: attributes of old opsets, element types,
and sizes that only the run knows. Every case is a model of one node, compiled with all sizes open and with all sizes fixed.
"""
import dataclasses

import mlc_backend
import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

pytestmark = pytest.mark.slow

F16, F32, F64, BF16 = np.float16, np.float32, np.float64, ml_dtypes.bfloat16
TOLERANCE = {np.dtype(F16): 2e-3, np.dtype(BF16): 1.6e-2, np.dtype(F32): 2e-5, np.dtype(F64): 1e-12}


@dataclasses.dataclass
class Case:
    name: str
    operator: str
    opset: int
    inputs: list  # arrays: inputs of the graph; Constant: an initializer; None: left out
    attributes: dict
    outputs: int = 1
    wide: bool = False  # the reference computes in float32: ONNX Runtime has no kernel for the type
    fixed: bool = False  # never with open sizes: mlc refuses them by name


@dataclasses.dataclass
class Constant:
    value: np.ndarray


def constant(values, dtype=np.int64):
    return Constant(np.array(values, dtype))


def random(*shape, dtype=F32, seed=0):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind in "iu":
        low = 0 if np.dtype(dtype).kind == "u" else -50
        return rng.integers(low, 50, shape).astype(dtype)
    if np.dtype(dtype) == bool:
        return rng.random(shape) < 0.5
    return rng.standard_normal(shape).astype(dtype)


CASES = []


def case(name, opset, inputs, outputs=1, wide=False, fixed=False, **attributes):
    """`name` is the operator, or the operator and after a blank what is special."""
    CASES.append(Case(f"{name.replace(' ', '-')}-{opset}", name.split()[0], opset, inputs, attributes, outputs, wide, fixed))


X = random(2, 6, 7, 9)

# Old forms of operators that later got their attributes as inputs.
case("Upsample", 7, [X], scales=[1.0, 1.0, 2.0, 3.0], mode="nearest")
case("Upsample linear", 7, [X], scales=[1.0, 1.0, 2.0, 2.0], mode="linear")
case("Upsample", 9, [X, constant([1, 1, 2, 3], F32)], mode="nearest")
case("Resize", 10, [X, constant([1, 1, 2, 1.5], F32)], mode="nearest")
case("Resize linear", 10, [X, constant([1, 1, 0.6, 1.5], F32)], mode="linear")
case("BatchNormalization", 7, [X, *(random(6, seed=i) for i in (1, 2, 3)), np.abs(random(6, seed=4)) + F32(0.2)], epsilon=1e-3)
case("BatchNormalization", 9, [X, *(random(6, seed=i) for i in (1, 2, 3)), np.abs(random(6, seed=4)) + F32(0.2)], momentum=0.5)
case("BatchNormalization", 15, [X, *(random(6, seed=i) for i in (1, 2, 3)), np.abs(random(6, seed=4)) + F32(0.2)])
case("Pad", 2, [X], pads=[0, 1, 2, 0, 0, 0, 1, 3], value=0.5)
case("Pad reflect", 2, [X], pads=[0, 0, 2, 1, 0, 0, 1, 3], mode="reflect")
case("Pad edge", 2, [X], pads=[0, 0, 2, 1, 0, 0, 1, 3], mode="edge")
case("Pad cropping", 11, [X, constant([0, -1, 2, 0, 0, 0, -2, 3]), constant(1.5, F32)])
case("Pad axes", 18, [X, constant([1, 2, 3, 4]), None, constant([-1, 1])], mode="edge")
case("Pad wrap", 19, [X, constant([0, 0, 2, 1, 0, 0, 1, 3])], mode="wrap")
case("Slice", 1, [X], starts=[1, -5], ends=[1000, -1], axes=[1, 3])
case("Slice no-axes", 1, [X], starts=[0, 1], ends=[1, 4])
case("Slice backwards", 10, [X, constant([-1, 8]), constant([-1000, 0]), constant([2, 3]), constant([-2, -3])])
case("Clip", 6, [X], min=-0.5, max=0.7)
case("Clip open", 6, [X], min=0.0)
case("Clip", 11, [X, None, constant(0.3, F32)])
case("Dropout", 7, [X], ratio=0.3)
case("Dropout", 12, [X, constant(0.3, F32)], outputs=2)
case("TopK", 1, [X], outputs=2, k=3, axis=1)
case("TopK", 10, [X, constant([4])], outputs=2)
case("TopK smallest", 11, [X, constant([2])], outputs=2, axis=2, largest=0)
case("Split", 2, [X], outputs=3, split=[1, 2, 3], axis=1)
case("Split even", 2, [X], outputs=3, axis=1)
case("Split", 13, [X, constant([2, 7])], outputs=2, axis=-1)
case("Split uneven", 18, [X], outputs=2, axis=3, num_outputs=2)
case("Squeeze", 1, [random(1, 3, 1, 4)], axes=[0, 2])
case("Squeeze all", 1, [random(1, 3, 1, 4)], fixed=True)
case("Squeeze", 13, [random(1, 3, 1, 4), constant([-2])])
case("Unsqueeze", 1, [random(3, 4)], axes=[0, 2])
case("Unsqueeze", 13, [random(3, 4), constant([-1, 1])])
for operator in ("Softmax", "LogSoftmax", "Hardmax"):
    case(operator, 7, [X], axis=1)  # of all that follows the axis together
    case(f"{operator} axis-2", 11, [X], axis=2)
    case(operator, 13, [X], axis=1)
case("ReduceSum", 7, [X], axes=[1, 3], keepdims=0)
case("ReduceSum", 13, [X, constant([1, -1])], keepdims=1)
case("ReduceSum noop", 13, [X], noop_with_empty_axes=1)
case("ReduceMean", 18, [X, constant([2])], keepdims=0)
case("ReduceLogSumExp", 7, [X], axes=[2])
case("ReduceL2", 11, [X], axes=[-1], keepdims=0)
case("Gemm", 7, [random(5, 3), random(3, 4), random(4)], alpha=0.5, beta=2.0)
case("Gemm transposed", 9, [random(3, 5), random(4, 3), random(5, 1)], transA=1, transB=1)
case("Gemm no-bias", 11, [random(5, 3), random(3, 4)])
case("Reshape zero", 7, [X, constant([0, -1, 9])])
case("Flatten", 7, [X], axis=2)
case("Flatten negative", 13, [X], axis=-1)
case("PRelu", 7, [X, random(6, 1, 1)])
case("Max", 8, [X, random(9), random(6, 1, 1)])
case("Mean", 8, [X, random(7, 1), X])
case("Sum", 8, [X, random(9)])
case("Tile", 6, [X, constant([1, 2, 1, 3])])
case("OneHot", 9, [random(3, 4, dtype=np.int64) % 5, constant(5), constant([0.5, 2], F32)], axis=1)
case("Scatter", 9, [X, random(2, 3, 7, 9, dtype=np.int64) % 6, random(2, 3, 7, 9, seed=3)], axis=1)
case("Gather negative", 11, [X, constant([-1, 0, 3])], axis=2)
case("Shape part", 15, [X], start=1, end=-1)
case("ArgMax last", 12, [np.round(X), ], axis=3, select_last_index=1)
case("CumSum", 11, [X, constant(2)], exclusive=1, reverse=1)
case("Expand", 8, [random(6, 1, 9), constant([2, 6, 7, 9])])
case("Trilu", 14, [X, constant(1)], upper=0)
case("Mod float", 13, [X, np.abs(X) + F32(0.3)], fmod=1)
case("Mod", 13, [random(4, 5, dtype=np.int32), constant(7, np.int32)])
case("Mod negative", 13, [random(4, 5, dtype=np.int64), constant(-7)])

# Windows over sizes that only the run knows.
for image in (random(2, 4, 12, 15), random(1, 4, 13, 16)):
    tag = "even" if image.shape[2] % 2 == 0 else "odd"
    case(f"MaxPool ceil-{tag}", 10, [image], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    case(f"MaxPool ceil-padded-{tag}", 10, [image], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1)
    case(f"AveragePool ceil-{tag}", 10, [image], kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 0], ceil_mode=1)
    case(f"AveragePool ceil-included-{tag}", 19, [image], kernel_shape=[3, 3], strides=[3, 2], pads=[1, 1, 1, 1], ceil_mode=1,
         count_include_pad=1, fixed=True)
    for same in ("SAME_UPPER", "SAME_LOWER"):
        for kernel, stride in ((3, 2), (2, 2), (5, 3), (1, 2), (2, 3)):
            case(f"Conv {same}-{kernel}-{stride}-{tag}", 11, [image, Constant(random(3, 4, kernel, kernel))], auto_pad=same,
                 strides=[stride, stride])
        case(f"MaxPool {same}-{tag}", 8, [image], kernel_shape=[3, 3], strides=[2, 2], auto_pad=same)
        case(f"AveragePool {same}-{tag}", 7, [image], kernel_shape=[3, 3], strides=[2, 2], auto_pad=same)
        case(f"AveragePool {same}-included-{tag}", 7, [image], kernel_shape=[3, 3], strides=[2, 2], auto_pad=same,
             count_include_pad=1)
case("MaxPool indices", 8, [random(2, 3, 8, 9)], outputs=2, kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1])
case("MaxPool dilated", 10, [random(2, 3, 18, 19)], kernel_shape=[3, 3], dilations=[2, 3])
case("LpPool", 11, [random(2, 3, 8, 9)], kernel_shape=[3, 2], strides=[2, 1], p=3)
case("Conv grouped", 11, [random(2, 4, 8, 9), Constant(random(6, 2, 3, 3)), Constant(random(6))], group=2, dilations=[2, 1],
     pads=[1, 0, 2, 1])
case("Conv line", 11, [random(2, 4, 17), Constant(random(6, 4, 5))], strides=[2])
case("Conv volume", 11, [random(1, 2, 6, 7, 5), Constant(random(3, 2, 2, 3, 2))], pads=[0, 1, 0, 1, 1, 1])
WEIGHTS = Constant(random(4, 3, 3, 3))
case("ConvTranspose", 11, [random(2, 4, 5, 7), WEIGHTS], strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])
case("ConvTranspose grouped", 11, [random(2, 4, 5, 7), WEIGHTS, Constant(random(6))], group=2, dilations=[2, 1], strides=[1, 3])
case("ConvTranspose same", 11, [random(2, 4, 5, 7), WEIGHTS], strides=[2, 2], auto_pad="SAME_UPPER")
case("ConvTranspose overlapping", 1, [random(1, 4, 9), Constant(random(4, 2, 5))], strides=[3], pads=[2, 1])

# Resize in all its ways.
for mode in ("nearest", "linear", "cubic"):
    for where in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"):
        # With align_corners and lengths that are not whole, ONNX Runtime rounds the length first and ONNX's reference does not.
        scales = [1, 1, 2, 3] if where == "align_corners" else [1, 1, 1.7, 0.6]
        case(f"Resize {mode}-{where}", 11, [X, constant([], F32), constant(scales, F32)], mode=mode,
             coordinate_transformation_mode=where)
        case(f"Resize {mode}-{where}-sizes", 13, [X, None, None, constant([2, 6, 10, 5])], mode=mode,
             coordinate_transformation_mode=where)
for nearest in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"):
    case(f"Resize {nearest}", 11, [X, constant([], F32), constant([1, 1, 2.5, 0.8], F32)], nearest_mode=nearest)
case("Resize cubic-outside", 13, [X, None, constant([1, 1, 0.8, 2], F32)], mode="cubic", cubic_coeff_a=-0.5, exclude_outside=1)
case("Resize crop", 13, [X, constant([0, 0, 0.2, 0.1, 1, 1, 0.9, 1.2], F32), None, constant([2, 6, 5, 6])], mode="linear",
     coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=0.5)
case("Resize axes", 18, [X, None, None, constant([12, 4])], axes=[3, 2], mode="linear")
case("Resize antialias", 18, [X, None, constant([1, 1, 0.5, 0.4], F32)], mode="linear", antialias=1, fixed=True)
case("Resize antialias-cubic", 18, [X, None, constant([1, 1, 0.5, 0.4], F32)], mode="cubic", antialias=1, fixed=True)

# Others that vision models use.
case("DepthToSpace", 11, [random(2, 8, 3, 5)], blocksize=2, mode="CRD")
case("DepthToSpace", 7, [random(2, 8, 3, 5)], blocksize=2)
case("SpaceToDepth", 7, [random(2, 3, 4, 6)], blocksize=2)
case("InstanceNormalization", 7, [X, random(6), random(6, seed=2)], epsilon=1e-3)
case("LRN", 7, [X], size=5, alpha=0.01, beta=0.6, bias=2.0)
case("GroupNormalization", 21, [X, random(6), random(6, seed=2)], num_groups=3)
case("LayerNormalization", 17, [X, random(7, 9), random(7, 9, seed=2)], axis=2)
case("HardSwish", 14, [X])
case("HardSigmoid", 7, [X], alpha=0.3, beta=0.4)
case("GlobalMaxPool", 7, [X])
ROIS = np.array([[0, 0, 5, 6], [1.5, 0.5, 8, 3], [-1, 2, 4, 9]], F32)
for opset in (10, 16):
    case("RoiAlign", opset, [X, ROIS, np.array([0, 1, 1])], output_height=3, output_width=2, sampling_ratio=2, spatial_scale=0.7)
case("RoiAlign max", 16, [X, ROIS, np.array([0, 1, 1])], output_height=3, output_width=2, sampling_ratio=2, mode="max")
case("RoiAlign pixels", 16, [X, ROIS, np.array([0, 1, 1])], output_height=3, output_width=2, sampling_ratio=2,
     coordinate_transformation_mode="output_half_pixel")
for mode in ("linear", "nearest", "cubic"):
    case(f"GridSample {mode}", 20, [X, random(2, 4, 5, 2) * F32(0.6)], mode=mode, padding_mode="border")
for equation, shapes in (("bij,bjk->bik", ((2, 3, 4), (2, 4, 5))), ("bhid,bhjd->bhij", ((2, 3, 4, 5), (2, 3, 6, 5))),
                         ("abc,cde->abde", ((2, 3, 4), (4, 5, 6))), ("ij->ji", ((3, 4),)), ("ii->i", ((4, 4),)), ("ij->", ((3, 4),)),
                         ("...ij,...jk->...ik", ((2, 3, 4), (2, 4, 5))), ("i,j->ij", ((3,), (4,))),
                         ("aecd,abcd->acbe", ((2, 3, 4, 5), (2, 6, 4, 5))), ("ab,bc,cd->ad", ((2, 3), (3, 4), (4, 5))),
                         # products without a sum, in front of one with: the sum once read what the product had not written
                         ("ij,ij,ij->i", ((3, 4),) * 3), ("i,i,i->", ((4,),) * 3), ("i,j,k->ijk", ((2,), (3,), (4,))),
                         ("ij,kj,k->i", ((3, 4), (2, 4), (2,)))):
    case(f"Einsum {equation}", 12, [random(*shape, seed=i) for i, shape in enumerate(shapes)], equation=equation)

# Element types.
SIGNED, UNSIGNED = (np.int8, np.int16, np.int32, np.int64), (np.uint8, np.uint16, np.uint32, np.uint64)
for dtype in (F64, F16, BF16):
    name, narrow = np.dtype(dtype).name, np.dtype(dtype).itemsize == 2
    a, c = random(4, 6, 5, dtype=dtype), random(6, 5, dtype=dtype, seed=2)
    for operator in ("Add", "Sub", "Mul", "Div"):
        case(f"{operator} {name}", 14, [a, c], wide=narrow)
    for operator in ("Relu", "Sigmoid", "Tanh", "Exp", "Abs", "Neg", "Floor", "Erf", "Softmax"):
        case(f"{operator} {name}", 13, [a], wide=narrow or operator == "Erf")
    case(f"Gelu {name}", 20, [a], wide=True)
    case(f"MatMul {name}", 13, [a, random(5, 7, dtype=dtype, seed=2)], wide=narrow)
    case(f"Gemm {name}", 13, [c, random(5, 7, dtype=dtype, seed=2), random(7, dtype=dtype)], wide=narrow)
    case(f"ReduceSum {name}", 13, [a, constant([1])], wide=narrow)
    case(f"ReduceMean {name}", 18, [a, constant([-1])], wide=narrow)
    case(f"Conv {name}", 11, [random(1, 4, 7, 6, dtype=dtype), Constant(random(5, 4, 3, 3, dtype=dtype))], wide=True)
    case(f"MaxPool {name}", 12, [random(1, 4, 7, 6, dtype=dtype)], kernel_shape=[2, 2], wide=narrow)
    case(f"LayerNormalization {name}", 17, [a, random(5, dtype=dtype), random(5, dtype=dtype, seed=2)], wide=narrow)
    case(f"Resize {name}", 13, [random(1, 2, 5, 4, dtype=dtype), None, constant([1, 1, 2, 2], F32)], mode="linear", wide=True)
for dtype in SIGNED + UNSIGNED:
    name, a, c = np.dtype(dtype).name, random(4, 6, 5, dtype=dtype), random(6, 5, dtype=dtype, seed=2)
    for operator in ("Add", "Sub", "Mul"):
        case(f"{operator} {name}", 14, [a, c])
    if a.itemsize != 2:  # which ONNX Runtime does not have
        case(f"Max {name}", 13, [a, c])
        case(f"Min {name}", 13, [a, c])
    case(f"Div {name}", 14, [a, np.where(c == 0, 3, c).astype(dtype)])
    case(f"Transpose {name}", 13, [a], perm=[2, 0, 1])
    case(f"Concat {name}", 13, [a, a], axis=1)
    case(f"Gather {name}", 13, [a, constant([3, 1])], axis=1)
for dtype in (np.int8, np.uint8, np.int32, np.int64):
    name, a = np.dtype(dtype).name, random(4, 6, 5, dtype=dtype)
    case(f"ReduceMax {name}", 13, [a], axes=[1])
    case(f"Clip {name}", 12, [a, constant(3, dtype), constant(20, dtype)])
    case(f"Cast to-{name}", 13, [random(4, 5) * F32(40) % F32(100)], to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
    case(f"Cast from-{name}", 13, [a], to=onnx.TensorProto.FLOAT)
for dtype in (np.int32, np.int64):
    name, a = np.dtype(dtype).name, random(4, 6, dtype=dtype)
    case(f"MatMul {name}", 13, [a, random(6, 3, dtype=dtype)])
    case(f"ReduceSum {name}", 13, [a, constant([0])])
    case(f"CumSum {name}", 14, [a, constant(1)])
    case(f"Less {name}", 13, [a, a[::-1].copy()])
    case(f"ArgMin {name}", 13, [a], axis=1)

# Squares of float16 above 256 overflow it: what is summed up has to be wider.
BIG = (random(2, 6, 7, 9) * 1000).astype(F16)
case("InstanceNormalization big", 6, [BIG, constant([1, 2, 3, 4, 5, 6], F16), constant([0] * 6, F16)], wide=True)
case("MeanVarianceNormalization big", 9, [BIG], wide=True)
case("LpNormalization big", 22, [BIG], axis=1, wide=True)
case("LRN big", 13, [BIG], size=3, wide=True)
# So do counts above 65,504, sums above it, and 1 is lost beside 2048.
MANY, HUNDREDS, ONES = np.full((1, 2, 130, 512), 0.5, F16), np.full((2, 1, 20, 20), 350, F16), np.ones(5000, F16)
for array, name in ((MANY, "many"), (HUNDREDS, "hundreds")):
    case(f"GlobalAveragePool {name}", 22, [array], wide=True)
    case(f"AveragePool {name}", 22, [array], kernel_shape=array.shape[2:], wide=True)
    case(f"ReduceMean {name}", 18, [array, constant([2, 3])], wide=True)
    case(f"ReduceL2 {name}", 18, [array, constant([2, 3])], wide=True)
    case(f"ReduceLogSum {name}", 18, [array, constant([2, 3])], wide=True)
    case(f"ReduceLogSumExp {name}", 18, [array / F16(256), constant([2, 3])], wide=True)
    case(f"LpPool {name}", 22, [array], kernel_shape=array.shape[2:], p=2, wide=True)
case("Mean hundreds", 13, [HUNDREDS * F16(150)] * 3, wide=True)
case("ScatterElements many", 18, [np.zeros(3, F16), np.zeros(5000, np.int64), ONES], reduction="add", wide=True)
case("ScatterND many", 18, [np.zeros(3, F16), np.zeros((5000, 1), np.int64), ONES], reduction="add", wide=True)
case("CumSum many", 14, [ONES, constant(0)], wide=True)
case("Einsum many", 12, [ONES, ONES, ONES], equation="i,i,i->", wide=True)
case("Einsum hundreds", 12, [HUNDREDS[0, 0], HUNDREDS[0, 0], np.full(20, 1e-3, F16)], equation="ij,ij,j->i", wide=True)
case("Gemm alpha", 13, [np.full((4, 64), 300, F16), np.full((64, 8), 300, F16), np.full(8, 5, F16)], alpha=0.001, wide=True)
case("Einsum sums", 12, [np.full(20, 4000, F16), np.full(4, 0.125, F16)], equation="i,k->k", wide=True)


def is_float(dtype):
    return np.dtype(dtype) in TOLERANCE


def converted(array, element):
    return array.astype(element) if element is not None and is_float(array.dtype) else array


def is_channel(image, axis):
    """No exporter leaves the number of channels open."""
    return image.ndim >= 4 and axis == 1


def add_case(case, graph, feeds, dynamic, element):
    """Adds the node with its inputs and outputs; with `element` all floats have that type. Equal sizes have equal symbols."""
    names = []
    for number, value in enumerate(case.inputs):
        name = f"{case.name}.x{number}" if value is not None else ""
        names.append(name)
        if isinstance(value, Constant):
            graph.initializer.append(numpy_helper.from_array(converted(value.value, element), name))
        elif value is not None:
            feeds[name] = converted(value, element)
            shape = list(value.shape)
            if dynamic and not case.fixed:
                shape = [f"size{size}" if size > 1 and not is_channel(value, axis) else size for axis, size in enumerate(shape)]
            graph.input.append(
                helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(feeds[name].dtype), shape))
    outputs = [f"{case.name}.y{number}" for number in range(case.outputs)]
    graph.node.append(helper.make_node(case.operator, names, outputs, name=case.name, **case.attributes))
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)


def model_of(cases, dynamic, element=None):
    graph, feeds = onnx.GraphProto(name="cases"), {}
    for case in cases:
        add_case(case, graph, feeds, dynamic, element)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", cases[0].opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True), feeds


def expected(cases):
    """{output: array} of ONNX Runtime; one session for those that it computes as they are, one for those in float32."""
    results = {}
    for wide in (False, True):
        chosen = [case for case in cases if case.wide == wide]
        if chosen:
            model, feeds = model_of(chosen, dynamic=False, element=F32 if wide else None)
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
            results |= dict(zip([output.name for output in session.get_outputs()], session.run(None, feeds)))
    return results


def difference(got, want, element):
    """What is wrong with a result; None if nothing is."""
    if got.shape != want.shape or got.dtype != (want.dtype if element is None or not is_float(want.dtype) else element):
        return f"{got.dtype}{got.shape} instead of {want.dtype}{want.shape}"
    if not is_float(got.dtype):
        return None if (got == want).all() else f"{(got != want).sum()} of {got.size} elements differ"
    error = np.abs(got.astype(F64) - want.astype(F64)).max(initial=0) / max(np.abs(want).max(initial=0), 1e-30)
    limit = max(TOLERANCE[got.dtype], TOLERANCE[want.dtype])
    return None if error <= limit else f"relative error {error:.1e}, at most {limit:.1e}"


def groups():
    """Cases of one opset share a library: a library of its own for each would take minutes. Names tell which one failed."""
    for opset in sorted({case.opset for case in CASES}):
        cases = [case for case in CASES if case.opset == opset]
        for first in range(0, len(cases), 16):
            yield pytest.param(cases[first:first + 16], id=f"opset{opset}-{first // 16}")


@pytest.mark.parametrize("dynamic", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["open", "fixed"])
@pytest.mark.parametrize("cases", list(groups()))
def test_operators(mlc, tmp_path, cases, dynamic):
    want = expected(cases)
    model, feeds = model_of(cases, dynamic)
    onnx.save(model, tmp_path / "cases.onnx")
    with mlc_backend.Library(mlc_backend.compile_model(tmp_path / "cases.onnx", tmp_path / "cases.so", mlc=mlc)) as library:
        got = library.run(feeds)
    wrong = {}
    for case in cases:
        element = next((v.dtype for v in case.inputs if isinstance(v, np.ndarray) and is_float(v.dtype)), None) if case.wide else None
        for name in (f"{case.name}.y{number}" for number in range(case.outputs)):
            if found := difference(got[name], want[name], element):
                wrong[name] = found
    assert not wrong


def test_names_are_unique():
    assert len({case.name for case in CASES}) == len(CASES)
