// Window functions, DFT and STFT as products with a matrix of cosines and sines, MelWeightMatrix.
#include "compiler/OnnxToCore/Compose.h"
#include <cmath>

using namespace mlir;
namespace mlc::decompose {

constexpr double kPi = 3.14159265358979323846;
constexpr int64_t kMatrixMax = 1 << 24; // elements of a constant matrix

// ---- windows ------------------------------------------------------------------------------------------------------------

/// a + b cos(2 pi i / N) + c cos(4 pi i / N)
static Values window(Node &n, CoreBuilder &b, double constant, double once, double twice) {
  bool isPeriodic = n.i64("periodic", 1);
  Type element = n.dtype("output_datatype", b.builder.getF32Type());
  auto size = n.size(0);
  if (!element || !size || !n.validSizes({*size}))
    return failure();
  if (!(kindOf(element) & kNumber))
    return n.unsupported("element type {0}", nameOf(element));
  Type wide = element.isF64() ? element : Type(b.builder.getF32Type());
  Expr length = b.cast(b.fromElements({*size}, b.builder.getI64Type(), /*scalar=*/true), wide);
  Expr angle = b.iota({*size}, 0, wide) * (2 * kPi) / (isPeriodic ? length : length - 1.0);
  Expr y = b.unary("cos", angle) * once + constant;
  if (twice != 0)
    y = y + b.unary("cos", angle * 2.0) * twice;
  return convert(b, y, element);
}
static Values hann(Node &n, CoreBuilder &b) { return window(n, b, 0.5, -0.5, 0); }
static Values hamming(Node &n, CoreBuilder &b) { return window(n, b, 25.0 / 46, -21.0 / 46, 0); }
static Values blackman(Node &n, CoreBuilder &b) { return window(n, b, 0.42, -0.5, 0.08); }

// ---- Fourier ------------------------------------------------------------------------------------------------------------

/// weight(r) * function(2 pi r c / length), [rows, columns]. In f64: sums that should cancel to 0 would be 1e-6 in f32.
static Expr matrix(CoreBuilder &b, int64_t rows, int64_t columns, int64_t length, bool isSine,
                   llvm::function_ref<double(int64_t)> weight) {
  SmallVector<double> values;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) {
      double angle = 2 * kPi * double(r * c % length) / double(length);
      values.push_back((isSine ? std::sin(angle) : std::cos(angle)) * weight(r));
    }
  return b.constant(
      DenseElementsAttr::get(RankedTensorType::get({rows, columns}, b.builder.getF64Type()), ArrayRef<double>(values)));
}

struct Transform {
  int64_t axis, length;
  bool isInverse, isOneSided;
};

/// x [..., 1 or 2] along an axis: its length is cut or filled with zeros first.
static std::optional<Expr> transform(Node &n, CoreBuilder &b, Expr x, const Transform &t) {
  int64_t rank = CoreBuilder::rankOf(x);
  Type element = CoreBuilder::elementOf(x);
  auto parts = staticDim(n, x, rank - 1, "a last dimension"), have = staticDim(n, x, t.axis, "a transformed dimension");
  if (!parts || !have ||
      !n.check(*parts == 1 || *parts == 2, "the last dimension has size {0} instead of 1 or 2", *parts) ||
      !n.check(t.length > 0 && t.length < (1 << 24), "the length is {0}", t.length))
    return std::nullopt;
  bool isToReal = t.isInverse && t.isOneSided;
  int64_t in = isToReal ? t.length / 2 + 1 : t.length, out = !t.isInverse && t.isOneSided ? t.length / 2 + 1 : t.length;
  if (in * out > kMatrixMax) {
    (void)n.unsupported("a transform of {0} elements", t.length);
    return std::nullopt;
  }
  if (*have > in)
    x = part(x, t.axis, b.builder.getIndexAttr(0), b.builder.getIndexAttr(in));
  if (*have < in) {
    SmallVector<int64_t> low(rank, 0), high(rank, 0);
    high[t.axis] = in - *have;
    x = b.pad(x, b.splat(0, element), constantSizes(b, low), constantSizes(b, high));
  }
  auto weight = [&](int64_t r) {
    double scale = t.isInverse ? 1.0 / double(t.length) : 1.0;
    return isToReal && r != 0 && 2 * r != t.length ? 2 * scale : scale; // the other half is the conjugate
  };
  Expr cosine = matrix(b, in, out, t.length, false, weight), sine = matrix(b, in, out, t.length, true, weight);
  auto times = [&](Expr v, Expr m) { // the new dimension comes last: back to its place
    Expr y = b.dot(v, m, {{}, {}, {t.axis}, {0}});
    SmallVector<int64_t> permutation = countingFrom(0, rank - 2);
    permutation.insert(permutation.begin() + t.axis, rank - 2);
    return b.transpose(y, permutation);
  };
  auto last = [&](Expr v) { return b.unsqueeze(convert(b, v, element), {rank - 1}); };
  x = convert(b, x, b.builder.getF64Type());
  Expr real = at(x, rank - 1, 0);
  if (*parts == 1) {
    Expr a = times(real, cosine);
    if (isToReal)
      return last(a);
    Expr c = times(real, sine);
    return b.concat({last(a), last(t.isInverse ? c : -c)}, rank - 1);
  }
  Expr imaginary = at(x, rank - 1, 1);
  // (re + j im)(cos -+ j sin), with the lower sign for the inverse
  Expr a = times(real, cosine), c = times(imaginary, sine);
  Expr y = t.isInverse ? a - c : a + c;
  if (isToReal)
    return last(y);
  Expr d = times(imaginary, cosine), e = times(real, sine);
  return b.concat({last(y), last(t.isInverse ? d + e : d - e)}, rank - 1);
}

