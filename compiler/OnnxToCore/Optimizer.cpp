// ai.onnx.preview.training: one step of an optimizer as a node, for several parameters at once.
#include "compiler/OnnxToCore/Compose.h"

using namespace mlir;
namespace mlc::decompose {

namespace {
/// The inputs are rate, count, then all parameters, all gradients, and one list for each state.
struct Step {
  Expr rate, count; // count: as a float
  int64_t parameters;
};
} // namespace

static std::optional<Step> readStep(Node &n, int64_t lists) {
  int64_t rest = n.inputCount() - 2;
  if (!n.check(rest > 0 && rest % lists == 0, "{0} inputs cannot be divided into {1} lists", rest, lists))
    return std::nullopt;
  int64_t parameters = rest / lists;
  for (int64_t i = 0; i < n.inputCount(); ++i)
    if (!n.check(n.has(i), "input {0} is missing", i))
      return std::nullopt;
  for (int64_t i : {0, 1})
    if (!n.check(n.type(i).hasStaticShape() && n.type(i).getNumElements() == 1, "input {0} is not a scalar", i))
      return std::nullopt;
  for (int64_t p = 0; p < parameters; ++p)
    for (int64_t l = 1; l < lists; ++l) {
      int64_t other = 2 + l * parameters + p;
      if (!n.sameElement({n.in(2 + p), n.in(other)}) || !n.elementIs(other, kFloat, "a parameter") ||
          !n.check(succeeded(verifyCompatibleShape(n.type(2 + p), n.type(other))),
                   "the shapes of input {0} and {1} differ", 2 + p, other))
        return std::nullopt;
    }
  CoreBuilder &b = n.b;
  Type element = n.element(2);
  return Step{convert(b, b.reshape(n.in(0), {}), element), convert(b, b.reshape(n.in(1), {}), element), parameters};
}

static Values adagrad(Node &n, CoreBuilder &b) {
  double decay = n.f32("decay_factor", 0), epsilon = n.f32("epsilon", 1e-6f), norm = n.f32("norm_coefficient", 0);
  auto step = readStep(n, 3);
  if (!step)
    return failure();
  int64_t count = step->parameters;
  SmallVector<Value> results(2 * count);
  Expr rate = step->rate / (step->count * decay + 1.0);
  for (int64_t p = 0; p < count; ++p) {
    Expr x = n.in(2 + p), g = n.in(2 + count + p), h = n.in(2 + 2 * count + p);
    g = x * norm + g;
    h = h + g * g;
    results[p] = x - rate * g / (b.sqrt(h) + epsilon);
    results[count + p] = h;
  }
  return results;
}

static Values adam(Node &n, CoreBuilder &b) {
  double alpha = n.f32("alpha", 0.9f), beta = n.f32("beta", 0.999f), epsilon = n.f32("epsilon", 1e-6f),
         norm = n.f32("norm_coefficient", 0), normAfter = n.f32("norm_coefficient_post", 0);
  auto step = readStep(n, 4);
  if (!step)
    return failure();
  int64_t count = step->parameters;
  SmallVector<Value> results(3 * count);
  auto power = [&](double base) {
    return b.binary("pow", b.splat(base, CoreBuilder::elementOf(step->count)), step->count);
  };
  Expr corrected = step->rate * b.sqrt(1.0 - power(beta)) / (1.0 - power(alpha));
  Expr rate = b.select(b.compare(core::Comparison::GT, step->count, 0.0), corrected, step->rate);
  for (int64_t p = 0; p < count; ++p) {
    Expr x = n.in(2 + p), g = n.in(2 + count + p), v = n.in(2 + 2 * count + p), h = n.in(2 + 3 * count + p);
    g = x * norm + g;
    v = v * alpha + g * (1 - alpha);
    h = h * beta + g * g * (1 - beta);
    results[p] = (x - rate * (v / (b.sqrt(h) + epsilon))) * (1 - normAfter);
    results[count + p] = v;
    results[2 * count + p] = h;
  }
  return results;
}

static Values momentum(Node &n, CoreBuilder &b) {
  double alpha = n.f32("alpha", 0), beta = n.f32("beta", 0), norm = n.f32("norm_coefficient", 0);
  auto isNesterov = n.choice("mode", "standard", {"standard", "nesterov"});
  auto step = readStep(n, 3);
  if (!isNesterov || !step)
    return failure();
  int64_t count = step->parameters;
  SmallVector<Value> results(2 * count);
  Type element = CoreBuilder::elementOf(step->count);
  Expr damping = b.select(b.compare(core::Comparison::GT, step->count, 0.0), b.splat(beta, element),
                          b.splat(1, element)); // 1 in the first step
  for (int64_t p = 0; p < count; ++p) {
    Expr x = n.in(2 + p), g = n.in(2 + count + p), v = n.in(2 + 2 * count + p);
    g = x * norm + g;
    v = v * alpha + damping * g;
    results[p] = x - step->rate * (*isNesterov ? g + v * alpha : v);
    results[count + p] = v;
  }
  return results;
}

static const Rule rules[] = {
    {"Adagrad", 1, adagrad, 2, kFloat},
    {"Adam", 1, adam, 2, kFloat},
    {"Momentum", 1, momentum, 2, kFloat},
};
const ArrayRef<Rule> optimizerRules(rules);

} // namespace mlc::decompose
