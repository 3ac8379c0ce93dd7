// random_bits: threefry2x32-20 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) of each element's position. Adds,
// rotations and exclusive ors only, so that it vectorises everywhere.
#include "compiler/CoreToLinalg/LinalgBuilder.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace mlc;

namespace {
struct Words {
  OpBuilder &b;
  Location loc;
  Value constant(uint32_t value) {
    return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(static_cast<int32_t>(value)));
  }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value exclusiveOr(Value x, Value y) { return arith::XOrIOp::create(b, loc, x, y); }
  Value rotate(Value x, uint32_t bits) {
    return arith::OrIOp::create(b, loc, arith::ShLIOp::create(b, loc, x, constant(bits)),
                                arith::ShRUIOp::create(b, loc, x, constant(32 - bits)));
  }
  /// The low and the high half of an i64.
  std::pair<Value, Value> halves(Value x) {
    Value high = arith::ShRUIOp::create(b, loc, x, arith::ConstantOp::create(b, loc, b.getI64IntegerAttr(32)));
    return {arith::TruncIOp::create(b, loc, b.getI32Type(), x), arith::TruncIOp::create(b, loc, b.getI32Type(), high)};
  }
};
} // namespace

/// The first of the two words.
static Value threefry(Words w, Value key, Value counter) {
  auto [k0, k1] = w.halves(key);
  auto [x0, x1] = w.halves(counter);
  Value keys[] = {k0, k1, w.exclusiveOr(w.exclusiveOr(k0, k1), w.constant(0x1BD11BDA))};
  static constexpr uint32_t rotations[] = {13, 15, 26, 6, 17, 29, 16, 24};
  x0 = w.add(x0, keys[0]);
  x1 = w.add(x1, keys[1]);
  for (uint32_t round = 0; round < 20; ++round) {
    x0 = w.add(x0, x1);
    x1 = w.exclusiveOr(w.rotate(x1, rotations[round % 8]), x0);
    if (round % 4 == 3) {
      uint32_t injection = round / 4 + 1;
      x0 = w.add(x0, keys[injection % 3]);
      x1 = w.add(w.add(x1, keys[(injection + 1) % 3]), w.constant(injection));
    }
  }
  return x0;
}

Value LinalgBuilder::randomBits(Value seed, const Sizes &sizes) {
  Value init = empty(sizes, b.getI32Type());
  int64_t rank = sizes.size();
  SmallVector<Value> extents;
  for (OpFoldResult size : sizes)
    extents.push_back(index(size));
  SmallVector<AffineMap> maps = {AffineMap::get(rank, 0, b.getContext()), b.getMultiDimIdentityMap(rank)};
  return linalg::GenericOp::create(
             b, loc, init.getType(), seed, init, maps, iteratorsFrom(std::string(rank, 'p')),
             [&](OpBuilder &nested, Location l, ValueRange v) {
               Value position = arith::ConstantIndexOp::create(nested, l, 0);
               for (int64_t axis = 0; axis < rank; ++axis)
                 position = arith::AddIOp::create(nested, l, arith::MulIOp::create(nested, l, position, extents[axis]),
                                                  linalg::IndexOp::create(nested, l, axis));
               Value counter = arith::IndexCastOp::create(nested, l, nested.getI64Type(), position);
               linalg::YieldOp::create(nested, l, threefry({nested, l}, v[0], counter));
             })
      .getResult(0);
}
