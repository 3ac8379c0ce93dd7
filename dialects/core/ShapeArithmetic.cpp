// The part of CoreBuilder that knows sizes: dimensions of tensors, arithmetic on index values, and small integer tensors as lists of
// index values, so that shape computations of a model never become kernels.
#include "dialects/core/Control.h"
#include "dialects/core/CoreBuilder.h"
#include "dialects/core/SizeFacts.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace mlc::core {

static OpFoldResult normalized(OpBuilder &b, OpFoldResult size) {
  if (std::optional<int64_t> constant = getConstantIntValue(size))
    return b.getIndexAttr(*constant);
  return size;
}

/// Whether what `op` defines may be used where the builder inserts.
static bool isVisible(OpBuilder &b, Operation *op) {
  Block *block = b.getInsertionBlock();
  Block::iterator point = b.getInsertionPoint();
  while (block && block != op->getBlock()) {
    Operation *parent = block->getParentOp();
    if (!parent)
      return false;
    block = parent->getBlock();
    point = Block::iterator(parent);
  }
  return block && (point == block->end() || op->isBeforeInBlock(&*point));
}

/// An op of this kind with these operands that exists already, so that equal sizes are the same SSA value.
template <typename Op> static Value existing(OpBuilder &b, OpFoldResult x, OpFoldResult y) {
  auto isOperand = [](Value operand, OpFoldResult expected) {
    if (auto value = dyn_cast<Value>(expected))
      return operand == value;
    return getConstantIntValue(operand) == getConstantIntValue(expected);
  };
  Value anchor = isa<Value>(x) ? llvm::cast<Value>(x) : llvm::cast<Value>(y);
  for (Operation *user : anchor.getUsers())
    if (isa<Op>(user) && user->getNumOperands() == 2 && isOperand(user->getOperand(0), x) &&
        isOperand(user->getOperand(1), y) && isVisible(b, user))
      return user->getResult(0);
  return {};
}

template <typename Op> static OpFoldResult indexOp(CoreBuilder &b, OpFoldResult x, OpFoldResult y) {
  if (Value value = existing<Op>(b.builder, x, y))
    return value;
  return normalized(b.builder, b.builder.createOrFold<Op>(b.loc, b.index(x), b.index(y)));
}

// ---- Dimensions of tensors ---------------------------------------------------------------------------------------------------

namespace {
/// A dimension of a pool or a convolution: floor((size of x + room) / stride) + 1.
struct WindowDim {
  Value x;
  int64_t axis, room, stride;
};
} // namespace

static std::optional<WindowDim> windowDim(Value v, int64_t axis) {
  if (auto window = v.getDefiningOp<WindowReduceOp>())
    return WindowDim{window.getX(), axis,
                     window.getPadLow()[axis] + window.getPadHigh()[axis] -
                         ((window.getSize()[axis] - 1) * window.getDilations()[axis] + 1),
                     window.getStrides()[axis]};
  auto conv = v.getDefiningOp<ConvOp>();
  if (!conv)
    return std::nullopt;
  int64_t i = axis - (conv.getChannelsLast() ? 1 : 2);
  if (axis == 0 || axis == conv.getChannelAxis())
    return std::nullopt;
  int64_t kernel = llvm::cast<RankedTensorType>(conv.getY().getType()).getDimSize(i + 2);
  if (conv.getLhsDilation()[i] != 1 || ShapedType::isDynamic(kernel))
    return std::nullopt;
  return WindowDim{conv.getX(), axis,
                   conv.getPadLow()[i] + conv.getPadHigh()[i] - ((kernel - 1) * conv.getRhsDilation()[i] + 1),
                   conv.getStrides()[i]};
}

