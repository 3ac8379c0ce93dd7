// Proofs about index values by their structure (see SizeFacts.h).
#include "dialects/core/SizeFacts.h"
#include "dialects/core/Core.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace mlc::core {

bool isSameSize(OpFoldResult x, OpFoldResult y, SymbolOf symbolOf, int depth) {
  if (x == y)
    return true;
  auto a = dyn_cast<Value>(x), c = dyn_cast<Value>(y);
  if (!a || !c)
    return getConstantIntValue(x) && getConstantIntValue(x) == getConstantIntValue(y);
  Operation *p = a.getDefiningOp(), *q = c.getDefiningOp();
  if (!p || !q || depth == 0 || p->getName() != q->getName() || p->getNumOperands() != q->getNumOperands() ||
      p->getNumResults() != 1 || p->getNumRegions() || !isMemoryEffectFree(p) ||
      p->getAttrDictionary() != q->getAttrDictionary() || p->getResultTypes() != q->getResultTypes())
    return false;
  if (auto dim = dyn_cast<tensor::DimOp>(p)) {
    auto other = cast<tensor::DimOp>(q);
    auto i = dim.getConstantIndex(), k = other.getConstantIndex();
    return i && k && isSameDim(dim.getSource(), *i, other.getSource(), *k, symbolOf);
  }
  if (!isa<arith::ArithDialect, math::MathDialect>(p->getDialect()))
    return false;
  for (auto [s, t] : llvm::zip_equal(p->getOperands(), q->getOperands()))
    if (!isSameSize(s, t, symbolOf, depth - 1))
      return false;
  return true;
}

bool isNonNegative(OpFoldResult x, int depth) {
  if (auto c = getConstantIntValue(x))
    return *c >= 0;
  FloatAttr number;
  if (matchPattern(cast<Value>(x), m_Constant(&number)))
    return !number.getValue().isNegative();
  if (auto argument = dyn_cast<BlockArgument>(cast<Value>(x))) // the step of a loop
    return isa<LoopOp>(argument.getOwner()->getParentOp());
  Operation *op = cast<Value>(x).getDefiningOp();
  if (!op || depth == 0)
    return false;
  if (isa<tensor::DimOp, BoundedSizeOp>(op))
    return true;
  auto isSo = [&](unsigned operand) { return isNonNegative(op->getOperand(operand), depth - 1); };
  if (isa<arith::AddIOp, arith::MulIOp, arith::DivSIOp, arith::DivUIOp, arith::FloorDivSIOp, arith::CeilDivSIOp,
          arith::CeilDivUIOp, arith::MinSIOp, arith::MinUIOp, arith::RemSIOp>(op))
    return isSo(0) && isSo(1);
  if (isa<arith::MaxSIOp>(op))
    return isSo(0) || isSo(1);
  if (isa<arith::SelectOp>(op))
    return isSo(1) && isSo(2);
  // A size in floating point: FloatSizes::toIndex
  if (isa<arith::IndexCastOp, arith::FPToSIOp, arith::MinNumFOp>(op))
    return llvm::all_of(op->getOperands(), [&](Value operand) { return isNonNegative(operand, depth - 1); });
  if (isa<arith::MaxNumFOp>(op)) // which is never NaN, as its second operand is not
    return matchPattern(op->getOperand(1), m_Constant(&number)) && !number.getValue().isNegative();
  return false;
}

bool isAtMost(OpFoldResult x, int64_t bound, int depth) {
  if (auto c = getConstantIntValue(x))
    return *c <= bound;
  Operation *op = cast<Value>(x).getDefiningOp();
  if (!op || depth == 0)
    return false;
  auto isSo = [&](unsigned operand) { return isAtMost(op->getOperand(operand), bound, depth - 1); };
  if (isa<arith::MinSIOp>(op))
    return isSo(0) || isSo(1);
  if (isa<arith::MaxSIOp>(op))
    return isSo(0) && isSo(1);
  if (isa<arith::SelectOp>(op))
    return isSo(1) && isSo(2);
  return isa<BoundedSizeOp>(op) && isSo(1);
}

bool hasNoElements(ShapedType type) { return llvm::is_contained(type.getShape(), 0); }

bool isReadFromData(OpFoldResult x, int depth) {
  if (getConstantIntValue(x))
    return false;
  Operation *op = cast<Value>(x).getDefiningOp();
  if (!op || depth == 0 || isa<tensor::DimOp, BoundedSizeOp>(op))
    return false;
  if (isa<tensor::ExtractOp>(op))
    return true;
  auto isSo = [&](Value operand) { return isReadFromData(operand, depth - 1); };
  if (isa<arith::MinSIOp, arith::MinUIOp>(op))
    return llvm::all_of(op->getOperands(), isSo);
  if (isa<arith::SelectOp>(op))
    return llvm::any_of(op->getOperands().drop_front(), isSo);
  return llvm::any_of(op->getOperands(), isSo);
}

} // namespace mlc::core
