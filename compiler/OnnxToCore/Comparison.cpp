// Comparisons, logic, Where, IsNaN and IsInf.
#include "compiler/OnnxToCore/Compose.h"
#include <cmath>

namespace mlc::decompose {

using core::Comparison;

template <Comparison predicate> static Values compare(Node &n, CoreBuilder &b) {
  auto xy = binaryOperands(n);
  if (!xy)
    return llvm::failure();
  return b.compare(predicate, xy->first, xy->second);
}

static Values logic(Node &n, CoreBuilder &b, StringRef op) {
  auto xy = binaryOperands(n);
  if (!xy)
    return llvm::failure();
  return b.binary(op, xy->first, xy->second);
}
static Values logicalAnd(Node &n, CoreBuilder &b) { return logic(n, b, "and"); }
static Values logicalOr(Node &n, CoreBuilder &b) { return logic(n, b, "or"); }
static Values logicalXor(Node &n, CoreBuilder &b) { return logic(n, b, "xor"); }
static Values logicalNot(Node &n, CoreBuilder &b) { return b.logicalNot(n.in(0)); }

static Values where(Node &n, CoreBuilder &b) {
  Expr condition = n.in(0), x = n.in(1), y = n.in(2);
  if (!n.sameElement({x, y}) || !n.broadcastable({condition, x, y}))
    return llvm::failure();
  return b.select(condition, x, y);
}

static Values isNaN(Node &n, CoreBuilder &b) {
  Expr x = n.in(0);
  return b.compare(Comparison::NE, x, x);
}

static Values isInf(Node &n, CoreBuilder &b) {
  Expr x = n.in(0);
  bool negative = n.i64("detect_negative", 1), positive = n.i64("detect_positive", 1);
  if (negative && positive)
    return b.compare(Comparison::EQ, b.abs(x), INFINITY);
  if (negative || positive)
    return b.compare(Comparison::EQ, x, positive ? INFINITY : -INFINITY);
  return b.splatLike(0, b.compare(Comparison::EQ, x, INFINITY));
}

static const Rule rules[] = {
    {"Equal", 1, compare<Comparison::EQ>, 2, kWide},
    {"Less", 1, compare<Comparison::LT>, 2, kNumber},
    {"LessOrEqual", 12, compare<Comparison::LE>, 2, kNumber},
    {"Greater", 1, compare<Comparison::GT>, 2, kNumber},
    {"GreaterOrEqual", 12, compare<Comparison::GE>, 2, kNumber},
    {"And", 1, logicalAnd, 2, kBool},
    {"Or", 1, logicalOr, 2, kBool},
    {"Xor", 1, logicalXor, 2, kBool},
    {"Not", 1, logicalNot, 1, kBool},
    {"Where", 9, where, 3, kBool},
    {"IsNaN", 9, isNaN, 1, kFloat},
    {"IsInf", 10, isInf, 1, kFloat},
};
const ArrayRef<Rule> comparisonRules(rules);

} // namespace mlc::decompose
