// Ops of the reference whose positions are values (dialects/core/Index.td): negative indices count from the end, reads outside are
// clamped, writes outside are dropped.
#include "compiler/Reference/Interpreter.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace mlc::reference {
namespace {

int64_t clamped(int64_t index, int64_t size) {
  return std::clamp<int64_t>(index < 0 ? index + size : index, 0, std::max<int64_t>(size - 1, 0));
}

Tensor gather(core::GatherOp op, const Tensor &x, const Tensor &indices) {
  int64_t axis = op.getAxis(), size = x.shape[axis];
  ArrayRef<int64_t> before = ArrayRef(x.shape).take_front(axis), after = ArrayRef(x.shape).drop_front(axis + 1);
  Shape shape(before);
  llvm::append_range(shape, indices.shape);
  llvm::append_range(shape, after);
  Tensor result(x.element, shape);
  int64_t inner = product(after), next = 0;
  for (int64_t outer = 0; outer < product(before); ++outer)
    for (int64_t i = 0; i < indices.count(); ++i)
      for (int64_t j = 0; j < inner; ++j)
        result.copyWord(next++, x, (outer * size + clamped(indices.integers()[i], size)) * inner + j);
  return result;
}

Tensor gatherNd(core::GatherNdOp op, const Tensor &x, const Tensor &indices) {
  int64_t batchDims = op.getBatchDims(), depth = indices.shape.back();
  Strides strides = x.strides();
  ArrayRef<int64_t> after = ArrayRef(x.shape).drop_front(batchDims + depth);
  Shape shape(ArrayRef(indices.shape).drop_back());
  llvm::append_range(shape, after);
  Tensor result(x.element, shape);
  int64_t inner = product(after),
          tuples = depth ? indices.count() / depth : product(ArrayRef(indices.shape).drop_back());
  int64_t batches = product(ArrayRef(x.shape).take_front(batchDims)), next = 0;
  for (int64_t tuple = 0; tuple < tuples; ++tuple) {
    int64_t start = tuple / std::max<int64_t>(tuples / std::max<int64_t>(batches, 1), 1) *
                    product(ArrayRef(x.shape).drop_front(batchDims));
    for (int64_t k = 0; k < depth; ++k)
      start += clamped(indices.integers()[tuple * depth + k], x.shape[batchDims + k]) * strides[batchDims + k];
    for (int64_t j = 0; j < inner; ++j)
      result.copyWord(next++, x, start + j);
  }
  return result;
}

Tensor gatherElements(core::GatherElementsOp op, const Tensor &x, const Tensor &indices) {
  int64_t axis = op.getAxis(), stride = x.strides()[axis], next = 0;
  Strides strides = x.strides();
  strides[axis] = 0;
  Tensor result(x.element, indices.shape);
  walk<1>(indices.shape, {strides}, {0}, [&](auto at) {
    result.copyWord(next, x, at[0] + clamped(indices.integers()[next], x.shape[axis]) * stride);
    ++next;
  });
  return result;
}

void update(core::Reduction kind, Tensor &y, int64_t at, const Tensor &updates, int64_t from) {
  if (kind == core::Reduction::None)
    y.copyWord(at, updates, from);
  else if (y.element.isReal())
    y.reals()[at] = combine(kind, y.reals()[at], updates.reals()[from]);
  else
    y.integers()[at] = combine(kind, y.element, y.integers()[at], updates.integers()[from]);
}

Tensor copyOf(const Tensor &x) {
  Tensor result(x.element, x.shape);
  for (int64_t i = 0, count = x.count(); i < count; ++i)
    result.copyWord(i, x, i);
  return result;
}

Tensor scatterNd(core::ScatterNdOp op, Operands operands) {
  Tensor y = copyOf(operands[0]);
  const Tensor &indices = operands[1], &updates = operands[2];
  int64_t depth = indices.shape.back();
  int64_t inner = product(ArrayRef(y.shape).drop_front(depth)), tuples = product(ArrayRef(indices.shape).drop_back());
  Strides strides = y.strides();
  for (int64_t tuple = 0; tuple < tuples; ++tuple) {
    int64_t start = 0;
    bool isInside = true;
    for (int64_t k = 0; k < depth; ++k) {
      int64_t index = indices.integers()[tuple * depth + k], size = y.shape[k];
      index += index < 0 ? size : 0;
      isInside &= index >= 0 && index < size;
      start += index * strides[k];
    }
    for (int64_t j = 0; isInside && j < inner; ++j)
      update(op.getReduction(), y, start + j, updates, tuple * inner + j);
  }
  return y;
}

Tensor scatterElements(core::ScatterElementsOp op, Operands operands) {
  Tensor y = copyOf(operands[0]);
  const Tensor &indices = operands[1], &updates = operands[2];
  int64_t axis = op.getAxis(), stride = y.strides()[axis], size = y.shape[axis], next = 0;
  Strides strides = y.strides();
  strides[axis] = 0;
  walk<1>(indices.shape, {strides}, {0}, [&](auto at) {
    int64_t index = indices.integers()[next];
    index += index < 0 ? size : 0;
    if (index >= 0 && index < size)
      update(op.getReduction(), y, at[0] + index * stride, updates, next);
    ++next;
  });
  return y;
}

} // namespace

Result evaluateIndexed(Operation *op, Operands operands, const Interpreter &) {
  return llvm::TypeSwitch<Operation *, Result>(op)
      .Case([&](core::GatherOp op) { return gather(op, operands[0], operands[1]); })
      .Case([&](core::GatherNdOp op) { return gatherNd(op, operands[0], operands[1]); })
      .Case([&](core::GatherElementsOp op) { return gatherElements(op, operands[0], operands[1]); })
      .Case([&](core::ScatterNdOp op) { return scatterNd(op, operands); })
      .Case([&](core::ScatterElementsOp op) { return scatterElements(op, operands); })
      .Default([](Operation *) { return std::nullopt; });
}

} // namespace mlc::reference
