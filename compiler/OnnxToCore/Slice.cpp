// Slice and CenterCropPad. Bounds are clamped as NumPy does it, at compile time where sizes are known.
#include "compiler/OnnxToCore/Compose.h"

using namespace mlir;
namespace mlc::decompose {

/// What NumPy's x[start:end:step] takes from one dimension: `size` elements from `first`, every |step|-th, reversed if step < 0.
struct Extent {
  OpFoldResult first, size;
};

static OpFoldResult clampIndex(CoreBuilder &b, OpFoldResult x, OpFoldResult low, OpFoldResult high) {
  auto c = constantSize(x), l = constantSize(low), h = constantSize(high);
  if (c && l && h)
    return b.builder.getIndexAttr(std::max(*l, std::min(*c, *h)));
  OpFoldResult y = l && *l == 0 && core::isNonNegative(x) ? x : b.indexMax(x, low);
  return b.indexMin(y, high);
}

/// A bound that counts from the end if it is negative, as a position.
static OpFoldResult fromEnd(Node &n, OpFoldResult bound, OpFoldResult size) {
  CoreBuilder &b = n.b;
  auto c = constantSize(bound), s = constantSize(size);
  if (c && *c < 0)
    return s                    ? OpFoldResult(
                                      b.builder.getIndexAttr(*c < -*s ? -1 - *s : *c + *s)) // avoids an overflow; clamped afterwards
           : *c < -kElementsMax ? OpFoldResult(b.builder.getIndexAttr(-1))
                                : b.indexSum(size, bound);
  if (c || core::isNonNegative(bound))
    return bound;
  Value v = b.index(bound), zero = b.index(b.builder.getIndexAttr(0));
  Value isNegative = arith::CmpIOp::create(b.builder, b.loc, arith::CmpIPredicate::slt, v, zero);
  return arith::SelectOp::create(b.builder, b.loc, isNegative, b.index(b.indexSum(bound, size)), v).getResult();
}

static Extent extentOf(Node &n, OpFoldResult size, OpFoldResult start, OpFoldResult end, int64_t step) {
  CoreBuilder &b = n.b;
  auto index = [&](int64_t v) -> OpFoldResult { return b.builder.getIndexAttr(v); };
  auto isHuge = [](OpFoldResult x) { return constantSize(x).value_or(0) >= (int64_t(1) << 31) - 1; };
  OpFoldResult zero = index(0);
  auto a = constantSize(start), c = constantSize(end);
  bool toEnd = isHuge(end) || b.isSame(end, size);
  // Few of an open size, so that one row can be seen to be one row: the last, or those from a to c.
  if (step == 1 && !constantSize(size) && a && *a < 0 && *a > -kElementsMax && toEnd) {
    OpFoldResult count = b.indexMin(size, index(-*a));
    return {b.indexDifference(size, count), count};
  }
  if (step == 1 && !constantSize(size) && a && c && *a > 0 && *c > *a && *c < kElementsMax && !toEnd)
    return {b.indexMin(size, index(*a)),
            b.indexMin(b.indexMax(b.indexDifference(size, index(*a)), zero), index(*c - *a))};
  if (step > 0) {
    OpFoldResult from = constantSize(start) == 0 ? zero : clampIndex(b, fromEnd(n, start, size), zero, size);
    OpFoldResult to = toEnd ? size : clampIndex(b, fromEnd(n, end, size), zero, size);
    auto f = constantSize(from), t = constantSize(to);
    if (f && t)
      return {from, index(*t <= *f ? 0 : int64_t(llvm::divideCeil(uint64_t(*t - *f), uint64_t(step))))};
    OpFoldResult distance = f == 0 ? to : b.indexDifference(to, from);
    // end - start of two clamped positions is negative only if the model asks for nothing.
    bool mayBeNegative = !(f == 0) && !n.known.isSame(to, size);
    if (mayBeNegative)
      distance = b.indexMax(distance, zero);
    return {from, step == 1 ? distance : b.indexCeilDiv(distance, index(step))};
  }
  // Backwards: from `from` down to above `to`; the slice itself runs upwards from the last one.
  OpFoldResult last = constantSize(size) ? index(*constantSize(size) - 1) : b.indexDifference(size, index(1));
  OpFoldResult from = isHuge(start) ? last : clampIndex(b, fromEnd(n, start, size), index(-1), last);
  OpFoldResult to = constantSize(end) && *constantSize(end) <= -((int64_t(1) << 31) - 1)
                        ? index(-1)
                        : clampIndex(b, fromEnd(n, end, size), index(-1), last);
  auto f = constantSize(from), t = constantSize(to);
  int64_t by = -step;
  if (f && t) {
    int64_t count = *f <= *t ? 0 : int64_t(llvm::divideCeil(*f - *t, by));
    return {index(count ? *f - (count - 1) * by : 0), index(count)};
  }
  OpFoldResult distance = b.indexMax(b.indexDifference(from, to), zero);
  OpFoldResult count = by == 1 ? distance : b.indexCeilDiv(distance, index(by));
  OpFoldResult first = b.indexDifference(from, by == 1 ? b.indexDifference(count, index(1))
                                                       : b.indexProduct(b.indexDifference(count, index(1)), index(by)));
  return {b.indexMax(b.indexMin(first, last), zero), count};
}

static Values sliceBy(Node &n, CoreBuilder &b, const Sizes &starts, const Sizes &ends, ArrayRef<int64_t> axesGiven,
                      ArrayRef<int64_t> steps) {
  Expr x = n.in(0);
  int64_t rank = n.rank(0);
  auto axes = n.axes(axesGiven, rank);
  if (!axes || !n.check(starts.size() == axes->size() && ends.size() == axes->size() && steps.size() == axes->size(),
                        "{0} starts, {1} ends, {2} axes and {3} steps", starts.size(), ends.size(),
                        axes ? axes->size() : 0, steps.size()))
    return failure();
  Sizes all = b.dims(x), from = constantSizes(b, SmallVector<int64_t>(rank, 0)), sizes = all;
  SmallVector<int64_t> strides(rank, 1), reversed;
  for (auto [i, axis] : llvm::enumerate(*axes)) {
    if (!n.check(steps[i] != 0, "a step is 0"))
      return failure();
    int64_t step =
        std::clamp(steps[i], -kElementsMax, kElementsMax); // beyond any size, and sums with it do not overflow
    Extent extent = extentOf(n, all[axis], starts[i], ends[i], step);
    from[axis] = constantSize(extent.size) == 0 ? OpFoldResult(b.builder.getIndexAttr(0)) : extent.first;
    sizes[axis] = extent.size;
    auto count = constantSize(extent.size);
    strides[axis] = count && *count <= 1 ? 1 : std::abs(step);
    if (step < 0 && !(count && *count <= 1))
      reversed.push_back(axis);
  }
  llvm::sort(reversed);
  bool isAll = llvm::all_of(llvm::zip_equal(from, sizes, all, strides), [&](auto entry) {
    auto [start, size, whole, stride] = entry;
    return constantSize(start) == 0 && stride == 1 && n.known.isSame(size, whole);
  });
  Expr y = isAll ? x : b.slice(x, from, sizes, strides);
  return reversed.empty() ? y : b.reverse(y, reversed);
}

static Values sliceByAttributes(Node &n, CoreBuilder &b) {
  SmallVector<int64_t> starts = n.ints("starts"), ends = n.ints("ends");
  SmallVector<int64_t> axes = n.ints("axes", countingFrom(0, starts.size()));
  return sliceBy(n, b, constantSizes(b, starts), constantSizes(b, ends), axes, SmallVector<int64_t>(starts.size(), 1));
}

static Values slice(Node &n, CoreBuilder &b) {
  auto starts = n.sizes(1), ends = n.sizes(2);
  if (!starts || !ends)
    return failure();
  auto axes = n.has(3) ? n.constantInts(3, "axes") : countingFrom(0, starts->size());
  auto steps = n.has(4) ? n.constantInts(4, "steps") : SmallVector<int64_t>(starts->size(), 1);
  if (!axes || !steps)
    return failure();
  return sliceBy(n, b, *starts, *ends, *axes, *steps);
}

// Each dimension is cropped or padded with zeros, on both sides alike; the odd element goes to the end.
static Values centerCropPad(Node &n, CoreBuilder &b) {
  Expr x = n.in(0);
  int64_t rank = n.rank(0);
  auto target = n.sizes(1);
  auto axes = n.axes(n.ints("axes", countingFrom(0, rank)), rank);
  if (!target || !axes ||
      !n.check(target->size() == axes->size(), "{0} sizes for {1} axes", target->size(), axes->size()) ||
      !n.validSizes(*target))
    return failure();
  Sizes low = constantSizes(b, SmallVector<int64_t>(rank, 0)), high = low, starts = low, kept = b.dims(x);
  OpFoldResult two = b.builder.getIndexAttr(2);
  for (auto [size, axis] : llvm::zip_equal(*target, *axes)) {
    OpFoldResult have = kept[axis];
    kept[axis] = b.indexMin(have, size);
    starts[axis] = b.indexFloorDiv(b.indexDifference(have, kept[axis]), two);
    OpFoldResult missing = b.indexDifference(size, kept[axis]);
    low[axis] = b.indexFloorDiv(missing, two);
    high[axis] = b.indexDifference(missing, low[axis]);
  }
  return b.pad(b.slice(x, starts, kept), b.splat(0, n.element(0)), low, high);
}

static const Rule rules[] = {
    {"Slice", 1, sliceByAttributes},
    {"Slice", 10, slice, 3},
    {"CenterCropPad", 18, centerCropPad, 2},
};
const ArrayRef<Rule> sliceRules(rules);

} // namespace mlc::decompose
