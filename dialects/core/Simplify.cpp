// Algebra on core operations (see Simplify.h). Each rule has its formula above it; every rule leaves fewer or simpler operations.
#include "dialects/core/Simplify.h"
#include "dialects/core/CoreBuilder.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace mlc::core {

TypedAttr splatOf(Value value, bool named) {
  if (auto broadcast = value.getDefiningOp<BroadcastOp>())
    return splatOf(broadcast.getX(), named);
  auto constant = value.getDefiningOp<ConstantOp>();
  if (!constant || (!named && isTrainable(value)))
    return {};
  auto splat = dyn_cast<SplatElementsAttr>(constant.getValue());
  return splat ? dyn_cast<TypedAttr>(splat.getSplatValue<Attribute>()) : TypedAttr();
}

static bool isSplat(Value value, double number) {
  TypedAttr splat = splatOf(value);
  if (auto real = dyn_cast_or_null<FloatAttr>(splat))
    return real.getValueAsDouble() == number;
  if (auto integer = dyn_cast_or_null<IntegerAttr>(splat)) {
    if (number == -1)
      return integer.getValue().isAllOnes();
    return integer.getValue() == static_cast<uint64_t>(number);
  }
  return false;
}

/// 0, or of floats the zero that added to any number leaves it as it is (-0 + +0 is +0).
static bool isAddedZero(Value value) {
  auto real = dyn_cast_or_null<FloatAttr>(splatOf(value));
  return isSplat(value, 0) && (!real || real.getValue().isNegative());
}
/// The same for a zero that is subtracted.
static bool isSubtractedZero(Value value) {
  auto real = dyn_cast_or_null<FloatAttr>(splatOf(value));
  return isSplat(value, 0) && (!real || !real.getValue().isNegative());
}

static RankedTensorType typeOf(Value v) { return cast<RankedTensorType>(v.getType()); }

// x + 0, 0 + x -> x (of floats x + -0); x * 1, 1 * x -> x; x - 0, x / 1, x ^ 1 -> x; max(x, x) -> x; x & x -> x; x & ~0, x | 0, x xor 0 -> x; x & 0 -> 0; x | ~0 -> ~0
static Value simplifyBinary(Operation *op) {
  Value x = op->getOperand(0), y = op->getOperand(1);
  if (isa<AddOp, OrOp, XorOp>(op))
    return isAddedZero(y) ? x : isAddedZero(x) ? y : isa<OrOp>(op) && x == y ? x : Value();
  if (isa<MulOp>(op))
    return isSplat(y, 1) ? x : isSplat(x, 1) ? y : Value();
  if (isa<SubOp, ShlOp, ShrOp>(op))
    return isSubtractedZero(y) ? x : Value();
  if (isa<DivOp, PowOp>(op))
    return isSplat(y, 1) ? x : Value();
  if (isa<AndOp>(op))
    return x == y || isSplat(y, -1) || isSplat(x, 0) ? x : isSplat(x, -1) || isSplat(y, 0) ? y : Value();
  if (isa<MaxOp, MinOp>(op) && x == y)
    return x;
  return {};
}

// -(-x) -> x; ~~x -> x
template <typename Op> static Value simplifyInvolution(Op op) {
  auto inner = op.getX().template getDefiningOp<Op>();
  return inner ? inner.getX() : Value();
}

// select(true, x, y) -> x; select(false, x, y) -> y; select(c, x, x) -> x
static Value simplifySelect(SelectOp op) {
  if (op.getX() == op.getY())
    return op.getX();
  if (auto condition = dyn_cast_or_null<IntegerAttr>(splatOf(op.getCondition())))
    return condition.getValue().isZero() ? op.getY() : op.getX();
  return {};
}

