// NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss.
#include "compiler/OnnxToCore/Compose.h"

using namespace mlir;
namespace mlc::decompose {

using core::Reduction;

/// -weight[target] * x[n, target, ...], reduced; classes are dimension 1 of x, whose type the sums are kept in. An ignored target has
/// weight 0.
static std::optional<Expr> logLikelihoodLoss(Node &n, CoreBuilder &b, Expr x) {
  Expr target = n.in(1);
  int64_t rank = n.rank(0);
  auto reduction = n.choice("reduction", "mean", {"mean", "sum", "none"});
  if (!reduction || !n.ranked(0, 2, 1 << 20, "the input") || !n.ranked(1, rank - 1, rank - 1, "the target") ||
      !n.elementIs(1, kInteger, "the target"))
    return std::nullopt;
  for (int64_t d = 0; d < rank - 1; ++d)
    if (!n.sameSize(b.dim(target, d), b.dim(x, d == 0 ? 0 : d + 1), "sizes of input and target"))
      return std::nullopt;
  std::optional<Expr> weight, isIgnored;
  if (n.hasAttr("ignore_index")) {
    isIgnored = b.compare(core::Comparison::EQ, target, double(n.i64("ignore_index", 0)));
    target = b.select(*isIgnored, b.splatLike(0, target), target);
  }
  if (!n.requireInRange(target, b.builder.getIndexAttr(0), b.dim(x, 1), "target"))
    return std::nullopt;
  Expr loss = -b.squeeze(b.gatherElements(x, b.unsqueeze(target, {1}), 1), {1});
  if (n.has(2)) {
    if (!n.ranked(2, 1, 1, "the weights") || !n.sameElement({n.in(0), n.in(2)}) ||
        !n.sameSize(b.dim(n.in(2), 0), b.dim(x, 1), "numbers of weights and classes"))
      return std::nullopt;
    weight = b.gather(convert(b, n.in(2), CoreBuilder::elementOf(x)), target, 0);
  }
  if (isIgnored) {
    Expr one = weight ? *weight : b.splatLike(1, loss);
    weight = b.select(*isIgnored, b.splatLike(0, one), one);
  }
  if (weight)
    loss = loss * *weight;
  SmallVector<int64_t> all = countingFrom(0, rank - 1);
  if (*reduction == 2)
    return loss;
  if (*reduction == 0 && !weight)
    return b.reduceMean(loss, all);
  Expr sum = b.reduce(Reduction::Sum, loss, all);
  return *reduction == 1 ? sum : sum / b.reduce(Reduction::Sum, *weight, all);
}

static Values negativeLogLikelihoodLoss(Node &n, CoreBuilder &b) {
  auto loss = logLikelihoodLoss(n, b, widened(b, n.in(0)));
  return loss ? Values(convert(b, *loss, n.element(0))) : failure();
}

static Values softmaxCrossEntropyLoss(Node &n, CoreBuilder &b) {
  if (!n.ranked(0, 2, 1 << 20, "the scores"))
    return failure();
  Expr logProbability = logSoftmax(widened(b, n.in(0)), {1});
  auto loss = logLikelihoodLoss(n, b, logProbability);
  if (!loss)
    return failure();
  return {convert(b, *loss, n.element(0)), convert(b, logProbability, n.element(0))};
}

static const Rule rules[] = {
    {"NegativeLogLikelihoodLoss", 12, negativeLogLikelihoodLoss, 2, kFloat},
    {"SoftmaxCrossEntropyLoss", 12, softmaxCrossEntropyLoss, 2, kFloat},
};
const ArrayRef<Rule> lossRules(rules);

} // namespace mlc::decompose
