// Reductions: type inference, which checks the numbered constraints of Reduce.td, and derivatives.
#include "dialects/core/Core.h"
#include "dialects/core/CoreBuilder.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Builders.h"

using namespace mlir;

namespace mlc::core {

static RankedTensorType typeOf(Value v) { return cast<RankedTensorType>(v.getType()); }
static bool isDifferentiable(Value x) { return isa<FloatType>(typeOf(x).getElementType()); }

static LogicalResult verifyKind(std::optional<Location> location, Reduction kind, Type element) {
  if (kind == Reduction::None)
    return emitOptionalError(location, "reduction is none");
  if ((kind == Reduction::And || kind == Reduction::Or) && isa<FloatType>(element))
    return emitOptionalError(location, stringifyReduction(kind), " needs integers, not ", element);
  return success();
}
static LogicalResult verifyAxis(std::optional<Location> location, int64_t axis, RankedTensorType type) {
  if (axis < 0 || axis >= type.getRank())
    return emitOptionalError(location, "axis ", axis, " is not a dimension of ", type);
  return success();
}

// ---- reduce ------------------------------------------------------------------------------------------------------------------

LogicalResult ReduceOp::inferReturnTypes(MLIRContext *, std::optional<Location> location, Adaptor adaptor,
                                         SmallVectorImpl<Type> &types) {
  RankedTensorType x = typeOf(adaptor.getX());
  if (failed(verifyAxes(location, "axes", adaptor.getAxes(), x.getRank(), true)) || // C1
      failed(verifyKind(location, adaptor.getKind(), x.getElementType())))          // C2
    return failure();
  SmallVector<int64_t> shape;
  for (int64_t axis = 0; axis < x.getRank(); ++axis)
    if (!llvm::is_contained(adaptor.getAxes(), axis))
      shape.push_back(x.getDimSize(axis));
  types.push_back(x.clone(shape));
  return success();
}

/// The product of all others, by exclusive scans from both sides over the reduced dimensions as one.
static Expr productOfOthers(CoreBuilder &b, Value x, ArrayRef<int64_t> axes) {
  SmallVector<int64_t> order;
  Sizes flat;
  for (int64_t axis = 0; axis < CoreBuilder::rankOf(x); ++axis)
    if (!llvm::is_contained(axes, axis)) {
      order.push_back(axis);
      flat.push_back(b.dim(x, axis));
    }
  int64_t last = order.size();
  OpFoldResult count = b.builder.getIndexAttr(1);
  for (int64_t axis : axes) {
    order.push_back(axis);
    count = b.indexProduct(count, b.dim(x, axis));
  }
  flat.push_back(count);
  Value moved = b.transpose(x, order), rows = b.reshape(moved, flat);
  Expr others = b.scan(Reduction::Prod, rows, last, true, false) * b.scan(Reduction::Prod, rows, last, true, true);
  return b.transpose(b.reshape(others, b.dims(moved)), invertPermutationVector(order));
}

// sum: dx = dy. max, min: dx = dy / count where x = y. prod: dx = dy * product of the other elements
LogicalResult ReduceOp::buildVjp(CoreBuilder &b, ValueRange cotangents, SmallVectorImpl<Value> &gradients) {
  gradients.assign(1, {});
  if (!isDifferentiable(getX()))
    return success();
  SmallVector<int64_t> kept;
  for (int64_t axis = 0; axis < typeOf(getX()).getRank(); ++axis)
    if (!llvm::is_contained(getAxes(), axis))
      kept.push_back(axis);
  Sizes sizes = b.dims(getX());
  auto spread = [&](Value v) { return b.broadcast(v, sizes, kept); };
  if (getKind() == Reduction::Sum) {
    gradients[0] = spread(cotangents[0]);
  } else if (getKind() == Reduction::Prod) {
    gradients[0] = spread(cotangents[0]) * productOfOthers(b, getX(), getAxes());
  } else {
    Expr isExtreme = b.cast(b.compare(Comparison::EQ, getX(), spread(getY())), typeOf(getX()).getElementType());
    gradients[0] = isExtreme * spread(b.expr(cotangents[0]) / b.reduce(Reduction::Sum, isExtreme, getAxes()));
  }
  return success();
}

// ---- arg_reduce --------------------------------------------------------------------------------------------------------------

LogicalResult ArgReduceOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location, Adaptor adaptor,
                                            SmallVectorImpl<Type> &types) {
  RankedTensorType x = typeOf(adaptor.getX());
  if (failed(verifyAxis(location, adaptor.getAxis(), x))) // C1
    return failure();
  if (adaptor.getKind() != Reduction::Max && adaptor.getKind() != Reduction::Min) // C2
    return emitOptionalError(location, "kind is ", stringifyReduction(adaptor.getKind()), ", max or min was expected");
  SmallVector<int64_t> shape(x.getShape());
  shape.erase(shape.begin() + adaptor.getAxis());
  types.push_back(RankedTensorType::get(shape, IntegerType::get(context, 64)));
  return success();
}

