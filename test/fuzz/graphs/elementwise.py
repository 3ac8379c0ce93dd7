"""Operators whose result has at each place what their operands have there, with broadcasting."""
import numpy as np
import onnx
from graph import BOOL, F16, F32, F64, I32, I64, I8, Generators, Reject, is_float, tensor_type

OPERATORS = Generators()
operator = OPERATORS.operator
# name: the range of operands on which the function is defined and not steep
UNARY = {"Abs": (-2, 2), "Acos": (-1, 1), "Acosh": (1, 4), "Asin": (-1, 1), "Asinh": (-2, 2), "Atan": (-2, 2), "Atanh": (-0.9, 0.9),
         "BitwiseNot": (-9, 9), "Ceil": (-2, 2), "Cos": (-9, 9), "Cosh": (-2, 2), "Erf": (-2, 2), "Exp": (-2, 2), "Floor": (-2, 2),
         "HardSwish": (-4, 4), "Identity": (-2, 2), "IsNaN": (-2, 2), "Log": (0.1, 9), "Mish": (-2, 2), "Neg": (-2, 2),
         "Not": (-2, 2), "Reciprocal": (0.5, 2), "Relu": (-2, 2), "Round": (-2, 2), "Sigmoid": (-9, 9), "Sign": (-2, 2),
         "Sin": (-9, 9), "Sinh": (-2, 2), "Softplus": (-9, 9), "Softsign": (-2, 2), "Sqrt": (0, 9), "Tan": (-1.4, 1.4), "Tanh": (-2, 2)}
BINARY = ("Add", "Sub", "Mul", "And", "Or", "Xor", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual",
          "BitwiseAnd", "BitwiseOr", "BitwiseXor")


def parameter_of(g, operator):
    return onnx.defs.get_schema(operator, g.opset).inputs[0].type_str


def type_of(g, operator):
    return g.dtype(operator, parameter_of(g, operator))


def partner(g, shape):
    """A shape that broadcasts with this one."""
    sizes = [g.of(size, size, 1) for size in shape]
    cut = g.integer(0, len(sizes))
    return tuple(sizes[g.of(0, 0, cut):])


def operands(g, dtype, count, low=-2, high=2, rank_max=3, rank_min=0):
    """Tensors that broadcast with each other."""
    first = g.some(dtype, rank_min, rank_max) if (low, high) == (-2, 2) else g.tensor(dtype, g.shape(rank_min, rank_max), low, high)
    made = [first] + [g.tensor(dtype, partner(g, first.shape), low, high) for _ in range(count - 1)]
    return made if g.flag() else made[::-1]


def unary(operator, low, high):
    def make(g):
        dtype = type_of(g, operator)
        if operator == "Erf" and not is_float(dtype):  # allowed by the schema; the precision in between decides between 0 and 1
            raise Reject
        value = g.some(dtype) if (low, high) == (-2, 2) else g.tensor(dtype, g.shape(), low, high)
        g.node(operator, [value])
    return make


def binary(operator):
    return lambda g: g.node(operator, operands(g, type_of(g, operator), 2))


for name, (lowest, highest) in UNARY.items():
    OPERATORS["", name] = unary(name, lowest, highest)
for name in BINARY:
    OPERATORS["", name] = binary(name)


@operator("Div")
def div(g):
    dtype = g.dtype("Div")
    first = g.some(dtype, 0, 3)
    g.node("Div", [first, g.tensor(dtype, partner(g, first.shape), 0.5 if is_float(dtype) else 1, 4)])


@operator("Mod")
def mod(g):
    dtype = g.dtype("Mod")
    first = g.tensor(dtype, g.shape(), -9, 9)
    second = g.tensor(dtype, partner(g, first.shape), 1, 5)
    g.node("Mod", [first, second], fmod=1 if is_float(dtype) else g.of(0, 1))


@operator("Pow")
def power(g):
    dtype = g.dtype("Pow")
    base = g.tensor(dtype, g.shape(), 0.5 if is_float(dtype) else -3, 3)
    exponents = g.of(F32, I32, I64, dtype) if g.opset >= 12 else dtype
    g.node("Pow", [base, g.tensor(exponents, partner(g, base.shape), 0, 3)])


