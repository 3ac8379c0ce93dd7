// The evaluator: core operations on constants, at any size; and `foldOp`, which every folder calls.
#include "dialects/core/Core.h"
#include "dialects/core/CoreBuilder.h"
#include "dialects/core/Evaluate.h"
#include "dialects/core/HostTensor.h"
#include "dialects/core/Simplify.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace mlc::core {

using Result = std::optional<HostTensor>;
using Operands = ArrayRef<HostTensor>;

static RankedTensorType resultType(Operation *op) { return cast<RankedTensorType>(op->getResult(0).getType()); }
static bool allSplat(Operands operands) {
  return llvm::all_of(operands, [](const HostTensor &tensor) { return tensor.isSplat; });
}
static HostTensor retyped(const HostTensor &x, RankedTensorType type) {
  HostTensor result = HostTensor::allocate(type, x.isSplat);
  std::memcpy(result.mutableData(), x.data().data(), result.data().size());
  return result;
}

// ---- Pointwise ---------------------------------------------------------------------------------------------------------------

constexpr size_t chunk = 256;
/// Room for one chunk of numbers of any class.
using Numbers = std::array<uint64_t, chunk>;

template <typename F> static HostTensor inChunks(RankedTensorType type, Operands operands, F f) {
  HostTensor result = HostTensor::allocate(type, allSplat(operands));
  for (size_t start = 0, count = result.count(); start < count; start += chunk)
    f(result, start, std::min(chunk, count - start));
  return result;
}

static Result evaluatePointwise(Pointwise op, Operands operands) {
  Evaluator evaluator = op.getEvaluator(operands[0].numbers());
  if (!evaluator || !hasNumbers(operands[0].type.getElementType()))
    return {};
  return inChunks(resultType(op), operands, [&](HostTensor &result, size_t start, size_t count) {
    Numbers x, y, z;
    operands[0].load(start, count, x.data());
    if (operands.size() > 1)
      operands[1].load(start, count, y.data());
    evaluator(x.data(), y.data(), z.data(), count);
    result.store(start, count, z.data());
  });
}

template <typename T> static bool holds(Comparison predicate, T x, T y) {
  switch (predicate) {
  case Comparison::EQ:
    return x == y;
  case Comparison::NE:
    return x != y;
  case Comparison::LT:
    return x < y;
  case Comparison::LE:
    return x <= y;
  case Comparison::GT:
    return x > y;
  case Comparison::GE:
    return x >= y;
  }
  llvm_unreachable("unknown comparison");
}

static Result evaluateCompare(CompareOp op, Operands operands) {
  if (!hasNumbers(operands[0].type.getElementType()))
    return {};
  NumberClass numbers = operands[0].numbers();
  return inChunks(resultType(op), operands, [&](HostTensor &result, size_t start, size_t count) {
    Numbers x, y, z;
    operands[0].load(start, count, x.data());
    operands[1].load(start, count, y.data());
    for (size_t i = 0; i < count; ++i)
      z[i] = numbers == NumberClass::Real
                 ? holds(op.getPredicate(), llvm::bit_cast<double>(x[i]), llvm::bit_cast<double>(y[i]))
             : numbers == NumberClass::Signed
                 ? holds(op.getPredicate(), static_cast<int64_t>(x[i]), static_cast<int64_t>(y[i]))
                 : holds(op.getPredicate(), x[i], y[i]);
    result.store(start, count, z.data());
  });
}

static Result evaluatePredicate(Operation *op, Operands operands, bool (*predicate)(double)) {
  if (!hasNumbers(operands[0].type.getElementType()))
    return {};
  return inChunks(resultType(op), operands, [&](HostTensor &result, size_t start, size_t count) {
    Numbers x, z;
    operands[0].load(start, count, x.data());
    for (size_t i = 0; i < count; ++i)
      z[i] = predicate(llvm::bit_cast<double>(x[i]));
    result.store(start, count, z.data());
  });
}

static Result evaluateSelect(SelectOp op, Operands operands) {
  size_t size = operands[1].elementBytes();
  return inChunks(resultType(op), operands, [&](HostTensor &result, size_t start, size_t count) {
    for (size_t i = start; i < start + count; ++i) {
      bool condition = operands[0].data()[operands[0].isSplat ? 0 : i];
      const HostTensor &source = operands[condition ? 1 : 2];
      std::memcpy(result.mutableData() + i * size, source.data().data() + (source.isSplat ? 0 : i) * size, size);
    }
  });
}

