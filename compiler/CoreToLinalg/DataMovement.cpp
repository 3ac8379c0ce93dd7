// Movement of data: copies with an indexing map, views, fills and insertions.
#include "compiler/CoreToLinalg/LinalgBuilder.h"
#include "dialects/core/Scalar.h"
#include "dialects/core/SizeFacts.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Utils/ReshapeOpsUtils.h"

using namespace mlir;
using namespace mlc;

/// y[i] = x[map(i)]
static Value copyThrough(LinalgBuilder &l, Value x, AffineMap map, const core::Sizes &sizes) {
  Value init = l.empty(sizes, getElementTypeOrSelf(x.getType()));
  int64_t rank = sizes.size();
  SmallVector<utils::IteratorType> iterators(rank, utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             l.b, l.loc, init.getType(), x, init, ArrayRef<AffineMap>{map, l.b.getMultiDimIdentityMap(rank)}, iterators,
             [](OpBuilder &b, Location loc, ValueRange arguments) { linalg::YieldOp::create(b, loc, arguments[0]); })
      .getResult(0);
}

Value LinalgBuilder::dropUnitDims(Value x, Ints axes) {
  if (axes.empty())
    return x;
  auto type = cast<RankedTensorType>(x.getType());
  SmallVector<ReassociationIndices> groups;
  ReassociationIndices pending;
  for (int64_t axis = 0; axis < type.getRank(); ++axis) {
    pending.push_back(axis);
    if (llvm::is_contained(axes, axis))
      continue;
    groups.push_back(pending);
    pending.clear();
  }
  if (!pending.empty() && !groups.empty())
    groups.back().append(pending.begin(), pending.end());
  SmallVector<int64_t> shape;
  for (int64_t axis = 0; axis < type.getRank(); ++axis)
    if (!llvm::is_contained(axes, axis))
      shape.push_back(type.getDimSize(axis));
  return tensor::CollapseShapeOp::create(b, loc, RankedTensorType::get(shape, type.getElementType()), x, groups);
}

/// The same rows, of sizes that are called 1: what may have none is a view that nobody reads then.
static Value firstOf(LinalgBuilder &l, Value x, ArrayRef<int64_t> axes) {
  if (axes.empty())
    return x;
  int64_t rank = cast<RankedTensorType>(x.getType()).getRank();
  core::Sizes starts(rank, l.b.getIndexAttr(0)), strides(rank, l.b.getIndexAttr(1)), sizes = l.sizesOf(x);
  for (int64_t axis : axes)
    sizes[axis] = l.b.getIndexAttr(1);
  return tensor::ExtractSliceOp::create(l.b, l.loc, x, starts, sizes, strides);
}

Value LinalgBuilder::broadcast(Value x, Ints axes, const Sizes &sizes, Ints single) {
  x = firstOf(*this, x, single);
  auto type = cast<RankedTensorType>(x.getType());
  // A dimension of size 1 that is stretched has no place in the map.
  SmallVector<int64_t> dropped;
  SmallVector<AffineExpr> results;
  for (auto [axis, target] : llvm::enumerate(axes)) {
    if (type.getDimSize(axis) == 1 && !isConstantIntValue(sizes[target], 1))
      dropped.push_back(axis);
    else
      results.push_back(b.getAffineDimExpr(target));
  }
  return copyThrough(*this, dropUnitDims(x, dropped), AffineMap::get(sizes.size(), 0, results, b.getContext()), sizes);
}

/// Reassociation between `few` and `many` (more dimensions) that differ in dimensions of size 1 and in static factors only; none if it
/// cannot be told. [n, m] and [m, n, 1] have equal types and are no such pair: open dimensions must be known to be the same, all but one,
/// which is what the number of elements leaves for it.
static std::optional<SmallVector<ReassociationIndices>> reassociate(ArrayRef<int64_t> few, ArrayRef<int64_t> many,
                                                                    SameDims isSame) {
  SmallVector<ReassociationIndices> groups;
  size_t next = 0;
  bool isOneUnknown = false;
  for (size_t i = 0; i < few.size(); ++i) {
    ReassociationIndices group;
    if (ShapedType::isDynamic(few[i])) {
      // A dynamic dimension is one dynamic dimension of the other shape, and ones.
      while (next < many.size() && many[next] == 1)
        group.push_back(next++);
      if (next == many.size() || !ShapedType::isDynamic(many[next]))
        return std::nullopt;
      bool isUnknown = !isSame(i, next);
      if (isUnknown && std::exchange(isOneUnknown, true))
        return std::nullopt;
      group.push_back(next++);
    } else {
      int64_t product = 1;
      while (next < many.size() && !ShapedType::isDynamic(many[next]) && (product < few[i] || group.empty())) {
        product *= many[next];
        group.push_back(next++);
      }
      if (product != few[i] || group.empty())
        return std::nullopt;
    }
    groups.push_back(group);
  }
  // What is left over belongs to the last group, if it is all ones.
  while (next < many.size()) {
    if (many[next] != 1 || groups.empty())
      return std::nullopt;
    groups.back().push_back(next++);
  }
  return groups;
}

