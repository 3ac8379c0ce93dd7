// Evaluates shape arithmetic on exact ratios of index values, and on floats (FloatSizes.h) where it leaves them. A result that is not evaluated here is computed by the node's
// core ops and read back at run time, so that giving up is always safe and a wrong answer never is.
#include "compiler/OnnxToCore/KnownValues.h"
#include "compiler/OnnxToCore/FloatSizes.h"
#include "compiler/OnnxToCore/Node.h"
#include "dialects/core/SizeFacts.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/IR/Matchers.h"
#include <cmath>
#include <cstring>

using namespace mlir;
namespace mlc::decompose {

constexpr int64_t kKnownMax = 256; // elements; shape arithmetic works on far fewer

// ---- reading constants --------------------------------------------------------------------------------------------

ElementsAttr constantOf(Value v) {
  Attribute attr;
  if (v && matchPattern(v, m_Constant(&attr)))
    return dyn_cast<ElementsAttr>(attr);
  return {};
}

/// The bytes of a resource, one element after the other.
template <typename Read> static bool readResource(DenseResourceElementsAttr attr, Read read) {
  AsmResourceBlob *blob = attr.getRawHandle().getBlob();
  if (!blob)
    return false;
  Type element = attr.getElementType();
  unsigned bytes = std::max(1u, element.getIntOrFloatBitWidth() / 8);
  int64_t count = attr.getNumElements();
  if (element.getIntOrFloatBitWidth() % 8 && !element.isInteger(1))
    return false;
  if (int64_t(blob->getData().size()) < count * int64_t(bytes))
    return false;
  for (int64_t i = 0; i < count; ++i) {
    uint64_t raw = 0;
    std::memcpy(&raw, blob->getData().data() + i * bytes, bytes);
    read(APInt(bytes * 8, raw));
  }
  return true;
}

static int64_t toInt(Type element, const APInt &bits) {
  if (element.isInteger(1))
    return !bits.isZero();
  return element.isUnsignedInteger() ? int64_t(bits.getZExtValue()) : bits.getSExtValue();
}

static double toDouble(Type element, const APInt &bits) {
  if (auto type = dyn_cast<FloatType>(element)) {
    APFloat value(type.getFloatSemantics(), bits);
    bool loses;
    value.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &loses);
    return value.convertToDouble();
  }
  return element.isUnsignedInteger() ? double(bits.getZExtValue()) : double(toInt(element, bits));
}

/// Calls read(bits) on every element.
template <typename Read> static bool readBits(ElementsAttr attr, int64_t countMax, Read read) {
  if (!attr || !attr.getElementType().isIntOrFloat() || attr.getNumElements() > countMax)
    return false;
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(attr))
    return readResource(resource, read);
  auto dense = dyn_cast<DenseElementsAttr>(attr);
  if (!dense)
    return false;
  if (isa<FloatType>(dense.getElementType()))
    for (APFloat value : dense.getValues<APFloat>())
      read(value.bitcastToAPInt());
  else
    for (APInt value : dense.getValues<APInt>())
      read(value);
  return true;
}

std::optional<SmallVector<double>> readFloats(ElementsAttr attr, int64_t countMax) {
  SmallVector<double> result;
  if (!readBits(attr, countMax, [&](const APInt &bits) { result.push_back(toDouble(attr.getElementType(), bits)); }))
    return std::nullopt;
  return result;
}

std::optional<SmallVector<int64_t>> readInts(ElementsAttr attr, int64_t countMax) {
  SmallVector<int64_t> result;
  if (!attr || !isa<IntegerType>(attr.getElementType()) ||
      !readBits(attr, countMax, [&](const APInt &bits) { result.push_back(toInt(attr.getElementType(), bits)); }))
    return std::nullopt;
  return result;
}

// ---- ratios -------------------------------------------------------------------------------------------------------

using MaybeRatio = std::optional<Ratio>;
using MaybeIndex = std::optional<OpFoldResult>;

