// Constant, ConstantOfShape and Range: tensors that come from no tensor.
#include "compiler/OnnxToCore/Compose.h"
#include <cmath>

using namespace mlir;
namespace mlc::decompose {

static Values constant(Node &n, CoreBuilder &b) {
  MLIRContext *context = n.context();
  auto vector = [&](int64_t size, Type element) { return RankedTensorType::get({size}, element); };
  if (ElementsAttr value = n.tensor("value")) {
    if (!(kindOf(value.getElementType()) & kData))
      return n.unsupported("element type {0}", nameOf(value.getElementType()));
    return b.constant(value);
  }
  if (n.hasAttr("value_int"))
    return b.constant(DenseElementsAttr::get(RankedTensorType::get({}, b.builder.getI64Type()), n.i64("value_int", 0)));
  if (n.hasAttr("value_float"))
    return b.constant(
        DenseElementsAttr::get(RankedTensorType::get({}, b.builder.getF32Type()), float(n.f32("value_float", 0))));
  if (n.hasAttr("value_ints")) {
    SmallVector<int64_t> values = n.ints("value_ints");
    return b.constant(
        DenseElementsAttr::get(vector(values.size(), IntegerType::get(context, 64)), ArrayRef<int64_t>(values)));
  }
  if (n.hasAttr("value_floats")) {
    SmallVector<float> values;
    for (double value : n.floats("value_floats"))
      values.push_back(value);
    return b.constant(
        DenseElementsAttr::get(vector(values.size(), Float32Type::get(context)), ArrayRef<float>(values)));
  }
  for (const char *name : {"value_string", "value_strings", "sparse_value"})
    if (n.hasAttr(name))
      return n.unsupported("attribute '{0}'", name);
  return n.fail("the constant has no value");
}

static Values constantOfShape(Node &n, CoreBuilder &b) {
  auto sizes = n.sizes(0);
  if (!sizes || !n.validSizes(*sizes))
    return failure();
  ElementsAttr attr = n.tensor("value");
  if (!attr)
    return b.broadcast(b.splat(0, b.builder.getF32Type()), *sizes, {});
  if (!n.check(attr.getNumElements() == 1, "value has {0} elements instead of 1", attr.getNumElements()))
    return failure();
  if (!(kindOf(attr.getElementType()) & kData))
    return n.unsupported("element type {0}", nameOf(attr.getElementType()));
  return b.broadcast(b.reshape(b.constant(attr), {}), *sizes, {});
}

/// max(ceil((to - from) / by), 0) for sizes; nullopt when a constant overflows.
static std::optional<OpFoldResult> stepsBetween(Node &n, OpFoldResult from, OpFoldResult to, int64_t by) {
  CoreBuilder &b = n.b;
  auto a = constantSize(from), c = constantSize(to);
  if (a && c) {
    __int128 distance = by > 0 ? __int128(*c) - *a : __int128(*a) - *c,
             length = distance <= 0 ? 0 : (distance + std::abs(by) - 1) / std::abs(by);
    if (!n.check(length <= kElementsMax, "the range has too many elements"))
      return std::nullopt;
    return b.builder.getIndexAttr(int64_t(length));
  }
  OpFoldResult distance =
      by > 0 ? (a == 0 ? to : b.indexDifference(to, from)) : (c == 0 ? from : b.indexDifference(from, to));
  if (!core::isNonNegative(distance))
    distance = b.indexMax(distance, b.builder.getIndexAttr(0));
  return std::abs(by) == 1 ? distance : b.indexCeilDiv(distance, b.builder.getIndexAttr(std::abs(by)));
}

/// Input i if it is an integer that follows from sizes, of whatever element type: exporters cast sizes to float and back.
static std::optional<OpFoldResult> knownInteger(Node &n, int64_t i) {
  auto known = n.known.find(n.b, n.peek(i));
  return known && known->values.size() == 1 ? asIndex(known->values.front()) : std::nullopt;
}

// max(ceil((limit - start) / delta), 0) numbers from start.
static Values range(Node &n, CoreBuilder &b) {
  if (!n.sameElement({n.in(0), n.in(1), n.in(2)}))
    return failure();
  n.ignoreAttr("stash_type"); // of 16-bit floats, which are computed in f32 below
  for (int64_t i : {0, 1, 2})
    if (!n.check(n.type(i).hasStaticShape() && n.type(i).getNumElements() == 1, "input {0} is not a scalar", i))
      return failure();
  Type element = n.element(0);
  bool isFloat = kindOf(element) == kFloat;
  Expr start = b.reshape(n.in(0), {}), delta = b.reshape(n.in(2), {});
  OpFoldResult count;
  bool isStatic = n.known.isConstant(b, n.in(0)) && n.known.isConstant(b, n.in(1)) && n.known.isConstant(b, n.in(2));
  auto from = knownInteger(n, 0), to = knownInteger(n, 1), step = knownInteger(n, 2);
  auto by = step ? constantSize(*step) : std::nullopt;
  if (isFloat && from && to && by && *by != 0) {
    auto steps = stepsBetween(n, *from, *to, *by);
    if (!steps)
      return failure();
    count = *steps;
  } else if ((isFloat && !isStatic) || (!isFloat && !n.known.find(b, n.in(2)))) {
    Type f64 = b.builder.getF64Type();
    Expr distance = convert(b, b.reshape(n.in(1), {}), f64) - convert(b, start, f64);
    Expr length = b.maximum(b.unary("ceil", distance / convert(b, delta, f64)), 0.0);
    count = b.extractIndex(b.cast(length, b.builder.getI64Type()));
  } else if (isFloat) {
    auto first = n.constantFloats(0, "a float start"), limit = n.constantFloats(1, "a float limit"),
         distance = n.constantFloats(2, "a float delta");
    if (!first || !limit || !distance || !n.check(distance->front() != 0, "delta is 0"))
      return failure();
    double length = std::ceil((limit->front() - first->front()) / distance->front());
    if (!n.check(length < double(kElementsMax), "the range has too many elements"))
      return failure();
    count = b.builder.getIndexAttr(length > 0 ? int64_t(length) : 0);
  } else {
    auto first = n.size(0), limit = n.size(1);
    auto distance = n.constantInts(2, "delta");
    if (!first || !limit || !distance || !n.check(distance->front() != 0, "delta is 0") ||
        !n.check(distance->front() != INT64_MIN, "delta is too small"))
      return failure();
    auto steps = stepsBetween(n, *first, *limit, distance->front());
    if (!steps)
      return failure();
    count = *steps;
  }
  Type wide = accumulatorOf(element);
  return convert(b, b.iota({count}, 0, wide) * convert(b, delta, wide) + convert(b, start, wide), element);
}

static const Rule rules[] = {
    {"Constant", 1, constant, 0},
    {"ConstantOfShape", 9, constantOfShape, 1, kInteger},
    {"Range", 11, range, 3, kNumber},
};
const ArrayRef<Rule> constantRules(rules);

} // namespace mlc::decompose
