// Data movement by static rules: type inference, which checks the numbered constraints of Shape.td, and derivatives.
#include "dialects/core/Core.h"
#include "dialects/core/CoreBuilder.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/SmallSet.h"

using namespace mlir;

namespace mlc::core {

static RankedTensorType typeOf(Value v) { return cast<RankedTensorType>(v.getType()); }

static Sizes mixedSizes(MLIRContext *context, ArrayRef<int64_t> fixed, ValueRange dynamic) {
  OpBuilder b(context);
  return getMixedValues(fixed, dynamic, b);
}

/// One entry for each of `rank` dimensions, one value for each dynamic one, none below `least`.
LogicalResult verifyList(std::optional<Location> location, StringRef name, ArrayRef<int64_t> fixed, size_t dynamicCount,
                         int64_t rank, int64_t least) {
  if (static_cast<int64_t>(fixed.size()) != rank)
    return emitOptionalError(location, name, " has ", fixed.size(), " entries for ", rank, " dimensions");
  if (static_cast<size_t>(llvm::count_if(fixed, ShapedType::isDynamic)) != dynamicCount)
    return emitOptionalError(location, name, " has ", dynamicCount, " values for ",
                             llvm::count_if(fixed, ShapedType::isDynamic), " dynamic entries");
  for (int64_t value : fixed)
    if (!ShapedType::isDynamic(value) && value < least)
      return emitOptionalError(location, name, " has ", value, ", which is less than ", least);
  return success();
}
/// Attributes have no dynamic entries.
LogicalResult verifyList(std::optional<Location> location, StringRef name, ArrayRef<int64_t> values, int64_t rank,
                         int64_t least) {
  for (int64_t value : values)
    if (value < least)
      return emitOptionalError(location, name, " has ", value, ", which is less than ", least);
  return verifyList(location, name, values, 0, rank, least);
}
LogicalResult verifyAxes(std::optional<Location> location, StringRef name, ArrayRef<int64_t> axes, int64_t rank,
                         bool increasing) {
  llvm::SmallSet<int64_t, 8> seen;
  int64_t last = -1;
  for (int64_t axis : axes) {
    if (axis < 0 || axis >= rank)
      return emitOptionalError(location, name, " has ", axis, ", the tensor has ", rank, " dimensions");
    if (!seen.insert(axis).second)
      return emitOptionalError(location, name, " has ", axis, " twice");
    if (increasing && axis < last)
      return emitOptionalError(location, name, " is not increasing");
    last = axis;
  }
  return success();
}

static bool isDifferentiable(Value x) { return isa<FloatType>(typeOf(x).getElementType()); }

// ---- broadcast ---------------------------------------------------------------------------------------------------------------

Sizes BroadcastOp::getMixedSizes() { return mixedSizes(getContext(), getStaticSizes(), getSizes()); }

LogicalResult BroadcastOp::inferReturnTypes(MLIRContext *, std::optional<Location> location, Adaptor adaptor,
                                            SmallVectorImpl<Type> &types) {
  RankedTensorType x = typeOf(adaptor.getX());
  ArrayRef<int64_t> shape = adaptor.getStaticSizes(), axes = adaptor.getAxes();
  if (failed(verifyList(location, "sizes", shape, adaptor.getSizes().size(), shape.size(), 0))) // C3
    return failure();
  if (static_cast<int64_t>(axes.size()) != x.getRank()) // C1
    return emitOptionalError(location, "axes has ", axes.size(), " entries for ", x);
  if (failed(verifyAxes(location, "axes", axes, shape.size(), true))) // C1
    return failure();
  for (auto [size, axis] : llvm::zip(x.getShape(), axes))
    if (!ShapedType::isDynamic(size) && size != 1 && size != shape[axis]) // C2
      return emitOptionalError(location, "cannot broadcast ", x, ": size ", size,
                               " is neither 1 nor that of result dimension ", axis);
  if (failed(verifyAxes(location, "single", adaptor.getSingle(), x.getRank(), true))) // C4
    return failure();
  for (int64_t axis : adaptor.getSingle())
    if (!x.isDynamicDim(axis)) // C4
      return emitOptionalError(location, "single has ", axis, ", whose size is known: ", x);
  types.push_back(RankedTensorType::get(shape, x.getElementType()));
  return success();
}

// dx = sum of dy over what is new or was 1
LogicalResult BroadcastOp::buildVjp(CoreBuilder &b, ValueRange cotangents, SmallVectorImpl<Value> &gradients) {
  gradients.assign(getNumOperands(), {});
  if (!isDifferentiable(getX()))
    return success();
  SmallVector<int64_t> summed;
  for (int64_t axis = 0; axis < typeOf(getY()).getRank(); ++axis) {
    auto found = llvm::find(getAxes(), axis);
    int64_t from = found == getAxes().end() ? -1 : found - getAxes().begin();
    if (from < 0 || llvm::is_contained(getSingle(), from) ||
        (typeOf(getX()).getDimSize(from) == 1 && typeOf(getY()).getDimSize(axis) != 1))
      summed.push_back(axis);
  }
  gradients[0] = b.reshape(b.reduce(Reduction::Sum, cotangents[0], summed), b.dims(getX()));
  return success();
}

// ---- stretch -----------------------------------------------------------------------------------------------------------------

Sizes StretchOp::getMixedSizes() { return mixedSizes(getContext(), getStaticSizes(), getSizes()); }

LogicalResult StretchOp::inferReturnTypes(MLIRContext *, std::optional<Location> location, Adaptor adaptor,
                                          SmallVectorImpl<Type> &types) {
  RankedTensorType x = typeOf(adaptor.getX());
  ArrayRef<int64_t> shape = adaptor.getStaticSizes();
  if (failed(verifyList(location, "sizes", shape, adaptor.getSizes().size(), x.getRank(), 0))) // C1
    return failure();
  for (auto [from, to] : llvm::zip_equal(x.getShape(), shape))
    if (!ShapedType::isDynamic(from) && from != to) // C2
      return emitOptionalError(location, "cannot stretch ", x, ": size ", from, " is known and stays");
  types.push_back(x.clone(shape));
  return success();
}

// dx[.., i, ..] = sum over s of dy[.., s, ..] where s = i or x has size 1 there: a product with a matrix of ones and zeros
LogicalResult StretchOp::buildVjp(CoreBuilder &b, ValueRange cotangents, SmallVectorImpl<Value> &gradients) {
  gradients.assign(getNumOperands(), {});
  RankedTensorType x = typeOf(getX());
  if (!isDifferentiable(getX()))
    return success();
  Expr dx = b.expr(cotangents[0]);
  Type i64 = b.builder.getI64Type();
  for (auto [axis, to] : llvm::enumerate(getMixedSizes())) {
    if (!x.isDynamicDim(axis) || hasSize(getX(), axis, to))
      continue;
    OpFoldResult from = b.dim(getX(), axis);
    Sizes sizes = {to, from};
    Expr same = b.compare(Comparison::EQ, b.iota(sizes, 0, i64), b.iota(sizes, 1, i64));
    Expr isOne = b.compare(Comparison::EQ, b.fromElements({from}, i64, /*scalar=*/true), 1.0);
    Expr takes = b.cast(b.binary("or", same, b.broadcast(isOne, sizes, {})), x.getElementType());
    int64_t rank = x.getRank(), last = rank - 1, at = axis;
    SmallVector<int64_t> permutation; // the contracted dimension comes back at the end
    for (int64_t d = 0; d < rank; ++d)
      permutation.push_back(d < at ? d : d == at ? last : d - 1);
    dx = b.transpose(b.dot(dx, takes, {{}, {}, {at}, {0}}), permutation);
  }
  gradients[0] = dx;
  return success();
}

// ---- reshape -----------------------------------------------------------------------------------------------------------------

Sizes ReshapeOp::getMixedSizes() { return mixedSizes(getContext(), getStaticSizes(), getSizes()); }

LogicalResult ReshapeOp::inferReturnTypes(MLIRContext *, std::optional<Location> location, Adaptor adaptor,
                                          SmallVectorImpl<Type> &types) {
  RankedTensorType x = typeOf(adaptor.getX());
  ArrayRef<int64_t> shape = adaptor.getStaticSizes();
  if (failed(verifyList(location, "sizes", shape, adaptor.getSizes().size(), shape.size(), 0))) // C1
    return failure();
  auto y = RankedTensorType::get(shape, x.getElementType());
  if (x.hasStaticShape() && y.hasStaticShape() && x.getNumElements() != y.getNumElements()) // C2
    return emitOptionalError(location, "cannot reshape ", x, " of ", x.getNumElements(), " elements to ", y, " of ",
                             y.getNumElements());
  types.push_back(y);
  return success();
}

LogicalResult ReshapeOp::buildVjp(CoreBuilder &b, ValueRange cotangents, SmallVectorImpl<Value> &gradients) {
  gradients.assign(getNumOperands(), {});
  if (isDifferentiable(getX()))
    gradients[0] = b.reshape(cotangents[0], b.dims(getX()));
  return success();
}

// ---- transpose ---------------------------------------------------------------------------------------------------------------

LogicalResult TransposeOp::inferReturnTypes(MLIRContext *, std::optional<Location> location, Adaptor adaptor,
                                            SmallVectorImpl<Type> &types) {
  RankedTensorType x = typeOf(adaptor.getX());
  ArrayRef<int64_t> permutation = adaptor.getPermutation();
  if (static_cast<int64_t>(permutation.size()) != x.getRank()) // C1
    return emitOptionalError(location, "permutation has ", permutation.size(), " entries for ", x);
  if (failed(verifyAxes(location, "permutation", permutation, x.getRank(), false))) // C1
    return failure();
  SmallVector<int64_t> shape;
  for (int64_t axis : permutation)
    shape.push_back(x.getDimSize(axis));
  types.push_back(x.clone(shape));
  return success();
}

LogicalResult TransposeOp::buildVjp(CoreBuilder &b, ValueRange cotangents, SmallVectorImpl<Value> &gradients) {
  gradients.assign(1, {});
  if (isDifferentiable(getX()))
    gradients[0] = b.transpose(cotangents[0], invertPermutationVector(getPermutation()));
  return success();
}

// ---- slice -------------------------------------------------------------------------------------------------------------------

Sizes SliceOp::getMixedStarts() { return mixedSizes(getContext(), getStaticStarts(), getStarts()); }
Sizes SliceOp::getMixedSizes() { return mixedSizes(getContext(), getStaticSizes(), getSizes()); }

LogicalResult SliceOp::inferReturnTypes(MLIRContext *, std::optional<Location> location, Adaptor adaptor,
                                        SmallVectorImpl<Type> &types) {
  RankedTensorType x = typeOf(adaptor.getX());
  ArrayRef<int64_t> starts = adaptor.getStaticStarts(), sizes = adaptor.getStaticSizes(),
                    strides = adaptor.getStrides();
  if (failed(verifyList(location, "starts", starts, adaptor.getStarts().size(), x.getRank(), 0)) || // C1, C2
      failed(verifyList(location, "sizes", sizes, adaptor.getSizes().size(), x.getRank(), 0)) ||
      failed(verifyList(location, "strides", strides, x.getRank(), 1)))
    return failure();
  for (int64_t axis = 0; axis < x.getRank(); ++axis) {
    int64_t size = sizes[axis], start = ShapedType::isDynamic(starts[axis]) ? 0 : starts[axis];
    if (!ShapedType::isDynamic(size) && !x.isDynamicDim(axis) && size > 0 &&
        start + (size - 1) * strides[axis] >= x.getDimSize(axis)) // C3
      return emitOptionalError(location, "slice leaves dimension ", axis, " of ", x, ": start ", start, ", size ", size,
                               ", stride ", strides[axis]);
  }
  types.push_back(x.clone(sizes));
  return success();
}

// dx = dy with zeros around and between
LogicalResult SliceOp::buildVjp(CoreBuilder &b, ValueRange cotangents, SmallVectorImpl<Value> &gradients) {
  gradients.assign(getNumOperands(), {});
  if (!isDifferentiable(getX()))
    return success();
  Sizes low = getMixedStarts(), sizes = b.dims(getY()), high;
  SmallVector<int64_t> interior;
  for (auto [axis, stride] : llvm::enumerate(getStrides())) {
    if (getConstantIntValue(sizes[axis]) == 0) { // nothing was read
      gradients[0] = b.splatLike(0, getX());
      return success();
    }
    OpFoldResult one = b.builder.getIndexAttr(1), step = b.builder.getIndexAttr(stride);
    OpFoldResult extent = b.indexSum(b.indexProduct(b.indexDifference(sizes[axis], one), step), one);
    high.push_back(b.indexDifference(b.dim(getX(), axis), b.indexSum(low[axis], extent)));
    interior.push_back(stride - 1);
  }
  gradients[0] = b.pad(cotangents[0], b.splat(0, typeOf(getX()).getElementType()), low, high, interior);
  return success();
}

// ---- reverse -----------------------------------------------------------------------------------------------------------------

LogicalResult ReverseOp::inferReturnTypes(MLIRContext *, std::optional<Location> location, Adaptor adaptor,
                                          SmallVectorImpl<Type> &types) {
  RankedTensorType x = typeOf(adaptor.getX());
  if (failed(verifyAxes(location, "axes", adaptor.getAxes(), x.getRank(), false))) // C1
    return failure();
  types.push_back(x);
  return success();
}

LogicalResult ReverseOp::buildVjp(CoreBuilder &b, ValueRange cotangents, SmallVectorImpl<Value> &gradients) {
  gradients.assign(1, {});
  if (isDifferentiable(getX()))
    gradients[0] = b.reverse(cotangents[0], getAxes());
  return success();
}

// ---- pad ---------------------------------------------------------------------------------------------------------------------

Sizes PadOp::getMixedLow() { return mixedSizes(getContext(), getStaticLow(), getLow()); }
Sizes PadOp::getMixedHigh() { return mixedSizes(getContext(), getStaticHigh(), getHigh()); }

LogicalResult PadOp::inferReturnTypes(MLIRContext *, std::optional<Location> location, Adaptor adaptor,
                                      SmallVectorImpl<Type> &types) {
  RankedTensorType x = typeOf(adaptor.getX()), value = typeOf(adaptor.getValue());
  ArrayRef<int64_t> low = adaptor.getStaticLow(), high = adaptor.getStaticHigh(), interior = adaptor.getInterior();
  if (failed(verifyList(location, "low", low, adaptor.getLow().size(), x.getRank(), 0)) || // C1, C2
      failed(verifyList(location, "high", high, adaptor.getHigh().size(), x.getRank(), 0)) ||
      failed(verifyList(location, "interior", interior, x.getRank(), 0)))
    return failure();
  if (value.getRank() != 0 || value.getElementType() != x.getElementType()) // C3
    return emitOptionalError(location, "value is ", value, ", a scalar of ", x.getElementType(), " was expected");
  SmallVector<int64_t> shape;
  for (int64_t axis = 0; axis < x.getRank(); ++axis) {
    int64_t size = x.getDimSize(axis);
    bool isDynamic =
        ShapedType::isDynamic(size) || ShapedType::isDynamic(low[axis]) || ShapedType::isDynamic(high[axis]);
    if (isDynamic) {
      shape.push_back(ShapedType::kDynamic);
      continue;
    }
    int64_t inner = size == 0 ? 0 : (size - 1) * (interior[axis] + 1) + 1;
    shape.push_back(low[axis] + inner + high[axis]);
  }
  types.push_back(x.clone(shape));
  return success();
}

// dx = the slice of dy that x was put into; dvalue = the sum of the rest
LogicalResult PadOp::buildVjp(CoreBuilder &b, ValueRange cotangents, SmallVectorImpl<Value> &gradients) {
  gradients.assign(getNumOperands(), {});
  if (!isDifferentiable(getX()))
    return success();
  SmallVector<int64_t> strides, axes;
  for (auto [axis, between] : llvm::enumerate(getInterior())) {
    strides.push_back(between + 1);
    axes.push_back(axis);
  }
  Expr dx = b.slice(cotangents[0], getMixedLow(), b.dims(getX()), strides);
  gradients[0] = dx;
  gradients[1] = b.reduce(Reduction::Sum, cotangents[0], axes) - b.reduce(Reduction::Sum, dx, axes);
  return success();
}

// ---- concat ------------------------------------------------------------------------------------------------------------------

LogicalResult ConcatOp::inferReturnTypes(MLIRContext *, std::optional<Location> location, Adaptor adaptor,
                                         SmallVectorImpl<Type> &types) {
  if (adaptor.getValues().empty()) // C1
    return emitOptionalError(location, "concat of no values");
  RankedTensorType first = typeOf(adaptor.getValues()[0]);
  int64_t axis = adaptor.getAxis();
  if (axis < 0 || axis >= first.getRank()) // C1
    return emitOptionalError(location, "axis ", axis, " is not a dimension of ", first);
  SmallVector<int64_t> shape(first.getShape());
  for (Value value : adaptor.getValues().drop_front()) {
    RankedTensorType type = typeOf(value);
    if (type.getRank() != first.getRank() || type.getElementType() != first.getElementType()) // C1
      return emitOptionalError(location, "cannot concatenate ", first, " and ", type);
    for (int64_t dim = 0; dim < first.getRank(); ++dim) {
      int64_t &size = shape[dim], own = type.getDimSize(dim);
      if (dim == axis)
        size = ShapedType::isDynamic(size) || ShapedType::isDynamic(own) ? ShapedType::kDynamic : size + own;
      else if (ShapedType::isDynamic(size))
        size = own;
      else if (!ShapedType::isDynamic(own) && own != size) // C2
        return emitOptionalError(location, "cannot concatenate ", first, " and ", type, ": sizes of dimension ", dim,
                                 " differ");
    }
  }
  types.push_back(first.clone(shape));
  return success();
}

LogicalResult ConcatOp::buildVjp(CoreBuilder &b, ValueRange cotangents, SmallVectorImpl<Value> &gradients) {
  gradients.assign(getNumOperands(), {});
  if (!isDifferentiable(getY()))
    return success();
  Sizes starts(typeOf(getY()).getRank(), b.builder.getIndexAttr(0));
  OpFoldResult &start = starts[getAxis()];
  for (auto [index, value] : llvm::enumerate(getValues())) {
    gradients[index] = b.slice(cotangents[0], starts, b.dims(value));
    start = b.indexSum(start, b.dim(value, getAxis()));
  }
  return success();
}

} // namespace mlc::core
