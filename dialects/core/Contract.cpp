// Contractions: type inference, which checks the numbered constraints of Contract.td, and derivatives, which are contractions again.
#include "dialects/core/Core.h"
#include "dialects/core/CoreBuilder.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Builders.h"

using namespace mlir;

namespace mlc::core {

static RankedTensorType typeOf(Value v) { return cast<RankedTensorType>(v.getType()); }
static bool differ(int64_t a, int64_t b) { return !ShapedType::isDynamic(a) && !ShapedType::isDynamic(b) && a != b; }

// ---- dot ---------------------------------------------------------------------------------------------------------------------

static SmallVector<int64_t> freeDims(int64_t rank, ArrayRef<int64_t> batch, ArrayRef<int64_t> contract) {
  SmallVector<int64_t> result;
  for (int64_t axis = 0; axis < rank; ++axis)
    if (!llvm::is_contained(batch, axis) && !llvm::is_contained(contract, axis))
      result.push_back(axis);
  return result;
}
SmallVector<int64_t> DotOp::getLhsFree() { return freeDims(typeOf(getX()).getRank(), getLhsBatch(), getLhsContract()); }
SmallVector<int64_t> DotOp::getRhsFree() { return freeDims(typeOf(getY()).getRank(), getRhsBatch(), getRhsContract()); }

LogicalResult DotOp::inferReturnTypes(MLIRContext *, std::optional<Location> location, Adaptor adaptor,
                                      SmallVectorImpl<Type> &types) {
  RankedTensorType x = typeOf(adaptor.getX()), y = typeOf(adaptor.getY());
  ArrayRef<int64_t> lhsBatch = adaptor.getLhsBatch(), rhsBatch = adaptor.getRhsBatch(),
                    lhsContract = adaptor.getLhsContract(), rhsContract = adaptor.getRhsContract();
  if (lhsBatch.size() != rhsBatch.size() || lhsContract.size() != rhsContract.size()) // C1
    return emitOptionalError(location, "numbers of paired dimensions differ");
  SmallVector<int64_t> lhs(lhsBatch), rhs(rhsBatch);
  llvm::append_range(lhs, lhsContract);
  llvm::append_range(rhs, rhsContract);
  if (failed(verifyAxes(location, "left dimensions", lhs, x.getRank(), false)) || // C1
      failed(verifyAxes(location, "right dimensions", rhs, y.getRank(), false)))
    return failure();
  for (auto [a, b] : llvm::zip(lhs, rhs))
    if (differ(x.getDimSize(a), y.getDimSize(b))) // C2
      return emitOptionalError(location, "sizes differ: ", x.getDimSize(a), " in dimension ", a, " of ", x, " and ",
                               y.getDimSize(b), " in dimension ", b, " of ", y);
  Type element = adaptor.getAccumulator().value_or(x.getElementType());
  bool areIntegers =
      isa<IntegerType>(x.getElementType()) && isa<IntegerType>(y.getElementType()) && adaptor.getAccumulator();
  if (x.getElementType() != y.getElementType() && !areIntegers) // C3
    return emitOptionalError(location, "element types of ", x, " and ", y, " differ");
  if (isa<FloatType>(element) != isa<FloatType>(x.getElementType())) // C3
    return emitOptionalError(location, "accumulator ", element, " does not fit ", x);
  SmallVector<int64_t> shape;
  for (auto [a, b] : llvm::zip(lhsBatch, rhsBatch))
    shape.push_back(x.isDynamicDim(a) ? y.getDimSize(b) : x.getDimSize(a));
  for (int64_t axis : freeDims(x.getRank(), lhsBatch, lhsContract))
    shape.push_back(x.getDimSize(axis));
  for (int64_t axis : freeDims(y.getRank(), rhsBatch, rhsContract))
    shape.push_back(y.getDimSize(axis));
  types.push_back(RankedTensorType::get(shape, element));
  return success();
}

/// The gradient of one operand ("own"): dz contracted with the other operand over the other's free dimensions has the dimensions
/// batch, own free, and contracted ones in the other's order; a transpose puts them where they are in the operand.
struct DotSide {
  Value value;
  ArrayRef<int64_t> batch, contract;
  SmallVector<int64_t> free;
};
static Expr dotGradient(CoreBuilder &b, Value dz, const DotSide &own, const DotSide &other, int64_t ownFreeStart,
                        int64_t otherFreeStart) {
  int64_t batchCount = own.batch.size();
  CoreBuilder::DotDims dims;
  for (int64_t i = 0; i < batchCount; ++i) {
    dims.lhsBatch.push_back(i);
    dims.rhsBatch.push_back(other.batch[i]);
  }
  for (size_t i = 0; i < other.free.size(); ++i) {
    dims.lhsContract.push_back(otherFreeStart + i);
    dims.rhsContract.push_back(other.free[i]);
  }
  Value operand = other.value;
  if (CoreBuilder::elementOf(dz) != CoreBuilder::elementOf(operand))
    operand = b.cast(operand, CoreBuilder::elementOf(dz));
  Expr product = b.dot(dz, operand, dims);
  // Dimension i of the product is dimension source[i] of the operand.
  SmallVector<int64_t> source(own.batch);
  llvm::append_range(source, own.free);
  SmallVector<int64_t> sorted(other.contract);
  llvm::sort(sorted);
  for (int64_t axis : sorted)
    source.push_back(own.contract[llvm::find(other.contract, axis) - other.contract.begin()]);
  return b.cast(b.transpose(product, invertPermutationVector(source)), CoreBuilder::elementOf(own.value));
}

LogicalResult DotOp::buildVjp(CoreBuilder &b, ValueRange cotangents, SmallVectorImpl<Value> &gradients) {
  gradients.assign(2, {});
  if (!isa<FloatType>(typeOf(getX()).getElementType()))
    return success();
  DotSide lhs{getX(), getLhsBatch(), getLhsContract(), getLhsFree()},
      rhs{getY(), getRhsBatch(), getRhsContract(), getRhsFree()};
  int64_t lhsFreeStart = lhs.batch.size(), rhsFreeStart = lhsFreeStart + lhs.free.size();
  gradients[0] = dotGradient(b, cotangents[0], lhs, rhs, lhsFreeStart, rhsFreeStart);
  gradients[1] = dotGradient(b, cotangents[0], rhs, lhs, rhsFreeStart, lhsFreeStart);
  return success();
}

// ---- conv --------------------------------------------------------------------------------------------------------------------

LogicalResult ConvOp::inferReturnTypes(MLIRContext *, std::optional<Location> location, Adaptor adaptor,
                                       SmallVectorImpl<Type> &types) {
  RankedTensorType x = typeOf(adaptor.getX()), y = typeOf(adaptor.getY());
  int64_t rank = x.getRank(), spatial = rank - 2, groups = adaptor.getGroups();
  if (rank < 2 || y.getRank() != rank || x.getElementType() != y.getElementType()) // C1
    return emitOptionalError(location, "cannot convolve ", x, " with ", y);
  if (failed(verifyList(location, "strides", adaptor.getStrides(), spatial, 1)) || // C2
      failed(verifyList(location, "pad_low", adaptor.getPadLow(), spatial, 0)) ||
      failed(verifyList(location, "pad_high", adaptor.getPadHigh(), spatial, 0)) ||
      failed(verifyList(location, "lhs_dilation", adaptor.getLhsDilation(), spatial, 1)) ||
      failed(verifyList(location, "rhs_dilation", adaptor.getRhsDilation(), spatial, 1)))
    return failure();
  bool isLast = adaptor.getChannelsLast(); // C5
  int64_t channelAxis = isLast ? rank - 1 : 1, spatialStart = isLast ? 1 : 2;
  if (groups < 1 || (!y.isDynamicDim(0) && y.getDimSize(0) % groups != 0) || // C3
      (!x.isDynamicDim(channelAxis) && !y.isDynamicDim(1) && x.getDimSize(channelAxis) != groups * y.getDimSize(1)))
    return emitOptionalError(location, "channels of ", x, " and ", y, " do not match for ", groups, " groups");
  SmallVector<int64_t> shape = {x.getDimSize(0)};
  if (!isLast)
    shape.push_back(y.getDimSize(0));
  for (int64_t i = 0; i < spatial; ++i) {
    int64_t size = x.getDimSize(i + spatialStart), window = y.getDimSize(i + 2);
    if (ShapedType::isDynamic(size) || ShapedType::isDynamic(window)) {
      shape.push_back(ShapedType::kDynamic);
      continue;
    }
    int64_t dilated = size == 0 ? 0 : (size - 1) * adaptor.getLhsDilation()[i] + 1;
    int64_t rest =
        dilated + adaptor.getPadLow()[i] + adaptor.getPadHigh()[i] - (window - 1) * adaptor.getRhsDilation()[i] - 1;
    if (rest < 0) // C4
      return emitOptionalError(location, "the kernel ", y, " does not fit into ", x,
                               " with its padding in spatial dimension ", i);
    shape.push_back(rest / adaptor.getStrides()[i] + 1);
  }
  if (isLast)
    shape.push_back(y.getDimSize(0));
  types.push_back(x.clone(shape));
  return success();
}

/// dx: the cotangent, dilated by the strides, convolved with the reversed kernel, whose input and output channels change places.
static Expr convInputGradient(CoreBuilder &b, ConvOp conv, Value dz) {
  Value x = conv.getX(), y = conv.getY();
  int64_t rank = typeOf(x).getRank(), groups = conv.getGroups();
  SmallVector<int64_t> spatialAxes;
  for (int64_t axis = 2; axis < rank; ++axis)
    spatialAxes.push_back(axis);
  // [O, C/g, k...] -> [g, O/g, C/g, k...] -> [g, C/g, O/g, k...] -> [C, O/g, k...]
  Value kernel = b.reverse(y, spatialAxes);
  Sizes kernelSizes = b.dims(y);
  OpFoldResult count = b.builder.getIndexAttr(groups), outPerGroup = b.indexFloorDiv(kernelSizes[0], count);
  Sizes split = {count, outPerGroup}, joined = {b.indexProduct(count, kernelSizes[1]), outPerGroup};
  SmallVector<int64_t> order = {0, 2, 1};
  split.append(kernelSizes.begin() + 1, kernelSizes.end());
  joined.append(kernelSizes.begin() + 2, kernelSizes.end());
  for (int64_t axis : spatialAxes)
    order.push_back(axis + 1);
  if (groups == 1)
    kernel = b.transpose(kernel, [&] {
      SmallVector<int64_t> swap = {1, 0};
      llvm::append_range(swap, spatialAxes);
      return swap;
    }());
  else
    kernel = b.reshape(b.transpose(b.reshape(kernel, split), order), joined);

  // With D = (size - 1) * lhs_dilation + 1 positions of dilated x: low = (K - 1) r - pad_low, high = D - 1 - (O - 1) s + pad_low.
  OpFoldResult zero = b.builder.getIndexAttr(0), one = b.builder.getIndexAttr(1);
  CoreBuilder::ConvDims dims;
  dims.groups = groups;
  Sizes low(2, zero), high(2, zero);
  SmallVector<int64_t> interior(2, 0);
  bool fits = true;
  for (int64_t i = 0; i < rank - 2; ++i) {
    auto constant = [&](int64_t value) -> OpFoldResult { return b.builder.getIndexAttr(value); };
    OpFoldResult padLow = constant(conv.getPadLow()[i]);
    OpFoldResult span =
        b.indexProduct(b.indexDifference(kernelSizes[i + 2], one), constant(conv.getRhsDilation()[i])); // (K - 1) r
    OpFoldResult dilated =
        b.indexProduct(b.indexDifference(b.dim(x, i + 2), one), constant(conv.getLhsDilation()[i])); // D - 1
    low.push_back(b.indexDifference(span, padLow));
    if (conv.getStrides()[i] == 1) // O - 1 = D - 1 + pad_low + pad_high - span
      high.push_back(b.indexDifference(span, constant(conv.getPadHigh()[i])));
    else
      high.push_back(b.indexSum(b.indexDifference(dilated, b.indexProduct(b.indexDifference(b.dim(dz, i + 2), one),
                                                                          constant(conv.getStrides()[i]))),
                                padLow));
    interior.push_back(conv.getStrides()[i] - 1);
    dims.strides.push_back(conv.getLhsDilation()[i]);
    dims.rhsDilation.push_back(conv.getRhsDilation()[i]);
    for (OpFoldResult pad : {low.back(), high.back()})
      fits = fits && getConstantIntValue(pad).value_or(-1) >= 0;
  }
  for (int64_t i = 0; i < rank - 2; ++i) {
    dims.lhsDilation.push_back(fits ? conv.getStrides()[i] : 1);
    dims.padLow.push_back(fits ? *getConstantIntValue(low[i + 2]) : 0);
    dims.padHigh.push_back(fits ? *getConstantIntValue(high[i + 2]) : 0);
  }
  if (!fits)
    dz = b.padOrCrop(dz, b.splat(0, CoreBuilder::elementOf(dz)), low, high, interior);
  Expr dx = b.conv(dz, kernel, dims);
  return dx;
}

/// dy: x convolved with the cotangent, where batch and channels change places: [C, N, ...] with [O, N, ...] gives [C, O, k...].
static Expr convKernelGradient(CoreBuilder &b, ConvOp conv, Value dz) {
  Value x = conv.getX(), y = conv.getY();
  int64_t rank = typeOf(x).getRank(), groups = conv.getGroups();
  SmallVector<int64_t> swap = {1, 0};
  for (int64_t axis = 2; axis < rank; ++axis)
    swap.push_back(axis);
  Value image = x;
  if (groups == 1) {
    image = b.transpose(x, swap);
  } else { // [N, g C/g, ...] -> [N, g, C/g, ...] -> [C/g, g, N, ...] -> [C/g, g N, ...]
    Sizes sizes = b.dims(x);
    OpFoldResult count = b.builder.getIndexAttr(groups), perGroup = b.indexFloorDiv(sizes[1], count);
    Sizes split = {sizes[0], count, perGroup}, joined = {perGroup, b.indexProduct(sizes[0], count)};
    SmallVector<int64_t> order = {2, 1, 0};
    split.append(sizes.begin() + 2, sizes.end());
    joined.append(sizes.begin() + 2, sizes.end());
    for (int64_t axis = 2; axis < rank; ++axis)
      order.push_back(axis + 1);
    image = b.reshape(b.transpose(b.reshape(x, split), order), joined);
  }
  CoreBuilder::ConvDims dims;
  dims.groups = groups;
  dims.strides.assign(conv.getRhsDilation().begin(), conv.getRhsDilation().end());
  dims.rhsDilation.assign(conv.getStrides().begin(), conv.getStrides().end());
  dims.lhsDilation.assign(conv.getLhsDilation().begin(), conv.getLhsDilation().end());
  dims.padLow.assign(conv.getPadLow().begin(), conv.getPadLow().end());
  dims.padHigh.assign(conv.getPadHigh().begin(), conv.getPadHigh().end());
  Expr product = b.conv(image, b.transpose(dz, swap), dims); // [C/g, O, k' >= k]
  Sizes sizes = b.dims(product), starts(rank, b.builder.getIndexAttr(0));
  for (int64_t axis = 2; axis < rank; ++axis) // strides may leave positions at the end that no window read
    sizes[axis] = b.dim(y, axis);
  return b.transpose(b.slice(product, starts, sizes), swap);
}

LogicalResult ConvOp::buildVjp(CoreBuilder &b, ValueRange cotangents, SmallVectorImpl<Value> &gradients) {
  gradients.assign(2, {});
  if (!isa<FloatType>(typeOf(getX()).getElementType()))
    return success();
  if (getChannelsLast()) // C5
    return mlir::emitError(b.loc, "the derivative of a convolution with channels_last is not known");
  gradients[0] = convInputGradient(b, *this, cotangents[0]);
  gradients[1] = convKernelGradient(b, *this, cotangents[0]);
  return success();
}

} // namespace mlc::core