LogicalResult ArgReduceOp::buildVjp(CoreBuilder &, ValueRange, SmallVectorImpl<Value> &gradients) {
  gradients.assign(1, {});
  return success();
}

// ---- scan --------------------------------------------------------------------------------------------------------------------

LogicalResult ScanOp::inferReturnTypes(MLIRContext *, std::optional<Location> location, Adaptor adaptor,
                                       SmallVectorImpl<Type> &types) {
  RankedTensorType x = typeOf(adaptor.getX());
  if (failed(verifyAxis(location, adaptor.getAxis(), x)) ||                // C1
      failed(verifyKind(location, adaptor.getKind(), x.getElementType()))) // C2
    return failure();
  types.push_back(x);
  return success();
}

// dx = dy summed from the other end
LogicalResult ScanOp::buildVjp(CoreBuilder &b, ValueRange cotangents, SmallVectorImpl<Value> &gradients) {
  gradients.assign(1, {});
  if (!isDifferentiable(getX()))
    return success();
  if (getKind() != Reduction::Sum) // C3
    return mlir::emitError(b.loc, "the derivative of scan ") << stringifyReduction(getKind()) << " is not known";
  gradients[0] = b.scan(Reduction::Sum, cotangents[0], getAxis(), getExclusive(), !getReverse());
  return success();
}

// ---- window_reduce -----------------------------------------------------------------------------------------------------------

LogicalResult WindowReduceOp::inferReturnTypes(MLIRContext *, std::optional<Location> location, Adaptor adaptor,
                                               SmallVectorImpl<Type> &types) {
  RankedTensorType x = typeOf(adaptor.getX());
  int64_t rank = x.getRank();
  ArrayRef<int64_t> size = adaptor.getSize(), strides = adaptor.getStrides(), dilations = adaptor.getDilations(),
                    low = adaptor.getPadLow(), high = adaptor.getPadHigh();
  if (failed(verifyList(location, "size", size, rank, 1)) ||
      failed(verifyList(location, "strides", strides, rank, 1)) || // C1
      failed(verifyList(location, "dilations", dilations, rank, 1)) ||
      failed(verifyList(location, "pad_low", low, rank, 0)) ||
      failed(verifyList(location, "pad_high", high, rank, 0)) ||
      failed(verifyKind(location, adaptor.getKind(), x.getElementType()))) // C2
    return failure();
  SmallVector<int64_t> shape;
  for (int64_t axis = 0; axis < rank; ++axis) {
    if (x.isDynamicDim(axis)) {
      shape.push_back(ShapedType::kDynamic);
      continue;
    }
    if (x.getDimSize(axis) == 0 && size[axis] == 1 && low[axis] + high[axis] == 0) { // an empty batch
      shape.push_back(0);
      continue;
    }
    int64_t rest = x.getDimSize(axis) + low[axis] + high[axis] - (size[axis] - 1) * dilations[axis] - 1;
    if (rest < 0) // C3
      return emitOptionalError(location, "the window of dimension ", axis, " is larger than ", x, " with its padding");
    shape.push_back(rest / strides[axis] + 1);
  }
  types.push_back(x.clone(shape));
  return success();
}