/// Every number of type `from` is one of type `to`.
static bool contains(Type to, Type from) {
  if (auto wide = dyn_cast<FloatType>(to)) {
    if (auto narrow = dyn_cast<FloatType>(from))
      return APFloat::isRepresentableBy(narrow.getFloatSemantics(), wide.getFloatSemantics());
    return from.getIntOrFloatBitWidth() < static_cast<unsigned>(APFloat::semanticsPrecision(wide.getFloatSemantics()));
  }
  if (!isa<IntegerType>(from) || to.isInteger(1))
    return false;
  unsigned wide = to.getIntOrFloatBitWidth(), narrow = from.getIntOrFloatBitWidth();
  if (isUnsigned(from))
    return isUnsigned(to) ? wide >= narrow : wide > narrow;
  return !isUnsigned(to) && wide >= narrow;
}

// cast(x: A to A) -> x; cast(cast(x: A to B) to C) -> cast(x: A to C) if B contains A
static Value simplifyCast(CastOp op) {
  if (op.getX().getType() == op.getY().getType())
    return op.getX();
  auto inner = op.getX().getDefiningOp<CastOp>();
  if (!inner || !contains(typeOf(inner.getY()).getElementType(), typeOf(inner.getX()).getElementType()))
    return {};
  if (inner.getX().getType() == op.getY().getType())
    return inner.getX();
  op.getXMutable().assign(inner.getX());
  return op.getY();
}

std::optional<SmallVector<int64_t>> addedUnits(ReshapeOp op) {
  RankedTensorType from = typeOf(op.getX()), to = typeOf(op.getY());
  SmallVector<int64_t> map;
  Sizes sizes = op.getMixedSizes();
  int64_t axis = 0;
  for (int64_t at = 0; at < to.getRank(); ++at) {
    if (axis < from.getRank() && (from.getDimSize(axis) == to.getDimSize(at)) &&
        (!to.isDynamicDim(at) || hasSize(op.getX(), axis, sizes[at]))) {
      map.push_back(at);
      ++axis;
    } else if (to.getDimSize(at) != 1) {
      return {};
    }
  }
  return axis == from.getRank() ? std::optional(map) : std::nullopt;
}

// broadcast(x) of x's shape -> x
// broadcast(broadcast(x, a), b) -> broadcast(x, b ∘ a)
// broadcast(reshape(x) that adds dimensions of size 1, b) -> broadcast(x, b without them)
static Value simplifyBroadcast(BroadcastOp op) {
  RankedTensorType x = typeOf(op.getX()), y = typeOf(op.getY());
  if (x == y) {
    bool isIdentity = true;
    for (auto [axis, size] : llvm::enumerate(op.getMixedSizes()))
      isIdentity = isIdentity && hasSize(op.getX(), axis, size);
    if (isIdentity)
      return op.getX();
  }
  Value source;
  SmallVector<int64_t> inner;
  if (auto broadcast = op.getX().getDefiningOp<BroadcastOp>()) {
    source = broadcast.getX();
    inner.assign(broadcast.getAxes().begin(), broadcast.getAxes().end());
  } else if (auto reshape = op.getX().getDefiningOp<ReshapeOp>()) {
    if (std::optional<SmallVector<int64_t>> map = addedUnits(reshape)) {
      source = reshape.getX();
      inner = *map;
    }
  }
  if (!source)
    return {};
  SmallVector<int64_t> axes, single;
  for (auto [from, axis] : llvm::enumerate(inner)) {
    axes.push_back(op.getAxes()[axis]);
    auto broadcast = op.getX().getDefiningOp<BroadcastOp>();
    if (typeOf(source).isDynamicDim(from) &&
        (llvm::is_contained(op.getSingle(), axis) || (broadcast && llvm::is_contained(broadcast.getSingle(), from))))
      single.push_back(from);
  }
  op.getXMutable().assign(source);
  op.setAxes(axes);
  op.setSingle(single);
  return op.getY();
}

