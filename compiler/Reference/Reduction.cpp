// Ops of the reference that combine several elements (dialects/core/Reduce.td), one after the other, in double precision.
#include "compiler/Reference/Interpreter.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>

using namespace mlir;

namespace mlc::reference {

double combine(core::Reduction kind, double x, double y) {
  switch (kind) {
  case core::Reduction::Sum:
    return x + y;
  case core::Reduction::Prod:
    return x * y;
  case core::Reduction::Max:
    return std::isnan(x) || std::isnan(y) ? NAN : std::max(x, y);
  case core::Reduction::Min:
    return std::isnan(x) || std::isnan(y) ? NAN : std::min(x, y);
  default:
    return y;
  }
}

int64_t combine(core::Reduction kind, Element element, int64_t x, int64_t y) {
  switch (kind) {
  case core::Reduction::Sum:
    return element.wrap(int64_t(uint64_t(x) + uint64_t(y)));
  case core::Reduction::Prod:
    return element.wrap(int64_t(uint64_t(x) * uint64_t(y)));
  case core::Reduction::Max:
    return isLess(element, x, y) ? y : x;
  case core::Reduction::Min:
    return isLess(element, x, y) ? x : y;
  case core::Reduction::And:
    return x & y;
  case core::Reduction::Or:
    return x | y;
  default:
    return y;
  }
}

double neutralReal(core::Reduction kind) {
  return kind == core::Reduction::Max   ? -INFINITY
         : kind == core::Reduction::Min ? INFINITY
                                        : kind == core::Reduction::Prod;
}

int64_t neutralInteger(core::Reduction kind, Element element) {
  bool isUnsigned = element.kind == Element::Unsigned;
  auto least = isUnsigned ? 0 : int64_t(~uint64_t(0) << (element.width - 1));
  switch (kind) {
  case core::Reduction::Max:
    return least;
  case core::Reduction::Min:
    return isUnsigned ? element.wrap(-1) : ~least;
  case core::Reduction::And:
    return element.wrap(-1);
  default:
    return kind == core::Reduction::Prod;
  }
}

namespace {

void fillNeutral(core::Reduction kind, Tensor &y) {
  for (int64_t i = 0, count = y.count(); i < count; ++i)
    if (y.element.isReal())
      y.reals()[i] = neutralReal(kind);
    else
      y.integers()[i] = neutralInteger(kind, y.element);
}

/// y[to] = kind(y[to], x[from])
void accumulate(core::Reduction kind, Tensor &y, int64_t to, const Tensor &x, int64_t from) {
  if (y.element.isReal())
    y.reals()[to] = combine(kind, y.reals()[to], x.reals()[from]);
  else
    y.integers()[to] = combine(kind, y.element, y.integers()[to], x.integers()[from]);
}

Tensor reduce(core::ReduceOp op, const Tensor &x) {
  Shape shape;
  for (auto [axis, size] : llvm::enumerate(x.shape))
    if (!llvm::is_contained(op.getAxes(), int64_t(axis)))
      shape.push_back(size);
  Tensor y(x.element, shape);
  fillNeutral(op.getKind(), y);
  Strides kept = y.strides(), strides(x.shape.size(), 0);
  for (size_t axis = 0, next = 0; axis < x.shape.size(); ++axis)
    if (!llvm::is_contained(op.getAxes(), int64_t(axis)))
      strides[axis] = kept[next++];
  walk<2>(x.shape, {x.strides(), strides}, {0, 0}, [&](auto at) { accumulate(op.getKind(), y, at[1], x, at[0]); });
  return y;
}

/// Whether element `a` takes the place of the best one so far.
bool isBetter(core::ArgReduceOp op, const Tensor &x, int64_t a, int64_t best) {
  bool isMax = op.getKind() == core::Reduction::Max;
  if (!x.element.isReal()) {
    int64_t p = x.integers()[a], q = x.integers()[best];
    return p == q ? op.getLast() : isMax ? isLess(x.element, q, p) : isLess(x.element, p, q);
  }
  double p = x.reals()[a], q = x.reals()[best];
  if (std::isnan(p) || std::isnan(q))
    return std::isnan(p) && (op.getLast() || !std::isnan(q));
  return p == q ? op.getLast() : isMax ? p > q : p < q;
}

Tensor argReduce(core::ArgReduceOp op, const Tensor &x) {
  int64_t axis = op.getAxis(), stride = x.strides()[axis], next = 0;
  Shape shape = x.shape, outer = x.shape;
  shape.erase(shape.begin() + axis);
  outer[axis] = 1;
  Tensor y(Element{Element::Signed, 64, nullptr}, shape);
  walk<1>(outer, {x.strides()}, {0}, [&](auto at) {
    int64_t best = 0;
    for (int64_t i = 1; i < x.shape[axis]; ++i)
      if (isBetter(op, x, at[0] + i * stride, at[0] + best * stride))
        best = i;
    y.integers()[next++] = best;
  });
  return y;
}

Tensor scan(core::ScanOp op, const Tensor &x) {
  int64_t axis = op.getAxis(), size = x.shape[axis], stride = x.strides()[axis];
  Tensor y(x.element, x.shape), sum(x.element, {});
  Shape outer = x.shape;
  outer[axis] = size ? 1 : 0;
  walk<1>(outer, {x.strides()}, {0}, [&](auto at) {
    fillNeutral(op.getKind(), sum);
    for (int64_t i = 0; i < size; ++i) {
      int64_t here = at[0] + (op.getReverse() ? size - 1 - i : i) * stride;
      if (op.getExclusive())
        y.copyWord(here, sum, 0);
      accumulate(op.getKind(), sum, 0, x, here);
      if (!op.getExclusive())
        y.copyWord(here, sum, 0);
    }
  });
  return y;
}

Tensor windowReduce(core::WindowReduceOp op, const Tensor &x) {
  size_t rank = x.shape.size();
  Shape shape, window(op.getSize());
  for (size_t axis = 0; axis < rank; ++axis) {
    int64_t padded = x.shape[axis] + op.getPadLow()[axis] + op.getPadHigh()[axis];
    int64_t span = (op.getSize()[axis] - 1) * op.getDilations()[axis] + 1;
    shape.push_back(padded < span ? 0 : (padded - span) / op.getStrides()[axis] + 1);
  }
  Tensor y(x.element, shape);
  fillNeutral(op.getKind(), y);
  Strides strides = x.strides();
  for (int64_t i = 0, count = y.count(); i < count; ++i)
    for (int64_t j = 0, size = product(window); j < size; ++j) {
      int64_t from = 0, restY = i, restWindow = j;
      bool isInside = true;
      for (size_t axis = rank; axis-- > 0; restY /= shape[axis], restWindow /= window[axis]) {
        int64_t at = restY % shape[axis] * op.getStrides()[axis] + restWindow % window[axis] * op.getDilations()[axis] -
                     op.getPadLow()[axis];
        isInside &= at >= 0 && at < x.shape[axis];
        from += at * strides[axis];
      }
      if (isInside)
        accumulate(op.getKind(), y, i, x, from);
    }
  return y;
}

} // namespace

Result evaluateReduction(Operation *op, Operands operands) {
  return llvm::TypeSwitch<Operation *, Result>(op)
      .Case([&](core::ReduceOp op) { return reduce(op, operands[0]); })
      .Case([&](core::ArgReduceOp op) { return argReduce(op, operands[0]); })
      .Case([&](core::ScanOp op) { return scan(op, operands[0]); })
      .Case([&](core::WindowReduceOp op) { return windowReduce(op, operands[0]); })
      .Default([](Operation *) { return std::nullopt; });
}

} // namespace mlc::reference
