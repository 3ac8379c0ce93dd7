// The part of EntryOutliner that checks at run time what only the run knows: sizes that must agree, indices in range.
#include "compiler/Schedule/EntryOutliner.h"
#include "dialects/core/SizeFacts.h"
#include "dialects/rt/Rt.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace mlc;

Value EntryOutliner::dim(int64_t symbol) {
  Value &value = dims[symbol];
  if (!value) { // in a branch or loop it would not serve what comes behind
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(cast<BlockArgument>(call).getOwner());
    value = rt::DimOp::create(b, loc, b.getIndexType(), call, symbol);
  }
  return value;
}

/// The size as the value that the buffer was made with, where that can be seen.
OpFoldResult EntryOutliner::sizeOf(Value memref, int64_t axis) {
  auto type = cast<MemRefType>(memref.getType());
  if (!type.isDynamicDim(axis))
    return b.getIndexAttr(type.getDimSize(axis));
  if (auto buffer = memref.getDefiningOp<rt::BufferOp>())
    return buffer.getSizes()[type.getDynamicDimIndex(axis)];
  if (auto alloc = memref.getDefiningOp<memref::AllocOp>())
    return alloc.getDynamicSizes()[type.getDynamicDimIndex(axis)];
  if (auto view = memref.getDefiningOp<memref::CastOp>())
    return sizeOf(view.getSource(), axis);
  if (auto view = memref.getDefiningOp<memref::SubViewOp>(); view && view.getDroppedDims().none())
    return view.getMixedSizes()[axis];
  if (auto view = memref.getDefiningOp<memref::ExpandShapeOp>())
    return view.getMixedOutputShape()[axis];
  if (auto view = memref.getDefiningOp<memref::ReinterpretCastOp>())
    return view.getConstifiedMixedSizes()[axis];
  if (auto either = memref.getDefiningOp<arith::SelectOp>()) // emitStretch
    return sizeOf(either.getFalseValue(), axis);
  if (auto view = memref.getDefiningOp<memref::CollapseShapeOp>()) {
    SmallVector<ReassociationIndices> groups = view.getReassociationIndices();
    // One dimension among ones is that dimension.
    auto inner = cast<MemRefType>(view.getSrc().getType());
    SmallVector<int64_t> moving;
    llvm::copy_if(groups[axis], std::back_inserter(moving), [&](int64_t i) { return inner.getDimSize(i) != 1; });
    if (moving.size() == 1)
      return sizeOf(view.getSrc(), moving[0]);
  }
  return b.createOrFold<memref::DimOp>(loc, memref, axis);
}

Value EntryOutliner::elementCount(Value memref) {
  Value count = arith::ConstantIndexOp::create(b, loc, 1);
  for (int64_t axis = 0; axis < cast<MemRefType>(memref.getType()).getRank(); ++axis)
    count = b.createOrFold<arith::MulIOp>(loc, count, getValueOrCreateConstantIndexOp(b, loc, sizeOf(memref, axis)));
  return count;
}

static std::string nodeName(Location loc) {
  if (auto name = dyn_cast<NameLoc>(loc))
    return name.getName().str();
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : fused.getLocations())
      if (std::string name = nodeName(part); !name.empty())
        return name;
  if (auto at = dyn_cast<CallSiteLoc>(loc))
    return nodeName(at.getCallee());
  return "";
}

/// A message of the node that is being emitted.
std::string EntryOutliner::withNode(const Twine &message) {
  std::string name = nodeName(loc);
  return name.empty() ? message.str() : (name + ": " + message).str();
}

void EntryOutliner::requireEqual(OpFoldResult x, OpFoldResult y, const Twine &message) {
  if (x == y || (getConstantIntValue(x) && getConstantIntValue(x) == getConstantIntValue(y)))
    return;
  Value left = getValueOrCreateConstantIndexOp(b, loc, x), right = getValueOrCreateConstantIndexOp(b, loc, y);
  Value equal = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, left, right);
  rt::CheckOp::create(b, loc, call, equal, b.getStringAttr(withNode(message)), left, right);
}