/// A float that is a small multiple of a small power of two: such products are exact in f32, others are not evaluated.
static std::optional<std::pair<int64_t, int64_t>> dyadic(double value) {
  if (!(std::abs(value) < double(1 << 30)))
    return std::nullopt;
  for (int64_t denominator = 1; denominator <= 1024; denominator *= 2)
    if (value * double(denominator) == std::floor(value * double(denominator)))
      return std::pair{int64_t(value * double(denominator)), denominator};
  return std::nullopt;
}

namespace {
/// Exact arithmetic on index values; nullopt where a constant would overflow. What is not exact is computed in `floats`, null where
/// the result is left to the node's core ops.
struct Arithmetic {
  CoreBuilder &b;
  const KnownValues &values;
  FloatType floats = {};

  OpFoldResult constant(int64_t value) { return b.builder.getIndexAttr(value); }
  static std::optional<int64_t> known(OpFoldResult x) { return getConstantIntValue(x); }

  MaybeIndex add(OpFoldResult x, OpFoldResult y) {
    auto a = known(x), c = known(y);
    int64_t r;
    if (a && c)
      return llvm::AddOverflow(*a, *c, r) ? MaybeIndex() : constant(r);
    return b.indexSum(x, y);
  }
  MaybeIndex subtract(OpFoldResult x, OpFoldResult y) {
    auto a = known(x), c = known(y);
    int64_t r;
    if (a && c)
      return llvm::SubOverflow(*a, *c, r) ? MaybeIndex() : constant(r);
    return b.indexDifference(x, y);
  }
  MaybeIndex multiply(OpFoldResult x, OpFoldResult y) {
    auto a = known(x), c = known(y);
    int64_t r;
    if (a && c)
      return llvm::MulOverflow(*a, *c, r) ? MaybeIndex() : constant(r);
    if (a == 1)
      return y;
    if (c == 1)
      return x;
    return b.indexProduct(x, y);
  }
  /// Truncating, as ONNX divides integers.
  MaybeIndex divide(OpFoldResult x, OpFoldResult y) {
    auto a = known(x), c = known(y);
    if (c == 0 || (c == -1 && a == INT64_MIN))
      return std::nullopt;
    if (a && c)
      return constant(*a / *c);
    if (core::isNonNegative(x) && values.isSame(x, y))
      return constant(1); // a size of 0 divided by itself is not defined
    if (c == 1)
      return x;
    if (!core::isNonNegative(x) || !core::isNonNegative(y))
      return std::nullopt;
    if (!c)
      b.require(b.indexCompare(mlir::arith::CmpIPredicate::ne, y, constant(0)), "a size of %d is divided by %d", x, y);
    return b.indexFloorDiv(x, y);
  }
  MaybeIndex floorDivide(OpFoldResult x, int64_t y) {
    if (y == 1)
      return x;
    if (auto a = known(x))
      return constant(llvm::divideFloorSigned(*a, y));
    return b.indexFloorDiv(x, constant(y));
  }
  MaybeIndex ceilDivide(OpFoldResult x, int64_t y) {
    if (y == 1)
      return x;
    if (auto a = known(x))
      return constant(llvm::divideCeilSigned(*a, y));
    return core::isNonNegative(x) ? MaybeIndex(b.indexCeilDiv(x, constant(y))) : std::nullopt;
  }

  static MaybeRatio ratio(MaybeIndex numerator, int64_t denominator = 1) {
    if (!numerator || denominator <= 0 || denominator > (1 << 30))
      return std::nullopt;
    Ratio r{*numerator, denominator};
    if (auto a = known(r.numerator); a && denominator > 1 && *a % denominator == 0)
      return Ratio{IntegerAttr::get(IndexType::get(cast<Attribute>(r.numerator).getContext()), *a / denominator), 1};
    return r;
  }
  /// Numerators over the common denominator.
  std::optional<std::pair<OpFoldResult, OpFoldResult>> common(Ratio x, Ratio y) {
    auto a = multiply(x.numerator, constant(y.denominator)), c = multiply(y.numerator, constant(x.denominator));
    if (!a || !c)
      return std::nullopt;
    return std::pair{*a, *c};
  }