/// float -> integer, truncated: what ScalarBuilder::cast computes.
static uint64_t truncated(double x, Type to) {
  unsigned width = to.getIntOrFloatBitWidth();
  bool isLong = width == 64 || (width == 32 && isUnsigned(to));
  double limit = isLong ? 0x1p63 : 0x1p31;
  uint64_t smallest = static_cast<uint64_t>(isLong ? std::numeric_limits<int64_t>::min()
                                                   : int64_t(std::numeric_limits<int32_t>::min()));
  bool isUpper = width == 64 && isUnsigned(to) && x >= limit;
  if (isUpper)
    x -= limit;
  uint64_t result = std::fabs(x) < limit ? static_cast<uint64_t>(static_cast<int64_t>(x)) : smallest;
  return isUpper ? result ^ smallest : result;
}

static Result evaluateCast(CastOp op, Operands operands) {
  RankedTensorType type = resultType(op);
  Type from = operands[0].type.getElementType(), to = type.getElementType();
  if (!hasNumbers(from) || !hasNumbers(to))
    return {};
  NumberClass numbers = operands[0].numbers();
  bool isReal = numbers == NumberClass::Real, toReal = isa<FloatType>(to);
  return inChunks(type, operands, [&](HostTensor &result, size_t start, size_t count) {
    Numbers x, z;
    operands[0].load(start, count, x.data());
    for (size_t i = 0; i < count; ++i) {
      double real = llvm::bit_cast<double>(x[i]);
      if (to.isInteger(1))
        z[i] = isReal ? real != 0 : x[i] != 0;
      else if (isReal)
        z[i] = toReal ? x[i] : truncated(real, to);
      else if (!toReal)
        z[i] = x[i];
      else if (to.isF64())
        z[i] = llvm::bit_cast<uint64_t>(numbers == NumberClass::Signed ? static_cast<double>(static_cast<int64_t>(x[i]))
                                                                       : static_cast<double>(x[i]));
      else // rounded once, to f32
        z[i] = llvm::bit_cast<uint64_t>(static_cast<double>(numbers == NumberClass::Signed
                                                                ? static_cast<float>(static_cast<int64_t>(x[i]))
                                                                : static_cast<float>(x[i])));
    }
    result.store(start, count, z.data());
  });
}

// ---- Data movement -----------------------------------------------------------------------------------------------------------

/// Row-major strides, in elements.
static SmallVector<int64_t> stridesOf(RankedTensorType type) { return computeStrides(type.getShape()); }

/// Where a box begins in a tensor, and the step along each of its dimensions, in elements.
struct BoxPlace {
  int64_t start = 0;
  SmallVector<int64_t> strides;
};

template <typename Word>
static void copyWords(ArrayRef<int64_t> shape, const char *source, const BoxPlace &from, char *target,
                      const BoxPlace &to) {
  int64_t rank = shape.size();
  if (llvm::is_contained(shape, 0))
    return;
  SmallVector<int64_t> position(rank, 0);
  int64_t read = from.start, write = to.start;
  int64_t inner = rank ? shape.back() : 1, readStep = rank ? from.strides.back() : 0,
          writeStep = rank ? to.strides.back() : 0;
  while (true) {
    for (int64_t i = 0; i < inner; ++i)
      std::memcpy(target + (write + i * writeStep) * sizeof(Word), source + (read + i * readStep) * sizeof(Word),
                  sizeof(Word));
    int64_t axis = rank - 2;
    for (; axis >= 0; --axis) {
      read += from.strides[axis];
      write += to.strides[axis];
      if (++position[axis] < shape[axis])
        break;
      read -= from.strides[axis] * shape[axis];
      write -= to.strides[axis] * shape[axis];
      position[axis] = 0;
    }
    if (axis < 0)
      return;
  }
}

