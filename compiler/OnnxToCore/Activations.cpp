// Pointwise functions with a kink or a squash: Relu .. Mish, and Clip.
#include "compiler/OnnxToCore/Activations.h"
#include <cmath>

namespace mlc::decompose {

using core::Comparison;

constexpr double kSqrt2OverPi = 0.7978845608028654;
constexpr double kInvSqrt2 = 0.7071067811865476;

// ---- formulas ---------------------------------------------------------------------------------------------------------

Expr relu(Expr x) { return x.b->maximum(x, 0.0); }

Expr leakyRelu(Expr x, double alpha) {
  CoreBuilder &b = *x.b;
  return b.select(b.compare(Comparison::LT, x, 0.0), x * alpha, x);
}

/// exp(x) - 1 for x <= 0, exact near 0; above it stays finite, and so does the derivative of the side that is not chosen.
static Expr expm1Below(CoreBuilder &b, Expr x) { return b.unary("expm1", b.minimum(x, 0.0)); }

Expr elu(Expr x, double alpha) {
  CoreBuilder &b = *x.b;
  return b.select(b.compare(Comparison::GT, x, 0.0), x, expm1Below(b, x) * alpha);
}

Expr thresholdedRelu(Expr x, Comparison isAbove, double alpha) {
  CoreBuilder &b = *x.b;
  return b.select(b.compare(isAbove, x, alpha), x, b.splatLike(0, x));
}

Expr hardSigmoid(Expr x, double alpha, double beta) { return clamp(x * alpha + beta, 0, 1); }
Expr softsign(Expr x) { return x / (1.0 + x.b->abs(x)); }
Expr gelu(Expr x) { return 0.5 * x * (1.0 + x.b->erf(x * kInvSqrt2)); }
Expr geluByTanh(Expr x) { return 0.5 * x * (1.0 + x.b->tanh(kSqrt2OverPi * (x + 0.044715 * x * x * x))); }

// ---- operators --------------------------------------------------------------------------------------------------------

static Values reluRule(Node &n, CoreBuilder &b) {
  n.ignoreAttr("consumed_inputs");
  return relu(n.in(0));
}

static Values leakyReluRule(Node &n, CoreBuilder &b) {
  n.ignoreAttr("consumed_inputs");
  return leakyRelu(n.in(0), n.f32("alpha", 0.01f));
}

static Values preluWith(Node &n, CoreBuilder &b, Expr slope) {
  Expr x = n.in(0);
  auto spread = n.sameElement({x, slope}) ? n.broadcastTo(slope, b.dims(x)) : std::nullopt;
  if (!spread)
    return llvm::failure();
  return b.select(b.compare(Comparison::LT, x, 0.0), x * *spread, x);
}

static Values prelu(Node &n, CoreBuilder &b) { return preluWith(n, b, n.in(1)); }

// Before opset 7 the slope is one number, or one for each channel.
static Values preluPerChannel(Node &n, CoreBuilder &b) {
  n.ignoreAttr("consumed_inputs");
  Expr slope = n.in(1);
  if (n.rank(1) == 1 && n.type(1).getDimSize(0) != 1 && n.rank(0) > 1)
    slope = perChannel(slope, n.rank(0));
  return preluWith(n, b, slope);
}

static Values eluRule(Node &n, CoreBuilder &b) {
  n.ignoreAttr("consumed_inputs");
  return elu(n.in(0), n.f32("alpha", 1));
}

static Values seluWith(Node &n, CoreBuilder &b, double alphaAbsent, double gammaAbsent) {
  n.ignoreAttr("consumed_inputs");
  Expr x = n.in(0);
  double alpha = n.f32("alpha", alphaAbsent), gamma = n.f32("gamma", gammaAbsent);
  return b.select(b.compare(Comparison::GT, x, 0.0), x * gamma, expm1Below(b, x) * alpha * gamma);
}
static Values seluRounded(Node &n, CoreBuilder &b) { return seluWith(n, b, 1.6732f, 1.0507f); }
static Values selu(Node &n, CoreBuilder &b) {
  return seluWith(n, b, 1.67326319217681884765625, 1.05070102214813232421875);
}

static Values celu(Node &n, CoreBuilder &b) {
  Expr x = n.in(0);
  double alpha = n.f32("alpha", 1);
  if (!n.check(alpha != 0, "alpha is 0"))
    return llvm::failure();
  if (alpha > 0)
    return relu(x) + expm1Below(b, x / alpha) * alpha;
  return relu(x) + b.minimum(b.unary("expm1", x / alpha) * alpha, 0.0);
}

static Values thresholdedReluRule(Node &n, CoreBuilder &b) {
  return thresholdedRelu(n.in(0), Comparison::GT, n.f32("alpha", 1));
}

static Values geluRule(Node &n, CoreBuilder &b) {
  auto isTanh = n.choice("approximate", "none", {"none", "tanh"});
  if (!isTanh)
    return llvm::failure();
  return *isTanh ? geluByTanh(n.in(0)) : gelu(n.in(0));
}

static Values sigmoidRule(Node &n, CoreBuilder &b) {
  n.ignoreAttr("consumed_inputs");
  return sigmoid(n.in(0));
}

static Values hardSigmoidRule(Node &n, CoreBuilder &b) {
  n.ignoreAttr("consumed_inputs");
  return hardSigmoid(n.in(0), n.f32("alpha", 0.2f), n.f32("beta", 0.5));
}

static Values hardSwish(Node &n, CoreBuilder &b) {
  Expr x = n.in(0);
  return x * hardSigmoid(x, 1.0 / 6, 0.5);
}

static Values softplusRule(Node &n, CoreBuilder &b) { return softplus(n.in(0)); }

static Values softsignRule(Node &n, CoreBuilder &b) { return softsign(n.in(0)); }

static Values mish(Node &n, CoreBuilder &b) {
  Expr x = n.in(0);
  return x * b.tanh(softplus(x));
}

static Values swish(Node &n, CoreBuilder &b) {
  Expr x = n.in(0);
  double alpha = n.f32("alpha", 1);
  return x * sigmoid(alpha == 1 ? x : x * alpha);
}

static Values shrink(Node &n, CoreBuilder &b) {
  Expr x = n.in(0);
  double bias = n.f32("bias", 0), lambda = n.f32("lambd", 0.5);
  // Integers are shifted as floats and truncated where the bias is a fraction.
  bool isWhole = kindOf(n.element(0)) == kFloat || bias == std::floor(bias);
  Expr from = isWhole ? x : b.cast(x, b.builder.getF64Type());
  Expr up = convert(b, from + bias, n.element(0)), down = convert(b, from - bias, n.element(0));
  Expr low = b.compare(Comparison::LT, x, -lambda), high = b.compare(Comparison::GT, x, lambda);
  return b.select(low, up, b.select(high, down, b.splatLike(0, x)));
}

// min(max(x, low), high): a low bound above the high one gives the high one.
static Values clipByAttributes(Node &n, CoreBuilder &b) {
  n.ignoreAttr("consumed_inputs");
  Expr x = n.in(0);
  if (n.hasAttr("min"))
    x = b.maximum(x, n.f32("min", 0));
  if (n.hasAttr("max"))
    x = b.minimum(x, n.f32("max", 0));
  return x;
}

static Values clip(Node &n, CoreBuilder &b) {
  Expr x = n.in(0);
  for (int64_t i : {1, 2}) {
    if (!n.has(i))
      continue;
    Expr bound = n.in(i);
    if (n.rank(i) == 1 && n.type(i).getDimSize(0) == 1)
      bound = b.squeeze(bound, {0}); // exporters write it so
    if (!n.check(CoreBuilder::rankOf(bound) == 0, "bound (input {0}) is not a scalar but {1}", i,
                 toString(n.type(i).getShape())) ||
        !n.sameElement({x, bound}))
      return llvm::failure();
    x = i == 1 ? b.maximum(x, bound) : b.minimum(x, bound);
  }
  return x;
}

static const Rule rules[] = {
    {"Relu", 1, reluRule, 1, kNumber},
    {"LeakyRelu", 1, leakyReluRule, 1, kFloat},
    {"PRelu", 1, preluPerChannel, 2, kNumber},
    {"PRelu", 7, prelu, 2, kNumber},
    {"Elu", 1, eluRule, 1, kFloat},
    {"Selu", 1, seluRounded, 1, kFloat},
    {"Selu", 6, selu, 1, kFloat},
    {"Celu", 12, celu, 1, kFloat},
    {"ThresholdedRelu", 10, thresholdedReluRule, 1, kFloat},
    {"Gelu", 20, geluRule, 1, kFloat},
    {"Sigmoid", 1, sigmoidRule, 1, kFloat},
    {"HardSigmoid", 1, hardSigmoidRule, 1, kFloat},
    {"HardSwish", 14, hardSwish, 1, kFloat},
    {"Softplus", 1, softplusRule, 1, kFloat},
    {"Softsign", 1, softsignRule, 1, kFloat},
    {"Mish", 18, mish, 1, kFloat},
    {"Swish", 24, swish, 1, kFloat},
    {"Shrink", 9, shrink, 1, kNumber},
    {"Clip", 1, clipByAttributes, 1, kFloat},
    {"Clip", 11, clip, 1, kNumber},
};
const ArrayRef<Rule> activationRules(rules);

} // namespace mlc::decompose