/// Follows a dimension to the value that it was taken from: {size, null, 0} if that is a size, else {null, tensor, axis}.
struct DimSource {
  OpFoldResult size;
  Value tensor;
  int64_t axis;
};
static DimSource sourceOfDim(OpBuilder &b, Value v, int64_t axis) {
  while (true) {
    auto type = llvm::cast<RankedTensorType>(v.getType());
    if (!type.isDynamicDim(axis))
      return {b.getIndexAttr(type.getDimSize(axis)), {}, 0};
    if (Value init = carriedFrom(v); init != v) {
      v = init;
      continue;
    }
    Operation *op = v.getDefiningOp();
    if (!op)
      return {{}, v, axis};
    if (auto branch = dyn_cast<IfOp>(op))
      return {branch.getSize(llvm::cast<OpResult>(v).getResultNumber(), axis), {}, 0};
    if (auto insert = dyn_cast<tensor::InsertSliceOp>(op)) {
      v = insert.getDest();
      continue;
    }
    if (isa<Pointwise, ReverseOp, ScanOp, SortOp, tensor::CastOp>(op)) {
      // Of several operands take one whose size is static, else the first.
      Value next = op->getOperand(0);
      for (Value operand : op->getOperands())
        if (!llvm::cast<RankedTensorType>(operand.getType()).isDynamicDim(axis))
          next = operand;
      v = next;
      continue;
    }
    if (isa<ScatterNdOp, ScatterElementsOp, CompactOp, SortRowsOp>(op)) {
      v = op->getOperand(0);
      continue;
    }
    if (auto nms = dyn_cast<NmsOp>(op)) {
      if (v == nms.getSelected())
        return {nms.getRoom(), {}, 0};
      v = nms.getBoxes();
      axis = 1;
      continue;
    }
    if (auto transpose = dyn_cast<TransposeOp>(op)) {
      v = transpose.getX();
      axis = transpose.getPermutation()[axis];
      continue;
    }
    if (auto broadcast = dyn_cast<BroadcastOp>(op))
      return {broadcast.getMixedSizes()[axis], {}, 0};
    if (auto stretch = dyn_cast<StretchOp>(op))
      return {stretch.getMixedSizes()[axis], {}, 0};
    if (auto reshape = dyn_cast<ReshapeOp>(op))
      return {reshape.getMixedSizes()[axis], {}, 0};
    if (auto slice = dyn_cast<SliceOp>(op))
      return {slice.getMixedSizes()[axis], {}, 0};
    if (auto iota = dyn_cast<IotaOp>(op))
      return {iota.getMixedSizes()[axis], {}, 0};
    if (auto random = dyn_cast<RandomBitsOp>(op))
      return {random.getMixedSizes()[axis], {}, 0};
    if (auto empty = dyn_cast<tensor::EmptyOp>(op))
      return {empty.getMixedSizes()[axis], {}, 0};
    if (auto pad = dyn_cast<PadOp>(op)) {
      if (getConstantIntValue(pad.getMixedLow()[axis]) == 0 && getConstantIntValue(pad.getMixedHigh()[axis]) == 0 &&
          pad.getInterior()[axis] == 0) {
        v = pad.getX();
        continue;
      }
      return {{}, v, axis};
    }
    if (auto concat = dyn_cast<ConcatOp>(op)) {
      if (axis == static_cast<int64_t>(concat.getAxis()))
        return {{}, v, axis};
      Value next = concat.getValues()[0];
      for (Value value : concat.getValues())
        if (!llvm::cast<RankedTensorType>(value.getType()).isDynamicDim(axis))
          next = value;
      v = next;
      continue;
    }
    if (auto gather = dyn_cast<GatherOp>(op)) {
      int64_t at = gather.getAxis(), rank = llvm::cast<RankedTensorType>(gather.getIndices().getType()).getRank();
      bool isIndex = axis >= at && axis < at + rank;
      v = isIndex ? gather.getIndices() : gather.getX();
      axis = isIndex ? axis - at : axis < at ? axis : axis - rank + 1;
      continue;
    }
    if (auto gather = dyn_cast<GatherNdOp>(op)) {
      auto indices = llvm::cast<RankedTensorType>(gather.getIndices().getType());
      bool isIndex = axis < indices.getRank() - 1;
      v = isIndex ? gather.getIndices() : gather.getX();
      axis = isIndex ? axis : axis - (indices.getRank() - 1) + gather.getBatchDims() + indices.getShape().back();
      continue;
    }
    if (auto gather = dyn_cast<GatherElementsOp>(op)) {
      v = gather.getIndices();
      continue;
    }
    if (auto reduce = dyn_cast<ReduceOp>(op)) {
      for (int64_t removed : reduce.getAxes())
        axis += removed <= axis;
      v = reduce.getX();
      continue;
    }
    if (auto reduce = dyn_cast<ArgReduceOp>(op)) {
      axis += static_cast<int64_t>(reduce.getAxis()) <= axis;
      v = reduce.getX();
      continue;
    }
    if (auto dot = dyn_cast<DotOp>(op)) {
      int64_t batch = dot.getLhsBatch().size();
      SmallVector<int64_t> lhsFree = dot.getLhsFree(), rhsFree = dot.getRhsFree();
      if (axis < batch) {
        bool isStatic = !llvm::cast<RankedTensorType>(dot.getY().getType()).isDynamicDim(dot.getRhsBatch()[axis]);
        v = isStatic ? dot.getY() : dot.getX();
        axis = isStatic ? dot.getRhsBatch()[axis] : dot.getLhsBatch()[axis];
      } else if (axis - batch < static_cast<int64_t>(lhsFree.size())) {
        v = dot.getX();
        axis = lhsFree[axis - batch];
      } else {
        v = dot.getY();
        axis = rhsFree[axis - batch - lhsFree.size()];
      }
      continue;
    }
    if (auto conv = dyn_cast<ConvOp>(op); conv && (axis == 0 || axis == conv.getChannelAxis())) {
      v = axis == 0 ? conv.getX() : conv.getY();
      axis = 0;
      continue;
    }
    if (auto window = windowDim(v, axis); window && window->stride == 1 && window->room == -1) {
      v = window->x;
      axis = window->axis;
      continue;
    }
    return {{}, v, axis};
  }
}

