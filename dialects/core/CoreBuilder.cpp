// CoreBuilder and Expr: makes operations, or finds that it need not (see CoreBuilder.h).
#include "dialects/core/CoreBuilder.h"
#include "dialects/core/SizeFacts.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Matchers.h"
#include <cmath>

using namespace mlir;

namespace mlc::core {

// ---- Making operations -------------------------------------------------------------------------------------------------------

Value CoreBuilder::insertOrFold(OperationState &state) {
  Operation *op = Operation::create(state);
  builder.getInsertionBlock()->getOperations().insert(builder.getInsertionPoint(), op);
  SmallVector<Value> folded;
  if (succeeded(builder.tryFold(op, folded)) && !folded.empty()) {
    op->erase();
    return folded[0];
  }
  if (OpBuilder::Listener *listener = builder.getListener())
    listener->notifyOperationInserted(op, {});
  return op->getResult(0);
}

/// `args` are those of Op's builder after the result type, which is inferred.
template <typename Op, typename... Args> Value CoreBuilder::make(Args &&...args) {
  OperationState state(loc, Op::getOperationName());
  Op::build(builder, state, RankedTensorType::get({}, builder.getI1Type()), std::forward<Args>(args)...);
  SmallVector<Type> types;
  MLIRContext *context = builder.getContext();
  if (mlir::failed(Op::inferReturnTypes(context, loc, state.operands, state.attributes.getDictionary(context),
                                        state.getRawProperties(), RegionRange(), types))) {
    failed = true;
    return state.operands[0];
  }
  state.types.assign(types.begin(), types.end());
  return insertOrFold(state);
}

static void split(OpBuilder &b, const Sizes &sizes, SmallVectorImpl<Value> &dynamic, SmallVectorImpl<int64_t> &fixed) {
  for (OpFoldResult size : sizes) {
    if (std::optional<int64_t> constant = getConstantIntValue(size)) {
      fixed.push_back(*constant);
    } else {
      fixed.push_back(ShapedType::kDynamic);
      dynamic.push_back(llvm::cast<Value>(size));
    }
  }
}
struct SplitSizes {
  SmallVector<Value> dynamic;
  SmallVector<int64_t> fixed;
  SplitSizes(OpBuilder &b, const Sizes &sizes) { split(b, sizes, dynamic, fixed); }
};

// ---- Constants ---------------------------------------------------------------------------------------------------------------

/// Null if it is no number of the type: a fraction, or too large.
static Attribute numberAttr(Type element, double value) {
  if (auto floatType = dyn_cast<FloatType>(element)) {
    APFloat number(value);
    bool lost;
    number.convert(floatType.getFloatSemantics(), APFloat::rmNearestTiesToEven, &lost);
    return FloatAttr::get(floatType, number);
  }
  unsigned width = element.getIntOrFloatBitWidth();
  if (width == 1)
    return IntegerAttr::get(element, APInt(1, value != 0));
  llvm::APSInt bits(width, element.isUnsignedInteger());
  bool exact;
  if (APFloat(value).convertToInteger(bits, APFloat::rmTowardZero, &exact) != APFloat::opOK)
    return {};
  return IntegerAttr::get(element, bits);
}

Expr CoreBuilder::splat(double value, Type element, Ints shape) {
  if (!numberAttr(element, value)) {
    emitError(loc) << "the number " << value << " is none of " << element;
    failed = true;
    value = 0;
  }
  return constant(DenseElementsAttr::get(RankedTensorType::get(shape, element), numberAttr(element, value)));
}
Expr CoreBuilder::convertedScalar(double value, Value like) { return splat(value, elementOf(like)); }
Expr CoreBuilder::splatLike(double value, Value like) {
  RankedTensorType type = typeOf(like);
  if (type.hasStaticShape())
    return splat(value, type.getElementType(), type.getShape());
  return broadcast(convertedScalar(value, like), dims(like), {});
}
Expr CoreBuilder::constant(ElementsAttr value) { return wrap(ConstantOp::create(builder, loc, value)); }
Expr CoreBuilder::ints(Ints values) {
  return constant(DenseElementsAttr::get(
      RankedTensorType::get({static_cast<int64_t>(values.size())}, builder.getI64Type()), values));
}

// ---- Pointwise ---------------------------------------------------------------------------------------------------------------

Expr CoreBuilder::unary(StringRef name, Value x) {
  OperationState state(loc, ("core." + name).str());
  state.addOperands(x);
  std::optional<RegisteredOperationName> info = state.name.getRegisteredInfo();
  assert(info && "no such core op");
  SmallVector<Type> types;
  if (mlir::failed(info->getInterface<InferTypeOpInterface>()->inferReturnTypes(
          builder.getContext(), loc, state.operands, {}, OpaqueProperties(nullptr), {}, types))) {
    failed = true;
    return wrap(x);
  }
  state.addTypes(types);
  return wrap(insertOrFold(state));
}

Sizes CoreBuilder::broadcastSizes(CoreBuilder &b, ArrayRef<Value> values) {
  int64_t rank = 0;
  for (Value v : values)
    rank = std::max(rank, rankOf(v));
  Sizes sizes(rank, b.builder.getIndexAttr(1));
  for (Value v : values)
    for (int64_t axis = 0, offset = rank - rankOf(v); axis < rankOf(v); ++axis) {
      OpFoldResult &size = sizes[offset + axis];
      std::optional<int64_t> known = getConstantIntValue(size);
      int64_t own = typeOf(v).getDimSize(axis);
      if (known && *known != 1 && !ShapedType::isDynamic(own) && own != 1 && own != *known && !b.failed) {
        emitError(b.loc, "shapes do not broadcast to each other: size ")
            << *known << " against " << own << " of " << v.getType();
        b.failed = true;
      }
      size = b.broadcastSize(size, b.dim(v, axis));
    }
  return sizes;
}

Expr CoreBuilder::binary(StringRef name, Value x, Value y) {
  if (Value list = shapeBinary(name, x, y))
    return wrap(list);
  if (!inferable(x, y)) {
    Sizes sizes = broadcastSizes(*this, {x, y});
    x = broadcastTo(x, sizes);
    y = broadcastTo(y, sizes);
  }
  OperationState state(loc, ("core." + name).str());
  state.addOperands({x, y});
  SmallVector<Type> types;
  assert(state.name.getRegisteredInfo() && "no such core op");
  if (failed || mlir::failed(inferPointwise(loc, state.operands, {}, types))) {
    failed = true;
    return wrap(x);
  }
  state.addTypes(types);
  return wrap(insertOrFold(state));
}

/// No broadcast is needed: every size is certainly equal.
bool CoreBuilder::inferable(Value x, Value y) {
  RankedTensorType a = typeOf(x), c = typeOf(y);
  if (a.getRank() != c.getRank())
    return false;
  if (x == y)
    return true;
  for (int64_t axis = 0; axis < a.getRank(); ++axis)
    if ((a.isDynamicDim(axis) || c.isDynamicDim(axis)) ? !isSame(dim(x, axis), dim(y, axis))
                                                       : a.getDimSize(axis) != c.getDimSize(axis))
      return false;
  return true;
}

Expr CoreBuilder::maximum(Value x, double y) { return binary("max", x, convertedScalar(y, x)); }
Expr CoreBuilder::minimum(Value x, double y) { return binary("min", x, convertedScalar(y, x)); }

Expr CoreBuilder::compare(Comparison predicate, Value x, Value y) {
  if (Value result = shapeCompare(predicate, x, y))
    return wrap(result);
  if (!inferable(x, y)) {
    Sizes sizes = broadcastSizes(*this, {x, y});
    x = broadcastTo(x, sizes);
    y = broadcastTo(y, sizes);
  }
  return wrap(make<CompareOp>(predicate, x, y));
}
// Integers are below 2.5 where they are below 3, and above 2.5 where they are above 2.
Expr CoreBuilder::compare(Comparison predicate, Value x, double y) {
  Type element = elementOf(x);
  bool isLow = predicate == Comparison::LT || predicate == Comparison::GE;
  double whole = isa<FloatType>(element) ? y : isLow ? std::ceil(y) : std::floor(y);
  bool isEquality = predicate == Comparison::EQ || predicate == Comparison::NE;
  if (numberAttr(element, whole) && (whole == y || !isEquality))
    return compare(predicate, x, convertedScalar(whole, x));
  // No integer of the type equals y, and all lie on one side of it.
  bool isAbove = y < 0 && !isEquality, holds = predicate == Comparison::NE;
  if (!isEquality && !std::isnan(y))
    holds = isAbove == (predicate == Comparison::GT || predicate == Comparison::GE);
  Type i1 = builder.getI1Type();
  return typeOf(x).hasStaticShape() ? splat(holds, i1, typeOf(x).getShape()) : broadcast(splat(holds, i1), dims(x), {});
}

Expr CoreBuilder::select(Value condition, Value x, Value y) {
  if (Value result = shapeSelect(condition, x, y))
    return wrap(result);
  if (!inferable(condition, x) || !inferable(x, y) || !inferable(condition, y)) {
    Sizes sizes = broadcastSizes(*this, {condition, x, y});
    condition = broadcastTo(condition, sizes);
    x = broadcastTo(x, sizes);
    y = broadcastTo(y, sizes);
  }
  return wrap(make<SelectOp>(condition, x, y));
}

Expr CoreBuilder::cast(Value x, Type element) {
  if (elementOf(x) == element)
    return wrap(x);
  if (isShapeArithmetic(x) && element.isSignlessInteger() && element.getIntOrFloatBitWidth() >= 32)
    return fromElements(*elements(x), element, rankOf(x) == 0);
  OperationState state(loc, CastOp::getOperationName());
  CastOp::build(builder, state, typeOf(x).clone(element), x);
  return wrap(insertOrFold(state));
}

// ---- Data movement -----------------------------------------------------------------------------------------------------------

Expr CoreBuilder::broadcast(Value x, const Sizes &sizes, Ints axes) {
  if (isShapeArithmetic(x) && sizes.size() == 1 && elements(x)->size() == 1)
    if (std::optional<int64_t> count = getConstantIntValue(sizes[0]); count && *count <= shapeElementsMax)
      return fromElements(Sizes(*count, (*elements(x))[0]), elementOf(x));
  // A dimension that stays as it is keeps its static size.
  Sizes refined = sizes, stretched = dims(x);
  SmallVector<int64_t> single;
  bool isIdentity = static_cast<int64_t>(sizes.size()) == rankOf(x), isStretched = false;
  for (auto [axis, at] : llvm::enumerate(axes)) {
    OpFoldResult own = stretched[axis];
    std::optional<int64_t> known = getConstantIntValue(own);
    if (known && *known != 1 && getConstantIntValue(sizes[at]).value_or(*known) == *known) {
      requireSame(own, sizes[at], "sizes");
      refined[at] = own;
    }
    bool isSameAs = isSame(own, refined[at]);
    isIdentity = isIdentity && isSameAs;
    if (isSameAs || known) // what does not fit is told by the op
      continue;
    if (isAtMost(own, 1))
      single.push_back(axis);
    else
      stretched[axis] = refined[at], isStretched = true;
  }
  if (isIdentity)
    return wrap(x);
  if (isStretched) {
    SplitSizes s(builder, stretched);
    x = make<StretchOp>(x, s.dynamic, s.fixed);
    if (static_cast<int64_t>(sizes.size()) == rankOf(x) && single.empty() &&
        llvm::all_of(llvm::zip_equal(stretched, refined),
                     [&](auto pair) { return isSame(std::get<0>(pair), std::get<1>(pair)); }))
      return wrap(x);
  }
  SplitSizes s(builder, refined);
  return wrap(make<BroadcastOp>(x, s.dynamic, axes, s.fixed, single));
}

Expr CoreBuilder::broadcastTo(Value x, const Sizes &sizes) {
  int64_t rank = rankOf(x), offset = static_cast<int64_t>(sizes.size()) - rank;
  if (offset < 0) {
    emitError(loc, "cannot broadcast ") << x.getType() << " to " << sizes.size() << " dimensions";
    failed = true;
    return wrap(x);
  }
  SmallVector<int64_t> axes;
  for (int64_t axis = 0; axis < rank; ++axis)
    axes.push_back(offset + axis);
  return broadcast(x, sizes, axes);
}

Expr CoreBuilder::reshape(Value x, const Sizes &sizes) {
  if (isShapeArithmetic(x) && sizes.size() <= 1)
    return fromElements(*elements(x), elementOf(x), sizes.empty());
  if (static_cast<int64_t>(sizes.size()) == rankOf(x)) {
    // Equal sizes but for one that is dynamic in both are the same shape: the product decides it.
    int64_t unknown = 0, contradicted = 0;
    for (auto [axis, size] : llvm::enumerate(sizes))
      if (!hasSize(x, axis, size)) {
        ++unknown;
        contradicted += getConstantIntValue(size) || !typeOf(x).isDynamicDim(axis);
      }
    if (unknown == 0 || (unknown == 1 && contradicted == 0))
      return wrap(x);
  }
  SplitSizes s(builder, sizes);
  return wrap(make<ReshapeOp>(x, s.dynamic, s.fixed));
}

static SmallVector<int64_t> normalizedAxes(Ints axes, int64_t rank) {
  SmallVector<int64_t> result;
  for (int64_t axis : axes)
    result.push_back(axis < 0 ? axis + rank : axis);
  llvm::sort(result);
  return result;
}

Expr CoreBuilder::squeeze(Value x, Ints axes) {
  SmallVector<int64_t> removed = normalizedAxes(axes, rankOf(x));
  Sizes sizes;
  for (int64_t axis = 0; axis < rankOf(x); ++axis)
    if (!llvm::is_contained(removed, axis))
      sizes.push_back(dim(x, axis));
  return reshape(x, sizes);
}

Expr CoreBuilder::unsqueeze(Value x, Ints axes) {
  int64_t rank = rankOf(x) + axes.size();
  SmallVector<int64_t> added = normalizedAxes(axes, rank);
  Sizes sizes;
  for (int64_t axis = 0, source = 0; axis < rank; ++axis)
    sizes.push_back(llvm::is_contained(added, axis) ? OpFoldResult(builder.getIndexAttr(1)) : dim(x, source++));
  return reshape(x, sizes);
}

Expr CoreBuilder::transpose(Value x, Ints permutation) {
  if (llvm::equal(permutation, llvm::seq<int64_t>(0, permutation.size())))
    return wrap(x);
  return wrap(make<TransposeOp>(x, permutation));
}

Expr CoreBuilder::slice(Value x, const Sizes &starts, const Sizes &sizes, Ints strides) {
  SmallVector<int64_t> steps(strides);
  if (steps.empty())
    steps.assign(rankOf(x), 1);
  if (isShapeArithmetic(x) && rankOf(x) == 1 && starts.size() == 1 && sizes.size() == 1 && steps.size() == 1) {
    std::optional<int64_t> start = getConstantIntValue(starts[0]), size = getConstantIntValue(sizes[0]);
    Sizes all = *elements(x), some;
    int64_t count = all.size();
    if (start && size && *start >= 0 && *size >= 0 && (*size == 0 || *start + (*size - 1) * steps[0] < count)) {
      for (int64_t i = 0; i < *size; ++i)
        some.push_back(all[*start + i * steps[0]]);
      return fromElements(some, elementOf(x));
    }
  }
  bool isIdentity = static_cast<int64_t>(sizes.size()) == rankOf(x) && starts.size() == sizes.size();
  for (auto [axis, size] : llvm::enumerate(sizes))
    isIdentity = isIdentity && getConstantIntValue(starts[axis]) == 0 && steps[axis] == 1 && hasSize(x, axis, size);
  if (isIdentity)
    return wrap(x);
  SplitSizes a(builder, starts), s(builder, sizes);
  return wrap(make<SliceOp>(x, a.dynamic, s.dynamic, a.fixed, s.fixed, steps));
}

Expr CoreBuilder::reverse(Value x, Ints axes) {
  SmallVector<int64_t> reversed;
  for (int64_t axis : axes)
    if (typeOf(x).getDimSize(axis) != 1)
      reversed.push_back(axis);
  if (reversed.empty())
    return wrap(x);
  if (isShapeArithmetic(x)) {
    Sizes values = *elements(x);
    std::reverse(values.begin(), values.end());
    return fromElements(values, elementOf(x));
  }
  return wrap(make<ReverseOp>(x, reversed));
}

Expr CoreBuilder::pad(Value x, Value scalar, const Sizes &low, const Sizes &high, Ints interior) {
  SmallVector<int64_t> between(interior);
  if (between.empty())
    between.assign(rankOf(x), 0);
  for (int64_t axis = 0; axis < rankOf(x); ++axis) // nothing lies between the elements of one
    if (typeOf(x).getDimSize(axis) == 1)
      between[axis] = 0;
  auto isZero = [](OpFoldResult size) { return getConstantIntValue(size) == 0; };
  if (llvm::all_of(low, isZero) && llvm::all_of(high, isZero) &&
      llvm::all_of(between, [](int64_t n) { return n == 0; }))
    return wrap(x);
  SplitSizes l(builder, low), h(builder, high);
  return wrap(make<PadOp>(x, scalar, l.dynamic, h.dynamic, l.fixed, h.fixed, between));
}

Expr CoreBuilder::padOrCrop(Value x, Value scalar, Sizes low, Sizes high, Ints interior) {
  OpFoldResult zero = builder.getIndexAttr(0);
  Sizes cropLow(low.size(), zero), cropHigh(low.size(), zero);
  bool crops = false;
  for (size_t axis = 0; axis < low.size(); ++axis) {
    auto cut = [&](OpFoldResult &pad, OpFoldResult &crop) {
      if (std::optional<int64_t> size = getConstantIntValue(pad); size && *size < 0) {
        crop = builder.getIndexAttr(-*size);
        pad = zero;
        crops = true;
      }
    };
    cut(low[axis], cropLow[axis]);
    cut(high[axis], cropHigh[axis]);
  }
  Value padded = pad(x, scalar, low, high, interior);
  if (!crops)
    return wrap(padded);
  Sizes sizes = dims(padded);
  for (size_t axis = 0; axis < low.size(); ++axis)
    sizes[axis] = indexDifference(sizes[axis], indexSum(cropLow[axis], cropHigh[axis]));
  return slice(padded, cropLow, sizes);
}

/// Concatenation becomes one insertion after the other, and each looks back at those before it.
static constexpr size_t concatPartsMax = 1024;

Expr CoreBuilder::concat(ArrayRef<Value> values, int64_t axis) {
  SmallVector<Value> parts;
  for (Value v : values) // empty parts vanish
    if (typeOf(v).getRank() <= axis || typeOf(v).getDimSize(axis) != 0 || (parts.empty() && v == values.back()))
      parts.push_back(v);
  if (parts.size() == 1)
    return wrap(parts[0]);
  if (llvm::all_of(parts, [&](Value v) { return rankOf(v) == 1; }) && isShapeArithmetic(parts)) {
    Sizes all;
    for (Value v : parts)
      llvm::append_range(all, *elements(v));
    if (static_cast<int64_t>(all.size()) <= shapeElementsMax)
      return fromElements(all, elementOf(parts[0]));
  }
  if (parts.size() <= concatPartsMax)
    return wrap(make<ConcatOp>(parts, axis));
  SmallVector<Value> joined;
  for (ArrayRef<Value> rest = parts; !rest.empty(); rest = rest.drop_front(std::min(rest.size(), concatPartsMax)))
    joined.push_back(make<ConcatOp>(rest.take_front(concatPartsMax), axis));
  return concat(joined, axis);
}

Expr CoreBuilder::iota(const Sizes &sizes, int64_t axis, Type element) {
  SplitSizes s(builder, sizes);
  OperationState state(loc, IotaOp::getOperationName());
  IotaOp::build(builder, state, RankedTensorType::get(s.fixed, element), s.dynamic, s.fixed, axis);
  return wrap(insertOrFold(state));
}

Expr CoreBuilder::randomBits(Value seed, const Sizes &sizes) {
  SplitSizes s(builder, sizes);
  auto type = RankedTensorType::get(s.fixed, builder.getIntegerType(32, /*isSigned=*/false));
  return wrap(RandomBitsOp::create(builder, loc, type, seed, s.dynamic, s.fixed));
}

Expr CoreBuilder::gather(Value x, Value indices, int64_t axis) {
  if (isShapeArithmetic(x) && rankOf(x) == 1 && rankOf(indices) <= 1) {
    std::optional<SmallVector<int64_t>> positions = constantInts(indices);
    Sizes all = *elements(x), some;
    int64_t count = all.size();
    if (positions && llvm::all_of(*positions, [&](int64_t i) { return i >= -count && i < count; }) &&
        static_cast<int64_t>(positions->size()) <= shapeElementsMax) {
      for (int64_t i : *positions)
        some.push_back(all[i < 0 ? i + count : i]);
      return fromElements(some, elementOf(x), rankOf(indices) == 0);
    }
  }
  return wrap(make<GatherOp>(x, indices, axis));
}
Expr CoreBuilder::gatherNd(Value x, Value indices, int64_t batchDims) {
  return wrap(make<GatherNdOp>(x, indices, batchDims));
}
Expr CoreBuilder::scatterNd(Value x, Value indices, Value updates, Reduction reduction) {
  return wrap(make<ScatterNdOp>(reduction, x, indices, updates, false));
}
Expr CoreBuilder::gatherElements(Value x, Value indices, int64_t axis) {
  return wrap(make<GatherElementsOp>(x, indices, axis));
}
Expr CoreBuilder::scatterElements(Value x, Value indices, Value updates, int64_t axis, Reduction reduction) {
  return wrap(make<ScatterElementsOp>(reduction, x, indices, updates, axis, false));
}
std::pair<Expr, Expr> CoreBuilder::sort(Value x, int64_t axis, bool descending) {
  if (axis < 0 || axis >= rankOf(x)) {
    emitError(loc, "axis ") << axis << " is not a dimension of " << x.getType();
    failed = true;
    return {wrap(x), wrap(x)};
  }
  auto op =
      SortOp::create(builder, loc, x.getType(), typeOf(x).clone(builder.getI64Type()), x, axis, descending, false);
  return {wrap(op.getValues()), wrap(op.getPositions())};
}

Expr CoreBuilder::sortRows(Value x) { return wrap(make<SortRowsOp>(x, false)); }

Expr CoreBuilder::positionsOf(Value mask) {
  auto compact = CompactOp::create(builder, loc, mask);
  OpFoldResult count = boundedSize(extractIndex(compact.getCount()), dim(mask, 0), "the number of elements");
  return slice(compact.getPositions(), {builder.getIndexAttr(0)}, {count});
}

Expr CoreBuilder::nms(Value boxes, Value scores, const BoxChoice &choice) {
  OpFoldResult zero = builder.getIndexAttr(0), limit = indexMin(indexMax(choice.limit, zero), dim(boxes, 1));
  OpFoldResult room = indexProduct(indexProduct(dim(scores, 0), dim(scores, 1)), limit);
  auto type = [&](Ints shape) { return RankedTensorType::get(shape, builder.getI64Type()); };
  int64_t rows = getConstantIntValue(room).value_or(ShapedType::kDynamic);
  auto op = NmsOp::create(builder, loc, type({rows, 3}), type({}), type({typeOf(boxes).getDimSize(1)}), boxes, scores,
                          choice.iouThreshold, choice.scoreThreshold, index(limit), index(room), choice.centerPoints);
  OpFoldResult count = boundedSize(extractIndex(op.getCount()), room, "the number of boxes");
  return slice(op.getSelected(), {zero, zero}, {count, builder.getIndexAttr(3)});
}

// ---- Reductions --------------------------------------------------------------------------------------------------------------

static Expr withUnitDims(CoreBuilder &b, Value reduced, Value x, Ints axes) {
  Sizes sizes;
  for (int64_t axis = 0; axis < CoreBuilder::rankOf(x); ++axis)
    sizes.push_back(llvm::is_contained(axes, axis) ? OpFoldResult(b.builder.getIndexAttr(1)) : b.dim(x, axis));
  return b.reshape(reduced, sizes);
}

Expr CoreBuilder::reduce(Reduction kind, Value x, Ints axes, bool keepDims) {
  SmallVector<int64_t> sorted = normalizedAxes(axes, rankOf(x));
  if (sorted.empty())
    return wrap(x);
  if (Value result = shapeReduce(kind, x, keepDims))
    return wrap(result);
  bool isUnit = llvm::all_of(
      sorted, [&](int64_t axis) { return axis >= 0 && axis < rankOf(x) && typeOf(x).getDimSize(axis) == 1; });
  if (isUnit)
    return keepDims ? wrap(x) : squeeze(x, sorted);
  Value reduced = make<ReduceOp>(kind, x, sorted);
  return keepDims && !failed ? withUnitDims(*this, reduced, x, sorted) : wrap(reduced);
}

Expr CoreBuilder::reduceMean(Value x, Ints axes, bool keepDims) {
  OpFoldResult count = builder.getIndexAttr(1);
  for (int64_t axis : normalizedAxes(axes, rankOf(x)))
    count = indexProduct(count, dim(x, axis));
  Type element = elementOf(x), wide = accumulatorOf(element); // neither the sum nor the count need fit into f16
  Expr sum = reduce(Reduction::Sum, cast(x, wide), axes, keepDims);
  if (std::optional<int64_t> number = getConstantIntValue(count))
    return cast(sum / static_cast<double>(*number), element);
  return cast(sum / cast(fromElements({count}, builder.getI64Type(), true), wide), element);
}

Expr CoreBuilder::argReduce(bool isMax, Value x, int64_t axis, bool keepDims, bool lastIndex) {
  if (axis < 0)
    axis += rankOf(x);
  Value reduced = make<ArgReduceOp>(isMax ? Reduction::Max : Reduction::Min, x, axis, lastIndex);
  return keepDims && !failed ? withUnitDims(*this, reduced, x, axis) : wrap(reduced);
}

Expr CoreBuilder::scan(Reduction kind, Value x, int64_t axis, bool exclusive, bool reverse) {
  return wrap(make<ScanOp>(kind, x, axis, exclusive, reverse, false));
}

Expr CoreBuilder::windowReduce(Reduction kind, Value x, const Window &w) {
  auto all = [](Ints values, int64_t expected) {
    return llvm::all_of(values, [&](int64_t v) { return v == expected; });
  };
  if (all(w.size, 1) && all(w.strides, 1) && all(w.padLow, 0) && all(w.padHigh, 0))
    return wrap(x);
  return wrap(make<WindowReduceOp>(kind, x, w.size, w.strides, w.dilations, w.padLow, w.padHigh));
}

// ---- Contractions ------------------------------------------------------------------------------------------------------------

Expr CoreBuilder::dot(Value lhs, Value rhs, const DotDims &dims, Type accumulator) {
  return wrap(make<DotOp>(lhs, rhs, dims.lhsBatch, dims.rhsBatch, dims.lhsContract, dims.rhsContract,
                          accumulator && accumulator != elementOf(lhs) ? TypeAttr::get(accumulator) : TypeAttr()));
}

// Batch dimensions that only one side has are free dimensions of that side, so that a matrix that all batches share is one contraction.
Expr CoreBuilder::matmul(Value lhs, Value rhs, Type accumulator) {
  bool lhsIsVector = rankOf(lhs) == 1, rhsIsVector = rankOf(rhs) == 1;
  if (lhsIsVector && rhsIsVector)
    return dot(lhs, rhs, {{}, {}, {0}, {0}}, accumulator);
  if (rankOf(lhs) == 0 || rankOf(rhs) == 0) {
    emitError(loc, "matmul of a scalar: ") << lhs.getType() << " and " << rhs.getType();
    failed = true;
    return wrap(lhs);
  }
  int64_t lhsRank = rankOf(lhs), rhsRank = rankOf(rhs);
  int64_t lhsBatch = lhsIsVector ? 0 : lhsRank - 2, rhsBatch = rhsIsVector ? 0 : rhsRank - 2;
  int64_t lhsContract = lhsRank - 1, rhsContract = rhsIsVector ? 0 : rhsRank - 2;
  if (rhsBatch == 0) // [b..., m, k] x [k, n]
    return dot(lhs, rhs, {{}, {}, {lhsContract}, {rhsContract}}, accumulator);
  // Broadcast both batches to each other.
  int64_t batch = std::max(lhsBatch, rhsBatch);
  Sizes sizes(batch, builder.getIndexAttr(1));
  for (auto [v, own] : {std::pair(lhs, lhsBatch), std::pair(rhs, rhsBatch)})
    for (int64_t axis = 0; axis < own; ++axis) {
      OpFoldResult &size = sizes[batch - own + axis];
      size = broadcastSize(size, dim(v, axis));
    }
  auto expand = [&](Value v, int64_t own) {
    Sizes full = sizes;
    for (int64_t axis = own; axis < rankOf(v); ++axis)
      full.push_back(dim(v, axis));
    return broadcastTo(v, full);
  };
  lhs = expand(lhs, lhsBatch);
  rhs = expand(rhs, rhsBatch);
  DotDims dims;
  for (int64_t axis = 0; axis < batch; ++axis) {
    dims.lhsBatch.push_back(axis);
    dims.rhsBatch.push_back(axis);
  }
  dims.lhsContract = {rankOf(lhs) - 1};
  dims.rhsContract = {rhsIsVector ? batch : rankOf(rhs) - 2};
  return dot(lhs, rhs, dims, accumulator);
}

Expr CoreBuilder::conv(Value lhs, Value rhs, const ConvDims &dims) {
  return wrap(make<ConvOp>(lhs, rhs, dims.strides, dims.padLow, dims.padHigh, dims.lhsDilation, dims.rhsDilation,
                           dims.groups, dims.channelsLast));
}

// ---- Expr --------------------------------------------------------------------------------------------------------------------

static Expr number(CoreBuilder *b, double value, Value like) { return b->splat(value, CoreBuilder::elementOf(like)); }
Expr operator+(Expr x, Expr y) { return x.b->binary("add", x, y); }
Expr operator-(Expr x, Expr y) { return x.b->binary("sub", x, y); }
Expr operator*(Expr x, Expr y) { return x.b->binary("mul", x, y); }
Expr operator/(Expr x, Expr y) { return x.b->binary("div", x, y); }
Expr operator-(Expr x) { return x.b->neg(x); }
Expr operator+(Expr x, double y) { return x + number(x.b, y, x); }
Expr operator-(Expr x, double y) { return x - number(x.b, y, x); }
Expr operator*(Expr x, double y) { return x * number(x.b, y, x); }
Expr operator/(Expr x, double y) { return x / number(x.b, y, x); }
Expr operator+(double x, Expr y) { return number(y.b, x, y) + y; }
Expr operator-(double x, Expr y) { return number(y.b, x, y) - y; }
Expr operator*(double x, Expr y) { return number(y.b, x, y) * y; }
Expr operator/(double x, Expr y) { return number(y.b, x, y) / y; }

} // namespace mlc::core
