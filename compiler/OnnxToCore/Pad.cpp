// Pad: constant, reflect, edge and wrap. All but the first are gathers with computed positions.
#include "compiler/OnnxToCore/Compose.h"

using namespace mlir;
namespace mlc::decompose {

/// The positions that take part along an axis of size `size`, padded by low and high.
static Expr positions(CoreBuilder &b, int64_t mode, OpFoldResult size, OpFoldResult low, OpFoldResult result) {
  Type i64 = b.builder.getI64Type();
  auto scalar = [&](OpFoldResult v) { return b.fromElements({v}, i64, /*scalar=*/true); };
  Expr p = b.iota({result}, 0, i64) - scalar(low);
  Expr count = scalar(size);
  if (mode == 2) // edge
    return b.minimum(b.maximum(p, 0.0), count - 1.0);
  if (mode == 3) // wrap
    return b.binary("mod", p, count);
  // reflect: 0 1 2 3 2 1 0 1 ..: the distance to the nearest multiple of twice the last position
  Expr last = count - 1.0;
  return last - b.abs(b.binary("mod", p, b.maximum(last * 2.0, 1.0)) - last);
}

/// Negative padding crops, in every mode before anything is added: what is left of x. The padding that remains replaces `low` and `high`.
static std::optional<Expr> cropped(Node &n, CoreBuilder &b, Expr x, Sizes &low, Sizes &high) {
  Sizes sizes = b.dims(x), kept = sizes, from = constantSizes(b, SmallVector<int64_t>(sizes.size(), 0));
  bool isCropped = false;
  for (size_t d = 0; d < sizes.size(); ++d) {
    auto l = constantSize(low[d]), h = constantSize(high[d]);
    if (!n.check(l.value_or(0) < kElementsMax && h.value_or(0) < kElementsMax, "a padding is too large"))
      return std::nullopt;
    if (l.value_or(0) >= 0 && h.value_or(0) >= 0)
      continue;
    auto cut = [&](OpFoldResult &padding) {
      auto constant = constantSize(padding);
      if (!constant || *constant >= 0)
        return b.builder.getIndexAttr(0);
      padding = b.builder.getIndexAttr(0);
      return b.builder.getIndexAttr(-*constant);
    };
    isCropped = true;
    from[d] = cut(low[d]);
    kept[d] = b.indexDifference(b.indexDifference(sizes[d], from[d]), cut(high[d]));
    if (!n.check(constantSize(kept[d]).value_or(0) >= 0, "padding {0} and {1} takes more than size {2}", l.value_or(0),
                 h.value_or(0), constantSize(sizes[d]).value_or(0)))
      return std::nullopt;
  }
  return isCropped ? b.slice(x, from, kept) : x;
}

/// Constants where the values are: sizes are clamped by the caller.
static Values padWith(Node &n, CoreBuilder &b, int64_t mode, Sizes low, Sizes high, Value value) {
  auto rest = cropped(n, b, n.in(0), low, high);
  if (!rest)
    return failure();
  Expr x = *rest;
  Sizes sizes = b.dims(x), result;
  for (auto [size, l, h] : llvm::zip_equal(sizes, low, high))
    result.push_back(b.indexSum(b.indexSum(size, l), h));
  if (!n.validSizes(result))
    return failure();
  if (mode == 0) {
    bool isNothing =
        llvm::all_of(llvm::concat<OpFoldResult>(low, high), [](OpFoldResult p) { return constantSize(p) == 0; });
    return isNothing ? x : b.pad(x, value, low, high);
  }
  for (size_t d = 0; d < sizes.size(); ++d) {
    if (constantSize(low[d]) == 0 && constantSize(high[d]) == 0)
      continue;
    if (!n.check(constantSize(sizes[d]) != 0, "dimension {0} is empty", d))
      return failure();
    x = b.gather(x, positions(b, mode, sizes[d], low[d], result[d]), d);
  }
  return x;
}

static std::optional<int64_t> modeOf(Node &n) {
  if (n.opset() >= 19)
    return n.choice("mode", "constant", {"constant", "reflect", "edge", "wrap"});
  return n.choice("mode", "constant", {"constant", "reflect", "edge"});
}

static Values padByAttributes(Node &n, CoreBuilder &b) {
  auto mode = modeOf(n);
  SmallVector<int64_t> pads = n.ints(n.opset() < 2 ? "paddings" : "pads");
  int64_t rank = n.rank(0);
  if (!mode || !n.check(int64_t(pads.size()) == 2 * rank, "{0} paddings for rank {1}", pads.size(), rank))
    return failure();
  return padWith(n, b, *mode, constantSizes(b, ArrayRef<int64_t>(pads).take_front(rank)),
                 constantSizes(b, ArrayRef<int64_t>(pads).drop_front(rank)), b.splat(n.f32("value", 0), n.element(0)));
}

static Values pad(Node &n, CoreBuilder &b) {
  auto mode = modeOf(n);
  auto pads = n.sizes(1);
  int64_t rank = n.rank(0);
  if (!mode || !pads)
    return failure();
  auto axes = n.has(3) ? n.constantInts(3, "axes") : countingFrom(0, rank);
  axes = axes ? n.axes(*axes, rank) : axes;
  if (!axes || !n.check(pads->size() == 2 * axes->size(), "{0} paddings for {1} axes", pads->size(), axes->size()))
    return failure();
  Sizes low = constantSizes(b, SmallVector<int64_t>(rank, 0)), high = low;
  for (auto [i, axis] : llvm::enumerate(*axes)) {
    low[axis] = (*pads)[i];
    high[axis] = (*pads)[axes->size() + i];
  }
  Expr value = b.splat(0, n.element(0));
  if (n.has(2)) {
    value = n.in(2);
    if (!n.check(n.type(2).hasStaticShape() && n.type(2).getNumElements() == 1, "the padding value is not a scalar") ||
        !n.sameElement({n.in(0), value}))
      return failure();
    value = b.reshape(value, {});
  }
  return padWith(n, b, *mode, low, high, value);
}

static const Rule rules[] = {
    {"Pad", 1, padByAttributes, 1, kNumber},
    {"Pad", 11, pad, 2},
};
const ArrayRef<Rule> padRules(rules);

} // namespace mlc::decompose
