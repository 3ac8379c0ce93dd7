// Reading inputs and attributes of a node, and the checks that every rule needs.
#include "compiler/OnnxToCore/Node.h"
#include "dialects/core/ElementTypes.h"
#include "dialects/onnx/Signature.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/SmallBitVector.h"

using namespace mlir;
namespace mlc::decompose {

// ---- element types ------------------------------------------------------------------------------------------------

ElementKind kindOf(Type element) {
  switch (dtypeOf(element)) {
#define MLC_TYPE(NAME, CODE, TEXT, ONNX, BITS, KIND, ...)                                                              \
  case CODE:                                                                                                           \
    return k##KIND;
#include "mlc/types.def"
  default:
    break;
  }
  if (isa<FloatType>(element))
    return element.getIntOrFloatBitWidth() <= 8 ? kNarrow : kOther;
  return element.isInteger(2) || element.isInteger(4) ? kNarrow : kOther;
}

std::string nameOf(Type element) {
  switch (dtypeOf(element)) {
#define MLC_TYPE(NAME, CODE, TEXT, ONNX, ...)                                                                          \
  case CODE:                                                                                                           \
    return ONNX;
#include "mlc/types.def"
  default:
    break;
  }
  if (auto integer = dyn_cast<IntegerType>(element))
    return (integer.isUnsigned() ? "uint" : "int") + std::to_string(integer.getWidth());
  std::string text;
  llvm::raw_string_ostream(text) << element;
  return text;
}

std::optional<int64_t> constantSize(OpFoldResult size) { return getConstantIntValue(size); }

std::string toString(const Sizes &sizes) {
  std::string text;
  for (OpFoldResult size : sizes) {
    auto known = constantSize(size);
    text += (text.empty() ? "[" : ", ") + (known ? std::to_string(*known) : std::string("?"));
  }
  return text.empty() ? "[]" : text + "]";
}

std::string toString(ArrayRef<int64_t> values) {
  std::string text;
  for (int64_t value : values)
    text += (text.empty() ? "[" : ", ") + (ShapedType::isDynamic(value) ? std::string("?") : std::to_string(value));
  return text.empty() ? "[]" : text + "]";
}

// ---- inputs -------------------------------------------------------------------------------------------------------

Node::Node(onnx::NodeOp op, SmallVector<Value> operands, CoreBuilder &b, KnownValues &known)
    : op(op), b(b), known(known), operands(std::move(operands)), readInputs(this->operands.size()) {}

void Node::setError(std::string text, bool isUnsupported) {
  if (!error.empty())
    return; // the first one is the cause
  error = std::move(text);
  this->isUnsupported = isUnsupported;
}

Expr Node::in(int64_t i) {
  assert(has(i) && "the rule reads an input that its row does not require");
  readInputs.set(i);
  return b.expr(operands[i]);
}

RankedTensorType Node::type(int64_t i) {
  assert(has(i) && "the rule reads an input that its row does not require");
  return cast<RankedTensorType>(operands[i].getType());
}

void Node::markRead(int64_t i) {
  if (i < inputCount())
    readInputs.set(i);
}

SmallVector<Value> Node::inputs() {
  readInputs.set();
  return operands;
}

// ---- attributes ---------------------------------------------------------------------------------------------------

Attribute Node::attr(StringRef name) {
  readAttrs.insert(name);
  return op.getAttrs().get(name);
}

int64_t Node::i64(StringRef name, int64_t absent) {
  Attribute a = attr(name);
  if (!a)
    return absent;
  if (auto integer = dyn_cast<IntegerAttr>(a))
    return integer.getInt();
  check(false, "attribute '{0}' is not an integer", name);
  return absent;
}

double Node::f32(StringRef name, double absent) {
  Attribute a = attr(name);
  if (!a)
    return absent;
  if (auto number = dyn_cast<FloatAttr>(a))
    return number.getValueAsDouble();
  check(false, "attribute '{0}' is not a float", name);
  return absent;
}

std::string Node::str(StringRef name, StringRef absent) {
  Attribute a = attr(name);
  if (!a)
    return absent.str();
  if (auto string = dyn_cast<StringAttr>(a))
    return string.getValue().str();
  check(false, "attribute '{0}' is not a string", name);
  return absent.str();
}

SmallVector<int64_t> Node::ints(StringRef name, ArrayRef<int64_t> absent) {
  Attribute a = attr(name);
  if (!a)
    return SmallVector<int64_t>(absent);
  if (auto array = dyn_cast<DenseI64ArrayAttr>(a))
    return SmallVector<int64_t>(array.asArrayRef());
  check(false, "attribute '{0}' is not a list of integers", name);
  return SmallVector<int64_t>(absent);
}

SmallVector<double> Node::floats(StringRef name, ArrayRef<double> absent) {
  Attribute a = attr(name);
  if (!a)
    return SmallVector<double>(absent);
  if (auto array = dyn_cast<DenseF32ArrayAttr>(a))
    return SmallVector<double>(array.asArrayRef());
  check(false, "attribute '{0}' is not a list of floats", name);
  return SmallVector<double>(absent);
}

SmallVector<std::string> Node::strs(StringRef name, ArrayRef<std::string> absent) {
  Attribute a = attr(name);
  if (!a)
    return SmallVector<std::string>(absent);
  SmallVector<std::string> result;
  if (auto array = dyn_cast<ArrayAttr>(a)) {
    for (Attribute element : array)
      if (auto string = dyn_cast<StringAttr>(element))
        result.push_back(string.getValue().str());
    if (result.size() == array.size())
      return result;
  }
  check(false, "attribute '{0}' is not a list of strings", name);
  return SmallVector<std::string>(absent);
}

ElementsAttr Node::tensor(StringRef name) {
  Attribute a = attr(name);
  auto elements = dyn_cast_if_present<ElementsAttr>(a);
  if (a && (!elements || !isa<RankedTensorType>(elements.getShapedType())))
    check(false, "attribute '{0}' is not a tensor", name);
  return elements;
}

Type Node::dtype(StringRef name, Type absent) {
  if (!hasAttr(name))
    return absent;
  int64_t value = i64(name, 0);
  Type element = onnxTypeOf(value, context());
  if (!element)
    setError(llvm::formatv("attribute '{0}': element type {1}", name, value).str(), /*isUnsupported=*/true);
  return element;
}

std::optional<int64_t> Node::choice(StringRef name, StringRef absent, ArrayRef<StringRef> allowed) {
  std::string value = str(name, absent);
  for (auto [i, candidate] : llvm::enumerate(allowed))
    if (candidate == value)
      return i;
  check(false, "attribute '{0}': \"{1}\" is none of {2:$[, ]}", name, value,
        llvm::make_range(allowed.begin(), allowed.end()));
  return std::nullopt;
}

// ---- known values -------------------------------------------------------------------------------------------------

/// A tensor of no elements is known whatever computes it.
static bool isEmpty(Value v) {
  auto type = CoreBuilder::typeOf(v);
  return type.hasStaticShape() && type.getNumElements() == 0;
}

std::optional<Sizes> Node::sizes(int64_t i) {
  Expr x = in(i);
  if (isEmpty(x))
    return Sizes();
  if (!(kindOf(element(i)) & kInteger)) {
    check(false, "input {0} is not an integer tensor but {1}", i, nameOf(element(i)));
    return std::nullopt;
  }
  if (auto found = known.find(b, x)) {
    Sizes result;
    for (const Ratio &value : found->values)
      if (auto size = asIndex(value))
        result.push_back(*size);
    if (result.size() == found->values.size())
      return result;
  }
  RankedTensorType t = type(i);
  if (t.getRank() > 1 || !t.hasStaticShape()) {
    setError(llvm::formatv("input {0}: a list of sizes whose length is not known", i).str(), /*isUnsupported=*/true);
    return std::nullopt;
  }
  if (t.getNumElements() > 64) {
    setError(llvm::formatv("input {0}: {1} sizes that are computed at run time", i, t.getNumElements()).str(),
             /*isUnsupported=*/true);
    return std::nullopt;
  }
  Sizes result;
  for (int64_t k = 0; k < t.getNumElements(); ++k)
    result.push_back(b.extractIndex(x, k));
  return result;
}

std::optional<OpFoldResult> Node::size(int64_t i) {
  auto list = sizes(i);
  if (!list || !check(list->size() == 1, "input {0} has {1} elements instead of 1", i, list->size()))
    return std::nullopt;
  return list->front();
}

std::optional<SmallVector<int64_t>> Node::constantInts(int64_t i, StringRef what) {
  Expr x = in(i);
  if (isEmpty(x))
    return SmallVector<int64_t>();
  if (auto found = known.find(b, x)) {
    SmallVector<int64_t> result;
    for (const Ratio &value : found->values) {
      auto size = asIndex(value);
      auto constant = size ? constantSize(*size) : std::nullopt;
      if (!constant)
        break;
      result.push_back(*constant);
    }
    if (result.size() == found->values.size())
      return result;
  }
  if (ElementsAttr attr = constantOf(x))
    if (auto values = readInts(attr, 1 << 20))
      return values;
  setError(llvm::formatv("{0} (input {1}) that is computed at run time", what, i).str(), /*isUnsupported=*/true);
  return std::nullopt;
}

std::optional<SmallVector<double>> Node::constantFloats(int64_t i, StringRef what) {
  Expr x = in(i);
  if (isEmpty(x))
    return SmallVector<double>();
  if (ElementsAttr attr = constantOf(x))
    if (auto values = readFloats(attr, 1 << 20))
      return values;
  if (auto found = known.find(b, x)) {
    SmallVector<double> result;
    for (const Ratio &value : found->values) {
      auto numerator = constantSize(value.numerator);
      auto number = dyn_cast_if_present<FloatAttr>(dyn_cast<Attribute>(value.numerator));
      if (!numerator && !number)
        break;
      result.push_back(number ? number.getValueAsDouble() : double(*numerator) / double(value.denominator));
    }
    if (result.size() == found->values.size())
      return result;
  }
  setError(llvm::formatv("{0} (input {1}) that is computed at run time", what, i).str(), /*isUnsupported=*/true);
  return std::nullopt;
}

// ---- checks -------------------------------------------------------------------------------------------------------

std::optional<int64_t> Node::axis(int64_t axis, int64_t rank) {
  if (!check(axis >= -rank && axis < rank, "axis {0} is out of range for rank {1}", axis, rank))
    return std::nullopt;
  return axis < 0 ? axis + rank : axis;
}

std::optional<SmallVector<int64_t>> Node::axes(ArrayRef<int64_t> axes, int64_t rank) {
  SmallVector<int64_t> result;
  for (int64_t a : axes) {
    auto normal = axis(a, rank);
    if (!normal || !check(!llvm::is_contained(result, *normal), "axis {0} is given twice", a))
      return std::nullopt;
    result.push_back(*normal);
  }
  return result;
}

bool Node::broadcastable(ArrayRef<Value> values) {
  int64_t rank = 0;
  for (Value v : values)
    rank = std::max(rank, CoreBuilder::rankOf(v));
  for (int64_t back = 1; back <= rank; ++back) {
    int64_t size = 1;
    for (Value v : values) {
      auto shape = CoreBuilder::typeOf(v).getShape();
      if (back > int64_t(shape.size()))
        continue;
      int64_t other = shape[shape.size() - back];
      if (other == 1 || ShapedType::isDynamic(other))
        continue;
      if (!check(size == 1 || size == other,
                 "shapes cannot be broadcast together: dimension {0} from the end is {1} and {2}", back, size, other))
        return false;
      size = other;
    }
  }
  return true;
}

std::optional<Expr> Node::broadcastTo(Value from, const Sizes &to) {
  auto shape = CoreBuilder::typeOf(from).getShape();
  if (!check(shape.size() <= to.size(), "rank {0} cannot be broadcast to rank {1}", shape.size(), to.size()))
    return std::nullopt;
  for (size_t back = 1; back <= shape.size(); ++back) {
    int64_t size = shape[shape.size() - back];
    auto target = constantSize(to[to.size() - back]);
    if (size == 1 || ShapedType::isDynamic(size) || !target)
      continue;
    if (!check(size == *target, "shape {0} cannot be broadcast to {1}", toString(shape), toString(to)))
      return std::nullopt;
  }
  return b.broadcastTo(from, to);
}

namespace {
/// The smallest and the largest element, attained both.
struct Hull {
  OpFoldResult low, high;
};
} // namespace

/// Of constants, positions, and what adds and rearranges them; nullopt where the elements have to be looked at.
static std::optional<Hull> hullOf(CoreBuilder &b, Value v) {
  if (ElementsAttr attr = constantOf(v)) {
    auto values = readInts(attr, 1 << 20);
    if (!values || values->empty())
      return std::nullopt;
    auto [low, high] = std::minmax_element(values->begin(), values->end());
    return Hull{b.builder.getIndexAttr(*low), b.builder.getIndexAttr(*high)};
  }
  Operation *op = v.getDefiningOp();
  if (!op)
    return std::nullopt;
  if (isa<mlir::tensor::FromElementsOp>(op)) {
    auto values = b.elements(v);
    if (!values || values->empty() || values->size() > 8)
      return std::nullopt;
    Hull hull{values->front(), values->front()};
    for (OpFoldResult value : llvm::drop_begin(*values))
      hull = {b.indexMin(hull.low, value), b.indexMax(hull.high, value)};
    return hull;
  }
  if (auto iota = dyn_cast<core::IotaOp>(op)) {
    OpFoldResult last = b.indexDifference(iota.getMixedSizes()[iota.getAxis()], b.builder.getIndexAttr(1));
    return Hull{b.builder.getIndexAttr(0), last};
  }
  if (isa<core::ReshapeOp, core::BroadcastOp, core::StretchOp, core::TransposeOp, core::ReverseOp>(op))
    return hullOf(b, op->getOperand(0));
  if (isa<core::CastOp>(op)) {
    auto from = dyn_cast<IntegerType>(CoreBuilder::elementOf(op->getOperand(0)));
    auto to = dyn_cast<IntegerType>(CoreBuilder::elementOf(v));
    bool keeps = from && to && from.getWidth() > 1 && to.getWidth() >= from.getWidth() && !from.isUnsigned();
    return keeps ? hullOf(b, op->getOperand(0)) : std::nullopt;
  }
  if (isa<core::AddOp, core::SubOp>(op)) {
    auto x = hullOf(b, op->getOperand(0)), y = hullOf(b, op->getOperand(1));
    if (!x || !y || !(x->low == x->high || y->low == y->high)) // the extremes of both might never meet
      return std::nullopt;
    if (isa<core::AddOp>(op))
      return Hull{b.indexSum(x->low, y->low), b.indexSum(x->high, y->high)};
    return Hull{b.indexDifference(x->low, y->high), b.indexDifference(x->high, y->low)};
  }
  return std::nullopt;
}

bool Node::requireInRange(Value integers, OpFoldResult lower, OpFoldResult upper, StringRef what) {
  if (isEmpty(integers))
    return true;
  if (auto hull = hullOf(b, integers)) {
    auto low = constantSize(hull->low), high = constantSize(hull->high), from = constantSize(lower),
         to = constantSize(upper);
    if (from && low && !check(*low >= *from, "{0} {1} is out of range: at least {2} is expected", what, *low, *from))
      return false;
    if (to && high && !check(*high < *to, "{0} {1} is out of range: less than {2} is expected", what, *high, *to))
      return false;
    if (!(from && low))
      b.require(b.indexCompare(arith::CmpIPredicate::sge, hull->low, lower),
                what + " %d is out of range: at least %d is expected", hull->low, lower);
    if (!(to && high))
      b.require(b.indexCompare(arith::CmpIPredicate::slt, hull->high, upper),
                what + " %d is out of range: less than %d is expected", hull->high, upper);
    return true;
  }
  // Views have the same elements; what comes from outside has a name.
  while (Operation *definition = integers.getDefiningOp()) {
    if (!isa<core::ReshapeOp, core::BroadcastOp, core::TransposeOp, core::ReverseOp>(definition))
      break;
    integers = definition->getOperand(0);
  }
  std::string name = what.str();
  if (auto argument = dyn_cast<BlockArgument>(integers))
    if (auto function = dyn_cast<mlir::func::FuncOp>(argument.getOwner()->getParentOp()))
      if (StringRef given = onnx::Declaration::ofArgument(function, argument.getArgNumber()).name(); !given.empty())
        name = given.str();
  core::CheckRangeOp::create(b.builder, b.loc, integers, b.index(lower), b.index(upper), name);
  return true;
}

bool Node::requirePositions(Value indices, OpFoldResult size) {
  OpFoldResult zero = b.builder.getIndexAttr(0);
  return requireInRange(indices, b.indexDifference(zero, size), size, "index");
}

bool Node::sameElement(ArrayRef<Value> values) {
  for (Value v : values.drop_front())
    if (!check(CoreBuilder::elementOf(v) == CoreBuilder::elementOf(values[0]), "element types differ: {0} and {1}",
               nameOf(CoreBuilder::elementOf(values[0])), nameOf(CoreBuilder::elementOf(v))))
      return false;
  return true;
}

bool Node::ranked(int64_t i, int64_t atLeast, int64_t atMost, StringRef what) {
  int64_t r = rank(i);
  if (atLeast == atMost)
    return check(r == atLeast, "{0} has rank {1} instead of {2}", what, r, atLeast);
  return check(r >= atLeast && r <= atMost, "{0} has rank {1}, which is not in {2} .. {3}", what, r, atLeast, atMost);
}

bool Node::validSizes(const Sizes &sizes) {
  int64_t product = 1;
  for (OpFoldResult size : sizes) {
    auto known = constantSize(size);
    if (!known)
      continue;
    if (*known < 0)
      return check(false, "negative size in {0}", toString(sizes));
    if (*known > 0 && (*known > kElementsMax || product > kElementsMax / *known))
      return check(false, "a tensor of sizes {0} is too large", toString(sizes));
    product *= std::max<int64_t>(*known, 1);
  }
  return true;
}

bool Node::sameSize(OpFoldResult x, OpFoldResult y, StringRef what) {
  auto a = constantSize(x), c = constantSize(y);
  if (a && c)
    return check(*a == *c, "{0} differ: {1} and {2}", what, *a, *c);
  return b.requireSame(x, y, what);
}

static std::string namesOf(unsigned kinds) {
  SmallVector<StringRef> names;
  if (kinds & kFloat)
    names.push_back("float");
  if (kinds & kInteger)
    names.push_back((kinds & kInteger) == kInteger ? "integer"
                    : kinds & kSigned              ? "signed integer"
                                                   : "unsigned integer");
  if (kinds & kBool)
    names.push_back("bool");
  return llvm::join(names, " or ");
}

bool Node::elementIs(int64_t i, unsigned kinds, StringRef what) {
  return check(kindOf(element(i)) & kinds, "{0} is {1}, expected {2}", what, nameOf(element(i)), namesOf(kinds));
}

void Node::checkAllRead() {
  if (failed())
    return;
  for (NamedAttribute named : op.getAttrs())
    if (!readAttrs.contains(named.getName().getValue())) {
      setError(llvm::formatv("attribute '{0}'", named.getName().getValue()).str(), /*isUnsupported=*/true);
      return;
    }
  for (int64_t i = 0; i < inputCount(); ++i)
    if (has(i) && !readInputs.test(i)) {
      setError(llvm::formatv("input {0}", i).str(), /*isUnsupported=*/true);
      return;
    }
}

} // namespace mlc::decompose