static Values dft(Node &n, CoreBuilder &b) {
  Transform t;
  t.isInverse = n.i64("inverse", 0);
  t.isOneSided = n.i64("onesided", 0);
  int64_t rank = n.rank(0), axisGiven = n.opset() < 20 ? n.i64("axis", 1) : -2;
  if (n.opset() >= 20 && n.has(2)) {
    auto constant = n.constantInts(2, "axis");
    if (!constant || !n.check(constant->size() == 1, "axis is not a scalar"))
      return failure();
    axisGiven = constant->front();
  }
  auto axis = n.axis(axisGiven, rank);
  if (!axis || !n.check(*axis != rank - 1, "axis {0} is the last one", axisGiven))
    return failure();
  t.axis = *axis;
  if (n.has(1)) {
    auto length = n.constantInts(1, "dft_length");
    if (!length || !n.check(length->size() == 1, "dft_length is not a scalar"))
      return failure();
    t.length = length->front();
  } else {
    auto size = staticDim(n, n.in(0), *axis, "a transformed dimension");
    if (!size)
      return failure();
    t.length = t.isInverse && t.isOneSided ? 2 * (*size - 1) : *size;
  }
  auto y = transform(n, b, n.in(0), t);
  return y ? Values(*y) : failure();
}

/// Where the elements of each frame lie in a signal: [frames, length].
static std::optional<Expr> framePositions(Node &n, CoreBuilder &b, OpFoldResult samples, int64_t length, int64_t step) {
  auto index = [&](int64_t v) { return b.builder.getIndexAttr(v); };
  Type i64 = b.builder.getI64Type();
  if (auto known = constantSize(samples)) {
    if (!n.check(length <= *known, "frames of {0} in a signal of {1} samples", length, *known))
      return std::nullopt;
    int64_t frames = 1 + (*known - length) / step;
    if (frames > kMatrixMax / length) {
      (void)n.unsupported("{0} frames of {1}", frames, length);
      return std::nullopt;
    }
    SmallVector<int64_t> positions;
    for (int64_t f = 0; f < frames; ++f)
      for (int64_t i = 0; i < length; ++i)
        positions.push_back(f * step + i);
    return b.reshape(b.ints(positions), constantSizes(b, {frames, length}));
  }
  // Of a signal that is shorter than one frame there is none.
  OpFoldResult room = b.indexMax(b.indexSum(samples, index(step - length)), index(0));
  Sizes sizes = {b.indexFloorDiv(room, index(step)), index(length)};
  return b.iota(sizes, 0, i64) * double(step) + b.iota(sizes, 1, i64);
}