/// Do the shapes say the same but for one dimension that only one of them knows? Then equal numbers of elements make it equal too.
static bool differInKnowledge(RankedTensorType from, RankedTensorType to) {
  int64_t differing = 0;
  for (auto [a, c] : llvm::zip(from.getShape(), to.getShape())) {
    if (a == c && !ShapedType::isDynamic(a))
      continue;
    if (++differing > 1 || (!ShapedType::isDynamic(a) && !ShapedType::isDynamic(c)))
      return false;
  }
  return from.getRank() == to.getRank();
}

Value LinalgBuilder::reshape(Value x, const Sizes &sizes, SameDims isSame) {
  auto type = cast<RankedTensorType>(x.getType());
  SmallVector<int64_t> shape;
  for (OpFoldResult size : sizes)
    shape.push_back(getConstantIntValue(size).value_or(ShapedType::kDynamic));
  auto target = RankedTensorType::get(shape, type.getElementType());
  if (target == type && type.getNumDynamicDims() <= 1)
    return x;
  if (type.getRank() == 0 && target.hasStaticShape())
    return tensor::ExpandShapeOp::create(b, loc, target, x, ArrayRef<ReassociationIndices>{});
  if (target.getRank() == 0) { // one element: every size is 1, also one that the type leaves open
    auto one = RankedTensorType::get(SmallVector<int64_t>(type.getRank(), 1), type.getElementType());
    Value known = one == type ? Value(x) : tensor::CastOp::create(b, loc, one, x);
    return tensor::CollapseShapeOp::create(b, loc, target, known, ArrayRef<ReassociationIndices>{});
  }
  bool zeroSized = core::hasNoElements(target) || core::hasNoElements(type);
  if (differInKnowledge(type, target) && !zeroSized)
    return tensor::CastOp::create(b, loc, target, x);
  if (target.hasStaticShape() && core::hasNoElements(target))
    return empty(sizes, type.getElementType());
  if (!zeroSized && type.getRank() > target.getRank())
    if (auto groups = reassociate(shape, type.getShape(), [&](int64_t few, int64_t many) { return isSame(many, few); }))
      return tensor::CollapseShapeOp::create(b, loc, target, x, *groups);
  if (!zeroSized && type.getRank() < target.getRank() && type.getRank() > 0)
    if (auto groups = reassociate(type.getShape(), shape, isSame))
      return tensor::ExpandShapeOp::create(b, loc, target, x, *groups, sizes);
  if (!zeroSized && type.hasStaticShape() && target.hasStaticShape()) {
    ReassociationIndices all(llvm::to_vector(llvm::seq<int64_t>(0, type.getRank())));
    Value flat = type.getRank() == 1
                     ? x
                     : Value(tensor::CollapseShapeOp::create(b, loc, x, ArrayRef<ReassociationIndices>{all}));
    if (target.getRank() == 1)
      return flat;
    all.assign(llvm::to_vector(llvm::seq<int64_t>(0, target.getRank())));
    return tensor::ExpandShapeOp::create(b, loc, target, flat, ArrayRef<ReassociationIndices>{all});
  }
  SmallVector<Value> values;
  for (OpFoldResult size : sizes)
    values.push_back(index(size));
  Value list =
      tensor::FromElementsOp::create(b, loc, RankedTensorType::get({target.getRank()}, b.getIndexType()), values);
  return tensor::ReshapeOp::create(b, loc, target, x, list);
}

Value LinalgBuilder::transpose(Value x, Ints permutation) {
  // y[i] = x[j] with j[permutation[k]] = i[k]
  int64_t rank = permutation.size();
  SmallVector<AffineExpr> results(rank);
  Sizes from = sizesOf(x), sizes;
  for (auto [k, axis] : llvm::enumerate(permutation)) {
    results[axis] = b.getAffineDimExpr(k);
    sizes.push_back(from[axis]);
  }
  return copyThrough(*this, x, AffineMap::get(rank, 0, results, b.getContext()), sizes);
}

Value LinalgBuilder::slice(Value x, const Sizes &starts, const Sizes &sizes, Ints strides) {
  // Nothing at all: extract_slice wants every offset inside of its source.
  auto type = cast<RankedTensorType>(x.getType());
  Sizes known(sizes);
  for (auto [axis, size] : llvm::enumerate(type.getShape()))
    if (size == 0)
      known[axis] = b.getIndexAttr(0);
  if (llvm::any_of(known, [](OpFoldResult size) { return isConstantIntValue(size, 0); }))
    return empty(known, type.getElementType());
  Sizes steps;
  for (int64_t stride : strides)
    steps.push_back(b.getIndexAttr(stride));
  return tensor::ExtractSliceOp::create(b, loc, x, starts, sizes, steps);
}