@operator("BitShift")
def bit_shift(g):
    dtype = g.dtype("BitShift")
    first = g.tensor(dtype, g.shape(), 0, 100)
    second = g.tensor(dtype, partner(g, first.shape), 0, dtype.itemsize * 8 - 1)
    g.node("BitShift", [first, second], direction=g.of("LEFT", "RIGHT"))


@operator("PRelu")
def prelu(g):
    dtype = g.dtype("PRelu")
    first = g.some(dtype)
    g.node("PRelu", [first, g.tensor(dtype, partner(g, first.shape), 0, 2)])


def variadic(name):
    return lambda g: g.node(name, operands(g, g.dtype(name), g.integer(1, 3)))


for name in ("Max", "Min", "Sum", "Mean"):
    OPERATORS["", name] = variadic(name)


@operator("Where")
def where(g):
    dtype = g.dtype("Where")
    first, second = operands(g, dtype, 2)
    whole = np.broadcast_shapes(first.shape, second.shape)
    g.node("Where", [g.tensor(BOOL, partner(g, whole)), first, second])


@operator("IsInf")
def is_inf(g):
    g.node("IsInf", [g.some(g.dtype("IsInf", "T1"))], detect_negative=g.of(0, 1), detect_positive=g.of(0, 1))


ALPHA = {"Elu": ["alpha"], "Celu": ["alpha"], "LeakyRelu": ["alpha"], "ThresholdedRelu": ["alpha"], "HardSigmoid": ["alpha", "beta"],
         "Selu": ["alpha", "gamma"], "Shrink": ["bias", "lambd"], "Swish": ["alpha"]}


def with_factors(name, attributes):
    def make(g):
        factors = {key: g.of(0.25, 0.5, 1.0, 1.5) for key in attributes if g.flag()}
        g.node(name, [g.some(g.dtype(name))], **factors)
    return make


for name, names in ALPHA.items():
    OPERATORS["", name] = with_factors(name, names)


@operator("Gelu")
def gelu(g):
    g.node("Gelu", [g.some(g.dtype("Gelu"))], approximate=g.of("none", "tanh"))


@operator("Clip")
def clip(g):
    if g.opset < 11:
        return g.node("Clip", [g.some(F32)], min=g.of(None, -1.0), max=g.of(None, 1.0))
    dtype = g.dtype("Clip")
    bounds = [g.fresh(np.array(bound, dtype)) if g.flag() else None for bound in (0 if dtype.kind == "u" else -1, 1)]
    return g.node("Clip", [g.some(dtype), *bounds])


@operator("Dropout")
def dropout(g):
    dtype = g.dtype("Dropout")
    value = g.some(dtype)
    if g.opset < 12:
        g.node("Dropout", [value], ratio=0.5)
    else:
        g.node("Dropout", [value, g.constant(np.float32(0.5)) if g.flag() else None], outputs=g.of(1, 2))


def castable(g, value, to):
    """Only what the standard defines: numbers that the other type holds."""
    wide = value.array.astype(np.float64)
    if is_float(value.dtype) and not is_float(to) and to != BOOL:
        if not np.isfinite(wide).all() or np.abs(wide).max(initial=0) > 100 or (to.kind == "u" and wide.min(initial=0) <= -1):
            raise Reject("a cast that the standard leaves open")


@operator("Cast")
def cast(g):
    to = g.dtype("Cast", "T2") if g.opset >= 6 else F64
    value = g.some(g.dtype("Cast", "T1"))
    castable(g, value, to)
    g.node("Cast", [value], to=tensor_type(to))


@operator("CastLike")
def cast_like(g):
    like = g.tensor(g.dtype("CastLike", "T2"), g.shape(0, 2))
    value = g.some(g.dtype("CastLike", "T1"))
    castable(g, value, like.dtype)
    g.node("CastLike", [value, like])


@operator("BitCast")
def bit_cast(g):
    dtype = g.of(F32, I32, F16, I8, F64)
    to = {4: (F32, I32), 2: (F16, np.dtype(np.int16)), 1: (I8, np.dtype(np.uint8)), 8: (F64, I64)}[dtype.itemsize]
    g.node("BitCast", [g.some(dtype)], to=tensor_type(g.of(*to)))