/// The cotangent of one window position, put where the elements lie that the position reads in padded x.
static Expr spreadToWindow(CoreBuilder &b, Value dy, const Sizes &padded, ArrayRef<int64_t> offset,
                           ArrayRef<int64_t> strides) {
  Sizes low, high;
  SmallVector<int64_t> interior;
  OpFoldResult one = b.builder.getIndexAttr(1);
  for (auto [axis, start] : llvm::enumerate(offset)) {
    OpFoldResult steps = b.indexProduct(b.indexDifference(b.dim(dy, axis), one), b.builder.getIndexAttr(strides[axis]));
    low.push_back(b.builder.getIndexAttr(start));
    high.push_back(b.indexDifference(padded[axis], b.indexSum(steps, b.builder.getIndexAttr(start + 1))));
    interior.push_back(strides[axis] - 1);
  }
  return b.pad(dy, b.splat(0, CoreBuilder::elementOf(dy)), low, high, interior);
}

// For every position of the window: what it read is a strided slice of padded x. sum: dy goes to all of them; max: to the first
// position that has the largest. The sum over positions is cut back to x.
LogicalResult WindowReduceOp::buildVjp(CoreBuilder &b, ValueRange cotangents, SmallVectorImpl<Value> &gradients) {
  gradients.assign(1, {});
  if (!isDifferentiable(getX()))
    return success();
  bool isSum = getKind() == Reduction::Sum, isMax = getKind() == Reduction::Max;
  if (!isSum && !isMax) // C4
    return mlir::emitError(b.loc, "the derivative of window_reduce ")
           << stringifyReduction(getKind()) << " is not known";
  Type element = typeOf(getX()).getElementType();
  Expr dy = b.expr(cotangents[0]);
  ArrayRef<int64_t> size = getSize(), strides = getStrides(), dilations = getDilations();
  Sizes xSizes = b.dims(getX()), low, high, padded;
  for (auto [axis, xSize] : llvm::enumerate(xSizes)) {
    low.push_back(b.builder.getIndexAttr(getPadLow()[axis]));
    high.push_back(b.builder.getIndexAttr(getPadHigh()[axis]));
    padded.push_back(b.indexSum(xSize, b.builder.getIndexAttr(getPadLow()[axis] + getPadHigh()[axis])));
  }
  Value xPadded =
      isSum ? Value() : Value(b.pad(getX(), b.splat(-std::numeric_limits<double>::infinity(), element), low, high));
  Sizes ySizes = b.dims(getY());
  SmallVector<int64_t> position(size.size(), 0), offset(size.size(), 0);
  Expr sum, taken;
  while (true) {
    for (size_t axis = 0; axis < size.size(); ++axis)
      offset[axis] = position[axis] * dilations[axis];
    Expr part = dy;
    if (!isSum) {
      Sizes starts;
      for (int64_t start : offset)
        starts.push_back(b.builder.getIndexAttr(start));
      Expr isExtreme = b.compare(Comparison::EQ, b.slice(xPadded, starts, ySizes, strides), getY());
      Expr isFirst = taken.v ? b.binary("and", isExtreme, b.logicalNot(taken)) : isExtreme;
      taken = taken.v ? b.binary("or", taken, isExtreme) : isExtreme;
      part = b.select(isFirst, dy, b.splatLike(0, dy));
    }
    Expr spread = spreadToWindow(b, part, padded, offset, strides);
    sum = sum.v ? sum + spread : spread;
    int64_t axis = static_cast<int64_t>(size.size()) - 1;
    while (axis >= 0 && ++position[axis] == size[axis])
      position[axis--] = 0;
    if (axis < 0)
      break;
  }
  gradients[0] = b.slice(sum, low, xSizes);
  return success();
}

} // namespace mlc::core
