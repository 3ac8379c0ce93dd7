// Reduce*, ArgMax and ArgMin, CumSum and CumProd.
#include "compiler/OnnxToCore/Compose.h"

using namespace mlir;
namespace mlc::decompose {

using core::Comparison;
using core::Reduction;

namespace {
struct Reduced {
  SmallVector<int64_t> axes; // increasing; none: nothing is reduced
  bool keepDims;
};
} // namespace

/// The axes: an attribute before `inputSince`, an input from then on; none given means all.
static std::optional<Reduced> readAxes(Node &n, int64_t inputSince) {
  bool keepDims = n.i64("keepdims", 1), isNoop = n.i64("noop_with_empty_axes", 0);
  SmallVector<int64_t> axes;
  if (n.opset() >= inputSince) {
    if (n.has(1)) {
      auto constants = n.constantInts(1, "axes");
      if (!constants)
        return std::nullopt;
      axes = *constants;
    }
  } else {
    axes = n.ints("axes");
    isNoop = false;
  }
  if (axes.empty() && !isNoop)
    axes = countingFrom(0, n.rank(0));
  auto normal = n.axes(axes, n.rank(0));
  if (!normal)
    return std::nullopt;
  llvm::sort(*normal);
  return Reduced{*normal, keepDims};
}

static Expr reduce(CoreBuilder &b, Reduction kind, Expr x, const Reduced &r) {
  return r.axes.empty() ? x : b.reduce(kind, x, r.axes, r.keepDims);
}

/// pointwise before, reduction, pointwise after; in f32 for f16, whose squares and sums overflow where the result does not
template <Reduction kind, Expr (*before)(Expr), Expr (*after)(Expr), int64_t inputSince = 18>
static Values reduceRule(Node &n, CoreBuilder &b) {
  auto r = readAxes(n, inputSince);
  if (!r)
    return failure();
  return convert(b, after(reduce(b, kind, before(widened(b, n.in(0))), *r)), n.element(0));
}

static Expr same(Expr x) { return x; }
static Expr square(Expr x) { return x * x; }
static Expr absolute(Expr x) { return x.b->abs(x); }

/// Integers are taken through f64 and back, as NumPy does it.
template <Expr (*function)(Expr)> static Expr viaFloat(Expr x) {
  CoreBuilder &b = *x.b;
  Type element = CoreBuilder::elementOf(x);
  if (kindOf(element) == kFloat)
    return function(x);
  return b.cast(function(b.cast(x, b.builder.getF64Type())), element);
}
static Expr squareRoot(Expr x) {
  return viaFloat<[](Expr v) { return v.b->sqrt(v); }>(x);
}
static Expr logarithm(Expr x) {
  return viaFloat<[](Expr v) { return v.b->log(v); }>(x);
}

template <bool isMax> static Values extreme(Node &n, CoreBuilder &b) {
  auto r = readAxes(n, 18);
  if (!r)
    return failure();
  Reduction kind = isMax ? Reduction::Max : Reduction::Min;
  if (kindOf(n.element(0)) == kBool)
    kind = isMax ? Reduction::Or : Reduction::And;
  return reduce(b, kind, n.in(0), *r);
}

static Values mean(Node &n, CoreBuilder &b) {
  auto r = readAxes(n, 18);
  if (!r)
    return failure();
  Expr x = n.in(0);
  if (r->axes.empty())
    return x;
  if (kindOf(n.element(0)) == kFloat)
    return b.reduceMean(x, r->axes, r->keepDims);
  SmallVector<OpFoldResult> sizes;
  for (int64_t axis : r->axes)
    sizes.push_back(b.dim(x, axis));
  auto count = productOf(n, sizes);
  if (!count)
    return failure();
  return reduce(b, Reduction::Sum, x, *r) / b.fromElements({*count}, n.element(0), /*scalar=*/true);
}

// max + log(sum(exp(x - max))); a maximum that is infinite is not subtracted.
static Values logSumExp(Node &n, CoreBuilder &b) {
  auto r = readAxes(n, 18);
  if (!r)
    return failure();
  Expr x = kindOf(n.element(0)) == kFloat ? widened(b, n.in(0)) : b.cast(n.in(0), b.builder.getF64Type());
  if (!r->axes.empty()) {
    Expr top = b.reduce(Reduction::Max, x, r->axes, /*keepDims=*/true);
    top = b.select(b.compare(Comparison::LT, b.abs(top), INFINITY), top, b.splatLike(0, top));
    Expr sum = b.log(b.reduce(Reduction::Sum, b.exp(x - top), r->axes, /*keepDims=*/true)) + top;
    x = r->keepDims ? sum : b.squeeze(sum, r->axes);
  }
  return convert(b, x, n.element(0));
}

template <bool isMax> static Values argument(Node &n, CoreBuilder &b) {
  auto axis = n.axis("axis", 0, n.rank(0));
  bool keepDims = n.i64("keepdims", 1), isLast = n.i64("select_last_index", 0);
  if (!axis || !n.check(n.type(0).getDimSize(*axis) != 0, "dimension {0} is empty", *axis))
    return failure();
  return b.argReduce(isMax, n.in(0), *axis, keepDims, isLast);
}

template <Reduction kind> static Values cumulate(Node &n, CoreBuilder &b) {
  bool exclusive = n.i64("exclusive", 0), reverse = n.i64("reverse", 0);
  int64_t rank = n.rank(0);
  if (!n.check(n.type(1).hasStaticShape() && n.type(1).getNumElements() == 1, "axis is not a scalar") ||
      !n.elementIs(1, kInteger, "axis"))
    return failure();
  if (!n.known.find(b, n.in(1))) { // an axis that is only known at run time chooses one of all
    if (!n.requireInRange(n.in(1), b.builder.getIndexAttr(-rank), b.builder.getIndexAttr(rank), "axis"))
      return failure();
    Expr given = b.reshape(n.in(1), {}), y = n.in(0);
    for (int64_t d = 0; d < rank; ++d) {
      Expr isThis = b.binary("or", b.compare(Comparison::EQ, given, double(d)),
                             b.compare(Comparison::EQ, given, double(d - rank)));
      y = b.select(isThis, b.scan(kind, n.in(0), d, exclusive, reverse), y);
    }
    return y;
  }
  auto given = n.constantInts(1, "axis");
  auto axis = given ? n.axis(given->front(), rank) : std::nullopt;
  if (!axis)
    return failure();
  return b.scan(kind, n.in(0), *axis, exclusive, reverse);
}

static const Rule rules[] = {
    {"ReduceSum", 1, reduceRule<Reduction::Sum, same, same, 13>, 1, kNumber},
    {"ReduceProd", 1, reduceRule<Reduction::Prod, same, same>, 1, kNumber},
    {"ReduceMax", 1, extreme<true>, 1, kWide},
    {"ReduceMin", 1, extreme<false>, 1, kWide},
    {"ReduceMean", 1, mean, 1, kNumber},
    {"ReduceL1", 1, reduceRule<Reduction::Sum, absolute, same>, 1, kNumber},
    {"ReduceL2", 1, reduceRule<Reduction::Sum, square, squareRoot>, 1, kNumber},
    {"ReduceSumSquare", 1, reduceRule<Reduction::Sum, square, same>, 1, kNumber},
    {"ReduceLogSum", 1, reduceRule<Reduction::Sum, same, logarithm>, 1, kNumber},
    {"ReduceLogSumExp", 1, logSumExp, 1, kNumber},
    {"ArgMax", 1, argument<true>, 1, kNumber},
    {"ArgMin", 1, argument<false>, 1, kNumber},
    {"CumSum", 11, cumulate<Reduction::Sum>, 2, kNumber},
    {"CumProd", 26, cumulate<Reduction::Prod>, 2, kNumber},
};
const ArrayRef<Rule> reductionRules(rules);

} // namespace mlc::decompose
