// Results whose sizes only the data tells: type inference, which checks the numbered constraints of Counted.td.
#include "dialects/core/Core.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Builders.h"

using namespace mlir;

namespace mlc::core {

static RankedTensorType typeOf(Value v) { return cast<RankedTensorType>(v.getType()); }
static RankedTensorType integers(MLIRContext *context, ArrayRef<int64_t> shape) {
  return RankedTensorType::get(shape, IntegerType::get(context, 64));
}

// A constant inside of a constant bound is that constant.
OpFoldResult BoundedSizeOp::fold(FoldAdaptor adaptor) {
  auto size = dyn_cast_if_present<IntegerAttr>(adaptor.getSize()),
       max = dyn_cast_if_present<IntegerAttr>(adaptor.getMax());
  if (size && max && size.getInt() >= 0 && size.getInt() <= max.getInt())
    return size;
  return getSize() == getMax() ? OpFoldResult(getMax()) : OpFoldResult();
}

LogicalResult CompactOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location, Adaptor adaptor,
                                          SmallVectorImpl<Type> &types) {
  RankedTensorType mask = typeOf(adaptor.getMask());
  if (mask.getRank() != 1) // C1
    return emitOptionalError(location, "the mask of compact is ", mask, ", rank 1 was expected");
  types.push_back(integers(context, mask.getShape()));
  types.push_back(integers(context, {}));
  return success();
}

LogicalResult SortRowsOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location, Adaptor adaptor,
                                           SmallVectorImpl<Type> &types) {
  RankedTensorType x = typeOf(adaptor.getX());
  if (x.getRank() != 2) // C1
    return emitOptionalError(location, "the operand of sort_rows is ", x, ", rank 2 was expected");
  types.push_back(integers(context, x.getShape().take_front()));
  return success();
}

LogicalResult NmsOp::verify() {
  RankedTensorType boxes = getBoxes().getType(), scores = getScores().getType();
  if (boxes.getRank() != 3 || scores.getRank() != 3 || boxes.getElementType() != scores.getElementType() ||
      failed(verifyCompatibleShape({boxes.getDimSize(0), boxes.getDimSize(1), 4},
                                   {scores.getDimSize(0), scores.getDimSize(2), boxes.getDimSize(2)}))) // C1
    return emitOpError("boxes are ") << boxes << " and scores " << scores
                                     << ", [batches, boxes, 4] and [batches, classes, boxes] were expected";
  auto isOf = [&](Value value, ArrayRef<int64_t> shape) {
    return typeOf(value).getElementType().isSignlessInteger(64) &&
           succeeded(verifyCompatibleShape(typeOf(value).getShape(), shape));
  };
  if (!isOf(getSelected(), {ShapedType::kDynamic, 3}) || !isOf(getCount(), {}) ||
      !isOf(getWorkspace(), {boxes.getDimSize(1)})) // C3
    return emitOpError("results are ") << getResultTypes() << ", [room, 3], [] and [boxes] of i64 were expected";
  return success();
}

} // namespace mlc::core
