// Interval arithmetic on the index values of an entry (see SizeBounds.h).
#include "compiler/Bufferize/SizeBounds.h"
#include "dialects/rt/Rt.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlc;

/// Dimensions, sizes that were checked, and what adds, multiplies and divides them.
static bool isNonNegative(Value value) {
  if (auto constant = getConstantIntValue(value))
    return *constant >= 0;
  Operation *op = value.getDefiningOp();
  if (!op)
    return false;
  if (isa<rt::DimOp, rt::BoundedSizeOp, memref::DimOp>(op))
    return true;
  if (isa<arith::MaxSIOp>(op))
    return isNonNegative(op->getOperand(0)) || isNonNegative(op->getOperand(1));
  if (isa<arith::SelectOp>(op))
    return isNonNegative(op->getOperand(1)) && isNonNegative(op->getOperand(2));
  return isa<arith::AddIOp, arith::MulIOp, arith::DivSIOp, arith::DivUIOp, arith::FloorDivSIOp, arith::CeilDivSIOp,
             arith::CeilDivUIOp, arith::RemSIOp, arith::MinSIOp, arith::IndexCastOp, arith::ExtSIOp>(op) &&
         llvm::all_of(op->getOperands(), isNonNegative);
}

Value SizeBounds::constant(Type type, int64_t value) {
  return unique(arith::ConstantOp::create(b, b.getUnknownLoc(), b.getIntegerAttr(type, value)));
}

/// The same arithmetic that was made before, in place of this: every product that is left costs a test of whether it overflows.
Value SizeBounds::unique(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op || op->getBlock() != b.getInsertionBlock())
    return value;
  auto same = OperationEquivalence::IgnoreLocations;
  llvm::hash_code hash = OperationEquivalence::computeHash(op, OperationEquivalence::directHashValue,
                                                           OperationEquivalence::ignoreHashValue, same);
  SmallVector<Operation *, 1> &candidates = made[hash];
  for (Operation *other : candidates) {
    if (other == op)
      return value;
    if (OperationEquivalence::isEquivalentTo(op, other, OperationEquivalence::exactValueMatch, nullptr, same)) {
      if (op->use_empty()) // made just now
        op->erase();
      return other->getResult(0);
    }
  }
  candidates.push_back(op);
  return value;
}

/// Null if an operand is.
template <typename Op> Value SizeBounds::make(Value x, Value y) {
  return x && y ? unique(b.createOrFold<Op>(x.getLoc(), x, y)) : Value();
}

SizeBounds::Interval SizeBounds::of(Value value) {
  if (auto it = known.find(value); it != known.end())
    return it->second;
  Interval interval = compute(value);
  if (!interval.lower && isNonNegative(value))
    interval.lower = constant(value.getType(), 0);
  return known[value] = interval;
}

SizeBounds::Interval SizeBounds::ofSize(OpFoldResult size, Location loc) {
  if (auto value = dyn_cast<Value>(size))
    return of(value);
  Value exact = constant(b.getIndexType(), *getConstantIntValue(size));
  return {exact, exact};
}

SizeBounds::Interval SizeBounds::compute(Value value) {
  if (value == entryCall)
    return {call, call};
  Operation *op = value.getDefiningOp();
  if (!op || op->getNumRegions() > 0)
    return {};
  if (auto bounded = dyn_cast<rt::BoundedSizeOp>(op))
    return {constant(b.getIndexType(), 0), of(bounded.getMax()).upper};
  if (isa<memref::DimOp>(op))
    return ofDim(op);
  if (!isMemoryEffectFree(op) || op->getNumResults() != 1)
    return {};
  SmallVector<Interval> operands;
  for (Value operand : op->getOperands())
    operands.push_back(of(operand));
  if (!llvm::all_of(operands, [](Interval operand) { return operand.isExact(); }))
    return ofArithmetic(op, operands);
  IRMapping mapping;
  for (auto [operand, exact] : llvm::zip_equal(op->getOperands(), operands))
    mapping.map(operand, exact.lower);
  Value exact = unique(b.clone(*op, mapping)->getResult(0));
  return {exact, exact};
}

/// Sizes of buffers are their operands.
SizeBounds::Interval SizeBounds::ofDim(Operation *op) {
  auto dim = cast<memref::DimOp>(op);
  Operation *source = dim.getSource().getDefiningOp();
  auto axis = dim.getConstantIndex();
  auto type = cast<MemRefType>(dim.getSource().getType());
  Location loc = dim.getLoc();
  if (!source || !axis)
    return {};
  if (!type.isDynamicDim(*axis))
    return ofSize(b.getIndexAttr(type.getDimSize(*axis)), loc);
  unsigned position = type.getDynamicDimIndex(*axis);
  auto dimOf = [&](Value memref, int64_t at) {
    OpBuilder here(dim);
    return memref::DimOp::create(here, loc, memref, at).getResult();
  };
  return TypeSwitch<Operation *, Interval>(source)
      .Case([&](memref::AllocOp alloc) { return of(alloc.getDynamicSizes()[position]); })
      .Case([&](rt::BufferOp buffer) { return of(buffer.getSizes()[position]); })
      .Case([&](memref::SubViewOp view) {
        return view.getDroppedDims().none() ? ofSize(view.getMixedSizes()[*axis], loc) : Interval();
      })
      .Case([&](memref::ExpandShapeOp view) { return ofSize(view.getMixedOutputShape()[*axis], loc); })
      .Case([&](memref::CastOp view) { return of(dimOf(view.getSource(), *axis)); })
      .Case([&](memref::ReinterpretCastOp view) { return ofSize(view.getConstifiedMixedSizes()[*axis], loc); })
      .Case([&](arith::SelectOp either) { return of(dimOf(either.getFalseValue(), *axis)); })
      .Case([&](memref::ReshapeOp view) { // its sizes are stored into a small array in front of it
        for (Operation *user : view.getShape().getUsers())
          if (auto store = dyn_cast<memref::StoreOp>(user); store && getConstantIntValue(store.getIndices()[0]) == axis)
            return of(store.getValue());
        return Interval();
      })
      .Case([&](memref::CollapseShapeOp view) {
        OpBuilder here(dim);
        Value product = arith::ConstantIndexOp::create(here, loc, 1);
        ReassociationIndices collapsed = view.getReassociationIndices()[*axis]; // of a temporary
        for (int64_t inner : collapsed)
          product = arith::MulIOp::create(here, loc, product, dimOf(view.getSrc(), inner));
        return of(product);
      })
      .Default([](Operation *) { return Interval(); });
}

