// Resize and Upsample. Interpolation is separable: each axis is a sum of gathers with weights, which are constants where the sizes
// are; nearest neighbours of an integer factor are a repetition.
#include "compiler/OnnxToCore/Compose.h"
#include <cmath>

using namespace mlir;
namespace mlc::decompose {

namespace {
enum class Mode { Nearest, Linear, Cubic };
enum class Coordinates { HalfPixel, HalfPixelSymmetric, PytorchHalfPixel, AlignCorners, Asymmetric, TfCropAndResize };
/// Simple is opset 10's, as ONNX Runtime does it: down where an axis grows, up where it shrinks.
enum class Nearest { RoundPreferFloor, RoundPreferCeil, Floor, Ceil, Simple };

struct Options {
  Mode mode = Mode::Nearest;
  Coordinates coordinates = Coordinates::Asymmetric;
  Nearest nearest = Nearest::Floor;
  double cubic = -0.75, extrapolation = 0;
  bool excludesOutside = false, antialias = false;
};

/// What one axis becomes: `scale` is 0 where it is only known at run time: `runTimeScale`, or out / in if that is not given.
struct Axis {
  int64_t axis;
  OpFoldResult in, out;
  double scale;
  double roiStart = 0, roiEnd = 1;
  std::optional<Expr> runTimeScale = {}, runTimeRoiStart = {}, runTimeRoiEnd = {};
};

/// The elements that take part in each result: taps[k][o] with weights[k][o].
struct Taps {
  SmallVector<SmallVector<int64_t>> positions;
  SmallVector<SmallVector<float>> weights;
  SmallVector<bool> extrapolated;
};
} // namespace

// ---- constant sizes: ported from onnx.reference, in doubles -------------------------------------------------------------

static double coordinate(const Options &o, const Axis &a, int64_t in, int64_t out, double x) {
  double width = a.scale * double(in);
  switch (o.coordinates) {
  case Coordinates::AlignCorners:
    return width == 1 ? 0 : x * double(in - 1) / (width - 1);
  case Coordinates::Asymmetric:
    return x / a.scale;
  case Coordinates::TfCropAndResize: {
    double length = (a.roiEnd - a.roiStart) * double(in - 1);
    return (width == 1 ? length / 2 : x * length / (width - 1)) + a.roiStart * double(in - 1);
  }
  case Coordinates::PytorchHalfPixel:
    return width == 1 ? -0.5 : (x + 0.5) / a.scale - 0.5;
  case Coordinates::HalfPixel:
    return (x + 0.5) / a.scale - 0.5;
  case Coordinates::HalfPixelSymmetric:
    return double(in) / 2 * (1 - double(out) / width) + (x + 0.5) / a.scale - 0.5;
  }
  llvm_unreachable("all modes are above");
}

static SmallVector<double> coefficients(const Options &o, double ratio, double scale) {
  SmallVector<double> c;
  if (o.mode == Mode::Nearest) {
    bool isRight = ratio == 1 || o.nearest == Nearest::Ceil || (o.nearest == Nearest::Simple && scale < 1) ||
                   (o.nearest == Nearest::RoundPreferFloor && ratio > 0.5) ||
                   (o.nearest == Nearest::RoundPreferCeil && ratio >= 0.5);
    return {isRight ? 0.0 : 1.0, isRight ? 1.0 : 0.0};
  }
  if (!o.antialias || scale >= 1) {
    return o.mode == Mode::Linear ? linearWeights(ratio) : cubicWeights(ratio, o.cubic);
  }
  int64_t reach = o.mode == Mode::Linear ? 1 : 2, start = int64_t(std::floor(-double(reach) / scale)) + 1,
          end = 2 - start;
  double sum = 0;
  for (int64_t i = start; i < end; ++i) {
    double x = std::abs(scale * (double(i) - ratio));
    c.push_back(o.mode == Mode::Linear ? std::clamp(1 - x, 0.0, 1.0)
                : x <= 1               ? cubicNear(x, o.cubic)
                : x < 2                ? cubicFar(x, o.cubic)
                                       : 0.0);
    sum += c.back();
  }
  for (double &v : c)
    v /= sum;
  return c;
}

static Taps tapsOf(const Options &o, const Axis &a, int64_t in, int64_t out) {
  Taps taps;
  for (int64_t x = 0; x < out; ++x) {
    double source = coordinate(o, a, in, out, double(x)), floor = std::floor(source);
    bool isInteger = source == floor;
    SmallVector<double> c = coefficients(o, isInteger ? 1 : source - floor, a.scale);
    int64_t count = c.size();
    // The nearest `count` positions; of two equally near the smaller one.
    int64_t start = count % 2 == 0 ? int64_t(floor) + (isInteger ? -count / 2 : -count / 2 + 1)
                                   : int64_t(floor) - (count - 1) / 2 + (source - floor > 0.5);
    double sum = 0;
    for (int64_t k = 0; k < count; ++k) {
      if (o.excludesOutside && (start + k < 0 || start + k >= in))
        c[k] = 0;
      sum += c[k];
    }
    taps.positions.resize(count);
    taps.weights.resize(count);
    for (int64_t k = 0; k < count; ++k) {
      taps.positions[k].push_back(std::clamp<int64_t>(start + k, 0, in - 1));
      taps.weights[k].push_back(float(o.excludesOutside && sum != 0 ? c[k] / sum : c[k]));
    }
    taps.extrapolated.push_back(o.coordinates == Coordinates::TfCropAndResize &&
                                (source < 0 || source > double(in - 1)));
  }
  return taps;
}

/// Each element `factor` times.
static Expr repeat(Expr x, int64_t axis, int64_t factor) {
  CoreBuilder &b = *x.b;
  Sizes wide = b.dims(x), merged = wide;
  SmallVector<int64_t> axes = countingFrom(0, wide.size());
  for (size_t d = axis + 1; d < axes.size(); ++d)
    ++axes[d];
  wide.insert(wide.begin() + axis + 1, b.builder.getIndexAttr(factor));
  merged[axis] = b.indexProduct(merged[axis], b.builder.getIndexAttr(factor));
  return b.reshape(b.broadcast(x, wide, axes), merged);
}

static Expr resizeStatic(CoreBuilder &b, Expr x, const Options &o, const Axis &a, int64_t in, int64_t out) {
  Taps taps = tapsOf(o, a, in, out);
  int64_t rank = CoreBuilder::rankOf(x);
  Expr y;
  if (o.mode == Mode::Nearest) {
    SmallVector<int64_t> positions;
    for (int64_t p = 0; p < out; ++p)
      positions.push_back(taps.positions[taps.weights[1][p] != 0][p]);
    bool isRepetition = out % in == 0;
    for (int64_t p = 0; p < out && isRepetition; ++p)
      isRepetition = positions[p] == p / (out / in);
    y = isRepetition ? repeat(x, a.axis, out / in) : b.gather(x, b.ints(positions), a.axis);
  } else {
    Type element = CoreBuilder::elementOf(x);
    for (size_t k = 0; k < taps.positions.size(); ++k) {
      auto vector = RankedTensorType::get({out}, b.builder.getF32Type());
      Expr weights = convert(b, b.constant(DenseElementsAttr::get(vector, ArrayRef<float>(taps.weights[k]))), element);
      Expr term = b.gather(x, b.ints(taps.positions[k]), a.axis) * perChannel(weights, rank, a.axis);
      y = k == 0 ? term : y + term;
    }
  }
  if (llvm::is_contained(taps.extrapolated, true)) {
    SmallVector<bool> flags(taps.extrapolated);
    Expr isOutside =
        b.constant(DenseElementsAttr::get(RankedTensorType::get({out}, b.builder.getI1Type()), ArrayRef<bool>(flags)));
    y = b.select(perChannel(isOutside, rank, a.axis), b.splat(o.extrapolation, CoreBuilder::elementOf(y)), y);
  }
  return y;
}

// ---- sizes or scales known at run time --------------------------------------------------------------------------------------

/// The same in f32 tensor arithmetic: coordinates of all results along the axis.
static Expr coordinates(CoreBuilder &b, const Options &o, const Axis &a) {
  Type f32 = b.builder.getF32Type();
  auto number = [&](OpFoldResult v) {
    return b.cast(b.fromElements({v}, b.builder.getI64Type(), /*scalar=*/true), f32);
  };
  Expr position = b.iota({a.out}, 0, f32), in = number(a.in), out = number(a.out);
  Expr scale = a.runTimeScale ? *a.runTimeScale : a.scale ? b.splat(a.scale, f32) : out / in;
  Expr width = a.scale || a.runTimeScale ? in * scale : out;
  auto unlessOne = [&](Expr many, Expr one) {
    return b.select(b.compare(core::Comparison::EQ, width, 1.0), one, many);
  };
  auto steps = [&] { // between the corners; one position has none, and 0 is not divided by
    return b.select(b.compare(core::Comparison::EQ, width, 1.0), b.splatLike(1, width), width - 1.0);
  };
  switch (o.coordinates) {
  case Coordinates::AlignCorners:
    return unlessOne(position * ((in - 1.0) / steps()), b.splat(0, f32));
  case Coordinates::Asymmetric:
    return position / scale;
  case Coordinates::TfCropAndResize: {
    Expr length = (*a.runTimeRoiEnd - *a.runTimeRoiStart) * (in - 1.0);
    return unlessOne(position * (length / steps()), length * 0.5) + *a.runTimeRoiStart * (in - 1.0);
  }
  case Coordinates::PytorchHalfPixel:
    return unlessOne((position + 0.5) / scale - 0.5, b.splat(-0.5, f32));
  case Coordinates::HalfPixel:
    return (position + 0.5) / scale - 0.5;
  case Coordinates::HalfPixelSymmetric:
    return in * 0.5 * (1.0 - out / width) + ((position + 0.5) / scale - 0.5);
  }
  llvm_unreachable("all modes are above");
}

static Values resizeDynamic(Node &n, CoreBuilder &b, Expr x, const Options &o, const Axis &a) {
  double factor = a.scale;
  bool isWhole = factor >= 1 && factor == std::floor(factor) && factor < (1 << 20);
  bool isFloorOfQuotient =
      (o.coordinates == Coordinates::Asymmetric && (o.nearest == Nearest::Floor || o.nearest == Nearest::Simple)) ||
      ((o.coordinates == Coordinates::HalfPixel || o.coordinates == Coordinates::PytorchHalfPixel) &&
       (o.nearest == Nearest::RoundPreferFloor || o.nearest == Nearest::RoundPreferCeil));
  if (o.mode == Mode::Nearest && isWhole && isFloorOfQuotient)
    return repeat(x, a.axis, int64_t(factor));
  if (o.antialias)
    return n.unsupported("antialias with a scale that is computed at run time");
  Type f32 = b.builder.getF32Type(), i64 = b.builder.getI64Type(), element = CoreBuilder::elementOf(x);
  int64_t rank = CoreBuilder::rankOf(x);
  Expr source = coordinates(b, o, a), floor = b.unary("floor", source);
  Expr last = b.cast(b.fromElements({a.in}, i64, /*scalar=*/true), f32) - 1.0;
  auto gatherAt = [&](Expr at) { return b.gather(x, b.cast(b.minimum(b.maximum(at, 0.0), last), i64), a.axis); };
  Expr y;
  if (o.mode == Mode::Nearest) {
    auto simple = [&] {
      Expr ceil = b.unary("ceil", source);
      if (!a.runTimeScale)
        return a.scale < 1 ? ceil : floor;
      return b.select(b.compare(core::Comparison::LT, *a.runTimeScale, 1.0), ceil, floor);
    };
    Expr at = o.nearest == Nearest::Floor              ? floor
              : o.nearest == Nearest::Ceil             ? b.unary("ceil", source)
              : o.nearest == Nearest::Simple           ? simple()
              : o.nearest == Nearest::RoundPreferFloor ? b.unary("ceil", source - 0.5)
                                                       : b.unary("floor", source + 0.5);
    y = gatherAt(at);
  } else {
    Expr t = source - floor;
    SmallVector<Expr> weights = o.mode == Mode::Linear ? linearWeights(t) : cubicWeights(t, o.cubic);
    double first = o.mode == Mode::Linear ? 0 : -1;
    std::optional<Expr> sum, total;
    if (o.excludesOutside)
      for (auto [k, w] : llvm::enumerate(weights)) {
        Expr at = floor + (first + double(k));
        w = b.select(
            b.binary("and", b.compare(core::Comparison::GE, at, 0.0), b.compare(core::Comparison::LE, at, last)), w,
            b.splatLike(0, w));
        total = total ? *total + w : w;
      }
    for (auto [k, w] : llvm::enumerate(weights)) {
      Expr share = total ? w / *total : w;
      Expr term = gatherAt(floor + (first + double(k))) * perChannel(convert(b, share, element), rank, a.axis);
      sum = sum ? *sum + term : term;
    }
    y = *sum;
  }
  if (o.coordinates == Coordinates::TfCropAndResize) {
    Expr isOutside =
        b.binary("or", b.compare(core::Comparison::LT, source, 0.0), b.compare(core::Comparison::GT, source, last));
    y = b.select(perChannel(isOutside, rank, a.axis), b.splat(o.extrapolation, element), y);
  }
  return y;
}

/// Corners are aligned by the size times the scale, be it an integer or not (decisions/0012), which others see otherwise.
static void warnOfFractions(Node &n, const Options &o, const Axis &a) {
  if ((o.coordinates != Coordinates::AlignCorners && o.coordinates != Coordinates::TfCropAndResize) || a.scale == 0 ||
      a.scale == std::floor(a.scale))
    return;
  auto in = constantSize(a.in);
  double product = in ? double(*in) * a.scale : 0;
  if (in && product == std::floor(product))
    return;
  auto warning = mlir::emitWarning(n.b.loc) << "dimension " << a.axis << " is aligned at its corners with a scale of "
                                            << llvm::formatv("{0}", a.scale).str();
  if (in)
    warning << " and a length of " << llvm::formatv("{0}", product).str();
  else
    warning << " and a length that may be no integer";
  warning << ", as ONNX's reference evaluator does; PyTorch and ONNX Runtime round the length down: 'sizes' instead of "
             "'scales' gives their "
             "values";
}

static Values resizeAxes(Node &n, CoreBuilder &b, const Options &o, ArrayRef<Axis> axes) {
  Expr x = n.in(0);
  Type element = n.element(0),
       wide = o.mode == Mode::Nearest || kindOf(element) == kFloat ? element : Type(b.builder.getF32Type());
  Sizes sizes = b.dims(x);
  for (const Axis &a : axes)
    sizes[a.axis] = a.out;
  if (!n.validSizes(sizes))
    return failure();
  x = convert(b, x, wide);
  for (const Axis &a : axes) {
    auto in = constantSize(a.in), out = constantSize(a.out);
    if (o.coordinates != Coordinates::TfCropAndResize &&
        (a.scale == 1 || (!a.runTimeScale && n.known.isSame(a.in, a.out))))
      continue;
    if (!n.check(in != 0, "dimension {0} is empty", a.axis))
      return failure();
    warnOfFractions(n, o, a);
    if (in && out && !a.runTimeScale && !a.runTimeRoiStart) {
      if (*out > (1 << 24))
        return n.unsupported("an axis of {0} elements", *out);
      Axis exact = a;
      if (exact.scale == 0)
        exact.scale = double(*out) / double(*in);
      if (o.antialias && exact.scale < 1e-3)
        return n.unsupported("antialias with a scale of {0}", exact.scale);
      if (*out == 0)
        x = part(x, a.axis, b.builder.getIndexAttr(0), b.builder.getIndexAttr(0));
      else
        x = resizeStatic(b, x, o, exact, *in, *out);
      continue;
    }
    Values y = resizeDynamic(n, b, x, o, a);
    if (y.failed())
      return failure();
    x = b.expr(y.get()[0]);
  }
  if (wide != element) // integers are truncated, as the reference does it
    return b.cast(x, element);
  return x;
}

// ---- reading the node -----------------------------------------------------------------------------------------------------

/// floor(in * scale)
static std::optional<OpFoldResult> scaledSize(Node &n, OpFoldResult in, double scale) {
  CoreBuilder &b = n.b;
  if (!n.check(scale > 0 && scale < double(kElementsMax), "a scale is {0}", scale))
    return std::nullopt;
  if (scale == 1)
    return in;
  if (auto size = constantSize(in)) {
    double result = std::floor(double(*size) * double(float(scale)));
    if (!n.check(result <= double(kElementsMax), "a result of size {0} is too large", result))
      return std::nullopt;
    return OpFoldResult(b.builder.getIndexAttr(int64_t(result)));
  }
  // A float is an integer of 24 bits over a power of two, so that the product with a size is exact.
  for (int64_t denominator = 1; denominator <= int64_t(1) << 32; denominator *= 2)
    if (double numerator = scale * double(denominator);
        numerator == std::floor(numerator) && numerator < double(1 << 30)) {
      OpFoldResult product = b.indexProduct(in, b.builder.getIndexAttr(int64_t(numerator)));
      return denominator == 1 ? product : b.indexFloorDiv(product, b.builder.getIndexAttr(denominator));
    }
  (void)n.unsupported("a scale of {0} on a dynamic size", scale);
  return std::nullopt;
}

static std::optional<SmallVector<Axis>> axesByScales(Node &n, ArrayRef<int64_t> axes, ArrayRef<double> scales) {
  if (!n.check(axes.size() == scales.size(), "{0} scales for {1} axes", scales.size(), axes.size()))
    return std::nullopt;
  SmallVector<Axis> result;
  for (auto [axis, scale] : llvm::zip_equal(axes, scales)) {
    OpFoldResult in = n.b.dim(n.in(0), axis);
    auto out = scaledSize(n, in, scale);
    if (!out)
      return std::nullopt;
    result.push_back({axis, in, *out, scale});
  }
  return result;
}

static bool isOne(const Ratio &x) { return x.denominator == 1 && constantSize(x.numerator) == 1; }

/// The same for scales (input i) that are only known at run time.
static std::optional<SmallVector<Axis>> axesByRunTimeScales(Node &n, ArrayRef<int64_t> axes, int64_t i) {
  CoreBuilder &b = n.b;
  if (!n.ranked(i, 1, 1, "scales") ||
      !n.sameSize(b.dim(n.in(i), 0), b.builder.getIndexAttr(axes.size()), "numbers of scales and axes"))
    return std::nullopt;
  SmallVector<Axis> result;
  Type f32 = b.builder.getF32Type(), i64 = b.builder.getI64Type();
  auto known = n.known.find(b, n.in(i)); // computed from sizes, then so is the result's
  for (auto [k, axis] : llvm::enumerate(axes)) {
    OpFoldResult in = b.dim(n.in(0), axis);
    if (known && isOne(known->values[k])) {
      result.push_back({axis, in, in, 1});
      continue;
    }
    Expr scale = convert(b, at(n.in(i), 0, k), f32);
    auto out = known ? n.known.scaled(b, in, known->values[k]) : std::nullopt;
    if (!out) {
      Expr size = b.unary("floor", b.cast(b.fromElements({in}, i64, /*scalar=*/true), f32) * scale);
      out = b.extractIndex(b.cast(size, i64));
    }
    Axis a{axis, in, *out, 0};
    a.runTimeScale = scale;
    result.push_back(a);
  }
  return result;
}

static Values upsampleBy(Node &n, CoreBuilder &b, const std::optional<SmallVector<Axis>> &axes) {
  auto mode = n.choice("mode", "nearest", {"nearest", "linear", "bilinear"});
  if (!mode || !axes)
    return failure();
  Options o;
  o.mode = *mode ? Mode::Linear : Mode::Nearest;
  o.nearest = Nearest::Simple;
  return resizeAxes(n, b, o, *axes);
}

static Values upsampleByScales(Node &n, CoreBuilder &b, ArrayRef<double> scales) {
  return upsampleBy(n, b, axesByScales(n, countingFrom(0, n.rank(0)), scales));
}

// Opset 1: [N, C, H, W] by two attributes; 7: one attribute; 9 (and Resize 10): an input.
static Values upsamplePlane(Node &n, CoreBuilder &b) {
  if (!n.ranked(0, 4, 4, "the input"))
    return failure();
  return upsampleByScales(n, b, {1, 1, n.f32("height_scale", 1), n.f32("width_scale", 1)});
}
static Values upsampleByAttribute(Node &n, CoreBuilder &b) { return upsampleByScales(n, b, n.floats("scales")); }
static Values upsample(Node &n, CoreBuilder &b) {
  if (!n.known.isConstant(b, n.in(1)))
    return upsampleBy(n, b, axesByRunTimeScales(n, countingFrom(0, n.rank(0)), 1));
  auto scales = n.constantFloats(1, "scales");
  return scales ? upsampleByScales(n, b, *scales) : failure();
}

static bool isGiven(Node &n, int64_t i) {
  if (!n.has(i))
    return false;
  n.markRead(i); // an empty tensor means absent
  return !(n.type(i).hasStaticShape() && n.type(i).getNumElements() == 0);
}

/// One scale for all axes, the largest or smallest of those that the sizes ask for, and the sizes that it gives.
static void keepAspectRatio(CoreBuilder &b, SmallVector<Axis> &axes, bool isLarger) {
  if (llvm::all_of(axes, [](const Axis &a) { return constantSize(a.in).value_or(0) > 0 && constantSize(a.out); })) {
    double scale = isLarger ? 0 : INFINITY;
    for (Axis &a : axes) {
      double own = double(*constantSize(a.out)) / double(*constantSize(a.in));
      scale = isLarger ? std::max(scale, own) : std::min(scale, own);
    }
    for (Axis &a : axes) {
      a.out = b.builder.getIndexAttr(int64_t(std::floor(scale * double(*constantSize(a.in)) + 0.5)));
      a.scale = scale;
    }
    return;
  }
  Type f32 = b.builder.getF32Type(), i64 = b.builder.getI64Type();
  auto number = [&](OpFoldResult v) { return b.cast(b.fromElements({v}, i64, /*scalar=*/true), f32); };
  std::optional<Expr> scale;
  for (Axis &a : axes) {
    Expr own = number(a.out) / number(a.in);
    scale = !scale ? own : isLarger ? b.maximum(*scale, own) : b.minimum(*scale, own);
  }
  for (Axis &a : axes) {
    a.out = b.extractIndex(b.cast(b.unary("floor", number(a.in) * *scale + 0.5), i64));
    a.runTimeScale = scale;
  }
}

/// Where on each axis the region begins and ends: input 1 has all begins, then all ends.
static bool readRegions(Node &n, CoreBuilder &b, SmallVector<Axis> &axes) {
  if (!n.check(isGiven(n, 1), "roi is missing") || !n.ranked(1, 1, 1, "roi") ||
      !n.sameSize(b.dim(n.in(1), 0), b.builder.getIndexAttr(2 * axes.size()), "the numbers in roi and twice the axes"))
    return false;
  auto roi = constantOf(n.in(1)) ? n.constantFloats(1, "roi") : std::nullopt;
  Expr values = convert(b, n.in(1), b.builder.getF32Type());
  for (auto [i, a] : llvm::enumerate(axes)) {
    if (roi && constantSize(a.in) && constantSize(a.out) && !a.runTimeScale) {
      a.roiStart = (*roi)[i];
      a.roiEnd = (*roi)[axes.size() + i];
    } else {
      a.runTimeRoiStart = at(values, 0, i);
      a.runTimeRoiEnd = at(values, 0, axes.size() + i);
    }
  }
  return true;
}

static Values resize(Node &n, CoreBuilder &b) {
  Options o;
  auto mode = n.choice("mode", "nearest", {"nearest", "linear", "cubic"});
  auto coordinates = n.choice("coordinate_transformation_mode", "half_pixel",
                              {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners",
                               "asymmetric", "tf_crop_and_resize", "tf_half_pixel_for_nn"});
  auto nearest =
      n.choice("nearest_mode", "round_prefer_floor", {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"});
  auto policy = n.choice("keep_aspect_ratio_policy", "stretch", {"stretch", "not_larger", "not_smaller"});
  o.cubic = n.f32("cubic_coeff_a", -0.75);
  o.extrapolation = n.f32("extrapolation_value", 0);
  o.excludesOutside = n.i64("exclude_outside", 0);
  o.antialias = n.i64("antialias", 0);
  auto axes = n.axes(n.ints("axes", countingFrom(0, n.rank(0))), n.rank(0));
  if (!mode || !coordinates || !nearest || !policy || !axes)
    return failure();
  if (*coordinates == 6)
    return n.unsupported("coordinate_transformation_mode \"tf_half_pixel_for_nn\"");
  o.mode = Mode(*mode);
  o.coordinates = Coordinates(*coordinates);
  o.nearest = Nearest(*nearest);
  std::optional<SmallVector<Axis>> list;
  if (isGiven(n, 2)) {
    if (!n.check(!isGiven(n, 3), "both scales and sizes are given"))
      return failure();
    if (n.known.isConstant(b, n.in(2))) {
      auto scales = n.constantFloats(2, "scales");
      list = scales ? axesByScales(n, *axes, *scales) : std::nullopt;
    } else {
      list = axesByRunTimeScales(n, *axes, 2);
    }
    n.markRead(3);
  } else if (isGiven(n, 3)) {
    n.markRead(2);
    auto sizes = n.sizes(3);
    if (!sizes || !n.check(sizes->size() == axes->size(), "{0} sizes for {1} axes", sizes->size(), axes->size()))
      return failure();
    list.emplace();
    for (auto [axis, size] : llvm::zip_equal(*axes, *sizes))
      list->push_back({axis, b.dim(n.in(0), axis), size, 0});
    if (*policy)
      keepAspectRatio(b, *list, /*isLarger=*/*policy == 2);
  } else {
    return n.fail("neither scales nor sizes are given");
  }
  if (!list)
    return failure();
  if (o.coordinates == Coordinates::TfCropAndResize && !readRegions(n, b, *list))
    return failure();
  n.markRead(1);
  return resizeAxes(n, b, o, *list);
}

static const Rule rules[] = {
    {"Upsample", 1, upsamplePlane, 1, kNumber}, {"Upsample", 7, upsampleByAttribute, 1, kNumber},
    {"Upsample", 9, upsample, 2, kNumber},      {"Resize", 10, upsample, 2, kNumber},
    {"Resize", 11, resize, 1, kNumber},
};
const ArrayRef<Rule> resizeRules(rules);

} // namespace mlc::decompose
