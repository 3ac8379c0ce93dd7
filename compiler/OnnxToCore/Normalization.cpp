// Operators that subtract means and divide by deviations or norms.
#include "compiler/OnnxToCore/Normalization.h"

using namespace mlir;
namespace mlc::decompose {

using core::Reduction;

Expr standardized(Expr x, const Moments &m, double epsilon) {
  return (x - m.mean) * reciprocal(x.b->sqrt(m.variance + epsilon));
}

Expr overRootMeanSquare(Expr x, ArrayRef<int64_t> axes, double epsilon) {
  CoreBuilder &b = *x.b;
  return x * reciprocal(b.sqrt(b.reduceMean(x * x, axes, /*keepDims=*/true) + epsilon));
}

/// One number for each channel.
static bool isPerChannel(Node &n, int64_t i, StringRef what) {
  CoreBuilder &b = n.b;
  return n.ranked(i, 1, 1, what) && n.sameSize(b.dim(n.in(i), 0), b.dim(n.in(0), 1), "numbers of channels") &&
         n.elementIs(i, kFloat, what);
}

/// The input in a type whose squares and sums do not overflow, and a result back in the input's type.
static Expr widened(Node &n) { return widened(n.b, n.in(0)); }
static Expr narrowed(Node &n, Expr y) { return convert(n.b, y, n.element(0)); }

// ---- batch ------------------------------------------------------------------------------------------------------------

// x * a + (bias - mean * a) with a = scale / sqrt(variance + epsilon): one multiplication and one addition.
static Values batchNormalization(Node &n, CoreBuilder &b) {
  n.ignoreAttr("consumed_inputs");
  Expr x = n.in(0);
  Type element = n.element(0);
  int64_t rank = n.rank(0);
  double epsilon = n.f32("epsilon", 1e-5f), momentum = n.f32("momentum", 0.9f);
  bool isTraining = n.opset() >= 14 ? n.i64("training_mode", 0) : n.opset() < 7 && !n.i64("is_test", 0) && n.wants(1);
  if (n.opset() < 9 && !n.i64("spatial", 1))
    return n.unsupported("spatial = 0");
  if (!n.ranked(0, 2, 1 << 20, "the input"))
    return failure();
  for (int64_t i : {1, 2, 3, 4})
    if (!isPerChannel(n, i, llvm::formatv("input {0}", i).str()))
      return failure();
  if (!isTraining) {
    Type type = n.element(3) == element ? element : accumulatorOf(element);
    auto channel = [&](int64_t i) { return convert(b, n.in(i), type); };
    auto wide = [&](int64_t i) { return widened(b, channel(i)); };
    Expr factor = wide(1) / b.sqrt(wide(4) + epsilon), offset = wide(2) - wide(3) * factor;
    Expr a = convert(b, factor, type), c = convert(b, offset, type);
    return convert(b, convert(b, x, type) * perChannel(a, rank) + perChannel(c, rank), element);
  }
  SmallVector<int64_t> axes = {0};
  axes.append(countingFrom(2, rank - 2));
  Expr wide = widened(n);
  Moments m = moments(wide, axes);
  auto running = [&](int64_t i, Expr now) {
    Type type = n.element(i);
    return n.in(i)*momentum + convert(b, b.squeeze(now, axes), type) * (1 - momentum);
  };
  auto channel = [&](int64_t i) { return perChannel(convert(b, n.in(i), accumulatorOf(element)), rank); };
  Expr y = standardized(wide, m, epsilon) * channel(1) + channel(2);
  return {narrowed(n, y), running(3, m.mean), running(4, m.variance)};
}

// ---- instances, layers and groups ---------------------------------------------------------------------------------------

static Values instanceNormalization(Node &n, CoreBuilder &b) {
  n.ignoreAttr("consumed_inputs");
  Expr x = n.in(0), scale = n.in(1), bias = n.in(2);
  int64_t rank = n.rank(0);
  if (!n.ranked(0, 3, 1 << 20, "the input") || !isPerChannel(n, 1, "scale") || !isPerChannel(n, 2, "bias") ||
      !n.sameElement({x, scale, bias}))
    return failure();
  Expr wide = widened(n);
  auto channel = [&](Expr value) { return perChannel(convert(b, value, accumulatorOf(n.element(0))), rank); };
  Expr y = standardized(wide, moments(wide, countingFrom(2, rank - 2)), n.f32("epsilon", 1e-5f));
  return narrowed(n, y * channel(scale) + channel(bias));
}

/// The type that stash_type names, for the computation.
static Type stashType(Node &n) {
  Type type = n.dtype("stash_type", n.b.builder.getF32Type());
  if (type && type.isF32() && n.element(0).isF64()) // never below the input's own precision
    return n.element(0);
  return type;
}

static Values layerNormalization(Node &n, CoreBuilder &b) {
  Expr scale = n.in(1);
  int64_t rank = n.rank(0);
  double epsilon = n.f32("epsilon", 1e-5f);
  auto axis = n.axis("axis", -1, rank);
  Type stash = stashType(n), element = n.element(0);
  if (!axis || !stash || !n.sameElement({n.in(0), scale}))
    return failure();
  auto spread = n.broadcastTo(scale, b.dims(n.in(0)));
  if (!spread)
    return failure();
  scale = *spread;
  Expr x = convert(b, n.in(0), stash);
  Moments m = moments(x, countingFrom(*axis, rank - *axis));
  Expr inverse = reciprocal(b.sqrt(m.variance + epsilon));
  Expr y = convert(b, (x - m.mean) * inverse, element) * scale;
  if (n.has(2)) {
    auto shift = n.sameElement({n.in(0), n.in(2)}) ? n.broadcastTo(n.in(2), b.dims(n.in(0))) : std::nullopt;
    if (!shift)
      return failure();
    y = y + *shift;
  }
  return {y, m.mean, inverse};
}

static Values rmsNormalization(Node &n, CoreBuilder &b) {
  Expr scale = n.in(1);
  int64_t rank = n.rank(0);
  double epsilon = n.f32("epsilon", 1e-5f);
  auto axis = n.axis("axis", -1, rank);
  Type stash = stashType(n);
  if (!axis || !stash || !n.elementIs(1, kFloat, "scale"))
    return failure();
  auto spread = n.broadcastTo(scale, b.dims(n.in(0)));
  if (!spread)
    return failure();
  scale = *spread;
  Expr x = convert(b, n.in(0), stash);
  return convert(b, overRootMeanSquare(x, countingFrom(*axis, rank - *axis), epsilon), n.element(1)) * scale;
}

// [N, C, ...] as [N, groups, C / groups * ...].
static Values groupNormalization(Node &n, CoreBuilder &b) {
  Expr x = n.in(0), scale = n.in(1), bias = n.in(2);
  int64_t rank = n.rank(0), groups = n.i64("num_groups", 0);
  double epsilon = n.f32("epsilon", 1e-5f);
  Type element = n.element(0), stash = n.opset() >= 21 ? stashType(n) : accumulatorOf(element);
  if (!stash || !n.ranked(0, 2, 1 << 20, "the input") || !n.ranked(1, 1, 1, "scale") || !n.ranked(2, 1, 1, "bias") ||
      !n.sameElement({x, scale, bias}))
    return failure();
  auto channels = staticDim(n, x, 1, "a channel dimension");
  if (!channels || !n.check(groups > 0 && *channels % groups == 0, "{0} channels cannot be divided into {1} groups",
                            *channels, groups))
    return failure();
  Sizes sizes = b.dims(x);
  SmallVector<OpFoldResult> rest = {b.builder.getIndexAttr(*channels / groups)};
  rest.append(sizes.begin() + 2, sizes.end());
  auto inner = productOf(n, rest);
  if (!inner)
    return failure();
  Expr grouped = convert(b, b.reshape(x, {sizes[0], b.builder.getIndexAttr(groups), *inner}), stash);
  Expr y = convert(b, standardized(grouped, moments(grouped, {2}), epsilon), element);
  int64_t count = n.opset() >= 21 ? *channels : groups; // opset 18: one number for each group
  for (int64_t i : {1, 2})
    if (!n.sameSize(b.dim(n.in(i), 0), b.builder.getIndexAttr(count), "numbers of channels (or groups)"))
      return failure();
  if (count == groups && groups != *channels)
    return b.reshape(y * perChannel(scale, 3) + perChannel(bias, 3), sizes);
  return b.reshape(y, sizes) * perChannel(scale, rank) + perChannel(bias, rank);
}

static Values meanVarianceNormalization(Node &n, CoreBuilder &b) {
  Expr x = widened(n);
  auto axes = n.axes(n.ints("axes", {0, 2, 3}), n.rank(0));
  if (!axes)
    return failure();
  llvm::sort(*axes);
  Moments m = moments(x, *axes);
  return narrowed(n, (x - m.mean) / (b.sqrt(m.variance) + 1e-9));
}

// ---- norms ------------------------------------------------------------------------------------------------------------

// x / |x|_p; 0 where the norm is.
static Values lpNormalization(Node &n, CoreBuilder &b) {
  Expr x = widened(n);
  int64_t p = n.i64("p", 2);
  auto axis = n.axis("axis", -1, n.rank(0));
  if (!axis || !n.check(p == 1 || p == 2, "p is {0}", p))
    return failure();
  Expr norm = p == 1 ? b.reduce(Reduction::Sum, b.abs(x), {*axis}, true)
                     : b.sqrt(b.reduce(Reduction::Sum, x * x, {*axis}, true));
  return narrowed(n, x / b.select(b.compare(core::Comparison::EQ, norm, 0.0), b.splatLike(1, norm), norm));
}

// x / (bias + alpha / size * (sum of squares of `size` channels around))^beta
static Values localResponseNormalization(Node &n, CoreBuilder &b) {
  Expr x = widened(n);
  int64_t size = n.i64("size", 0), rank = n.rank(0);
  double alpha = n.f32("alpha", 1e-4f), beta = n.f32("beta", 0.75), bias = n.f32("bias", 1);
  if (!n.check(size > 0 && size < (1 << 30), "size is {0}", size) || !n.ranked(0, 2, 1 << 20, "the input"))
    return failure();
  if (constantSize(b.dim(x, 1)) == 0) // no window fits into no channels
    return n.in(0);
  CoreBuilder::Window w;
  w.size.assign(rank, 1);
  w.strides = w.dilations = w.size;
  w.padLow.assign(rank, 0);
  w.padHigh = w.padLow;
  w.size[1] = size;
  w.padLow[1] = (size - 1) / 2;
  w.padHigh[1] = size / 2;
  Expr base = b.windowReduce(Reduction::Sum, x * x, w) * (alpha / double(size)) + bias;
  return narrowed(n, x / b.binary("pow", base, b.splat(beta, accumulatorOf(n.element(0)))));
}

// ---- dropout ------------------------------------------------------------------------------------------------------------

// Nothing is dropped in inference.
static Values dropout(Node &n, CoreBuilder &b) {
  for (const char *name : {"ratio", "is_test", "seed", "consumed_inputs"})
    n.ignoreAttr(name);
  Expr x = n.in(0);
  if (n.has(2)) {
    auto isTraining = n.constantInts(2, "training_mode");
    auto ratio = n.has(1) ? n.constantFloats(1, "ratio") : SmallVector<double>{0.5};
    if (!isTraining || !ratio)
      return failure();
    if (!isTraining->empty() && isTraining->front() && !ratio->empty() && ratio->front() != 0)
      return n.unsupported("training_mode with a ratio of {0}", ratio->front());
  }
  n.markRead(1); // the ratio
  Expr mask = n.opset() >= 10 ? b.splatLike(1, b.compare(core::Comparison::EQ, x, x)) : b.splatLike(1, x);
  return {x, mask};
}

static const Rule rules[] = {
    {"BatchNormalization", 1, batchNormalization, 5, kFloat},
    {"InstanceNormalization", 1, instanceNormalization, 3, kFloat},
    {"LayerNormalization", 17, layerNormalization, 2, kFloat},
    {"RMSNormalization", 23, rmsNormalization, 2, kFloat},
    {"SimplifiedLayerNormalization", 1, rmsNormalization, 2, kFloat}, // not ONNX: ONNX Runtime's, in this domain
    {"GroupNormalization", 18, groupNormalization, 3, kFloat},
    {"MeanVarianceNormalization", 9, meanVarianceNormalization, 1, kFloat},
    {"LpNormalization", 1, lpNormalization, 1, kFloat},
    {"LRN", 1, localResponseNormalization, 1, kFloat},
    {"Dropout", 1, dropout, 1, kFloat},
};
const ArrayRef<Rule> normalizationRules(rules);

} // namespace mlc::decompose
