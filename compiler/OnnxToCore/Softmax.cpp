// Softmax, LogSoftmax and Hardmax. Before opset 13 they act on all dimensions from `axis` on together.
#include "compiler/OnnxToCore/Compose.h"

using namespace mlir;
namespace mlc::decompose {

/// The dimensions that are normalised together.
static std::optional<SmallVector<int64_t>> axesOf(Node &n) {
  int64_t rank = n.rank(0);
  bool isFlattened = n.opset() < 13;
  if (!n.check(rank > 0, "the input is a scalar"))
    return std::nullopt;
  auto axis = n.axis("axis", isFlattened ? 1 : -1, rank + (isFlattened && n.i64("axis", 1) == rank));
  if (!axis)
    return std::nullopt;
  return isFlattened ? countingFrom(*axis, rank - *axis) : SmallVector<int64_t>{*axis};
}

template <Expr (*function)(Expr, ArrayRef<int64_t>)> static Values normalized(Node &n, CoreBuilder &b) {
  auto axes = axesOf(n);
  return axes ? Values(function(n.in(0), *axes)) : failure();
}

// 1 where the (first) largest element is.
static Values hardmax(Node &n, CoreBuilder &b) {
  auto axes = axesOf(n);
  if (!axes)
    return failure();
  Expr x = n.in(0);
  Sizes sizes = b.dims(x);
  int64_t axis = axes->empty() ? 0 : axes->front();
  if (axes->size() != 1) { // [outer, inner]
    auto outer = productOf(n, ArrayRef<OpFoldResult>(sizes).take_front(sizes.size() - axes->size()));
    auto inner = productOf(n, ArrayRef<OpFoldResult>(sizes).take_back(axes->size()));
    if (!outer || !inner)
      return failure();
    x = b.reshape(x, {*outer, *inner});
    axis = 1;
  }
  if (!n.check(CoreBuilder::typeOf(x).getDimSize(axis) != 0, "dimension {0} is empty", axis))
    return failure();
  Expr top = b.argReduce(/*isMax=*/true, x, axis, /*keepDims=*/true, /*lastIndex=*/false);
  Expr isTop = b.compare(core::Comparison::EQ, b.iota(b.dims(x), axis, b.builder.getI64Type()), top);
  return b.reshape(b.cast(isTop, n.element(0)), sizes);
}

static const Rule rules[] = {
    {"Softmax", 1, normalized<softmax>, 1, kFloat},
    {"LogSoftmax", 1, normalized<logSoftmax>, 1, kFloat},
    {"Hardmax", 1, hardmax, 1, kFloat},
};
const ArrayRef<Rule> softmaxRules(rules);

} // namespace mlc::decompose
