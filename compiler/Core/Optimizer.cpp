// Losses and optimizers (see Optimizer.h for the formulas and their sources).
#include "compiler/Core/Optimizer.h"

using namespace mlir;
using namespace mlc::core;

/// Reads slot `<parameter>.<suffix>`, declaring it.
static Expr readSlot(CoreBuilder &b, StringRef parameter, StringRef suffix, RankedTensorType type,
                     SmallVectorImpl<Slot> &slots) {
  std::string name = (parameter + "." + suffix).str();
  slots.push_back({name, type});
  return b.expr(ParameterOp::create(b.builder, b.loc, type, name));
}

void mlc::core::buildUpdate(CoreBuilder &b, const OptimizerOptions &options, StringRef name, Value parameter,
                            Value gradient, Value step, SmallVectorImpl<Slot> &slots) {
  auto type = CoreBuilder::typeOf(parameter);
  Expr w = b.expr(parameter), g = b.expr(gradient);
  auto assign = [&](const Twine &slot, Value value) {
    AssignOp::create(b.builder, b.loc, b.builder.getStringAttr(slot), value);
  };
  if (options.kind == "sgd") {
    Expr direction = g;
    if (options.momentum != 0) {
      direction = readSlot(b, name, "momentum", type, slots) * options.momentum + g;
      assign(name + ".momentum", direction);
    }
    assign(name, w - direction * options.learningRate);
    return;
  }
  // Squares of small gradients, and epsilon, are nothing in 16 bits: there the moments are float32.
  Type element = type.getElementType(), wide = element.getIntOrFloatBitWidth() < 32 ? b.builder.getF32Type() : element;
  auto momentType = RankedTensorType::get(type.getShape(), wide);
  Expr wideGradient = b.cast(g, wide), count = b.cast(step, wide);
  Expr m = readSlot(b, name, "exp_avg", momentType, slots) * options.beta1 + wideGradient * (1.0 - options.beta1);
  Expr v = readSlot(b, name, "exp_avg_sq", momentType, slots) * options.beta2 +
           (wideGradient * wideGradient) * (1.0 - options.beta2);
  assign(name + ".exp_avg", m);
  assign(name + ".exp_avg_sq", v);
  // 1 - beta^t for the whole tensor, once.
  auto correction = [&](double beta) { return 1.0 - b.binary("pow", b.splatLike(beta, count), count); };
  Expr rate = options.learningRate / correction(options.beta1);
  Expr denominator = b.sqrt(v / correction(options.beta2)) + options.epsilon;
  assign(name, b.cast(b.cast(w, wide) - rate * (m / denominator), element));
}

/// The number of elements along the given dimensions, as a scalar tensor.
static Expr countOf(CoreBuilder &b, Value x, ArrayRef<int64_t> axes, Type element) {
  OpFoldResult count = b.builder.getIndexAttr(1);
  for (int64_t axis : axes)
    count = b.indexProduct(count, b.dim(x, axis));
  return b.cast(b.fromElements({count}, b.builder.getI64Type(), /*scalar=*/true), element);
}

Expr mlc::core::crossEntropy(CoreBuilder &b, Value logits, Value label) {
  Type element = CoreBuilder::elementOf(logits), wide = accumulatorOf(element);
  Expr x = b.cast(logits, wide);
  Expr shifted = x - b.reduce(Reduction::Max, x, {1}, /*keepDims=*/true);
  Expr logSum = b.log(b.reduce(Reduction::Sum, b.exp(shifted), {1}));
  Expr classes = b.iota(b.dims(logits), 1, CoreBuilder::elementOf(label));
  Expr chosen = b.compare(Comparison::EQ, classes, b.broadcast(label, b.dims(logits), {0}));
  Expr picked = b.reduce(Reduction::Sum, b.select(chosen, shifted, b.splatLike(0.0, shifted)), {1});
  return b.cast(b.reduce(Reduction::Sum, logSum - picked, {0}) / countOf(b, logits, {0}, wide), element);
}

Expr mlc::core::meanSquaredError(CoreBuilder &b, Value y, Value target) {
  Type element = CoreBuilder::elementOf(y),
       wide = accumulatorOf(element); // squares, their sum and the count overflow f16
  Expr difference = b.cast(y, wide) - b.cast(target, wide);
  SmallVector<int64_t> axes(llvm::to_vector(llvm::seq<int64_t>(0, CoreBuilder::rankOf(y))));
  return b.cast(b.reduce(Reduction::Sum, difference * difference, axes) / countOf(b, y, axes, wide), element);
}
