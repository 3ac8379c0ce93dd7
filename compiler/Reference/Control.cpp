// Branches and loops of the reference (dialects/core/Control.td).
#include "compiler/Reference/Interpreter.h"

using namespace mlir;

namespace mlc::reference {

/// Sizes are those of the type where it has any; `open` has the others, in order.
static bool hasSizes(ArrayRef<int64_t> shape, RankedTensorType type, ArrayRef<int64_t> open) {
  for (auto [size, expected] : llvm::zip_equal(shape, type.getShape())) {
    if (size != (ShapedType::isDynamic(expected) ? open.front() : expected))
      return false;
    open = open.drop_front(ShapedType::isDynamic(expected));
  }
  return true;
}

static LogicalResult wrongSizes(Operation *op, StringRef what, size_t number, ArrayRef<int64_t> shape) {
  auto error = op->emitError() << what << " yields sizes [";
  llvm::interleaveComma(shape, error);
  error << "] for value " << number << ", which has others";
  return failure();
}

LogicalResult Interpreter::branch(core::IfOp op) {
  bool isTrue = tensors.at(op.getCondition()).integers()[0];
  auto values = evaluate((isTrue ? op.getThen() : op.getOtherwise()).front());
  if (failed(values))
    return failure();
  Shape sizes = this->sizes(getAsOpFoldResult(op.getSizes()));
  ArrayRef<int64_t> open = sizes;
  for (auto [i, result] : llvm::enumerate(op.getResults())) {
    auto type = cast<RankedTensorType>(result.getType());
    if (!hasSizes((*values)[i].shape, type, open))
      return wrongSizes(op, "a branch", i, (*values)[i].shape);
    open = open.drop_front(type.getNumDynamicDims());
    tensors[result] = (*values)[i];
  }
  return success();
}

LogicalResult Interpreter::loop(core::LoopOp op) {
  SmallVector<Tensor> values = llvm::map_to_vector(op.getInitial(), [&](Value value) { return tensors.at(value); });
  bool goesOn = !op.getCondition() || tensors.at(op.getCondition()).integers()[0];
  int64_t step = 0;
  for (int64_t count = size(op.getCount()); step < count && goesOn; ++step) {
    scalars[op.getStep()] = step;
    for (auto [carried, value] : llvm::zip_equal(op.getCarried(), values))
      tensors[carried] = value;
    auto yielded = evaluate(op.getBody().front());
    if (failed(yielded))
      return failure();
    if (op.getCondition())
      goesOn = yielded->front().integers()[0];
    for (auto [i, next] : llvm::enumerate(ArrayRef(*yielded).take_back(values.size()))) {
      if (next.shape != values[i].shape)
        return wrongSizes(op, "a step", i, next.shape);
      values[i] = next;
    }
  }
  scalars[op.getSteps()] = step;
  for (auto [result, value] : llvm::zip_equal(op.getResults(), values))
    tensors[result] = value;
  return success();
}

} // namespace mlc::reference
