// Conv and ConvTranspose (a convolution of the input with zeros between its elements), Col2Im.
#include "compiler/OnnxToCore/Compose.h"

using namespace mlir;
namespace mlc::decompose {

/// The bias of a convolution, added to each channel.
static Values withBias(Node &n, CoreBuilder &b, Expr y, int64_t input) {
  if (!n.has(input))
    return y;
  Expr bias = n.in(input);
  if (!n.ranked(input, 1, 1, "the bias") ||
      !n.sameSize(b.dim(bias, 0), b.dim(y, 1), "sizes of bias and output channels") || !n.sameElement({y, bias}))
    return failure();
  return y + perChannel(bias, CoreBuilder::rankOf(y));
}

/// The weights' spatial sizes.
static std::optional<SmallVector<int64_t>> kernelOf(Node &n, Expr x, Expr w) {
  int64_t rank = CoreBuilder::rankOf(x);
  if (!n.check(rank >= 3, "the input has rank {0}: there is no spatial dimension", rank) ||
      !n.check(CoreBuilder::rankOf(w) == rank, "the weights have rank {0}, the input {1}", CoreBuilder::rankOf(w),
               rank))
    return std::nullopt;
  SmallVector<int64_t> kernel;
  for (int64_t d = 2; d < rank; ++d) {
    auto size = staticDim(n, w, d, "a kernel");
    if (!size)
      return std::nullopt;
    kernel.push_back(*size);
  }
  return kernel;
}

static Values conv(Node &n, CoreBuilder &b) {
  Expr x = n.in(0), w = n.in(1);
  auto kernel = kernelOf(n, x, w);
  auto s = kernel ? spatialAttributes(n, x, *kernel, /*mayCeil=*/false) : std::nullopt;
  int64_t groups = n.i64("group", 1);
  if (!s || !n.sameElement({x, w}))
    return failure();
  auto channels = staticDim(n, w, 1, "the weights' input channel dimension"),
       out = staticDim(n, w, 0, "the weights' output channel dimension");
  if (!channels || !out ||
      !n.check(groups > 0 && *out % groups == 0, "{0} output channels cannot be divided into {1} groups", *out, groups))
    return failure();
  auto have = constantSize(b.dim(x, 1));
  if (!n.check(!have || *have == *channels * groups, "the input has {0} channels, the weights expect {1}",
               have.value_or(0), *channels * groups))
    return failure();
  CoreBuilder::ConvDims dims;
  dims.strides = s->strides;
  dims.padLow = s->padLow;
  dims.padHigh = s->padHigh;
  dims.lhsDilation.assign(s->kernel.size(), 1);
  dims.rhsDilation = s->dilations;
  dims.groups = groups;
  return withBias(n, b, b.conv(padded(x, *s, b.splat(0, n.element(0))), w, dims), 2);
}

/// [C, M / groups, k...] with groups along C becomes [M, C / groups, reversed k...].
static Expr transposedWeights(CoreBuilder &b, Expr w, int64_t groups) {
  auto shape = CoreBuilder::typeOf(w).getShape();
  int64_t rank = shape.size();
  SmallVector<int64_t> split = {groups, shape[0] / groups}, permutation = {0, 2, 1},
                       merged = {groups * shape[1], shape[0] / groups};
  for (int64_t d = 1; d < rank; ++d)
    split.push_back(shape[d]);
  for (int64_t d = 2; d < rank; ++d) {
    permutation.push_back(d + 1);
    merged.push_back(shape[d]);
  }
  Expr swapped = groups == 1 ? b.transpose(w,
                                           [&] {
                                             SmallVector<int64_t> p = countingFrom(0, rank);
                                             std::swap(p[0], p[1]);
                                             return p;
                                           }())
                             : b.reshape(b.transpose(b.reshape(w, constantSizes(b, split)), permutation),
                                         constantSizes(b, merged));
  return b.reverse(swapped, countingFrom(2, rank - 2));
}

static Values convTranspose(Node &n, CoreBuilder &b) {
  Expr x = n.in(0), w = n.in(1);
  auto kernel = kernelOf(n, x, w);
  if (!kernel || !staticShape(n, w, "the weights"))
    return failure();
  int64_t count = kernel->size(), groups = n.i64("group", 1), channels = n.type(1).getDimSize(0);
  SmallVector<int64_t> given = n.ints("kernel_shape", *kernel),
                       strides = n.ints("strides", SmallVector<int64_t>(count, 1)),
                       dilations = n.ints("dilations", SmallVector<int64_t>(count, 1)),
                       pads = n.ints("pads", SmallVector<int64_t>(2 * count, 0)),
                       outputPadding = n.ints("output_padding", SmallVector<int64_t>(count, 0)),
                       outputShape = n.ints("output_shape");
  auto autoPad = n.choice("auto_pad", "NOTSET", {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"});
  if (int64_t(outputShape.size()) == count + 2) // some exporters include batch and channels
    outputShape.erase(outputShape.begin(), outputShape.begin() + 2);
  if (!autoPad || n.failed() || !n.sameElement({x, w}) ||
      !n.check(given == *kernel, "kernel_shape is {0}, but the weights' is {1}", toString(given), toString(*kernel)) ||
      !n.check(int64_t(strides.size()) == count && int64_t(dilations.size()) == count &&
                   int64_t(pads.size()) == 2 * count && int64_t(outputPadding.size()) == count &&
                   (outputShape.empty() || int64_t(outputShape.size()) == count),
               "strides, dilations, pads, output_padding or output_shape do not fit {0} spatial dimensions", count) ||
      !n.check(groups > 0 && channels % groups == 0, "{0} channels cannot be divided into {1} groups", channels,
               groups) ||
      !n.sameSize(b.dim(x, 1), b.dim(w, 0), "channels of input and weights"))
    return failure();
  CoreBuilder::ConvDims dims;
  dims.groups = groups;
  dims.strides.assign(count, 1);
  dims.lhsDilation = strides;
  dims.rhsDilation = dilations;
  SmallVector<int64_t> cropLow(count + 2, 0), cropHigh(count + 2, 0);
  bool isCropped = false;
  for (int64_t d = 0; d < count; ++d) {
    constexpr int64_t most = 1 << 30;
    if (!n.check(strides[d] > 0 && dilations[d] > 0 && (*kernel)[d] > 0 && strides[d] < most && dilations[d] < most &&
                     (*kernel)[d] < most,
                 "kernel {0}, stride {1} and dilation {2} must be positive", (*kernel)[d], strides[d], dilations[d]) ||
        !n.check(std::abs(pads[d]) < most && std::abs(pads[count + d]) < most && outputPadding[d] >= 0 &&
                     outputPadding[d] < most,
                 "a padding is too large"))
      return failure();
    int64_t extent = ((*kernel)[d] - 1) * dilations[d] + 1, low = pads[d], high = pads[count + d];
    std::optional<int64_t> total; // what output_shape or auto_pad make of the padding
    if (!outputShape.empty()) {
      auto size = staticDim(n, x, d + 2, "output_shape with a dimension");
      if (!size || !n.check(outputShape[d] > 0 && outputShape[d] < most && *size < most, "output_shape has size {0}",
                            outputShape[d]))
        return failure();
      total = (*size - 1) * strides[d] + outputPadding[d] + extent - outputShape[d];
    } else if (*autoPad) { // SAME: the output is stride times the input; VALID: no padding
      total = *autoPad == 3 ? 0 : std::max<int64_t>(0, outputPadding[d] + extent - strides[d]);
    }
    if (total) {
      int64_t half = llvm::divideFloorSigned(*total, 2);
      low = *autoPad == 1 ? half : *total - half;
      high = *total - low;
    }
    int64_t before = extent - 1 - low, after = extent - 1 - high + outputPadding[d];
    cropLow[d + 2] = std::max<int64_t>(0, -before);
    cropHigh[d + 2] = std::max<int64_t>(0, -after);
    isCropped |= before < 0 || after < 0;
    dims.padLow.push_back(std::max<int64_t>(0, before));
    dims.padHigh.push_back(std::max<int64_t>(0, after));
    if (auto size = constantSize(b.dim(x, d + 2)))
      if (!n.check(*size > 0 && (*size - 1) * strides[d] + 1 + before + after >= extent,
                   "the output would have no elements"))
        return failure();
  }
  Expr y = b.conv(x, transposedWeights(b, w, groups), dims);
  if (isCropped) {
    Sizes sizes = b.dims(y);
    for (auto [size, low, high] : llvm::zip_equal(sizes, cropLow, cropHigh))
      size = b.indexDifference(size, b.builder.getIndexAttr(low + high));
    if (!n.validSizes(sizes))
      return failure();
    y = b.slice(y, constantSizes(b, cropLow), sizes);
  }
  return withBias(n, b, y, 2);
}

// The sum of all patches, each at its place: x is [N, C * taps, patches].
static Values col2Im(Node &n, CoreBuilder &b) {
  Expr x = n.in(0);
  auto image = n.constantInts(1, "image_shape"), block = n.constantInts(2, "block_shape");
  if (!image || !block || !n.ranked(0, 3, 3, "the input"))
    return failure();
  size_t count = image->size();
  SmallVector<int64_t> strides = n.ints("strides", SmallVector<int64_t>(count, 1)),
                       dilations = n.ints("dilations", SmallVector<int64_t>(count, 1)),
                       pads = n.ints("pads", SmallVector<int64_t>(2 * count, 0));
  if (!n.check(block->size() == count && strides.size() == count && dilations.size() == count &&
                   pads.size() == 2 * count,
               "block_shape, strides, dilations or pads do not fit {0} spatial dimensions", count))
    return failure();
  int64_t taps = 1, patches = 1;
  SmallVector<int64_t> steps;
  for (size_t d = 0; d < count; ++d) {
    constexpr int64_t most = 1 << 20;
    if (!n.check((*image)[d] > 0 && (*block)[d] > 0 && strides[d] > 0 && dilations[d] > 0 && pads[d] >= 0 &&
                     pads[count + d] >= 0,
                 "sizes must be positive") ||
        !n.check((*image)[d] < most && (*block)[d] < most && strides[d] < most && dilations[d] < most &&
                     pads[d] < most && pads[count + d] < most,
                 "sizes are too large"))
      return failure();
    int64_t room = (*image)[d] + pads[d] + pads[count + d] - (dilations[d] * ((*block)[d] - 1) + 1);
    if (!n.check(room >= 0, "a block is larger than the image"))
      return failure();
    steps.push_back(room / strides[d] + 1);
    taps *= (*block)[d];
    patches *= steps.back();
    if (!n.check(taps < (1 << 24) && patches < (1 << 24), "sizes are too large"))
      return failure();
  }
  Sizes sizes = b.dims(x);
  auto rows = constantSize(sizes[1]);
  if (!n.check(rows.has_value(), "the channel dimension is dynamic") ||
      !n.check(*rows % taps == 0, "{0} rows cannot be divided by {1} taps", *rows, taps) ||
      !n.sameSize(sizes[2], b.builder.getIndexAttr(patches), "numbers of patches"))
    return failure();
  // Every (tap, patch) is one element of the padded image; its position is known here.
  SmallVector<int64_t> paddedShape, positions;
  for (size_t d = 0; d < count; ++d)
    paddedShape.push_back((*image)[d] + pads[d] + pads[count + d]);
  int64_t paddedCount = 1;
  for (int64_t size : paddedShape)
    paddedCount *= size;
  if (!n.check(taps * patches <= (1 << 24), "sizes are too large") || !n.validSizes(constantSizes(b, paddedShape)))
    return failure();
  for (int64_t tap = 0; tap < taps; ++tap)
    for (int64_t patch = 0; patch < patches; ++patch) {
      int64_t position = 0, scale = 1, tapRest = tap, patchRest = patch;
      for (int64_t d = int64_t(count) - 1; d >= 0; --d) {
        position += scale * (patchRest % steps[d] * strides[d] + tapRest % (*block)[d] * dilations[d]);
        scale *= paddedShape[d];
        patchRest /= steps[d];
        tapRest /= (*block)[d];
      }
      positions.push_back(position);
    }
  OpFoldResult channels = b.builder.getIndexAttr(*rows / taps), columns = b.builder.getIndexAttr(taps * patches);
  // Positions first, so that one index selects the images and channels together.
  Expr updates = b.transpose(b.reshape(x, {sizes[0], channels, columns}), {2, 0, 1});
  Expr zeros = b.broadcast(b.splat(0, n.element(0)), {b.builder.getIndexAttr(paddedCount), sizes[0], channels}, {});
  Expr flat = b.scatterNd(zeros, b.reshape(b.ints(positions), {columns, b.builder.getIndexAttr(1)}), updates,
                          core::Reduction::Sum);
  Sizes unflat = {sizes[0], channels}, starts = constantSizes(b, {0, 0}), result = unflat;
  unflat.append(constantSizes(b, paddedShape));
  starts.append(constantSizes(b, ArrayRef<int64_t>(pads).take_front(count)));
  result.append(constantSizes(b, *image));
  return b.slice(b.reshape(b.transpose(flat, {1, 2, 0}), unflat), starts, result);
}

static const Rule rules[] = {
    {"Conv", 1, conv, 2, kFloat},
    {"ConvTranspose", 1, convTranspose, 2, kFloat},
    {"Col2Im", 18, col2Im, 3, kNumber},
};
const ArrayRef<Rule> convolutionRules(rules);

} // namespace mlc::decompose