static void copyBox(ArrayRef<int64_t> shape, const HostTensor &source, BoxPlace from, HostTensor &target,
                    const BoxPlace &to) {
  if (source.isSplat)
    from = {0, SmallVector<int64_t>(shape.size(), 0)};
  const char *in = source.data().data();
  char *out = target.mutableData();
  switch (source.elementBytes()) {
  case 1:
    return copyWords<uint8_t>(shape, in, from, out, to);
  case 2:
    return copyWords<uint16_t>(shape, in, from, out, to);
  case 4:
    return copyWords<uint32_t>(shape, in, from, out, to);
  default:
    return copyWords<uint64_t>(shape, in, from, out, to);
  }
}

/// The result is a box of the operand.
static Result evaluateView(Operation *op, const HostTensor &x, const BoxPlace &from) {
  RankedTensorType type = resultType(op);
  if (x.isSplat)
    return retyped(x, type);
  HostTensor result = HostTensor::allocate(type, false);
  copyBox(type.getShape(), x, from, result, {0, stridesOf(type)});
  return result;
}

static Result evaluateBroadcast(BroadcastOp op, Operands operands) {
  BoxPlace from{0, SmallVector<int64_t>(resultType(op).getRank(), 0)};
  SmallVector<int64_t> strides = stridesOf(operands[0].type);
  for (auto [axis, at] : llvm::enumerate(op.getAxes()))
    if (operands[0].type.getDimSize(axis) != 1)
      from.strides[at] = strides[axis];
  return evaluateView(op, operands[0], from);
}

static Result evaluateTranspose(TransposeOp op, Operands operands) {
  BoxPlace from;
  SmallVector<int64_t> strides = stridesOf(operands[0].type);
  for (int64_t axis : op.getPermutation())
    from.strides.push_back(strides[axis]);
  return evaluateView(op, operands[0], from);
}

static Result evaluateSlice(SliceOp op, Operands operands) {
  if (!op.getStarts().empty() || !op.getSizes().empty())
    return {};
  BoxPlace from;
  for (auto [start, step, stride] : llvm::zip(op.getStaticStarts(), op.getStrides(), stridesOf(operands[0].type))) {
    from.start += start * stride;
    from.strides.push_back(step * stride);
  }
  return evaluateView(op, operands[0], from);
}

static Result evaluateReverse(ReverseOp op, Operands operands) {
  BoxPlace from{0, stridesOf(operands[0].type)};
  for (int64_t axis : op.getAxes()) {
    from.start += (operands[0].type.getDimSize(axis) - 1) * from.strides[axis];
    from.strides[axis] = -from.strides[axis];
  }
  return evaluateView(op, operands[0], from);
}

static Result evaluatePad(PadOp op, Operands operands) {
  if (!op.getLow().empty() || !op.getHigh().empty())
    return {};
  RankedTensorType type = resultType(op);
  const HostTensor &x = operands[0], &value = operands[1];
  if (x.isSplat && std::memcmp(x.data().data(), value.data().data(), x.elementBytes()) == 0)
    return retyped(x, type);
  HostTensor result = HostTensor::allocate(type, false);
  BoxPlace whole{0, stridesOf(type)}, inner = whole;
  copyBox(type.getShape(), value, {0, SmallVector<int64_t>(type.getRank(), 0)}, result, whole);
  for (int64_t axis = 0; axis < type.getRank(); ++axis) {
    inner.start += op.getStaticLow()[axis] * whole.strides[axis];
    inner.strides[axis] *= op.getInterior()[axis] + 1;
  }
  copyBox(x.type.getShape(), x, {0, stridesOf(x.type)}, result, inner);
  return result;
}

static Result evaluateConcat(ConcatOp op, Operands operands) {
  RankedTensorType type = resultType(op);
  HostTensor result = HostTensor::allocate(type, false);
  BoxPlace place{0, stridesOf(type)};
  for (const HostTensor &x : operands) {
    copyBox(x.type.getShape(), x, {0, stridesOf(x.type)}, result, place);
    place.start += x.type.getDimSize(op.getAxis()) * place.strides[op.getAxis()];
  }
  return result;
}

