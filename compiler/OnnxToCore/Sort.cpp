// TopK.
#include "compiler/OnnxToCore/Compose.h"

using namespace mlir;
namespace mlc::decompose {

static Values topKOf(Node &n, CoreBuilder &b, OpFoldResult k) {
  Expr x = n.in(0);
  auto axis = n.axis("axis", -1, n.rank(0));
  bool isLargest = n.i64("largest", 1);
  n.ignoreAttr("sorted"); // sorted is one of the allowed orders
  if (!axis)
    return failure();
  auto count = constantSize(k), size = constantSize(b.dim(x, *axis));
  if (!n.check(!count || *count >= 0, "k is {0}", count.value_or(0)) ||
      !n.check(!count || !size || *count <= *size, "k is {0}, but the dimension has size {1}", count.value_or(0),
               size.value_or(0)))
    return failure();
  k = b.boundedSize(k, b.dim(x, *axis), "k");
  auto [values, positions] = b.sort(x, *axis, /*descending=*/isLargest);
  OpFoldResult zero = b.builder.getIndexAttr(0);
  return {part(values, *axis, zero, k), part(positions, *axis, zero, k)};
}

static Values topKByAttribute(Node &n, CoreBuilder &b) { return topKOf(n, b, b.builder.getIndexAttr(n.i64("k", 0))); }

static Values topK(Node &n, CoreBuilder &b) {
  auto k = n.size(1);
  return k ? topKOf(n, b, *k) : Values(failure());
}

static const Rule rules[] = {
    {"TopK", 1, topKByAttribute, 1, kNumber},
    {"TopK", 10, topK, 2, kNumber},
};
const ArrayRef<Rule> sortRules(rules);

} // namespace mlc::decompose