/// A dimension that an op computes from those of its operands by additions, so that two ways to the same size are the same arithmetic;
/// null if it is none. Other dimensions stay a tensor.dim, which is known not to be negative.
static OpFoldResult computedDim(CoreBuilder &b, Value v, int64_t axis) {
  if (auto window = windowDim(v, axis); window && window->stride == 1 && window->room >= -1)
    return b.indexSum(b.dim(window->x, window->axis), b.builder.getIndexAttr(window->room + 1));
  if (auto pad = v.getDefiningOp<PadOp>(); pad && pad.getInterior()[axis] == 0)
    return b.indexSum(b.indexSum(b.dim(pad.getX(), axis), pad.getMixedLow()[axis]), pad.getMixedHigh()[axis]);
  auto concat = v.getDefiningOp<ConcatOp>();
  if (!concat || concat.getValues().size() > 8)
    return {};
  OpFoldResult sum = b.builder.getIndexAttr(0);
  for (Value value : concat.getValues())
    sum = b.indexSum(sum, b.dim(value, axis));
  return sum;
}

bool isSameDim(Value x, int64_t i, Value y, int64_t k, SymbolOf symbolOf) {
  OpBuilder b(x.getContext());
  DimSource p = sourceOfDim(b, x, i), q = sourceOfDim(b, y, k);
  if (p.size || q.size)
    return p.size && q.size && isSameSize(p.size, q.size, symbolOf);
  if (p.tensor == q.tensor)
    return p.axis == q.axis;
  StringRef symbol = symbolOf ? symbolOf(p.tensor, p.axis) : "";
  if (!symbol.empty())
    return symbol == symbolOf(q.tensor, q.axis);
  auto from = windowDim(p.tensor, p.axis), to = windowDim(q.tensor, q.axis);
  return from && to && from->room == to->room && from->stride == to->stride &&
         isSameDim(from->x, from->axis, to->x, to->axis, symbolOf);
}

OpFoldResult CoreBuilder::dim(Value v, int64_t axis) {
  DimSource source = sourceOfDim(builder, v, axis);
  if (source.size)
    return normalized(builder, source.size);
  if (OpFoldResult size = computedDim(*this, source.tensor, source.axis))
    return size;
  if (Value value = existing<tensor::DimOp>(builder, source.tensor, builder.getIndexAttr(source.axis)))
    return value;
  return normalized(builder, builder.createOrFold<tensor::DimOp>(loc, source.tensor, source.axis));
}

Sizes CoreBuilder::dims(Value v) {
  Sizes sizes;
  for (int64_t axis = 0; axis < rankOf(v); ++axis)
    sizes.push_back(dim(v, axis));
  return sizes;
}

