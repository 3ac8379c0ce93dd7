// Reductions, windows and contractions: generics with reduction loops, parallel loops first. f16 and bf16 accumulate in f32.
#include "compiler/CoreToLinalg/LinalgBuilder.h"
#include "dialects/core/Scalar.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace mlc;
using namespace mlc::core;

static Value castTo(OpBuilder &b, Location loc, Value x, Type from, Type to) {
  return from == to ? x : ScalarBuilder{b, loc, from}.cast(x, to);
}

/// (d0, ..., d[loops - 1]) -> (d0, ..., d[count - 1])
static AffineMap leadingLoops(OpBuilder &b, int64_t loops, int64_t count) {
  return count == 0 ? AffineMap::get(loops, 0, b.getContext()) : b.getMultiDimIdentityMap(loops).getMajorSubMap(count);
}

Value LinalgBuilder::convert(Value x, Type from, Type to) {
  if (from == to)
    return x;
  auto type = cast<RankedTensorType>(x.getType());
  return pointwise({x}, RankedTensorType::get(type.getShape(), signless(to)),
                   [&](OpBuilder &nested, Location l, ValueRange v) { return castTo(nested, l, v[0], from, to); });
}

static Value neutralScalar(LinalgBuilder &l, Reduction kind, Type element) {
  return arith::ConstantOp::create(l.b, l.loc, ScalarBuilder{l.b, l.loc, element}.neutral(kind));
}

Value LinalgBuilder::reduce(Reduction kind, Value x, Ints axes, Type element) {
  Type accumulator = kind == Reduction::Sum || kind == Reduction::Prod ? accumulatorOf(element) : element;
  Sizes from = sizesOf(x), sizes;
  int64_t rank = from.size(), outer = rank - static_cast<int64_t>(axes.size()), nextOuter = 0, nextInner = outer;
  SmallVector<AffineExpr> results;
  for (int64_t axis = 0; axis < rank; ++axis) {
    bool reduced = llvm::is_contained(axes, axis);
    results.push_back(b.getAffineDimExpr(reduced ? nextInner++ : nextOuter++));
    if (!reduced)
      sizes.push_back(from[axis]);
  }
  Value init = filled(neutralScalar(*this, kind, accumulator), sizes);
  std::string iterators = std::string(outer, 'p') + std::string(axes.size(), 'r');
  SmallVector<AffineMap> maps = {AffineMap::get(rank, 0, results, b.getContext()), leadingLoops(b, rank, outer)};
  Value sum =
      linalg::GenericOp::create(b, loc, init.getType(), x, init, maps, iteratorsFrom(iterators),
                                [&](OpBuilder &nested, Location l, ValueRange v) {
                                  Value value = castTo(nested, l, v[0], element, accumulator);
                                  linalg::YieldOp::create(
                                      nested, l, ScalarBuilder{nested, l, accumulator}.combine(kind, v[1], value));
                                })
          .getResult(0);
  return convert(sum, accumulator, element);
}

Value LinalgBuilder::argReduce(bool isMax, Value x, int64_t axis, bool last, Type element) {
  Sizes sizes = sizesOf(x);
  int64_t rank = sizes.size(), nextOuter = 0;
  sizes.erase(sizes.begin() + axis);
  SmallVector<AffineExpr> results;
  for (int64_t i = 0; i < rank; ++i)
    results.push_back(b.getAffineDimExpr(i == axis ? rank - 1 : nextOuter++));
  Value best = filled(neutralScalar(*this, isMax ? Reduction::Max : Reduction::Min, element), sizes);
  // No position yet: the first element is taken whatever it is.
  Value position = filled(arith::ConstantOp::create(b, loc, b.getI64IntegerAttr(-1)), sizes);
  AffineMap outer = leadingLoops(b, rank, rank - 1);
  auto op = linalg::GenericOp::create(
      b, loc, TypeRange{best.getType(), position.getType()}, x, ValueRange{best, position},
      ArrayRef<AffineMap>{AffineMap::get(rank, 0, results, b.getContext()), outer, outer},
      iteratorsFrom(std::string(rank - 1, 'p') + "r"), [&](OpBuilder &nested, Location l, ValueRange v) {
        ScalarBuilder scalar{nested, l, element};
        Comparison better = isMax ? (last ? Comparison::GE : Comparison::GT) : (last ? Comparison::LE : Comparison::LT);
        Value takes = scalar.compare(better, v[0], v[1]);
        if (scalar.isFloat()) { // NaN wins and stays: the first one, or the last
          takes = arith::OrIOp::create(nested, l, takes,
                                       arith::CmpFOp::create(nested, l, arith::CmpFPredicate::UNO, v[0], v[0]));
          if (!last)
            takes = arith::AndIOp::create(nested, l, takes,
                                          arith::CmpFOp::create(nested, l, arith::CmpFPredicate::ORD, v[1], v[1]));
        }
        Value none = arith::CmpIOp::create(nested, l, arith::CmpIPredicate::slt, v[2],
                                           arith::ConstantOp::create(nested, l, nested.getI64IntegerAttr(0)));
        takes = arith::OrIOp::create(nested, l, takes, none);
        Value here =
            arith::IndexCastOp::create(nested, l, nested.getI64Type(), linalg::IndexOp::create(nested, l, rank - 1));
        Value value = arith::SelectOp::create(nested, l, takes, v[0], v[1]);
        linalg::YieldOp::create(nested, l, ValueRange{value, arith::SelectOp::create(nested, l, takes, here, v[2])});
      });
  return op.getResult(1);
}

