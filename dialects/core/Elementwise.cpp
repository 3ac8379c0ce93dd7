// Pointwise operations: type inference, and those whose bodies do not fit a snippet (compare, select, cast).
#include "dialects/core/Core.h"
#include "dialects/core/CoreBuilder.h"
#include "dialects/core/Scalar.h"
#include "mlir/IR/Builders.h"

using namespace mlir;

namespace mlc::core {

bool isUnsigned(Type element) { return element.isUnsignedInteger() || element.isInteger(1); }

Type accumulatorOf(Type element) {
  return isa<Float16Type, BFloat16Type>(element) ? Float32Type::get(element.getContext()) : element;
}

bool areCompatible(TypeRange inferred, TypeRange actual) {
  if (inferred.size() != actual.size())
    return false;
  for (auto [a, b] : llvm::zip(inferred, actual))
    if (getElementTypeOrSelf(a) != getElementTypeOrSelf(b) || failed(verifyCompatibleShape(a, b)))
      return false;
  return true;
}

LogicalResult inferPointwise(std::optional<Location> location, ValueRange operands, Type element,
                             SmallVectorImpl<Type> &types) {
  auto first = cast<RankedTensorType>(operands[0].getType());
  SmallVector<int64_t> shape(first.getShape());
  for (Value operand : operands.drop_front()) {
    auto type = cast<RankedTensorType>(operand.getType());
    if (failed(verifyCompatibleShape(shape, type.getShape()))) // C1
      return emitOptionalError(location, "shapes of operands differ: ", first, " and ", type);
    if (type.getElementType() != first.getElementType()) // C1
      return emitOptionalError(location, "element types of operands differ: ", first, " and ", type);
    for (auto [size, other] : llvm::zip(shape, type.getShape()))
      if (ShapedType::isDynamic(size))
        size = other;
  }
  types.push_back(RankedTensorType::get(shape, element ? element : first.getElementType()));
  return success();
}

// ---- compare -----------------------------------------------------------------------------------------------------------------

LogicalResult CompareOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location, Adaptor adaptor,
                                          SmallVectorImpl<Type> &types) {
  return inferPointwise(location, adaptor.getOperands(), IntegerType::get(context, 1), types);
}
Value CompareOp::emitScalar(OpBuilder &b, Location loc, ValueRange scalars) {
  return ScalarBuilder{b, loc, getX().getType().getElementType()}.compare(getPredicate(), scalars[0], scalars[1]);
}
Evaluator CompareOp::getEvaluator(NumberClass) { return nullptr; }
LogicalResult CompareOp::buildVjp(CoreBuilder &, ValueRange, SmallVectorImpl<Value> &gradients) {
  gradients.assign(2, {});
  return success();
}

// ---- select ------------------------------------------------------------------------------------------------------------------

LogicalResult SelectOp::inferReturnTypes(MLIRContext *, std::optional<Location> location, Adaptor adaptor,
                                         SmallVectorImpl<Type> &types) {
  if (failed(inferPointwise(location, {adaptor.getX(), adaptor.getY()}, {}, types)))
    return failure();
  auto type = cast<RankedTensorType>(types[0]);
  auto condition = cast<RankedTensorType>(adaptor.getCondition().getType());
  if (failed(verifyCompatibleShape(type, condition))) // C1
    return emitOptionalError(location, "shapes of operands differ: ", condition, " and ", type);
  SmallVector<int64_t> shape(type.getShape());
  for (auto [size, other] : llvm::zip(shape, condition.getShape()))
    if (ShapedType::isDynamic(size))
      size = other;
  types[0] = type.clone(shape);
  return success();
}
Value SelectOp::emitScalar(OpBuilder &b, Location loc, ValueRange scalars) {
  return arith::SelectOp::create(b, loc, scalars[0], scalars[1], scalars[2]);
}
Evaluator SelectOp::getEvaluator(NumberClass) { return nullptr; }
// dx = condition ? dz : 0, dy = condition ? 0 : dz
LogicalResult SelectOp::buildVjp(CoreBuilder &b, ValueRange cotangents, SmallVectorImpl<Value> &gradients) {
  gradients.assign(3, {});
  if (!isa<FloatType>(getX().getType().getElementType()))
    return success();
  Value dz = cotangents[0], zero = b.splatLike(0, dz);
  gradients[1] = b.select(getCondition(), dz, zero);
  gradients[2] = b.select(getCondition(), zero, dz);
  return success();
}

// ---- cast --------------------------------------------------------------------------------------------------------------------

Value CastOp::emitScalar(OpBuilder &b, Location loc, ValueRange scalars) {
  return ScalarBuilder{b, loc, getX().getType().getElementType()}.cast(scalars[0], getY().getType().getElementType());
}
Evaluator CastOp::getEvaluator(NumberClass) { return nullptr; }
// dx = dy as x's type, between floats
LogicalResult CastOp::buildVjp(CoreBuilder &b, ValueRange cotangents, SmallVectorImpl<Value> &gradients) {
  gradients.assign(1, {});
  Type from = getX().getType().getElementType();
  if (isa<FloatType>(from) && isa<FloatType>(getY().getType().getElementType()))
    gradients[0] = b.cast(cotangents[0], from);
  return success();
}
OpFoldResult CastOp::fold(FoldAdaptor adaptor) { return foldOp(getOperation(), adaptor.getOperands()); }

} // namespace mlc::core