bool hasSize(Value v, int64_t axis, OpFoldResult size, SymbolOf symbolOf) {
  OpBuilder b(v.getContext());
  DimSource source = sourceOfDim(b, v, axis);
  size = normalized(b, size);
  if (source.size)
    return normalized(b, source.size) == size;
  auto value = dyn_cast<Value>(size);
  if (!value)
    return false;
  auto dim = value.getDefiningOp<tensor::DimOp>();
  if (!dim && isa_and_nonnull<PadOp, ConcatOp, WindowReduceOp, ConvOp>(source.tensor.getDefiningOp())) {
    Block scratch; // the arithmetic is made to be compared, and goes with the block
    CoreBuilder computed(b, source.tensor.getLoc());
    b.setInsertionPointToEnd(&scratch);
    OpFoldResult own = computedDim(computed, source.tensor, source.axis);
    bool isSame = own && isSameSize(own, size, symbolOf);
    for (Operation &op : scratch)
      op.dropAllReferences();
    return isSame;
  }
  if (!dim || !dim.getConstantIndex())
    return false;
  return isSameDim(dim.getSource(), *dim.getConstantIndex(), source.tensor, source.axis, symbolOf);
}

// ---- Arithmetic on index values ----------------------------------------------------------------------------------------------

Value CoreBuilder::index(OpFoldResult size) {
  if (auto value = dyn_cast<Value>(size))
    return value;
  return arith::ConstantIndexOp::create(builder, loc, *getConstantIntValue(size));
}

OpFoldResult CoreBuilder::indexSum(OpFoldResult x, OpFoldResult y) {
  std::optional<int64_t> a = getConstantIntValue(x), b = getConstantIntValue(y);
  if (a && b)
    return builder.getIndexAttr(*a + *b);
  if (a == 0 || b == 0)
    return a == 0 ? y : x;
  if (a) // constants to the right
    std::swap(x, y), std::swap(a, b);
  if (b) // (z + c) + b -> z + (c + b)
    if (auto sum = llvm::cast<Value>(x).getDefiningOp<arith::AddIOp>())
      if (std::optional<int64_t> c = getConstantIntValue(sum.getRhs()))
        return indexSum(sum.getLhs(), builder.getIndexAttr(*b + *c));
  return indexOp<arith::AddIOp>(*this, x, y);
}

OpFoldResult CoreBuilder::indexDifference(OpFoldResult x, OpFoldResult y) {
  std::optional<int64_t> a = getConstantIntValue(x), b = getConstantIntValue(y);
  if ((a && a == b) || isSame(x, y))
    return builder.getIndexAttr(0);
  if (b)
    return indexSum(x, builder.getIndexAttr(-*b));
  // (y + z) - y -> z
  if (auto value = dyn_cast<Value>(x))
    if (auto sum = value.getDefiningOp<arith::AddIOp>()) {
      if (OpFoldResult(sum.getLhs()) == y)
        return normalized(builder, sum.getRhs());
      if (OpFoldResult(sum.getRhs()) == y)
        return normalized(builder, sum.getLhs());
    }
  return indexOp<arith::SubIOp>(*this, x, y);
}

/// A product as a number and other factors, sorted.
struct Product {
  int64_t number = 1;
  SmallVector<Value> factors;
};
static void addFactors(OpFoldResult x, Product &product) {
  if (std::optional<int64_t> constant = getConstantIntValue(x)) {
    product.number *= *constant;
    return;
  }
  Value value = llvm::cast<Value>(x);
  if (auto multiply = value.getDefiningOp<arith::MulIOp>()) {
    addFactors(multiply.getLhs(), product);
    addFactors(multiply.getRhs(), product);
    return;
  }
  product.factors.push_back(value);
}

OpFoldResult CoreBuilder::indexProduct(OpFoldResult x, OpFoldResult y) {
  std::optional<int64_t> a = getConstantIntValue(x), b = getConstantIntValue(y);
  if (a && b)
    return builder.getIndexAttr(*a * *b);
  if (a == 1 || b == 0)
    return normalized(builder, y);
  if (b == 1 || a == 0)
    return normalized(builder, x);
  if (a)
    std::swap(x, y), std::swap(a, b);
  if (b) // (z * c) * b -> z * (c * b)
    if (auto product = llvm::cast<Value>(x).getDefiningOp<arith::MulIOp>())
      if (std::optional<int64_t> c = getConstantIntValue(product.getRhs()))
        return indexProduct(product.getLhs(), builder.getIndexAttr(*b * *c));
  if (!b)
    if (Value value = existing<arith::MulIOp>(builder, y, x))
      return value;
  return indexOp<arith::MulIOp>(*this, x, y);
}