Value LinalgBuilder::windowReduce(Reduction kind, Value x, Ints size, Ints strides, Ints dilations, Ints padLow,
                                  Ints padHigh, Type element) {
  Type accumulator = kind == Reduction::Sum || kind == Reduction::Prod ? accumulatorOf(element) : element;
  int64_t rank = size.size();
  auto attributes = [&](Ints list) {
    Sizes result;
    for (int64_t value : list)
      result.push_back(b.getIndexAttr(value));
    return result;
  };
  if (llvm::any_of(llvm::concat<const int64_t>(padLow, padHigh), [](int64_t p) { return p != 0; })) {
    Sizes padded;
    Sizes from = sizesOf(x);
    for (int64_t axis = 0; axis < rank; ++axis)
      padded.push_back(sum(from[axis], b.getIndexAttr(padLow[axis] + padHigh[axis])));
    x = insert(x, filled(neutralScalar(*this, kind, element), padded), attributes(padLow), from,
               Sizes(rank, b.getIndexAttr(1)));
  }
  // Loops: the result's dimensions, then the windows' of more than one element.
  SmallVector<int64_t> windows;
  for (int64_t axis = 0; axis < rank; ++axis)
    if (size[axis] != 1)
      windows.push_back(axis);
  int64_t loops = rank + windows.size();
  SmallVector<AffineExpr> input, window;
  Sizes from = sizesOf(x), sizes, windowSizes;
  for (int64_t axis = 0, next = rank; axis < rank; ++axis) {
    AffineExpr place = b.getAffineDimExpr(axis) * strides[axis];
    if (size[axis] != 1) {
      window.push_back(b.getAffineDimExpr(next));
      windowSizes.push_back(b.getIndexAttr(size[axis]));
      place = place + b.getAffineDimExpr(next++) * dilations[axis];
    }
    input.push_back(place);
    // (from - (size - 1) * dilation - 1) / stride + 1
    int64_t extent = (size[axis] - 1) * dilations[axis] + 1;
    if (auto constant = getConstantIntValue(from[axis]))
      sizes.push_back(b.getIndexAttr((*constant - extent) / strides[axis] + 1));
    else if (extent == 1 && strides[axis] == 1)
      sizes.push_back(from[axis]);
    else
      sizes.push_back(Value(arith::AddIOp::create(
          b, loc,
          arith::DivUIOp::create(b, loc, arith::SubIOp::create(b, loc, index(from[axis]), constantIndex(extent)),
                                 constantIndex(strides[axis])),
          constantIndex(1))));
  }
  // The window is an operand that only gives the reduction loops their sizes.
  Value shape = empty(windowSizes, signless(element));
  Value init = filled(neutralScalar(*this, kind, accumulator), sizes);
  SmallVector<AffineMap> maps = {AffineMap::get(loops, 0, input, b.getContext()),
                                 AffineMap::get(loops, 0, window, b.getContext()), leadingLoops(b, loops, rank)};
  Value result =
      linalg::GenericOp::create(b, loc, init.getType(), ValueRange{x, shape}, init, maps,
                                iteratorsFrom(std::string(rank, 'p') + std::string(windows.size(), 'r')),
                                [&](OpBuilder &nested, Location l, ValueRange v) {
                                  Value value = castTo(nested, l, v[0], element, accumulator);
                                  linalg::YieldOp::create(
                                      nested, l, ScalarBuilder{nested, l, accumulator}.combine(kind, v[2], value));
                                })
          .getResult(0);
  return convert(result, accumulator, element);
}