  MaybeRatio binary(StringRef op, Ratio x, Ratio y, bool isFloat) {
    MaybeRatio exact;
    if (!isFloatSize(x.numerator) && !isFloatSize(y.numerator))
      exact = exactBinary(op, x, y, isFloat);
    return exact || !floats ? exact : FloatSizes{b, floats}.binary(op, x, y);
  }
  MaybeRatio exactBinary(StringRef op, Ratio x, Ratio y, bool isFloat) {
    bool isPlain = x.denominator == 1 && y.denominator == 1;
    if (op == "Mul")
      return ratio(multiply(x.numerator, y.numerator), x.denominator * y.denominator);
    if (op == "Div") {
      if (!isFloat)
        return isPlain ? ratio(divide(x.numerator, y.numerator)) : std::nullopt;
      auto divisor = known(y.numerator);
      if (!divisor || *divisor <= 0 || (*divisor & (*divisor - 1))) // f32 rounds other quotients
        return std::nullopt;
      return ratio(multiply(x.numerator, constant(y.denominator)), x.denominator * *divisor);
    }
    if (op == "Mod") {
      auto a = known(x.numerator), c = known(y.numerator);
      if (!isPlain || isFloat || !a || !c || *a < 0 || *c <= 0)
        return std::nullopt;
      return ratio(constant(*a % *c));
    }
    auto over = common(x, y);
    if (!over)
      return std::nullopt;
    auto [a, c] = *over;
    int64_t denominator = x.denominator * y.denominator;
    if (op == "Add")
      return ratio(add(a, c), denominator);
    if (op == "Sub")
      return ratio(subtract(a, c), denominator);
    if (op == "Min" || op == "Max") {
      auto p = known(a), q = known(c);
      if (p && q)
        return ratio(constant(op == "Min" ? std::min(*p, *q) : std::max(*p, *q)), denominator);
      return ratio(op == "Min" ? b.indexMin(a, c) : b.indexMax(a, c), denominator);
    }
    return compare(op, a, c);
  }

  MaybeRatio compare(StringRef op, OpFoldResult x, OpFoldResult y) {
    auto a = known(x), c = known(y);
    auto is = [&](bool value) { return Ratio{constant(value)}; };
    using P = arith::CmpIPredicate;
    auto predicate = llvm::StringSwitch<std::optional<P>>(op)
                         .Case("Equal", P::eq)
                         .Case("Less", P::slt)
                         .Case("LessOrEqual", P::sle)
                         .Case("Greater", P::sgt)
                         .Case("GreaterOrEqual", P::sge)
                         .Default(std::nullopt);
    if (!predicate)
      return std::nullopt;
    if (a && c)
      return is(arith::applyCmpPredicate(*predicate, APInt(64, *a, true), APInt(64, *c, true)));
    if (values.isSame(x, y))
      return is(*predicate == P::eq || *predicate == P::sle || *predicate == P::sge);
    if (c && *c < 0 && core::isNonNegative(x))
      return is(*predicate == P::sgt || *predicate == P::sge);
    if (a && *a < 0 && core::isNonNegative(y))
      return is(*predicate == P::slt || *predicate == P::sle);
    return Ratio{arith::CmpIOp::create(b.builder, b.loc, *predicate, b.index(x), b.index(y)).getResult()};
  }

  MaybeRatio select(Ratio condition, Ratio x, Ratio y) {
    if (auto c = known(condition.numerator))
      return *c ? x : y;
    Value flag = cast<Value>(condition.numerator);
    if (x.denominator != 1 || y.denominator != 1 || isFloatSize(x.numerator) || isFloatSize(y.numerator))
      return floats ? MaybeRatio(FloatSizes{b, floats}.select(flag, x, y)) : std::nullopt;
    if (values.isSame(x.numerator, y.numerator))
      return x;
    return Ratio{
        arith::SelectOp::create(b.builder, b.loc, flag, b.index(x.numerator), b.index(y.numerator)).getResult()};
  }