// x / y -> the factors of x that are not in y, if all of y's are in x
static std::optional<OpFoldResult> exactQuotient(CoreBuilder &b, OpFoldResult x, OpFoldResult y) {
  Product numerator, denominator;
  addFactors(x, numerator);
  addFactors(y, denominator);
  if (denominator.number == 0 || numerator.number % denominator.number != 0)
    return {};
  for (Value factor : denominator.factors) {
    auto found = llvm::find(numerator.factors, factor);
    if (found == numerator.factors.end())
      return {};
    numerator.factors.erase(found);
  }
  OpFoldResult result = b.builder.getIndexAttr(1);
  for (Value factor : numerator.factors)
    result = b.indexProduct(result, factor);
  return b.indexProduct(result, b.builder.getIndexAttr(numerator.number / denominator.number));
}

static int64_t floorDivide(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

// Values are sizes and not negative: truncating division rounds down.
OpFoldResult CoreBuilder::indexFloorDiv(OpFoldResult x, OpFoldResult y) {
  std::optional<int64_t> a = getConstantIntValue(x), b = getConstantIntValue(y);
  if (a && b) // by 0 nothing is divided in earnest: who needs the result requires another divisor
    return builder.getIndexAttr(*b == 0 ? 0 : floorDivide(*a, *b));
  if (std::optional<OpFoldResult> exact = exactQuotient(*this, x, y))
    return *exact;
  return indexOp<arith::DivSIOp>(*this, x, y);
}

OpFoldResult CoreBuilder::indexCeilDiv(OpFoldResult x, OpFoldResult y) {
  std::optional<int64_t> a = getConstantIntValue(x), b = getConstantIntValue(y);
  if (a && b)
    return builder.getIndexAttr(*b == 0 ? 0 : -floorDivide(-*a, *b));
  if (std::optional<OpFoldResult> exact = exactQuotient(*this, x, y))
    return *exact;
  return indexFloorDiv(indexSum(x, indexDifference(y, builder.getIndexAttr(1))), y);
}

OpFoldResult CoreBuilder::indexMin(OpFoldResult x, OpFoldResult y) {
  std::optional<int64_t> a = getConstantIntValue(x), b = getConstantIntValue(y);
  if (a && b)
    return builder.getIndexAttr(std::min(*a, *b));
  if (x == y)
    return x;
  return indexOp<arith::MinSIOp>(*this, x, y);
}

OpFoldResult CoreBuilder::indexMax(OpFoldResult x, OpFoldResult y) {
  std::optional<int64_t> a = getConstantIntValue(x), b = getConstantIntValue(y);
  if (a && b)
    return builder.getIndexAttr(std::max(*a, *b));
  if (x == y)
    return x;
  return indexOp<arith::MaxSIOp>(*this, x, y);
}

bool CoreBuilder::isSame(OpFoldResult x, OpFoldResult y) {
  auto isSo = [&](OpFoldResult p, OpFoldResult q) {
    return isSameSize(p, q, symbolOf ? SymbolOf(*symbolOf) : SymbolOf());
  };
  if (isSo(x, y))
    return true;
  for (const Equality &known : equalities)
    if (((isSo(known.x, x) && isSo(known.y, y)) || (isSo(known.x, y) && isSo(known.y, x))) &&
        (known.block == builder.getInsertionBlock() ||
         known.block->getParent()->isProperAncestor(builder.getInsertionBlock()->getParent())))
      return true;
  return false;
}

void CoreBuilder::assumeRequired(Block &block) {
  for (auto require : block.getOps<RequireOp>())
    if (auto compare = require.getCondition().getDefiningOp<arith::CmpIOp>();
        compare && compare.getPredicate() == arith::CmpIPredicate::eq)
      equalities.push_back({&block, compare.getLhs(), compare.getRhs()});
}

Value CoreBuilder::indexCompare(arith::CmpIPredicate predicate, OpFoldResult x, OpFoldResult y) {
  return builder.createOrFold<arith::CmpIOp>(loc, predicate, index(x), index(y));
}

OpFoldResult CoreBuilder::indexSelect(Value condition, OpFoldResult x, OpFoldResult y) {
  if (x == y)
    return x;
  return normalized(builder, builder.createOrFold<arith::SelectOp>(loc, condition, index(x), index(y)));
}

void CoreBuilder::require(Value condition, const llvm::Twine &message, OpFoldResult x, OpFoldResult y) {
  std::optional<int64_t> known = getConstantIntValue(condition);
  if (!known || *known == 0)
    RequireOp::create(builder, loc, condition, builder.getStringAttr(message), index(x), index(y));
}

bool CoreBuilder::requireSame(OpFoldResult x, OpFoldResult y, const llvm::Twine &what) {
  if (isSame(x, y))
    return true;
  std::optional<int64_t> a = getConstantIntValue(x), c = getConstantIntValue(y);
  if (a && c) {
    if (!failed)
      emitError(loc) << what << " differ: " << *a << " and " << *c;
    failed = true;
    return false;
  }
  equalities.push_back({builder.getInsertionBlock(), x, y});
  require(indexCompare(arith::CmpIPredicate::eq, x, y), what + " differ: %d and %d", x, y);
  return true;
}

OpFoldResult CoreBuilder::broadcastSize(OpFoldResult x, OpFoldResult y) {
  std::optional<int64_t> a = getConstantIntValue(x), c = getConstantIntValue(y);
  if (a == 1 || (c && c != 1))
    return a && a != 1 ? x : y;
  if (c == 1 || a || isSame(x, y))
    return x;
  // The last row, if there is one, against all of them.
  auto isOneOf = [&](OpFoldResult row, OpFoldResult all) {
    auto least = llvm::cast<Value>(row).getDefiningOp<arith::MinSIOp>();
    return least && ((getConstantIntValue(least.getRhs()) == 1 && isSame(least.getLhs(), all)) ||
                     (getConstantIntValue(least.getLhs()) == 1 && isSame(least.getRhs(), all)));
  };
  if (isOneOf(y, x))
    return x;
  if (isOneOf(x, y))
    return y;
  // min(n, c) and n, with c above 1: either both are 1 or none of them is, so they have to be equal.
  auto isFewOf = [&](OpFoldResult few, OpFoldResult all) {
    auto least = llvm::cast<Value>(few).getDefiningOp<arith::MinSIOp>();
    return least && ((getConstantIntValue(least.getRhs()).value_or(0) > 1 && isSame(least.getLhs(), all)) ||
                     (getConstantIntValue(least.getLhs()).value_or(0) > 1 && isSame(least.getRhs(), all)));
  };
  if (isFewOf(y, x) || isFewOf(x, y)) {
    requireSame(x, y, "sizes");
    return isFewOf(y, x) ? x : y;
  }
  return indexSelect(indexCompare(arith::CmpIPredicate::eq, x, builder.getIndexAttr(1)), y, x);
}

// ---- Small integer tensors ---------------------------------------------------------------------------------------------------

constexpr int64_t constantElementsMax = 4096;

std::optional<Sizes> CoreBuilder::elements(Value v) {
  RankedTensorType type = typeOf(v);
  if (type.getRank() > 1 || !isa<IntegerType>(type.getElementType()) || !type.hasStaticShape())
    return {};
  Sizes sizes;
  if (auto constant = v.getDefiningOp<ConstantOp>()) {
    if (type.getNumElements() > constantElementsMax)
      return {};
    std::optional<SmallVector<int64_t>> values = integersOf(constant.getValue());
    if (!values)
      return {};
    for (int64_t value : *values)
      sizes.push_back(builder.getIndexAttr(value));
    return sizes;
  }
  auto list = v.getDefiningOp<tensor::FromElementsOp>();
  if (!list)
    return {};
  for (Value element : list.getElements()) {
    if (std::optional<int64_t> constant = getConstantIntValue(element)) {
      sizes.push_back(builder.getIndexAttr(*constant));
      continue;
    }
    if (auto indexCast = element.getDefiningOp<arith::IndexCastOp>();
        indexCast && indexCast.getIn().getType().isIndex()) {
      sizes.push_back(indexCast.getIn());
      continue;
    }
    if (!element.getType().isSignlessInteger())
      return {};
    sizes.push_back(
        normalized(builder, builder.createOrFold<arith::IndexCastOp>(loc, builder.getIndexType(), element)));
  }
  return sizes;
}

std::optional<SmallVector<int64_t>> CoreBuilder::constantInts(Value v) {
  if (auto constant = v.getDefiningOp<ConstantOp>(); constant && isa<IntegerType>(elementOf(v)))
    return integersOf(constant.getValue());
  std::optional<Sizes> sizes = elements(v);
  if (!sizes)
    return {};
  return getConstantIntValues(*sizes);
}

Expr CoreBuilder::fromElements(const Sizes &values, Type element, bool scalar) {
  assert(!scalar || values.size() == 1);
  auto type = scalar ? RankedTensorType::get({}, element)
                     : RankedTensorType::get({static_cast<int64_t>(values.size())}, element);
  if (std::optional<SmallVector<int64_t>> numbers = getConstantIntValues(values)) {
    SmallVector<APInt> bits;
    for (int64_t number : *numbers)
      bits.push_back(APInt(64, number, true).sextOrTrunc(element.getIntOrFloatBitWidth()));
    return constant(DenseElementsAttr::get(type, bits));
  }
  SmallVector<Value> elements;
  Type signless = builder.getIntegerType(element.getIntOrFloatBitWidth());
  for (OpFoldResult value : values) {
    if (std::optional<int64_t> number = getConstantIntValue(value))
      elements.push_back(arith::ConstantOp::create(builder, loc, builder.getIntegerAttr(signless, *number)));
    else
      elements.push_back(builder.createOrFold<arith::IndexCastOp>(loc, signless, llvm::cast<Value>(value)));
  }
  Value list = tensor::FromElementsOp::create(builder, loc, type.clone(signless), elements);
  return cast(list, element);
}

Value CoreBuilder::extractIndex(Value v, int64_t position) {
  if (std::optional<Sizes> known = elements(v))
    return index((*known)[position]);
  if (!elementOf(v).isSignlessInteger() || elementOf(v).isInteger(1))
    v = cast(v, builder.getI64Type());
  SmallVector<Value> indices;
  for (int64_t axis = 0; axis < rankOf(v); ++axis)
    indices.push_back(arith::ConstantIndexOp::create(builder, loc, axis + 1 == rankOf(v) ? position : 0));
  Value element = builder.createOrFold<tensor::ExtractOp>(loc, v, indices);
  return builder.createOrFold<arith::IndexCastOp>(loc, builder.getIndexType(), element);
}

OpFoldResult CoreBuilder::boundedSize(OpFoldResult size, OpFoldResult max, StringRef what) {
  std::optional<int64_t> known = getConstantIntValue(size), bound = getConstantIntValue(max);
  if (size == max || (known && bound && *known >= 0 && *known <= *bound))
    return size;
  return BoundedSizeOp::create(builder, loc, index(size), index(max), what).getResult();
}

bool CoreBuilder::isShapeArithmetic(ValueRange values) {
  bool hasValue = false;
  for (Value v : values) {
    RankedTensorType type = typeOf(v);
    if (type.getRank() > 1 || !type.hasStaticShape() || type.getNumElements() > shapeElementsMax ||
        !type.getElementType().isSignlessInteger() || type.getElementType().isInteger(1) ||
        !isa_and_nonnull<ConstantOp, tensor::FromElementsOp>(v.getDefiningOp()))
      return false;
    hasValue |= isa<tensor::FromElementsOp>(v.getDefiningOp());
  }
  return hasValue;
}

/// Both lists at the length of the longer one.
static bool align(Sizes &x, Sizes &y) {
  size_t count = std::max(x.size(), y.size());
  if ((x.size() != count && x.size() != 1) || (y.size() != count && y.size() != 1) || count == 0)
    return false;
  x.resize(count, x[0]);
  y.resize(count, y[0]);
  return true;
}

Value CoreBuilder::shapeBinary(StringRef name, Value x, Value y) {
  if (!isShapeArithmetic({x, y}))
    return {};
  Sizes a = *elements(x), c = *elements(y), result;
  if (!align(a, c))
    return {};
  for (auto [p, q] : llvm::zip(a, c)) {
    std::optional<int64_t> m = getConstantIntValue(p), n = getConstantIntValue(q);
    if (name == "add")
      result.push_back(indexSum(p, q));
    else if (name == "sub")
      result.push_back(indexDifference(p, q));
    else if (name == "mul")
      result.push_back(indexProduct(p, q));
    else if (name == "max")
      result.push_back(indexMax(p, q));
    else if (name == "min")
      result.push_back(indexMin(p, q));
    else if (name == "div" && m && n && *n != 0)
      result.push_back(builder.getIndexAttr(*m / *n));
    else if (name == "div" && isNonNegative(p) && isNonNegative(q) && n != 0)
      result.push_back(indexFloorDiv(p, q));
    else if (name == "div" && n && *n != 0)
      result.push_back(indexOp<arith::DivSIOp>(*this, p, q));
    else if ((name == "rem" || name == "mod") && n && *n > 0 && isNonNegative(p))
      result.push_back(m ? OpFoldResult(builder.getIndexAttr(*m % *n)) : indexOp<arith::RemSIOp>(*this, p, q));
    else if (name == "mod" && n && *n > 0) // what a negative number leaves is made positive
      result.push_back(indexOp<arith::RemSIOp>(*this, indexSum(indexOp<arith::RemSIOp>(*this, p, q), q), q));
    else
      return {};
  }
  return fromElements(result, elementOf(x), rankOf(x) == 0 && rankOf(y) == 0);
}

Value CoreBuilder::shapeCompare(Comparison predicate, Value x, Value y) {
  if (!isShapeArithmetic({x, y}))
    return {};
  Sizes a = *elements(x), c = *elements(y);
  if (!align(a, c))
    return {};
  SmallVector<bool> result;
  for (auto [p, q] : llvm::zip(a, c)) {
    std::optional<int64_t> m = getConstantIntValue(p), n = getConstantIntValue(q);
    if (!m && n && *n < 0 && isNonNegative(p)) // a size against a negative number
      m = 0;
    else if (!n && m && *m < 0 && isNonNegative(q))
      n = 0;
    else if ((!m || !n) && p == q)
      m = n = 0;
    if (!m || !n)
      return {};
    const bool results[] = {*m == *n, *m != *n, *m<*n, *m <= *n, *m> * n, *m >= *n};
    result.push_back(results[static_cast<int>(predicate)]);
  }
  SmallVector<int64_t> shape;
  if (rankOf(x) || rankOf(y))
    shape.push_back(result.size());
  return constant(DenseElementsAttr::get(RankedTensorType::get(shape, builder.getI1Type()), result));
}

Value CoreBuilder::shapeSelect(Value condition, Value x, Value y) {
  auto constant = condition.getDefiningOp<ConstantOp>();
  if (!constant || rankOf(condition) > 1 || !isShapeArithmetic({x, y}))
    return {};
  std::optional<SmallVector<int64_t>> choice = integersOf(constant.getValue());
  Sizes a = *elements(x), c = *elements(y), result;
  if (!choice || choice->empty() || !align(a, c))
    return {};
  Sizes flags;
  for (int64_t flag : *choice)
    flags.push_back(builder.getIndexAttr(flag));
  if (!align(flags, a) || !align(a, c))
    return {};
  for (auto [flag, p, q] : llvm::zip(flags, a, c))
    result.push_back(*getConstantIntValue(flag) ? p : q);
  return fromElements(result, elementOf(x), rankOf(condition) == 0 && rankOf(x) == 0 && rankOf(y) == 0);
}

Value CoreBuilder::shapeReduce(Reduction kind, Value x, bool keepDims) {
  if (!isShapeArithmetic(x) || rankOf(x) != 1 || kind == Reduction::And || kind == Reduction::Or)
    return {};
  Sizes values = *elements(x);
  if (values.empty())
    return {};
  OpFoldResult result = values[0];
  for (OpFoldResult value : ArrayRef(values).drop_front())
    result = kind == Reduction::Sum    ? indexSum(result, value)
             : kind == Reduction::Prod ? indexProduct(result, value)
             : kind == Reduction::Max  ? indexMax(result, value)
                                       : indexMin(result, value);
  return fromElements({result}, elementOf(x), !keepDims);
}

} // namespace mlc::core