static Result evaluateGather(GatherOp op, Operands operands) {
  const HostTensor &x = operands[0], &indices = operands[1];
  RankedTensorType type = resultType(op);
  int64_t axis = op.getAxis(), extent = x.type.getDimSize(axis);
  if (x.isSplat && extent > 0)
    return retyped(x, type);
  if (!hasNumbers(indices.type.getElementType()))
    return {};
  SmallVector<int64_t> positions(indices.type.getNumElements());
  indices.load(0, positions.size(), positions.data());
  int64_t outer = ShapedType::getNumElements(x.type.getShape().take_front(axis));
  int64_t inner = ShapedType::getNumElements(x.type.getShape().drop_front(axis + 1)) * x.elementBytes();
  HostTensor result = HostTensor::allocate(type, false);
  char *out = result.mutableData();
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t position : positions) {
      if (position < -extent || position >= extent)
        return {};
      std::memcpy(out, x.data().data() + (o * extent + (position < 0 ? position + extent : position)) * inner, inner);
      out += inner;
    }
  return result;
}

static Result evaluateIota(IotaOp op) {
  RankedTensorType type = resultType(op);
  if (!hasNumbers(type.getElementType()))
    return {};
  HostTensor result = HostTensor::allocate(type, false);
  SmallVector<int64_t> strides = stridesOf(type);
  int64_t axis = op.getAxis(), extent = type.getDimSize(axis);
  for (int64_t i = 0; i < type.getNumElements(); ++i) {
    int64_t position = i / strides[axis] % extent;
    double real = static_cast<double>(position);
    if (isa<FloatType>(type.getElementType()))
      result.store(i, 1, &real);
    else
      result.store(i, 1, &position);
  }
  return result;
}

// ---- reduce ------------------------------------------------------------------------------------------------------------------

template <typename T> static T combine(Reduction kind, T x, T y) {
  switch (kind) {
  case Reduction::None:
    return y;
  case Reduction::Sum:
    return host::add(x, y);
  case Reduction::Prod:
    return host::multiply(x, y);
  case Reduction::Max:
    return host::maximum(x, y);
  case Reduction::Min:
    return host::minimum(x, y);
  case Reduction::And:
    return host::bitAnd(x, y);
  case Reduction::Or:
    return host::bitOr(x, y);
  }
  llvm_unreachable("unknown reduction");
}

template <typename T> static HostTensor reduceAs(ReduceOp op, const HostTensor &x) {
  RankedTensorType type = resultType(op);
  HostTensor result = HostTensor::allocate(type, false);
  // Stride of each dimension of x in the result, 0 if it is reduced.
  SmallVector<int64_t> strides, kept = stridesOf(type);
  for (int64_t axis = 0, next = 0; axis < x.type.getRank(); ++axis)
    strides.push_back(llvm::is_contained(op.getAxes(), axis) ? 0 : kept[next++]);
  std::vector<T> sums(type.getNumElements());
  std::vector<bool> seen(sums.size(), false);
  SmallVector<int64_t> position(x.type.getRank(), 0);
  int64_t at = 0;
  for (int64_t i = 0; i < x.type.getNumElements(); ++i) {
    T value;
    x.load(i, 1, &value);
    sums[at] = seen[at] ? combine(op.getKind(), sums[at], value) : value;
    seen[at] = true;
    for (int64_t axis = x.type.getRank() - 1; axis >= 0; --axis) {
      at += strides[axis];
      if (++position[axis] < x.type.getDimSize(axis))
        break;
      at -= strides[axis] * x.type.getDimSize(axis);
      position[axis] = 0;
    }
  }
  result.store(0, sums.size(), sums.data());
  return result;
}

static Result evaluateReduce(ReduceOp op, Operands operands) {
  constexpr int64_t splatElementsMax = 1 << 20; // a splat of 10^12 elements is a few bytes in a file
  const HostTensor &x = operands[0];
  if (!hasNumbers(x.type.getElementType()) || x.type.getNumElements() == 0 ||
      (x.isSplat && x.type.getNumElements() > splatElementsMax))
    return {};
  switch (x.numbers()) {
  case NumberClass::Real:
    return op.getKind() == Reduction::And || op.getKind() == Reduction::Or ? Result() : reduceAs<double>(op, x);
  case NumberClass::Signed:
    return reduceAs<int64_t>(op, x);
  case NumberClass::Unsigned:
    return reduceAs<uint64_t>(op, x);
  }
  llvm_unreachable("unknown number class");
}