Value LinalgBuilder::reverse(Value x, Ints axes) {
  auto type = cast<RankedTensorType>(x.getType());
  Sizes sizes = sizesOf(x);
  Value init = empty(sizes, type.getElementType());
  SmallVector<Value> last(type.getRank());
  for (int64_t axis : axes)
    last[axis] = Value(arith::SubIOp::create(b, loc, index(sizes[axis]), constantIndex(1)));
  SmallVector<utils::IteratorType> iterators(type.getRank(), utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             b, loc, init.getType(), ValueRange{}, init, ArrayRef<AffineMap>{b.getMultiDimIdentityMap(type.getRank())},
             iterators,
             [&](OpBuilder &nested, Location l, ValueRange) {
               SmallVector<Value> indices;
               for (int64_t axis = 0; axis < type.getRank(); ++axis) {
                 Value i = linalg::IndexOp::create(nested, l, axis);
                 indices.push_back(last[axis] ? Value(arith::SubIOp::create(nested, l, last[axis], i)) : i);
               }
               linalg::YieldOp::create(nested, l, tensor::ExtractOp::create(nested, l, x, indices).getResult());
             })
      .getResult(0);
}

Value LinalgBuilder::pad(Value x, Value scalar, const Sizes &low, const Sizes &high, Ints interior) {
  Sizes sizes = sizesOf(x), padded, steps;
  for (auto [axis, size] : llvm::enumerate(sizes)) {
    int64_t step = interior.empty() ? 1 : interior[axis] + 1;
    OpFoldResult spread = size;
    if (step > 1) {
      // max(0, (size - 1) * step + 1)
      if (auto constant = getConstantIntValue(size)) {
        spread = b.getIndexAttr(std::max<int64_t>(0, (*constant - 1) * step + 1));
      } else {
        Value length = arith::AddIOp::create(
            b, loc,
            arith::MulIOp::create(b, loc, arith::SubIOp::create(b, loc, index(size), constantIndex(1)),
                                  constantIndex(step)),
            constantIndex(1));
        spread = Value(arith::MaxSIOp::create(b, loc, length, constantIndex(0)));
      }
    }
    padded.push_back(sum(sum(spread, low[axis]), high[axis]));
    steps.push_back(b.getIndexAttr(step));
  }
  return insert(x, filled(scalarOf(scalar), padded), low, sizes, steps);
}

Value LinalgBuilder::insert(Value x, Value into, const Sizes &starts, const Sizes &sizes, const Sizes &steps) {
  for (Value value : {x, into})
    if (core::hasNoElements(cast<RankedTensorType>(value.getType()))) // no place is inside of nothing
      return into;
  return tensor::InsertSliceOp::create(b, loc, x, into, starts, sizes, steps);
}

Value LinalgBuilder::concat(ArrayRef<Value> values, int64_t axis, RankedTensorType type) {
  OpFoldResult total = b.getIndexAttr(0);
  for (Value value : values)
    total = sum(total, sizesOf(value)[axis]);
  Sizes sizes = sizesOf(values.front());
  sizes[axis] = total;
  for (auto [i, size] : llvm::enumerate(type.getShape()))
    if (!ShapedType::isDynamic(size))
      sizes[i] = b.getIndexAttr(size);
  Value result = empty(sizes, type.getElementType());
  Sizes starts(type.getRank(), b.getIndexAttr(0)), ones(type.getRank(), b.getIndexAttr(1));
  for (Value value : values) {
    Sizes part = sizesOf(value);
    result = insert(value, result, starts, part, ones);
    starts[axis] = sum(starts[axis], part[axis]);
  }
  return result;
}

Value LinalgBuilder::iota(const Sizes &sizes, int64_t axis, Type element) {
  Value init = empty(sizes, core::signless(element));
  int64_t rank = sizes.size();
  SmallVector<utils::IteratorType> iterators(rank, utils::IteratorType::parallel);
  return linalg::GenericOp::create(b, loc, init.getType(), ValueRange{}, init,
                                   ArrayRef<AffineMap>{b.getMultiDimIdentityMap(rank)}, iterators,
                                   [&](OpBuilder &nested, Location l, ValueRange) {
                                     Value i = arith::IndexCastOp::create(nested, l, nested.getI64Type(),
                                                                          linalg::IndexOp::create(nested, l, axis));
                                     core::ScalarBuilder scalar{nested, l, nested.getI64Type()};
                                     linalg::YieldOp::create(nested, l, scalar.cast(i, element));
                                   })
      .getResult(0);
}
