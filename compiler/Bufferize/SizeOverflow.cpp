// Tests of all products of a function, made from the products themselves (see SizeOverflow.h).
#include "compiler/Bufferize/SizeOverflow.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace mlc;

/// Affine maps as the additions and multiplications that they stand for.
static void expandMaps(func::FuncOp sizes) {
  for (auto apply : llvm::make_early_inc_range(sizes.getOps<affine::AffineApplyOp>())) {
    OpBuilder here(apply);
    auto values = affine::expandAffineMap(here, apply.getLoc(), apply.getAffineMap(), apply.getMapOperands());
    if (!values)
      continue;
    apply.replaceAllUsesWith(values->front());
    apply.erase();
  }
}

/// The high half of a product that fits holds copies of the low half's sign.
static Value overflows(arith::MulIOp product, OpBuilder &b) {
  Location loc = product.getLoc();
  auto number = [&](Value x) -> Value { // MLIR 22 rewrites products of indices to ops that indices do not have
    return x.getType().isIndex() ? arith::IndexCastOp::create(b, loc, b.getI64Type(), x) : x;
  };
  auto both = arith::MulSIExtendedOp::create(b, loc, number(product.getLhs()), number(product.getRhs()));
  Type type = both.getLow().getType();
  Value last = arith::ConstantOp::create(b, loc, b.getIntegerAttr(type, type.getIntOrFloatBitWidth() - 1));
  Value sign = arith::ShRSIOp::create(b, loc, both.getLow(), last);
  return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, both.getHigh(), sign);
}

Value mlc::anyOf(SmallVector<Value> conditions, OpBuilder &b, Location loc) {
  if (conditions.empty())
    return arith::ConstantOp::create(b, loc, b.getBoolAttr(false));
  while (conditions.size() > 1) {
    size_t half = (conditions.size() + 1) / 2;
    for (size_t i = 0; i + half < conditions.size(); ++i)
      conditions[i] = arith::OrIOp::create(b, loc, conditions[i], conditions[i + half]);
    conditions.truncate(half);
  }
  return conditions.front();
}

Value mlc::productOverflows(func::FuncOp sizes, OpBuilder &b) {
  expandMaps(sizes);
  SmallVector<arith::MulIOp> products(sizes.getOps<arith::MulIOp>());
  SmallVector<Value> conditions;
  for (arith::MulIOp product : products)
    if (!getConstantIntValue(product.getLhs()) || !getConstantIntValue(product.getRhs()))
      conditions.push_back(overflows(product, b));
  return anyOf(conditions, b, sizes.getLoc());
}