  MaybeRatio unary(StringRef op, Ratio x) {
    MaybeRatio exact = isFloatSize(x.numerator) ? std::nullopt : exactUnary(op, x);
    return exact || !floats ? exact : FloatSizes{b, floats}.unary(op, x);
  }
  MaybeRatio exactUnary(StringRef op, Ratio x) {
    if (op == "Identity")
      return x;
    if (op == "Floor")
      return ratio(floorDivide(x.numerator, x.denominator));
    if (op == "Ceil")
      return ratio(ceilDivide(x.numerator, x.denominator));
    if (op == "Neg")
      return ratio(subtract(constant(0), x.numerator), x.denominator);
    if (op == "Abs" || op == "Relu") {
      if (core::isNonNegative(x.numerator))
        return x;
      auto other = op == "Relu" ? constant(0) : subtract(constant(0), x.numerator);
      if (auto a = known(x.numerator); a && other)
        return ratio(constant(std::max(*a, *known(*other))), x.denominator);
      return other ? ratio(b.indexMax(x.numerator, *other), x.denominator) : std::nullopt;
    }
    if (op == "Not") {
      auto c = known(x.numerator);
      return c ? ratio(constant(!*c)) : std::nullopt;
    }
    return std::nullopt;
  }

  MaybeRatio castFloat(Ratio x, Type to) {
    if (!floats || to.isInteger(1) || to.getIntOrFloatBitWidth() < 32)
      return std::nullopt;
    if (auto wanted = dyn_cast<FloatType>(to))
      return FloatSizes{b, wanted}.convert(x);
    return FloatSizes{b, floats}.toIndex(x);
  }
  MaybeRatio cast(Ratio x, Type from, Type to) {
    if (isFloatSize(x.numerator))
      return castFloat(x, to);
    bool fromBool = from.isInteger(1);
    if (fromBool && !known(x.numerator))
      return std::nullopt;
    if (to.isInteger(1)) {
      auto c = known(x.numerator);
      return c ? ratio(constant(*c != 0)) : std::nullopt;
    }
    if (isa<FloatType>(to)) // sizes above 2^24 would round
      return to.isF32() || to.isF64() ? MaybeRatio(x) : std::nullopt;
    if (auto c = known(x.numerator)) {
      int64_t value = *c / x.denominator;
      unsigned bits = to.getIntOrFloatBitWidth();
      if (bits < 64 &&
          (to.isUnsignedInteger() ? value < 0 || value >= (int64_t(1) << bits) : !llvm::isIntN(bits, value)))
        return std::nullopt;
      return ratio(constant(value));
    }
    if (to.getIntOrFloatBitWidth() < 32)
      return std::nullopt;
    if (x.denominator == 1)
      return x;
    return core::isNonNegative(x.numerator) ? ratio(floorDivide(x.numerator, x.denominator)) : castFloat(x, to);
  }
};
} // namespace

std::optional<OpFoldResult> asIndex(const Ratio &r) {
  if (r.denominator != 1 || isFloatSize(r.numerator))
    return std::nullopt;
  if (auto v = dyn_cast<Value>(r.numerator); v && !v.getType().isIndex())
    return std::nullopt;
  return r.numerator;
}

std::optional<OpFoldResult> KnownValues::scaled(CoreBuilder &b, OpFoldResult size, const Ratio &scale) const {
  Type i64 = b.builder.getI64Type();
  FloatType f32 = b.builder.getF32Type();
  Arithmetic arithmetic{b, *this, f32};
  auto product = arithmetic.binary("Mul", Ratio{size}, scale, /*isFloat=*/true);
  auto floor = product ? arithmetic.unary("Floor", *product) : std::nullopt;
  auto integer = floor ? arithmetic.cast(*floor, f32, i64) : std::nullopt;
  return integer ? asIndex(*integer) : std::nullopt;
}

