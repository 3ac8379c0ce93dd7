// Operations whose positions are values: type inference, which checks the numbered constraints of Index.td, and derivatives.
#include "dialects/core/Core.h"
#include "dialects/core/CoreBuilder.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Builders.h"

using namespace mlir;

namespace mlc::core {

static RankedTensorType typeOf(Value v) { return cast<RankedTensorType>(v.getType()); }
static bool isDifferentiable(Value x) { return isa<FloatType>(typeOf(x).getElementType()); }
static bool differ(int64_t a, int64_t b) { return !ShapedType::isDynamic(a) && !ShapedType::isDynamic(b) && a != b; }

static LogicalResult verifyAxis(std::optional<Location> location, int64_t axis, RankedTensorType type) {
  if (axis < 0 || axis >= type.getRank())
    return emitOptionalError(location, "axis ", axis, " is not a dimension of ", type);
  return success();
}
static LogicalResult verifyReduction(std::optional<Location> location, Reduction kind, Type element) {
  if ((kind == Reduction::And || kind == Reduction::Or) && isa<FloatType>(element))
    return emitOptionalError(location, stringifyReduction(kind), " needs integers, not ", element);
  return success();
}

// ---- iota, random_bits -------------------------------------------------------------------------------------------------------

Sizes IotaOp::getMixedSizes() {
  OpBuilder b(getContext());
  return getMixedValues(getStaticSizes(), getSizes(), b);
}
LogicalResult IotaOp::verify() {
  RankedTensorType type = getY().getType();
  if (failed(verifyList(getLoc(), "sizes", getStaticSizes(), getSizes().size(), type.getRank(), 0)) || // C1
      failed(verifyCompatibleShape(type.getShape(), getStaticSizes())))
    return emitOpError("sizes do not match ") << type;
  return verifyAxis(getLoc(), getAxis(), type); // C1
}
OpFoldResult IotaOp::fold(FoldAdaptor adaptor) { return foldOp(getOperation(), adaptor.getOperands()); }

Sizes RandomBitsOp::getMixedSizes() {
  OpBuilder b(getContext());
  return getMixedValues(getStaticSizes(), getSizes(), b);
}
LogicalResult RandomBitsOp::verify() {
  RankedTensorType type = getY().getType(), seed = getSeed().getType();
  if (seed.getRank() != 0 || !seed.getElementType().isSignlessInteger(64)) // C1
    return emitOpError("seed is ") << seed << ", tensor<i64> was expected";
  Type element = type.getElementType();
  if (element.getIntOrFloatBitWidth() != 32 || (!element.isUnsignedInteger() && !element.isSignlessInteger())) // C1
    return emitOpError("result is ") << type << ", elements ui32 were expected";
  if (failed(verifyList(getLoc(), "sizes", getStaticSizes(), getSizes().size(), type.getRank(), 0)) ||
      failed(verifyCompatibleShape(type.getShape(), getStaticSizes())))
    return emitOpError("sizes do not match ") << type;
  return success();
}

// ---- gather ------------------------------------------------------------------------------------------------------------------

LogicalResult GatherOp::inferReturnTypes(MLIRContext *, std::optional<Location> location, Adaptor adaptor,
                                         SmallVectorImpl<Type> &types) {
  RankedTensorType x = typeOf(adaptor.getX()), indices = typeOf(adaptor.getIndices());
  int64_t axis = adaptor.getAxis();
  if (failed(verifyAxis(location, axis, x))) // C1
    return failure();
  SmallVector<int64_t> shape(x.getShape().take_front(axis));
  llvm::append_range(shape, indices.getShape());
  llvm::append_range(shape, x.getShape().drop_front(axis + 1));
  types.push_back(x.clone(shape));
  return success();
}

// dx = zeros with dy added at the indices: both with the axis in front, where it is a scatter_nd
LogicalResult GatherOp::buildVjp(CoreBuilder &b, ValueRange cotangents, SmallVectorImpl<Value> &gradients) {
  gradients.assign(2, {});
  if (!isDifferentiable(getX()))
    return success();
  int64_t axis = getAxis(), rank = typeOf(getX()).getRank(), indexRank = typeOf(getIndices()).getRank();
  SmallVector<int64_t> updatesOrder, xOrder = {axis};
  for (int64_t i = 0; i < indexRank; ++i)
    updatesOrder.push_back(axis + i);
  for (int64_t i = 0; i < rank; ++i)
    if (i != axis) {
      xOrder.push_back(i);
      updatesOrder.push_back(i < axis ? i : i - 1 + indexRank);
    }
  Expr updates = b.transpose(cotangents[0], updatesOrder);
  Sizes sizes;
  for (int64_t dim : xOrder)
    sizes.push_back(b.dim(getX(), dim));
  Expr zeros = b.broadcast(b.splat(0, typeOf(getX()).getElementType()), sizes, {});
  Expr tuples = b.unsqueeze(getIndices(), {indexRank});
  gradients[0] = b.transpose(b.scatterNd(zeros, tuples, updates, Reduction::Sum), invertPermutationVector(xOrder));
  return success();
}

// ---- gather_nd ---------------------------------------------------------------------------------------------------------------

LogicalResult GatherNdOp::inferReturnTypes(MLIRContext *, std::optional<Location> location, Adaptor adaptor,
                                           SmallVectorImpl<Type> &types) {
  RankedTensorType x = typeOf(adaptor.getX()), indices = typeOf(adaptor.getIndices());
  int64_t batch = adaptor.getBatchDims(), rank = indices.getRank();
  if (batch < 0 || rank <= batch || indices.isDynamicDim(rank - 1)) // C1
    return emitOptionalError(location, "indices of gather_nd with ", batch, " batch dimensions are ", indices);
  int64_t count = indices.getDimSize(rank - 1);
  if (batch + count > x.getRank()) // C1
    return emitOptionalError(location, "index tuples of ", count, " after ", batch, " batch dimensions do not fit ", x);
  SmallVector<int64_t> shape(indices.getShape().drop_back());
  for (int64_t dim = 0; dim < batch; ++dim) {
    if (differ(x.getDimSize(dim), indices.getDimSize(dim))) // C2
      return emitOptionalError(location, "batch dimension ", dim, " of ", x, " and ", indices, " differs");
    if (ShapedType::isDynamic(shape[dim]))
      shape[dim] = x.getDimSize(dim);
  }
  llvm::append_range(shape, x.getShape().drop_front(batch + count));
  types.push_back(x.clone(shape));
  return success();
}

// dx = zeros with dy added at the index tuples, which batch dimensions join as positions
LogicalResult GatherNdOp::buildVjp(CoreBuilder &b, ValueRange cotangents, SmallVectorImpl<Value> &gradients) {
  gradients.assign(2, {});
  if (!isDifferentiable(getX()))
    return success();
  int64_t batch = getBatchDims(), rank = typeOf(getIndices()).getRank();
  Value tuples = getIndices();
  if (batch > 0) {
    Sizes sizes = b.dims(tuples);
    sizes.back() = b.builder.getIndexAttr(1);
    SmallVector<Value> parts;
    for (int64_t dim = 0; dim < batch; ++dim)
      parts.push_back(b.iota(sizes, dim, typeOf(tuples).getElementType()));
    parts.push_back(tuples);
    tuples = b.concat(parts, rank - 1);
  }
  gradients[0] = b.scatterNd(b.splatLike(0, getX()), tuples, cotangents[0], Reduction::Sum);
  return success();
}

// ---- gather_elements ---------------------------------------------------------------------------------------------------------

LogicalResult GatherElementsOp::inferReturnTypes(MLIRContext *, std::optional<Location> location, Adaptor adaptor,
                                                 SmallVectorImpl<Type> &types) {
  RankedTensorType x = typeOf(adaptor.getX()), indices = typeOf(adaptor.getIndices());
  int64_t axis = adaptor.getAxis();
  if (x.getRank() != indices.getRank()) // C1
    return emitOptionalError(location, "ranks of ", x, " and ", indices, " differ");
  if (failed(verifyAxis(location, axis, x))) // C1
    return failure();
  for (int64_t dim = 0; dim < x.getRank(); ++dim)
    if (dim != axis && !x.isDynamicDim(dim) && !indices.isDynamicDim(dim) &&
        indices.getDimSize(dim) > x.getDimSize(dim)) // C2
      return emitOptionalError(location, "dimension ", dim, " of ", indices, " is larger than that of ", x);
  types.push_back(x.clone(indices.getShape()));
  return success();
}

LogicalResult GatherElementsOp::buildVjp(CoreBuilder &b, ValueRange cotangents, SmallVectorImpl<Value> &gradients) {
  gradients.assign(2, {});
  if (isDifferentiable(getX()))
    gradients[0] = b.scatterElements(b.splatLike(0, getX()), getIndices(), cotangents[0], getAxis(), Reduction::Sum);
  return success();
}

// ---- scatter_nd --------------------------------------------------------------------------------------------------------------

LogicalResult ScatterNdOp::inferReturnTypes(MLIRContext *, std::optional<Location> location, Adaptor adaptor,
                                            SmallVectorImpl<Type> &types) {
  RankedTensorType x = typeOf(adaptor.getX()), indices = typeOf(adaptor.getIndices()),
                   updates = typeOf(adaptor.getUpdates());
  int64_t rank = indices.getRank();
  if (rank < 1 || indices.isDynamicDim(rank - 1) || indices.getDimSize(rank - 1) > x.getRank()) // C1
    return emitOptionalError(location, "indices of scatter_nd into ", x, " are ", indices);
  SmallVector<int64_t> shape(indices.getShape().drop_back());
  llvm::append_range(shape, x.getShape().drop_front(indices.getDimSize(rank - 1)));
  if (failed(verifyCompatibleShape(shape, updates.getShape()))) // C1
    return emitOptionalError(location, "updates of scatter_nd are ", updates, ", ", x.clone(shape), " was expected");
  if (x.getElementType() != updates.getElementType()) // C2
    return emitOptionalError(location, "element types of ", x, " and ", updates, " differ");
  if (failed(verifyReduction(location, adaptor.getReduction(), x.getElementType()))) // C2
    return failure();
  types.push_back(x);
  return success();
}

/// The derivative of a scatter: `read` reads at the indices, `clear` writes zeros there.
static LogicalResult scatterVjp(CoreBuilder &b, Reduction reduction, Value x, Value cotangent,
                                SmallVectorImpl<Value> &gradients, llvm::function_ref<Value()> read,
                                llvm::function_ref<Value()> clear) {
  gradients.assign(3, {});
  if (!isDifferentiable(x))
    return success();
  if (reduction != Reduction::None && reduction != Reduction::Sum) // C3
    return mlir::emitError(b.loc, "the derivative of scatter with reduction ")
           << stringifyReduction(reduction) << " is not known";
  gradients[0] = reduction == Reduction::Sum ? cotangent : clear();
  gradients[2] = read();
  return success();
}

// sum: dx = dy; none: dx = dy, 0 where it was replaced. du = dy at the indices
LogicalResult ScatterNdOp::buildVjp(CoreBuilder &b, ValueRange cotangents, SmallVectorImpl<Value> &gradients) {
  Value dy = cotangents[0];
  return scatterVjp(
      b, getReduction(), getX(), dy, gradients, [&]() -> Value { return b.gatherNd(dy, getIndices()); },
      [&]() -> Value { return b.scatterNd(dy, getIndices(), b.splatLike(0, getUpdates()), Reduction::None); });
}

// ---- scatter_elements --------------------------------------------------------------------------------------------------------

LogicalResult ScatterElementsOp::inferReturnTypes(MLIRContext *, std::optional<Location> location, Adaptor adaptor,
                                                  SmallVectorImpl<Type> &types) {
  RankedTensorType x = typeOf(adaptor.getX()), indices = typeOf(adaptor.getIndices()),
                   updates = typeOf(adaptor.getUpdates());
  if (x.getRank() != indices.getRank() || failed(verifyCompatibleShape(indices, updates))) // C1
    return emitOptionalError(location, "shapes of scatter_elements do not match: ", x, ", ", indices, ", ", updates);
  if (failed(verifyAxis(location, adaptor.getAxis(), x))) // C1
    return failure();
  if (x.getElementType() != updates.getElementType()) // C2
    return emitOptionalError(location, "element types of ", x, " and ", updates, " differ");
  if (failed(verifyReduction(location, adaptor.getReduction(), x.getElementType()))) // C2
    return failure();
  types.push_back(x);
  return success();
}

LogicalResult ScatterElementsOp::buildVjp(CoreBuilder &b, ValueRange cotangents, SmallVectorImpl<Value> &gradients) {
  Value dy = cotangents[0];
  int64_t axis = getAxis();
  return scatterVjp(
      b, getReduction(), getX(), dy, gradients, [&]() -> Value { return b.gatherElements(dy, getIndices(), axis); },
      [&]() -> Value {
        return b.scatterElements(dy, getIndices(), b.splatLike(0, getUpdates()), axis, Reduction::None);
      });
}

// ---- sort --------------------------------------------------------------------------------------------------------------------

LogicalResult SortOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location, Adaptor adaptor,
                                       SmallVectorImpl<Type> &types) {
  RankedTensorType x = typeOf(adaptor.getX());
  if (failed(verifyAxis(location, adaptor.getAxis(), x))) // C1
    return failure();
  types.push_back(x);
  types.push_back(x.clone(IntegerType::get(context, 64)));
  return success();
}

// dx = dvalues, each where its value came from
LogicalResult SortOp::buildVjp(CoreBuilder &b, ValueRange cotangents, SmallVectorImpl<Value> &gradients) {
  gradients.assign(1, {});
  if (isDifferentiable(getX()) && cotangents[0])
    gradients[0] = b.scatterElements(b.splatLike(0, getX()), getPositions(), cotangents[0], getAxis(), Reduction::Sum);
  return success();
}

} // namespace mlc::core
