// Gathers: generics over the result whose bodies read the tensor at an index that another tensor holds. An index counts from the
// end if it is negative, and is clamped into range: what is read is always inside of the tensor.
#include "compiler/CoreToLinalg/LinalgBuilder.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace mlc;

/// An integer of the model as an index in [0, size).
static Value indexInto(OpBuilder &b, Location loc, Value integer, Value size) {
  Value index = arith::IndexCastOp::create(b, loc, b.getIndexType(), integer);
  Value zero = arith::ConstantIndexOp::create(b, loc, 0), one = arith::ConstantIndexOp::create(b, loc, 1);
  Value negative = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, index, zero);
  index = arith::SelectOp::create(b, loc, negative, arith::AddIOp::create(b, loc, index, size), index);
  index = arith::MinSIOp::create(b, loc, index, arith::SubIOp::create(b, loc, size, one));
  return arith::MaxSIOp::create(b, loc, index, zero);
}

static SmallVector<Value> sizeValues(LinalgBuilder &l, Value x) {
  SmallVector<Value> sizes;
  for (OpFoldResult size : l.sizesOf(x))
    sizes.push_back(l.index(size));
  return sizes;
}

static Value generate(LinalgBuilder &l, const core::Sizes &sizes, Type element, ArrayRef<Value> inputs,
                      ArrayRef<AffineMap> inputMaps,
                      llvm::function_ref<Value(OpBuilder &, Location, ValueRange)> body) {
  Value init = l.empty(sizes, element);
  SmallVector<AffineMap> maps(inputMaps);
  maps.push_back(l.b.getMultiDimIdentityMap(sizes.size()));
  SmallVector<utils::IteratorType> iterators(sizes.size(), utils::IteratorType::parallel);
  return linalg::GenericOp::create(l.b, l.loc, init.getType(), inputs, init, maps, iterators,
                                   [&](OpBuilder &b, Location loc, ValueRange arguments) {
                                     linalg::YieldOp::create(b, loc, body(b, loc, arguments.drop_back()));
                                   })
      .getResult(0);
}

Value LinalgBuilder::gather(Value x, Value indices, int64_t axis) {
  int64_t rank = cast<RankedTensorType>(x.getType()).getRank(),
          count = cast<RankedTensorType>(indices.getType()).getRank();
  Sizes from = sizesOf(x), sizes(from.begin(), from.begin() + axis);
  llvm::append_range(sizes, sizesOf(indices));
  sizes.append(from.begin() + axis + 1, from.end());
  SmallVector<AffineExpr> results;
  for (int64_t i = 0; i < count; ++i)
    results.push_back(b.getAffineDimExpr(axis + i));
  SmallVector<Value> limits = sizeValues(*this, x);
  return generate(*this, sizes, getElementTypeOrSelf(x.getType()), {indices},
                  {AffineMap::get(sizes.size(), 0, results, b.getContext())},
                  [&](OpBuilder &nested, Location l, ValueRange arguments) -> Value {
                    SmallVector<Value> at;
                    for (int64_t i = 0; i < rank; ++i)
                      at.push_back(i == axis ? indexInto(nested, l, arguments[0], limits[axis])
                                             : Value(linalg::IndexOp::create(nested, l, i < axis ? i : i + count - 1)));
                    return tensor::ExtractOp::create(nested, l, x, at);
                  });
}

Value LinalgBuilder::gatherNd(Value x, Value indices, int64_t batchDims) {
  auto xType = cast<RankedTensorType>(x.getType()), indexType = cast<RankedTensorType>(indices.getType());
  int64_t rank = xType.getRank(), outer = indexType.getRank() - 1, depth = indexType.getDimSize(outer);
  Sizes sizes = sizesOf(indices), from = sizesOf(x);
  sizes.pop_back();
  sizes.append(from.begin() + batchDims + depth, from.end());
  SmallVector<Value> limits = sizeValues(*this, x);
  return generate(
      *this, sizes, xType.getElementType(), {}, {}, [&](OpBuilder &nested, Location l, ValueRange) -> Value {
        SmallVector<Value> at, place;
        for (int64_t i = 0; i < outer; ++i)
          place.push_back(linalg::IndexOp::create(nested, l, i));
        place.push_back({});
        for (int64_t i = 0; i < rank; ++i) {
          if (i < batchDims) {
            at.push_back(place[i]);
          } else if (i < batchDims + depth) {
            place.back() = arith::ConstantIndexOp::create(nested, l, i - batchDims);
            at.push_back(indexInto(nested, l, tensor::ExtractOp::create(nested, l, indices, place), limits[i]));
          } else {
            at.push_back(linalg::IndexOp::create(nested, l, outer + i - batchDims - depth));
          }
        }
        return tensor::ExtractOp::create(nested, l, x, at);
      });
}

Value LinalgBuilder::gatherElements(Value x, Value indices, int64_t axis) {
  int64_t rank = cast<RankedTensorType>(x.getType()).getRank();
  SmallVector<Value> limits = sizeValues(*this, x);
  return generate(*this, sizesOf(indices), getElementTypeOrSelf(x.getType()), {indices},
                  {b.getMultiDimIdentityMap(rank)}, [&](OpBuilder &nested, Location l, ValueRange arguments) -> Value {
                    SmallVector<Value> at;
                    for (int64_t i = 0; i < rank; ++i)
                      at.push_back(i == axis ? indexInto(nested, l, arguments[0], limits[axis])
                                             : Value(linalg::IndexOp::create(nested, l, i)));
                    return tensor::ExtractOp::create(nested, l, x, at);
                  });
}