// ---- finding ------------------------------------------------------------------------------------------------------

std::optional<KnownTensor> KnownValues::find(CoreBuilder &b, Value v) {
  if (!v)
    return std::nullopt;
  if (auto it = map.find(v); it != map.end())
    return it->second;
  auto type = dyn_cast<RankedTensorType>(v.getType());
  if (!type || !type.hasStaticShape() || type.getNumElements() > kKnownMax)
    return std::nullopt;
  KnownTensor result{SmallVector<int64_t>(type.getShape()), {}};
  if (ElementsAttr attr = constantOf(v)) {
    if (isa<IntegerType>(type.getElementType())) {
      auto values = readInts(attr, kKnownMax);
      if (!values)
        return std::nullopt;
      for (int64_t value : *values)
        result.values.push_back({b.builder.getIndexAttr(value)});
      return result;
    }
    auto values = readFloats(attr, kKnownMax);
    if (!values)
      return std::nullopt;
    auto constant = v.getDefiningOp<core::ConstantOp>();
    bool mayBeTrained = areParameters && constant && constant.getName();
    for (double value : *values) {
      if (auto exact = dyadic(value))
        result.values.push_back({b.builder.getIndexAttr(exact->first), exact->second});
      else if (!mayBeTrained && int64_t(values->size()) <= kFloatSizesMax &&
               b.elementOf(v).getIntOrFloatBitWidth() >= 32)
        result.values.push_back({b.builder.getFloatAttr(type.getElementType(), value)});
      else
        return std::nullopt;
    }
    return result;
  }
  if (!isa<IntegerType>(type.getElementType()) || type.getRank() > 1)
    return std::nullopt;
  auto elements = b.elements(v);
  if (!elements)
    return std::nullopt;
  for (OpFoldResult element : *elements)
    result.values.push_back({element});
  return result;
}

bool KnownValues::isConstant(CoreBuilder &b, Value v) {
  if (constantOf(v))
    return true;
  auto found = find(b, v);
  return found && llvm::all_of(found->values, [](const Ratio &r) { return isa<Attribute>(r.numerator); });
}

// ---- evaluating ---------------------------------------------------------------------------------------------------

/// Row-by-row position of a multi-index.
static int64_t linear(ArrayRef<int64_t> index, ArrayRef<int64_t> shape) {
  int64_t position = 0;
  for (auto [i, size] : llvm::zip_equal(index, shape))
    position = position * size + i;
  return position;
}

/// Calls visit(index) for every index of the shape, row by row.
template <typename Visit> static void forEachIndex(ArrayRef<int64_t> shape, Visit visit) {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  SmallVector<int64_t> index(shape.size(), 0);
  for (int64_t i = 0; i < count; ++i) {
    visit(ArrayRef<int64_t>(index));
    for (int64_t d = int64_t(shape.size()) - 1; d >= 0 && ++index[d] == shape[d]; --d)
      index[d] = 0;
  }
}

static std::optional<Ratio> broadcastAt(const KnownTensor &x, ArrayRef<int64_t> index) {
  if (x.shape.size() > index.size())
    return std::nullopt;
  SmallVector<int64_t> own(index.take_back(x.shape.size()));
  for (auto [i, size] : llvm::zip_equal(own, x.shape))
    i = size == 1 ? 0 : i;
  int64_t position = linear(own, x.shape);
  if (position >= int64_t(x.values.size()))
    return std::nullopt;
  return x.values[position];
}

static std::optional<SmallVector<int64_t>> constants(const KnownTensor &x) {
  SmallVector<int64_t> result;
  for (const Ratio &value : x.values) {
    auto c = getConstantIntValue(value.numerator);
    if (!c || value.denominator != 1)
      return std::nullopt;
    result.push_back(*c);
  }
  return result;
}

static int64_t attrInt(Node &n, StringRef name, int64_t absent) {
  auto attr = dyn_cast_if_present<IntegerAttr>(n.op.getAttrs().get(name));
  return attr ? attr.getInt() : absent;
}