/// acc + x * y
static Value multiplyAdd(OpBuilder &b, Location loc, ValueRange v, Type xElement, Type yElement, Type accumulator) {
  Value x = castTo(b, loc, v[0], xElement, accumulator), y = castTo(b, loc, v[1], yElement, accumulator);
  if (isa<FloatType>(accumulator))
    return arith::AddFOp::create(b, loc, arith::MulFOp::create(b, loc, x, y), v[2]);
  return arith::AddIOp::create(b, loc, arith::MulIOp::create(b, loc, x, y), v[2]);
}

Value LinalgBuilder::dot(DotOp op, Value x, Value y) {
  Type xElement = op.getX().getType().getElementType(), yElement = op.getY().getType().getElementType(),
       result = op.getType().getElementType();
  Type accumulator = accumulatorOf(result);
  ArrayRef<int64_t> lhsBatch = op.getLhsBatch(), rhsBatch = op.getRhsBatch(), lhsContract = op.getLhsContract(),
                    rhsContract = op.getRhsContract();
  SmallVector<int64_t> lhsFree = op.getLhsFree(), rhsFree = op.getRhsFree();
  int64_t parallel = lhsBatch.size() + lhsFree.size() + rhsFree.size(), loops = parallel + lhsContract.size();
  Sizes xSizes = sizesOf(x), ySizes = sizesOf(y), sizes;
  SmallVector<AffineExpr> xMap(xSizes.size()), yMap(ySizes.size());
  int64_t next = 0;
  for (auto [left, right] : llvm::zip(lhsBatch, rhsBatch)) {
    xMap[left] = yMap[right] = b.getAffineDimExpr(next++);
    sizes.push_back(getConstantIntValue(xSizes[left]) ? xSizes[left] : ySizes[right]);
    if (!getConstantIntValue(sizes.back()))
      sizes.back() = xSizes[left];
  }
  for (int64_t axis : lhsFree) {
    xMap[axis] = b.getAffineDimExpr(next++);
    sizes.push_back(xSizes[axis]);
  }
  for (int64_t axis : rhsFree) {
    yMap[axis] = b.getAffineDimExpr(next++);
    sizes.push_back(ySizes[axis]);
  }
  for (auto [left, right] : llvm::zip(lhsContract, rhsContract))
    xMap[left] = yMap[right] = b.getAffineDimExpr(next++);
  Value init = filled(neutralScalar(*this, Reduction::Sum, accumulator), sizes);
  SmallVector<AffineMap> maps = {AffineMap::get(loops, 0, xMap, b.getContext()),
                                 AffineMap::get(loops, 0, yMap, b.getContext()), leadingLoops(b, loops, parallel)};
  Value sum = linalg::GenericOp::create(
                  b, loc, init.getType(), ValueRange{x, y}, init, maps,
                  iteratorsFrom(std::string(parallel, 'p') + std::string(lhsContract.size(), 'r')),
                  [&](OpBuilder &nested, Location l, ValueRange v) {
                    linalg::YieldOp::create(nested, l, multiplyAdd(nested, l, v, xElement, yElement, accumulator));
                  })
                  .getResult(0);
  return convert(sum, accumulator, result);
}