// ---- Folding -----------------------------------------------------------------------------------------------------------------

static Result evaluate(Operation *op, Operands operands) {
  return llvm::TypeSwitch<Operation *, Result>(op)
      .Case([&](CompareOp op) { return evaluateCompare(op, operands); })
      .Case([&](SelectOp op) { return evaluateSelect(op, operands); })
      .Case([&](CastOp op) { return evaluateCast(op, operands); })
      .Case([&](IsNanOp op) { return evaluatePredicate(op, operands, [](double x) { return std::isnan(x); }); })
      .Case([&](IsInfOp op) { return evaluatePredicate(op, operands, [](double x) { return std::isinf(x); }); })
      .Case([&](Pointwise op) { return evaluatePointwise(op, operands); })
      .Case([&](BroadcastOp op) { return evaluateBroadcast(op, operands); })
      .Case([&](StretchOp op) { return Result(retyped(operands[0], resultType(op))); }) // known sizes stay
      .Case([&](ReshapeOp op) { return Result(retyped(operands[0], resultType(op))); })
      .Case([&](TransposeOp op) { return evaluateTranspose(op, operands); })
      .Case([&](SliceOp op) { return evaluateSlice(op, operands); })
      .Case([&](ReverseOp op) { return evaluateReverse(op, operands); })
      .Case([&](PadOp op) { return evaluatePad(op, operands); })
      .Case([&](ConcatOp op) { return evaluateConcat(op, operands); })
      .Case([&](GatherOp op) { return evaluateGather(op, operands); })
      .Case([&](IotaOp op) { return evaluateIota(op); })
      .Case([&](ReduceOp op) { return evaluateReduce(op, operands); })
      .Default([](Operation *) { return Result(); });
}

/// Reads the tensor operands and evaluates; `values` are the constants of all operands, null where there is none.
static ElementsAttr evaluate(Operation *op, ArrayRef<Attribute> values, bool onlySplats) {
  SmallVector<HostTensor, 2> operands;
  for (auto [operand, value] : llvm::zip(op->getOperands(), values)) {
    if (!isa<RankedTensorType>(operand.getType()))
      continue;
    auto elements = dyn_cast_or_null<ElementsAttr>(value);
    if (!elements)
      return {};
    if (onlySplats && !isa<SplatElementsAttr>(elements))
      return {};
    Result tensor = HostTensor::read(elements);
    if (!tensor || tensor->type != operand.getType())
      return {};
    operands.push_back(std::move(*tensor));
  }
  Result result = evaluate(op, operands);
  return result ? std::move(*result).write() : ElementsAttr();
}

static bool hasStaticResult(Operation *op) {
  if (op->getNumResults() != 1)
    return false;
  auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
  return type && type.hasStaticShape() && elementBytes(type.getElementType()) != 0;
}

ElementsAttr foldConstant(Operation *op) {
  if (!hasStaticResult(op) || isa<ConstantOp>(op))
    return {};
  SmallVector<Attribute> values;
  for (Value operand : op->getOperands()) {
    Attribute value;
    matchPattern(operand, m_Constant(&value));
    values.push_back(value);
  }
  if (auto reshape = dyn_cast<ReshapeOp>(op)) // the same blob
    if (auto resource = dyn_cast_or_null<DenseResourceElementsAttr>(values[0]))
      return DenseResourceElementsAttr::get(resultType(op), resource.getRawHandle());
  return evaluate(op, values, false);
}

bool isTrainable(Value v) {
  auto constant = v.getDefiningOp<ConstantOp>();
  return constant && constant.getName() && isa<FloatType>(constant.getType().getElementType());
}

OpFoldResult foldOp(Operation *op, ArrayRef<Attribute> operands) {
  if (Value value = simplify(op))
    return value;
  if (!hasStaticResult(op) || llvm::any_of(op->getOperands(), isTrainable))
    return {};
  int64_t count = resultType(op).getNumElements();
  bool isFree = llvm::any_of(op->getOperands(), [](Value v) { return isa<RankedTensorType>(v.getType()); });
  if (count > foldedElementsMax && (!isFree || isa<ConcatOp, ReduceOp, PadOp>(op)))
    return {};
  return evaluate(op, operands, count > foldedElementsMax);
}

} // namespace mlc::core
