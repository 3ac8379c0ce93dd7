// Operators that only move elements or change the shape: Reshape .. DepthToSpace, and those that read the shape.
#include "compiler/OnnxToCore/Compose.h"

using namespace mlir;
namespace mlc::decompose {

static Values identity(Node &n, CoreBuilder &b) { return n.in(0); }

// ---- shapes as values -----------------------------------------------------------------------------------------------

static Values shape(Node &n, CoreBuilder &b) {
  int64_t rank = n.rank(0), start = n.i64("start", 0), end = n.i64("end", rank);
  auto clampToRank = [&](int64_t v) { return std::clamp<int64_t>(v < 0 ? v + rank : v, 0, rank); };
  start = clampToRank(start);
  end = std::max(start, clampToRank(end));
  Sizes sizes = b.dims(n.in(0));
  return b.fromElements(Sizes(sizes.begin() + start, sizes.begin() + end), b.builder.getI64Type());
}

static Values size(Node &n, CoreBuilder &b) {
  auto product = productOf(n, b.dims(n.in(0)));
  if (!product)
    return failure();
  return b.fromElements({*product}, b.builder.getI64Type(), /*scalar=*/true);
}

// ---- reshape --------------------------------------------------------------------------------------------------------

/// The size that makes `known` and it have as many elements as x: dynamic sizes cancel.
static std::optional<OpFoldResult> inferSize(Node &n, const Sizes &all, const Sizes &others) {
  int64_t above = 1, below = 1, zeros = 0; // zeros: those of `others`, less those of `all`, which cancel like any size
  SmallVector<OpFoldResult> numerators, denominators;
  if (!n.validSizes(all) || !n.validSizes(others))
    return std::nullopt;
  for (OpFoldResult size : others) {
    auto c = constantSize(size);
    if (!c)
      denominators.push_back(size);
    else if (*c == 0)
      ++zeros;
    else
      below *= *c;
  }
  for (OpFoldResult size : all) {
    if (auto c = constantSize(size)) {
      if (*c != 0)
        above *= *c;
      else if (--zeros < 0)
        above = 0;
      continue;
    }
    auto same = llvm::find_if(denominators, [&](OpFoldResult other) { return n.known.isSame(size, other); });
    if (same != denominators.end())
      denominators.erase(same);
    else
      numerators.push_back(size);
  }
  if (!n.check(zeros <= 0, "a size cannot be inferred beside a size of 0"))
    return std::nullopt;
  int64_t divisor = std::gcd(above, below);
  above /= std::max<int64_t>(divisor, 1);
  below /= std::max<int64_t>(divisor, 1);
  if (numerators.empty() && denominators.empty() &&
      !n.check(below == 1, "{0} elements cannot be divided into {1}", toString(all), toString(others)))
    return std::nullopt;
  OpFoldResult result = n.b.builder.getIndexAttr(above);
  for (OpFoldResult size : numerators)
    result = constantSize(result) == 1 ? size : n.b.indexProduct(result, size);
  OpFoldResult under = n.b.builder.getIndexAttr(below);
  for (OpFoldResult size : denominators)
    under = constantSize(under) == 1 ? size : n.b.indexProduct(under, size);
  return constantSize(under) == 1 ? result : n.b.indexFloorDiv(result, under);
}

/// Sizes that are read at run time may be 0 (the input's size) or -1 (what is left), too.
static void resolveAtRunTime(Node &n, CoreBuilder &b, const Sizes &all, Sizes &target, bool allowZero) {
  auto constant = [&](int64_t v) { return b.index(b.builder.getIndexAttr(v)); };
  auto is = [&](Value v, int64_t c) -> Value {
    return arith::CmpIOp::create(b.builder, b.loc, arith::CmpIPredicate::eq, v, constant(c));
  };
  auto choose = [&](Value condition, Value x, Value y) -> Value {
    return arith::SelectOp::create(b.builder, b.loc, condition, x, y);
  };
  OpFoldResult others = b.builder.getIndexAttr(1), total = others;
  SmallVector<std::pair<size_t, Value>> open;
  bool hasInferred = llvm::any_of(target, [](OpFoldResult size) { return constantSize(size) == -1; });
  for (auto [i, size] : llvm::enumerate(target)) {
    auto v = dyn_cast<Value>(size);
    if (v && !core::isNonNegative(v)) {
      if (!allowZero && i < all.size())
        size = v = choose(is(v, 0), b.index(all[i]), v);
      if (!hasInferred) {
        open.push_back({i, v});
        others = b.indexProduct(others, choose(is(v, -1), constant(1), v));
      }
    } else if (constantSize(size) != -1) {
      bool isCopied = constantSize(size) == 0 && !allowZero && i < all.size();
      others = b.indexProduct(others, isCopied ? all[i] : size);
    }
  }
  for (OpFoldResult size : all)
    total = b.indexProduct(total, size);
  for (auto [i, v] : open)
    target[i] = choose(is(v, -1), b.index(b.indexFloorDiv(total, others)), v);
}

static Values reshapeTo(Node &n, CoreBuilder &b, Sizes target, bool allowZero) {
  Expr x = n.in(0);
  Sizes all = b.dims(x), others;
  std::optional<size_t> inferred;
  if (!n.validSizes(all))
    return failure();
  bool isComputed =
      llvm::any_of(target, [](OpFoldResult size) { return !core::isNonNegative(size) && !constantSize(size); });
  if (isComputed)
    resolveAtRunTime(n, b, all, target, allowZero);
  for (auto [i, size] : llvm::enumerate(target)) {
    auto c = constantSize(size);
    if (c == 0 && !allowZero) {
      if (!n.check(i < all.size(), "size {0} is 0, but the input has rank {1}", i, all.size()))
        return failure();
      size = all[i];
    } else if (c == -1) {
      if (!n.check(!inferred, "more than one size is -1 in {0}", toString(target)))
        return failure();
      inferred = i;
      continue;
    } else if (c && *c < -1) {
      return n.fail("size {0} is {1}", i, *c);
    }
    others.push_back(size);
  }
  if (inferred) {
    auto size = inferSize(n, all, others);
    if (!size)
      return failure();
    target[*inferred] = *size;
  }
  return reshapeChecked(n, x, target);
}

static Values reshapeByAttribute(Node &n, CoreBuilder &b) {
  n.ignoreAttr("consumed_inputs");
  return reshapeTo(n, b, constantSizes(b, n.ints("shape")), /*allowZero=*/false);
}

static Values reshape(Node &n, CoreBuilder &b) {
  auto target = n.sizes(1);
  if (!target)
    return failure();
  return reshapeTo(n, b, *target, n.i64("allowzero", 0));
}

static Values flatten(Node &n, CoreBuilder &b) {
  Expr x = n.in(0);
  int64_t rank = n.rank(0), axis = n.i64("axis", 1);
  if (!n.check(axis >= -rank && axis <= rank, "axis {0} is out of range for rank {1}", axis, rank))
    return failure();
  axis += axis < 0 ? rank : 0;
  Sizes sizes = b.dims(x);
  auto outer = productOf(n, ArrayRef<OpFoldResult>(sizes).take_front(axis)),
       inner = productOf(n, ArrayRef<OpFoldResult>(sizes).drop_front(axis));
  if (!outer || !inner)
    return failure();
  return b.reshape(x, {*outer, *inner});
}

/// The attribute of opsets below 13, or the input.
static std::optional<SmallVector<int64_t>> readAxes(Node &n, bool isInput, bool &given) {
  given = isInput ? n.has(1) : n.hasAttr("axes");
  if (!given)
    return SmallVector<int64_t>();
  return isInput ? n.constantInts(1, "axes") : n.ints("axes");
}

static Values squeezeWith(Node &n, CoreBuilder &b, bool isInput) {
  Expr x = n.in(0);
  bool given;
  auto axes = readAxes(n, isInput, given);
  if (!axes)
    return failure();
  auto type = n.type(0);
  if (!given)
    for (int64_t d = 0; d < type.getRank(); ++d) {
      if (type.getDimSize(d) == 1)
        axes->push_back(d);
      if (!type.isDynamicDim(d)) // the rank is decided here: an open size is not 1
        continue;
      OpFoldResult size = b.dim(x, d), one = b.builder.getIndexAttr(1);
      b.require(b.indexCompare(arith::CmpIPredicate::ne, size, one),
                "no axes, and dimension " + llvm::Twine(d) +
                    " of open size is %d: it would disappear, other than %d would not",
                size, one);
    }
  axes = n.axes(*axes, type.getRank());
  if (!axes)
    return failure();
  OpFoldResult one = b.builder.getIndexAttr(1);
  for (int64_t axis : *axes) {
    if (!n.check(type.isDynamicDim(axis) || type.getDimSize(axis) == 1, "dimension {0} has size {1} instead of 1", axis,
                 type.getDimSize(axis)))
      return failure();
    if (type.isDynamicDim(axis)) // that the number of elements stays says nothing where there are none
      b.require(b.indexCompare(arith::CmpIPredicate::eq, b.dim(x, axis), one),
                "dimension " + llvm::Twine(axis) + " has size %d instead of %d", b.dim(x, axis), one);
  }
  llvm::sort(*axes);
  return axes->empty() ? x : b.squeeze(x, *axes);
}
static Values squeezeByAttribute(Node &n, CoreBuilder &b) { return squeezeWith(n, b, false); }
static Values squeeze(Node &n, CoreBuilder &b) { return squeezeWith(n, b, true); }

static Values unsqueezeWith(Node &n, CoreBuilder &b, bool isInput) {
  Expr x = n.in(0);
  bool given;
  auto axes = readAxes(n, isInput, given);
  if (!axes || !n.check(given, "axes are missing"))
    return failure();
  axes = n.axes(*axes, n.rank(0) + int64_t(axes->size()));
  if (!axes)
    return failure();
  llvm::sort(*axes);
  return axes->empty() ? x : b.unsqueeze(x, *axes);
}
static Values unsqueezeByAttribute(Node &n, CoreBuilder &b) { return unsqueezeWith(n, b, false); }
static Values unsqueeze(Node &n, CoreBuilder &b) { return unsqueezeWith(n, b, true); }

static Values transpose(Node &n, CoreBuilder &b) {
  Expr x = n.in(0);
  int64_t rank = n.rank(0);
  SmallVector<int64_t> reversed = countingFrom(0, rank);
  std::reverse(reversed.begin(), reversed.end());
  auto perm = n.axes(n.ints("perm", reversed), rank);
  if (!perm || !n.check(int64_t(perm->size()) == rank, "perm has {0} entries for rank {1}", perm->size(), rank))
    return failure();
  return b.transpose(x, *perm);
}

// ---- joining and splitting --------------------------------------------------------------------------------------------

static Values concatAlong(Node &n, CoreBuilder &b, int64_t axisAbsent, bool isRequired) {
  SmallVector<Value> inputs = n.inputs();
  if (!n.check(!isRequired || n.hasAttr("axis"), "attribute 'axis' is missing"))
    return failure();
  for (Value v : inputs)
    if (!n.check(bool(v), "an input is missing"))
      return failure();
  int64_t rank = n.rank(0);
  auto axis = n.axis("axis", axisAbsent, rank);
  if (!axis || !n.sameElement(inputs))
    return failure();
  auto first = n.type(0).getShape();
  for (auto [i, v] : llvm::enumerate(inputs)) {
    auto shape = CoreBuilder::typeOf(v).getShape();
    if (!n.check(int64_t(shape.size()) == rank, "input {0} has rank {1} instead of {2}", i, shape.size(), rank))
      return failure();
    for (int64_t d = 0; d < rank; ++d)
      if (!n.check(d == *axis || shape[d] == first[d] || ShapedType::isDynamic(shape[d]) ||
                       ShapedType::isDynamic(first[d]),
                   "sizes of dimension {0} differ: {1} and {2}", d, first[d], shape[d]))
        return failure();
  }
  bool someVanish = llvm::any_of(inputs, [&](Value v) { return CoreBuilder::typeOf(v).getDimSize(*axis) == 0; });
  for (int64_t d = 0; someVanish && d < rank; ++d) // of a part that vanishes no later check would know
    for (Value v : inputs)
      if (d != *axis && !n.sameSize(b.dim(inputs[0], d), b.dim(v, d), "sizes of the parts"))
        return failure();
  return inputs.size() == 1 ? b.expr(inputs[0]) : b.concat(inputs, *axis);
}
static Values concatDefault(Node &n, CoreBuilder &b) { return concatAlong(n, b, 1, false); }
static Values concat(Node &n, CoreBuilder &b) { return concatAlong(n, b, 0, true); }

/// The parts along an axis, of these sizes, which are all of it.
static Values splitAt(Node &n, CoreBuilder &b, int64_t axis, const Sizes &sizes) {
  SmallVector<Value> results;
  OpFoldResult start = b.builder.getIndexAttr(0);
  for (OpFoldResult length : sizes) {
    results.push_back(part(n.in(0), axis, start, length));
    start = b.indexSum(start, length);
  }
  return results;
}

/// The parts along an axis, of these sizes.
static Values splitInto(Node &n, CoreBuilder &b, int64_t axis, const Sizes &sizes) {
  Expr x = n.in(0);
  if (!n.validSizes(sizes) ||
      !n.check(int64_t(sizes.size()) == n.outputCount(), "{0} parts for {1} outputs", sizes.size(), n.outputCount()))
    return failure();
  OpFoldResult sum = b.builder.getIndexAttr(0);
  for (OpFoldResult part : sizes)
    sum = b.indexSum(sum, part);
  if (!n.sameSize(sum, b.dim(x, axis), "sizes of the parts together and of the dimension"))
    return failure();
  return splitAt(n, b, axis, sizes);
}

/// As many parts as outputs (the last one may be smaller if `mayBeUneven`).
static Values splitEqually(Node &n, CoreBuilder &b, int64_t axis, bool mayBeUneven) {
  int64_t count = n.outputCount(), size = n.type(0).getDimSize(axis);
  Sizes sizes;
  if (ShapedType::isDynamic(size)) {
    OpFoldResult total = b.dim(n.in(0), axis), zero = b.builder.getIndexAttr(0), left = total;
    OpFoldResult length = mayBeUneven ? b.indexCeilDiv(total, b.builder.getIndexAttr(count))
                                      : b.indexFloorDiv(total, b.builder.getIndexAttr(count));
    if (!mayBeUneven && !n.sameSize(b.indexProduct(length, b.builder.getIndexAttr(count)), total,
                                    "sizes of equal parts and of the dimension"))
      return failure();
    for (int64_t i = 0; i < count; ++i) {
      sizes.push_back(mayBeUneven ? b.indexMax(b.indexMin(length, left), zero) : length);
      left = b.indexDifference(left, length);
    }
    return splitAt(n, b, axis, sizes);
  } else {
    if (!n.check(mayBeUneven || size % count == 0, "size {0} cannot be divided into {1} equal parts", size, count))
      return failure();
    int64_t length = llvm::divideCeil(size, count);
    for (int64_t i = 0; i < count; ++i)
      sizes.push_back(b.builder.getIndexAttr(std::clamp<int64_t>(size - i * length, 0, length)));
  }
  return splitInto(n, b, axis, sizes);
}

// Opsets 1 and 2: an attribute (opset 1: or an input).
static Values splitByAttribute(Node &n, CoreBuilder &b) {
  auto axis = n.axis("axis", 0, n.rank(0));
  if (!axis)
    return failure();
  if (n.has(1)) {
    auto sizes = n.sizes(1);
    return sizes ? splitInto(n, b, *axis, *sizes) : Values(failure());
  }
  if (!n.hasAttr("split"))
    return splitEqually(n, b, *axis, false);
  return splitInto(n, b, *axis, constantSizes(b, n.ints("split")));
}

static Values split(Node &n, CoreBuilder &b) {
  auto axis = n.axis("axis", 0, n.rank(0));
  if (!axis)
    return failure();
  if (n.has(1)) {
    auto sizes = n.sizes(1);
    return sizes ? splitInto(n, b, *axis, *sizes) : Values(failure());
  }
  bool byCount = n.opset() >= 18;
  if (byCount && !n.check(n.i64("num_outputs", n.outputCount()) == n.outputCount(),
                          "num_outputs is {0} for {1} outputs", n.i64("num_outputs", 0), n.outputCount()))
    return failure();
  return splitEqually(n, b, *axis, byCount);
}

// ---- repeating --------------------------------------------------------------------------------------------------------

static Values expand(Node &n, CoreBuilder &b) {
  Expr x = n.in(0);
  auto target = n.sizes(1);
  if (!target || !n.validSizes(*target))
    return failure();
  Sizes own = b.dims(x), result = *target;
  while (result.size() < own.size())
    result.insert(result.begin(), b.builder.getIndexAttr(1));
  size_t added = result.size() - own.size();
  for (size_t i = 0; i < own.size(); ++i) {
    OpFoldResult &to = result[added + i];
    auto from = constantSize(own[i]), wanted = constantSize(to);
    if (from == 1)
      continue;
    if (wanted == 1 || b.isSame(own[i], to)) {
      to = own[i];
    } else if (from && wanted) {
      if (!n.check(*from == *wanted, "shape {0} cannot be expanded to {1}", toString(own), toString(*target)))
        return failure();
    } else if (from || !wanted) { // the target is 1 or the size, or the size is 1
      // A target without a bound is no size to plan memory for: it stretches nothing.
      OpFoldResult size = core::isReadFromData(to) ? own[i] : b.broadcastSize(own[i], to);
      Value isOne = b.indexCompare(arith::CmpIPredicate::eq, to, b.builder.getIndexAttr(1)),
            isAll = b.indexCompare(arith::CmpIPredicate::eq, to, size);
      b.require(b.builder.createOrFold<arith::OrIOp>(b.loc, isOne, isAll), "size %d cannot be expanded to %d", own[i],
                to);
      to = size;
    }
  }
  if (!n.validSizes(result))
    return failure();
  return b.broadcastTo(x, result);
}

/// x repeated along its dimensions: each repeated one becomes two, then they are merged.
static Values tileBy(Node &n, CoreBuilder &b, const Sizes &repeats) {
  Expr x = n.in(0);
  Sizes sizes = b.dims(x), wide, merged;
  SmallVector<int64_t> axes;
  if (!n.check(repeats.size() == sizes.size(), "{0} repeats for rank {1}", repeats.size(), sizes.size()) ||
      !n.validSizes(repeats))
    return failure();
  for (auto [size, repeat] : llvm::zip_equal(sizes, repeats)) {
    auto product = productOf(n, {size, repeat});
    if (!product)
      return failure();
    if (constantSize(repeat) != 1 && constantSize(size) != 1)
      wide.push_back(repeat);
    axes.push_back(wide.size());
    wide.push_back(constantSize(size) == 1 ? repeat : size);
    merged.push_back(*product);
  }
  if (!n.validSizes(merged))
    return failure();
  Expr repeated = b.broadcast(x, wide, axes);
  return wide.size() == merged.size() ? repeated : b.reshape(repeated, merged);
}

static Values tile(Node &n, CoreBuilder &b) {
  auto repeats = n.sizes(1);
  return repeats ? tileBy(n, b, *repeats) : Values(failure());
}

// Opset 1: how often, and along which one dimension.
static Values tileAlong(Node &n, CoreBuilder &b) {
  auto count = n.constantInts(1, "tiles"), axis = n.constantInts(2, "axis");
  if (!count || !axis || !n.check(count->size() == 1 && axis->size() == 1, "tiles and axis must be scalars"))
    return failure();
  auto normal = n.axis(axis->front(), n.rank(0));
  if (!normal)
    return failure();
  SmallVector<int64_t> repeats(n.rank(0), 1);
  repeats[*normal] = count->front();
  return tileBy(n, b, constantSizes(b, repeats));
}

// ---- blocks -----------------------------------------------------------------------------------------------------------

static std::optional<int64_t> blockSize(Node &n) {
  int64_t block = n.i64("blocksize", 0);
  if (!n.check(block > 0 && block < (1 << 20), "blocksize is {0}", block) || !n.ranked(0, 4, 4, "the input"))
    return std::nullopt;
  return block;
}

static Values depthToSpace(Node &n, CoreBuilder &b) {
  auto block = blockSize(n);
  auto isColumnRow = n.choice("mode", "DCR", {"DCR", "CRD"});
  if (!block || !isColumnRow)
    return failure();
  Expr x = n.in(0);
  auto channels = staticDim(n, x, 1, "a channel dimension");
  if (!channels ||
      !n.check(*channels % (*block * *block) == 0, "{0} channels cannot be divided by {1}", *channels, *block * *block))
    return failure();
  Sizes sizes = b.dims(x);
  OpFoldResult k = b.builder.getIndexAttr(*block), depth = b.builder.getIndexAttr(*channels / (*block * *block));
  Sizes result = {sizes[0], depth, b.indexProduct(sizes[2], k), b.indexProduct(sizes[3], k)};
  Expr y = *isColumnRow ? b.transpose(b.reshape(x, {sizes[0], depth, k, k, sizes[2], sizes[3]}), {0, 1, 4, 2, 5, 3})
                        : b.transpose(b.reshape(x, {sizes[0], k, k, depth, sizes[2], sizes[3]}), {0, 3, 4, 1, 5, 2});
  return b.reshape(y, result);
}

static Values spaceToDepth(Node &n, CoreBuilder &b) {
  auto block = blockSize(n);
  if (!block)
    return failure();
  Expr x = n.in(0);
  auto type = n.type(0);
  for (int64_t d : {2, 3})
    if (!n.check(type.isDynamicDim(d) || type.getDimSize(d) % *block == 0, "size {0} cannot be divided by {1}",
                 type.getDimSize(d), *block))
      return failure();
  Sizes sizes = b.dims(x);
  OpFoldResult k = b.builder.getIndexAttr(*block), k2 = b.builder.getIndexAttr(*block * *block);
  OpFoldResult height = b.indexFloorDiv(sizes[2], k), width = b.indexFloorDiv(sizes[3], k);
  Expr y = b.transpose(b.reshape(x, {sizes[0], sizes[1], height, k, width, k}), {0, 3, 5, 1, 2, 4});
  return b.reshape(y, {sizes[0], b.indexProduct(sizes[1], k2), height, width});
}

// ---- triangles and diagonals ------------------------------------------------------------------------------------------

// Row and column numbers of a matrix tell what is above the diagonal.
static Values trilu(Node &n, CoreBuilder &b) {
  Expr x = n.in(0);
  bool isUpper = n.i64("upper", 1);
  int64_t rank = n.rank(0);
  if (!n.check(rank >= 2, "the input has rank {0}", rank))
    return failure();
  Sizes matrix = {b.dim(x, rank - 2), b.dim(x, rank - 1)};
  Type i64 = b.builder.getI64Type();
  Expr row = b.iota(matrix, 0, i64), column = b.iota(matrix, 1, i64);
  if (n.has(1)) {
    Expr k = n.in(1);
    if (!n.elementIs(1, kInteger, "k") ||
        !n.check(n.type(1).hasStaticShape() && n.type(1).getNumElements() == 1, "k is not a scalar"))
      return failure();
    // Any number, without an overflow of the sum: behind the last row and column all is the same.
    row = row + b.minimum(b.maximum(convert(b, b.reshape(k, {}), i64), -double(kElementsMax)), double(kElementsMax));
  }
  return b.select(b.compare(isUpper ? core::Comparison::GE : core::Comparison::LE, column, row), x, b.splatLike(0, x));
}

static Values eyeLike(Node &n, CoreBuilder &b) {
  Expr x = n.in(0);
  Type element = n.dtype("dtype", n.element(0));
  if (!element || !n.ranked(0, 2, 2, "the input"))
    return failure();
  if (!(kindOf(element) & kWide))
    return n.unsupported("element type {0}", nameOf(element));
  Sizes matrix = b.dims(x);
  Type i64 = b.builder.getI64Type();
  Expr shifted = b.iota(matrix, 0, i64) + b.splat(double(n.i64("k", 0)), i64);
  return convert(b, b.compare(core::Comparison::EQ, b.iota(matrix, 1, i64), shifted), element);
}

static const Rule rules[] = {
    {"Identity", 1, identity, 1, kData},
    {"Shape", 1, shape, 1, kData},
    {"Size", 1, size, 1, kData},
    {"Reshape", 1, reshapeByAttribute, 1, kData},
    {"Reshape", 5, reshape, 2, kData},
    {"Flatten", 1, flatten, 1, kData},
    {"Squeeze", 1, squeezeByAttribute, 1, kData},
    {"Squeeze", 13, squeeze, 1, kData},
    {"Unsqueeze", 1, unsqueezeByAttribute, 1, kData},
    {"Unsqueeze", 13, unsqueeze, 2, kData},
    {"Transpose", 1, transpose, 1, kData},
    {"Concat", 1, concatDefault, 1},
    {"Concat", 4, concat, 1},
    {"Split", 1, splitByAttribute, 1},
    {"Split", 13, split, 1},
    {"Expand", 8, expand, 2},
    {"Tile", 1, tileAlong, 3},
    {"Tile", 6, tile, 2},
    {"DepthToSpace", 1, depthToSpace},
    {"SpaceToDepth", 1, spaceToDepth},
    {"Trilu", 14, trilu},
    {"EyeLike", 9, eyeLike},
};
const ArrayRef<Rule> layoutRules(rules);

} // namespace mlc::decompose