// reshape(x) to x's shape -> x; reshape(reshape(x)) -> reshape(x)
static Value simplifyReshape(ReshapeOp op) {
  if (op.getX().getType() == op.getY().getType()) {
    int64_t unknown = 0;
    for (auto [axis, size] : llvm::enumerate(op.getMixedSizes()))
      unknown += !hasSize(op.getX(), axis, size);
    if (unknown <= 1)
      return op.getX();
  }
  auto inner = op.getX().getDefiningOp<ReshapeOp>();
  if (!inner)
    return {};
  op.getXMutable().assign(inner.getX());
  return op.getY();
}

// transpose(x, identity) -> x; transpose(transpose(x, p), q) -> transpose(x, p ∘ q)
static Value simplifyTranspose(TransposeOp op) {
  if (llvm::equal(op.getPermutation(), llvm::seq<int64_t>(0, op.getPermutation().size())))
    return op.getX();
  auto inner = op.getX().getDefiningOp<TransposeOp>();
  if (!inner)
    return {};
  SmallVector<int64_t> permutation;
  for (int64_t axis : op.getPermutation())
    permutation.push_back(inner.getPermutation()[axis]);
  op.getXMutable().assign(inner.getX());
  op.setPermutation(permutation);
  return op.getY();
}

// slice(x) of all of x -> x
static Value simplifySlice(SliceOp op) {
  Sizes starts = op.getMixedStarts(), sizes = op.getMixedSizes();
  for (auto [axis, stride] : llvm::enumerate(op.getStrides()))
    if (stride != 1 || getConstantIntValue(starts[axis]) != 0 || !hasSize(op.getX(), axis, sizes[axis]))
      return {};
  return op.getX();
}

// stretch(x) of x's sizes -> x
static Value simplifyStretch(StretchOp op) {
  for (auto [axis, size] : llvm::enumerate(op.getMixedSizes()))
    if (!hasSize(op.getX(), axis, size))
      return {};
  return op.getX();
}

// pad(x) by nothing -> x
static Value simplifyPad(PadOp op) {
  auto isZero = [](OpFoldResult size) { return getConstantIntValue(size) == 0; };
  bool isIdentity = llvm::all_of(op.getMixedLow(), isZero) && llvm::all_of(op.getMixedHigh(), isZero) &&
                    llvm::all_of(op.getInterior(), [](int64_t n) { return n == 0; });
  return isIdentity ? op.getX() : Value();
}

Value simplify(Operation *op) {
  if (op->getNumResults() != 1)
    return {};
  Value value = llvm::TypeSwitch<Operation *, Value>(op)
                    .Case<AddOp, SubOp, MulOp, DivOp, PowOp, MaxOp, MinOp, AndOp, OrOp, XorOp, ShlOp, ShrOp>(
                        [](Operation *op) { return simplifyBinary(op); })
                    .Case<NegOp>([](NegOp op) { return simplifyInvolution(op); })
                    .Case<NotOp>([](NotOp op) { return simplifyInvolution(op); })
                    .Case([](SelectOp op) { return simplifySelect(op); })
                    .Case([](CastOp op) { return simplifyCast(op); })
                    .Case([](BroadcastOp op) { return simplifyBroadcast(op); })
                    .Case([](StretchOp op) { return simplifyStretch(op); })
                    .Case([](ReshapeOp op) { return simplifyReshape(op); })
                    .Case([](TransposeOp op) { return simplifyTranspose(op); })
                    .Case([](SliceOp op) { return simplifySlice(op); })
                    .Case([](PadOp op) { return simplifyPad(op); })
                    // reverse over no axes, reduce over no axes, concat of one -> x
                    .Case([](ReverseOp op) { return op.getAxes().empty() ? Value(op.getX()) : Value(); })
                    .Case([](ReduceOp op) { return op.getAxes().empty() ? Value(op.getX()) : Value(); })
                    .Case([](ConcatOp op) { return op.getValues().size() == 1 ? op.getValues()[0] : Value(); })
                    .Default([](Operation *) { return Value(); });
  return value && value.getType() == op->getResult(0).getType() ? value : Value();
}

} // namespace mlc::core