void EntryOutliner::requireSameSizes(Value x, Value y) {
  for (int64_t axis = 0; axis < cast<MemRefType>(x.getType()).getRank(); ++axis)
    requireEqual(sizeOf(x, axis), sizeOf(y, axis), "sizes %d and %d do not agree");
}

/// Operands that walk the same loop have the same size along it: otherwise the kernel would leave its buffers.
void EntryOutliner::checkLoops(linalg::GenericOp op, llvm::function_ref<Value(Value)> bufferOf) {
  SmallVector<OpFoldResult> known(op.getNumLoops());
  for (OpOperand &operand : op->getOpOperands()) {
    Value tensor = op.isDpsInit(&operand) ? Value(op.getTiedOpResult(&operand)) : operand.get();
    Value memref = bufferOf(tensor);
    if (!memref)
      continue;
    for (auto [axis, expression] : llvm::enumerate(op.getMatchingIndexingMap(&operand).getResults()))
      if (auto loop = dyn_cast<AffineDimExpr>(expression)) {
        OpFoldResult size = sizeOf(memref, axis);
        if (known[loop.getPosition()])
          requireEqual(known[loop.getPosition()], size, "sizes %d and %d do not agree");
        else
          known[loop.getPosition()] = size;
      }
  }
}

LogicalResult EntryOutliner::emitRequire(core::RequireOp op) {
  auto condition = scalarOf(op.getCondition()), x = scalarOf(op.getA()), y = scalarOf(op.getB());
  if (failed(condition) || failed(x) || failed(y))
    return failure();
  if (!matchPattern(*condition, m_One()))
    rt::CheckOp::create(b, loc, call, *condition, b.getStringAttr(withNode(op.getMessage())), *x, *y);
  return success();
}

/// A check that fails returns from the entry.
void EntryOutliner::requireInRange(Value element, const Range &range) {
  element = arith::IndexCastOp::create(b, loc, b.getIndexType(), element);
  Value notBelow = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge, element, range.lower);
  rt::CheckOp::create(b, loc, call, notBelow, b.getStringAttr(range.below), element, range.lower);
  Value below = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, element, range.upper);
  rt::CheckOp::create(b, loc, call, below, b.getStringAttr(range.notBelow), element, range.upper);
}

/// A number of the entry itself, a loop over the elements in the entry, or on a GPU a kernel.
LogicalResult EntryOutliner::emitCheck(core::CheckRangeOp op) {
  auto lower = scalarOf(op.getLower()), upper = scalarOf(op.getUpper());
  if (failed(lower) || failed(upper))
    return failure();
  std::string what = withNode(op.getWhat());
  Range range{*lower, *upper, what + " %d is below %d", what + " %d is not below %d"};
  if (auto number = op.getX().getDefiningOp<tensor::FromElementsOp>(); number && number.getElements().size() == 1) {
    auto element = scalarOf(number.getElements()[0]);
    if (failed(element))
      return failure();
    requireInRange(*element, range);
    return success();
  }
  auto memref = memoryOf(op.getX());
  if (succeeded(memref))
    memref = contiguous(op.getX(), *memref);
  if (failed(memref))
    return failure();
  auto type = cast<MemRefType>(memref->getType());
  if (core::hasNoElements(type))
    return success();
  int64_t rank = type.getRank();
  Value flat = *memref;
  SmallVector<Value> indices;
  OpBuilder::InsertionGuard guard(b);
  if (rank > 1)
    flat = memref::CollapseShapeOp::create(
        b, loc, flat,
        ArrayRef<ReassociationIndices>{ReassociationIndices(llvm::to_vector(llvm::seq<int64_t>(0, rank)))});
  if (all.onDevice)
    return emitDeviceCheck(flat, range);
  if (rank > 0) {
    Value zero = arith::ConstantIndexOp::create(b, loc, 0), one = arith::ConstantIndexOp::create(b, loc, 1);
    auto loop = scf::ForOp::create(b, loc, zero, b.createOrFold<memref::DimOp>(loc, flat, 0), one);
    b.setInsertionPointToStart(loop.getBody());
    indices.push_back(loop.getInductionVar());
  }
  requireInRange(memref::LoadOp::create(b, loc, flat, indices), range);
  return success();
}
