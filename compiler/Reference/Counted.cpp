// Ops of the reference with several results: what sorts, and what counts (dialects/core/Counted.td).
#include "compiler/Reference/Interpreter.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>
#include <numeric>

using namespace mlir;

namespace mlc::reference {
namespace {

const Element position = {Element::Signed, 64, nullptr};

/// NaN counts as larger than everything.
bool isBefore(const Tensor &x, int64_t a, int64_t b) {
  if (!x.element.isReal())
    return isLess(x.element, x.integers()[a], x.integers()[b]);
  double p = x.reals()[a], q = x.reals()[b];
  return std::isnan(q) ? !std::isnan(p) : p < q;
}

std::vector<int64_t> countingTo(int64_t count) {
  std::vector<int64_t> result(count);
  std::iota(result.begin(), result.end(), 0);
  return result;
}

Tensor numbers(ArrayRef<int64_t> values, ArrayRef<int64_t> shape) {
  Tensor result(position, shape);
  llvm::copy(values, result.integers());
  return result;
}

Results sort(core::SortOp op, const Tensor &x) {
  int64_t axis = op.getAxis(), size = x.shape[axis], stride = x.strides()[axis];
  Tensor values(x.element, x.shape), positions(position, x.shape);
  Shape outer = x.shape;
  outer[axis] = 1;
  walk<1>(outer, {x.strides()}, {0}, [&](auto at) {
    std::vector<int64_t> order = countingTo(size);
    llvm::sort(order, [&](int64_t i, int64_t j) {
      int64_t a = at[0] + i * stride, b = at[0] + j * stride;
      if (op.getDescending())
        std::swap(a, b);
      return isBefore(x, a, b) || (!isBefore(x, b, a) && i < j); // equal ones in their order
    });
    for (int64_t i = 0; i < size; ++i) {
      values.copyWord(at[0] + i * stride, x, at[0] + order[i] * stride);
      positions.integers()[at[0] + i * stride] = order[i];
    }
  });
  return {values, positions};
}

Results sortRows(const Tensor &x) {
  int64_t rows = x.shape[0], columns = x.shape[1];
  std::vector<int64_t> order = countingTo(rows);
  llvm::sort(order, [&](int64_t i, int64_t j) {
    for (int64_t k = 0; k < columns; ++k) {
      int64_t a = i * columns + k, b = j * columns + k;
      if (isBefore(x, a, b) || isBefore(x, b, a))
        return isBefore(x, a, b);
    }
    return i < j;
  });
  return {numbers(order, {rows})};
}

Results compact(const Tensor &mask) {
  Tensor positions(position, mask.shape);
  int64_t count = 0;
  for (int64_t i = 0; i < mask.count(); ++i)
    if (mask.integers()[i])
      positions.integers()[count++] = i;
  return {positions, numbers(count, {})};
}

// ---- non-maximum suppression -----------------------------------------------------------------------------------------------

/// Two intervals: rows and columns, in whatever order.
struct Box {
  double low[2], high[2];

  double area() const { return (high[0] - low[0]) * (high[1] - low[1]); }
};

Box boxAt(const double *v, bool isCentered) {
  Box box;
  for (int axis : {0, 1}) {
    double a = isCentered ? v[axis] - v[axis + 2] / 2 : v[axis],
           b = isCentered ? v[axis] + v[axis + 2] / 2 : v[axis + 2];
    box.low[axis] = isCentered ? a : std::min(a, b);
    box.high[axis] = isCentered ? b : std::max(a, b);
  }
  return box;
}

bool overlap(const Box &x, const Box &y, double threshold) {
  double sides[2];
  for (int axis : {0, 1})
    sides[axis] = std::max(std::min(x.high[axis], y.high[axis]) - std::max(x.low[axis], y.low[axis]), 0.0);
  double both = sides[0] * sides[1];
  return x.area() > 0 && y.area() > 0 && both / (x.area() + y.area() - both) > threshold;
}

/// Of candidates, best first, those that overlap none of the ones taken before.
std::vector<int64_t> chosen(ArrayRef<int64_t> candidates, ArrayRef<Box> boxes, double threshold, int64_t limit) {
  std::vector<int64_t> taken;
  for (int64_t candidate : candidates) {
    if (int64_t(taken.size()) >= limit)
      break;
    if (llvm::none_of(taken, [&](int64_t other) { return overlap(boxes[candidate], boxes[other], threshold); }))
      taken.push_back(candidate);
  }
  return taken;
}

Results suppress(core::NmsOp op, Operands operands, const Interpreter &scope) {
  const Tensor &boxes = operands[0], &scores = operands[1];
  double overlapMax = operands[2].reals()[0], scoreMin = operands[3].reals()[0];
  int64_t limit = scope.size(op.getLimit()), room = scope.size(op.getRoom());
  int64_t classes = scores.shape[1], count = scores.shape[2];
  std::vector<int64_t> rows;
  for (int64_t batch = 0; batch < scores.shape[0]; ++batch) {
    std::vector<Box> all;
    for (int64_t i = 0; i < count; ++i)
      all.push_back(boxAt(boxes.reals() + (batch * count + i) * 4, op.getCenterPoints()));
    for (int64_t label = 0; label < classes; ++label) {
      int64_t first = (batch * classes + label) * count;
      std::vector<int64_t> candidates = countingTo(count);
      if (!std::isnan(scoreMin))
        llvm::erase_if(candidates, [&](int64_t i) { return !(scores.reals()[first + i] > scoreMin); });
      llvm::sort(candidates, [&](int64_t i, int64_t j) {
        int64_t a = first + j, b = first + i; // the highest score first
        return isBefore(scores, a, b) || (!isBefore(scores, b, a) && i < j);
      });
      for (int64_t box : chosen(candidates, all, overlapMax, limit))
        rows.insert(rows.end(), {batch, label, box});
    }
  }
  int64_t selected = rows.size() / 3;
  if (selected > room)
    return {};
  rows.resize(room * 3);
  return {numbers(rows, {room, 3}), numbers(selected, {}), Tensor(position, {count})};
}

} // namespace

Results evaluateCounted(Operation *op, Operands operands, const Interpreter &scope) {
  return llvm::TypeSwitch<Operation *, Results>(op)
      .Case([&](core::SortOp op) { return sort(op, operands[0]); })
      .Case([&](core::SortRowsOp) { return sortRows(operands[0]); })
      .Case([&](core::CompactOp) { return compact(operands[0]); })
      .Case([&](core::NmsOp op) { return suppress(op, operands, scope); })
      .Default([](Operation *) { return Results(); });
}

} // namespace mlc::reference