Value LinalgBuilder::conv(ConvOp op, Value x, Value y) {
  Type element = op.getX().getType().getElementType(), accumulator = accumulatorOf(element);
  int64_t spatial = op.getStrides().size(), groups = op.getGroups();
  bool last = op.getChannelsLast();
  auto axisOf = [&](int64_t s) { return last ? 1 + s : 2 + s; }; // of a spatial dimension in x and the result

  // Zeros between and around the elements.
  Sizes zero(spatial + 2, b.getIndexAttr(0)), low = zero, high = zero;
  SmallVector<int64_t> interior(spatial + 2, 0);
  bool pads = false;
  for (int64_t s = 0; s < spatial; ++s) {
    low[axisOf(s)] = b.getIndexAttr(op.getPadLow()[s]);
    high[axisOf(s)] = b.getIndexAttr(op.getPadHigh()[s]);
    interior[axisOf(s)] = op.getLhsDilation()[s] - 1;
    pads |= op.getPadLow()[s] || op.getPadHigh()[s] || op.getLhsDilation()[s] > 1;
  }
  if (pads) {
    Value none = arith::ConstantOp::create(
        b, loc, DenseElementsAttr::get(RankedTensorType::get({}, signless(element)), b.getZeroAttr(signless(element))));
    x = pad(x, none, low, high, interior);
  }

  // Groups are a parallel loop of their own; with one channel in each (depthwise) the channel loop disappears.
  auto yType = cast<RankedTensorType>(y.getType());
  int64_t outputs = yType.getDimSize(0), channels = yType.getDimSize(1);
  bool grouped = groups > 1, depthwise = grouped && channels == 1;
  int64_t outputsPerGroup = grouped ? outputs / groups : outputs;
  bool single = grouped && outputsPerGroup == 1;
  int64_t channelAxis = last ? spatial + 1 : 1;
  Sizes xSizes = sizesOf(x), ySizes = sizesOf(y);
  if (grouped && !depthwise) {
    Sizes split(xSizes);
    split[channelAxis] = b.getIndexAttr(groups);
    split.insert(split.begin() + channelAxis + 1, ySizes[1]);
    x = reshape(x, split);
  }
  if (grouped) {
    Sizes split = {b.getIndexAttr(groups)};
    if (!single)
      split.push_back(b.getIndexAttr(outputsPerGroup));
    if (!depthwise)
      split.push_back(ySizes[1]); // dynamic where a batch takes the channels' place, in derivatives
    split.append(ySizes.begin() + 2, ySizes.end());
    y = reshape(y, split);
  }

  // Loops: n, [spatial when last], [group], [output], [spatial when first] | window..., [channel]
  int64_t next = 0;
  auto loop = [&] { return b.getAffineDimExpr(next++); };
  AffineExpr n = loop(), group, output;
  SmallVector<AffineExpr> places;
  Sizes sizes = {xSizes[0]};
  auto spatialLoops = [&] {
    for (int64_t s = 0; s < spatial; ++s) {
      places.push_back(loop());
      OpFoldResult from = xSizes[axisOf(s)];
      auto kernel = getConstantIntValue(ySizes[2 + s]);
      int64_t stride = op.getStrides()[s], dilation = op.getRhsDilation()[s];
      if (auto constant = getConstantIntValue(from); constant && kernel) {
        sizes.push_back(b.getIndexAttr((*constant - ((*kernel - 1) * dilation + 1)) / stride + 1));
        continue;
      }
      Value extent = arith::AddIOp::create(
          b, loc,
          arith::MulIOp::create(b, loc, arith::SubIOp::create(b, loc, index(ySizes[2 + s]), constantIndex(1)),
                                constantIndex(dilation)),
          constantIndex(1));
      Value room = arith::SubIOp::create(b, loc, index(from), extent);
      sizes.push_back(Value(arith::AddIOp::create(b, loc, arith::DivUIOp::create(b, loc, room, constantIndex(stride)),
                                                  constantIndex(1))));
    }
  };
  auto channelLoops = [&] {
    if (grouped) {
      group = loop();
      sizes.push_back(b.getIndexAttr(groups));
    }
    if (!single) {
      output = loop();
      sizes.push_back(grouped ? OpFoldResult(b.getIndexAttr(outputsPerGroup)) : ySizes[0]);
    }
  };
  if (last)
    spatialLoops();
  channelLoops();
  if (!last)
    spatialLoops();
  int64_t parallel = next;
  SmallVector<AffineExpr> window;
  for (int64_t s = 0; s < spatial; ++s)
    window.push_back(loop());
  AffineExpr channel = depthwise ? AffineExpr() : loop();

  SmallVector<AffineExpr> xMap = {n}, yMap, inputs;
  for (int64_t s = 0; s < spatial; ++s)
    inputs.push_back(places[s] * op.getStrides()[s] + window[s] * op.getRhsDilation()[s]);
  auto pushChannels = [&] {
    if (grouped)
      xMap.push_back(group);
    if (channel)
      xMap.push_back(channel);
  };
  if (last)
    llvm::append_range(xMap, inputs);
  pushChannels();
  if (!last)
    llvm::append_range(xMap, inputs);
  for (AffineExpr expression : {group, output, channel})
    if (expression)
      yMap.push_back(expression);
  llvm::append_range(yMap, window);

  int64_t loops = next;
  Value init = filled(neutralScalar(*this, Reduction::Sum, accumulator), sizes);
  SmallVector<AffineMap> maps = {AffineMap::get(loops, 0, xMap, b.getContext()),
                                 AffineMap::get(loops, 0, yMap, b.getContext()), leadingLoops(b, loops, parallel)};
  Value sum = linalg::GenericOp::create(b, loc, init.getType(), ValueRange{x, y}, init, maps,
                                        iteratorsFrom(std::string(parallel, 'p') + std::string(loops - parallel, 'r')),
                                        [&](OpBuilder &nested, Location l, ValueRange v) {
                                          linalg::YieldOp::create(
                                              nested, l, multiplyAdd(nested, l, v, element, element, accumulator));
                                        })
                  .getResult(0);
  if (grouped && !single) {
    Sizes merged(sizes);
    int64_t groupAxis = last ? spatial + 1 : 1;
    merged.erase(merged.begin() + groupAxis);
    merged[groupAxis] = b.getIndexAttr(outputs);
    sum = reshape(sum, merged);
  }
  return convert(sum, accumulator, element);
}
