// See Compose.h.
#include "compiler/OnnxToCore/Compose.h"
#include "mlir/IR/BuiltinTypes.h"

using namespace mlir;
namespace mlc::decompose {

// ---- sizes ----------------------------------------------------------------------------------------------------------

Sizes constantSizes(CoreBuilder &b, ArrayRef<int64_t> sizes) {
  Sizes result;
  for (int64_t size : sizes)
    result.push_back(b.builder.getIndexAttr(size));
  return result;
}

SmallVector<int64_t> countingFrom(int64_t first, int64_t count) {
  SmallVector<int64_t> result;
  for (int64_t i = 0; i < count; ++i)
    result.push_back(first + i);
  return result;
}

std::optional<OpFoldResult> productOf(Node &n, ArrayRef<OpFoldResult> sizes) {
  if (!n.validSizes(Sizes(sizes)))
    return std::nullopt;
  OpFoldResult product = n.b.builder.getIndexAttr(1);
  for (OpFoldResult size : sizes)
    product = constantSize(product) == 1 ? size : constantSize(size) == 1 ? product : n.b.indexProduct(product, size);
  return product;
}

Values reshapeChecked(Node &n, Value x, const Sizes &sizes) {
  if (!n.validSizes(sizes))
    return failure();
  auto type = CoreBuilder::typeOf(x);
  int64_t count = 1;
  bool isStatic = type.hasStaticShape();
  for (OpFoldResult size : sizes) {
    isStatic &= constantSize(size).has_value();
    count *= constantSize(size).value_or(1);
  }
  if (isStatic && type.getNumElements() != count)
    return n.fail("{0} elements cannot be reshaped from {1} to {2}", type.getNumElements(), toString(type.getShape()),
                  toString(sizes));
  return n.b.reshape(x, sizes);
}

std::optional<SmallVector<int64_t>> staticShape(Node &n, Value x, StringRef what) {
  auto type = CoreBuilder::typeOf(x);
  if (!type.hasStaticShape()) {
    (void)n.unsupported("{0} of dynamic shape {1}", what, toString(type.getShape()));
    return std::nullopt;
  }
  return SmallVector<int64_t>(type.getShape());
}

std::optional<int64_t> staticDim(Node &n, Value x, int64_t axis, StringRef what) {
  int64_t size = CoreBuilder::typeOf(x).getDimSize(axis);
  if (!ShapedType::isDynamic(size))
    return size;
  (void)n.unsupported("{0} of dynamic size", what);
  return std::nullopt;
}

// ---- elements -------------------------------------------------------------------------------------------------------

static Expr scalar(CoreBuilder &b, Type element, Attribute value) {
  return b.constant(DenseElementsAttr::get(RankedTensorType::get({}, element), value));
}

Expr lowest(CoreBuilder &b, Type element) {
  if (isa<FloatType>(element))
    return b.splat(-INFINITY, element);
  unsigned bits = element.getIntOrFloatBitWidth();
  bool isUnsigned = element.isUnsignedInteger() || bits == 1;
  return scalar(b, element,
                b.builder.getIntegerAttr(element, isUnsigned ? APInt::getZero(bits) : APInt::getSignedMinValue(bits)));
}

Expr highest(CoreBuilder &b, Type element) {
  if (isa<FloatType>(element))
    return b.splat(INFINITY, element);
  unsigned bits = element.getIntOrFloatBitWidth();
  bool isUnsigned = element.isUnsignedInteger() || bits == 1;
  return scalar(
      b, element,
      b.builder.getIntegerAttr(element, isUnsigned ? APInt::getAllOnes(bits) : APInt::getSignedMaxValue(bits)));
}

Expr convert(CoreBuilder &b, Value x, Type element) {
  return CoreBuilder::elementOf(x) == element ? b.expr(x) : b.cast(x, element);
}

Expr widened(CoreBuilder &b, Value x) { return convert(b, x, accumulatorOf(CoreBuilder::elementOf(x))); }

// ---- functions ------------------------------------------------------------------------------------------------------

Expr reciprocal(Expr x) { return 1.0 / x; }

// Where e^-x would be infinite the result is 0, and its derivative 0 and no infinity times 0.
Expr sigmoid(Expr x) {
  CoreBuilder &b = *x.b;
  Expr wide = widened(b, x);
  double most = CoreBuilder::elementOf(wide).isF64() ? 709 : 88;
  Expr y = 1.0 / (1.0 + b.exp(b.minimum(-wide, most)));
  y = b.select(b.compare(core::Comparison::LT, wide, -most), b.splatLike(0, y), y);
  return convert(b, y, CoreBuilder::elementOf(x));
}

// log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)), which does not overflow.
Expr softplus(Expr x) {
  CoreBuilder &b = *x.b;
  return b.maximum(x, 0.0) + b.unary("log1p", b.exp(-b.abs(x)));
}

Expr roundHalfEven(Expr x) { return x.b->unary("round", x); }

Expr clamp(Expr x, double low, double high) { return x.b->minimum(x.b->maximum(x, low), high); }

Expr softmax(Expr x, ArrayRef<int64_t> axes) {
  CoreBuilder &b = *x.b;
  Expr wide = widened(b, x), e = b.exp(wide - b.reduce(core::Reduction::Max, wide, axes, /*keepDims=*/true));
  return convert(b, e / b.reduce(core::Reduction::Sum, e, axes, /*keepDims=*/true), CoreBuilder::elementOf(x));
}

Expr maskedSoftmax(Expr x, ArrayRef<int64_t> axes) {
  CoreBuilder &b = *x.b;
  Expr wide = widened(b, x), top = b.reduce(core::Reduction::Max, wide, axes, /*keepDims=*/true);
  Expr e = b.exp(wide - b.select(b.compare(core::Comparison::EQ, top, -INFINITY), b.splatLike(0, top), top));
  Expr sum = b.reduce(core::Reduction::Sum, e, axes, /*keepDims=*/true);
  sum = b.select(b.compare(core::Comparison::EQ, sum, 0.0), b.splatLike(1, sum), sum);
  return convert(b, e / sum, CoreBuilder::elementOf(x));
}

Expr logSoftmax(Expr x, ArrayRef<int64_t> axes) {
  CoreBuilder &b = *x.b;
  Expr wide = widened(b, x), shifted = wide - b.reduce(core::Reduction::Max, wide, axes, /*keepDims=*/true);
  Expr y = shifted - b.log(b.reduce(core::Reduction::Sum, b.exp(shifted), axes, /*keepDims=*/true));
  return convert(b, y, CoreBuilder::elementOf(x));
}

Moments moments(Expr x, ArrayRef<int64_t> axes) {
  CoreBuilder &b = *x.b;
  Expr mean = b.reduceMean(x, axes, /*keepDims=*/true);
  Expr centred = x - mean;
  return {mean, b.reduceMean(centred * centred, axes, /*keepDims=*/true)};
}

Expr perChannel(Expr channels, int64_t rank, int64_t axis) {
  SmallVector<int64_t> added;
  for (int64_t i = 0; i < rank; ++i)
    if (i != axis)
      added.push_back(i);
  return added.empty() ? channels : channels.b->unsqueeze(channels, added);
}

Expr part(Expr x, int64_t axis, OpFoldResult start, OpFoldResult size) {
  CoreBuilder &b = *x.b;
  Sizes sizes = b.dims(x), starts = constantSizes(b, SmallVector<int64_t>(sizes.size(), 0));
  starts[axis] = start;
  sizes[axis] = size;
  return b.slice(x, starts, sizes);
}

Expr at(Expr x, int64_t axis, int64_t position) {
  CoreBuilder &b = *x.b;
  return b.squeeze(part(x, axis, b.builder.getIndexAttr(position), b.builder.getIndexAttr(1)), {axis});
}

// ---- windows and convolutions -----------------------------------------------------------------------------------------

namespace {
/// One spatial dimension of a window.
struct SpatialDim {
  int64_t size, extent, stride; // `size` may be dynamic
  int64_t padLow, padHigh, padHighCeil = 0;
};
} // namespace

/// auto_pad gives an output of ceil(size / stride); this is the padding of both sides together.
static int64_t samePadding(int64_t size, int64_t extent, int64_t stride) {
  return std::max<int64_t>(0, (llvm::divideCeil(size, stride) - 1) * stride + extent - size);
}

/// The constant padding that auto_pad means, if there is one. A dynamic size matters only modulo the stride; if the first window
/// begins at the same place for all remainders, then the largest padding at the end fits all of them.
static bool padEvenly(SpatialDim &d, bool isUpper) {
  auto lowOf = [&](int64_t size) {
    int64_t total = samePadding(size, d.extent, d.stride);
    return isUpper ? total / 2 : total - total / 2;
  };
  if (ShapedType::isDynamic(d.size)) {
    if (d.stride > 64)
      return false;
    d.padLow = lowOf(d.stride);
    for (int64_t size = 1; size < d.stride; ++size)
      if (lowOf(size) != d.padLow)
        return false;
    d.padHigh = d.extent - 1 - d.padLow;
    return true;
  }
  d.padLow = lowOf(d.size);
  d.padHigh = samePadding(d.size, d.extent, d.stride) - d.padLow;
  return true;
}

/// The same, computed by the run: what to put before and after dimension `axis`.
static std::pair<OpFoldResult, OpFoldResult> padAtRun(CoreBuilder &b, Value x, int64_t axis, const SpatialDim &d,
                                                      bool isUpper) {
  auto constant = [&](int64_t value) -> OpFoldResult { return b.builder.getIndexAttr(value); };
  OpFoldResult size = b.dim(x, axis), count = b.indexCeilDiv(size, constant(d.stride));
  OpFoldResult reached = b.indexSum(b.indexProduct(count, constant(d.stride)), constant(d.extent - d.stride));
  OpFoldResult total = b.indexMax(b.indexDifference(reached, size), constant(0));
  OpFoldResult half = b.indexFloorDiv(total, constant(2)), rest = b.indexDifference(total, half);
  return isUpper ? std::pair(half, rest) : std::pair(rest, half);
}

/// ceil_mode: what the last window needs beyond the padding.
static llvm::LogicalResult padForCeil(Node &n, SpatialDim &d) {
  if (ShapedType::isDynamic(d.size)) {
    // A window more than floor gives, if anything is left for it. It would have to be dropped if it began in the padding.
    if (d.padHigh + d.stride - 1 >= d.extent)
      return n.unsupported("ceil_mode with kernel extent {0}, stride {1} and padding {2} on a dynamic size", d.extent,
                           d.stride, d.padHigh);
    d.padHighCeil = d.stride - 1;
    return llvm::success();
  }
  int64_t room = d.size + d.padLow + d.padHigh - d.extent;
  int64_t out = room < 0 ? 0 : int64_t(llvm::divideCeil(room, d.stride)) + 1;
  if (out > 0 && (out - 1) * d.stride >= d.size + d.padLow) // the last window may not start in the padding
    --out;
  d.padHighCeil = std::max<int64_t>(0, (out - 1) * d.stride + d.extent - (d.size + d.padLow + d.padHigh));
  return llvm::success();
}

std::optional<SpatialAttributes> spatialAttributes(Node &n, Value x, ArrayRef<int64_t> kernelShape, bool mayCeil) {
  auto shape = CoreBuilder::typeOf(x).getShape();
  if (!n.check(shape.size() >= 3, "the input has rank {0}: there is no spatial dimension", shape.size()))
    return std::nullopt;
  size_t count = shape.size() - 2;
  SpatialAttributes s;
  s.kernel = n.ints("kernel_shape", kernelShape);
  s.strides = n.ints("strides", SmallVector<int64_t>(count, 1));
  s.dilations = n.ints("dilations", SmallVector<int64_t>(count, 1));
  SmallVector<int64_t> pads = n.ints("pads", SmallVector<int64_t>(2 * count, 0));
  bool isCeil = mayCeil && n.i64("ceil_mode", 0);
  auto autoPad = n.choice("auto_pad", "NOTSET", {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"});
  if (!autoPad || n.failed())
    return std::nullopt;
  if (!n.check(s.kernel.size() == count, "kernel_shape has {0} entries for {1} spatial dimensions", s.kernel.size(),
               count) ||
      !n.check(kernelShape.empty() || ArrayRef<int64_t>(s.kernel) == kernelShape,
               "kernel_shape is {0}, but the weights' is {1}", toString(s.kernel), toString(kernelShape)) ||
      !n.check(s.strides.size() == count, "strides has {0} entries for {1} spatial dimensions", s.strides.size(),
               count) ||
      !n.check(s.dilations.size() == count, "dilations has {0} entries for {1} spatial dimensions", s.dilations.size(),
               count) ||
      !n.check(pads.size() == 2 * count, "pads has {0} entries for {1} spatial dimensions", pads.size(), count))
    return std::nullopt;
  for (size_t i = 0; i < count; ++i) {
    if (!n.check(s.kernel[i] > 0 && s.strides[i] > 0 && s.dilations[i] > 0,
                 "kernel {0}, stride {1} and dilation {2} must be positive", s.kernel[i], s.strides[i],
                 s.dilations[i]) ||
        !n.check(s.kernel[i] < (1 << 30) && s.strides[i] < (1 << 30) && s.dilations[i] < (1 << 30),
                 "a window is too large") ||
        !n.check(std::abs(pads[i]) < (1 << 30) && std::abs(pads[i + count]) < (1 << 30), "a padding is too large"))
      return std::nullopt;
    if (pads[i] < 0 || pads[i + count] < 0) {
      (void)n.unsupported("negative padding");
      return std::nullopt;
    }
    SpatialDim d{shape[i + 2], (s.kernel[i] - 1) * s.dilations[i] + 1, s.strides[i], pads[i], pads[i + count]};
    if (*autoPad != 0)
      d.padLow = d.padHigh = 0;
    if ((*autoPad == 1 || *autoPad == 2) && !padEvenly(d, /*isUpper=*/*autoPad == 1)) {
      if (s.runLow.empty())
        s.runLow = s.runHigh = constantSizes(n.b, SmallVector<int64_t>(count + 2, 0));
      std::tie(s.runLow[i + 2], s.runHigh[i + 2]) = padAtRun(n.b, x, i + 2, d, /*isUpper=*/*autoPad == 1);
      d.padLow = d.padHigh = 0;
    }
    if (isCeil && failed(padForCeil(n, d)))
      return std::nullopt;
    if (!ShapedType::isDynamic(d.size) &&
        !n.check(d.size + d.padLow + d.padHigh + d.padHighCeil >= d.extent,
                 "a window of extent {0} does not fit into size {1} with padding {2} and {3}", d.extent, d.size,
                 d.padLow, d.padHigh))
      return std::nullopt;
    s.padLow.push_back(d.padLow);
    s.padHigh.push_back(d.padHigh);
    s.padHighCeil.push_back(d.padHighCeil);
  }
  return s;
}

Expr padded(Expr x, const SpatialAttributes &s, Expr filler) {
  return s.runLow.empty() ? x : x.b->pad(x, filler, s.runLow, s.runHigh);
}

CoreBuilder::Window windowOf(const SpatialAttributes &s, bool padded) {
  CoreBuilder::Window w;
  w.size = w.strides = w.dilations = {1, 1};
  w.padLow = w.padHigh = {0, 0};
  for (size_t i = 0; i < s.kernel.size(); ++i) {
    w.size.push_back(s.kernel[i]);
    w.strides.push_back(s.strides[i]);
    w.dilations.push_back(s.dilations[i]);
    w.padLow.push_back(padded ? s.padLow[i] : 0);
    w.padHigh.push_back(padded ? s.padHigh[i] + s.padHighCeil[i] : 0);
  }
  return w;
}

std::optional<Expr> legacyOperand(Node &n, Expr x, Expr y) {
  n.ignoreAttr("consumed_inputs"); // a hint of opset 1
  if (n.opset() >= 7)
    return y;
  bool mayBroadcast = n.i64("broadcast", 0);
  bool hasAxis = n.hasAttr("axis");
  int64_t xRank = CoreBuilder::rankOf(x), yRank = CoreBuilder::rankOf(y);
  int64_t axis = n.i64("axis", xRank - yRank);
  if (!mayBroadcast || !hasAxis)
    return y;
  axis += axis < 0 ? xRank : 0;
  if (!n.check(axis >= 0 && axis + yRank <= xRank, "axis {0} is out of range for ranks {1} and {2}", axis, xRank,
               yRank))
    return std::nullopt;
  SmallVector<int64_t> added = countingFrom(yRank, xRank - axis - yRank);
  return added.empty() ? y : n.b.unsqueeze(y, added);
}

std::optional<std::pair<Expr, Expr>> binaryOperands(Node &n) {
  Expr x = n.in(0), y = n.in(1);
  if (!n.sameElement({x, y}))
    return std::nullopt;
  auto aligned = legacyOperand(n, x, y);
  if (!aligned || !n.broadcastable({x, *aligned}))
    return std::nullopt;
  return std::pair{x, *aligned};
}

} // namespace mlc::decompose
