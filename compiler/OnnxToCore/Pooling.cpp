// Pools over windows and over all spatial dimensions, and MaxUnpool.
#include "compiler/OnnxToCore/Compose.h"

using namespace mlir;
namespace mlc::decompose {

using core::Reduction;

// ---- maximum ----------------------------------------------------------------------------------------------------------

/// Where the largest element of each window is, as a position in the whole input: the candidates of each window are stacked,
/// and the number of the largest one tells where in the window it lies.
static std::optional<Expr> maxPositions(Node &n, CoreBuilder &b, Expr x, const SpatialAttributes &s, Expr values) {
  int64_t count = s.kernel.size(), taps = 1;
  if (!s.runLow.empty()) {
    (void)n.unsupported("auto_pad with indices on a dynamic size");
    return std::nullopt;
  }
  for (int64_t k : s.kernel)
    taps *= k;
  if (taps > 1024) {
    (void)n.unsupported("indices of windows of {0} elements", taps);
    return std::nullopt;
  }
  bool isColumnMajor = n.i64("storage_order", 0);
  Sizes sizes = b.dims(x), outSizes = b.dims(values);
  SmallVector<int64_t> low(count + 2, 0), high(count + 2, 0);
  for (int64_t d = 0; d < count; ++d) {
    low[d + 2] = s.padLow[d];
    high[d + 2] = s.padHigh[d] + s.padHighCeil[d];
  }
  Expr padded = b.pad(x, lowest(b, CoreBuilder::elementOf(x)), constantSizes(b, low), constantSizes(b, high));
  Type i64 = b.builder.getI64Type();
  SmallVector<Value> candidates;
  SmallVector<SmallVector<int64_t>> offsets(count); // of each tap, along each dimension
  for (int64_t tap = 0; tap < taps; ++tap) {
    SmallVector<int64_t> start(count + 2, 0), strides(count + 2, 1);
    int64_t rest = tap;
    for (int64_t d = count - 1; d >= 0; --d) {
      start[d + 2] = rest % s.kernel[d] * s.dilations[d];
      strides[d + 2] = s.strides[d];
      rest /= s.kernel[d];
    }
    for (int64_t d = 0; d < count; ++d)
      offsets[d].push_back(start[d + 2] - s.padLow[d]);
    candidates.push_back(b.unsqueeze(b.slice(padded, constantSizes(b, start), outSizes, strides), {0}));
  }
  Expr tap = taps == 1
                 ? b.broadcastTo(b.splat(0, i64), outSizes)
                 : b.argReduce(/*isMax=*/true, b.concat(candidates, 0), 0, /*keepDims=*/false, /*lastIndex=*/false);
  // Horner's scheme over the dimensions in storage order.
  auto scalar = [&](OpFoldResult v) { return b.fromElements({v}, i64, /*scalar=*/true); };
  Expr position = b.iota(outSizes, 0, i64) * scalar(sizes[1]) + b.iota(outSizes, 1, i64);
  for (int64_t k = 0; k < count; ++k) {
    int64_t d = isColumnMajor ? count - 1 - k : k;
    Expr along = b.iota(outSizes, d + 2, i64) * double(s.strides[d]) + b.gather(b.ints(offsets[d]), tap, 0);
    position = position * scalar(sizes[d + 2]) + along;
  }
  return position;
}

static Values maxPool(Node &n, CoreBuilder &b) {
  Expr x = n.in(0);
  auto s = spatialAttributes(n, x, {}, /*mayCeil=*/true);
  n.ignoreAttr("storage_order"); // of the indices only
  if (!s)
    return failure();
  Expr values = b.windowReduce(Reduction::Max, padded(x, *s, lowest(b, n.element(0))), windowOf(*s, /*padded=*/true));
  if (!n.wants(1))
    return values;
  auto positions = maxPositions(n, b, x, *s, values);
  return positions ? Values({values, *positions}) : failure();
}

// Every element goes to its position in an image of zeros.
static Values maxUnpool(Node &n, CoreBuilder &b) {
  Expr x = n.in(0), positions = n.in(1);
  int64_t count = n.rank(0) - 2;
  SmallVector<int64_t> kernel = n.ints("kernel_shape"),
                       strides = n.ints("strides", SmallVector<int64_t>(std::max<int64_t>(count, 0), 1)),
                       pads = n.ints("pads", SmallVector<int64_t>(std::max<int64_t>(2 * count, 0), 0));
  if (!n.check(count >= 1 && int64_t(kernel.size()) == count && int64_t(strides.size()) == count &&
                   int64_t(pads.size()) == 2 * count,
               "kernel_shape, strides and pads do not fit rank {0}", n.rank(0)) ||
      !n.elementIs(1, kSigned, "the positions") || !n.ranked(1, n.rank(0), n.rank(0), "the positions"))
    return failure();
  Sizes sizes = b.dims(x), inferred = {sizes[0], sizes[1]};
  for (int64_t d = 0; d < count; ++d) {
    if (!n.check(std::abs(strides[d]) < (1 << 20) && std::abs(kernel[d]) < (1 << 20) && std::abs(pads[d]) < (1 << 20) &&
                     std::abs(pads[count + d]) < (1 << 20),
                 "a window is too large"))
      return failure();
    OpFoldResult spread =
        b.indexProduct(b.indexDifference(sizes[d + 2], b.builder.getIndexAttr(1)), b.builder.getIndexAttr(strides[d]));
    inferred.push_back(b.indexSum(spread, b.builder.getIndexAttr(kernel[d] - pads[d] - pads[count + d])));
  }
  auto from = productOf(n, sizes), to = productOf(n, inferred);
  if (!from || !to)
    return failure();
  for (int64_t d = 0; d < n.rank(0); ++d)
    if (!n.sameSize(sizes[d], b.dim(positions, d), "sizes of values and positions"))
      return failure();
  if (!n.requireInRange(positions, b.builder.getIndexAttr(0), *to, "position"))
    return failure();
  Expr zeros = b.broadcast(b.splat(0, n.element(0)), {*to}, {});
  Expr image = b.reshape(
      b.scatterElements(zeros, b.reshape(positions, {*from}), b.reshape(x, {*from}), 0, Reduction::None), inferred);
  if (!n.has(2))
    return image;
  auto target = n.sizes(2);
  if (!target || !n.check(target->size() == inferred.size(), "output_shape has {0} entries for rank {1}",
                          target->size(), inferred.size()))
    return failure();
  Sizes high;
  for (auto [wanted, have] : llvm::zip_equal(*target, inferred)) {
    high.push_back(b.indexDifference(wanted, have));
    if (!n.check(constantSize(high.back()).value_or(0) >= 0, "output_shape {0} is smaller than {1}", toString(*target),
                 toString(inferred)))
      return failure();
  }
  return b.pad(image, b.splat(0, n.element(0)), constantSizes(b, SmallVector<int64_t>(high.size(), 0)), high);
}

// ---- mean -------------------------------------------------------------------------------------------------------------

/// How many elements of the input (and of its padding, if that counts) each window covers: [1, 1, spatial...], or 0-D if
/// that is the same everywhere.
static Expr countOf(CoreBuilder &b, Expr x, const SpatialAttributes &s, bool countsPadding) {
  Type element = CoreBuilder::elementOf(x); // the wide one: a window has more elements than f16 can count
  int64_t all = 1;
  bool isEven = s.runLow.empty() || countsPadding;
  for (size_t d = 0; d < s.kernel.size(); ++d) {
    all *= s.kernel[d];
    isEven &= s.padHighCeil[d] == 0 && (countsPadding || (s.padLow[d] == 0 && s.padHigh[d] == 0));
  }
  if (isEven)
    return b.splat(double(all), element);
  Sizes sizes = b.dims(x);
  sizes[0] = sizes[1] = b.builder.getIndexAttr(1);
  CoreBuilder::Window w = windowOf(s, /*padded=*/true);
  if (countsPadding)
    for (size_t d = 0; d < s.kernel.size(); ++d) {
      sizes[d + 2] = b.indexSum(sizes[d + 2], b.builder.getIndexAttr(s.padLow[d] + s.padHigh[d]));
      w.padLow[d + 2] = 0;
      w.padHigh[d + 2] = s.padHighCeil[d];
    }
  Expr ones = b.broadcast(b.splat(1, element), sizes, {});
  return b.windowReduce(Reduction::Sum, padded(ones, s, b.splat(countsPadding, element)), w);
}

static Values averagePool(Node &n, CoreBuilder &b) {
  Expr x = widened(b, n.in(0));
  auto s = spatialAttributes(n, x, {}, /*mayCeil=*/true);
  bool countsPadding = n.i64("count_include_pad", 0);
  if (!s)
    return failure();
  Expr zero = b.splat(0, CoreBuilder::elementOf(x));
  Expr sum = b.windowReduce(Reduction::Sum, padded(x, *s, zero), windowOf(*s, /*padded=*/true));
  return convert(b, sum / countOf(b, x, *s, countsPadding), n.element(0));
}

// ---- norms ------------------------------------------------------------------------------------------------------------

/// |x|^p before, and ^(1/p) after a sum.
static Expr raise(Expr x, double p) {
  CoreBuilder &b = *x.b;
  return p == 1 ? b.abs(x) : p == 2 ? x * x : b.binary("pow", b.abs(x), b.splat(p, CoreBuilder::elementOf(x)));
}
static Expr root(Expr x, double p) {
  CoreBuilder &b = *x.b;
  return p == 1 ? x : p == 2 ? b.sqrt(x) : b.binary("pow", x, b.splat(1 / p, CoreBuilder::elementOf(x)));
}
static double normOf(Node &n) { return n.opset() < 2 ? n.f32("p", 2) : double(n.i64("p", 2)); }

static Values lpPool(Node &n, CoreBuilder &b) {
  Expr x = widened(b, n.in(0));
  double p = normOf(n);
  auto s = spatialAttributes(n, x, {}, /*mayCeil=*/true);
  if (!s || !n.check(p > 0, "p is {0}", p))
    return failure();
  Expr powers = raise(padded(x, *s, b.splat(0, CoreBuilder::elementOf(x))), p);
  return convert(b, root(b.windowReduce(Reduction::Sum, powers, windowOf(*s, /*padded=*/true)), p), n.element(0));
}

// ---- global -----------------------------------------------------------------------------------------------------------

static std::optional<SmallVector<int64_t>> spatialAxes(Node &n) {
  if (!n.ranked(0, 2, 1 << 20, "the input"))
    return std::nullopt;
  return countingFrom(2, n.rank(0) - 2);
}

static Values globalAveragePool(Node &n, CoreBuilder &b) {
  auto axes = spatialAxes(n);
  return axes ? Values(b.reduceMean(n.in(0), *axes, /*keepDims=*/true)) : failure();
}

static Values globalMaxPool(Node &n, CoreBuilder &b) {
  auto axes = spatialAxes(n);
  return axes ? Values(b.reduce(Reduction::Max, n.in(0), *axes, /*keepDims=*/true)) : failure();
}

static Values globalLpPool(Node &n, CoreBuilder &b) {
  auto axes = spatialAxes(n);
  double p = normOf(n);
  if (!axes || !n.check(p > 0, "p is {0}", p))
    return failure();
  Expr powers = raise(widened(b, n.in(0)), p);
  return convert(b, root(b.reduce(Reduction::Sum, powers, *axes, /*keepDims=*/true), p), n.element(0));
}

static const Rule rules[] = {
    {"MaxPool", 1, maxPool, 1, kNumber},
    {"MaxUnpool", 9, maxUnpool, 2, kFloat},
    {"AveragePool", 1, averagePool, 1, kFloat},
    {"LpPool", 1, lpPool, 1, kFloat},
    {"GlobalAveragePool", 1, globalAveragePool, 1, kFloat},
    {"GlobalMaxPool", 1, globalMaxPool, 1, kFloat},
    {"GlobalLpPool", 1, globalLpPool, 1, kFloat},
};
const ArrayRef<Rule> poolingRules(rules);

} // namespace mlc::decompose