std::optional<KnownTensor> KnownValues::evaluate(Node &n, unsigned resultNumber, RankedTensorType type) {
  if (!type.hasStaticShape() || type.getNumElements() > kKnownMax ||
      (n.op.getDomain() != "ai.onnx" && n.op.getDomain() != ""))
    return std::nullopt;
  StringRef op = n.name();
  KnownTensor result{SmallVector<int64_t>(type.getShape()), {}};
  Arithmetic arithmetic{n.b, *this};

  if (op == "Shape" || op == "Size")
    return std::nullopt; // their rules make elements

  SmallVector<KnownTensor> inputs;
  auto isStructural = llvm::StringSwitch<bool>(op)
                          .Cases({"Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Slice",
                                  "Gather", "Expand", "Tile", "Split"},
                                 true)
                          .Default(false);
  auto isKnownOp =
      isStructural ||
      llvm::StringSwitch<bool>(op)
          .Cases({"Add", "Sub", "Mul", "Div", "Mod", "Min", "Max", "Equal", "Less", "LessOrEqual", "Greater",
                  "GreaterOrEqual"},
                 true)
          .Cases({"Neg", "Abs", "Relu", "Floor", "Ceil", "Round", "Sqrt", "Reciprocal", "Not", "Cast", "CastLike",
                  "Where", "Concat", "Range"},
                 true)
          .Cases({"ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin", "ScatterND", "ScatterElements"}, true)
          .Default(false);
  if (!isKnownOp)
    return std::nullopt;
  for (int64_t i = 0; i < n.inputCount(); ++i) {
    bool isOnlyShape = i > 0 && (op == "Reshape" || op == "Squeeze" || op == "Unsqueeze" || op == "Expand" ||
                                 op == "Split" || op == "CastLike" || op == "Tile" || op.starts_with("Reduce"));
    if (!n.peek(i) || isOnlyShape) {
      inputs.push_back({});
      continue;
    }
    auto found = find(n.b, n.peek(i));
    if (!found)
      return std::nullopt;
    inputs.push_back(std::move(*found));
  }
  if (inputs.empty())
    return std::nullopt;
  Type from = CoreBuilder::elementOf(n.peek(0));
  bool isFloat = isa<FloatType>(from);
  auto floats = dyn_cast<FloatType>(isFloat ? from : type.getElementType());
  if (floats && (floats.isF32() || floats.isF64()) && type.getNumElements() <= kFloatSizesMax)
    arithmetic.floats = floats;

  bool isComplete = true;
  auto push = [&](std::optional<Ratio> value) {
    if (value)
      result.values.push_back(*value);
    else
      isComplete = false;
  };

  if (op == "Identity" || op == "Reshape" || op == "Squeeze" || op == "Unsqueeze" || op == "Flatten") {
    if (int64_t(inputs[0].values.size()) != type.getNumElements())
      return std::nullopt;
    result.values = inputs[0].values;
  } else if (op == "Expand") {
    forEachIndex(result.shape, [&](ArrayRef<int64_t> index) { push(broadcastAt(inputs[0], index)); });
  } else if (op == "Tile") {
    forEachIndex(result.shape, [&](ArrayRef<int64_t> index) {
      SmallVector<int64_t> own(index);
      for (auto [i, size] : llvm::zip_equal(own, inputs[0].shape))
        i %= std::max<int64_t>(size, 1);
      push(inputs[0].values[linear(own, inputs[0].shape)]);
    });
  } else if (op == "Transpose") {
    auto perm = dyn_cast_if_present<DenseI64ArrayAttr>(n.op.getAttrs().get("perm"));
    forEachIndex(result.shape, [&](ArrayRef<int64_t> index) {
      SmallVector<int64_t> own(index.size());
      for (size_t i = 0; i < index.size(); ++i)
        own[perm ? perm[i] : int64_t(index.size() - 1 - i)] = index[i];
      push(inputs[0].values[linear(own, inputs[0].shape)]);
    });
  } else if (op == "Slice") {
    // The rule has computed the result's shape; only the first element and the steps are needed.
    int64_t rank = inputs[0].shape.size();
    SmallVector<int64_t> first(rank, 0), step(rank, 1);
    std::optional<SmallVector<int64_t>> starts, axes, steps;
    if (n.inputCount() == 1) {
      auto list = [&](StringRef name) {
        auto attr = dyn_cast_if_present<DenseI64ArrayAttr>(n.op.getAttrs().get(name));
        return attr ? SmallVector<int64_t>(attr.asArrayRef()) : SmallVector<int64_t>();
      };
      starts = list("starts");
      axes = list("axes");
    } else {
      starts = constants(inputs[1]);
      axes = inputs.size() > 3 ? constants(inputs[3]) : SmallVector<int64_t>();
      steps = inputs.size() > 4 ? constants(inputs[4]) : SmallVector<int64_t>();
    }
    if (!starts || !axes || (n.inputCount() > 1 && !steps))
      return std::nullopt;
    for (size_t k = 0; k < starts->size(); ++k) {
      int64_t axis = k < axes->size() ? (*axes)[k] : int64_t(k);
      axis += axis < 0 ? rank : 0;
      int64_t size = inputs[0].shape[axis], start = (*starts)[k];
      step[axis] = steps && k < steps->size() ? (*steps)[k] : 1;
      start += start < 0 ? size : 0;
      first[axis] = std::clamp<int64_t>(start, 0, step[axis] < 0 ? size - 1 : size);
    }
    forEachIndex(result.shape, [&](ArrayRef<int64_t> index) {
      SmallVector<int64_t> own(index);
      for (int64_t d = 0; d < rank; ++d)
        own[d] = first[d] + own[d] * step[d];
      int64_t position = linear(own, inputs[0].shape);
      push(position >= 0 && position < int64_t(inputs[0].values.size()) ? MaybeRatio(inputs[0].values[position])
                                                                        : std::nullopt);
    });
  } else if (op == "Gather") {
    auto indices = constants(inputs[1]);
    if (!indices)
      return std::nullopt;
    int64_t rank = inputs[0].shape.size(), axis = attrInt(n, "axis", 0), indexRank = inputs[1].shape.size();
    axis += axis < 0 ? rank : 0;
    forEachIndex(result.shape, [&](ArrayRef<int64_t> index) {
      int64_t at = (*indices)[linear(index.slice(axis, indexRank), inputs[1].shape)];
      at += at < 0 ? inputs[0].shape[axis] : 0;
      SmallVector<int64_t> own(index.take_front(axis));
      own.push_back(at);
      own.append(index.begin() + axis + indexRank, index.end());
      push(at >= 0 && at < inputs[0].shape[axis] ? MaybeRatio(inputs[0].values[linear(own, inputs[0].shape)])
                                                 : std::nullopt);
    });
  } else if (op == "Split") {
    // Parts before this one have the sizes of the results before it; only axis 0 of rank 1 occurs in shape arithmetic.
    if (inputs[0].shape.size() != 1)
      return std::nullopt;
    int64_t total = inputs[0].values.size(), count = n.outputCount(), size = type.getNumElements(), offset = 0;
    auto attr = dyn_cast_if_present<DenseI64ArrayAttr>(n.op.getAttrs().get("split"));
    if (attr) {
      if (resultNumber >= attr.size())
        return std::nullopt;
      for (unsigned k = 0; k < resultNumber; ++k)
        offset += attr[k];
    } else if (auto parts = n.peek(1) ? find(n.b, n.peek(1)) : std::nullopt) {
      auto list = constants(*parts);
      if (!list || resultNumber >= list->size())
        return std::nullopt;
      for (unsigned k = 0; k < resultNumber; ++k)
        offset += (*list)[k];
    } else if (!n.peek(1)) {
      offset = llvm::divideCeil(total, count) * resultNumber;
    } else {
      return std::nullopt;
    }
    if (offset < 0 || offset + size > total)
      return std::nullopt;
    result.values.assign(inputs[0].values.begin() + offset, inputs[0].values.begin() + offset + size);
  } else if (op == "Concat") {
    int64_t rank = result.shape.size(), axis = attrInt(n, "axis", 1);
    axis += axis < 0 ? rank : 0;
    forEachIndex(result.shape, [&](ArrayRef<int64_t> index) {
      SmallVector<int64_t> own(index);
      for (const KnownTensor &input : inputs) {
        if (own[axis] < input.shape[axis])
          return push(input.values[linear(own, input.shape)]);
        own[axis] -= input.shape[axis];
      }
      isComplete = false;
    });
  } else if (op == "Range") {
    for (int64_t i = 0; i < type.getNumElements() && isComplete; ++i) {
      auto step = arithmetic.binary("Mul", inputs[2].values[0], Ratio{arithmetic.constant(i)}, isFloat);
      push(step ? arithmetic.binary("Add", inputs[0].values[0], *step, isFloat) : std::nullopt);
    }
  } else if (op == "Cast" || op == "CastLike") {
    for (const Ratio &value : inputs[0].values)
      push(arithmetic.cast(value, from, type.getElementType()));
  } else if (op == "Where") {
    forEachIndex(result.shape, [&](ArrayRef<int64_t> index) {
      auto c = broadcastAt(inputs[0], index), x = broadcastAt(inputs[1], index), y = broadcastAt(inputs[2], index);
      push(c && x && y ? arithmetic.select(*c, *x, *y) : std::nullopt);
    });
  } else if (op.starts_with("Reduce")) {
    if (type.getNumElements() != 1 || inputs[0].values.empty() || inputs[0].shape.size() != 1)
      return std::nullopt;
    StringRef with = op == "ReduceProd" ? "Mul" : op == "ReduceSum" ? "Add" : op == "ReduceMax" ? "Max" : "Min";
    MaybeRatio total = inputs[0].values[0];
    for (size_t i = 1; i < inputs[0].values.size() && total; ++i)
      total = arithmetic.binary(with, *total, inputs[0].values[i], isFloat);
    push(total);
  } else if (op == "ScatterND" || op == "ScatterElements") {
    auto reduction = dyn_cast_if_present<StringAttr>(n.op.getAttrs().get("reduction"));
    auto indices = constants(inputs[1]);
    if (!indices || inputs[0].shape.size() != 1 || indices->size() != inputs[2].values.size() ||
        (reduction && reduction.getValue() != "none"))
      return std::nullopt;
    result.values = inputs[0].values;
    for (auto [at, value] : llvm::zip_equal(*indices, inputs[2].values)) {
      int64_t position = at < 0 ? at + int64_t(result.values.size()) : at;
      if (position < 0 || position >= int64_t(result.values.size()))
        return std::nullopt;
      result.values[position] = value;
    }
  } else if (inputs.size() == 1) {
    for (const Ratio &value : inputs[0].values)
      push(arithmetic.unary(op, value));
  } else {
    forEachIndex(result.shape, [&](ArrayRef<int64_t> index) {
      MaybeRatio total = broadcastAt(inputs[0], index);
      for (size_t i = 1; i < inputs.size() && total; ++i) {
        auto next = broadcastAt(inputs[i], index);
        total = next ? arithmetic.binary(op, *total, *next, isFloat) : std::nullopt;
      }
      push(total);
    });
  }
  if (!isComplete || int64_t(result.values.size()) != type.getNumElements())
    return std::nullopt;
  if (auto integer = dyn_cast<IntegerType>(type.getElementType());
      integer && integer.getWidth() < 64) // would have wrapped around
    for (const Ratio &value : result.values)
      if (auto c = getConstantIntValue(value.numerator);
          c && !arithmetic.cast(value, type.getElementType(), type.getElementType()))
        return std::nullopt;
  return result;
}

} // namespace mlc::decompose