static Values stft(Node &n, CoreBuilder &b) {
  Expr x = n.in(0);
  if (n.rank(0) == 2)
    x = b.unsqueeze(x, {2});
  auto step = n.constantInts(1, "frame_step");
  bool isOneSided = n.i64("onesided", 1);
  if (!step || !n.check(CoreBuilder::rankOf(x) == 3, "the signal has rank {0}", n.rank(0)) ||
      !n.check(step->size() == 1 && step->front() > 0, "frame_step is not positive"))
    return failure();
  int64_t length = 0;
  if (n.has(2)) {
    auto size = n.ranked(2, 1, 1, "the window") && n.sameElement({x, n.in(2)}) ? staticDim(n, n.in(2), 0, "a window")
                                                                               : std::nullopt;
    if (!size)
      return failure();
    length = *size;
  }
  if (n.has(3)) {
    auto given = n.constantInts(3, "frame_length");
    if (!given || !n.check(given->size() == 1, "frame_length is not a scalar") ||
        !n.check(!n.has(2) || given->front() == length, "frame_length {0} is not the window's size {1}", given->front(),
                 length))
      return failure();
    length = given->front();
  }
  if (!n.has(2) && !n.has(3)) { // one frame
    auto samples = staticDim(n, x, 1, "a signal without a frame length");
    if (!samples)
      return failure();
    length = *samples;
  }
  if (!n.check(length > 0 && length < (1 << 24), "frames of {0}", length))
    return failure();
  auto indices = framePositions(n, b, b.dim(x, 1), length, step->front());
  if (!indices)
    return failure();
  Expr framed = b.gather(x, *indices, 1); // [batch, frames, length, parts]
  if (n.has(2))
    framed = framed * b.unsqueeze(n.in(2), {1});
  auto y = transform(n, b, framed, {2, length, false, isOneSided});
  return y ? Values(*y) : failure();
}

// Triangles between neighbouring frequencies; all inputs are constants.
static Values melWeightMatrix(Node &n, CoreBuilder &b) {
  auto bins = n.constantInts(0, "num_mel_bins"), dftLength = n.constantInts(1, "dft_length"),
       rate = n.constantInts(2, "sample_rate");
  auto low = n.constantFloats(3, "lower_edge_hertz"), high = n.constantFloats(4, "upper_edge_hertz");
  Type element = n.dtype("output_datatype", b.builder.getF32Type());
  if (!bins || !dftLength || !rate || !low || !high || !element)
    return failure();
  if (!n.check(bins->size() == 1 && dftLength->size() == 1 && rate->size() == 1 && low->size() == 1 &&
                   high->size() == 1,
               "an input is not a scalar") ||
      !n.check(bins->front() > 0 && dftLength->front() > 0 && rate->front() > 0, "an input is not positive"))
    return failure();
  int64_t columns = bins->front(), rows = dftLength->front() / 2 + 1;
  if (!n.check(columns < kMatrixMax && rows < kMatrixMax && rows * columns <= kMatrixMax,
               "a matrix of {0} x {1} is too large", rows, columns))
    return failure();
  if (!(kindOf(element) & kNumber))
    return n.unsupported("element type {0}", nameOf(element));
  auto mel = [](double hertz) { return 2595 * std::log10(1 + hertz / 700); };
  double first = mel(low->front()), step = (mel(high->front()) - first) / double(columns + 2);
  SmallVector<int64_t> edges;
  for (int64_t i = 0; i < columns + 2; ++i) {
    double hertz = 700 * (std::pow(10, (double(i) * step + first) / 2595) - 1),
           edge = std::floor(double(dftLength->front() + 1) * hertz / double(rate->front()));
    if (!n.check(edge >= 0 && edge < double(rows), "frequency {0} is beyond the spectrum", hertz))
      return failure();
    edges.push_back(int64_t(edge));
  }
  SmallVector<float> values(rows * columns, 0);
  for (int64_t i = 0; i < columns; ++i) {
    int64_t left = edges[i], centre = edges[i + 1], right = edges[i + 2];
    if (left == centre)
      values[centre * columns + i] = 1;
    for (int64_t j = left; j <= centre && left != centre; ++j)
      values[j * columns + i] = float(double(j - left) / double(centre - left));
    for (int64_t j = centre; j < right; ++j)
      values[j * columns + i] = float(double(right - j) / double(right - centre));
  }
  auto type = RankedTensorType::get({rows, columns}, b.builder.getF32Type());
  return convert(b, b.constant(DenseElementsAttr::get(type, ArrayRef<float>(values))), element);
}

static const Rule rules[] = {
    {"HannWindow", 17, hann, 1, kInteger},
    {"HammingWindow", 17, hamming, 1, kInteger},
    {"BlackmanWindow", 17, blackman, 1, kInteger},
    {"DFT", 17, dft, 1, kFloat},
    {"STFT", 17, stft, 2, kFloat},
    {"MelWeightMatrix", 17, melWeightMatrix, 5, kInteger},
};
const ArrayRef<Rule> signalRules(rules);

} // namespace mlc::decompose