SizeBounds::Interval SizeBounds::ofArithmetic(Operation *op, ArrayRef<Interval> operands) {
  Location loc = op->getLoc();
  auto either = [](Value x, Value y) { return x ? x : y; };
  if (isa<arith::AddIOp>(op))
    return {make<arith::AddIOp>(operands[0].lower, operands[1].lower),
            make<arith::AddIOp>(operands[0].upper, operands[1].upper)};
  if (isa<arith::SubIOp>(op))
    return {make<arith::SubIOp>(operands[0].lower, operands[1].upper),
            make<arith::SubIOp>(operands[0].upper, operands[1].lower)};
  if (isa<arith::MulIOp>(op))
    return ofProduct(op, operands[0], operands[1]);
  if (isa<arith::DivSIOp, arith::DivUIOp, arith::FloorDivSIOp, arith::CeilDivSIOp, arith::CeilDivUIOp>(op))
    return ofQuotient(op, operands[0], operands[1]);
  if (isa<arith::RemSIOp>(op) && isNonNegative(op->getOperand(0)) && isNonNegative(op->getOperand(1))) {
    Value both = make<arith::MinSIOp>(operands[0].upper, operands[1].upper);
    return {constant(op->getResult(0).getType(), 0), both ? both : either(operands[0].upper, operands[1].upper)};
  }
  // Of two upper bounds a minimum has the smaller one, and one is enough.
  if (isa<arith::MinSIOp>(op)) {
    Value upper = make<arith::MinSIOp>(operands[0].upper, operands[1].upper);
    return {make<arith::MinSIOp>(operands[0].lower, operands[1].lower),
            upper ? upper : either(operands[0].upper, operands[1].upper)};
  }
  if (isa<arith::MaxSIOp>(op)) {
    Value lower = make<arith::MaxSIOp>(operands[0].lower, operands[1].lower);
    return {lower ? lower : either(operands[0].lower, operands[1].lower),
            make<arith::MaxSIOp>(operands[0].upper, operands[1].upper)};
  }
  if (isa<arith::SelectOp>(op))
    return {make<arith::MinSIOp>(operands[1].lower, operands[2].lower),
            make<arith::MaxSIOp>(operands[1].upper, operands[2].upper)};
  if (isa<arith::IndexCastOp, arith::ExtSIOp>(op)) {
    auto cast = [&](Value x) {
      return x ? b.create(loc, op->getName().getIdentifier(), x, op->getResultTypes())->getResult(0) : Value();
    };
    return {cast(operands[0].lower), cast(operands[0].upper)};
  }
  if (auto apply = dyn_cast<affine::AffineApplyOp>(op)) {
    OpBuilder here(op);
    if (auto values = affine::expandAffineMap(here, loc, apply.getAffineMap(), apply.getMapOperands()))
      return of(values->front());
  }
  return {};
}

SizeBounds::Interval SizeBounds::ofProduct(Operation *op, Interval x, Interval y) {
  if (isNonNegative(op->getOperand(0)) && isNonNegative(op->getOperand(1)))
    return {make<arith::MulIOp>(x.lower, y.lower), make<arith::MulIOp>(x.upper, y.upper)};
  Value corners[] = {make<arith::MulIOp>(x.lower, y.lower), make<arith::MulIOp>(x.lower, y.upper),
                     make<arith::MulIOp>(x.upper, y.lower), make<arith::MulIOp>(x.upper, y.upper)};
  Interval result = {corners[0], corners[0]};
  for (Value corner : corners)
    result = {make<arith::MinSIOp>(result.lower, corner), make<arith::MaxSIOp>(result.upper, corner)};
  return result;
}

/// Of a divisor that is not negative: one that is 0 has stopped the run, or is about to.
SizeBounds::Interval SizeBounds::ofQuotient(Operation *op, Interval x, Interval y) {
  if (!isNonNegative(op->getOperand(1)))
    return {};
  Type type = op->getResult(0).getType();
  Value zero = constant(type, 0), one = constant(type, 1);
  if (!isNonNegative(op->getOperand(0))) // rounds towards 0, or not beyond the dividend
    return {make<arith::MinSIOp>(x.lower, zero), make<arith::MaxSIOp>(x.upper, zero)};
  auto divide = [&](Value dividend, Value divisor) -> Value {
    if (!dividend || !divisor)
      return {};
    Value atLeastOne = make<arith::MaxSIOp>(divisor, one);
    return isa<arith::CeilDivSIOp, arith::CeilDivUIOp>(op) ? make<arith::CeilDivSIOp>(dividend, atLeastOne)
                                                           : make<arith::DivSIOp>(dividend, atLeastOne);
  };
  return {divide(x.lower, y.upper), divide(x.upper, y.lower)};
}
