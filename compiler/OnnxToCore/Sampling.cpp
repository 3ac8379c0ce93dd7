// Reading between the elements of images: GridSample, AffineGrid, RoiAlign, DeformConv.
#include "compiler/OnnxToCore/Compose.h"
#include <cmath>

using namespace mlir;
namespace mlc::decompose {

using core::Comparison;
using core::Reduction;

namespace {
enum class Mode { Linear, Nearest, Cubic };
enum class Padding { Zeros, Border, Reflection };

/// Images with channels last, [batch, spatial..., channels], that are read at float coordinates.
struct Sampler {
  CoreBuilder &b;
  Expr images;
  Mode mode;
  Padding padding;
  bool alignsCorners; // the borders that reflection mirrors at

  int64_t count() { return CoreBuilder::rankOf(images) - 2; }
  /// The size of spatial dimension d as a 0-D float.
  Expr size(int64_t d, Type element) {
    return b.cast(b.fromElements({b.dim(images, d + 1)}, b.builder.getI64Type(), /*scalar=*/true), element);
  }

  Expr reflect(Expr x, int64_t d) {
    Expr length = size(d, CoreBuilder::elementOf(x));
    Expr range = alignsCorners ? length - 1.0 : length;
    double low = alignsCorners ? 0 : -0.5;
    Expr m = b.binary("mod", x - low, b.maximum(range * 2.0, 1e-6));
    return range - b.abs(m - range) + low;
  }
  Expr clampTo(Expr x, int64_t d) { return b.minimum(b.maximum(x, 0.0), size(d, CoreBuilder::elementOf(x)) - 1.0); }

  /// Whole positions (as floats) [batch, out...] for each dimension -> [batch, out..., channels].
  Expr pixel(ArrayRef<Expr> at) {
    SmallVector<Value> indices;
    std::optional<Expr> inside;
    for (auto [d, x] : llvm::enumerate(at)) {
      Expr i = padding == Padding::Reflection ? b.unary("floor", reflect(x, d)) : x;
      if (padding == Padding::Zeros) {
        Expr fits = b.binary("and", b.compare(Comparison::GE, x, 0.0),
                             b.compare(Comparison::LE, x, size(d, CoreBuilder::elementOf(x)) - 1.0));
        inside = inside ? b.binary("and", *inside, fits) : fits;
      }
      indices.push_back(b.unsqueeze(b.cast(clampTo(i, d), b.builder.getI64Type()), {CoreBuilder::rankOf(x)}));
    }
    int64_t last = CoreBuilder::rankOf(indices[0]) - 1;
    Expr y = b.gatherNd(images, indices.size() == 1 ? b.expr(indices[0]) : b.concat(indices, last), /*batchDims=*/1);
    return inside ? b.select(b.unsqueeze(*inside, {last}), y, b.splatLike(0, y)) : y;
  }

  /// Weights of the neighbours floor(x) + first, ..., at distance t from floor(x).
  SmallVector<Expr> weights(Expr t) { return mode == Mode::Linear ? linearWeights(t) : cubicWeights(t, -0.75); }

