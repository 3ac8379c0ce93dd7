// Quantised operators, each as dequantise (or subtract the zero point), operate, quantise.
#include "compiler/OnnxToCore/MatMul.h"

using namespace mlir;
namespace mlc::decompose {

using core::Reduction;

/// A scale or zero point spread over x: a scalar, one number for each position of an axis, or one for each block along it.
static std::optional<Expr> spread(Node &n, Expr x, Expr parameter, int64_t axisGiven, int64_t block) {
  CoreBuilder &b = n.b;
  int64_t rank = CoreBuilder::rankOf(x), own = CoreBuilder::rankOf(parameter);
  auto type = CoreBuilder::typeOf(parameter);
  if (own == 0)
    return parameter;
  if (own == 1 && type.getDimSize(0) == 1 && block == 0)
    return b.reshape(parameter, {});
  auto axis = n.axis(axisGiven, rank);
  if (!axis)
    return std::nullopt;
  if (block == 0) {
    if (!n.check(own == 1, "a scale or zero point has rank {0}", own) ||
        !n.sameSize(b.dim(parameter, 0), b.dim(x, *axis), "sizes of the scale and the axis"))
      return std::nullopt;
    return perChannel(parameter, rank, *axis);
  }
  if (!n.check(own == rank && block > 0 && block < (1 << 30), "block_size {0} does not fit a scale of rank {1}", block,
               own))
    return std::nullopt;
  Sizes wide = b.dims(parameter), merged = wide;
  SmallVector<int64_t> axes = countingFrom(0, own);
  for (int64_t d = *axis + 1; d < own; ++d)
    ++axes[d];
  wide.insert(wide.begin() + *axis + 1, b.builder.getIndexAttr(block));
  merged[*axis] = b.indexProduct(merged[*axis], b.builder.getIndexAttr(block));
  for (int64_t d = 0; d < rank; ++d) // the last block may be cut off
    if (d != *axis && !n.sameSize(merged[d], b.dim(x, d), "sizes of the scale and the input"))
      return std::nullopt;
  auto have = constantSize(merged[*axis]), want = constantSize(b.dim(x, *axis));
  OpFoldResult blocks = b.indexCeilDiv(b.dim(x, *axis), b.builder.getIndexAttr(block));
  if (!n.sameSize(b.dim(parameter, *axis), blocks, "numbers of blocks in the scale and the input"))
    return std::nullopt;
  Expr repeated = b.reshape(b.broadcast(parameter, wide, axes), merged);
  return have && want && *have == *want ? repeated : part(repeated, *axis, b.builder.getIndexAttr(0), b.dim(x, *axis));
}

/// saturate(round(x) + zeroPoint); x is a float tensor, zeroPoint null or of the element type.
static Expr quantized(CoreBuilder &b, Expr x, std::optional<Expr> zeroPoint, Type element) {
  Type f32 = b.builder.getF32Type();
  Expr y = roundHalfEven(x);
  if (!CoreBuilder::elementOf(y).isF64())
    y = convert(b, y, f32); // 16-bit floats do not hold all 16-bit integers
  Type wide = CoreBuilder::elementOf(y);
  if (zeroPoint)
    y = y + convert(b, *zeroPoint, wide);
  return b.cast(b.minimum(b.maximum(y, convert(b, lowest(b, element), wide)), convert(b, highest(b, element), wide)),
                element);
}

static bool isQuantized(Type element) { return element.isInteger(8) || element.isInteger(16); }

static Values quantizeLinear(Node &n, CoreBuilder &b) {
  Expr x = n.in(0), scale = n.in(1);
  n.ignoreAttr("saturate"); // of 8-bit floats
  int64_t axis = n.i64("axis", 1), block = n.i64("block_size", 0), output = n.i64("output_dtype", 0);
  Type precision = n.i64("precision", 0) ? n.dtype("precision", {}) : Type();
  Type element = n.has(2) ? n.element(2)
                 : output ? n.dtype("output_dtype", {})
                          : b.builder.getIntegerType(8, /*isSigned=*/false);
  if (n.failed() || !element)
    return failure();
  if (!isQuantized(element))
    return n.unsupported("quantisation to {0}", nameOf(element));
  if (!n.elementIs(1, kFloat, "the scale"))
    return failure();
  Type wide = precision ? precision : n.element(1);
  auto spreadScale = spread(n, x, scale, axis, block);
  if (!spreadScale)
    return failure();
  std::optional<Expr> zeroPoint;
  if (n.has(2)) {
    zeroPoint = spread(n, x, n.in(2), axis, block);
    if (!zeroPoint)
      return failure();
  }
  return quantized(b, convert(b, x, wide) / convert(b, *spreadScale, wide), zeroPoint, element);
}

static Values dequantizeLinear(Node &n, CoreBuilder &b) {
  Expr x = n.in(0), scale = n.in(1);
  int64_t axis = n.i64("axis", 1), block = n.i64("block_size", 0), output = n.i64("output_dtype", 0);
  Type element = output ? n.dtype("output_dtype", {}) : n.element(1), f32 = b.builder.getF32Type();
  if (n.failed() || !element)
    return failure();
  if (!(kindOf(element) & kFloat))
    return n.unsupported("a result of type {0}", nameOf(element));
  if (!n.elementIs(1, kFloat, "the scale"))
    return failure();
  auto spreadScale = spread(n, x, scale, axis, block);
  if (!spreadScale)
    return failure();
  Expr y = convert(b, x, f32);
  if (n.has(2)) {
    auto zeroPoint = spread(n, x, n.in(2), axis, block);
    if (!zeroPoint || !n.sameElement({x, n.in(2)}))
      return failure();
    y = y - convert(b, *zeroPoint, f32);
  }
  return convert(b, y * convert(b, *spreadScale, f32), element);
}

// The scale and the zero point come from the range of x, which includes 0.
static Values dynamicQuantizeLinear(Node &n, CoreBuilder &b) {
  Expr x = n.in(0);
  SmallVector<int64_t> axes = countingFrom(0, n.rank(0));
  Expr high = b.maximum(b.reduce(Reduction::Max, x, axes), 0.0),
       low = b.minimum(b.reduce(Reduction::Min, x, axes), 0.0);
  Expr scale = b.select(b.compare(core::Comparison::EQ, high, low), b.splat(1, n.element(0)), high - low) / 255.0;
  Type ui8 = b.builder.getIntegerType(8, /*isSigned=*/false);
  Expr zeroPoint = roundHalfEven(clamp(0.0 - low / scale, 0, 255));
  Expr y = clamp(roundHalfEven(x / scale) + zeroPoint, 0, 255);
  return {b.cast(y, ui8), scale, b.cast(zeroPoint, ui8)};
}

// ---- integer products -------------------------------------------------------------------------------------------------

/// Input i as i32, less its zero point (input z, if given): a scalar, or one number for each position of an axis.
static std::optional<Expr> centred(Node &n, int64_t i, int64_t z, int64_t axis) {
  CoreBuilder &b = n.b;
  Type i32 = b.builder.getI32Type();
  if (!n.check(n.element(i).isInteger(8), "input {0} is {1} instead of int8 or uint8", i, nameOf(n.element(i))))
    return std::nullopt;
  Expr x = b.cast(n.in(i), i32);
  if (!n.has(z))
    return x;
  if (!n.sameElement({n.in(i), n.in(z)}))
    return std::nullopt;
  Expr zero = n.in(z);
  if (CoreBuilder::rankOf(zero) > 1) { // already has x's rank: [.., K, 1] or [.., 1, N]
    if (!n.broadcastable({x, zero}))
      return std::nullopt;
    return x - b.cast(zero, i32);
  }
  int64_t rank = n.rank(i);
  auto spreadZero = spread(n, x, b.cast(zero, i32), rank == 1 ? 0 : axis < 0 ? axis + rank : axis, 0);
  if (!spreadZero)
    return std::nullopt;
  return x - *spreadZero;
}

static std::optional<Expr> integerMatmul(Node &n, int64_t x, int64_t xZero, int64_t y, int64_t yZero) {
  auto left = centred(n, x, xZero, -2), right = left ? centred(n, y, yZero, -1) : std::nullopt;
  if (!right || !matmulFits(n, *left, *right))
    return std::nullopt;
  return n.b.matmul(*left, *right);
}

static Values matMulInteger(Node &n, CoreBuilder &b) {
  auto product = integerMatmul(n, 0, 2, 1, 3);
  return product ? Values(*product) : failure();
}

static std::optional<Expr> integerConv(Node &n, int64_t x, int64_t xZero, int64_t w, int64_t wZero) {
  CoreBuilder &b = n.b;
  int64_t rank = n.rank(x);
  if (!n.check(rank >= 3 && n.rank(w) == rank, "input and weights have ranks {0} and {1}", rank, n.rank(w)))
    return std::nullopt;
  auto left = centred(n, x, xZero, 1), right = left ? centred(n, w, wZero, 0) : std::nullopt;
  auto shape = right ? staticShape(n, *right, "weights") : std::nullopt;
  auto s =
      shape ? spatialAttributes(n, *left, ArrayRef<int64_t>(*shape).drop_front(2), /*mayCeil=*/false) : std::nullopt;
  int64_t groups = n.i64("group", 1);
  if (!s || !n.check(groups > 0 && (*shape)[0] % groups == 0, "{0} output channels cannot be divided into {1} groups",
                     (*shape)[0], groups))
    return std::nullopt;
  auto channels = constantSize(b.dim(*left, 1));
  if (!n.check(!channels || *channels == (*shape)[1] * groups, "the input has {0} channels, the weights expect {1}",
               channels.value_or(0), (*shape)[1] * groups))
    return std::nullopt;
  CoreBuilder::ConvDims dims;
  dims.strides = s->strides;
  dims.padLow = s->padLow;
  dims.padHigh = s->padHigh;
  dims.lhsDilation.assign(s->kernel.size(), 1);
  dims.rhsDilation = s->dilations;
  dims.groups = groups;
  return b.conv(padded(*left, *s, b.splat(0, CoreBuilder::elementOf(*left))), *right, dims);
}

static Values convInteger(Node &n, CoreBuilder &b) {
  auto y = integerConv(n, 0, 2, 1, 3);
  return y ? Values(*y) : failure();
}

/// saturate(round(y * xScale * wScale / yScale) + yZero); a vector of weights' scales belongs to `axis`.
static Values requantized(Node &n, Expr y, int64_t xScale, int64_t wScale, int64_t yScale, int64_t yZero,
                          int64_t axis) {
  CoreBuilder &b = n.b;
  if (!n.check(isQuantized(n.element(yZero)), "the output's zero point is {0}", nameOf(n.element(yZero))))
    return failure();
  for (int64_t i : {xScale, wScale, yScale})
    if (!n.elementIs(i, kFloat, "a scale"))
      return failure();
  Type f32 = b.builder.getF32Type();
  auto of = [&](int64_t i) -> std::optional<Expr> {
    Expr scale = convert(b, n.in(i), f32);
    if (CoreBuilder::rankOf(scale) > 1)
      return n.broadcastable({y, scale}) ? std::optional(scale) : std::nullopt;
    return spread(n, y, scale, i == xScale ? CoreBuilder::rankOf(y) - 2 : axis, 0);
  };
  auto a = of(xScale), c = a ? of(wScale) : std::nullopt,
       d = c ? spread(n, y, convert(b, n.in(yScale), f32), CoreBuilder::rankOf(y) - 2, 0) : std::nullopt;
  auto zero = d ? spread(n, y, n.in(yZero), CoreBuilder::rankOf(y) - 2, 0) : std::nullopt;
  if (!zero)
    return failure();
  return quantized(b, b.cast(y, f32) * (*a * *c / *d), *zero, n.element(yZero));
}

static Values qLinearMatMul(Node &n, CoreBuilder &b) {
  auto y = integerMatmul(n, 0, 2, 3, 5);
  return y ? requantized(n, *y, 1, 4, 6, 7, CoreBuilder::rankOf(*y) - 1) : failure();
}

static Values qLinearConv(Node &n, CoreBuilder &b) {
  auto y = integerConv(n, 0, 2, 3, 5);
  if (!y)
    return failure();
  if (n.has(8)) {
    if (!n.ranked(8, 1, 1, "the bias") ||
        !n.check(n.element(8).isSignlessInteger(32), "the bias is {0} instead of int32", nameOf(n.element(8))) ||
        !n.sameSize(b.dim(n.in(8), 0), b.dim(*y, 1), "sizes of bias and output channels"))
      return failure();
    y = *y + perChannel(n.in(8), CoreBuilder::rankOf(*y));
  }
  return requantized(n, *y, 1, 4, 6, 7, 1);
}

static const Rule rules[] = {
    {"QuantizeLinear", 10, quantizeLinear, 2, kNumber},
    {"DequantizeLinear", 10, dequantizeLinear, 2, kInteger},
    {"DynamicQuantizeLinear", 11, dynamicQuantizeLinear, 1, kFloat},
    {"MatMulInteger", 10, matMulInteger, 2, kInteger},
    {"ConvInteger", 10, convInteger, 2, kInteger},
    {"QLinearMatMul", 10, qLinearMatMul, 8, kInteger},
    {"QLinearConv", 10, qLinearConv, 8, kInteger},
};
const ArrayRef<Rule> quantizeRules(rules);

// ONNX Runtime's own, from before the standard's had 16 bits.
static const Rule runtimeRules[] = {
    {"QuantizeLinear", 1, quantizeLinear, 2, kNumber},
    {"DequantizeLinear", 1, dequantizeLinear, 2, kInteger},
};
const ArrayRef<Rule> runtimeQuantizeRules(runtimeRules);

} // namespace mlc::decompose
