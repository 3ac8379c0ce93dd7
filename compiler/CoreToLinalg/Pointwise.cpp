// Pointwise operations: one generic, whose body is the operation on scalars that stands beside it in ODS.
#include "compiler/CoreToLinalg/LinalgBuilder.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace mlc;

Value LinalgBuilder::pointwise(ArrayRef<Value> operands, RankedTensorType type, Body body) {
  Sizes sizes = sizesOf(operands.front());
  for (auto [axis, size] : llvm::enumerate(type.getShape())) {
    if (!ShapedType::isDynamic(size)) {
      sizes[axis] = b.getIndexAttr(size);
      continue;
    }
    // The result is declared dynamic, so its size is a value.
    sizes[axis] = index(sizes[axis]);
  }
  Value init = tensor::EmptyOp::create(b, loc, type.getShape(), type.getElementType(), [&] {
    SmallVector<Value> dynamic;
    for (auto [axis, size] : llvm::enumerate(type.getShape()))
      if (ShapedType::isDynamic(size))
        dynamic.push_back(cast<Value>(sizes[axis]));
    return dynamic;
  }());
  SmallVector<AffineMap> maps(operands.size() + 1, b.getMultiDimIdentityMap(type.getRank()));
  SmallVector<utils::IteratorType> iterators(type.getRank(), utils::IteratorType::parallel);
  return linalg::GenericOp::create(b, loc, type, operands, init, maps, iterators,
                                   [&](OpBuilder &nested, Location l, ValueRange arguments) {
                                     linalg::YieldOp::create(nested, l, body(nested, l, arguments.drop_back()));
                                   })
      .getResult(0);
}

core::Sizes LinalgBuilder::sizesOf(Value tensor) { return tensor::getMixedSizes(b, loc, tensor); }

Value LinalgBuilder::empty(const Sizes &sizes, Type element) { return tensor::EmptyOp::create(b, loc, sizes, element); }

Value LinalgBuilder::filled(Value scalar, const Sizes &sizes) {
  return linalg::FillOp::create(b, loc, scalar, empty(sizes, scalar.getType())).getResult(0);
}

Value LinalgBuilder::constantIndex(int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); }

Value LinalgBuilder::index(OpFoldResult size) { return getValueOrCreateConstantIndexOp(b, loc, size); }

OpFoldResult LinalgBuilder::sum(OpFoldResult x, OpFoldResult y) {
  auto constantX = getConstantIntValue(x), constantY = getConstantIntValue(y);
  if (constantX && constantY)
    return b.getIndexAttr(*constantX + *constantY);
  if (constantX == 0)
    return y;
  if (constantY == 0)
    return x;
  return Value(arith::AddIOp::create(b, loc, index(x), index(y)));
}

Value LinalgBuilder::scalarOf(Value tensor) {
  if (auto constant = tensor.getDefiningOp<arith::ConstantOp>())
    if (auto dense = dyn_cast<DenseElementsAttr>(constant.getValue()); dense && dense.isSplat())
      return arith::ConstantOp::create(b, loc, cast<TypedAttr>(dense.getSplatValue<Attribute>()));
  return tensor::ExtractOp::create(b, loc, tensor, ValueRange{});
}

SmallVector<utils::IteratorType> mlc::iteratorsFrom(StringRef kinds) {
  SmallVector<utils::IteratorType> result;
  for (char kind : kinds)
    result.push_back(kind == 'p' ? utils::IteratorType::parallel : utils::IteratorType::reduction);
  return result;
}