  Expr sample(SmallVector<Expr> at) {
    for (auto [d, x] : llvm::enumerate(at)) {
      if (mode == Mode::Nearest)
        x = roundHalfEven(x);
      if (padding == Padding::Border && mode != Mode::Cubic) // which clamps each neighbour alone
        x = clampTo(x, d);
      if (padding == Padding::Reflection)
        x = reflect(x, d);
    }
    if (mode == Mode::Nearest)
      return pixel(at);
    SmallVector<Expr> floors;
    SmallVector<SmallVector<Expr>> factors;
    for (Expr x : at) {
      floors.push_back(b.unary("floor", x));
      factors.push_back(weights(x - floors.back()));
    }
    int64_t reach = mode == Mode::Linear ? 2 : 4, first = mode == Mode::Linear ? 0 : -1, total = 1;
    for (int64_t d = 0; d < count(); ++d)
      total *= reach;
    Expr sum;
    for (int64_t corner = 0; corner < total; ++corner) {
      SmallVector<Expr> position;
      std::optional<Expr> weight;
      int64_t rest = corner;
      for (int64_t d = 0; d < count(); ++d, rest /= reach) {
        int64_t k = rest % reach;
        position.push_back(floors[d] + double(first + k));
        weight = weight ? *weight * factors[d][k] : factors[d][k];
      }
      Expr factor = convert(b, *weight, CoreBuilder::elementOf(images));
      Expr term = pixel(position) * b.unsqueeze(factor, {CoreBuilder::rankOf(factor)});
      sum = corner == 0 ? term : sum + term;
    }
    return sum;
  }
};
} // namespace

/// [N, C, rest...] -> [N, rest..., C] and back.
static Expr channelsLast(CoreBuilder &b, Expr x) {
  SmallVector<int64_t> permutation = {0};
  permutation.append(countingFrom(2, CoreBuilder::rankOf(x) - 2));
  permutation.push_back(1);
  return b.transpose(x, permutation);
}
static Expr channelsFirst(CoreBuilder &b, Expr x) {
  int64_t rank = CoreBuilder::rankOf(x);
  SmallVector<int64_t> permutation = {0, rank - 1};
  permutation.append(countingFrom(1, rank - 2));
  return b.transpose(x, permutation);
}

static Values gridSample(Node &n, CoreBuilder &b) {
  Expr x = n.in(0), grid = n.in(1);
  int64_t rank = n.rank(0), spatial = rank - 2;
  auto mode = n.opset() >= 20 ? n.choice("mode", "linear", {"linear", "nearest", "cubic"})
                              : n.choice("mode", "bilinear", {"bilinear", "nearest", "bicubic"});
  auto padding = n.choice("padding_mode", "zeros", {"zeros", "border", "reflection"});
  bool alignsCorners = n.i64("align_corners", 0);
  if (!mode || !padding || !n.ranked(0, 3, 5, "X") || !n.ranked(1, rank, rank, "the grid") ||
      !n.elementIs(1, kFloat, "the grid") ||
      !n.sameSize(b.dim(grid, rank - 1), b.builder.getIndexAttr(spatial),
                  "the grid's last size and the spatial dimensions") ||
      !n.sameSize(b.dim(grid, 0), b.dim(x, 0), "batch sizes"))
    return failure();
  Sampler sampler{b, channelsLast(b, x), Mode(*mode), Padding(*padding), alignsCorners};
  Type f32 = b.builder.getF32Type();
  Expr coordinates = convert(b, grid, n.element(1).isF64() ? n.element(1) : f32);
  SmallVector<Expr> positions;
  for (int64_t d = 0; d < spatial; ++d) {
    Expr v = at(coordinates, rank - 1, spatial - 1 - d); // the grid has x first
    Expr length = sampler.size(d, CoreBuilder::elementOf(v));
    positions.push_back(alignsCorners ? (v + 1.0) * (0.5 * (length - 1.0)) : ((v + 1.0) * length - 1.0) * 0.5);
  }
  return channelsFirst(b, sampler.sample(positions));
}

// base [points, d + 1] times theta' [N, d + 1, d], with the base's points from -1 to 1 in each dimension.
static Values affineGrid(Node &n, CoreBuilder &b) {
  Expr theta = n.in(0);
  auto size = n.sizes(1);
  bool alignsCorners = n.i64("align_corners", 0);
  if (!size ||
      !n.check(size->size() == 4 || size->size() == 5, "size has {0} entries instead of 4 or 5", size->size()) ||
      !n.validSizes(*size) || !n.ranked(0, 3, 3, "theta"))
    return failure();
  int64_t spatial = size->size() - 2;
  if (!n.sameSize(b.dim(theta, 1), b.builder.getIndexAttr(spatial), "theta's rows and the spatial dimensions") ||
      !n.sameSize(b.dim(theta, 2), b.builder.getIndexAttr(spatial + 1),
                  "theta's columns and the spatial dimensions plus 1") ||
      !n.sameSize(b.dim(theta, 0), (*size)[0], "batch sizes"))
    return failure();
  Sizes plane(size->begin() + 2, size->end());
  auto points = productOf(n, plane);
  if (!points)
    return failure();
  Type element = n.element(0), i64 = b.builder.getI64Type();
  SmallVector<Value> columns;
  for (int64_t d = spatial - 1; d >= 0; --d) { // x first
    Expr length = b.cast(b.fromElements({plane[d]}, i64, /*scalar=*/true), element), i = b.iota(plane, d, element);
    // One point alone is the first one, as in ONNX's reference evaluator (PyTorch has it in the middle, ONNX Runtime last).
    Expr v = alignsCorners ? i * (2.0 / b.maximum(length - 1.0, 1.0)) - 1.0 : (i * 2.0 + 1.0) / length - 1.0;
    columns.push_back(b.reshape(v, {*points, b.builder.getIndexAttr(1)}));
  }
  columns.push_back(b.broadcast(b.splat(1, element), {*points, b.builder.getIndexAttr(1)}, {}));
  Expr base = b.concat(columns, 1);
  Expr grid = b.dot(theta, base, {{}, {}, {2}, {1}}); // [N, d, points]
  Sizes result = {b.dim(theta, 0)};
  result.append(plane);
  result.push_back(b.builder.getIndexAttr(spatial));
  return b.reshape(b.transpose(grid, {0, 2, 1}), result);
}

// The mean (or maximum) of sampling_ratio^2 points in each bin of each region.
static Values roiAlign(Node &n, CoreBuilder &b) {
  Expr x = n.in(0), rois = n.in(1);
  auto isMax = n.choice("mode", "avg", {"avg", "max"});
  auto halfPixel = n.opset() >= 16
                       ? n.choice("coordinate_transformation_mode", "half_pixel", {"output_half_pixel", "half_pixel"})
                       : std::optional<int64_t>(0);
  int64_t height = n.i64("output_height", 1), width = n.i64("output_width", 1), ratio = n.i64("sampling_ratio", 0);
  double scale = n.f32("spatial_scale", 1);
  if (!isMax || !halfPixel || !n.ranked(0, 4, 4, "X") || !n.ranked(1, 2, 2, "rois") ||
      !n.ranked(2, 1, 1, "batch_indices") ||
      !n.sameSize(b.dim(rois, 1), b.builder.getIndexAttr(4), "a region's numbers") || !n.sameElement({x, rois}) ||
      !n.elementIs(2, kInteger, "batch_indices") ||
      !n.check(height > 0 && width > 0 && height < (1 << 20) && width < (1 << 20) && ratio < (1 << 10),
               "output sizes or sampling_ratio are out of range"))
    return failure();
  if (!n.sameSize(b.dim(n.in(2), 0), b.dim(rois, 0), "numbers of regions and batch_indices") ||
      !n.requireInRange(n.in(2), b.builder.getIndexAttr(0), b.dim(x, 0), "batch index"))
    return failure();
  if (ratio <= 0)
    return n.unsupported("sampling_ratio 0 (as many points as each region needs)");
  Type element = n.element(0), i64 = b.builder.getI64Type();
  auto index = [&](int64_t v) -> OpFoldResult { return b.builder.getIndexAttr(v); };
  OpFoldResult regions = b.dim(rois, 0);
  /// Coordinates along one axis: [regions, bins * ratio].
  auto coordinates = [&](int64_t low, int64_t bins) {
    double offset = *halfPixel ? 0.5 : 0;
    Expr start = part(rois, 1, index(low), index(1)) * scale - offset,
         length = part(rois, 1, index(low + 2), index(1)) * scale - offset - start;
    if (!*halfPixel)
      length = b.maximum(length, 1.0);
    Expr points = (b.iota({index(1), index(bins * ratio)}, 1, element) + 0.5) * (1.0 / double(bins * ratio));
    return start + length * points;
  };
  Expr y = coordinates(1, height), column = coordinates(0, width);
  Sizes grid = {regions, index(height * ratio), index(width * ratio)};
  Expr batch = b.broadcast(convert(b, n.in(2), i64), grid, {0});
  std::optional<Expr> isOutside;
  SmallVector<Expr> floors, fractions, limits;
  for (auto [d, v] : llvm::enumerate(SmallVector<Expr>{y, column})) {
    Expr size = b.cast(b.fromElements({b.dim(x, d + 2)}, i64, /*scalar=*/true), element);
    Expr outside = b.binary("or", b.compare(Comparison::LT, v, -1.0), b.compare(Comparison::GT, v, size));
    Expr clamped = b.minimum(b.maximum(v, 0.0), size - 1.0), floor = b.unary("floor", clamped);
    SmallVector<int64_t> axes = {0, int64_t(d) + 1};
    auto spread = [&](Expr e) { return b.broadcast(e, grid, axes); };
    isOutside = isOutside ? b.binary("or", *isOutside, spread(outside)) : spread(outside);
    floors.push_back(spread(floor));
    fractions.push_back(spread(clamped - floor));
    limits.push_back(size - 1.0);
  }
  Expr images = channelsLast(b, x);
  std::optional<Expr> total;
  for (int64_t corner = 0; corner < 4; ++corner) {
    SmallVector<Value> position = {b.unsqueeze(batch, {3})};
    std::optional<Expr> weight;
    for (int64_t d = 0; d < 2; ++d) {
      bool isUpper = d == 0 ? corner / 2 : corner % 2;
      Expr i = isUpper ? b.minimum(floors[d] + 1.0, limits[d]) : floors[d],
           w = isUpper ? fractions[d] : 1.0 - fractions[d];
      position.push_back(b.unsqueeze(b.cast(i, i64), {3}));
      weight = weight ? *weight * w : w;
    }
    Expr w = b.select(*isOutside, b.splatLike(0, *weight), *weight);
    Expr term = b.gatherNd(images, b.concat(position, 3)) * b.unsqueeze(w, {3}); // [regions, rows, columns, channels]
    total = total ? (*isMax ? b.maximum(*total, term) : *total + term) : term;
  }
  Expr binned = b.reshape(*total, {regions, index(height), index(ratio), index(width), index(ratio), b.dim(x, 1)});
  Expr pooled = *isMax ? b.reduce(Reduction::Max, binned, {2, 4}) : b.reduceMean(binned, {2, 4});
  return b.transpose(pooled, {0, 3, 1, 2});
}

// Each tap of the kernel reads the image at its own offset; then it is a product with the weights.
static Values deformConv(Node &n, CoreBuilder &b) {
  Expr x = n.in(0), w = n.in(1), offset = n.in(2);
  if (!n.ranked(0, 4, 4, "X") || !n.ranked(1, 4, 4, "W") || !n.ranked(2, 4, 4, "the offset") ||
      !n.sameElement({x, w, offset}))
    return failure();
  auto shape = staticShape(n, w, "weights"), imageShape = shape ? staticShape(n, x, "an input") : std::nullopt,
       offsetShape = imageShape ? staticShape(n, offset, "an offset") : std::nullopt;
  if (!offsetShape)
    return failure();
  auto s = spatialAttributes(n, x, ArrayRef<int64_t>(*shape).drop_front(2), /*mayCeil=*/false);
  int64_t groups = n.i64("group", 1), offsetGroups = n.i64("offset_group", 1);
  if (!s)
    return failure();
  int64_t taps = s->kernel[0] * s->kernel[1], channels = (*imageShape)[1], batch = (*imageShape)[0], out = (*shape)[0],
          height = (*offsetShape)[2], width = (*offsetShape)[3];
  if (!n.check(groups > 0 && offsetGroups > 0 && channels % offsetGroups == 0 && out % groups == 0 &&
                   channels == (*shape)[1] * groups,
               "{0} channels, group {1} and offset_group {2} do not fit the weights", channels, groups, offsetGroups) ||
      !n.check((*offsetShape)[1] == offsetGroups * taps * 2 && (*offsetShape)[0] == batch, "the offset's shape is {0}",
               toString(*offsetShape)))
    return failure();
  if (n.has(4)) {
    if (!n.ranked(4, 4, 4, "the mask") || !n.sameElement({x, n.in(4)}))
      return failure();
    for (auto [d, size] : llvm::enumerate(std::array{batch, offsetGroups * taps, height, width}))
      if (!n.sameSize(b.dim(n.in(4), d), b.builder.getIndexAttr(size), "sizes of the mask and of what it is for"))
        return failure();
  }
  Type element = n.element(0);
  int64_t perGroup = channels / offsetGroups;
  auto index = [&](int64_t v) -> OpFoldResult { return b.builder.getIndexAttr(v); };
  // [N, groups, taps, 2, H, W]
  Expr moves = b.reshape(offset, constantSizes(b, {batch, offsetGroups, taps, 2, height, width}));
  SmallVector<Value> columns; // for each offset group: [N, perGroup, taps, H, W]
  for (int64_t g = 0; g < offsetGroups; ++g) {
    Sampler sampler{b, channelsLast(b, part(x, 1, index(g * perGroup), index(perGroup))), Mode::Linear, Padding::Zeros,
                    true};
    Expr own = at(moves, 1, g); // [N, taps, 2, H, W]
    SmallVector<Expr> positions;
    for (int64_t d = 0; d < 2; ++d) {
      SmallVector<float> start;
      for (int64_t t = 0; t < taps; ++t)
        start.push_back(float((d == 0 ? t / s->kernel[1] : t % s->kernel[1]) * s->dilations[d] - s->padLow[d]));
      Expr first = convert(b,
                           b.constant(DenseElementsAttr::get(RankedTensorType::get({taps}, b.builder.getF32Type()),
                                                             ArrayRef<float>(start))),
                           element);
      Expr step = b.iota(constantSizes(b, {height, width}), d, element) * double(s->strides[d]);
      positions.push_back(at(own, 2, d) + (b.unsqueeze(first, {1, 2}) + step));
    }
    Expr read = sampler.sample(positions); // [N, taps, H, W, perGroup]
    if (n.has(4))
      read = read * b.unsqueeze(part(n.in(4), 1, index(g * taps), index(taps)), {4});
    columns.push_back(b.transpose(read, {0, 4, 1, 2, 3}));
  }
  Expr all = columns.size() == 1 ? b.expr(columns[0]) : b.concat(columns, 1); // [N, C, taps, H, W]
  int64_t inner = channels / groups * taps;
  Expr left = b.reshape(w, constantSizes(b, {groups, out / groups, inner})),
       right = b.reshape(all, constantSizes(b, {batch, groups, inner, height * width}));
  Expr y = b.dot(left, right, {{0}, {1}, {2}, {2}}); // [groups, out / groups, N, H * W]
  y = b.reshape(b.transpose(y, {2, 0, 1, 3}), constantSizes(b, {batch, out, height, width}));
  if (!n.has(3))
    return y;
  if (!n.ranked(3, 1, 1, "the bias") || !n.sameElement({x, n.in(3)}) ||
      !n.sameSize(b.dim(n.in(3), 0), index(out), "sizes of bias and output channels"))
    return failure();
  return y + perChannel(n.in(3), 4);
}

static const Rule rules[] = {
    {"GridSample", 16, gridSample, 2, kFloat},
    {"AffineGrid", 20, affineGrid, 2, kFloat},
    {"RoiAlign", 10, roiAlign, 3, kFloat},
    {"DeformConv", 19, deformConv, 3, kFloat},
};
const ArrayRef<Rule> samplingRules(rules);

} // namespace mlc::decompose
