// Arithmetic and elementary functions: Add .. Atanh, and the bitwise operators.
#include "compiler/OnnxToCore/Compose.h"

namespace mlc::decompose {

/// A core op's name as a template argument.
template <size_t N> struct Name {
  char text[N];
  constexpr Name(const char (&s)[N]) { std::copy_n(s, N, text); }
};

template <Name op> static Values unary(Node &n, CoreBuilder &b) {
  n.ignoreAttr("consumed_inputs");
  return b.unary(op.text, n.in(0));
}

template <Name op> static Values binary(Node &n, CoreBuilder &b) {
  auto xy = binaryOperands(n);
  if (!xy)
    return llvm::failure();
  return b.binary(op.text, xy->first, xy->second);
}

// Integers: the sign of the divisor (fmod = 0) or of the dividend (fmod = 1); floats: C's fmod.
static Values mod(Node &n, CoreBuilder &b) {
  auto xy = binaryOperands(n);
  bool isC = n.i64("fmod", 0);
  if (!xy)
    return llvm::failure();
  auto [x, y] = *xy;
  ElementKind kind = kindOf(n.element(0));
  if (kind == kFloat && !isC)
    return n.fail("fmod must be 1 for {0}", nameOf(n.element(0)));
  return b.binary(isC || kind == kUnsigned ? "rem" : "mod", x, y);
}

// The result has the base's type; mixed types are computed in the wider one, as NumPy does it.
static Values pow(Node &n, CoreBuilder &b) {
  Expr x = n.in(0), y = n.in(1);
  auto aligned = legacyOperand(n, x, y);
  if (!aligned || !n.elementIs(1, kNumber, "the exponent") || !n.broadcastable({x, *aligned}))
    return llvm::failure();
  y = *aligned;
  Type element = n.element(0);
  bool isFloat = kindOf(element) == kFloat;
  auto exponent = constantOf(y) ? readFloats(constantOf(y), 1) : std::nullopt;
  if (exponent && exponent->size() == 1 && CoreBuilder::rankOf(y) <= CoreBuilder::rankOf(x)) {
    double e = exponent->front();
    if (e == 1)
      return x;
    if (e == 2)
      return x * x;
    if (e == 3)
      return x * x * x;
    if (e == 0.5 && isFloat) // C's: 0 of -0, infinity of minus infinity
      return b.select(b.compare(core::Comparison::EQ, x, -INFINITY), b.splat(INFINITY, element), b.sqrt(x + 0.0));
    if (e == -1 && isFloat)
      return reciprocal(x);
  }
  if (isFloat || n.element(1) == element)
    return b.binary("pow", x, convert(b, y, element));
  Type wide = b.builder.getF64Type(); // integers below 2^53 are exact
  return b.cast(b.binary("pow", b.cast(x, wide), convert(b, y, wide)), element);
}

static Values reciprocalRule(Node &n, CoreBuilder &b) {
  n.ignoreAttr("consumed_inputs");
  return reciprocal(n.in(0));
}

/// All inputs, of one type, that can be broadcast together.
static std::optional<SmallVector<Value>> variadic(Node &n) {
  n.ignoreAttr("consumed_inputs");
  SmallVector<Value> inputs = n.inputs();
  for (Value v : inputs)
    if (!n.check(bool(v), "an input is missing"))
      return std::nullopt;
  if (!n.sameElement(inputs) || !n.broadcastable(inputs))
    return std::nullopt;
  return inputs;
}

template <Name op> static Values fold(Node &n, CoreBuilder &b) {
  auto inputs = variadic(n);
  if (!inputs)
    return llvm::failure();
  Expr total = b.expr(inputs->front());
  for (Value v : llvm::drop_begin(*inputs))
    total = b.binary(op.text, total, v);
  return total;
}

/// The sum of all inputs in f32 for f16, whose partial sums overflow where the result does not.
static std::optional<Expr> wideSum(Node &n, CoreBuilder &b) {
  auto inputs = variadic(n);
  if (!inputs)
    return std::nullopt;
  Expr total = widened(b, inputs->front());
  for (Value v : llvm::drop_begin(*inputs))
    total = total + widened(b, v);
  return total;
}

static Values sum(Node &n, CoreBuilder &b) {
  auto total = wideSum(n, b);
  return total ? Values(convert(b, *total, n.element(0))) : llvm::failure();
}

static Values mean(Node &n, CoreBuilder &b) {
  auto total = wideSum(n, b);
  return total ? Values(convert(b, *total / double(n.inputCount()), n.element(0))) : llvm::failure();
}

static Values bitShift(Node &n, CoreBuilder &b) {
  auto isLeft = n.choice("direction", "", {"RIGHT", "LEFT"});
  auto xy = binaryOperands(n);
  if (!isLeft || !xy)
    return llvm::failure();
  auto [x, y] = *xy;
  return b.binary(*isLeft ? "shl" : "shr", x, y);
}

static const Rule rules[] = {
    {"Add", 1, binary<"add">, 2, kNumber},
    {"Sub", 1, binary<"sub">, 2, kNumber},
    {"Mul", 1, binary<"mul">, 2, kNumber},
    {"Div", 1, binary<"div">, 2, kNumber},
    {"Pow", 1, pow, 2, kNumber},
    {"Mod", 10, mod, 2, kNumber},
    {"Max", 1, fold<"max">, 1, kNumber},
    {"Min", 1, fold<"min">, 1, kNumber},
    {"Sum", 1, sum, 1, kFloat},
    {"Mean", 1, mean, 1, kFloat},
    {"Abs", 1, unary<"abs">, 1, kNumber},
    {"Neg", 1, unary<"neg">, 1, kNumber},
    {"Sign", 9, unary<"sign">, 1, kNumber},
    {"Sqrt", 1, unary<"sqrt">, 1, kFloat},
    {"Exp", 1, unary<"exp">, 1, kFloat},
    {"Log", 1, unary<"log">, 1, kFloat},
    {"Reciprocal", 1, reciprocalRule, 1, kFloat},
    {"Floor", 1, unary<"floor">, 1, kFloat},
    {"Ceil", 1, unary<"ceil">, 1, kFloat},
    {"Round", 11, unary<"round">, 1, kFloat},
    {"Erf", 9, unary<"erf">, 1, kFloat},
    {"Tanh", 1, unary<"tanh">, 1, kFloat},
    {"Sin", 7, unary<"sin">, 1, kFloat},
    {"Cos", 7, unary<"cos">, 1, kFloat},
    {"Tan", 7, unary<"tan">, 1, kFloat},
    {"Asin", 7, unary<"asin">, 1, kFloat},
    {"Acos", 7, unary<"acos">, 1, kFloat},
    {"Atan", 7, unary<"atan">, 1, kFloat},
    {"Sinh", 9, unary<"sinh">, 1, kFloat},
    {"Cosh", 9, unary<"cosh">, 1, kFloat},
    {"Asinh", 9, unary<"asinh">, 1, kFloat},
    {"Acosh", 9, unary<"acosh">, 1, kFloat},
    {"Atanh", 9, unary<"atanh">, 1, kFloat},
    {"BitShift", 11, bitShift, 2, kUnsigned},
    {"BitwiseAnd", 18, binary<"and">, 2, kInteger},
    {"BitwiseOr", 18, binary<"or">, 2, kInteger},
    {"BitwiseXor", 18, binary<"xor">, 2, kInteger},
    {"BitwiseNot", 18, unary<"not">, 1, kInteger},
};
const ArrayRef<Rule> arithmeticRules(rules);

} // namespace mlc::decompose
